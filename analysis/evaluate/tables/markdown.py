"""What a section of results is made of, in memory, as JSON and as Markdown.

A cell of a table holds its figures as numbers beside the form in which they are printed, so that a page is rendered
from figures and the figures can be read again without it. A verdict carries the figures that it follows from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from foundation.metrics.statistics import Interval

NOT_DEFINED = "n/a"
DIGITS = 6  # significant ones of a figure in a file, more where the printed form needs them


class Cell(str):
    """A table's cell as it is printed.

    Attributes:
        form: of `str.format`, with one field a figure.
        figures: finite numbers.
    """

    form: str
    figures: tuple[float, ...]

    def __new__(cls, form: str, *figures: float) -> Cell:
        cell = super().__new__(cls, form.format(*figures))
        cell.form, cell.figures = form, tuple(figures)
        return cell


@dataclass(frozen=True)
class Table:
    """Attributes: head = names of the columns; rows = as many cells each, strings or `Cell`."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError("Every row of a table has as many cells as its head.")

    def __str__(self) -> str:
        return "\n".join(f"| {' | '.join(r)} |" for r in (self.head, ["---"] * len(self.head), *self.rows))


@dataclass(frozen=True)
class Verdict:
    """What follows from figures.

    Attributes:
        text: one or more sentences.
        figures: name -> what the sentences were made of: numbers, names, lists of them; JSON.
    """

    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"- **Verdict.** {self.text}"


Block = str | Table | Verdict  # a string is a paragraph


def grid(head: Iterable[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table."""
    return Table(tuple(head), tuple(tuple(r) for r in rows))


def cell(form: str, *figures: float) -> str:
    """Figures in a form; "n/a" where the first is not a number."""
    if math.isnan(figures[0]):
        return NOT_DEFINED
    return Cell(form, *figures) if all(map(math.isfinite, figures)) else form.format(*figures)


def number(value: float | None, form: str) -> str:
    """One figure, form as ".4f"; "n/a" for None and for what is not a number."""
    return NOT_DEFINED if value is None else cell(f"{{:{form}}}", value)


def numbers(values: Iterable[float], form: str) -> list[str]:
    """A cell a figure."""
    return [number(float(v), form) for v in values]


def interval(v: Interval | None, form: str = ".4f", mark: str = "") -> str:
    """A figure with its interval, and what is printed behind it."""
    return NOT_DEFINED if v is None else cell(f"{{:{form}}} [{{:{form}}}, {{:{form}}}]{mark}", v.value, v.low, v.high)


def extremes(values: Sequence[float], form: str) -> str:
    """A mean with the least and the most of several figures; one alone stands alone."""
    mean = sum(values) / len(values)
    return number(mean, form) if len(values) == 1 else interval(Interval(mean, min(values), max(values)), form)


def markdown(blocks: Sequence[Block]) -> str:
    """Blocks below each other; neighbouring verdicts are one list."""
    text = ""
    for before, block in zip([None, *blocks], blocks, strict=False):
        if before is not None:
            text += "\n" if isinstance(before, Verdict) and isinstance(block, Verdict) else "\n\n"
        text += str(block)
    return text


def _figure(value: float, form: str) -> float:
    if isinstance(value, int):
        return value
    short = float(f"{value:.{DIGITS}g}")
    return short if form.format(short) == form.format(float(value)) else float(value)


def _cell_json(text: str) -> str | list:
    if not isinstance(text, Cell):
        return str(text)
    alone = [f"{{{part}}}" for part in _fields(text.form)]
    return [text.form, *(_figure(v, form) for v, form in zip(text.figures, alone, strict=True))]


def _fields(form: str) -> list[str]:
    """The parts of a form in braces."""
    return [part.partition("}")[0] for part in form.split("{")[1:]]


def _finite(value: Any) -> Any:
    """JSON has no infinity and nothing that is not a number: both become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, (list, tuple)) else value


def block_json(block: Block) -> dict[str, Any]:
    """A block as JSON: {"text"}, {"head", "rows"} or {"verdict", "figures"}; a cell with figures: [form, ...]."""
    if isinstance(block, Table):
        return {"head": list(block.head), "rows": [[_cell_json(c) for c in row] for row in block.rows]}
    if isinstance(block, Verdict):
        return {"verdict": block.text} | ({"figures": _finite(dict(block.figures))} if block.figures else {})
    return {"text": block}


def block_of(value: dict[str, Any]) -> Block:
    """What `block_json` wrote.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it is no such thing.
    """
    if "rows" in value:
        cells = [[c if isinstance(c, str) else Cell(*c) for c in row] for row in value["rows"]]
        return grid([str(name) for name in value["head"]], cells)
    if "verdict" in value:
        return Verdict(str(value["verdict"]), dict(value.get("figures", {})))
    return str(value["text"])


def json_text(blocks: Sequence[Block], **about: Any) -> str:
    """One JSON object: what is said of the blocks, then they, a row of a table on one line."""
    plain = lambda v: json.dumps(v, ensure_ascii=False, allow_nan=False)  # noqa: E731
    lines = []
    for block in map(block_json, blocks):
        if "rows" in block:
            rows = ",\n".join(f"   {plain(row)}" for row in block["rows"])
            lines.append(f'  {{"head": {plain(block["head"])},\n   "rows": [\n{rows}\n  ]}}')
        else:
            lines.append(f"  {plain(block)}")
    head = "".join(f" {plain(k)}: {plain(v)},\n" for k, v in about.items())
    return f'{{\n{head} "blocks": [\n' + ",\n".join(lines) + "\n ]\n}\n"
