"""A picture taken back to noise and made again: request, result and answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from analysis.core.fields import Image, Label, Request
from analysis.core.images import as_pictures
from analysis.core.progress import Progress, tell
from analysis.koopman import inversion
from analysis.koopman.inversion import NoiseNumbers
from analysis.metrics import image as metrics
from analysis.workbench.session import Session
from koopman_core.edm import SIGMA_MAX
from koopman_core.operator import sigma_of_tau


@dataclass(frozen=True, eq=False)
class InvertRequest(Request):
    """Take a picture back to noise by the teacher's ODE and by the Koopman law.

    Attributes:
        picture: what is inverted.
        label: its class, -1 for none.
        steps: levels of the teacher's backward way, 4 to 40; they cost 2 (steps - 1) calls.
        times: decoded times of the Koopman way back, 2 to 16, from the picture to noise.
    """

    picture: Image
    label: Label = -1
    steps: Annotated[int, Field(ge=4, le=40, title="The number of steps")] = 18
    times: Annotated[int, Field(ge=2, le=16, title="The number of times")] = 6


@dataclass(frozen=True)
class Closeness:
    """A picture against the one that was inverted, both in [-1, 1].

    Attributes: mse; psnr in dB, infinite when equal; ssim; lpips, None without a backbone.
    """

    mse: float
    psnr: float
    ssim: float
    lpips: float | None


@dataclass(frozen=True, eq=False)
class InvertResult:
    """What came back.

    Attributes:
        tau, sigma: (n,) times of the Koopman way, 0 = the picture.
        path: (n, H, W, 3) D(e^(tau A) E(x; eps)); the first is the Koopman reconstruction.
        koopman: how close that is.
        one_call: (H, W, 3) the model's picture of the teacher's x_T; None without a teacher, and so all below.
        noise: (C, H, W) float32, x_T over 80, to start anything else from.
        teacher: how close one_call is.
        noise_numbers: how much x_T looks like noise.
        nfe: calls of the teacher.
    """

    tau: np.ndarray
    sigma: np.ndarray
    path: np.ndarray
    koopman: Closeness
    one_call: np.ndarray | None
    noise: np.ndarray | None
    teacher: Closeness | None
    noise_numbers: NoiseNumbers | None
    nfe: int


def _close(session: Session, picture: Tensor, given: Tensor) -> Closeness:
    picture = picture.clamp(-1, 1)
    lpips = session.lpips(picture, given)
    return Closeness(
        float(metrics.mse(picture, given)[0]), float(metrics.psnr(picture, given)[0]),
        float(metrics.ssim(picture, given)[0]), None if lpips is None else float(lpips[0]),
    )  # fmt: skip


@torch.inference_mode()
def invert(session: Session, request: InvertRequest, progress: Progress = None) -> InvertResult:
    """Both inversions of a picture (docs/method.md, "Inversion").

    Args:
        session: of the model.
        request: the picture.
        progress: called with (share done, what) after every step of the teacher; may raise to cancel.
    """
    label, given = session.label(request.label), session.tensor(request.picture)
    model, teacher, labels = session.model, session.teacher, session.labels(label, 1)
    taus = torch.linspace(0, 1, request.times, dtype=torch.float64)
    with session.lock:
        path = torch.cat(inversion.koopman_path(model, given, taus.tolist(), labels))
        session.encodes += 1
    found = None
    if teacher is not None:

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            with session.lock:  # for one call only, so that other questions get through
                return teacher(x, sigma, labels)

        def report(step: int, sigma: float, x: Tensor) -> None:
            del sigma, x
            tell(progress, step / (request.steps - 1), "teacher's way back")

        found = inversion.invert_ode(denoise, given, inversion.rising_sigmas(request.steps), report)
    with session.lock:
        one = None if found is None else model(found.x, SIGMA_MAX, labels)
        koopman = _close(session, path[:1], given)
        close = None if one is None else _close(session, one, given)
    return InvertResult(
        tau=taus.numpy(),
        sigma=sigma_of_tau(taus, model.koopman.warp).numpy(),
        path=as_pictures(path),
        koopman=koopman,
        one_call=None if one is None else as_pictures(one)[0],
        noise=None if found is None else (found.x[0] / SIGMA_MAX).numpy(),
        teacher=close,
        noise_numbers=None if found is None else inversion.noise_numbers(found.x),
        nfe=0 if found is None else found.nfe,
    )
