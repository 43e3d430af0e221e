"""Spectral signatures of classes or factors: request, result and answer. G groups, n times, L levels, K bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.fields import THIRDS, Edges, Order, Request, Seed
from analysis.core.progress import Progress, part, still_wanted, tell
from analysis.koopman import signatures as spectral
from analysis.koopman.directions import contrasts, sides
from analysis.koopman.effects import acting
from analysis.koopman.scenes import DRAWN, draw, drawn_data
from analysis.koopman.signatures import READERS, SIGNATURE_FOLDS
from analysis.workbench.session import Session
from foundation import noise
from foundation.metrics.statistics import bootstrap_interval
from foundation.procedural.portraits import HAIR_STYLES
from foundation.randomness import FIRST_SEED

CLASS_FACTORS = {"portraits": ("hair", HAIR_STYLES)}  # the factor that is the class of drawn data, and its names
SCENES_TO_CHOOSE = 64  # drawn for every picture that is taken, at most
OWN_BATCH = 16


@dataclass(frozen=True)
class SignatureRequest(Request):
    """Whether the spectrum tells groups of pictures apart.

    Attributes:
        contrast: "" for the classes: drawn pictures of every class where the model's data are drawn, else the model's
            own pictures of every class; or a factor of drawn data (`koopman.directions.contrasts`): pictures with
            little of it against pictures with much.
        count: pictures a group.
        edges, order: of the bands.
        seed: of the pictures and of their noise; scenes below 2,000,000,000 may have been trained on.
    """

    contrast: Annotated[str, Field(max_length=32)] = ""
    count: Annotated[int, Field(ge=SIGNATURE_FOLDS, le=512, title="The number of pictures a group")] = 32
    edges: Edges = THIRDS
    order: Order = "alpha"
    seed: Seed = FIRST_SEED


@dataclass(frozen=True, eq=False)
class SignatureResult:
    """What the spectra of groups of pictures are, and what is read from them.

    Attributes:
        groups: names of the G groups.
        names: of the L levels.
        tau, sigma: (n,).
        own: whether the pictures are the model's own.
        profile: (n, G, L, K) mean log energy of every group, in standard deviations over all pictures.
        separation: (n, L, K) share of the variance of the log energy that lies between groups.
        distance: (n, G, G) squared distance between groups, cross-validated (0 on average without a difference).
        hits, hits_low, hits_high: (3, n) share of held-out pictures whose group is read, with 95 % bootstrap
            intervals; a row a reader: bands by alpha, modes dealt to bands at random, radial power of the noised
            picture.
        margin: (2, n, 3) by how much the bands read more than the other two, with the interval's ends.
        chance: share of hits without any knowledge.
        energies: (G * count, n, L, K) log energies.
        group: (G * count,) of every picture.
    """

    groups: tuple[str, ...]
    names: tuple[str, ...]
    tau: np.ndarray
    sigma: np.ndarray
    own: bool
    profile: np.ndarray
    separation: np.ndarray
    distance: np.ndarray
    hits: np.ndarray
    hits_low: np.ndarray
    hits_high: np.ndarray
    margin: np.ndarray
    chance: float
    energies: np.ndarray
    group: np.ndarray


def contrast_names(session: Session) -> tuple[str, ...]:
    """What can be asked of a model: "" where there are classes, and the factors of its drawn data."""
    data = drawn_data(session.model.card)
    classes = data in CLASS_FACTORS or len(session.classes) > 1
    return (*([""] if classes else []), *(contrasts(data) if data else ()))


@torch.inference_mode()
def signatures(session: Session, request: SignatureRequest, progress: Progress = None) -> SignatureResult:
    """Energy by band, level and group over time, and what is read from it (docs/method.md, "Signatures").

    Args:
        session: of the model.
        request: of which groups.
        progress: called with (share done, what); may raise to cancel.

    Raises:
        UserError: nothing that tells groups apart is known of this model's pictures.
    """
    known = contrast_names(session)
    if not known:
        raise UserError("This model has no classes, and its pictures have no known factors.", "contrast")
    if request.contrast not in known:
        raise UserError(f"The contrast must be one of {', '.join(k or 'empty (classes)' for k in known)}.", "contrast")
    return session.kept(request, lambda: _signatures(session, request, progress))


def _signatures(session: Session, request: SignatureRequest, progress: Progress) -> SignatureResult:
    pictures, groups, names, own = _pictures(session, request, part(progress, 0.0, 0.2))
    entries = acting(session.model)
    found = spectral.signatures(
        session.model, entries, pictures, groups, edges=request.edges, order=request.order, seed=request.seed,
        progress=part(progress, 0.2, 0.9), guard=session.lock,
    )  # fmt: skip
    n = len(found.tau)
    hits = torch.stack([
        torch.stack([spectral.held_out_hits(found.features(reader, t), groups) for t in range(n)])
        for reader in READERS
    ])  # fmt: skip
    tell(progress, 0.95, "groups told apart")
    intervals = [[bootstrap_interval(hits[r, t]) for t in range(n)] for r in range(len(READERS))]
    margins = [[bootstrap_interval(hits[0, t] - hits[r, t]) for t in range(n)] for r in (1, 2)]
    at = [found.features("bands", t) for t in range(n)]
    shape = found.bands.shape[2:]
    return SignatureResult(
        groups=names,
        names=tuple(e.name for e in entries),
        tau=found.tau.numpy(),
        sigma=found.sigma.numpy(),
        own=own,
        profile=np.stack([spectral.profile(x, groups).reshape(-1, *shape).numpy() for x in at]),
        separation=np.stack([spectral.separation(x, groups).reshape(shape).numpy() for x in at]),
        distance=np.stack([spectral.distances(x, groups).numpy() for x in at]),
        hits=np.array([[v.value for v in row] for row in intervals]),
        hits_low=np.array([[v.low for v in row] for row in intervals]),
        hits_high=np.array([[v.high for v in row] for row in intervals]),
        margin=np.array([[(v.value, v.low, v.high) for v in row] for row in margins]),
        chance=spectral.chance(groups),
        energies=found.bands.numpy(),
        group=groups.numpy(),
    )


def _pictures(
    session: Session, request: SignatureRequest, progress: Progress
) -> tuple[Tensor, Tensor, tuple[str, ...], bool]:
    """Pictures, group of each, names of the groups, and whether the model made them."""
    data, count = drawn_data(session.model.card), request.count
    if data is None or (not request.contrast and data not in CLASS_FACTORS):
        return (*_own_pictures(session, request, progress), session.classes, True)
    records = DRAWN[data].factors(np.arange(SCENES_TO_CHOOSE * count), request.seed)
    if request.contrast:
        rows: tuple[np.ndarray, ...] = sides(records, request.contrast)
        names: tuple[str, ...] = _side_names(request.contrast)
    else:
        factor, kinds = CLASS_FACTORS[data]
        rows = tuple(np.flatnonzero(records[factor] == i) for i in range(len(kinds)))
        names = tuple(kinds)
    if short := [name for name, r in zip(names, rows, strict=True) if len(r) < count]:
        raise UserError(f"Too few scenes have {short[0]}: ask for fewer pictures a group.", "count")
    chosen = np.concatenate([r[:count] for r in rows])
    pictures = []
    for low in range(0, len(chosen), OWN_BATCH):
        still_wanted()
        pictures.append(draw(data, records[chosen[low : low + OWN_BATCH]], session.side))
        tell(progress, (low + OWN_BATCH) / (len(chosen) + OWN_BATCH), "scenes drawn")
    return torch.cat(pictures), torch.arange(len(rows)).repeat_interleave(count), names, False


def _side_names(contrast: str) -> tuple[str, str]:
    return (f"not {contrast}", contrast) if "=" in contrast else (f"little {contrast}", f"much {contrast}")


def _own_pictures(session: Session, request: SignatureRequest, progress: Progress) -> tuple[Tensor, Tensor]:
    """One call for every picture of every class."""
    kinds = len(session.classes)
    groups = torch.arange(kinds).repeat_interleave(request.count)
    out = []
    for low in range(0, len(groups), OWN_BATCH):
        labels = groups[low : low + OWN_BATCH]
        seeds = [(request.seed + 10**6 + low + i) % 2**32 for i in range(len(labels))]
        with session.lock:
            out.append(session.model.one_step(noise(seeds, session.model.picture_shape), labels))
        tell(progress, (low + len(labels)) / len(groups), "pictures of every class")
    return torch.cat(out).clamp(-1, 1), groups
