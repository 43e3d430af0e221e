"""Fields as a few numbers: leading empirical orthogonal functions (EOFs), and a Gaussian process for what they leave.

    eofs = fit(world, modes=3)               # from the training part alone
    c = eofs.project(fields)                 # (..., *shape) -> (..., K), unit variance over the training part
    rest = fields - eofs.lift(c)

A few dozen frames do not pin down EOFs: seen from the months that they were fitted on, what they leave looks smaller
and forgets faster than it does later. So the rest is measured out of sample, on each year with EOFs of the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from flow_core.series.world import World
from foundation import noise
from foundation.mistakes import Mistake

FOLD = 12  # frames that are left out together: a year of months
RIPPLES = 20  # patterns of the noise of the rest that are kept; the rest of its variance is independent by cell


class Eofs(nn.Module):
    """Patterns, and the rest as decay * rest + noise of the training innovations' covariance.

    Buffers (P cells in row-major order, all zero where there are no data):
        patterns: (K, P), the field of one standard deviation of each coefficient.
        filters: (K, P), whose product with a field gives its coefficients.
        explained: (K,) share of the training part's variance, by area.
        decay: () of the rest from a frame to the next.
        ripples: (RIPPLES, P), patterns of the rest's noise, each for a standard normal number.
        speckle: (P,), standard deviation of the noise of each cell that the ripples leave.
        area: (P,) shares of the area, only where a level is subtracted.

    Args:
        modes: K.
        shape: of a field, (1, rows, columns).
        level: whether fields come less the area mean of the frames before.
    """

    patterns: Tensor
    filters: Tensor
    explained: Tensor
    decay: Tensor
    ripples: Tensor
    speckle: Tensor
    area: Tensor

    def __init__(self, modes: int, shape: Sequence[int], level: bool = False):
        super().__init__()
        self.shape = tuple(shape)
        cells = math.prod(self.shape)
        for name, size in {
            "patterns": (modes, cells), "filters": (modes, cells), "explained": (modes,), "decay": (),
            "ripples": (RIPPLES, cells), "speckle": (cells,), **({"area": (cells,)} if level else {}),
        }.items():  # fmt: skip
            self.register_buffer(name, torch.zeros(size))

    def level(self, fields: Tensor) -> Tensor:
        """The area mean of frames (..., H, *shape) over all of them, as a field (..., *shape): 0 without data."""
        mean = fields.flatten(-len(self.shape)).mean(-2) @ self.area
        return (mean[..., None] * (self.area > 0)).unflatten(-1, self.shape)

    def project(self, fields: Tensor) -> Tensor:
        """(..., *shape) to coefficients (..., K), by least squares in area."""
        return fields.flatten(-len(self.shape)) @ self.filters.T

    def lift(self, coefficients: Tensor) -> Tensor:
        """(..., K) to the fields (..., *shape) that they stand for."""
        return (coefficients @ self.patterns).unflatten(-1, self.shape)

    def next_rest(self, rest: Tensor, seeds: Sequence[int]) -> Tensor:
        """What the patterns leave (B, *shape), a frame later; noise from one seed a row."""
        z = noise(seeds, (RIPPLES + len(self.speckle),))
        shaken = z[:, :RIPPLES] @ self.ripples + z[:, RIPPLES:] * self.speckle
        return self.decay * rest + shaken.unflatten(-1, self.shape)


def leading(fields: np.ndarray, weights: np.ndarray, modes: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading patterns of fields by area, by singular values.

    Args:
        fields: (T, P), of zero mean.
        weights: (P,) shares of the area, 0 where there are no data.
        modes: K, at most T; patterns beyond the rank are zero.

    Returns:
        patterns (K, P), of one rms deviation of their coefficient each, their sum over the area positive, and the
        share (K,) of the area-weighted variance that each explains.
    """
    root = np.sqrt(weights)
    _, size, across = np.linalg.svd(fields * root, full_matrices=False)
    across = across[:modes] * np.where((across[:modes] * root).sum(1, keepdims=True) < 0, -1, 1)
    scaled = across * (size[:modes, None] / math.sqrt(len(fields)))
    patterns = np.divide(scaled, root, out=np.zeros_like(scaled), where=root > 0)
    return patterns, size[:modes] ** 2 / max((size**2).sum(), 1e-300)


def filters(patterns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(K, P) whose product with a field gives its coefficients: the patterns are orthogonal by area."""
    size = (patterns**2 @ weights)[:, None]
    return np.divide(patterns * weights, size, out=np.zeros_like(patterns), where=size > 1e-12)


def _less_level(run: np.ndarray, weights: np.ndarray, frames: int) -> np.ndarray:
    """Fields (T, P) less the area mean of the frames before each, (T - frames, P)."""
    area = run @ weights
    before = np.array([area[k : k + frames].mean() for k in range(len(run) - frames)])
    return run[frames:] - before[:, None] * (weights > 0)


def fit(world: World, modes: int, level: int = 0) -> Eofs:
    """Patterns of the training part, and the rest's decay and noise from years whose EOFs were fitted on the others.

    Args:
        world: of fields.
        modes: K.
        level: frames whose area mean is taken off the frame after them; 0 for none.

    Raises:
        ValueError: too many modes for the training part.
    """
    runs = [
        world.normalise(s.values[slice(*s.splits["train"])]).reshape(-1, math.prod(world.shape)).astype(np.float64)
        for s in world.segments
        if "train" in s.splits
    ]
    cells = math.prod(world.shape)
    weights = np.full(cells, 1 / cells) if world.weights is None else world.weights.ravel()
    if level:
        runs = [_less_level(run, weights, level) for run in runs if len(run) > level]
    frames = np.concatenate(runs)
    if not 1 <= modes <= len(frames) // 2:
        raise Mistake(
            f"series.modes must be from 1 to {len(frames) // 2}, half of the training frames of a field.",
            "series.modes",
        )
    patterns, explained = leading(frames, weights, modes)
    before, after = _rests(runs, weights, modes)
    decay = ((before * after) @ weights).sum() / max((before**2 @ weights).sum(), 1e-300)
    shaken = after - decay * before
    ripples, _ = leading(shaken, weights, RIPPLES)
    ripples = np.concatenate([ripples, np.zeros((RIPPLES - len(ripples), cells))])
    speckle = np.sqrt(((shaken**2).mean(0) - (ripples**2).sum(0)).clip(0))
    made = Eofs(modes, world.shape, bool(level))
    found = {
        "patterns": patterns, "filters": filters(patterns, weights), "explained": explained, "decay": decay,
        "ripples": ripples, "speckle": speckle, **({"area": weights} if level else {}),
    }  # fmt: skip
    made.load_state_dict({k: torch.as_tensor(v, dtype=torch.float32) for k, v in found.items()})
    return made


def _rests(runs: Sequence[np.ndarray], weights: np.ndarray, modes: int) -> tuple[np.ndarray, np.ndarray]:
    """What EOFs of the other years leave of each year: pairs of neighbouring frames, (N, P) each."""
    years = [(i, k) for i, run in enumerate(runs) for k in range(0, max(len(run) - 1, 1), FOLD)]
    before, after = [], []
    for i, k in years:
        left = runs[i][k : k + FOLD]
        kept = [np.delete(run, slice(k, k + FOLD), 0) if j == i else run for j, run in enumerate(runs)]
        patterns, _ = leading(np.concatenate(kept), weights, modes)
        rest = left - left @ filters(patterns, weights).T @ patterns
        before.append(rest[:-1])
        after.append(rest[1:])
    return np.concatenate(before), np.concatenate(after)
