"""Generated images and trajectories: requests and results, frozen dataclasses, numpy only.

Pictures are uint8 (H, W, 3) or stacks (n, H, W, 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from analysis.core.fields import Label, Request, Seed

MAX_PICTURES = 64
MIN_STEPS, MAX_STEPS = 4, 40


@dataclass(frozen=True)
class GenerateRequest(Request):
    """Attributes: seeds, one a picture; label = class index, -1 for no class."""

    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_PICTURES)]
    label: Label = -1


@dataclass(frozen=True)
class GenerateResult:
    """Attributes: pictures (n, H, W, 3); nfe = network calls; seconds."""

    pictures: np.ndarray
    nfe: int
    seconds: float


@dataclass(frozen=True)
class TrajectoryRequest(Request):
    """Attributes: seed; label; steps of the Karras grid (4 to 40), the teacher's Heun sampler included."""

    seed: Seed
    label: Label = -1
    steps: Annotated[int, Field(ge=MIN_STEPS, le=MAX_STEPS, title="The number of steps")] = 18


@dataclass(frozen=True)
class TrajectoryResult:
    """One noise followed from T to eps; n = steps, index 0 = T.

    Attributes:
        sigma, tau: (n,) noise level and Koopman time.
        koopman: (n, H, W, 3) the decoded Koopman path D(exp((tau - 1) A) E(x_T)).
        denoised: (n, H, W, 3) the teacher's denoised state at the same level, None without a teacher.
        state: (n, H, W, 3) the teacher's raw ODE state over sqrt(1 + sigma^2), None without a teacher.
        final: (H, W, 3) the teacher's sample.
        mse: (n,) between koopman and denoised ([-1, 1] scale); lpips: (n,) or None without a backbone.
        nfe_model, nfe_teacher: network calls.
    """

    sigma: np.ndarray
    tau: np.ndarray
    koopman: np.ndarray
    denoised: np.ndarray | None
    state: np.ndarray | None
    final: np.ndarray | None
    mse: np.ndarray | None
    lpips: np.ndarray | None
    nfe_model: int
    nfe_teacher: int
