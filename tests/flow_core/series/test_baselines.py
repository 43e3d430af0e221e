"""Baselines: on series whose best linear forecast is known, and by hand."""

import dataclasses

import numpy as np
import pytest

from flow_core.series import baselines
from flow_core.series.scores import gaussian_scores, scores, wrap
from flow_core.series.world import Segment, World
from foundation.files.locations import DataError

RNG = np.random.default_rng(0)
SPLITS = {"train": (0, 6000), "validation": (6000, 7000), "test": (7000, 8000)}


def make(values, geometry="euclidean", **changes):
    values = values.astype(np.float32)
    t = len(values)
    segment = Segment(values, np.arange(t, dtype=float), np.zeros((t, 0), np.float32), SPLITS)
    return World(
        name="test", title="", variables=(), unit="", dt=1.0, time_unit="", history=2, horizon=4,
        shape=values.shape[1:], geometry=geometry, center=np.zeros(()), scale=np.ones(()), segments=(segment,),
        licence="", **changes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def autoregressive():
    """x' = a x + noise of unit stationary variance, a = 0.9 and 0.5."""
    a = np.array([0.9, 0.5])
    x = np.zeros((8000, 2))
    for t in range(1, 8000):
        x[t] = a * x[t - 1] + np.sqrt(1 - a * a) * RNG.normal(size=2)
    return make(x), a


def test_damped_persistence_finds_the_process(autoregressive):
    world, a = autoregressive
    fit = baselines.fit_baseline(world, "damped persistence")
    leads = np.arange(1, 5)[:, None]
    np.testing.assert_allclose(fit.coefficient, a**leads, atol=0.07)  # four standard errors at 6,000 frames
    np.testing.assert_allclose(fit.std, np.sqrt(1 - a ** (2 * leads)), atol=0.08)


def test_climatology_and_persistence(autoregressive):
    world, a = autoregressive
    leads = np.arange(1, 5)[:, None]
    climatology, persistence = (baselines.fit_baseline(world, k) for k in ("climatology", "persistence"))
    assert (climatology.coefficient == 0).all() and (persistence.coefficient == 1).all()
    np.testing.assert_allclose(climatology.std, 1, atol=0.12)
    np.testing.assert_allclose(persistence.std, np.sqrt(2 - 2 * a**leads), atol=0.08)


def test_order_of_merit_and_calibration_on_held_out_data(autoregressive):
    world, _ = autoregressive
    test = world.rollouts("test")
    got = {}
    for kind in baselines.SIMPLE_BASELINES:
        fit = baselines.fit_baseline(world, kind)
        got[kind] = gaussian_scores(fit.mean(test.history), fit.std, test.truth, block=20)
        assert got[kind].ssr.value == pytest.approx(1, abs=0.1)
        drawn = scores(fit.members(test.history, 200, seed=1), test.truth, block=20)
        assert drawn.crps_fair.value == pytest.approx(got[kind].crps.value, rel=0.02)
    crps = {kind: s.crps.value for kind, s in got.items()}
    assert crps["damped persistence"] < min(crps["persistence"], crps["climatology"])


def test_coefficients_by_hand_one_a_cell_and_one_for_all():
    mask = np.array([[True, True], [True, False]])
    weights = np.array([[0.5, 0.25], [0.25, 0.0]])
    values = RNG.normal(size=(8000, 1, 2, 2)).cumsum(0) % 3 - 1.5
    world = make(values * mask, mask=mask, weights=weights)
    train = world.rollouts("train")
    last, truth = train.history[:, -1].astype(float), train.truth.astype(float)
    each = baselines.fit_baseline(world, "damped persistence", pooled=False)
    one = baselines.fit_baseline(world, "damped persistence")
    for lead in range(4):
        product, square = (last * truth[:, lead]).sum((0, 1)), (last * last).sum((0, 1))
        np.testing.assert_allclose(each.coefficient[lead, 0][mask], (product / np.where(mask, square, 1))[mask])
        shared = (product * weights).sum() / (square * weights).sum()
        np.testing.assert_allclose(one.coefficient[lead], shared)
        error = truth[:, lead, 0] - shared * last[:, 0]
        np.testing.assert_allclose(one.std[lead, 0], np.sqrt((error**2).mean(0)))
    assert np.isfinite(each.coefficient).all() and (each.std[:, :, ~mask] == 0).all()


def test_members_depend_on_the_seed_alone(autoregressive):
    world, _ = autoregressive
    fit, history = baselines.fit_baseline(world, "persistence"), world.rollouts("test").history[:3]
    first = fit.members(history, 5, seed=3)
    assert first.shape == (5, 3, 4, 2) and np.array_equal(first, fit.members(history, 5, seed=3))
    assert not np.array_equal(first, fit.members(history, 5, seed=4))


def test_torus_members():
    angles = wrap(np.cumsum(RNG.normal(0.3, 0.02, (8000, 2)), 0))  # turns by 0.3 a frame
    world = make(angles, "torus")
    test = world.rollouts("test", 3, 100)
    ahead = baselines.torus_members(world, test, "persistence", 50)
    assert ahead.shape == (50, len(test), 3, 2) and np.abs(ahead).max() <= np.pi
    turn = wrap(ahead - test.history[:, -1:])
    np.testing.assert_allclose(turn.mean((0, 1)), 0.3 * np.arange(1, 4)[:, None] + np.zeros(2), atol=0.02)
    anywhere = baselines.torus_members(world, test, "climatology", 50)
    seen = {tuple(r) for r in world.normalise(angles[:6000]).round(4).tolist()}
    assert {tuple(r) for r in anywhere.reshape(-1, 2).astype(np.float32).round(4).tolist()} <= seen
    crps = [scores(e, test.truth, period=world.period).crps.value for e in (ahead, anywhere)]
    assert crps[0] < 0.1 * crps[1]
    with pytest.raises(DataError, match="climatology"):
        baselines.torus_members(world, test, "damped persistence", 5)
    with pytest.raises(DataError, match="torus_members"):
        baselines.fit_baseline(world, "persistence")


def test_unknown_kind(autoregressive):
    with pytest.raises(DataError, match="damped"):
        baselines.fit_baseline(autoregressive[0], "oracle")


# ---------------------------------------------------------------------------------------------------------------------
# The strong ones


def test_the_autoregression_finds_a_coupled_process_and_its_spread():
    """x' = A x + noise whose matrix is not diagonal: damped persistence, one coefficient a variable, cannot follow."""
    rng = np.random.default_rng(1)
    a = np.array([[0.6, 0.35], [-0.35, 0.6]])
    x = np.zeros((8000, 2))
    for t in range(1, 8000):
        x[t] = a @ x[t - 1] + 0.5 * rng.normal(size=2)
    world = make(x)
    test = world.rollouts("test")
    got = baselines.autoregression(world, test)
    power, covariance = np.eye(2), np.zeros((2, 2))
    for lead in range(4):
        covariance = covariance + 0.25 * power @ power.T
        power = a @ power
        np.testing.assert_allclose(got.mean[:, lead], test.history[:, -1] @ power.T, atol=0.12)
        np.testing.assert_allclose(got.std[:, lead].mean(0), np.sqrt(np.diag(covariance)), rtol=0.06)
    damped = baselines.fit_baseline(world, "damped persistence")
    crps = [
        gaussian_scores(m, s, test.truth).crps.value
        for m, s in ((got.mean, got.std), (damped.mean(test.history), damped.std))
    ]
    assert crps[0] < 0.95 * crps[1]


def test_the_spread_of_the_autoregression_has_the_season():
    rng = np.random.default_rng(2)
    season = np.stack([np.cos(np.arange(8000) / 20), np.sin(np.arange(8000) / 20)], 1)
    values = ((1 + 0.8 * season[:, :1]) * rng.normal(size=(8000, 1))).astype(np.float32)
    world = make(values)
    world = dataclasses.replace(
        world, segments=(dataclasses.replace(world.segments[0], context=season.astype(np.float32)),)
    )
    test = world.rollouts("test")
    got = baselines.autoregression(world, test)
    want = 1 + 0.8 * test.context[:, 0, 0]
    assert np.corrcoef(got.std[:, 0, 0], want)[0, 1] > 0.97
    assert got.std.min() >= np.sqrt(0.1 * 1.32) * 0.9  # LEAST_SHARE of the mean variance 1 + .8^2 / 2


def test_the_level_is_kept_where_it_is_slow():
    """A slow walk and fast noise: the last frame says little of the level, the mean of the last frames more."""
    rng = np.random.default_rng(3)
    level = np.zeros((8000, 1))
    for t in range(1, 8000):
        level[t] = 0.995 * level[t - 1] + 0.1 * rng.normal()
    world = make(level + rng.normal(size=level.shape))
    test = world.rollouts("test")
    got, damped = baselines.level_damped(world, test), baselines.fit_baseline(world, "damped persistence")
    mse = [float(((m - test.truth) ** 2).mean()) for m in (got.mean, damped.mean(test.history))]
    assert mse[0] < 0.9 * mse[1]
    # by hand: two coefficients of the first lead by numpy's own least squares
    train = world.rollouts("train")
    x, first = world.normalise(world.segments[0].values)[:, 0].astype(float), train.first
    window = np.stack([x[np.maximum(first - k, 0)] for k in range(12, 0, -1)], 1)
    mean, rest = window.mean(1), window[:, -1] - window.mean(1)
    b, a = np.linalg.lstsq(np.stack([mean, rest], 1), train.truth[:, 0, 0].astype(float), rcond=None)[0]
    history = baselines.longer_history(world, test, 12)[..., 0]
    by_hand = b * history.mean(1) + a * (history[:, -1] - history.mean(1))
    np.testing.assert_allclose(got.mean[:, 0, 0], by_hand, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("geometry", ["euclidean", "torus"])
def test_analogs_are_the_nearest_states_and_what_followed_them(geometry):
    values = np.random.default_rng(4).uniform(-np.pi, np.pi, (8000, 2)).astype(np.float32)
    world = make(values[:8000], geometry)
    test = world.rollouts("test")
    got = baselines.analogs(world, test, 3)
    train = world.rollouts("train")
    for row in (0, 17):
        gap = train.history[:, -2:].astype(float) - test.history[row, -2:]
        near = (gap**2 if geometry == "euclidean" else 2 - 2 * np.cos(gap)).sum((1, 2)).argsort()[:3]
        want = test.history[row, -1] + train.truth[near] - train.history[near, -1:]
        gap = got[:, None, row] - want
        gap = np.abs(wrap(gap) if geometry == "torus" else gap).max((2, 3))
        assert (gap.min(0) < 1e-4).all() and (gap.min(1) < 1e-4).all()
    with pytest.raises(DataError):
        baselines.analogs(world, test, 10_000)


def test_which_baselines_a_world_allows():
    values = RNG.normal(size=(8000, 2))
    plain, torus = make(values), make(values, "torus")
    assert set(baselines.strong_baselines(plain, plain.rollouts("test"), 3)) == {
        baselines.LEVEL, baselines.REGRESSION, baselines.ANALOGS
    }  # fmt: skip
    assert set(baselines.strong_baselines(torus, torus.rollouts("test"), 3)) == {baselines.ANALOGS}
