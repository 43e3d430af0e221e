"""Editing: request, result and answer.

Pictures are uint8 (H, W, 3) of the model's size. Masks come in as bool, as float in [0, 1] or as uint8 (0 to 255, or 0
and 1), and are kept as uint8 0 to 255, so that a recipe can hold them without loss.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

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
from analysis.core.images import ImageProgress, as_pictures
from analysis.core.progress import still_wanted
from analysis.koopman import editing
from analysis.koopman.editing import ENCODINGS, REGIONS, EditNumbers
from analysis.workbench.session import Session
from foundation import noise
from foundation.procedural import shapes
from koopman_core.operator import sigma_of_tau, tau_of_sigma

REFERENCES = ("seed", "scene", "picture")


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


def region_of(request: EditRequest, height: int, width: int) -> Tensor:
    """G of a request, feathered: float32 (height, width) in [0, 1], 1 where the reference may come in."""
    painted = None if request.mask is None else torch.from_numpy(request.mask.astype(np.float32)) / 255
    return editing.feathered(editing.region_mask(request.region, height, width, painted), request.feather)


def _parts(session: Session, request: EditRequest, progress: ImageProgress | None) -> _Parts:
    label, other = session.label(request.label), session.label(request.reference_label, "reference_label")
    z = session.final_latents(request.seed, label)
    picture = _reference(session, request, other)
    path = _reference_latents(session, request, other, picture, progress)
    region = region_of(request, *session.model.picture_shape[1:])
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
