"""Whether bands of modes are layout, shape and detail: what the first bands alone show, and what a swapped band moves.

Bands are thirds by rank of the model's own alpha, at every level; left-out modes are zero, as in the objective `nested`
(`koopman_core.nested`). Every model is asked against the same two blurs, whether it was trained for them or not: 6 and
2.2 pixels of 64, in proportion to the picture's side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.core.fields import THIRDS
from analysis.core.progress import Progress
from analysis.evaluate.tables.markdown import Table, Verdict, grid, interval, number
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.koopman.ablations import ablate
from analysis.koopman.effects import acting
from analysis.koopman.probes import BLURS
from analysis.koopman.spectrum import BAND_COUNT, BANDS, kept_share, level_masks
from analysis.metrics.image import frequency_centroid
from foundation import noise
from foundation.metrics.statistics import Interval, bootstrap_interval, ratio_interval
from foundation.randomness import FIRST_SEED
from koopman_core.edm import SIGMA_MAX
from koopman_core.model import KoopmanDiffusion
from koopman_core.nested import low_pass

NESTED_BATCH = 16
LARGEST_ERROR = 0.02  # of the pictures' variance
LEAST_STEP = 1.8  # of the centroid, from band to band
LARGEST_MOVE = 0.02  # of the layout by the largest band, of what the smallest moves


@dataclass(frozen=True)
class NestedBands:
    """Figures of N noises, one row each, float64.

    Attributes:
        error: (N, 2) MSE of the picture of the first band, and of the first two, to the low-passed whole one.
        variance: of the pictures about their mean, mean over noises and pixels.
        centroid: (N, 3) cycles a pixel of what a band adds to those before it.
        layout, detail: (N, 3) MSE of the low-passed and of the high-passed picture when the next noise's band is
            swapped in.
    """

    error: Tensor
    variance: float
    centroid: Tensor
    layout: Tensor
    detail: Tensor

    @property
    def steps(self) -> tuple[Interval, Interval]:
        """Centroids over those of the band before, paired."""
        first, second = (ratio_interval(self.centroid[:, b + 1], self.centroid[:, b]) for b in range(BAND_COUNT - 1))
        return first, second

    @property
    def move(self) -> Interval:
        """Layout moved by the largest band over that moved by the smallest, paired."""
        return ratio_interval(self.layout[:, -1], self.layout[:, 0])


@torch.inference_mode()
def measure_nested(model: KoopmanDiffusion, seeds: Sequence[int], progress: Progress = None) -> NestedBands:
    """What thirds of the modes show alone and move when swapped, at eps, without a class.

    Args:
        model: the model.
        seeds: of the noises, two or more; every picture takes the swapped band from the next, the last from the first.
        progress: called with (share done, what) after every batch; may raise to stop.
    """
    entries = acting(model)
    masks = [level_masks(entries, level, THIRDS) for level in range(len(entries))]
    side = model.picture_shape[-1]

    def kept(*bands: int) -> list[Tensor]:
        return [kept_share(m, [float(b in bands) for b in range(BAND_COUNT)]) for m in masks]

    def latents(some: Sequence[int]) -> list[Tensor]:
        return model.evolve(model.encode(SIGMA_MAX * noise(some, model.picture_shape), SIGMA_MAX), 1.0, 0.0)

    def blurred(x: Tensor, share: float) -> Tensor:
        return low_pass(x, torch.full((len(x),), side * share))

    def apart(x: Tensor, y: Tensor) -> Tensor:
        return (x - y).double().square().mean((1, 2, 3))

    wholes, rows = [], []
    for low in range(0, len(seeds), NESTED_BATCH):
        some = seeds[low : low + NESTED_BATCH]
        z = latents(some)
        after = latents([seeds[(low + i + 1) % len(seeds)] for i in range(len(some))])
        whole = model.decode(z).clamp(-1, 1)
        parts = [model.decode(ablate(z, kept(*range(n)), "zero")).clamp(-1, 1) for n in range(1, BAND_COUNT)]
        added = [b - a for a, b in zip([torch.zeros_like(whole), *parts], [*parts, whole], strict=True)]
        swapped = [
            model.decode(ablate(z, kept(*(o for o in range(BAND_COUNT) if o != b)), "resample", after)).clamp(-1, 1)
            for b in range(BAND_COUNT)
        ]
        layouts, details = [], []
        for x in swapped:
            layouts.append(apart(blurred(x, BLURS[0]), blurred(whole, BLURS[0])))
            details.append(apart(x - blurred(x, BLURS[1]), whole - blurred(whole, BLURS[1])))
        errors = [apart(x, blurred(whole, blur)) for x, blur in zip(parts, BLURS, strict=True)]
        rows.append(torch.stack([*errors, *map(frequency_centroid, added), *layouts, *details], 1))
        wholes.append(whole)
        if progress is not None:
            progress((low + len(some)) / len(seeds), "pictures of single bands")
    table, pictures = torch.cat(rows), torch.cat(wholes).double()
    error, centroid, layout, detail = table.split([BAND_COUNT - 1, BAND_COUNT, BAND_COUNT, BAND_COUNT], 1)
    return NestedBands(error, float(pictures.var(0, correction=0).mean()), centroid, layout, detail)


def nested_table(found: NestedBands) -> Table:
    """A row a band: what it shows, how fine that is, what it moves."""
    errors = [bootstrap_interval(column).scaled(1 / found.variance) for column in found.error.T]
    rows = [
        [
            name, interval(errors[b], ".4f") if b < len(errors) else number(0.0, ".4f"),
            *(interval(bootstrap_interval(values[:, b]), form)
              for values, form in ((found.centroid, ".4f"), (found.layout, ".2e"), (found.detail, ".2e"))),
        ]
        for b, name in enumerate(BANDS)
    ]  # fmt: skip
    head = [
        "band", "up to here, to the low-passed whole: MSE over the variance",
        "centroid of what it adds, cycles a pixel", "swapped: layout moved, MSE", "detail moved, MSE",
    ]  # fmt: skip
    return grid(head, rows)


def nested_verdict(found: NestedBands) -> Verdict:
    """Whether the bands are layout, shape and detail by three bounds; which of them fail."""
    shares = [float(v) for v in found.error.mean(0) / found.variance]
    steps, move = found.steps, found.move
    fails = [
        words
        for words, failed in (
            (f"the first bands alone miss the low-passed picture by up to {max(shares):.2%} of the variance "
             f"(bound {LARGEST_ERROR:.0%})", max(shares) > LARGEST_ERROR),
            (f"the centroid rises by only {min(s.value for s in steps):.2f} times at a step (bound {LEAST_STEP:g})",
             min(s.value for s in steps) < LEAST_STEP),
            (f"the largest band moves the layout by {move.value:.1%} of what the smallest moves "
             f"(bound {LARGEST_MOVE:.0%})", not move.value <= LARGEST_MOVE),
        )
        if failed
    ]  # fmt: skip
    figures = {
        "shares": shares, "steps": [s.value for s in steps], "move": move.value, "nested": not fails,
        "noises": len(found.error),
    }  # fmt: skip
    if not fails:
        return Verdict(
            "The bands are layout, shape and detail: the first alone show the low-passed picture to "
            f"{max(shares):.2%} of the variance, what a band adds is finer by {steps[0].value:.2f} and "
            f"{steps[1].value:.2f} times than what the one before adds, and the largest moves the layout by "
            f"{move.value:.1%} of what the smallest moves.",
            figures,
        )
    return Verdict(f"Not layout, shape and detail by these bounds: {'; '.join(fails)}.", figures)


@part("hkd", "nested", 1, "nested-noises", 64, 4, 10_000)
def nested(job: Job) -> Outcome:
    """What the first thirds of the modes show alone, how fine each is, and what a swapped third moves."""
    found = measure_nested(job.model.model, range(FIRST_SEED, FIRST_SEED + job.count), job.progress)
    return Outcome([
        f"Thirds by rank of alpha at every level, the others zero, over {job.count} held-out noises; means with 95 % "
        f"bootstrap intervals, variance of the pictures {found.variance:.3f}. Low-passed by Gaussians of "
        f"{' and '.join(f'{share * 64:g}' for share in BLURS)} pixels of 64; detail is what the narrower takes away.",
        nested_table(found),
        nested_verdict(found),
    ])  # fmt: skip
