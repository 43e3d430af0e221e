"""Long-run statistics of series models by world: what a free run shares with the real series.

Every distance stands beside the same distance between two parts of the real data, which a perfect model would have too.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from analysis.result_tables import NOT_DEFINED, grid
from analysis.series_scores import METHOD, NFE, Progress, paired, starts
from analysis.series_tables import interval, verdict
from flow_core import alanine, lorenz
from flow_core.series_metrics import ensemble_mean, jensen_shannon
from flow_core.series_model import SeriesModel
from flow_core.world import Rollouts, World

FREE_RUNS = 16
LAGS = {"alanine": (1, 5, 20, 50, 100), "sst_sites": (1, 3, 7, 14, 30)}
ONE_STEP_MEMBERS = 20
VALID_HORIZON, VALID_STARTS = 250, 64
TWIN_DISTANCE, TWIN_STEPS, SETTLE = 1e-3, 1000, 100  # the network is float32


def real(world: World, split: str) -> np.ndarray:
    """The series of a split, (runs, T, D) in the unit of the world."""
    parts = [s.values[slice(*s.splits[split])] for s in world.segments if split in s.splits]
    return np.stack(parts).astype(np.float64)


def free_run(model: SeriesModel, world: World, r: Rollouts, frames: int, progress: Progress) -> np.ndarray:
    """Rollouts of single members, (N, frames, D) in the unit of the world."""
    tick = None if progress is None else lambda done, of: progress(done / of, "free runs")
    context = r.context if r.context.shape[2] else None
    made = model.forecast(r.history, context, frames, 1, NFE, METHOD, progress=tick)
    return world.denormalise(made.members[0])


# ---------------------------------------------------------------------------------------------------------------------
# Alanine dipeptide


def alanine_text(model: SeriesModel, world: World, frames: int, progress: Progress = None) -> str:
    """One step ahead, Ramachandran histogram, autocorrelation, transition rates."""
    r, _ = starts(world, "test", 1, 1000)
    made = model.forecast(r.history, None, 1, ONE_STEP_MEMBERS, NFE, METHOD).members
    guesses = {"this model, direction of the ensemble mean": ensemble_mean(made, world.period)}
    guesses["persistence"] = r.history[:, -1:]
    one_step = [
        [name, *(f"{v:.2f}" for v in alanine.circular_mae(g, r.truth)),
         *(f"{v:.3f}" for v in alanine.circular_correlation(g, r.truth))] for name, g in guesses.items()
    ]  # fmt: skip

    begin, _ = starts(world, "test", 1, FREE_RUNS)
    run = free_run(model, world, begin, frames, progress)
    series = {"this model": run, "train": real(world, "train"), "test": real(world, "test")}
    shape = {k: alanine.ramachandran(v) for k, v in series.items()}
    distance = {k: jensen_shannon(shape[k], shape["test"]) for k in ("this model", "train")}
    kinetics = {k: alanine.kinetics(alanine.core_states(v), world.dt) for k, v in series.items()}
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    states = alanine.STATES
    rates = [
        [f"{states[i]} to {states[j]}", *(_rate(k.rates[i, j], k.counts[i, j]) for k in kinetics.values())]
        for i, j in pairs
    ]
    shares = [[f"share of {s}", *(f"{k.populations[i]:.3f}" for k in kinetics.values())] for i, s in enumerate(states)]
    lags = [lag for lag in LAGS["alanine"] if lag < frames]
    echo = {k: alanine.autocorrelation(v, max(lags))[lags] for k, v in series.items()}
    echoes = [[f"{name}, {angle}", *(f"{e:.3f}" for e in echo[name][:, i])]
              for name in series for i, angle in enumerate(world.variables)]  # fmt: skip
    return "\n\n".join([
        f"One frame ({world.dt:g} ps) ahead from {len(r)} starts of the held-out tail, {ONE_STEP_MEMBERS} members. "
        "(The paper's table gives MAE 10.3 to 10.5 degrees and CC .93 averaged over the angles of another molecule, "
        "trained and tested on the same frames: not comparable.)",
        grid(["forecast", "MAE phi, degrees", "MAE psi", "CC phi", "CC psi"], one_step),
        f"Free runs: {len(run)} of {frames:,} frames, {METHOD}, {NFE} calls a frame. Ramachandran Jensen-Shannon "
        f"distance to the test part, {alanine.BINS} x {alanine.BINS} bins.",
        grid(["series", "JSD to the test part"], [[k, f"{v:.3f}"] for k, v in distance.items()]),
        "Core-to-core transition rates per nanosecond spent in the first state (counts in brackets), and populations.",
        grid(["", *kinetics], rates + shares),
        "Autocorrelation of (cos, sin) by lag in frames.",
        grid(["series", *map(str, lags)], echoes),
        verdict(alanine_verdict(distance, kinetics, states, pairs)),
    ])  # fmt: skip


def _rate(rate: float, count: int) -> str:
    return f"{rate:.2f} ({count})" if np.isfinite(rate) else NOT_DEFINED


def alanine_verdict(distance: dict, kinetics: dict, states, pairs) -> str:
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
    return (
        f"The Ramachandran histogram of free runs is {near} (Jensen-Shannon distance {mine:.3f} against "
        f"{real_one:.3f}). Of {len(seen)} transition rates with at least 10 events in the training part, "
        f"{len(within)} are met within a factor of 2: {names}."
    )


# ---------------------------------------------------------------------------------------------------------------------
# Lorenz-63


def lorenz_text(model: SeriesModel, world: World, frames: int, progress: Progress = None) -> str:
    """Valid prediction time, marginals, spectrum, largest Lyapunov exponent of the learned map."""
    horizon = min(VALID_HORIZON, len(world.segments[0].values) // 2)
    r, stride = starts(world, "test", horizon, VALID_STARTS)
    one = model.forecast(r.history, None, horizon, 1, NFE, METHOD).members[0]
    still = np.broadcast_to(r.history[:, -1:], one.shape)
    block = -(-horizon // stride)
    unit = np.ones(3)  # normalised values
    guesses = {"this model": one, "persistence": still, "climatology": np.zeros_like(one)}
    times = {k: paired(lorenz.valid_time(v, r.truth, unit, world.dt), block) for k, v in guesses.items()}

    begin, _ = starts(world, "test", 1, FREE_RUNS)
    run = free_run(model, world, begin, frames, progress)
    test, train = real(world, "test"), real(world, "train")
    segment = min(256, frames // 2 * 2, test.shape[1] // 2 * 2)
    spectra = [lorenz.power_spectrum(x, world.dt, segment)[1] for x in (run, train, test)]
    rows = {}
    for name, x, power in (("this model", run, spectra[0]), ("train", train, spectra[1])):
        w1 = lorenz.marginal_distances(x.reshape(-1, 3), test.reshape(-1, 3))
        rows[name] = (w1, lorenz.spectrum_distance(power, spectra[2]))
    table = [[k, *(f"{v:.4f}" for v in w1), *(f"{v:.2f}" for v in db)] for k, (w1, db) in rows.items()]

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
    return "\n\n".join([
        f"Valid prediction time in Lyapunov times (rms error below 0.4 standard deviations), {len(r)} starts of the "
        f"test trajectories, single members.",
        grid(["forecast", "valid prediction time"], [[k, interval(v, ".2f")] for k, v in times.items()]),
        f"Free runs: {len(run)} of {frames:,} frames, {METHOD}, {NFE} calls a frame, against the test trajectories: W1 "
        "of the marginals in standard deviations, log-spectral distance in decibel.",
        grid(["series", *(f"W1 {v}" for v in world.variables), *(f"dB {v}" for v in world.variables)], table),
        f"Largest Lyapunov exponent of the learned map, per time unit, twins that share their noise: "
        f"{interval(exponent, '.3f')} over {len(exponents)} runs; of the system {lorenz.LYAPUNOV}.",
        verdict(lorenz_verdict(times, exponent, rows)),
    ])  # fmt: skip


def lorenz_verdict(times: dict, exponent, rows: dict) -> str:
    """Whether the learned map is chaotic as the system is, and how its long run compares."""
    inside = exponent.low <= lorenz.LYAPUNOV <= exponent.high
    nature = "positive: the map is chaotic" if exponent.low > 0 else "not above 0 with certainty"
    w1, db = ([float(np.max(rows[k][i])) for k in ("this model", "train")] for i in (0, 1))
    ahead = times["this model"].low > times["persistence"].high
    return (
        f"The forecast stays valid for {interval(times['this model'], '.2f')} Lyapunov times, that of persistence for "
        f"{times['persistence'].value:.2f}{'' if ahead else ' (not settled which is longer)'}. "
        f"The exponent is {nature}; its interval {'holds' if inside else 'does not hold'} the system's "
        f"{lorenz.LYAPUNOV}. The largest W1 of a marginal is {w1[0]:.3f} standard deviations, between the training "
        f"and test trajectories {w1[1]:.3f}; the largest log-spectral distance {db[0]:.1f} decibel, and there "
        f"{db[1]:.1f}."
    )


# ---------------------------------------------------------------------------------------------------------------------
# Sites


def sites_text(model: SeriesModel, world: World, frames: int, progress: Progress = None) -> str:
    """Spread and autocorrelation of free runs through the test years."""
    frames = min(frames, len(real(world, "test")[0]) - FREE_RUNS)
    begin, _ = starts(world, "test", frames, FREE_RUNS)
    run = free_run(model, world, begin, frames, progress)
    lags = [lag for lag in LAGS["sst_sites"] if lag < frames]
    rows, spread = [], {}
    for name, x in {"this model": run, "train": real(world, "train"), "test": real(world, "test")}.items():
        d = x - x.mean((0, 1))
        spread[name] = d.std((0, 1))
        for i, site in enumerate(world.variables):
            echo = [(d[:, :-lag, i] * d[:, lag:, i]).mean() / (d[..., i] ** 2).mean() for lag in lags]
            rows.append([f"{name}, {site}", f"{spread[name][i]:.3f}", *(f"{e:.3f}" for e in echo)])
    ratio = spread["this model"] / spread["train"]
    return "\n\n".join([
        f"Free runs: {len(run)} of {frames:,} days from the test part, {METHOD}, {NFE} calls a frame; standard "
        "deviation of the anomaly in °C and autocorrelation by lag in days.",
        grid(["series", "standard deviation", *map(str, lags)], rows),
        verdict(
            f"The spread of free runs is {ratio.min():.2f} to {ratio.max():.2f} times that of the training part, by "
            "site."
        ),
    ])  # fmt: skip


MEASURED: dict[str, Callable[..., str]] = {"alanine": alanine_text, "lorenz": lorenz_text, "sst_sites": sites_text}
