"""Pictures of the page of results, drawn from a section's own figures where they say more than its table.

Five kinds of tables have one: anything by network calls, scores by lead, the linear law by noise level, bands, and
what depends on the size of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.evaluate.tables.markdown import Block, Cell, Table
from analysis.figures.publication import MARKERS, PAGE_INCHES, SIZE, add_legend, empty_panels, label_axes
from analysis.figures.style import BAND_COLOURS, GREY, LINE_COLOURS
from analysis.koopman.spectrum import BANDS

SYMLOG_FROM = 30  # largest figure over least, from which on an axis is logarithmic
OPERATOR_NAMES = ("learned", "A = 0", "best of its form")


def picture_of(blocks: Sequence[Block]) -> Figure | None:
    """The picture of the first table that has one, None where none has."""
    for block in blocks:
        if isinstance(block, Table):
            draw = _kind(block)
            if draw is not None:
                return draw(block)
    return None


def _kind(table: Table) -> Callable[[Table], Figure] | None:
    first, rest = table.head[0], table.head[1:]
    if rest and all(name.isdecimal() for name in rest) and ("network calls" in first or "lead" in first):
        return _curves
    if first == "batch":
        return _batches
    if first.startswith("level: learned"):
        return _linearity
    return _bands if table.head[1:3] == ("band, coarse to fine", "frequency centroid, cycles a pixel") else None


def _figures(text: str) -> tuple[float, ...]:
    return text.figures if isinstance(text, Cell) else (math.nan,)


def _curves(table: Table) -> Figure:
    """A curve a row over whole numbers, with its interval where it has one; what does not depend on them is a line."""
    figure, ((axes,),) = empty_panels(PAGE_INCHES, 2.6)
    at, by_lead = [int(name) for name in table.head[1:]], "lead" in table.head[0]
    rows = [row for row in table.rows if " less " not in row[0]]  # differences have an axis of their own
    every: list[float] = []
    for i, (name, *cells) in enumerate(rows):
        figures = [_figures(c) for c in cells]
        if set(cells[1:]) == {"same"}:
            axes.axhline(figures[0][0], color=GREY, linewidth=1, linestyle=":", label=name)
            continue
        every += [f[0] for f in figures if math.isfinite(f[0])]
        _errors(axes, at, figures, i, name)
    if every and max(every) > SYMLOG_FROM * abs(min(every)) and not by_lead:
        axes.set_yscale("symlog", linthresh=max(min((v for v in every if v > 0), default=1e-3), max(every) / 1e4))
    if not by_lead:
        axes.set_xscale("log")
    axes.set_xticks(at, table.head[1:])
    axes.minorticks_off()
    what, _, over = table.head[0].partition(", by ")
    label_axes(axes, over or what, what if over else "fair CRPS")
    add_legend(axes, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _errors(axes: Axes, at: Sequence[float], figures: list[tuple[float, ...]], i: int, name: str) -> None:
    """Points with their intervals; what is no number leaves a gap."""
    values = [f[0] for f in figures]
    whole = all(len(f) == 3 for f in figures)
    ends = [[v - f[1] for v, f in zip(values, figures, strict=True)],
            [f[2] - v for v, f in zip(values, figures, strict=True)]] if whole else None  # fmt: skip
    axes.errorbar(
        at, values, yerr=ends, label=name, color=LINE_COLOURS[i % len(LINE_COLOURS)], linewidth=1, markersize=3,
        marker=MARKERS[i % len(MARKERS)], elinewidth=0.7, linestyle="-" if i < len(LINE_COLOURS) else "--",
    )  # fmt: skip


def _batches(table: Table) -> Figure:
    """A panel a column, over the size of the batch."""
    names = table.head[1:]
    figure, (line,) = empty_panels(PAGE_INCHES, 2.0, 1, len(names))
    sizes = [int(row[0].replace(",", "")) for row in table.rows]
    for k, (axes, name) in enumerate(zip(line, names, strict=True)):
        _errors(axes, sizes, [_figures(row[k + 1]) for row in table.rows], k, name)
        axes.set_xscale("log")
        axes.set_xticks(sizes, map(str, sizes))
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        label_axes(axes, "batch", "", name)
    return figure


def _linearity(table: Table) -> Figure:
    """A panel a level: relative error of three operators from noise to picture."""
    sigma = [float(name.removeprefix("sigma ")) for name in table.head[1:] if name.startswith("sigma ")]
    rows = [row for row in table.rows if not row[0].startswith("pictures")]
    figure, (line,) = empty_panels(PAGE_INCHES, 1.9, 1, len(rows), sharey=True)
    for axes, (name, *cells) in zip(line, rows, strict=True):
        for k, operator in enumerate(OPERATOR_NAMES):
            values = [_figures(c)[k] for c in cells[: len(sigma)]]
            axes.plot(sigma, values, color=LINE_COLOURS[k], marker=MARKERS[k], markersize=2.6, linewidth=1,
                      label=operator)  # fmt: skip
        axes.set_xscale("log")
        axes.invert_xaxis()
        axes.set_ylim(bottom=0)
        label_axes(axes, "", "", name)
    line[0].set_ylabel("relative error", fontsize=SIZE)
    figure.supxlabel("noise level σ, from noise to picture", fontsize=SIZE)
    add_legend(line[-1], loc="upper left")
    return figure


def _bands(table: Table) -> Figure:
    """Where a third of the modes acts: frequency of what it adds, and how much."""
    figure, (line,) = empty_panels(PAGE_INCHES, 2.2, 1, 2)
    orders = list(dict.fromkeys(row[0] for row in table.rows))
    for axes, column in zip(line, (2, 3), strict=True):
        for k, order in enumerate(orders):
            for i, band in enumerate(BANDS):
                row = next((r for r in table.rows if r[0] == order and r[1] == band), None)
                if row is None:
                    continue
                figures = _figures(row[column])
                ends = [[figures[0] - figures[1]], [figures[2] - figures[0]]] if len(figures) == 3 else None
                axes.errorbar(
                    [k + 0.2 * (i - 1)], [figures[0]], yerr=ends, color=BAND_COLOURS[i], marker=MARKERS[i],
                    markersize=4, elinewidth=0.8, linestyle="none", label=band if k == 0 else None,
                )  # fmt: skip
        axes.set_xticks(range(len(orders)), [f"by {order}" for order in orders])
        axes.set_xlim(-0.5, len(orders) - 0.5)
        label_axes(axes, "", table.head[column])
    add_legend(line[1], loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure
