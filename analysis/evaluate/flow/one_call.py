"""One call in the plane: a MeanFlow net beside the flows of the same density, at the calls that each is made for.

Points, noise and data are those of `flow_points`: a unit is one seed, the same for every row, so that differences are
paired.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from analysis.core.progress import Progress
from analysis.evaluate.flow.momentum import Blurred, counted
from analysis.evaluate.flow.points import (
    KERNEL,
    Split,
    blurred,
    data_distances,
    density_of,
    in_the_plane,
    split_data,
    split_of,
    thousandths,
)
from analysis.evaluate.tables.markdown import Block, Verdict, grid, interval
from analysis.evaluate.tables.parts import Job, Outcome, part
from flow_core import model as flow_model
from flow_core.densities.toys import Toy
from flow_core.model import FlowModel
from flow_core.samplers import sample
from foundation.metrics.statistics import Interval, mean_interval

ONE, FEW = "OT-CFM, Euler, 1 call", "OT-CFM, Euler, 5 calls"
MINE = "MeanFlow, 1 call"


@dataclass(frozen=True)
class OneCallRow:
    """Attributes.

    name: net, sampler and calls.
    calls: network calls, counted.
    mmd2: unbiased squared MMD to data.
    less: name of a row of OT-CFM -> paired difference to it.
    blur: spread within modes and share beyond.
    """

    name: str
    calls: int
    mmd2: Interval
    less: dict[str, Interval]
    blur: Blurred


def companions(model: FlowModel, density: Toy, folder: Path) -> dict[str, FlowModel]:
    """Nets of the same density in the folder by what they are called: OT-CFM, IDFF; those that are there."""
    names = {"OT-CFM": f"toy-{density.name}-otcfm", "IDFF": f"toy-{density.name}"}
    files = {name: folder / f"{file}{flow_model.FLOW_SUFFIX}" for name, file in names.items()}
    return {name: flow_model.load(file) for name, file in files.items() if file.is_file()}


def rows_of(
    model: FlowModel, density: Toy, others: dict[str, FlowModel]
) -> dict[str, tuple[int, Callable[[Split], Tensor]]]:
    """Row -> calls and what makes its points; the calls are counted."""

    def made(net: FlowModel, method: str, nfe: int) -> tuple[int, Callable[[Split], Tensor]]:
        return nfe, lambda s: counted(sample(method, net, s.start, net.path, nfe), nfe)

    table = {f"MeanFlow, {n} call{'s' if n > 1 else ''}": made(model, "euler", n) for n in (1, 2, 5)}
    table["MeanFlow, its velocity by Heun, 40 calls"] = made(model, "heun", 40)
    for name, net in others.items():
        for n in (1, 5):
            table[f"{name}, Euler, {n} call{'s' if n > 1 else ''}"] = made(net, "euler", n)
    if model.path.independent:
        exact = density.density.oracle(model.path)
        table["exact mean velocity, 1 call"] = 1, lambda s: counted(sample("euler", exact, s.start, model.path, 1), 1)
    return table


def measure_one_call(
    model: FlowModel, density: Toy, others: dict[str, FlowModel], seeds: int, progress: Progress = None
) -> tuple[list[OneCallRow], OneCallRow]:
    """Every row, and data in the place of samples."""
    split, table = split_of(model, density, True, seeds), rows_of(model, density, others)
    points, distances = {}, {}
    for i, (name, (_, make)) in enumerate(table.items()):
        points[name] = make(split)
        distances[name] = split.distances(points[name])
        if progress is not None:
            progress((i + 1) / len(table), "nets")
    rows = [
        OneCallRow(
            name, calls, mean_interval(distances[name]),
            {o: mean_interval(distances[name] - distances[o]) for o in (ONE, FEW) if o in table and o != name},
            blurred(density, points[name], seeds),
        )
        for name, (calls, _) in table.items()
    ]  # fmt: skip
    data = OneCallRow(
        "data in place of samples", 0, mean_interval(data_distances(density, split)), {},
        blurred(density, split_data(density, seeds), seeds),
    )  # fmt: skip
    return rows, data


def one_call_blocks(rows: list[OneCallRow], data: OneCallRow, density: str, seeds: int) -> list[Block]:
    """The table, and what follows of one jump against OT-CFM."""
    against = [o for o in (ONE, FEW) if any(r.name == o for r in rows)]
    head = ["row", "MMD^2 x 1000", *(f"less {o}" for o in against), "spread within modes", "share beyond 3 std"]
    lines = [
        [
            r.name, thousandths(r.mmd2), *(thousandths(r.less[o], "+.2f") if o in r.less else "" for o in against),
            interval(r.blur.spread, ".3f"), interval(r.blur.beyond, ".4f"),
        ]
        for r in (*rows, data)
    ]  # fmt: skip
    blocks: list[Block] = [
        f"One call on {density}, {seeds} seeds of noise and data, the same for every row; means with 95 % Student "
        f"intervals over seeds, of one training of each net. Squared MMD, unbiased, x 1000 ({KERNEL}); differences are "
        "paired. Blur, which that kernel hardly sees, as in the part quality.",
        grid(head, lines),
    ]
    mine = next(r for r in rows if r.name == MINE)
    signs = {o: mine.less[o].sign for o in against}
    words = {-1: "nearer to data than", 0: "not told apart from", 1: "farther from data than"}
    said = [f"{words[s]} {o}" for o, s in signs.items()]
    sharp = {r.name: r.blur.spread.value for r in (mine, data, *(r for r in rows if r.name in against))}
    beside = " and ".join(said) or "beside no OT-CFM net: there is none here"
    blocks.append(
        Verdict(
            f"By MMD one call of MeanFlow is {beside} (paired 95 % intervals, not corrected for their number). Spread "
            "within modes: "
            f"{', '.join(f'{k} {v:.3f}' for k, v in sharp.items())}.",
            {"less": signs, "spread": sharp},
        )
    )
    return blocks


def one_jump(model: FlowModel) -> bool:
    """Whether a net says mean velocities in the plane."""
    return in_the_plane(model) and model.path.average


@part("flow", "one-call", 3, "one-call-seeds", 10, 2, 1000, fits=one_jump)
def one_call(job: Job) -> Outcome:
    """A MeanFlow net at one and few calls beside OT-CFM and IDFF nets of its density."""
    if not one_jump(job.model):
        return Outcome(["Not applicable: this part is of MeanFlow nets in the plane."])
    density = density_of(job.model)
    others = companions(job.model, density, job.folder)
    return Outcome(
        one_call_blocks(*measure_one_call(job.model, density, others, job.count, job.progress), density.name, job.count)
    )
