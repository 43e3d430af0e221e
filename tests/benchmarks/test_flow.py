"""The flow benchmark on nets of a few steps: cached training, choices on the validation, the table, the ratio."""

import dataclasses
import math
import sys
import types
from pathlib import Path

import pytest
import torch

from analysis.core.errors import UserError
from benchmarks import flow, flow_methods, flow_nets
from flow_core.densities.distances import MMD
from flow_core.densities.toys import toy
from flow_core.fields import Exact, Published
from flow_core.samplers import Diverged, euler, rk4
from foundation import noise
from foundation.metrics.statistics import mean_interval, ratio_interval
from tests.sentences import tells

PLAN = flow_nets.Plan(
    densities=("8gaussians",), seeds=2, steps=4, batch=16, width=8, points=32, reference=48, validation=16,
    nfes=(1, 3), target=3,
)  # fmt: skip
CHOSEN = {"order 1": 1, "order 2": 2, "order 3": 3, "matched noise": 1, flow_methods.GRID: 1}


@pytest.fixture
def few_choices(monkeypatch):
    monkeypatch.setattr(flow, "SEARCHED_GAMMAS", (0.5, 1.0))
    monkeypatch.setattr(flow, "SEARCHED_HIGHER", (0.0, 0.1))
    monkeypatch.setattr(flow_methods, "EXPONENTS", (1.0, 2.0))


def test_the_whole_measurement(tmp_path, few_choices, capsys):
    measured = flow.measure(PLAN, tmp_path, report=lambda line: None)
    files = sorted(tmp_path.iterdir())
    peer = flow_nets.peer_matcher() is not None
    assert len(files) == (len(flow_nets.TRAINED_NETS) + peer) * PLAN.seeds
    names = {m.name for m in measured}
    assert names == {"data", *flow_methods.rows(peer)} and set(flow.SOLVERS_AND_GRIDS) < names
    for m in measured:
        assert len(m.values) == len(m.biased) == 2 and all(map(math.isfinite, (*m.values, *m.biased)))
        assert len(m.beyond) == 2 and all(0 <= b <= 1 for b in m.beyond) and min(m.spread) > 0
        assert len(m.chosen) == next((n for words, n in CHOSEN.items() if m.name.endswith(words)), 0)
    stamps = [f.stat().st_mtime_ns for f in files]
    files[0].unlink()
    assert flow.measure(PLAN, tmp_path, report=lambda line: None) == measured, "a stopped run goes on, to the same"
    assert [f.stat().st_mtime_ns for f in files[1:]] == stamps[1:] and files[0].exists(), "the others trained once"
    flow.show(measured, PLAN)
    out = capsys.readouterr().out
    best = flow.best_solver_and_grid(measured, "8gaussians", 3)
    base = next(m for m in measured if m.name == flow.BASELINE and m.nfe == 3)
    v = ratio_interval(best.values, base.values)
    assert tells(out, flow.BASELINE, *(round(x, 2) for x in (v.value, 95, v.low, v.high)))
    assert out.count("| 8gaussians |") == 2 * len(names) and f"validation: {best.name}\n" in out


def test_momentum_has_its_controls_on_the_same_net_and_transport_beside_it():
    table = flow_methods.rows(False)
    momentum = [row for name, row in table.items() if "published order" in name or "matched" in name]
    controls = ("IDFF net, Euler on v", "IDFF net, Heun", "IDFF net, RK4", "IDFF net, RK4, steps by calls")
    assert {table[name].net for name in controls} == {row.net for row in momentum} and len(momentum) == 4
    assert table["IDFF + OT net, RK4"].net == "IDFF + OT" and flow_nets.TRAINED_NETS["IDFF + OT"].coupling == "exact"
    net, seeds = toy("8gaussians").density.oracle(flow_methods.IDFF_PATH), range(8)
    theirs = table["IDFF net, published weights of the paper, RK4"].method(net, seeds, 8, ())
    drift = Published(flow_methods.IDFF_PATH, (0.2, -0.5, 0.0))
    assert torch.equal(theirs.x, rk4(net, noise(seeds, (2,)), drift, 8).x) and theirs.nfe == 8


def test_a_cell_by_hand(tmp_path, few_choices):
    m = next(c for c in flow.measure(PLAN, tmp_path, print) if c.name == flow.BASELINE and c.nfe == 3)
    density = toy("8gaussians")
    for i in range(2):
        net = flow_nets.trained("OT-CFM", density, i, PLAN, tmp_path)
        x = euler(net, noise(flow._seeds(2, i, 32), (2,)), Exact(net.path), 3).x
        data = density.sample(48, 20_000 + i)
        assert m.values[i] == pytest.approx(MMD(data).unbiased(x), abs=1e-12)
        assert m.biased[i] == pytest.approx(MMD(data[:32]).biased(x), abs=1e-12)


def cells(values):
    return [flow.Measured("d", n, 5, (), v, (t, t + 0.1), (t, t)) for n, (v, t) in values.items()]


def test_the_best_solver_and_grid_is_chosen_by_the_validation_and_not_by_the_test(capsys):
    values = dict.fromkeys(flow_methods.rows(False), (1.0, 1.0)) | {
        flow.BASELINE: (9.0, 4.0), flow.SOLVERS_AND_GRIDS[1]: (0.2, 1.5), flow.SOLVERS_AND_GRIDS[2]: (0.3, 0.5),
        "oracle, multistep": (0.1, 0.1),
    }  # fmt: skip
    assert flow.best_solver_and_grid(cells(values), "d", 5).name == flow.SOLVERS_AND_GRIDS[1]
    plan = dataclasses.replace(PLAN, densities=("d",), nfes=(5,), target=5)
    flow.show(cells(values), plan)
    assert f"0.40 of {flow.BASELINE}: reached" in capsys.readouterr().out
    flow.show(cells(values | {flow.SOLVERS_AND_GRIDS[1]: (0.2, 1.7)}), plan)
    assert f"0.40 of {flow.BASELINE}: missed" in capsys.readouterr().out


def test_one_call_and_the_peer_are_compared_seed_by_seed(capsys):
    def row(name, nfe, *values):
        return flow.Measured("d", name, nfe, (), 1.0, values, values)

    ours, theirs = (4.0, 8.0), (3.0, 8.5)
    measured = [row("data", 0, 0.0, 0.0), row(flow.BASELINE, 1, *ours), row(flow.BASELINE, 5, 1.0, 3.0),
                row(flow.GRADED, 5, 1.0, 2.0), row(flow_methods.PEER_ROW, 1, *theirs),
                row(flow_methods.PEER_ROW, 5, 2.0, 2.5),
                row(flow_methods.JUMPS, 1, 2.0, 6.0), row(flow.SOLVERS_AND_GRIDS[1], 5, 1.0, 1.0)]  # fmt: skip
    flow.show(measured, dataclasses.replace(PLAN, densities=("d",), nfes=(1, 5), target=5))
    out = capsys.readouterr().out
    gap = mean_interval([1000.0, -500.0])
    assert f"NFE 1, MMD^2 x 1000: {gap.value:+.2f}, 95 % interval [{gap.low:.2f}, {gap.high:.2f}]" in out
    for name, nfe, below in (
        (flow.BASELINE, 1, ours),
        (flow_methods.PEER_ROW, 1, theirs),
        (flow.BASELINE, 5, (1.0, 3.0)),
    ):
        v = ratio_interval((2.0, 6.0), below)
        assert f"over {name}, NFE {nfe}: {v.value:.2f}, 95 % interval [{v.low:.2f}, {v.high:.2f}]" in out


def test_fewer_trainings_or_one_density_can_be_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(flow, "measure", lambda plan: asked.append(plan) or [])
    monkeypatch.setattr(flow, "show", lambda *_: None)
    flow.run()
    flow.run(seeds=3, density="moons")
    assert asked == [flow_nets.Plan(), flow_nets.Plan(densities=("moons",), seeds=3)]
    for wrong in ({"seeds": 1}, {"density": "nothing"}):
        with pytest.raises(UserError):
            flow.run(**wrong)


def test_choices_are_made_on_validation_noise_and_impossible_ones_never(monkeypatch):
    density = toy("8gaussians")
    monkeypatch.setattr(flow, "SEARCHED_GAMMAS", (0.5, 1e6))
    monkeypatch.setattr(flow, "SEARCHED_HIGHER", (0.0, 0.1))
    nets = {"oracle": [density.density.oracle(flow.IDFF_PATH)]}
    v = flow.Validation(nets, [MMD(density.sample(64, 1))], 64)
    assert v.choose(flow.Row("oracle", flow_methods._published, 1), 3) == (0.5,)
    asked = []

    def method(net, seeds, nfe, chosen):
        asked.append((seeds, chosen))
        return types.SimpleNamespace(x=torch.full((2, 2), sum(chosen)), nfe=nfe)

    reference = [types.SimpleNamespace(unbiased=lambda x: float((x[0, 0] - 0.6) ** 2))]
    v = flow.Validation({"oracle": [None]}, reference, 8)
    assert v.choose(flow.Row("oracle", method, 2), 3) == (0.5, 0.1)
    assert {s for s, _ in asked} == {flow._seeds(1, 0, 8)} and len(asked) == len(set(asked)), "nothing asked twice"
    v.choose(flow.Row("oracle", method, 1), 3)
    assert len(asked) == 4
    assert not set(flow._seeds(1, 0, 4096)) & set(flow._seeds(2, 0, 4096)), "test noise is not validation noise"


def test_a_row_that_diverges_on_the_test_is_infinite(tmp_path, few_choices, monkeypatch):
    def method(net, seeds, nfe, chosen):
        if len(seeds) == PLAN.points:
            raise Diverged("gone")
        return types.SimpleNamespace(x=noise(seeds, (2,)), nfe=nfe)

    monkeypatch.setattr(flow, "rows", lambda peer: {flow.BASELINE: flow.Row("oracle", method)})
    monkeypatch.setattr(flow, "trained", lambda *asked: None)
    assert [m.values for m in flow.measure(PLAN, tmp_path, print)[1:]] == [(math.inf, math.inf)] * 2


def test_a_method_that_spends_other_calls_is_told():
    row = flow.Row("oracle", lambda net, seeds, nfe, chosen: types.SimpleNamespace(x=None, nfe=nfe + 1))
    with pytest.raises(RuntimeError, match="4.* 3"):
        flow._samples(row, None, range(2), 3, ())


def test_the_power_grid():
    assert flow_methods._power_grid(2.0)(4).tolist() == [0, 1 / 16, 1 / 4, 9 / 16, 1]


def test_the_peer_is_used_where_it_is_installed(tmp_path, monkeypatch):
    class Matcher:
        def __init__(self, sigma):
            assert sigma == 0.0

        def sample_location_and_conditional_flow(self, x0, x1):
            t = torch.rand(len(x0))
            return t, t[:, None] * x1 + (1 - t[:, None]) * x0, x1 - x0

    package, module = types.ModuleType("torchcfm"), types.ModuleType("torchcfm.conditional_flow_matching")
    package.__spec__, module.ExactOptimalTransportConditionalFlowMatcher = object(), Matcher
    monkeypatch.setitem(sys.modules, "torchcfm", package)
    monkeypatch.setitem(sys.modules, "torchcfm.conditional_flow_matching", module)
    assert f"{flow_nets.PEER_FLOW} net, Euler" in flow_methods.rows(True)
    model = flow_nets.trained(flow_nets.PEER_FLOW, toy("8gaussians"), 0, PLAN, tmp_path)
    assert model.flow.predicts == "velocity" and model.card["name"] == flow_nets.PEER_FLOW


def test_a_peer_that_lacks_what_it_needs_is_a_sentence(tmp_path, monkeypatch):
    for name in ("torchcfm", "torchcfm.conditional_flow_matching"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "torchcfm").mkdir()
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not (Path(p) / "torchcfm").is_dir()])  # the real one
    monkeypatch.syspath_prepend(tmp_path)
    assert flow_nets.peer_matcher() is None  # a folder of that name
    sys.modules.pop("torchcfm", None)
    (tmp_path / "torchcfm" / "__init__.py").write_text("")
    (tmp_path / "torchcfm" / "conditional_flow_matching.py").write_text("import no_solver_of_transport")
    with pytest.raises(UserError, match="no_solver_of_transport"):
        flow_nets.peer_matcher()
    sys.modules.pop("torchcfm", None)
