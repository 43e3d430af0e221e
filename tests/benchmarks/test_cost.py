"""What a picture costs, on tiny random nets: calls are counted, methods draw what they say, distances by hand."""

import pytest
import torch

import koopman_core
from analysis.core.errors import UserError
from analysis.flow.images import FlowPicturesRequest, ImageFlows
from analysis.workbench.library import ModelLibrary
from benchmarks import cost
from flow_core.fields import Exact
from flow_core.samplers import euler
from foundation import noise
from foundation.metrics.statistics import mean_interval
from foundation.randomness import FIRST_SEED
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from tests.analysis.conftest import random_pair
from tests.analysis.flow.image_flows import write_flows
from tests.refusals import refuses
from tests.sentences import tells

CALLS = {
    "teacher, Heun, 18 steps": 35, "teacher, Heun, 10 steps": 19, "teacher, Heun, 8 steps": 15, cost.HKD: 1,
    **{f"IDFF, euler, {n} calls": n for n in (2, 3, 5, 10, 20)},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Both kinds of data: HKD with its teacher, and a flow; `cifar10` with three classes."""
    where = write_flows(tmp_path_factory.mktemp("cost"))
    for seed, (name, classes) in enumerate({"shapes": [], "cifar10": ["a", "b", "c"]}.items()):
        model, teacher = random_pair(seed, len(classes))
        card = {"name": name, "teacher": name, "data": {"classes": classes}}
        koopman_core.save(model, where / f"{name}.hkd.safetensors", card)
        koopman_core.save(teacher, where / f"{name}.teacher.safetensors", {"name": name})
    return where


def nets(folder, name):
    return ModelLibrary(folder).get(name), ImageFlows(folder).net(FlowPicturesRequest(data=name)).model


class Perceptual:
    """A distance that can be recomputed: mean absolute difference."""

    features = staticmethod(torch.clone)

    @staticmethod
    def distance_from(x, features):
        return (x - features).abs().flatten(1).mean(1)


@pytest.fixture
def few(monkeypatch):
    """Samplers of fewer calls."""
    for name, value in {"GRID_STEPS": (4, 3), "FLOW_NFES": (1, 2), "COST_BATCHES": (1, 2), "WARMUP": 0}.items():
        monkeypatch.setattr(cost, name, value)


@torch.no_grad()
def test_calls_are_counted(folder):
    bench, flow = nets(folder, "shapes")
    table, eps = cost.methods(bench, flow), noise([5], bench.model.picture_shape)
    found = {}
    for name, m in table.items():
        decoded = []
        hook = m.net.decoder.register_forward_hook(lambda *_, decoded=decoded: decoded.append(1))
        found[name] = cost.network_calls(m.net, lambda m=m: m.draw(eps, None))
        hook.remove()
        assert len(decoded) == found[name]
    assert found == CALLS and list(found) == list(CALLS)
    bench.model.one_step(eps)
    assert cost.network_calls(bench.model.net, lambda: None) == 0, "no hook is left behind"


@torch.no_grad()
def test_methods_draw_what_they_say(folder, few):
    bench, flow = nets(folder, "cifar10")
    eps, labels = noise([5, 6], bench.model.picture_shape), torch.tensor([2, -1])
    table = cost.methods(bench, flow)
    want = {
        f"teacher, Heun, {n} steps": heun_sample(
            lambda x, s: bench.teacher(x, s, labels), SIGMA_MAX * eps, karras_sigmas(n)
        ).x
        for n in (4, 3)
    }
    want[cost.HKD] = bench.model.one_step(eps, labels)
    for n in (1, 2):
        want[f"IDFF, euler, {n} calls"] = euler(lambda x, t: flow(x, t, labels), eps, Exact(flow.path), n).x
    assert list(table) == list(want)
    for name, m in table.items():
        torch.testing.assert_close(m.draw(eps, labels), want[name])
        assert not torch.allclose(m.draw(eps, None), want[name], atol=1e-4), "the classes are told"


def test_distances_are_to_the_sample_of_the_most_calls(folder, few):
    bench, flow = nets(folder, "shapes")
    found = cost.distances(bench, cost.methods(bench, flow), range(7, 25), Perceptual())
    eps = noise(range(7, 25), bench.model.picture_shape)
    best = heun_sample(bench.teacher, SIGMA_MAX * eps, karras_sigmas(4)).x.clamp(-1, 1)
    with torch.no_grad():
        mine = {cost.HKD: bench.model.one_step(eps)}
    mine["teacher, Heun, 3 steps"] = heun_sample(bench.teacher, SIGMA_MAX * eps, karras_sigmas(3)).x
    for method, x in mine.items():
        want = mean_interval((x.clamp(-1, 1) - best).abs().flatten(1).mean(1))
        shown = [float(part.strip("[],")) for part in found.pop(method).split()]
        assert shown == pytest.approx([want.value, want.low, want.high], abs=6e-5)
    assert found.pop("teacher, Heun, 4 steps") == cost.REFERENCE_ROW
    assert len(found) == 2 and set(found.values()) == {cost.ANOTHER_MAP}


def test_a_section_of_the_page(folder, few, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cost, "available", lambda net: False)
    page = tmp_path / "results.md"
    cheap = {"folder": folder, "page": page, "rounds": 2, "at_least": 0.0, "seeds": 2}
    cost.run(**cheap)
    assert not page.exists(), "written only when asked to"
    printed = capsys.readouterr().out
    assert "`python -m benchmarks cost`" in printed and " threads, " in printed and "load" in printed
    cost.run(write=True, **cheap)
    text = page.read_text()
    assert "\n# Results\n\n## cost: latency\n" in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(("| shapes", "| cifar10"))]
    assert [(r[0], int(r[2])) for r in rows] == [(m, n) for m in cost.MODELS for n in (7, 5, 1, 1, 2)]
    for _, name, calls, distance, ratio1, ms1, ratio2, ms2 in rows:
        assert distance == {"7": cost.REFERENCE_ROW}.get(calls, cost.ANOTHER_MAP if "IDFF" in name else "n/a")
        assert (ratio1 == ratio2 == "1") == (name == cost.HKD) and min(float(ms1), float(ms2)) > 0
    for name in cost.MODELS:
        assert tells(text, sum(p.numel() for p in nets(folder, name)[0].model.parameters()))


def test_what_cannot_be_measured_is_told_first(folder, tmp_path):
    bench, flow = nets(folder, "shapes")
    bench.teacher = None
    with refuses("teacher"):
        cost.methods(bench, flow)
    page = tmp_path / "results.md"
    page.write_text("# By hand\n")
    with pytest.raises(UserError, match="results.md"):
        cost.run(write=True, folder=tmp_path / "nothing", page=page)


def test_pictures_are_of_held_out_noise_with_the_classes_of_the_evaluation(folder):
    bench, _ = nets(folder, "cifar10")
    eps, labels = cost._start(bench, range(FIRST_SEED, FIRST_SEED + 3))
    assert labels.tolist() == [koopman_core.trajectories.label_of(FIRST_SEED + i, 3) for i in range(3)]
    assert torch.equal(eps, noise(range(FIRST_SEED, FIRST_SEED + 3), bench.model.picture_shape))
