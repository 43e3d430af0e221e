"""The parts of an evaluation but fidelity: each asks a Workbench and answers with tables and a verdict.

All seeds, of the scenes too, are held out (from `fidelity.FIRST_SEED`); no class label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from analysis import result_tables, verdicts
from analysis.edit_comparison import compare_edits
from analysis.effects import acting
from analysis.fidelity import FIRST_SEED
from analysis.requests_effects import THIRDS, AttributionRequest, BandLabelsRequest, LinearityRequest
from analysis.spectrum import ORDERS
from analysis.workbench import Workbench
from koopman_core.edm import SIGMA_MIN
from koopman_core.operator import sigma_of_tau

Progress = Callable[[float, str], None] | None
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
        result_tables.bands_table(found),
        _verdict(*(verdicts.bands_verdict(r, order) for order, r in found.items())),
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
            tested += verdicts.readings(by_order[order], sigma, order)
        texts += [
            f"Encoded at sigma {sigma:.3g} and carried to the picture's time: share of the squared latent difference "
            "of thirds by alpha, then of levels.",
            result_tables.attribution_table(by_order["alpha"], "bands"),
            result_tables.attribution_table(by_order["alpha"], "levels"),
        ]
    return "\n\n".join([
        f"Up to {pairs} pairs of scenes a row that differ in one factor, means with 95 % bootstrap intervals; "
        "`everything` (two unrelated scenes) is what a factor is compared with, * = above it, intervals apart.",
        *texts,
        result_tables.readings_table(tested),
        _verdict(verdicts.attribution_verdict(tested)),
    ])  # fmt: skip


def linearity(bench: Workbench, trajectories: int, progress: Progress = None) -> str:
    """How far the evolved E(x_T) is from E(x_t) along the teacher's trajectories, and what DMD finds there."""
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + trajectories))
    r = bench.linearity(LinearityRequest(seeds), progress)
    entries = acting(bench.model)
    texts = [
        f"Relative error of the evolved E(x_T) against E(x_t) on {trajectories} held-out trajectories of the teacher: "
        "learned operator / identity (A = 0) / best alpha and beta of this form on these very trajectories.",
        result_tables.linearity_table(r),
    ]
    if r.differences is not None:
        texts += [
            "The same of what differs between the trajectories, their mean taken off: 1 is no better than that mean. "
            "Last, the share of the latents' energy that they have in common.",
            result_tables.differences_table(r),
        ]
    if r.dmd is None:
        dmd = "Exact DMD is not applicable: this model's time is not evenly sampled by the teacher's grid."
        return "\n\n".join([*texts, dmd, _verdict(verdicts.linearity_verdict(r))])
    return "\n\n".join([
        *texts,
        "The learned spectrum beside exact DMD of each level's latents along (at most 16 of) these trajectories.",
        result_tables.dmd_table(r, entries),
        _verdict(verdicts.linearity_verdict(r), verdicts.dmd_verdict(r, entries)),
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
    traded = verdicts.trades(found, lower | {RATIO: made[0]})
    return "\n\n".join([
        f"{pairs} pairs of held-out seeds, thirds by alpha, ratio {RATIO:.0%}, region {REGION}, the reference encoded "
        f"at the midpoint by adding {ENCODING}; means with 95 % bootstrap intervals, differences paired.",
        result_tables.editing_tables(found, lower),
        "Detail taken over, beside that of the agnostic edit at the smaller ratio that changes the layout as much (on "
        "the line between the ratios above; * = outside of the interval).",
        result_tables.trades_table(traded),
        _verdict(verdicts.editing_verdict(found, traded)),
    ])  # fmt: skip


MEASURED = {"bands": bands, "attribution": attribution, "linearity": linearity, "editing": editing}
