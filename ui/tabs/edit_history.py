"""The results of a session, one after the other: an immutable list with a place in it, and pure steps through it."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 50
MOST_CHARACTERS = 400_000  # recipes that carry pictures are long; the oldest give way


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
    kept = [*history.recipes[: history.at + (0 if instead else 1)], recipe][-MOST:]
    while len(kept) > 1 and sum(map(len, kept)) > MOST_CHARACTERS:
        del kept[0]
    return History(tuple(kept), len(kept) - 1)


def undo(history: History) -> History:
    """One back; the first stays the first."""
    return jump(history, max(history.at - 1, 0))


def redo(history: History) -> History:
    """One on; the last stays the last."""
    return jump(history, min(history.at + 1, len(history.recipes) - 1))


def jump(history: History, index: int) -> History:
    """To one of them; an index that is none changes nothing."""
    return History(history.recipes, index) if 0 <= index < len(history.recipes) else history
