"""The methods of the flow benchmark: which net, which sampler, and what is chosen for it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from benchmarks.flow_nets import PEER_FLOW, TRAINED_NETS
from flow_core import samplers
from flow_core.fields import Exact, Predict, Preserving, Published
from flow_core.model import FlowConfig
from flow_core.samplers import SampleResult, Spacing, euler, euler_maruyama, heun, mean_flow, multistep, rk4
from foundation import noise
from foundation.randomness import derived_seed

SEARCHED_GAMMAS = (-80.0, -40.0, -20.0, -10.0, -5.0, -2.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the first order
SEARCHED_HIGHER = (0.0, -3.0, -1.0, -0.3, -0.1, -0.03, 0.03, 0.1, 0.3, 1.0, 3.0)  # of each further one, none first
MATCHED = (0.25, 1.0, 3.0, 10.0, 30.0)
EXPONENTS = (0.8, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5)  # p of the time grids (k / N)^p; 1 is uniform, more begins slowly
GRID = "chosen grid"
# solvers and grids on nets that others train as well: what is chosen among them is standard practice
SOLVERS_AND_GRIDS = (
    "IDFF net, matched noise", f"IDFF net, multistep, {GRID}",
    *(f"OT-CFM net, {s}, {GRID}" for s in ("Heun", "RK4", "multistep")),
)  # fmt: skip
PAPERS = (0.2, -0.5, 0.0)  # the public code's weights for the 8 Gaussians
BASELINE = "OT-CFM net, Euler"
GRADED = f"{BASELINE}, {GRID}"
JUMPS = "MeanFlow net, jumps"
PEER_ROW = f"{PEER_FLOW} net, Euler"

# Methods: (net, noise seeds, NFE, what was chosen: gammas or the exponent of the grid) -> SampleResult

Method = Callable[[Predict, range, int, tuple[float, ...]], SampleResult]
IDFF_PATH = TRAINED_NETS["IDFF"].make_path()


@functools.lru_cache(maxsize=32)
def _start(seeds: range) -> Tensor:
    return noise(seeds, (2,))


_rk4_by_calls = functools.partial(rk4, proportional=True)


def _exact(sampler, flow: FlowConfig) -> Method:
    return lambda net, seeds, nfe, gammas: sampler(net, _start(seeds), Exact(flow.make_path()), nfe)


def _multistep(flow: FlowConfig) -> Method:
    return lambda net, seeds, nfe, gammas: multistep(net, _start(seeds), flow.make_path(), nfe)


def _power_grid(exponent: float) -> Spacing:
    return lambda steps: samplers.uniform_grid(steps) ** exponent


def _graded(sampler, flow: FlowConfig) -> Method:
    return lambda net, seeds, nfe, choice: sampler(
        net, _start(seeds), Exact(flow.make_path()), nfe, spacing=_power_grid(choice[0])
    )


def _graded_multistep(flow: FlowConfig) -> Method:
    return lambda net, seeds, nfe, choice: multistep(
        net, _start(seeds), flow.make_path(), nfe, spacing=_power_grid(choice[0])
    )


def _published(net, seeds, nfe, gammas) -> SampleResult:
    return euler(net, _start(seeds), Published(IDFF_PATH, gammas), nfe)


def _published_rk4(net, seeds, nfe, gammas) -> SampleResult:
    """As the authors' script samples the plane, with every call counted."""
    return rk4(net, _start(seeds), Published(IDFF_PATH, PAPERS), nfe)


def _matched(net, seeds, nfe, gammas) -> SampleResult:
    draw = samplers.step_noise([derived_seed(s, 1) for s in seeds], (2,), nfe)
    return euler_maruyama(net, _start(seeds), Preserving(IDFF_PATH, gammas[0]), nfe, draw=draw)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        net: it runs on; "oracle" = closed form.
        method: what it does.
        order: how many numbers are chosen for it.
        grid: what the first is chosen from, by default momentum weights.
    """

    net: str
    method: Method
    order: int = 0
    grid: tuple[float, ...] = ()


def rows(peer: bool) -> dict[str, Row]:
    """The lines of the table, by name."""
    icfm, otcfm, idff, paired, _ = TRAINED_NETS.values()
    table = {
        BASELINE: Row("OT-CFM", _exact(euler, otcfm)),
        GRADED: Row("OT-CFM", _graded(euler, otcfm), 1, EXPONENTS),
        "I-CFM net, Euler": Row("I-CFM", _exact(euler, icfm)),
        "IDFF net, Euler on v": Row("IDFF", _exact(euler, idff)),
        "IDFF net, Heun": Row("IDFF", _exact(heun, idff)),
        "IDFF net, RK4": Row("IDFF", _exact(rk4, idff)),
        "IDFF net, RK4, steps by calls": Row("IDFF", _exact(_rk4_by_calls, idff)),
        "IDFF net, published weights of the paper, RK4": Row("IDFF", _published_rk4),
        "IDFF + OT net, Euler on v": Row("IDFF + OT", _exact(euler, paired)),
        "IDFF + OT net, RK4": Row("IDFF + OT", _exact(rk4, paired)),
        **{f"IDFF net, published order {k}": Row("IDFF", _published, k) for k in (1, 2, 3)},
        "IDFF net, matched noise": Row("IDFF", _matched, 1, MATCHED),
        "IDFF net, multistep": Row("IDFF", _multistep(idff)),
        f"IDFF net, multistep, {GRID}": Row("IDFF", _graded_multistep(idff), 1, EXPONENTS),
        "OT-CFM net, RK4": Row("OT-CFM", _exact(rk4, otcfm)),
        f"OT-CFM net, Heun, {GRID}": Row("OT-CFM", _graded(heun, otcfm), 1, EXPONENTS),
        f"OT-CFM net, RK4, {GRID}": Row("OT-CFM", _graded(rk4, otcfm), 1, EXPONENTS),
        f"OT-CFM net, multistep, {GRID}": Row("OT-CFM", _graded_multistep(otcfm), 1, EXPONENTS),
        JUMPS: Row("MeanFlow", lambda net, seeds, nfe, gammas: mean_flow(net, _start(seeds), nfe)),
        "oracle, Euler on v": Row("oracle", _exact(euler, idff)),
        "oracle, multistep": Row("oracle", _multistep(idff)),
    }
    return table | ({PEER_ROW: Row(PEER_FLOW, _exact(euler, otcfm))} if peer else {})
