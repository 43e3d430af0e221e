"""Figures for a paper: matplotlib figures of results, 3.3 inches (a column) or 6.9 (a page) wide.

    from analysis.figures import publication
    figure = publication.cumulative_effect(bench.cumulative_effect(request))
    Path("effect.pdf").write_bytes(publication.save(figure, "pdf"))

One function a figure; each takes a result and returns a `matplotlib.figure.Figure`, shows nothing and touches no global
state. Colours are those of the page (Okabe and Ito), and never the only sign: bands have their marker, levels their
dash. Text has 7 points, so that nothing is to be scaled.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter, NullLocator, PercentFormatter

from analysis.core.errors import UserError
from analysis.figures.style import BAND_COLOURS, GREY, LINE_COLOURS, TIME_TICKS
from analysis.flow.image_sweeps import PictureSweepResult
from analysis.flow.points import SweepResult
from analysis.koopman.spectrum import band_names, band_numbers
from analysis.workbench.editing import EditResult
from analysis.workbench.effects import EffectResult
from analysis.workbench.findings import EFFECT_NAMES
from analysis.workbench.probes import BandLabelsResult
from analysis.workbench.spectrum import THIRDS, SpectrumEntryResult, SpectrumResult
from foundation.metrics.statistics import mean_interval

COLUMN_INCHES, PAGE_INCHES = 3.3, 6.9  # inches
SIZE = 7  # points, of all text
SMALL = 6  # of legends and ticks
FILE_KINDS = ("pdf", "svg", "png")
DPI = 300
MARKERS = ("o", "D", "^", "s", "P", "X", "*", "h", "v")
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (8, 4)))
MOST_DRAWN = 20_000  # modes of a panel: more are a blur
LOG_FLOOR = 1e-5  # a logarithmic axis has no zero
LINEAR_BELOW = 1e-3  # of an unbiased squared MMD, which is negative now and then: logarithmic above, linear below

_SAVING = threading.Lock()  # the settings of a file are matplotlib's own, for the whole process


def save(figure: Figure, kind: str = "pdf") -> bytes:
    """A figure as a file, the same bytes for the same figure: text as text in PDF (TrueType), as outlines in SVG.

    Args:
        figure: of this module.
        kind: one of `FILE_KINDS`.

    Raises:
        UserError: another format.
    """
    if kind not in FILE_KINDS:
        raise UserError(
            f"A figure for a paper is saved as {', '.join(FILE_KINDS)}: choose one of them, not {kind!r}.", "kind"
        )
    buffer = io.BytesIO()
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": None}[kind]
    with _SAVING, matplotlib.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "koopman-studio"}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def empty_panels(
    width: float, height: float, rows: int = 1, columns: int = 1, **more: Any
) -> tuple[Figure, np.ndarray]:
    """An empty figure of so many inches, and its axes, (rows, columns)."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **more)
    for a in axes.flat:
        a.spines[["top", "right"]].set_visible(False)
        a.spines[:].set_linewidth(0.6)
        a.tick_params(labelsize=SMALL, width=0.6, length=2.5, pad=2)
    return figure, axes


def label_axes(axes: Axes, x: str = "", y: str = "", title: str = "") -> None:
    """Words at an axis and above it, in the size of all text."""
    axes.set_xlabel(x, fontsize=SIZE, labelpad=2)
    axes.set_ylabel(y, fontsize=SIZE, labelpad=2)
    axes.set_title(title, fontsize=SIZE, pad=3)


def add_legend(axes: Axes, **more: Any) -> None:
    """A legend without a frame."""
    axes.legend(fontsize=SMALL, frameon=False, handlelength=1.8, borderaxespad=0.2, labelspacing=0.25, **more)


def _line(axes: Axes, x, y, index: int, name: str, colour: str, dash: Any = "-", **more: Any) -> None:
    """One curve with a few markers."""
    axes.plot(
        x, y, color=colour, linestyle=dash, linewidth=1, marker=MARKERS[index % len(MARKERS)], markersize=2.6,
        markevery=max(1, len(x) // 8), label=name, **more,
    )  # fmt: skip


def _logarithmic(axis: Axis) -> None:
    """Decades as numbers; over less than two of them, their 2 and 5 too."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def _over_time(axes: Axes, tau: np.ndarray, sigma: np.ndarray) -> None:
    """The axis of Koopman time, noise at the left; below each number its noise level."""
    rising = np.argsort(tau)
    at = np.exp(np.interp(TIME_TICKS, tau[rising], np.log(sigma[rising])))
    axes.set_xticks(TIME_TICKS, [f"{t:g}\n{s:.2g}" for t, s in zip(TIME_TICKS, at, strict=True)])
    axes.set_xlim(1.02, -0.02)
    axes.set_xlabel("time τ (below: noise level σ)", fontsize=SIZE, labelpad=2)


# ---------------------------------------------------------------------------------------------------------------------
# Spectra and bands


def spectrum(
    result: SpectrumResult,
    levels: Sequence[int] | None = None,
    edges: Sequence[float] = THIRDS,
    order: str = "alpha",
    width: float = PAGE_INCHES,
) -> Figure:
    """The eigenvalues alpha ± i beta, one panel a level, one marker a band; all panels with the same axes.

    Args:
        result: a model's spectrum.
        levels: which levels, None for all.
        edges, order: of the bands.
        width: in inches; three panels beside each other on a page, two in a column.

    Raises:
        UserError: a level that the model does not have.
    """
    chosen = list(range(len(result.entries))) if levels is None else list(levels)
    if not chosen or not set(chosen) <= set(range(len(result.entries))):
        raise UserError(f"This model has the levels 0 to {len(result.entries) - 1}: choose some of them.", "levels")
    across = min(len(chosen), 4 if width > COLUMN_INCHES else 2)
    down = -(-len(chosen) // across)
    side = width / across
    figure, axes = empty_panels(width, down * 0.92 * side + 0.25, down, across, sharex=True, sharey=True)
    for place, level in enumerate(chosen):
        _plane(axes.flat[place], result.entries[level], edges, order)
    for a in axes.flat[len(chosen) :]:
        a.set_visible(False)
    for a in axes.flat[len(chosen) - across : len(chosen)]:
        a.tick_params(labelbottom=True)
    figure.supxlabel("growth rate α (per unit τ); α < 0 grows towards the picture", fontsize=SIZE)
    figure.supylabel("angular frequency β (rad per unit τ)", fontsize=SIZE)
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside upper center", ncols=len(names), fontsize=SMALL, frameon=False, markerscale=2
    )
    return figure


def _plane(axes: Axes, entry: SpectrumEntryResult, edges: Sequence[float], order: str) -> None:
    alpha, beta = entry.alpha.ravel(), np.abs(entry.beta.ravel())
    band = _bands_of(entry, edges, order)
    shown = np.zeros(alpha.size, bool)
    shown[np.random.default_rng(0).permutation(alpha.size)[:MOST_DRAWN]] = True  # a stride would favour some positions
    for b, name in enumerate(band_names(len(edges) + 1, order)):
        picked = shown & (band == b)
        axes.plot(
            np.tile(alpha[picked], 2), np.concatenate([beta[picked], -beta[picked]]), linestyle="none", label=name,
            marker=MARKERS[b % len(MARKERS)], markersize=1.6, markeredgewidth=0, alpha=0.6,
            color=BAND_COLOURS[b % len(BAND_COLOURS)], rasterized=True,
        )  # fmt: skip
    for zero in (axes.axvline, axes.axhline):
        zero(0, color=GREY, linewidth=0.5, zorder=0)
    label_axes(axes, title=entry.name)


def _bands_of(entry: SpectrumEntryResult, edges: Sequence[float], order: str) -> np.ndarray:
    import torch

    from koopman_core.model import SpectrumEntry

    rates = torch.from_numpy(np.ascontiguousarray(entry.alpha)), torch.from_numpy(np.ascontiguousarray(entry.beta))
    return band_numbers([SpectrumEntry(entry.name, entry.shape, *rates)], 0, edges, order).numpy()


def bands(result: BandLabelsResult, order: str = "alpha", width: float = PAGE_INCHES) -> Figure:
    """What each band carries: radial power of what it adds to the picture, and its frequency centroid.

    Centroids have 95 % bootstrap intervals.

    Args:
        result: the measurement.
        order: by which the bands were cut.
        width: in inches; in a column the panels stand below each other.
    """
    wide = width > COLUMN_INCHES
    figure, axes = empty_panels(width, 2.3 if wide else 4.0, *((1, 2) if wide else (2, 1)))
    power, centroid = axes.flat
    names = band_names(len(result.power), order)
    seen = result.frequency > 0
    for b, name in enumerate(names):
        colour = BAND_COLOURS[b % len(BAND_COLOURS)]
        _line(power, result.frequency[seen], np.maximum(result.power[b][seen], 1e-12), b, name, colour)
        spread = [[result.centroid[b] - result.low[b]], [result.high[b] - result.centroid[b]]]
        centroid.errorbar(
            [result.centroid[b]], [b], xerr=spread, color=colour, marker=MARKERS[b % len(MARKERS)], markersize=4,
            linewidth=1, capsize=2,
        )  # fmt: skip
    power.set_xscale("log")
    power.set_yscale("log")
    _logarithmic(power.xaxis)
    _logarithmic(power.yaxis)
    label_axes(power, "frequency (cycles per pixel)", "mean radial power")
    add_legend(power)
    centroid.set_yticks(range(len(names)), names)
    centroid.set_ylim(len(names) - 0.5, -0.5)
    label_axes(centroid, "frequency centroid (cycles per pixel), 95 % interval")
    return figure


def cumulative_effect(result: EffectResult, order: str = "alpha", width: float = PAGE_INCHES) -> Figure:
    """Shares of the bands and of the levels over time; a third panel shows the effect in pictures where it was decoded.

    Args:
        result: the effect; ribbons are one standard deviation over seeds, where there are several.
        order: of the bands.
        width: in inches; in a column the panels stand below each other.
    """
    panels = 2 + (result.decoded_tau is not None)
    wide = width > COLUMN_INCHES
    figure, axes = empty_panels(width, 2.3 if wide else 1.9 * panels, *((1, panels) if wide else (panels, 1)))
    of_bands, of_levels = axes.flat[:2]
    names = band_names(len(result.bands), order)
    for b, name in enumerate(names):
        colour, spread = BAND_COLOURS[b % len(BAND_COLOURS)], result.bands_sd[b]
        if np.isfinite(spread).all():
            low, high = result.bands[b] - spread, result.bands[b] + spread
            of_bands.fill_between(result.tau, low, high, color=colour, alpha=0.18, linewidth=0)
        _line(of_bands, result.tau, result.bands[b], b, name, colour)
    for i, name in enumerate(result.names):
        _line(
            of_levels, result.tau, result.levels[i], i, name, LINE_COLOURS[i % len(LINE_COLOURS)],
            DASHES[i % len(DASHES)],
        )  # fmt: skip
    for a, title in ((of_bands, "bands"), (of_levels, "levels")):
        a.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        a.set_ylim(bottom=min(0, a.get_ylim()[0]))
        label_axes(a, y=f"share of {EFFECT_NAMES[result.kind]}", title=title)
        _over_time(a, result.tau, result.sigma)
        add_legend(a)
    if result.decoded_tau is not None and result.decoded_bands is not None:
        decoded = axes.flat[2]
        for b, name in enumerate(names):
            values = np.maximum(result.decoded_bands[b], LOG_FLOOR)
            _line(decoded, result.decoded_tau, values, b, name, BAND_COLOURS[b % len(BAND_COLOURS)])
        decoded.set_yscale("log")
        _logarithmic(decoded.yaxis)
        label_axes(decoded, y="picture change, MSE on [−1, 1]", title="in pictures")
        _over_time(decoded, result.tau, result.sigma)
    return figure


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


def _picture(axes: Axes, picture: np.ndarray | None) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if picture is None:
        axes.set_facecolor("#e5e7eb")
        axes.set_box_aspect(1)
    else:
        axes.imshow(picture, interpolation="nearest")


def contact_sheet(
    pictures: Sequence[Sequence[np.ndarray | None]],
    across: Sequence[str],
    down: Sequence[str] = (),
    *,
    x: str = "",
    y: str = "",
    caption: str = "",
    width: float = PAGE_INCHES,
) -> Figure:
    """Pictures in rows and columns, pixels as they are.

    Args:
        pictures: rows of uint8 (H, W, 3), as many in each; None leaves a grey cell.
        across, down: labels of columns and rows; no row labels when `down` is empty.
        x, y: what the labels are values of.
        caption: text below.
        width: in inches.

    Raises:
        UserError: no picture, or rows of several lengths.
    """
    rows, columns = len(pictures), len(across)
    if not rows or not columns or any(len(row) != columns for row in pictures):
        raise UserError("A sheet takes one or more rows, each with a picture for every column.")
    lines = 0 if not caption else 1 + int(len(caption) * SMALL * 0.5 / 72 / width)
    cell = (width - (0.5 if down else 0.1)) / columns
    figure, axes = empty_panels(width, rows * cell + 0.3 + 0.11 * lines + (0.12 if x else 0), rows, columns)
    for i, row in enumerate(pictures):
        for j, picture in enumerate(row):
            _picture(axes[i, j], picture)
            if i == 0:
                axes[i, j].set_title(str(across[j]), fontsize=SMALL, pad=2)
        if down:
            axes[i, 0].set_ylabel(str(down[i]), fontsize=SMALL, rotation=0, ha="right", va="center")
    figure.set_layout_engine("constrained", w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)
    if x:
        figure.suptitle(x, fontsize=SIZE)
    if y and down:
        figure.supylabel(y, fontsize=SIZE)
    if caption:
        figure.supxlabel(caption, fontsize=SMALL, wrap=True)
    return figure


def edit_strips(results: Sequence[EditResult], names: Sequence[str] = (), width: float = PAGE_INCHES) -> Figure:
    """Edits, one a row: the original, the edit at rising ratios, the control of all modes, and the reference.

    Args:
        results: with the same ratios.
        names: of the rows.
        width: in inches.

    Raises:
        UserError: no edit, edits at other ratios, or not one name a row.
    """
    if not results or len({r.strip_ratios for r in results}) > 1 or (names and len(names) != len(results)):
        raise UserError("Edits below each other have the same ratios, and one name a row where they are named.")
    across = ["original", *(f"{ratio:.0%}" for ratio in results[0].strip_ratios), "all modes", "reference"]
    pictures = [[r.original, *r.strip, r.control, r.reference] for r in results]
    return contact_sheet(pictures, across, list(names), x="share of the reference in the bands mixed", width=width)


# ---------------------------------------------------------------------------------------------------------------------
# Flows


def _swept(axes: Axes, nfes: np.ndarray, values: np.ndarray, index: int, name: str, colour: str) -> None:
    """Mean over seeds with its 95 % Student interval; gaps where a seed has no number."""
    mean, low, high = np.full((3, len(nfes)), np.nan)
    for k in np.flatnonzero(np.isfinite(values).all(axis=1)):
        mean[k] = values[k].mean()
        if values.shape[1] > 1:
            v = mean_interval(values[k].tolist())
            low[k], high[k] = v.low, v.high
    axes.fill_between(nfes, low, high, where=np.isfinite(low), color=colour, alpha=0.18, linewidth=0)
    _line(axes, nfes, mean, index, name, colour, DASHES[index % len(DASHES)])


def nfe_sweep(result: SweepResult | PictureSweepResult, names: Sequence[str], width: float = COLUMN_INCHES) -> Figure:
    """Distance over network calls, one line a setting, with 95 % Student intervals over seeds.

    Args:
        result: of points (squared MMD to data, beside the closed form and data against data) or of images (distance to
            the exact flow).
        names: of the settings.
        width: in inches.

    Raises:
        UserError: not one name a setting.
    """
    values = result.by_nfe if isinstance(result, SweepResult) else result.distance
    if len(names) != len(values):
        raise UserError(f"There are {len(values)} settings: give as many names, not {len(names)}.")
    figure, axes = empty_panels(width, 0.72 * min(width, 4.5))
    a = axes[0, 0]
    for i, name in enumerate(names):
        _swept(a, result.nfes, values[i], i, name, LINE_COLOURS[i % len(LINE_COLOURS)])
    if isinstance(result, SweepResult):
        if np.isfinite(result.oracle_by_nfe).all(axis=1).any():
            _swept(a, result.nfes, result.oracle_by_nfe, len(names), "closed form, Euler", GREY)
        a.axhline(float(result.floor.mean()), color=GREY, linewidth=0.8, linestyle=":", label="data")
        a.set_yscale("symlog", linthresh=LINEAR_BELOW, linscale=0.5)
        a.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        a.yaxis.set_minor_locator(NullLocator())
        label_axes(a, "network calls", "squared MMD to held-out data")
    else:
        unit, way = ("PSNR (dB)", "higher") if result.measure == "PSNR" else (result.measure, "lower")
        label_axes(a, "network calls", f"{unit} to the exact flow ({way} is nearer)")
    a.set_xscale("log")
    a.set_xticks(result.nfes, [str(n) for n in result.nfes])
    a.xaxis.set_minor_locator(NullLocator())
    add_legend(a)
    return figure
