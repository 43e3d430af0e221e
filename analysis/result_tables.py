"""Measured figures as Markdown tables: fidelity, band labels, attribution, linearity, editing.

Pure functions of results; what follows from the numbers is said in `analysis.verdicts`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from analysis.edit_comparison import EditComparison, Interval
from analysis.editing import MEASURES
from analysis.fidelity import Distance, Fidelity
from analysis.probes import EVERYTHING
from analysis.results_effects import AttributionResult, BandLabelsResult, LinearityResult
from koopman_core.model import SpectrumEntry

BANDS = ("smallest", "middle", "largest")  # thirds by rank
ORDER_WORDS = {"alpha": "alpha", "abs": "abs alpha"}  # a bar would end a Markdown cell
OPERATORS = ("learned", "identity", "fitted")
NOT_DEFINED = "n/a"
LEADING = 3  # DMD modes a level


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join([f"| {' | '.join(r)} |" for r in (head, ["---"] * len(head), *rows)])


def span(mean: float, low: float, high: float, form: str = ".3g") -> str:
    """A mean with its interval."""
    return NOT_DEFINED if math.isnan(mean) else f"{mean:{form}} [{low:{form}}, {high:{form}}]"


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
