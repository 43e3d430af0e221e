"""What a time-series world is to training and scoring: series cut into splits, windows, rollouts, normalisation.

    world = open_world("alanine")           # flow_core.series.worlds
    train = world.windows("train")          # history (N, H, *shape) -> target (N, *shape), normalised, float32
    starts = world.rollouts("test")         # history and the next `horizon` frames, for forecasts

A target belongs to the split that its time lies in; its history may reach back into the split before, never forward,
and never across two runs. What is known of a time in advance (the season) comes as `context`; the absolute time never
does, but for `alanine_in_sample`, which is the published protocol and named so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flow_core.series.scores import wrap
from foundation.files.locations import DataError

WORLD_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Segment:
    """An unbroken series.

    Attributes:
        values: float32 (T, *shape) in the unit of the world.
        times: (T,) datetime64, or float64 in the time unit of the world.
        context: float32 (T, C), what is known of each time in advance.
        splits: split -> (first, end) of the targets in it.
        background: float32 (T, *shape) climatology that was subtracted, None where nothing was.
    """

    values: np.ndarray
    times: np.ndarray
    context: np.ndarray
    splits: Mapping[str, tuple[int, int]]
    background: np.ndarray | None = None


@dataclass(frozen=True)
class Windows:
    """Training pairs, normalised float32.

    Attributes:
        history: (N, H, *shape), oldest first.
        target: (N, *shape).
        context: (N, C) of the target.
    """

    history: np.ndarray
    target: np.ndarray
    context: np.ndarray

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True)
class Rollouts:
    """Forecast starts, normalised float32.

    Attributes:
        history: (N, H, *shape), oldest first.
        truth: (N, L, *shape), the next L frames.
        context: (N, L, C) of these frames.
        segment, first: int64 (N,), where the first of these frames is.
    """

    history: np.ndarray
    truth: np.ndarray
    context: np.ndarray
    segment: np.ndarray
    first: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True, eq=False)
class World:
    """Everything that training and scoring of next-step models need to know of a world.

    Attributes:
        name, title: for files and for people.
        variables: names of the numbers of a vector world; of the one variable of a field.
        unit: of the values.
        dt, time_unit: time between frames.
        history: frames that a model sees.
        horizon: frames of a usual forecast.
        shape: of one frame, (D,) or (1, rows, columns).
        geometry: "euclidean", or "torus": angles in radians, normalised to [-pi, pi) only.
        center, scale: float64, broadcast to the shape; from the training part; 0 and 1 on the torus.
        segments: the series.
        licence: a sentence about origin and right of use.
        mask: bool (rows, columns), True where a field has data, None elsewhere; normalised values are 0 outside.
        weights: float64 (rows, columns), share of the area of each cell, sum 1; None elsewhere.
        latitudes, longitudes: degrees, of a field.
    """

    name: str
    title: str
    variables: tuple[str, ...]
    unit: str
    dt: float
    time_unit: str
    history: int
    horizon: int
    shape: tuple[int, ...]
    geometry: str
    center: np.ndarray
    scale: np.ndarray
    segments: tuple[Segment, ...]
    licence: str
    mask: np.ndarray | None = None
    weights: np.ndarray | None = None
    latitudes: np.ndarray | None = None
    longitudes: np.ndarray | None = None

    def __post_init__(self) -> None:
        shortest = min(len(s.values) for s in self.segments)
        if type(self.history) is not int or not 1 <= self.history < shortest:
            raise DataError(f"The history of {self.name} is a whole number from 1 to {shortest - 1} frames.", "history")
        for segment in self.segments:
            for array in (segment.values, segment.context, segment.background):
                if array is not None:
                    array.setflags(write=False)

    @property
    def context_size(self) -> int:
        return self.segments[0].context.shape[1]

    @property
    def in_sample(self) -> bool:
        """Whether training and test are the same frames; their context is then k / T of frame k."""
        return any("train" in s.splits and s.splits["train"] == s.splits.get("test") for s in self.segments)

    @property
    def period(self) -> float | None:
        """For `series_metrics`: 2 pi on the torus, else None."""
        return 2 * np.pi if self.geometry == "torus" else None

    def normalise(self, x: np.ndarray) -> np.ndarray:
        """Values (..., *shape) as a network wants them, float32: zero mean and unit scale, or wrapped angles."""
        if self.geometry == "torus":
            return wrap(np.asarray(x, np.float64)).astype(np.float32)
        x = (np.asarray(x, np.float64) - self.center) / self.scale
        return (x if self.mask is None else np.where(self.mask, x, 0.0)).astype(np.float32)

    def denormalise(self, x: np.ndarray) -> np.ndarray:
        """The inverse of `normalise`: float64, in the unit of the world (of an anomaly at sea); NaN off the mask."""
        x = np.asarray(x, np.float64)
        if self.geometry == "torus":
            return wrap(x)
        x = x * self.scale + self.center
        return x if self.mask is None else np.where(self.mask, x, np.nan)

    def windows(self, split: str) -> Windows:
        """All pairs (history, next frame) whose target lies in the split."""
        starts = self._starts(split, 1, 1)
        histories, targets, contexts = [], [], []
        for segment, first in starts:
            histories.append(self._frames(segment, first[:, None] + np.arange(-self.history, 0)))
            targets.append(self._frames(segment, first))
            contexts.append(segment.context[first])
        return Windows(*(np.concatenate(parts) for parts in (histories, targets, contexts)))

    def rollouts(self, split: str, horizon: int | None = None, stride: int = 1) -> Rollouts:
        """Forecasts that start in the split and end in it.

        Args:
            split: train, validation or test.
            horizon: frames to forecast, by default the world's own.
            stride: frames between two starts.

        Raises:
            DataError: the split is too short.
        """
        horizon = self.horizon if horizon is None else horizon
        if horizon < 1 or stride < 1:
            raise DataError(
                "A forecast has a horizon of 1 frame or more, and starts 1 frame or more apart.",
                ("horizon" if horizon < 1 else "stride"),
            )
        parts = []
        for segment, first in self._starts(split, horizon, stride):
            number = next(i for i, s in enumerate(self.segments) if s is segment)
            ahead = first[:, None] + np.arange(horizon)
            history = self._frames(segment, first[:, None] + np.arange(-self.history, 0))
            truth, context = self._frames(segment, ahead), segment.context[ahead]
            parts.append((history, truth, context, np.full(len(first), number), first))
        return Rollouts(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def times(self, rollouts: Rollouts, row: int) -> np.ndarray:
        """The times of the frames that one rollout forecasts."""
        first = int(rollouts.first[row])
        return self.segments[int(rollouts.segment[row])].times[first : first + rollouts.truth.shape[1]]

    def background(self, rollouts: Rollouts, row: int) -> np.ndarray:
        """What denormalised frames (L, *shape) of one rollout lack to full values: the climatology, or zeros."""
        first, segment = int(rollouts.first[row]), self.segments[int(rollouts.segment[row])]
        if segment.background is None:
            return np.zeros(rollouts.truth.shape[1:], np.float32)
        return segment.background[first : first + rollouts.truth.shape[1]]

    def fingerprint(self) -> str:
        """Sha256, 64 hex digits, of what a network is trained on: values, context, splits, normalisation."""
        digest = hashlib.sha256(f"{self.shape} {self.geometry} {self.history}".encode())
        for array in (self.center, self.scale):
            digest.update(np.ascontiguousarray(array, np.float64).tobytes())
        for segment in self.segments:
            digest.update(str(sorted(segment.splits.items())).encode())
            digest.update(np.ascontiguousarray(segment.values).tobytes())
            digest.update(np.ascontiguousarray(segment.context).tobytes())
        return digest.hexdigest()

    def _frames(self, segment: Segment, index: np.ndarray) -> np.ndarray:
        return self.normalise(segment.values[index])

    def _starts(self, split: str, horizon: int, stride: int) -> list[tuple[Segment, np.ndarray]]:
        if split not in WORLD_SPLITS:
            raise DataError(f"Unknown split {split!r}; use {', '.join(WORLD_SPLITS)}.", "split")
        found = []
        for segment in self.segments:
            begin, end = segment.splits.get(split, (0, 0))
            first = np.arange(max(begin, self.history), end - horizon + 1, stride)
            if len(first):
                found.append((segment, first))
        if not found:
            raise DataError(
                f"The {split} part of {self.name} is too short for {self.history} + {horizon} frames.", "horizon"
            )
        return found
