"""Measured figures of series models as Markdown tables, and what follows from them as computed sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from analysis.result_tables import NOT_DEFINED, grid, span
from analysis.series_scores import WITHOUT, ForecastScores, SamplerScores, order
from flow_core.series_metrics import Interval, Scores
from flow_core.world import World

FEW_BLOCKS = 10  # below it block-bootstrap intervals are too narrow, see `Scores.blocks`


def interval(v: Interval | None, form: str = ".4f") -> str:
    """A figure with its interval."""
    return NOT_DEFINED if v is None else span(v.value, v.low, v.high, form)


def verdict(*sentences: str) -> str:
    """One bullet a sentence."""
    return "\n".join(f"- **Verdict.** {s}" for s in sentences)


def unit(world: World) -> str:
    """What the figures are in."""
    return "radians" if world.geometry == "torus" else "standard deviations of the training part"


def sign(v: Interval) -> int:
    """1 or -1 where the interval leaves out 0, else 0."""
    return int(v.low > 0) - int(v.high < 0)


def runs(numbers: Sequence[int]) -> str:
    """Leads as ranges: 1, 2, 3, 7 gives "leads 1-3, 7"."""
    parts: list[list[int]] = []
    for n in numbers:
        if parts and n == parts[-1][1] + 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return "leads " + ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts) if parts else "no lead"


# ---------------------------------------------------------------------------------------------------------------------
# Forecasts


def shown_leads(horizon: int) -> list[int]:
    """About six leads from the first to the last, counted from 1."""
    return sorted({round(1 + i * (horizon - 1) / 5) for i in range(6)})


def forecast_text(f: ForecastScores, world: World, nfe: int, method: str) -> str:
    """Scores beside the baselines, over all leads and by lead, with the verdict."""
    first: Scores = next(iter(f.rows.values()))
    horizon = len(f.lead_difference)
    leads = shown_leads(horizon)
    table = [
        [name, *map(interval, (s.crps, s.crps_fair, s.mse)), interval(s.ssr, ".3f"),
         interval(f.differences[name], "+.4f") if name in f.differences else "-"]
        for name, s in f.rows.items()
    ]  # fmt: skip
    by_lead = [[name, *(f"{v[k - 1]:.4f}" for k in leads)] for name, v in f.by_lead.items()]
    gaps = [span(*f.lead_difference[k - 1], "+.4f") for k in leads]
    head = ["all leads", "CRPS", "fair CRPS", "MSE of the mean", "spread-skill ratio", "this model less it, fair CRPS"]
    ideal = np.sqrt((f.members - 1) / (f.members + 1))
    return "\n\n".join([
        f"{first.forecasts} forecasts of {horizon} frames ({world.dt:g} {world.time_unit} each) from the test part, "
        f"{f.members} members, {method}, {nfe} network calls a frame; figures in {unit(world)}. Block-bootstrap "
        f"intervals over {f.blocks} blocks of neighbouring starts. The fair CRPS is what infinitely many members would "
        f"score on average; baselines on the line are Gaussian, on the torus ensembles of as many members. A perfect "
        f"ensemble of this size has a spread-skill ratio of {ideal:.3f}.",
        grid(head, table),
        "Fair CRPS by lead, and the paired difference to the baseline to beat.",
        grid(
            ["lead, frames", *map(str, leads)],
            [*by_lead, [f"this model less {f.reference}", *gaps]],
        ),
        verdict(*few_verdict(f.blocks), forecast_verdict(f, world), spread_verdict(first.ssr, ideal)),
    ])  # fmt: skip


def few_verdict(blocks: int) -> tuple[str, ...]:
    """A caution, to be read first, where the test part is too short for its intervals; nothing elsewhere."""
    if blocks >= FEW_BLOCKS:
        return ()
    stretches = "one independent stretch" if blocks == 1 else f"{blocks} independent stretches"
    return (
        f"The starts of the test part make up {stretches}, where a bootstrap needs {FEW_BLOCKS} or more: the intervals "
        "are too narrow, and no difference here is settled, whichever way it points.",
    )


def forecast_verdict(f: ForecastScores, world: World) -> str:
    """Does the model beat the baseline, over all leads and at which of them?"""
    word = {-1: "beats", 0: "is not told apart from", 1: "does not beat"}[sign(f.difference)]
    low, high = f.lead_difference[:, 1], f.lead_difference[:, 2]
    better, worse = (runs([int(k) + 1 for k in np.flatnonzero(m)]) for m in (high < 0, low > 0))
    rest = "; not told apart at the others" if ((low <= 0) & (high >= 0)).any() else ""
    absent = " (the better of the two baselines there; damped persistence is not defined on the torus)"
    rest_of = {k: d for k, d in f.differences.items() if k != f.reference}
    others = [f"{name} ({interval(d, '+.4f')})" for name, d in rest_of.items() if d.high >= 0]
    too = " too" if sign(f.difference) < 0 else ""
    also = f"It does not beat {', '.join(others)}." if others else f"It beats every other baseline{too}."
    relative = f.difference.value / float(np.mean(f.by_lead[f.reference]))
    return (
        f"Over all leads the forecast {word} {f.reference}{absent if world.geometry == 'torus' else ''}: difference in "
        f"fair CRPS {interval(f.difference, '+.4f')}, {relative:+.0%}. Better at {better}; worse at {worse}{rest}. "
        f"{also}"
    )


def spread_verdict(ssr: Interval, ideal: float) -> str:
    """Whether the ensemble says how wrong it is."""
    if ssr.low <= ideal <= ssr.high:
        return f"The spread fits the error: the ratio {interval(ssr, '.3f')} holds the ideal {ideal:.3f}."
    how = "narrow" if ssr.high < ideal else "wide"
    return f"The ensemble is too {how}: spread-skill ratio {interval(ssr, '.3f')}, ideal {ideal:.3f}."


# ---------------------------------------------------------------------------------------------------------------------
# Samplers


def samplers_text(s: SamplerScores) -> str:
    """The table NFE x method with paired differences, the weights that were chosen, and the verdict on momentum."""
    head = ["fair CRPS, by network calls a frame", *map(str, s.nfe)]
    table = [["exact ODE, Euler", *(f"{v:.5f}" for v in s.euler)]]
    table += [[name, *(f"{v:.5f}" for v, _ in row)] for name, row in s.others.items()]
    gaps = [[name, *(interval(d, "+.5f") for _, d in row)] for name, row in s.others.items()]
    chosen = [
        [order(k), *(f"{', '.join(f'{g:g}' for g in v)} ({d})" for v, d in zip(row, s.derivatives[k], strict=True))]
        for k, row in s.gammas.items()
    ]
    return "\n\n".join([
        f"One frame ahead from {s.starts} starts of the test part, the same noise for every method; matched noise has "
        f"gamma1 = 1. Block-bootstrap intervals over {s.blocks} blocks.",
        grid(head, table),
        "Less Euler's at the same number of calls, paired.",
        grid(["difference", *map(str, s.nfe)], gaps),
        "Momentum weights gamma1, gamma2, gamma3 with the lowest score on the validation part, and in brackets the "
        "backward passes a frame, each worth about two calls, which are not in the number of calls.",
        grid(["weights", *map(str, s.nfe)], chosen),
        verdict(*few_verdict(s.blocks), momentum_verdict(s), multistep_verdict(s)),
    ])  # fmt: skip


def _settled(differences: Sequence[Interval], nfes: Sequence[int], which: int) -> list[int]:
    return [n for n, d in zip(nfes, differences, strict=True) if sign(d) == which]


def momentum_verdict(s: SamplerScores) -> str:
    """Whether the published momentum helps at equal network calls; with one call, at t = 0, there is none.

    It helps where it beats both the exact Euler flow and the published drift without momentum: that drift leaves out a
    term of the velocity, which is no momentum, and differs from the exact flow by itself.
    """
    from_two = [i for i, n in enumerate(s.nfe) if n > 1]

    def where(held: Callable[[int], bool]) -> str:
        return _calls([s.nfe[i] for i in from_two if held(i)])

    said, helped = [], False
    for k, none in s.over_none.items():
        row = [d for _, d in s.others[order(k)]]
        good = [i for i in from_two if sign(none[i]) < 0 and sign(row[i]) < 0]
        helped |= bool(good)
        gain = f" (largest gain over Euler {max(-row[i].value / s.euler[i] for i in good):.1%})" if good else ""
        said.append(
            f"order {k} beats both controls, the exact Euler flow and the published drift without momentum, at "
            f"{where(lambda i, g=good: i in g)}{gain}, the second alone at "
            f"{where(lambda i, n=none, g=good: sign(n[i]) < 0 and i not in g)}, and is worse than it at "
            f"{where(lambda i, n=none: sign(n[i]) > 0)}"
        )
    head = "Momentum helps at some numbers of calls" if helped else "Momentum does not help"
    plain = [d for _, d in s.others[WITHOUT]]
    above = [f"order {k} is better than order 1 at {where(lambda i, r=r: sign(r[i]) < 0)}" for k, r in s.beyond.items()]
    used = sorted({s.gammas[1][i][0] for i in from_two})
    return (
        f"{head} (paired 95 % intervals, not corrected for their number; weights chosen on validation; from two calls "
        f"up, since the first step is at t = 0, where the momentum vanishes): {'; '.join(said)}. Without momentum the "
        f"published drift is better than the exact Euler flow at {where(lambda i: sign(plain[i]) < 0)} and worse at "
        f"{where(lambda i: sign(plain[i]) > 0)}. Beyond the first order, at the price of derivatives: "
        f"{'; '.join(above)}. The gamma1 chosen (1/2 is none): {', '.join(f'{g:g}' for g in used)}{_spreads(used)}."
    )


def _spreads(used: Sequence[float]) -> str:
    return " (below 1/2 throughout: against the score, which spreads the samples)" if max(used, default=1) < 0.5 else ""


def multistep_verdict(s: SamplerScores) -> str:
    """The multistep, which has no weights to choose, against Euler and the published first order."""
    row = [d for _, d in s.others["multistep"]]
    better, worse = (_calls(_settled(row, s.nfe, w)) for w in (-1, 1))
    over = [_calls(_settled(s.over_multistep, s.nfe, w)) for w in (-1, 1)]
    return (
        f"The multistep, without weights to choose, is better than Euler at {better} and worse at {worse}. The "
        f"published first order is better than the multistep at {over[0]} and worse at {over[1]}."
    )


def _calls(nfes: Sequence[int]) -> str:
    return f"{', '.join(map(str, nfes))} call{'' if list(nfes) == [1] else 's'}" if nfes else "no number of calls"
