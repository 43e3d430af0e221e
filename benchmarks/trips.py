"""How far one question travels through the house: files entered, and moves between them, from handler to answer.

The page is built as `python app.py` builds it; the handler behind a control is called as Gradio calls it, once so that
all is warm, and once more with another value, watched by `sys.setprofile`. Functions of this repository count, those of
libraries do not; a move is a call into another file than that of the call before.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from analysis.core.errors import UserError
from benchmarks.timing import print_table

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = "/site-packages/"  # an environment may lie within the repository, as CI's does


@dataclass(frozen=True)
class Question:
    """A control that is moved. Attributes: what it asks; elem_id; value it is moved to; aims, None for none."""

    what: str
    control: str
    value: float
    most_files: int
    most_moves: int | None


QUESTIONS = (
    Question("ratio of an edit", "edit-ratio", 60, 12, 40),
    Question("NFE of a flow in the plane", "flow-nfe-a", 8, 16, 350),
)


@dataclass(frozen=True)
class Trip:
    """Attributes: files, in the order in which they are first entered; moves between them."""

    files: tuple[str, ...]
    moves: int


def trip(ask: Callable[[], Any], root: Path = ROOT) -> Trip:
    """What a question enters of the repository at `root`, in this thread. Raises what it raises."""
    files: dict[str, None] = {}
    moves, last = 0, ""

    def watch(frame: FrameType, event: str, arg: object) -> None:
        nonlocal moves, last
        name = frame.f_code.co_filename
        if event != "call" or not name.startswith(f"{root}/") or name == __file__ or LIBRARIES in name:
            return
        moves += bool(last) and name != last
        last = name
        files.setdefault(str(Path(name).relative_to(root)))

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        ask()
    finally:
        sys.setprofile(before)
    return Trip(tuple(files), moves)


def handler(page: Any, control: str) -> Callable[[float], Any]:
    """What the page does when a control is moved, as a function of the control's value; others are as they open.

    Raises:
        UserError: the page has no such control, or does nothing when it is moved.
    """
    blocks = {getattr(block, "elem_id", None): block for block in page.blocks.values()}
    if control not in blocks:
        raise UserError(f"The page has no control {control}: see its elem_ids.", "control")
    ours = blocks[control]._id
    found = next((fn for fn in page.fns.values() if fn.fn and (ours, "input") in fn.targets), None)
    if found is None:
        raise UserError(f"Nothing happens when {control} is moved: choose another control.", "control")

    named = list(found.input_keyword_names)  # of the last inputs, which the page gives by name

    def ask(value: float) -> Any:
        values = [value if block._id == ours else getattr(block, "value", None) for block in found.inputs]
        first = len(values) - len(named)
        return found.fn(*values[:first], **dict(zip(named, values[first:], strict=True)))

    return ask


def run() -> None:
    """Print both trips, and the files of each."""
    app = importlib.import_module("app")  # at run time: benchmarks that need no page run without Gradio
    app.prepare_environment()
    page, _ = app.page(app.parse([]))
    rows, lists = [], []
    for question in QUESTIONS:
        ask = handler(page, question.control)
        ask(question.value - 1)
        there = trip(functools.partial(ask, question.value))
        rows.append(
            [
                question.what,
                str(len(there.files)),
                str(question.most_files),
                str(there.moves),
                str(question.most_moves or ""),
            ]
        )
        lists.append(f"{question.what}: {', '.join(there.files)}")
    print_table("Trips of one question", ["trip", "files", "at most", "moves", "at most"], rows)
    print("", *lists, sep="\n")
