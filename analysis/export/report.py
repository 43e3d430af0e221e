"""Results as one HTML file that needs nothing else, and the report of a picture."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from analysis.core.images import data_uri
from analysis.figures import spectrum as figures
from analysis.koopman.spectrum import band_names
from analysis.recipes import recipe
from analysis.workbench.images import TrajectoryRequest, TrajectoryResult
from analysis.workbench.library import ModelInfo
from analysis.workbench.spectrum import MaskRequest, SpectrumResult
from analysis.workbench.workbench import Workbench

# Nothing but what the file itself holds may be loaded. Plotly compiles its drawing functions, hence unsafe-eval.
REPORT_POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'"
)
REPORT_STYLE = """
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
        f'<meta http-equiv="Content-Security-Policy" content="{REPORT_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{REPORT_STYLE}</style></head>'
        f"<body><h1>{html.escape(title)}</h1>{body}{scripts}</body></html>\n"
    )


def figure_html(figure: go.Figure, title: str) -> str:
    """One interactive figure as a file of its own, no network needed."""
    return report_html(title, [Section("", figures=((title, figure),))])


STOPS = 6  # pictures of a trajectory that are shown
MOST_TEXT = 200  # characters of a value in a model's card


def picture_report(bench: Workbench, info: ModelInfo, path: TrajectoryRequest, mask: MaskRequest, level: int) -> str:
    """The report as HTML text; needs no network.

    Args:
        bench: the model.
        info: what its file says of itself.
        path: the seed and the teacher's steps.
        mask: bands of the same seed and what is kept of them.
        level: whose eigenvalues are drawn; the last one where the model has fewer.

    Raises:
        UserError: what the Workbench refuses.
    """
    spectrum = bench.spectrum()
    entry = spectrum.entries[min(max(level, 0), len(spectrum.entries) - 1)]
    walked = bench.trajectory(path)
    label = "no class" if path.label < 0 else bench.classes[path.label]
    plane = figures.eigenvalue_plane(entry, mask.edges, mask.order)
    sections = [
        Section(
            "Picture",
            (f"Model {bench.name}, seed {path.seed}, {label}; one network call.",),
            (("from noise in one call", walked.koopman[-1]),),
        ),
        _trajectory(walked),
        Section(
            "Spectrum",
            (f"Time variable: {spectrum.warp}. α < 0 grows on the way to the picture, α > 0 fades.",),
            tables=(_levels(spectrum),),
            figures=((f"Eigenvalues of {entry.name}", plane), ("Sorted α", figures.sorted_real_parts(spectrum))),
        ),
        _bands(bench, mask),
        Section("Model", tables=(_card(info),)),
        Section("Recipe of the trajectory", code=recipe.to_json(recipe.describe(path, bench))),
        Section("Recipe of the bands", code=recipe.to_json(recipe.describe(mask, bench))),
    ]
    return report_html(f"Koopman Studio: {bench.name}, seed {path.seed}", sections)


def _trajectory(walked: TrajectoryResult) -> Section:
    stops = np.unique(np.linspace(0, len(walked.sigma) - 1, STOPS).round().astype(int))
    pictures = [(f"Koopman path, σ = {walked.sigma[i]:.3g}", walked.koopman[i]) for i in stops]
    if walked.denoised is None:
        return Section("From noise to picture", ("This model has no teacher to compare with.",), tuple(pictures))
    pictures += [(f"teacher, denoised, σ = {walked.sigma[i]:.3g}", walked.denoised[i]) for i in stops]
    text = f"Koopman path: {walked.nfe_model} encoding. Teacher: {walked.nfe_teacher} network calls."
    curve = ("Koopman path against the teacher", figures.error_curve(walked))
    return Section("From noise to picture", (text,), tuple(pictures), figures=(curve,))


def _levels(spectrum: SpectrumResult) -> Table:
    rows = []
    for e in spectrum.entries:
        numbers = (float(f(v)) for v in (e.alpha, np.abs(e.beta)) for f in (np.mean, np.std))
        rows.append((e.name, "×".join(map(str, e.shape)), *numbers))
    return Table("Levels, per unit τ", ("level", "shape", "mean α", "sd α", "mean |β|", "sd |β|"), tuple(rows))


def _bands(bench: Workbench, mask: MaskRequest) -> Section:
    result = bench.mask_bands(mask)
    names = band_names(len(mask.gains), mask.order)
    rows = tuple(
        (name, int(modes), f"{100 * float(share):.1f} %", float(gain))
        for name, modes, share, gain in zip(names, result.modes, result.share, mask.gains, strict=True)
    )
    edges = ", ".join(f"{e:.3g}" for e in mask.edges)
    where = "all levels" if not mask.entries else f"levels {', '.join(map(str, mask.entries))}"
    return Section(
        "Bands",
        (f"Edges at the quantiles {edges} within each level, {where}. MSE to all modes: {result.mse:.4g}.",),
        (
            ("all modes", result.full),
            ("kept bands", result.masked),
            (f"difference, magnified × {result.magnification:.3g}", result.difference),
        ),
        (Table("Bands", ("band", "modes", "energy", "kept"), rows),),
    )


def _card(info: ModelInfo) -> Table:
    """The card, its tables opened one level deep; what is longer still is cut."""
    rows = [("name", info.name), ("parameters", info.parameters), ("pictures", f"{info.side} × {info.side}")]
    for key, value in info.card.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for name, v in inner:
            text = v if isinstance(v, (int, float)) else str(v)
            cut = f"{text[:MOST_TEXT]} …" if isinstance(text, str) and len(text) > MOST_TEXT else text
            rows.append((f"{key} {name}".strip(), cut))
    return Table("From the model's file", ("", "value"), tuple(rows))
