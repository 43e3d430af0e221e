"""How far two clouds of points lie apart, and how blurred one is: MMD, 2-Wasserstein, spread in modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flow_core.densities.mixtures import Density, GaussianMixture
from foundation.mistakes import Mistake

BANDWIDTHS = (1.0,)  # of the public code's figure
MAX_ASSIGNED = 4096  # the assignment is cubic in the number of points
MANY_PAIRS, MAX_REACH, TAIL = 100_000, 60, 8.0  # from how many pairs on, and how far out, MMD sums frequencies


def _points(x: Tensor, least: int) -> Tensor:
    x = torch.as_tensor(x).flatten(1).double()
    if len(x) < least or not bool(torch.isfinite(x).all()):
        raise Mistake(f"A distance between clouds needs at least {least} points in each, all finite.", "points")
    return x


def _kernel_sums(x: Tensor, y: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """Sum over all pairs of the mean over bandwidths of exp(-|x - y|^2 / (2 b^2)); rows in blocks to bound memory."""
    reach = float(torch.maximum(x.abs().max(), y.abs().max()))
    if x.shape[1] == 2 and len(x) * len(y) >= MANY_PAIRS and reach <= MAX_REACH * min(bandwidths):
        return torch.stack([_spectral_sum(x, y, b, reach) for b in bandwidths]).mean()
    total = torch.zeros((), dtype=torch.float64)
    for rows in x.split(1024):
        squared = torch.cdist(rows, y).square()
        total += sum((squared * (-0.5 / b**2)).exp().sum() for b in bandwidths) / len(bandwidths)
    return total


def _spectral_sum(x: Tensor, y: Tensor, b: float, reach: float) -> Tensor:
    """The same sum for points of the plane and one bandwidth, without the pairs.

    The kernel is the mean of cos(w (x - y)) over normal w of std 1/b along each axis (Bochner), here by the trapezoidal
    rule: w up to TAIL / b, so dense that the sum's next period begins TAIL b beyond every pair. Either cut is of the
    order of exp(-TAIL^2 / 2), rounding.

    Args:
        x: (N, 2) float64.
        y: (M, 2) float64.
        b: bandwidth.
        reach: largest absolute coordinate.
    """
    step = 2 * math.pi / (2 * reach + TAIL * b)
    ends = math.floor(TAIL / b / step) + 1
    w = step * torch.arange(-ends, ends + 1, dtype=torch.float64)
    weight = b * step / math.sqrt(2 * math.pi) * (-0.5 * (b * w).square()).exp()

    def transform(z: Tensor) -> Tensor:  # real and imaginary part of the sum of exp(i w z), at all pairs of frequencies
        a, b = w[:, None] * z[:, 0], w[:, None] * z[:, 1]
        ca, sa, cb, sb = a.cos(), a.sin(), b.cos().T, b.sin().T
        return torch.stack([ca @ cb - sa @ sb, sa @ cb + ca @ sb])

    first = transform(x)
    second = first if y is x else transform(y)
    return (torch.outer(weight, weight) * (first * second).sum(0)).sum()


class MMD:
    """Squared maximum mean discrepancy to one reference cloud, whose own term is computed once.

    The kernel is the mean over fixed bandwidths b of exp(-|x - y|^2 / (2 b^2)); Gretton et al. 2012, section 2.

    Args:
        reference: (N, *dim), N >= 2.
        bandwidths: of the kernel, in the units of the points.
    """

    def __init__(self, reference: Tensor, bandwidths: Sequence[float] = BANDWIDTHS):
        if not bandwidths or not all(0 < b < math.inf for b in bandwidths):
            raise Mistake(f"Bandwidths are positive numbers, at least one, not {bandwidths!r}.", "bandwidths")
        self.reference, self.bandwidths = _points(reference, 2), tuple(bandwidths)
        self._own = _kernel_sums(self.reference, self.reference, self.bandwidths)

    def _sums(self, x: Tensor) -> tuple[int, Tensor, Tensor]:
        x = _points(x, 2)
        own = _kernel_sums(x, x, self.bandwidths)
        return len(x), own, _kernel_sums(x, self.reference, self.bandwidths)

    def both(self, x: Tensor) -> tuple[float, float]:
        """`unbiased` and `biased`, from the same sums: these are all that takes long."""
        n, own, cross = self._sums(x)
        m, between = len(self.reference), 2 * cross / (len(x) * len(self.reference))
        unbiased = (own - n) / (n * (n - 1)) + (self._own - m) / (m * (m - 1)) - between
        return float(unbiased), float(own / n**2 + self._own / m**2 - between)

    def unbiased(self, x: Tensor) -> float:
        """Without the diagonals: 0 on average where the laws are equal, so it can be negative."""
        return self.both(x)[0]

    def biased(self, x: Tensor) -> float:
        """With the diagonals, as the public code has it: never negative, about 1/n + 1/m where the laws are equal."""
        return self.both(x)[1]


def wasserstein2(x: Tensor, y: Tensor) -> float:
    """2-Wasserstein distance of two clouds of one size by exact assignment, in the units of the points.

    Raises:
        ValueError: different sizes, or more than `MAX_ASSIGNED` points.
    """
    x, y = _points(x, 1), _points(y, 1)
    if len(x) != len(y) or len(x) > MAX_ASSIGNED:
        raise Mistake(f"Exact assignment takes two clouds of one size, at most {MAX_ASSIGNED:,} points.", "size")
    from scipy.optimize import linear_sum_assignment  # only here: it takes a while to import

    cost = torch.cdist(x, y).square().numpy()
    return math.sqrt(float(cost[linear_sum_assignment(cost)].mean()))


FAR = 3.0  # standard deviations of the nearest component


@dataclass(frozen=True)
class Blur:
    """How far a cloud spreads beyond the modes of a density, which an MMD of bandwidth 1 hardly sees.

    Attributes:
        spread: root mean square distance along one axis from the mean of the nearest component, in the units of the
            points; NaN for a grid of cells.
        beyond: share of the points beyond `FAR` standard deviations of it; for a grid the share on empty ground.
    """

    spread: float
    beyond: float


def blur(density: Density, x: Tensor) -> Blur:
    """Of points (N, dims); data themselves say what is right: for separate modes in the plane .011 lie beyond."""
    x = _points(x, 1)
    if not isinstance(density, GaussianMixture):
        return Blur(math.nan, float(density.log_prob(x).isinf().double().mean()))
    distance = torch.cdist(x, density.means)
    scaled, nearest = (distance / density.stds).min(1)
    own = distance.gather(1, nearest[:, None])
    return Blur(math.sqrt(float(own.square().mean()) / density.dims), float((scaled > FAR).double().mean()))
