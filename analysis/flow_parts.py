"""The parts of an evaluation of a flow: quality against network calls, and whether momentum helps."""

from __future__ import annotations

from pathlib import Path

from analysis.flow_scores import Progress, density_of, measure_momentum, measure_quality
from analysis.flow_tables import momentum_text, quality_text
from analysis.picture_methods import companion_of
from analysis.picture_scores import measure_pictures
from analysis.picture_tables import pictures_text
from flow_core.model import FlowModel
from flow_core.networks import PointConfig


def quality(model: FlowModel, seeds: int, progress: Progress = None) -> str:
    """Text of squared MMD and W2 by sampler and number of calls."""
    if not isinstance(model.config, PointConfig):
        return "Not applicable: this part is of flows in the plane."
    return quality_text(measure_quality(model, density_of(model), seeds, progress))


def momentum(model: FlowModel, seeds: int, progress: Progress = None) -> str:
    """Text of the momentum's verdict."""
    if not isinstance(model.config, PointConfig):
        return "Not applicable: this part is of flows in the plane."
    if not (model.path.bridge and model.path.independent):
        return (
            "Not applicable: momentum is weighted with the noise of the path and needs its score, so only a net of the "
            "IDFF path with independent ends has any."
        )
    return momentum_text(measure_momentum(model, density_of(model), seeds, progress))


def pictures(model: FlowModel, seeds: int, progress: Progress = None, *, name: str, folder: Path) -> str:
    """Text of the distances of pictures to the exact flow and to data, with those of NAME-otcfm in the folder."""
    if isinstance(model.config, PointConfig):
        return "Not applicable: this part is of flows of pictures."
    return pictures_text(measure_pictures(model, companion_of(model, name, folder), seeds, progress))


PICTURES = "pictures"
MEASURED = {"quality": quality, "momentum": momentum, PICTURES: pictures}


def parts_for(model: FlowModel) -> tuple[str, ...]:
    """The parts that say something of a model."""
    if not isinstance(model.config, PointConfig):
        return (PICTURES,)
    return ("quality", "momentum") if model.path.bridge and model.path.independent else ("quality",)
