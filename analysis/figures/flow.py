"""Figures of flows of points and of images; the same look and rules as `analysis.figures.style`.

Plotly's for the page, and small pictures for a file that carries their recipe, drawn in milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw

from analysis.core.images import grid_sheet
from analysis.figures.style import BAND_SYMBOLS, GREY, LINE_COLOURS, LINE_DASHES, PANEL, empty_figure, ribbon
from analysis.flow.image_sweeps import PictureSweepResult
from analysis.flow.images import FlowPicturesResult
from analysis.flow.points import Flow2DResult, SweepResult
from analysis.flow.transport import TransportResult

MAX_DRAWN = 400  # points; the numbers are of all of them
MAX_LINES = 48
# see-through, so that it reads on a light and on a dark page
SHADES = [[0, "rgba(138,143,152,0)"], [0.05, "rgba(138,143,152,0.14)"], [1, "rgba(138,143,152,0.55)"]]
MMD_FLOOR = 1e-4  # a logarithmic axis has no zero, and unbiased values can be negative
POINTS_TRACE = 2  # of `flow_figure`: what moves


def _plane(figure: go.Figure, extent: float) -> None:
    figure.update_xaxes(range=[-extent, extent], showgrid=False, zeroline=False, constrain="domain", nticks=5)
    figure.update_yaxes(range=[-extent, extent], showgrid=False, zeroline=False, scaleanchor="x", nticks=5)
    figure.update_layout(margin={"l": 30, "r": 8, "t": 8, "b": 28}, showlegend=False)


def _shade(figure: go.Figure, density: np.ndarray, axis: np.ndarray) -> None:
    """The exact density as filled contours; its square root, so that faint parts are seen, too."""
    figure.add_contour(
        x=axis,
        y=axis,
        z=np.float32(np.sqrt(np.maximum(density, 0) / max(float(density.max()), 1e-30))),
        colorscale=SHADES,
        zmin=0,
        zmax=1,
        contours={"coloring": "fill", "start": 0.15, "end": 0.95, "size": 0.2},
        line={"width": 0.6, "color": GREY},
        showscale=False,
        hoverinfo="skip",
    )


def _points(figure: go.Figure, x: np.ndarray, setting: int, name: str) -> None:
    figure.add_scatter(
        x=np.float32(x[:, 0]),
        y=np.float32(x[:, 1]),
        mode="markers",
        name=name,
        marker={
            "size": 5,
            "color": LINE_COLOURS[setting % len(LINE_COLOURS)],
            "symbol": BAND_SYMBOLS[setting % len(BAND_SYMBOLS)],
            "opacity": 0.75,
        },
        hovertemplate="(%{x:.2f}, %{y:.2f})<extra></extra>",
    )


def flow_figure(result: Flow2DResult, setting: int = 0) -> go.Figure:
    """Exact density, some trajectories, and the points at t = 1.

    Traces: 0 = density, 1 = trajectories, `POINTS_TRACE` = points, in the order of the result.

    Args:
        result: one setting.
        setting: its number, for colour and marker.
    """
    figure = empty_figure(330, uirevision=f"flow {setting}")
    _shade(figure, result.density, result.axis)
    ways = result.trajectories[:MAX_LINES]
    gaps = np.full((len(ways), 1, 2), np.nan, np.float32)
    lines = np.concatenate([ways, gaps], axis=1).reshape(-1, 2)
    figure.add_scatter(
        x=lines[:, 0],
        y=lines[:, 1],
        mode="lines",
        line={"width": 1, "color": LINE_COLOURS[setting % len(LINE_COLOURS)]},
        opacity=0.4,
        hoverinfo="skip",
    )
    _points(figure, result.points[:MAX_DRAWN], setting, "points")
    _plane(figure, float(result.axis[-1]))
    return figure


def preview_figure(density: np.ndarray, axis: np.ndarray, points: np.ndarray | None) -> go.Figure:
    """A density, and points (m, 2) of a net in training over it."""
    figure = empty_figure(330, uirevision="preview")
    _shade(figure, density, axis)
    if points is not None:
        _points(figure, points, 2, "points of the net")
    _plane(figure, float(axis[-1]))
    return figure


def loss_figure(losses: np.ndarray, mmd2: np.ndarray, steps: int) -> go.Figure:
    """Loss (left) and MMD^2 of the preview (right) over training steps.

    Args:
        losses: (k, 2) step and mean loss.
        mmd2: (m, 2) step and unbiased MMD^2.
        steps: of the whole training.
    """
    figure = empty_figure(330, uirevision="loss")
    for k, (name, values, axis) in enumerate((("loss", losses, "y"), ("MMD² of the preview", mmd2, "y2"))):
        figure.add_scatter(
            x=np.float32(values[:, 0]),
            y=np.float32(values[:, 1]),
            yaxis=axis,
            mode="lines+markers",
            name=name,
            line={"color": LINE_COLOURS[k], "dash": LINE_DASHES[k], "width": 2},
            marker={"symbol": BAND_SYMBOLS[k], "size": 6},
            hovertemplate=f"{name} %{{y:.4g}} at step %{{x:.0f}}<extra></extra>",
        )
    figure.update_xaxes(title="training step", range=[0, steps], zeroline=False)
    figure.update_layout(
        margin={"l": 58, "r": 64, "t": 32, "b": 46},
        yaxis={"title": "mean loss", "nticks": 5},
        yaxis2={"title": "MMD²", "overlaying": "y", "side": "right", "showgrid": False, "nticks": 5},
    )
    return figure


def _swept(
    figure: go.Figure, at, values: np.ndarray, name: str, colour: str, dash: str, symbol: str, what: str, low=-np.inf
):
    """Mean over seeds and a band of one standard deviation; gaps where a seed has no number."""
    known = np.isfinite(values).all(axis=1)
    mean = np.where(known, np.maximum(values.mean(axis=1), low), np.nan)
    if known.sum() > 1:
        spread = values[known].std(axis=1, ddof=1)
        ribbon(figure, np.asarray(at)[known], np.maximum(mean[known] - spread, low), mean[known] + spread, colour)
    figure.add_scatter(
        x=np.float32(at),
        y=np.float32(mean),
        mode="lines+markers",
        name=name,
        line={"color": colour, "dash": dash, "width": 2},
        marker={"symbol": symbol, "size": 8, "color": colour},
        hovertemplate=f"{name}: MMD² %{{y:.4f}} at {what} %{{x:g}}<extra></extra>",
    )


def _floor(figure: go.Figure, floor: np.ndarray, log: bool = False) -> None:
    mean = max(float(floor.mean()), MMD_FLOOR) if log else float(floor.mean())
    figure.add_hline(y=mean, line={"color": GREY, "width": 1.5, "dash": "dot"})
    figure.add_annotation(
        x=1, xref="paper", xanchor="right", y=math.log10(mean) if log else mean, yanchor="bottom",
        text="data against data", showarrow=False,
        font={"size": 12}, opacity=0.8,
    )  # fmt: skip


def _axes(figure: go.Figure, more: str = "") -> None:
    figure.update_yaxes(title={"text": f"MMD² to held-out data{more}", "standoff": 10}, zeroline=True)
    figure.update_layout(legend={"font": {"size": 12}}, margin={"t": 74})


def nfe_figure(result: SweepResult, names: Sequence[str]) -> go.Figure:
    """MMD^2 over network calls: one line a setting, the closed form, and data against data."""
    figure = empty_figure(400, uirevision="sweep nfe")
    for s, name in enumerate(names):
        _swept(
            figure,
            result.nfes,
            result.by_nfe[s],
            name,
            LINE_COLOURS[s],
            LINE_DASHES[s],
            BAND_SYMBOLS[s],
            "NFE",
            MMD_FLOOR,
        )
    _swept(figure, result.nfes, result.oracle_by_nfe, "exact oracle, Euler", GREY, "longdash", "x", "NFE", MMD_FLOOR)
    _floor(figure, result.floor, log=True)
    figure.update_xaxes(title="network calls (NFE)", zeroline=False, nticks=10)
    figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    _axes(figure, f" (log, ≥ {MMD_FLOOR:g})")
    return figure


def gamma_figure(result: SweepResult, names: Sequence[str]) -> go.Figure:
    """MMD^2 over gamma1: one line a setting with momentum, the same on the closed form, and Heun's method beside it."""
    figure = empty_figure(400, uirevision="sweep gamma")
    for m, s in enumerate(result.gamma_settings):
        colour, symbol = LINE_COLOURS[s], BAND_SYMBOLS[s]
        _swept(figure, result.gammas, result.by_gamma[m], names[s], colour, LINE_DASHES[s], symbol, "γ₁")
        if np.isfinite(result.oracle_by_gamma[m]).all(axis=1).any():
            _swept(
                figure, result.gammas, result.oracle_by_gamma[m], f"{names[s]}, exact oracle", GREY, "longdash", symbol,
                "γ₁",
            )  # fmt: skip
        figure.add_scatter(
            x=np.float32(result.gammas),
            y=np.full(len(result.gammas), np.float32(result.heun_by_gamma[m].mean())),
            mode="lines",
            name=f"{names[s]}: Heun’s method, no weight",
            line={"color": colour, "dash": "dot", "width": 1.5},
            hovertemplate="Heun’s method with as many calls: MMD² %{y:.4f}<extra></extra>",
        )
    _floor(figure, result.floor)
    figure.update_xaxes(title="momentum weight γ₁", zeroline=False)
    _axes(figure)
    return figure


def transport_figure(result: TransportResult) -> go.Figure:
    """Over the size of the batch: MMD^2 of one perfect call (left), and the cost of the pairs (right)."""
    figure = empty_figure(330, uirevision="transport")
    for k, (name, values, axis) in enumerate((("MMD² of E[x₁ | x₀]", result.mmd2, "y"), ("cost", result.cost, "y2"))):
        mean, spread = values.mean(1), values.std(1, ddof=1)
        figure.add_scatter(
            x=result.sizes,
            y=np.float32(mean),
            yaxis=axis,
            mode="lines+markers",
            name=name,
            error_y={"type": "data", "array": np.float32(spread), "thickness": 1},
            line={"color": LINE_COLOURS[k], "dash": LINE_DASHES[k], "width": 2},
            marker={"symbol": BAND_SYMBOLS[k], "size": 7},
            hovertemplate=f"{name}: %{{y:.4g}} in batches of %{{x}}<extra></extra>",
        )
    figure.update_xaxes(title="batch (log)", type="log", tickvals=result.sizes, zeroline=False)
    figure.update_layout(
        margin={"l": 62, "r": 64, "t": 40, "b": 46},
        yaxis={"title": "MMD² to data", "nticks": 5, "rangemode": "tozero"},
        yaxis2={"title": "mean |x₁ − x₀|²", "overlaying": "y", "side": "right", "showgrid": False, "nticks": 5,
                "tickformat": ".3~g"},
    )  # fmt: skip
    return figure


UNITS = {"LPIPS": "LPIPS (Alex)", "PSNR": "PSNR, dB"}
BETTER = {"LPIPS": "lower is nearer", "PSNR": "higher is nearer"}


def calls_figure(result: PictureSweepResult, names: Sequence[str]) -> go.Figure:
    """Distance to the exact flow over network calls: mean over pictures, and a band of one standard deviation."""
    figure = empty_figure(400, uirevision="sweep pictures")
    for s, name in enumerate(names):
        values, colour = result.distance[s], LINE_COLOURS[s % len(LINE_COLOURS)]
        known = np.isfinite(values).all(axis=1)
        mean = np.where(known, values.mean(axis=1), np.nan)
        if known.sum() > 1:
            spread = values[known].std(axis=1, ddof=1)
            # no distance is below zero
            ribbon(figure, result.nfes[known], np.maximum(mean[known] - spread, 0), mean[known] + spread, colour)
        figure.add_scatter(
            x=np.float32(result.nfes),
            y=np.float32(mean),
            mode="lines+markers",
            name=name,
            line={"color": colour, "dash": LINE_DASHES[s % len(LINE_DASHES)], "width": 2},
            marker={"symbol": BAND_SYMBOLS[s % len(BAND_SYMBOLS)], "size": 8, "color": colour},
            hovertemplate=f"{name}: {result.measure} %{{y:.4g}} at NFE %{{x:g}}<extra></extra>",
        )
    figure.update_xaxes(title="network calls (NFE)", zeroline=False, nticks=10)
    title = f"{UNITS[result.measure]} to the exact flow ({BETTER[result.measure]})"
    figure.update_yaxes(title={"text": title, "standoff": 10}, rangemode="tozero", zeroline=True)
    figure.update_layout(legend={"font": {"size": 12}}, margin={"t": 74})
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Small pictures

RADIUS = 2  # pixels of a point
DARKEST = 120  # of the density, of 255


def cloud_panel(result: Flow2DResult, setting: int) -> np.ndarray:
    """The points at t = 1 over the exact density, uint8 (PANEL, PANEL, 3), y growing upwards.

    Args:
        result: one setting.
        setting: its number, for the colour.
    """
    shade = np.sqrt(np.maximum(result.density, 0) / max(float(result.density.max()), 1e-30))[::-1]
    grey = Image.fromarray(np.round(255 - DARKEST * shade).astype(np.uint8))
    panel = grey.resize((PANEL, PANEL), Image.Resampling.BILINEAR).convert("RGB")
    draw, extent = ImageDraw.Draw(panel), float(result.axis[-1])
    for x, y in result.points[:MAX_DRAWN].astype(np.float64):
        if max(abs(x), abs(y)) <= extent:
            a, b = (PANEL - 1) * (extent + x) / (2 * extent), (PANEL - 1) * (extent - y) / (2 * extent)
            draw.ellipse(
                (a - RADIUS, b - RADIUS, a + RADIUS, b + RADIUS), fill=LINE_COLOURS[setting % len(LINE_COLOURS)]
            )
    return np.asarray(panel)


def clouds_sheet(results: Sequence[Flow2DResult | None], names: Sequence[str]) -> np.ndarray:
    """Settings in the plane beside each other, each under its name; one without a result has no place."""
    shown = [(k, r) for k, r in enumerate(results) if r is not None]
    return grid_sheet([[cloud_panel(r, k) for k, r in shown]], [names[k] for k, _ in shown])


def pictures_sheet(
    results: Sequence[FlowPicturesResult | None], names: Sequence[str], seeds: Sequence[int]
) -> np.ndarray:
    """A row of pictures a setting and a column a seed; a setting without a result has no row."""
    shown = [(name, r.pictures) for name, r in zip(names, results, strict=True) if r is not None]
    return grid_sheet([list(p) for _, p in shown], [str(s) for s in seeds], [name for name, _ in shown], x="seed")
