"""Likelihood against exact densities, the trace estimate, bits."""

import math

import pytest
import torch

from flow_core.densities.mixtures import GaussianMixture
from flow_core.fields import Prediction
from flow_core.likelihood import log_likelihood
from flow_core.paths import ICFM, IDFF, OTCFM, SBCFM
from flow_core.samplers import Diverged
from foundation.mistakes import Mistake
from tests.refusals import refuses

WORLD = GaussianMixture(torch.tensor([[2.0, 0], [-1, 1.5], [0, -2]]), torch.tensor([0.6, 0.8, 1.0]))
PATHS = [IDFF(0.2), IDFF(0.5), ICFM(0.0)]


@pytest.mark.parametrize("path", PATHS, ids=str)
def test_it_is_the_density_of_a_mixture(path):
    x = torch.cat([WORLD.sample(40, torch.Generator().manual_seed(0)), torch.tensor([[4.0, 4.0], [-5, 0]])])
    got = log_likelihood(WORLD.oracle(path), path, x, steps=24)
    # what is read is the density of x blurred by what is left of the noise at the end
    end = 1 - 1e-3
    blurred = WORLD.noisy_log_prob(end * x.double(), end, path.noise_variance(torch.tensor(end, dtype=torch.float64)))
    torch.testing.assert_close(got.log_prob, blurred + 2 * math.log(end), rtol=0, atol=2e-3)
    torch.testing.assert_close(got.log_prob[:40], WORLD.log_prob(x[:40]), rtol=0, atol=5e-3)
    torch.testing.assert_close(got.bits_per_dim, -got.log_prob / (2 * math.log(2)))
    assert (got.nfe, got.derivatives) == (96, 192)


def test_a_path_with_noise_at_its_ends_gives_the_blurred_density():
    """I-CFM with sigma > 0 starts from N(0, (1 + sigma^2) I) and ends at the data blurred by sigma."""
    path, x = ICFM(0.3), WORLD.sample(40, torch.Generator().manual_seed(0))
    blurred = GaussianMixture(WORLD.means, (WORLD.stds**2 + 0.3**2).sqrt())
    got = log_likelihood(WORLD.oracle(path), path, x, steps=24)
    torch.testing.assert_close(got.log_prob, blurred.log_prob(x), rtol=0, atol=5e-3)


@pytest.mark.parametrize("path", [OTCFM(0.3), SBCFM(0.4), IDFF(0.4, "exact")], ids=str)
def test_a_velocity_net_of_coupled_ends_and_a_noisy_path_has_a_likelihood(path):
    """Of the flow x_t = (1 + t) x_0, which says v alone; E[x1 | x] is not asked for."""
    x = torch.tensor([[0.5, -1.0], [3.0, 0.0]], dtype=torch.float64)
    got = log_likelihood(lambda x, t: Prediction(velocity=x / (1 + t)), path, x, steps=40)
    end = 1 - 1e-3
    start = torch.distributions.Normal(0.0, path.start_std)
    want = start.log_prob(end * x / (1 + end)).sum(1) - 2 * math.log(1 + end) + 2 * math.log(end)
    torch.testing.assert_close(got.log_prob, want, rtol=0, atol=1e-6)


def test_finer_steps_come_closer():
    path, x = IDFF(0.2), WORLD.sample(20, torch.Generator().manual_seed(1))
    errors = [
        float(
            (log_likelihood(WORLD.oracle(path), path, x, steps=n, end=1 - e).log_prob - WORLD.log_prob(x)).abs().max()
        )
        for n, e in ((8, 1e-2), (24, 1e-3), (48, 1e-4))
    ]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_the_estimate_is_exact_where_the_jacobian_is_a_multiple_of_one():
    world, path = GaussianMixture(torch.zeros(1, 5), 0.7), IDFF(0.3)
    x = world.sample(10, torch.Generator().manual_seed(0))
    exact = log_likelihood(world.oracle(path), path, x, steps=12)
    one = log_likelihood(world.oracle(path), path, x, steps=12, probes=1, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(exact.log_prob, one.log_prob, rtol=1e-9, atol=1e-9)
    assert exact.derivatives == 5 * one.derivatives


def test_the_estimate_is_unbiased_and_its_probes_come_from_the_generator():
    path, x = IDFF(0.5), WORLD.sample(12, torch.Generator().manual_seed(2))
    want = log_likelihood(WORLD.oracle(path), path, x, steps=6).log_prob

    def estimate(seed, probes=1):
        generator = torch.Generator().manual_seed(seed)
        return log_likelihood(WORLD.oracle(path), path, x, steps=6, probes=probes, generator=generator).log_prob

    assert torch.equal(estimate(1), estimate(1)) and not torch.equal(estimate(1), estimate(2))
    draws = torch.stack([estimate(s) for s in range(25)])
    error = (draws.mean(0) - want) / (draws.std(0) / 25**0.5 + 1e-9)
    assert float(error.square().mean()) < 2.5
    assert float((estimate(0, 30) - want).square().mean()) < 0.3 * float((draws - want).square().mean())


def test_many_dimensions_take_one_probe_and_pictures_keep_their_shape():
    world, path = GaussianMixture(torch.zeros(1, 3 * 4 * 4), 0.5), IDFF(0.2)
    x = world.sample(3, torch.Generator().manual_seed(0)).reshape(3, 3, 4, 4)

    def oracle(y, t):
        return Prediction(world.oracle(path)(y.flatten(1), t).x1.view_as(y))

    got = log_likelihood(oracle, path, x, steps=12)
    torch.testing.assert_close(got.log_prob, world.log_prob(x.flatten(1)), rtol=0, atol=0.05)
    assert got.latent.shape == x.shape and got.derivatives == got.nfe == 48


def test_refusals():
    x = torch.zeros(2, 2)
    with refuses("probes", error=Mistake):
        log_likelihood(WORLD.oracle(IDFF(0.2)), IDFF(0.2), x, probes=-1)
    with refuses("steps", error=Mistake):
        log_likelihood(WORLD.oracle(IDFF(0.2)), IDFF(0.2), x, steps=0)
    with pytest.raises(Diverged):
        log_likelihood(lambda y, t: Prediction(x1=-1e3 * y), IDFF(0.2), x + 1, steps=8)


def test_it_works_in_inference_mode():
    with torch.inference_mode():
        log_likelihood(WORLD.oracle(IDFF(0.2)), IDFF(0.2), torch.zeros(2, 2), steps=2)
