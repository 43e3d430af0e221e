"""MMD^2 against network calls on two densities, trained nets: OT-CFM, I-CFM, IDFF as published, and ours.

All nets have one architecture, optimizer, batch and number of steps; every seed trains its own. Momentum weights are
chosen for each method, density and NFE on validation noise and data, over all seeds at once; the table is of test noise
and data. NFE is counted; orders 2 and 3 of the published drift need backward passes on top, which are not in it.
Trained nets are kept in `FOLDER`, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import print_table
from flow_core import load
from flow_core.distances import MMD
from flow_core.fields import Exact, Predict, Preserving, Published
from flow_core.model import FlowConfig, FlowModel, save
from flow_core.networks import PointConfig
from flow_core.objective import FlowTask, velocity_loss
from flow_core.recipes import toy_task
from flow_core.samplers import Diverged, SampleResult, euler, euler_maruyama, heun, multistep, rk4, step_noise
from flow_core.toys import Toy, toy
from flow_core.train import train_live
from foundation import noise
from foundation.randomness import derived_seed
from foundation.training import TrainingConfig

FOLDER = Path("runs/benchmark_flow")
SIGMA0 = 0.2
NETS = {
    "I-CFM": FlowConfig("icfm", 0.0, predicts="velocity"),
    "OT-CFM": FlowConfig("otcfm", 0.0, predicts="velocity"),
    "IDFF": FlowConfig("idff", SIGMA0, predicts="x1"),
}
PEER = "torchcfm OT-CFM"
GAMMAS = (
    (-80.0, -40.0, -20.0, -10.0, -5.0, -2.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0),
    (-3.0, -1.0, -0.3, -0.1, 0.1, 0.3, 1.0, 3.0),
    (-1.0, -0.3, -0.1, -0.03, 0.03, 0.1, 0.3, 1.0),
)
MATCHED = (0.25, 1.0, 3.0, 10.0, 30.0)
OURS = ("IDFF net, matched noise", "IDFF net, multistep", "OT-CFM net, multistep", "OT-CFM net, RK4")
BASELINE = "OT-CFM net, Euler"


@dataclass(frozen=True)
class Plan:
    """Attributes: steps, batch of a training; points in each cloud; validation = points there; nfes, ascending."""

    densities: tuple[str, ...] = ("8gaussians", "checkerboard")
    seeds: int = 5
    steps: int = 2000
    batch: int = 256
    width: int = 128
    points: int = 4096
    validation: int = 1024
    nfes: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)
    target: int = 5

    def training(self, seed: int) -> TrainingConfig:
        return TrainingConfig(
            images=self.steps * self.batch, batch=self.batch, lr=5e-3, warmup=20 * self.batch,
            ema_halflife=100 * self.batch, seed=seed,
        )  # fmt: skip


class PeerTask(FlowTask):
    """The same net trained on the pairs, times and targets of the torchcfm package."""

    def __init__(self, task: FlowTask, matcher):
        super().__init__(task.model, task.draw_data, task.config)
        self.matcher = matcher

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        (x1,) = self.draw_data(n, generator)
        x0 = torch.randn(x1.shape, generator=generator)
        with torch.random.fork_rng(devices=[]):  # that package draws from the global generator
            torch.manual_seed(derived_seed(step, n))
            t, x, u = self.matcher.sample_location_and_conditional_flow(x0, x1)
        return x, t, u

    def forward(self, progress, x, t, u) -> dict[str, Tensor]:
        return velocity_loss(self.model, x, t, u)


def peer_matcher():
    """torchcfm's exact OT matcher where the package is installed, else None."""
    if importlib.util.find_spec("torchcfm") is None:
        return None
    module = importlib.import_module("torchcfm.conditional_flow_matching")
    return module.ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)


def trained(name: str, density: Toy, seed: int, plan: Plan, folder: Path) -> FlowModel:
    """One net, from the folder when it was trained before by the same plan."""
    flow, config = NETS[name.replace(PEER, "OT-CFM")], plan.training(seed)
    task = toy_task(density, flow, PointConfig(width=plan.width), seed=seed)
    about = json.dumps([name, density.name, asdict(task.model.flow), asdict(task.model.config), asdict(config)])
    file = folder / f"{density.name}-{hashlib.sha256(about.encode()).hexdigest()[:16]}.safetensors"
    if not file.exists():
        task = PeerTask(task, peer_matcher()) if name == PEER else task
        for _ in train_live(task, config, every=plan.steps):
            pass
        save(task.model, file, {"name": name, "density": density.name, "seed": seed}, dtype=torch.float32)
    return load(file)


# ---------------------------------------------------------------------------------------------------------------------
# Methods: (net, noise seeds, NFE, gammas) -> SampleResult

Method = Callable[[Predict, range, int, tuple[float, ...]], SampleResult]
IDFF_PATH = NETS["IDFF"].make_path()


@functools.lru_cache(maxsize=32)
def _start(seeds: range) -> Tensor:
    return noise(seeds, (2,))


def _exact(sampler, flow: FlowConfig) -> Method:
    return lambda net, seeds, nfe, gammas: sampler(net, _start(seeds), Exact(flow.make_path()), nfe)


def _multistep(flow: FlowConfig) -> Method:
    return lambda net, seeds, nfe, gammas: multistep(net, _start(seeds), flow.make_path(), nfe)


def _published(net, seeds, nfe, gammas) -> SampleResult:
    return euler(net, _start(seeds), Published(IDFF_PATH, gammas), nfe)


def _matched(net, seeds, nfe, gammas) -> SampleResult:
    draw = step_noise([derived_seed(s, 1) for s in seeds], (2,), nfe)
    return euler_maruyama(net, _start(seeds), Preserving(IDFF_PATH, gammas[0]), nfe, draw=draw)


@dataclass(frozen=True)
class Row:
    """Attributes: net it runs on ("oracle" = closed form); method; order = momentum weights to choose, 0 for none."""

    net: str
    method: Method
    order: int = 0
    grid: tuple[float, ...] = ()


def rows(peer: bool) -> dict[str, Row]:
    """The lines of the table, by name."""
    icfm, otcfm, idff = (NETS[n] for n in ("I-CFM", "OT-CFM", "IDFF"))
    table = {
        BASELINE: Row("OT-CFM", _exact(euler, otcfm)),
        "OT-CFM net, Heun": Row("OT-CFM", _exact(heun, otcfm)),
        "I-CFM net, Euler": Row("I-CFM", _exact(euler, icfm)),
        "IDFF net, Euler on v": Row("IDFF", _exact(euler, idff)),
        **{f"IDFF net, published order {k}": Row("IDFF", _published, k) for k in (1, 2, 3)},
        "IDFF net, matched noise": Row("IDFF", _matched, 1, MATCHED),
        "IDFF net, multistep": Row("IDFF", _multistep(idff)),
        "OT-CFM net, multistep": Row("OT-CFM", _multistep(otcfm)),
        "OT-CFM net, RK4": Row("OT-CFM", _exact(rk4, otcfm)),
        "oracle, Euler on v": Row("oracle", _exact(euler, idff)),
        "oracle, multistep": Row("oracle", _multistep(idff)),
    }
    return table | ({f"{PEER} net, Euler": Row(PEER, _exact(euler, otcfm))} if peer else {})


def _seeds(part: int, seed: int, n: int) -> range:
    """Noise seeds of validation (part 1) and test (part 2), apart for every training seed."""
    start = derived_seed(part, seed) // 2  # room above for n more
    return range(start, start + n)


def _distance(row: Row, net: Predict, seeds: range, nfe: int, gammas: tuple[float, ...], mmd: MMD) -> float:
    try:
        return mmd.unbiased(row.method(net, seeds, nfe, gammas).x)
    except (Diverged, ValueError):  # also gammas whose square root is not real
        return float("inf")


def choose_gammas(row: Row, nets: list[Predict], nfe: int, references: list[MMD], points: int) -> tuple[float, ...]:
    """Weights with the least mean validation MMD^2: the first scanned, then the second with it held, and so on."""
    best: tuple[float, ...] = ()
    for k in range(row.order):
        score = {}
        for gamma in (row.grid or GAMMAS[k]) if k == 0 else (0.0, *GAMMAS[k]):
            trial = (*best, gamma)
            score[trial] = statistics.fmean(
                _distance(row, net, _seeds(1, i, points), nfe, trial, references[i]) for i, net in enumerate(nets)
            )
        best = min(score, key=score.__getitem__)
    return best


@dataclass(frozen=True)
class Measured:
    """Attributes: density, name of the row, nfe, chosen gammas, MMD^2 for each seed."""

    density: str
    name: str
    nfe: int
    gammas: tuple[float, ...]
    values: tuple[float, ...]

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
        for net in (*NETS, *([PEER] if peer else [])):
            nets[net] = [trained(net, density, seed, plan, folder) for seed in range(plan.seeds)]
            report(f"{name}: {net} trained ({plan.seeds} seeds of {plan.steps:,} steps)")
        # data seeds: 10_000 + validation, 20_000 + test, 30_000 + the data that stand for a perfect sampler
        validation = [MMD(density.sample(plan.validation, 10_000 + i)) for i in range(plan.seeds)]
        test = [MMD(density.sample(plan.points, 20_000 + i)) for i in range(plan.seeds)]
        floor = tuple(m.unbiased(density.sample(plan.points, 30_000 + i)) for i, m in enumerate(test))
        out.append(Measured(name, "data", 0, (), floor))
        for label, row in table.items():
            for nfe in plan.nfes:
                gammas = choose_gammas(row, nets[row.net], nfe, validation, plan.validation)
                values = tuple(
                    _distance(row, net, _seeds(2, i, plan.points), nfe, gammas, test[i])
                    for i, net in enumerate(nets[row.net])
                )
                out.append(Measured(name, label, nfe, gammas, values))
            report(f"{name}: {label} measured")
    return out


def best_of_ours(measured: list[Measured], density: str, nfe: int) -> tuple[str, float]:
    """The best of our rows at an NFE and its MMD^2 over that of Euler OT-CFM."""
    at = {m.name: m.mean for m in measured if m.density == density and m.nfe == nfe}
    name = min(OURS, key=at.__getitem__)
    return name, at[name] / at[BASELINE]


def _cell(values: tuple[float, ...]) -> str:
    spread = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{1e3 * statistics.fmean(values):.2f} ± {1e3 * spread:.2f}"


def show(measured: list[Measured], plan: Plan) -> None:
    """One table, then what was chosen and how ours compare."""
    lines = []
    for density in plan.densities:
        mine = [m for m in measured if m.density == density]
        for name in dict.fromkeys(m.name for m in mine):
            cells = {m.nfe: _cell(m.values) for m in mine if m.name == name}
            lines.append([density, name, *(cells.get(n, cells.get(0, "")) for n in plan.nfes)])
    title = f"MMD^2 x 1000 (unbiased, bandwidth 1), mean ± standard error of {plan.seeds} seeds, against NFE"
    print_table(title, ["density", "method", *map(str, plan.nfes)], lines)
    print()
    for density in plan.densities:
        name, ratio = best_of_ours(measured, density, plan.target)
        verdict = "reached" if ratio <= 0.4 else "missed"
        print(f"{density}: best of ours at NFE {plan.target}: {name}, {ratio:.2f} of Euler OT-CFM; goal 0.40 {verdict}")
        for m in measured:
            if m.density == density and m.nfe == plan.target and m.gammas:
                print(f"{density}: {m.name}: gammas chosen at NFE {m.nfe}: {', '.join(f'{g:g}' for g in m.gammas)}")


def run() -> None:
    """The whole measurement; most of its time is the exact transport plans of the OT-CFM trainings."""
    plan = Plan()
    show(measure(plan), plan)
