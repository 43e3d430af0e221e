"""Plotly figures of spectra and trajectories: pure functions, numpy in, a Figure out, nothing is shown.

The look is that of `analysis.figures.style`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import torch

from analysis.figures.style import (
    BAND_COLOURS,
    BAND_SYMBOLS,
    BLUE,
    ERROR_FLOOR,
    LINE_COLOURS,
    LINE_DASHES,
    ORANGE,
    VERMILION,
    empty_figure,
)
from analysis.koopman import spectrum as spectra
from analysis.koopman.spectrum import band_names
from analysis.workbench.images import TrajectoryResult
from analysis.workbench.spectrum import SpectrumEntryResult, SpectrumResult
from foundation.mistakes import Mistake

MOST_SHOWN_MODES = 10_000  # a browser draws two points a mode; more is a blur anyway
MAX_LINE_POINTS = 400
IDLE_COLOUR = "#8A8F98"


def bands_of(entry: SpectrumEntryResult, edges: Sequence[float], order: str = "alpha") -> np.ndarray:
    """Band number of every mode, (C/2, h, w) int8."""
    masks = spectra.band_masks(torch.from_numpy(entry.alpha), edges, order)
    return np.stack([b * mask.numpy().astype(np.int8) for b, mask in enumerate(masks)]).sum(0, dtype=np.int8)


def eigenvalue_plane(
    entry: SpectrumEntryResult,
    edges: Sequence[float],
    order: str = "alpha",
    mark: int | None = None,
    idle: bool = False,
) -> go.Figure:
    """The eigenvalues alpha +- i beta of one level, one trace a band.

    `customdata` of a point is (flat index, pair k, row i, column j) with flat index = k h w + i w + j.

    Args:
        entry: one level of a spectrum.
        edges: inner quantile edges of the bands.
        order: "alpha" or "abs".
        mark: flat index of a mode to put a ring around.
        idle: the level was measured to carry nothing; it is drawn in grey, and says so.
    """
    total = entry.alpha.size
    shown = np.arange(total)
    if total > MOST_SHOWN_MODES:  # drawn at random, since a regular stride would favour some positions
        shown = np.sort(np.random.default_rng(0).choice(total, MOST_SHOWN_MODES, replace=False))
    alpha, beta = entry.alpha.ravel(), entry.beta.ravel()
    bands = bands_of(entry, edges, order).ravel()
    place = np.stack([np.arange(total), *np.unravel_index(np.arange(total), entry.alpha.shape)], axis=1).astype(
        np.int32
    )
    figure = empty_figure(560, dragmode="zoom", uirevision=entry.name, modebar={"orientation": "v"})
    for b, name in enumerate(band_names(len(edges) + 1, order)):
        picked = shown[bands[shown] == b]
        both = np.concatenate([picked, picked])
        sign = np.repeat(np.array([1, -1], np.float32), len(picked))
        figure.add_scattergl(
            x=alpha[both],
            y=sign * np.abs(beta[both]),
            customdata=place[both],
            mode="markers",
            name=f"{name} ({int((bands == b).sum()):,})",
            marker={
                "color": IDLE_COLOUR if idle else BAND_COLOURS[b],
                "symbol": BAND_SYMBOLS[b],
                "size": 7,
                "opacity": 0.55,
            },
            hovertemplate="α %{x:.3f}, β %{y:.3f}<br>pair %{customdata[1]}, row %{customdata[2]}, "
            "column %{customdata[3]}<extra></extra>",
        )
    if mark is not None and 0 <= mark < total:
        figure.add_scattergl(
            x=[float(alpha[mark])] * 2,
            y=[float(abs(beta[mark])), -float(abs(beta[mark]))],
            mode="markers",
            name="chosen mode",
            marker={"color": VERMILION, "symbol": "circle-open", "size": 17, "line": {"width": 3}},
            hoverinfo="skip",
        )
    figure.update_layout(margin={"r": 40})  # room for the tools
    figure.update_xaxes(title="α, growth rate (per unit τ)", zeroline=True, zerolinewidth=2)
    figure.update_yaxes(title="β, angular frequency (rad per unit τ)", zeroline=True)
    note = {"xref": "paper", "yref": "paper", "showarrow": False, "font": {"size": 12}, "opacity": 0.75}
    figure.add_annotation(x=0.01, y=0.99, text="◂ α < 0 grows", xanchor="left", **note)
    figure.add_annotation(x=0.99, y=0.99, text="α > 0 fades ▸", xanchor="right", **note)
    if idle:
        figure.add_annotation(x=0.01, y=0.01, text="idle level", xanchor="left", **note)
    if total > MOST_SHOWN_MODES:
        figure.add_annotation(
            x=0.99, y=0.01, text=f"{MOST_SHOWN_MODES:,} of {total:,} modes drawn", xanchor="right", **note
        )
    return figure


def position_map(
    values: np.ndarray, title: str, unit: str = "per unit τ", mark: tuple[int, int] | None = None
) -> go.Figure:
    """A heat map over positions, diverging colours centred at 0.

    Args:
        values: (h, w).
        title: what it shows.
        unit: of the values.
        mark: (row, column) to put a ring around.
    """
    largest = float(np.abs(values).max()) or 1.0
    heading = {"text": title, "font": {"size": 14}, "x": 0.5, "y": 0.98, "yanchor": "top"}
    figure = empty_figure(300, title=heading)
    figure.update_layout(margin={"l": 40, "r": 8, "t": 28, "b": 96})
    figure.add_heatmap(
        z=np.asarray(values, dtype=np.float32),
        colorscale="RdBu",
        reversescale=True,
        zmin=-largest,
        zmax=largest,
        # below, where it takes no width from a map in a narrow column
        colorbar={
            "title": {"text": unit, "side": "bottom"},
            "thickness": 8,
            "outlinewidth": 0,
            "orientation": "h",
            "y": -0.3,
            "yanchor": "top",
            "len": 1,
            "nticks": 4,
        },
        hovertemplate="row %{y}, column %{x}: %{z:.3f}<extra></extra>",
    )
    if mark is not None:
        figure.add_scatter(
            x=[mark[1]],
            y=[mark[0]],
            mode="markers",
            marker={"symbol": "circle-open", "size": 16, "color": "#000000", "line": {"width": 3}},
            hoverinfo="skip",
            showlegend=False,
        )
    figure.update_xaxes(title={"text": "column j", "standoff": 2}, showgrid=False, zeroline=False, constrain="domain")
    figure.update_yaxes(
        title={"text": "row i", "standoff": 4},
        showgrid=False,
        zeroline=False,
        autorange="reversed",
        scaleanchor="x",
        constrain="domain",
    )
    return figure


def sorted_real_parts(result: SpectrumResult) -> go.Figure:
    """Sorted alpha of every level against the share of modes below: levels of any size can be compared."""
    figure = empty_figure(300, uirevision="sorted")
    for i, entry in enumerate(result.entries):
        alpha = np.sort(entry.alpha, axis=None)
        at = np.unique(np.linspace(0, alpha.size - 1, min(alpha.size, MAX_LINE_POINTS)).astype(int))
        figure.add_scatter(
            x=at / max(alpha.size - 1, 1),
            y=alpha[at],
            mode="lines",
            name=entry.name,
            line={
                "color": LINE_COLOURS[i % len(LINE_COLOURS)],
                "dash": LINE_DASHES[i % len(LINE_DASHES)],
                "width": 2,
            },
            hovertemplate=f"{entry.name}: %{{x:.0%}} of modes below α = %{{y:.3f}}<extra></extra>",
        )
    figure.update_xaxes(title="share of modes, sorted by α", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title="α (per unit τ)", zeroline=True, zerolinewidth=2)
    return figure


def error_curve(trajectory: TrajectoryResult) -> go.Figure:
    """Koopman path against the teacher's denoised state, over noise level; noise left, picture right.

    `customdata` of a point is its index in the grid; `layout.shapes[0]` is the marker line at the last level.

    Raises:
        ValueError: a trajectory without a teacher has no errors.
    """
    if trajectory.mse is None:
        raise Mistake("There is no teacher to compare with: load the model's teacher first.", "teacher")
    figure = empty_figure(300, uirevision="error", showlegend=True)
    curves = [("MSE ([-1, 1] scale)", trajectory.mse, BLUE, "circle", "solid")]
    if trajectory.lpips is not None:
        curves.append(("LPIPS (Alex)", trajectory.lpips, ORANGE, "diamond", "dash"))
    for name, values, colour, symbol, dash in curves:
        figure.add_scatter(
            x=trajectory.sigma,
            y=np.maximum(values, ERROR_FLOOR),
            customdata=np.arange(len(values), dtype=np.int32),
            mode="lines+markers",
            name=name,
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 7},
            hovertemplate=f"{name} %{{y:.3g}} at σ = %{{x:.3g}}<extra></extra>",
        )
    last = float(trajectory.sigma[-1])
    figure.add_shape(
        type="line", x0=last, x1=last, y0=0, y1=1, yref="paper", line={"color": VERMILION, "width": 2, "dash": "dot"}
    )
    figure.update_xaxes(title="noise level σ (log)", type="log", autorange="reversed", exponentformat="power", dtick=1)
    figure.update_yaxes(title={"text": "error (log)", "standoff": 10}, type="log", exponentformat="power", dtick=1)
    return figure
