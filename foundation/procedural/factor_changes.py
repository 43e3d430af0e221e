"""What the factors of all procedural pictures share: their check, their keys, and colours that really change."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from foundation.mistakes import Mistake
from foundation.procedural.colours import oklab
from foundation.procedural.counter_random import absorb, first_good, record_keys, seed_key

BACKGROUND_FIELDS = [
    ("background_a", np.float32, 3),  # RGB in [0, 1], where the gradient starts
    ("background_b", np.float32, 3),  # RGB in [0, 1], where it ends
    ("gradient", np.float32),  # direction from a to b in radians, [0, 2 pi), clockwise from the right
]
BACKGROUND_GROUP = tuple(str(field[0]) for field in BACKGROUND_FIELDS)
COLOUR_STEP = 0.15  # least OKLab distance between an old and a new colour
Redraw = Callable[[np.ndarray], np.ndarray]


def check_records(factors: np.ndarray, dtype: np.dtype, maker: str) -> np.ndarray:
    """The factors, if they are a flat array of the dtype; else a ValueError that names who makes them."""
    factors = np.asarray(factors)
    if factors.dtype != dtype or factors.ndim != 1:
        raise Mistake(f"Factors must be a flat array of FACTOR_DTYPE; make them with {maker}.factors().", "factors")
    return factors


def change_keys(old: np.ndarray, groups: Iterable[str], group: str, seed: int) -> np.ndarray:
    """Keys (N,) of a change of one group of factors, from the records and the seed only.

    Raises:
        ValueError: unknown group.
    """
    names = list(groups)
    if group not in names:
        raise Mistake(f"Unknown factor {group!r}; use one of {', '.join(names)}.", "group")
    return record_keys(old, absorb(seed_key(seed, len(old)), 200 + names.index(group)))


def set_background(out: np.ndarray, drawn: np.ndarray) -> None:
    """Write drawn backgrounds (N, 7), two ends and a direction, into records."""
    out["background_a"], out["background_b"], out["gradient"] = drawn[:, :3], drawn[:, 3:6], drawn[:, 6]


def another_background(
    old: np.ndarray, key: np.ndarray, draw: Redraw, fit: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Another background (N, 7) for each record, from which its object stands out.

    Args:
        old: (N,) records.
        key: (N,) of the change.
        draw: keys (M,) to backgrounds (M, 7).
        fit: both ends (M, 3) and rows (M,) to scores (M,), at least 1 where the object stands out.
    """
    ends = oklab(old["background_a"]), oklab(old["background_b"])

    def score(drawn: np.ndarray, rows: np.ndarray) -> np.ndarray:
        a, b = drawn[:, :3], drawn[:, 3:6]
        # each new end must differ from both old ones, or a swapped gradient would count as another one
        change = [np.linalg.norm(oklab(new) - end[rows], axis=1) for new in (a, b) for end in ends]
        return _changed_first(np.min(change, axis=0), fit(a, b, rows))

    return first_good(key, draw, score)


def another_colour(
    old: np.ndarray, key: np.ndarray, draw: Redraw, fit: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Another colour (N, 3) in place of each; `fit` scores colours (M, 3) of rows (M,), otherwise as above."""
    was = oklab(old)

    def score(drawn: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return _changed_first(np.linalg.norm(oklab(drawn) - was[rows], axis=1), fit(drawn, rows))

    return first_good(key, draw, score)


def _changed_first(change: np.ndarray, fits: np.ndarray) -> np.ndarray:
    """A score in which no contrast makes up for a change that is too small to count as one."""
    return np.where(change >= COLOUR_STEP, fits, change - 1)
