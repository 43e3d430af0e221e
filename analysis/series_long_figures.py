"""Plotly figures of free runs beside the real series; the same look and rules as `analysis.figures`."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from analysis.effect_figures import MARKS_ON_A_LINE
from analysis.figures import BLUE, GREEN, empty_figure
from analysis.flow_figures import SHADES
from analysis.results_series import LongRunResult
from analysis.series_figures import HEAD, INK, degrees, shown_unit, singular

LOOKS = ((BLUE, "solid", "circle", 2.4), (GREEN, "dash", "square", 1.6), (INK, "dot", "diamond", 1.8))
ROW = 170


def _rows(result: LongRunResult, what: str) -> go.Figure:
    rows = len(result.variables)
    figure = empty_figure(HEAD + ROW * rows, uirevision=f"{what} {result.title}")
    figure.set_subplots(rows, 1, vertical_spacing=0.36 / rows)
    figure.update_layout(margin={"t": 46, "l": 70}, legend={"font": {"size": 12}})
    return figure


def _curve(figure: go.Figure, x, y, result: LongRunResult, s: int, d: int) -> None:
    colour, dash, symbol, width = LOOKS[s]
    name = result.names[s]
    figure.add_scatter(
        x=np.float32(x),
        y=np.float32(y),
        mode="lines+markers",
        name=name,
        legendgroup=name,
        showlegend=d == 0,
        line={"color": colour, "dash": dash, "width": width},
        marker={"symbol": symbol, "size": 6, "maxdisplayed": MARKS_ON_A_LINE, "color": colour},
        hovertemplate=f"{name}: %{{y:.4g}} at %{{x:.4g}}<extra></extra>",
        row=d + 1,
        col=1,
    )


def marginal_figure(result: LongRunResult) -> go.Figure:
    """Histogram of every variable: free runs, training part, test part."""
    figure, unit = _rows(result, "marginals"), shown_unit(result)
    for d, name in enumerate(result.variables):
        edges = degrees(result, result.edges[d])
        per = (result.edges[d][1] - result.edges[d][0]) / (edges[1] - edges[0])  # a density per degree
        for s in range(len(result.names)):
            _curve(figure, (edges[:-1] + edges[1:]) / 2, result.densities[s, d] * per, result, s, d)
        figure.update_yaxes(title=name, row=d + 1, col=1)
        if result.period is not None:
            figure.update_xaxes(range=[-180, 180], tickvals=[-180, -90, 0, 90, 180], row=d + 1, col=1)
    figure.update_xaxes(zeroline=False)
    figure.update_xaxes(title=f"value{', ' * bool(unit)}{unit}; upwards its density", row=len(result.variables), col=1)
    figure.update_yaxes(nticks=4, rangemode="tozero")
    return figure


def echo_figure(result: LongRunResult) -> go.Figure:
    """Autocorrelation of every variable over lag."""
    figure = _rows(result, "echoes")
    for d, name in enumerate(result.variables):
        for s in range(len(result.names)):
            _curve(figure, result.lags, result.echoes[s, :, d], result, s, d)
        figure.update_yaxes(title=name, nticks=5, zeroline=True, row=d + 1, col=1)
    figure.update_xaxes(zeroline=False)
    figure.update_xaxes(title=f"lag, {result.time_unit}", row=len(result.variables), col=1)
    return figure


def spectrum_figure(result: LongRunResult) -> go.Figure:
    """Power spectral density of every variable, both axes logarithmic.

    Raises:
        ValueError: angles have none here.
    """
    if result.spectra is None:
        raise ValueError("Angles have a joint histogram instead of a spectrum.")
    figure = _rows(result, "spectra")
    for d, name in enumerate(result.variables):
        for s in range(len(result.names)):
            _curve(figure, result.frequencies[1:], result.spectra[s, 1:, d], result, s, d)
        figure.update_yaxes(title=name, row=d + 1, col=1)
    figure.update_xaxes(type="log", zeroline=False, nticks=6)
    figure.update_yaxes(type="log", exponentformat="power", nticks=5)
    title = f"frequency per {singular(result.time_unit)} (log); density (log)"
    figure.update_xaxes(title=title, row=len(result.variables), col=1)
    return figure


def joint_figure(result: LongRunResult) -> go.Figure:
    """Two angles against each other (a Ramachandran plot): free runs, training part, test part.

    Raises:
        ValueError: only angles are drawn so.
    """
    if result.joint is None:
        raise ValueError("Only angles have a joint histogram.")
    figure = empty_figure(HEAD + ROW * 2, uirevision=f"joint {result.title}")
    figure.set_subplots(1, 3, shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=result.names)
    bins = result.joint.shape[1]
    middle = np.float32((np.arange(bins) + 0.5) * 360 / bins - 180)
    most = float(np.sqrt(result.joint.max()))
    for s, share in enumerate(result.joint):
        figure.add_heatmap(
            x=middle, y=middle, z=np.float32(np.sqrt(share.T) / most), colorscale=SHADES, zmin=0, zmax=1,
            showscale=False, customdata=np.float32(100 * share.T), row=1, col=s + 1,
            hovertemplate="(%{x}°, %{y}°): %{customdata:.2f} % of the frames<extra></extra>",
        )  # fmt: skip
    ticks = {"range": [-180, 180], "tickvals": [-120, 0, 120], "zeroline": False, "showgrid": False}
    figure.update_xaxes(**ticks)
    figure.update_xaxes(title=f"{result.variables[0]}, degrees", row=1, col=2)
    figure.update_yaxes(**ticks)
    figure.update_yaxes(title=f"{result.variables[1]}, degrees", row=1, col=1)
    figure.update_layout(margin={"t": 40})
    return figure
