"""Forecasts that a model has to beat: climatology, persistence, damped persistence, each with an honest spread.

Everything is fitted on rollouts of the training part and acts on normalised values. On the line the forecasts are
Gaussian: their CRPS is exact (`series_metrics.gaussian_scores`). On the torus they are ensembles drawn from training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flow_core.series.scores import wrap
from flow_core.series.world import Rollouts, World
from foundation.locations import DataError

KINDS = ("climatology", "persistence", "damped persistence")


@dataclass(frozen=True)
class Baseline:
    """A linear forecast from the last frame.

    Attributes:
        kind: one of `KINDS`.
        coefficient: float64 (L, *shape): mean at each lead is coefficient times the last frame; 0 for climatology, 1
            for persistence, fitted by least squares for damped persistence.
        std: float64 (L, *shape), rms error of that mean on the training part.
    """

    kind: str
    coefficient: np.ndarray
    std: np.ndarray

    def mean(self, history: np.ndarray) -> np.ndarray:
        """Histories (N, H, *shape) to means (N, L, *shape)."""
        return history[:, -1:].astype(np.float64) * self.coefficient

    def members(self, history: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
        """Independent Gaussian draws around the mean: (count, N, L, *shape)."""
        mean = self.mean(history)
        return mean + self.std * np.random.default_rng(seed).standard_normal((count, *mean.shape))


def fit_baseline(world: World, kind: str, horizon: int | None = None, pooled: bool | None = None) -> Baseline:
    """Fit on all training rollouts of a Euclidean world.

    Args:
        world: its training part is used, nothing else.
        kind: climatology, persistence or damped persistence.
        horizon: leads; by default the world's.
        pooled: one damping coefficient a lead for all cells (weighted by area), not one a cell: less noise where
            the training part is short. None pools in fields only, whose CRPS on the validation part is better so; at
            the sites it makes no difference.

    Raises:
        DataError: unknown kind, or a world on the torus.
    """
    if kind not in KINDS:
        raise DataError(f"Unknown baseline {kind!r}; use {', '.join(KINDS)}.")
    if world.geometry != "euclidean":
        raise DataError("Linear baselines need values on the line; on the torus use torus_members.")
    pooled = world.mask is not None if pooled is None else pooled
    train = world.rollouts("train", horizon)
    truth, last = train.truth.astype(np.float64), train.history[:, -1:].astype(np.float64)
    coefficient = np.full(truth.shape[1:], float(kind != "climatology"))
    if kind == "damped persistence":
        product, square = (last * truth).sum(0), np.broadcast_to((last * last).sum(0), coefficient.shape)
        if pooled:
            weights = np.ones(world.shape) if world.weights is None else world.weights
            axes = tuple(range(1, product.ndim))
            product, square = ((weights * a).sum(axes, keepdims=True) for a in (product, square))
        coefficient = coefficient * np.divide(product, square, out=np.zeros_like(product), where=square > 0)
    std = np.sqrt(((truth - coefficient * last) ** 2).mean(0))
    return Baseline(kind, coefficient, std)


def torus_members(world: World, rollouts: Rollouts, kind: str, count: int, seed: int = 0) -> np.ndarray:
    """Ensembles on the torus from training rollouts drawn at random.

    Args:
        world: its training part is drawn from.
        rollouts: what to forecast.
        kind: "climatology": the drawn frames themselves; "persistence": the last frame plus the drawn changes.
        count: members.
        seed: of the draws.

    Returns:
        float64 (count, N, L, D), radians.
    """
    if kind not in KINDS[:2] or world.geometry != "torus":
        raise DataError("On the torus there are climatology and persistence; elsewhere use fit_baseline.")
    train = world.rollouts("train", rollouts.truth.shape[1])
    drawn = train.truth.astype(np.float64)
    if kind == "persistence":
        drawn = drawn - train.history[:, -1:]
    rows = np.random.default_rng(seed).integers(len(drawn), size=(count, len(rollouts)))
    start = rollouts.history[:, -1:] if kind == "persistence" else 0.0
    return wrap(drawn[rows] + start)
