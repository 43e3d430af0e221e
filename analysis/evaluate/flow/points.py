"""Flows on densities of the plane, sampler beside sampler: the parts of `analysis.evaluate flow`.

All noise and data are held out. A unit is one seed: its own cloud of noise, the same for every method, and its own data
to compare with, so that differences are paired. Intervals are Student's over seeds (`foundation.metrics.statistics`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.progress import Progress
from analysis.evaluate.flow.momentum import (
    EULER,
    HEUN,
    MULTISTEP,
    SEED_ROOM,
    Blurred,
    Momentum,
    MomentumRow,
    at_calls,
    choose,
    counted,
    families,
    momentum_verdict,
    multistep_verdict,
    settled,
    weight_cell,
)
from analysis.evaluate.tables.markdown import Block, Verdict, grid, interval
from analysis.evaluate.tables.parts import Job, Outcome, part
from flow_core.adaptive import adaptive_solver, dopri5
from flow_core.densities.distances import MMD, blur, wasserstein2
from flow_core.densities.toys import TOYS, Toy, toy
from flow_core.fields import Exact, MomentumODE, Preserving, Published
from flow_core.model import FlowModel
from flow_core.networks import PointConfig
from flow_core.samplers import Diverged, SampleResult, euler, euler_maruyama, heun, multistep, rk4, step_noise
from foundation import noise
from foundation.metrics.statistics import Interval, mean_interval
from foundation.randomness import FIRST_SEED

SHOWN_POINT_NFE = (1, 2, 3, 5, 10, 20)
MOMENTUM_NFE = (2, 3, 5, 10)  # with one call, at t = 0, there is no momentum
SEED_POINTS, TRUE_POINTS, ASSIGNED = 2048, 8192, 512  # a seed's points, data to compare them with, and points in W2
WEIGHT_SEEDS = 4
POINT_GAMMAS = (-80.0, -40.0, -20.0, -10.0, -5.0, -2.0, 2.0, 5.0, 10.0, 20.0)  # of the first order, beside none
HIGHER_POINT_GAMMAS = (0.0, -1.0, -0.1, 0.1, 1.0)  # of orders 2 and 3, added to the best of the order below
MATCHED_WEIGHTS = (0.25, 1.0, 3.0, 10.0, 30.0)
ADAPTIVE_ERROR = 1e-4  # relative and absolute, of a step of the reference
# The weights of the 8 Gaussians' picture in the public code of IDFF, chosen there on the test distance
PAPERS_GAMMAS = {"8gaussians": (0.2, -0.5, 0.0)}


def density_of(model: FlowModel) -> Toy:
    """The density that a net of the plane was trained on.

    Raises:
        UserError: none that this program knows.
    """
    name = model.card.get("data", {}).get("name")
    if name not in TOYS:
        raise UserError(
            f"The model's card names none of the densities {', '.join(TOYS)}: train one on such data.", "data"
        )
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
    ids = range(room, room + seeds * SEED_POINTS)
    data = [MMD(density.sample(TRUE_POINTS, room + SEED_ROOM // 2 + i)) for i in range(seeds)]
    return Split(model.path.start_std * noise(ids, (2,)), [SEED_ROOM * 8 + i for i in ids], data)


def data_distances(density: Toy, split: Split) -> Tensor:
    """What a perfect sampler would score: data against data, (S,)."""
    return split.distances(split_data(density, len(split.references)))


def split_data(density: Toy, seeds: int) -> Tensor:
    """Data in the place of samples, (S points, 2)."""
    first = FIRST_SEED + 4 * SEED_ROOM
    return torch.cat([density.sample(SEED_POINTS, first + i) for i in range(seeds)])


def blurred(density: Toy, x: Tensor, seeds: int) -> Blurred:
    """Spread within modes and share beyond 3 standard deviations of (S points, 2), which an MMD hardly sees."""
    each = [blur(density.density, cloud) for cloud in x.view(seeds, -1, 2)]
    return Blurred(mean_interval([b.spread for b in each]), mean_interval([b.beyond for b in each]))


def blur_tables(blurs: Mapping[str, Sequence[Blurred]], data: Blurred, head: Sequence[str]) -> list[Block]:
    """Both numbers by method and number of calls; a grid has no components, and so the second alone."""
    data_name, rest = "data in place of samples", ["same"] * (len(head) - 1)
    beyond = [[name, *(interval(b.beyond, ".4f") for b in row)] for name, row in blurs.items()]
    table = grid(["share beyond", *head], [*beyond, [data_name, interval(data.beyond, ".4f"), *rest]])
    if not math.isfinite(data.spread.value):
        return ["Blur, which that kernel hardly sees: the share of points on empty ground.", table]
    spread = [[name, *(interval(b.spread, ".3f") for b in row)] for name, row in blurs.items()]
    return [
        "Blur, which that kernel hardly sees: root mean square distance along an axis to the mean of the nearest "
        "component, and the share of points beyond 3 of its standard deviations.",
        grid(["spread within modes", *head], [*spread, [data_name, interval(data.spread, ".3f"), *rest]]),
        table,
    ]


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
        blurs: method -> for each nfe.
        data_blur: of data in the place of samples.
        reference: calls and unbiased squared MMD of the exact flow by error control, None where that gives up.
    """

    density: str
    nfe: tuple[int, ...]
    mmd2: Mapping[str, tuple[Interval, ...]]
    w2: Mapping[str, tuple[Interval, ...]]
    less_euler: Mapping[str, tuple[Interval, ...]]
    data_mmd2: Interval
    data_w2: Interval
    seeds: int
    blurs: Mapping[str, tuple[Blurred, ...]]
    data_blur: Blurred
    reference: tuple[int, Interval] | None = None


def methods(model: FlowModel, density: Toy) -> dict[str, Callable[[Split, int], SampleResult]]:
    """What the quality is measured of: samplers by name; those with momentum on paths that have noise only."""
    path = model.path
    exact = Exact(path)
    table: dict[str, Callable[[Split, int], SampleResult]] = {
        EULER: lambda s, nfe: euler(model, s.start, exact, nfe),
        HEUN: lambda s, nfe: heun(model, s.start, exact, nfe),
        "exact flow, RK4": lambda s, nfe: rk4(model, s.start, exact, nfe),
        "exact flow, RK4, steps by calls": lambda s, nfe: rk4(model, s.start, exact, nfe, proportional=True),
        MULTISTEP: lambda s, nfe: multistep(model, s.start, path, nfe),
    }
    if path.bridge and path.independent:
        table["matched noise, gamma1 = 1"] = lambda s, nfe: matched(model, s, nfe, (1.0,))
        table["published drift, no momentum"] = lambda s, nfe: euler(model, s.start, Published(path, (0.5,)), nfe)
        theirs = PAPERS_GAMMAS.get(density.name)
        if theirs is not None:
            name = f"published drift, the public code's weights {', '.join(f'{g:g}' for g in theirs)}"
            table[name] = lambda s, nfe: euler(model, s.start, Published(path, theirs), nfe)
            # as their script integrates it, with every call counted
            table[f"{name}, RK4"] = lambda s, nfe: rk4(model, s.start, Published(path, theirs), nfe)
    return table


def matched(model: FlowModel, s: Split, nfe: int, gammas: tuple[float, ...]) -> SampleResult:
    """First-order momentum with its noise, which keeps the marginals."""
    draw = step_noise(s.draws, (2,), nfe)
    return euler_maruyama(model, s.start, Preserving(model.path, gammas[0]), nfe, draw=draw)


def adaptive_flow(model: FlowModel, split: Split) -> tuple[int, Interval] | None:
    """The exact flow of all points at once by error control: its calls, and the squared MMD; None where it gives up."""
    try:
        made = dopri5(model, split.start, Exact(model.path), rtol=ADAPTIVE_ERROR, atol=ADAPTIVE_ERROR)
    except Diverged:
        return None
    return made.nfe, mean_interval(split.distances(made.x))


def measure_quality(
    model: FlowModel, density: Toy, seeds: int, progress: Progress = None, nfes: tuple[int, ...] = SHOWN_POINT_NFE
) -> Quality:
    """Every method at every number of calls, from the same noise."""
    split, first = split_of(model, density, True, seeds), FIRST_SEED + 5 * SEED_ROOM
    few = [density.sample(ASSIGNED, first + i) for i in range(seeds)]

    def w2(x: Tensor) -> Interval:
        clouds = x.view(seeds, -1, 2)[:, :ASSIGNED]
        return mean_interval(torch.tensor([wasserstein2(c, d) for c, d in zip(clouds, few, strict=True)]))

    table, found, apart, blurs = methods(model, density), {}, {}, {}
    for i, (name, method) in enumerate(table.items()):
        points = [counted(method(split, nfe), nfe) for nfe in nfes]
        found[name], apart[name] = [split.distances(x) for x in points], tuple(w2(x) for x in points)
        blurs[name] = tuple(blurred(density, x, seeds) for x in points)
        if progress is not None:
            progress((i + 1) / len(table), "samplers")
    data = torch.cat([density.sample(ASSIGNED, first + SEED_ROOM + i) for i in range(seeds)])
    return Quality(
        density.name, tuple(nfes), {k: tuple(map(mean_interval, v)) for k, v in found.items()}, apart,
        {k: tuple(mean_interval(a - b) for a, b in zip(v, found[EULER], strict=True))
         for k, v in found.items() if k != EULER},
        mean_interval(data_distances(density, split)), w2(data), seeds, blurs,
        blurred(density, split_data(density, seeds), seeds), adaptive_flow(model, split),
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


def kinds_of_momentum() -> tuple[Family, ...]:
    """The published drift, its momentum alone on the exact velocity, and the first order with its noise."""
    published = lambda m, s, nfe, g: euler(m, s.start, Published(m.path, g), nfe)  # noqa: E731
    pure = lambda m, s, nfe, g: euler(m, s.start, MomentumODE(m.path, g), nfe)  # noqa: E731
    return (
        Family("published drift", (1, 2, 3), (0.5,), POINT_GAMMAS, published),
        Family("momentum on the exact flow", (1, 2, 3), (0.5,), POINT_GAMMAS, pure),
        Family("matched noise", (1,), (0.0,), MATCHED_WEIGHTS, matched),
    )


def search(family: Family, model: FlowModel, split: Split, nfe: int) -> list[tuple[float, ...]]:
    """For each order of a family the weights with the least mean distance on the validation."""
    return choose(
        lambda gammas: float(split.distances(counted(family.run(model, split, nfe, gammas), nfe)).mean()),
        family.orders, (*family.none, *family.grid), HIGHER_POINT_GAMMAS,
    )  # fmt: skip


def measure_momentum(
    model: FlowModel, density: Toy, seeds: int, progress: Progress = None, nfes: tuple[int, ...] = MOMENTUM_NFE
) -> Momentum:
    """Momentum weights chosen on validation noise and data, measured on those of the test."""
    validation, test = (split_of(model, density, t, n) for t, n in ((False, WEIGHT_SEEDS), (True, seeds)))
    cells: dict[tuple[str, int], list[tuple]] = {(f.name, k): [] for f in kinds_of_momentum() for k in f.orders}
    plain, multi, heuns, gaps = [], [], [], []
    blurs: dict[str, list[Blurred]] = {EULER: [], HEUN: []}
    for i, nfe in enumerate(nfes):
        second = test.distances(counted(multistep(model, test.start, model.path, nfe), nfe))
        points = {EULER: euler, HEUN: heun}
        made_plain = {k: counted(f(model, test.start, Exact(model.path), nfe), nfe) for k, f in points.items()}
        exact, control = (test.distances(made_plain[k]) for k in (EULER, HEUN))
        plain.append(mean_interval(exact))
        multi.append(mean_interval(second))
        heuns.append(mean_interval(control))
        for sampler, x in made_plain.items():
            blurs[sampler].append(blurred(density, x, seeds))
        for j, family in enumerate(kinds_of_momentum()):
            none = test.distances(counted(family.run(model, test, nfe, family.none), nfe))
            for k, gammas in zip(family.orders, search(family, model, validation, nfe), strict=True):
                made = family.run(model, test, nfe, gammas)
                d = test.distances(counted(made, nfe))
                cells[family.name, k].append(
                    (
                        gammas,
                        made.derivatives,
                        mean_interval(d),
                        mean_interval(d - exact),
                        mean_interval(d - none),
                        mean_interval(d - control),
                        blurred(density, made.x, seeds),
                    )
                )
                if (family.name, k) == ("published drift", 1):
                    gaps.append(mean_interval(d - second))
            if progress is not None:
                progress((i + (j + 1) / 3) / len(nfes), f"momentum at {nfe} calls")
    rows = tuple(MomentumRow(name, k, *map(tuple, zip(*v, strict=True))) for (name, k), v in cells.items())
    return Momentum(
        density.name, tuple(nfes), tuple(plain), tuple(multi), tuple(heuns), tuple(gaps), rows, seeds,
        WEIGHT_SEEDS, {k: tuple(v) for k, v in blurs.items()}, blurred(density, split_data(density, seeds), seeds),
    )  # fmt: skip


KERNEL = f"kernel exp(-d^2/2), {SEED_POINTS:,} points a seed against {TRUE_POINTS:,} data points"


def thousandths(v: Interval, form: str = ".2f") -> str:
    """1000 times a figure with its interval."""
    return interval(v.scaled(1000), form)


# ---------------------------------------------------------------------------------------------------------------------
# Quality


def adaptive_words(reference: tuple[int, Interval] | None) -> list[Block]:
    """What no error of steps would leave, in a sentence."""
    if reference is None:
        return []
    calls, mmd2 = reference
    return [
        f"The exact flow by error control (Dormand and Prince by {adaptive_solver()}, tolerance {ADAPTIVE_ERROR:g}) "
        f"has {thousandths(mmd2)} in {calls} calls, rejected steps included."
    ]


def quality_blocks(q: Quality) -> list[Block]:
    """Squared MMD and W2 by method and number of calls, with the verdict."""
    head = list(map(str, q.nfe))
    same = [thousandths(q.data_mmd2), *["same"] * (len(q.nfe) - 1)]
    mmd2 = [[name, *map(thousandths, row)] for name, row in q.mmd2.items()]
    gaps = [[name, *(thousandths(v, "+.2f") for v in row)] for name, row in q.less_euler.items()]
    w2 = [[name, *(interval(v, ".3f") for v in row)] for name, row in q.w2.items()]
    floor = [interval(q.data_w2, ".3f"), *["same"] * (len(q.nfe) - 1)]
    return [
        f"Samples of {q.density} against held-out data, {q.seeds} seeds of noise and data, the same for every method; "
        f"means with 95 % Student intervals over seeds. Squared MMD, unbiased, x 1000 ({KERNEL}).",
        grid(["MMD^2 x 1000, by network calls", *head], [*mmd2, ["data in place of samples", *same]]),
        *adaptive_words(q.reference),
        "Less Euler's at the same number of calls, paired.",
        grid(["difference x 1000", *head], gaps),
        f"2-Wasserstein distance by exact assignment of {ASSIGNED} points, in the units of the points; so few points "
        "are far from each other even where the laws are equal, as the last row says.",
        grid(["W2, by network calls", *head], [*w2, ["data in place of samples", *floor]]),
        *blur_tables(q.blurs, q.data_blur, head),
        quality_verdict(q),
    ]


def quality_verdict(q: Quality) -> Verdict:
    """Which methods beat Euler at equal calls, and how many calls each needs for what Euler has with the most."""
    most, goal = q.nfe[-1], q.mmd2[EULER][-1].value
    methods: dict[str, dict] = {
        name: {"better": settled(q.nfe, row, -1), "worse": settled(q.nfe, row, 1), "calls": calls_for(q, name, goal)}
        for name, row in q.less_euler.items()
    }
    said = [f"{k}: better at {at_calls(m['better'])}, worse at {at_calls(m['worse'])}" for k, m in methods.items()]
    needed = [f"{name} {m['calls'] or f'more than {most}'}" for name, m in methods.items()]
    theirs = (
        " The weights of the public code are the paper's, chosen there on the test distance, and its stated 5 calls in "
        "the plane are 50 counted ones."
        if q.density in PAPERS_GAMMAS and any("public code" in k for k in q.mmd2)
        else ""
    )
    return Verdict(
        f"Against Euler on the exact flow at equal calls (paired 95 % intervals, not corrected for their number): "
        f"{'; '.join(said)}. Of the calls shown, Euler's mean distance with {most} is reached with: "
        f"{', '.join(needed)}. (The paper claims about ten times fewer calls than flow matching.){theirs}",
        {"most": most, "methods": methods},
    )


def calls_for(q: Quality, method: str, goal: float) -> int | None:
    """The fewest calls shown at which a method's mean distance is at most the goal."""
    return next((n for n, v in zip(q.nfe, q.mmd2[method], strict=True) if v.value <= goal), None)


def in_the_plane(model: FlowModel) -> bool:
    """Whether a net is one of points."""
    return isinstance(model.config, PointConfig)


def weighable(model: FlowModel) -> bool:
    """Whether a path is a bridge between independent ends, whose score weights momentum."""
    return model.path.bridge and model.path.independent


@part("flow", "quality", 0, "quality-seeds", 10, 2, 1000, fits=in_the_plane)
def quality(job: Job) -> Outcome:
    """Squared MMD and W2 by sampler and number of calls."""
    if not in_the_plane(job.model):
        return Outcome(["Not applicable: this part is of flows in the plane."])
    return Outcome(quality_blocks(measure_quality(job.model, density_of(job.model), job.count, job.progress)))


# ---------------------------------------------------------------------------------------------------------------------
# Momentum


def momentum_blocks(m: Momentum) -> list[Block]:
    """Distances, paired differences and the chosen weights by family and order, with the verdicts."""
    head = list(map(str, m.nfe))

    def name(r: MomentumRow) -> str:
        return f"{r.family}, order {r.order}"

    def signed(row: tuple[Interval, ...]) -> list[str]:
        return [thousandths(v, "+.2f") for v in row]

    table = [[EULER, *map(thousandths, m.euler)], [MULTISTEP, *map(thousandths, m.multistep)]]
    table.append([HEUN, *map(thousandths, m.heun)])
    table += [[name(r), *map(thousandths, r.mmd2)] for r in m.rows]
    gaps = [[f"{name(r)}, less Euler", *signed(r.less_euler)] for r in m.rows]
    gaps += [[f"{name(r)}, less Heun", *signed(r.less_heun)] for r in m.rows]
    gaps += [[f"{name(r)}, less no momentum", *signed(r.less_none)] for r in m.rows if r.family == "published drift"]
    gaps.append([f"published drift, order 1, less {MULTISTEP}", *signed(m.less_multistep)])
    weights = [[name(r), *(weight_cell(*v) for v in zip(r.gammas, r.derivatives, strict=True))] for r in m.rows]
    return [
        f"Momentum on {m.density}: weights chosen on {m.validation} validation seeds for every number of calls, "
        f"figures of {m.seeds} test seeds; means with 95 % Student intervals over seeds. Squared MMD, unbiased, x 1000 "
        f"({KERNEL}).",
        grid(["MMD^2 x 1000, by network calls", *head], table),
        "Paired differences at the same number of calls.",
        grid(["difference x 1000", *head], gaps),
        *(blur_tables({**m.blurs, **{name(r): r.blurs for r in m.rows}}, m.data_blur, head) if m.data_blur else ()),
        "The chosen weights gamma1, gamma2, gamma3 (1/2 is none; with matched noise 0), and in brackets the backward "
        "passes a sample, each worth about two calls, which are not in the number of calls.",
        grid(["weights", *head], weights),
        *(momentum_verdict(m, f, MATCHED_WEIGHTS if f == "matched noise" else POINT_GAMMAS) for f in families(m.rows)),
        multistep_verdict(m),
    ]


@part("flow", "momentum", 1, "momentum-seeds", 10, 2, 1000, fits=lambda m: in_the_plane(m) and weighable(m))
def momentum(job: Job) -> Outcome:
    """What momentum does at equal network calls."""
    if not in_the_plane(job.model):
        return Outcome(["Not applicable: this part is of flows in the plane."])
    if not weighable(job.model):
        return Outcome([
            "Not applicable: momentum is weighted with the noise of the path and needs its score, so only a net of the "
            "IDFF path with independent ends has any."
        ])  # fmt: skip
    return Outcome(momentum_blocks(measure_momentum(job.model, density_of(job.model), job.count, job.progress)))
