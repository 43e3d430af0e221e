"""Scores of forecasts and distances between distributions: CRPS, mean squared error, spread-skill ratio, W1, JSD.

Members come first, (M, N, ...), then N forecasts; a `period` (2 pi for angles) makes every difference the short way
round. Scores of a set of forecasts carry block-bootstrap intervals, because neighbouring starts overlap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from foundation.metrics.statistics import CONFIDENCE, Interval, resampled_means
from foundation.mistakes import Mistake


def wrap(angle):
    """The same angle in [-pi, pi), radians; numbers, arrays or tensors."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _difference(a, b, period: float | None):
    return a - b if period is None else wrap((a - b) * (2 * math.pi / period)) * (period / (2 * math.pi))


def _checked(ensemble, truth) -> tuple[np.ndarray, np.ndarray]:
    ensemble, truth = np.asarray(ensemble, np.float64), np.asarray(truth, np.float64)
    if ensemble.ndim != truth.ndim + 1 or ensemble.shape[1:] != truth.shape or not ensemble.size:
        raise Mistake(f"Members {ensemble.shape} do not fit the truth {truth.shape}; use (M, *truth.shape).", "shape")
    if not (np.isfinite(ensemble).all() and np.isfinite(truth).all()):
        raise Mistake("Forecasts and truth must be finite; leave out the cells that have no data.", "finite")
    return ensemble, truth


def crps(ensemble, truth, *, fair: bool = False, period: float | None = None) -> np.ndarray:
    """Continuous ranked probability score of an ensemble, smaller is better.

        mean_i |x_i - y| - (1 / (2 M^2)) sum_ij |x_i - x_j|;   fair: 1 / (2 M (M - 1)) instead (Ferro 2014)

    The plain one is the score of the ensemble as a distribution and grows as M falls; the fair one has the expectation
    that infinitely many members would have. With a period |.| is the distance on the circle (Grimit et al. 2006).

    Args:
        ensemble: (M, *shape) members.
        truth: (*shape).
        fair: needs M >= 2.
        period: length of the circle, None on the line.

    Returns:
        float64 (*shape), in the unit of the truth.
    """
    ensemble, truth = _checked(ensemble, truth)
    m = len(ensemble)
    if fair and m < 2:
        raise Mistake("The fair CRPS needs at least two members.", "members")
    error = np.abs(_difference(ensemble, truth, period)).mean(0)
    if period is None:  # sum_ij |x_i - x_j| = 2 sum_k (2k - M - 1) x_(k) over the sorted members
        ranks = (2 * np.arange(1, m + 1) - m - 1).reshape(-1, *(1,) * truth.ndim)
        pairs = 2 * (ranks * np.sort(ensemble, 0)).sum(0)
    else:
        pairs = sum(np.abs(_difference(ensemble, x, period)).sum(0) for x in ensemble)
    return error - pairs / (2 * m * (m - 1 if fair else m))


def crps_gaussian(mean, std, truth) -> np.ndarray:
    """CRPS of N(mean, std^2): std (z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)) (Gneiting et al. 2005, equation 5).

    Args:
        mean, std, truth: broadcast together; where std is 0 the score is |mean - truth|.
    """
    mean, std, truth = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (mean, std, truth)))
    if (std < 0).any():
        raise Mistake("A standard deviation cannot be negative.", "std")
    z = np.divide(truth - mean, std, out=np.zeros_like(mean), where=std > 0)
    erf = torch.erf(torch.as_tensor(z / math.sqrt(2))).numpy()  # = 2 Phi - 1
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return np.where(std > 0, std * (z * erf + 2 * density - 1 / math.sqrt(math.pi)), np.abs(mean - truth))


def ensemble_mean(ensemble, period: float | None = None) -> np.ndarray:
    """Mean over members; with a period the direction of the mean vector, in [-period / 2, period / 2]."""
    ensemble = np.asarray(ensemble, np.float64)
    if period is None:
        return ensemble.mean(0)
    angle = ensemble * (2 * math.pi / period)
    return np.arctan2(np.sin(angle).mean(0), np.cos(angle).mean(0)) * (period / (2 * math.pi))


def area_weights(latitudes, mask=None) -> np.ndarray:
    """Share of the area that each cell of a latitude-longitude grid stands for: cos(latitude).

    Args:
        latitudes: (rows,) degrees north.
        mask: bool (rows, columns), True where there is data; without it one column.

    Returns:
        float64 (rows, columns), sum 1, zero outside the mask.
    """
    mask = np.ones((len(latitudes), 1), bool) if mask is None else np.asarray(mask, bool)
    weights = np.cos(np.radians(np.asarray(latitudes, np.float64)))[:, None].clip(0) * mask
    if not weights.sum() > 0:
        raise Mistake("No cell has data; choose another region.", "mask")
    return weights / weights.sum()


def weighted_mean(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(N, ...) to (N,): mean over everything but the first axis, cells by their weights.

    Args:
        values: (N, ..., *w) with w the shape of the weights.
        weights: non-negative, over the last axes; None for equal ones.
    """
    values = np.asarray(values, np.float64)
    if weights is None:
        return values.reshape(len(values), -1).mean(1)
    total = values.reshape(len(values), -1, weights.size) @ (weights / weights.sum()).ravel()
    return total.mean(1)


@dataclass(frozen=True)
class Scores:
    """How good a set of forecasts is.

    Attributes:
        crps: of the ensemble (or of the Gaussian, in closed form).
        crps_fair: what infinitely many members would score on average; None with a single member, and equal to crps
            for a Gaussian.
        mse: of the ensemble mean.
        ssr: spread-skill ratio as DYffusion defines it, sqrt(mean variance, ddof 0) / RMSE of the mean. 1 is ideal for
            many members; a perfect ensemble of M has sqrt((M - 1) / (M + 1)).
        forecasts: how many.
        blocks: how many independent stretches they make up: below about ten the intervals are too narrow.
        mse_fair: what the mean of infinitely many members would have on average: less the mean's own noise, the
            unbiased member variance over M; None with a single member, and equal to mse for a Gaussian.
    """

    crps: Interval
    crps_fair: Interval | None
    mse: Interval
    ssr: Interval
    forecasts: int
    blocks: int
    mse_fair: Interval | None = None


def scores(ensemble, truth, *, weights=None, period: float | None = None, block: int = 1, seed: int = 0) -> Scores:
    """Score an ensemble.

    Args:
        ensemble: (M, N, ...) members.
        truth: (N, ...); the last axes are those of the weights.
        weights: see `weighted_mean`.
        period: length of the circle, None on the line.
        block: neighbouring forecasts that are resampled together; at least the horizon in steps of the starts.
        seed: of the bootstrap.
    """
    ensemble, truth = _checked(ensemble, truth)
    mean = ensemble_mean(ensemble, period)
    variance = np.mean([_difference(x, mean, period) ** 2 for x in ensemble], 0)
    rows = [crps(ensemble, truth, period=period), variance, _difference(mean, truth, period) ** 2]
    if len(ensemble) > 1:
        rows.append(crps(ensemble, truth, fair=True, period=period))
        rows.append(rows[2] - variance / (len(ensemble) - 1))
    return _summary([weighted_mean(r, weights) for r in rows], block, seed)


def gaussian_scores(mean, std, truth, *, weights=None, block: int = 1, seed: int = 0) -> Scores:
    """Score a Gaussian forecast, the CRPS in closed form; arguments as in `scores`, std broadcasts to the mean."""
    mean, truth = _checked(np.asarray(mean)[None], truth)
    mean, std = mean[0], np.broadcast_to(np.asarray(std, np.float64), truth.shape)
    score = crps_gaussian(mean, std, truth)
    rows = (score, std**2, error := (mean - truth) ** 2, score, error)
    return _summary([weighted_mean(r, weights) for r in rows], block, seed)


def _summary(rows: list[np.ndarray], block: int, seed: int) -> Scores:
    table = torch.from_numpy(np.stack(rows, 1))  # (N, 3 or 5): crps, variance, squared error; fair crps and error
    value, drawn = table.mean(0), resampled_means(table, seed=seed, block=block)
    intervals = [_interval(v, d) for v, d in zip(value, drawn.T, strict=True)]
    ssr = _interval(*((m[..., 1] / m[..., 2].clamp_min(1e-300)).sqrt() for m in (value, drawn)))
    fair, mse_fair = intervals[3:] or (None, None)
    return Scores(intervals[0], fair, intervals[2], ssr, len(table), max(1, len(table) // block), mse_fair)


def _interval(value: torch.Tensor, drawn: torch.Tensor) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    return Interval(float(value), float(torch.quantile(drawn, tail)), float(torch.quantile(drawn, 1 - tail)))


def wasserstein_1d(a, b) -> float:
    """W1 between two samples of numbers: the area between their distribution functions, exact."""
    a, b = np.sort(np.ravel(a).astype(np.float64)), np.sort(np.ravel(b).astype(np.float64))
    if not (a.size and b.size):
        raise Mistake("W1 needs at least one number in each sample.", "samples")
    edges = np.sort(np.concatenate([a, b]))
    inside = edges[:-1]
    gap = np.searchsorted(a, inside, "right") / a.size - np.searchsorted(b, inside, "right") / b.size
    return float(np.abs(gap) @ np.diff(edges))


def jensen_shannon(p, q) -> float:
    """Jensen-Shannon distance of two histograms: root of the divergence in bits, in [0, 1] (Endres, Schindelin 2003).

    Args:
        p, q: non-negative arrays of one shape; each is divided by its sum.
    """
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    if p.shape != q.shape or min(p.min(), q.min()) < 0 or not (p.sum() > 0 and q.sum() > 0):
        raise Mistake("Two histograms of one shape are needed, without negative counts and not empty.", "histograms")
    p, q = p / p.sum(), q / q.sum()
    m = (p + q) / 2

    def divergence(a: np.ndarray) -> float:
        return float(np.sum(a[a > 0] * np.log2(a[a > 0] / m[a > 0])))

    return math.sqrt(max(0.0, (divergence(p) + divergence(q)) / 2))
