"""Past results of a visit: an immutable list with a place in it, pure steps through it, and the strip that shows it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr
import numpy as np

from analysis.core.images import data_uri

MOST_RESULTS = 50
MOST_CHARACTERS = 400_000  # recipes that carry pictures are long; the oldest give way
THUMBNAILS = 2000  # of all visitors
# a click on a button with a number triggers `select`, to be read with `ui.components.plot.points`
CLICKS = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-index]");
  if (button) trigger("select", { points: [Number(button.dataset.index)] });
});"""


@dataclass(frozen=True)
class History:
    """Attributes: recipes as JSON text, oldest first; at = index of the one that is shown, -1 in an empty history."""

    recipes: tuple[str, ...] = ()
    at: int = -1

    @property
    def current(self) -> str | None:
        return self.recipes[self.at] if self.recipes else None

    @property
    def can_undo(self) -> bool:
        return self.at > 0

    @property
    def can_redo(self) -> bool:
        return self.at < len(self.recipes) - 1


def push(history: History, recipe: str, instead: bool = False) -> History:
    """A new result: what was undone is forgotten, and so are the oldest beyond the bounds.

    Args:
        history: so far.
        recipe: of the new result; the one that is shown already changes nothing.
        instead: it takes the place of the one that is shown, because a slider is still moving.
    """
    if recipe == history.current:
        return history
    recipes = [*history.recipes[: history.at + (0 if instead else 1)], recipe][-MOST_RESULTS:]
    while len(recipes) > 1 and sum(map(len, recipes)) > MOST_CHARACTERS:
        del recipes[0]
    return History(tuple(recipes), len(recipes) - 1)


def undo(history: History) -> History:
    """One back; the first stays the first."""
    return jump(history, max(history.at - 1, 0))


def redo(history: History) -> History:
    """One on; the last stays the last."""
    return jump(history, min(history.at + 1, len(history.recipes) - 1))


def jump(history: History, index: int) -> History:
    """To one of them; an index that is none changes nothing."""
    return History(history.recipes, index) if 0 <= index < len(history.recipes) else history


def history_strip(**kwargs) -> gr.HTML:
    """Small pictures of past results; a click triggers `select`, to be read with `ui.components.plot.points`.

    Value: `history_html(...)`.
    """
    return gr.HTML(history_html((), -1), js_on_load=CLICKS, **kwargs)


def history_html(pictures: Sequence[str | None], at: int) -> str:
    """One button a result, the one that is shown marked; a number where the picture is not at hand any more.

    Args:
        pictures: their addresses, `analysis.core.images.data_uri`.
        at: which is shown.
    """
    if not pictures:
        return '<p class="ks-line">Every result of this visit will be kept here.</p>'
    buttons = "".join(
        f'<button type="button" data-index="{i}" aria-label="Result {i + 1}"{_current(i == at)}>'
        + (f"<span>{i + 1}</span>" if p is None else f'<img src="{p}" alt="">')
        + "</button>"
        for i, p in enumerate(pictures)
    )
    return f'<div class="ks-history" role="group" aria-label="Past results">{buttons}</div>'


def _current(yes: bool) -> str:
    return ' aria-current="true"' if yes else ""


class Thumbnails:
    """Small pictures of recipes, the latest THUMBNAILS of them; when one is gone, its number is shown instead.

    They are kept as addresses: the strip is written again at every move of a slider, and encoded once.
    """

    def __init__(self):
        self._pictures: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    @staticmethod
    def _key(recipe: str) -> str:
        return hashlib.sha256(recipe.encode()).hexdigest()

    def keep(self, recipe: str, picture: np.ndarray) -> None:
        with self._lock:
            self._pictures[self._key(recipe)] = data_uri(picture)
            while len(self._pictures) > THUMBNAILS:
                self._pictures.popitem(last=False)

    def find(self, recipe: str) -> str | None:
        with self._lock:
            return self._pictures.get(self._key(recipe))

    def strip(self, past: History) -> str:
        """`history_html` of past results."""
        return history_html([self.find(text) for text in past.recipes], past.at)
