"""Student intervals for few units: of a mean, and of a ratio of two paired means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from scipy.special import stdtrit
from torch import Tensor

from foundation.bootstrap import LEVEL


def _units(values: Sequence[float] | Tensor) -> tuple[Tensor, float]:
    v = torch.as_tensor(values, dtype=torch.float64)
    if v.ndim != 1 or len(v) < 2:
        raise ValueError("An interval over units takes a row of at least two.")
    return v, float(stdtrit(len(v) - 1, (1 + LEVEL) / 2))


def mean_interval(values: Sequence[float] | Tensor) -> tuple[float, float, float]:
    """Mean of n independent units with its 95 % interval, mean ± t s / sqrt(n) with n - 1 degrees of freedom.

    A percentile bootstrap of ten units or fewer is too narrow; this one is right where the units are normal.

    Raises:
        ValueError: fewer than two units.
    """
    v, t = _units(values)
    mean, half = float(v.mean()), t * float(v.std()) / math.sqrt(len(v))
    return mean, mean - half, mean + half


def ratio_interval(above: Sequence[float] | Tensor, below: Sequence[float] | Tensor) -> tuple[float, float, float]:
    """mean(above) / mean(below) of paired units with its 95 % interval by Fieller's theorem (1954).

    It holds every r for which the mean of above - r below is within Student's t of 0.

    Returns:
        Ratio, low, high; the ends are infinite where the mean of `below` is not told apart from 0.

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
        return ma / mb if mb else math.nan, -math.inf, math.inf
    root = math.sqrt(max(0.0, middle * middle - square * constant))
    return ma / mb, (middle - root) / square, (middle + root) / square
