"""Free runs of a series model beside the real series: marginals, power spectrum or joint histogram, autocorrelation.

The tables of `analysis.evaluate.series.worlds` say more of each world; this is what can be drawn of any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from analysis.core.errors import UserError
from analysis.core.fields import Request
from analysis.core.progress import Progress, tell
from analysis.series.loaded import METHOD, MODEL, NFE, ModelName, names, plotted_values, real_series
from flow_core.series import alanine, lorenz
from flow_core.series.model import SeriesModel
from flow_core.series.scores import jensen_shannon
from flow_core.series.world import Rollouts, World

MIN_FRAMES, MAX_FRAMES = 64, 2000


@dataclass(frozen=True)
class LongRunRequest(Request):
    """Free runs, and what they share with the real series.

    Attributes:
        model: a name; "" for the first.
        frames: of each run, 64 to 2000.
    """

    model: ModelName = ""
    frames: Annotated[int, Field(ge=MIN_FRAMES, le=MAX_FRAMES, title="The number of frames")] = 500


@dataclass(frozen=True, eq=False)
class LongRunResult:
    """Free runs beside the real series; S series: this model, training part, test part.

    Attributes:
        title, variables, unit, dt, time_unit, period: of the world.
        names: of the series.
        runs, frames: how many free runs of how many frames.
        edges: (D, B + 1) of the histograms.
        densities: (S, D, B).
        distances: (2, D) W1 of the marginals in standard deviations of the test part, or on the torus (2, 1) the
            Jensen-Shannon distance of the joint histogram, to the test part: of the runs, and of the training part.
        frequencies: (F,) per time unit, None on the torus.
        spectra: (S, F, D) power spectral density, None on the torus.
        joint: (S, b, b) histogram of two angles, first index of the first; None off the torus.
        lags: (K,) in time units.
        echoes: (S, K, D) autocorrelation.
    """

    title: str
    variables: tuple[str, ...]
    unit: str
    dt: float
    time_unit: str
    period: float | None
    names: tuple[str, ...]
    runs: int
    frames: int
    edges: np.ndarray
    densities: np.ndarray
    distances: np.ndarray
    frequencies: np.ndarray | None
    spectra: np.ndarray | None
    joint: np.ndarray | None
    lags: np.ndarray
    echoes: np.ndarray


HISTOGRAM_BINS, SEGMENT, MAX_LAG = 48, 256, 100
LEAST = MIN_FRAMES
SERIES = (MODEL, "training part", "test part")


def measure_long_run(
    model: SeriesModel, world: World, frames: int, report: Callable[[float, str], None] | None = None
) -> LongRunResult:
    """Draw the runs and compare.

    Args:
        model, world: that fit.
        frames: of each run; fewer where the world's context ends before.
        report: called with (share done, what); may raise to stop.

    Raises:
        UserError: the context ends too early for anything that deserves the name.
    """
    test = _lines(world, real_series(world, "test"))
    if world.context_size:  # the season has to be known
        frames = min(frames, test.shape[1] - FREE_RUNS)
        if frames < LEAST:
            raise UserError(
                f"The held-out part of {world.title} has {test.shape[1]} frames, too few for free runs: choose another "
                "world.",
                "model",
            )
    begin, _ = starts(world, "test", frames if world.context_size else 1, FREE_RUNS)
    run = free_run(model, world, begin, frames, report)
    series = [_lines(world, run), _lines(world, real_series(world, "train")), test]
    edges = _edges(series[1:], world)
    lag = min(MAX_LAG, min(x.shape[1] for x in series) // 4)
    frequencies = spectra = joint = None
    if world.geometry == "torus":
        joint = np.stack([alanine.ramachandran(x[..., :2]) for x in series])
        distances = np.array([[jensen_shannon(j, joint[2])] for j in joint[:2]])
        echoes = np.stack([alanine.autocorrelation(x, lag) for x in series])
    else:
        segment = min(SEGMENT, *(x.shape[1] for x in series)) // 2 * 2
        frequencies, _ = lorenz.power_spectrum(series[0], world.dt, segment)
        spectra = np.stack([lorenz.power_spectrum(x, world.dt, segment)[1] for x in series])
        distances = np.stack([lorenz.marginal_distances(x, test) for x in series[:2]])
        echoes = np.stack([_autocorrelation(x, lag) for x in series])
    densities = np.stack([[_density(x[..., d], e) for d, e in enumerate(edges)] for x in series])
    return LongRunResult(
        world.title, names(world), world.unit, world.dt, world.time_unit, world.period, SERIES, len(run), frames,
        edges, densities, distances, frequencies, spectra, joint, np.arange(lag + 1) * world.dt, echoes,
    )  # fmt: skip


def _lines(world: World, values: np.ndarray) -> np.ndarray:
    """Values (runs, T, *shape) in the unit of the world as lines (runs, T, D)."""
    return plotted_values(world, world.normalise(np.nan_to_num(values)))


def _edges(series: list[np.ndarray], world: World) -> np.ndarray:
    """Of the histograms, (D, B + 1): the range of the real series."""
    d = series[0].shape[-1]
    if world.period is not None:
        return np.tile(np.linspace(-world.period / 2, world.period / 2, HISTOGRAM_BINS + 1), (d, 1))
    both = np.concatenate([x.reshape(-1, d) for x in series])
    return np.linspace(both.min(0), both.max(0), HISTOGRAM_BINS + 1, axis=1)


def _density(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Histogram over all values, those outside too, as a density."""
    return np.histogram(x, edges)[0] / (x.size * np.diff(edges))


def _autocorrelation(x: np.ndarray, lags: int) -> np.ndarray:
    """Autocorrelation (lags + 1, D) of (runs, T, D); products stay inside a run."""
    d, frames = x - x.mean((0, 1)), x.shape[1]
    return np.stack([(d[:, : frames - k] * d[:, k:]).mean((0, 1)) for k in range(lags + 1)]) / (d * d).mean((0, 1))


STARTS = 200  # of the forecasts, at most about


def starts(world: World, split: str, horizon: int, most: int | None = None) -> tuple[Rollouts, int]:
    """Rollouts of a split, about `most` (`STARTS`) of them evenly spread, and the frames between two starts."""
    stride = max(1, len(world.rollouts(split, horizon)) // (most or STARTS))
    return world.rollouts(split, horizon, stride), stride


FREE_RUNS = 16


def free_run(model: SeriesModel, world: World, r: Rollouts, frames: int, progress: Progress) -> np.ndarray:
    """Rollouts of single members, (N, frames, D) in the unit of the world."""
    context = r.context if r.context.shape[2] else None
    made = model.forecast(
        r.history, context, frames, 1, NFE, METHOD, progress=lambda done, of: tell(progress, done / of, "free runs")
    )
    return world.denormalise(made.members[0])
