"""FID and KID: how far a set of pictures is from another, as distributions of Inception features.

Pure functions of features (N, d). The names FID and KID are right only for those of `foundation.metrics.inception`. Of
the two, FID falls as the samples grow more, so it is compared at equal counts only; KID is unbiased.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from foundation.metrics.statistics import CONFIDENCE, Interval, resampled_means
from foundation.mistakes import Mistake

KERNEL_ROWS = 1024  # rows whose kernel values are held at once


def sample_name(metric: str, count: int) -> str:
    """A metric with its sample count: FID-10k, KID-1k, FID-2048."""
    return f"{metric}-{count // 1000}k" if count and count % 1000 == 0 else f"{metric}-{count}"


@dataclass
class Moments:
    """Sums of features, from which mean and covariance follow; float64, one batch after another.

    Attributes:
        total: (d,) sum of the features less `shift`.
        outer: (d, d) sum of their outer products.
        shift: (d,) near the mean, so that nothing cancels; the mean of the first batch.
        count: features seen.
    """

    total: Tensor
    outer: Tensor
    shift: Tensor
    count: int = 0

    @classmethod
    def empty(cls, dimensions: int) -> Moments:
        zeros = torch.zeros(dimensions, dtype=torch.float64)
        return cls(zeros, torch.zeros(dimensions, dimensions, dtype=torch.float64), zeros.clone())

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Those of features (N, d) in memory."""
        moments = cls.empty(features.shape[1])
        moments.add(features)
        return moments

    def add(self, features: Tensor) -> None:
        """Take in features (B, d)."""
        if len(features) == 0:
            return
        features = features.double()
        if self.count == 0:
            self.shift = features.mean(0)
        features = features - self.shift
        self.total = self.total + features.sum(0)
        self.outer = self.outer + features.T @ features
        self.count += len(features)

    @property
    def mean(self) -> Tensor:
        """(d,) float64."""
        return self.shift + self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """(d, d) float64, divided by n - 1."""
        return (self.outer - torch.outer(self.total, self.total) / self.count) / (self.count - 1)


def _root(covariance: Tensor) -> Tensor:
    """R (d, r) with R R^T = C, of the eigenvalues above rounding."""
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    above = values > values[-1] * len(values) * torch.finfo(torch.float64).eps
    return vectors[:, above] * values[above].sqrt()


def fid(a: Moments, b: Moments) -> float:
    """Frechet distance of two normal laws (Heusel et al. 2017), `|m - n|^2 + tr(C + D - 2 (C D)^(1/2))`.

    The trace of the root is the sum of the singular values of R_C^T R_D, R_C R_C^T = C: no root is taken of a small
    eigenvalue that rounding made, which sets smaller than d have by the hundred. Symmetric; 0 for equal moments.

    Raises:
        ValueError: fewer than two features on a side, other dimensions, or features that are not finite.
    """
    if min(a.count, b.count) < 2 or a.total.shape != b.total.shape:
        raise Mistake(
            "A Frechet distance needs two pictures or more on each side, and features of one network.", "features"
        )
    if not (a.outer.isfinite().all() and b.outer.isfinite().all()):
        raise Mistake("The features are not finite: the pictures behind them have overflowed.", "pictures")
    c, d = a.covariance, b.covariance
    common = torch.linalg.svdvals(_root(c).T @ _root(d)).sum()
    value = (a.mean - b.mean).square().sum() + c.trace() + d.trace() - 2 * common
    return max(float(value), 0.0)  # rounding alone can make it negative


def _kernel_means(x: Tensor, y: Tensor, same: bool) -> tuple[Tensor, Tensor]:
    """Mean kernel value of every x over all y, and of every y over all x; the pair of a feature with itself left out.

    The kernel is (x.y / d + 1)^3, float64.
    """
    rows, columns = [], torch.zeros(len(y), dtype=torch.float64)
    y = y.double() / y.shape[1]
    for low in range(0, len(x), KERNEL_ROWS):
        kernel = (x[low : low + KERNEL_ROWS].double() @ y.T).add_(1).pow_(3)
        if same:
            kernel[torch.arange(len(kernel)), low + torch.arange(len(kernel))] = 0
        rows.append(kernel.sum(1))
        columns += kernel.sum(0)
    return torch.cat(rows) / (len(y) - same), columns / (len(x) - same)


def kid(real_features: Tensor, fake_features: Tensor, draws: int = 1000) -> Interval:
    """Kernel distance (Binkowski et al. 2018): unbiased squared MMD with the kernel (x.y / d + 1)^3.

    Over all pairs of the two sets, not over random subsets, whose mean estimates the same number less sharply. It may
    be negative for sets of one law. The interval resamples the part that each picture has in it (the first-order term
    of a U-statistic, of either set): 95 %, and too wide rather than too narrow for sets of one law.

    Args:
        real_features: (N, d), any float type, N at least 2.
        fake_features: (M, d), M at least 2.
        draws: resamples for the interval.

    Returns:
        The squared MMD (KID is usually printed times 1,000), its interval, and M as the count.

    Raises:
        ValueError: fewer than two features on a side, or other dimensions.
    """
    n, m = len(real_features), len(fake_features)
    if min(n, m) < 2 or real_features.shape[1:] != fake_features.shape[1:]:
        raise Mistake("KID needs two pictures or more on each side, and features of one network.", "features")
    sets = (real_features, fake_features)
    between = _kernel_means(*sets, same=False)
    # the parts of the pictures of either set: their means add up to the estimate
    parts = [_kernel_means(f, f, same=True)[0] - b for f, b in zip(sets, between, strict=True)]
    mean = float(sum(p.mean() for p in parts))
    # a picture stands in both places of a pair, so the estimate moves twice as far as the mean of the parts
    moved = torch.stack([2 * (resampled_means(p, draws, seed) - p.mean()) for seed, p in enumerate(parts)]).sum(0)
    tail = (1 - CONFIDENCE) / 2
    low, high = torch.quantile(moved, torch.tensor([tail, 1 - tail], dtype=torch.float64))
    return Interval(mean, mean + float(low), mean + float(high), m)
