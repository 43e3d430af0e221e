"""What figures share: palette, empty figure, axis of Koopman time, curves and ribbons.

Colours are Okabe and Ito's, safe for colour-blind eyes, and never the only sign: bands have their own marker,
levels their own dash. Backgrounds are transparent and no text has a colour, so that a light and a dark page can both
use them.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

BLUE, ORANGE, PURPLE, GREEN, VERMILION, SKY = "#0072B2", "#E69F00", "#CC79A7", "#009E73", "#D55E00", "#56B4E9"
GREY = "#8a8f98"
BAND_COLOURS = (BLUE, ORANGE, PURPLE, GREEN, VERMILION, SKY, "#F0E442", GREY, "#6A4C93")
BAND_SYMBOLS = ("circle", "diamond", "triangle-up", "square", "cross", "x", "star", "hexagon", "triangle-down")
LINE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY)
LINE_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
ERROR_FLOOR = 1e-6  # a logarithmic axis has no zero
PANEL = 240  # pixels of a square of a small picture


def empty_figure(height: int, **layout) -> go.Figure:
    """An empty figure in the house layout."""
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 62, "r": 16, "t": 40, "b": 52},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"size": 13},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
        hovermode="closest",
        **layout,
    )
    return figure


TIME_TICKS = np.array([1, 0.75, 0.5, 0.25, 0])
MARKS_ON_A_LINE = 9  # enough to tell lines apart without colour


def faint(colour: str, opacity: float = 0.18) -> str:
    """A hex colour, see-through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def over_time(figure: go.Figure, tau: np.ndarray, sigma: np.ndarray) -> None:
    """The axis of Koopman time; below each number its noise level."""
    rising = np.argsort(tau)
    at = np.exp(np.interp(TIME_TICKS, tau[rising], np.log(sigma[rising])))
    figure.update_xaxes(
        title="time τ (below: σ), noise → picture",
        range=[1.02, -0.02],
        tickvals=TIME_TICKS,
        ticktext=[f"{t:g}<br>σ {s:.2g}" for t, s in zip(TIME_TICKS, at, strict=True)],
        tickangle=0,
        tickfont={"size": 11},
        zeroline=False,
    )


def curve(figure: go.Figure, tau, values, name: str, colour: str, dash: str, symbol: str, unit: str, sigma, **more):
    """One named curve with a few markers; `customdata` of a point is its sigma."""
    figure.add_scatter(
        x=np.float32(tau),
        y=np.float32(values),
        customdata=np.float32(sigma),
        mode="lines+markers",
        name=name,
        line={"color": colour, "dash": dash, "width": 2},
        marker={"symbol": symbol, "size": 8, "maxdisplayed": MARKS_ON_A_LINE, "color": colour},
        hovertemplate=f"{name}: %{{y:{unit}}} at τ = %{{x:.2f}}, σ = %{{customdata:.3g}}<extra></extra>",
        **more,
    )


def ribbon(figure: go.Figure, tau, low, high, colour: str) -> None:
    """A band between two curves, without an entry in the legend."""
    both = np.concatenate([high, low[::-1]])
    figure.add_scatter(
        x=np.float32(np.concatenate([tau, tau[::-1]])),
        y=np.float32(both),
        fill="toself",
        fillcolor=faint(colour),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )
