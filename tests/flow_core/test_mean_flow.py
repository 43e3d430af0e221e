"""Mean velocities against the flow of a Gaussian, whose map is known, and against fine integration."""

import math

import pytest
import torch

from flow_core import samplers
from flow_core.densities.mixtures import GaussianMixture
from flow_core.densities.toys import toy
from flow_core.fields import Exact, Prediction
from flow_core.mean_flow import EDGE, MeanFlowConfig, draw_intervals, exact_average, identity, mean_flow_loss
from flow_core.model import FlowConfig, FlowModel
from flow_core.networks import PointConfig
from flow_core.paths import ICFM, MeanFlow, make_path
from flow_core.training.mean_flow import MeanFlowTask, task_of
from flow_core.training.objective import FlowTask
from foundation import noise
from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig
from tests.refusals import refuses

SPREAD = 0.6
SMALL = PointConfig(width=8, depth=2)
TINY = UNetConfig(resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(8,), embedding=16, classes=3)


def as_time(t):
    return torch.tensor(t, dtype=torch.float64)


def std(t):
    """Of x_t, for data N(0, SPREAD^2) and standard normal noise."""
    return (t**2 * SPREAD**2 + (1 - t) ** 2) ** 0.5


def gaussian_average(x, t, end):
    """The flow multiplies by std(end) / std(t); written so that an interval of length 0 has its limit."""
    column = lambda v: v[:, None] if v.ndim else v  # noqa: E731
    t, end = column(t), column(end)
    # (std(end) - std(t)) / (end - t) by the difference of squares
    slope = (SPREAD**2 * (t + end) - (2 - t - end)) / (std(t) + std(end))
    return x * slope / std(t)


def points(n=6, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_identity_holds_for_the_known_flow_of_a_gaussian():
    x, g = points(), torch.Generator().manual_seed(1)
    times = torch.rand(2, 6, generator=g, dtype=torch.float64)
    t, end = times.amin(0), times.amax(0)
    v = GaussianMixture(torch.zeros(1, 2), SPREAD).velocity(ICFM(0.0), x, t)
    u, right = identity(gaussian_average, x, t, end, v)
    torch.testing.assert_close(u, x * (std(end) / std(t) - 1)[:, None] / (end - t)[:, None], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(right, u, rtol=1e-10, atol=1e-12)
    assert torch.equal(identity(gaussian_average, x, t, t, v)[1], v)  # of length 0: the velocity


def test_the_right_hand_side_by_finite_differences_and_without_a_gradient():
    torch.manual_seed(0)
    model = FlowModel(
        FlowConfig("meanflow", 0.0, predicts="average", data_std=1.3), PointConfig(width=8, depth=2)
    ).double()
    x, v, t, end = points(), points(seed=3), torch.linspace(0.1, 0.6, 6).double(), torch.linspace(0.6, 0.95, 6).double()
    u, right = identity(model.average, x, t, end, v)
    h = 1e-5
    with torch.no_grad():
        along = (model.average(x + h * v, t + h, end) - model.average(x - h * v, t - h, end)) / (2 * h)
        torch.testing.assert_close(right, v + (end - t)[:, None] * along, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(u, model.average(x, t, end))
    assert u.requires_grad and not right.requires_grad


def test_the_loss_is_the_weighted_error_and_its_weight_is_held_fixed():
    u, target = points(4).requires_grad_(), points(4, 5)
    for power in (0.0, 0.75, 1.0):
        got = mean_flow_loss(u, target, MeanFlowConfig(adaptive=power))
        squared = ((u - target) ** 2).sum(1).detach()
        assert float(got["loss"].detach()) == pytest.approx(float((squared / (squared + 1e-3) ** power).mean()))
        assert float(got["error"]) == pytest.approx(float(squared.mean()))
        (gradient,) = torch.autograd.grad(got["loss"], u)
        want = 2 * (u - target) / (squared + 1e-3)[:, None] ** power / 4
        torch.testing.assert_close(gradient, want.detach())


def test_the_tangent_may_be_the_networks_own_velocity():
    torch.manual_seed(0)
    model = FlowModel(FlowConfig("meanflow", 0.0, predicts="average"), SMALL).double()
    x0, x1, t, end = points(4), points(4, 7), torch.linspace(0.1, 0.4, 4).double(), torch.full((4,), 0.9).double()
    x, h, losses = t[:, None] * x1 + (1 - t[:, None]) * x0, 1e-5, {}
    for tangent in ("net", "pair"):
        task = MeanFlowTask(model, lambda n, g: (torch.zeros(n, 2),), None, MeanFlowConfig(tangent=tangent))
        losses[tangent] = float(task(torch.tensor(0.0), x0, x1, t, end)["error"])
        with torch.no_grad():
            along = model(x, t).velocity if tangent == "net" else x1 - x0
            change = (model.average(x + h * along, t + h, end) - model.average(x - h * along, t - h, end)) / (2 * h)
            error = model.average(x, t, end) - (x1 - x0) - (end - t)[:, None] * change
        assert losses[tangent] == pytest.approx(float(error.square().sum(1).mean()), rel=1e-6)
    assert losses["net"] != pytest.approx(losses["pair"], rel=1e-3)


@pytest.mark.parametrize("times", ["uniform", "logit-normal"])
def test_intervals(times):
    config = MeanFlowConfig(share=0.25, times=times, mean=-0.4, spread=1.0)
    t, end = draw_intervals(4000, config, torch.Generator().manual_seed(0))
    assert bool((t <= end).all()) and float((t < end).double().mean()) == pytest.approx(0.25, abs=0.002)
    assert float(t.min()) >= EDGE and float(end.max()) <= 1 - EDGE
    alone = t[t == end]  # 3,000 draws: the standard error of the mean is .006
    middle = 0.5 if times == "uniform" else float(
        torch.special.expit(0.4 + torch.special.ndtri((torch.arange(10_000).double() + 0.5) / 10_000)).mean()
    )  # fmt: skip
    assert float(alone.mean()) == pytest.approx(middle, abs=0.02)


def test_settings_out_of_range():
    for wrong in ({"share": 1.5}, {"adaptive": -1.0}, {"times": "beta"}, {"tangent": "x"}, {"spread": 0.0}):
        with refuses(next(iter(wrong)), error=Mistake):
            MeanFlowConfig(**wrong)
    with refuses("sigma", error=Mistake):
        MeanFlow(0.1)
    for wrong in ({"path": "meanflow", "predicts": "velocity"}, {"path": "icfm", "predicts": "average"}):
        with refuses("predicts", error=Mistake):
            FlowConfig(sigma=0.0, **wrong)
    assert MeanFlow().independent and make_path("meanflow", 0.0, "exact").coupling == "exact"


def test_the_sampler_jumps_by_mean_velocities_and_any_number_of_calls_ends_alike():
    """With exact mean velocities one call is as good as many: here the map of a Gaussian, multiplication by SPREAD."""
    asked = []

    def network(x, t, end):
        asked.append((float(t), float(end)))
        return Prediction(velocity=gaussian_average(x, t, end))

    for nfe in (1, 2, 5):
        asked.clear()
        seen, x = [], points()
        result = samplers.sample("euler", network, x, MeanFlow(), nfe, callback=lambda *s, to=seen: to.append(s))
        torch.testing.assert_close(result.x, SPREAD * x, rtol=1e-12, atol=1e-12)
        assert result.nfe == nfe == len(asked) and [e for _, e in asked] == result.grid[1:].tolist()
        assert [t for t, _ in asked] == result.grid[:-1].tolist() and len(seen) == nfe
    torch.testing.assert_close(seen[-1][3], SPREAD * points())  # the last step shows where it lands


@pytest.mark.parametrize("times", [(0.0, 1.0), (0.2, 0.7), (0.5, 0.5)])
def test_exact_averages_of_a_known_flow(times):
    oracle, x = GaussianMixture(torch.zeros(1, 2), SPREAD).oracle(MeanFlow()), points()
    want = gaussian_average(x, *map(as_time, times))
    torch.testing.assert_close(exact_average(oracle, MeanFlow(), x, *times), want, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(oracle(x, as_time(times[0]), end=as_time(times[1])).velocity, want, rtol=1e-5, atol=1e-6)


def test_the_closed_form_jumps_to_where_its_flow_ends():
    density = toy("8gaussians").density
    x = noise(range(50), (2,)).double()
    want = samplers.rk4(density.oracle(ICFM()), x, Exact(ICFM()), 201).x
    got = samplers.sample("euler", density.oracle(MeanFlow()), x, MeanFlow(), 1).x
    assert float((got - want).norm(dim=1).median()) < 1e-3


@pytest.mark.parametrize("network", [SMALL, TINY], ids=["points", "pictures"])
def test_at_an_interval_of_no_length_a_model_says_the_velocity_of_its_x1(network):
    """With equal weights: preconditioning is that of an x1-network, and a U-Net's interval says nothing at first."""
    torch.manual_seed(0)
    mean = FlowModel(FlowConfig("meanflow", 0.0, predicts="average", data_std=0.5), network).eval()
    plain = FlowModel(FlowConfig("icfm", 0.0, predicts="x1", data_std=0.5), network).eval()
    x = torch.randn(3, *mean.sample_shape, generator=torch.Generator().manual_seed(1))
    extras = (torch.tensor([1, -1, 0]),) if network is TINY else ()
    if network is TINY:
        mean.net.unet.decoder.conv.reset_parameters()
        plain.net.unet.load_state_dict(mean.net.unet.state_dict())
    else:
        state = mean.net.state_dict()
        first, waves = "body.0.weight", 2 + 2 * network.frequencies + 1
        # cosines of 0 are 1: what an interval of no length adds is a bias
        state["body.0.bias"] = state["body.0.bias"] + state[first][:, waves + 1 : waves + 1 + network.frequencies].sum(
            1
        )
        state[first] = state[first][:, :waves]
        plain.net.load_state_dict(state)
    with torch.no_grad():
        for t in (0.0, 0.3, 0.95):
            got = mean(x, t, *extras).velocity
            torch.testing.assert_close(got, (plain(x, t, *extras).x1 - x) / (1 - t), rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(mean(x, t, *extras, end=t).velocity, got)
            longer = mean(x, t, *extras, end=1.0).velocity
            assert torch.equal(longer, got) is (network is TINY)
    with refuses("end", error=Mistake):
        plain(x, 0.2, *extras, end=0.5)


def test_a_task_of_its_own():
    model = FlowModel(FlowConfig("meanflow", 0.0, predicts="average"), PointConfig(width=8, depth=1))
    draw = lambda n, g: (torch.randn(n, 2, generator=g), torch.arange(n) % 3)  # noqa: E731
    task = task_of(model, draw, None, MeanFlowConfig(share=0.5))
    assert isinstance(task, MeanFlowTask)
    x0, x1, t, end, labels = task.draw(0, 8, torch.Generator().manual_seed(0))
    assert x0.shape == x1.shape == (8, 2) and int((t < end).sum()) == 4 and labels.tolist() == [0, 1, 2] * 2 + [0, 1]
    other = FlowModel(FlowConfig("icfm", 0.0, predicts="velocity"), PointConfig(width=8, depth=1))
    assert type(task_of(other, draw, None, None)) is FlowTask


def test_the_loss_is_that_of_the_drawn_line():
    """Error of u(x_t, t, r) to x1 - x0 + (r - t) du, du by a finite difference."""
    torch.manual_seed(0)
    model = FlowModel(FlowConfig("meanflow", 0.0, predicts="average"), PointConfig(width=8, depth=1)).double()
    task = MeanFlowTask(model, lambda n, g: (torch.zeros(n, 2),), None, MeanFlowConfig(tangent="pair"))
    x0, x1, t, end = (
        points(4),
        points(4, 7),
        torch.tensor([0.1, 0.2, 0.3, 0.4]).double(),
        torch.full((4,), 0.9).double(),
    )
    got = task(torch.tensor(0.0), x0, x1, t, end)["loss"]
    x, v, h = t[:, None] * x1 + (1 - t[:, None]) * x0, x1 - x0, 1e-5
    with torch.no_grad():
        along = (model.average(x + h * v, t + h, end) - model.average(x - h * v, t - h, end)) / (2 * h)
        error = model.average(x, t, end) - v - (end - t)[:, None] * along
    assert float(got.detach()) == pytest.approx(float(error.square().sum(1).mean()), rel=1e-6)


def test_pictures_learn_mean_velocities_through_attention_and_normalisation():
    """Gradients of the whole U-Net exist with a tangent through it, and its interval begins to speak."""
    torch.manual_seed(0)
    model = FlowModel(FlowConfig("meanflow", 0.0, predicts="average", data_std=0.5), TINY)
    model.net.unet.decoder.conv.reset_parameters()
    task = MeanFlowTask(model, lambda n, g: (torch.rand(n, 3, 8, 8, generator=g), torch.arange(n) % 4 - 1))
    loss = task(torch.tensor(0.0), *task.draw(0, 4, torch.Generator().manual_seed(0)))["loss"]
    loss.backward()
    assert math.isfinite(float(loss.detach())) and float(model.net.interval.layer1.weight.grad.abs().sum()) > 0
