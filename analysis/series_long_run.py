"""Free runs of a series model beside the real series: marginals, power spectrum or joint histogram, autocorrelation.

The tables of `analysis.series_statistics` say more of each world; this is what can be drawn of any of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.errors import UserError
from analysis.requests_series import MIN_FRAMES
from analysis.results_series import LongRunResult
from analysis.series_opened import lines, names
from analysis.series_scores import MODEL, starts
from analysis.series_statistics import FREE_RUNS, free_run, real
from flow_core import alanine, lorenz
from flow_core.series_metrics import jensen_shannon
from flow_core.series_model import SeriesModel
from flow_core.world import World

BINS, SEGMENT, MAX_LAG = 48, 256, 100
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
    test = _lines(world, real(world, "test"))
    if world.context_size:  # the season has to be known
        frames = min(frames, test.shape[1] - FREE_RUNS)
        if frames < LEAST:
            raise UserError(
                f"The held-out part of {world.title} has {test.shape[1]} frames, too few for free runs: choose another "
                "world."
            )
    begin, _ = starts(world, "test", frames if world.context_size else 1, FREE_RUNS)
    run = free_run(model, world, begin, frames, report)
    series = [_lines(world, run), _lines(world, real(world, "train")), test]
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
        echoes = np.stack([_echo(x, lag) for x in series])
    densities = np.stack([[_density(x[..., d], e) for d, e in enumerate(edges)] for x in series])
    return LongRunResult(
        world.title, names(world), world.unit, world.dt, world.time_unit, world.period, SERIES, len(run), frames,
        edges, densities, distances, frequencies, spectra, joint, np.arange(lag + 1) * world.dt, echoes,
    )  # fmt: skip


def _lines(world: World, values: np.ndarray) -> np.ndarray:
    """Values (runs, T, *shape) in the unit of the world as lines (runs, T, D)."""
    return lines(world, world.normalise(np.nan_to_num(values)))


def _edges(series: list[np.ndarray], world: World) -> np.ndarray:
    """Of the histograms, (D, B + 1): the range of the real series."""
    d = series[0].shape[-1]
    if world.period is not None:
        return np.tile(np.linspace(-world.period / 2, world.period / 2, BINS + 1), (d, 1))
    both = np.concatenate([x.reshape(-1, d) for x in series])
    return np.linspace(both.min(0), both.max(0), BINS + 1, axis=1)


def _density(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Histogram over all values, those outside too, as a density."""
    return np.histogram(x, edges)[0] / (x.size * np.diff(edges))


def _echo(x: np.ndarray, lags: int) -> np.ndarray:
    """Autocorrelation (lags + 1, D) of (runs, T, D); products stay inside a run."""
    d, frames = x - x.mean((0, 1)), x.shape[1]
    return np.stack([(d[:, : frames - k] * d[:, k:]).mean((0, 1)) for k in range(lags + 1)]) / (d * d).mean((0, 1))
