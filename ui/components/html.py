"""Pieces of HTML that tabs share: images, rows of them, cards of numbers, headings."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.core.images import data_uris
from analysis.figures.style import BAND_COLOURS
from analysis.koopman.spectrum import band_names
from analysis.workbench.library import ModelInfo
from analysis.workbench.spectrum import MaskResult, ModeResult, SpectrumEntryResult


def strip(frames: np.ndarray) -> np.ndarray:
    """(n, H, W, C) -> (H, n W, C), frames side by side."""
    n, h, w, c = frames.shape
    return frames.transpose(1, 0, 2, 3).reshape(h, n * w, c)


@dataclass(frozen=True, eq=False)
class Figure:
    """One captioned picture.

    Attributes:
        picture: uint8 (H, W, C).
        title, note: caption; escaped where it becomes HTML.
        download: file name offered for saving; none when empty.
        css: further classes.
        over: HTML that lies over the picture, as `outline` makes it.
    """

    picture: np.ndarray
    title: str
    note: str = ""
    download: str = ""
    css: str = ""
    over: str = ""


def _figure(f: Figure, source: str) -> str:
    save = f'<a class="ks-save" href="{source}" download="{html.escape(f.download)}">save PNG</a>' if f.download else ""
    seen = f"{f.title}, {f.note}" if f.note else f.title
    picture = f'<img src="{source}" alt="{html.escape(seen)}">'
    return (
        f'<figure class="ks-picture {html.escape(f.css)}">'
        + (f'<div class="ks-under">{picture}{f.over}</div>' if f.over else picture)
        + f"<figcaption><b>{html.escape(f.title)}</b><span>{html.escape(f.note)}</span>{save}</figcaption></figure>"
    )


def outline(region: np.ndarray) -> str:
    """Where a region ends within a picture, to be laid over it; "" where it ends nowhere.

    Args:
        region: (H, W) in [0, 1]; its edge is where 1/2 is crossed.
    """
    inside = np.asarray(region) >= 0.5
    path = ""
    for borders, line in (
        (np.diff(inside, axis=1), "M{at} {start}v{length}"),
        (np.diff(inside, axis=0).T, "M{start} {at}h{length}"),
    ):
        for k, border in enumerate(borders.T):
            ends = np.flatnonzero(np.diff(np.concatenate([[0], border.astype(int), [0]])))
            for start, end in zip(ends[::2], ends[1::2], strict=True):
                path += line.format(at=k + 1, start=start, length=end - start)
    height, width = inside.shape
    return path and (
        f'<svg class="ks-region" viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{path}"/><path d="{path}"/></svg>'
    )


def figures_html(figures: Sequence[Figure]) -> list[str]:
    """Each as HTML, enlarged by the page without smoothing."""
    return list(map(_figure, figures, data_uris([f.picture for f in figures])))


def figure_html(picture: np.ndarray, title: str, note: str = "", download: str = "", css: str = "") -> str:
    """`Figure` as HTML, enlarged by the page without smoothing."""
    return figures_html([Figure(picture, title, note, download, css)])[0]


def row_html(*figures: str) -> str:
    """Several of `figure_html` side by side."""
    return group_html("ks-pictures", *figures)


GLYPHS = ("●", "◆", "▲", "■", "✚", "✖", "★", "⬢", "▼")  # the plane's markers, in its order
MAX_DEPTH, MAX_ITEMS, MAX_CARD_TEXT = 4, 60, 600
EMPTY_MODE = '<div class="ks-card ks-hint">Click a point to read its mode, or draw a box around several.</div>'


def heading(text: str, hint: str = "") -> str:
    """Title of a panel with a word on how to use it."""
    return f'<h3 class="ks-title">{html.escape(text)} <small>{html.escape(hint)}</small></h3>'


def details(summary: str, content: str) -> str:
    """Numbers and notes that are read when they are asked for."""
    return f'<details class="ks-details"><summary>{summary}</summary>{content}</details>' if content else ""


def facts(*pairs: tuple[str, str]) -> str:
    """Big numbers with their meaning below."""
    items = "".join(f"<div><b>{html.escape(n)}</b><span>{html.escape(t)}</span></div>" for n, t in pairs)
    return f'<div class="ks-facts">{items}</div>'


def _value(value, depth: int = 0) -> str:
    if isinstance(value, dict):
        if depth >= MAX_DEPTH:
            return "…"
        rows = "".join(
            f"<tr><th>{html.escape(str(k)[:MAX_CARD_TEXT].replace('_', ' '))}</th><td>{_value(v, depth + 1)}</td></tr>"
            for k, v in list(value.items())[:MAX_ITEMS]
        )
        return f"<table>{rows}</table>" if rows else "none"
    if isinstance(value, (list, tuple)):
        shown = ", ".join(_value(v, MAX_DEPTH) for v in value[:MAX_ITEMS])
        return (shown or "none") + (" …" if len(value) > MAX_ITEMS else "")
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return html.escape(str(value)[:MAX_CARD_TEXT])


def model_card(info: ModelInfo) -> str:
    """Everything that a model's file says of itself."""
    about = {"name": info.name, "parameters": info.parameters, "picture": f"{info.side} × {info.side} pixels"}
    about |= {k: v for k, v in info.card.items() if k not in about}
    return f'<div class="ks-model-card">{_value(about)}</div>'


def one_line(info: ModelInfo) -> str:
    """What a model is, from its card or else from its size, and the licence of imported weights; plain text."""
    summary, licence = (
        v.strip()[:200] if isinstance(v := info.card.get(k), str) else "" for k in ("summary", "licence")
    )
    if not summary:
        classes = f", {len(info.classes)} classes" if info.classes else ""
        summary = f"{info.side} × {info.side} pictures, {info.parameters / 1e6:.1f} M parameters{classes}"
    return f"{summary}. Licence of the weights: {licence}" if licence else summary


def times(factor: float) -> str:
    """By how much a difference was magnified."""
    return f"magnified × {factor:.3g}" if factor < 100 else f"magnified × {factor:,.0f}"


def pipeline_html(entries: Sequence[SpectrumEntryResult]) -> str:
    """Noise, encoder, every level with what the operator does to it, decoder, picture: boxes that are buttons.

    `ui/js/pipeline.js` draws the noise and the picture, and says by how much a level has grown at the player's moment.
    """
    levels = "".join(
        f'<button type="button" class="ks-box ks-level" data-level="{e.index}" data-alpha="{e.alpha.mean():.6g}"'
        f' title="Look inside at {html.escape(e.name)}"><b>{html.escape(e.name)}</b><small>{e.shape[1]}×{e.shape[2]}'
        f"</small><i><s></s></i><output>× {math.exp(-float(e.alpha.mean())):.2f}</output></button>"
        for e in entries
    )
    return (
        '<div class="ks-pipeline">'
        '<button type="button" class="ks-box ks-end-box" data-seek="0"><canvas width="32" height="32"></canvas>'
        "<span><b>noise</b> x<sub>T</sub></span></button>"
        '<button type="button" class="ks-box ks-net" data-open="modes"><b>E</b> encodes it once</button>'
        f'<div class="ks-levels-box"><p>e<sup>(τ − 1) A</sup>: each level grows or fades by</p>{levels}</div>'
        '<button type="button" class="ks-box ks-net" data-open="bands"><b>D</b> decodes any moment</button>'
        '<button type="button" class="ks-box ks-end-box" data-seek="1"><canvas width="32" height="32"></canvas>'
        "<span><b>picture</b> x̂</span></button></div>"
    )


def _duration(value: float, unit: str = "τ") -> str:
    return "∞" if not math.isfinite(value) else f"{value:.3g} {unit}"


def _place(level: str, index: int, shape: tuple[int, int, int]) -> list[tuple[str, str]]:
    k, i, j = (int(n) for n in np.unravel_index(index, shape))
    return [("level", f"{html.escape(level)}, pair {k}"), ("place (i, j)", f"row {i}, column {j}")]


def _rates(alpha: float, beta: float, half_life: float, period: float) -> list[tuple[str, str]]:
    change = "doubles" if alpha < 0 else "halves"
    return [
        ("α", f"{alpha:+.4f} per unit τ"),
        ("β", f"±{abs(beta):.4f} rad per unit τ"),
        ("half-life ln 2 / |α|", f"{change} every {_duration(half_life)} (whole way = 1)"),
        ("period 2π / |β|", _duration(period)),
        ("noise → picture", f"× {math.exp(-alpha):.3g}, turned by {math.degrees(abs(beta)):.1f}°"),
    ]


def _share(result: ModeResult) -> tuple[str, str]:
    return "share of energy", f"{100 * result.share[0]:.2g} % at noise, {100 * result.share[-1]:.2g} % at the picture"


def fact_table(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values, a row each; both are HTML."""
    return f"<table>{''.join(f'<tr><th>{name}</th><td>{value}</td></tr>' for name, value in rows)}</table>"


def mode_card(entry: SpectrumEntryResult, flat: int, result: ModeResult | None = None) -> str:
    """One mode in words: where it is, how fast it grows or fades, how fast it turns.

    Args:
        entry: its level.
        flat: its index there.
        result: the Workbench's answer about it, once it is there: with the energy, and with the rates at which it
            really moves.
    """
    if result is None:
        alpha, beta = float(entry.alpha.flat[flat]), abs(float(entry.beta.flat[flat]))
        rates = alpha, beta, math.log(2) / abs(alpha) if alpha else math.inf, 2 * math.pi / beta if beta else math.inf
    else:
        rates = tuple(float(v[0]) for v in (result.alpha, result.beta, result.half_life, result.period))
    rows = _place(entry.name, flat, entry.alpha.shape) + _rates(*rates) + ([_share(result)] if result else [])
    return f'<div class="ks-card" data-mode="{flat}"><h4>Mode {flat:,}</h4>{fact_table(rows)}</div>'


def _span(values: np.ndarray, unit: str = "τ") -> str:
    low, middle, high = (_duration(float(v), unit) for v in (values.min(), np.median(values), values.max()))
    return f"{middle} (from {low} to {high})"


def selection_card(
    entry: SpectrumEntryResult,
    chosen: Sequence[int],
    bands: np.ndarray,
    order: str,
    result: ModeResult | None = None,
) -> str:
    """Counts of a box or lasso selection.

    Args:
        entry: the level.
        chosen: flat indices.
        bands: band number of every mode of the level.
        order: "alpha" or "abs".
        result: the Workbench's answer about the group, once it is there.
    """
    picked = np.asarray(chosen, dtype=np.int64)
    count = int(bands.max()) + 1 if bands.size else 1
    names = band_names(max(count, 3), order)
    per_band = np.bincount(bands.ravel()[picked], minlength=len(names))
    alpha, beta = entry.alpha.ravel()[picked], np.abs(entry.beta.ravel()[picked])
    rows = [
        (f"{_glyph(b)} {html.escape(name)}", f"{int(n):,}")
        for b, (name, n) in enumerate(zip(names, per_band, strict=True))
    ]
    rows += [
        ("α, mean ± sd", f"{alpha.mean():+.4f} ± {alpha.std():.4f}"),
        ("|β|, mean ± sd", f"{beta.mean():.4f} ± {beta.std():.4f}"),
    ]
    if result is not None:
        places = len(set(zip(result.row.tolist(), result.column.tolist(), strict=True)))
        rows += [
            ("pairs, places", f"{len(set(result.pair.tolist())):,} pairs at {places:,} places"),
            ("half-life, median", _span(result.half_life)),
            ("period, median", _span(result.period)),
            _share(result),
        ]
    title = f"{len(picked):,} modes of {html.escape(entry.name)}"
    return f'<div class="ks-card"><h4>{title}</h4>{fact_table(rows)}</div>'


WARM = np.array([213.0, 94.0, 0.0])  # Okabe and Ito's vermilion


def response(full: np.ndarray, contribution: np.ndarray) -> np.ndarray:
    """Where modes act, drawn on the picture: grey where they add nothing, warm where they add most.

    Args:
        full: uint8 (H, W, 3).
        contribution: uint8 (H, W, 3), what they add around mid-grey.
    """
    change = np.abs(contribution.astype(np.float64) - 127.5).max(axis=2)
    share = ((change - 0.5) / max(float(change.max()) - 0.5, 1e-9)).clip(0, 1)[..., None]
    grey = (0.35 * full.astype(np.float64).mean(axis=2, keepdims=True) + 0.65 * 200).repeat(3, axis=2)
    return np.round((1 - share) * grey + share * WARM).astype(np.uint8)


def contribution(result: ModeResult, model: str, seed: int) -> str:
    """The picture with and without a mode or group, what it adds, magnified by the stated factor, and where."""
    what = "this mode" if len(result.index) == 1 else f"these {len(result.index):,} modes"
    none = "nothing to see: the picture is the same" if result.mse == 0 else ""
    name = f"{model}-seed{seed}-{result.name.replace(' ', '')}-contribution.png"
    return row_html(
        figure_html(result.full, "All modes", f"seed {seed}"),
        figure_html(result.without, f"Without {what}", f"MSE {result.mse:.3g}"),
        figure_html(
            result.contribution, "What it adds", none or f"{times(result.magnification)}, grey = nothing", name
        ),
        figure_html(response(result.full, result.contribution), "Where", "warm = most"),
    )


def _glyph(band: int) -> str:
    return f'<i class="ks-glyph" style="color:{BAND_COLOURS[band]}" aria-hidden="true">{GLYPHS[band]}</i>'


def band_table(result: MaskResult, gains: Sequence[float], names: Sequence[str]) -> str:
    """Modes, energy and retention of every band, by name."""
    rows = "".join(
        f"<tr><th>{_glyph(b)} {html.escape(name)}</th><td>{int(result.modes[b]):,}</td>"
        f"<td>{100 * float(result.share[b]):.1f} %</td><td>× {gains[b]:.2f}</td></tr>"
        for b, name in enumerate(names)
    )
    return (
        '<table class="ks-bands"><thead><tr><th>band</th><td>modes</td><td>energy</td><td>kept</td></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def group_html(css: str, *figures: str) -> str:
    """Figures within one element of a class of the style sheet."""
    return f'<div class="{css}">{"".join(figures)}</div>'
