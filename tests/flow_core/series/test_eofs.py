"""EOFs: patterns against numpy's SVD, projection and lift, area weights, the rest out of sample, models of fields."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from flow_core.model import FlowConfig
from flow_core.networks import PointConfig
from flow_core.series import eofs, model
from flow_core.series.model import FrameConfig
from flow_core.training import series
from flow_core.training.objective import FlowTask
from foundation import noise
from foundation.mistakes import Mistake
from foundation.randomness import derived_seed
from tests.flow_core.series.field_worlds import COLUMNS, ROWS, field_model, field_world
from tests.refusals import refuses


@pytest.fixture(scope="module")
def world():
    return field_world()


def sea(world, frames=48):
    """The training part where there is water, (T, cells), and the share of the area of each cell, by hand."""
    x = world.segments[0].values[:frames, 0].astype(np.float64)[:, world.mask] / 2.0
    cosine = np.cos(np.radians(world.latitudes))[:, None].repeat(COLUMNS, 1)[world.mask]
    return x, cosine / cosine.sum()


def test_patterns_are_numpys_right_singular_vectors_of_the_weighted_maps(world):
    fit = eofs.fit(world, 3)
    x, w = sea(world)
    u, s, vt = np.linalg.svd(x * np.sqrt(w), full_matrices=False)
    for k in range(3):
        want = vt[k] / np.sqrt(w) * s[k] / np.sqrt(len(x))
        got = fit.patterns[k].numpy().reshape(ROWS, COLUMNS)
        assert (got[~world.mask] == 0).all()
        sign = np.sign(got[world.mask] @ want)
        np.testing.assert_allclose(got[world.mask], sign * want, atol=1e-5)
        assert got[world.mask] @ w > 0
        c = fit.project(torch.from_numpy(world.normalise(world.segments[0].values[:48])))[:, k].numpy()
        np.testing.assert_allclose(c, sign * u[:, k] * np.sqrt(len(x)), atol=1e-4)
        assert np.mean(c**2) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(fit.explained, (s**2 / (s**2).sum())[:3], rtol=1e-5)


def test_projection_is_least_squares_in_area(world):
    fit, rng = eofs.fit(world, 2), np.random.default_rng(1)
    x = np.where(world.mask, rng.standard_normal((3, 1, ROWS, COLUMNS)), 0)
    got = fit.project(torch.from_numpy(x).float()).numpy()
    _, w = sea(world)
    design = fit.patterns.numpy().reshape(2, ROWS, COLUMNS)[:, world.mask].T.astype(np.float64)
    root = np.sqrt(w)[:, None]
    want = np.linalg.lstsq(design * root, (x[:, 0][:, world.mask] * np.sqrt(w)).T, rcond=None)[0].T
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_lift_and_projection_are_inverse_on_what_the_patterns_hold(world):
    fit, c = eofs.fit(world, 3), torch.randn(5, 2, 3)
    assert fit.lift(c).shape == (5, 2, 1, ROWS, COLUMNS)
    torch.testing.assert_close(fit.project(fit.lift(c)), c, atol=1e-5, rtol=1e-5)


def test_area_counts(world):
    """A cell that stands for more area pulls the first pattern: with equal weights it is another."""
    x, w = sea(world)
    plain, _ = eofs.leading(x, np.full(len(w), 1 / len(w)), 1)
    weighted, _ = eofs.leading(x, w, 1)
    assert np.abs(plain - weighted).max() > 1e-3
    error = [(((x - (x * w) @ p.T / (p**2 @ w) @ p) ** 2) @ w).sum() for p in (plain, weighted)]
    assert error[1] < error[0]


def test_the_rest_is_measured_on_years_that_the_patterns_have_not_seen(world):
    fit = eofs.fit(world, 2)
    x, w = sea(world)
    before, after = [], []
    for year in range(4):
        inside = np.arange(48) // 12 == year
        _, _, vt = np.linalg.svd(x[~inside] * np.sqrt(w), full_matrices=False)
        y = x[inside] * np.sqrt(w)
        rest = (y - y @ vt[:2].T @ vt[:2]) / np.sqrt(w)
        before.append(rest[:-1])
        after.append(rest[1:])
    before, after = np.concatenate(before), np.concatenate(after)
    decay = ((before * after) @ w).sum() / ((before**2) @ w).sum()
    assert float(fit.decay) == pytest.approx(decay, abs=1e-5)
    variance = ((after - decay * before) ** 2).mean(0)
    got = ((fit.ripples**2).sum(0) + fit.speckle**2).numpy().reshape(ROWS, COLUMNS)
    np.testing.assert_allclose(got[world.mask], variance, rtol=1e-4)  # each cell's variance is whole
    assert (got[~world.mask] == 0).all()


def test_the_noise_of_the_rest_has_the_covariance_of_its_patterns(world):
    fit = eofs.fit(world, 2)
    rest = torch.ones(4000, 1, ROWS, COLUMNS)
    drawn = (fit.next_rest(rest, range(4000)) - fit.decay * rest).flatten(1).numpy()
    q, s = fit.ripples.numpy(), fit.speckle.numpy()
    np.testing.assert_allclose(drawn.T @ drawn / 4000, q.T @ q + np.diag(s**2), atol=0.02)
    first, alone = fit.next_rest(rest[:2], [5, 6])[1], fit.next_rest(rest[:1], [6])[0]
    assert torch.allclose(first, alone, rtol=0, atol=1e-6)  # a product of one row may round otherwise


@pytest.mark.parametrize("modes", [0, 25, 1000])
def test_too_many_modes_are_refused(world, modes):
    with refuses("series.modes", " 24,", Mistake):
        eofs.fit(world, modes)


# -----------------------------------------------------------------------------------------------------------
# Models of fields


def test_a_model_flows_in_coefficients(world):
    m = field_model(world)
    assert m.frame == FrameConfig("sst", 2, 2, 2, "euclidean", 1, (1, ROWS, COLUMNS)) and m.frame.shape == world.shape
    c = m.eofs.project(torch.from_numpy(world.normalise(world.segments[0].values[:48])))
    change = (c[2:] - c[1:-1]).numpy()
    np.testing.assert_allclose(m.center, change.mean(0), atol=1e-5)
    np.testing.assert_allclose(m.scale, change.std(0, ddof=1), rtol=1e-4)
    task = FlowTask(m, series.series_draw(m, world))
    x0, x1, *_, condition = task.draw(0, 20, torch.Generator().manual_seed(0))
    assert x0.shape == x1.shape == (20, 2) and condition.shape == (20, 2 * 2 + 2)
    all_targets = (change - np.asarray(m.center)) / np.asarray(m.scale)
    assert np.abs(x1.numpy()[:, None] - all_targets[None]).max(-1).min(1).max() < 1e-5


def test_a_forecast_is_the_lifted_flow_and_a_rest_of_its_own(world):
    m, r = field_model(world), world.rollouts("test")
    made = m.forecast(r.history[:2], r.context[:2], 3, 2, 3, "euler", 5).members
    assert made.shape == (2, 2, 3, 1, ROWS, COLUMNS) and made.dtype == np.float32
    assert (made[..., ~world.mask] == 0).all()
    seeds = [derived_seed(5, member, row) for member in range(2) for row in range(2)]
    history = torch.from_numpy(r.history[:2]).repeat(2, 1, 1, 1, 1)
    window = m.eofs.project(history)
    rest = history[:, -1] - m.eofs.lift(window[:, -1])
    drawn = noise(seeds, (3, 2))
    for k in range(3):
        context = torch.from_numpy(r.context[:2, k]).repeat(2, 1)
        x1 = m.draw(m.condition(window, context), drawn[:, k], 3, "euler").x
        after = window[:, -1] + m.center + m.scale * x1
        z = noise([derived_seed(s, 0, k) for s in seeds], (eofs.RIPPLES + ROWS * COLUMNS,))
        shaken = z[:, : eofs.RIPPLES] @ m.eofs.ripples + z[:, eofs.RIPPLES :] * m.eofs.speckle
        rest = m.eofs.decay * rest + shaken.reshape(rest.shape)
        want = (after @ m.eofs.patterns).reshape(rest.shape) + rest
        np.testing.assert_allclose(made[:, :, k].reshape(want.shape), want, atol=1e-5)
        window = torch.stack([window[:, 1], after], 1)


@pytest.fixture(scope="module")
def leveled(world):
    """A model of windows of four frames, two of which the network sees, that flows less the area mean of the four."""
    at, flow = replace(world, history=4), FlowConfig("idff", 0.2)
    return model.make(at, "sst", flow, PointConfig(width=8, depth=1), 1, 0, 2, True, 2).eval().requires_grad_(False)


def test_patterns_of_fields_less_the_mean_of_the_frames_before(world):
    fit, (x, w) = eofs.fit(world, 2, 3), sea(world)
    area = x @ w
    less = np.stack([x[k] - area[k - 3 : k].mean() for k in range(3, 48)])
    _, size, vt = np.linalg.svd(less * np.sqrt(w), full_matrices=False)
    got = fit.patterns.numpy().reshape(2, ROWS, COLUMNS)[:, world.mask]
    np.testing.assert_allclose(np.abs(got), np.abs(vt[:2] / np.sqrt(w) * size[:2, None] / np.sqrt(45)), atol=1e-4)


def test_a_level_is_what_a_forecast_stands_on(world, leveled):
    r = replace(world, history=4).rollouts("test")
    assert leveled.frame.condition == 2 * 2 + 2
    once = leveled.forecast(r.history[:3], r.context[:3], 3, 2, 2).members
    up = np.where(world.mask, 1.5, 0.0).astype(np.float32)
    higher = leveled.forecast(r.history[:3] + up, r.context[:3], 3, 2, 2).members
    np.testing.assert_allclose(higher, once + up, atol=1e-4)  # a warmer sea stays as much warmer
    assert (once[..., ~world.mask] == 0).all()
    plain = field_model(world)
    at = world.rollouts("test")
    made = [plain.forecast(at.history[:3] + a, at.context[:3], 3, 2, 2).members for a in (0 * up, up)]
    assert np.abs(made[1] - made[0] - up).max() > 0.1  # without a level it does not


def test_training_pairs_are_less_one_level(world, leveled):
    windows = replace(world, history=4).windows("train")
    history, target = leveled.pairs(windows)
    w = np.zeros((ROWS, COLUMNS))
    w[world.mask] = sea(world)[1]
    level = np.where(world.mask, (windows.history.mean(1) * w).sum((1, 2, 3))[:, None, None, None], 0)
    want = leveled.eofs.project(torch.from_numpy((windows.target - level).astype(np.float32)))
    np.testing.assert_allclose(target, want, atol=1e-4)
    seen = torch.from_numpy((windows.history[:, -2:] - level[:, None]).astype(np.float32))
    np.testing.assert_allclose(history, leveled.eofs.project(seen), atol=1e-4)


def test_a_saved_level_is_whole(tmp_path, world, leveled):
    model.save(leveled, tmp_path / "m.series.safetensors", {"name": "m"})
    r = replace(world, history=4).rollouts("test")
    a, b = (x.forecast(r.history, r.context, 3, 2, 2).members for x in (leveled, model.load("m", tmp_path)))
    assert np.array_equal(a, b)


def test_a_saved_model_is_whole(tmp_path, world):
    m = field_model(world)
    model.save(m, tmp_path / "m.series.safetensors", {"name": "m"})
    back = model.load("m", tmp_path)
    r = world.rollouts("test")
    a, b = (x.forecast(r.history, r.context, 3, 2, 2).members for x in (m, back))
    assert back.frame == m.frame and np.array_equal(a, b)


def test_the_check_on_validation_counts_cells_by_area(world):
    mine, other = series.validation_check(field_model(world), world)
    r = world.rollouts("validation", 1)
    train = world.rollouts("train", 1)
    std = np.sqrt(((train.truth - train.history[:, -1:]) ** 2).mean(0).astype(np.float64))
    error = (r.truth - r.history[:, -1:]).astype(np.float64)
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((2000, 1, 1, 1, 1)) * std[None]
    score = np.abs(draws[:, None] - error[None]).mean(0) - np.abs(draws - np.roll(draws, 1, 0)).mean(0) / 2
    w = np.zeros((ROWS, COLUMNS))
    w[world.mask] = sea(world)[1]
    assert other == pytest.approx((score * w).sum((-1, -2, -3, -4)).mean(), rel=0.05) and 0 < mine < 5


@pytest.mark.parametrize("kwargs,field", [
    ({"field": (2, 2)}, "field"), ({"field": (1, 1000, 1000)}, "field"),
    ({"field": (1, 0, 4)}, "field"), ({"field": (1, 4, 4), "geometry": "torus"}, "field"),
    ({"level": True}, "level"), ({"seen": 2}, "seen"), ({"seen": -1}, "seen"),
    ({"numbered": 5}, "numbered"), ({"numbered": -1}, "numbered"),
])  # fmt: skip
def test_frames_that_make_no_sense(kwargs, field):
    with refuses(field, error=Mistake):
        FrameConfig(**kwargs)


def test_modes_are_for_fields(world):
    flow, net = FlowConfig(), PointConfig(width=8, depth=1)
    with refuses("series.modes", error=Mistake):
        model.make(world, "sst", flow, net, 1)


def test_histories_of_another_shape_are_refused(world):
    m = field_model(world)
    with refuses("history", rf"\(N, 2, 1, {ROWS}, {COLUMNS}\)", Mistake):
        m.forecast(np.zeros((1, 2, 2), np.float32), np.zeros((1, 1, 2), np.float32))
