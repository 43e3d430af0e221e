"""Answers about flows in two dimensions: frozen dataclasses, numpy only. n points, N steps, S settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class CloudNumbers:
    """How far a cloud lies from data it has not seen.

    Attributes:
        mmd2: unbiased squared MMD, kernel exp(-d^2 / 2); can be negative.
        mmd2_biased: biased, as the public code has it.
        w2: 2-Wasserstein distance by exact assignment, in the units of the plane.
    """

    mmd2: float
    mmd2_biased: float
    w2: float


@dataclass(frozen=True, eq=False)
class Flow2DResult:
    """One setting, run.

    Attributes:
        times: (N + 1,) of the grid, 0 = noise, 1 = data.
        trajectories: (n, N + 1, 2) float32, the states at these times.
        predictions: (n, N, 2) float32, x1_hat at the start of every step.
        density: (c, c) float32 the exact density, row = y growing, column = x growing.
        axis: (c,) float32 coordinates of rows and columns.
        nfe: network calls, counted.
        derivatives: backward passes, counted; each costs about two calls.
        net: what was called: "oracle", the name of a shipped net, or the key of a trained one.
        numbers: against held-out data.
        floor: the same of as many points of data: what a perfect sampler gets.
        oracle: the same of the same sampler on the closed form, None where none is known.
        w2_points: how many points of each cloud the W2 took.
    """

    times: np.ndarray
    trajectories: np.ndarray
    predictions: np.ndarray
    density: np.ndarray
    axis: np.ndarray
    nfe: int
    derivatives: int
    net: str
    numbers: CloudNumbers
    floor: CloudNumbers
    oracle: CloudNumbers | None
    w2_points: int

    @property
    def points(self) -> np.ndarray:
        """(n, 2) float32 at t = 1."""
        return self.trajectories[:, -1]


@dataclass(frozen=True, eq=False)
class SweepResult:
    """Unbiased MMD^2; NaN where a setting diverged or is undefined. R seeds.

    Attributes:
        nfes: (K,).
        by_nfe: (S, K, R), the settings.
        oracle_by_nfe: (K, R), Euler on the exact velocity of the closed form (of I-CFM where a path has none).
        gammas: (G,) values of gamma1, () when no setting has momentum.
        gamma_settings: indices of the settings in `by_gamma`.
        by_gamma: (M, G, R), each at its setting's own NFE.
        oracle_by_gamma: (M, G, R), the same on the closed form, NaN where none is known.
        floor: (R,) of data against data.
    """

    nfes: np.ndarray
    by_nfe: np.ndarray
    oracle_by_nfe: np.ndarray
    gammas: np.ndarray
    gamma_settings: tuple[int, ...]
    by_gamma: np.ndarray
    oracle_by_gamma: np.ndarray
    floor: np.ndarray


@dataclass(frozen=True, eq=False)
class TrainStep:
    """A training, looked at.

    Attributes:
        step, steps: done and asked for.
        seconds: so far.
        losses: (k, 2) step and mean loss since the last look.
        preview: (m, 2) points from the averaged weights; None where the flow from them diverged.
        numbers: of the preview, against held-out data; None with it.
        key: of the net as it is now; it can be used once the training ends or is closed.
        finished: whether this is the last look.
    """

    step: int
    steps: int
    seconds: float
    losses: np.ndarray
    preview: np.ndarray | None
    numbers: CloudNumbers | None
    key: str
    finished: bool
