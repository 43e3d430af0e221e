"""What minibatch transport pairs, against the size of the batch: its cost, and the one-call map that it teaches.

The exact plan of a batch is not that of the laws: its cost is higher, and a noise goes to another point in every batch.
A perfect net of OT-CFM says at t = 0 the mean of these, E[x1 | x0]; one Euler call ends there. Here this mean is taken
over many batches, without a net: how far it is from data is the bias of the batch size alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.core.progress import Progress
from analysis.evaluate.flow.points import density_of, in_the_plane
from analysis.evaluate.tables.markdown import Block, Verdict, grid, interval
from analysis.evaluate.tables.parts import Job, Outcome, part
from flow_core.couplings import exact_plan
from flow_core.densities.distances import MMD, blur
from flow_core.densities.toys import Toy
from flow_core.model import FlowModel
from flow_core.samplers import sample
from foundation import noise
from foundation.metrics.statistics import Interval, mean_interval
from foundation.randomness import FIRST_SEED

SIZES = (16, 64, 256, 1024)
POINTS, PAIRINGS, TARGET_DATA = (
    512,
    32,
    8192,
)  # noises of a seed, batches that each is seen in, data to compare with


@dataclass(frozen=True)
class Transport:
    """At one batch size.

    Attributes:
        size: of the batch.
        cost: mean |x1 - x0|^2 of the pairs.
        mmd2: unbiased squared MMD of E[x1 | x0] to data.
        spread: of E[x1 | x0] within modes.
        scatter: root mean square distance along an axis of the partners of one noise from their mean.
    """

    size: int
    cost: Interval
    mmd2: Interval
    spread: Interval
    scatter: Interval


def partners(x0: Tensor, density: Toy, size: int, batches: int, generator: torch.Generator) -> Tensor:
    """What each of n noises (n, 2) is paired with in batches of a size: (batches, n, 2); others fill a larger batch."""
    n, out = len(x0), []
    for _ in range(batches):
        order = torch.randperm(n, generator=generator)
        x1 = torch.empty_like(x0)
        for rows in order.split(size):
            filled = torch.randn(size - len(rows), x0.shape[1], generator=generator)
            data = density.density.sample(size, generator).float()
            x1[rows] = data[exact_plan(torch.cat([x0[rows], filled]), data)[: len(rows)]]
        out.append(x1)
    return torch.stack(out)


def measure_transport(
    density: Toy, seeds: int, progress: Progress = None, sizes: tuple[int, ...] = SIZES
) -> list[Transport]:
    """Every batch size, from the same noises and against the same data."""
    references = [MMD(density.sample(TARGET_DATA, FIRST_SEED + i)) for i in range(seeds)]
    starts = [noise(range(FIRST_SEED + i * POINTS, FIRST_SEED + (i + 1) * POINTS), (2,)) for i in range(seeds)]
    rows = []
    for k, size in enumerate(sizes):
        found: list[list[float]] = [[], [], [], []]
        for i, (x0, reference) in enumerate(zip(starts, references, strict=True)):
            x1 = partners(x0, density, size, PAIRINGS, torch.Generator().manual_seed(FIRST_SEED + i))
            mean = x1.mean(0)
            scatter = ((x1 - mean).square().sum(0) / (PAIRINGS - 1)).mean().sqrt()
            values = (
                float((x1 - x0).square().sum(2).mean()), reference.unbiased(mean), blur(density.density, mean).spread,
                float(scatter),
            )  # fmt: skip
            for to, v in zip(found, values, strict=True):
                to.append(v)
            if progress is not None:
                progress((k + (i + 1) / seeds) / len(sizes), f"batches of {size}")
        rows.append(Transport(size, *map(mean_interval, found)))
    return rows


def net_mmd2(model: FlowModel, density: Toy, seeds: int) -> Interval:
    """One Euler call of a net, from the same noises and against the same data."""
    return mean_interval([
        MMD(density.sample(TARGET_DATA, FIRST_SEED + i)).unbiased(
            sample("euler", model, noise(range(FIRST_SEED + i * POINTS, FIRST_SEED + (i + 1) * POINTS), (2,)),
                   model.path, 1).x
        ) for i in range(seeds)
    ])  # fmt: skip


def transport_blocks(rows: list[Transport], net: Interval, batch: int, density: str, seeds: int) -> list[Block]:
    """The table and what it says."""
    lines = [
        [
            f"{r.size:,}", interval(r.cost, ".2f"), interval(r.mmd2.scaled(1000), ".2f"), interval(r.spread, ".3f"),
            interval(r.scatter, ".3f"),
        ]
        for r in rows
    ]  # fmt: skip
    first, last = rows[0], rows[-1]
    return [
        f"Exact transport of minibatches from standard normal noise to {density}, by the size of the batch; means with "
        f"95 % Student intervals over {seeds} seeds of {POINTS} noises, each paired in {PAIRINGS} batches. E[x1 | x0] "
        "is what one Euler call of a perfectly trained net ends at; its mean over so few batches adds some spread.",
        grid(
            ["batch", "cost", "MMD^2 x 1000 of E[x1 | x0]", "its spread within modes", "scatter of x1 given x0"], lines
        ),
        f"One Euler call of the net, trained in batches of {batch:,}: MMD^2 x 1000 "
        f"{interval(net.scaled(1000), '.2f')}.",
        Verdict(
            f"From batches of {first.size:,} to {last.size:,} the cost falls from {first.cost.value:.2f} to "
            f"{last.cost.value:.2f} and the squared MMD of one perfect call from {1000 * first.mmd2.value:.2f} to "
            f"{1000 * last.mmd2.value:.2f} (x 1000).",
            {
                "sizes": [r.size for r in rows], "cost": [r.cost.value for r in rows],
                "mmd2": [r.mmd2.value for r in rows], "net": net.value,
            },
        ),
    ]  # fmt: skip


def transported(model: FlowModel) -> bool:
    """Whether a net was trained on pairs of minibatch transport in the plane, from noise."""
    return in_the_plane(model) and model.path.coupling == "exact" and model.path.sigma == 0


@part("flow", "transport", 5, "transport-seeds", 3, 2, 100, fits=transported)
def transport(job: Job) -> Outcome:
    """The bias of minibatch transport against the size of the batch."""
    if not transported(job.model):
        return Outcome(["Not applicable: this part is of nets trained on minibatch transport in the plane."])
    density = density_of(job.model)
    rows, net = measure_transport(density, job.count, job.progress), net_mmd2(job.model, density, job.count)
    batch = int(job.model.card.get("recipe", {}).get("training", {}).get("batch", 0))
    return Outcome(transport_blocks(rows, net, batch, density.name, job.count))
