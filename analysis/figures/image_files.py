"""Plotly figures as PNG or SVG, drawn again by matplotlib: no browser, no screen, no global state.

Covers what `analysis.figures.spectrum` is made of: lines and markers (`scatter`, `scattergl`), bars, heat maps,
straight lines as shapes, notes, titles, logarithmic and reversed axes. Another kind of trace is refused by a sentence.
"""

from __future__ import annotations

import io
import re

import numpy as np
import plotly.graph_objects as go

from analysis.core.errors import UserError

FORMATS = ("png", "svg")
DPI, INCH = 150, 96  # of the file; plotly's pixels in an inch
SYMBOLS = {
    "circle": "o", "circle-open": "o", "diamond": "D", "diamond-open": "D", "triangle-up": "^", "square": "s",
    "square-open": "s", "cross": "P", "x": "X", "star": "*", "hexagon": "h", "triangle-down": "v",
}  # fmt: skip
DASHES = {
    "solid": "-",
    "dash": "--",
    "dot": ":",
    "dashdot": "-.",
    "longdash": (0, (8, 4)),
    "longdashdot": (0, (8, 3, 1, 3)),
}
COLOURMAPS = {"rdbu": "RdBu", "viridis": "viridis", "cividis": "cividis", "greys": "Greys", "blues": "Blues"}
PALETTE = ("#0072B2", "#E69F00", "#CC79A7", "#009E73", "#D55E00", "#56B4E9")


def figure_image(figure: go.Figure, kind: str = "png", width: int = 900) -> bytes:
    """The figure as a file.

    Args:
        figure: a figure of `analysis.figures.spectrum`, or one made of the same parts.
        kind: "png" or "svg".
        width: in plotly's pixels, 200 to 4000; the height is the figure's own (400 when it has none).

    Raises:
        UserError: another format or width, or a part that cannot be drawn here.
    """
    if kind not in FORMATS:
        raise UserError(f"A figure is saved as {' or '.join(FORMATS)}: choose one of them.")
    if not 200 <= width <= 4000:
        raise UserError("The figure's width must lie between 200 and 4000 pixels.")
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # here: slow to import
    from matplotlib.figure import Figure

    height = figure.layout.height or 400
    drawing = Figure(figsize=(width / INCH, height / INCH), layout="constrained")
    FigureCanvasAgg(drawing)
    axes = drawing.add_subplot()
    for number, trace in enumerate(figure.data):
        draw = {"scatter": _scatter, "scattergl": _scatter, "bar": _bar, "heatmap": _heatmap}.get(trace.type)
        if draw is None:
            raise UserError(f"A {trace.type} cannot be saved as {kind}: save the figure as HTML instead.")
        draw(drawing, axes, trace, PALETTE[number % len(PALETTE)])
    _axes(axes, figure)
    if figure.layout.title.text:
        axes.set_title(_plain(figure.layout.title.text))
    if any(t.name and t.showlegend is not False and t.type != "heatmap" for t in figure.data):
        axes.legend(fontsize="small")
    buffer = io.BytesIO()
    drawing.savefig(buffer, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def _plain(text: str | None) -> str:
    """Plotly's markup as text; a dollar sign would start a formula."""
    text = re.sub(r"<br\s*/?>", "\n", text or "", flags=re.IGNORECASE)
    return re.sub(r"<[^<>]*>", "", text).replace("$", r"\$")


def _label(trace) -> str | None:
    # matplotlib takes a leading underscore as "not in the legend"
    return _plain(trace.name).lstrip("_") if trace.name and trace.showlegend is not False else None


def _number_or(value, other):
    return value if isinstance(value, (int, float)) else other


def _colour(value, other):
    return value if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{3,8}|[a-z]+", value) else other


def _values(values) -> np.ndarray:
    return np.asarray([] if values is None else values)


def _scatter(drawing, axes, trace, fallback: str) -> None:
    mode = trace.mode or "lines"
    colour = _colour(trace.line.color, None) or _colour(trace.marker.color, fallback)
    symbol = trace.marker.symbol if isinstance(trace.marker.symbol, str) else "circle"
    marked = "markers" in mode
    axes.plot(
        _values(trace.x),
        _values(trace.y),
        linestyle=DASHES.get(trace.line.dash or "solid", "-") if "lines" in mode else "none",
        linewidth=_number_or(trace.line.width, 2) * 0.75,
        marker=SYMBOLS.get(symbol, "o") if marked else "none",
        markersize=_number_or(trace.marker.size, 6) * 0.6,
        markerfacecolor="none" if symbol.endswith("-open") else _colour(trace.marker.color, colour),
        markeredgecolor=_colour(trace.marker.color, colour) if symbol.endswith("-open") else "none",
        color=colour,
        alpha=_number_or(trace.marker.opacity if marked else trace.opacity, 1.0),
        label=_label(trace),
    )


def _bar(drawing, axes, trace, fallback: str) -> None:
    draw = axes.barh if trace.orientation == "h" else axes.bar
    places, lengths = (trace.y, trace.x) if trace.orientation == "h" else (trace.x, trace.y)
    draw(_values(places), _values(lengths), color=_colour(trace.marker.color, fallback), label=_label(trace), alpha=0.9)


def _heatmap(drawing, axes, trace, fallback: str) -> None:
    z = np.asarray(trace.z, dtype=np.float64)
    # plotly spells a named scale out as its colours; only their ends tell a diverging one
    name = COLOURMAPS.get(str(trace.colorscale).lower()) or (
        "RdBu" if trace.zmin is not None and trace.zmin < 0 else "viridis"
    )
    image = axes.imshow(
        z,
        cmap=f"{name}_r" if trace.reversescale else name,
        vmin=trace.zmin,
        vmax=trace.zmax,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )
    for names, ticks, set_ticks in ((trace.x, z.shape[1], axes.set_xticks), (trace.y, z.shape[0], axes.set_yticks)):
        if names is not None:
            set_ticks(range(ticks), [_plain(str(n)) for n in names])
    drawing.colorbar(image, ax=axes, label=_plain(trace.colorbar.title.text))


def _axes(axes, figure: go.Figure) -> None:
    for axis, name in ((figure.layout.xaxis, "x"), (figure.layout.yaxis, "y")):
        getattr(axes, f"set_{name}label")(_plain(axis.title.text))
        if axis.type == "log":
            getattr(axes, f"set_{name}scale")("log")
        if axis.range is not None:
            low, high = (10**v if axis.type == "log" else v for v in axis.range)
            getattr(axes, f"set_{name}lim")(low, high)
        if axis.autorange == "reversed":
            getattr(axes, f"invert_{name}axis")()
    if figure.layout.yaxis.scaleanchor == "x":
        axes.set_aspect("equal")
    for shape in figure.layout.shapes or ():
        look = {"color": _colour(shape.line.color, "#8a8f98"), "linestyle": DASHES.get(shape.line.dash or "solid", "-")}
        if shape.type == "line" and shape.x0 == shape.x1 and shape.yref == "paper":
            axes.axvline(shape.x0, **look)
        elif shape.type == "line" and shape.y0 == shape.y1 and shape.xref == "paper":
            axes.axhline(shape.y0, **look)
        elif shape.type == "line":
            axes.plot([shape.x0, shape.x1], [shape.y0, shape.y1], **look)
    for note in figure.layout.annotations or ():
        paper = note.xref == "paper" and note.yref == "paper"
        across = {"auto": "center", None: "center"}.get(note.xanchor, note.xanchor)
        up = "top" if paper and (note.y or 0) > 0.5 else "bottom"
        look = {"ha": across, "va": up, "fontsize": "small", "alpha": _number_or(note.opacity, 1.0)}
        axes.text(note.x, note.y, _plain(note.text), transform=axes.transAxes if paper else axes.transData, **look)
    if not any(t.type == "heatmap" for t in figure.data):
        axes.grid(alpha=0.3)
