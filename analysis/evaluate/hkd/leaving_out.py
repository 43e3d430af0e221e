"""What the picture loses when a band or a level is left out, by all three ablations, and which levels are idle.

The distance is LPIPS between the full picture and the one without, both of the model itself (ours; docs/method.md,
"Ablation"). A level is idle where neither mean ablation nor holding its operator still (A = 0 there alone) moves LPIPS
by more than `IDLE_BOUND`, the upper ends of both 95 % intervals taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.fields import THIRDS
from analysis.core.progress import Progress
from analysis.evaluate.hkd.fidelity import backbone
from analysis.evaluate.tables.markdown import Table, Verdict, grid, interval
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.koopman.ablations import ABLATIONS, ablate, mean_latents, resampled_latents
from analysis.koopman.effects import acting
from analysis.koopman.spectrum import BANDS, kept_share, level_masks
from foundation import noise
from foundation.metrics.statistics import bootstrap_interval
from foundation.randomness import FIRST_SEED
from koopman_core.edm import SIGMA_MAX
from koopman_core.model import KoopmanDiffusion

IDLE_BOUND = 0.01  # LPIPS: what nobody sees at 32 pixels
LEFT_OUT_BATCH = 16
STILL = "A = 0"


@dataclass(frozen=True)
class LeftOut:
    """Distances to the full picture, one row a noise, float64; N noises, K bands, L levels.

    Attributes:
        names: of the levels.
        bands: by ablation, (N, K).
        levels: by ablation, and under `STILL` with that level's operator held still, (N, L).
    """

    names: tuple[str, ...]
    bands: dict[str, Tensor]
    levels: dict[str, Tensor]

    @property
    def idle(self) -> tuple[str, ...]:
        """Levels that carry nothing by the rule above."""
        ends = [[bootstrap_interval(column).high for column in self.levels[k].T] for k in ("mean", STILL)]
        return tuple(name for name, *high in zip(self.names, *ends, strict=True) if max(high) < IDLE_BOUND)


@torch.inference_mode()
def measure_left_out(
    model: KoopmanDiffusion,
    seeds: Sequence[int],
    distance: Callable[[Tensor, Tensor], Tensor],
    *,
    edges: Sequence[float] = THIRDS,
    order: str = "alpha",
    progress: Progress = None,
) -> LeftOut:
    """Distance of every picture without a band or level to the whole one, at eps, without a class.

    Args:
        model: the model.
        seeds: of the noises.
        distance: of two picture batches in [-1, 1], (m,) numbers.
        edges, order: of the bands.
        progress: called with (share done, what) after every batch; may raise to stop.
    """
    entries = acting(model)
    levels, count = len(entries), len(edges) + 1
    masks = [level_masks(entries, i, edges, order) for i in range(levels)]
    keep: list[list[Tensor]] = [
        [kept_share(m, [float(b != left_out) for b in range(count)]) for m in masks] for left_out in range(count)
    ]
    keep += [[torch.tensor(float(i != left_out)) for i in range(levels)] for left_out in range(levels)]
    mean = model.evolve(mean_latents(model), 1.0, 0.0)
    rows: dict[str, list[Tensor]] = {kind: [] for kind in (*ABLATIONS, STILL)}
    for low in range(0, len(seeds), LEFT_OUT_BATCH):
        some = seeds[low : low + LEFT_OUT_BATCH]
        start = model.encode(SIGMA_MAX * noise(some, model.picture_shape), SIGMA_MAX)
        z = model.evolve(start, 1.0, 0.0)
        whole = model.decode(z).clamp(-1, 1)
        put = {
            "mean": mean, "resample": model.evolve(resampled_latents(model, some), 1.0, 0.0), "zero": None,
        }  # fmt: skip
        for kind, reference in put.items():
            apart = [distance(whole, model.decode(ablate(z, k, kind, reference)).clamp(-1, 1)) for k in keep]
            rows[kind].append(torch.stack(apart, 1).double())
        still = [[s if i == level else e for i, (s, e) in enumerate(zip(start, z, strict=True))]
                 for level in range(levels)]  # fmt: skip
        rows[STILL].append(torch.stack([distance(whole, model.decode(x).clamp(-1, 1)) for x in still], 1).double())
        if progress is not None:
            progress((low + len(some)) / len(seeds), "pictures without a band or a level")
    table = {kind: torch.cat(r) for kind, r in rows.items()}
    return LeftOut(
        tuple(e.name for e in entries),
        {kind: table[kind][:, :count] for kind in ABLATIONS},
        {kind: table[kind][:, count:] for kind in ABLATIONS} | {STILL: table[STILL]},
    )


def left_out_table(names: Sequence[str], by: dict[str, Tensor], what: str) -> Table:
    """Means with 95 % bootstrap intervals over noises, a row a band or level, a column an ablation."""
    columns = {kind: [bootstrap_interval(column) for column in values.T] for kind, values in by.items()}
    return grid([what, *by], [[name, *(interval(c[i]) for c in columns.values())] for i, name in enumerate(names)])


def idle_verdict(found: LeftOut) -> Verdict:
    """Which levels carry nothing, and whether the kinds agree on which band matters most."""
    first = {kind: BANDS[int(v.mean(0).argmax())] for kind, v in found.bands.items()}
    agree = len(set(first.values())) == 1
    return Verdict(
        f"Idle (mean ablation and A = 0 there alone both move LPIPS by less than {IDLE_BOUND:g}): "
        f"{', '.join(found.idle) or 'no level'}. The band whose absence shows most is "
        + (f"the {first['mean']} by every ablation." if agree else
           ", ".join(f"the {band} by {kind}" for kind, band in first.items()) + ": the kinds do not agree."),
        {"idle": list(found.idle), "bound": IDLE_BOUND, "most": first},
    )  # fmt: skip


def card_figures(found: LeftOut) -> dict:
    """For the model's card: mean LPIPS by level, and the idle ones."""

    def means(kind: str) -> dict[str, float]:
        return dict(zip(found.names, found.levels[kind].mean(0).tolist(), strict=True))

    return {
        "noises": len(found.levels[STILL]), "bound": IDLE_BOUND, "idle": list(found.idle), "mean": means("mean"),
        "still": means(STILL),
    }  # fmt: skip


@part("hkd", "leaving-out", 5, "left-out-noises", 64, 2, 10_000, on_request=True)
def leaving_out(job: Job) -> Outcome:
    """LPIPS to the full picture without a band or level, by mean, resample and zero ablation."""
    distance = backbone(job.options.lpips)
    if distance is None:
        raise UserError(
            "The part leaving-out is measured in LPIPS: give --lpips a backbone, or set KOOPMAN_LPIPS.", "lpips"
        )
    found = measure_left_out(
        job.model.model, range(FIRST_SEED, FIRST_SEED + job.count), distance, progress=job.progress
    )
    return Outcome([
        f"LPIPS (Alex, 64 px) between the full picture and the one without a band (thirds by alpha, all levels) or a "
        f"level, {job.count} held-out noises, means with 95 % bootstrap intervals. In place of what is left out: its "
        "mean over 1,024 noises, another picture's, zero. Last, the operator of that level alone held still.",
        left_out_table(BANDS, found.bands, "without the band"),
        left_out_table(found.names, found.levels, "without the level"),
        idle_verdict(found),
    ], card_figures(found))  # fmt: skip
