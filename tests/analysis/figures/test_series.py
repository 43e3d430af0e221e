"""Figures of forecasts: what is drawn is what was computed, and no line crosses the border of the circle."""

import dataclasses

import numpy as np
import pytest
from PIL import ImageColor

from analysis.figures.series import (
    MAP_NAMES,
    broken,
    error_figure,
    fan_figure,
    forecast_sheet,
    map_figure,
    plane_figure,
    series_panel,
    singular,
)
from analysis.figures.style import BLUE, PANEL
from analysis.series.forecast import ForecastRequest
from foundation.mistakes import Mistake
from tests.analysis.series.forecasts import bench_on
from tests.refusals import refuses


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield bench_on(tmp_path_factory.mktemp("series"), patch)


@pytest.fixture(scope="module")
def results(bench):
    return {
        name: bench.forecast(ForecastRequest(name, 0.4, members=5)) for name in ("small", "alanine", "lorenz", "field")
    }


def traces(figure, name):
    return [t for t in figure.data if t.name == name]


def test_a_jump_over_the_border_is_a_gap():
    times, angle = broken(np.arange(4.0), np.array([170.0, -170, -160, 175]), angles=True)
    assert np.array_equal(np.isnan(angle), [False, True, False, False, True, False])
    assert np.array_equal(angle[[0, 2, 3, 5]], [170, -170, -160, 175]) and len(times) == 6
    dates, _ = broken(np.array(["a", "b"]), np.array([170.0, -170]), angles=True)
    assert dates.tolist() == ["a", "b", "b"]
    line = np.array([1.0, 400.0])
    assert broken(line, angles=False) == (line,)


def test_fan(results):
    r = results["small"]
    figure = fan_figure(r)
    truth = traces(figure, "truth")[1]
    assert truth.yaxis == "y2" and np.allclose(truth.y, np.concatenate([r.past, r.truth])[:, 1])
    assert np.allclose(truth.x, np.concatenate([r.past_times, r.times]))
    assert np.allclose(traces(figure, "mean of members")[0].y, r.mean[:, 0])
    band = traces(figure, "5 to 95 % of members")[0]
    assert np.allclose(band.y, np.concatenate([r.quantiles[4, :, 0], r.quantiles[0, ::-1, 0]]))
    members = traces(figure, "members")[0].y.reshape(5, -1)
    assert np.allclose(members[:, :-1], r.members[..., 0]) and np.isnan(members[:, -1]).all()
    for kind in ("climatology", "persistence", "damped persistence"):
        assert np.allclose(traces(figure, kind)[0].y, r.baselines[kind][:, 0])
    assert sum(t.showlegend for t in figure.data) == 8  # every name once
    assert figure.layout.xaxis2.title.text == "time after the start, steps"


def test_angles_are_degrees_and_stop_at_the_border(results):
    r = results["alanine"]
    length = 8
    turning = np.linspace(0, 4 * np.pi, length)  # twice round
    angle = (turning + np.pi) % (2 * np.pi) - np.pi
    way = np.stack([angle, angle], 1)
    spread = np.array([-0.4, -0.2, 0.0, 0.2, 0.4])[:, None, None]
    r = dataclasses.replace(
        r, members=np.stack([way] * 3), mean=way, truth=way, quantiles=way + spread, times=np.arange(1.0, length + 1),
        baselines={"persistence": way},
    )  # fmt: skip
    figure = fan_figure(r)
    for name in ("truth", "members", "mean of members", "persistence"):
        for trace in traces(figure, name):
            y = np.asarray(trace.y)
            assert np.nanmax(np.abs(np.diff(y))) <= 180 and np.nanmax(np.abs(y)) <= 180.001 and np.isnan(y).any()
    plane = plane_figure(r)
    assert plane.layout.xaxis.range == (-180, 180)
    for name in ("truth", "members"):
        (trace,) = traces(plane, name)
        x = np.asarray(trace.x)
        assert np.nanmax(np.abs(np.diff(x))) <= 180 and np.isnan(x).any()
    # the band is seen at every time: some copy of it, shifted by whole turns, holds the mean
    bands = [np.asarray(t.y).reshape(2, -1) for t in traces(figure, "5 to 95 % of members") if t.yaxis == "y"]
    bands = [(b[1][::-1], b[0]) for b in bands]
    degrees = np.degrees(angle)
    assert all(any(low[k] <= degrees[k] <= high[k] for low, high in bands) for k in range(length))
    assert len(bands) > 1 and all(np.allclose(high - low, np.degrees(0.8), atol=1e-3) for low, high in bands)


def test_the_plane_shows_density_members_and_truth(results):
    r = results["lorenz"]
    figure = plane_figure(r)
    heat = figure.data[0]
    assert np.allclose(np.square(heat.z) * r.plane.density.max(), r.plane.density.T, atol=1e-6)
    (truth,), (start,) = traces(figure, "truth"), traces(figure, "last frame seen")
    assert np.allclose(truth.x[1:], r.truth[:, 0], atol=1e-4) and np.allclose(truth.y[1:], r.truth[:, 2], atol=1e-4)
    assert np.allclose([start.x[0], start.y[0]], r.past[-1, [0, 2]]) and figure.layout.yaxis.title.text == "z"
    with refuses("plane", error=Mistake):
        plane_figure(results["small"])


def test_error_by_lead(results):
    r = results["small"]
    figure = error_figure(r, "sd")
    assert [t.name for t in figure.data] == ["this model", "damped persistence", "persistence", "climatology"]
    assert all(np.allclose(t.y, r.marks[t.name].by_lead) and np.allclose(t.x, [1, 2, 3]) for t in figure.data)
    assert len({t.line.dash for t in figure.data}) == 4


def test_maps_leave_land_out_and_dates_are_dates(results):
    r = results["field"]
    maps = {what: map_figure(r, what, 2).data[0] for what in MAP_NAMES}
    for what, heat in maps.items():
        assert np.allclose(heat.z, getattr(r.maps, what)[1], equal_nan=True) and np.isnan(heat.z[1, 2])
        assert np.allclose(heat.x, r.maps.longitudes) and not heat.hoverongaps
    assert maps["mean"].zmax == maps["truth"].zmax == -maps["mean"].zmin
    assert maps["spread"].zmin == 0
    assert map_figure(r, "truth", 2).layout.title.text == "Truth, 2018-06"
    assert np.allclose(map_figure(r, "truth", 99).data[0].z, r.maps.truth[-1], equal_nan=True)
    figure = fan_figure(r)
    assert r.start == 10 and list(traces(figure, "truth")[0].x[-3:]) == ["2018-05", "2018-06", "2018-07"]
    assert figure.layout.yaxis.title.text == "area mean, sst anomaly, °C" and figure.layout.xaxis.title.text == "date"


def test_singular():
    assert [singular(u) for u in ("days", "ps", "time units")] == ["day", "ps", "time unit"]


def test_curves_in_the_small_picture(bench):
    r = bench.forecast(ForecastRequest("small", 0.3, 3, 5, 3))
    rising = np.linspace(0, 1, len(r.past) + 3)[:, None].repeat(len(r.variables), 1)
    r = dataclasses.replace(
        r, past=rising[:-3], truth=rising[-3:], members=np.full_like(r.members, 0.25), mean=np.full_like(r.mean, 0.25)
    )
    panel, low, high = series_panel(r, 0)
    assert (low, high) == (0, 1)
    black = np.argwhere((panel == 0).all(-1))
    assert np.corrcoef(black[:, 0], black[:, 1])[0, 1] < -0.99  # up to the right
    rows, columns = np.nonzero((panel == ImageColor.getrgb(BLUE)).all(-1))
    assert rows.mean() == pytest.approx(0.75 * PANEL, abs=2) and columns.min() > 0.3 * PANEL
    flat = dataclasses.replace(r, past=rising[:-3] * 0, truth=rising[-3:] * 0, members=r.members * 0)
    assert series_panel(flat, 0)[1:] == (-0.5, 0.5)


def test_angles_go_round_the_circle_there(bench):
    r = bench.forecast(ForecastRequest("alanine", 0.3, 3, 5, 3))
    panel, low, high = series_panel(r, 1)
    assert (low, high) == (-180, 180) and (panel == ImageColor.getrgb(BLUE)).all(-1).any()
    over = np.deg2rad(np.float64([[170.0], [-170.0], [170.0]])).repeat(2, 1)
    panel, *_ = series_panel(dataclasses.replace(r, past=over, truth=over), 0)
    assert not (panel[PANEL // 4 : -PANEL // 4] == 0).all(-1).any()  # no line across


@pytest.mark.parametrize("model", ["small", "alanine", "field"])
def test_every_variable_has_a_panel(bench, model):
    r = bench.forecast(ForecastRequest(model, 0.3, 2, 3, 2))
    sheet = forecast_sheet(r)
    assert sheet.shape[1] > PANEL * len(r.variables) and sheet.dtype == np.uint8
