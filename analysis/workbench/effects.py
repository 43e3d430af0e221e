"""Shares of bands and levels over time: request, result and answer. K bands, n times, L levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field

from analysis.core.errors import UserError
from analysis.core.fields import THIRDS, Choice, Edges, Label, Order, Request, Seeds
from analysis.core.progress import Progress, part
from analysis.koopman import effects
from analysis.workbench.session import Session
from analysis.workbench.spectrum import ZERO_BEFORE, Ablation, Times
from koopman_core.operator import sigma_of_tau

MAX_DECODED = 128  # pairs of a seed and a time: each costs 1 + K + L decodings


@dataclass(frozen=True)
class EffectRequest(Request):
    """Shares of bands and levels over time, averaged over seeds.

    Attributes:
        seeds: 1 to 64, averaged over.
        label: class index, -1 for none.
        edges, order: of the bands.
        kind: "displacement", "energy" or "arc".
        times: of the curves, 2 to 256, equally spaced in tau.
        decoded_times: of the curves in pictures, 0 (leave them out) to 16.
        ablation: what stands in place of what is left out of those pictures.
    """

    former: ClassVar = ZERO_BEFORE
    seeds: Seeds
    label: Label = -1
    edges: Edges = THIRDS
    order: Order = "alpha"
    kind: Annotated[str, Choice(effects.EFFECT_KINDS), Field(title="The kind of effect")] = "displacement"
    times: Times = 64
    decoded_times: Annotated[int, Field(ge=0, le=16, title="The number of decoded times")] = 0
    ablation: Ablation = "mean"

    def check_together(self) -> None:
        """Raises UserError: too much work."""
        if len(self.seeds) * self.decoded_times > MAX_DECODED:
            raise UserError(
                f"Seeds times decoded times must stay within {MAX_DECODED}: ask for fewer of either.", "times"
            )


@dataclass(frozen=True, eq=False)
class EffectResult:
    """Means over seeds; tau falls from 1 (noise) to 0 (picture).

    Attributes:
        kind: which effect.
        tau, sigma: (n,) Koopman time and noise level.
        names: the L levels.
        bands: (K, n) share of every band over all levels; bands_sd: standard deviation over seeds (NaN for one).
        levels: (L, n) share of every level over all bands.
        joint: (L, K, n).
        moves: False where no seed's latents move at all (A = 0); displacement and arc are 0 then.
        decoded_tau: (m,), None if not asked for; decoded_bands (K, m), decoded_levels (L, m): mean squared picture
            change ([-1, 1] scale) when the band or the level is left out.
    """

    kind: str
    tau: np.ndarray
    sigma: np.ndarray
    names: tuple[str, ...]
    bands: np.ndarray
    bands_sd: np.ndarray
    levels: np.ndarray
    joint: np.ndarray
    moves: bool
    decoded_tau: np.ndarray | None = None
    decoded_bands: np.ndarray | None = None
    decoded_levels: np.ndarray | None = None


@torch.inference_mode()
def cumulative_effect(session: Session, request: EffectRequest, progress: Progress = None) -> EffectResult:
    """What every band and level adds along the way (inferred; docs/method.md, "Cumulative effect")."""
    label = session.label(request.label)
    return session.kept(request, lambda: _effect(session, request, label, progress))


def _effect(session: Session, request: EffectRequest, label: int, progress: Progress) -> EffectResult:
    z = session.stacked(request.seeds, label)
    entries = effects.acting(session.model)
    tau = torch.linspace(1, 0, request.times, dtype=torch.float64)
    found = effects.cumulative_effect(z, entries, tau, request.edges, request.kind, request.order)
    several = len(request.seeds) > 1
    decoded = {}
    if request.decoded_times:
        n = request.decoded_times
        times = torch.linspace(1, 0, n, dtype=torch.float64) if n > 1 else torch.zeros(1, dtype=torch.float64)
        mean = part(progress, 0.0, 0.3)
        reference = session.reference(request.ablation, request.seeds, label, progress=mean)
        pictures = effects.decoded_effect(
            session.model, z, times, request.edges, request.order,
            kind=request.ablation, reference=reference,
            labels=session.labels(label, len(request.seeds)), progress=part(progress, 0.3, 1.0),
        )  # fmt: skip
        if not bool(torch.isfinite(pictures.bands).all() and torch.isfinite(pictures.levels).all()):
            raise UserError("This model's pictures are not finite when a part is left out: train it longer.")
        decoded = {
            "decoded_tau": times.numpy(),
            "decoded_bands": pictures.bands.mean(0).numpy(),
            "decoded_levels": pictures.levels.mean(0).numpy(),
        }
    return EffectResult(
        kind=request.kind,
        tau=tau.numpy(),
        sigma=sigma_of_tau(tau, session.model.koopman.warp).numpy(),
        names=tuple(e.name for e in entries),
        bands=found.bands.mean(0).numpy(),
        bands_sd=found.bands.std(0).numpy() if several else np.full(found.bands.shape[1:], np.nan),
        levels=found.levels.mean(0).numpy(),
        joint=found.share.mean(0).numpy(),
        moves=any(bool(e.alpha.any() or e.beta.any()) for e in entries) and bool(found.total.any()),
        **decoded,
    )
