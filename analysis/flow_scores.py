"""Flows on densities of the plane, sampler beside sampler: what `analysis.flow_parts` prints.

All noise and data are held out. A unit is one seed: its own cloud of noise, the same for every method, and its own data
to compare with, so that differences are paired. Intervals are Student's over seeds (`foundation.student`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.errors import UserError
from analysis.fidelity import FIRST_SEED
from flow_core.distances import MMD, wasserstein2
from flow_core.fields import Exact, MomentumODE, Preserving, Published
from flow_core.model import FlowModel
from flow_core.samplers import Diverged, SampleResult, euler, euler_maruyama, heun, multistep, rk4, step_noise
from flow_core.series_metrics import Interval
from flow_core.toys import TOYS, Toy, toy
from foundation import noise
from foundation.student import mean_interval

Progress = Callable[[float, str], None] | None
SHOWN_NFE = (1, 2, 3, 5, 10, 20)
MOMENTUM_NFE = (2, 3, 5, 10)  # with one call, at t = 0, there is no momentum
POINTS, REFERENCE, ASSIGNED = 2048, 8192, 512  # a seed's points, data to compare them with, and points in W2
VALIDATION_SEEDS = 4
SEED_ROOM = 2**25  # of noise seeds for validation, then of the test: no seed is in both
EULER, MULTISTEP = "exact flow, Euler", "exact flow, multistep"
GAMMAS = (-80.0, -40.0, -20.0, -10.0, -5.0, -2.0, 2.0, 5.0, 10.0, 20.0)  # of the first order, beside none
HIGHER_GAMMAS = (0.0, -1.0, -0.1, 0.1, 1.0)  # of orders 2 and 3, added to the best of the order below
MATCHED = (0.25, 1.0, 3.0, 10.0, 30.0)
# The weights of the 8 Gaussians' picture in the public code of IDFF, chosen there on the test distance
PAPERS_GAMMAS = {"8gaussians": (0.2, -0.5, 0.0)}


def density_of(model: FlowModel) -> Toy:
    """The density that a net of the plane was trained on.

    Raises:
        UserError: none that this program knows.
    """
    name = model.card.get("data", {}).get("name")
    if name not in TOYS:
        raise UserError(f"The model's card names none of the densities {', '.join(TOYS)}: train one on such data.")
    return toy(name)


@dataclass(frozen=True, eq=False)
class Split:
    """Attributes: start (S points, 2) noise; draws = seeds of the noise of the steps; references = an MMD a seed."""

    start: Tensor
    draws: list[int]
    references: list[MMD]

    def distances(self, x: Tensor) -> Tensor:
        """(S points, 2) -> float64 (S,): unbiased squared MMD of each seed's points."""
        clouds = x.view(len(self.references), -1, 2)
        return torch.tensor([m.unbiased(c) for m, c in zip(self.references, clouds, strict=True)], dtype=torch.float64)


def split_of(model: FlowModel, density: Toy, test: bool, seeds: int) -> Split:
    """Noise and data of the test, or of the validation that weights are chosen on."""
    room = FIRST_SEED + SEED_ROOM * (1 + test)
    ids = range(room, room + seeds * POINTS)
    data = [MMD(density.sample(REFERENCE, room + SEED_ROOM // 2 + i)) for i in range(seeds)]
    return Split(model.path.start_std * noise(ids, (2,)), [SEED_ROOM * 8 + i for i in ids], data)


def data_distances(density: Toy, split: Split) -> Tensor:
    """What a perfect sampler would score: data against data, (S,)."""
    first = FIRST_SEED + 4 * SEED_ROOM
    return split.distances(torch.cat([density.sample(POINTS, first + i) for i in range(len(split.references))]))


# ---------------------------------------------------------------------------------------------------------------------
# Quality


@dataclass(frozen=True)
class Quality:
    """How far samples are from data.

    Attributes:
        density: its name.
        nfe: network calls, counted.
        mmd2: method -> for each nfe the unbiased squared MMD.
        w2: method -> for each nfe the 2-Wasserstein distance of `ASSIGNED` points.
        less_euler: method -> for each nfe the paired difference of squared MMDs to Euler at equal nfe.
        data_mmd2, data_w2: of data in the place of samples.
        seeds: units.
    """

    density: str
    nfe: tuple[int, ...]
    mmd2: Mapping[str, tuple[Interval, ...]]
    w2: Mapping[str, tuple[Interval, ...]]
    less_euler: Mapping[str, tuple[Interval, ...]]
    data_mmd2: Interval
    data_w2: Interval
    seeds: int


def over_seeds(values: Tensor) -> Interval:
    """Mean over seeds with its interval."""
    return Interval(*mean_interval(values))


def methods(model: FlowModel, density: Toy) -> dict[str, Callable[[Split, int], SampleResult]]:
    """What the quality is measured of: samplers by name; those with momentum on paths that have noise only."""
    path = model.path
    exact = Exact(path)
    table: dict[str, Callable[[Split, int], SampleResult]] = {
        EULER: lambda s, nfe: euler(model, s.start, exact, nfe),
        "exact flow, Heun": lambda s, nfe: heun(model, s.start, exact, nfe),
        "exact flow, RK4": lambda s, nfe: rk4(model, s.start, exact, nfe),
        MULTISTEP: lambda s, nfe: multistep(model, s.start, path, nfe),
    }
    if path.bridge and path.independent:
        table["matched noise, gamma1 = 1"] = lambda s, nfe: matched(model, s, nfe, (1.0,))
        table["published drift, no momentum"] = lambda s, nfe: euler(model, s.start, Published(path, (0.5,)), nfe)
        theirs = PAPERS_GAMMAS.get(density.name)
        if theirs is not None:
            name = f"published drift, the public code's weights {', '.join(f'{g:g}' for g in theirs)}"
            table[name] = lambda s, nfe: euler(model, s.start, Published(path, theirs), nfe)
    return table


def matched(model: FlowModel, s: Split, nfe: int, gammas: tuple[float, ...]) -> SampleResult:
    """First-order momentum with its noise, which keeps the marginals."""
    draw = step_noise(s.draws, (2,), nfe)
    return euler_maruyama(model, s.start, Preserving(model.path, gammas[0]), nfe, draw=draw)


def counted(result: SampleResult, nfe: int) -> Tensor:
    """Its points; refused if it did not spend what it was asked to."""
    if result.nfe != nfe:
        raise RuntimeError(f"A sampler spent {result.nfe} network calls, not {nfe}.")
    return result.x


def measure_quality(
    model: FlowModel, density: Toy, seeds: int, progress: Progress = None, nfes: tuple[int, ...] = SHOWN_NFE
) -> Quality:
    """Every method at every number of calls, from the same noise."""
    split, first = split_of(model, density, True, seeds), FIRST_SEED + 5 * SEED_ROOM
    few = [density.sample(ASSIGNED, first + i) for i in range(seeds)]

    def w2(x: Tensor) -> Interval:
        clouds = x.view(seeds, -1, 2)[:, :ASSIGNED]
        return over_seeds(torch.tensor([wasserstein2(c, d) for c, d in zip(clouds, few, strict=True)]))

    table, found, apart = methods(model, density), {}, {}
    for i, (name, method) in enumerate(table.items()):
        points = [counted(method(split, nfe), nfe) for nfe in nfes]
        found[name], apart[name] = [split.distances(x) for x in points], tuple(w2(x) for x in points)
        if progress is not None:
            progress((i + 1) / len(table), "samplers")
    data = torch.cat([density.sample(ASSIGNED, first + SEED_ROOM + i) for i in range(seeds)])
    return Quality(
        density.name, tuple(nfes), {k: tuple(map(over_seeds, v)) for k, v in found.items()}, apart,
        {k: tuple(over_seeds(a - b) for a, b in zip(v, found[EULER], strict=True))
         for k, v in found.items() if k != EULER},
        over_seeds(data_distances(density, split)), w2(data), seeds,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Momentum


@dataclass(frozen=True)
class Family:
    """One way to add momentum.

    Attributes:
        name: of it.
        orders: how many weights it takes.
        none: weights without momentum.
        grid: first weights to try beside `none`.
        run: (model, split, nfe, weights) -> samples.
    """

    name: str
    orders: tuple[int, ...]
    none: tuple[float, ...]
    grid: tuple[float, ...]
    run: Callable[[FlowModel, Split, int, tuple[float, ...]], SampleResult]


def families() -> tuple[Family, ...]:
    """The published drift, its momentum alone on the exact velocity, and the first order with its noise."""
    published = lambda m, s, nfe, g: euler(m, s.start, Published(m.path, g), nfe)  # noqa: E731
    pure = lambda m, s, nfe, g: euler(m, s.start, MomentumODE(m.path, g), nfe)  # noqa: E731
    return (
        Family("published drift", (1, 2, 3), (0.5,), GAMMAS, published),
        Family("momentum on the exact flow", (1, 2, 3), (0.5,), GAMMAS, pure),
        Family("matched noise", (1,), (0.0,), MATCHED, matched),
    )


@dataclass(frozen=True)
class MomentumRow:
    """One family and order; for each nfe what the validation chose and what the test says of it.

    Attributes:
        family, order: which.
        gammas: weights that the validation chose.
        derivatives: backward passes a sample, counted; each is worth about two calls and none is one.
        mmd2: unbiased squared MMD.
        less_euler: paired difference to the exact Euler flow at equal nfe.
        less_none: to the same family without momentum.
    """

    family: str
    order: int
    gammas: tuple[tuple[float, ...], ...]
    derivatives: tuple[int, ...]
    mmd2: tuple[Interval, ...]
    less_euler: tuple[Interval, ...]
    less_none: tuple[Interval, ...]


@dataclass(frozen=True)
class Momentum:
    """What momentum does to the distance from data.

    Attributes:
        density: its name.
        nfe: network calls, counted.
        euler, multistep: unbiased squared MMD of the exact flow, for each nfe.
        less_multistep: the published drift of order 1 less the multistep, paired.
        rows: families and orders.
        seeds, validation: units of the test and of the choice.
    """

    density: str
    nfe: tuple[int, ...]
    euler: tuple[Interval, ...]
    multistep: tuple[Interval, ...]
    less_multistep: tuple[Interval, ...]
    rows: tuple[MomentumRow, ...]
    seeds: int
    validation: int


def choose(family: Family, model: FlowModel, split: Split, nfe: int) -> list[tuple[float, ...]]:
    """For each order the weights with the least mean distance on the validation: each keeps those of the order below.

    No further momentum comes first, so that it wins a tie; weights that diverge or have no real root never do.
    """

    def score(gammas: tuple[float, ...]) -> float:
        try:
            return float(split.distances(counted(family.run(model, split, nfe, gammas), nfe)).mean())
        except (Diverged, ValueError):
            return float("inf")

    best: tuple[float, ...] = ()
    out = []
    for k in family.orders:
        trials = [family.none, *((g,) for g in family.grid)] if k == 1 else [(*best, g) for g in HIGHER_GAMMAS]
        best = min(trials, key=score)
        out.append(best)
    return out


def measure_momentum(
    model: FlowModel, density: Toy, seeds: int, progress: Progress = None, nfes: tuple[int, ...] = MOMENTUM_NFE
) -> Momentum:
    """Momentum weights chosen on validation noise and data, measured on those of the test."""
    validation, test = (split_of(model, density, t, n) for t, n in ((False, VALIDATION_SEEDS), (True, seeds)))
    cells: dict[tuple[str, int], list[tuple]] = {(f.name, k): [] for f in families() for k in f.orders}
    plain, multi, gaps = [], [], []
    for i, nfe in enumerate(nfes):
        exact = test.distances(counted(euler(model, test.start, Exact(model.path), nfe), nfe))
        second = test.distances(counted(multistep(model, test.start, model.path, nfe), nfe))
        plain.append(over_seeds(exact))
        multi.append(over_seeds(second))
        for j, family in enumerate(families()):
            none = test.distances(counted(family.run(model, test, nfe, family.none), nfe))
            for k, gammas in zip(family.orders, choose(family, model, validation, nfe), strict=True):
                made = family.run(model, test, nfe, gammas)
                d = test.distances(counted(made, nfe))
                cells[family.name, k].append(
                    (gammas, made.derivatives, over_seeds(d), over_seeds(d - exact), over_seeds(d - none))
                )
                if (family.name, k) == ("published drift", 1):
                    gaps.append(over_seeds(d - second))
            if progress is not None:
                progress((i + (j + 1) / 3) / len(nfes), f"momentum at {nfe} calls")
    rows = tuple(MomentumRow(name, k, *map(tuple, zip(*v, strict=True))) for (name, k), v in cells.items())
    return Momentum(
        density.name, tuple(nfes), tuple(plain), tuple(multi), tuple(gaps), rows, seeds, VALIDATION_SEEDS
    )  # fmt: skip
