"""What `python -m analysis.evaluate flow` and `series` measure, part by part."""

from __future__ import annotations

from pathlib import Path

from analysis.core.progress import Progress
from analysis.evaluate import series, series_in_sample, series_worlds
from analysis.evaluate.flow_images import companion_of, measure_pictures, pictures_text
from analysis.evaluate.flow_points import density_of, measure_momentum, measure_quality, momentum_text, quality_text
from analysis.evaluate.series import measure_forecast, measure_samplers
from analysis.series.loaded import METHOD, NFE
from flow_core.model import FlowModel
from flow_core.networks import PointConfig
from flow_core.series.model import SeriesModel
from flow_core.series.world import World
from foundation.models import MODELS_DIR


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
FLOW_PARTS = {"quality": quality, "momentum": momentum, PICTURES: pictures}


def parts_for(model: FlowModel) -> tuple[str, ...]:
    """The parts that say something of a model."""
    if not isinstance(model.config, PointConfig):
        return (PICTURES,)
    return ("quality", "momentum") if model.path.bridge and model.path.independent else ("quality",)


IN_SAMPLE = "in-sample"  # the only part of a world whose test is its training, and of no other


def forecast(model: SeriesModel, world: World, members: int, progress: Progress = None) -> tuple[str, dict]:
    """Text, and the figures for the card."""
    f = measure_forecast(model, world, members, progress)
    figures = {
        name: {"crps_fair": s.crps_fair.value, "mse": s.mse.value, "spread_skill": s.ssr.value}
        for name, s in f.rows.items()
    }
    figures["crps_fair_less"] = {name: vars(d) for name, d in f.differences.items()}
    return series.forecast_text(f, world, NFE, METHOD), figures


def statistics(model: SeriesModel, world: World, frames: int, progress: Progress = None) -> tuple[str, dict]:
    """Text of the world's own statistics; nothing for the card."""
    measured = series_worlds.WORLD_STATISTICS.get(world.name)
    measured = series_worlds.fields_text if world.mask is not None else measured
    if measured is None:
        return f"Not applicable: there are no long-run statistics for {world.title}.", {}
    return measured(model, world, frames, progress), {}


def samplers(model: SeriesModel, world: World, most: int, progress: Progress = None) -> tuple[str, dict]:
    """Text of the table NFE x method; nothing for the card."""
    return series.samplers_text(measure_samplers(model, world, most, progress)), {}


def in_sample(
    model: SeriesModel, world: World, rollouts: int, progress: Progress = None, folder: Path = MODELS_DIR
) -> tuple[str, dict]:
    """Text, and the figures for the card; `folder` holds the model that was trained without its test frames."""
    return series_in_sample.in_sample_text(model, world, rollouts, folder, progress)


SERIES_PARTS = {"forecast": forecast, "statistics": statistics, "samplers": samplers, IN_SAMPLE: in_sample}
