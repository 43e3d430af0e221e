"""Spectra, bands, single modes and new eigenvalues: requests, results and answers. K bands, n times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import AfterValidator, Field

from analysis.core.errors import UserError
from analysis.core.fields import (
    MAX_LEVELS,
    THIRDS,
    Choice,
    Edges,
    Label,
    Levels,
    Order,
    Request,
    Seed,
    Unit,
    sorted_set,
)
from analysis.core.images import as_pictures, magnified
from analysis.koopman import effects, modes
from analysis.koopman.ablations import ABLATIONS
from analysis.koopman.spectrum import pair_mask, weigh_bands
from analysis.metrics import image as metrics
from analysis.workbench.session import Session

MAX_MODES = 4096
Ablation = Annotated[str, Choice(ABLATIONS), Field(title="The ablation")]
ZERO_BEFORE: Mapping[str, str] = {"ablation": "zero"}  # what requests from before this field mean
# a number a band
Gains = Annotated[
    tuple[Annotated[float, Field(ge=0, le=2)], ...], Field(min_length=2, max_length=9, title="The retentions")
]
Scales = Annotated[tuple[Annotated[float, Field(ge=-4, le=4)], ...], Field(max_length=9)]
AlphaShifts = Annotated[tuple[Annotated[float, Field(ge=-8, le=8)], ...], Field(max_length=9)]
BetaShifts = Annotated[tuple[Annotated[float, Field(ge=-25, le=25)], ...], Field(max_length=9)]
Times = Annotated[int, Field(ge=2, le=256, title="The number of times")]


@dataclass(frozen=True)
class SpectrumEntryResult:
    """Attributes: index, name; shape (C, h, w); alpha, beta (C/2, h, w) float32; rank (C/2, h, w) by signed alpha."""

    index: int
    name: str
    shape: tuple[int, int, int]
    alpha: np.ndarray
    beta: np.ndarray
    rank: np.ndarray


@dataclass(frozen=True)
class SpectrumResult:
    """The eigenvalues of all levels.

    Attributes:
        entries: encoder order, bottleneck last.
        warp: the time variable.
        idle: indices of levels that carry nothing, by the model's card; None where that was not measured.
        idle_bound: LPIPS below which mean ablation and A = 0 of such a level stay; None likewise.
    """

    entries: tuple[SpectrumEntryResult, ...]
    warp: str
    idle: tuple[int, ...] | None = None
    idle_bound: float | None = None


@dataclass(frozen=True)
class MaskRequest(Request):
    """Bands by rank of alpha within each entry, each kept to a share.

    Attributes:
        seed, label: which picture.
        edges: inner quantile edges, rising, in [0, 1]; n edges make n + 1 bands.
        gains: retention of each band, 0 (removed) to 2 (doubled); 1 keeps it.
        order: "alpha" (signed) or "abs".
        entries: which latents are masked; () for all.
        ablation: what stands in place of what is not kept: "mean", "resample" or "zero".
    """

    former: ClassVar = ZERO_BEFORE
    seed: Seed
    label: Label = -1
    edges: Edges = THIRDS
    gains: Gains = (1.0, 1.0, 1.0)
    order: Order = "alpha"
    entries: Levels = ()
    ablation: Ablation = "mean"

    def check_together(self) -> None:
        """Raises UserError: not one retention a band."""
        bands = len(self.edges) + 1
        if len(self.gains) != bands:
            raise UserError(
                f"{bands - 1} edges make {bands} bands: give as many retentions, not {len(self.gains)}.", "gains"
            )


@dataclass(frozen=True)
class MaskResult:
    """What is left of a picture.

    Attributes: full, masked (H, W, 3); difference (H, W, 3) magnified around mid-grey by `magnification`;
    share (bands,) of the latent energy at eps in the touched entries; modes (bands,) counts; mse masked to full.
    """

    full: np.ndarray
    masked: np.ndarray
    difference: np.ndarray
    magnification: float
    share: np.ndarray
    modes: np.ndarray
    mse: float


@dataclass(frozen=True)
class ModeRequest(Request):
    """One mode, or a group of modes of one level.

    Attributes:
        seed: which noise.
        entry: level.
        modes: 1 to 4096 flat indices k h w + i w + j of it; sorted, doubles dropped.
        label: class index, -1 for none.
        tau: time of the picture, 0 = the final one.
        times: of the energy curves, 2 to 256.
        ablation: what stands in place of the modes in the picture without them.
    """

    former: ClassVar = ZERO_BEFORE
    seed: Seed
    entry: Annotated[int, Field(ge=0, lt=MAX_LEVELS, title="The level")]
    modes: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**31)], ...],
        Field(min_length=1, max_length=MAX_MODES),
        AfterValidator(sorted_set),
    ]
    label: Label = -1
    tau: Annotated[Unit, Field(title="The time tau")] = 0.0
    times: Times = 64
    ablation: Ablation = "mean"


@dataclass(frozen=True)
class SurgeryRequest(Request):
    """New eigenvalues, alpha' = scale alpha + shift and beta likewise, by band.

    Attributes:
        seed, label: which picture.
        edges, order: of the K bands.
        alpha_scale, beta_scale: K numbers, -4 to 4; () leaves all at 1.
        alpha_shift: K numbers, -8 to 8, per unit tau; () leaves all at 0.
        beta_shift: K numbers, -25 to 25 (four turns), per unit tau.
        entries: which levels; () for all.
        tau: time to decode at, 0 = the picture.
        ablation: what keeps its own eigenvalues: the mean over noises ("mean"), another picture ("resample"), nothing
            ("zero"); only what differs from it gets the new ones.
    """

    former: ClassVar = ZERO_BEFORE
    seed: Seed
    label: Label = -1
    edges: Edges = THIRDS
    order: Order = "alpha"
    alpha_scale: Scales = ()
    alpha_shift: AlphaShifts = ()
    beta_scale: Scales = ()
    beta_shift: BetaShifts = ()
    entries: Levels = ()
    tau: Annotated[Unit, Field(title="The time tau")] = 0.0
    ablation: Ablation = "mean"

    def check_together(self) -> None:
        """Fill what is left out. Raises UserError: not one number a band."""
        bands = len(self.edges) + 1
        for name, neutral in (("alpha_scale", 1.0), ("alpha_shift", 0.0), ("beta_scale", 1.0), ("beta_shift", 0.0)):
            values = getattr(self, name) or (neutral,) * bands
            if len(values) != bands:
                what = f"{name.replace('_', ' ')}s"
                raise UserError(f"{bands - 1} edges make {bands} bands: give as many {what}, not {len(values)}.", name)
            object.__setattr__(self, name, values)


@dataclass(frozen=True, eq=False)
class ModeResult:
    """N distinct modes of one level, in the order of their index.

    Attributes:
        entry, name: the level.
        index, pair, row, column: (N,) int64.
        alpha, beta: (N,) per unit tau; half_life (halves for alpha > 0, doubles for alpha < 0), period: (N,) in tau,
            may be infinite.
        tau: (n,) from 1 to 0; energy (N, n) of each mode; share (n,) of the group in all modes' energy.
        full, without: the picture with and without the group; contribution: full - without around mid-grey,
            magnified by `magnification`.
        mse: between full and without.
    """

    entry: int
    name: str
    index: np.ndarray
    pair: np.ndarray
    row: np.ndarray
    column: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    half_life: np.ndarray
    period: np.ndarray
    tau: np.ndarray
    energy: np.ndarray
    share: np.ndarray
    full: np.ndarray
    without: np.ndarray
    contribution: np.ndarray
    magnification: float
    mse: float


@dataclass(frozen=True, eq=False)
class SurgeryResult:
    """The picture before and after surgery.

    Attributes:
        full, altered: (H, W, 3).
        difference: (H, W, 3) altered - full around mid-grey, magnified by `magnification`.
        mse: between the two.
        modes: (K,) how many were operated on.
        held: modes whose |alpha| the bound of 8 held back.
        growth: largest factor by which a mode's norm grows on the way.
    """

    full: np.ndarray
    altered: np.ndarray
    difference: np.ndarray
    magnification: float
    mse: float
    modes: np.ndarray
    held: int
    growth: float


def spectrum(session: Session) -> SpectrumResult:
    """The eigenvalues alpha +- i beta of every latent."""
    entries = tuple(
        SpectrumEntryResult(
            i, e.name, e.shape, e.alpha.numpy(), e.beta.numpy(), session.entries.ranks(i).numpy().astype(np.int32)
        )
        for i, e in enumerate(session.entries)
    )
    return SpectrumResult(entries, session.model.koopman.warp, *_idle(session))


def _idle(session: Session) -> tuple[tuple[int, ...] | None, float | None]:
    """What `python -m analysis.evaluate hkd --parts leaving-out` left in the card, which may be a stranger's."""
    metrics = session.model.card.get("metrics")
    told = metrics.get("leaving-out") if isinstance(metrics, dict) else None
    names, bound = (told.get("idle"), told.get("bound")) if isinstance(told, dict) else (None, None)
    if not isinstance(names, list) or not isinstance(bound, (int, float)):
        return None, None
    return tuple(i for i, e in enumerate(session.entries) if e.name in names), float(bound)


@torch.inference_mode()
def mask_bands(session: Session, request: MaskRequest) -> MaskResult:
    """Weigh bands of modes and decode (docs/method.md, "Bands" and "Ablation")."""
    label, touched = session.label(request.label), session.levels(request.entries)
    kind = request.ablation if any(g != 1 for g in request.gains) else "zero"  # a mean takes seconds to make
    reference = session.reference(kind, [request.seed], label, 0.0)
    energy = torch.zeros(len(request.gains), dtype=torch.float64)
    count = torch.zeros(len(request.gains), dtype=torch.int64)
    with session.lock:
        z = session.final_latents(request.seed, label)
        masked = weigh_bands(z, session.entries, request.edges, request.gains, request.order, touched, kind, reference)
        for i in touched:
            for b, band in enumerate(session.entries.band_masks(i, request.edges, request.order)):
                energy[b] += (z[i] * pair_mask(band)).double().square().sum()
                count[b] += band.sum()
        both = [torch.cat([a, b]) for a, b in zip(z, masked, strict=True)]
        full, out = session.model.decode(both, session.labels(label, 2)).split(1)
    difference, magnification = magnified((full - out)[0])
    return MaskResult(
        full=as_pictures(full)[0],
        masked=as_pictures(out)[0],
        difference=difference,
        magnification=magnification,
        share=(energy / energy.sum().clamp_min(1e-30)).numpy(),
        modes=count.numpy(),
        mse=float(metrics.mse(full, out)[0]),
    )


@torch.inference_mode()
def mode(session: Session, request: ModeRequest) -> ModeResult:
    """What a mode, or a group of modes of one level, is and does (inferred; see `analysis.koopman.modes`)."""
    label, (entry,) = session.label(request.label), session.levels((request.entry,), "entry")
    entries = effects.acting(session.model)
    facts = modes.mode_facts(entries[entry], request.modes)
    reference = session.reference(request.ablation, [request.seed], label, request.tau)
    with session.lock:
        start = session.encoded(request.seed, label)
        z = session.model.evolve(start, 1.0, request.tau)
        full, without = modes.contribution(
            session.model, z, entry, request.modes, session.labels(label, 2), kind=request.ablation, reference=reference
        )
    energy = modes.mode_energy(start, entries, entry, request.modes, torch.linspace(1, 0, request.times))
    both = as_pictures(torch.stack([full, without]), "choose fewer modes or another seed")
    picture, magnification = magnified(full - without)
    return ModeResult(
        entry=entry,
        name=entries[entry].name,
        **{f.name: getattr(facts, f.name).numpy() for f in fields(facts)},
        tau=energy.tau.numpy(),
        energy=energy.energy.numpy(),
        share=energy.share.numpy(),
        full=both[0],
        without=both[1],
        contribution=picture,
        magnification=magnification,
        mse=float(metrics.mse(full[None], without[None])[0]),
    )


@torch.inference_mode()
def surgery(session: Session, request: SurgeryRequest) -> SurgeryResult:
    """The picture with other eigenvalues (inferred; see `modes.operate` for the bound)."""
    label, touched = session.label(request.label), session.levels(request.entries)
    entries = effects.acting(session.model)
    plan = modes.Surgery(
        request.edges, request.alpha_scale, request.alpha_shift, request.beta_scale, request.beta_shift,
        request.entries, request.order,
    )  # fmt: skip
    after, held = modes.operate(entries, plan)
    y = session.labels(label, 1)
    idle = all(map(modes.same_rates, entries, after))  # a mean takes seconds to make
    reference = session.reference("zero" if idle else request.ablation, [request.seed], label)
    with session.lock:
        start = session.encoded(request.seed, label)
        full = session.model.decode(session.model.evolve(start, 1.0, request.tau), y)
        altered = modes.decode_with(session.model, start, after, request.tau, y, entries, reference)
    picture, magnification = magnified((altered - full)[0])
    counts = [[int(m.sum()) for m in session.entries.band_masks(i, request.edges, request.order)] for i in touched]
    exponent = max(float((-e.alpha).max()) for e in after) * (1 - request.tau)
    both = as_pictures(torch.cat([full, altered]))
    return SurgeryResult(
        full=both[0],
        altered=both[1],
        difference=picture,
        magnification=magnification,
        mse=float(metrics.mse(full, altered)[0]),
        modes=np.array(counts).sum(0),
        held=held,
        growth=float(np.exp(max(exponent, 0.0))),
    )
