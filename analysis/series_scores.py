"""Forecasts of series models beside baselines, and samplers beside each other: what `analysis.series_parts` prints.

All starts lie in the test part; the momentum weights are chosen on the validation part. Figures of worlds on the line
are in units of each variable's standard deviation over the training part, those on the torus in radians.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from flow_core.baselines import KINDS, fit_baseline, torus_members
from flow_core.series_metrics import Interval, Scores, crps, crps_gaussian, gaussian_scores, scores, weighted_mean
from flow_core.series_model import SeriesModel
from flow_core.world import Rollouts, World
from foundation.bootstrap import bootstrap

Progress = Callable[[float, str], None] | None
METHOD, NFE = "multistep", 8  # of every forecast but those of the part samplers
STARTS = 200  # of the forecasts, at most about
BLOCK_FRAMES = {"lorenz": 200, "alanine": 200, "sst": 6, "sst_sites": 60}  # neighbours that are resampled together
MODEL = "this model"


@dataclass(frozen=True)
class ForecastScores:
    """How a model's forecasts compare.

    Attributes:
        rows: model and baselines -> scores over all leads.
        by_lead: model and baselines -> (L,) mean fair CRPS.
        reference: the baseline to beat: damped persistence, or on the torus the better of the two that there are.
        differences: baselines -> fair CRPS of the model less theirs, paired, over all leads.
        lead_difference: (L, 3) the same by lead for the reference: value, low, high.
        members: of each ensemble.
        blocks: independent stretches that the starts make up.
    """

    rows: Mapping[str, Scores]
    by_lead: Mapping[str, np.ndarray]
    reference: str
    differences: Mapping[str, Interval]
    lead_difference: np.ndarray
    members: int
    blocks: int

    @property
    def difference(self) -> Interval:
        """To the reference."""
        return self.differences[self.reference]


def order(k: int) -> str:
    """Name of the published sampler with momentum up to order k."""
    return f"published, order {k}"


def block_of(world: World, stride: int, horizon: int) -> int:
    """Starts that are resampled together: at least the horizon, and the memory of the world."""
    return -(-max(horizon, BLOCK_FRAMES.get(world.name, 2 * horizon)) // stride)


def paired(difference: np.ndarray, block: int) -> Interval:
    """Mean of (N,) differences with its block-bootstrap interval."""
    low, high = bootstrap(torch.from_numpy(np.ascontiguousarray(difference, np.float64)), block=block)
    return Interval(float(difference.mean()), float(low), float(high))


def starts(world: World, split: str, horizon: int, most: int | None = None) -> tuple[Rollouts, int]:
    """Rollouts of a split, about `most` (`STARTS`) of them evenly spread, and the frames between two starts."""
    stride = max(1, len(world.rollouts(split, horizon)) // (most or STARTS))
    return world.rollouts(split, horizon, stride), stride


def by_lead(score: np.ndarray, world: World) -> np.ndarray:
    """Scores (N, L, *shape) of every number to those of every lead (N, L), cells by their area."""
    n, leads = score.shape[:2]
    return weighted_mean(score.reshape(n * leads, *score.shape[2:]), world.weights).reshape(n, leads)


def measure_forecast(model: SeriesModel, world: World, members: int, progress: Progress = None) -> ForecastScores:
    """Ensembles over the world's horizon from the test part, beside the baselines."""
    r, stride = starts(world, "test", world.horizon)
    block, period, weights = block_of(world, stride, world.horizon), world.period, world.weights
    tick = None if progress is None else lambda done, of: progress(done / of, "forecasts")
    made = model.forecast(r.history, r.context, world.horizon, members, NFE, METHOD, progress=tick).members
    rows = {MODEL: scores(made, r.truth, weights=weights, period=period, block=block)}
    single = {MODEL: by_lead(crps(made, r.truth, fair=True, period=period), world)}
    for kind in KINDS:
        if world.geometry == "torus":
            if kind == "damped persistence":
                continue
            other = torus_members(world, r, kind, members)
            rows[kind] = scores(other, r.truth, period=period, block=block)
            single[kind] = by_lead(crps(other, r.truth, fair=True, period=period), world)
        else:
            fitted = fit_baseline(world, kind)
            mean = fitted.mean(r.history)
            rows[kind] = gaussian_scores(mean, fitted.std, r.truth, weights=weights, block=block)
            single[kind] = by_lead(crps_gaussian(mean, fitted.std, r.truth), world)
    reference = KINDS[2] if KINDS[2] in single else min(KINDS[:2], key=lambda k: single[k].mean())
    gap = single[MODEL] - single[reference]
    leads = [paired(gap[:, k], block) for k in range(gap.shape[1])]
    overall = {k: paired((single[MODEL] - v).mean(1), block) for k, v in single.items() if k != MODEL}
    return ForecastScores(
        rows, {k: v.mean(0) for k, v in single.items()}, reference, overall,
        np.array([[d.value, d.low, d.high] for d in leads]), members, max(1, len(r) // block),
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Samplers

SHOWN_NFE = (1, 2, 3, 5, 10)
GAMMAS = (0.5, -100.0, -50.0, -20.0, -5.0, 5.0, 20.0)  # of the first order; 0.5, first in a tie, is no momentum
HIGHER_GAMMAS = (0.0, -5.0, -1.0, 1.0, 5.0)  # of the second and third, added to the best of the order below
ORDERS = (1, 2, 3)
WITHOUT = "published, no momentum"
SAMPLER_MEMBERS = 20


@dataclass(frozen=True)
class SamplerScores:
    """Fair CRPS one frame ahead.

    Attributes:
        nfe: network calls a frame.
        euler: one score each.
        others: name -> for each nfe (score, paired difference to Euler at equal nfe).
        over_none: order -> for each nfe the paired difference to the published drift with gamma1 = 1/2, no momentum.
        beyond: order above 1 -> for each nfe the paired difference to order 1.
        over_multistep: for each nfe the paired difference of order 1 to the multistep.
        gammas: order -> for each nfe the weights that the validation part chose.
        derivatives: order -> for each nfe backward passes a frame, counted.
        starts, blocks: of the test part.
    """

    nfe: tuple[int, ...]
    euler: tuple[float, ...]
    others: Mapping[str, tuple[tuple[float, Interval], ...]]
    over_none: Mapping[int, tuple[Interval, ...]]
    beyond: Mapping[int, tuple[Interval, ...]]
    over_multistep: tuple[Interval, ...]
    gammas: Mapping[int, tuple[tuple[float, ...], ...]]
    derivatives: Mapping[int, tuple[int, ...]]
    starts: int
    blocks: int


def measure_samplers(
    model: SeriesModel, world: World, most: int, progress: Progress = None, nfes: tuple[int, ...] = SHOWN_NFE
) -> SamplerScores:
    """One frame ahead from the same noise by every method, at equal numbers of counted calls."""
    parts = {split: starts(world, split, 1, most) for split in ("validation", "test")}
    derivatives = {k: [] for k in ORDERS}

    def score(split: str, nfe: int, method: str, gammas: tuple[float, ...] = ()) -> tuple[np.ndarray, int]:
        r, _ = parts[split]
        made = model.forecast(r.history, r.context, 1, SAMPLER_MEMBERS, nfe, method, gammas=gammas)
        if made.nfe != nfe:
            raise RuntimeError(f"{method} spent {made.nfe} calls, not {nfe}.")
        single = crps(made.members, r.truth, fair=True, period=world.period)
        return weighted_mean(single, world.weights), made.derivatives

    block = block_of(world, parts["test"][1], 1)
    beyond: dict[int, list] = {k: [] for k in ORDERS[1:]}
    over_multistep: list[Interval] = []
    over_none: dict[int, list] = {k: [] for k in ORDERS}
    euler, chosen = [], {k: [] for k in ORDERS}
    others: dict[str, list] = {name: [] for name in ("multistep", "matched noise", WITHOUT, *map(order, ORDERS))}
    for i, nfe in enumerate(nfes):
        plain, _ = score("test", nfe, "euler")
        euler.append(float(plain.mean()))
        rows = {"multistep": score("test", nfe, "multistep")[0]}
        rows["matched noise"] = score("test", nfe, "matched", (1.0,))[0]
        rows[WITHOUT] = score("test", nfe, "published", GAMMAS[:1])[0]
        best: tuple[float, ...] = ()
        for k in ORDERS:
            grid = [(*best, g) for g in (GAMMAS if k == 1 else HIGHER_GAMMAS)]
            best = min(grid, key=lambda g, nfe=nfe: score("validation", nfe, "published", g)[0].mean())
            rows[order(k)], spent = score("test", nfe, "published", best)
            chosen[k].append(best)
            derivatives[k].append(spent)
            if progress is not None:
                progress((i + k / len(ORDERS)) / len(nfes), "samplers")
        over_multistep.append(paired(rows[order(1)] - rows["multistep"], block))
        for k in ORDERS:
            over_none[k].append(paired(rows[order(k)] - rows[WITHOUT], block))
        for k in ORDERS[1:]:
            beyond[k].append(paired(rows[order(k)] - rows[order(1)], block))
        for name, values in rows.items():
            others[name].append((float(values.mean()), paired(values - plain, block)))
    n = len(parts["test"][0])

    def frozen(lists: Mapping) -> dict:
        return {k: tuple(v) for k, v in lists.items()}

    return SamplerScores(
        tuple(nfes), tuple(euler), frozen(others), frozen(over_none), frozen(beyond), tuple(over_multistep),
        frozen(chosen), frozen(derivatives), n, max(1, n // block),
    )  # fmt: skip
