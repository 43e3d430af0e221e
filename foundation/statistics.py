"""A mean with its interval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """Attributes: mean; low, high = 95 % percentile bootstrap interval of it; count = defined values."""

    mean: float
    low: float
    high: float
    count: int
