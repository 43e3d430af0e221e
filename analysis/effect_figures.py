"""Plotly figures of effects and modes; the same look and rules as `analysis.figures`.

Over Koopman time noise is on the left (tau = 1) and the picture on the right (tau = 0), as in the trajectory player.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.effect_words import EFFECT_NAMES
from analysis.figures import (
    BAND_COLOURS,
    BAND_SYMBOLS,
    BLUE,
    ERROR_FLOOR,
    LINE_COLOURS,
    LINE_DASHES,
    ORANGE,
    band_names,
    empty_figure,
)
from analysis.results_effects import EffectResult, ModeResult

TIME_TICKS = np.array([1, 0.75, 0.5, 0.25, 0])
MARKS_ON_A_LINE = 9  # enough to tell lines apart without colour


def _faint(colour: str, opacity: float = 0.18) -> str:
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
        fillcolor=_faint(colour),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def band_curves(result: EffectResult, order: str = "alpha") -> go.Figure:
    """Share of every band over time, with a ribbon of one standard deviation over seeds where there are several."""
    figure = empty_figure(360, uirevision=f"bands {result.kind}")
    for b, name in enumerate(band_names(len(result.bands), order)):
        spread = result.bands_sd[b]
        if np.isfinite(spread).all():
            ribbon(figure, result.tau, result.bands[b] - spread, result.bands[b] + spread, BAND_COLOURS[b])
        curve(figure, result.tau, result.bands[b], name, BAND_COLOURS[b], "solid", BAND_SYMBOLS[b], ".1%", result.sigma)
    over_time(figure, result.tau, result.sigma)
    figure.update_yaxes(title=f"share of {EFFECT_NAMES[result.kind]}", tickformat=".0%", rangemode="tozero")
    return figure


def level_curves(result: EffectResult) -> go.Figure:
    """Share of every level over time, stacked: the upper edge is the sum."""
    figure = empty_figure(360, uirevision=f"levels {result.kind}")
    for i, name in enumerate(result.names):
        colour = LINE_COLOURS[i % len(LINE_COLOURS)]
        curve(
            figure, result.tau, result.levels[i], name, colour, LINE_DASHES[i % len(LINE_DASHES)],
            BAND_SYMBOLS[i % len(BAND_SYMBOLS)], ".1%", result.sigma, stackgroup="all", fillcolor=_faint(colour, 0.3),
        )  # fmt: skip
    over_time(figure, result.tau, result.sigma)
    figure.update_yaxes(title=f"share of {EFFECT_NAMES[result.kind]}, stacked", tickformat=".0%", rangemode="tozero")
    return figure


def decoded_curves(result: EffectResult, of: str = "bands", order: str = "alpha") -> go.Figure:
    """Change of the picture when a band or a level is left out, over time.

    Args:
        result: with decoded times.
        of: "bands" or "levels".
        order: of the bands.

    Raises:
        ValueError: nothing was decoded.
    """
    if result.decoded_tau is None:
        raise ValueError("The effect in pictures was not asked for: ask for 1 or more decoded times.")
    figure = empty_figure(340, uirevision=f"decoded {of}")
    rising = np.argsort(result.tau)
    sigma = np.exp(np.interp(result.decoded_tau, result.tau[rising], np.log(result.sigma[rising])))
    values, names = (
        (result.decoded_bands, band_names(len(result.decoded_bands), order))
        if of == "bands"
        else (result.decoded_levels, result.names)
    )
    colours = BAND_COLOURS if of == "bands" else LINE_COLOURS
    for i, name in enumerate(names):
        dash = "solid" if of == "bands" else LINE_DASHES[i % len(LINE_DASHES)]
        curve(
            figure, result.decoded_tau, np.maximum(values[i], ERROR_FLOOR), name, colours[i % len(colours)], dash,
            BAND_SYMBOLS[i % len(BAND_SYMBOLS)], ".3g", sigma,
        )  # fmt: skip
    over_time(figure, result.tau, result.sigma)
    figure.update_yaxes(
        title={"text": "picture change, MSE on [-1, 1] (log)", "standoff": 10},
        type="log",
        exponentformat="power",
        dtick=1,
    )
    return figure


def mode_curves(result: ModeResult) -> go.Figure:
    """Energy of a mode or group over time (left), and its share in all modes' energy (right)."""
    figure = empty_figure(250, uirevision="mode")
    energy = result.energy.sum(axis=0)
    for name, values, colour, dash, symbol, unit, axis in (
        ("energy", energy, BLUE, "solid", "circle", ".3g", "y"),
        ("share of all modes", result.share, ORANGE, "dash", "diamond", ".3%", "y2"),
    ):
        figure.add_scatter(
            x=np.float32(result.tau),
            y=np.float32(values),
            yaxis=axis,
            mode="lines+markers",
            name=name,
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 7, "maxdisplayed": 6},
            hovertemplate=f"{name} %{{y:{unit}}} at τ = %{{x:.2f}}<extra></extra>",
        )
    figure.update_xaxes(title="time τ, noise → picture", range=[1.02, -0.02], zeroline=False)
    figure.update_layout(
        margin={"l": 58, "r": 64, "t": 32, "b": 46},
        yaxis={"title": "energy |z|²", "rangemode": "tozero", "nticks": 5},
        yaxis2={
            "title": "share", "overlaying": "y", "side": "right", "rangemode": "tozero", "tickformat": ".2~p",
            "showgrid": False, "nticks": 5,
        },
    )  # fmt: skip
    return figure
