"""Counter-based random numbers: every one is a hash of (seed, index, field), never the next draw of a generator.

Record i of a procedural data set then does not depend on the batch it is asked in, and record 2**60 costs what
record 0 costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from foundation.mistakes import Mistake

U64 = np.uint64
MAX_INDEX = 2**62
DRAWS_AT_MOST = 64


def _mix(x: np.ndarray) -> np.ndarray:
    """The splitmix64 finaliser, a bijection of 64-bit words (Steele et al. 2014)."""
    x = (x ^ (x >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> U64(27))) * U64(0x94D049BB133111EB)
    return x ^ (x >> U64(31))


def absorb(key: np.ndarray, word: np.ndarray | int) -> np.ndarray:
    """A new key from a key and one more word; the odd constant keeps zero words from being a fixed point."""
    return _mix(key * U64(0xD1342543DE82EF95) + np.asarray(word, U64) + U64(0x9E3779B97F4A7C15))


def seed_key(seed: int, n: int) -> np.ndarray:
    """The key of a seed, `n` times."""
    return absorb(np.zeros(n, U64), int(seed) % 2**64)


def index_keys(indices: Sequence[int] | np.ndarray, seed: int) -> np.ndarray:
    """One key for each index.

    Args:
        indices: (N,) whole numbers in [0, 2**62).
        seed: another seed gives unrelated keys.

    Returns:
        uint64 (N,).

    Raises:
        ValueError: an index is not a whole number or out of range.
    """
    indices = np.asarray(indices)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
        raise Mistake("Indices must be a flat list of integers; pass [index] for one picture.", "indices")
    if indices.size and (indices.min() < 0 or indices.max() >= MAX_INDEX):
        raise Mistake("An index is out of range; use 0 <= index < 2**62.", "index")
    return absorb(seed_key(seed, len(indices)), indices.astype(U64))


def record_keys(records: np.ndarray, key: np.ndarray) -> np.ndarray:
    """`key` (N,) with every 4-byte word of the structured array `records` (N,) absorbed."""
    for word in np.ascontiguousarray(records).view(np.uint32).reshape(len(records), records.dtype.itemsize // 4).T:
        key = absorb(key, word)
    return key


def uniform(key: np.ndarray, field: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """float32 uniform in [low, high), one a key."""
    unit = (absorb(key, field) >> U64(40)).astype(np.float32) * np.float32(2**-24)
    # Rounding up could give `high` itself, which is out of range for an angle.
    below_high = np.nextafter(np.float32(high), np.float32(low))
    return np.minimum(np.float32(low) + unit * np.float32(high - low), below_high)


def uniform_away(key: np.ndarray, field: int, old: np.ndarray, step: float, low: float, high: float) -> np.ndarray:
    """float32 uniform in [low, high] less the open interval of half-width `step` around `old`."""
    below = np.maximum(old - step - low, 0)
    above = np.maximum(high - old - step, 0)
    drawn = uniform(key, field) * (below + above)
    return np.where(drawn < below, low + drawn, high - (drawn - below)).astype(np.float32)


def choice(key: np.ndarray, field: int, shares: Sequence[float]) -> np.ndarray:
    """int32 numbers 0 ... len(shares) - 1 with these probabilities, one a key."""
    edges = np.cumsum(shares)[:-1].astype(np.float32)
    return np.searchsorted(edges, uniform(key, field), side="right").astype(np.int32)


def first_good(
    key: np.ndarray,
    draw: Callable[[np.ndarray], np.ndarray],
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """For each key the first of its candidates with a score of at least 1, else its best one.

    Args:
        key: (N,) random keys.
        draw: keys (M,) to candidates (M, D).
        score: candidates (M, D) and the rows (M,) they belong to, to scores (M,).
    """
    chosen = draw(absorb(key, 0))
    best = score(chosen, np.arange(len(key)))
    for attempt in range(1, DRAWS_AT_MOST):
        rows = np.flatnonzero(best < 1)
        if not len(rows):
            break
        candidate = draw(absorb(key[rows], attempt))
        value = score(candidate, rows)
        better = value > best[rows]
        chosen[rows[better]], best[rows[better]] = candidate[better], value[better]
    return chosen
