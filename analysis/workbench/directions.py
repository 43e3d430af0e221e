"""Directions that change one thing, walked along: request, result and answer. L levels, K bands."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.fields import THIRDS, Choice, Edges, Label, Mask, Order, Request, Seed, Unit
from analysis.core.images import as_pictures
from analysis.core.progress import Progress, part, still_wanted, tell
from analysis.koopman import directions as found_by
from analysis.koopman import editing
from analysis.koopman.directions import along, contrasts, step
from analysis.koopman.editing import REGIONS
from analysis.koopman.jacobian import flat, regional, unflat
from analysis.koopman.scenes import drawn_data
from analysis.workbench.session import Session
from foundation.networks.counting import CountedCalls
from foundation.randomness import FIRST_SEED
from koopman_core.edm import EDM, heun_sample, karras_sigmas
from koopman_core.operator import sigma_of_tau

DIRECTION_METHODS = ("mean", "decoder", "groups", "teacher")
STD_NOISES = 64  # over which standard deviations are taken
MEAN_SCENES = 256  # drawn pictures of a factor's means
TEACHER_STEPS = 10  # of the teacher's way from the edited state to the picture


@dataclass(frozen=True, eq=False)
class DirectionRequest(Request):
    """A direction, and how far to walk along it.

    Attributes:
        seed, label: whose picture.
        method: "mean" (difference of means of a factor or of classes), "decoder" (principal direction of the decoder's
            Jacobian at this picture), "groups" (of modes with the same effect), "teacher" (principal direction of the
            denoiser's Jacobian at the ODE's state).
        contrast: of "mean": a factor of drawn scenes, see `koopman.directions.contrasts`; "" for classes.
        class_from, class_to: of "mean" without a contrast.
        index, count: which of how many directions or groups, the strongest first; not read by "mean".
        region, mask: what should change, as in `EditRequest`; not read by "mean".
        rest: how many leading directions of the rest of the picture it is projected off, of "decoder" and "teacher".
        tau: time at which the drawn scenes are encoded ("mean"), or of the teacher's state ("teacher").
        strengths: in standard deviations over noises; of the teacher's state in its noise's.
        transfer: other seeds that are moved along the same direction.
        edges, order: of the bands in which the direction lies.
    """

    seed: Seed
    label: Label = -1
    method: Annotated[str, Choice(DIRECTION_METHODS)] = "mean"
    contrast: Annotated[str, Field(max_length=32)] = ""
    class_from: Label = -1
    class_to: Label = -1
    index: Annotated[int, Field(ge=0, le=15, title="The number of the direction")] = 0
    count: Annotated[int, Field(ge=1, le=16, title="The number of directions")] = 5
    region: Annotated[str, Choice(REGIONS)] = "whole"
    mask: Annotated[Mask | None, Field(title="The painted region")] = None
    rest: Annotated[int, Field(ge=0, le=16, title="The number of directions of the rest")] = 5
    tau: Unit = 0.3
    strengths: Annotated[tuple[Annotated[float, Field(ge=-20, le=20)], ...], Field(min_length=1, max_length=9)] = (
        -2.0, -1.0, 0.0, 1.0, 2.0,
    )  # fmt: skip
    transfer: Annotated[tuple[Seed, ...], Field(max_length=8, title="The other seeds")] = ()
    edges: Edges = THIRDS
    order: Order = "alpha"

    def check_together(self) -> None:
        """Raises UserError: no such direction, no painting, or nothing to tell apart."""
        if self.method != "mean" and self.index >= self.count:
            raise UserError(f"There are directions 0 to {self.count - 1}: choose one, or ask for more.", "index")
        if (self.mask is not None) != (self.region == "painted"):
            raise UserError(
                'Paint the region and choose "painted", or choose another region without a painting.', "mask"
            )
        if self.mask is not None and not self.mask.any():
            raise UserError("The painted region is empty: paint what should change.", "mask")
        if self.method == "mean" and not self.contrast and self.class_from == self.class_to:
            raise UserError("Name a factor as the contrast, or two different classes.", "contrast")


@dataclass(frozen=True, eq=False)
class DirectionResult:
    """Pictures along a direction; n strengths, m other seeds.

    Attributes:
        strengths: (n,) standard deviations.
        pictures: (n, H, W, 3) of the seed.
        transfer: (m, n, H, W, 3) of the others.
        inside, outside: (1 + m, n) mean squared change in the region and outside of it against strength 0, the seed
            first; outside is NaN for the whole picture.
        values: (count,) singular values, or effects a standard deviation of groups; the norm of the mean difference in
            standard deviations ("mean").
        spread: length of one standard deviation.
        place: (L, K) shares of the direction by level and band; None for the teacher's, which lies in pixels.
        modes: (count,) modes of each group; () for other methods.
        names: of the levels.
        nfe: the teacher's calls a picture, 0 for other methods.
    """

    strengths: np.ndarray
    pictures: np.ndarray
    transfer: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    values: np.ndarray
    spread: float
    place: np.ndarray | None
    modes: np.ndarray
    names: tuple[str, ...]
    nfe: int


@dataclass(frozen=True)
class _Found:
    """A direction. Attributes: direction (N,); spread; values; modes; as in the result."""

    direction: Tensor
    spread: float
    values: Tensor
    modes: Tensor


class _Guarded:
    """The model's `spectrum` and `decode`, the latter under the lock for one call at a time."""

    def __init__(self, session: Session):
        self._session = session

    def spectrum(self) -> Any:
        return self._session.entries

    def decode(self, z: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        with self._session.lock:
            return self._session.model.decode(z, labels)


@torch.no_grad()
def direction(session: Session, request: DirectionRequest, progress: Progress = None) -> DirectionResult:
    """Find a direction and walk along it (docs/method.md, "Directions").

    Args:
        session: of the model.
        request: which, and how far.
        progress: called with (share done, what); may raise to cancel.

    Raises:
        UserError: a factor, class, teacher or direction that is not there.
    """
    label = session.label(request.label)
    painted = None if request.mask is None else torch.from_numpy(request.mask.astype(np.float32)) / 255
    region = editing.region_mask(request.region, *session.model.picture_shape[1:], painted)
    digest = "" if request.mask is None else hashlib.sha256(request.mask.tobytes()).hexdigest()
    of_picture = request.method in ("decoder", "teacher", "groups")
    key = (
        "direction", request.method, request.contrast, request.class_from, request.class_to, request.tau, label,
        *((request.seed, request.count, request.region, digest, request.rest, request.index) if of_picture else ()),
    )  # fmt: skip
    find = {"mean": _by_means, "decoder": _by_decoder, "groups": _by_groups, "teacher": _by_teacher}[request.method]
    found = session.kept(key, lambda: find(session, request, label, region, part(progress, 0.0, 0.6)))
    walk = _walk_teacher if request.method == "teacher" else _walk
    rows, nfe = [], 0
    seeds = (request.seed, *request.transfer)
    for i, seed in enumerate(seeds):
        pictures, nfe = walk(session, request, found, seed, label)
        rows.append(pictures)
        tell(progress, 0.6 + 0.4 * (i + 1) / len(seeds), "pictures along the direction")
    inside, outside = zip(*(_changes(p, region) for p in rows), strict=True)
    shown = [as_pictures(p[:-1], "choose a smaller strength") for p in rows]
    place = None
    if request.method != "teacher":
        place = found_by.placed(found.direction, session.entries, request.edges, request.order).numpy()
    return DirectionResult(
        strengths=np.array(request.strengths),
        pictures=shown[0],
        transfer=np.stack(shown[1:]) if request.transfer else np.zeros((0, *shown[0].shape), np.uint8),
        inside=torch.stack(inside).numpy(),
        outside=torch.stack(outside).numpy(),
        values=found.values.numpy(),
        spread=found.spread,
        place=place,
        modes=found.modes.numpy(),
        names=tuple(e.name for e in session.entries),
        nfe=nfe,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Where directions come from


def _many(session: Session, label: int) -> Tensor:
    """Latents of held-out noises at eps, (NOISES, N)."""

    def make() -> Tensor:
        return torch.cat([flat(session.final_latents(FIRST_SEED + i, label)) for i in range(STD_NOISES)])

    return session.kept(("latents", label, STD_NOISES), make)


def _spread_along(session: Session, label: int, direction: Tensor) -> float:
    return float(along(_many(session, label), direction).std())


def _by_means(session: Session, request: DirectionRequest, label: int, region: Tensor, progress: Progress) -> _Found:
    del region
    if request.contrast:
        spec = drawn_data(session.model.card)
        if spec is None:
            raise UserError("The factors of this model's pictures are not known: choose two classes.", "contrast")
        if request.contrast not in contrasts(spec):
            raise UserError(f"The contrast must be one of {', '.join(contrasts(spec))}.", "contrast")
        d = found_by.factor_direction(
            session.model, spec, request.contrast, request.tau, MEAN_SCENES, progress=progress, guard=session.lock
        )
    else:
        ends = [session.label(c, f) for c, f in ((request.class_from, "class_from"), (request.class_to, "class_to"))]
        means = [flat(session.model.evolve(session.mean(c, progress), 1.0, 0.0))[0] for c in ends]
        d = means[1] - means[0]
    spread = _spread_along(session, label, d)
    return _Found(d, spread, torch.tensor([float(d.norm()) / max(spread, 1e-30)]), torch.zeros(0, dtype=torch.int64))


def _by_decoder(session: Session, request: DirectionRequest, label: int, region: Tensor, progress: Progress) -> _Found:
    del progress
    spread = _many(session, label).std(0)
    values, found = found_by.decoder_directions(
        _Guarded(session), session.final_latents(request.seed, label), region, request.count,  # type: ignore[arg-type]
        request.rest, spread, session.labels(label, 1),
    )  # fmt: skip
    d = found[request.index]
    return _Found(d, _spread_along(session, label, d), values, torch.zeros(0, dtype=torch.int64))


def _by_groups(session: Session, request: DirectionRequest, label: int, region: Tensor, progress: Progress) -> _Found:
    spread = _many(session, label).std(0)
    groups = found_by.grouped_directions(
        _Guarded(session), [session.final_latents(request.seed, label)], spread, region,  # type: ignore[arg-type]
        request.count, session.labels(label, 1), progress=progress,
    )  # fmt: skip
    if request.index >= len(groups.effect):
        raise UserError(f"These modes fall into {len(groups.effect)} groups only: choose one of them.", "index")
    d = groups.directions[request.index]
    sizes = torch.stack([(groups.number == g).sum() for g in range(len(groups.effect))])
    return _Found(d, _spread_along(session, label, d), groups.effect, sizes)


# ---------------------------------------------------------------------------------------------------------------------
# The teacher's denoiser


def _teacher(session: Session) -> EDM:
    if session.teacher is None:
        raise UserError("This model has no teacher whose Jacobian could be taken: choose another method.", "method")
    return session.teacher


def _denoise(session: Session, label: int) -> Callable[[Tensor, Tensor], Tensor]:
    teacher = _teacher(session)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        still_wanted()
        with session.lock:
            return teacher(x, sigma, session.labels(label, len(x)))

    return denoise


def _state(session: Session, request: DirectionRequest, seed: int, label: int) -> Tensor:
    sigma = float(sigma_of_tau(request.tau, session.model.koopman.warp))

    def make() -> Tensor:
        return editing.ode_states(
            _teacher(session), [seed], sigma, session.labels(label, 1), lambda *_: still_wanted()
        ).x

    return session.kept(("state", seed, label, request.tau), make)


def _by_teacher(session: Session, request: DirectionRequest, label: int, region: Tensor, progress: Progress) -> _Found:
    del progress
    sigma = torch.tensor(float(sigma_of_tau(request.tau, session.model.koopman.warp)))
    shape, denoise = session.model.picture_shape, _denoise(session, label)
    state = _state(session, request, request.seed, label).flatten()
    found = regional(
        lambda rows: denoise(rows.view(-1, *shape), sigma), state, region, request.count, request.rest
    )  # fmt: skip
    return _Found(
        found.directions[request.index], float(sigma), found.values * sigma, torch.zeros(0, dtype=torch.int64)
    )


# ---------------------------------------------------------------------------------------------------------------------
# Walking


def _walk(session: Session, request: DirectionRequest, found: _Found, seed: int, label: int) -> tuple[Tensor, int]:
    """Pictures at all strengths and, last, at 0."""
    z = flat(session.final_latents(seed, label))
    rows = torch.cat([z + step(found.direction, found.spread, s) for s in (*request.strengths, 0.0)])
    with session.lock:
        levels = [e.shape for e in session.entries]
        return session.model.decode(unflat(rows, levels), session.labels(label, len(rows))), 0


def _walk_teacher(
    session: Session, request: DirectionRequest, found: _Found, seed: int, label: int
) -> tuple[Tensor, int]:
    """The same from the moved states, by the teacher's ODE; and its calls a picture."""
    state = _state(session, request, seed, label)
    moved = torch.cat([
        state + step(found.direction, found.spread, s).view(state.shape) for s in (*request.strengths, 0.0)
    ])  # fmt: skip
    counted = CountedCalls(_denoise(session, label))
    sigma = float(sigma_of_tau(request.tau, session.model.koopman.warp))
    return heun_sample(counted, moved, karras_sigmas(TEACHER_STEPS, sigma_max=sigma)).x, counted.calls


def _changes(pictures: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared change of all but the last against the last, inside and outside, (n,) each."""
    pictures = pictures.double().clamp(-1, 1)
    change = (pictures[:-1] - pictures[-1:]).square().mean(1)
    weight = region.double()
    outside = (change * (1 - weight)).sum((1, 2)) / (1 - weight).sum()
    return (change * weight).sum((1, 2)) / weight.sum(), outside
