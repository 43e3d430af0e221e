"""Scores and distances against quadrature, brute force and closed forms."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from flow_core.series import scores as metrics
from foundation.mistakes import Mistake
from tests.refusals import refuses

RNG = np.random.default_rng(0)


def test_wrap():
    angles = np.array([0.0, math.pi, -math.pi, 3.5, -3.5, 100.0])
    wrapped = metrics.wrap(angles)
    assert ((wrapped >= -math.pi) & (wrapped < math.pi)).all()
    np.testing.assert_allclose(np.exp(1j * wrapped), np.exp(1j * angles), atol=1e-12)
    assert wrapped[1] == -math.pi
    torch.testing.assert_close(metrics.wrap(torch.from_numpy(angles)), torch.from_numpy(wrapped))


@pytest.mark.parametrize("members", [1, 2, 7])
def test_crps_is_the_area_between_distribution_functions(members):
    x, y = RNG.normal(size=members), 0.3
    z = np.linspace(-6, 6, 400_001)
    step = (x[:, None] <= z).mean(0) - (z >= y)
    assert float(metrics.crps(x, y)) == pytest.approx(float((step**2).sum() * (z[1] - z[0])), abs=1e-4)


@pytest.mark.parametrize("period", [None, 2 * math.pi, 360.0])
def test_crps_by_all_pairs(period):
    x, y = RNG.uniform(-3, 3, (5, 4, 2)), RNG.uniform(-3, 3, (4, 2))
    if period == 360.0:
        x, y = 60 * x, 60 * y

    def distance(a, b):
        d = abs(a - b)
        return d if period is None else min(d, period - d)

    plain, fair = metrics.crps(x, y, period=period), metrics.crps(x, y, fair=True, period=period)
    for i, j in itertools.product(range(4), range(2)):
        error = sum(distance(a, y[i, j]) for a in x[:, i, j]) / 5
        pairs = sum(distance(a, b) for a in x[:, i, j] for b in x[:, i, j])
        assert plain[i, j] == pytest.approx(error - pairs / 50)
        assert fair[i, j] == pytest.approx(error - pairs / 40)


def test_crps_turns_with_the_circle():
    x, y = RNG.uniform(-3, 3, (6, 5)), RNG.uniform(-3, 3, 5)
    turned = [metrics.wrap(a + 2.5) for a in (x, y)]
    np.testing.assert_allclose(metrics.crps(*turned, period=2 * math.pi), metrics.crps(x, y, period=2 * math.pi))


@pytest.mark.parametrize("mean, std, y", [(0, 1, 0), (1, 0.3, 0.2), (-2, 3, 4)])
def test_gaussian_crps_against_quadrature(mean, std, y):
    law = stats.norm(mean, std)
    below = integrate.quad(lambda z: law.cdf(z) ** 2, -np.inf, y)[0]
    above = integrate.quad(lambda z: law.sf(z) ** 2, y, np.inf)[0]
    assert float(metrics.crps_gaussian(mean, std, y)) == pytest.approx(below + above, rel=1e-7)


def test_gaussian_crps_without_spread_is_the_absolute_error():
    np.testing.assert_array_equal(metrics.crps_gaussian([1.0, 2.0], 0.0, [3.0, 1.5]), [2.0, 0.5])
    with refuses("std", error=Mistake):
        metrics.crps_gaussian(0, -1, 0)


def test_fair_crps_does_not_depend_on_the_number_of_members_on_average():
    exact = float(metrics.crps_gaussian(0.0, 1.0, 0.7))
    for m in (2, 5):
        x, y = RNG.normal(size=(m, 40_000)), np.full(40_000, 0.7)
        fair, plain = metrics.crps(x, y, fair=True), metrics.crps(x, y)
        assert fair.mean() == pytest.approx(exact, abs=4 * fair.std() / 200)
        # E of the plain one is larger by E|X - X'| / (2 M) = 1 / (M sqrt(pi))
        assert plain.mean() == pytest.approx(exact + 1 / (m * math.sqrt(math.pi)), abs=4 * plain.std() / 200)


@pytest.mark.parametrize("members", [5, 50])
def test_perfect_ensemble(members):
    x, y = RNG.normal(size=(members, 500, 40)), RNG.normal(size=(500, 40))
    got = metrics.scores(x, y)
    assert got.ssr.value == pytest.approx(math.sqrt((members - 1) / (members + 1)), rel=0.02)
    assert got.mse.value == pytest.approx(1 + 1 / members, rel=0.03)
    assert got.mse_fair.value == pytest.approx(1, rel=0.03)  # without the noise of the mean of so few members
    assert got.crps_fair.value == pytest.approx(1 / math.sqrt(math.pi), rel=0.02)  # E|X - Y| - E|X - X'| / 2
    assert got.ssr.value == pytest.approx(math.sqrt(x.var(0).mean()) / math.sqrt(((x.mean(0) - y) ** 2).mean()))
    for interval in (got.crps, got.crps_fair, got.mse, got.ssr):
        assert interval.low < interval.value < interval.high
    assert (got.forecasts, got.blocks) == (500, 500)


def test_scores_of_gaussians_are_those_of_many_members():
    mean, std, y = RNG.normal(size=(30, 4)), np.array([0.5, 1.0, 2.0, 0.1]), RNG.normal(size=(30, 4))
    exact = metrics.gaussian_scores(mean, std, y, block=3)
    drawn = metrics.scores(mean + std * RNG.normal(size=(4000, 30, 4)), y, block=3)
    for name in ("crps", "crps_fair", "mse", "ssr"):
        a, b = getattr(exact, name), getattr(drawn, name)
        assert (b.value, b.low, b.high) == pytest.approx((a.value, a.low, a.high), rel=0.02)
    assert (exact.forecasts, exact.blocks) == (30, 10)


def test_single_member_has_no_fair_score():
    y = RNG.normal(size=(6, 2))
    got = metrics.scores(np.zeros((1, 6, 2)), y)
    assert got.crps_fair is None and got.ssr.value == 0
    assert got.crps.value == pytest.approx(np.abs(y).mean())
    with refuses("members", error=Mistake):
        metrics.crps(np.zeros((1, 3)), np.zeros(3), fair=True)


def test_scores_on_the_circle_take_the_short_way():
    x = np.array([[[math.pi - 0.1]], [[-math.pi + 0.1]]])
    got = metrics.scores(x, np.array([[math.pi]]), period=2 * math.pi)
    assert got.mse.value == pytest.approx(0, abs=1e-12)
    assert got.crps.value == pytest.approx(0.1 - 0.2 * 2 / 8)


def test_weights():
    latitudes, mask = np.array([60.0, 0.0, -60.0]), np.array([[True, True], [True, False], [False, False]])
    weights = metrics.area_weights(latitudes, mask)
    np.testing.assert_allclose(weights, np.array([[0.5, 0.5], [1, 0], [0, 0]]) / 2)
    values = RNG.normal(size=(4, 5, 3, 2))
    by_hand = [np.mean([(v[0, 0] + v[0, 1] + 2 * v[1, 0]) / 4 for v in row]) for row in values]
    np.testing.assert_allclose(metrics.weighted_mean(values, weights), by_hand)
    np.testing.assert_allclose(metrics.weighted_mean(values), values.mean((1, 2, 3)))
    with refuses("mask", error=Mistake):
        metrics.area_weights(latitudes, np.zeros((3, 2), bool))


def test_land_does_not_count():
    weights = np.array([[0.5, 0.5], [0.0, 0.0]])
    x, y = RNG.normal(size=(3, 4, 2, 2)), RNG.normal(size=(4, 2, 2))
    before = metrics.scores(x, y, weights=weights)
    x[:, :, 1], y[:, 1] = 1e6, -5
    assert metrics.scores(x, y, weights=weights) == before


@pytest.mark.parametrize("x, y", [(np.zeros((2, 3)), np.zeros(4)), (np.zeros((0, 3)), np.zeros(3))])
def test_shapes_are_checked(x, y):
    with refuses("shape", r"\(.*\([43],\)", Mistake):
        metrics.crps(x, y)


def test_numbers_are_checked():
    with refuses("finite", error=Mistake):
        metrics.crps(np.array([[np.nan], [0.0]]), np.zeros(1))


def test_wasserstein_against_scipy():
    a, b = RNG.normal(size=37), RNG.exponential(size=(8, 3))
    assert metrics.wasserstein_1d(a, b) == pytest.approx(stats.wasserstein_distance(a, b.ravel()))
    assert metrics.wasserstein_1d(a, a + 2) == pytest.approx(2)
    with refuses("samples", error=Mistake):
        metrics.wasserstein_1d(a, [])


def test_jensen_shannon():
    from scipy.spatial.distance import jensenshannon

    p, q = RNG.uniform(size=(4, 4)), RNG.uniform(size=(4, 4))
    p[0] = 0
    assert metrics.jensen_shannon(p, q) == pytest.approx(jensenshannon(p.ravel(), q.ravel(), base=2))
    assert metrics.jensen_shannon(p, 3 * p) == pytest.approx(0, abs=1e-7)
    assert metrics.jensen_shannon([1, 0], [0, 5]) == 1
    for bad in ([1, -1], [0, 0], [1, 1, 1]):
        with refuses("histograms", error=Mistake):
            metrics.jensen_shannon(bad, [1, 1])
