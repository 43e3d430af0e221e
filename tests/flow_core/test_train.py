"""Losses, the live generator, the command line, every shipped settings file."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import flow_core
from flow_core.densities.distances import MMD
from flow_core.densities.mixtures import GaussianMixture
from flow_core.densities.toys import Toy, toy
from flow_core.fields import Exact
from flow_core.model import FlowConfig
from flow_core.networks import PointConfig
from flow_core.samplers import heun
from flow_core.train import main, train_live
from flow_core.training import objective, points
from flow_core.training.objective import FlowTask, ObjectiveConfig
from foundation.files.settings import read_settings
from foundation.mistakes import Mistake
from foundation.training.loop import TrainingConfig
from tests.refusals import refuses
from tests.sentences import tells

CONFIGS = Path(flow_core.__file__).parent / "configs"
SMALL = PointConfig(width=16, depth=2)
TWO = Toy("two", GaussianMixture(torch.tensor([[-2.0, 0], [2, 1]]), 0.5), 4.0)
QUICK = TrainingConfig(images=64 * 150, batch=64, lr=4e-2, warmup=640, ema_halflife=320)


def task(flow=None, **kwargs):
    return points.toy_task(TWO, flow or FlowConfig(), SMALL, **kwargs)


def drawn(t, n=16):
    return t.draw(0, n, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("weight", ["balanced", "plain"])
def test_x1_loss_by_hand(weight):
    t = task(FlowConfig("idff", 0.4, "exact", "x1+eps"), objective=ObjectiveConfig(weight, eps_weight=0.3))
    x0, x1, times, eps = drawn(t)
    with torch.no_grad():
        got = t(torch.tensor(0.0), x0, x1, times, eps)
        x = times[:, None] * x1 + (1 - times[:, None]) * x0 + 0.4 * (times * (1 - times)).sqrt()[:, None] * eps
        p = t.model(x, times)
        error = (p.x1 - x1).square()
        if weight == "balanced":
            error = error / t.model.scales(times)[2][:, None] ** 2
    assert float(got["x1"]) == pytest.approx(float(error.mean()), rel=1e-3)
    assert float(got["eps"]) == pytest.approx(float((p.eps - eps).square().mean()), rel=1e-5)
    assert float(got["loss"]) == pytest.approx(float(got["x1"] + 0.3 * got["eps"]), rel=1e-6)


@pytest.mark.parametrize("path,sigma", [("icfm", 0.0), ("sbcfm", 0.5)])
def test_velocity_loss_by_hand(path, sigma):
    t = task(FlowConfig(path, sigma, predicts="velocity"))
    x0, x1, times, eps = drawn(t)
    with torch.no_grad():
        got = t(torch.tensor(0.0), x0, x1, times, eps)["loss"]
        s = times[:, None]
        std, rate = (s * 0 + sigma, s * 0) if path == "icfm" else (
            sigma * (s * (1 - s)).sqrt(), sigma * (1 - 2 * s) / (2 * (s * (1 - s)).sqrt()))  # fmt: skip
        v = t.model(s * x1 + (1 - s) * x0 + std * eps, times).velocity
        want = (v - (x1 - x0 + rate * eps)).square().mean() / (1 + t.model.flow.data_std**2)
    assert float(got) == pytest.approx(float(want), rel=1e-4)


@pytest.mark.parametrize("path", ["icfm", "otcfm"])
def test_the_velocity_weight_is_conditional_flow_matching(path):
    t = task(FlowConfig(path, 0.0), objective=ObjectiveConfig("velocity")).double()
    x0, x1, times, eps = (v.double() for v in drawn(t))
    times[0], times[1] = 0.0, 1 - 1e-4
    with torch.no_grad():
        got = t(torch.tensor(0.0), x0, x1, times, eps)["loss"]
        x = times[:, None] * x1 + (1 - times[:, None]) * x0
        v = (t.model(x, times).x1 - x) / (1 - times[:, None])
    assert float(got) == pytest.approx(float((v - (x1 - x0)).square().mean()), rel=1e-8)


def test_the_velocity_weight_is_refused_where_it_is_no_velocity():
    for path, sigma in (("idff", 0.2), ("icfm", 0.3)):
        with refuses("flow.sigma", error=Mistake):
            task(FlowConfig(path, sigma), objective=ObjectiveConfig("velocity"))
    with refuses("weight", error=Mistake):
        ObjectiveConfig("speed")


def test_the_fit_starts_where_the_path_does(monkeypatch):
    """With sigma > 0 on a straight path that is N(0, (1 + sigma^2) I)."""
    seen = []
    real = points.sample
    monkeypatch.setattr(points, "sample", lambda name, model, x, *args: seen.append(x) or real(name, model, x, *args))
    for sigma in (0.0, 1.0):
        points.toy_fit(task(FlowConfig("icfm", sigma)).model.eval(), TWO)
    torch.testing.assert_close(seen[1], 2**0.5 * seen[0])


def test_pairs_are_coupled_with_their_labels():
    t = task(FlowConfig("otcfm", 0.0))
    t.draw_data = lambda n, g: ((x := TWO.density.sample(n, g).float()), (x[:, 0] > 0).long())
    x0, x1, _, _, labels = drawn(t, 32)
    assert torch.equal(labels, (x1[:, 0] > 0).long())
    a, b, _, _ = drawn(task(FlowConfig("icfm", 0.0)), 32)
    assert torch.equal(a, x0) and torch.equal(b.sort(0).values, x1.sort(0).values)
    assert float((x0 - x1).square().sum()) < 0.8 * float((a - b).square().sum())


def test_times_are_stratified_inside_the_ends():
    t = objective.draw_times(50, torch.Generator().manual_seed(0)).sort().values
    part = ((t - objective.T_MIN) / (objective.T_MAX - objective.T_MIN) * 50).floor()
    assert part.tolist() == list(range(50)) and 0 < float(t[0]) < float(t[-1]) < 1


def test_live_training_learns_and_holds_its_average_while_it_waits():
    t = task()
    seen, shown = [], []
    for step, loss in train_live(t, QUICK, every=50):
        seen.append((step, loss))
        shown.append(next(t.model.parameters()).detach().clone())
    assert [s for s, _ in seen] == [50, 100, 150] and seen[-1][1] < seen[0][1]
    assert torch.equal(shown[-1], next(t.model.parameters())), "the average stays when training is over"
    noise = torch.randn(512, 2, generator=torch.Generator().manual_seed(0))
    x = heun(t.model, noise, Exact(t.model.path), 21).x
    assert MMD(TWO.sample(512, 1)).unbiased(x) < 0.2 * MMD(TWO.sample(512, 1)).unbiased(noise)


def test_live_training_is_the_same_for_the_same_seed_and_can_be_stopped():
    runs = [task(), task()]
    losses = [list(train_live(t, replace(QUICK, images=64 * 20), every=7)) for t in runs]
    assert losses[0] == losses[1] and [s for s, _ in losses[0]] == [7, 14, 20]
    stopped = task()
    steps = train_live(stopped, QUICK, every=5)
    next(steps), next(steps)
    steps.close()
    with torch.no_grad():
        assert bool(torch.isfinite(stopped.model(torch.zeros(3, 2), 0.5).x1).all())
    assert not stopped.training


def test_a_loss_that_explodes_is_a_sentence():
    t = task()
    t.draw_data = lambda n, g: (torch.full((n, 2), float("nan")),)
    with pytest.raises(FloatingPointError):
        list(train_live(t, QUICK))


def test_weights_come_from_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(5)
    want = torch.rand(1)
    torch.manual_seed(5)
    a, b, c = task(seed=1), task(seed=1), task(seed=2)
    assert torch.equal(torch.rand(1), want)
    first = [next(t.model.parameters()) for t in (a, b, c)]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])
    assert isinstance(a, FlowTask) and a.model.flow.data_std == pytest.approx(TWO.density.std())


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("toy*.toml")), ids=lambda p: p.stem)
def test_every_settings_file_is_valid(path):
    s = read_settings(path, [], points.ToySettings)
    assert toy(s["toy"].density).name in path.stem


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    (root / "toy.toml").write_text(
        f'[toy]\ndensity = "moons"\n[network]\nwidth = 16\ndepth = 2\n[training]\nimages = 640\nbatch = 64\n'
        f'compile = "off"\nprecision = "fp32"\nimages_per_log = 64\n[run]\nout = "{root / "out"}"\nname = "small"\n'
    )
    return root


def test_the_command_trains_exports_and_resumes(run, capsys, monkeypatch):
    monkeypatch.setattr(points, "FIT_POINTS", 64)
    assert main(["toy", "--config", str(run / "toy.toml"), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert tells(out, 640) and "MMD^2" in out
    model = flow_core.load(run / "out" / "flow.safetensors")
    assert model.card["name"] == "small" and model.card["points_seen"] == 640 and str(run) not in str(model.card)
    measured = points.toy_fit(model, toy(model.card["data"]["name"]))  # of the file's own, rounded weights
    for name, value in measured.items():
        assert model.card["metrics"][name] == pytest.approx(value, rel=0.1, abs=1e-4)
    assert main(["toy", "--config", str(run / "toy.toml"), "--quiet"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["toy", "--config", str(run / "toy.toml"), "--quiet", "--resume", "--training.images=768"]) == 0
    rows = (run / "out" / "log.csv").read_text().splitlines()
    assert [int(r.split(",")[0]) for r in rows[1:]] == list(range(64, 769, 64))


@pytest.mark.parametrize(
    "override,name",
    [("--toy.density=cat", "'cat'"), ("--flow.sigma=0.0", "flow: sigma"),
     ("--flow.predict=x1", "flow.predict"), ("--training.lr=-1.0", "training: lr")],
)  # fmt: skip
def test_mistakes_get_one_sentence(run, override, name, capsys):
    assert main(["toy", "--config", str(run / "toy.toml"), override]) == 2
    err = capsys.readouterr().err
    assert name in err and "Traceback" not in err and len(err.strip().splitlines()) == 1


def test_unknown_command(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["nothing", "--config", "x"])
    assert "'nothing'" in capsys.readouterr().err
