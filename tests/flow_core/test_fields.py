"""The identities of the exact field to 1e-8 in float64; numbers are lines of docs/flow.md, "Velocity and score"."""

import math

import pytest
import torch
from scipy.integrate import quad

from flow_core import fields
from flow_core.densities.mixtures import GaussianMixture
from flow_core.densities.toys import toy
from flow_core.fields import Exact, MomentumODE, Network, Prediction, Preserving, Published
from flow_core.paths import ICFM, IDFF, OTCFM, SBCFM
from flow_core.samplers import rk4
from foundation.mistakes import Mistake
from tests.refusals import refuses

TIMES = [0.05, 0.31, 0.5, 0.77, 0.97]
DEPENDENT = [IDFF(0.3, "exact"), SBCFM(1.2), OTCFM(0.4), IDFF(0.8)]
INDEPENDENT = [IDFF(0.2), IDFF(0.9), ICFM(0.0), ICFM(0.3)]


def close(a, b, tolerance=1e-8):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def points(dims, n=7, seed=3):
    return torch.randn(n, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def as_time(t):
    return torch.tensor(t, dtype=torch.float64)


def planar(seed=0):
    """Five Gaussians in the plane, all different."""
    g = torch.Generator().manual_seed(seed)
    return GaussianMixture(
        2 * torch.randn(5, 2, generator=g), 0.3 + torch.rand(5, generator=g), torch.rand(5, generator=g)
    )


class Pairs:
    """Finitely many pairs (x0_i, x1_i), any dependence: x_t is a mixture of N(mean_i, std^2), all sums explicit."""

    def __init__(self, path, n=6, dims=3, seed=0):
        g = torch.Generator().manual_seed(seed)
        self.path = path
        self.x0 = torch.randn(n, dims, generator=g, dtype=torch.float64)
        self.x1 = torch.randn(n, dims, generator=g, dtype=torch.float64) + 0.8 * self.x0

    def log_prob(self, x, t):
        """Up to a constant that depends on t alone."""
        mean, std = t * self.x1 + (1 - t) * self.x0, float(self.path.std(torch.tensor(t, dtype=torch.float64)))
        return (-0.5 * (x[:, None] - mean).square().sum(2) / std**2).logsumexp(1)

    def expectation(self, x, t, values):
        """E[values_i(x) | x_t = x] for values (B, n, dims)."""
        mean, std = t * self.x1 + (1 - t) * self.x0, float(self.path.std(torch.tensor(t, dtype=torch.float64)))
        r = (-0.5 * (x[:, None] - mean).square().sum(2) / std**2).softmax(1)
        return (r[:, :, None] * values).sum(1)


# ---------------------------------------------------------------------------------------------------------------------
# Any coupling: x_t of finitely many pairs


@pytest.mark.parametrize("path", DEPENDENT, ids=str)
@pytest.mark.parametrize("t", TIMES)
def test_the_lines_for_dependent_ends(path, t):
    world, x = Pairs(path), points(3)
    std = float(path.std(as_time(t)))
    eps = (x[:, None] - t * world.x1 - (1 - t) * world.x0) / std
    p = Prediction(
        x1=world.expectation(x, t, world.x1.expand(7, -1, -1)), eps=world.expectation(x, t, eps)
    )  # what a perfect network with an eps head says
    at = x.clone().requires_grad_()
    (s,) = torch.autograd.grad(world.log_prob(at, t).sum(), at)
    close(fields.score(path, x, t, p), s)  # (2): eps_hat = -std score
    u = path.field(world.x0.expand(7, -1, -1), world.x1.expand(7, -1, -1), x[:, None].expand(-1, 6, -1), t)
    close(fields.velocity(path, x, t, p), world.expectation(x, t, u))  # (3): v = E[u | x]


def test_dependent_ends_need_an_eps_head():
    x = points(2)
    with refuses("eps", error=Mistake):
        fields.velocity(SBCFM(0.1), x, 0.5, Prediction(x1=x))
    with refuses("x1", error=Mistake):
        fields.data_prediction(SBCFM(0.1), x, 0.5, Prediction(velocity=x))
    close(fields.velocity(OTCFM(0.0), x, 0.5, Prediction(x1=x + 1)), torch.full_like(x, 2.0))


def test_the_score_of_an_eps_head_at_the_start_is_the_sources():
    x = points(2)
    close(fields.score(SBCFM(0.5), x, 0.0, Prediction(x1=x, eps=x)), -x)


# ---------------------------------------------------------------------------------------------------------------------
# Independent noise: closed forms, the continuity equation, Jacobians


@pytest.mark.parametrize("path", INDEPENDENT, ids=str)
@pytest.mark.parametrize("t", [0.0, *TIMES])
def test_the_lines_for_independent_noise(path, t):
    world, x, t = planar(), points(2), as_time(t)
    p = world.oracle(path)(x, t)
    at = x.clone().requires_grad_()
    (s,) = torch.autograd.grad(world.noisy_log_prob(at, t, path.noise_variance(t)).sum(), at)
    close(fields.score(path, x, t, p), s)  # (4)
    v = fields.velocity(path, x, t, p)
    close(v, world.velocity(path, x, t))
    close(fields.data_prediction(path, x, t, Prediction(velocity=v)), p.x1)  # and back from a velocity network
    close(fields.score(path, x, t, Prediction(velocity=v)), s)


@pytest.mark.parametrize("path", INDEPENDENT, ids=str)
@pytest.mark.parametrize("t", TIMES)
def test_the_velocity_carries_the_density(path, t):
    """d/dt log p + v . grad log p + div v = 0 (1)."""
    world = planar()

    def log_p(x, t):
        return world.noisy_log_prob(x[None], t, path.noise_variance(t))[0]

    def v(x):
        return fields.velocity(path, x[None], as_time(t), world.oracle(path)(x[None], as_time(t)))[0]

    for x in points(2, 3):
        gradient, rate = torch.func.grad(log_p, argnums=(0, 1))(x, as_time(t))
        left = rate + v(x) @ gradient + torch.func.jacrev(v)(x).trace()
        assert abs(float(left)) < 1e-8


@pytest.mark.parametrize("t", TIMES)
def test_jacobian_and_hessian(t):
    """d x1_hat/dx = (t/V0) Cov[x1 | x], symmetric and >= 0; Hessian log p = (t d x1_hat/dx - I)/V0 (4)."""
    world, path, x = planar(), IDFF(0.5), points(2, 1)[0]
    v0 = float(path.noise_variance(as_time(t)))
    jacobian = torch.func.jacrev(lambda y: world.oracle(path)(y[None], as_time(t)).x1[0])(x)
    # the posterior covariance by hand: within and between components
    c = t**2 * world.stds**2 + v0
    r = (world.weights.log() - (x - t * world.means).square().sum(1) / (2 * c) - c.log()).softmax(0)
    means = world.means + (t * world.stds**2 / c)[:, None] * (x - t * world.means)
    within = (r * world.stds**2 * v0 / c).sum() * torch.eye(2, dtype=torch.float64)
    centred = means - (r[:, None] * means).sum(0)
    close(jacobian, t / v0 * (within + (r[:, None] * centred).T @ centred))
    assert float(torch.linalg.eigvalsh(jacobian).min()) > 0
    hessian = torch.func.hessian(lambda y: world.noisy_log_prob(y[None], t, v0)[0])(x)
    close(hessian, (t * jacobian - torch.eye(2, dtype=torch.float64)) / v0)


# ---------------------------------------------------------------------------------------------------------------------
# Momentum


@pytest.mark.parametrize("t", TIMES)
def test_momentum_terms_are_repeated_gradients(t):
    world, path, x = planar(), IDFF(0.6), points(2, 3)
    network = Network(world.oracle(path))
    p, (xi1, xi2, xi3) = fields.momentum_terms(network, path, x, as_time(t), 3)
    assert (network.calls, network.derivatives) == (1, 2)
    v0 = path.noise_variance(as_time(t))

    def first(y):
        return torch.func.grad(lambda u: world.noisy_log_prob(u[None], t, v0)[0])(y)

    def second(y):  # xi^2_j = sum_i d xi^1_i / d x_j: column sums of the Hessian
        return torch.func.jacfwd(first)(y).sum(0)

    for i in range(3):
        close(xi1[i], first(x[i]))
        close(xi2[i], second(x[i]))
        close(xi3[i], torch.func.jacfwd(second)(x[i]).sum(0), 1e-7)
    close(p.x1, world.oracle(path)(x, as_time(t)).x1)


def test_momentum_can_be_taken_inside_inference_mode():
    world, path = planar(), IDFF(0.6)
    with torch.inference_mode():
        x = points(2)
        _, terms = fields.momentum_terms(Network(world.oracle(path)), path, x, torch.tensor(0.5), 3)
    assert len(terms) == 3 and not terms[2].requires_grad


@pytest.mark.parametrize("t", TIMES)
def test_gamma1_one_half_is_the_plain_flow(t):
    world, path, x = planar(), IDFF(0.6), points(2)
    plain = Exact(path)(Network(world.oracle(path)), x, as_time(t))
    for gammas in ((0.5,), (0.5, 0.0), (0.5, 0.0, 0.0)):
        network = Network(world.oracle(path))
        got = MomentumODE(path, gammas)(network, x, as_time(t))
        assert torch.equal(got.w, plain.w) and torch.equal(got.x1, plain.x1)
        assert (network.calls, network.derivatives) == (1, 0)
    # of the published drift only the momentum vanishes; the factor and the missing term stay
    std = 0.6 * math.sqrt(t * (1 - t))
    got = Published(path, (0.5,))(Network(world.oracle(path)), x, as_time(t))
    close(got.w, math.sqrt(1 - 0.5 * std**2) * (plain.x1 - x) / (1 - t))


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("gammas", [(1.7,), (-0.4, 0.3), (0.9, -0.2, 0.05)])
def test_published_drift_and_momentum_by_hand(t, gammas):
    world, path, x = planar(), IDFF(0.6), points(2)
    network = Network(world.oracle(path))
    p, terms = fields.momentum_terms(network, path, x, as_time(t), 3)
    variance = 0.36 * t * (1 - t)
    momentum = 0.5 * (2 * gammas[0] - 1) * terms[0] * variance
    for gamma, xi in zip(gammas[1:], terms[1:], strict=False):
        momentum = momentum + gamma * xi * variance
    want = math.sqrt(1 - sum(gammas) * variance) * (p.x1 - x) / (1 - t) + momentum
    close(Published(path, gammas)(network, x, as_time(t)).w, want)
    close(MomentumODE(path, gammas)(network, x, as_time(t)).w, world.velocity(path, x, t) + momentum)


def test_no_derivative_is_taken_where_momentum_is_zero():
    network = Network(planar().oracle(IDFF(0.6)))
    Published(IDFF(0.6), (1.0, 1.0, 1.0))(network, points(2), as_time(0.0))
    assert (network.calls, network.derivatives) == (1, 0)


@pytest.mark.parametrize("gammas", [(), (1.0,) * 4, (math.nan,), (0.5, math.inf)])
def test_bad_weights_are_refused(gammas):
    for drift in (MomentumODE, Published):
        with refuses("gammas", error=Mistake):
            drift(IDFF(0.2), gammas)


def test_a_root_that_is_not_real_is_refused():
    with refuses("gammas", " 100, .*1e", Mistake):
        Published(IDFF(0.2), (1e6,))
    Published(IDFF(0.2), (100.0,))


# ---------------------------------------------------------------------------------------------------------------------
# The family that keeps the marginals, and the ODE that does not


@pytest.mark.parametrize("gamma1", [None, 0.0, 1.0, 7.0])
@pytest.mark.parametrize("t", TIMES)
def test_the_family_solves_the_fokker_planck_equation(gamma1, t):
    """d/dt log p + div b + b . s - eta (div s + |s|^2) = 0 for drift b and noise sqrt(2 eta)."""
    world, path = planar(), IDFF(0.6)
    drift = Preserving(path, gamma1)
    eta = float(drift.eta(as_time(t)))
    assert eta == pytest.approx(0.18 if gamma1 is None else gamma1 * 0.36 * t * (1 - t))
    log_p = lambda y, u: world.noisy_log_prob(y[None], u, path.noise_variance(u))[0]  # noqa: E731
    score = torch.func.grad(log_p)
    b = lambda y: drift(Network(world.oracle(path)), y[None], as_time(t)).w[0]  # noqa: E731
    for x in points(2, 3):
        s, rate = score(x, as_time(t)), torch.func.grad(log_p, argnums=1)(x, as_time(t))
        spread = torch.func.jacrev(score)(x, as_time(t)).trace()
        left = rate + torch.func.jacrev(b)(x).trace() + b(x) @ s - eta * (spread + s @ s)
        assert abs(float(left)) < 1e-8


def test_the_bridge_needs_no_score_before_its_last_step():
    path, x = IDFF(0.8, "exact"), points(2)  # dependent ends, no eps head
    got = Preserving(path)(Network(lambda y, t: Prediction(x1=2 * y)), x, as_time(0.25))
    close(got.w, x / 0.75)
    noise = Preserving(path).noise_std(0.25, 0.1)  # of the SDE: sigma^2 a unit of time
    assert noise == pytest.approx(0.8 * math.sqrt(0.1), rel=1e-14)
    assert Preserving(path, 3.0).noise_std(0.5, 0.1) == pytest.approx(0.4 * math.sqrt(2 * 3.0 * 0.1), rel=1e-14)
    std = 0.8 * math.sqrt(0.25 * 0.75)
    assert Preserving(path, 3.0).noise_std(0.25, 0.1) == pytest.approx(std * math.sqrt(2 * 3 * 0.1), rel=1e-14)


@pytest.mark.parametrize("gamma1", [-0.1, math.nan, math.inf])
def test_matched_noise_needs_a_weight_of_at_least_zero(gamma1):
    with refuses("gamma1", error=Mistake):
        Preserving(IDFF(0.2), gamma1)


@pytest.mark.parametrize("gamma1", [-1.0, 0.0, 0.5, 1.0, 3.0])
def test_the_bias_of_the_momentum_ode_on_a_gaussian(gamma1):
    """U_1 = V_1 exp(-2 c int sigma_t^2 / V dt), c = gamma1 - 1/2 (docs/flow.md, "Marginal-preserving family")."""
    path, scale = IDFF(0.8), 0.7
    world = GaussianMixture(torch.zeros(1, 1), scale)
    x = torch.tensor([[1.0]], dtype=torch.float64)  # the flow is linear: one point tells the factor
    end = rk4(world.oracle(path), x, MomentumODE(path, (gamma1,)), 803).x  # a cheap last step of order 3
    integral = quad(lambda t: 0.64 * t * (1 - t) / (t**2 * scale**2 + (1 - t) ** 2 + 0.64 * t * (1 - t)), 0, 1)[0]
    want = scale**2 * math.exp(-2 * (gamma1 - 0.5) * integral)
    assert float(end) ** 2 == pytest.approx(want, rel=1e-6)
    assert (abs(want - scale**2) > 0.01) == (gamma1 != 0.5)


def test_only_the_first_momentum_term_turns_with_the_data():
    """Orders 2 and 3 are gradients of sums of components: no vectors, but numbers of these axes."""
    world, path, x, t = toy("8gaussians").density, IDFF(0.2), 3 * points(2), as_time(0.6)
    root = math.sqrt(0.5)
    turn = torch.tensor([[root, -root], [root, root]], dtype=torch.float64)  # 45 degrees: a symmetry of the density
    _, here = fields.momentum_terms(Network(world.oracle(path)), path, x, t, 3)
    _, there = fields.momentum_terms(Network(world.oracle(path)), path, x @ turn.T, t, 3)
    close(there[0], here[0] @ turn.T)
    for k in (1, 2):
        change = float((there[k] - here[k] @ turn.T).norm() / here[k].norm())
        assert change > 0.5
