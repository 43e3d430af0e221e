"""Flows between two mixtures: one component by one, by the flow they carry, and against the closed form from noise."""

import pytest
import torch

from flow_core.densities.distances import MMD
from flow_core.densities.mixtures import GaussianMixture
from flow_core.densities.pairs import between
from flow_core.densities.toys import toy
from flow_core.fields import Exact, velocity
from flow_core.paths import ICFM, IDFF, OTCFM, VP, MeanFlow
from flow_core.samplers import rk4, sample
from foundation.mistakes import Mistake
from tests.refusals import refuses


def points(n=7, seed=3):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixture(seed):
    g = torch.Generator().manual_seed(seed)
    return GaussianMixture(
        2 * torch.randn(3, 2, generator=g), 0.3 + torch.rand(3, generator=g), torch.rand(3, generator=g)
    )


@pytest.mark.parametrize("t", [0.0, 0.3, 0.9])
def test_the_posterior_mean_pair_by_pair(t):
    """The joint law of (x0, x1) in x_t by hand: a sum over nine pairs, each a Gaussian with a linear regression."""
    a, b, x = mixture(0), mixture(1), points()
    weights, means = [], []
    for i in range(3):
        for j in range(3):
            mean = t * b.means[j] + (1 - t) * a.means[i]
            c = float(t**2 * b.stds[j] ** 2 + (1 - t) ** 2 * a.stds[i] ** 2)
            law = torch.distributions.MultivariateNormal(mean, c * torch.eye(2, dtype=torch.float64))
            weights.append(a.weights[i].log() + b.weights[j].log() + law.log_prob(x))
            means.append(b.means[j] + t * b.stds[j] ** 2 / c * (x - mean))
    r = torch.stack(weights).softmax(0)
    want = (r[:, :, None] * torch.stack(means)).sum(0)
    torch.testing.assert_close(between(a, b, ICFM())(x, torch.tensor(t, dtype=torch.float64)).x1, want)


def test_from_one_standard_normal_component_it_is_the_closed_form_from_noise():
    b, x, one = mixture(1), points(), GaussianMixture(torch.zeros(1, 2), 1.0)
    for t in (0.0, 0.4, 0.95):
        t = torch.tensor(t, dtype=torch.float64)
        torch.testing.assert_close(between(one, b, ICFM())(x, t).x1, b.oracle(ICFM())(x, t).x1)


def test_the_velocity_carries_the_law_of_the_pairs():
    """d/dt log p + v . grad log p + div v = 0 for the mixture of all pairs."""
    a, b = mixture(0), mixture(1)
    net = between(a, b, ICFM())

    def log_p(x, t):
        mean = (t * b.means[:, None] + (1 - t) * a.means).reshape(-1, 2)
        c = (t**2 * b.stds[:, None] ** 2 + (1 - t) ** 2 * a.stds**2).flatten()
        w = (b.weights[:, None] * a.weights).flatten().log()
        return (w - 0.5 * (x - mean).square().sum(1) / c - c.log()).logsumexp(0)

    def v(x, t):
        return velocity(ICFM(), x[None], t, net(x[None], t))[0]

    t = torch.tensor(0.6, dtype=torch.float64)
    for x in points(3):
        gradient, rate = torch.func.grad(log_p, argnums=(0, 1))(x, t)
        divergence = torch.autograd.functional.jacobian(lambda y: v(y, t), x).trace()
        assert abs(float(rate + v(x, t) @ gradient + divergence)) < 1e-8


def test_eight_gaussians_become_moons():
    source, target = toy("8gaussians"), toy("moons")
    x, reference = source.sample(400, 0), MMD(target.sample(2000, 1))
    net = between(source.density, target.density, ICFM())
    got = rk4(net, x, Exact(ICFM()), 40).x
    assert reference.unbiased(got) < 0.004 < 0.04 * reference.unbiased(x)
    jumped = sample("euler", between(source.density, target.density, MeanFlow()), x[:50], MeanFlow(), 1).x
    assert float((jumped - rk4(net, x[:50], Exact(ICFM()), 200).x).norm(dim=1).median()) < 0.01


def test_what_has_no_closed_form():
    a = mixture(0)
    for path in (IDFF(0.2), OTCFM(), VP()):
        with refuses("path", "icfm", Mistake):
            between(a, a, path)
    with refuses("dims", error=Mistake):
        between(a, GaussianMixture(torch.zeros(1, 3), 1.0), ICFM())
    with refuses("pairs", "[0-9],[0-9]{3}", Mistake):
        between(toy("spirals").density, toy("pinwheel").density, ICFM())
