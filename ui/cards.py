"""Short pieces of HTML: model card, mode card, band table, big numbers; values from outside are escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import numpy as np

from analysis.figures import BAND_COLOURS, band_names
from analysis.library import ModelInfo
from analysis.requests import MaskResult, SpectrumEntryResult

GLYPHS = ("●", "◆", "▲", "■", "✚", "✖", "★", "⬢", "▼")  # the plane's markers, in its order
MAX_DEPTH, MAX_ITEMS, MAX_TEXT = 4, 60, 600
EMPTY_MODE = '<div class="ks-card ks-hint">Click a point to read its mode, or draw a box around several.</div>'


def heading(text: str, hint: str = "") -> str:
    """Title of a panel with a word on how to use it."""
    return f'<h3 class="ks-title">{html.escape(text)} <small>{html.escape(hint)}</small></h3>'


def facts(*pairs: tuple[str, str]) -> str:
    """Big numbers with their meaning below."""
    items = "".join(f"<div><b>{html.escape(n)}</b><span>{html.escape(t)}</span></div>" for n, t in pairs)
    return f'<div class="ks-facts">{items}</div>'


def _value(value, depth: int = 0) -> str:
    if isinstance(value, dict):
        if depth >= MAX_DEPTH:
            return "…"
        rows = "".join(
            f"<tr><th>{html.escape(str(k)[:MAX_TEXT].replace('_', ' '))}</th><td>{_value(v, depth + 1)}</td></tr>"
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
    return html.escape(str(value)[:MAX_TEXT])


def model_card(info: ModelInfo) -> str:
    """Everything that a model's file says of itself."""
    about = {"name": info.name, "parameters": info.parameters, "picture": f"{info.side} × {info.side} pixels"}
    about |= {k: v for k, v in info.card.items() if k not in about}
    return f'<div class="ks-model-card">{_value(about)}</div>'


def one_line(info: ModelInfo) -> str:
    """What a model is, from its card or else from its size; plain text."""
    summary = info.card.get("summary")
    if isinstance(summary, str) and summary.strip():
        return summary.strip()[:200]
    classes = f", {len(info.classes)} classes" if info.classes else ""
    return f"{info.side} × {info.side} pictures, {info.parameters / 1e6:.1f} M parameters{classes}"


def _duration(value: float, unit: str = "τ") -> str:
    return "∞" if not math.isfinite(value) else f"{value:.3g} {unit}"


def mode_card(entry: SpectrumEntryResult, flat: int) -> str:
    """One mode in words: where it is, how fast it grows or fades, how fast it turns."""
    k, i, j = (int(n) for n in np.unravel_index(flat, entry.alpha.shape))
    alpha, beta = float(entry.alpha[k, i, j]), abs(float(entry.beta[k, i, j]))
    half_life = math.log(2) / abs(alpha) if alpha else math.inf
    period = 2 * math.pi / beta if beta else math.inf
    change = "doubles" if alpha < 0 else "halves"
    rows = [
        ("level", f"{html.escape(entry.name)}, pair {k}"),
        ("place (i, j)", f"row {i}, column {j}"),
        ("α", f"{alpha:+.4f} per unit τ"),
        ("β", f"±{beta:.4f} rad per unit τ"),
        ("half-life ln 2 / |α|", f"{change} every {_duration(half_life)}"),
        ("period 2π / |β|", _duration(period)),
        ("noise → picture", f"× {math.exp(-alpha):.3g}, turned by {math.degrees(beta):.1f}°"),
    ]
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return f'<div class="ks-card" data-mode="{flat}"><h4>Mode {flat:,}</h4><table>{body}</table></div>'


def selection_card(entry: SpectrumEntryResult, chosen: Sequence[int], bands: np.ndarray, order: str) -> str:
    """Counts of a box or lasso selection.

    Args:
        entry: the level.
        chosen: flat indices.
        bands: band number of every mode of the level.
        order: "alpha" or "abs".
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
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    title = f"{len(picked):,} modes of {html.escape(entry.name)}"
    return f'<div class="ks-card"><h4>{title}</h4><table>{body}</table></div>'


def _glyph(band: int) -> str:
    return f'<i class="ks-glyph" style="color:{BAND_COLOURS[band]}" aria-hidden="true">{GLYPHS[band]}</i>'


def band_table(result: MaskResult, gains: Sequence[float], order: str) -> str:
    """Modes, energy and retention of every band."""
    rows = "".join(
        f"<tr><th>{_glyph(b)} {html.escape(name)}</th><td>{int(result.modes[b]):,}</td>"
        f"<td>{100 * float(result.share[b]):.1f} %</td><td>× {gains[b]:.2f}</td></tr>"
        for b, name in enumerate(band_names(len(gains), order))
    )
    return (
        '<table class="ks-bands"><thead><tr><th>band</th><td>modes</td><td>energy</td><td>kept</td></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
