"""Figures hold the numbers they were given, with units, and nothing that fixes a page's colours."""

from __future__ import annotations

import base64
import json

import numpy as np
import plotly.graph_objects as go
import pytest

from analysis.figures import spectrum
from analysis.figures.style import ERROR_FLOOR
from analysis.workbench.images import TrajectoryResult
from analysis.workbench.spectrum import SpectrumEntryResult, SpectrumResult
from foundation.mistakes import Mistake
from tests.refusals import refuses
from tests.sentences import numbers


def entry(shape=(8, 3, 5), index=0, name="skip 0") -> SpectrumEntryResult:
    generator = np.random.default_rng(index)
    c, h, w = shape
    alpha, beta = generator.normal(size=(2, c // 2, h, w)).astype(np.float32)
    rank = np.empty(alpha.size, np.int32)
    rank[np.argsort(alpha, axis=None, kind="stable")] = np.arange(alpha.size)
    return SpectrumEntryResult(index, name, shape, alpha, beta, rank.reshape(alpha.shape))


def trajectory(n=6, lpips=True, teacher=True) -> TrajectoryResult:
    sigma = np.geomspace(80, 0.002, n)
    frames = np.zeros((n, 4, 4, 3), np.uint8)
    mse = np.linspace(0, 0.5, n) if teacher else None  # a zero, as at T, where path and teacher start together
    return TrajectoryResult(
        sigma, np.linspace(1, 0, n), frames, frames, frames, frames[0], mse, mse if lpips else None, 1, 2 * n - 1
    )


ALL = [
    lambda: spectrum.eigenvalue_plane(entry(), (0.3, 0.6)),
    lambda: spectrum.position_map(entry().alpha[0], "α"),
    lambda: spectrum.sorted_real_parts(SpectrumResult((entry(), entry(index=1)), "karras")),
    lambda: spectrum.error_curve(trajectory()),
]


@pytest.mark.parametrize("make", ALL)
def test_every_figure_is_transparent_titled_and_as_high_as_it_says(make):
    figure = make()
    assert isinstance(figure, go.Figure)
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.height >= 200 and figure.layout.font.color is None
    assert figure.layout.xaxis.title.text and figure.layout.yaxis.title.text
    assert json.loads(figure.to_json())["layout"]["height"] == figure.layout.height


@pytest.mark.parametrize("order", ["alpha", "abs"])
def test_the_plane_maps_every_point_to_its_mode(order):
    e = entry()
    figure = spectrum.eigenvalue_plane(e, (0.25, 0.75), order)
    assert len(figure.data) == 3
    assert len({t.marker.color for t in figure.data}) == len({t.marker.symbol for t in figure.data}) == 3
    seen = []
    for trace in figure.data:
        flat, k, i, j = trace.customdata.T
        assert np.array_equal(flat, k * 15 + i * 5 + j)
        assert np.array_equal(trace.x, e.alpha.ravel()[flat])
        assert np.array_equal(np.abs(trace.y), np.abs(e.beta.ravel()[flat]))
        seen += flat.tolist()
    assert sorted(seen) == sorted([*range(60), *range(60)])  # + beta and - beta
    assert sum(float(t.y.sum()) for t in figure.data) == pytest.approx(0, abs=1e-3)


def test_the_planes_bands_are_sorted_by_alpha():
    low, middle, high = spectrum.eigenvalue_plane(entry(), (0.25, 0.75)).data
    assert low.x.max() < middle.x.min() and middle.x.max() < high.x.min()
    assert "(15)" in low.name and "(30)" in middle.name


def test_bands_partition_even_equal_values():
    e = entry()
    flat = SpectrumEntryResult(0, "x", e.shape, np.zeros_like(e.alpha), e.beta, e.rank)
    assert np.bincount(spectrum.bands_of(flat, (0.5, 0.5)).ravel()).tolist() == [30, 0, 30]


def test_a_ring_marks_the_chosen_mode():
    e = entry()
    ring = spectrum.eigenvalue_plane(e, (0.3, 0.6), mark=17).data[-1]
    assert ring.x[0] == pytest.approx(float(e.alpha.ravel()[17]))
    assert len(spectrum.eigenvalue_plane(e, (0.3, 0.6), mark=10_000).data) == 3


def test_zoom_is_kept_within_a_level_only():
    planes = [
        spectrum.eigenvalue_plane(entry(name=n), edges)
        for n, edges in (("a", (0.1, 0.9)), ("a", (0.4, 0.5)), ("b", (0.1, 0.9)))
    ]
    revisions = [p.layout.uirevision for p in planes]
    assert revisions[0] == revisions[1] != revisions[2]


def test_a_large_level_is_thinned_and_says_so(monkeypatch):
    monkeypatch.setattr(spectrum, "MOST_SHOWN_MODES", 20)
    figure = spectrum.eigenvalue_plane(entry(), (0.3, 0.6))
    assert sum(len(t.x) for t in figure.data) == 40
    assert numbers(figure.layout.annotations[-1].text) == [20, 60]


def test_the_map_is_centred_at_zero():
    values = np.array([[1.0, -3.0], [0.0, 2.0]])
    heat = spectrum.position_map(values, "β", mark=(1, 0)).data
    assert (heat[0].zmin, heat[0].zmax) == (-3, 3)
    assert np.array_equal(heat[0].z, values)
    assert (heat[1].x[0], heat[1].y[0]) == (0, 1)
    flat = spectrum.position_map(np.zeros((2, 2)), "β").data[0]
    assert flat.zmin < flat.zmax


def test_sorted_lines_rise_and_are_told_apart_without_colour():
    result = SpectrumResult(tuple(entry((2 + 2 * i, 9, 9), i, f"skip {i}") for i in range(7)), "karras")
    lines = spectrum.sorted_real_parts(result).data
    assert [line.name for line in lines] == [e.name for e in result.entries]
    for line, e in zip(lines, result.entries, strict=True):
        assert (np.diff(line.y) >= 0).all() and len(line.x) <= spectrum.MAX_LINE_POINTS
        assert line.y[0] == e.alpha.min() and line.y[-1] == e.alpha.max()
    assert len({(line.line.color, line.line.dash) for line in lines}) == 7


def test_the_error_curve_runs_from_noise_to_picture():
    figure = spectrum.error_curve(trajectory())
    assert [t.name.split()[0] for t in figure.data] == ["MSE", "LPIPS"]
    assert figure.layout.xaxis.type == "log" and figure.layout.xaxis.autorange == "reversed"
    assert figure.data[0].y[0] == ERROR_FLOOR  # a zero has no logarithm
    assert figure.data[0].customdata.tolist() == [0, 1, 2, 3, 4, 5]
    assert figure.layout.shapes[0].x0 == pytest.approx(0.002)
    assert len(spectrum.error_curve(trajectory(lpips=False)).data) == 1


def test_without_a_teacher_there_is_no_error_curve():
    with refuses("teacher", error=Mistake):
        spectrum.error_curve(trajectory(teacher=False))


def test_numbers_travel_as_single_precision():
    data = json.loads(spectrum.eigenvalue_plane(entry(), (0.3, 0.6)).to_json())["data"][0]
    assert data["x"]["dtype"] == "f4" and data["customdata"]["dtype"] == "i4"
    assert len(base64.b64decode(data["x"]["bdata"])) == 4 * 36
