"""Guidance by hand, on Gaussians where its law is known, and its calls."""

import math

import pytest
import torch

from flow_core.densities.mixtures import GaussianMixture
from flow_core.fields import Exact, Prediction, velocity
from flow_core.guidance import Guidance, Guided
from flow_core.paths import ICFM, IDFF
from flow_core.samplers import euler, rk4
from foundation.mistakes import Mistake
from tests.refusals import refuses

PAIR = GaussianMixture([[2.0, 0.0], [-2.0, 0.0]], 0.5)
RIGHT = GaussianMixture([[2.0, 0.0]], 0.5)


def points(n=9):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("path", [ICFM(), IDFF(0.4)], ids=str)
def test_velocities_are_guided_by_guiding_what_the_network_says(path):
    told, plain = RIGHT.oracle(path), PAIR.oracle(path)
    guided = Guided(told, plain, Guidance(3.0))
    x, t = points(), torch.tensor(0.4, dtype=torch.float64)
    a, b = (velocity(path, x, t, f(x, t)) for f in (told, plain))
    torch.testing.assert_close(velocity(path, x, t, guided(x, t)), b + 3 * (a - b))
    torch.testing.assert_close(guided(x, t).x1, plain(x, t).x1 + 3 * (told(x, t).x1 - plain(x, t).x1))
    says_v = Guided(lambda x, t: Prediction(velocity=a), lambda x, t: Prediction(velocity=b), Guidance(0.0))
    torch.testing.assert_close(says_v(x, t).velocity, b)
    assert says_v(x, t).x1 is None


def test_it_acts_in_its_interval_alone_and_its_calls_are_counted():
    path, x = ICFM(), points()
    told, plain = RIGHT.oracle(path), PAIR.oracle(path)
    for guidance, times in ((Guidance(2.0), 8), (Guidance(2.0, 0.25, 0.5), 3), (Guidance(1.0), 0)):
        guided, seen = Guided(told, plain, guidance), []
        result = euler(guided, x, Exact(path), 8, callback=lambda i, t, y, x1, to=seen: to.append(t))
        assert result.nfe == 8 and guided.extra == times == sum(guidance.acts(t) for t in seen)
    torch.testing.assert_close(result.x, euler(told, x, Exact(path), 8).x)


def test_guidance_of_a_constant_difference_moves_a_gaussian_by_a_known_way():
    """Two velocities that differ by a constant d: the guided flow ends w d farther than the plain one."""
    path, x, d = ICFM(), points(), torch.tensor([0.3, -0.2], dtype=torch.float64)
    plain = GaussianMixture(torch.zeros(1, 2), 1.0).oracle(path)  # of noise to noise: v = 2t - 1 over V times x

    def told(y, t):
        return Prediction(velocity=velocity(path, y, t, plain(y, t)) + d)

    says = lambda y, t: Prediction(velocity=velocity(path, y, t, plain(y, t)))  # noqa: E731
    ends = {w: rk4(Guided(told, says, Guidance(w)), x, Exact(path), 203).x for w in (0.0, 1.0, 2.5)}
    torch.testing.assert_close(ends[0.0], x, rtol=1e-4, atol=1e-5)
    # variation of constants: the flow map from t to 1 multiplies by sqrt(1 / V(t)), V = t^2 + (1 - t)^2
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    way = float((u**2 + (1 - u) ** 2).rsqrt().mean())
    for w in (1.0, 2.5):
        torch.testing.assert_close(ends[w] - ends[0.0], (w * way * d).expand_as(x), rtol=1e-3, atol=1e-4)


def test_out_of_range():
    for wrong in ((-0.1,), (21.0,), (math.nan,), (2.0, 0.5, 0.4), (2.0, -0.1, 1.0), (2.0, 0.0, 1.1)):
        with refuses("scale" if len(wrong) == 1 else "interval", error=Mistake):
            Guidance(*wrong)
