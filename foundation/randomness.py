"""Random numbers that depend on a seed only, never on the batch they are drawn in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from foundation.mistakes import Mistake

MAX_SEED = 2**32 - 1  # torch's CPU generator reads no more bits: larger seeds would repeat smaller ones
FIRST_SEED = 2_000_000_000  # of what is measured: noise and scenes that no training run has seen


def noise(seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Standard normal noise, one CPU generator a seed.

    Args:
        seeds: whole numbers in [0, 2**32).
        shape: shape of one sample, e.g. (3, 32, 32).

    Returns:
        float32 tensor (len(seeds), *shape).

    Raises:
        ValueError: no seed, or a seed out of range.
    """
    if len(seeds) == 0:
        raise Mistake("Give at least one seed.", "seeds")
    drawn = []
    for seed in seeds:
        drawn.append(torch.randn(tuple(shape), generator=torch.Generator().manual_seed(_whole(seed))))
    return torch.stack(drawn)


def _whole(seed) -> int:
    try:
        whole = int(seed)
        if whole == seed and 0 <= whole <= MAX_SEED and not isinstance(seed, bool):
            return whole
    except (TypeError, ValueError, OverflowError):  # None, "x", infinity
        pass
    raise Mistake(f"A seed is a whole number from 0 to {MAX_SEED}, not {seed!r}.", "seed")


def mix_seed(*parts: int) -> int:
    """A 63-bit seed from several whole numbers (splitmix64 steps), for "the generator of step s on worker r"."""
    state = 0
    for part in parts:
        state = (state ^ (int(part) & 0xFFFFFFFFFFFFFFFF)) + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ state >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state & 0x7FFFFFFFFFFFFFFF


def derived_seed(*parts: int) -> int:
    """A seed for `noise` from several whole numbers."""
    return mix_seed(*parts) & MAX_SEED
