"""Measured figures of flows in the plane as Markdown tables, and what follows from them as computed sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from analysis.flow_scores import (
    ASSIGNED,
    EULER,
    GAMMAS,
    MATCHED,
    MULTISTEP,
    PAPERS_GAMMAS,
    POINTS,
    REFERENCE,
    Momentum,
    Quality,
)
from analysis.result_tables import grid
from analysis.series_tables import interval, sign, verdict
from flow_core.series_metrics import Interval

KERNEL = f"kernel exp(-d^2/2), {POINTS:,} points a seed against {REFERENCE:,} data points"


def thousandths(v: Interval, form: str = ".2f") -> str:
    """1000 times a figure with its interval."""
    return interval(Interval(1e3 * v.value, 1e3 * v.low, 1e3 * v.high), form)


def at_calls(nfes: Sequence[int]) -> str:
    """Numbers of calls in words: "3 and 5 calls", "no number of calls"."""
    if not nfes:
        return "no number of calls"
    *most, last = map(str, nfes)
    return f"{', '.join(most)} and {last} calls" if most else f"{last} call{'s' if last != '1' else ''}"


# ---------------------------------------------------------------------------------------------------------------------
# Quality


def quality_text(q: Quality) -> str:
    """Squared MMD and W2 by method and number of calls, with the verdict."""
    head = list(map(str, q.nfe))
    same = [thousandths(q.data_mmd2), *["same"] * (len(q.nfe) - 1)]
    mmd2 = [[name, *map(thousandths, row)] for name, row in q.mmd2.items()]
    gaps = [[name, *(thousandths(v, "+.2f") for v in row)] for name, row in q.less_euler.items()]
    w2 = [[name, *(interval(v, ".3f") for v in row)] for name, row in q.w2.items()]
    floor = [interval(q.data_w2, ".3f"), *["same"] * (len(q.nfe) - 1)]
    return "\n\n".join([
        f"Samples of {q.density} against held-out data, {q.seeds} seeds of noise and data, the same for every method; "
        f"means with 95 % Student intervals over seeds. Squared MMD, unbiased, x 1000 ({KERNEL}).",
        grid(["MMD^2 x 1000, by network calls", *head], [*mmd2, ["data in place of samples", *same]]),
        "Less Euler's at the same number of calls, paired.",
        grid(["difference x 1000", *head], gaps),
        f"2-Wasserstein distance by exact assignment of {ASSIGNED} points, in the units of the points; so few points "
        "are far from each other even where the laws are equal, as the last row says.",
        grid(["W2, by network calls", *head], [*w2, ["data in place of samples", *floor]]),
        verdict(quality_verdict(q)),
    ])  # fmt: skip


def quality_verdict(q: Quality) -> str:
    """Which methods beat Euler at equal calls, and how many calls each needs for what Euler has with the most."""
    said = []
    for name, row in q.less_euler.items():
        better, worse = ([n for n, d in zip(q.nfe, row, strict=True) if sign(d) == w] for w in (-1, 1))
        said.append(f"{name}: better at {at_calls(better)}, worse at {at_calls(worse)}")
    most, goal = q.nfe[-1], q.mmd2[EULER][-1].value
    needed = [
        f"{name} {n if n else f'more than {most}'}"
        for name, n in ((k, calls_for(q, k, goal)) for k in q.mmd2 if k != EULER)
    ]
    theirs = (
        " The weights of the public code are the paper's, chosen there on the test distance, and its stated 5 calls in "
        "the plane are 50 counted ones."
        if q.density in PAPERS_GAMMAS and any("public code" in k for k in q.mmd2)
        else ""
    )
    return (
        f"Against Euler on the exact flow at equal calls (paired 95 % intervals, not corrected for their number): "
        f"{'; '.join(said)}. Of the calls shown, Euler's mean distance with {most} is reached with: "
        f"{', '.join(needed)}. (The paper claims about ten times fewer calls than flow matching.){theirs}"
    )


def calls_for(q: Quality, method: str, goal: float) -> int | None:
    """The fewest calls shown at which a method's mean distance is at most the goal."""
    return next((n for n, v in zip(q.nfe, q.mmd2[method], strict=True) if v.value <= goal), None)


# ---------------------------------------------------------------------------------------------------------------------
# Momentum


def momentum_text(m: Momentum) -> str:
    """Distances, paired differences and the chosen weights by family and order, with the verdicts."""
    head = list(map(str, m.nfe))
    name = lambda r: f"{r.family}, order {r.order}"  # noqa: E731
    table = [[EULER, *map(thousandths, m.euler)], [MULTISTEP, *map(thousandths, m.multistep)]]
    table += [[name(r), *map(thousandths, r.mmd2)] for r in m.rows]
    signed = lambda row: [thousandths(v, "+.2f") for v in row]  # noqa: E731
    gaps = [[f"{name(r)}, less Euler", *signed(r.less_euler)] for r in m.rows]
    gaps += [[f"{name(r)}, less no momentum", *signed(r.less_none)] for r in m.rows if r.family == "published drift"]
    gaps.append([f"published drift, order 1, less {MULTISTEP}", *signed(m.less_multistep)])
    chosen = [
        [name(r), *(f"{', '.join(f'{g:g}' for g in v)} ({d})" for v, d in zip(r.gammas, r.derivatives, strict=True))]
        for r in m.rows
    ]
    return "\n\n".join([
        f"Momentum on {m.density}: weights chosen on {m.validation} validation seeds for every number of calls, "
        f"figures of {m.seeds} test seeds; means with 95 % Student intervals over seeds. Squared MMD, unbiased, x 1000 "
        f"({KERNEL}).",
        grid(["MMD^2 x 1000, by network calls", *head], table),
        "Paired differences at the same number of calls.",
        grid(["difference x 1000", *head], gaps),
        "The chosen weights gamma1, gamma2, gamma3 (1/2 is none; with matched noise 0), and in brackets the backward "
        "passes a sample, each worth about two calls, which are not in the number of calls.",
        grid(["weights", *head], chosen),
        verdict(*(momentum_verdict(m, family) for family in dict.fromkeys(r.family for r in m.rows)),
                multistep_verdict(m)),
    ])  # fmt: skip


def momentum_verdict(m: Momentum, family: str, grids: Mapping[str, Sequence[float]] | None = None) -> str:
    """Whether a family's momentum helps: better than the exact Euler flow and than the family without momentum.

    It hurts where it is worse than either: the published drift leaves out a term of the velocity, which is no
    momentum, so that being worse than Euler alone may be the fault of that.

    Args:
        m: what was measured.
        family: of it.
        grids: family -> first weights that were tried; those of flows in the plane by default.
    """
    said, helped, hurt = [], False, False
    for r in (r for r in m.rows if r.family == family):
        both = list(zip(m.nfe, r.less_euler, r.less_none, strict=True))
        good = [n for n, e, o in both if sign(e) < 0 and sign(o) < 0]
        bad = [n for n, e, o in both if sign(e) > 0 or sign(o) > 0]
        unsettled = [n for n in m.nfe if n not in good and n not in bad]
        helped, hurt = helped or bool(good), hurt or bool(bad)
        said.append(
            f"order {r.order} helps at {at_calls(good)}, hurts at {at_calls(bad)}, cannot be told at "
            f"{at_calls(unsettled)}"
        )
    word = {
        (True, False): "momentum helps", (False, True): "momentum hurts", (False, False): "it cannot be told",
        (True, True): "momentum helps at some numbers of calls and hurts at others",
    }[helped, hurt]  # fmt: skip
    used = sorted({g[0] for r in m.rows if r.family == family for g in r.gammas})
    tried = grids[family] if grids else MATCHED if family == "matched noise" else GAMMAS
    return (
        f"{family.capitalize()}: {word} (helps = better than the exact Euler flow and than the same drift without "
        f"momentum, hurts = worse than either, by paired 95 % intervals not corrected for their number): "
        f"{'; '.join(said)}. The gamma1 chosen: {', '.join(f'{g:g}' for g in used)}{_edges(tried, used)}."
    )


def _edges(tried: Sequence[float], used: Sequence[float]) -> str:
    ends = [f"{g:g}" for g in used if g == max(tried) or (g == min(tried) and g < 0)]
    return f" (at the end of those tried, so that the best may lie beyond: {', '.join(ends)})" if ends else ""


def multistep_verdict(m: Momentum) -> str:
    """The published first order against the multistep, which has no weights to choose and costs as many calls."""
    where: Callable[[int], str] = lambda w: at_calls(  # noqa: E731
        [n for n, d in zip(m.nfe, m.less_multistep, strict=True) if sign(d) == w]
    )
    return f"The published first order is better than the multistep at {where(-1)} and worse at {where(1)}."
