"""Forecasts of series models beside baselines, and samplers beside each other: the parts of `analysis.evaluate series`.

All starts lie in the test part; the momentum weights are chosen on the validation part. Figures of worlds on the line
are in units of each variable's standard deviation over the training part, those on the torus in radians.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from analysis.core.progress import Progress
from analysis.evaluate.flow.momentum import at_calls, choose, settled, weight_cell
from analysis.evaluate.tables.markdown import Block, Verdict, grid, interval, number, numbers
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.series.loaded import METHOD, MODEL, NFE
from analysis.series.long_run import starts
from flow_core.series.baselines import SIMPLE_BASELINES, GaussianForecast, fit_baseline, strong_baselines, torus_members
from flow_core.series.model import SeriesModel
from flow_core.series.scores import Scores, crps, crps_gaussian, gaussian_scores, scores, weighted_mean
from flow_core.series.world import World
from foundation.metrics.statistics import Interval, bootstrap_interval

BLOCK_FRAMES = {"lorenz": 200, "alanine": 200, "sst": 6, "sst_sites": 60}  # neighbours that are resampled together


@dataclass(frozen=True)
class ForecastScores:
    """How a model's forecasts compare.

    Attributes:
        rows: model and baselines -> scores over all leads.
        by_lead: model and baselines -> (L,) mean fair CRPS.
        reference: the baseline to beat: the strongest by the mean fair CRPS over all leads.
        differences: baselines -> fair CRPS of the model less theirs, paired, over all leads.
        lead_difference: L differences, the same by lead for the reference.
        members: of each ensemble.
        blocks: independent stretches that the starts make up.
    """

    rows: Mapping[str, Scores]
    by_lead: Mapping[str, np.ndarray]
    reference: str
    differences: Mapping[str, Interval]
    lead_difference: tuple[Interval, ...]
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
    return bootstrap_interval(torch.from_numpy(np.ascontiguousarray(difference, np.float64)), block)


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
    for kind in SIMPLE_BASELINES:
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
    for kind, guess in strong_baselines(world, r, members).items():
        if isinstance(guess, GaussianForecast):
            rows[kind] = gaussian_scores(guess.mean, guess.std, r.truth, weights=weights, block=block)
            single[kind] = by_lead(crps_gaussian(guess.mean, guess.std, r.truth), world)
        else:
            rows[kind] = scores(guess, r.truth, period=period, block=block)
            single[kind] = by_lead(crps(guess, r.truth, fair=True, period=period), world)
    reference = min((k for k in single if k != MODEL), key=lambda k: single[k].mean())
    gap = single[MODEL] - single[reference]
    leads = tuple(paired(gap[:, k], block) for k in range(gap.shape[1]))
    overall = {k: paired((single[MODEL] - v).mean(1), block) for k, v in single.items() if k != MODEL}
    return ForecastScores(
        rows, {k: v.mean(0) for k, v in single.items()}, reference, overall,
        leads, members, max(1, len(r) // block),
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Samplers

SHOWN_SERIES_NFE = (1, 2, 3, 5, 10)
SERIES_GAMMAS = (0.5, -100.0, -50.0, -20.0, -5.0, 5.0, 20.0)  # of the first order; 0.5, first in a tie, is no momentum
HIGHER_SERIES_GAMMAS = (0.0, -5.0, -1.0, 1.0, 5.0)  # of the second and third, added to the best of the order below
MOMENTUM_ORDERS = (1, 2, 3)
NO_MOMENTUM = "published, no momentum"
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
        over_heun: order -> for each nfe the paired difference to Heun's method on the exact flow.
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
    over_heun: Mapping[int, tuple[Interval, ...]]
    gammas: Mapping[int, tuple[tuple[float, ...], ...]]
    derivatives: Mapping[int, tuple[int, ...]]
    starts: int
    blocks: int


def measure_samplers(
    model: SeriesModel, world: World, most: int, progress: Progress = None, nfes: tuple[int, ...] = SHOWN_SERIES_NFE
) -> SamplerScores:
    """One frame ahead from the same noise by every method, at equal numbers of counted calls."""
    parts = {split: starts(world, split, 1, most) for split in ("validation", "test")}
    derivatives: dict[int, list[int]] = {k: [] for k in MOMENTUM_ORDERS}

    def score(split: str, nfe: int, method: str, gammas: tuple[float, ...] = ()) -> tuple[np.ndarray, int]:
        r, _ = parts[split]
        made = model.forecast(r.history, r.context, 1, SAMPLER_MEMBERS, nfe, method, gammas=gammas)
        if made.nfe != nfe:
            raise RuntimeError(f"{method} spent {made.nfe} calls, not {nfe}.")
        single = crps(made.members, r.truth, fair=True, period=world.period)
        return weighted_mean(single, world.weights), made.derivatives

    block = block_of(world, parts["test"][1], 1)
    beyond: dict[int, list] = {k: [] for k in MOMENTUM_ORDERS[1:]}
    over_multistep: list[Interval] = []
    over_none: dict[int, list] = {k: [] for k in MOMENTUM_ORDERS}
    over_heun: dict[int, list] = {k: [] for k in MOMENTUM_ORDERS}
    euler: list[float] = []
    chosen: dict[int, list[tuple[float, ...]]] = {k: [] for k in MOMENTUM_ORDERS}
    others: dict[str, list] = {
        name: []
        for name in (ODE_HEUN, ODE_RK4, "multistep", "matched noise", NO_MOMENTUM, *map(order, MOMENTUM_ORDERS))
    }
    for i, nfe in enumerate(nfes):
        plain, _ = score("test", nfe, "euler")
        euler.append(float(plain.mean()))
        rows = {name: score("test", nfe, method)[0] for name, method in ((ODE_HEUN, "heun"), (ODE_RK4, "rk4p"))}
        rows["multistep"] = score("test", nfe, "multistep")[0]
        rows["matched noise"] = score("test", nfe, "matched", (1.0,))[0]
        rows[NO_MOMENTUM] = score("test", nfe, "published", SERIES_GAMMAS[:1])[0]

        def on_validation(gammas: tuple[float, ...], nfe: int = nfe) -> float:
            return float(score("validation", nfe, "published", gammas)[0].mean())

        weights = choose(on_validation, MOMENTUM_ORDERS, SERIES_GAMMAS, HIGHER_SERIES_GAMMAS)
        for k, gammas in zip(MOMENTUM_ORDERS, weights, strict=True):
            rows[order(k)], spent = score("test", nfe, "published", gammas)
            chosen[k].append(gammas)
            derivatives[k].append(spent)
            if progress is not None:
                progress((i + k / len(MOMENTUM_ORDERS)) / len(nfes), "samplers")
        over_multistep.append(paired(rows[order(1)] - rows["multistep"], block))
        for k in MOMENTUM_ORDERS:
            over_none[k].append(paired(rows[order(k)] - rows[NO_MOMENTUM], block))
            over_heun[k].append(paired(rows[order(k)] - rows[ODE_HEUN], block))
        for k in MOMENTUM_ORDERS[1:]:
            beyond[k].append(paired(rows[order(k)] - rows[order(1)], block))
        for name, values in rows.items():
            others[name].append((float(values.mean()), paired(values - plain, block)))
    n = len(parts["test"][0])

    def frozen(lists: Mapping) -> dict:
        return {k: tuple(v) for k, v in lists.items()}

    return SamplerScores(
        tuple(nfes), tuple(euler), frozen(others), frozen(over_none), frozen(beyond), tuple(over_multistep),
        frozen(over_heun),
        frozen(chosen), frozen(derivatives), n, max(1, n // block),
    )  # fmt: skip


ODE_HEUN, ODE_RK4 = "exact ODE, Heun", "exact ODE, RK4 with steps in proportion to their calls"
FEW_BLOCKS = 10  # below it block-bootstrap intervals are too narrow, see `Scores.blocks`


def unit(world: World) -> str:
    """What the figures are in."""
    return "radians" if world.geometry == "torus" else "standard deviations of the training part"


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


def forecast_blocks(f: ForecastScores, world: World) -> list[Block]:
    """Scores beside the baselines, over all leads and by lead, with the verdict."""
    first: Scores = next(iter(f.rows.values()))
    horizon = len(f.lead_difference)
    leads = shown_leads(horizon)
    table = [
        [name, *map(interval, (s.crps, s.crps_fair, s.mse, s.mse_fair)), interval(s.ssr, ".3f"),
         interval(f.differences[name], "+.4f") if name in f.differences else "-"]
        for name, s in f.rows.items()
    ]  # fmt: skip
    rows = [[name, *numbers((v[k - 1] for k in leads), ".4f")] for name, v in f.by_lead.items()]
    gaps = [interval(f.lead_difference[k - 1], "+.4f") for k in leads]
    head = ["all leads", "CRPS", "fair CRPS", "MSE of the mean", "MSE without the mean's own noise"]
    head += ["spread-skill ratio", "this model less it, fair CRPS"]
    ideal = math.sqrt((f.members - 1) / (f.members + 1))
    return [
        f"{first.forecasts} forecasts of {horizon} frames ({world.dt:g} {world.time_unit} each) from the test part, "
        f"{f.members} members, {METHOD}, {NFE} network calls a frame; figures in {unit(world)}. Block-bootstrap "
        f"intervals over {f.blocks} blocks of neighbouring starts. The fair CRPS is what infinitely many members would "
        f"score on average; baselines on the line are Gaussian, on the torus ensembles of as many members. A perfect "
        f"ensemble of this size has a spread-skill ratio of {ideal:.3f}.",
        grid(head, table),
        "Fair CRPS by lead, and the paired difference to the baseline to beat.",
        grid(
            ["lead, frames", *map(str, leads)],
            [*rows, [f"this model less {f.reference}", *gaps]],
        ),
        *few_verdict(f.blocks),
        forecast_verdict(f, world),
        spread_verdict(first.ssr, ideal),
    ]


def few_verdict(blocks: int) -> tuple[Verdict, ...]:
    """A caution, to be read first, where the test part is too short for its intervals; nothing elsewhere."""
    if blocks >= FEW_BLOCKS:
        return ()
    stretches = "one independent stretch" if blocks == 1 else f"{blocks} independent stretches"
    caution = Verdict(
        f"The starts of the test part make up {stretches}, where a bootstrap needs {FEW_BLOCKS} or more: the intervals "
        "are too narrow, and no difference here is settled, whichever way it points.",
        {"stretches": blocks, "needed": FEW_BLOCKS},
    )
    return (caution,)


def forecast_verdict(f: ForecastScores, world: World) -> Verdict:
    """Does the model beat the baseline, over all leads and at which of them?"""
    sign = f.difference.sign
    word = {-1: "beats", 0: "is not told apart from", 1: "does not beat"}[sign]
    better, worse, open_ = ([k + 1 for k, d in enumerate(f.lead_difference) if d.sign == which] for which in (-1, 1, 0))
    rest = "; not told apart at the others" if open_ else ""
    which_one = " (the strongest baseline there is on the torus)" if world.geometry == "torus" else " (the strongest)"
    unbeaten = {k: d for k, d in f.differences.items() if k != f.reference and d.high >= 0}
    others = ", ".join(f"{name} ({interval(d, '+.4f')})" for name, d in unbeaten.items())
    too = " too" if sign < 0 else ""
    also = f"It does not beat {others}." if unbeaten else f"It beats every other baseline{too}."
    relative = f.difference.value / float(np.mean(f.by_lead[f.reference]))
    return Verdict(
        f"Over all leads the forecast {word} {f.reference}{which_one}: difference in "
        f"fair CRPS {interval(f.difference, '+.4f')}, {relative:+.0%}. Better at {runs(better)}; worse at {runs(worse)}"
        f"{rest}. {also}",
        {
            "reference": f.reference, "sign": sign, "difference": f.difference.value, "relative": relative,
            "better": better, "worse": worse, "open": open_, "unbeaten": list(unbeaten),
        },
    )  # fmt: skip


def spread_verdict(ssr: Interval, ideal: float) -> Verdict:
    """Whether the ensemble says how wrong it is: figures["sign"] is -1 where it is too narrow, 1 where too wide."""
    sign = int(ssr.low > ideal) - int(ssr.high < ideal)
    figures = {"sign": sign, "ratio": ssr.value, "ideal": ideal}
    if not sign:
        text = f"The spread fits the error: the ratio {interval(ssr, '.3f')} holds the ideal {ideal:.3f}."
        return Verdict(text, figures)
    how = "narrow" if sign < 0 else "wide"
    return Verdict(f"The ensemble is too {how}: spread-skill ratio {interval(ssr, '.3f')}, ideal {ideal:.3f}.", figures)


@part("series", "forecast", 0, "members", 20, 2, 200, fits=lambda world: not world.in_sample)
def forecast(job: Job) -> Outcome:
    """Forecasts beside the baselines; their figures are for the card."""
    f = measure_forecast(job.model, job.world, job.count, job.progress)
    figures: dict = {
        name: {
            "crps_fair": s.crps_fair and s.crps_fair.value,
            "mse": s.mse.value,
            "mse_fair": s.mse_fair and s.mse_fair.value,
            "spread_skill": s.ssr.value,
        }
        for name, s in f.rows.items()
    }
    figures["crps_fair_less"] = {
        name: {"value": d.value, "low": d.low, "high": d.high} for name, d in f.differences.items()
    }
    return Outcome(forecast_blocks(f, job.world), figures)


# ---------------------------------------------------------------------------------------------------------------------
# Samplers


def samplers_blocks(s: SamplerScores) -> list[Block]:
    """The table NFE x method with paired differences, the weights that were chosen, and the verdict on momentum."""
    head = ["fair CRPS, by network calls a frame", *map(str, s.nfe)]
    table = [["exact ODE, Euler", *numbers(s.euler, ".5f")]]
    table += [[name, *(number(v, ".5f") for v, _ in row)] for name, row in s.others.items()]
    gaps = [[name, *(interval(d, "+.5f") for _, d in row)] for name, row in s.others.items()]
    weights = [
        [order(k), *(weight_cell(*v) for v in zip(row, s.derivatives[k], strict=True))] for k, row in s.gammas.items()
    ]
    return [
        f"One frame ahead from {s.starts} starts of the test part, the same noise for every method; matched noise has "
        f"gamma1 = 1. Block-bootstrap intervals over {s.blocks} blocks.",
        grid(head, table),
        "Less Euler's at the same number of calls, paired.",
        grid(["difference", *map(str, s.nfe)], gaps),
        "Momentum weights gamma1, gamma2, gamma3 with the lowest score on the validation part, and in brackets the "
        "backward passes a frame, each worth about two calls, which are not in the number of calls.",
        grid(["weights", *map(str, s.nfe)], weights),
        *few_verdict(s.blocks),
        momentum_verdict(s),
        multistep_verdict(s),
    ]


def momentum_verdict(s: SamplerScores) -> Verdict:
    """Whether the published momentum helps at equal network calls; with one call, at t = 0, there is none.

    It helps where it beats the published drift without momentum (which leaves out a term of the velocity, and differs
    from the exact flow by that alone) and the exact flow by Euler and by Heun. Where it beats all but Heun, it cancels
    a part of Euler's error, which a method of second order does without weights.
    """
    from_two = [i for i, n in enumerate(s.nfe) if n > 1]

    def where(*rows: Sequence[Interval], sign: int = -1) -> list[int]:
        """Numbers of calls, from two, at which all rows lie on one side of 0."""
        return [s.nfe[i] for i in from_two if all(row[i].sign == sign for row in rows)]

    orders: dict[str, dict] = {}
    for k, none in s.over_none.items():
        row = [d for _, d in s.others[order(k)]]
        heun = s.over_heun[k]
        both = where(none, row, heun)
        cancels = [n for n in where(none, row) if n not in both]
        alone = [n for n in where(none) if n not in (*both, *cancels)]
        gain = max((-row[i].value / s.euler[i] for i in from_two if s.nfe[i] in both), default=None)
        worse = where(none, sign=1)
        orders[str(k)] = {"all": both, "cancels": cancels, "no_momentum_alone": alone, "worse": worse, "gain": gain}
    plain = [d for _, d in s.others[NO_MOMENTUM]]
    better, worse = where(plain), where(plain, sign=1)
    above = {str(k): where(row) for k, row in s.beyond.items()}
    used = sorted({s.gammas[1][i][0] for i in from_two})

    def claim(k: str, o: dict) -> str:
        gain = f" (largest gain over Euler {o['gain']:.1%})" if o["gain"] is not None else ""
        return (
            f"order {k} beats all controls, the published drift without momentum and the exact flow by Euler and by "
            f"Heun, at {at_calls(o['all'])}{gain}, all but Heun at {at_calls(o['cancels'])}, the first alone at "
            f"{at_calls(o['no_momentum_alone'])}, and is worse than it at {at_calls(o['worse'])}"
        )

    helps = any(o["all"] for o in orders.values())
    cancelled = any(o["cancels"] for o in orders.values())
    partly = "Momentum partly cancels Euler's error, as Heun's method does without weights"
    head = "Momentum helps at some numbers of calls" if helps else partly if cancelled else "Momentum does not help"
    beyond = "; ".join(f"order {k} is better than order 1 at {at_calls(nfes)}" for k, nfes in above.items())
    spreads = max(used, default=1) < 0.5
    against = " (below 1/2 throughout: against the score, which spreads the samples)" if spreads else ""
    return Verdict(
        f"{head} (paired 95 % intervals, not corrected for their number; weights chosen on validation; from two calls "
        "up, since the first step is at t = 0, where the momentum vanishes): "
        f"{'; '.join(claim(*o) for o in orders.items())}. Without momentum the published drift is better than the "
        f"exact Euler flow at {at_calls(better)} and worse at {at_calls(worse)}. Beyond the first order, at the price "
        f"of derivatives: {beyond}. The gamma1 chosen (1/2 is none): {', '.join(f'{g:g}' for g in used)}{against}.",
        {
            "helps": helps, "orders": orders, "without_momentum": {"better": better, "worse": worse},
            "beyond_first": above, "gamma1": used,
        },
    )  # fmt: skip


def multistep_verdict(s: SamplerScores) -> Verdict:
    """The multistep, which has no weights to choose, against Euler and the published first order."""
    row = [d for _, d in s.others["multistep"]]
    better, worse = (settled(s.nfe, row, sign) for sign in (-1, 1))
    first_better, first_worse = (settled(s.nfe, s.over_multistep, sign) for sign in (-1, 1))
    return Verdict(
        f"The multistep, without weights to choose, is better than Euler at {at_calls(better)} and worse at "
        f"{at_calls(worse)}. The published first order is better than the multistep at {at_calls(first_better)} and "
        f"worse at {at_calls(first_worse)}.",
        {"better": better, "worse": worse, "first_better": first_better, "first_worse": first_worse},
    )


@part("series", "samplers", 2, "starts", 200, 2, 5000, fits=lambda world: not world.in_sample)
def samplers(job: Job) -> Outcome:
    """The table NFE x method."""
    return Outcome(samplers_blocks(measure_samplers(job.model, job.world, job.count, job.progress)))
