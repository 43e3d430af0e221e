"""Means with their intervals: bootstrap over units or over blocks of neighbours, and Student's for few units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CONFIDENCE = 0.95  # coverage aimed at


@dataclass(frozen=True)
class Interval:
    """A figure with the interval [low, high] that holds it in 95 % of all repetitions.

    Attributes: value; low; high; count = units behind it, None where they were not counted.
    """

    value: float
    low: float
    high: float
    count: int | None = None

    @property
    def sign(self) -> int:
        """1 or -1 where the interval leaves out 0, else 0 (so too where nothing is defined)."""
        return int(self.low > 0) - int(self.high < 0)

    def scaled(self, factor: float) -> Interval:
        """The same in units `factor` times smaller, factor > 0."""
        return Interval(factor * self.value, factor * self.low, factor * self.high, self.count)


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
    values: Tensor, draws: int = 1000, seed: int = 0, level: float = CONFIDENCE, block: int = 1
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


def bootstrap_interval(values: Tensor, block: int = 1) -> Interval:
    """Mean of (n,) with its percentile bootstrap interval; NaN values are left out, and nothing is left of none."""
    values = values[~values.isnan()].double()
    low, high = bootstrap(values, block=block)
    return Interval(float(values.mean()), float(low), float(high), len(values))


def _units(values: Sequence[float] | Tensor) -> tuple[Tensor, float]:
    v = torch.as_tensor(values, dtype=torch.float64)
    if v.ndim != 1 or len(v) < 2:
        raise ValueError("An interval over units takes a row of at least two.")
    from scipy.special import stdtrit  # only here: it takes a while to import, and the page is shown without it

    return v, float(stdtrit(len(v) - 1, (1 + CONFIDENCE) / 2))


def mean_interval(values: Sequence[float] | Tensor) -> Interval:
    """Mean of n independent units with its 95 % interval, mean ± t s / sqrt(n) with n - 1 degrees of freedom.

    A percentile bootstrap of ten units or fewer is too narrow; this one is right where the units are normal.

    Raises:
        ValueError: fewer than two units.
    """
    v, t = _units(values)
    mean, half = float(v.mean()), t * float(v.std()) / math.sqrt(len(v))
    return Interval(mean, mean - half, mean + half, len(v))


def ratio_interval(above: Sequence[float] | Tensor, below: Sequence[float] | Tensor) -> Interval:
    """mean(above) / mean(below) of paired units with its 95 % interval by Fieller's theorem (1954).

    It holds every r for which the mean of above - r below is within Student's t of 0.

    Returns:
        The ratio; the ends are infinite where the mean of `below` is not told apart from 0.

    Raises:
        ValueError: fewer than two pairs, or rows that are not pairs.
    """
    (a, t), (b, _) = _units(above), _units(below)
    if len(a) != len(b):
        raise ValueError("A ratio of paired means takes as many units above as below.")
    ma, mb, k = float(a.mean()), float(b.mean()), t * t / len(a)
    # (ma - r mb)^2 <= k (vaa - 2 r vab + r^2 vbb), a quadratic in r
    (vaa, vab), (_, vbb) = torch.cov(torch.stack([a, b])).tolist()
    square, middle, constant = mb * mb - k * vbb, ma * mb - k * vab, ma * ma - k * vaa
    if square <= 0:
        return Interval(ma / mb if mb else math.nan, -math.inf, math.inf, len(a))
    root = math.sqrt(max(0.0, middle * middle - square * constant))
    return Interval(ma / mb, (middle - root) / square, (middle + root) / square, len(a))
