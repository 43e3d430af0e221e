"""The parts of an evaluation of a series model: forecasts beside baselines, long-run statistics, samplers.

Each answers with tables and verdicts as text, and with the figures that go into the model's card.
"""

from __future__ import annotations

from pathlib import Path

from analysis import series_fields, series_in_sample, series_statistics, series_tables
from analysis.series_scores import METHOD, NFE, Progress, measure_forecast, measure_samplers
from flow_core.series_model import SeriesModel
from flow_core.world import World
from foundation.models import MODELS_DIR

IN_SAMPLE = "in-sample"  # the only part of a world whose test is its training, and of no other


def forecast(model: SeriesModel, world: World, members: int, progress: Progress = None) -> tuple[str, dict]:
    """Text, and the figures for the card."""
    f = measure_forecast(model, world, members, progress)
    figures = {
        name: {"crps_fair": s.crps_fair.value, "mse": s.mse.value, "spread_skill": s.ssr.value}
        for name, s in f.rows.items()
    }
    figures["crps_fair_less"] = {name: vars(d) for name, d in f.differences.items()}
    return series_tables.forecast_text(f, world, NFE, METHOD), figures


def statistics(model: SeriesModel, world: World, frames: int, progress: Progress = None) -> tuple[str, dict]:
    """Text of the world's own statistics; nothing for the card."""
    measured = series_statistics.MEASURED.get(world.name)
    measured = series_fields.fields_text if world.mask is not None else measured
    if measured is None:
        return f"Not applicable: there are no long-run statistics for {world.title}.", {}
    return measured(model, world, frames, progress), {}


def samplers(model: SeriesModel, world: World, most: int, progress: Progress = None) -> tuple[str, dict]:
    """Text of the table NFE x method; nothing for the card."""
    return series_tables.samplers_text(measure_samplers(model, world, most, progress)), {}


def in_sample(
    model: SeriesModel, world: World, rollouts: int, progress: Progress = None, folder: Path = MODELS_DIR
) -> tuple[str, dict]:
    """Text, and the figures for the card; `folder` holds the model that was trained without its test frames."""
    return series_in_sample.in_sample_text(model, world, rollouts, folder, progress)


MEASURED = {"forecast": forecast, "statistics": statistics, "samplers": samplers, IN_SAMPLE: in_sample}
