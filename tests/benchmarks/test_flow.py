"""The flow benchmark on nets of a few steps: cached training, choice of gammas, the table."""

import math
import sys
import types

import pytest
import torch

from benchmarks import flow
from flow_core.distances import MMD
from flow_core.toys import toy

PLAN = flow.Plan(
    densities=("8gaussians",), seeds=2, steps=4, batch=16, width=8, points=32, validation=16, nfes=(1, 3), target=3
)


@pytest.fixture
def few_gammas(monkeypatch):
    monkeypatch.setattr(flow, "GAMMAS", ((0.5, 1.0), (0.1,), (0.1,)))


def test_the_whole_measurement(tmp_path, few_gammas, capsys):
    measured = flow.measure(PLAN, tmp_path, report=lambda line: None)
    files = sorted(tmp_path.iterdir())
    assert len(files) == len(flow.NETS) * PLAN.seeds
    names = {m.name for m in measured}
    assert names == {"data", *flow.rows(flow.peer_matcher() is not None)} and set(flow.OURS) < names
    for m in measured:
        assert len(m.values) == 2 and all(math.isfinite(v) for v in m.values)
        assert len(m.gammas) == {"1": 1, "2": 2, "3": 3, "e": 1}.get(m.name[-1] if "published" in m.name else
                                                                  "e" if "matched" in m.name else "", 0)  # fmt: skip
    stamps = [f.stat().st_mtime_ns for f in files]
    again = flow.measure(PLAN, tmp_path, report=lambda line: None)
    assert again == measured and [f.stat().st_mtime_ns for f in files] == stamps, "trained once"
    flow.show(measured, PLAN)
    out = capsys.readouterr().out
    name, ratio = flow.best_of_ours(measured, "8gaussians", 3)
    assert f"{name}, {ratio:.2f} of Euler OT-CFM" in out and out.count("| 8gaussians |") == len(names)


def test_the_best_of_ours_is_the_smallest_of_ours():
    values = dict.fromkeys(flow.rows(False), 1.0) | {flow.BASELINE: 4.0, flow.OURS[1]: 0.5, "oracle, multistep": 0.1}
    measured = [flow.Measured("d", n, 5, (), (v, v)) for n, v in values.items()]
    assert flow.best_of_ours(measured, "d", 5) == (flow.OURS[1], 0.125)


def test_gammas_are_chosen_on_validation_and_impossible_ones_never(monkeypatch):
    density = toy("8gaussians")
    monkeypatch.setattr(flow, "GAMMAS", ((0.5, 1e6), (0.1,), (0.1,)))
    row = flow.Row("oracle", flow._published, 1)
    references = [MMD(density.sample(64, 1))]
    assert flow.choose_gammas(row, [density.density.oracle(flow.IDFF_PATH)], 3, references, 64) == (0.5,)
    asked = []

    def method(net, seeds, nfe, gammas):
        asked.append((seeds, gammas))
        return types.SimpleNamespace(x=torch.full((2, 2), sum(gammas)))

    reference = [types.SimpleNamespace(unbiased=lambda x: float((x[0, 0] - 0.6) ** 2))]
    assert flow.choose_gammas(flow.Row("oracle", method, 2), [None], 3, reference, 8) == (0.5, 0.1)
    assert {s for s, _ in asked} == {flow._seeds(1, 0, 8)}
    assert not set(flow._seeds(1, 0, 4096)) & set(flow._seeds(2, 0, 4096)), "test noise is not validation noise"


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
    assert f"{flow.PEER} net, Euler" in flow.rows(True)
    model = flow.trained(flow.PEER, toy("8gaussians"), 0, PLAN, tmp_path)
    assert model.flow.predicts == "velocity" and model.card["name"] == flow.PEER
