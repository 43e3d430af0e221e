"""What `python -m analysis.evaluate hkd` measures part by part: the figures as tables, and what follows from them.

The readings that are tested are the paper's (sections 4.2, 4.3 and D.2 of arXiv 2510.12220); the criteria are ours and
are stated in the sentences or in docs/method.md. Every word in a sentence is computed, none is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product

import numpy as np

from analysis.core.progress import Progress
from analysis.evaluate.edit_comparison import EditComparison, compare_edits
from analysis.evaluate.fidelity import Distance, Fidelity
from analysis.evaluate.markdown import NOT_DEFINED, grid, span
from analysis.koopman.editing import MEASURES
from analysis.koopman.effects import acting
from analysis.koopman.probes import EVERYTHING
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
from analysis.workbench.workbench import Workbench
from foundation.randomness import FIRST_SEED
from foundation.statistics import Interval
from koopman_core.edm import SIGMA_MIN
from koopman_core.model import SpectrumEntry
from koopman_core.operator import sigma_of_tau

PAPER_ORDER = (0, 1, 2)  # of thirds, coarse to fine (section 4.2)


def _possible_orders(r: BandLabelsResult) -> set[tuple[int, ...]]:
    """Every order that the seeds leave open: neighbours that are not told apart may change places."""
    groups = [[r.coarse_to_fine[0]]]
    for band, apart in zip(r.coarse_to_fine[1:], r.distinct, strict=True):
        if apart:
            groups.append([])
        groups[-1].append(band)
    return {sum(parts, ()) for parts in product(*(permutations(g) for g in groups))}


def bands_verdict(r: BandLabelsResult, order: str) -> str:
    """Which third is coarse, which is fine, and whether that is the paper's order."""
    possible = _possible_orders(r)
    pairs = zip(r.coarse_to_fine[:-1], r.coarse_to_fine[1:], r.distinct, strict=True)
    unsettled = [f"{BANDS[a]} and {BANDS[b]}" for a, b, apart in pairs if not apart]
    if PAPER_ORDER not in possible:
        relation = "the reverse of the paper's order" if possible == {PAPER_ORDER[::-1]} else "not the paper's order"
    else:
        relation = "the paper's order" if len(possible) == 1 else "which may or may not be the paper's order"
    chance = f" (not told apart beyond chance: {joined(unsettled)})" if unsettled else ""
    return (
        f"Thirds by {ORDER_WORDS[order]}, coarse to fine: {joined([BANDS[b] for b in r.coarse_to_fine])}{chance}; "
        f"{relation} (small = structure, large = detail)."
    )


def dmd_verdict(r: LinearityResult, entries: Sequence[SpectrumEntry]) -> str:
    """Whether a dense operator would ask for rates that were learned."""
    inside = total = 0
    for level, e in zip(r.dmd, entries, strict=True):
        rates = leading_rates(level)
        total += len(rates)
        inside += sum(float(e.alpha.min()) <= v.real <= float(e.alpha.max()) for v in rates)
    return (
        f"Of the {total} leading eigenvalues that exact DMD finds in the encoder's trajectories, {inside} have a real "
        "part within the range of alpha that their level learned."
    )


# ---------------------------------------------------------------------------------------------------------------------
# Editing


def _sign(v: Interval) -> int:
    """1 or -1 where the interval leaves out 0, else 0 (so too where nothing is defined)."""
    return int(v.low > 0) - int(v.high < 0)


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
    line = {m: [lower[r].arms["agnostic"][m].mean for r in ratios] for m in ("low_distance", "high_correlation")}
    out = {}
    for choice, r in found.items():
        at, detail = r.arms["aware"]["low_distance"].mean, r.arms["aware"]["high_correlation"]
        ratio, agnostic = (
            float(np.interp(at, line["low_distance"], y, right=np.nan)) for y in (ratios, line["high_correlation"])
        )
        out[choice] = Trade(ratio, detail, agnostic, int(detail.low > agnostic) - int(detail.high < agnostic))
    return out


def editing_verdict(found: Mapping[str, EditComparison], traded: Mapping[str, Trade]) -> str:
    """Does frequency-aware editing keep the layout better, does frequency matter, and which bands are best?"""

    def told(names: Sequence[str]) -> str:
        return "every choice of bands" if len(names) == len(found) else joined(names, "no choice of bands")

    def settled(control: str, measure: str, sign: int) -> str:
        return told([c for c, r in found.items() if _sign(r.differences[control][measure]) == sign])

    more, less = ([c for c, t in traded.items() if t.sign == sign] for sign in (1, -1))
    text = (
        "At equal ratio the aware edit stays closer to the original's low-pass layout than the agnostic one for "
        f"{settled('agnostic', 'low_distance', -1)}, and takes over less of the reference's detail for "
        f"{settled('agnostic', 'high_correlation', -1)}. Against as many modes drawn at random it stays closer to the "
        f"layout for {settled('random', 'low_distance', -1)} and takes over more detail for "
        f"{settled('random', 'high_correlation', 1)}. Against the agnostic edit at the smaller ratio that changes the "
        f"layout as much, it takes over more detail for {told(more)} and less for {told(less)}. "
    )
    if not more:
        return text + "So choosing bands buys nothing beyond chance that a smaller ratio would not: no default follows."
    best = max(more, key=lambda c: traded[c].aware.mean - traded[c].agnostic)
    return text + f"The largest gain is that of **{best}**: the best default."


OPERATORS = ("learned", "identity", "fitted")
LEADING = 3  # DMD modes a level


def _interval(v: Interval, form: str = ".3g") -> str:
    return span(v.mean, v.low, v.high, form)


# ---------------------------------------------------------------------------------------------------------------------
# Fidelity


def _cells(d: Distance) -> list[str]:
    return [NOT_DEFINED if d.lpips is None else f"{d.lpips:.4f}", f"{d.psnr:.2f}", f"{d.mse:.5f}", f"{d.contrast:.3f}"]


def fidelity_tables(f: Fidelity) -> str:
    """Student against teacher, along the path, and a summary of the spectrum."""
    distances = ["LPIPS (Alex, 64 px)", "PSNR, dB", "MSE", "contrast, ratio"]
    return "\n\n".join([
        f"{f.seeds} held-out noises.",
        grid(["against the teacher's 35-call sample", *distances], [
            ["student, one call", *_cells(f.one_step)],
            ["teacher, 19 calls (yardstick)", *_cells(f.yardstick)],
            ["student with A = 0", *_cells(f.zero_operator)],
        ]),
        grid(
            ["Koopman path against the teacher's denoised state, sigma", *distances],
            [[f"{row.sigma:.4g}", *_cells(row.distance)] for row in f.scrub],
        ),
        grid(["level", "latent", "alpha mean", "alpha sd", "max abs alpha", "beta sd", "max abs beta"], [
            [e.name, "x".join(map(str, e.shape)), f"{e.alpha_mean:+.3f}", f"{e.alpha_std:.3f}", f"{e.alpha_max:.2f}",
             f"{e.beta_std:.3f}", f"{e.beta_max:.2f}"] for e in f.spectrum
        ]),
    ])  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Bands


def bands_table(found: Mapping[str, BandLabelsResult]) -> str:
    """Frequency centroid and picture change of thirds, by order of the modes; coarse to fine in each order."""
    rows = []
    for order, r in found.items():
        apart = [*("yes" if d else "no" for d in r.distinct), "-"]
        for band, distinct in zip(r.coarse_to_fine, apart, strict=True):
            centroid = span(r.centroid[band], r.low[band], r.high[band], ".4f")
            rows.append([ORDER_WORDS[order], BANDS[band], centroid, f"{r.change[band]:.3g}", distinct])
    return grid(
        ["ranked by", "band, coarse to fine", "frequency centroid, cycles a pixel", "picture change, MSE",
         "distinct from the next"], rows,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Attribution


def attribution_table(r: AttributionResult, of: str) -> str:
    """Shares by factor; a star where the interval lies above the one of two unrelated scenes.

    Args:
        of: "bands" or "levels".
    """
    mean, low, high = (getattr(r, of + end) for end in ("", "_low", "_high"))
    yardstick = high[r.rows.index(EVERYTHING)]
    names = BANDS if of == "bands" else r.names
    rows = []
    for i, factor in enumerate(r.rows):
        stars = np.where(low[i] > yardstick, " *", "")
        cells = [span(*v, ".3f") + star for *v, star in zip(mean[i], low[i], high[i], stars, strict=True)]
        rows.append([factor, *cells, str(r.pairs[i])])
    return grid(["factor", *names, "pairs"], rows)


def readings_table(tested: Sequence) -> str:
    """For which factors each `verdicts.Reading` holds."""
    rows = [
        [f"{t.sigma:.3g}", ORDER_WORDS[t.order], " to ".join(("largest", "smallest")[:: 1 if t.reverse else -1]),
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
        [name, *(" / ".join(f"{errors[k][level, t]:.3f}" for k in OPERATORS) for t in times)]
        for level, name in enumerate(r.names)
    ]
    return ["level: learned / identity / fitted", *(f"sigma {r.sigma[t]:.3g}" for t in times)], rows


def linearity_table(r: LinearityResult) -> str:
    """Relative errors of the learned, the idle and the best operator, by level and noise level."""
    head, rows = _by_level(r, {name: getattr(r, name) for name in OPERATORS})
    if r.mse is not None:
        times = shown_times(len(r.sigma))
        rows.append(["pictures, MSE", *(" / ".join(f"{r.mse[name][t]:.2g}" for name in OPERATORS) for t in times)])
    return grid(head, rows)


def differences_table(r: LinearityResult) -> str:
    """The same of what differs between the trajectories, and the share that does not; several must be there."""
    head, rows = _by_level(r, r.differences)
    times = shown_times(len(r.sigma))
    for row, common in zip(rows, r.common, strict=True):
        row.append(f"{common[times].mean():.2f}")
    return grid([*head, "energy in common"], rows)


def leading_rates(level) -> list[complex]:
    """The strongest DMD eigenvalues of a `DMDLevel`, one of each conjugate pair, at most three."""
    rates = [complex(a, b) for a, b in zip(level.alpha, level.beta, strict=True)]
    return [v for v in rates if v.imag >= 0][:LEADING]


def dmd_table(r: LinearityResult, entries: Sequence[SpectrumEntry]) -> str:
    """What exact DMD finds in each level's trajectories beside what was learned; `r.dmd` must be there."""
    rows = []
    for name, level, e in zip(r.names, r.dmd, entries, strict=True):
        alpha, beta = e.alpha.double().numpy(), np.abs(e.beta.double().numpy())
        low, high = np.quantile(alpha, [0.05, 0.95])
        found = ", ".join(
            f"{v.real:+.2f} ± {v.imag:.2f}i" if v.imag else f"{v.real:+.2f}" for v in leading_rates(level)
        )
        rows.append([
            name, f"{low:+.2f} to {high:+.2f}", f"{alpha.min():+.2f} to {alpha.max():+.2f}",
            f"{np.quantile(beta, 0.95):.2f}", found, f"{level.captured:.3f}", f"{level.residual:.3f}",
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


def editing_tables(found: Mapping[str, EditComparison], lower: Mapping[float, EditComparison]) -> str:
    """Every arm's measures by choice of bands, the agnostic edit at smaller ratios, then the paired differences."""
    words = [MEASURE_WORDS[m] for m in MEASURES]

    def row(name: str, arm: Mapping[str, Interval]) -> list[str]:
        return [name, *(_interval(arm[m]) for m in MEASURES)]

    arms = [row("all modes (agnostic)", next(iter(found.values())).arms["agnostic"])]
    arms += [row(f"all modes at ratio {ratio:.0%}", lower[ratio].arms["agnostic"]) for ratio in sorted(lower)[::-1]]
    gaps = []
    for choice, r in found.items():
        arms += [row(choice, r.arms["aware"]), row(f"as many as {choice}, at random", r.arms["random"])]
        for control, differences in r.differences.items():
            gaps.append([choice, control, *(_interval(differences[m], "+.2g") for m in MEASURES)])
    return grid(["modes mixed", *words], arms) + "\n\n" + grid(["aware", "less", *words], gaps)


def trades_table(traded: Mapping) -> str:
    """Detail at equal layout change, by choice of bands; see `verdicts.Trade`."""
    rows = [
        [choice, _interval(t.aware), *([NOT_DEFINED] * 3 if math.isnan(t.agnostic) else
         [f"{t.ratio:.0%}", f"{t.agnostic:.3g}", f"{t.aware.mean - t.agnostic:+.2g}{' *' if t.sign else ''}"])]
        for choice, t in traded.items()
    ]  # fmt: skip
    head = [
        "modes mixed",
        MEASURE_WORDS["high_correlation"],
        "agnostic ratio of equal low-pass distance",
        "there",
        "gain",
    ]
    return grid(head, rows)


MIDPOINT = 0.5  # tau of the edit and of the second attribution
RATIO, REGION, ENCODING = 0.9, "lower-left-triangle", "noise"  # the paper's control has 90 %
LOWER_RATIOS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7)
CHOICES = {
    "smallest": (0,), "middle": (1,), "largest": (2,), "smallest + middle": (0, 1), "middle + largest": (1, 2),
}  # fmt: skip


def _share(progress: Progress, done: int, of: int) -> Progress:
    """Progress of one of several equal pieces as progress of the whole."""
    return None if progress is None else lambda share, what: progress((done + share) / of, what)


def _verdict(*sentences: str) -> str:
    return "\n".join(f"- **Verdict.** {s}" for s in sentences)


def bands(bench: Workbench, seeds: int, progress: Progress = None) -> str:
    """How coarse or fine is what each third of the modes adds to the picture."""
    asked = BandLabelsRequest(tuple(range(FIRST_SEED, FIRST_SEED + seeds)), edges=THIRDS)
    found = {
        order: bench.band_labels(replace(asked, order=order), _share(progress, i, len(ORDERS)))
        for i, order in enumerate(ORDERS)
    }
    return "\n\n".join([
        f"What a third of every level's modes adds to the picture, D(z) - D(z without it), over {seeds} held-out "
        "noises; means with 95 % bootstrap intervals.",
        bands_table(found),
        _verdict(*(bands_verdict(r, order) for order, r in found.items())),
    ])  # fmt: skip


def attribution(bench: Workbench, pairs: int, progress: Progress = None) -> str:
    """Which third and which level sees which factor of the procedural scenes."""
    data = bench.model.card.get("data", {})
    if data.get("spec") != "shapes":
        return (
            "Not applicable: it takes pairs of scenes that differ in one known factor, and only of the procedural "
            f"shapes are the factors known. This model was trained on {data.get('name', 'other pictures')}."
        )
    middle = float(sigma_of_tau(MIDPOINT, bench.model.koopman.warp))
    texts, tested = [], []
    for i, sigma in enumerate((SIGMA_MIN, middle)):
        by_order = {}
        for j, order in enumerate(ORDERS):
            asked = AttributionRequest(pairs, sigma, carried=True, edges=THIRDS, order=order, seed=FIRST_SEED)
            by_order[order] = bench.attribution(asked, _share(progress, len(ORDERS) * i + j, 2 * len(ORDERS)))
            tested += readings(by_order[order], sigma, order)
        texts += [
            f"Encoded at sigma {sigma:.3g} and carried to the picture's time: share of the squared latent difference "
            "of thirds by alpha, then of levels.",
            attribution_table(by_order["alpha"], "bands"),
            attribution_table(by_order["alpha"], "levels"),
        ]
    return "\n\n".join([
        f"Up to {pairs} pairs of scenes a row that differ in one factor, means with 95 % bootstrap intervals; "
        "`everything` (two unrelated scenes) is what a factor is compared with, * = above it, intervals apart.",
        *texts,
        readings_table(tested),
        _verdict(attribution_verdict(tested)),
    ])  # fmt: skip


def linearity(bench: Workbench, trajectories: int, progress: Progress = None) -> str:
    """How far the evolved E(x_T) is from E(x_t) along the teacher's trajectories, and what DMD finds there."""
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + trajectories))
    r = bench.linearity(LinearityRequest(seeds), progress)
    entries = acting(bench.model)
    texts = [
        f"Relative error of the evolved E(x_T) against E(x_t) on {trajectories} held-out trajectories of the teacher: "
        "learned operator / identity (A = 0) / best alpha and beta of this form on these very trajectories.",
        linearity_table(r),
    ]
    if r.differences is not None:
        texts += [
            "The same of what differs between the trajectories, their mean taken off: 1 is no better than that mean. "
            "Last, the share of the latents' energy that they have in common.",
            differences_table(r),
        ]
    if r.dmd is None:
        dmd = "Exact DMD is not applicable: this model's time is not evenly sampled by the teacher's grid."
        return "\n\n".join([*texts, dmd, _verdict(linearity_verdict(r))])
    return "\n\n".join([
        *texts,
        "The learned spectrum beside exact DMD of each level's latents along (at most 16 of) these trajectories.",
        dmd_table(r, entries),
        _verdict(linearity_verdict(r), dmd_verdict(r, entries)),
    ])  # fmt: skip


def editing(bench: Workbench, pairs: int, progress: Progress = None) -> str:
    """Frequency-aware edits against both controls, by choice of bands."""
    seeds = [(FIRST_SEED + 2 * i, FIRST_SEED + 2 * i + 1) for i in range(pairs)]
    runs = [(name, chosen, RATIO) for name, chosen in CHOICES.items()]
    runs += [(f"all at {ratio:.0%}", tuple(range(len(THIRDS) + 1)), ratio) for ratio in LOWER_RATIOS]
    made = []
    for i, (name, chosen, ratio) in enumerate(runs):
        part = _share(progress, i, len(runs))
        made.append(compare_edits(
            bench.model, seeds, bands=chosen, edges=THIRDS, ratio=ratio, region=REGION, tau=MIDPOINT, encoding=ENCODING,
            progress=None if part is None else lambda done, n, part=part, name=name: part(done / n, f"edits, {name}"),
        ))  # fmt: skip
    found = dict(zip(CHOICES, made, strict=False))
    lower = dict(zip(LOWER_RATIOS, made[len(CHOICES) :], strict=True))
    traded = trades(found, lower | {RATIO: made[0]})
    return "\n\n".join([
        f"{pairs} pairs of held-out seeds, thirds by alpha, ratio {RATIO:.0%}, region {REGION}, the reference encoded "
        f"at the midpoint by adding {ENCODING}; means with 95 % bootstrap intervals, differences paired.",
        editing_tables(found, lower),
        "Detail taken over, beside that of the agnostic edit at the smaller ratio that changes the layout as much (on "
        "the line between the ratios above; * = outside of the interval).",
        trades_table(traded),
        _verdict(editing_verdict(found, traded)),
    ])  # fmt: skip


HKD_PARTS = {"bands": bands, "attribution": attribution, "linearity": linearity, "editing": editing}
