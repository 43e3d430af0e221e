"""Forecasts beside baselines and samplers beside each other, recomputed by hand."""

import numpy as np
import pytest

from analysis.evaluate.series import forecast as series
from analysis.evaluate.series.forecast import measure_forecast, measure_samplers, paired
from analysis.series import long_run
from analysis.series.loaded import METHOD, MODEL, NFE
from analysis.series.long_run import starts
from flow_core.series.baselines import ANALOGS, LEVEL, REGRESSION, SIMPLE_BASELINES, fit_baseline, strong_baselines
from flow_core.series.scores import crps_gaussian, scores
from tests.analysis.series.tiny_worlds import line, random_model, torus

FEW = (1, 2, 3)


def fair(members, truth):
    """Fair CRPS by the double sum."""
    m = len(members)
    pairs = np.abs(members[:, None] - members[None]).sum((0, 1))
    return np.abs(members - truth).mean(0) - pairs / (2 * m * (m - 1))


def test_starts_are_spread_evenly_over_the_part():
    world = line()
    r, stride = starts(world, "test", 3, 10)
    assert stride == 7 and r.first.tolist() == list(range(225, 298, 7))
    assert starts(world, "test", 3, 1000)[1] == 1


def test_blocks_hold_the_horizon_and_the_memory():
    assert series.block_of(line(), 2, 5) == 5  # 2 horizons in steps of 2
    assert series.block_of(line(name="alanine"), 20, 20) == 10
    assert series.block_of(line(name="sst_sites"), 7, 100) == 15


def test_an_interval_of_a_certain_difference_holds_its_mean_and_not_zero():
    d = 1 + 0.1 * np.random.default_rng(0).standard_normal(200)
    v = paired(d, 5)
    assert v.value == pytest.approx(d.mean()) and 0.9 < v.low < v.value < v.high < 1.1


def test_forecast_on_the_line_by_hand(monkeypatch):
    world = line()
    model, shares = random_model(world), []
    monkeypatch.setattr(long_run, "STARTS", 12)
    f = measure_forecast(model, world, 5, lambda share, what: shares.append(share))
    r, _ = starts(world, "test", 3, 12)
    made = model.forecast(r.history, r.context, 3, 5, NFE, METHOD).members
    mine = fair(made.astype(float), r.truth).mean(-1)
    damped = fit_baseline(world, "damped persistence")
    other = crps_gaussian(damped.mean(r.history), damped.std, r.truth).mean(-1)
    assert set(f.rows) == {MODEL, *SIMPLE_BASELINES, LEVEL, REGRESSION, ANALOGS} and f.members == 5 and shares[-1] == 1
    # every claim is against the strongest baseline
    assert f.reference == min(f.by_lead.keys() - {MODEL}, key=lambda k: f.by_lead[k].mean())
    np.testing.assert_allclose(f.by_lead[MODEL], mine.mean(0), rtol=1e-6)
    np.testing.assert_allclose(f.by_lead["damped persistence"], other.mean(0), rtol=1e-6)
    gap = f.by_lead[MODEL] - f.by_lead[f.reference]
    np.testing.assert_allclose([d.value for d in f.lead_difference], gap, atol=1e-9)
    assert f.difference.value == pytest.approx(gap.mean())
    assert f.differences["damped persistence"].value == pytest.approx((mine - other).mean())
    level = strong_baselines(world, r, 5)[LEVEL]
    expected = crps_gaussian(level.mean, level.std, r.truth).mean(-1)
    np.testing.assert_allclose(f.by_lead[LEVEL], expected.mean(0), rtol=1e-6)
    last = fit_baseline(world, "persistence")
    still = crps_gaussian(last.mean(r.history), last.std, r.truth).mean(-1)
    assert f.differences["persistence"].value == pytest.approx((mine - still).mean())
    assert f.difference.low <= f.difference.value <= f.difference.high
    assert f.rows[MODEL].mse.value == pytest.approx(scores(made, r.truth).mse.value)
    noise = made.astype(float).var(0, ddof=1).mean() / 5  # of a mean of five members
    assert f.rows[MODEL].mse_fair.value == pytest.approx(f.rows[MODEL].mse.value - noise)


def test_on_the_torus_the_best_is_to_be_beaten():
    world = torus()
    f = measure_forecast(random_model(world), world, 4)
    assert set(f.rows) == {MODEL, "climatology", "persistence", ANALOGS}
    assert f.reference == min(f.by_lead.keys() - {MODEL}, key=lambda k: f.by_lead[k].mean())


def test_samplers_by_hand(monkeypatch):
    world = line()
    model = random_model(world)
    monkeypatch.setattr(series, "SAMPLER_MEMBERS", 4)
    s = measure_samplers(model, world, 10, nfes=FEW)
    r, _ = starts(world, "test", 1, 10)
    assert s.starts == len(r) and s.nfe == FEW

    def one(nfe, method, gammas=()):
        made = model.forecast(r.history, r.context, 1, 4, nfe, method, gammas=gammas).members
        return fair(made.astype(float), r.truth).mean((1, 2))

    v, _ = starts(world, "validation", 1, 10)
    for i, nfe in enumerate(FEW):
        plain = one(nfe, "euler")
        assert s.euler[i] == pytest.approx(plain.mean(), rel=1e-6)
        controls = {
            series.ODE_HEUN: one(nfe, "heun"),
            series.ODE_RK4: one(nfe, "rk4p"),
            "multistep": one(nfe, "multistep"),
        }
        for name, values in (controls | {"matched noise": one(nfe, "matched", (1.0,))}).items():
            assert s.others[name][i][0] == pytest.approx(values.mean(), rel=1e-6)
            assert s.others[name][i][1].value == pytest.approx((values - plain).mean(), abs=1e-9)
        tried = {}
        for g in series.SERIES_GAMMAS:
            made = model.forecast(v.history, v.context, 1, 4, nfe, "published", gammas=(g,)).members
            tried[g] = fair(made.astype(float), v.truth).mean()
        assert tried[s.gammas[1][i][0]] == pytest.approx(min(tried.values()), rel=1e-9)
        first = one(nfe, "published", s.gammas[1][i])
        assert s.others["published, order 1"][i][0] == pytest.approx(first.mean(), rel=1e-6)
        without = one(nfe, "published", (0.5,))
        assert s.others["published, no momentum"][i][0] == pytest.approx(without.mean(), rel=1e-6)
        assert s.over_none[1][i].value == pytest.approx((first - without).mean(), abs=1e-9)
        gap = (first - one(nfe, "multistep")).mean()
        assert s.over_multistep[i].value == pytest.approx(gap, abs=1e-9)
        for k in (2, 3):
            assert s.gammas[k][i][: k - 1] == s.gammas[k - 1][i]
            higher = one(nfe, "published", s.gammas[k][i])
            assert s.beyond[k][i].value == pytest.approx((higher - first).mean(), abs=1e-9)
    assert s.gammas[1][0] == (0.5,), "with one call there is no momentum: the tie goes to none"
    assert all(s.derivatives[k][0] == 0 for k in (1, 2, 3)) and set(s.derivatives[1]) == {0}
