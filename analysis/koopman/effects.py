"""Cumulative effect: what every band and every level adds to the picture along the way from noise.

The paper follows "the cumulative effect" of groups of modes (section 4.2, appendix B.2) and gives no formula: all
definitions here are inferred (docs/method.md, "Cumulative effect"). With r_k = |z_k(T)| and d = tau - 1 <= 0 a mode is
at |z_k| = e^(alpha_k d) r_k, so every latent version is a sum of per-mode tables in alpha, beta and d weighted by
r_k^2 (or r_k); nothing is evolved. Only the decoded version runs the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from analysis.core.progress import Progress, tell
from analysis.koopman import spectrum
from analysis.koopman.ablations import ablate
from analysis.metrics import image as metrics
from foundation.mistakes import Mistake
from koopman_core.model import KoopmanDiffusion, SpectrumEntry

EFFECT_KINDS = ("displacement", "energy", "arc")
MODES_AT_ONCE = 16_384  # modes in one table: 64 times of them are 8 MB in float64


@dataclass(frozen=True)
class Effect:
    """One latent version of the cumulative effect; B seeds, L levels (entries), K bands, n times.

    Attributes:
        kind: "displacement", "energy" or "arc".
        tau: (n,) float64 Koopman times, 1 = noise, 0 = picture.
        share: (B, L, K, n) float64, not negative.
        total: what the shares are shares of: (B, 1), for the energy (B, n). 0 where nothing moves; shares are 0 then.
    """

    kind: str
    tau: Tensor
    share: Tensor
    total: Tensor

    @property
    def bands(self) -> Tensor:
        """(B, K, n), summed over levels."""
        return self.share.sum(1)

    @property
    def levels(self) -> Tensor:
        """(B, L, n), summed over bands."""
        return self.share.sum(2)


def acting(model: KoopmanDiffusion) -> list[SpectrumEntry]:
    """The spectrum with which the model really evolves: 0 where its ablation holds an operator still."""
    entries = model.spectrum()
    still = {"all": 0, "bottleneck": len(entries) - 1, "none": len(entries)}[model.koopman.evolved]
    return [
        replace(e, alpha=torch.zeros_like(e.alpha), beta=torch.zeros_like(e.beta)) if i < still else e
        for i, e in enumerate(entries)
    ]


def pair_energy(z: Tensor) -> Tensor:
    """r_k^2 of every mode: (B, C, h, w) -> (B, C/2 * h * w) float64, flat index k h w + i w + j."""
    b, c, h, w = z.shape
    return z.double().view(b, c // 2, 2, h, w).square().sum(2).flatten(1)


def mode_table(kind: str, alpha: Tensor, beta: Tensor, delta: Tensor) -> Tensor:
    """What a mode of unit norm at T contributes at tau = 1 + delta (docs/method.md, "Cumulative effect").

    - displacement: |z(t) - z(T)|^2 = e^(2 alpha d) - 2 e^(alpha d) cos(beta d) + 1, written as
      (e^(alpha d) - 1)^2 + 4 e^(alpha d) sin^2(beta d / 2), which does not cancel for small alpha and beta.
    - energy: |z(t)|^2 = e^(2 alpha d).
    - arc: length of the way from T, |lambda| (1 - e^(alpha d)) / alpha, which is -|lambda| d for alpha = 0.

    Args:
        kind: one of `EFFECT_KINDS`.
        alpha, beta: (N,).
        delta: (n,), each in [-1, 0].

    Returns:
        (N, n) float64, not negative.

    Raises:
        ValueError: unknown kind.
    """
    a, b, d = alpha.double()[:, None], beta.double()[:, None], delta.double()
    if kind == "displacement":
        less_one = torch.expm1(a * d)
        return less_one.square() + 4 * (less_one + 1) * torch.sin(b * d / 2).square()
    if kind == "energy":
        return torch.exp(2 * a * d)
    if kind == "arc":
        return torch.hypot(a, b) * torch.where(a == 0, -d, -torch.expm1(a * d) / torch.where(a == 0, 1, a))
    raise Mistake(f"kind must be one of {', '.join(EFFECT_KINDS)}, not {kind!r}.", "kind")


@torch.no_grad()
def cumulative_effect(
    z: Sequence[Tensor],
    entries: Sequence[SpectrumEntry],
    tau: Tensor,
    edges: Sequence[float] = (1 / 3, 2 / 3),
    kind: str = "displacement",
    order: str = "alpha",
) -> Effect:
    """Shares of levels and bands over time, in closed form.

    - displacement (default): |z(t) - z(T)|^2 over that of all modes at eps: 0 at T, all shares sum to 1 at eps. In
      between they may rise above and fall again, where modes rotate.
    - energy: |z(t)|^2 over that of all modes at the same time: all shares sum to 1 at every time.
    - arc: sum of the modes' path lengths over that of all modes at eps: rises from 0 at T to 1 at eps.

    Args:
        z: E(x_T), one (B, C_l, h_l, w_l) latent a level.
        entries: the acting spectrum (see `acting`).
        tau: (n,) times in [0, 1].
        edges, order: of the bands, see `spectrum.band_masks`.
        kind: one of `EFFECT_KINDS`.
    """
    tau = torch.as_tensor(tau, dtype=torch.float64)
    delta = torch.cat([tau - 1, torch.tensor([-1.0], dtype=torch.float64)])  # the last one is eps: the denominator
    bands = len(edges) + 1
    amount = torch.zeros(z[0].shape[0], len(z), bands, len(delta), dtype=torch.float64)
    for level, (latent, entry) in enumerate(zip(z, entries, strict=True)):
        weight = pair_energy(latent)
        if kind == "arc":
            weight = weight.sqrt()
        band = spectrum.band_numbers(entries, level, edges, order)
        rows = torch.argsort(band, stable=True)
        alpha, beta, weight = entry.alpha.flatten()[rows], entry.beta.flatten()[rows], weight[:, rows]
        cuts = [0, *torch.bincount(band, minlength=bands).cumsum(0).tolist()]
        for b in range(bands):
            for low in range(cuts[b], cuts[b + 1], MODES_AT_ONCE):
                part = slice(low, min(low + MODES_AT_ONCE, cuts[b + 1]))
                amount[:, level, b] += weight[:, part] @ mode_table(kind, alpha[part], beta[part], delta)
    everything = amount.sum((1, 2))
    total = everything[:, :-1] if kind == "energy" else everything[:, -1:]
    safe = torch.where(total > 0, total, 1)[:, None, None]
    return Effect(kind, tau, amount[..., :-1] / safe, total)


@dataclass(frozen=True)
class DecodedEffect:
    """Picture change when a part is left out; B seeds, n times.

    Attributes:
        tau: (n,).
        bands: (B, K, n) distance of D(z_t) to D(z_t without the band), over all levels.
        levels: (B, L, n) distance of D(z_t) to D(z_t without that level).
    """

    tau: Tensor
    bands: Tensor
    levels: Tensor


@torch.no_grad()
def decoded_effect(
    model: KoopmanDiffusion,
    z: Sequence[Tensor],
    tau: Tensor,
    edges: Sequence[float] = (1 / 3, 2 / 3),
    order: str = "alpha",
    *,
    kind: str = "zero",
    reference: Sequence[Tensor] | None = None,
    labels: Tensor | None = None,
    distance: Callable[[Tensor, Tensor], Tensor] = metrics.mse,
    progress: Progress = None,
) -> DecodedEffect:
    """The cumulative effect in pictures (docs/method.md, "Cumulative effect"): 1 + K + L decodings a seed and time.

    Args:
        model: anything with `spectrum`, `koopman`, `evolve` and `decode`.
        z: E(x_T), one (B, C_l, h_l, w_l) latent a level.
        tau: (n,) times in [0, 1].
        edges, order: of the bands.
        kind, reference: what stands in place of what is left out, see `ablations.ablate`; the reference at T, for one
            picture or for each.
        labels: (B,) int64 or None.
        distance: of two picture batches, (m,) numbers; the mean squared error by default.
        progress: called with (share done, what) after every seed and time; may raise to stop.
    """
    entries, tau = acting(model), torch.as_tensor(tau, dtype=torch.float64)
    masks = [spectrum.level_masks(entries, i, edges, order) for i in range(len(entries))]
    # retention of every variant: all, without band 1..K, without level 1..L
    keep = [
        torch.stack([
            torch.ones(e.shape),
            *(1.0 - spectrum.pair_mask(m).float() for m in masks[i]),
            *(torch.full(e.shape, float(i != left_out)) for left_out in range(len(entries))),
        ])
        for i, e in enumerate(entries)
    ]  # fmt: skip
    seeds, bands, variants = z[0].shape[0], len(edges) + 1, len(keep[0])
    found = torch.zeros(seeds, variants - 1, len(tau), dtype=torch.float64)
    for b in range(seeds):
        for t, now in enumerate(tau.tolist()):
            state = model.evolve([latent[b : b + 1] for latent in z], 1.0, now)
            y = None if labels is None else labels[b : b + 1].expand(variants)
            other = None
            if reference is not None:
                other = model.evolve([r[b : b + 1] if len(r) == seeds else r for r in reference], 1.0, now)
            out = model.decode(ablate(state, keep, kind, other), y)
            found[b, :, t] = distance(out[:1].expand_as(out[1:]), out[1:]).double()
            tell(progress, (b * len(tau) + t + 1) / (seeds * len(tau)), "pictures without a band or a level")
    return DecodedEffect(tau, found[:, :bands], found[:, bands:])
