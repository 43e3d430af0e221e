"""Detail gained against layout moved, for bands and edit times, with an agnostic and random controls; and the default.

Each arm mixes a set of modes at several ratios. Along an arm both measures of an edit grow: the high-pass correlation
with the reference inside the region (detail), and the low-pass distance to the original (layout). At equal layout an
arm is compared with mixing all modes, on the line between its measured ratios (docs/method.md, "Editing").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.core.fields import THIRDS
from analysis.core.progress import Progress
from analysis.evaluate.hkd.edit_comparison import EDIT_BATCH, shuffled
from analysis.evaluate.hkd.koopman import CHOICES, ENCODING, REGION
from analysis.evaluate.tables.markdown import Table, Verdict, grid, interval
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.koopman import editing
from foundation import noise
from foundation.metrics.statistics import CONFIDENCE, Interval, resampled_means
from foundation.randomness import FIRST_SEED, derived_seed
from koopman_core.edm import SIGMA_MAX
from koopman_core.model import KoopmanDiffusion

EDIT_TIMES = (0.2, 0.35, 0.5)
RATIOS = (0.2, 0.4, 0.6, 0.75, 0.9)
AGNOSTIC = "all modes"
RANDOM = {"a random third": (1,), "two random thirds": (1, 2)}  # as many modes as these bands, drawn at random


@dataclass(frozen=True)
class EditCurves:
    """Edits of N pairs; T times, A arms, R ratios.

    Attributes:
        times, arms, ratios: of the axes.
        layout, detail: (T, A, R, N) low-pass distance to the original, high-pass correlation with the reference.
    """

    times: tuple[float, ...]
    arms: tuple[str, ...]
    ratios: tuple[float, ...]
    layout: Tensor
    detail: Tensor


@torch.inference_mode()
def measure_curves(
    model: KoopmanDiffusion,
    pairs: Sequence[tuple[int, int]],
    *,
    times: Sequence[float] = EDIT_TIMES,
    ratios: Sequence[float] = RATIOS,
    edges: Sequence[float] = THIRDS,
    region: str = REGION,
    progress: Progress = None,
) -> EditCurves:
    """Edits of pairs (seed, reference seed) without a class, the reference encoded with added noise.

    Args:
        model: the model.
        pairs: of seeds.
        times, ratios: tau of the edit; mixing ratios, rising.
        edges: of the bands that `CHOICES` names.
        region: one of `editing.REGIONS`.
        progress: called with (share done, what) after every batch and time; may raise to stop.
    """
    entries, shape = model.spectrum(), model.picture_shape
    g = editing.region_mask(region, *shape[1:])
    everywhere = editing.mode_weights(entries, g)
    weights = {name: editing.mode_weights(entries, g, bands, edges) for name, bands in CHOICES.items()}
    weights[AGNOSTIC] = everywhere
    for i, (name, bands) in enumerate(RANDOM.items()):
        weights[name] = shuffled(editing.mode_weights(entries, g, bands, edges), everywhere, i)
    table = torch.zeros(len(times), len(weights), len(ratios), len(pairs), 2, dtype=torch.float64)
    done = 0
    for low in range(0, len(pairs), EDIT_BATCH):
        seeds, others = zip(*pairs[low : low + EDIT_BATCH], strict=True)
        part_ = slice(low, low + len(seeds))
        z, path = (
            model.evolve(model.encode(SIGMA_MAX * noise(s, shape), SIGMA_MAX), 1.0, 0.0) for s in (seeds, others)
        )
        original, reference = model.decode(z), model.decode(path).clamp(-1, 1)
        for t, tau in enumerate(times):
            eps = noise([derived_seed(s, 1) for s in others], shape)
            path = editing.noisy_latents(model, reference, tau, eps)
            for a, w in enumerate(weights.values()):
                for r, ratio in enumerate(ratios):
                    edited = model.decode(editing.mix(z, path, w, ratio))
                    found = editing.measure(edited, original, reference, g)
                    table[t, a, r, part_] = found[:, [2, 1]]
            done += len(seeds)
            if progress is not None:
                progress(done / (len(pairs) * len(times)), "edits along the curves")
    return EditCurves(tuple(times), tuple(weights), tuple(ratios), table[..., 0], table[..., 1])


def gain_at_equal_layout(curves: EditCurves, time: int, arm: str, draws: int = 1000, seed: int = 0) -> Interval:
    """Detail of an arm at its largest ratio less that of mixing all modes where it moves the layout as much.

    The agnostic curve starts at (0, its detail at the smallest ratio) and is a line between measured ratios; its
    interval is a bootstrap over pairs of the whole computation. NaN where the arm moves the layout beyond that curve.
    """
    a, b = curves.arms.index(arm), curves.arms.index(AGNOSTIC)
    n = len(curves.ratios)
    columns = torch.cat([
        curves.layout[time, b].T, curves.detail[time, b].T,
        curves.layout[time, a, -1:].T, curves.detail[time, a, -1:].T,
    ], 1).nan_to_num()  # fmt: skip

    def gain(means: np.ndarray) -> float:
        layout, detail = means[:n], means[n : 2 * n]
        order = np.argsort(layout)
        at = np.interp(means[2 * n], layout[order], detail[order], left=detail[order][0], right=np.nan)
        return float(means[2 * n + 1] - at)

    value = gain(columns.mean(0).numpy())
    spread = np.array([gain(m) for m in resampled_means(columns, draws, seed).numpy()])
    tail = (1 - CONFIDENCE) / 2
    finite = spread[np.isfinite(spread)]
    if not np.isfinite(value) or len(finite) < draws / 2:
        return Interval(float("nan"), float("nan"), float("nan"), columns.shape[0])
    low, high = np.quantile(finite, [tail, 1 - tail]).tolist()
    return Interval(value, low, high, columns.shape[0])


@dataclass(frozen=True)
class Choice:
    """The default that follows. Attributes: arm, time; gain there; settled = some gain is beyond chance."""

    arm: str
    time: float
    gain: Interval
    settled: bool


def choose(curves: EditCurves) -> Choice:
    """Bands and time with the largest gain beyond chance; else those with the most detail at the largest ratio."""
    named = [a for a in curves.arms if a in CHOICES]
    found = {(t, a): gain_at_equal_layout(curves, t, a) for t in range(len(curves.times)) for a in named}
    settled = {key: g for key, g in found.items() if g.low > 0}
    if settled:
        key = max(settled, key=lambda k: settled[k].value)
    else:
        key = max(found, key=lambda k: float(curves.detail[k[0], curves.arms.index(k[1]), -1].nanmean()))
    return Choice(key[1], curves.times[key[0]], found[key], bool(settled))


def curves_table(curves: EditCurves) -> Table:
    """A row a time and arm: layout and detail at every ratio, and the gain at equal layout."""
    rows = []
    for t, tau in enumerate(curves.times):
        for a, arm in enumerate(curves.arms):
            points = [
                f"{float(x.nanmean()):.4f} / {float(y.nanmean()):.3f}"
                for x, y in zip(curves.layout[t, a], curves.detail[t, a], strict=True)
            ]
            gain = "-" if arm == AGNOSTIC else interval(_finite(gain_at_equal_layout(curves, t, arm)), "+.3f")
            rows.append([f"{tau:g}", arm, *points, gain])
    return grid(["edit time", "modes mixed", *(f"ratio {r:.0%}" for r in curves.ratios), "gain at equal layout"], rows)


def _finite(v: Interval) -> Interval | None:
    return v if np.isfinite(v.value) else None


def choice_verdict(c: Choice) -> Verdict:
    """The default in words, and what the card keeps."""
    said = (
        f"{c.gain.value:+.3f} [{c.gain.low:+.3f}, {c.gain.high:+.3f}]" if np.isfinite(c.gain.value) else "not defined"
    )
    text = f"Default of this model: **{c.arm}** at edit time {c.time:g}; gain at equal layout {said}."
    if not c.settled:
        text += " No choice gains anything beyond chance: this one merely carries most detail."
    return Verdict(text, card_figures(c))


def card_figures(c: Choice) -> dict:
    """For the model's card, as `analysis.workbench.defaults.edit_defaults` reads it."""
    gain = [c.gain.value, c.gain.low, c.gain.high] if np.isfinite(c.gain.value) else None
    return {
        "bands": list(CHOICES[c.arm]), "edges": list(THIRDS), "order": "alpha", "tau": c.time, "gain": gain,
        "settled": c.settled,
    }  # fmt: skip


@part("hkd", "edit-choice", 8, "curve-pairs", 100, 2, 100_000, on_request=True)
def edit_choice(job: Job) -> Outcome:
    """Curves of detail against layout, and the default bands and time."""
    pairs = [(FIRST_SEED + 2 * i, FIRST_SEED + 2 * i + 1) for i in range(job.count)]
    curves = measure_curves(job.model.model, pairs, progress=job.progress)
    chosen = choose(curves)
    return Outcome([
        f"{job.count} pairs of held-out seeds, thirds by alpha, region {REGION}, the reference encoded by adding "
        f"{ENCODING}. Cells: layout moved (low-pass distance to the original, MSE) / detail (high-pass correlation "
        f"with the reference). Last: detail at ratio {RATIOS[-1]:.0%} less that of mixing all modes where they move "
        "the layout as much, with the 95 % bootstrap interval over pairs.",
        curves_table(curves),
        choice_verdict(chosen),
    ], card_figures(chosen))  # fmt: skip
