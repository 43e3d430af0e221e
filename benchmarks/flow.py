"""MMD^2 and blur against network calls on two densities, trained nets: OT-CFM, I-CFM, IDFF with and without transport.

All nets have one architecture, optimizer, batch and number of steps; every seed trains its own. Momentum weights, time
grids and the best solver with its grid are chosen for each density and NFE on validation noise and data, over all
seeds at once; the table is of test noise and data. NFE is counted; orders 2 and 3 of the published drift need backward
passes on top, which are not in it. Where torchcfm is installed, its OT-CFM matcher trains the same net with the same
budget, for the same solver. Trained nets are kept in `FOLDER`, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.evaluate.flow.momentum import choose
from benchmarks.flow_methods import (
    BASELINE,
    GRADED,
    GRID,
    IDFF_PATH,
    JUMPS,
    PEER_ROW,
    SEARCHED_GAMMAS,
    SEARCHED_HIGHER,
    SOLVERS_AND_GRIDS,
    Row,
    rows,
)
from benchmarks.flow_nets import MAX_SEEDS, PEER_FLOW, TRAINED_NETS, Plan, peer_matcher, trained
from benchmarks.timing import print_table
from flow_core.densities.distances import MMD, Blur, blur
from flow_core.densities.toys import TOYS, toy
from flow_core.fields import Predict
from flow_core.samplers import Diverged
from foundation.metrics.statistics import mean_interval, ratio_interval
from foundation.randomness import derived_seed

FOLDER = Path("runs/benchmark_flow")
ERROR_GOAL = 0.4


def _seeds(part: int, seed: int, n: int) -> range:
    """Noise seeds of validation (part 1) and test (part 2), apart for every training seed."""
    start = derived_seed(part, seed) // 2  # room above for n more
    return range(start, start + n)


def _samples(row: Row, net: Predict, seeds: range, nfe: int, chosen: tuple[float, ...]) -> Tensor:
    result = row.method(net, seeds, nfe, chosen)
    if result.nfe != nfe:
        raise RuntimeError(f"A method spent {result.nfe} network calls, not {nfe}.")
    return result.x


def _samples_or_none(*asked) -> Tensor | None:
    try:
        return _samples(*asked)
    except Diverged:
        return None


@dataclass(frozen=True)
class Validation:
    """What choices are made on; scores are remembered, since higher orders ask again for lower ones.

    Attributes:
        nets: name -> one for each training seed.
        references: data of each seed.
        points: noises of each seed.
        known: scores so far.
    """

    nets: dict[str, list[Predict]]
    references: list[MMD]
    points: int
    known: dict[tuple, float] = field(default_factory=dict)

    def score(self, row: Row, nfe: int, chosen: tuple[float, ...]) -> float:
        """Mean unbiased MMD^2 over seeds; infinite where it diverges, or the gammas' square root is not real."""
        key = (row.net, row.method, nfe, chosen)
        if key not in self.known:
            try:
                self.known[key] = statistics.fmean(
                    m.unbiased(_samples(row, net, _seeds(1, i, self.points), nfe, chosen))
                    for i, (net, m) in enumerate(zip(self.nets[row.net], self.references, strict=True))
                )
            except (Diverged, ValueError):
                self.known[key] = float("inf")
        return self.known[key]

    def choose(self, row: Row, nfe: int) -> tuple[float, ...]:
        """The numbers of least score: the first scanned, then the second with it held, and so on."""
        if not row.order:
            return ()
        score = lambda chosen: self.score(row, nfe, chosen)  # noqa: E731
        return choose(score, range(1, row.order + 1), row.grid or SEARCHED_GAMMAS, SEARCHED_HIGHER)[-1]


@dataclass(frozen=True)
class Measured:
    """One cell of the table.

    Attributes:
        density, name: of the row.
        nfe: 0 for data in the place of samples.
        chosen: gammas, or the exponent of the grid.
        validation: mean MMD^2 there.
        values, biased: MMD^2 of each seed on the test, unbiased against many data, and biased against as many data as
            there are points, as the public code has it.
        spread, beyond: of each seed's points, see `flow_core.densities.distances.Blur`: the MMD hides blur.
    """

    density: str
    name: str
    nfe: int
    chosen: tuple[float, ...]
    validation: float
    values: tuple[float, ...]
    biased: tuple[float, ...]
    spread: tuple[float, ...] = ()
    beyond: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)


def measure(plan: Plan, folder: Path = FOLDER, report: Callable[[str], None] = print) -> list[Measured]:
    """Trains what is missing and measures every row."""
    peer = peer_matcher() is not None
    table, out = rows(peer), []
    for name in plan.densities:
        density = toy(name)
        nets: dict[str, list[Predict]] = {"oracle": [density.density.oracle(IDFF_PATH)] * plan.seeds}
        for net in (*TRAINED_NETS, *([PEER_FLOW] if peer else [])):
            nets[net] = [trained(net, density, seed, plan, folder) for seed in range(plan.seeds)]
            report(f"{name}: {net} trained ({plan.seeds} seeds of {plan.steps:,} steps)")
        # data seeds: 10_000 + validation, 20_000 + test, 30_000 + the data that stand for a perfect sampler
        data = [density.sample(plan.reference, 20_000 + i) for i in range(plan.seeds)]
        test = [(MMD(d), MMD(d[: plan.points])) for d in data]
        known = [MMD(density.sample(plan.validation, 10_000 + i)) for i in range(plan.seeds)]
        validation = Validation(nets, known, plan.validation)

        def measured(label, nfe, chosen, score, clouds, test=test, density=density) -> Measured:
            both = [
                (math.inf, math.inf) if x is None else (many.unbiased(x), few.biased(x))
                for (many, few), x in zip(test, clouds, strict=True)
            ]
            blurs = [Blur(math.nan, math.nan) if x is None else blur(density.density, x) for x in clouds]
            return Measured(
                density.name, label, nfe, chosen, score, *map(tuple, zip(*both, strict=True)),
                tuple(b.spread for b in blurs), tuple(b.beyond for b in blurs),
            )  # fmt: skip

        perfect = [density.sample(plan.points, 30_000 + i) for i in range(plan.seeds)]
        out.append(measured("data", 0, (), 0.0, perfect))
        for label, row in table.items():
            for nfe in plan.nfes:
                chosen = validation.choose(row, nfe)
                clouds = [
                    _samples_or_none(row, n, _seeds(2, i, plan.points), nfe, chosen)
                    for i, n in enumerate(nets[row.net])
                ]
                out.append(measured(label, nfe, chosen, validation.score(row, nfe, chosen), clouds))
            report(f"{name}: {label} measured")
    return out


def best_solver_and_grid(measured: list[Measured], density: str, nfe: int) -> Measured:
    """The row of `SOLVERS_AND_GRIDS` with the least MMD^2 on the validation at an NFE."""
    rows = [m for m in measured if (m.density, m.nfe) == (density, nfe) and m.name in SOLVERS_AND_GRIDS]
    return min(rows, key=lambda m: m.validation)


def _cell(m: Measured) -> str:
    spread = statistics.stdev(m.values) / len(m.values) ** 0.5 if len(m.values) > 1 else 0.0
    return f"{1e3 * m.mean:.2f} ± {1e3 * spread:.2f} ({1e3 * statistics.fmean(m.biased):.2f})"


def show(measured: list[Measured], plan: Plan) -> None:
    """One table, then what was chosen and how solver and grid compare."""
    lines = []
    for density in plan.densities:
        mine = [m for m in measured if m.density == density]
        for name in dict.fromkeys(m.name for m in mine):
            cells = {m.nfe: _cell(m) for m in mine if m.name == name}
            lines.append([density, name, *(cells.get(n, cells.get(0, "")) for n in plan.nfes)])
    title = (
        f"MMD^2 x 1000 (unbiased, bandwidth 1), mean ± standard error of {plan.seeds} seeds, against NFE; in brackets "
        f"biased, of {plan.points:,} points and as many data"
    )
    print_table(title, ["density", "method", *map(str, plan.nfes)], lines)
    print()
    blurs = [
        [m.density, m.name, f"{statistics.fmean(m.spread):.3f}", f"{statistics.fmean(m.beyond):.4f}"]
        for m in measured
        if m.nfe in (0, plan.target) and m.spread
    ]
    if blurs:
        print_table(
            f"Blur at NFE {plan.target}: spread within modes, and share of points beyond 3 standard deviations",
            ["density", "method", "spread", "beyond"], blurs,
        )  # fmt: skip
        print()
    for density in plan.densities:
        best, at = best_solver_and_grid(measured, density, plan.target), {}
        for m in measured:
            if m.density == density and m.nfe == plan.target:
                at[m.name] = m
        print(f"{density}: best solver and grid at NFE {plan.target} by the validation: {best.name}")
        for other in (BASELINE, GRADED):
            print(f"{density}: its MMD^2 over that of {other}: {_ratio(best, at[other])}")
        reached = "reached" if best.mean <= ERROR_GOAL * at[BASELINE].mean else "missed"
        print(f"{density}: goal of {ERROR_GOAL:.2f} of {BASELINE}: {reached}")
        _peers({(m.name, m.nfe): m for m in measured if m.density == density}, density, plan)
        for m in at.values():
            if m.chosen:
                what = "exponent of the grid" if GRID in m.name else "gammas"
                print(f"{density}: {m.name}: {what} chosen: {', '.join(f'{g:g}' for g in m.chosen)}")


def _peers(cells: dict[tuple[str, int], Measured], density: str, plan: Plan) -> None:
    """One call of MeanFlow against OT-CFM at one call and at the target; OT-CFM against the peer's."""
    few = sorted({1, plan.target} & set(plan.nfes))
    against = [name for name in (BASELINE, PEER_ROW) if (name, few[0]) in cells]
    if (JUMPS, 1) in cells:
        for name in against:
            for nfe in few:
                print(f"{density}: {JUMPS}, NFE 1, over {name}, NFE {nfe}: {_ratio(cells[JUMPS, 1], cells[name, nfe])}")
    if PEER_ROW in against:
        for nfe in plan.nfes:
            mine, other = cells[BASELINE, nfe].values, cells[PEER_ROW, nfe].values
            gaps = [1000 * (a - b) for a, b in zip(mine, other, strict=True)]
            if len(gaps) > 1:
                v = mean_interval(gaps)
                print(
                    f"{density}: {BASELINE} less {PEER_ROW}, NFE {nfe}, MMD^2 x 1000: {v.value:+.2f}, "
                    f"95 % interval [{v.low:.2f}, {v.high:.2f}]"
                )


def _ratio(m: Measured, other: Measured) -> str:
    """Ratio of means over seeds, whose nets and noise are the same for both: hence paired."""
    if len(m.values) < 2:
        return f"{m.mean / other.mean:.2f}"
    v = ratio_interval(m.values, other.values)
    return f"{v.value:.2f}, 95 % interval [{v.low:.2f}, {v.high:.2f}] (Fieller, Student's t over seeds)"


def run(seeds: int | None = None, density: str | None = None) -> None:
    """The whole measurement, or fewer trainings of each net, or one density.

    Raises:
        UserError: no such number or density.
    """
    plan = Plan()
    if seeds is not None:
        plan = replace(plan, seeds=whole(seeds, 2, MAX_SEEDS, "--seeds"))
    if density is not None:
        if density not in TOYS:
            raise UserError(f"--density is one of {', '.join(TOYS)}, not {density!r}.")
        plan = replace(plan, densities=(density,))
    show(measure(plan), plan)
