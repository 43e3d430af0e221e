"""Plotly figures of effects, modes, linearity, DMD, attribution and band labels.

Over Koopman time noise is on the left (tau = 1) and the picture on the right (tau = 0), as in the trajectory player.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.figures.spectrum import MOST_SHOWN_MODES
from analysis.figures.style import (
    BAND_COLOURS,
    BAND_SYMBOLS,
    BLUE,
    ERROR_FLOOR,
    GREEN,
    GREY,
    LINE_COLOURS,
    LINE_DASHES,
    ORANGE,
    VERMILION,
    curve,
    empty_figure,
    faint,
    over_time,
    ribbon,
)
from analysis.koopman.scenes import EVERYTHING
from analysis.koopman.spectrum import band_names
from analysis.workbench.effects import EffectResult
from analysis.workbench.findings import EFFECT_NAMES, compared, percent
from analysis.workbench.probes import AttributionResult, BandLabelsResult, LinearityResult
from analysis.workbench.spectrum import ModeResult, SpectrumEntryResult
from foundation.mistakes import Mistake


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
            BAND_SYMBOLS[i % len(BAND_SYMBOLS)], ".1%", result.sigma, stackgroup="all", fillcolor=faint(colour, 0.3),
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
    if result.decoded_tau is None or result.decoded_bands is None or result.decoded_levels is None:
        raise Mistake("The effect in pictures was not asked for: ask for 1 or more decoded times.", "decoded")
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


OPERATOR_STYLES = {  # name -> what it is called, colour, dash, marker
    "learned": ("learned α, β", BLUE, "solid", "circle"),
    "identity": ("standing still (A = 0)", GREY, "dot", "square"),
    "fitted": ("best fit of this form", ORANGE, "dash", "diamond"),
}
ERROR_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
SIGNS = {1: "▲", 0: "·", -1: "▼"}  # more, as much, less than between two unrelated scenes


def linearity_curves(result: LinearityResult, level: int) -> go.Figure:
    """Relative error of three operators at one level over time, and of what differs between trajectories; log axis.

    The start is left out: there all three are 0 by definition.

    Args:
        result: of a linearity check.
        level: which latent.
    """
    figure = empty_figure(360, uirevision=f"linearity {level}")
    tau, sigma = result.tau[1:], result.sigma[1:]
    learned, spread = result.learned[level, 1:], result.spread[level, 1:]
    if np.isfinite(spread).all():
        low = np.maximum(learned - spread, ERROR_FLOOR)
        ribbon(figure, tau, low, learned + spread, OPERATOR_STYLES["learned"][1])
    for key, (name, colour, dash, symbol) in OPERATOR_STYLES.items():
        values = np.maximum(getattr(result, key)[level, 1:], ERROR_FLOOR)
        curve(figure, tau, values, name, colour, dash, symbol, ".3g", sigma)
    if result.differences is not None:
        values = np.maximum(result.differences["learned"][level, 1:], ERROR_FLOOR)
        curve(figure, tau, values, "learned, of what differs", GREEN, "longdash", "triangle-up", ".3g", sigma)
    figure.add_hline(y=1, line={"color": VERMILION, "width": 1.5, "dash": "dot"})
    figure.add_annotation(
        x=0.01, xref="paper", y=0, yref="y", text="1 = no better than predicting nothing", showarrow=False,
        xanchor="left", yanchor="bottom", font={"size": 12}, opacity=0.8,
    )  # fmt: skip
    over_time(figure, result.tau, result.sigma)
    figure.update_yaxes(
        title={"text": "relative error of latents (log)", "standoff": 10}, type="log", tickvals=ERROR_TICKS
    )
    return figure


def linearity_pictures(result: LinearityResult) -> go.Figure:
    """Error of the decoded pictures, D(evolved E(x_T)) against D(E(x_t)), of three operators over time.

    Raises:
        ValueError: pictures were not measured.
    """
    if result.mse is None:
        raise Mistake("Pictures were not measured: ask for the check with decoded pictures.", "mse")
    figure = empty_figure(360, uirevision="linearity pictures")
    for key, (name, colour, dash, symbol) in OPERATOR_STYLES.items():
        values = np.maximum(result.mse[key][1:], ERROR_FLOOR)
        curve(figure, result.tau[1:], values, name, colour, dash, symbol, ".3g", result.sigma[1:])
    over_time(figure, result.tau, result.sigma)
    figure.update_yaxes(
        title={"text": "MSE of pictures on [-1, 1] (log)", "standoff": 10}, type="log", exponentformat="power", dtick=1
    )
    return figure


def dmd_plane(entry: SpectrumEntryResult, result: LinearityResult) -> go.Figure:
    """Learned eigenvalues of a level and those of exact DMD on the teacher's latents; marker area by amplitude.

    Args:
        entry: the learned spectrum of one level.
        result: a linearity check with DMD.

    Raises:
        ValueError: there is no DMD.
    """
    if result.dmd is None:
        raise Mistake(
            "There is no DMD in this result: ask for a rank of 1 or more, on a model with the karras warp.", "dmd"
        )
    found, step = result.dmd[entry.index], abs(float(result.tau[1] - result.tau[0]))
    figure = empty_figure(400, uirevision=f"dmd {entry.name}")
    shown = np.arange(entry.alpha.size)
    if len(shown) > MOST_SHOWN_MODES:
        shown = np.sort(np.random.default_rng(0).choice(len(shown), MOST_SHOWN_MODES, replace=False))
    alpha, beta = entry.alpha.ravel()[shown], np.abs(entry.beta.ravel()[shown])
    figure.add_scattergl(
        x=np.concatenate([alpha, alpha]), y=np.concatenate([beta, -beta]), mode="markers",
        name=f"learned ({entry.alpha.size:,})", marker={"color": BLUE, "symbol": "circle", "size": 5, "opacity": 0.35},
        hovertemplate="learned α %{x:.3f}, β %{y:.3f}<extra></extra>",
    )  # fmt: skip
    largest = max(float(found.amplitude.max(initial=0)), 1e-30)
    figure.add_scatter(
        x=np.float32(found.alpha), y=np.float32(found.beta), mode="markers", customdata=np.float32(found.amplitude),
        name=f"exact DMD ({len(found.alpha)})",
        marker={
            "color": VERMILION, "symbol": "diamond-open", "line": {"width": 2.5},
            "size": 9 + 13 * np.sqrt(np.float32(found.amplitude) / largest),
        },
        hovertemplate="DMD α %{x:.3f}, β %{y:.3f}, amplitude %{customdata:.3g}<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title="α, growth rate (per unit τ)", zeroline=True, zerolinewidth=2)
    figure.update_yaxes(title=f"β (rad per unit τ); DMD sees |β| < {np.pi / step:.3g}", zeroline=True)
    return figure


def attribution_map(result: AttributionResult, of: str = "bands", order: str = "alpha") -> go.Figure:
    """Which band or level sees which factor: numbers are shares, colours are distances from the baseline row.

    The baseline (two unrelated scenes, `everything`) comes first. A triangle says that the 95 % intervals of the share
    and of the baseline do not meet; a dot that they do.

    Args:
        result: of an attribution.
        of: "bands" or "levels".
        order: of the bands.
    """
    share, low, high = (getattr(result, name) for name in (of, f"{of}_low", f"{of}_high"))
    columns = band_names(share.shape[1], order) if of == "bands" else list(result.names)
    base = result.rows.index(EVERYTHING) if EVERYTHING in result.rows else None
    rows = sorted(range(len(result.rows)), key=lambda f: f != base)
    zero = share[base] if base is not None else np.full(share.shape[1], 1 / share.shape[1])
    difference = 100 * (share[rows] - zero)
    signs = compared(result, of)
    text = [
        ["no pair" if np.isnan(share[f, c]) else percent(share[f, c]) + (f" {SIGNS[signs[f][c]]}" if f != base else "")
         for c in range(share.shape[1])]
        for f in rows
    ]  # fmt: skip
    names = [f"<b>{EVERYTHING}</b><br>(baseline)" if f == base else result.rows[f] for f in rows]
    hover = np.stack([100 * share[rows], 100 * low[rows], 100 * high[rows], np.broadcast_to(
        result.pairs[rows][:, None], share.shape)], axis=-1)  # fmt: skip
    largest = max(float(np.nanmax(np.abs(difference), initial=0)), 1.0)
    figure = empty_figure(90 + 38 * len(rows), uirevision=f"attribution {of}")
    figure.add_heatmap(
        z=np.float32(np.nan_to_num(difference)), x=columns, y=names, text=text, texttemplate="%{text}",
        customdata=np.float32(hover), colorscale="RdBu", reversescale=True, zmin=-largest, zmax=largest, xgap=2, ygap=2,
        showscale=False,
        hovertemplate="%{y}, %{x}<br>%{customdata[0]:.1f} % of the latent difference, 95 % interval "
        "%{customdata[1]:.1f} to %{customdata[2]:.1f} %<br>%{customdata[3]:.0f} pairs<extra></extra>",
    )  # fmt: skip
    figure.update_layout(margin={"l": 96, "r": 8, "t": 16, "b": 60})
    figure.update_xaxes(
        title="red: above the baseline, blue: below", showgrid=False, zeroline=False, title_font_size=12
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False)
    return figure


def radial_power_curves(result: BandLabelsResult, order: str = "alpha") -> go.Figure:
    """Fourier power of what each band adds to the picture, by frequency; a dotted line marks each band's centroid."""
    figure = empty_figure(360, uirevision="radial power")
    names = band_names(len(result.power), order)
    for b, name in enumerate(names):
        figure.add_scatter(
            x=np.float32(result.frequency), y=np.float32(np.maximum(result.power[b], 1e-12)), mode="lines+markers",
            name=name, line={"color": BAND_COLOURS[b], "width": 2}, marker={"symbol": BAND_SYMBOLS[b], "size": 8},
            hovertemplate=f"{name}: power %{{y:.3g}} at %{{x:.3f}} cycles per pixel<extra></extra>",
        )  # fmt: skip
        if np.isfinite(result.centroid[b]):
            figure.add_vline(
                x=float(result.centroid[b]), line={"color": BAND_COLOURS[b], "width": 2, "dash": "dot"}, opacity=0.8
            )
    figure.update_xaxes(title="frequency (cycles per pixel); dotted: each band's centroid", rangemode="tozero")
    figure.update_yaxes(title={"text": "power (log)", "standoff": 10}, type="log", exponentformat="power", dtick=1)
    return figure
