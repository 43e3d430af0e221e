"""Small pictures of flows: things are where their numbers say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import ImageColor

from analysis.figures.flow import cloud_panel, clouds_sheet, pictures_sheet
from analysis.figures.style import LINE_COLOURS, PANEL
from analysis.flow.images import FlowPicturesResult
from analysis.flow.points import Flow2DRequest, PointFlows


def rgb(colour: str) -> tuple[int, ...]:
    return ImageColor.getrgb(colour)


@pytest.fixture(scope="module")
def flow():
    return PointFlows().flow_2d(Flow2DRequest(points=16, nfe=1, net="oracle"))


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
