"""Inversion against an ODE with a closed form, scipy's solver, and the formula taken literally."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from analysis.koopman import inversion
from analysis.koopman.inversion import invert_ode, invert_teacher, koopman_path, noise_numbers, rising_sigmas
from foundation import noise
from foundation.mistakes import Mistake
from koopman_core.edm import SIGMA_MAX, SIGMA_MIN, heun_sample, karras_sigmas
from koopman_core.operator import sigma_of_tau
from tests.analysis.conftest import random_pair
from tests.refusals import refuses

SPREAD = 0.5


def gaussian(x, sigma):
    """D of data N(0, SPREAD^2): the ODE's solutions are x(sigma) ~ sqrt(SPREAD^2 + sigma^2)."""
    return x * SPREAD**2 / (SPREAD**2 + sigma**2)


def exact(x, low, high):
    return x * math.sqrt((SPREAD**2 + high**2) / (SPREAD**2 + low**2))


def test_the_closed_form_is_approached_at_second_order():
    x = noise([1], (3, 4, 4)).double()
    errors = []
    for steps in (9, 17, 33):
        found = invert_ode(gaussian, x, rising_sigmas(steps))
        assert found.nfe == 2 * (steps - 1)
        wanted = exact(x, SIGMA_MIN, SIGMA_MAX)
        errors.append(float((found.x - wanted).abs().max() / wanted.abs().max()))
    assert errors[0] < 0.2 and errors[0] / errors[1] > 3 and errors[1] / errors[2] > 3


def test_against_scipy_and_back_again():
    teacher = random_pair()[1]
    x = noise([2], (3, 16, 16)) * 0.3

    @torch.no_grad()
    def slope(sigma, flat):
        at = torch.from_numpy(flat).float().view(x.shape)
        return ((at - teacher(at, torch.tensor(sigma).float(), None)) / sigma).flatten().double().numpy()

    low, high = 0.05, 2.0
    wanted = solve_ivp(slope, (low, high), x.flatten().double().numpy(), rtol=1e-5, atol=1e-6).y[:, -1]
    grid = karras_sigmas(24, sigma_min=low, sigma_max=high).flip(0)
    found = invert_ode(lambda x, s: teacher(x, s, None), x, grid)
    np.testing.assert_allclose(found.x.flatten().numpy(), wanted, atol=5e-3 * np.abs(wanted).max())
    seen = []
    again = heun_sample(
        lambda x, s: teacher(x, s, None), found.x, grid.flip(0), lambda i, s, state, d: seen.append((s, state))
    )
    assert again.nfe == 2 * 24 - 1 and seen[-1][0] == pytest.approx(low)
    assert float((seen[-1][1] - x).abs().max()) < 5e-3 * float(x.abs().max())


def test_the_levels_are_those_of_the_sampler_turned_round():
    assert rising_sigmas(7).tolist() == karras_sigmas(7).tolist()[::-1]
    steps = []
    found = invert_teacher(random_pair()[1], noise([1], (3, 16, 16)), 5, callback=lambda *told: steps.append(told[:2]))
    assert found.nfe == 8 and [i for i, _ in steps] == [1, 2, 3, 4] and steps[-1][1] == SIGMA_MAX
    for levels in ([0.1], [0.0, 1.0], [0.2, 0.1]):
        with refuses("levels", error=Mistake):
            invert_ode(gaussian, noise([1], (3, 4, 4)), torch.tensor(levels))


def test_the_koopman_way_mode_by_mode():
    model = random_pair()[0]
    x = noise([3], (3, 16, 16)).clamp(-1, 1)
    path = koopman_path(model, x, [0.0, 0.6])
    with torch.no_grad():
        z = model.encode(x, SIGMA_MIN)
        moved = []
        for latent, e in zip(z, model.spectrum(), strict=True):
            w = torch.complex(latent[:, ::2].double(), latent[:, 1::2].double())
            w = w * torch.exp(torch.complex(e.alpha.double(), -e.beta.double()) * 0.6)
            moved.append(torch.stack([w.real, w.imag], 2).flatten(1, 2).float())
        torch.testing.assert_close(path[0], model.decode(z))
        torch.testing.assert_close(path[1], model.decode(moved), atol=1e-4, rtol=1e-4)
        # and it is the inverse of the way to the picture
        torch.testing.assert_close(model.decode(model.evolve(moved, 0.6, 0.0)), path[0], atol=1e-4, rtol=1e-4)
    assert float(sigma_of_tau(0.0)) == pytest.approx(SIGMA_MIN)


def test_noise_is_told_from_what_is_none():
    x = SIGMA_MAX * noise([5], (3, 32, 32))
    found = noise_numbers(x)
    values = x[0].numpy() / SIGMA_MAX
    assert found.mean == pytest.approx(values.mean(), abs=1e-6) and found.std == pytest.approx(values.std(), rel=1e-6)
    a = values - values.mean()
    assert found.neighbours == pytest.approx((a[..., 1:] * a[..., :-1]).mean() / a.var(), abs=1e-6)
    assert abs(found.neighbours) < 0.1
    smooth = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32) * SIGMA_MAX
    assert inversion.noise_numbers(smooth).neighbours > 0.9
