"""Results as files: modes as CSV, spectra as NPZ, trajectories as GIF, figures as HTML, one report without a network.

Figures as PNG or SVG are in `analysis.figure_files`. Everything is made in memory; the caller decides where it goes.
"""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from analysis.errors import UserError
from analysis.requests import SpectrumResult

MAX_FRAMES, MAX_GIF_SIDE = 128, 1024

# Nothing but what the file itself holds may be loaded. Plotly compiles its drawing functions, hence unsafe-eval.
POLICY = "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'"
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid #8a8f98; padding: .25rem .6rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; }
figure img { width: 160px; image-rendering: pixelated; display: block; }
figcaption { font-size: .85rem; max-width: 160px; }
.plot { background: #fff; color-scheme: light; margin: 1rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem; }
"""
DRAW = """
for (const data of document.querySelectorAll("script[type='application/json']")) {
  const f = JSON.parse(data.textContent);
  Plotly.newPlot(data.previousElementSibling, f.data, f.layout, {responsive: true, displaylogo: false});
}
"""


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


def modes_csv(spectrum: SpectrumResult, energy: Sequence[np.ndarray] | None = None) -> str:
    """One line a mode: level, name, pair, row, column, alpha, beta, rank by signed alpha, and energy when given.

    Args:
        spectrum: a `Workbench.spectrum()`.
        energy: one array of a level's alpha shape each, |z_k|^2 at a time of the caller's choice.

    Returns:
        Text with a header line; alpha and beta with the 9 digits that give every float32 back.

    Raises:
        ValueError: energies of another shape.
    """
    if energy is not None and [np.shape(e) for e in energy] != [e.alpha.shape for e in spectrum.entries]:
        raise ValueError("Give one energy for every mode: one array of alpha's shape for every level.")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = ["level", "name", "pair", "row", "column", "alpha", "beta", "rank"]
    writer.writerow(names if energy is None else [*names, "energy"])
    for number, entry in enumerate(spectrum.entries):
        place = np.indices(entry.alpha.shape).reshape(3, -1)
        columns = [*place.tolist(), _digits(entry.alpha), _digits(entry.beta), entry.rank.ravel().tolist()]
        if energy is not None:
            columns.append(_digits(energy[number]))
        writer.writerows([number, entry.name, *row] for row in zip(*columns, strict=True))
    return out.getvalue()


def _digits(values: np.ndarray) -> list[str]:
    return [f"{v:.9g}" for v in np.asarray(values).ravel().tolist()]


def spectrum_npz(spectrum: SpectrumResult) -> bytes:
    """A NumPy archive without pickles: `warp`, `names`, and for level l `alpha_l`, `beta_l`, `rank_l` (C/2, h, w)."""
    arrays = {"warp": np.array(spectrum.warp), "names": np.array([e.name for e in spectrum.entries])}
    for number, e in enumerate(spectrum.entries):
        arrays |= {f"alpha_{number}": e.alpha, f"beta_{number}": e.beta, f"rank_{number}": e.rank}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


def trajectory_gif(frames: np.ndarray, milliseconds: int = 120, scale: int = 8, hold: int = 1500) -> bytes:
    """An endless animation, pixels enlarged without smoothing.

    Args:
        frames: uint8 (n, H, W, 3), 1 to 128 of them.
        milliseconds: of each frame, 20 to 10000; GIF counts in hundredths of a second.
        scale: enlargement; the result is at most 1024 pixels wide and high.
        hold: milliseconds of the last frame.

    Raises:
        UserError: something out of range.
    """
    good = frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[3] == 3
    if not good or not 1 <= len(frames) <= MAX_FRAMES:
        raise UserError(f"An animation has 1 to {MAX_FRAMES} colour pictures: choose fewer steps.")
    if not (scale >= 1 and scale * max(frames.shape[1:3]) <= MAX_GIF_SIDE):
        raise UserError(f"The animation would be larger than {MAX_GIF_SIDE} pixels: choose a smaller scale.")
    if not (20 <= milliseconds <= 10_000 and 20 <= hold <= 10_000):
        raise UserError("Frames last 20 to 10000 milliseconds.")
    images = [
        Image.fromarray(np.kron(f, np.ones((scale, scale, 1), np.uint8))).quantize(256, dither=Image.Dither.NONE)
        for f in frames
    ]
    buffer = io.BytesIO()
    duration = [milliseconds] * (len(images) - 1) + [hold]
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=duration, loop=0, disposal=1)
    return buffer.getvalue()


def data_uri(picture: np.ndarray) -> str:
    """uint8 (H, W, 3) or (H, W) as an address that holds all of it."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


# ---------------------------------------------------------------------------------------------------------------------
# HTML


@dataclass(frozen=True)
class Table:
    """Attributes: caption; header; rows of text or numbers; floats are shown with 4 digits, None as a dash."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple, ...]


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a report; every text is escaped.

    Attributes:
        title: heading.
        text: paragraphs, one a string.
        pictures: (caption, uint8 (H, W, 3)) each.
        tables: see `Table`.
        figures: (caption, plotly figure) each.
        code: shown as it is, a recipe for example.
    """

    title: str
    text: tuple[str, ...] = ()
    pictures: tuple[tuple[str, np.ndarray], ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[tuple[str, go.Figure], ...] = ()
    code: str = ""


def _cell(value) -> str:
    if value is None:
        return "–"
    return html.escape(f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value))


def _table(table: Table) -> str:
    head = "".join(f"<th>{_cell(h)}</th>" for h in table.header)
    rows = "".join(f"<tr>{''.join(f'<td>{_cell(v)}</td>' for v in row)}</tr>" for row in table.rows)
    caption = html.escape(table.caption)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _plot(caption: str, figure: go.Figure) -> str:
    # "<" as an escape: no text inside a figure can then end the script that carries it
    data = figure.to_json().replace("<", "\\u003c")
    height = int(figure.layout.height or 400)
    label = html.escape(caption)
    return (
        f'<h3>{label}</h3><div class="plot" role="img" aria-label="{label}" style="height:{height}px"></div>'
        f'<script type="application/json">{data}</script>'
    )


def _section(section: Section) -> str:
    parts = ["<section>", f"<h2>{html.escape(section.title)}</h2>" if section.title else ""]
    parts += [f"<p>{html.escape(p)}</p>" for p in section.text]
    if section.pictures:
        figures = "".join(
            f'<figure><img src="{data_uri(p)}" alt="{c}"><figcaption>{c}</figcaption></figure>'
            for c, p in ((html.escape(caption), picture) for caption, picture in section.pictures)
        )
        parts.append(f'<div class="pictures">{figures}</div>')
    parts += [_table(t) for t in section.tables]
    parts += [_plot(c, f) for c, f in section.figures]
    if section.code:
        parts.append(f"<pre>{html.escape(section.code)}</pre>")
    return "".join([*parts, "</section>"])


def report_html(title: str, sections: Sequence[Section]) -> str:
    """One HTML file that shows everything without a network, and whose policy forbids one.

    Pictures are data addresses; plotly's JavaScript is inside once when there is a figure (5 MB), else not at all.
    """
    body = "".join(_section(s) for s in sections)
    scripts = ""
    if any(s.figures for s in sections):
        from plotly.offline import get_plotlyjs  # here: reads 5 MB

        scripts = f"<script>{get_plotlyjs()}</script><script>{DRAW}</script>"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><h1>{html.escape(title)}</h1>{body}{scripts}</body></html>\n"
    )


def figure_html(figure: go.Figure, title: str) -> str:
    """One interactive figure as a file of its own, no network needed."""
    return report_html(title, [Section("", figures=((title, figure),))])
