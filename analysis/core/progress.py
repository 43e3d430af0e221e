"""How a long computation tells where it is, and learns that nobody waits for it any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Report = Callable[[float, str], None]  # share done, and what; may raise to cancel
Progress = Report | None
_CHECK: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


def part(progress: Progress, start: float, end: float) -> Progress:
    """The share of a part as a share of the whole."""
    return None if progress is None else lambda share, what: progress(start + (end - start) * share, what)


@contextmanager
def wanted_while(check: Callable[[], None]) -> Iterator[None]:
    """Within, in this thread, every step of a computation calls `check`, which may raise to cancel.

    For what has no progress to show, or none that a caller passes on: a mean that is made on the way, the products of
    a Jacobian.
    """
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def still_wanted() -> None:
    """To be called between two network calls. Raises what the check of `wanted_while` raises."""
    check = _CHECK.get()
    if check is not None:
        check()


def tell(progress: Progress, share: float, what: str) -> None:
    """One step: see whether it is still wanted, and tell the callback, which may raise to cancel."""
    still_wanted()
    if progress is not None:
        progress(share, what)
