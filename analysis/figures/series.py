"""Figures of forecasts of time series and of free runs beside the real series: Plotly's, and a small picture."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw

from analysis.core.images import grid_sheet
from analysis.figures.flow import SHADES
from analysis.figures.style import (
    BLUE,
    GREEN,
    GREY,
    MARKS_ON_A_LINE,
    ORANGE,
    PANEL,
    PURPLE,
    SKY,
    VERMILION,
    empty_figure,
)
from analysis.series.forecast import ForecastResult
from analysis.series.loaded import MODEL
from analysis.series.long_run import LongRunResult
from flow_core.series.baselines import STRONG_BASELINES
from foundation.mistakes import Mistake

LINE_INK = "#000000"  # turned white on a dark page
DRAWN_MEMBERS = 20
FAN_BANDS = ((0, 4, "5 to 95 %", 0.22), (1, 3, "25 to 75 %", 0.32))  # pairs of QUANTILES, opacity
LOOKS = {
    MODEL: (BLUE, "solid", "circle"),
    "damped persistence": (ORANGE, "dash", "diamond"),
    "persistence": (GREEN, "dot", "square"),
    "climatology": (PURPLE, "longdash", "triangle-up"),
    **dict.fromkeys(STRONG_BASELINES, (VERMILION, "dashdot", "cross")),  # one at a time is drawn
}
HEAD_PIXELS = 118
HEIGHTS = {1: 330, 2: 260}  # of a row, by the number of rows
ROW = 190  # of more rows


def _sky(opacity: float) -> str:
    """See-through, and bright enough for a dark page."""
    return f"rgba(86,180,233,{opacity})"


def degrees(result, values: np.ndarray) -> np.ndarray:
    """Angles in degrees; other values as they are."""
    return values if result.period is None else np.degrees(values)


def shown_unit(result) -> str:
    """What is on the axes."""
    return "degrees" if result.period is not None else result.unit


def singular(time_unit: str) -> str:
    """One of the time units: days gives day, ps stays."""
    return time_unit[:-1] if time_unit.endswith("s") and len(time_unit) > 2 else time_unit


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + 180) % 360 - 180


def broken(*columns: np.ndarray, angles: bool) -> tuple[np.ndarray, ...]:
    """Curves that stop at the border of the circle: (n,) columns with NaN put in where one of `angles` jumps over it.

    Args:
        *columns: the first may be times, the others numbers.
        angles: whether the numbers are degrees.
    """
    if not angles:
        return columns
    numbers = [c for c in columns if np.issubdtype(c.dtype, np.floating)]
    over = np.any([np.abs(np.diff(c)) > 180 for c in numbers], axis=0)
    places = np.flatnonzero(over) + 1
    return tuple(np.insert(c, places, np.nan if np.issubdtype(c.dtype, np.floating) else c[places]) for c in columns)


def _many(x: np.ndarray, curves: np.ndarray, angles: bool) -> tuple[np.ndarray, np.ndarray]:
    """Curves (n, L) over one x as one line with gaps."""
    xs, ys = [], []
    for curve in curves:
        a, b = broken(x, curve, angles=angles) if angles else (x, curve)
        xs += [a, a[-1:]]
        ys += [b, np.full(1, np.nan)]
    return np.concatenate(xs), np.concatenate(ys)


def _dated(result: ForecastResult) -> bool:
    return np.issubdtype(result.times.dtype, np.datetime64)


def _axis_times(result: ForecastResult) -> tuple[np.ndarray, np.ndarray]:
    """Past and coming times as the axis has them: dates as text, others as numbers."""
    if _dated(result):
        return result.past_times.astype(str), result.times.astype(str)
    return result.past_times.astype(np.float32), result.times.astype(np.float32)


def fan_figure(result: ForecastResult) -> go.Figure:
    """One row a variable: quantile bands, members, mean, truth and the baselines over time."""
    rows = len(result.variables)
    angles = result.period is not None
    past, ahead = _axis_times(result)
    height = HEAD_PIXELS + HEIGHTS.get(rows, ROW) * rows
    figure = empty_figure(height, uirevision=f"fan {result.model} {len(ahead)} {result.start}")
    figure.set_subplots(rows, 1, shared_xaxes=True, vertical_spacing=0.16 / rows)
    for d, name in enumerate(result.variables):
        at = {"row": d + 1, "col": 1, "legendgroup": "", "showlegend": d == 0}
        real_past, real = (degrees(result, v[:, d]) for v in (result.past, result.truth))
        members, mean = (degrees(result, v[..., d]) for v in (result.members, result.mean))
        for low, high, words, opacity in FAN_BANDS:
            band = degrees(result, result.quantiles[[low, high], :, d])
            _band(figure, ahead, band, f"{words} of members", opacity, angles, at)
        x, y = _many(ahead, _wrapped(members[:DRAWN_MEMBERS]) if angles else members[:DRAWN_MEMBERS], angles)
        _line(figure, x, y, "members", _sky(0.6), "solid", 0.8, at, hover=False)
        for kind in [k for k in LOOKS if k in result.baselines]:
            colour, dash, _ = LOOKS[kind]
            x, y = broken(ahead, degrees(result, result.baselines[kind][:, d]), angles=angles)
            _line(figure, x, y, kind, colour, dash, 1.6, at)
        x, y = broken(ahead, mean, angles=angles)
        _line(figure, x, y, "mean of members", BLUE, "solid", 2.4, at)
        x, y = broken(np.concatenate([past, ahead]), np.concatenate([real_past, real]), angles=angles)
        _line(figure, x, y, "truth", LINE_INK, "solid", 1.8, at)
        unit = shown_unit(result)
        what = f"{name} anomaly" if result.anomaly and "anomaly" not in name else name
        figure.update_yaxes(title=f"{what}, {unit}" if unit else what, zeroline=False, row=d + 1, col=1)
        if angles:
            figure.update_yaxes(range=[-180, 180], tickvals=[-180, -90, 0, 90, 180], row=d + 1, col=1)
        figure.add_vline(x=past[-1], line={"color": GREY, "width": 1.5, "dash": "dot"}, row=d + 1, col=1)
    for trace in figure.data:
        trace.legendgroup = trace.name
    figure.update_xaxes(zeroline=False, nticks=7)
    what = "date" if _dated(result) else f"time after the start, {result.time_unit}"
    figure.update_xaxes(title=what, row=rows, col=1)
    figure.update_layout(margin={"t": 62, "l": 66}, hovermode="closest", legend={"font": {"size": 12}})
    return figure


def _line(figure: go.Figure, x, y, name: str, colour: str, dash: str, width: float, at: dict, hover=True) -> None:
    figure.add_scatter(
        x=x,
        y=np.float32(y),
        mode="lines",
        name=name,
        line={"color": colour, "dash": dash, "width": width},
        **({"hovertemplate": f"{name}: %{{y:.4g}} at %{{x}}<extra></extra>"} if hover else {"hoverinfo": "skip"}),
        **at,
    )


def _band(figure: go.Figure, x, band: np.ndarray, name: str, opacity: float, angles: bool, at: dict) -> None:
    """Between two curves; round the circle it is drawn again a turn further, wherever that can be seen."""
    low, high = band
    turns = [0.0]
    if angles:
        middle = np.unwrap((low + high) / 2, period=360)
        low, high = middle - (high - low) / 2, middle + (high - low) / 2
        first, last = int(np.ceil((-180 - high.max()) / 360)), int(np.floor((180 - low.min()) / 360))
        turns = [360.0 * k for k in range(first, last + 1)]
    for k, turn in enumerate(turns):
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.float32(np.concatenate([high, low[::-1]]) + turn),
            fill="toself",
            fillcolor=_sky(opacity),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            name=name,
            **{**at, "showlegend": at["showlegend"] and k == 0},
        )


def plane_figure(result: ForecastResult) -> go.Figure:
    """Two variables against each other: where the held-out series is, where truth and members go.

    Raises:
        ValueError: no two variables of this world are drawn so.
    """
    if result.plane is None:
        raise Mistake("There is no plane to draw in for this world.", "plane")
    a, b = result.plane.pair
    angles = result.period is not None
    figure = empty_figure(430, uirevision=f"plane {result.model}")
    x_edges, y_edges = (degrees(result, e) for e in result.plane.edges)
    density = np.sqrt(result.plane.density.T / result.plane.density.max())
    figure.add_heatmap(
        x=np.float32((x_edges[:-1] + x_edges[1:]) / 2),
        y=np.float32((y_edges[:-1] + y_edges[1:]) / 2),
        z=np.float32(density),
        colorscale=SHADES,
        zmin=0,
        zmax=1,
        showscale=False,
        hoverinfo="skip",
        name="held-out series",
    )
    ways = degrees(result, result.members[:DRAWN_MEMBERS][..., [a, b]])
    start = degrees(result, result.past[-1:, [a, b]])
    pieces = [broken(*np.concatenate([start, way]).T, angles=angles) for way in ways]
    gap = np.full(1, np.nan)
    x, y = (np.concatenate([part for piece in pieces for part in (piece[k], gap)]) for k in (0, 1))
    mode = "lines+markers" if angles else "lines"
    figure.add_scatter(
        x=np.float32(x), y=np.float32(y), mode=mode, name="members", line={"color": SKY, "width": 1}, opacity=0.6,
        marker={"size": 4, "color": SKY}, hoverinfo="skip",
    )  # fmt: skip
    real = np.concatenate([start, degrees(result, result.truth[:, [a, b]])])
    x, y = broken(*real.T, angles=angles)
    figure.add_scatter(
        x=np.float32(x), y=np.float32(y), mode=mode, name="truth", line={"color": LINE_INK, "width": 1.8},
        marker={"size": 5, "color": LINE_INK}, hovertemplate="truth (%{x:.3g}, %{y:.3g})<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=start[:, 0], y=start[:, 1], mode="markers", name="last frame seen",
        marker={"symbol": "star", "size": 14, "color": ORANGE, "line": {"width": 1, "color": LINE_INK}},
        hovertemplate="last frame seen (%{x:.3g}, %{y:.3g})<extra></extra>",
    )  # fmt: skip
    unit = f", {shown_unit(result)}" if shown_unit(result) else ""
    for update, axis in ((figure.update_xaxes, a), (figure.update_yaxes, b)):
        update(title=f"{result.variables[axis]}{unit}", zeroline=False, showgrid=False)
        if angles:
            update(range=[-180, 180], tickvals=[-180, -90, 0, 90, 180])
    figure.update_layout(margin={"t": 46}, legend={"font": {"size": 12}})
    return figure


def error_figure(result: ForecastResult, unit: str) -> go.Figure:
    """Fair CRPS of this forecast by lead time, of the model and the baselines.

    Args:
        result: of one forecast.
        unit: of the scores.
    """
    figure = empty_figure(340, uirevision=f"error {result.model}")
    leads = np.arange(1, len(result.times) + 1) * result.dt
    for name, (colour, dash, symbol) in LOOKS.items():
        if name in result.marks:
            figure.add_scatter(
                x=np.float32(leads),
                y=np.float32(result.marks[name].by_lead),
                mode="lines+markers",
                name=name,
                line={"color": colour, "dash": dash, "width": 2.4 if name == MODEL else 1.8},
                marker={"symbol": symbol, "size": 7, "maxdisplayed": MARKS_ON_A_LINE, "color": colour},
                hovertemplate=f"{name}: %{{y:.4g}} at %{{x:.3g}} {result.time_unit}<extra></extra>",
            )
    figure.update_xaxes(title=f"lead time, {result.time_unit}", zeroline=False, nticks=7)
    figure.update_yaxes(title={"text": f"fair CRPS, {unit}", "standoff": 10}, zeroline=True)
    figure.update_layout(margin={"t": 62}, legend={"font": {"size": 12}})
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Fields

MAP_NAMES = {"mean": "Mean of members", "truth": "Truth", "error": "Mean less truth", "spread": "Spread of members"}


def map_figure(result: ForecastResult, what: str, lead: int) -> go.Figure:
    """One map of a field; land is a gap. Mean and truth share their colours.

    Args:
        result: of a field.
        what: "mean", "truth", "error" or "spread".
        lead: from 1.

    Raises:
        ValueError: the world is no field.
    """
    maps, k = result.maps, min(max(lead, 1), len(result.times)) - 1
    if maps is None:
        raise Mistake(f"{result.title} has no map: its frames are vectors.", "maps")
    z = getattr(maps, what)[k]
    both = np.stack([maps.mean[k], maps.truth[k]]) if what in ("mean", "truth") else z
    most = float(np.nanmax(np.abs(both))) or 1.0
    colours = {"colorscale": "Viridis", "zmin": 0} if what == "spread" else {"colorscale": "RdBu", "reversescale": True}
    when = str(result.times[k]) if _dated(result) else f"lead {k + 1}"
    title = {"text": f"{MAP_NAMES[what]}, {when}", "font": {"size": 14}, "x": 0.5, "y": 0.98, "yanchor": "top"}
    figure = empty_figure(320, uirevision=f"map {result.model}", title=title)
    figure.add_heatmap(
        x=np.float32(maps.longitudes),
        y=np.float32(maps.latitudes),
        z=np.float32(z),
        **{"zmin": -most, **colours},
        zmax=most,
        hoverongaps=False,
        colorbar={"thickness": 10, "outlinewidth": 0, "title": {"text": result.unit}},
        hovertemplate="%{y}° N, %{x}° E: %{z:.3f}<extra></extra>",
    )
    # no titles: four maps stand together, and each is as large as what is left
    figure.update_xaxes(ticksuffix="° E", tickangle=0, showgrid=False, zeroline=False, constrain="domain", nticks=5)
    figure.update_yaxes(ticksuffix="° N", showgrid=False, zeroline=False, scaleanchor="x", nticks=5)
    figure.update_layout(margin={"l": 52, "r": 8, "t": 26, "b": 22})
    return figure


LONG_LOOKS = ((BLUE, "solid", "circle", 2.4), (GREEN, "dash", "square", 1.6), (LINE_INK, "dot", "diamond", 1.8))
LONG_ROW = 170


def _rows(result: LongRunResult, what: str) -> go.Figure:
    rows = len(result.variables)
    figure = empty_figure(HEAD_PIXELS + LONG_ROW * rows, uirevision=f"{what} {result.title}")
    figure.set_subplots(rows, 1, vertical_spacing=0.36 / rows)
    figure.update_layout(margin={"t": 46, "l": 70}, legend={"font": {"size": 12}})
    return figure


def _curve(figure: go.Figure, x, y, result: LongRunResult, s: int, d: int) -> None:
    colour, dash, symbol, width = LONG_LOOKS[s]
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


def autocorrelation_figure(result: LongRunResult) -> go.Figure:
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
    if result.spectra is None or result.frequencies is None:
        raise Mistake("Angles have a joint histogram instead of a spectrum.", "spectra")
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
        raise Mistake("Only angles have a joint histogram.", "joint")
    figure = empty_figure(HEAD_PIXELS + LONG_ROW * 2, uirevision=f"joint {result.title}")
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


# ---------------------------------------------------------------------------------------------------------------------
# A small picture, for a file that carries its recipe

LEGEND = "Black: what really came; blue: mean of the members, and the members; dotted: the last frame that was seen"


def series_panel(result: ForecastResult, d: int) -> tuple[np.ndarray, float, float]:
    """Members, their mean and the truth of one variable over time, uint8 (PANEL, PANEL, 3), and the axis' ends."""
    angles, seen = result.period is not None, len(result.past)
    truth = degrees(result, np.concatenate([result.past[:, d], result.truth[:, d]]))
    members, mean = degrees(result, result.members[..., d]), degrees(result, result.mean[:, d])
    low, high = (-180.0, 180.0) if angles else _range(truth, members)
    panel = Image.new("RGB", (PANEL, PANEL), "#ffffff")
    draw = ImageDraw.Draw(panel)
    draw.rectangle((0, 0, PANEL - 1, PANEL - 1), outline=GREY)

    def line(first: int, values: np.ndarray, colour: str, width: int) -> None:
        values = _wrapped(values) if angles else values
        x, y = broken(np.arange(first, first + len(values)), values.astype(np.float64), angles=angles)
        across = x * (PANEL - 1) / max(len(truth) - 1, 1)
        up = (PANEL - 1) * (high - y) / (high - low)
        ends = zip(zip(across, up, strict=True), zip(across[1:], up[1:], strict=True), strict=False)
        for a, b in ends:
            if np.isfinite([*a, *b]).all():
                draw.line((*a, *b), fill=colour, width=width)

    last = (seen - 1) * (PANEL - 1) / max(len(truth) - 1, 1)
    for y in range(0, PANEL, 6):
        draw.line((last, y, last, y + 2), fill=GREY)
    for member in members:
        line(seen, member, SKY, 1)
    line(seen, mean, BLUE, 3)
    line(0, truth, LINE_INK, 2)
    return np.asarray(panel), low, high


def _range(*values: np.ndarray) -> tuple[float, float]:
    """The ends of all values, apart from each other."""
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    return (low, high) if high - low > 1e-12 else (low - 0.5, high + 0.5)


def forecast_sheet(result: ForecastResult) -> np.ndarray:
    """Every variable beside each other, with the ends of its axis."""
    panels = [series_panel(result, d) for d in range(len(result.variables))]
    unit = f" {shown_unit(result)}" if shown_unit(result) else ""
    names = [f"{v}: {a:.3g} to {b:.3g}{unit}" for v, (_, a, b) in zip(result.variables, panels, strict=True)]
    return grid_sheet([[p for p, _, _ in panels]], names, caption=f"{result.title}. {LEGEND}.")
