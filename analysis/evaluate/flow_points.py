"""Flows on densities of the plane, sampler beside sampler: what `analysis.evaluate.parts` prints.

All noise and data are held out. A unit is one seed: its own cloud of noise, the same for every method, and its own data
to compare with, so that differences are paired. Intervals are Student's over seeds (`foundation.student`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.progress import Progress
from analysis.evaluate.markdown import grid, interval, sign, verdict
from analysis.evaluate.momentum import EULER, MULTISTEP, SEED_ROOM, Momentum, MomentumRow, counted, over_seeds
from flow_core.densities.distances import MMD, wasserstein2
from flow_core.densities.toys import TOYS, Toy, toy
from flow_core.fields import Exact, MomentumODE, Preserving, Published
from flow_core.model import FlowModel
from flow_core.samplers import Diverged, SampleResult, euler, euler_maruyama, heun, multistep, rk4, step_noise
from flow_core.series.scores import Interval
from foundation import noise
from foundation.randomness import FIRST_SEED

SHOWN_NFE = (1, 2, 3, 5, 10, 20)
MOMENTUM_NFE = (2, 3, 5, 10)  # with one call, at t = 0, there is no momentum
POINTS, REFERENCE, ASSIGNED = 2048, 8192, 512  # a seed's points, data to compare them with, and points in W2
VALIDATION_SEEDS = 4
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


KERNEL = f"kernel exp(-d^2/2), {POINTS:,} points a seed against {REFERENCE:,} data points"


def thousandths(v: Interval, form: str = ".2f") -> str:
    """1000 times a figure with its interval."""
    return interval(Interval(1e3 * v.value, 1e3 * v.low, 1e3 * v.high), form)


def at_calls(nfes: Sequence[int]) -> str:
    """Numbers of calls in words: "3 and 5 calls", "no number of calls"."""
    if not nfes:
        return "no number of calls"
    *most, last = map(str, nfes)
    return f"{', '.join(most)} and {last} calls" if most else f"{last} call{'s' if last != '1' else ''}"


# ---------------------------------------------------------------------------------------------------------------------
# Quality


def quality_text(q: Quality) -> str:
    """Squared MMD and W2 by method and number of calls, with the verdict."""
    head = list(map(str, q.nfe))
    same = [thousandths(q.data_mmd2), *["same"] * (len(q.nfe) - 1)]
    mmd2 = [[name, *map(thousandths, row)] for name, row in q.mmd2.items()]
    gaps = [[name, *(thousandths(v, "+.2f") for v in row)] for name, row in q.less_euler.items()]
    w2 = [[name, *(interval(v, ".3f") for v in row)] for name, row in q.w2.items()]
    floor = [interval(q.data_w2, ".3f"), *["same"] * (len(q.nfe) - 1)]
    return "\n\n".join([
        f"Samples of {q.density} against held-out data, {q.seeds} seeds of noise and data, the same for every method; "
        f"means with 95 % Student intervals over seeds. Squared MMD, unbiased, x 1000 ({KERNEL}).",
        grid(["MMD^2 x 1000, by network calls", *head], [*mmd2, ["data in place of samples", *same]]),
        "Less Euler's at the same number of calls, paired.",
        grid(["difference x 1000", *head], gaps),
        f"2-Wasserstein distance by exact assignment of {ASSIGNED} points, in the units of the points; so few points "
        "are far from each other even where the laws are equal, as the last row says.",
        grid(["W2, by network calls", *head], [*w2, ["data in place of samples", *floor]]),
        verdict(quality_verdict(q)),
    ])  # fmt: skip


def quality_verdict(q: Quality) -> str:
    """Which methods beat Euler at equal calls, and how many calls each needs for what Euler has with the most."""
    said = []
    for name, row in q.less_euler.items():
        better, worse = ([n for n, d in zip(q.nfe, row, strict=True) if sign(d) == w] for w in (-1, 1))
        said.append(f"{name}: better at {at_calls(better)}, worse at {at_calls(worse)}")
    most, goal = q.nfe[-1], q.mmd2[EULER][-1].value
    needed = [
        f"{name} {n if n else f'more than {most}'}"
        for name, n in ((k, calls_for(q, k, goal)) for k in q.mmd2 if k != EULER)
    ]
    theirs = (
        " The weights of the public code are the paper's, chosen there on the test distance, and its stated 5 calls in "
        "the plane are 50 counted ones."
        if q.density in PAPERS_GAMMAS and any("public code" in k for k in q.mmd2)
        else ""
    )
    return (
        f"Against Euler on the exact flow at equal calls (paired 95 % intervals, not corrected for their number): "
        f"{'; '.join(said)}. Of the calls shown, Euler's mean distance with {most} is reached with: "
        f"{', '.join(needed)}. (The paper claims about ten times fewer calls than flow matching.){theirs}"
    )


def calls_for(q: Quality, method: str, goal: float) -> int | None:
    """The fewest calls shown at which a method's mean distance is at most the goal."""
    return next((n for n, v in zip(q.nfe, q.mmd2[method], strict=True) if v.value <= goal), None)


# ---------------------------------------------------------------------------------------------------------------------
# Momentum


def momentum_text(m: Momentum) -> str:
    """Distances, paired differences and the chosen weights by family and order, with the verdicts."""
    head = list(map(str, m.nfe))
    name = lambda r: f"{r.family}, order {r.order}"  # noqa: E731
    table = [[EULER, *map(thousandths, m.euler)], [MULTISTEP, *map(thousandths, m.multistep)]]
    table += [[name(r), *map(thousandths, r.mmd2)] for r in m.rows]
    signed = lambda row: [thousandths(v, "+.2f") for v in row]  # noqa: E731
    gaps = [[f"{name(r)}, less Euler", *signed(r.less_euler)] for r in m.rows]
    gaps += [[f"{name(r)}, less no momentum", *signed(r.less_none)] for r in m.rows if r.family == "published drift"]
    gaps.append([f"published drift, order 1, less {MULTISTEP}", *signed(m.less_multistep)])
    chosen = [
        [name(r), *(f"{', '.join(f'{g:g}' for g in v)} ({d})" for v, d in zip(r.gammas, r.derivatives, strict=True))]
        for r in m.rows
    ]
    return "\n\n".join([
        f"Momentum on {m.density}: weights chosen on {m.validation} validation seeds for every number of calls, "
        f"figures of {m.seeds} test seeds; means with 95 % Student intervals over seeds. Squared MMD, unbiased, x 1000 "
        f"({KERNEL}).",
        grid(["MMD^2 x 1000, by network calls", *head], table),
        "Paired differences at the same number of calls.",
        grid(["difference x 1000", *head], gaps),
        "The chosen weights gamma1, gamma2, gamma3 (1/2 is none; with matched noise 0), and in brackets the backward "
        "passes a sample, each worth about two calls, which are not in the number of calls.",
        grid(["weights", *head], chosen),
        verdict(*(momentum_verdict(m, family) for family in dict.fromkeys(r.family for r in m.rows)),
                multistep_verdict(m)),
    ])  # fmt: skip


def momentum_verdict(m: Momentum, family: str, grids: Mapping[str, Sequence[float]] | None = None) -> str:
    """Whether a family's momentum helps: better than the exact Euler flow and than the family without momentum.

    It hurts where it is worse than either: the published drift leaves out a term of the velocity, which is no
    momentum, so that being worse than Euler alone may be the fault of that.

    Args:
        m: what was measured.
        family: of it.
        grids: family -> first weights that were tried; those of flows in the plane by default.
    """
    said, helped, hurt = [], False, False
    for r in (r for r in m.rows if r.family == family):
        both = list(zip(m.nfe, r.less_euler, r.less_none, strict=True))
        good = [n for n, e, o in both if sign(e) < 0 and sign(o) < 0]
        bad = [n for n, e, o in both if sign(e) > 0 or sign(o) > 0]
        unsettled = [n for n in m.nfe if n not in good and n not in bad]
        helped, hurt = helped or bool(good), hurt or bool(bad)
        said.append(
            f"order {r.order} helps at {at_calls(good)}, hurts at {at_calls(bad)}, cannot be told at "
            f"{at_calls(unsettled)}"
        )
    word = {
        (True, False): "momentum helps", (False, True): "momentum hurts", (False, False): "it cannot be told",
        (True, True): "momentum helps at some numbers of calls and hurts at others",
    }[helped, hurt]  # fmt: skip
    used = sorted({g[0] for r in m.rows if r.family == family for g in r.gammas})
    tried = grids[family] if grids else MATCHED if family == "matched noise" else GAMMAS
    return (
        f"{family.capitalize()}: {word} (helps = better than the exact Euler flow and than the same drift without "
        f"momentum, hurts = worse than either, by paired 95 % intervals not corrected for their number): "
        f"{'; '.join(said)}. The gamma1 chosen: {', '.join(f'{g:g}' for g in used)}{_edges(tried, used)}."
    )


def _edges(tried: Sequence[float], used: Sequence[float]) -> str:
    ends = [f"{g:g}" for g in used if g == max(tried) or (g == min(tried) and g < 0)]
    return f" (at the end of those tried, so that the best may lie beyond: {', '.join(ends)})" if ends else ""


def multistep_verdict(m: Momentum) -> str:
    """The published first order against the multistep, which has no weights to choose and costs as many calls."""
    where: Callable[[int], str] = lambda w: at_calls(  # noqa: E731
        [n for n, d in zip(m.nfe, m.less_multistep, strict=True) if sign(d) == w]
    )
    return f"The published first order is better than the multistep at {where(-1)} and worse at {where(1)}."
