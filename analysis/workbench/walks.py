"""Walks between two noises, and the teacher at few calls: requests, results and answers."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.fields import Choice, Label, Request, Seed, sorted_set
from analysis.core.images import as_pictures
from analysis.core.progress import Progress, tell
from analysis.workbench.session import Session
from foundation import noise
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas

MAX_WALK_FRAMES = 64
MAX_TEACHER_CALLS = 79
TEACHER_METHODS = ("heun", "euler")


@dataclass(frozen=True)
class WalkRequest(Request):
    """Pictures between two seeds.

    Attributes:
        seed, to: of the noises at both ends.
        label: class index, -1 for no class.
        frames: how many pictures, both ends among them.
    """

    seed: Seed
    to: Annotated[Seed, Field(title="The other seed")]
    label: Label = -1
    frames: Annotated[int, Field(ge=2, le=MAX_WALK_FRAMES, title="The number of frames")] = 25


@dataclass(frozen=True, eq=False)
class WalkResult:
    """Attributes: share (n,) of the way, 0 to 1; pictures (n, H, W, 3); nfe = network calls a picture; seconds."""

    share: np.ndarray
    pictures: np.ndarray
    nfe: int
    seconds: float


@dataclass(frozen=True)
class FewCallsRequest(Request):
    """The teacher's picture of one noise at several numbers of calls.

    Attributes:
        seed, label: which noise.
        calls: of the network; odd for Heun's method, which makes 2 N - 1 over N levels of the Karras grid.
        method: "heun" or "euler", a call a level.
    """

    seed: Seed
    label: Label = -1
    calls: Annotated[
        tuple[Annotated[int, Field(ge=1, le=MAX_TEACHER_CALLS)], ...],
        Field(min_length=1, max_length=8, title="The numbers of calls"),
        AfterValidator(sorted_set),
    ] = (1, 5, 35)
    method: Annotated[str, Choice(TEACHER_METHODS)] = "heun"

    def check_together(self) -> None:
        """Raises UserError: an even number of calls of Heun's method."""
        if self.method == "heun" and any(n % 2 == 0 for n in self.calls):
            raise UserError("Heun's method makes an odd number of calls, 2 N − 1 over N levels.", "calls")


@dataclass(frozen=True, eq=False)
class FewCallsResult:
    """Attributes: calls (n,), as counted; pictures (n, H, W, 3); seconds (n,)."""

    calls: np.ndarray
    pictures: np.ndarray
    seconds: np.ndarray


@torch.inference_mode()
def walk(session: Session, request: WalkRequest, progress: Progress = None) -> WalkResult:
    """One call a picture along cos(a) x + sin(a) y, which is standard normal noise at every angle a.

    Args:
        session: of the model.
        request: from where to where.
        progress: called with (share done, what) before every picture; may raise to cancel.
    """
    label, model = session.label(request.label), session.model
    x, y = (noise([seed], model.picture_shape) for seed in (request.seed, request.to))
    share, out, seconds = np.linspace(0, 1, request.frames), [], 0.0
    for s in share.tolist():
        tell(progress, s, "pictures on the way")
        angle = s * math.pi / 2
        # exactly, at both ends: the pictures of the two seeds
        z = x if s == 0 else y if s == 1 else math.cos(angle) * x + math.sin(angle) * y
        with session.lock:  # for one call, so that other questions get through
            begun = time.perf_counter()
            out.append(model.one_step(z, session.labels(label, 1)))
            seconds += time.perf_counter() - begun
    return WalkResult(share, as_pictures(torch.cat(out)), 1, seconds)


@torch.inference_mode()
def few_calls(session: Session, request: FewCallsRequest, progress: Progress = None) -> FewCallsResult:
    """The teacher on as many levels of the Karras grid as the calls allow; one call is D(x_T, 80).

    Args:
        session: of the model.
        request: which noise.
        progress: called with (share done, what) before every call; may raise to cancel.

    Raises:
        UserError: there is no teacher.
    """
    label, teacher = session.label(request.label), session.teacher
    if teacher is None:
        raise UserError("This model has no teacher here: choose one that has, or put the teacher's file beside it.")
    x, labels = SIGMA_MAX * noise([request.seed], session.model.picture_shape), session.labels(label, 1)
    done, total = 0, sum(request.calls)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        nonlocal done
        tell(progress, done / total, "the teacher")
        done += 1
        with session.lock:
            return teacher(x, sigma, labels)

    calls, pictures, seconds = [], [], []
    for n in request.calls:
        begun, made = time.perf_counter(), done
        pictures.append(_sampled(denoise, x, n, request.method))
        seconds.append(time.perf_counter() - begun)
        calls.append(done - made)
    return FewCallsResult(np.array(calls), as_pictures(torch.cat(pictures)), np.array(seconds))


def _sampled(denoise: Callable[[Tensor, Tensor], Tensor], x: Tensor, calls: int, method: str) -> Tensor:
    n = calls if method == "euler" else (calls + 1) // 2
    levels = karras_sigmas(n) if n > 1 else torch.tensor([SIGMA_MAX], dtype=torch.float64)
    if method == "heun":
        return heun_sample(denoise, x, levels).x
    for now, after in itertools.pairwise([*levels.tolist(), 0.0]):
        x = x + (after - now) * (x - denoise(x, torch.tensor(now, dtype=torch.float32))) / now
    return x
