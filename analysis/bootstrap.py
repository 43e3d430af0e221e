"""Bootstrap intervals of means over independent units (seeds, pairs of scenes)."""

from __future__ import annotations

import torch
from torch import Tensor

LEVEL = 0.95


def bootstrap(values: Tensor, draws: int = 1000, seed: int = 0, level: float = LEVEL) -> tuple[Tensor, Tensor]:
    """Percentile interval of the mean (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: (n, ...) one row a unit, finite; units are drawn again with replacement, whole rows at a time.
        draws: resamples.
        seed: of the resamples: the same seed gives the same interval.
        level: coverage aimed at, in (0, 1).

    Returns:
        Lower and upper end, float64 of the shape of one row. NaN without a unit; with one both are its value.
    """
    if len(values) == 0:
        nothing = torch.full(values.shape[1:], torch.nan, dtype=torch.float64)
        return nothing, nothing.clone()
    flat = values.double().reshape(len(values), -1)
    rows = torch.randint(len(flat), (draws, len(flat)), generator=torch.Generator().manual_seed(seed))
    # how often each unit was drawn, as one matrix: a mean of draws is then one product
    times = torch.zeros(draws, len(flat), dtype=torch.float64).scatter_add_(1, rows, torch.ones(rows.shape).double())
    means = times @ flat / len(flat)
    tail = (1 - level) / 2
    low, high = torch.quantile(means, torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=0)
    return low.view(values.shape[1:]), high.view(values.shape[1:])
