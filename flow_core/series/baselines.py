"""Forecasts that a model has to beat, each with an honest spread.

The simple ones are climatology, persistence and damped persistence; the strong ones, which a claim of skill has to be
held against, damped persistence towards a slow level, vector autoregression with a spread by season, and the nearest
analogs. Everything is fitted on the training part (orders are chosen on the validation part) and acts on normalised
values. Gaussian forecasts have an exact CRPS (`scores.gaussian_scores`); on the torus all are ensembles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flow_core.series.scores import weighted_mean, wrap
from flow_core.series.world import Rollouts, World
from foundation.files.locations import DataError

SIMPLE_BASELINES = ("climatology", "persistence", "damped persistence")
LEVEL, REGRESSION, ANALOGS = "level-damped persistence", "vector autoregression", "nearest analogs"
STRONG_BASELINES = (LEVEL, REGRESSION, ANALOGS)
ANALOG_MEMBERS = 50  # members of the nearest analogs, at least
LEVEL_FRAMES = 12  # whose mean is the level: of the monthly fields a year
LAG_ORDERS = (1, 2, 4, 7, 14)  # of the autoregression, by the validation part
LEAST_SHARE = 0.1  # of the mean variance, at every season
ANALOG_FRAMES, STARTS_AT_ONCE = 2, 64  # frames that analogs are compared by; starts at once


@dataclass(frozen=True)
class Baseline:
    """A linear forecast from the last frame.

    Attributes:
        kind: one of `SIMPLE_BASELINES`.
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
    if kind not in SIMPLE_BASELINES:
        raise DataError(f"Unknown baseline {kind!r}; use {', '.join(SIMPLE_BASELINES)}.")
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
    if kind not in SIMPLE_BASELINES[:2] or world.geometry != "torus":
        raise DataError("On the torus there are climatology and persistence; elsewhere use fit_baseline.")
    train = world.rollouts("train", rollouts.truth.shape[1])
    drawn = train.truth.astype(np.float64)
    if kind == "persistence":
        drawn = drawn - train.history[:, -1:]
    rows = np.random.default_rng(seed).integers(len(drawn), size=(count, len(rollouts)))
    start = rollouts.history[:, -1:] if kind == "persistence" else 0.0
    return wrap(drawn[rows] + start)


@dataclass(frozen=True)
class GaussianForecast:
    """Attributes: mean float64 (N, L, *shape); std, broadcast to it."""

    mean: np.ndarray
    std: np.ndarray


def strong_kinds(world: World) -> tuple[str, ...]:
    """Which of `STRONG_BASELINES` a world allows: no lines on the torus, and in fields no more than the level.

    The training part of a field is too short for a coefficient between any two cells.
    """
    line, vector = world.geometry == "euclidean", len(world.shape) == 1
    allowed = {LEVEL: line, REGRESSION: line and vector, ANALOGS: vector}
    return tuple(kind for kind in STRONG_BASELINES if allowed[kind])


def strong_baseline(
    world: World, rollouts: Rollouts, kind: str, members: int = ANALOG_MEMBERS
) -> GaussianForecast | np.ndarray:
    """One of the strong baselines: a Gaussian, or members (M, N, L, *shape), normalised.

    Raises:
        DataError: this world has none of that kind.
    """
    if kind not in strong_kinds(world):
        raise DataError(f"{world.title} has no baseline {kind!r}; use {', '.join(strong_kinds(world))}.")
    if kind == LEVEL:
        return level_damped(world, rollouts)
    if kind == REGRESSION:
        return autoregression(world, rollouts)
    train = len(world.rollouts("train", rollouts.truth.shape[1]))
    return analogs(world, rollouts, min(max(members, ANALOG_MEMBERS), train))


def strong_baselines(world: World, rollouts: Rollouts, members: int) -> dict[str, GaussianForecast | np.ndarray]:
    """Every strong baseline that a world allows, see `strong_baseline`."""
    return {kind: strong_baseline(world, rollouts, kind, members) for kind in strong_kinds(world)}


def longer_history(world: World, rollouts: Rollouts, frames: int) -> np.ndarray:
    """The last frames before each start, float64 (N, frames, *shape), normalised; before a run its first frame."""
    out = np.empty((len(rollouts), frames, *world.shape))
    for number, segment in enumerate(world.segments):
        rows = np.flatnonzero(rollouts.segment == number)
        index = rollouts.first[rows][:, None] + np.arange(-frames, 0)
        out[rows] = world.normalise(segment.values[index.clip(0)])
    return out


def level_damped(world: World, rollouts: Rollouts, frames: int = LEVEL_FRAMES) -> GaussianForecast:
    """b level + a (last frame - level) with coefficients for each lead by least squares.

    The level is the mean of the last frames, of fields that of their area: what changes slowly (a warming, an El Nino)
    is kept longer than the rest. Coefficients of a field are pooled over its cells.
    """
    horizon = rollouts.truth.shape[1]
    train = world.rollouts("train", horizon)
    weights = np.ones(world.shape) if world.weights is None else np.broadcast_to(world.weights, world.shape)

    def parts(r: Rollouts) -> tuple[np.ndarray, np.ndarray]:
        history = longer_history(world, r, frames)
        level = history.mean(1)
        if world.weights is not None:
            area = weighted_mean(level, world.weights).reshape(-1, *[1] * len(world.shape))
            level = area * (weights > 0)
        return level, history[:, -1] - level

    level, rest = parts(train)
    pooled = world.weights is not None
    axes = (0, *range(1, level.ndim)) if pooled else (0,)
    dot = lambda a, b: (weights * a * b).sum(axes)  # noqa: E731
    gram = np.stack([np.stack([dot(level, level), dot(level, rest)]), np.stack([dot(level, rest), dot(rest, rest)])])
    gram = gram + 1e-9 * len(train) * np.eye(2).reshape(2, 2, *[1] * (gram.ndim - 2))
    determinant = gram[0, 0] * gram[1, 1] - gram[0, 1] ** 2
    at_level, at_rest = parts(rollouts)
    means, stds = [], []
    for lead in range(horizon):
        truth = train.truth[:, lead].astype(np.float64)
        p, q = dot(level, truth), dot(rest, truth)
        b = (gram[1, 1] * p - gram[0, 1] * q) / determinant
        a = (gram[0, 0] * q - gram[0, 1] * p) / determinant
        means.append(b * at_level + a * at_rest)
        stds.append(np.sqrt(((truth - b * level - a * rest) ** 2).mean(0)))
    return GaussianForecast(np.stack(means, 1), np.stack(stds))


def _coefficients(world: World, order: int) -> np.ndarray:
    """Least squares of the next frame on the `order` last ones and 1, (order D + 1, D)."""
    windows = replace(world, history=order).windows("train")
    x = np.concatenate([windows.history.reshape(len(windows), -1), np.ones((len(windows), 1))], 1).astype(np.float64)
    gram = x.T @ x + 1e-6 * len(x) * np.eye(x.shape[1])
    return np.linalg.solve(gram, x.T @ windows.target.astype(np.float64))


def _regressed(coefficients: np.ndarray, history: np.ndarray, horizon: int) -> np.ndarray:
    """Means (N, L, D), each fed with those before it."""
    window, out = history, []
    one = np.ones((len(history), 1))
    for _ in range(horizon):
        out.append(np.concatenate([window.reshape(len(window), -1), one], 1) @ coefficients)
        window = np.concatenate([window[:, 1:], out[-1][:, None]], 1)
    return np.stack(out, 1)


def autoregression(world: World, rollouts: Rollouts, orders: tuple[int, ...] = LAG_ORDERS) -> GaussianForecast:
    """Vector autoregression of the order that is best one frame ahead on the validation part.

    Its spread at each lead is that of its errors on the training part; where a context is known in advance (the season)
    their variance is linear in it, but at least `LEAST_SHARE` of its mean.
    """
    horizon = rollouts.truth.shape[1]
    validation = world.rollouts("validation", 1)

    def error(order: int) -> float:
        guess = _regressed(_coefficients(world, order), longer_history(world, validation, order), 1)
        return float(((guess - validation.truth) ** 2).mean())

    shortest = min(len(s.values) for s in world.segments)
    order = min((k for k in orders if k < shortest), key=error)
    coefficients = _coefficients(world, order)
    train = world.rollouts("train", horizon)
    squared = (_regressed(coefficients, longer_history(world, train, order), horizon) - train.truth) ** 2

    def seasons(context: np.ndarray, lead: int) -> np.ndarray:
        return np.concatenate([np.ones((len(context), 1)), context[:, lead]], 1).astype(np.float64)

    variance = []
    for lead in range(horizon):
        slopes = np.linalg.lstsq(seasons(train.context, lead), squared[:, lead], rcond=None)[0]
        least = LEAST_SHARE * squared[:, lead].mean(0)
        variance.append(np.maximum(seasons(rollouts.context, lead) @ slopes, least))
    mean = _regressed(coefficients, longer_history(world, rollouts, order), horizon)
    return GaussianForecast(mean, np.sqrt(np.stack(variance, 1)))


def analogs(world: World, rollouts: Rollouts, members: int, frames: int = ANALOG_FRAMES) -> np.ndarray:
    """The changes that followed the nearest states of the training part, added to the last frame.

    Args:
        world: its training part is searched.
        rollouts: what to forecast.
        members: how many neighbours.
        frames: states are compared by so many last frames; angles by 2 - 2 cos of their differences.

    Returns:
        float64 (members, N, L, D).
    """
    train = world.rollouts("train", rollouts.truth.shape[1])
    if members > len(train):
        raise DataError(f"There are {len(train)} training starts, fewer than the {members} analogs asked for.")
    torus = world.geometry == "torus"
    known, states = (longer_history(world, r, frames).reshape(len(r), -1) for r in (train, rollouts))
    if torus:
        known, states = (np.concatenate([np.cos(a), np.sin(a)], 1) for a in (known, states))
    squares = (known**2).sum(1)
    out = np.empty((members, *rollouts.truth.shape))
    for begin in range(0, len(states), STARTS_AT_ONCE):
        part = slice(begin, begin + STARTS_AT_ONCE)
        distance = squares - 2 * states[part] @ known.T
        nearest = np.argpartition(distance, members - 1, 1)[:, :members]
        rows = nearest.T  # changes of these alone: all of them, in float64, are hundreds of MB
        changes = train.truth[rows].astype(np.float64) - train.history[rows, -1:]
        out[:, part] = rollouts.history[part, -1:] + changes
    return wrap(out) if torus else out
