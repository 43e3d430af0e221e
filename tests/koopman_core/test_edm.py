"""EDM: preconditioning, grid, sampler, against independent recomputations."""

import math

import pytest
import torch

from foundation import noise
from foundation.mistakes import Mistake
from foundation.networks.unet import UNetConfig
from koopman_core import edm
from tests.refusals import refuses

TINY = UNetConfig(resolution=8, base=16, multipliers=(1, 2), blocks=1, attention=(), embedding=32, classes=3)


def test_grid_is_the_published_one():
    published = [80, 57.586, 40.786, 28.375, 19.353, 12.910, 8.401, 5.315, 3.257, 1.923, 1.088, 0.5853, 0.2964]
    published += [0.1395, 0.0599, 0.0229, 0.0075, 0.002]
    grid = edm.karras_sigmas(18)
    assert grid.dtype == torch.float64
    assert grid[0] == 80 and grid[-1] == 0.002
    assert grid.tolist() == pytest.approx(published, rel=6e-3)
    for i, sigma in enumerate(grid.tolist()):
        assert sigma == pytest.approx((80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7, rel=1e-9)


def test_grid_needs_two_steps():
    with refuses("steps", r"\b2\b", Mistake):
        edm.karras_sigmas(1)


@pytest.mark.parametrize("sigma", [0.002, 0.3, 80.0])
def test_preconditioning_keeps_unit_variance(sigma):
    s = torch.tensor(sigma, dtype=torch.float64)
    # Karras et al. appendix B.6: unit-variance input and effective training target
    assert float(edm.c_in(s) ** 2 * (sigma**2 + 0.25)) == pytest.approx(1)
    target = ((1 - edm.c_skip(s)) ** 2 * 0.25 + edm.c_skip(s) ** 2 * sigma**2) / edm.c_out(s) ** 2
    assert float(target) == pytest.approx(1)
    assert float(edm.c_noise(s)) == pytest.approx(math.log(sigma) / 4)


def test_denoiser_is_its_formula():
    model = edm.EDM(TINY).eval()
    torch.nn.init.normal_(model.net.decoder.conv.weight)
    x, sigma, labels = torch.randn(3, 3, 8, 8), torch.tensor([0.01, 1.0, 40.0]), torch.tensor([0, 2, -1])
    with torch.no_grad():
        got = model(x, sigma, labels)
        for i in range(3):
            s = float(sigma[i])
            f = model.net(x[i : i + 1] / math.sqrt(s * s + 0.25), torch.tensor([math.log(s) / 4]), labels[i : i + 1])
            want = 0.25 / (s * s + 0.25) * x[i] + 0.5 * s / math.sqrt(s * s + 0.25) * f[0]
            torch.testing.assert_close(got[i], want, rtol=1e-4, atol=1e-4)


def test_loss_weight_by_hand():
    model = edm.EDM(TINY).eval()
    x, eps, sigma = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8), torch.tensor([0.2, 5.0])
    with torch.no_grad():
        loss = edm.edm_loss(model(x + sigma[:, None, None, None] * eps, sigma), x, sigma)
        for i in range(2):
            s = float(sigma[i])
            d = model(x[i : i + 1] + s * eps[i : i + 1], s)
            want = (s * s + 0.25) / (s * 0.5) ** 2 * float((d - x[i]).square().mean())
            assert float(loss[i]) == pytest.approx(want, rel=1e-3)


def test_training_sigmas_are_lognormal():
    logs = edm.draw_training_sigma(4000, torch.Generator().manual_seed(0)).log()
    assert float(logs.mean()) == pytest.approx(-1.2, abs=0.02)
    assert float(logs.std()) == pytest.approx(1.2, abs=0.02)


def gaussian_denoiser(scale):
    """The exact D for data N(0, scale^2 I)."""
    return lambda x, s: x * scale**2 / (scale**2 + s**2)


@pytest.mark.parametrize("steps,calls", [(2, 3), (10, 19), (18, 35)])
def test_heun_counts_its_calls(steps, calls):
    seen = []

    def callback(i, sigma, x, denoised):
        seen.append((i, sigma))

    result = edm.heun_sample(gaussian_denoiser(0.5), torch.randn(2, 3, 4, 4), edm.karras_sigmas(steps), callback)
    assert result.nfe == calls
    assert [i for i, _ in seen] == list(range(steps))
    assert seen[0][1] == 80 and seen[-1][1] == pytest.approx(0.002)


def test_heun_follows_the_exact_flow_of_a_gaussian():
    # for N(0, s^2) data the ODE has the solution x(sigma) = x_T sqrt((s^2 + sigma^2) / (s^2 + T^2))
    scale = 0.5
    x = 80 * noise(range(4), (3, 8, 8)).double()
    states = {}
    result = edm.heun_sample(
        gaussian_denoiser(scale), x, edm.karras_sigmas(160), lambda i, s, x, d: states.__setitem__(s, x)
    )
    for sigma, state in states.items():
        want = x * math.sqrt((scale**2 + sigma**2) / (scale**2 + 80**2))
        assert float((state - want).abs().max() / want.abs().max()) < 1e-3
    want = x * scale / math.sqrt(scale**2 + 80**2)
    assert float((result.x - want).abs().max() / want.abs().max()) < 1e-3


def test_heun_is_second_order():
    scale, x = 0.5, 80 * torch.ones(1, 1, 1, 1, dtype=torch.float64)
    want = 80 * scale / math.sqrt(scale**2 + 80**2)
    errors = [
        abs(float(edm.heun_sample(gaussian_denoiser(scale), x, edm.karras_sigmas(n)).x) - want) for n in (40, 80, 160)
    ]
    assert errors[0] / errors[1] > 3 and errors[1] / errors[2] > 3
