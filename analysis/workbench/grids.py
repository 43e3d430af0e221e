"""A grid of pictures over two parameters: which they are, what values they take, and one cell at a time.

A cell is a set of settings; a kind says which question they are put into. Cells of one seed share its encoding, which
the Workbench keeps.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import real, whole
from analysis.koopman.editing import REGIONS
from analysis.workbench.editing import EditRequest
from analysis.workbench.images import MAX_GRID_STEPS, GenerateRequest, TrajectoryRequest
from analysis.workbench.restoration import ColorizeRequest
from analysis.workbench.spectrum import MaskRequest
from analysis.workbench.workbench import Workbench
from foundation.randomness import MAX_SEED

MAX_GRID_CELLS = 64
MAX_LABEL_TEXT = 600
GRID_KINDS = {
    "bands": "Bands kept to a share",
    "edit": "Frequency-aware edit",
    "teacher": "Teacher's sample",
    "colorize": "Colours made up for the seed's own picture",
}
BAND_WORDS = ("small", "middle", "large")


@dataclass(frozen=True)
class Cell:
    """All settings that a picture of a grid can have.

    Attributes:
        model, seed, label: whose picture; label -1 = no class.
        low, high: edges of the three bands; order = "alpha" or "abs".
        small, middle, large: retention of each band, 0 to 2 ("bands").
        reference, ratio, time, mixed, region: reference seed, mixing ratio, edit time in tau, bands, region ("edit").
        noise: seed of the noise added to the reference ("edit") and of the colours ("colorize").
        steps: of the teacher's grid, or of algorithm 4 ("colorize").
    """

    model: str
    seed: int = 0
    label: int = -1
    low: float = 0.33
    high: float = 0.67
    order: str = "alpha"
    small: float = 1.0
    middle: float = 1.0
    large: float = 1.0
    reference: int = 1
    ratio: float = 0.5
    time: float = 0.5
    mixed: tuple[int, ...] = (0,)
    region: str = "whole"
    noise: int = 0
    steps: int = 18


def question(kind: str, cell: Cell) -> GenerateRequest | MaskRequest | EditRequest | TrajectoryRequest:
    """The Workbench's request that a cell starts with. Raises UserError where a value is out of range."""
    edges = (cell.low, cell.high)
    if kind == "bands":
        return MaskRequest(cell.seed, cell.label, edges, (cell.small, cell.middle, cell.large), cell.order)
    if kind == "edit":
        return EditRequest(
            cell.seed, cell.label, reference_seed=cell.reference, reference_label=cell.label, noise_seed=cell.noise,
            tau=cell.time, edges=edges, bands=cell.mixed, order=cell.order, ratio=cell.ratio, region=cell.region,
        )  # fmt: skip
    if kind == "teacher":
        return TrajectoryRequest(cell.seed, cell.label, cell.steps)
    whole(cell.noise, 0, MAX_SEED, "The noise seed", "noise")
    whole(cell.steps, 1, MAX_GRID_STEPS, "The number of steps", "steps")
    return GenerateRequest((cell.seed,), cell.label)


def picture(kind: str, cell: Cell, bench: Workbench) -> np.ndarray:
    """One cell, uint8 (H, W, 3). Raises UserError where the model cannot make it."""
    request = question(kind, cell)
    if isinstance(request, MaskRequest):
        return bench.mask_bands(request).masked
    if isinstance(request, EditRequest):
        return bench.edit(request).edited
    if isinstance(request, TrajectoryRequest):
        final = bench.trajectory(request).final if bench.teacher else None
        if final is None:
            raise UserError("This model has no teacher: choose another model or another kind of picture.", "kind")
        return final
    own = bench.generate(request).pictures[0]
    return bench.colorize(ColorizeRequest(own, cell.noise, cell.label, cell.steps, truth=False)).picture


# ---------------------------------------------------------------------------------------------------------------------
# Axes


def _items(text: str) -> list[str]:
    if not isinstance(text, str) or len(text) > MAX_LABEL_TEXT:
        raise UserError(f"Values are a text of at most {MAX_LABEL_TEXT} characters, separated by commas.", "values")
    return [item for item in re.split(r"[,;\s]+", text.strip()) if item]


def _number(item: str, what: str) -> float:
    try:
        return float(item)
    except ValueError:
        raise UserError(f"{what}: give numbers separated by commas, or a range as in 0..7.", "values") from None


def _numbers(text: str, what: str) -> list[float]:
    """`0, 0.5, 1`; `0..7` for whole numbers; `0..1:5` for five values evenly spaced."""
    values: list[float] = []
    for item in _items(text):
        first, dots, rest = item.partition("..")
        if not dots:
            values.append(_number(item, what))
            continue
        last, _, count = rest.partition(":")
        start, end = _number(first, what), _number(last, what)
        n = whole(_number(count, what) if count else abs(end - start) + 1, 1, MAX_GRID_CELLS, f"{what}: the count")
        values += np.linspace(start, end, n).tolist()
    return values


def _wholes(low: int, high: int) -> Callable[[str, str], list]:
    return lambda text, what: [whole(v, low, high, what) for v in _numbers(text, what)]


def _reals(low: float, high: float) -> Callable[[str, str], list]:
    return lambda text, what: [real(v, low, high, what) for v in _numbers(text, what)]


def _bands(text: str, what: str) -> list[tuple[int, ...]]:
    out = []
    for item in _items(text):
        words = item.lower().split("+")
        if not set(words) <= set(BAND_WORDS):
            raise UserError(f"{what}: write {', '.join(BAND_WORDS)}, or several joined as in small+large.", "values")
        out.append(tuple(sorted({BAND_WORDS.index(w) for w in words})))
    return out


def _words(text: str, what: str) -> list[str]:
    return _items(text)


@dataclass(frozen=True)
class Axis:
    """Attributes: title; field of `Cell`; kinds that it matters to; read = text -> values; usual values as a text."""

    title: str
    field: str
    kinds: tuple[str, ...]
    read: Callable[[str, str], list]
    usual: str

    def values(self, text: str) -> tuple:
        """The values in a text. Raises UserError."""
        values = tuple(self.read(text, self.title))
        if not 1 <= len(values) <= MAX_GRID_CELLS:
            raise UserError(f"{self.title}: give 1 to {MAX_GRID_CELLS} values, separated by commas.", "values")
        return values

    def label(self, value) -> str:
        """A value for people."""
        if self.field == "mixed":
            return "+".join(BAND_WORDS[b] for b in value)
        if self.field == "label" and value == -1:
            return "none"
        return f"{value:g}" if isinstance(value, float) else str(value)


_ALL, _EDGES = tuple(GRID_KINDS), ("bands", "edit")
AXES = {
    axis.field: axis
    for axis in (
        Axis("Seed", "seed", _ALL, _wholes(0, MAX_SEED), "0..7"),
        Axis("Model", "model", _ALL, _words, ""),
        Axis("Class", "label", _ALL, _wholes(-1, 9999), "-1"),
        Axis("Keep smallest α", "small", ("bands",), _reals(0, 2), "0, 0.5, 1, 1.5, 2"),
        Axis("Keep middle α", "middle", ("bands",), _reals(0, 2), "0, 0.5, 1, 1.5, 2"),
        Axis("Keep largest α", "large", ("bands",), _reals(0, 2), "0, 0.5, 1, 1.5, 2"),
        Axis("Lower edge", "low", _EDGES, _reals(0, 1), "0, 0.2, 0.4, 0.6"),
        Axis("Upper edge", "high", _EDGES, _reals(0, 1), "0.4, 0.6, 0.8, 1"),
        Axis("Bands mixed in", "mixed", ("edit",), _bands, "small, middle, large, small+middle+large"),
        Axis("Mixing ratio", "ratio", ("edit",), _reals(0, 1), "0, 0.25, 0.5, 0.75, 1"),
        Axis("Edit time τ", "time", ("edit",), _reals(0, 1), "0.2, 0.35, 0.5, 0.65, 0.8"),
        Axis("Reference seed", "reference", ("edit",), _wholes(0, MAX_SEED), "1..4"),
        Axis("Noise seed", "noise", ("edit", "colorize"), _wholes(0, MAX_SEED), "0..3"),
        Axis("Steps", "steps", ("teacher", "colorize"), _wholes(1, MAX_GRID_STEPS), "4, 8, 18, 40"),
    )
}


@dataclass(frozen=True)
class Grid:
    """A grid to be made.

    Attributes:
        kind: one of `GRID_KINDS`.
        base: what all cells have in common.
        x, y: names of `AXES`; y may be "" for a single row.
        across, down: their values; () down for a single row.
    """

    kind: str
    base: Cell
    x: str
    across: tuple
    y: str = ""
    down: tuple = ()

    def __post_init__(self) -> None:
        if self.kind not in GRID_KINDS:
            raise UserError(f"A grid shows one of: {', '.join(GRID_KINDS)}.", "kind")
        if self.base.region not in REGIONS or self.base.region == "painted":
            raise UserError("A grid edits the whole picture or one of the named regions: choose one.", "region")
        for name in (self.x, self.y) if self.y else (self.x,):
            if name not in AXES or self.kind not in AXES[name].kinds:
                raise UserError(
                    f"This parameter does not matter to “{GRID_KINDS[self.kind]}”: choose another one.", "parameter"
                )
        if self.x == self.y:
            raise UserError(
                "Both directions have the same parameter: choose another one, or none for a single row.", "down"
            )
        if not 1 <= len(self.across) * self.rows <= MAX_GRID_CELLS:
            raise UserError(
                f"{len(self.across)} x {self.rows} cells are too many: at most {MAX_GRID_CELLS} fit a grid.", "values"
            )
        problem = UserError("A grid has at least one cell: give values.", "values")
        for _, _, cell in self.cells():
            try:
                question(self.kind, cell)
                return
            except UserError as e:
                problem = e
        raise problem  # nothing can be made: better said at once

    @property
    def rows(self) -> int:
        return len(self.down) if self.y else 1

    def cells(self) -> Iterator[tuple[int, int, Cell]]:
        """(row, column, settings), row by row."""
        for i in range(self.rows):
            row = dataclasses.replace(self.base, **{self.y: self.down[i]}) if self.y else self.base
            for j, value in enumerate(self.across):
                yield i, j, dataclasses.replace(row, **{self.x: value})


def make(grid: Grid, bench_of: Callable[[str], Workbench]) -> Iterator[tuple[int, int, np.ndarray | str]]:
    """The cells as they are done: (row, column, picture), or a sentence where a cell cannot be made.

    Args:
        grid: what to make.
        bench_of: the workbench of a model's name.
    """
    for i, j, cell in grid.cells():
        done: np.ndarray | str
        try:
            done = picture(grid.kind, cell, bench_of(cell.model))
        except UserError as e:
            done = str(e)
        yield i, j, done


def describe(grid: Grid) -> str:
    """What all cells have in common, in one line."""
    used = [axis for name, axis in AXES.items() if grid.kind in axis.kinds and name not in (grid.x, grid.y)]
    common = [f"{axis.title.lower()} {axis.label(getattr(grid.base, axis.field))}" for axis in used]
    return f"{GRID_KINDS[grid.kind]}: {', '.join(common)}"
