"""Figures of effects, modes, linearity and labels: what is drawn is what was measured."""

import dataclasses
import json

import numpy as np
import plotly.graph_objects as go
import pytest

from analysis.figures import effects
from analysis.figures import effects as probe_figures
from analysis.figures.style import BAND_COLOURS, BAND_SYMBOLS
from analysis.workbench.effects import EffectResult
from analysis.workbench.probes import AttributionResult, BandLabelsResult, DMDLevel, LinearityResult
from analysis.workbench.spectrum import ModeResult, SpectrumEntryResult
from foundation.mistakes import Mistake
from tests.refusals import refuses

N, K, L = 11, 3, 4
TAU = np.linspace(1, 0, N)
SIGMA = np.geomspace(80, 0.002, N)
NAMES = ("skip 0", "skip 1", "skip 2", "bottleneck")


def effect(spread=True, decoded=True, kind="displacement"):
    joint = np.random.default_rng(0).random((L, K, N)) * (1 - TAU) / 12
    sd = np.full((K, N), 0.01 if spread else np.nan)
    more = {"decoded_tau": TAU[::5], "decoded_bands": joint.sum(0)[:, ::5], "decoded_levels": joint.sum(1)[:, ::5]}
    return EffectResult(
        kind, TAU, SIGMA, NAMES, joint.sum(0), sd, joint.sum(1), joint, True, **(more if decoded else {})
    )


def linearity(spread=0.02, mse=True, dmd=True, apart=True):
    grow = np.linspace(0, 1, N) * np.ones((L, 1))
    level = DMDLevel(np.array([0.1, -0.2]), np.array([1.0, -1.0]), np.array([4.0, 1.0]), 0.9, 0.1)
    rates = tuple(np.zeros((2, 3, 5), np.float32) for _ in NAMES)
    return LinearityResult(
        NAMES, TAU, SIGMA, grow, 1.2 * grow, 0.5 * grow,
        {k: 3 * grow for k in ("learned", "identity", "fitted")} if apart else None, grow / 2 if apart else None,
        np.full((L, N), spread), rates, rates,
        {"learned": grow[0], "identity": 2 * grow[0], "fitted": 0.5 * grow[0]} if mse else None, None,
        (level,) * L if dmd else None,
    )  # fmt: skip


def attribution():
    rows = ("background", "texture", "everything")
    bands = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.4, 0.35, 0.25]])
    levels = np.array([[0.1, 0.2, 0.3, 0.4], [0.25] * 4, [0.4, 0.3, 0.2, 0.1]])
    return AttributionResult(
        rows, NAMES, np.array([8, 8, 8]), np.zeros((3, L, K)), bands, bands - 0.06, bands + 0.06,
        levels, levels - 0.2, levels + 0.2,
    )  # fmt: skip


def labels():
    return BandLabelsResult(
        np.linspace(0, 0.7, 6), np.full((K, 6), 0.01), np.array([0.2, np.nan, 0.1]), np.full(K, 0.1), np.full(K, 0.3),
        np.array([0.1, 0.0, 0.3]), (2, 0, 1), (True, False),
    )  # fmt: skip


def mode():
    one = np.zeros(2)
    grey = np.zeros((2, 2, 3), np.uint8)
    energy = np.stack([TAU, 2 * TAU])
    return ModeResult(
        0, "skip 0", one, one, one, one, one, one, one, one, TAU, energy, TAU / 10, grey, grey, grey, 1.0, 0.0
    )


def entry(index=1):
    values = np.random.default_rng(1).normal(size=(2, 3, 5)).astype(np.float32)
    return SpectrumEntryResult(index, NAMES[index], (4, 3, 5), values, values[::-1], np.zeros((2, 3, 5), np.int32))


FIGURES = {
    "bands": lambda: effects.band_curves(effect()),
    "bands by size": lambda: effects.band_curves(effect(kind="energy"), "abs"),
    "levels": lambda: effects.level_curves(effect()),
    "decoded": lambda: effects.decoded_curves(effect()),
    "decoded levels": lambda: effects.decoded_curves(effect(), "levels"),
    "mode": lambda: effects.mode_curves(mode()),
    "linearity": lambda: probe_figures.linearity_curves(linearity(), 2),
    "pictures": lambda: probe_figures.linearity_pictures(linearity()),
    "dmd": lambda: probe_figures.dmd_plane(entry(), linearity()),
    "attribution": lambda: probe_figures.attribution_map(attribution()),
    "attribution levels": lambda: probe_figures.attribution_map(attribution(), "levels"),
    "power": lambda: probe_figures.radial_power_curves(labels()),
}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_every_figure_is_dressed_for_the_page(make):
    figure = make()
    assert isinstance(figure, go.Figure) and figure.layout.height >= 200 and figure.layout.uirevision
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.font.color is None
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text or figure.data[0].type == "heatmap"  # whose rows are named
    json.loads(figure.to_json())  # nothing that JSON does not know


def lines(figure):
    return [t for t in figure.data if t.showlegend is not False]


def test_bands_have_their_colour_marker_and_ribbon():
    r = effect()
    drawn = lines(effects.band_curves(r))
    assert [t.name for t in drawn] == ["smallest α", "middle α", "largest α"]
    for b, t in enumerate(drawn):
        assert np.allclose(t.y, r.bands[b]) and np.allclose(t.customdata, SIGMA, rtol=1e-6)
        assert (t.line.color, t.marker.symbol) == (BAND_COLOURS[b], BAND_SYMBOLS[b])
    ribbons = [t for t in effects.band_curves(r).data if t.fill == "toself"]
    assert len(ribbons) == K and np.allclose(ribbons[0].y[:N] - ribbons[0].y[N:][::-1], 0.02, atol=1e-6)
    assert len(effects.band_curves(effect(spread=False)).data) == K  # one seed spreads nowhere


def test_the_time_axis_names_noise_levels():
    axis = effects.band_curves(effect()).layout.xaxis
    assert axis.range[0] > axis.range[1]  # noise left
    assert axis.ticktext[0] == "1<br>σ 80" and axis.ticktext[-1] == "0<br>σ 0.002"
    assert axis.ticktext[2] == f"0.5<br>σ {np.sqrt(80 * 0.002):.2g}"  # geometric grid


def test_levels_are_stacked_and_told_apart_without_colour():
    r = effect()
    drawn = effects.level_curves(r).data
    assert {t.stackgroup for t in drawn} == {"all"} and [t.name for t in drawn] == list(NAMES)
    assert np.allclose(sum(np.asarray(t.y) for t in drawn), r.bands.sum(0), atol=1e-6)
    assert len({(t.line.dash, t.marker.symbol) for t in drawn}) == L


def test_decoded_curves_have_their_own_times():
    r = effect()
    drawn = effects.decoded_curves(r, "levels").data
    assert np.allclose(drawn[1].x, r.decoded_tau) and np.allclose(drawn[1].y[1:], r.decoded_levels[1][1:])
    assert np.allclose(drawn[0].customdata, [80, np.sqrt(80 * 0.002), 0.002], rtol=1e-5)
    assert drawn[0].y[0] > 0  # zero at noise has no logarithm
    with refuses("decoded", error=Mistake):
        effects.decoded_curves(effect(decoded=False))


def test_a_groups_energy_is_its_modes_sum():
    energy, share = effects.mode_curves(mode()).data
    assert np.allclose(energy.y, 3 * TAU) and np.allclose(share.y, TAU / 10) and share.yaxis == "y2"


def test_linearity_has_three_operators_without_the_start():
    figure = probe_figures.linearity_curves(linearity(), 2)
    learned, still, fitted, apart = lines(figure)
    assert np.allclose(apart.y, 3 * np.asarray(learned.y))
    assert len(learned.x) == N - 1 and learned.x[0] == pytest.approx(TAU[1])
    assert np.allclose(still.y, 1.2 * np.asarray(learned.y)) and np.allclose(fitted.y, 0.5 * np.asarray(learned.y))
    assert figure.layout.yaxis.type == "log" and len({t.line.dash for t in (learned, still, fitted)}) == 3
    alone = probe_figures.linearity_curves(linearity(spread=np.nan, apart=False), 2)
    assert len(alone.data) == 3
    with refuses("mse", error=Mistake):
        probe_figures.linearity_pictures(linearity(mse=False))


def test_dmd_stands_beside_the_learned_spectrum():
    e = entry()
    figure = probe_figures.dmd_plane(e, linearity())
    learned, dmd = figure.data
    assert sorted(np.abs(learned.y)) == sorted([*np.abs(e.beta).ravel()] * 2)
    assert np.allclose(dmd.x, [0.1, -0.2]) and dmd.marker.size[0] > dmd.marker.size[1]
    assert f"{np.pi / 0.1:.3g}" in figure.layout.yaxis.title.text
    with refuses("dmd", error=Mistake):
        probe_figures.dmd_plane(e, linearity(dmd=False))


def test_the_baseline_comes_first_and_everything_is_measured_from_it():
    heat = probe_figures.attribution_map(attribution()).data[0]
    assert "everything" in heat.y[0] and list(heat.y[1:]) == ["background", "texture"]
    assert np.allclose(heat.z, [[0, 0, 0], [-20, -5, 25], [20, -5, -15]], atol=1e-4)
    assert heat.zmin == -heat.zmax
    # 0.2 +- 0.06 lies below 0.4 +- 0.06; 0.3 +- 0.06 meets 0.35 +- 0.06
    assert [*heat.text[1]] == ["20 % ▼", "30 % ·", "50 % ▲"] and [*heat.text[0]] == ["40 %", "35 %", "25 %"]
    assert np.allclose(heat.customdata[2, 0], [60, 54, 66, 8])
    wide = probe_figures.attribution_map(attribution(), "levels").data[0]
    assert tuple(wide.x) == NAMES and all("·" in t for row in wide.text[1:] for t in row)


def test_without_a_baseline_nothing_is_compared():
    r = attribution()
    cut = {f: getattr(r, f)[:2] for f in ("pairs", "share", "bands", "bands_low", "bands_high", "levels", "rows")}
    r = dataclasses.replace(r, **cut, levels_low=r.levels_low[:2], levels_high=r.levels_high[:2])
    heat = probe_figures.attribution_map(r).data[0]
    assert all("·" in t for row in heat.text for t in row) and np.allclose(heat.z[0], 100 * (r.bands[0] - 1 / 3))


def test_centroids_are_marked_where_there_is_one():
    figure = probe_figures.radial_power_curves(labels())
    assert sorted(s.x0 for s in figure.layout.shapes) == [0.1, 0.2]
    assert [s.line.color for s in figure.layout.shapes] == [BAND_COLOURS[0], BAND_COLOURS[2]]
