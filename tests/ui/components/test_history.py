"""The history of a session: pure steps through an immutable list."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from ui.components import history
from ui.components.history import MOST_CHARACTERS, MOST_RESULTS, History, jump, push, redo, undo


def of(*recipes: str) -> History:
    found = History()
    for recipe in recipes:
        found = push(found, recipe)
    return found


def test_push_undo_redo():
    full = of("a", "b", "c")
    assert full.current == "c" and full.can_undo and not full.can_redo
    back = undo(undo(full))
    assert back.current == "a" and not back.can_undo and back.can_redo
    assert undo(back) == back and redo(redo(redo(back))) == full
    assert full.at == 2  # the steps have changed nothing in place


def test_a_new_result_forgets_what_was_undone():
    assert push(undo(of("a", "b", "c")), "d").recipes == ("a", "b", "d")


def test_the_same_result_is_not_kept_twice():
    full = of("a", "b")
    assert push(full, "b") is full
    assert push(undo(full), "a") == undo(full)  # and what was undone can still be redone


def test_a_moving_slider_is_one_step():
    full = push(of("a", "b"), "c", instead=True)
    assert full.recipes == ("a", "c") and full.at == 1
    assert push(History(), "a", instead=True).recipes == ("a",)


def test_jump_ignores_what_is_none():
    full = of("a", "b")
    assert jump(full, 0).current == "a"
    assert jump(full, 2) == full and jump(full, -1) == full


def test_an_empty_history():
    empty = History()
    assert empty.current is None and not empty.can_undo and not empty.can_redo
    assert undo(empty) == redo(empty) == jump(empty, 0) == empty


def test_bounded_in_number_and_in_length():
    full = of(*map(str, range(MOST_RESULTS + 7)))
    assert len(full.recipes) == MOST_RESULTS and full.recipes[0] == "7" and full.current == str(MOST_RESULTS + 6)
    long = of(*(str(i) + "x" * (MOST_CHARACTERS // 3) for i in range(5)))
    assert len(long.recipes) == 2 and long.current.startswith("4")
    assert len(of("y" * (MOST_CHARACTERS + 1)).recipes) == 1  # the newest stays


def test_it_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        history.History().at = 3
