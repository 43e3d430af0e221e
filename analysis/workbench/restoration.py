"""Restoration (inpainting, colourisation): requests, result and answers. Pictures and masks are as in `editing`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.fields import Choice, Image, Label, Mask, Request, Seed, Unit
from analysis.core.images import ImageProgress, as_pictures
from analysis.core.progress import still_wanted
from analysis.koopman import restoration
from analysis.koopman.restoration import MAX_RESTORATION_STEPS, HoleNumbers
from analysis.workbench.session import Session
from foundation import noise
from koopman_core.edm import SIGMA_MIN
from koopman_core.operator import sigma_of_tau

FILLING_METHODS = ("iterative", "latent")


def _end(sigma: float) -> float:
    if sigma and not SIGMA_MIN <= sigma <= 79:
        raise UserError(f"The last noise level must be 0 (as published), or a number from {SIGMA_MIN:g} to 79.")
    return sigma


Steps = Annotated[int, Field(ge=1, le=MAX_RESTORATION_STEPS, title="The number of steps")]
End = Annotated[float, AfterValidator(_end), Field(title="The last noise level")]
RESTORERS = ("model", "teacher")
By = Annotated[str, Choice(RESTORERS), Field(title="Who restores")]
_AS_PUBLISHED: dict[str, Any] = {"end": 0.0, "skip": False, "by": "model"}


@dataclass(frozen=True, eq=False)
class InpaintRequest(Request):
    """Fill the hole of a picture. Mask: 1 (255, True) = UNKNOWN, to be made up; half and more counts as 1.

    Attributes:
        picture, mask: what is given.
        seed, label: of what is made up.
        steps: 1 to 40, for "iterative".
        method: "iterative" (algorithm 4) or "latent" (one step, blended in z).
        tau: when "latent" encodes the known picture.
        truth: whether the picture is also the truth inside the hole, so that the result can be measured.
        end: last noise level of "iterative"; 0 for that of the published grid.
        skip: whether the map of "iterative" gets the level-aware skip, see `koopman.restoration.with_skip`.
        by: "model", or "teacher": "iterative" with the denoiser D(x; sigma) in place of f(x, sigma).
    """

    former: ClassVar = _AS_PUBLISHED
    picture: Image
    mask: Mask
    seed: Seed = 0
    label: Label = -1
    steps: Steps = 20
    method: Annotated[str, Choice(FILLING_METHODS)] = "iterative"
    tau: Annotated[Unit, Field(title="The encoding time")] = 0.5
    truth: bool = True
    end: End = 0.0
    skip: bool = False
    by: By = "model"

    def check_together(self) -> None:
        """Raises UserError: no hole, or one of another size; latents of a teacher, which has none."""
        if self.method == "latent" and self.by == "teacher":
            raise UserError("The teacher has no latents to blend: let it restore step by step.", "by")
        if self.mask.shape != self.picture.shape[:2]:
            raise UserError("The mask must be as high and wide as the picture: paint it again.", "mask")
        if not (self.mask >= 128).any():
            raise UserError("Nothing is painted: paint over what is to be made up.", "mask")


@dataclass(frozen=True, eq=False)
class ColorizeRequest(Request):
    """Colours for a picture, of which only the luma is looked at.

    Attributes: picture; seed, label of what is made up; steps, 1 to 40; truth = whether its own colours are the truth;
    end, skip, by: as in `InpaintRequest`.
    """

    former: ClassVar = _AS_PUBLISHED
    picture: Image
    seed: Seed = 0
    label: Label = -1
    steps: Steps = 20
    truth: bool = True
    end: End = 0.0
    skip: bool = False
    by: By = "model"


@dataclass(frozen=True, eq=False)
class RestoreResult:
    """A picture made whole.

    Attributes:
        picture: (H, W, 3) restored.
        given: (H, W, 3) what was known: mid-grey holes, or the grey picture.
        frames: (n, H, W, 3) after every step done.
        sigma: (n,) their noise levels.
        nfe: network calls ("latent": two encodes and one decode, given as 2).
        stopped: ended early by `restoration.Stop`.
        numbers: against the truth, None when that is not known.
    """

    picture: np.ndarray
    given: np.ndarray
    frames: np.ndarray
    sigma: np.ndarray
    nfe: int
    stopped: bool
    numbers: HoleNumbers | None


_shown = functools.partial(as_pictures, cure="choose fewer steps or another seed")


@torch.inference_mode()
def inpaint(session: Session, request: InpaintRequest, progress: ImageProgress | None = None) -> RestoreResult:
    """Fill a hole by algorithm 4 of Consistency Models, or in one step (docs/method.md, "Restoration").

    Args:
        session: of the model.
        request: what is known.
        progress: called with (share done, picture so far) after every step. Raising `restoration.Stop` ends the run
            and keeps the picture; anything else that it raises cancels.
    """
    label, picture = session.label(request.label), session.tensor(request.picture)
    hole = torch.from_numpy(request.mask >= 128)
    given = torch.where(hole, torch.zeros(()), picture)
    truth = picture if request.truth else None
    if request.method == "iterative":
        report = _report(progress, request.steps)
        f = _map(session, label, request.by)
        f = restoration.with_skip(f, restoration.standing_error(f, given, ~hole)) if request.skip else f
        done = restoration.inpaint(f, picture, hole, request.steps, [request.seed], report, request.end)
        done = replace(done, nfe=done.nfe + request.skip)  # one call to see how still f holds
        return _restored(session, done, given, truth, hole)
    with session.lock:
        generated = session.final_latents(request.seed, label)
        eps = noise([request.seed], session.model.picture_shape)
        session.encodes += 1
        labels = session.labels(label, 1)
        x = restoration.inpaint_latents(session.model, generated, picture, hole, request.tau, eps, labels)
    sigma = float(sigma_of_tau(request.tau, session.model.koopman.warp))
    _report(progress, 1)(1, sigma, x)
    done = restoration.Restored(x, (sigma,), (x,), 2, False)  # E(x_T), and E and D of the blend
    return _restored(session, done, given, truth, hole)


@torch.inference_mode()
def colorize(session: Session, request: ColorizeRequest, progress: ImageProgress | None = None) -> RestoreResult:
    """Make up colours, luma kept; `progress` as in `inpaint`. Shown pictures are drawn into the gamut."""
    label, picture = session.label(request.label), session.tensor(request.picture)
    report = _report(progress, request.steps)
    f, grey = _map(session, label, request.by), restoration.gray(picture)
    f = restoration.with_skip(f, restoration.standing_error(f, grey)) if request.skip else f
    done = restoration.colorize(f, picture, request.steps, [request.seed], report, request.end)
    done = replace(done, nfe=done.nfe + request.skip)
    everywhere = torch.ones(picture.shape[-2:], dtype=torch.bool)
    return _restored(session, done, grey, picture if request.truth else None, everywhere)


def _map(session: Session, label: int, by: str) -> Callable[[Tensor, float], Tensor]:
    """f(x, sigma), locked for one call only, so that other questions get through between the steps."""
    teacher = session.teacher
    if by == "teacher" and teacher is None:
        raise UserError("This model has no teacher: let the model restore.", "by")

    def f(x: Tensor, sigma: float) -> Tensor:
        labels = session.labels(label, len(x))
        with session.lock:
            if by == "teacher":
                assert teacher is not None
                return teacher(x, torch.tensor(sigma), labels)
            return session.model(x, sigma, labels)

    return f


def _report(progress: ImageProgress | None, steps: int) -> Callable[[int, float, Tensor], None]:
    def report(done: int, sigma: float, x: Tensor) -> None:
        shown = _shown(restoration.into_gamut(x))[0]
        still_wanted()
        if progress is not None:
            progress(done / steps, shown)

    return report


def _restored(
    session: Session, done: restoration.Restored, given: Tensor, truth: Tensor | None, hole: Tensor
) -> RestoreResult:
    frames = restoration.into_gamut(torch.cat(done.frames))
    shown, numbers = _shown(frames), None
    if truth is not None:
        with session.lock:
            lpips = session.lpips(frames[-1:], truth)
        perceptual = None if lpips is None else lambda x, y: lpips
        numbers = restoration.measure_hole(frames[-1:], truth, hole, perceptual)
    return RestoreResult(shown[-1], _shown(given)[0], shown, np.array(done.sigmas), done.nfe, done.stopped, numbers)
