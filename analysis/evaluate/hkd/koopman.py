"""What `python -m analysis.evaluate hkd` measures part by part: the figures as tables, and what follows from them.

The readings that are tested are the paper's (sections 4.2, 4.3 and D.2 of arXiv 2510.12220); the criteria are ours and
are stated in the sentences or in docs/method.md. Every word in a sentence is computed, none is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np

from analysis.core.progress import Report
from analysis.evaluate.hkd.edit_comparison import EditComparison, compare_edits
from analysis.evaluate.tables.markdown import (
    NOT_DEFINED,
    Block,
    Cell,
    Table,
    Verdict,
    cell,
    grid,
    interval,
    number,
    numbers,
)
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.koopman.editing import MEASURES
from analysis.koopman.effects import acting
from analysis.koopman.linearity import OPERATORS
from analysis.koopman.probes import BLURS, blur_shares
from analysis.koopman.scenes import EVERYTHING, drawn_data
from analysis.koopman.spectrum import BANDS, ORDER_WORDS, ORDERS
from analysis.workbench.findings import attribution_verdict, joined, linearity_verdict, readings
from analysis.workbench.probes import (
    AttributionRequest,
    AttributionResult,
    BandLabelsRequest,
    BandLabelsResult,
    LinearityRequest,
    LinearityResult,
)
from analysis.workbench.spectrum import THIRDS
from foundation.metrics.statistics import Interval
from foundation.randomness import FIRST_SEED
from koopman_core.edm import SIGMA_MIN
from koopman_core.model import SpectrumEntry
from koopman_core.operator import sigma_of_tau

PAPER_ORDER = (0, 1, 2)  # of thirds, coarse to fine (section 4.2)
RELATIONS = {
    "paper": "the paper's order", "reverse": "the reverse of the paper's order", "other": "not the paper's order",
    "open": "which may or may not be the paper's order",
}  # fmt: skip


def _possible_orders(r: BandLabelsResult) -> set[tuple[int, ...]]:
    """Every order that the seeds leave open: neighbours that are not told apart may change places."""
    groups = [[r.coarse_to_fine[0]]]
    for band, apart in zip(r.coarse_to_fine[1:], r.distinct, strict=True):
        if apart:
            groups.append([])
        groups[-1].append(band)
    return {sum(parts, ()) for parts in product(*(permutations(g) for g in groups))}


def bands_verdict(r: BandLabelsResult, order: str) -> Verdict:
    """Which third is coarse, which is fine, and whether that is the paper's order."""
    possible = _possible_orders(r)
    pairs = zip(r.coarse_to_fine[:-1], r.coarse_to_fine[1:], r.distinct, strict=True)
    unsettled = [f"{BANDS[a]} and {BANDS[b]}" for a, b, apart in pairs if not apart]
    if PAPER_ORDER not in possible:
        relation = "reverse" if possible == {PAPER_ORDER[::-1]} else "other"
    else:
        relation = "paper" if len(possible) == 1 else "open"
    chance = f" (not told apart beyond chance: {joined(unsettled)})" if unsettled else ""
    named = [BANDS[b] for b in r.coarse_to_fine]
    return Verdict(
        f"Thirds by {ORDER_WORDS[order]}, coarse to fine: {joined(named)}{chance}; {RELATIONS[relation]} (small = "
        "structure, large = detail).",
        {"order": order, "coarse_to_fine": named, "unsettled": unsettled, "relation": relation},
    )


def dmd_verdict(r: LinearityResult, entries: Sequence[SpectrumEntry]) -> Verdict:
    """Whether a dense operator would ask for rates that were learned."""
    inside = total = 0
    for level, e in zip(r.dmd or (), entries, strict=True):
        rates = leading_rates(level)
        total += len(rates)
        inside += sum(float(e.alpha.min()) <= v.real <= float(e.alpha.max()) for v in rates)
    return Verdict(
        f"Of the {total} leading eigenvalues that exact DMD finds in the encoder's trajectories, {inside} have a real "
        "part within the range of alpha that their level learned.",
        {"leading": total, "inside": inside},
    )


# ---------------------------------------------------------------------------------------------------------------------
# Editing


@dataclass(frozen=True)
class Trade:
    """Detail of an aware edit and of the agnostic one that changes the layout as much.

    Attributes:
        ratio: of that agnostic edit.
        aware: high-pass correlation with the reference.
        agnostic: the same of the agnostic edit, on the line between the two ratios measured next to it; NaN where the
            aware edit changes the layout more than any of them.
        sign: 1 or -1 where the aware edit's interval leaves out `agnostic`, else 0.
    """

    ratio: float
    aware: Interval
    agnostic: float
    sign: int


def trades(found: Mapping[str, EditComparison], lower: Mapping[float, EditComparison]) -> dict[str, Trade]:
    """Every choice of bands against the agnostic edit whose low-pass distance to the original is the same.

    At equal ratio an edit of fewer modes changes less of everything, layout and detail; so would a smaller ratio.

    Args:
        found: by choice of bands.
        lower: by ratio, comparisons whose arm "agnostic" is read, ratio 0 among them.
    """
    ratios = sorted(lower)
    line = {m: [lower[r].arms["agnostic"][m].value for r in ratios] for m in ("low_distance", "high_correlation")}
    out = {}
    for choice, r in found.items():
        at, detail = r.arms["aware"]["low_distance"].value, r.arms["aware"]["high_correlation"]
        ratio, agnostic = (
            float(np.interp(at, line["low_distance"], y, right=np.nan)) for y in (ratios, line["high_correlation"])
        )
        out[choice] = Trade(ratio, detail, agnostic, int(detail.low > agnostic) - int(detail.high < agnostic))
    return out


def editing_verdict(found: Mapping[str, EditComparison], traded: Mapping[str, Trade]) -> Verdict:
    """Does frequency-aware editing keep the layout better, does frequency matter, and which bands are best?"""

    def words(names: Sequence[str]) -> str:
        return "every choice of bands" if len(names) == len(found) else joined(names, "no choice of bands")

    def settled(control: str, measure: str, sign: int) -> list[str]:
        return [c for c, r in found.items() if r.differences[control][measure].sign == sign]

    figures: dict[str, list[str]] = {
        "closer_than_agnostic": settled("agnostic", "low_distance", -1),
        "less_detail_than_agnostic": settled("agnostic", "high_correlation", -1),
        "closer_than_random": settled("random", "low_distance", -1),
        "more_detail_than_random": settled("random", "high_correlation", 1),
        "more_at_equal_layout": [c for c, t in traded.items() if t.sign > 0],
        "less_at_equal_layout": [c for c, t in traded.items() if t.sign < 0],
    }
    closer, less, near, detail, more, fewer = map(words, figures.values())
    better = figures["more_at_equal_layout"]
    best = max(better, key=lambda c: traded[c].aware.value - traded[c].agnostic) if better else None
    return Verdict(
        f"At equal ratio the aware edit stays closer to the original's low-pass layout than the agnostic one for "
        f"{closer}, and takes over less of the reference's detail for {less}. Against as many modes drawn at random it "
        f"stays closer to the layout for {near} and takes over more detail for {detail}. Against the agnostic edit at "
        f"the smaller ratio that changes the layout as much, it takes over more detail for {more} and less for {fewer}."
        + (f" The largest gain is that of **{best}**: the best default." if best else
           " So choosing bands buys nothing beyond chance that a smaller ratio would not: no default follows."),
        figures | {"best": best},
    )  # fmt: skip


LEADING = 3  # DMD modes a level


# ---------------------------------------------------------------------------------------------------------------------
# Bands


def bands_table(found: Mapping[str, BandLabelsResult]) -> Table:
    """Frequency centroid and picture change of thirds, by order of the modes; coarse to fine in each order."""
    rows = []
    for order, r in found.items():
        apart = [*("yes" if d else "no" for d in r.distinct), "-"]
        for band, distinct in zip(r.coarse_to_fine, apart, strict=True):
            centroid = cell("{:.4f} [{:.4f}, {:.4f}]", *(float(v[band]) for v in (r.centroid, r.low, r.high)))
            rows.append([ORDER_WORDS[order], BANDS[band], centroid, number(float(r.change[band]), ".3g"), distinct])
    return grid(
        ["ranked by", "band, coarse to fine", "frequency centroid, cycles a pixel", "picture change, MSE",
         "distinct from the next"], rows,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Attribution


def attribution_table(r: AttributionResult, of: str) -> Table:
    """Shares by factor; a star where the interval lies above the one of two unrelated scenes.

    Args:
        of: "bands" or "levels".
    """
    mean, low, high = (getattr(r, of + end) for end in ("", "_low", "_high"))
    yardstick = high[r.rows.index(EVERYTHING)]
    names = BANDS if of == "bands" else r.names
    rows = []
    for i, factor in enumerate(r.rows):
        marks = np.where(low[i] > yardstick, " *", "")
        ends = zip(mean[i], low[i], high[i], strict=True)
        intervals = [Interval(float(m), float(a), float(b)) for m, a, b in ends]
        cells = [interval(v, ".3f", mark) for v, mark in zip(intervals, marks, strict=True)]
        rows.append([factor, *cells, Cell("{}", int(r.pairs[i]))])
    return grid(["factor", *names, "pairs"], rows)


def blurs_table(data: str, rows: Sequence[str], pairs: int, side: int) -> Table:
    """The same shares for bands of the picture itself, cut by the blurs of the part `nested`."""
    blurs = [b * side for b in BLURS]
    shares = [(row, blur_shares(row, pairs, blurs, side, data, FIRST_SEED)) for row in rows]
    return grid(
        ["factor", "layout", "shape", "detail"],
        [[row, *(interval(Interval(*s), ".3f") for s in found.T.tolist())] for row, found in shares],
    )


def readings_table(tested: Sequence) -> Table:
    """For which factors each `verdicts.Reading` holds."""
    rows = [
        [number(t.sigma, ".3g"), ORDER_WORDS[t.order], " to ".join(("largest", "smallest")[:: 1 if t.reverse else -1]),
         ", ".join(t.held) or "none", ", ".join(t.failed) or "none"]
        for t in tested
    ]  # fmt: skip
    return grid(["sigma", "ranked by", "layout, shape, texture =", "holds for", "does not hold for"], rows)


# ---------------------------------------------------------------------------------------------------------------------
# Linearity


def shown_times(n: int) -> list[int]:
    """A handful of n grid times from near T to eps; T itself has no error."""
    return sorted({round(i * (n - 1) / 5) for i in range(1, 6)} - {0})


def _by_level(r: LinearityResult, errors: Mapping[str, np.ndarray]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table of the operators' errors, (L, n) each, by level and noise level."""
    times = shown_times(len(r.sigma))
    rows = [
        [name, *(cell("{:.3f} / {:.3f} / {:.3f}", *(float(errors[k][level, t]) for k in OPERATORS)) for t in times)]
        for level, name in enumerate(r.names)
    ]
    return ["level: learned / identity / fitted", *(f"sigma {r.sigma[t]:.3g}" for t in times)], rows


def linearity_table(r: LinearityResult) -> Table:
    """Relative errors of the learned, the idle and the best operator, by level and noise level."""
    head, rows = _by_level(r, {name: getattr(r, name) for name in OPERATORS})
    if r.mse is not None:
        times = shown_times(len(r.sigma))
        errors = [[float(r.mse[name][t]) for name in OPERATORS] for t in times]
        rows.append(["pictures, MSE", *(cell("{:.2g} / {:.2g} / {:.2g}", *row) for row in errors)])
    return grid(head, rows)


def differences_table(r: LinearityResult) -> Table:
    """The same of what differs between the trajectories, and the share that does not; several must be there.

    Raises:
        ValueError: one trajectory, which differs from no other.
    """
    if r.differences is None or r.common is None:
        raise ValueError("What differs between trajectories takes two or more.")
    head, rows = _by_level(r, r.differences)
    times = shown_times(len(r.sigma))
    for row, common in zip(rows, r.common, strict=True):
        row.append(number(float(common[times].mean()), ".2f"))
    return grid([*head, "energy in common"], rows)


def leading_rates(level) -> list[complex]:
    """The strongest DMD eigenvalues of a `DMDLevel`, one of each conjugate pair, at most three."""
    rates = [complex(a, b) for a, b in zip(level.alpha, level.beta, strict=True)]
    return [v for v in rates if v.imag >= 0][:LEADING]


def rates_cell(rates: Sequence[complex]) -> str:
    """Eigenvalues, real or one of a conjugate pair."""
    forms = ["{:+.2f} ± {:.2f}i" if v.imag else "{:+.2f}" for v in rates]
    figures = [part for v in rates for part in ((v.real, v.imag) if v.imag else (v.real,))]
    return cell(", ".join(forms), *figures) if rates else NOT_DEFINED


def dmd_table(r: LinearityResult, entries: Sequence[SpectrumEntry]) -> Table:
    """What exact DMD finds in each level's trajectories beside what was learned; `r.dmd` must be there."""
    rows = []
    for name, level, e in zip(r.names, r.dmd or (), entries, strict=True):
        alpha, beta = e.alpha.double().numpy(), np.abs(e.beta.double().numpy())
        inner, outer = np.quantile(alpha, [0.05, 0.95]).tolist(), [float(alpha.min()), float(alpha.max())]
        rows.append([
            name, *(cell("{:+.2f} to {:+.2f}", *ends) for ends in (inner, outer)),
            number(float(np.quantile(beta, 0.95)), ".2f"), rates_cell(leading_rates(level)),
            *numbers([level.captured, level.residual], ".3f"),
        ])  # fmt: skip
    return grid(
        ["level", "learned alpha, 5 to 95 %", "all", "learned abs beta, 95 % below", "leading DMD eigenvalues",
         "energy captured", "one-step residual"], rows,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Editing

MEASURE_WORDS = {
    "outside": "change outside the region, MSE",
    "high_correlation": "high-pass correlation with the reference",
    "low_distance": "low-pass distance to the original, MSE",
}


def editing_tables(found: Mapping[str, EditComparison], lower: Mapping[float, EditComparison]) -> list[Table]:
    """Every arm's measures by choice of bands, the agnostic edit at smaller ratios, then the paired differences."""
    words = [MEASURE_WORDS[m] for m in MEASURES]

    def row(name: str, arm: Mapping[str, Interval]) -> list[str]:
        return [name, *(interval(arm[m], ".3g") for m in MEASURES)]

    arms = [row("all modes (agnostic)", next(iter(found.values())).arms["agnostic"])]
    arms += [row(f"all modes at ratio {ratio:.0%}", lower[ratio].arms["agnostic"]) for ratio in sorted(lower)[::-1]]
    gaps = []
    for choice, r in found.items():
        arms += [row(choice, r.arms["aware"]), row(f"as many as {choice}, at random", r.arms["random"])]
        for control, differences in r.differences.items():
            gaps.append([choice, control, *(interval(differences[m], "+.2g") for m in MEASURES)])
    return [grid(["modes mixed", *words], arms), grid(["aware", "less", *words], gaps)]


def trades_table(traded: Mapping[str, Trade]) -> Table:
    """Detail at equal layout change, by choice of bands."""

    def row(choice: str, t: Trade) -> list[str]:
        if math.isnan(t.agnostic):
            return [choice, interval(t.aware, ".3g"), *[NOT_DEFINED] * 3]
        gain = cell("{:+.2g}" + (" *" if t.sign else ""), t.aware.value - t.agnostic)
        return [choice, interval(t.aware, ".3g"), number(t.ratio, ".0%"), number(t.agnostic, ".3g"), gain]

    head = [
        "modes mixed",
        MEASURE_WORDS["high_correlation"],
        "agnostic ratio of equal low-pass distance",
        "there",
        "gain",
    ]
    return grid(head, [row(choice, t) for choice, t in traded.items()])


MIDPOINT = 0.5  # tau of the edit and of the second attribution
RATIO, REGION, ENCODING = 0.9, "lower-left-triangle", "noise"  # the paper's control has 90 %
LOWER_RATIOS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7)
CHOICES = {
    "smallest": (0,), "middle": (1,), "largest": (2,), "smallest + middle": (0, 1), "middle + largest": (1, 2),
}  # fmt: skip


@part("hkd", "bands", 1, "band-seeds", 64, 2, 64)
def bands(job: Job) -> Outcome:
    """How coarse or fine is what each third of the modes adds to the picture."""
    asked = BandLabelsRequest(tuple(range(FIRST_SEED, FIRST_SEED + job.count)), edges=THIRDS)
    kinds = ("mean", "zero")
    found = {
        kind: {
            order: job.model.band_labels(
                replace(asked, order=order, ablation=kind), job.share(k * len(ORDERS) + i, len(kinds) * len(ORDERS))
            )
            for i, order in enumerate(ORDERS)
        }
        for k, kind in enumerate(kinds)
    }
    return Outcome([
        f"What a third of every level's modes adds to the picture, D(z) - D(z without it), over {job.count} held-out "
        "noises; means with 95 % bootstrap intervals. In place of the band stands its mean over 1,024 noises.",
        bands_table(found["mean"]),
        *(bands_verdict(r, order) for order, r in found["mean"].items()),
        "The same with zero in its place, as published: the decoder meets latents that it never saw.",
        bands_table(found["zero"]),
        *(bands_verdict(r, order) for order, r in found["zero"].items()),
    ])  # fmt: skip


@part("hkd", "attribution", 2, "scenes", 64, 8, 512)
def attribution(job: Job) -> Outcome:
    """Which third and which level sees which factor of the procedural scenes."""
    if drawn_data(job.model.model.card) is None:
        data = job.model.model.card.get("data", {})
        return Outcome([
            "Not applicable: it takes pairs of scenes that differ in one known factor, and only of the procedural "
            f"shapes and portraits are the factors known. This model was trained on "
            f"{data.get('name', 'other pictures')}."
        ])  # fmt: skip
    middle = float(sigma_of_tau(MIDPOINT, job.model.model.koopman.warp))
    blocks: list[Block] = [
        f"Up to {job.count} pairs of scenes a row that differ in one factor, means with 95 % bootstrap intervals; "
        "`everything` (two unrelated scenes) is what a factor is compared with, * = above it, intervals apart."
    ]
    tested = []
    for i, sigma in enumerate((SIGMA_MIN, middle)):
        by_order = {}
        for j, order in enumerate(ORDERS):
            asked = AttributionRequest(job.count, sigma, carried=True, edges=THIRDS, order=order, seed=FIRST_SEED)
            by_order[order] = job.model.attribution(asked, job.share(len(ORDERS) * i + j, 2 * len(ORDERS)))
            tested += readings(by_order[order], sigma, order)
        blocks += [
            f"Encoded at sigma {sigma:.3g} and carried to the picture's time: how far the picture changes when that "
            "third of the modes (by alpha) or that level alone is exchanged for the other scene's, over the change "
            "when all is; squared changes, the decoder is not linear and the rows need not sum to 1.",
            attribution_table(by_order["alpha"], "bands"),
            attribution_table(by_order["alpha"], "levels"),
        ]
    data, side = str(drawn_data(job.model.model.card)), job.model.model.picture_shape[1]
    blocks += [
        "What bands of the picture itself would give, cut by the two blurs of the part `nested`: how much of the same "
        "differences is layout, shape and detail. A model whose smallest, middle and largest band are just these has "
        "these shares.",
        blurs_table(data, by_order["alpha"].rows, job.count, side),
    ]
    held = {f"{t.order}, {t.sigma:.3g}{', reversed' if t.reverse else ''}": len(t.held) for t in tested}
    return Outcome([*blocks, readings_table(tested), Verdict(attribution_verdict(tested), {"factors_held": held})])


@part("hkd", "linearity", 3, "trajectories", 64, 2, 64, teacher=True)
def linearity(job: Job) -> Outcome:
    """How far the evolved E(x_T) is from E(x_t) along the teacher's trajectories, and what DMD finds there."""
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + job.count))
    r = job.model.linearity(LinearityRequest(seeds), job.progress)
    entries = acting(job.model.model)
    blocks: list[Block] = [
        f"Relative error of the evolved E(x_T) against E(x_t) on {job.count} held-out trajectories of the teacher: "
        "learned operator / identity (A = 0) / best alpha and beta of this form on these very trajectories.",
        linearity_table(r),
    ]
    if r.differences is not None:
        blocks += [
            "The same of what differs between the trajectories, their mean taken off: 1 is no better than that mean. "
            "Last, the share of the latents' energy that they have in common.",
            differences_table(r),
        ]
    verdict = Verdict(linearity_verdict(r), {name: level_means(getattr(r, name)) for name in OPERATORS})
    if r.dmd is None:
        dmd = "Exact DMD is not applicable: this model's time is not evenly sampled by the teacher's grid."
        return Outcome([*blocks, dmd, verdict])
    return Outcome([
        *blocks,
        "The learned spectrum beside exact DMD of each level's latents along (at most 16 of) these trajectories.",
        dmd_table(r, entries),
        verdict,
        dmd_verdict(r, entries),
    ])  # fmt: skip


def level_means(errors: np.ndarray) -> list[float]:
    """(L, n) relative errors -> root mean square of each level over the noise levels below T."""
    return [float(v) for v in np.sqrt((errors[:, 1:] ** 2).mean(1))]


def _counted(report: Report, what: str) -> Callable[[int, int], None]:
    """A report of shares as one of (done, all)."""
    return lambda done, n: report(done / n, what)


@part("hkd", "editing", 4, "pairs", 200, 2, 100_000)
def editing(job: Job) -> Outcome:
    """Frequency-aware edits against both controls, by choice of bands."""
    seeds = [(FIRST_SEED + 2 * i, FIRST_SEED + 2 * i + 1) for i in range(job.count)]
    runs = [(name, chosen, RATIO) for name, chosen in CHOICES.items()]
    runs += [(f"all at {ratio:.0%}", tuple(range(len(THIRDS) + 1)), ratio) for ratio in LOWER_RATIOS]
    made = []
    for i, (name, chosen, ratio) in enumerate(runs):
        tell = job.share(i, len(runs))
        made.append(compare_edits(
            job.model.model, seeds, bands=chosen, edges=THIRDS, ratio=ratio, region=REGION, tau=MIDPOINT,
            encoding=ENCODING,
            progress=None if tell is None else _counted(tell, f"edits, {name}"),
        ))  # fmt: skip
    found = dict(zip(CHOICES, made, strict=False))
    lower = dict(zip(LOWER_RATIOS, made[len(CHOICES) :], strict=True))
    traded = trades(found, lower | {RATIO: made[0]})
    return Outcome([
        f"{job.count} pairs of held-out seeds, thirds by alpha, ratio {RATIO:.0%}, region {REGION}, the reference "
        f"encoded at the midpoint by adding {ENCODING}; means with 95 % bootstrap intervals, differences paired.",
        *editing_tables(found, lower),
        "Detail taken over, beside that of the agnostic edit at the smaller ratio that changes the layout as much (on "
        "the line between the ratios above; * = outside of the interval).",
        trades_table(traded),
        editing_verdict(found, traded),
    ])  # fmt: skip
