"""Momentum weights: the one search for them on validation noise, and what it says of flows of points and pictures.

Each order keeps the weights of the order below and adds one; no further momentum comes first, so that it wins a tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from analysis.evaluate.tables.markdown import Verdict, cell
from flow_core.samplers import Diverged, SampleResult
from foundation.metrics.statistics import Interval

SEED_ROOM = 2**25  # of noise seeds for validation, then of the test: no seed is in both
EULER, MULTISTEP, HEUN = "exact flow, Euler", "exact flow, multistep", "exact flow, Heun"


def choose(
    score: Callable[[tuple[float, ...]], float],
    orders: Sequence[int],
    first: Sequence[float],
    higher: Sequence[float] = (),
) -> list[tuple[float, ...]]:
    """For each order the weights of the least score on the validation.

    Args:
        score: weights -> mean distance; weights that diverge (`Diverged`) or have no real root (ValueError) count as
            infinitely far.
        orders: 1, or 1 and 2, or 1, 2 and 3.
        first: weights of the first order, that without momentum first.
        higher: of each further order, beside the best of the order below; 0 first.
    """

    def distance(gammas: tuple[float, ...]) -> float:
        try:
            return score(gammas)
        except (Diverged, ValueError):
            return math.inf

    best: tuple[float, ...] = ()
    chosen = []
    for k in orders:
        best = min(((*best, g) for g in (first if k == 1 else higher)), key=distance)
        chosen.append(best)
    return chosen


def counted(result: SampleResult, nfe: int) -> Tensor:
    """Its points; refused if it did not spend what it was asked to."""
    if result.nfe != nfe:
        raise RuntimeError(f"A sampler spent {result.nfe} network calls, not {nfe}.")
    return result.x


@dataclass(frozen=True)
class MomentumRow:
    """One family and order; for each nfe what the validation chose and what the test says of it.

    Attributes:
        family, order: which.
        gammas: weights that the validation chose.
        derivatives: backward passes a sample, counted; each is worth about two calls and none is one.
        mmd2: unbiased squared MMD; of pictures the perceptual distance to the exact flow.
        less_euler: paired difference to the exact Euler flow at equal nfe.
        less_none: to the same family without momentum.
        less_heun: to Heun's method on the exact flow, which is of second order and has no weights to choose.
        blurs: of points, see `Blurred`; () of pictures.
    """

    family: str
    order: int
    gammas: tuple[tuple[float, ...], ...]
    derivatives: tuple[int, ...]
    mmd2: tuple[Interval, ...]
    less_euler: tuple[Interval, ...]
    less_none: tuple[Interval, ...]
    less_heun: tuple[Interval, ...]
    blurs: tuple[Blurred, ...] = ()


@dataclass(frozen=True)
class Blurred:
    """Attributes: spread, beyond = means over seeds of `flow_core.densities.distances.Blur`, with intervals."""

    spread: Interval
    beyond: Interval


@dataclass(frozen=True)
class Momentum:
    """What momentum does to the distance from data.

    Attributes:
        density: its name.
        nfe: network calls, counted.
        euler, multistep, heun: the same of the exact flow, for each nfe.
        less_multistep: the published drift of order 1 less the multistep, paired.
        rows: families and orders.
        seeds, validation: units of the test and of the choice.
        blurs: of points, sampler of the exact flow -> for each nfe; {} of pictures.
        data_blur: of data in the place of samples.
    """

    density: str
    nfe: tuple[int, ...]
    euler: tuple[Interval, ...]
    multistep: tuple[Interval, ...]
    heun: tuple[Interval, ...]
    less_multistep: tuple[Interval, ...]
    rows: tuple[MomentumRow, ...]
    seeds: int
    validation: int
    blurs: Mapping[str, tuple[Blurred, ...]] = field(default_factory=dict)
    data_blur: Blurred | None = None


# ---------------------------------------------------------------------------------------------------------------------
# Verdicts


def settled(nfes: Sequence[int], row: Sequence[Interval], sign: int) -> list[int]:
    """The numbers of calls at which an interval leaves out 0 on one side, sign = -1 or 1; or holds it, 0."""
    return [n for n, v in zip(nfes, row, strict=True) if v.sign == sign]


def at_calls(nfes: Sequence[int]) -> str:
    """Numbers of calls in words: "3 and 5 calls", "no number of calls"."""
    if not nfes:
        return "no number of calls"
    *most, last = map(str, nfes)
    return f"{', '.join(most)} and {last} calls" if most else f"{last} call{'s' if last != '1' else ''}"


def weight_cell(gammas: Sequence[float], derivatives: int | None = None) -> str:
    """Weights, and in brackets the backward passes that they take."""
    form = ", ".join(["{:g}"] * len(gammas))
    return cell(form, *gammas) if derivatives is None else cell(form + " ({})", *gammas, derivatives)


def momentum_verdict(m: Momentum, family: str, tried: Sequence[float], prefix: str = "") -> Verdict:
    """Whether a family's momentum helps: better than the family without it, than Euler and than Heun at equal calls.

    Better than the first two alone, it cancels a part of Euler's error, which any method of second order does without
    weights. It hurts where it is worse than either of them: the published drift leaves out a term of the velocity,
    which is no momentum, so that being worse than Euler alone may be the fault of that.

    Args:
        m: what was measured.
        family: of it.
        tried: its first weights.
        prefix: of the sentence.
    """
    orders: dict[int, dict[str, list[int]]] = {}
    for r in (r for r in m.rows if r.family == family):
        rows = list(zip(m.nfe, r.less_euler, r.less_none, r.less_heun, strict=True))
        cancels = [n for n, e, o, h in rows if e.sign < 0 and o.sign < 0 and h.sign >= 0]
        helps = [n for n, e, o, h in rows if e.sign < 0 and o.sign < 0 and h.sign < 0]
        hurts = [n for n, e, o, _ in rows if e.sign > 0 or o.sign > 0]
        open_ = [n for n in m.nfe if n not in {*helps, *cancels, *hurts}]
        orders[r.order] = {"helps": helps, "cancels": cancels, "hurts": hurts, "open": open_}
    helped, hurt = (any(o[which] for o in orders.values()) for which in ("helps", "hurts"))
    cancelled = any(o["cancels"] for o in orders.values())
    neither = "momentum partly cancels Euler's error, as Heun's method does without weights" if cancelled else None
    word = {
        (True, False): "momentum helps", (False, True): neither or "momentum hurts",
        (False, False): neither or "it cannot be told",
        (True, True): "momentum helps at some numbers of calls and hurts at others",
    }[helped, hurt]  # fmt: skip
    used = sorted({g[0] for r in m.rows if r.family == family for g in r.gammas})
    ends = [g for g in used if g == max(tried) or (g == min(tried) and g < 0)]
    edges = ", ".join(f"{g:g}" for g in ends)
    said = "; ".join(
        f"order {k} helps at {at_calls(o['helps'])}, only cancels a part of Euler's error at {at_calls(o['cancels'])}, "
        f"hurts at {at_calls(o['hurts'])}, cannot be told at {at_calls(o['open'])}"
        for k, o in orders.items()
    )
    return Verdict(
        f"{prefix}{family.capitalize()}: {word} (helps = better than the same drift without momentum and than Euler "
        f"and Heun on the exact flow at equal calls, hurts = worse than the first or Euler, by paired 95 % intervals "
        f"not corrected for their number): {said}. The gamma1 chosen: {', '.join(f'{g:g}' for g in used)}"
        f"{f' (at the end of those tried, so that the best may lie beyond: {edges})' if ends else ''}.",
        {
            "family": family, "orders": {str(k): o for k, o in orders.items()}, "helps": helped, "cancels": cancelled,
            "hurts": hurt,
            "gamma1": used, "at_the_end": ends,
        },
    )  # fmt: skip


def multistep_verdict(m: Momentum, prefix: str = "") -> Verdict:
    """The published first order against the multistep, which has no weights to choose and costs as many calls."""
    better, worse = (settled(m.nfe, m.less_multistep, sign) for sign in (-1, 1))
    return Verdict(
        f"{prefix}The published first order is better than the multistep at {at_calls(better)} and worse at "
        f"{at_calls(worse)}.",
        {"better": better, "worse": worse},
    )


def families(rows: Sequence[MomentumRow]) -> Mapping[str, None]:
    """Names of the families, each once, in order."""
    return dict.fromkeys(r.family for r in rows)
