"""Forecasts of the shipped models are held against the strongest baseline that their cards have a figure of."""

import pytest

from analysis.series.forecast import ForecastRequest, SeriesForecasts


@pytest.mark.parametrize("name", ["lorenz", "alanine", "sst", "sst_sites"])
def test_a_shipped_model_is_held_against_the_strongest_baseline_that_was_measured(name):
    bench = SeriesForecasts()
    if bench.info(name).needs:
        pytest.skip("its data are not here")
    r = bench.forecast(ForecastRequest(name, 0.5, 2, 2, 1, "euler"))
    others = {k: v for k, v in r.usual.items() if k != "this model"}
    assert r.reference == min(others, key=others.get) and r.reference in r.baselines
    high = bench.info(name).card["metrics"]["crps_fair_less"][r.reference]["high"]
    assert r.unbeaten == bench.info(name).unbeaten == (r.reference if high >= 0 else "")
