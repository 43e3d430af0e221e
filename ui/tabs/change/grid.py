"""View "Grid" of "Change", over any two parameters: made cell by cell, stopped at will, saved as one picture."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import gradio as gr
import numpy as np
from gradio.components import Component

from analysis.core.errors import UserError
from analysis.core.images import data_uri, grid_png
from analysis.koopman.editing import REGIONS
from analysis.workbench import grids
from analysis.workbench.grids import AXES, GRID_KINDS, Cell, Grid
from analysis.workbench.images import MAX_GRID_STEPS
from analysis.workbench.library import ModelLibrary
from ui.components.controls import Controls, chosen
from ui.components.history import CLICKS
from ui.components.html import figure_html
from ui.components.layout import Frame, empty_html, group, intro, only
from ui.components.made import Made
from ui.components.plot import points
from ui.components.save_bar import saved_file, saver
from ui.server.errors import guarded
from ui.server.queue import AS_SENT, PRIVATE
from ui.server.runs import LONG_QUEUE, RUN_SECONDS, Latest, Superseded
from ui.source import Workspace, fitting_label, made_with, readable

SENTENCE = f"A grid over any two parameters, at most {grids.MAX_GRID_CELLS} cells; everything else stays as in A."
IDLE = "Nothing is being made."
SINGLE, ONE_ROW = "", "none: one row"  # the second direction of a grid of one row, and what it is called
EMPTY = empty_html(
    "Two parameters change, from column to column and from row to row.",
    ("Make the grid", "grid-make"),
    at_once="grid-make",
)


@dataclass(frozen=True)
class PartialGrid:
    """A grid as far as it is there.

    Attributes: grid; cells = rows of pictures, sentences or None (not yet).
    """

    grid: Grid
    cells: tuple[tuple[np.ndarray | str | None, ...], ...]

    @property
    def done(self) -> int:
        return sum(c is not None for row in self.cells for c in row)

    @property
    def total(self) -> int:
        return len(self.grid.across) * self.grid.rows


@dataclass(frozen=True)
class GridControls(Controls):
    """Components of the panel; `result` is a `PartialGrid`."""

    kind: gr.Dropdown
    x: gr.Dropdown
    y: gr.Dropdown
    across: gr.Textbox
    down: gr.Textbox
    reference: gr.Number
    noise: gr.Number
    steps: gr.Slider
    ratio: gr.Slider
    time: gr.Slider
    mixed: gr.CheckboxGroup
    region: gr.Dropdown
    start: gr.Button
    stop: gr.Button
    save: gr.Button
    status: gr.HTML
    cell: gr.HTML
    page: gr.HTML
    saved: gr.HTML
    result: gr.State


FIXED = ("reference", "ratio", "time", "mixed", "region", "noise", "steps")
QUESTION = ("kind", "x", "across", "y", "down", *FIXED)


class GridPanel:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the panel, or their names.
        patience: seconds that one grid may take.
    """

    def __init__(self, library: ModelLibrary, controls: GridControls, patience: float = RUN_SECONDS):
        self.library, self.controls, self.patience = library, controls, patience
        self._latest = Latest()

    def axes(self, kind: str, x: str, y: str) -> dict:
        """Choices of both directions for a kind of picture; what does not matter to it gives way."""
        known = [(a.title, name) for name, a in AXES.items() if kind in a.kinds]
        names = [name for _, name in known]
        x = x if x in names else names[-1]
        y = y if y in names and y != x else next(n for n in names if n != x)
        c = self.controls
        return {
            c.x: gr.update(choices=known, value=x),
            c.y: gr.update(choices=[(ONE_ROW, SINGLE), *known], value=y),
        }

    def settle(self, asked: Mapping[str, str], out: Mapping) -> dict:
        """Both directions of an address, whose choices are those of its kind; see `BuiltTab.settle`."""
        c, names = self.controls, {a.title: name for name, a in AXES.items()}
        lists = {"x": c.x, "y": c.y}
        if not {part.elem_id for part in (c.kind, *lists.values())} & asked.keys():
            return {}
        now = {name: names.get(asked.get(part.elem_id, ""), part.value) for name, part in lists.items()}
        shown = self.axes(chosen(c.kind, out), **now)
        if asked.get(c.y.elem_id) == ONE_ROW:
            shown[c.y]["value"] = SINGLE
        texts = ((c.x, c.across), (c.y, c.down))
        return shown | {text: self.usual(shown[axis]["value"]) for axis, text in texts if text not in out}

    def usual(self, axis: str) -> str:
        """Usual values of a direction."""
        if axis == "model":
            return ", ".join(readable(self.library))
        return AXES[axis].usual if axis in AXES else ""

    def grid(self, kind, x, across, y, down, base: Cell) -> Grid:
        """The grid that the controls ask for. Raises UserError."""
        for name in (x, y) if y else (x,):
            if name not in AXES:
                raise UserError("Choose what changes from column to column, and from row to row.", "across")
        values = AXES[y].values(down) if y else ()
        return Grid(kind, base, x, AXES[x].values(across), y, values)

    def make(self, kind, x, across, y, down, mixed, **setting) -> Iterator[dict]:
        """The grid as it grows: page, what can be saved, one line.

        Args:
            kind, x, across, y, down: what is shown and what changes.
            mixed: bands of an edit.
            **setting: the other fields of `Cell`: fixed settings and those of side A.
        """
        low, high = setting["low"], setting["high"]
        label = fitting_label(self.library.get(setting["model"]), setting["label"])
        fixed = {"label": label, "low": min(low, high), "high": max(low, high), "mixed": tuple(mixed or ())}
        grid = self.grid(kind, x, across, y, down, Cell(**setting | fixed))
        part = PartialGrid(grid, ((None,) * len(grid.across),) * grid.rows)
        yield self._shown(part)
        end = time.monotonic() + self.patience
        for i, j, cell in grids.make(grid, self.library.get):
            rows = [list(row) for row in part.cells]
            rows[i][j] = cell
            part = PartialGrid(grid, tuple(map(tuple, rows)))
            if time.monotonic() > end and part.done < part.total:
                line = _line(f"Stopped after {self.patience:.0f} s; the cells that are there stay.")
                yield {**self._shown(part), self.controls.status: line}
                return
            yield self._shown(part)

    def _shown(self, part: PartialGrid) -> dict:
        c = self.controls
        return {c.page: self.page(part), c.result: part, c.status: _status(part)}

    def wish(self, request: gr.Request, **values) -> None:
        """A visitor wants this grid, and no earlier one; arguments as `make`."""
        self._latest.wish(request.session_hash, repr(sorted(values.items())))

    def grow(self, request: gr.Request, **values) -> Iterator[dict]:
        """`make`, until its visitor wants it no more: then the last line says so, and no later one can hide it."""
        c, done = self.controls, 0
        for shown in self.make(**values):
            part = shown[c.result]
            try:
                self._latest.check(request.session_hash, repr(sorted(values.items())))
            except Superseded:
                yield {c.status: _line(f"Stopped: {done} of {part.total} cells are kept.")}
                return
            done = part.done
            yield shown

    def stop(self, request: gr.Request, result: PartialGrid | None) -> str:
        """A visitor wants none; one line where nothing is being made, else the grid itself tells its end."""
        self._latest.wish(request.session_hash, None)
        return _line(IDLE) if result is None or result.done == result.total else gr.skip()

    def page(self, result: PartialGrid) -> str:
        """A grid as a table of pictures."""
        across, down, x, y = self._labels(result.grid)
        head = "".join(f'<th scope="col">{html.escape(t)}</th>' for t in across)
        corner = f"<th><span>{html.escape(y)} ↓</span> <span>{html.escape(x)} →</span></th>"
        body = "".join(
            f'<tr><th scope="row">{html.escape(down[i] if down else "")}</th>'
            + "".join(_cell(c, i * len(row) + j, self._named_cell(result.grid, i, j)) for j, c in enumerate(row))
            + "</tr>"
            for i, row in enumerate(result.cells)
        )
        if not down:
            corner = f"<th>{html.escape(x)} →</th>"
        table = f'<table class="ks-grid"><thead><tr>{corner}{head}</tr></thead><tbody>{body}</tbody></table>'
        box = f'<div class="ks-grid-box" tabindex="0" role="region" aria-label="Grid of pictures">{table}</div>'
        return box + self._made(result.grid).line()

    def _made(self, grid: Grid) -> Made:
        """What all cells have in common: what differs between them is no reason to grey them."""
        base, free = grid.base, {grid.x, grid.y}
        made = made_with(self.library.get(base.model), base.seed, base.label)
        fixed = {name: None for name in ("model", "label", "seed") if name in free}
        return replace(made, **fixed, at="-a")

    def _named_cell(self, grid: Grid, i: int, j: int) -> str:
        across, down, x, y = self._labels(grid)
        return f"{x} {across[j]}{f', {y} {down[i]}' if down else ''}"

    def open_cell(self, event: gr.EventData, *, result: PartialGrid | None) -> str:
        """A cell was clicked: its picture, large, above the grid."""
        if result is None:
            return ""
        wide = len(result.cells[0])
        found = points(event, wide * len(result.cells))
        if not found:
            return ""
        i, j = divmod(found[0], wide)
        cell = result.cells[i][j]
        if not isinstance(cell, np.ndarray):
            return _line(cell or "This cell is not made yet.")
        name = f"grid-{result.grid.kind}-{i}-{j}.png"
        return figure_html(cell, self._named_cell(result.grid, i, j), self._described(result.grid), name, "ks-opened")

    def save(self, result: PartialGrid | None) -> str:
        """The grid, as far as it is there, as a PNG."""
        if result is None or not any(isinstance(c, np.ndarray) for row in result.cells for c in row):
            raise UserError("Make a grid first.", "grid")
        across, down, x, y = self._labels(result.grid)
        pictures = [[c if isinstance(c, np.ndarray) else None for c in row] for row in result.cells]
        data = grid_png(pictures, across, down, x, y, self._described(result.grid))
        return saved_file(data, f"grid-{result.grid.kind}-{result.grid.x}-{result.grid.y}", "png")

    def _named(self, axis: str, value) -> str:
        return self.library.get(value).name if axis == "model" else AXES[axis].label(value)

    def _labels(self, grid: Grid) -> tuple[list[str], list[str], str, str]:
        across = [self._named(grid.x, v) for v in grid.across]
        down = [self._named(grid.y, v) for v in grid.down] if grid.y else []
        return across, down, AXES[grid.x].title, AXES[grid.y].title if grid.y else ""

    def _described(self, grid: Grid) -> str:
        return grids.describe(grid).replace(grid.base.model, self.library.get(grid.base.model).name)


def _cell(cell: np.ndarray | str | None, number: int, what: str) -> str:
    if cell is None:
        return '<td class="ks-wait" aria-label="not made yet"></td>'
    if isinstance(cell, str):
        return f'<td class="ks-wait" title="{html.escape(cell)}">not possible</td>'
    what = html.escape(what)
    return (
        f'<td><button type="button" data-index="{number}" title="{what}"><img src="{data_uri(cell)}" alt="{what}">'
        "</button></td>"
    )


def _line(text: str) -> str:
    return f'<p class="ks-line" role="status">{html.escape(text)}</p>'


def _status(result: PartialGrid) -> str:
    failed = sum(isinstance(c, str) for row in result.cells for c in row)
    text = f"{result.done} of {result.total} cells" + (" made." if result.done == result.total else " …")
    return _line(f"{text} {failed} not possible: point at one to read why." if failed else text)


# ---------------------------------------------------------------------------------------------------------------------
# The page


def _directions(early: GridPanel) -> dict:
    """What a cell shows, both directions and their values."""
    kind = gr.Dropdown(
        [(title, key) for key, title in GRID_KINDS.items()], value="bands", label="What a cell shows",
        info="one kind for the whole grid", elem_id="grid-kind", filterable=False,
    )  # fmt: skip
    first, parts = early.axes("bands", "large", "seed"), {"kind": kind}
    info = "separated by commas; 0..7 for whole numbers, 0..1:5 for five numbers evenly spaced"
    for name, text, values, way in (
        ("x", "From column to column", "across", "columns"), ("y", "From row to row", "down", "rows"),
    ):  # fmt: skip
        parts[name] = gr.Dropdown(
            choices=first[name]["choices"], value=first[name]["value"], label=text,
            info="the parameter that changes", elem_id=f"grid-{name}", filterable=False,
        )  # fmt: skip
        parts[values] = gr.Textbox(
            early.usual(parts[name].value), label=f"Values, {way}", info=info, elem_id=f"values-{name}",
            max_length=grids.MAX_LABEL_TEXT,
        )  # fmt: skip
    return parts


def _fixed_settings() -> dict:
    """Settings of edits, teacher and colours that no direction changes."""
    with gr.Row(elem_classes="ks-two"):
        reference = gr.Number(1, precision=0, label="Reference seed", info="of an edit", min_width=110)
        noise = gr.Number(0, precision=0, label="Noise seed", info="of an edit, of colours", min_width=110)
    steps = gr.Slider(
        1,
        MAX_GRID_STEPS,
        18,
        step=1,
        label="Steps",
        info="teacher: from 4 on; colours: replacements",
        buttons=["reset"],
    )
    ratio = gr.Slider(0, 1, 0.5, step=0.01, label="Mixing ratio", info="0 original, 1 reference", buttons=["reset"])
    edit_time = gr.Slider(0, 1, 0.5, step=0.01, label="Edit time τ", info="0 picture, 1 noise", buttons=["reset"])
    mixed = gr.CheckboxGroup(
        [("smallest α", 0), ("middle α", 1), ("largest α", 2)], value=[2], label="Bands mixed in",
        info="of an edit, by rank of α",
    )  # fmt: skip
    region = gr.Dropdown(
        [(r.replace("-", " "), r) for r in REGIONS if r != "painted"], value="whole", label="Region",
        info="where an edit reaches", filterable=False,
    )  # fmt: skip
    return {
        "reference": reference, "noise": noise, "steps": steps, "ratio": ratio, "time": edit_time, "mixed": mixed,
        "region": region,
    }  # fmt: skip


def build_grid(work: Workspace, frame: Frame, side: Mapping[str, Component]) -> GridPanel:
    """Lay the view out and wire it.

    Args:
        work: what it stands on.
        frame: the columns of its tab.
        side: controls of the setting that a grid starts from, by the names of `Cell`'s fields.
    """
    early = GridPanel(work.library, GridControls.names())
    with frame.controls:
        intro(SENTENCE, "", "grid")
        with group("grid"):
            parts = _directions(early)
            with gr.Row(elem_classes="ks-buttons"):
                parts["start"] = gr.Button(
                    "Make the grid", variant="primary", size="md", elem_id="grid-make", min_width=130
                )
                parts["stop"] = gr.Button("Stop", size="md", elem_id="grid-stop", min_width=70)
            with gr.Accordion("Settings that stay", open=False, elem_id="grid-fixed"):
                parts |= _fixed_settings()
    with frame.stage, gr.Column(min_width=0, elem_classes=only("grid")):
        parts["cell"] = gr.HTML(elem_id="grid-cell")
        parts["page"] = gr.HTML(EMPTY, js_on_load=CLICKS, elem_id="grid-page", elem_classes="ks-result")
    with frame.readings, group("grid"):
        parts["status"] = gr.HTML(elem_id="grid-status")
        parts["save"] = gr.Button("Save grid (PNG)", size="md", elem_id="grid-save", min_width=140)
        parts["saved"] = saver(elem_id="grid-saved")
    c = GridControls(**parts, result=gr.State(None, time_to_live=3600))
    tab = GridPanel(work.library, c, work.bounded(RUN_SECONDS))

    quick = {"queue": False, "show_progress": "hidden", **PRIVATE}
    other = c.kind.input(guarded(tab.axes), [c.kind, c.x, c.y], [c.x, c.y], **quick, **AS_SENT)
    for axis, text in ((c.x, c.across), (c.y, c.down)):
        axis.input(guarded(tab.usual), axis, text, **quick)
        other.success(guarded(tab.usual), axis, text, **quick)
    asked = {"inputs_kwargs": {**c.named(*QUESTION), **side}}
    wished = c.start.click(guarded(tab.wish), **asked, **quick)
    wished.success(
        guarded(tab.grow), **asked, outputs=c.listed("page", "result", "status"), show_progress="hidden", **LONG_QUEUE,
        **PRIVATE,
    )  # fmt: skip
    wished.success(lambda: "", None, c.cell, **quick)
    c.page.select(guarded(tab.open_cell), inputs_kwargs={"result": c.result}, outputs=c.cell, **quick)
    c.stop.click(guarded(tab.stop), c.result, c.status, **quick)
    c.save.click(guarded(tab.save), c.result, c.saved, **quick)
    return tab
