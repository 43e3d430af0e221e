"""Free runs: histograms, spectra, correlations and distances against independent recomputations."""

import math

import numpy as np
import pytest

from analysis.figures.series import autocorrelation_figure, joint_figure, marginal_figure, spectrum_figure
from analysis.series import long_run
from analysis.series.long_run import LongRunRequest
from flow_core.series.scores import wasserstein_1d
from foundation.mistakes import Mistake
from tests.analysis.series.forecasts import bench_on
from tests.analysis.series.tiny_worlds import line, torus
from tests.refusals import refuses


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_run, "FREE_RUNS", 3)
        yield bench_on(tmp_path_factory.mktemp("series"), patch)


def test_on_the_line(bench):
    told = []
    r = bench.long_run(LongRunRequest("small", 64), lambda share, what: told.append(share))
    world = line()
    test, train = (world.segments[0].values[slice(*world.segments[0].splits[s])] for s in ("test", "train"))
    assert told == sorted(told) and told[-1] == 1
    assert r.names == ("this model", "training part", "test part") and r.frames == 64 and r.runs >= 3
    assert r.densities.shape == (3, 2, 48) and r.joint is None
    width = np.diff(r.edges, axis=1)
    assert np.allclose((r.densities[1:] * width).sum(-1), 1)  # the range is that of the real series
    assert np.allclose(r.distances[1], [wasserstein_1d(train[:, d], test[:, d]) / test[:, d].std() for d in (0, 1)])
    lag = 5
    d = train - train.mean(0, dtype=np.float64)
    assert np.allclose(r.echoes[1, lag], (d[:-lag] * d[lag:]).mean(0) / (d * d).mean(0), atol=1e-5)
    assert np.allclose(r.echoes[:, 0], 1) and np.allclose(r.lags, np.arange(len(r.lags)))
    share = np.trapezoid(r.spectra[1], r.frequencies, axis=0)  # Parseval: about the variance
    assert np.all(share > 0.5 * train.var(0)) and np.all(share < 2 * train.var(0))


def test_a_season_ends_with_the_test_part(bench):
    assert bench.long_run(LongRunRequest("small", 2000)).frames == 75 - 3
    assert bench.long_run(LongRunRequest("alanine", 80)).frames == 80  # no season, no end


def test_angles(bench):
    r = bench.long_run(LongRunRequest("alanine", 64))
    angles = torus().segments[0].values[300:], torus().segments[1].values[300:]
    hand, _, _ = np.histogram2d(*np.concatenate(angles).T, bins=np.linspace(-np.pi, np.pi, 37))
    assert np.allclose(r.joint[2], hand / hand.sum()) and r.spectra is None and r.frequencies is None
    p, q = r.joint[1], r.joint[2]
    m = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        both = [np.nansum(a * np.log2(a / m)) for a in (p, q)]
    assert math.isclose(r.distances[1, 0], math.sqrt(sum(both) / 2), rel_tol=1e-9)
    assert r.edges[0, 0] == -np.pi and np.allclose(r.echoes[:, 0], 1)
    marginal = marginal_figure(r).data[1]
    step = marginal.x[1] - marginal.x[0]
    assert math.isclose(step, 360 / 48, rel_tol=1e-5) and math.isclose(marginal.y.sum() * step, 1, rel_tol=1e-5)
    heat = joint_figure(r).data[2]
    assert np.allclose(heat.customdata, 100 * r.joint[2].T, atol=1e-4) and heat.xaxis == "x3"
    with refuses("spectra", error=Mistake):
        spectrum_figure(r)


def test_a_field_is_its_area_mean(bench, monkeypatch):
    with refuses("model", "30 frames"):
        bench.long_run(LongRunRequest("field", 64))
    monkeypatch.setattr(long_run, "LEAST", 8)
    r = bench.long_run(LongRunRequest("field", 64))
    assert r.variables == ("area mean, sst anomaly",) and r.frames == 30 - 3 and np.isfinite(r.densities).all()
    assert r.echoes.shape[2] == r.spectra.shape[2] == 1


def test_figures_have_a_curve_a_series_and_a_row_a_variable(bench):
    r = bench.long_run(LongRunRequest("small", 64))
    for figure, values in (
        (marginal_figure(r), r.densities[2, 1]),
        (spectrum_figure(r), r.spectra[2, 1:, 1]),
        (autocorrelation_figure(r), r.echoes[2, :, 1]),
    ):
        assert [t.name for t in figure.data] == [*r.names, *r.names] and figure.data[5].yaxis == "y2"
        assert np.allclose(figure.data[5].y, values, rtol=1e-5) and len({t.line.dash for t in figure.data}) == 3
    assert spectrum_figure(r).layout.xaxis2.title.text == "frequency per step (log); density (log)"
    with refuses("joint", error=Mistake):
        joint_figure(r)


def test_a_run_can_be_stopped(bench):
    def stop(share, what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.long_run(LongRunRequest("small", 64), stop)
    with refuses("model"):
        bench.long_run(LongRunRequest("x"))
