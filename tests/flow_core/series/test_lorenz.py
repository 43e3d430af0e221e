"""Lorenz-63: the equations by hand, symmetries, known exponents, maps whose exponent is known."""

import math

import numpy as np
import pytest
from scipy import signal
from scipy.integrate import solve_ivp

from flow_core.series import lorenz
from foundation.mistakes import Mistake
from tests.refusals import refuses


@pytest.fixture(scope="module")
def on_attractor():
    return lorenz.trajectories(range(96), 300)


def literal(t, s):
    x, y, z = s
    return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]


def test_equations():
    states = np.random.default_rng(0).normal(0, 10, (5, 3))
    for state, d in zip(states, lorenz.derivative(states), strict=True):
        np.testing.assert_allclose(d, literal(0, state))


def test_integration_agrees_with_an_adaptive_solver():
    start = np.array([1.0, 0.0, 0.0])
    times = np.arange(1, 31) * lorenz.DT
    want = solve_ivp(literal, (0, times[-1]), start, method="DOP853", t_eval=times, rtol=1e-12, atol=1e-12).y.T
    got = lorenz.integrate(start[None], 30)[0]
    assert np.array_equal(got[0], start)
    np.testing.assert_allclose(got[1:], want, atol=2e-4)


def test_rk4_is_of_order_four():
    start = np.array([[1.0, 3.0, 20.0]])
    exact = lorenz.integrate(start, 1, 0.16, 0.0005)[0, 1]
    errors = [np.abs(lorenz.integrate(start, 1, 0.16, h)[0, 1] - exact).max() for h in (0.02, 0.01, 0.005)]
    assert [errors[k] / errors[k + 1] for k in (0, 1)] == pytest.approx([16, 16], rel=0.35)


def test_symmetry_and_fixed_points():
    turn = np.array([-1.0, -1.0, 1.0])  # (x, y, z) -> (-x, -y, z) maps solutions to solutions
    start = np.array([[2.0, 3.0, 15.0]])
    assert np.array_equal(lorenz.integrate(turn * start, 100), turn * lorenz.integrate(start, 100))
    r = math.sqrt(8 / 3 * 27)
    fixed = np.array([[0, 0, 0], [r, r, 27], [-r, -r, 27]])
    np.testing.assert_allclose(lorenz.integrate(fixed, 20)[:, -1], fixed, atol=1e-9)


def test_a_trajectory_depends_on_its_seed_alone(on_attractor):
    again = lorenz.trajectories([40, 7], 300)
    assert np.array_equal(again, on_attractor[[40, 7]])
    assert not np.array_equal(again[0], again[1])


def test_long_run_means(on_attractor):
    mean = on_attractor.mean((0, 1))
    assert np.abs(mean[:2]).max() < 0.5  # by the symmetry
    assert mean[2] == pytest.approx(23.55, abs=0.25)
    # d(x^2)/dt = 2 sigma (xy - x^2) averages to zero, and so does d(z)/dt = xy - beta z
    x, y, z = on_attractor.reshape(-1, 3).T
    assert (x * y).mean() == pytest.approx((x * x).mean(), rel=0.02)
    assert (x * y).mean() == pytest.approx(8 / 3 * z.mean(), rel=0.02)


def test_exponent_from_twins_is_that_of_the_tangent(on_attractor):
    def one_frame(x, k):
        return lorenz.integrate(x, 1)[:, 1]

    rows = lorenz.lyapunov_of_map(one_frame, on_attractor[:48, 0], 300)
    assert rows.mean() == pytest.approx(0.9056, abs=3 * rows.std() / math.sqrt(48))
    assert rows.std() / math.sqrt(48) < 0.04
    # the same map on windows of two frames
    windows = lorenz.lyapunov_of_map(lorenz.window_map(lambda w, k: one_frame(w[:, -1], k)), on_attractor[:48, :2], 300)
    assert windows.mean() == pytest.approx(0.9056, abs=3 * windows.std() / math.sqrt(48))


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_exponent_of_maps_with_a_known_one(factor):
    rng = np.random.default_rng(1)
    matrix = factor * np.linalg.qr(rng.normal(size=(3, 3)))[0]
    # a map that changes with the step number, for both twins alike; not where it would outgrow the separation
    offset = np.sin(np.arange(200)) * (factor <= 1)
    rows = lorenz.lyapunov_of_map(lambda x, k: x @ matrix.T + offset[k], np.zeros((4, 3)), 40, 0.5)
    np.testing.assert_allclose(rows, math.log(factor) / 0.5, atol=1e-4)


def test_exponent_of_maps_that_forget_or_explode():
    rows = lorenz.lyapunov_of_map(lambda x, k: np.zeros_like(x), np.ones((2, 3)), 5)
    assert np.isneginf(rows).all()
    with np.errstate(over="ignore"), refuses("map", error=Mistake):
        lorenz.lyapunov_of_map(lambda x, k: x * 1e200, np.ones((2, 3)), 5)


def test_power_spectrum_against_scipy(on_attractor):
    f, power = lorenz.power_spectrum(on_attractor, segment=128)
    want = signal.welch(on_attractor, 1 / lorenz.DT, nperseg=128, axis=1, detrend="constant")
    np.testing.assert_allclose(f, want[0])
    np.testing.assert_allclose(power, want[1].mean(0), rtol=1e-9)
    np.testing.assert_allclose(lorenz.spectrum_distance(10 * power, power), 10)
    assert (lorenz.spectrum_distance(power, power) == 0).all()
    for bad in (13, 302):
        with refuses("segment", error=Mistake):
            lorenz.power_spectrum(on_attractor, segment=bad)


def test_marginals(on_attractor):
    assert (lorenz.marginal_distances(on_attractor, on_attractor) == 0).all()
    moved = on_attractor + np.array([1.0, 0, -2]) * on_attractor.std((0, 1))
    np.testing.assert_allclose(lorenz.marginal_distances(moved, on_attractor), [1, 0, 2], atol=1e-9)


def test_valid_time():
    truth, forecast = np.zeros((3, 5, 2)), np.zeros((3, 5, 2))
    forecast[0, 3:] = 0.5  # in units of the scale 1: rms 0.5 from lead 3 on
    forecast[1, 1, 0] = np.nan
    got = lorenz.valid_time(forecast, truth, np.ones(2), dt=0.1)
    np.testing.assert_allclose(got, np.array([3, 1, 5]) * 0.1 * 0.9056)


def test_bad_starts_are_refused():
    with refuses("start", error=Mistake):
        lorenz.integrate(np.zeros(3), 5)
    with refuses("dt", error=Mistake):
        lorenz.integrate(np.zeros((1, 3)), 5, 0.0)
