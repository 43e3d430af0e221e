"""Lets a long computation give way when its visitor already wants something else."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable


class Superseded(Exception):
    """The visitor has moved on; nothing needs to be shown."""


class Latest:
    """The latest wish of each visitor.

    A running function cannot be cancelled by Gradio, so it looks here between its steps. Bounded: the oldest visitors
    are forgotten, and the wish of a forgotten visitor counts as still wanted.
    """

    def __init__(self, capacity: int = 256):
        self._capacity = capacity
        self._wishes: OrderedDict[str, Hashable] = OrderedDict()
        self._lock = threading.Lock()

    def wish(self, session: str | None, key: Hashable) -> None:
        """Note what a visitor wants now."""
        if session is None:
            return
        with self._lock:
            self._wishes[session] = key
            self._wishes.move_to_end(session)
            while len(self._wishes) > self._capacity:
                self._wishes.popitem(last=False)

    def check(self, session: str | None, key: Hashable) -> None:
        """Raises Superseded when `key` is no longer what the visitor wants."""
        with self._lock:
            if session is not None and self._wishes.get(session, key) != key:
                raise Superseded
