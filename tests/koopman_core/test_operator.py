"""The Koopman operator against assembled matrices and their exponential."""

import math

import pytest
import torch

from foundation.mistakes import Mistake
from koopman_core.operator import KoopmanOperator, evolve_pairs, sigma_of_tau, tau_of_sigma
from tests.refusals import refuses


def assembled(alpha, beta):
    """The (C, C) generator of one position: blocks [[a, b], [-b, a]] on the diagonal."""
    pairs = [torch.stack([torch.stack([a, b]), torch.stack([-b, a])]) for a, b in zip(alpha, beta, strict=True)]
    return torch.block_diag(*pairs)


def random_operator(shape, seed=0, scale=1.0):
    operator = KoopmanOperator(shape)
    torch.nn.init.normal_(operator.a, std=scale, generator=torch.Generator().manual_seed(seed))
    return operator


@pytest.mark.parametrize("shape", [(2, 1, 1), (6, 3, 2), (8, 4, 4)])
@pytest.mark.parametrize("delta", [-1.0, -0.3, 0.7])
def test_closed_form_is_the_matrix_exponential(shape, delta):
    operator = random_operator(shape)
    z = torch.randn(5, *shape)
    with torch.no_grad():
        got = operator(z, delta)
        for i in range(shape[1]):
            for j in range(shape[2]):
                a = assembled(operator.alpha[:, i, j].double(), operator.beta[:, i, j].double())
                want = z[:, :, i, j].double() @ torch.linalg.matrix_exp(delta * a).T
                torch.testing.assert_close(got[:, :, i, j].double(), want, rtol=1e-5, atol=1e-5)


def test_semigroup_inverse_and_identity():
    operator, z = random_operator((4, 3, 3)), torch.randn(2, 4, 3, 3)
    with torch.no_grad():
        torch.testing.assert_close(operator(operator(z, -0.3), -0.5), operator(z, -0.8))
        torch.testing.assert_close(operator(operator(z, -1.0), 1.0), z)
        torch.testing.assert_close(operator(z, 0.0), z)
        torch.testing.assert_close(KoopmanOperator((4, 3, 3))(z, -1.0), z)


def test_pair_norms_grow_by_exactly_the_real_part():
    operator, z = random_operator((6, 2, 2)), torch.randn(3, 6, 2, 2)
    with torch.no_grad():
        norm = z.view(3, 3, 2, 2, 2).norm(dim=2)
        after = operator(z, -0.7).view(3, 3, 2, 2, 2).norm(dim=2)
        torch.testing.assert_close(after, norm * torch.exp(-0.7 * operator.alpha))


def test_a_time_for_each_sample():
    operator, z = random_operator((4, 2, 2)), torch.randn(3, 4, 2, 2)
    with torch.no_grad():
        deltas = torch.tensor([0.0, -0.5, -1.0])
        got = operator(z, deltas)
        for i, d in enumerate(deltas.tolist()):
            torch.testing.assert_close(got[i : i + 1], operator(z[i : i + 1], d))


def test_zero_start_is_no_dead_start():
    operator, z = KoopmanOperator((4, 2, 2)), torch.randn(2, 4, 2, 2)
    operator(z, -1.0).square().sum().backward()
    alpha_grad = operator.a.grad[:2]
    # d/dalpha sum |e^(alpha d) z|^2 = 2 d |z_k|^2 at alpha = 0, d = -1; rotations change no norm
    torch.testing.assert_close(alpha_grad, -2 * z.view(2, 2, 2, 2, 2).square().sum((0, 2)))
    assert float(operator.a.grad[2:].abs().max()) < 1e-5


def test_nothing_overflows():
    operator = KoopmanOperator((2, 1, 1))
    with torch.no_grad():
        operator.a.fill_(-1e30)
        operator.a[1] = 0
        z = operator(torch.ones(1, 2, 1, 1), -1.0)
    assert bool(torch.isfinite(z).all())
    assert float(z.max()) == pytest.approx(math.exp(8), rel=1e-4)


def test_bound_has_unit_slope_at_zero():
    operator = KoopmanOperator((2, 1, 1))
    operator.alpha.sum().backward()
    assert float(operator.a.grad[0]) == pytest.approx(1)


def test_evolves_in_float32_inside_autocast():
    operator = random_operator((4, 2, 2))
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        z = torch.randn(2, 4, 2, 2)
        out = operator(z.bfloat16(), -1.0)
        assert out.dtype == torch.float32
        torch.testing.assert_close(out, evolve_pairs(z.bfloat16().float(), operator.alpha, operator.beta, -1.0))


@pytest.mark.parametrize("shape", [(3, 2, 2), (1, 1, 1)])
def test_odd_channels_are_refused(shape):
    with refuses("shape", error=Mistake):
        KoopmanOperator(shape)


@pytest.mark.parametrize("bad", [0.0, -1.0, 100.0, math.inf, math.nan])
def test_alpha_max_is_bounded(bad):
    with refuses("alpha_max", error=Mistake):
        KoopmanOperator((2, 1, 1), alpha_max=bad)


@pytest.mark.parametrize("warp", ["karras", "log", "sigma"])
def test_time_warps_invert(warp):
    sigma = torch.logspace(math.log10(0.002), math.log10(80), 50, dtype=torch.float64)
    tau = tau_of_sigma(sigma, warp)
    assert float(tau[0]) == pytest.approx(0, abs=1e-12) and float(tau[-1]) == pytest.approx(1)
    assert bool((tau.diff() > 0).all())
    torch.testing.assert_close(sigma_of_tau(tau, warp), sigma, rtol=1e-9, atol=1e-12)


def test_warps_by_hand():
    middle = [(0.5, "karras", 2.515), (0.5, "log", 0.4), (0.5, "sigma", 40.001)]
    for tau, warp, sigma in middle:
        assert float(sigma_of_tau(tau, warp)) == pytest.approx(sigma, rel=2e-3)
    with refuses("warp", "karras", Mistake):
        tau_of_sigma(1.0, "linear")
