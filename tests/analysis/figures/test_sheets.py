"""Small pictures of flows: things are where their numbers say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import ImageColor

from analysis.figures.sheets import PANEL, cloud_panel, clouds_sheet, forecast_sheet, pictures_sheet, series_panel
from analysis.figures.style import BLUE, LINE_COLOURS
from analysis.flow.images import FlowPicturesResult
from analysis.flow.points import Flow2DRequest, PointFlows
from analysis.series.forecast import ForecastRequest
from tests.analysis.series.forecasts import bench_on


def rgb(colour: str) -> tuple[int, ...]:
    return ImageColor.getrgb(colour)


@pytest.fixture(scope="module")
def flow():
    return PointFlows().flow_2d(Flow2DRequest(points=16, nfe=1, net="oracle"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield bench_on(tmp_path_factory.mktemp("series"), patch)


def test_points_and_density_are_where_they_belong(flow):
    x, y = -2.0, 3.0
    density = np.zeros((80, 80), np.float32)
    density[10, 60] = 1  # row = y growing: below the middle, at the right
    one = dataclasses.replace(flow, trajectories=np.float32([[[0, 0], [x, y]], [[0, 0], [99, 0]]]), density=density)
    panel, extent = cloud_panel(one, 2), float(flow.axis[-1])
    assert panel.shape == (PANEL, PANEL, 3) and panel.dtype == np.uint8
    rows, columns = np.nonzero((panel == rgb(LINE_COLOURS[2])).all(-1))
    assert columns.mean() == pytest.approx((PANEL - 1) * (x + extent) / (2 * extent), abs=1)
    assert rows.mean() == pytest.approx((PANEL - 1) * (extent - y) / (2 * extent), abs=1)
    assert len(rows) < 30  # what lies beyond the plane is not drawn at its border
    rows, columns = np.nonzero(panel.min(-1) < 200)
    grey = (panel[rows, columns].min(-1) == panel[rows, columns].max(-1)).nonzero()
    assert rows[grey].mean() == pytest.approx(PANEL * (79 - 10 + 0.5) / 80, abs=2)
    assert columns[grey].mean() == pytest.approx(PANEL * 60.5 / 80, abs=2)


def test_only_settings_with_a_result_have_a_place(flow):
    alone = clouds_sheet([None, flow, None, None], ["", "B", "", ""])
    two = clouds_sheet([flow, flow], ["A", "B"])
    assert PANEL < alone.shape[1] < 1.1 * PANEL and 2 * PANEL < two.shape[1] < 2.2 * PANEL
    assert (alone == rgb(LINE_COLOURS[1])).all(-1).any() and not (alone == rgb(LINE_COLOURS[0])).all(-1).any()


def test_pictures_stand_in_rows_of_settings_and_columns_of_seeds():
    rng = np.random.default_rng(0)

    def result() -> FlowPicturesResult:
        return FlowPicturesResult(np.zeros(2), rng.integers(0, 256, (2, 3, 96, 96, 3), np.uint8), None, 1, 0, 0.0, "x")

    one, other = result(), result()
    sheet = pictures_sheet([one, None, other], ["first", "", "third"], (7, 8, 9))

    def place(picture: np.ndarray) -> tuple[int, int]:
        return next(
            (i, j)
            for i in range(sheet.shape[0] - 95)
            for j in range(sheet.shape[1] - 95)
            if np.array_equal(sheet[i, j : j + 96], picture[0])
            and np.array_equal(sheet[i : i + 96, j : j + 96], picture)
        )

    places = [[place(p) for p in r.pictures] for r in (one, other)]
    assert all(row[0][1] < row[1][1] < row[2][1] and len({i for i, _ in row}) == 1 for row in places)
    assert places[0][0][0] < places[1][0][0] and places[0][2][1] == places[1][2][1]


def test_curves_of_a_forecast(bench):
    r = bench.forecast(ForecastRequest("small", 0.3, 3, 5, 3))
    rising = np.linspace(0, 1, len(r.past) + 3)[:, None].repeat(len(r.variables), 1)
    r = dataclasses.replace(
        r, past=rising[:-3], truth=rising[-3:], members=np.full_like(r.members, 0.25), mean=np.full_like(r.mean, 0.25)
    )
    panel, low, high = series_panel(r, 0)
    assert (low, high) == (0, 1)
    black = np.argwhere((panel == 0).all(-1))
    assert np.corrcoef(black[:, 0], black[:, 1])[0, 1] < -0.99  # up to the right
    rows, columns = np.nonzero((panel == rgb(BLUE)).all(-1))
    assert rows.mean() == pytest.approx(0.75 * PANEL, abs=2) and columns.min() > 0.3 * PANEL
    flat = dataclasses.replace(r, past=rising[:-3] * 0, truth=rising[-3:] * 0, members=r.members * 0)
    assert series_panel(flat, 0)[1:] == (-0.5, 0.5)


def test_angles_go_round_the_circle(bench):
    r = bench.forecast(ForecastRequest("alanine", 0.3, 3, 5, 3))
    panel, low, high = series_panel(r, 1)
    assert (low, high) == (-180, 180) and (panel == rgb(BLUE)).all(-1).any()
    over = np.deg2rad(np.float64([[170.0], [-170.0], [170.0]])).repeat(2, 1)
    panel, *_ = series_panel(dataclasses.replace(r, past=over, truth=over), 0)
    assert not (panel[PANEL // 4 : -PANEL // 4] == 0).all(-1).any()  # no line across


@pytest.mark.parametrize("model", ["small", "alanine", "field"])
def test_every_variable_has_a_panel(bench, model):
    r = bench.forecast(ForecastRequest(model, 0.3, 2, 3, 2))
    sheet = forecast_sheet(r)
    assert sheet.shape[1] > PANEL * len(r.variables) and sheet.dtype == np.uint8
