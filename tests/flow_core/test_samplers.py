"""Samplers: counted calls, order on known integrals, closed forms, failures."""

import math

import pytest
import torch

from flow_core import samplers
from flow_core.densities.mixtures import GaussianMixture
from flow_core.fields import Exact, MomentumODE, Motion, Network, Prediction, Preserving
from flow_core.paths import ICFM, IDFF, OTCFM, SBCFM
from flow_core.samplers import METHODS, NOISY, PLAIN_SAMPLERS, Diverged
from foundation.mistakes import Mistake
from tests.refusals import refuses

WORLD = GaussianMixture(torch.tensor([[2.0, 0], [-1, 1.5], [0, -2]]), torch.tensor([0.6, 0.8, 1.0]))
PATH = IDFF(0.5)
GAMMAS = {"published": (0.7,), "momentum": (0.7,), "matched": (1.0,)}


def start(n=6, dims=2):
    return torch.randn(n, dims, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def sample(name, network, x, nfe, path=PATH, **kwargs):
    seeds = range(100, 100 + len(x)) if name in NOISY else ()
    return samplers.sample(name, network, x, path, nfe, gammas=GAMMAS.get(name, ()), noise_seeds=seeds, **kwargs)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("spacing", samplers.GRIDS.values(), ids=samplers.GRIDS)
def test_calls_counted_are_calls_asked_and_none_is_at_the_end(name, spacing):
    oracle = WORLD.oracle(PATH)
    for nfe in (1, 2, 3, 4, 5, 6, 7, 8, 13):
        times = []

        def network(x, t, times=times):
            times.append(t)
            return oracle(x, t)

        result = sample(name, network, start(), nfe, spacing=spacing)
        assert len(times) == nfe == result.nfe and result.derivatives == 0
        # the second call of a Taylor step carries a tangent at the time of the first, and cannot be read
        seen = [float(t) for t in (times[::2] if name == "taylor2" else times)]
        assert seen[0] == 0 and max(seen) < 1
        assert bool(torch.isfinite(result.x).all()) and result.grid[0] == 0 and result.grid[-1] == 1


@pytest.mark.parametrize("name", METHODS)
def test_every_number_of_calls_is_spent_and_no_step_is_a_sliver(name):
    network, x = (lambda x, t: Prediction(x1=0.5 * x)), start(2, 1)
    for nfe in (1, 2, 3, 4, 5, 64, 100) if name == "taylor2" else (*range(1, 65), 100):
        result = sample(name, network, x, nfe)
        assert result.nfe == nfe and float(result.grid.diff().min()) > 1 / nfe - 1e-12


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("nfe", [0, -1, 1.5, True, None, 10_001])
def test_nfe_out_of_range_gives_a_sentence(name, nfe):
    with refuses("nfe", " 10,000", Mistake):
        sample(name, WORLD.oracle(PATH), start(), nfe)


def test_grids():
    assert samplers.uniform_grid(4).tolist() == [0, 0.25, 0.5, 0.75, 1]
    grid = samplers.cosine_grid(6)
    assert grid.tolist() == pytest.approx([math.sin(math.pi * k / 12) ** 2 for k in range(7)], abs=1e-15)
    assert grid.dtype == torch.float64 and bool((grid.diff() > 0).all())


# dx/dt = -2 t x + cos t, whose solution is known by quadrature of an integrating factor
def known(network, x, t):
    network(x, t)
    return Motion(-2 * t * x + t.cos(), x)


def exact_end(x0):
    u = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    integral = torch.trapezoid((u**2).exp() * u.cos(), u)
    return math.exp(-1) * (x0 + float(integral))


@pytest.mark.parametrize(
    "nfe,lengths", [(4, (2, 2)), (5, (4, 1)), (6, (4, 2)), (7, (4, 3)), (8, (4, 2, 2)), (9, (4, 4, 1))]
)
def test_rk4_with_steps_in_proportion_to_their_calls(nfe, lengths):
    x = start(3, 1)
    result = PLAIN_SAMPLERS["rk4p"](lambda y, t: None, x, known, nfe)
    assert result.nfe == nfe and (nfe * result.grid.diff()).tolist() == pytest.approx(lengths)
    alike = PLAIN_SAMPLERS["rk4"](lambda y, t: None, x, known, nfe)
    assert alike.grid.diff().tolist() == pytest.approx([1 / len(lengths)] * len(lengths))
    if nfe % 4 == 1:  # one Euler step over half of the way is what it avoids
        assert float((result.x - exact_end(x)).abs().max()) < 0.5 * float((alike.x - exact_end(x)).abs().max())


@pytest.mark.parametrize("name,order", [("euler", 1), ("heun", 2), ("rk4", 4), ("taylor2", 2)])
def test_order_of_accuracy(name, order):
    x = start(3, 1)
    cost = {"euler": 1, "heun": 2, "rk4": 4, "taylor2": 2}[name]
    # whole steps only: the cheaper last step of heun and rk4 costs h^2 and h^4 once
    errors = []
    for steps in (20, 40):
        nfe = cost * (steps - 1) + {"heun": 2, "rk4": 3}.get(name, cost)
        result = PLAIN_SAMPLERS[name](lambda y, t: None, x, known, nfe)
        assert len(result.grid) == steps + 1
        errors.append(float((result.x - exact_end(x)).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)


def test_euler_by_hand_and_its_callback():
    x, seen = start(), []
    oracle = WORLD.oracle(PATH)
    result = samplers.euler(oracle, x, Preserving(PATH), 4, callback=lambda *step: seen.append(step))
    for k in range(4):
        i, t, state, x1 = seen[k]
        assert (i, t) == (k, k / 4)
        torch.testing.assert_close(state, x)
        want = oracle(x, torch.tensor(k / 4, dtype=torch.float64)).x1
        torch.testing.assert_close(x1, want)
        x = x + 0.25 * (want - x) / (1 - k / 4)
    torch.testing.assert_close(result.x, x)
    torch.testing.assert_close(result.x, seen[-1][3])  # the last step lands on x1_hat


def test_a_callback_may_stop():
    def stop(i, t, x, x1):
        if i == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        samplers.euler(WORLD.oracle(PATH), start(), Exact(PATH), 5, callback=stop)


def test_multistep_is_the_formula_for_a_path_without_noise():
    """docs/flow.md, "Samplers", with 1 - t as the noise's scale, written out step by step."""
    path, x, n = OTCFM(0.0), start(), 7

    def network(y, t):
        return Prediction(x1=torch.tanh(y) * (1 + t))

    got = samplers.multistep(network, x, path, n).x
    lam = lambda t: math.log(t / (1 - t))  # noqa: E731
    before = None
    for k in range(n):
        t, after = k / n, (k + 1) / n
        x1 = torch.tanh(x) * (1 + t)
        d = x1
        if 2 <= k < n - 1:
            h, h_before = lam(after) - lam(t), lam(t) - lam((k - 1) / n)
            d = x1 + h / (2 * h_before) * (x1 - before)
        x, before = (1 - after) / (1 - t) * x + (after - t) / (1 - t) * d, x1
    torch.testing.assert_close(got, x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("path", [IDFF(0.5), ICFM(0.3), ICFM(0.0)], ids=str)
@pytest.mark.parametrize("nfe", [1, 2, 9])
def test_multistep_is_exact_where_x1_hat_is_constant(path, nfe):
    """One point of data: x_t = t m + sqrt(V0) n along the whole flow; V0(0) = 1 + sigma^2 on a path of constant std."""
    m, x = torch.tensor([1.5, -0.5], dtype=torch.float64), start()
    result = samplers.multistep(lambda y, t: Prediction(x1=m.expand_as(y)), x, path, nfe)
    first, last = path.noise_variance(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
    torch.testing.assert_close(result.x, m + math.sqrt(last / first) * x)


def test_multistep_is_second_order_without_noise_on_the_path():
    # with it the last step, which takes x1_hat as it is, costs O(sigma^2 h)
    x, path = start(), ICFM(0.0)
    want = samplers.rk4(WORLD.oracle(path), x, Exact(path), 403).x
    errors = [float((samplers.multistep(WORLD.oracle(path), x, path, n).x - want).norm()) for n in (40, 80, 160)]
    assert errors[0] / errors[1] > 3 and errors[1] / errors[2] > 3


def test_samplers_agree_where_steps_are_fine():
    x = start()
    want = samplers.rk4(WORLD.oracle(PATH), x, Exact(PATH), 203).x
    for name, tolerance in {"euler": 0.1, "heun": 0.01, "taylor2": 0.02, "multistep": 0.02}.items():
        assert float((sample(name, WORLD.oracle(PATH), x, 80).x - want).abs().max()) < tolerance, name


def test_noise_is_one_generator_a_sample():
    several = samplers.step_noise([5, 6, 7], (2,), 4)
    alone = samplers.step_noise([6], (2,), 4)
    assert all(torch.equal(several(i)[1:2], alone(i)) for i in range(4))
    x = start(3)
    all_of = samplers.euler_maruyama(WORLD.oracle(PATH), x, Preserving(PATH, 1.0), 4, draw=several).x
    one = samplers.euler_maruyama(WORLD.oracle(PATH), x[1:2], Preserving(PATH, 1.0), 4, draw=alone).x
    torch.testing.assert_close(all_of[1:2], one, rtol=1e-12, atol=1e-12)


def test_euler_maruyama_by_hand():
    x, oracle, n = start(), WORLD.oracle(PATH), 3
    draw = samplers.step_noise(range(6), (2,), n)
    drift = Preserving(PATH, 2.0)
    got = samplers.euler_maruyama(oracle, x, drift, n, draw=draw).x
    for k in range(n):
        t = torch.tensor(k / n, dtype=torch.float64)
        if k == n - 1:  # the plain flow, without noise
            x = x + Exact(PATH)(Network(oracle), x, t).w / n
            break
        std = 0.5 * math.sqrt(k / n * (1 - k / n))
        x = x + drift(Network(oracle), x, t).w / n + std * math.sqrt(2 * 2.0 / n) * draw(k).double()
    torch.testing.assert_close(got, x, rtol=1e-12, atol=1e-12)


def test_divergence_is_a_sentence():
    with pytest.raises(Diverged, match=" 10"):
        samplers.euler(WORLD.oracle(PATH), start(), MomentumODE(PATH, (1e6,)), 10)
    with pytest.raises(Diverged, match=" 1 .* 3:"):
        samplers.euler(lambda x, t: Prediction(x1=x * math.nan), start(), Preserving(PATH), 3)


def test_momentum_of_higher_order_reports_its_derivatives():
    for gammas, passes in (((1.0,), 0), ((1.0, 0.1), 4), ((1.0, 0.1, 0.01), 8)):
        result = samplers.euler(WORLD.oracle(PATH), start(), MomentumODE(PATH, gammas), 5)
        assert (result.nfe, result.derivatives) == (5, passes)  # none at t = 0, where the weight is 0


def test_everything_works_in_inference_mode_and_float32():
    with torch.inference_mode():
        x = start().float()
        for name in METHODS:
            assert sample(name, WORLD.oracle(PATH), x, 5).x.dtype == torch.float32
        samplers.euler(WORLD.oracle(PATH), x, MomentumODE(PATH, (0.5, 0.1)), 3)


# ---------------------------------------------------------------------------------------------------------------------
# The variance that noisy samplers end with: for Gaussian data every step is linear, so that it is known without samples


def _variance(drift, path, nfe, spread=0.36):
    """Of data N(0, spread), followed step by step: two deterministic runs say by what factor x is multiplied."""
    world = GaussianMixture(torch.zeros(1, 1), spread**0.5)
    oracle, factors, stds = world.oracle(path), [], []
    x = torch.ones(1, 1, dtype=torch.float64)
    result = samplers.euler_maruyama(
        oracle, x, drift, nfe, draw=lambda i: torch.zeros(1, 1), callback=lambda i, t, y, x1: factors.append(float(y))
    )
    ends = [*factors[1:], float(result.x)]
    # with draws of 1 and the states reset, the noise of step i alone
    for i in range(nfe):
        with_noise = samplers.euler_maruyama(
            oracle, 0 * x, drift, nfe, draw=lambda k, i=i: torch.full((1, 1), float(k == i), dtype=torch.float64)
        )
        stds.append(float(with_noise.x))
    return ends[-1] ** 2 * path.start_std**2 + sum(s**2 for s in stds)


@pytest.mark.parametrize("gamma1,error", [(None, 0.004), (1.0, 0.02)], ids=["bridge", "matched"])
def test_noisy_samplers_end_with_the_variance_of_the_data(gamma1, error):
    """At 32 steps and sigma .8 the bridge was .059 short: its noise was that of a known x1, and none came last."""
    path = IDFF(0.8)
    assert _variance(Preserving(path, gamma1), path, 32) == pytest.approx(0.36, abs=error)


def test_the_bridge_of_a_path_with_constant_noise_is_refused():
    with pytest.raises(ValueError):
        Preserving(ICFM(0.3), None)
    assert Preserving(ICFM(0.0), None).noise_std(0.5, 0.1) == 0  # without noise it is the plain flow
    # matched noise ends at the law of the data blurred by sigma
    assert _variance(Preserving(ICFM(0.3), 1.0), ICFM(0.3), 24) == pytest.approx(0.45, abs=0.04)


# ---------------------------------------------------------------------------------------------------------------------
# Nets that say the velocity alone


@pytest.mark.parametrize("path", [OTCFM(0.3), SBCFM(0.4), IDFF(0.4, "exact")], ids=str)
def test_a_velocity_net_of_a_noisy_path_with_coupled_ends_is_sampled(path):
    """Two points joined by lines, x1 = 2 x0 by the coupling: v is known, E[x1 | x] is not asked for."""

    def network(x, t):
        return Prediction(velocity=x / (1 + t))  # the flow x_t = (1 + t) x_0

    seen, x = [], start()
    result = sample("rk4", network, x, 19, path, callback=lambda i, t, y, x1: seen.append((t, y, x1)))
    torch.testing.assert_close(result.x, 2 * x, rtol=1e-6, atol=0)
    for t, y, x1 in seen:  # what is shown of the data is where the velocity points
        torch.testing.assert_close(x1, y + (1 - t) * y / (1 + t))
    with pytest.raises(ValueError):
        sample("multistep", network, x, 4, path)
