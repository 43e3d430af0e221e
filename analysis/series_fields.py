"""Long-run statistics of models of sea-temperature fields: what the EOFs hold, Niño 3.4, free runs."""

from __future__ import annotations

import numpy as np
import torch

from analysis.result_tables import grid
from analysis.series_scores import METHOD, NFE, Progress, starts
from analysis.series_statistics import FREE_RUNS, free_run, real
from analysis.series_tables import verdict
from flow_core.baselines import KINDS, fit_baseline
from flow_core.series_model import SeriesModel
from flow_core.world import SPLITS, World

NINO_34 = ((-5.0, 5.0), (190.0, 240.0))  # degrees north and east; its mean anomaly is the usual index of El Niño
LAGS = (1, 3, 6, 12)
INDEX_MEMBERS = 50


def box_weights(world: World, box=NINO_34) -> np.ndarray:
    """(rows, columns), shares of the area of a box's cells, sum 1; where no cell lies in it, those of the whole map."""
    (south, north), (west, east) = box
    rows = (world.latitudes >= south) & (world.latitudes <= north)
    columns = (world.longitudes >= west) & (world.longitudes <= east)
    inside = world.weights * (rows[:, None] & columns)
    chosen = inside if inside.sum() > 0 else world.weights
    return chosen / chosen.sum()


def captured(model: SeriesModel, world: World, split: str) -> np.ndarray:
    """(K,) share of a part's area-weighted variance about zero that the first 1 ... K patterns hold."""
    x = world.normalise(real(world, split)).reshape(-1, *world.shape)
    c = model.eofs.project(torch.from_numpy(x))

    def size(fields: np.ndarray) -> float:
        return float((fields.astype(np.float64) ** 2 * world.weights).sum())

    steps = [torch.where(torch.arange(c.shape[-1]) < k, c, torch.zeros(())) for k in range(1, c.shape[-1] + 1)]
    return np.array([1 - size(x - model.eofs.lift(s).numpy()) / size(x) for s in steps])


def index_errors(model: SeriesModel, world: World, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Forecasts -> (L,) root mean squared error of the index of the mean forecast over the test part's starts, °C."""
    r, _ = starts(world, "test", world.horizon)
    made = model.forecast(r.history, r.context, world.horizon, INDEX_MEMBERS, NFE, METHOD).members.mean(0)
    means = {"this model": made} | {kind: fit_baseline(world, kind).mean(r.history) for kind in KINDS}
    error = {k: ((m - r.truth) * world.scale * weights).sum((-3, -2, -1)) for k, m in means.items()}
    return {k: np.sqrt((e**2).mean(0)) for k, e in error.items()}


def fields_text(model: SeriesModel, world: World, frames: int, progress: Progress = None) -> str:
    """Variance that the patterns hold, errors of the Niño 3.4 index by lead, spread and memory of free runs."""
    shares = {split: captured(model, world, split) for split in SPLITS}
    modes = len(shares["train"])
    box = box_weights(world)
    errors = index_errors(model, world, box)

    frames = min(frames, len(real(world, "train")[0]) - FREE_RUNS - world.history)
    begin, _ = starts(world, "train", frames, FREE_RUNS)
    run = free_run(model, world, begin, frames, progress)
    lags = [lag for lag in LAGS if lag < min(frames, len(real(world, "test")[0]))]
    rows, spread = [], {}
    series = {"this model": run} | {split: real(world, split) for split in SPLITS}
    for name, x in series.items():
        x = np.where(world.mask, x, 0.0)
        spread[name] = float(np.sqrt((x**2 * world.weights).sum((-2, -1)).mean()))
        index = (x * box).sum((-3, -2, -1))
        echo = [(index[:, :-lag] * index[:, lag:]).mean() / (index**2).mean() for lag in lags]
        rows.append([name, f"{spread[name]:.3f}", f"{np.sqrt((index**2).mean()):.3f}", *(f"{e:.2f}" for e in echo)])
    return "\n\n".join([
        f"Of each part's variance by area, the share that the {modes} EOFs of the training part hold, added up.",
        grid(["EOFs", *SPLITS], [[str(k + 1), *(f"{s[k]:.3f}" for s in shares.values())] for k in range(modes)]),
        f"Root mean squared error of the Niño 3.4 index (mean anomaly of 5°S to 5°N, 170°W to 120°W), °C, by lead in "
        f"{world.time_unit}; {len(starts(world, 'test', world.horizon)[0])} starts of the test part, mean of "
        f"{INDEX_MEMBERS} members, {METHOD}, {NFE} calls a frame.",
        grid(
            ["forecast", *(str(k + 1) for k in range(world.horizon))],
            [[name, *(f"{v:.3f}" for v in e)] for name, e in errors.items()],
        ),
        f"Free runs: {len(run)} of {frames:,} {world.time_unit} that start in the training part (the test part is too "
        "short for them): root mean squared anomaly of the map and of the index, °C, and autocorrelation of the index "
        f"by lag in {world.time_unit}.",
        grid(["series", "map", "Niño 3.4", *map(str, lags)], rows),
        verdict(fields_verdict(shares, errors, spread)),
    ])  # fmt: skip


def fields_verdict(shares: dict, errors: dict, spread: dict) -> str:
    """What the patterns lose out of sample, at which leads the index beats damped persistence, and the runs' size."""
    gap = errors["this model"] - errors[KINDS[2]]
    better = ", ".join(str(k + 1) for k in np.flatnonzero(gap < 0)) or "none"
    return (
        f"The EOFs hold {shares['train'][-1]:.0%} of the variance that they were fitted on and "
        f"{shares['test'][-1]:.0%} of the test part's. Leads at which the index's error is below that of damped "
        f"persistence (without intervals: the starts overlap): {better}. The mean anomaly of free runs is "
        f"{spread['this model'] / spread['train']:.2f} times that of the training part and "
        f"{spread['this model'] / spread['test']:.2f} times that of the test part."
    )
