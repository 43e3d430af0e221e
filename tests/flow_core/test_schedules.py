"""Target and VP paths by their published formulas, their laws by the mixture, and nets carried from path to path."""

import math

import pytest
import torch

import flow_core
from flow_core import fields, samplers
from flow_core.densities.mixtures import GaussianMixture
from flow_core.fields import Exact, MomentumODE, Network, Prediction, Preserving, Published
from flow_core.model import FlowConfig, FlowModel
from flow_core.networks import PointConfig
from flow_core.paths import ICFM, IDFF, OTCFM, VP, Target
from flow_core.schedules import converted, level
from foundation import noise
from foundation.mistakes import Mistake
from tests.refusals import refuses

SCHEDULED = [Target(0.1), Target(1.0), VP()]
TIMES = [0.0, 0.05, 0.5, 0.93]


def as_time(t):
    return torch.tensor(t, dtype=torch.float64)


def points(n=7, dims=2, seed=3):
    return torch.randn(n, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def world():
    g = torch.Generator().manual_seed(0)
    return GaussianMixture(
        2 * torch.randn(5, 2, generator=g), 0.3 + torch.rand(5, generator=g), torch.rand(5, generator=g)
    )


def by_hand(path, x0, x1, t):
    """State and velocity given both ends, as torchcfm and Lipman et al. write them."""
    if isinstance(path, VP):
        c, s = math.cos(math.pi / 2 * t), math.sin(math.pi / 2 * t)
        return c * x0 + s * x1, math.pi / 2 * (c * x1 - s * x0)
    x = t * x1 + (1 - (1 - path.sigma) * t) * x0
    return x, (x1 - (1 - path.sigma) * x) / (1 - (1 - path.sigma) * t)


@pytest.mark.parametrize("path", SCHEDULED, ids=str)
@pytest.mark.parametrize("t", TIMES)
def test_state_and_velocity_given_both_ends(path, t):
    x0, x1 = points(seed=1), points(seed=2)
    x, u = by_hand(path, x0, x1, t)
    torch.testing.assert_close(path.sample(x0, x1, t, points()), x)
    torch.testing.assert_close(path.field(x0, x1, x, torch.full((7,), t)), u)
    h = 1e-6
    moved = (path.mean(x0, x1, t + h) - path.mean(x0, x1, t - h)) / (2 * h)
    torch.testing.assert_close(u, moved, rtol=1e-6, atol=1e-8)
    assert path.start_std == 1 and path.independent and float(path.std(t)) == 0


@pytest.mark.parametrize("path", SCHEDULED, ids=str)
@pytest.mark.parametrize("t", TIMES[1:])
def test_velocity_and_score_of_a_mixture(path, t):
    """The score by differentiating the law; v as the posterior mean of the velocity given both ends; continuity."""
    mixture, x = world(), points()
    a, v0 = float(path.alpha(as_time(t))), path.noise_variance(as_time(t))
    p = mixture.oracle(path)(x, as_time(t))
    at = x.clone().requires_grad_()
    (score,) = torch.autograd.grad(mixture.noisy_log_prob(at, a, v0).sum(), at)
    torch.testing.assert_close(fields.score(path, x, as_time(t), p), score, rtol=1e-8, atol=1e-10)
    v = fields.velocity(path, x, as_time(t), p)
    x0 = (x - a * p.x1) / v0.sqrt()  # E[x0 | x]
    torch.testing.assert_close(v, by_hand(path, x0, p.x1, t)[1], rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(fields.data_prediction(path, x, as_time(t), Prediction(velocity=v)), p.x1)

    def log_p(y, s):
        return mixture.noisy_log_prob(y[None], path.alpha(s), path.noise_variance(s))[0]

    def velocity(y):
        return fields.velocity(path, y[None], as_time(t), mixture.oracle(path)(y[None], as_time(t)))[0]

    for i, y in enumerate(x[:3]):
        gradient, rate = torch.func.grad(log_p, argnums=(0, 1))(y, as_time(t))
        left = rate + v[i] @ gradient + torch.func.jacrev(velocity)(y).trace()
        assert abs(float(left)) < 1e-8


@pytest.mark.parametrize("path", SCHEDULED, ids=str)
def test_what_needs_another_path_is_refused(path):
    with refuses("path", "idff or sbcfm", Mistake):
        Preserving(path)
    with refuses("path", "idff", Mistake):
        Published(path, (0.5,))
    x, oracle = points(), world().oracle(path)
    plain = Exact(path)(Network(oracle), x, as_time(0.4)).w
    for drift in (MomentumODE(path, (3.0,)), Preserving(path, 2.0)):  # there is no noise for momentum to weigh
        torch.testing.assert_close(drift(Network(oracle), x, as_time(0.4)).w, plain)
    with refuses("predicts", error=Mistake):
        FlowConfig(type(path).__name__.lower(), path.sigma, predicts="x1+eps")


def test_sigma_of_a_schedule():
    for sigma in (0.0, 1.5, -0.1, math.nan):
        with refuses("sigma", error=Mistake):
            Target(sigma)
    with refuses("sigma", error=Mistake):
        VP(0.1)


@pytest.mark.parametrize("path", SCHEDULED, ids=str)
def test_multistep_is_exact_where_x1_hat_is_constant(path):
    m, x = torch.tensor([1.5, -0.5], dtype=torch.float64), points()
    result = samplers.multistep(lambda y, t: Prediction(x1=m.expand_as(y)), x, path, 6)
    torch.testing.assert_close(result.x, m + float(path.noise_variance(as_time(1.0)).sqrt()) * x, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("predicts", ["x1", "velocity"])
@pytest.mark.parametrize("path", SCHEDULED, ids=str)
def test_targets_of_the_network_have_unit_size(path, predicts):
    torch.manual_seed(0)
    name = type(path).__name__.lower()
    m = FlowModel(FlowConfig(name, path.sigma, predicts=predicts, data_std=2.5), PointConfig(width=8, depth=1))
    x1, x0 = 2.5 * points(100_000, 1, 1), points(100_000, 1, 2)
    for t in (0.2, 0.8):
        x = path.mean(x0, x1, t)
        c_in, skip, out = m.scales(as_time(t))
        target = (x1 - skip * x) / out
        assert float((c_in * x).std()) == pytest.approx(1, abs=0.01)
        assert float(target.std()) == pytest.approx(1, abs=0.01) and abs(float((target * x).mean())) < 0.05


# ---------------------------------------------------------------------------------------------------------------------
# From path to path


@pytest.mark.parametrize("path", [ICFM(), ICFM(0.4), IDFF(0.2), IDFF(2.0), *SCHEDULED], ids=str)
def test_the_time_of_a_level(path):
    t = torch.linspace(0.01, 0.99, 25, dtype=torch.float64)
    torch.testing.assert_close(path.time_of(level(path, t)), t, rtol=1e-12, atol=1e-12)
    assert float(path.time_of(torch.tensor(math.inf, dtype=torch.float64))) < 1e-15


@pytest.mark.parametrize("pair", [(ICFM(), VP()), (VP(), Target(0.1)), (IDFF(0.5), ICFM()), (IDFF(0.5), VP())], ids=str)
def test_a_perfect_net_of_one_path_is_the_perfect_net_of_another(pair):
    trained, other = pair
    mixture, x = world(), points()
    for t in TIMES:
        got = converted(mixture.oracle(trained), trained, other)(x, as_time(t)).x1
        torch.testing.assert_close(got, mixture.oracle(other)(x, as_time(t)).x1, rtol=1e-9, atol=1e-9)
    each = torch.tensor([0.1, 0.9], dtype=torch.float64)
    got = converted(mixture.oracle(trained), trained, other)(x[:2], each).x1
    torch.testing.assert_close(got, mixture.oracle(other)(x[:2], each).x1, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "name,other", [("toy-8gaussians-icfm", VP()), ("toy-8gaussians", VP()), ("toy-8gaussians", ICFM())]
)
def test_a_trained_net_makes_equal_samples_on_another_path(name, other):
    model = flow_core.load(name).double()
    x, carried = noise(range(12), (2,)).double(), converted(model, model.path, other)

    def fine(steps):  # on a bridge x - x1_hat falls as the root of 1 - t, which is smooth in the second of these
        cosine = name.endswith("icfm")
        return samplers.cosine_grid(steps) if cosine else 1 - (1 - samplers.uniform_grid(steps)) ** 4

    own = samplers.rk4(model, x, Exact(model.path), 803, spacing=fine).x
    there = samplers.rk4(carried, x, Exact(other), 803, spacing=fine).x
    torch.testing.assert_close(there, own, rtol=0, atol=1e-5)
    few = [samplers.euler(f, x, Exact(p), 4).x for f, p in ((model, model.path), (carried, other))]
    assert float((few[0] - few[1]).abs().max()) > 1e-3, "few steps are another matter"


def test_what_cannot_be_carried_over():
    with refuses("path", error=Mistake):
        converted(lambda x, t: Prediction(), OTCFM(), VP())
    with refuses("noise", r"0\.1", Mistake):
        converted(lambda x, t: Prediction(), Target(0.1), VP())
