"""Editing, inpainting, colourisation: requests, results and answers.

Pictures are uint8 (H, W, 3) of the model's size. Masks come in as bool, as float in [0, 1] or as uint8 (0 to 255, or 0
and 1), and are kept as uint8 0 to 255, so that a recipe can hold them without loss.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.fields import (
    MAX_EDGES,
    THIRDS,
    Choice,
    Edges,
    Image,
    Label,
    Levels,
    Mask,
    Order,
    Request,
    Seed,
    Unit,
    sorted_set,
)
from analysis.core.images import as_pictures
from analysis.core.progress import still_wanted
from analysis.koopman import editing, restoration
from analysis.koopman.editing import ENCODINGS, REGIONS, EditNumbers
from analysis.koopman.restoration import MAX_RESTORATION_STEPS, HoleNumbers
from analysis.workbench.session import Session
from foundation import noise
from foundation.procedural import shapes
from koopman_core.edm import SIGMA_MIN
from koopman_core.operator import sigma_of_tau, tau_of_sigma

REFERENCES = ("seed", "scene", "picture")
FILLING_METHODS = ("iterative", "latent")


def _end(sigma: float) -> float:
    if sigma and not SIGMA_MIN <= sigma <= 79:
        raise UserError(f"The last noise level must be 0 (as published), or a number from {SIGMA_MIN:g} to 79.")
    return sigma


ImageProgress = Callable[[float, np.ndarray], None]  # share done, and the picture so far
Steps = Annotated[int, Field(ge=1, le=MAX_RESTORATION_STEPS, title="The number of steps")]
End = Annotated[float, AfterValidator(_end), Field(title="The last noise level")]
RESTORERS = ("model", "teacher")
By = Annotated[str, Choice(RESTORERS), Field(title="Who restores")]
_AS_PUBLISHED: dict[str, Any] = {"end": 0.0, "skip": False, "by": "model"}


# Identity decides equality: comparing arrays gives arrays.
@dataclass(frozen=True, eq=False)
class EditRequest(Request):
    """Mix bands of a reference into the picture of a seed.

    Attributes:
        seed, label: the original.
        reference: "seed" (another seed), "scene" (a generated scene of `foundation.procedural.shapes`) or "picture".
        reference_seed: the seed or the number of the scene.
        reference_label: class of the reference.
        picture: the uploaded reference.
        encoding: "noise", "ode", "latent" or "inversion"; the second and third for seeds only.
        noise_seed: of the noise that is added to the reference.
        tau: edit time in [0, 1], 1/2 = midpoint.
        edges, order: the bands, as in `MaskRequest`.
        bands: numbers of the bands that are mixed.
        ratio: 0 (original) to 1 (reference).
        region: one of `editing.REGIONS`.
        mask: the painted region.
        entries: levels that are mixed; () for all.
        feather: softens the region's edge by a Gaussian of so many pixels.
    """

    former: ClassVar = {"entries": [], "feather": 0.0}
    seed: Seed
    label: Label = -1
    reference: Annotated[str, Choice(REFERENCES)] = "seed"
    reference_seed: Annotated[Seed, Field(title="The reference's seed")] = 1
    reference_label: Label = -1
    picture: Annotated[Image | None, Field(title="The reference picture")] = None
    encoding: Annotated[str, Choice(ENCODINGS)] = "noise"
    noise_seed: Seed = 0
    tau: Annotated[Unit, Field(title="The edit time")] = 0.5
    edges: Edges = THIRDS
    # the first has the most detail for its change of layout, by docs/results.md
    bands: Annotated[
        tuple[Annotated[int, Field(ge=0, le=MAX_EDGES)], ...],
        Field(min_length=1, max_length=MAX_EDGES + 1),
        AfterValidator(sorted_set),
    ] = (0,)
    order: Order = "alpha"
    ratio: Annotated[Unit, Field(title="The mixing ratio")] = 0.5
    region: Annotated[str, Choice(REGIONS)] = "lower-left-triangle"
    mask: Annotated[Mask | None, Field(title="The painted region")] = None
    entries: Levels = ()
    feather: Annotated[float, Field(ge=0, le=8, title="The feather")] = 0.0

    def check_together(self) -> None:
        """Raises UserError: a band beyond the last, an encoding that the reference has not, or no painting."""
        if self.bands[-1] > len(self.edges):
            raise UserError(f"Each of the bands must be a whole number from 0 to {len(self.edges)}.", "bands")
        if self.reference != "seed" and self.encoding in ("ode", "latent"):
            raise UserError(
                f"Only a seed has a trajectory to take a {self.encoding} state from: choose noise or inversion.",
                "encoding",
            )
        if (self.picture is not None) != (self.reference == "picture"):
            raise UserError("Upload a reference picture, or choose a seed or a scene as the reference.", "picture")
        if (self.mask is not None) != (self.region == "painted"):
            raise UserError(
                'Paint the region and choose "painted", or choose another region without a painting.', "mask"
            )
        if self.mask is not None and not self.mask.any():
            raise UserError("The painted region is empty: paint where the reference may come in.", "mask")


@dataclass(frozen=True, eq=False)
class EditResult:
    """An edit beside its control.

    Attributes:
        original, edited, control: (H, W, 3); the control mixes all modes at the same ratio and region.
        reference: (H, W, 3) the reference itself.
        encoded: (H, W, 3) what the reference's latents decode to: the edit's limit, all bands, everywhere, ratio 1.
        strip: (5, H, W, 3) the edit at `strip_ratios`.
        sigma: noise level of the edit time.
        numbers, numbers_control: what edit and control did.
        share: of all modes, how many were mixed.
        leakage, leakage_control: mean squared change outside of the region over that inside; None where nothing is
            outside, or nothing changed inside.
    """

    original: np.ndarray
    edited: np.ndarray
    control: np.ndarray
    reference: np.ndarray
    encoded: np.ndarray
    strip: np.ndarray
    strip_ratios: tuple[float, ...]
    sigma: float
    numbers: EditNumbers
    numbers_control: EditNumbers
    share: float
    leakage: float | None = None
    leakage_control: float | None = None


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


_shown = functools.partial(as_pictures, cure="choose a smaller ratio or another time")


def _digest(array: np.ndarray | None) -> str:
    return "" if array is None else f"{array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


# ---------------------------------------------------------------------------------------------------------------------
# Editing


@dataclass(frozen=True, eq=False)
class _Parts:
    """All of an edit that its ratio does not change.

    Attributes: z, path = latents of the original and of the reference at eps; aware, everywhere = G M of the edit and
    of its control; reference (1, 3, H, W); region (H, W); shown = the reference as uint8; strip; sigma; share.
    """

    z: list[Tensor]
    path: list[Tensor]
    aware: list[Tensor]
    everywhere: list[Tensor]
    reference: Tensor
    region: Tensor
    shown: np.ndarray
    strip: np.ndarray
    sigma: float
    share: float


@torch.inference_mode()
def edit(session: Session, request: EditRequest, progress: ImageProgress | None = None) -> EditResult:
    """Frequency-aware editing with its control (paper 4.3; docs/method.md, "Editing").

    Ratio, bands and region never encode again; edit time, reference and seed do.

    Args:
        session: of the model.
        request: what is mixed.
        progress: called with (share done, picture) while the `ode` encoding runs; may raise to cancel.
    """
    session.levels(request.entries)
    labels = session.labels(request.label, 4)
    key = (_key(request), request.seed, request.label, *_where(request))
    with session.lock:
        e = session.cache.get(
            ("edit", *key, request.bands, request.edges, request.order), lambda: _parts(session, request, progress)
        )
        parts = [
            e.z, editing.mix(e.z, e.path, e.aware, request.ratio),
            editing.mix(e.z, e.path, e.everywhere, request.ratio), e.path,
        ]  # fmt: skip
        # always four at a time: a picture must not depend on what it is batched with, to the last bit
        decoded = session.model.decode(list(map(torch.cat, zip(*parts, strict=True))), labels)
    shown = _shown(decoded)
    rows = editing.measure(decoded[1:3], decoded[:1].expand(2, -1, -1, -1), e.reference.expand(2, -1, -1, -1), e.region)
    return EditResult(
        original=shown[0],
        edited=shown[1],
        control=shown[2],
        reference=e.shown,
        encoded=shown[3],
        strip=e.strip,
        strip_ratios=editing.STRIP_RATIOS,
        sigma=e.sigma,
        numbers=editing.numbers(rows[0]),
        numbers_control=editing.numbers(rows[1]),
        share=e.share,
        leakage=editing.leakage(decoded[1:2], decoded[:1], e.region),
        leakage_control=editing.leakage(decoded[2:3], decoded[:1], e.region),
    )


def _where(request: EditRequest) -> tuple:
    """What the region depends on, and the levels."""
    return request.region, request.feather, _digest(request.mask), request.entries


def _parts(session: Session, request: EditRequest, progress: ImageProgress | None) -> _Parts:
    label, other = session.label(request.label), session.label(request.reference_label, "reference_label")
    z = session.final_latents(request.seed, label)
    picture = _reference(session, request, other)
    path = _reference_latents(session, request, other, picture, progress)
    painted = None if request.mask is None else torch.from_numpy(request.mask.astype(np.float32)) / 255
    region = editing.region_mask(request.region, *session.model.picture_shape[1:], painted)
    region = editing.feathered(region, request.feather)
    aware = _weights(session, request, region, (request.bands, request.edges, request.order), request.entries)
    steps = [editing.mix(z, path, aware, r) for r in editing.STRIP_RATIOS]
    batch = [torch.cat(level) for level in zip(*steps, strict=True)]
    return _Parts(
        z, path, aware, _weights(session, request, region, (None, (), "alpha"), ()), picture, region,
        _shown(picture)[0],
        strip=_shown(session.model.decode(batch, session.labels(label, len(steps)))),
        sigma=float(sigma_of_tau(request.tau, session.model.koopman.warp)),
        share=sum(float((w > 0).sum()) for w in aware) / sum(w.numel() for w in aware),
    )  # fmt: skip


def _weights(
    session: Session,
    request: EditRequest,
    region: Tensor,
    bands: tuple[Sequence[int] | None, Sequence[float], str],
    levels: tuple[int, ...],
) -> list[Tensor]:
    """G M of every latent: sorting the modes of a large model takes longer than a decode."""
    key = ("weights", *_where(request), *bands, levels)
    chosen, edges, order = bands
    return session.cache.get(
        key, lambda: editing.mode_weights(session.entries, region, chosen, edges, order, levels=levels)
    )


def _key(request: EditRequest) -> tuple:
    """What the reference's latents depend on."""
    picture = _digest(request.picture) if request.reference == "picture" else request.reference_seed
    when = {"noise": (request.noise_seed, request.tau), "latent": ()}.get(request.encoding, (request.tau,))
    return "reference", request.reference, picture, request.reference_label, request.encoding, *when


def _reference(session: Session, request: EditRequest, label: int) -> Tensor:
    """(1, 3, H, W) in [-1, 1]: the upload, the scene, or the model's own picture of the reference seed."""
    if request.picture is not None:
        return session.tensor(request.picture)
    if request.reference == "scene":
        return session.tensor(shapes.images([request.reference_seed], session.model.picture_shape[1])[0])

    def make() -> Tensor:
        z = session.final_latents(request.reference_seed, label)
        return session.model.decode(z, session.labels(label, 1)).clamp(-1, 1)

    return session.cache.get(("picture", request.reference_seed, label), make)


def _reference_latents(
    session: Session, request: EditRequest, label: int, picture: Tensor, progress: ImageProgress | None
) -> list[Tensor]:
    """z_r evolved to eps."""
    if request.encoding == "latent":
        return session.final_latents(request.reference_seed, label)
    model, teacher, labels = session.model, session.teacher, session.labels(label, 1)

    def noisy() -> list[Tensor]:
        eps = noise([request.noise_seed], model.picture_shape)
        session.encodes += 1
        return editing.noisy_latents(model, picture, request.tau, eps, labels)

    def followed() -> list[Tensor]:
        if teacher is None:
            raise UserError("This model has no teacher to take the ODE state from: choose noise.", "encoding")
        sigma = float(sigma_of_tau(request.tau, model.koopman.warp))
        state = editing.ode_states(teacher, [request.reference_seed], sigma, labels, report).x
        session.encodes += 1
        return editing.state_latents(model, state, request.tau, labels)

    def inverted() -> list[Tensor]:
        if teacher is None:
            raise UserError("This model has no teacher to invert the reference with: choose noise.", "encoding")
        sigma = float(sigma_of_tau(request.tau, model.koopman.warp))
        # at the picture's own time there is nothing to invert
        state = picture if request.tau == 0 else editing.inverted_states(teacher, picture, sigma, labels, shown).x
        session.encodes += 1
        return editing.state_latents(model, state, request.tau, labels)

    def report(share: float, sigma: float, x: Tensor, denoised: Tensor) -> None:
        still_wanted()
        if progress is not None:
            progress(share, _shown(denoised)[0])

    def shown(step: int, sigma: float, x: Tensor) -> None:
        del step
        still_wanted()
        if progress is not None:
            progress(float(tau_of_sigma(sigma)) / request.tau, _shown(x / (1 + sigma**2) ** 0.5)[0])

    make = {"noise": noisy, "ode": followed, "inversion": inverted}[request.encoding]
    return session.cache.get(_key(request), make)


# ---------------------------------------------------------------------------------------------------------------------
# Restoration


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
