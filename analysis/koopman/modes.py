"""What a mode is, and what the picture becomes when its eigenvalue is another one.

A mode is (entry, pair k, row i, column j), named by its entry and its flat index k h w + i w + j. In the complex form
w = z_2k + i z_2k+1 it moves as w(tau) = e^((alpha - i beta) (tau - 1)) w(T) (docs/method.md, "Operator"). What a mode
"does" to the picture is the decoder's answer to its absence, D(z) - D(z without it): the decoder is not linear, so
these pictures do not add up (inferred; the paper shows bands, not modes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.koopman import spectrum
from analysis.koopman.ablations import ablate
from analysis.koopman.effects import mode_table, pair_energy
from foundation.mistakes import Mistake
from koopman_core.model import KoopmanDiffusion, SpectrumEntry
from koopman_core.operator import evolve_pairs

LARGEST_EXPONENT = 8.0  # over the span tau: 1 -> 0 nothing grows by more than e^8 = 2981 (docs/method.md, "Operator")


@dataclass(frozen=True)
class ModeFacts:
    """N modes of one entry.

    Attributes:
        index: (N,) int64 flat indices.
        pair, row, column: (N,) int64 place of each; its channels are 2 pair and 2 pair + 1.
        alpha, beta: (N,) float64 growth rate and angular frequency, per unit tau.
        half_life: (N,) units of tau in which the norm halves on the way to the picture (alpha > 0) or doubles
            (alpha < 0), ln 2 / |alpha|; infinite at alpha = 0. The whole way is 1 unit.
        period: (N,) units of tau of one turn, 2 pi / |beta|; infinite at beta = 0.
    """

    index: Tensor
    pair: Tensor
    row: Tensor
    column: Tensor
    alpha: Tensor
    beta: Tensor
    half_life: Tensor
    period: Tensor


def mode_facts(entry: SpectrumEntry, indices: Sequence[int]) -> ModeFacts:
    """Read place and rates of modes off the spectrum.

    Raises:
        UserError: an index that the entry does not have.
    """
    index = torch.tensor(list(indices), dtype=torch.int64)
    total = entry.alpha.numel()
    if len(index) == 0 or int(index.min()) < 0 or int(index.max()) >= total:
        raise UserError(f"{entry.name} has the modes 0 to {total - 1}: choose among them.", "modes")
    _, h, w = entry.alpha.shape
    alpha, beta = entry.alpha.flatten()[index].double(), entry.beta.flatten()[index].double()
    place = (index // (h * w), index // w % h, index % w)
    return ModeFacts(index, *place, alpha, beta, math.log(2) / alpha.abs(), 2 * math.pi / beta.abs())


@dataclass(frozen=True)
class ModeEnergy:
    """Energy of a group of N modes over n times.

    Attributes:
        tau: (n,).
        energy: (N, n), |z_k(tau)|^2 of each mode.
        share: (n,) of the group in all modes' energy, 0 where there is none.
    """

    tau: Tensor
    energy: Tensor
    share: Tensor


@torch.no_grad()
def mode_energy(
    z: Sequence[Tensor], entries: Sequence[SpectrumEntry], entry: int, indices: Sequence[int], tau: Tensor
) -> ModeEnergy:
    """Energy of a group of modes over time, e^(2 alpha (tau - 1)) r^2 (docs/method.md, "Cumulative effect").

    Args:
        z: E(x_T) of one seed, (1, C_l, h_l, w_l) a level.
        entries: the acting spectrum.
        entry: which level the modes are of.
        indices: flat indices, distinct.
        tau: (n,) times in [0, 1].
    """
    tau = torch.as_tensor(tau, dtype=torch.float64)
    everything = torch.zeros(len(tau), dtype=torch.float64)
    for latent, e in zip(z, entries, strict=True):
        everything += pair_energy(latent)[0] @ mode_table("energy", e.alpha.flatten(), e.beta.flatten(), tau - 1)
    facts = mode_facts(entries[entry], indices)
    energy = pair_energy(z[entry])[0, facts.index, None] * mode_table("energy", facts.alpha, facts.beta, tau - 1)
    return ModeEnergy(tau, energy, energy.sum(0) / torch.where(everything > 0, everything, 1))


def without_modes(
    z: Sequence[Tensor],
    entry: int,
    indices: Sequence[int],
    kind: str = "zero",
    reference: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """The latents without the given modes of one entry; `kind` and `reference` as in `ablations.ablate`."""
    c, h, w = z[entry].shape[1:]
    share = torch.ones(c // 2 * h * w)
    share[torch.as_tensor(list(indices), dtype=torch.int64)] = 0.0
    keep: list[Tensor | None] = [None] * len(z)
    keep[entry] = spectrum.pair_mask(share.view(c // 2, h, w))
    return ablate(z, keep, kind, reference)


@torch.no_grad()
def contribution(
    model: KoopmanDiffusion,
    z: Sequence[Tensor],
    entry: int,
    indices: Sequence[int],
    labels: Tensor | None = None,
    *,
    kind: str = "zero",
    reference: Sequence[Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """What the decoder makes of the latents with and without a group of modes.

    Args:
        model: anything with `decode`.
        z: latents of one seed at the time to look at.
        entry, indices: the group.
        labels: (2,) int64 or None.
        kind, reference: what stands in their place, see `ablations.ablate`; the reference at the same time.

    Returns:
        D(z) and D(z without them), (C, H, W) each; their difference is the group's contribution.
    """
    both = [torch.cat(pair) for pair in zip(z, without_modes(z, entry, indices, kind, reference), strict=True)]
    with_them, without = model.decode(both, labels)
    return with_them, without


@dataclass(frozen=True)
class Surgery:
    """New eigenvalues of whole bands: alpha' = scale alpha + shift, beta likewise; K bands.

    Attributes:
        edges, order: of the bands, see `spectrum.band_masks`.
        alpha_scale, alpha_shift, beta_scale, beta_shift: K numbers each.
        entries: levels to operate on; () for all.
    """

    edges: tuple[float, ...]
    alpha_scale: tuple[float, ...]
    alpha_shift: tuple[float, ...]
    beta_scale: tuple[float, ...]
    beta_shift: tuple[float, ...]
    entries: tuple[int, ...] = ()
    order: str = "alpha"


def operate(entries: Sequence[SpectrumEntry], surgery: Surgery) -> tuple[list[SpectrumEntry], int]:
    """The spectrum after surgery.

    |alpha'| is held to 8, so that nothing grows by more than e^8 over the span, or to the mode's own |alpha| where a
    model was built with more: scale 1 and shift 0 change nothing.

    Returns:
        The entries, and how many modes the bound held back.

    Raises:
        ValueError: not one number a band.
    """
    bands = len(surgery.edges) + 1
    rates = (surgery.alpha_scale, surgery.alpha_shift, surgery.beta_scale, surgery.beta_shift)
    if any(len(r) != bands for r in rates):
        raise Mistake(f"{bands - 1} edges make {bands} bands: give as many scales and shifts.", "bands")
    out, held = list(entries), 0
    for i in surgery.entries or range(len(entries)):
        e = entries[i]
        masks = spectrum.level_masks(entries, i, surgery.edges, surgery.order)
        s_a, d_a, s_b, d_b = (sum(v * m.double() for v, m in zip(r, masks, strict=True)) for r in rates)
        wanted = s_a * e.alpha.double() + d_a
        bound = e.alpha.abs().double().clamp_min(LARGEST_EXPONENT)
        alpha = wanted.clamp(-bound, bound)
        held += int((alpha != wanted).sum())
        out[i] = replace(e, alpha=alpha.float(), beta=(s_b * e.beta.double() + d_b).float())
    return out, held


def same_rates(a: SpectrumEntry, b: SpectrumEntry) -> bool:
    """Whether two levels have the same eigenvalues."""
    return torch.equal(a.alpha, b.alpha) and torch.equal(a.beta, b.beta)


def evolve_with(z: Sequence[Tensor], entries: Sequence[SpectrumEntry], delta: float) -> list[Tensor]:
    """exp(delta A) z with the eigenvalues of `entries` in place of the model's own."""
    return [evolve_pairs(latent, e.alpha, e.beta, delta) for latent, e in zip(z, entries, strict=True)]


@torch.no_grad()
def decode_with(
    model: KoopmanDiffusion,
    z: Sequence[Tensor],
    entries: Sequence[SpectrumEntry],
    tau: float = 0.0,
    labels: Tensor | None = None,
    own: Sequence[SpectrumEntry] = (),
    reference: Sequence[Tensor] | None = None,
) -> Tensor:
    """D(exp((tau - 1) A') z(T)), the picture of another spectrum, (B, C, H, W).

    With a reference r only what differs from it gets the other spectrum, exp((tau - 1) A) r +
    exp((tau - 1) A') (z(T) - r): what all pictures share stays where the decoder knows it, and rates that let a band
    die out end in the ablation of that band (docs/method.md, "Modes and surgery").

    Args:
        model: anything with `decode`.
        z: E(x_T), one latent a level.
        entries: the other spectrum A'.
        tau: time of the picture.
        labels: (B,) int64 or None.
        own: the model's spectrum A, by which the reference moves.
        reference: r at T, broadcast against z; None for 0.

    Raises:
        UserError: the picture is not finite.
    """
    moved = evolve_with(z, entries, tau - 1.0)
    if reference is not None:
        shared, lost = (evolve_with(reference, of, tau - 1.0) for of in (own, entries))
        # a level that keeps its spectrum keeps every bit
        moved = [
            m if same_rates(a, b) else m + (r - other)
            for m, r, other, a, b in zip(moved, shared, lost, own, entries, strict=True)
        ]
    picture = model.decode(moved, labels)
    if not bool(torch.isfinite(picture).all()):
        raise UserError(
            "The picture is not finite with these eigenvalues: bring the scales closer to 1 and the shifts to 0.",
            "picture",
        )
    return picture
