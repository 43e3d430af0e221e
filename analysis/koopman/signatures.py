"""Spectral signatures: how much energy every band of every level holds, over time, and whether that tells groups apart.

Pictures of several groups (classes, or values of a factor) are noised to the levels of a few times and encoded without
their class; the signature of a picture at a time is the log of its latents' mean squared size in every band of every
level. Controls are the same with modes dealt to the bands at random, and the radial power of the noised picture itself,
which needs no network. (The question is that of the class-conditional signatures of arXiv 2506.22304; the measures are
ours, docs/method.md, "Signatures".)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.core.progress import Progress, tell
from analysis.koopman.effects import pair_energy
from analysis.koopman.spectrum import band_numbers
from analysis.metrics.image import radial_power
from foundation import noise
from foundation.randomness import FIRST_SEED, mix_seed
from koopman_core.model import KoopmanDiffusion, SpectrumEntry
from koopman_core.operator import sigma_of_tau

READERS = ("bands", "random", "picture")  # by alpha, the same modes dealt at random, radial power of the picture
SIGNATURE_TAUS = (0.0, 0.25, 0.5, 0.75, 1.0)
SIGNATURE_FOLDS = 8
SHRINKAGE = 0.1  # of the pooled covariance towards the identity, of features of unit spread
SIGNATURE_BATCH = 16
LEAST_ENERGY = 1e-12


def mean_energies(z: Sequence[Tensor], bands: Sequence[Tensor], count: int) -> Tensor:
    """Mean squared size of a mode in every band of every level, (N, L, count) float64.

    Args:
        z: one (N, C_l, h_l, w_l) latent a level.
        bands: the band of every mode, flat (C_l/2 * h_l * w_l,) a level.
        count: bands; one without a mode has energy 0.
    """
    out = torch.zeros(len(z[0]), len(z), count, dtype=torch.float64)
    for level, (latent, number) in enumerate(zip(z, bands, strict=True)):
        sizes = torch.bincount(number, minlength=count).clamp_min(1)
        out[:, level].index_add_(1, number, pair_energy(latent))
        out[:, level] /= sizes
    return out


def dealt(bands: Sequence[Tensor], seed: int) -> list[Tensor]:
    """The same band sizes with modes dealt to them at random, level by level."""
    generator = torch.Generator().manual_seed(mix_seed(seed, 2))
    return [number[torch.randperm(len(number), generator=generator)] for number in bands]


def rings(x: Tensor, count: int) -> Tensor:
    """Radial power of pictures (N, C, H, W) in at most `count` bins of neighbouring frequencies, (N, bins) float64."""
    power = radial_power(x).power.double()
    return torch.stack([part.mean(1) for part in power.tensor_split(min(count, power.shape[1]), dim=1)], 1)


@dataclass(frozen=True)
class Signatures:
    """N pictures, n times, L levels, K bands, R rings.

    Attributes:
        tau, sigma: (n,) float64.
        groups: (N,) int64, from 0.
        bands, random: (N, n, L, K) natural logs of the mean energies, by alpha and dealt at random.
        picture: (N, n, R) natural logs of radial power.
    """

    tau: Tensor
    sigma: Tensor
    groups: Tensor
    bands: Tensor
    random: Tensor
    picture: Tensor

    def features(self, reader: str, time: int) -> Tensor:
        """(N, F) of one of `READERS` at one time."""
        return getattr(self, reader)[:, time].flatten(1)


@torch.no_grad()
def signatures(
    model: KoopmanDiffusion,
    entries: Sequence[SpectrumEntry],
    pictures: Tensor,
    groups: Tensor,
    *,
    edges: Sequence[float],
    order: str = "alpha",
    taus: Sequence[float] = SIGNATURE_TAUS,
    seed: int = FIRST_SEED,
    progress: Progress = None,
    guard: AbstractContextManager | None = None,
) -> Signatures:
    """Encode every picture at every time, with its own noise, which is the same at all times.

    Args:
        model: the model; it is not told the class.
        entries: its spectrum.
        pictures: (N, C, H, W) in [-1, 1].
        groups: (N,) int64.
        edges, order: of the bands, see `spectrum.band_masks`.
        taus: times at which they are encoded.
        seed: of the noise of the first picture, and of the dealt bands.
        progress: called with (share done, what); may raise to stop.
        guard: entered for every batch anew.
    """
    sigma = sigma_of_tau(torch.tensor(taus, dtype=torch.float64), model.koopman.warp)
    count = len(edges) + 1
    bands = [band_numbers(entries, level, edges, order) for level in range(len(entries))]
    by_chance = dealt(bands, seed)
    parts: dict[str, list[Tensor]] = {reader: [] for reader in READERS}
    for low in range(0, len(pictures), SIGNATURE_BATCH):
        x = pictures[low : low + SIGNATURE_BATCH]
        eps = noise([(seed + low + i) % 2**32 for i in range(len(x))], tuple(x.shape[1:]))
        at: dict[str, list[Tensor]] = {reader: [] for reader in READERS}
        for s in sigma.tolist():
            noised = x + s * eps
            with guard or nullcontext():
                z = model.encode(noised, s)
            at["bands"].append(mean_energies(z, bands, count))
            at["random"].append(mean_energies(z, by_chance, count))
            at["picture"].append(rings(noised, len(entries) * count))
        for reader, values in at.items():
            parts[reader].append(torch.stack(values, 1).clamp_min(LEAST_ENERGY).log())
        tell(progress, (low + len(x)) / len(pictures), "signatures of pictures")
    found = {reader: torch.cat(values) for reader, values in parts.items()}
    return Signatures(torch.tensor(taus, dtype=torch.float64), sigma, groups, **found)


# ---------------------------------------------------------------------------------------------------------------------
# Telling groups apart


def folds(groups: Tensor, count: int = SIGNATURE_FOLDS) -> Tensor:
    """Fold of every picture, (N,) int64: every group is spread evenly over them."""
    out = torch.zeros_like(groups)
    for group in groups.unique():
        rows = torch.nonzero(groups == group)[:, 0]
        out[rows] = torch.arange(len(rows)) % count
    return out


def _whitened(x: Tensor, groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centre; W by which (x - centre) W has about unit spread within groups; means of the groups there."""
    means = torch.stack([x[groups == g].mean(0) for g in range(int(groups.max()) + 1)])
    within = x - means[groups]
    scale = within.square().mean(0).sqrt().clamp_min(1e-9)
    within = within / scale
    pooled = within.T @ within / max(len(x) - len(means), 1)
    pooled = (1 - SHRINKAGE) * pooled + SHRINKAGE * torch.eye(len(scale), dtype=x.dtype)
    factor = torch.linalg.inv(torch.linalg.cholesky(pooled)).T / scale[:, None]
    centre = x.mean(0)
    return centre, factor, (means - centre) @ factor


def held_out_hits(x: Tensor, groups: Tensor, count: int = SIGNATURE_FOLDS) -> Tensor:
    """Whether each picture's group is read from the others: nearest mean of a shrunk linear discriminant (Fisher).

    Args:
        x: (N, F) float64 features.
        groups: (N,) int64 from 0, each with at least `count` pictures.
        count: folds; every picture is judged by a fit without its fold.

    Returns:
        (N,) float64, 1 where it is right.
    """
    fold, hit = folds(groups, count), torch.zeros(len(x), dtype=torch.float64)
    for f in range(count):
        inside, out = fold != f, fold == f
        centre, factor, means = _whitened(x[inside], groups[inside])
        read = torch.cdist((x[out] - centre) @ factor, means).argmin(1)
        hit[out] = (read == groups[out]).double()
    return hit


def separation(x: Tensor, groups: Tensor) -> Tensor:
    """Share of every feature's variance that lies between groups (eta squared), (F,) in [0, 1].

    Chance alone gives (G - 1) / (N - 1) on average.
    """
    centred = x - x.mean(0)
    total = centred.square().sum(0)
    between = torch.zeros_like(total)
    for group in groups.unique():
        rows = groups == group
        between += rows.sum() * centred[rows].mean(0).square()
    return between / total.clamp_min(1e-30)


def distances(x: Tensor, groups: Tensor) -> Tensor:
    """Squared distances between groups in spreads within groups, (G, G), without the part that chance adds.

    The difference of two groups' means in one half of the pictures times that in the other (cross-validated
    Mahalanobis distance, Walther et al. 2016, NeuroImage 137): 0 on average where groups do not differ, so single
    values may be negative.
    """
    half = folds(groups, 2)
    _, factor, _ = _whitened(x, groups)
    count = int(groups.max()) + 1
    white = x @ factor
    means = [torch.stack([white[(groups == g) & (half == h)].mean(0) for g in range(count)]) for h in range(2)]
    a, b = (m[:, None] - m[None] for m in means)
    return (a * b).sum(-1)


def profile(x: Tensor, groups: Tensor) -> Tensor:
    """Mean of every group and feature, (G, F), in standard deviations over all pictures from the mean of all."""
    z = (x - x.mean(0)) / x.std(0).clamp_min(1e-9)
    return torch.stack([z[groups == g].mean(0) for g in range(int(groups.max()) + 1)])


def chance(groups: Tensor) -> float:
    """Share of hits of one who always names the largest group."""
    return float(groups.bincount().max()) / len(groups)
