"""Network calls are counted by a wrapper, never assumed from the number of steps."""

from __future__ import annotations

from collections.abc import Callable


class CountedCalls:
    """Wraps f and counts how often it is called (one call may carry a whole batch).

    Attributes:
        calls: number of calls so far (NFE).
    """

    def __init__(self, f: Callable):
        self.f = f
        self.calls = 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.f(*args, **kwargs)
