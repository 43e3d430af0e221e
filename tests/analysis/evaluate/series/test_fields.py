"""Statistics and scores of models of fields: by hand, cells by their area."""

import numpy as np
import pytest

from analysis.evaluate.series import forecast as series
from analysis.evaluate.series import worlds as series_worlds
from analysis.evaluate.tables.markdown import Verdict, markdown
from analysis.evaluate.tables.parts import Job
from analysis.series.loaded import METHOD, NFE
from analysis.series.long_run import starts
from flow_core.series.baselines import fit_baseline, level_damped
from tests.flow_core.series.field_worlds import field_model, field_world
from tests.sentences import tells


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(series_worlds, "FREE_RUNS", 3)
    monkeypatch.setattr(series_worlds, "INDEX_MEMBERS", 4)
    monkeypatch.setattr(series, "SAMPLER_MEMBERS", 3)
    monkeypatch.setattr(series, "SERIES_GAMMAS", (0.5, -5.0))
    monkeypatch.setattr(series, "HIGHER_SERIES_GAMMAS", (0.0,))


@pytest.fixture(scope="module")
def world():
    return field_world()


@pytest.fixture(scope="module")
def model(world):
    return field_model(world)


def test_forecasts_count_cells_by_area(world, model):
    f = series.measure_forecast(model, world, 5)
    r, _ = starts(world, "test", 3)
    made = model.forecast(r.history, r.context, 3, 5, NFE, METHOD).members.astype(float)
    pairs = np.abs(made[:, None] - made[None]).sum((0, 1))
    fair = np.abs(made - r.truth).mean(0) - pairs / (2 * 5 * 4)
    cosine = np.cos(np.radians(world.latitudes))[:, None] * world.mask
    by_lead = (fair[:, :, 0] * cosine).sum((0, 2, 3)) / cosine.sum() / len(r)
    np.testing.assert_allclose(f.by_lead["this model"], by_lead, rtol=1e-6)
    spread = (made.var(0)[:, :, 0] * cosine).sum() / cosine.sum()
    error = (((made.mean(0) - r.truth) ** 2)[:, :, 0] * cosine).sum() / cosine.sum()
    assert f.rows["this model"].ssr.value == pytest.approx(np.sqrt(spread / error))
    assert f.rows["this model"].mse.value == pytest.approx(error / len(r) / 3)
    assert f.reference == "damped persistence" and set(f.differences) >= {"climatology", "persistence"}


def test_too_few_blocks_are_told(world, model):
    for part, count in ((series.forecast, 3), (series.samplers, 4)):
        first = next(b for b in part(Job(model, count, world=world)).blocks if isinstance(b, Verdict))
        assert first.figures["stretches"] < first.figures["needed"]


def test_the_box_is_that_of_nino_34(world):
    box = series_worlds.box_weights(world, ((-20.0, 20.0), (190.0, 230.0)))
    rows, columns = np.nonzero(box)
    assert set(world.latitudes[rows]) == {15.0, -15.0} and set(world.longitudes[columns]) == {195.0, 210.0, 225.0}
    assert box.sum() == pytest.approx(1) and np.ptp(box[box > 0]) < 1e-12
    assert np.array_equal(series_worlds.box_weights(world, ((80, 90), (0, 10))), world.weights / world.weights.sum())


def test_shares_of_variance_by_hand(world, model):
    got = series_worlds.captured(model, world, "test")
    x = world.segments[0].values[72:96, 0].astype(np.float64) / 2
    w = (np.cos(np.radians(world.latitudes))[:, None] * world.mask)[world.mask]
    p = model.eofs.patterns.numpy().reshape(2, 4, 5)[:, world.mask].astype(np.float64)
    y = x[:, world.mask]
    for k in (1, 2):
        c = (y * w) @ p[:k].T / (p[:k] ** 2 @ w)
        assert got[k - 1] == pytest.approx(1 - (((y - c @ p[:k]) ** 2) @ w).sum() / ((y**2) @ w).sum(), abs=1e-5)
    np.testing.assert_allclose(series_worlds.captured(model, world, "train"), model.eofs.explained.cumsum(0), atol=1e-4)


def test_errors_of_the_index_by_hand(world, model):
    box = series_worlds.box_weights(world)
    got = series_worlds.index_errors(model, world, box)
    r, _ = starts(world, "test", 3)
    mean = fit_baseline(world, "damped persistence").mean(r.history)
    error = ((mean - r.truth)[:, :, 0] * 2 * box).sum((2, 3))
    np.testing.assert_allclose(got["damped persistence"], np.sqrt((error**2).mean(0)))
    error = ((level_damped(world, r).mean - r.truth)[:, :, 0] * 2 * box).sum((2, 3))
    np.testing.assert_allclose(got["level-damped persistence"], np.sqrt((error**2).mean(0)))
    made = model.forecast(r.history, r.context, 3, 4, NFE, METHOD).members
    error = ((made.mean(0) - r.truth)[:, :, 0] * 2 * box).sum((2, 3))
    np.testing.assert_allclose(got["this model"], np.sqrt((error**2).mean(0)), rtol=1e-5)


def test_statistics_print_what_was_measured(world, model):
    outcome = series_worlds.statistics(Job(model, 20, world=world))
    assert outcome.card is None and outcome.blocks == series_worlds.fields_blocks(model, world, 20)
    text = markdown(outcome.blocks)
    x = world.segments[0].values[:48, 0].astype(np.float64)
    w = np.cos(np.radians(world.latitudes))[:, None] * world.mask
    spread = np.sqrt(((x**2 * w).sum((1, 2)) / w.sum()).mean())
    index = (x * series_worlds.box_weights(world)).sum((1, 2))
    echo = (index[:-1] * index[1:]).mean() / (index**2).mean()
    assert f"| train | {spread:.3f} | {np.sqrt((index**2).mean()):.3f} | {echo:.2f} |" in text
    assert tells(text, 3, 20) and " nan " not in text and "spread_over" in outcome.blocks[-1].figures
    assert series_worlds.WORLD_STATISTICS.get("sst") is None  # fields are told by their mask, whatever their name


@pytest.mark.parametrize("mine,leads", [([0.1, 0.3, 0.1], [1, 3]), ([0.9, 0.9, 0.9], [])])
def test_verdict_names_the_leads(mine, leads):
    shares = {"train": np.array([0.5, 0.7]), "test": np.array([0.3, 0.4])}
    errors = {
        "this model": np.array(mine), "damped persistence": np.array([0.2, 0.4, 0.2]),
        "level-damped persistence": np.array([0.3, 0.2, 0.3]),
    }  # fmt: skip
    figures = series_worlds.fields_verdict(shares, errors, {"this model": 1.0, "train": 2.0, "test": 4.0}).figures
    assert figures == {
        "variance_held": {"train": 0.7, "test": 0.4}, "better_leads": leads, "spread_over": {"train": 0.5, "test": 0.25}
    }  # fmt: skip
