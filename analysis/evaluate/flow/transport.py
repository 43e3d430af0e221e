"""The bias of minibatch transport against the size of the batch (`analysis.flow.transport`), beside a trained net."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.core.progress import Progress
from analysis.evaluate.flow.points import density_of, in_the_plane
from analysis.evaluate.tables.markdown import Block, Verdict, grid, interval
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.flow import transport as pairs
from flow_core.densities.toys import Toy
from flow_core.model import FlowModel
from flow_core.samplers import sample
from foundation.metrics.statistics import Interval, mean_interval
from foundation.randomness import FIRST_SEED


@dataclass(frozen=True)
class Transport:
    """At one batch size. Attributes: size; the others as of `TransportResult`, means over seeds."""

    size: int
    cost: Interval
    mmd2: Interval
    spread: Interval
    scatter: Interval


def measure_transport(
    density: Toy, seeds: int, progress: Progress = None, sizes: tuple[int, ...] = pairs.BATCHES
) -> list[Transport]:
    """Every batch size, from the same held-out noises and against the same data."""
    r = pairs.measure_transport(density, FIRST_SEED, seeds, progress, sizes)
    columns = [[mean_interval(v.tolist()) for v in row] for row in (r.cost, r.mmd2, r.spread, r.scatter)]
    return [Transport(size, *values) for size, *values in zip(sizes, *columns, strict=True)]


def net_mmd2(model: FlowModel, density: Toy, seeds: int) -> Interval:
    """One Euler call of a net, from the same noises and against the same data."""
    sets = zip(pairs.starts_of(FIRST_SEED, seeds), pairs.references_of(density, FIRST_SEED, seeds), strict=True)
    return mean_interval([m.unbiased(sample("euler", model, x0, model.path, 1).x) for x0, m in sets])


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
        f"95 % Student intervals over {seeds} seeds of {pairs.NOISES} noises, each paired in {pairs.PAIRINGS} batches. "
        "E[x1 | x0] is what one Euler call of a perfectly trained net ends at; its mean over so few batches adds some "
        "spread.",
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
