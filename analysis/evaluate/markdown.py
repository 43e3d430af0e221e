"""Tables and intervals in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from flow_core.series.scores import Interval

NOT_DEFINED = "n/a"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join([f"| {' | '.join(r)} |" for r in (head, ["---"] * len(head), *rows)])


def span(mean: float, low: float, high: float, form: str = ".3g") -> str:
    """A mean with its interval."""
    return NOT_DEFINED if math.isnan(mean) else f"{mean:{form}} [{low:{form}}, {high:{form}}]"


def interval(v: Interval | None, form: str = ".4f") -> str:
    """A figure with its interval."""
    return NOT_DEFINED if v is None else span(v.value, v.low, v.high, form)


def verdict(*sentences: str) -> str:
    """One bullet a sentence."""
    return "\n".join(f"- **Verdict.** {s}" for s in sentences)


def sign(v: Interval) -> int:
    """1 or -1 where the interval leaves out 0, else 0."""
    return int(v.low > 0) - int(v.high < 0)
