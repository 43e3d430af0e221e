"""What minibatch transport pairs, against the size of the batch: its cost, and the one-call map that it teaches.

The exact plan of a batch is not that of the laws: its cost is higher, and a noise goes to another point in every batch.
A perfect net of OT-CFM says at t = 0 the mean of these, E[x1 | x0]; one Euler call ends there. Here this mean is taken
over many batches, without a net: how far it is from data is the bias of the batch size alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from analysis.core.fields import Request, Seed, sorted_set
from analysis.core.progress import Progress, tell
from analysis.flow.clouds import Clouds, DensityName, Drawing
from analysis.flow.nets import check_drawing
from analysis.flow.settings import MAX_SWEEP_SEEDS
from flow_core.couplings import exact_plan
from flow_core.densities.distances import MMD, blur
from flow_core.densities.toys import Toy
from foundation import noise
from foundation.randomness import MAX_SEED, derived_seed

BATCHES = (16, 64, 256, 1024)
QUICK_BATCHES = (16, 64, 256, 512)  # a plan of 1,024 pairs costs six of 512
LARGEST_BATCH, MAX_SIZES = 1024, 8
# noises of a seed, batches that each is seen in, and data to compare with
NOISES, PAIRINGS, REFERENCE = 512, 32, 8192
PAIRS_PART = 5  # of the random numbers that belong to one seed, beside those of `analysis.flow.clouds`


@dataclass(frozen=True)
class TransportRequest(Request):
    """Exact transport of minibatches from standard normal noise to a density, by the size of the batch.

    Attributes:
        density, drawing: as in `Flow2DRequest`.
        sizes: of a batch, sorted and without doubles, 1 to 1024, at most 8.
        seed: of noises, data and batches.
        seeds: how many sets of noises and data, 2 to 8.
    """

    density: DensityName = "8gaussians"
    drawing: Drawing = None
    sizes: Annotated[
        tuple[Annotated[int, Field(ge=1, le=LARGEST_BATCH)], ...],
        Field(min_length=1, max_length=MAX_SIZES, title="The sizes of a batch"),
        AfterValidator(sorted_set),
    ] = QUICK_BATCHES
    seed: Seed = 0
    seeds: Annotated[int, Field(ge=2, le=MAX_SWEEP_SEEDS, title="The number of seeds")] = 2

    def check_together(self) -> None:
        """Raises UserError: a drawing without its density, or the other way round."""
        check_drawing(self)


@dataclass(frozen=True, eq=False)
class TransportResult:
    """By the size of the batch; R sets of noises and data, the same for every size.

    Attributes:
        sizes: (K,).
        cost: (K, R) mean |x1 - x0|^2 of the pairs.
        mmd2: (K, R) unbiased squared MMD of E[x1 | x0] to data.
        spread: (K, R) of E[x1 | x0] within modes; NaN of a density without modes.
        scatter: (K, R) root mean square distance along an axis of the partners of one noise from their mean.
    """

    sizes: np.ndarray
    cost: np.ndarray
    mmd2: np.ndarray
    spread: np.ndarray
    scatter: np.ndarray


def partners(
    x0: Tensor, density: Toy, size: int, batches: int, generator: torch.Generator, progress: Progress = None
) -> Tensor:
    """What each of n noises (n, 2) is paired with in batches of a size: (batches, n, 2); others fill a larger batch."""
    n, out = len(x0), []
    for k in range(batches):
        order = torch.randperm(n, generator=generator)
        x1 = torch.empty_like(x0)
        for rows in order.split(size):
            filled = torch.randn(size - len(rows), x0.shape[1], generator=generator)
            data = density.density.sample(size, generator).float()
            x1[rows] = data[exact_plan(torch.cat([x0[rows], filled]), data)[: len(rows)]]
        out.append(x1)
        tell(progress, (k + 1) / batches, f"batches of {size}")
    return torch.stack(out)


def starts_of(first: int, seeds: int) -> list[Tensor]:
    """The noises (n, 2) of each of the sets that begin at a seed."""
    return [noise(range(first + i * NOISES, first + (i + 1) * NOISES), (2,)) for i in range(seeds)]


def references_of(density: Toy, first: int, seeds: int) -> list[MMD]:
    """The data of each of these sets, to compare with."""
    return [MMD(density.sample(REFERENCE, first + i)) for i in range(seeds)]


def measure_transport(
    density: Toy, first: int, seeds: int, progress: Progress = None, sizes: tuple[int, ...] = BATCHES
) -> TransportResult:
    """Every size, from the same noises and against the same data.

    Args:
        density: where the pairs end.
        first: of the seeds of noises, data and batches.
        seeds: how many sets.
        progress: called with (share done, what); may raise to cancel.
        sizes: of a batch.
    """
    references, starts = references_of(density, first, seeds), starts_of(first, seeds)
    found = np.full((4, len(sizes), seeds), np.nan)
    for k, size in enumerate(sizes):
        for i, (x0, reference) in enumerate(zip(starts, references, strict=True)):

            def watch(share: float, what: str, done: float = k + i / seeds) -> None:
                tell(progress, (done + share / seeds) / len(sizes), what)

            x1 = partners(x0, density, size, PAIRINGS, torch.Generator().manual_seed(first + i), watch)
            mean = x1.mean(0)
            scatter = ((x1 - mean).square().sum(0) / (PAIRINGS - 1)).mean().sqrt()
            found[:, k, i] = (
                float((x1 - x0).square().sum(2).mean()), reference.unbiased(mean), blur(density.density, mean).spread,
                float(scatter),
            )  # fmt: skip
    return TransportResult(np.array(sizes), *found)


def transport(clouds: Clouds, request: TransportRequest, report: Progress = None) -> TransportResult:
    """The answer to a question.

    Args:
        clouds: knows the densities.
        request: what to pair.
        report: called with (share done, what); may raise to cancel.
    """
    first = min(derived_seed(PAIRS_PART, request.seed), MAX_SEED - MAX_SWEEP_SEEDS * NOISES)
    return measure_transport(clouds.toy(request), first, request.seeds, report, request.sizes)
