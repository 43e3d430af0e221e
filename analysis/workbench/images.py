"""Generated images and trajectories: requests, results and answers.

Pictures are uint8 (H, W, 3) or stacks (n, H, W, 3).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from analysis.core.fields import Label, Request, Seed
from analysis.core.images import as_pictures
from analysis.core.progress import Progress, tell
from analysis.metrics import image as metrics
from analysis.workbench.session import Session
from foundation import noise
from foundation.networks.counting import CountedCalls
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas

MAX_GENERATED = 64
MIN_GRID_STEPS, MAX_GRID_STEPS = 4, 40


@dataclass(frozen=True)
class GenerateRequest(Request):
    """Attributes: seeds, one a picture; label = class index, -1 for no class."""

    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_GENERATED)]
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
    steps: Annotated[int, Field(ge=MIN_GRID_STEPS, le=MAX_GRID_STEPS, title="The number of steps")] = 18


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


@torch.inference_mode()
def generate(session: Session, request: GenerateRequest, progress: Progress = None) -> GenerateResult:
    """Pictures in one network call each (paper, algorithm 2).

    Args:
        session: of the model.
        request: which seeds.
        progress: called with (share done, what) before every picture; may raise to cancel.
    """
    label = session.label(request.label)
    with session.lock:
        start = time.perf_counter()
        f = CountedCalls(session.model.one_step)
        out = []
        for i, seed in enumerate(request.seeds):
            tell(progress, i / len(request.seeds), "pictures")
            # one at a time: a picture must not depend on what it is batched with, to the last bit
            out.append(f(noise([seed], session.model.picture_shape), session.labels(label, 1)))
        return GenerateResult(as_pictures(torch.cat(out)), f.calls // len(out), time.perf_counter() - start)


@torch.inference_mode()
def trajectory(session: Session, request: TrajectoryRequest, progress: Progress = None) -> TrajectoryResult:
    """The Koopman path from T to eps beside the teacher's own trajectory from the same noise.

    Args:
        session: of the model.
        request: which noise.
        progress: called with (share done, what); may raise to cancel.
    """
    label = session.label(request.label)
    with session.lock:
        return session.cache.get(request, lambda: _trajectory(session, request, label, progress))


def _trajectory(session: Session, request: TrajectoryRequest, label: int, progress: Progress) -> TrajectoryResult:
    n, model, teacher = request.steps, session.model, session.teacher
    sigmas = karras_sigmas(n)
    tau = model.tau(sigmas)
    z = [latent.expand(n, -1, -1, -1) for latent in session.encoded(request.seed, label)]
    path = model.decode(model.evolve(z, torch.ones(n), tau), session.labels(label, n))
    koopman = as_pictures(path)
    if teacher is None:
        return TrajectoryResult(sigmas.numpy(), tau.numpy(), koopman, None, None, None, None, None, 1, 0)
    states, denoised = [], []

    def keep(i: int, sigma: float, x: Tensor, x0: Tensor) -> None:
        states.append(x / (1 + sigma**2) ** 0.5)
        denoised.append(x0)
        tell(progress, (i + 1) / n, "teacher's trajectory")

    labels = session.labels(label, 1)
    x = SIGMA_MAX * noise([request.seed], model.picture_shape)
    final = heun_sample(lambda x, s: teacher(x, s, labels), x, sigmas, keep)
    x0 = torch.cat(denoised)
    return TrajectoryResult(
        sigma=sigmas.numpy(),
        tau=tau.numpy(),
        koopman=koopman,
        denoised=as_pictures(x0),
        state=as_pictures(torch.cat(states)),
        final=as_pictures(final.x)[0],
        mse=metrics.mse(path, x0).numpy(),
        lpips=session.lpips(path, x0),
        nfe_model=1,
        nfe_teacher=final.nfe,
    )
