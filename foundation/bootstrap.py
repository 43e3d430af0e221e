"""Bootstrap intervals of means: over independent units, or over blocks of neighbours in a series."""

from __future__ import annotations

import torch
from torch import Tensor

LEVEL = 0.95


def resampled_means(values: Tensor, draws: int = 1000, seed: int = 0, block: int = 1) -> Tensor:
    """Means of resamples; functions of several means (a ratio) keep their rows together this way.

    Args:
        values: (n, ...) one row a unit, finite, n at least 1; drawn again with replacement, whole rows at a time.
        draws: resamples.
        seed: of the resamples: the same seed gives the same resamples.
        block: rows that are drawn together, neighbours in order, the first after the last (circular blocks, Politis
            and Romano 1992); cut to n. Choose it as long as neighbouring rows depend on each other; 1 for independent
            rows. Few blocks in n rows make the spread of the means too small.

    Returns:
        float64 (draws, ...).

    Raises:
        ValueError: no row, or a block below 1.
    """
    if len(values) == 0 or block < 1:
        raise ValueError("Resampling needs at least one row, and blocks of at least 1.")
    n, block = len(values), min(block, len(values))
    flat = values.double().reshape(n, -1)
    starts = torch.randint(n, (draws, -(-n // block)), generator=torch.Generator().manual_seed(seed))
    rows = (starts[:, :, None] + torch.arange(block)).flatten(1)[:, :n] % n
    # how often each unit was drawn, as one matrix: a mean of draws is then one product
    times = torch.zeros(draws, n, dtype=torch.float64).scatter_add_(1, rows, torch.ones(rows.shape).double())
    return (times @ flat / n).view(draws, *values.shape[1:])


def bootstrap(
    values: Tensor, draws: int = 1000, seed: int = 0, level: float = LEVEL, block: int = 1
) -> tuple[Tensor, Tensor]:
    """Percentile interval of the mean (Efron and Tibshirani 1993, chapter 13).

    Args:
        values, draws, seed, block: see `resampled_means`.
        level: coverage aimed at, in (0, 1).

    Returns:
        Lower and upper end, float64 of the shape of one row. NaN without a unit; with one both are its value.
    """
    if len(values) == 0:
        nothing = torch.full(values.shape[1:], torch.nan, dtype=torch.float64)
        return nothing, nothing.clone()
    tail = (1 - level) / 2
    means = resampled_means(values, draws, seed, block)
    low, high = torch.quantile(means, torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=0)
    return low, high
