"""Long-run statistics of series models by world: what a free run shares with the real series.

Every distance stands beside the same distance between two parts of the real data, which a perfect model would have too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from analysis.core.progress import Progress
from analysis.evaluate.series.forecast import paired
from analysis.evaluate.tables.markdown import NOT_DEFINED, Block, Cell, Verdict, cell, grid, interval, numbers
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.series.loaded import METHOD, NFE, real_series
from analysis.series.long_run import FREE_RUNS, free_run, starts
from flow_core.series import alanine, lorenz
from flow_core.series.baselines import (
    LEVEL,
    REGRESSION,
    SIMPLE_BASELINES,
    analogs,
    autoregression,
    fit_baseline,
    level_damped,
)
from flow_core.series.model import SeriesModel
from flow_core.series.scores import ensemble_mean, jensen_shannon
from flow_core.series.world import WORLD_SPLITS, World
from foundation.metrics.statistics import Interval

LAGS = {"alanine": (1, 5, 20, 50, 100), "sst_sites": (1, 3, 7, 14, 30)}
ONE_STEP_MEMBERS = 20
VALID_HORIZON, VALID_STARTS = 250, 64
TWIN_DISTANCE, TWIN_STEPS, SETTLE = 1e-3, 1000, 100  # the network is float32


# ---------------------------------------------------------------------------------------------------------------------
# Alanine dipeptide


def alanine_blocks(model: SeriesModel, world: World, frames: int, progress: Progress = None) -> list[Block]:
    """One step ahead, Ramachandran histogram, autocorrelation, transition rates."""
    r, _ = starts(world, "test", 1, 1000)
    made = model.forecast(r.history, None, 1, ONE_STEP_MEMBERS, NFE, METHOD).members
    guesses = {"this model, direction of the ensemble mean": ensemble_mean(made, world.period)}
    guesses["persistence"] = r.history[:, -1:]
    one_step = [
        [name, *numbers(alanine.circular_mae(g, r.truth), ".2f"),
         *numbers(alanine.circular_correlation(g, r.truth), ".3f")] for name, g in guesses.items()
    ]  # fmt: skip

    begin, _ = starts(world, "test", 1, FREE_RUNS)
    run = free_run(model, world, begin, frames, progress)
    series = {"this model": run, "train": real_series(world, "train"), "test": real_series(world, "test")}
    shape = {k: alanine.ramachandran(v) for k, v in series.items()}
    distance = {k: jensen_shannon(shape[k], shape["test"]) for k in ("this model", "train")}
    kinetics = {k: alanine.kinetics(alanine.core_states(v), world.dt) for k, v in series.items()}
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    states = alanine.STATES
    rates = [
        [f"{states[i]} to {states[j]}", *(_rate(k.rates[i, j], k.counts[i, j]) for k in kinetics.values())]
        for i, j in pairs
    ]
    shares = [
        [f"share of {s}", *numbers((k.populations[i] for k in kinetics.values()), ".3f")] for i, s in enumerate(states)
    ]
    lags = [lag for lag in LAGS["alanine"] if lag < frames]
    memory = {k: alanine.autocorrelation(v, max(lags))[lags] for k, v in series.items()}
    correlations = [
        [f"{name}, {angle}", *numbers(memory[name][:, i], ".3f")]
        for name in series
        for i, angle in enumerate(world.variables)
    ]
    return [
        f"One frame ({world.dt:g} ps) ahead from {len(r)} starts of the held-out tail, {ONE_STEP_MEMBERS} members. "
        "(The paper's table gives MAE 10.3 to 10.5 degrees and CC .93 averaged over the angles of another molecule, "
        "trained and tested on the same frames: not comparable.)",
        grid(["forecast", "MAE phi, degrees", "MAE psi", "CC phi", "CC psi"], one_step),
        f"Free runs: {len(run)} of {frames:,} frames, {METHOD}, {NFE} calls a frame. Ramachandran Jensen-Shannon "
        f"distance to the test part, {alanine.ANGLE_BINS} x {alanine.ANGLE_BINS} bins.",
        grid(["series", "JSD to the test part"], [[k, *numbers([v], ".3f")] for k, v in distance.items()]),
        "Core-to-core transition rates per nanosecond spent in the first state (counts in brackets), and populations.",
        grid(["", *kinetics], rates + shares),
        "Autocorrelation of (cos, sin) by lag in frames.",
        grid(["series", *map(str, lags)], correlations),
        alanine_verdict(distance, kinetics, states, pairs),
    ]


def _rate(rate: float, count: int) -> str:
    return cell("{:.2f} ({})", float(rate), int(count)) if np.isfinite(rate) else NOT_DEFINED


def alanine_verdict(distance: dict, kinetics: dict, states, pairs) -> Verdict:
    """Whether a free run visits what the molecule visits, and as often."""
    mine, real_one = distance["this model"], distance["train"]
    near = "no farther from the test part than the training part is" if mine <= real_one else (
        f"{mine / real_one:.2f} times as far from the test part as the training part is")  # fmt: skip
    within, seen = [], []
    for i, j in pairs:
        theirs = kinetics["train"]
        if theirs.counts[i, j] >= 10:
            seen.append((i, j))
            rate = kinetics["this model"].rates[i, j]
            if np.isfinite(rate) and 0.5 <= rate / theirs.rates[i, j] <= 2:
                within.append((i, j))
    names = ", ".join(f"{states[i]} to {states[j]}" for i, j in within) or "none"
    return Verdict(
        f"The Ramachandran histogram of free runs is {near} (Jensen-Shannon distance {mine:.3f} against "
        f"{real_one:.3f}). Of {len(seen)} transition rates with at least 10 events in the training part, "
        f"{len(within)} are met within a factor of 2: {names}.",
        {
            "distance": float(mine), "distance_of_training": float(real_one), "rates": len(seen),
            "within_factor_2": [f"{states[i]} to {states[j]}" for i, j in within],
        },
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Lorenz-63


def lorenz_blocks(model: SeriesModel, world: World, frames: int, progress: Progress = None) -> list[Block]:
    """Valid prediction time, marginals, spectrum, largest Lyapunov exponent of the learned map."""
    horizon = min(VALID_HORIZON, len(world.segments[0].values) // 2)
    r, stride = starts(world, "test", horizon, VALID_STARTS)
    one = model.forecast(r.history, None, horizon, 1, NFE, METHOD).members[0]
    still = np.broadcast_to(r.history[:, -1:], one.shape)
    block = -(-horizon // stride)
    unit = np.ones(3)  # normalised values
    guesses = {
        "this model": one, "persistence": still, "climatology": np.zeros_like(one),
        REGRESSION: autoregression(world, r).mean, "nearest analog": analogs(world, r, 1)[0],
    }  # fmt: skip
    times = {k: paired(lorenz.valid_time(v, r.truth, unit, world.dt), block) for k, v in guesses.items()}

    begin, _ = starts(world, "test", 1, FREE_RUNS)
    run = free_run(model, world, begin, frames, progress)
    test, train = real_series(world, "test"), real_series(world, "train")
    segment = min(256, frames // 2 * 2, test.shape[1] // 2 * 2)
    spectra = [lorenz.power_spectrum(x, world.dt, segment)[1] for x in (run, train, test)]
    rows = {}
    for name, x, power in (("this model", run, spectra[0]), ("train", train, spectra[1])):
        w1 = lorenz.marginal_distances(x.reshape(-1, 3), test.reshape(-1, 3))
        rows[name] = (w1, lorenz.spectrum_distance(power, spectra[2]))
    table = [[k, *numbers(w1, ".4f"), *numbers(db, ".2f")] for k, (w1, db) in rows.items()]

    def step(window: np.ndarray, k: int) -> np.ndarray:
        return model.forecast(window, None, 1, 1, NFE, METHOD, seed=k).members[0, :, 0]

    exponents = lorenz.lyapunov_of_map(
        lorenz.window_map(step),
        begin.history,
        min(frames, TWIN_STEPS),
        world.dt,
        delta=TWIN_DISTANCE,
        settle=SETTLE,
    )
    exponent = paired(exponents, 1)
    return [
        f"Valid prediction time in Lyapunov times (rms error below 0.4 standard deviations), {len(r)} starts of the "
        f"test trajectories, single members.",
        grid(["forecast", "valid prediction time"], [[k, interval(v, ".2f")] for k, v in times.items()]),
        f"Free runs: {len(run)} of {frames:,} frames, {METHOD}, {NFE} calls a frame, against the test trajectories: W1 "
        "of the marginals in standard deviations, log-spectral distance in decibel.",
        grid(["series", *(f"W1 {v}" for v in world.variables), *(f"dB {v}" for v in world.variables)], table),
        f"Largest Lyapunov exponent of the learned map, per time unit, twins that share their noise: "
        f"{interval(exponent, '.3f')} over {len(exponents)} runs; of the system {lorenz.LYAPUNOV}.",
        lorenz_verdict(times, exponent, rows),
    ]


def lorenz_verdict(times: dict[str, Interval], exponent: Interval, rows: dict) -> Verdict:
    """Whether the learned map is chaotic as the system is, and how its long run compares."""
    inside = exponent.low <= lorenz.LYAPUNOV <= exponent.high
    nature = "positive: the map is chaotic" if exponent.low > 0 else "not above 0 with certainty"
    w1, db = ([float(np.max(rows[k][i])) for k in ("this model", "train")] for i in (0, 1))
    best = max((k for k in times if k != "this model"), key=lambda k: times[k].value)
    ahead = times["this model"].low > times[best].high
    return Verdict(
        f"The forecast stays valid for {interval(times['this model'], '.2f')} Lyapunov times, {best}, the "
        f"longest of the others, for {interval(times[best], '.2f')}"
        f"{'' if ahead else ' (not settled which is longer)'}. "
        f"The exponent is {nature}; its interval {'holds' if inside else 'does not hold'} the system's "
        f"{lorenz.LYAPUNOV}. The largest W1 of a marginal is {w1[0]:.3f} standard deviations, between the training "
        f"and test trajectories {w1[1]:.3f}; the largest log-spectral distance {db[0]:.1f} decibel, and there "
        f"{db[1]:.1f}.",
        {
            "valid_time": times["this model"].value, "longest_other": best, "longer": ahead,
            "chaotic": exponent.low > 0, "holds_the_exponent": inside, "largest_w1": w1, "largest_decibel": db,
        },
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Sites


def sites_blocks(model: SeriesModel, world: World, frames: int, progress: Progress = None) -> list[Block]:
    """Spread and autocorrelation of free runs through the test years."""
    frames = min(frames, len(real_series(world, "test")[0]) - FREE_RUNS)
    begin, _ = starts(world, "test", frames, FREE_RUNS)
    run = free_run(model, world, begin, frames, progress)
    lags = [lag for lag in LAGS["sst_sites"] if lag < frames]
    rows, spread = [], {}
    for name, x in {
        "this model": run,
        "train": real_series(world, "train"),
        "test": real_series(world, "test"),
    }.items():
        d = x - x.mean((0, 1))
        spread[name] = d.std((0, 1))
        for i, site in enumerate(world.variables):
            memory = [(d[:, :-lag, i] * d[:, lag:, i]).mean() / (d[..., i] ** 2).mean() for lag in lags]
            rows.append([f"{name}, {site}", *numbers([spread[name][i], *memory], ".3f")])
    ratio = spread["this model"] / spread["train"]
    return [
        f"Free runs: {len(run)} of {frames:,} days from the test part, {METHOD}, {NFE} calls a frame; standard "
        "deviation of the anomaly in °C and autocorrelation by lag in days.",
        grid(["series", "standard deviation", *map(str, lags)], rows),
        Verdict(
            f"The spread of free runs is {ratio.min():.2f} to {ratio.max():.2f} times that of the training part, by "
            "site.",
            {"spread_ratio": [float(v) for v in ratio]},
        ),
    ]


WORLD_STATISTICS: dict[str, Callable[..., list[Block]]] = {
    "alanine": alanine_blocks,
    "lorenz": lorenz_blocks,
    "sst_sites": sites_blocks,
}


NINO_34 = ((-5.0, 5.0), (190.0, 240.0))  # degrees north and east; its mean anomaly is the usual index of El Niño
INDEX_LAGS = (1, 3, 6, 12)
INDEX_MEMBERS = 50


def _area(world: World) -> np.ndarray:
    """(rows, columns), share of the area of each cell of a field, sum 1.

    Raises:
        ValueError: the world is no field.
    """
    if world.weights is None:
        raise ValueError(f"{world.title} is no world of fields.")
    return world.weights


def box_weights(world: World, box=NINO_34) -> np.ndarray:
    """(rows, columns), shares of the area of a box's cells, sum 1; where no cell lies in it, those of the whole map."""
    (south, north), (west, east) = box
    rows = (world.latitudes >= south) & (world.latitudes <= north)
    columns = (world.longitudes >= west) & (world.longitudes <= east)
    inside = _area(world) * (rows[:, None] & columns)
    chosen = inside if inside.sum() > 0 else _area(world)
    return chosen / chosen.sum()


def captured(model: SeriesModel, world: World, split: str) -> np.ndarray:
    """(K,) share of a part's area-weighted variance about zero that the first 1 ... K patterns hold."""
    x = world.normalise(real_series(world, split)).reshape(-1, *world.shape)
    eofs, area = model.eofs, _area(world)
    if eofs is None:
        raise ValueError("A model of vectors has no patterns.")
    c = eofs.project(torch.from_numpy(x))

    def size(fields: np.ndarray) -> float:
        return float((fields.astype(np.float64) ** 2 * area).sum())

    steps = [torch.where(torch.arange(c.shape[-1]) < k, c, torch.zeros(())) for k in range(1, c.shape[-1] + 1)]
    return np.array([1 - size(x - eofs.lift(s).numpy()) / size(x) for s in steps])


def index_errors(model: SeriesModel, world: World, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Forecasts -> (L,) root mean squared error of the index of the mean forecast over the test part's starts, °C."""
    r, _ = starts(world, "test", world.horizon)
    made = model.forecast(r.history, r.context, world.horizon, INDEX_MEMBERS, NFE, METHOD).members.mean(0)
    means = {"this model": made} | {kind: fit_baseline(world, kind).mean(r.history) for kind in SIMPLE_BASELINES}
    means[LEVEL] = level_damped(world, r).mean
    error = {k: ((m - r.truth) * world.scale * weights).sum((-3, -2, -1)) for k, m in means.items()}
    return {k: np.sqrt((e**2).mean(0)) for k, e in error.items()}


def fields_blocks(model: SeriesModel, world: World, frames: int, progress: Progress = None) -> list[Block]:
    """Variance that the patterns hold, errors of the Niño 3.4 index by lead, spread and memory of free runs."""
    shares = {split: captured(model, world, split) for split in WORLD_SPLITS}
    modes = len(shares["train"])
    box = box_weights(world)
    errors = index_errors(model, world, box)

    frames = min(frames, len(real_series(world, "train")[0]) - FREE_RUNS - world.history)
    begin, _ = starts(world, "train", frames, FREE_RUNS)
    run = free_run(model, world, begin, frames, progress)
    lags = [lag for lag in INDEX_LAGS if lag < min(frames, len(real_series(world, "test")[0]))]
    rows, spread = [], {}
    series = {"this model": run} | {split: real_series(world, split) for split in WORLD_SPLITS}
    for name, x in series.items():
        x = x if world.mask is None else np.where(world.mask, x, 0.0)
        spread[name] = float(np.sqrt((x**2 * _area(world)).sum((-2, -1)).mean()))
        index = (x * box).sum((-3, -2, -1))
        memory = [(index[:, :-lag] * index[:, lag:]).mean() / (index**2).mean() for lag in lags]
        sizes = [spread[name], float(np.sqrt((index**2).mean()))]
        rows.append([name, *numbers(sizes, ".3f"), *numbers(memory, ".2f")])
    return [
        f"Of each part's variance by area, the share that the {modes} EOFs of the training part hold, added up.",
        grid(
            ["EOFs", *WORLD_SPLITS],
            [[Cell("{}", k + 1), *numbers((s[k] for s in shares.values()), ".3f")] for k in range(modes)],
        ),
        f"Root mean squared error of the Niño 3.4 index (mean anomaly of 5°S to 5°N, 170°W to 120°W), °C, by lead in "
        f"{world.time_unit}; {len(starts(world, 'test', world.horizon)[0])} starts of the test part, mean of "
        f"{INDEX_MEMBERS} members, {METHOD}, {NFE} calls a frame.",
        grid(
            ["forecast", *(str(k + 1) for k in range(world.horizon))],
            [[name, *numbers(e, ".3f")] for name, e in errors.items()],
        ),
        f"Free runs: {len(run)} of {frames:,} {world.time_unit} that start in the training part (the test part is too "
        "short for them): root mean squared anomaly of the map and of the index, °C, and autocorrelation of the index "
        f"by lag in {world.time_unit}.",
        grid(["series", "map", "Niño 3.4", *map(str, lags)], rows),
        fields_verdict(shares, errors, spread),
    ]


def fields_verdict(shares: dict, errors: dict, spread: dict) -> Verdict:
    """What the patterns lose out of sample, at which leads the index beats every baseline, and the runs' size."""
    others = np.min([e for k, e in errors.items() if k != "this model"], axis=0)
    better = [int(k) + 1 for k in np.flatnonzero(errors["this model"] < others)]
    over = {part: float(spread["this model"] / spread[part]) for part in ("train", "test")}
    return Verdict(
        f"The EOFs hold {shares['train'][-1]:.0%} of the variance that they were fitted on and "
        f"{shares['test'][-1]:.0%} of the test part's. Leads at which the index's error is below those of all "
        f"baselines (without intervals: the starts overlap): {', '.join(map(str, better)) or 'none'}. The mean "
        "anomaly of free runs is "
        f"{over['train']:.2f} times that of the training part and {over['test']:.2f} times that of the test part.",
        {
            "variance_held": {part: float(shares[part][-1]) for part in ("train", "test")}, "better_leads": better,
            "spread_over": over,
        },
    )  # fmt: skip


@part("series", "statistics", 1, "frames", 1000, 16, 100_000, fits=lambda world: not world.in_sample)
def statistics(job: Job) -> Outcome:
    """The world's own long-run statistics."""
    measure = fields_blocks if job.world.mask is not None else WORLD_STATISTICS.get(job.world.name)
    if measure is None:
        return Outcome([f"Not applicable: there are no long-run statistics for {job.world.title}."])
    return Outcome(measure(job.model, job.world, job.count, job.progress))
