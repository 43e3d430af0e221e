"""Wrapped normals and their flows against sums over images, samples and the continuity equation; a net of angles."""

import math
from pathlib import Path

import pytest
import torch

import flow_core
from flow_core.model import FlowConfig, FlowModel, save
from flow_core.networks import TorusConfig
from flow_core.samplers import sample
from flow_core.torus import TORUS_PATH, geodesic, uniform, wrap
from flow_core.train import train_live
from flow_core.training import torus
from foundation.files.settings import read_settings
from foundation.mistakes import Mistake
from foundation.training.loop import TrainingConfig
from tests.flow_core.wrapped_mixtures import WrappedMixture
from tests.refusals import refuses

CONFIGS = Path(flow_core.__file__).parent / "configs"
WORLD = WrappedMixture([[0.5, -2.9], [2.9, 1.0], [-3.1, 3.1]], [0.3, 0.8, 0.2], [0.3, 0.5, 0.2])


def points(n=6, seed=0):
    return uniform(n, 2, torch.Generator().manual_seed(seed)).double()


def test_the_short_way_round():
    a, b = torch.tensor([[3.0, -3.0, 0.0]]), torch.tensor([[-3.0, 3.0, 1.0]])
    x, u = geodesic(a, b, torch.tensor([0.5]))
    torch.testing.assert_close(u, torch.tensor([[2 * math.pi - 6, 6 - 2 * math.pi, 1.0]]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(wrap(x), torch.tensor([[-math.pi, -math.pi, 0.5]]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(wrap(geodesic(a, b, torch.tensor([1.0]))[0]), b, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(wrap(points() + 6 * math.pi), points(), rtol=0, atol=1e-9)
    assert float(u.abs().max()) <= math.pi


def test_the_density_by_images_of_one_turn_at_a_time():
    x, want = points(), 0
    for k in range(3):
        for i in range(-6, 7):
            for j in range(-6, 7):
                mean = WORLD.means[k] + 2 * math.pi * torch.tensor([i, j], dtype=torch.float64)
                s = float(WORLD.stds[k])
                want = want + WORLD.weights[k] * (-(x - mean).square().sum(1) / (2 * s**2)).exp() / (2 * math.pi * s**2)
    torch.testing.assert_close(WORLD.log_prob(x).exp(), want)
    turned = x + 2 * math.pi * torch.tensor([2.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(WORLD.log_prob(turned), WORLD.log_prob(x))


@pytest.mark.parametrize("t", [0.0, 0.4, 0.9])
def test_the_law_of_lines_from_uniform_angles_is_the_closed_one(t):
    """Of 400,000 drawn lines: shares of cells, and the mean velocity in each."""
    g, n, cells = torch.Generator().manual_seed(0), 400_000, 8
    x, u = geodesic(uniform(n, 2, g).double(), WORLD.sample(n, g), torch.full((n,), t, dtype=torch.float64))
    index = ((wrap(x) + math.pi) / (2 * math.pi) * cells).long().clamp_max(cells - 1)
    flat = index[:, 0] * cells + index[:, 1]
    count = torch.bincount(flat, minlength=cells**2)
    mean_u = torch.stack([torch.bincount(flat, u[:, j], cells**2) for j in range(2)], 1) / count.clamp_min(1)[:, None]
    # midpoints of a fine grid in each cell
    fine = 24
    line = (torch.arange(cells * fine, dtype=torch.float64) + 0.5) / (cells * fine) * 2 * math.pi - math.pi
    grid = torch.stack(torch.meshgrid(line, line, indexing="ij"), 2).reshape(-1, 2)
    p, v = WORLD.marginal_log_prob(grid, t).exp(), WORLD.velocity(grid, t)

    def blocks(f):
        return f.reshape(cells, fine, cells, fine).sum((1, 3)).flatten()

    area = (2 * math.pi / (cells * fine)) ** 2
    share = blocks(p) * area
    assert float(share.sum()) == pytest.approx(1, abs=2e-3)
    error = (count / n - share).abs() / (share / n).sqrt().clamp_min(1e-4)
    assert float(error.max()) < 5  # standard errors of 64 cells
    for j in range(2):
        want = blocks(p * v[:, j]) * area / share
        told = count > 500
        assert float(((mean_u[:, j] - want).abs() * count.sqrt())[told].max()) < 10  # spread of u below 1.9


@pytest.mark.parametrize("t", [0.1, 0.6, 0.95])
def test_the_velocity_carries_the_law(t):
    """d/dt log p + v . grad log p + div v = 0 by finite differences."""
    x, h = points(), 1e-5
    left = (WORLD.marginal_log_prob(x, t + h) - WORLD.marginal_log_prob(x, t - h)) / (2 * h)
    for j in range(2):
        e = torch.zeros(2, dtype=torch.float64)
        e[j] = h
        slope = (WORLD.marginal_log_prob(x + e, t) - WORLD.marginal_log_prob(x - e, t)) / (2 * h)
        left = left + slope * WORLD.velocity(x, t)[:, j]
        left = left + (WORLD.velocity(x + e, t) - WORLD.velocity(x - e, t))[:, j] / (2 * h)
    assert float(left.abs().max()) < 1e-5


def test_at_the_start_the_law_is_uniform_and_at_the_end_the_data():
    x = points()
    torch.testing.assert_close(WORLD.marginal_log_prob(x, 0.0), torch.full((6,), -2 * math.log(2 * math.pi)).double())
    torch.testing.assert_close(WORLD.marginal_log_prob(x, 1 - 1e-4), WORLD.log_prob(x), rtol=0, atol=1e-4)


def test_samplers_follow_it_to_the_data():
    g = torch.Generator().manual_seed(1)
    x = sample("heun", WORLD.oracle(), uniform(4000, 2, g).double(), TORUS_PATH, 60).x
    for k in range(1, 3):  # trigonometric moments, known of wrapped normals
        data = WORLD.sample(200_000, g)
        for f in (torch.cos, torch.sin):
            got, want = (f(k * wrap(v)).mean(0) for v in (x, data))
            assert float((got - want).abs().max()) < 0.05
    assert float(WORLD.log_prob(x).mean()) == pytest.approx(
        float(WORLD.log_prob(WORLD.sample(4000, g)).mean()), abs=0.1
    )


def test_a_net_of_angles_knows_no_turns_and_is_saved(tmp_path):
    torch.manual_seed(0)
    model = FlowModel(torus.TORUS_FLOW, TorusConfig(width=16, depth=2, harmonics=2)).eval()
    x, t = points().float(), torch.full((6,), 0.3)
    with torch.no_grad():
        v = model(x, t).velocity
        torch.testing.assert_close(model(x + 2 * math.pi, t).velocity, v, rtol=1e-4, atol=1e-4)
        # angles are not scaled, and velocities are in units of a uniform difference's spread
        torch.testing.assert_close(v, math.pi / 3**0.5 * model.net(x, t)[0], rtol=1e-5, atol=1e-6)
    save(model, tmp_path / "m.safetensors", {}, torch.float32)
    back = flow_core.load(tmp_path / "m.safetensors")
    assert back.config == model.config and back.sample_shape == (2,) and back.classes == 0
    assert torch.equal(back(x, t).velocity, v)
    with refuses("path", "icfm", Mistake):
        FlowModel(FlowConfig("idff", 0.2), TorusConfig())


def test_the_loss_is_that_of_the_short_line():
    task = torus.torus_task(points(50).float(), TorusConfig(width=8, depth=1))
    x0, x1, t = task.draw(0, 16, torch.Generator().manual_seed(0))
    with torch.no_grad():
        got = task(torch.tensor(0.0), x0, x1, t)["loss"]
        d = torch.remainder(x1 - x0 + math.pi, 2 * math.pi) - math.pi
        error = task.model(x0 + t[:, None] * d, t).velocity - d
    assert float(got) == pytest.approx(float(error.square().mean()) * 3 / math.pi**2, rel=1e-4)


def test_it_learns():
    data = WORLD.sample(5000, torch.Generator().manual_seed(3)).float()
    task = torus.torus_task(data, TorusConfig(width=32, depth=2))
    config = TrainingConfig(images=128 * 200, batch=128, lr=2e-2, warmup=1280, ema_halflife=1280)
    losses = [loss for _, loss in train_live(task, config, every=100)]
    x = sample("heun", task.model, uniform(1000, 2, torch.Generator().manual_seed(4)), TORUS_PATH, 20).x
    assert losses[1] < losses[0] and float(WORLD.log_prob(x).mean()) > float(WORLD.log_prob(points(1000)).mean()) + 1


def test_parts_are_the_first_and_the_last_frames():
    angles = torch.arange(2 * 10 * 2).reshape(2, 10, 2).float()
    first, last = torus.parts(angles)
    assert torch.equal(first, torch.cat([angles[0, :7], angles[1, :7]]))
    assert torch.equal(last, torch.cat([angles[0, 8:], angles[1, 8:]]))


def test_refusals():
    for wrong in (([], 0.1), ([[0.0]], 0.0), ([[0.0]], 3.0), ([[0.0]], 0.1, [-1.0])):
        with pytest.raises(ValueError):
            WrappedMixture(*wrong)
    for wrong in ({"harmonics": 0}, {"dims": 65}):
        with refuses(next(iter(wrong)), error=Mistake):
            TorusConfig(**wrong)


def test_the_settings_file():
    s = read_settings(CONFIGS / "torus_alanine.toml", [], torus.TorusSettings)
    assert s["run"].name == "torus-alanine" and s["network"] == TorusConfig() and s["angles"].path == ""
