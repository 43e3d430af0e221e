"""Checked fields of requests: numbers, lists, words and band edges, or a `UserError` that says what must be given."""

from __future__ import annotations

import math

import numpy as np

from analysis.core.errors import UserError


def _is_number(value) -> bool:
    """A finite number; True and False are none here."""
    if isinstance(value, (int, np.integer)):
        return not isinstance(value, bool)  # math.isfinite overflows on a very long one
    return isinstance(value, (float, np.floating)) and math.isfinite(value)


def whole(value, low: int, high: int, what: str) -> int:
    """A whole number in [low, high], or a UserError naming `what`."""
    if not _is_number(value) or not low <= value <= high or value != int(value):
        raise UserError(f"{what} must be a whole number from {low} to {high}.")
    return int(value)


def real(value, low: float, high: float, what: str) -> float:
    """A finite number in [low, high], or a UserError naming `what`."""
    if not _is_number(value) or not low <= value <= high:
        raise UserError(f"{what} must be a number from {low:g} to {high:g}.")
    return float(value)


def several(values, most: int, what: str) -> tuple:
    """A list or tuple with 1 to `most` items, as a tuple."""
    if not isinstance(values, (list, tuple)) or not 1 <= len(values) <= most:
        raise UserError(f"{what} must be a list of 1 to {most} items.")
    return tuple(values)


def edges_of(values) -> tuple[float, ...]:
    """Two to eight rising quantile edges."""
    edges = tuple(real(e, 0, 1, "Each band edge") for e in several(values, 8, "The band edges"))
    if any(b < a for a, b in zip(edges[:-1], edges[1:], strict=True)):
        raise UserError("The band edges must rise: put the lower edge first.")
    return edges


MAX_GAMMA = 100.0


def one_of(value, allowed: tuple[str, ...], what: str) -> str:
    """One of some words, or a UserError that lists them."""
    if not isinstance(value, str) or value not in allowed:
        raise UserError(f"{what} must be one of {', '.join(allowed)}.")
    return value


def check_noise(sampler: str, gamma1: float) -> None:
    """Raises UserError: matched noise of a negative gamma1."""
    if sampler == "matched" and gamma1 < 0:
        raise UserError("Matched noise needs gamma1 of at least 0: its noise has the variance 2 gamma1 sigma_t^2.")
