"""Panel "Grid over two parameters" of the tab Compare: made cell by cell, stopped at will, saved as one picture."""

from __future__ import annotations

import functools
import html
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import gradio as gr
import numpy as np
from gradio.components import Component

from analysis.core.errors import UserError
from analysis.core.images import grid_png
from analysis.koopman.editing import REGIONS
from analysis.workbench import grids
from analysis.workbench.grids import AXES, GRID_KINDS, Cell, Grid
from analysis.workbench.images import MAX_STEPS
from analysis.workbench.library import ModelLibrary
from ui.components.html import data_uri, heading
from ui.components.save_bar import saved_file, saver
from ui.server.errors import guarded
from ui.server.queue import PRIVATE
from ui.server.runs import LONG_QUEUE, PATIENCE, Latest, Superseded, allowed
from ui.source import fitting_label, readable

SINGLE = ""  # the second direction of a grid of one row
EMPTY = '<div class="ks-card ks-hint">Choose two parameters and their values, then make the grid.</div>'


@dataclass(frozen=True)
class Made:
    """A grid as far as it was made. Attributes: grid; cells = rows of pictures, sentences or None (not yet)."""

    grid: Grid
    cells: tuple[tuple[np.ndarray | str | None, ...], ...]

    @property
    def done(self) -> int:
        return sum(c is not None for row in self.cells for c in row)

    @property
    def total(self) -> int:
        return len(self.grid.across) * self.grid.rows


class GridPanel:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        patience: seconds that one grid may take.
    """

    def __init__(self, library: ModelLibrary, patience: float = PATIENCE):
        self.library, self.patience = library, patience
        self._latest = Latest()

    def axes(self, kind: str, x: str, y: str) -> tuple:
        """Choices of both directions for a kind of picture; what does not matter to it gives way."""
        known = [(a.title, name) for name, a in AXES.items() if kind in a.kinds]
        names = [name for _, name in known]
        x = x if x in names else names[-1]
        y = y if y in names and y != x else next(n for n in names if n != x)
        return gr.update(choices=known, value=x), gr.update(choices=[("none: one row", SINGLE), *known], value=y)

    def usual(self, axis: str) -> str:
        """Usual values of a direction."""
        if axis == "model":
            return ", ".join(readable(self.library))
        return AXES[axis].usual if axis in AXES else ""

    def grid(self, kind, x, across, y, down, base: Cell) -> Grid:
        """The grid that the controls ask for. Raises UserError."""
        for name in (x, y) if y else (x,):
            if name not in AXES:
                raise UserError("Choose what changes from column to column, and from row to row.")
        values = AXES[y].values(down) if y else ()
        return Grid(kind, base, x, AXES[x].values(across), y, values)

    def make(
        self, kind, x, across, y, down, reference, ratio, tau, mixed, region, noise, steps, *side
    ) -> Iterator[tuple]:
        """The grid as it grows: page, what can be saved, one line.

        Args:
            kind, x, across, y, down: what is shown and what changes.
            reference, ratio, tau, mixed, region, noise, steps: fixed settings.
            *side: settings of side A.
        """
        model, seed, label, low, high, small, middle, large, order = side
        label = fitting_label(self.library, model, label)
        base = Cell(
            model, seed, label, min(low, high), max(low, high), order, small, middle, large, reference, ratio, tau,
            tuple(mixed or ()), region, noise, steps,
        )  # fmt: skip
        grid = self.grid(kind, x, across, y, down, base)
        made = Made(grid, ((None,) * len(grid.across),) * grid.rows)
        yield self.page(made), made, _status(made)
        patience = allowed(self.patience)
        end = time.monotonic() + patience
        for i, j, cell in grids.make(grid, self.library.get):
            rows = [list(row) for row in made.cells]
            rows[i][j] = cell
            made = Made(grid, tuple(map(tuple, rows)))
            if time.monotonic() > end and made.done < made.total:
                yield self.page(made), made, _line(f"Stopped after {patience:.0f} s; what was made is kept.")
                return
            yield self.page(made), made, _status(made)

    def ask(self, request: gr.Request, *values) -> None:
        """A visitor wants this grid, and no earlier one; arguments as `make`."""
        self._latest.wish(request.session_hash, repr(values))

    def grown(self, request: gr.Request, *values) -> Iterator[tuple]:
        """`make`, until its visitor wants it no more: then the last line says so, and no later one can hide it."""
        made = None
        for page, grown, line in self.make(*values):
            try:
                self._latest.check(request.session_hash, repr(values))
            except Superseded:
                yield (
                    gr.skip(),
                    gr.skip(),
                    _line(f"Stopped: {made.done if made else 0} of {grown.total} cells are kept."),
                )
                return
            made = grown
            yield page, made, line

    def stop(self, made: Made | None, request: gr.Request) -> str:
        """A visitor wants none; one line where nothing is being made, else the grid itself tells its end."""
        self._latest.wish(request.session_hash, None)
        return _line("Nothing is being made.") if made is None or made.done == made.total else gr.skip()

    def page(self, made: Made) -> str:
        """A grid as a table of pictures."""
        across, down, x, y = self._labels(made.grid)
        head = "".join(f'<th scope="col">{html.escape(t)}</th>' for t in across)
        corner = f"<th><span>{html.escape(y)} ↓</span> <span>{html.escape(x)} →</span></th>"
        body = "".join(
            f'<tr><th scope="row">{html.escape(down[i] if down else "")}</th>'
            + "".join(_cell(c, f"{x} {across[j]}{f', {y} {down[i]}' if down else ''}") for j, c in enumerate(row))
            + "</tr>"
            for i, row in enumerate(made.cells)
        )
        if not down:
            corner = f"<th>{html.escape(x)} →</th>"
        table = f'<table class="ks-grid"><thead><tr>{corner}{head}</tr></thead><tbody>{body}</tbody></table>'
        return f'<div class="ks-grid-box" tabindex="0" role="region" aria-label="Grid of pictures">{table}</div>'

    def save(self, made: Made | None) -> str:
        """The grid, as far as it was made, as a PNG."""
        if made is None or not any(isinstance(c, np.ndarray) for row in made.cells for c in row):
            raise UserError("Make a grid first.")
        across, down, x, y = self._labels(made.grid)
        pictures = [[c if isinstance(c, np.ndarray) else None for c in row] for row in made.cells]
        data = grid_png(pictures, across, down, x, y, self._described(made.grid))
        return saved_file(data, f"grid-{made.grid.kind}-{made.grid.x}-{made.grid.y}", "png")

    def _named(self, axis: str, value) -> str:
        return self.library.get(value).name if axis == "model" else AXES[axis].label(value)

    def _labels(self, grid: Grid) -> tuple[list[str], list[str], str, str]:
        across = [self._named(grid.x, v) for v in grid.across]
        down = [self._named(grid.y, v) for v in grid.down] if grid.y else []
        return across, down, AXES[grid.x].title, AXES[grid.y].title if grid.y else ""

    def _described(self, grid: Grid) -> str:
        return grids.describe(grid).replace(grid.base.model, self.library.get(grid.base.model).name)


def _cell(cell: np.ndarray | str | None, what: str) -> str:
    if cell is None:
        return '<td class="ks-wait" aria-label="not made yet"></td>'
    if isinstance(cell, str):
        return f'<td class="ks-wait" title="{html.escape(cell)}">not possible</td>'
    return f'<td><img src="{data_uri(cell)}" alt="{html.escape(what)}" title="{html.escape(what)}"></td>'


def _line(text: str) -> str:
    return f'<p class="ks-line" role="status">{html.escape(text)}</p>'


def _status(made: Made) -> str:
    failed = sum(isinstance(c, str) for row in made.cells for c in row)
    text = f"{made.done} of {made.total} cells" + (" made." if made.done == made.total else " …")
    return _line(f"{text} {failed} not possible: point at one to read why." if failed else text)


def _each(fn):
    """`guarded` for a generator."""

    @functools.wraps(fn)
    def safe(*args):
        steps = fn(*args)
        while (values := guarded(lambda: next(steps, None))()) is not None:
            yield values

    return safe


def build_grid_panel(library: ModelLibrary, side: Sequence[Component]) -> None:
    """Lay the panel out and wire it.

    Args:
        library: the models.
        side: controls of the setting that a grid starts from: model, seed, class, edges, retentions, order.
    """
    tab = GridPanel(library)
    with gr.Column(elem_classes="ks-panel", min_width=0):
        gr.HTML(heading("Grid over two parameters", f"at most {grids.MAX_CELLS} cells; everything else as in A"))
        with gr.Row():
            kind = gr.Dropdown(
                [(title, key) for key, title in GRID_KINDS.items()], value="bands", label="What a cell shows",
                info="one kind for the whole grid", elem_id="grid-kind", min_width=220, filterable=False,
            )  # fmt: skip
            axes = [
                gr.Dropdown(
                    choices=update["choices"],
                    value=update["value"],
                    label=text,
                    info="the parameter that changes",
                    elem_id=f"grid-{name}",
                    min_width=180,
                    filterable=False,
                )
                for update, text, name in zip(
                    tab.axes("bands", "large", "seed"), ("From column to column", "From row to row"), "xy", strict=True
                )
            ]
        with gr.Row():
            info = "separated by commas; 0..7 for whole numbers, 0..1:5 for five numbers evenly spaced"
            texts = [
                gr.Textbox(tab.usual(axis.value), label=f"Values, {way}", info=info, elem_id=f"values-{name}",
                           max_length=grids.MAX_TEXT)
                for axis, way, name in zip(axes, ("columns", "rows"), "xy", strict=True)
            ]  # fmt: skip
        with gr.Accordion("Fixed settings of edits, teacher and colours", open=False, elem_id="grid-fixed"):
            with gr.Row():
                reference = gr.Number(1, precision=0, label="Reference seed", info="of an edit", min_width=140)
                noise = gr.Number(
                    0, precision=0, label="Noise seed", info="of an edit's reference, of colours", min_width=140
                )
                steps = gr.Slider(
                    1, MAX_STEPS, 18, step=1, label="Steps", info="teacher: from 4 on; colours: replacements",
                    buttons=["reset"], min_width=180,
                )  # fmt: skip
            with gr.Row():
                ratio = gr.Slider(
                    0, 1, 0.5, step=0.01, label="Mixing ratio", info="0 original, 1 reference", buttons=["reset"],
                    min_width=180,
                )  # fmt: skip
                tau = gr.Slider(
                    0, 1, 0.5, step=0.01, label="Edit time τ", info="0 picture, 1 noise", buttons=["reset"],
                    min_width=180,
                )  # fmt: skip
                mixed = gr.CheckboxGroup(
                    [("smallest α", 0), ("middle α", 1), ("largest α", 2)], value=[2], label="Bands mixed in",
                    info="of an edit, by rank of α", min_width=220,
                )  # fmt: skip
                region = gr.Dropdown(
                    [(r.replace("-", " "), r) for r in REGIONS if r != "painted"], value="whole", label="Region",
                    info="where an edit reaches", filterable=False, min_width=160,
                )  # fmt: skip
        with gr.Row(elem_classes="ks-buttons"):
            go = gr.Button("Make the grid", variant="primary", size="md", elem_id="grid-make", min_width=140)
            stop = gr.Button("Stop", size="md", elem_id="grid-stop", min_width=80)
            save = gr.Button("Save grid (PNG)", size="md", elem_id="grid-save", min_width=140)
        status = gr.HTML(elem_id="grid-status")
        page = gr.HTML(EMPTY, elem_id="grid-page")
        saved = saver(elem_id="grid-saved")
    made = gr.State(None, time_to_live=3600)

    quick = {"queue": False, "show_progress": "hidden", **PRIVATE}
    x, y = axes
    across, down = texts
    other = kind.input(guarded(tab.axes), [kind, x, y], axes, **quick)
    for axis, text in zip(axes, texts, strict=True):
        axis.input(guarded(tab.usual), axis, text, **quick)
        other.success(guarded(tab.usual), axis, text, **quick)
    asked = [kind, x, across, y, down, reference, ratio, tau, mixed, region, noise, steps, *side]
    wished = go.click(guarded(tab.ask), asked, None, **quick)
    wished.success(_each(tab.grown), asked, [page, made, status], show_progress="hidden", **LONG_QUEUE, **PRIVATE)
    stop.click(guarded(tab.stop), made, status, **quick)
    save.click(guarded(tab.save), made, saved, **quick)
