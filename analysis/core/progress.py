"""How a long computation tells where it is."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[float, str], None]  # share done, and what; may raise to cancel
Progress = Report | None


def part(progress: Progress, start: float, end: float) -> Progress:
    """The share of a part as a share of the whole."""
    return None if progress is None else lambda share, what: progress(start + (end - start) * share, what)
