"""Labels by measurement: how coarse is a band, and which factor of a scene does it carry?

The paper reads bands as layout, shape and texture (4.2, D.2) and contradicts itself on which is which (docs/method.md,
"Bands"); so nothing is assumed here. The frequency probe looks at the Fourier power of what a band adds to the
picture; the attribution looks at pairs of procedural scenes that differ in one known factor. Both are ours (inferred).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from analysis.core.progress import Progress, still_wanted, tell
from analysis.koopman import scenes, spectrum
from analysis.koopman.ablations import ablate
from analysis.koopman.effects import mode_table, pair_energy
from analysis.metrics import image as metrics
from foundation import noise
from foundation.metrics.statistics import CONFIDENCE, bootstrap, resampled_means
from koopman_core.edm import SIGMA_MIN
from koopman_core.model import KoopmanDiffusion, SpectrumEntry
from koopman_core.nested import low_pass

PROBE_BATCH = 32
BLURS = (6 / 64, 2.2 / 64)  # of the picture's side: what nested bands, the first and the first two, are to show


@dataclass(frozen=True)
class BandLabels:
    """Fourier statistics of what each of K bands adds to the picture at eps, over B seeds.

    Attributes:
        frequency: (R,) cycles per pixel, centres of the rings.
        power: (K, R) mean radial power of D(z) - D(z without the band).
        centroid: (K,) mean frequency centroid, cycles per pixel; NaN where no seed has any detail.
        low, high: (K,) 95 % bootstrap interval of it.
        change: (K,) mean squared picture change when the band is left out.
        coarse_to_fine: the bands by centroid, lowest first; bands without detail come last.
        distinct: (K - 1,) bool: whether neighbours in that order differ by more than chance (the paired bootstrap
            interval of their difference leaves out 0).
    """

    frequency: Tensor
    power: Tensor
    centroid: Tensor
    low: Tensor
    high: Tensor
    change: Tensor
    coarse_to_fine: tuple[int, ...]
    distinct: tuple[bool, ...]


@torch.no_grad()
def band_frequencies(
    model: KoopmanDiffusion,
    entries: Sequence[SpectrumEntry],
    latents: Callable[[int], list[Tensor]],
    seeds: int,
    edges: Sequence[float] = (1 / 3, 2 / 3),
    order: str = "alpha",
    *,
    kind: str = "zero",
    reference: Callable[[int], list[Tensor]] | None = None,
    labels: Tensor | None = None,
    draws: int = 1000,
    seed: int = 0,
    progress: Progress = None,
) -> BandLabels:
    """Measure how coarse or fine each band is.

    Args:
        model: anything with `decode`.
        entries: its spectrum, for the bands.
        latents: z at eps of seed number i, (1, C_l, h_l, w_l) a level.
        seeds: how many numbers to ask for.
        edges, order: of the bands.
        kind, reference: what stands in place of a band, see `ablations.ablate`; the reference of seed number i at eps.
        labels: (K + 1,) int64 or None.
        draws, seed: of the bootstrap.
        progress: called with (share done, what) after every seed; may raise to stop.
    """
    masks = [spectrum.level_masks(entries, i, edges, order) for i in range(len(entries))]
    keep = [torch.stack([torch.ones(m[0].shape), *(1.0 - b.float() for b in m)]) for m in masks]
    keep = [k.repeat_interleave(2, dim=1) for k in keep]
    powers, centroids, changes = [], [], []
    for i in range(seeds):
        other = None if reference is None else reference(i)
        out = model.decode(ablate(latents(i), keep, kind, other), labels)
        added = out[:1] - out[1:]
        radial = metrics.radial_power(added)
        powers.append(radial.power)
        centroids.append(metrics.frequency_centroid(added))
        changes.append(added.double().square().mean((1, 2, 3)))
        tell(progress, (i + 1) / seeds, "pictures without a band")
    values = torch.stack(centroids)
    mean = values.nanmean(0)
    ends = [bootstrap(column[~column.isnan()], draws, seed) for column in values.T]
    ranking = sorted(range(len(mean)), key=lambda b: (bool(mean[b].isnan()), float(mean[b])))
    distinct = []
    for a, b in zip(ranking[:-1], ranking[1:], strict=True):
        gap = values[:, b] - values[:, a]
        low, high = bootstrap(gap[~gap.isnan()], draws, seed)
        distinct.append(bool(low > 0) or bool(high < 0))  # NaN is neither
    return BandLabels(
        radial.frequency, torch.stack(powers).mean(0), mean, torch.stack([e[0] for e in ends]),
        torch.stack([e[1] for e in ends]), torch.stack(changes).mean(0), tuple(ranking), tuple(distinct),
    )  # fmt: skip


@dataclass(frozen=True)
class Attribution:
    """Share of the difference of two scenes; F rows, L levels, K bands, mean over pairs.

    Attributes:
        rows: names of the factors; "everything" (two unrelated scenes) last: what a factor is to be compared with,
            since levels and bands differ in size and in scale.
        pairs: (F,) pairs that differ at all.
        share: (F, L, K) of the squared latent difference; each row sums to 1 (NaN without such a pair).
        bands, bands_low, bands_high: (F, K), summed over levels, with the 95 % bootstrap interval; of pictures where
            `attribution` was given a decoder, see `exchange_shares`: those need not sum to 1.
        levels, levels_low, levels_high: (F, L), summed over bands; likewise.
    """

    rows: tuple[str, ...]
    pairs: Tensor
    share: Tensor
    bands: Tensor
    bands_low: Tensor
    bands_high: Tensor
    levels: Tensor
    levels_low: Tensor
    levels_high: Tensor


def difference_shares(
    before: Sequence[Tensor],
    after: Sequence[Tensor],
    entries: Sequence[SpectrumEntry],
    bands: Sequence[Tensor],
    count: int,
    delta: float = 0.0,
) -> Tensor:
    """Where two sets of latents differ: (B, L, K) float64 shares of |e^(delta A) (z - z')|^2, NaN where they do not.

    Args:
        before, after: (B, C_l, h_l, w_l) a level.
        entries: the acting spectrum.
        bands: `spectrum.band_numbers` of every level.
        count: how many bands there are, K.
        delta: evolve the difference by this much first; a closed form, since A is linear.
    """
    found = torch.zeros(len(before[0]), len(before), count, dtype=torch.float64)
    time = torch.tensor([delta], dtype=torch.float64)
    for level, (x, y, e, band) in enumerate(zip(before, after, entries, bands, strict=True)):
        energy = pair_energy(x - y) * mode_table("energy", e.alpha.flatten(), e.beta.flatten(), time).T
        found[:, level].index_add_(1, band, energy)
    total = found.sum((1, 2), keepdim=True)
    return found / torch.where(total > 0, total, torch.nan)


@torch.no_grad()
def exchanged(
    decode: Callable[[list[Tensor]], Tensor],
    before: Sequence[Tensor],
    after: Sequence[Tensor],
    entries: Sequence[SpectrumEntry],
    edges: Sequence[float],
    order: str,
) -> Tensor:
    """Squared picture change when a part of the latents is exchanged for another scene's.

    Args:
        decode: latents -> pictures.
        before, after: (B, C_l, h_l, w_l) a level.
        entries: the spectrum.
        edges, order: of the K bands.

    Returns:
        float64 (B, 1 + K + L): all latents exchanged, then each band alone, then each level alone.
    """
    keep: list[list[Tensor]] = [[torch.zeros(()) for _ in entries]]
    for band in range(len(edges) + 1):
        masks = [spectrum.level_masks(entries, i, edges, order)[band] for i in range(len(entries))]
        keep.append([1.0 - spectrum.pair_mask(m).float() for m in masks])
    keep += [[torch.tensor(float(i != level)) for i in range(len(entries))] for level in range(len(entries))]
    first, changes = decode(list(before)).double(), []
    for part in keep:
        still_wanted()  # a batch of pairs takes seconds
        changed = decode(ablate(before, part, "resample", after)).double()
        changes.append((changed - first).square().mean((1, 2, 3)))
    return torch.stack(changes, 1)


def exchange_shares(changes: Tensor, draws: int = 1000, seed: int = 0) -> Tensor:
    """Mean change of every part over the mean change of all latents: the decoder is not linear, so no sum is 1.

    A ratio of means, so that pairs which hardly differ do not decide it.

    Args:
        changes: (B, 1 + K + L) of `exchanged`; rows that are 0 everywhere are pairs that do not differ.
        draws, seed: of the bootstrap over pairs.

    Returns:
        float64 (3, K + L): share, lower and upper end; NaN without a pair that differs.
    """
    changes = changes[changes[:, 0] > 0]
    if len(changes) == 0:
        return torch.full((3, changes.shape[1] - 1), torch.nan, dtype=torch.float64)
    means = resampled_means(changes, draws, seed)
    tail = (1 - CONFIDENCE) / 2
    ends = torch.quantile(means[:, 1:] / means[:, :1], torch.tensor([tail, 1 - tail]).double(), dim=0)
    mean = changes.mean(0)
    return torch.stack([mean[1:] / mean[0], *ends])


def blur_shares(
    row: str, pairs: int, blurs: Sequence[float], side: int, data: str = "shapes", seed: int = 0, draws: int = 1000
) -> Tensor:
    """What bands of the picture itself would give as `exchange_shares`: bands that are cut by Gaussian blurs.

    Args:
        row: one of `rows_of(data)`, changed in pairs of scenes as in `attribution`.
        pairs: how many.
        blurs: standard deviations in pixels, falling; K - 1 of them cut K bands, coarse first.
        side: of the pictures.
        data: a key of `scenes.DRAWN`.
        seed, draws: of the scenes and of the bootstrap.

    Returns:
        float64 (3, K): share, lower and upper end. Blurs overlap, so the shares need not sum to 1.
    """
    before, after = (scenes.draw(data, records, side) for records in scenes.scene_pairs(row, pairs, seed, data))
    whole = after - before
    levels = [*(low_pass(whole, torch.full((pairs,), float(b))) for b in blurs), whole]
    bands = [levels[0], *(fine - coarse for coarse, fine in zip(levels[:-1], levels[1:], strict=True))]
    return exchange_shares(torch.stack([b.double().square().mean((1, 2, 3)) for b in (whole, *bands)], 1), draws, seed)


@torch.no_grad()
def attribution(
    encode: Callable[[Tensor, float], list[Tensor]],
    entries: Sequence[SpectrumEntry],
    tau: float,
    *,
    sigma: float = SIGMA_MIN,
    side: int = 32,
    pairs: int = 64,
    edges: Sequence[float] = (1 / 3, 2 / 3),
    order: str = "alpha",
    data: str = "shapes",
    rows: Sequence[str] = (),
    carried: bool = False,
    draw: Callable[[np.ndarray, int], Tensor] | None = None,
    decode: Callable[[list[Tensor]], Tensor] | None = None,
    seed: int = 0,
    draws: int = 1000,
    progress: Progress = None,
) -> Attribution:
    """Which level and which band sees which factor.

    Args:
        encode: E(x, sigma): (B, 3, side, side) noisy pictures -> latents.
        entries: the acting spectrum.
        tau: Koopman time of sigma, used by `carried`.
        sigma: noise level to encode at; both scenes of a pair get the same noise, so it is no part of the difference
            but for the encoder's curvature. sigma_min is as good as none.
        side: of the pictures.
        pairs: a row.
        edges, order: of the bands.
        data: which scenes, a key of `scenes.DRAWN`.
        rows: which of `rows_of(data)`; () for all.
        carried: measure the difference after the flow has carried it to eps, as the decoder sees it.
        draw: how records become pictures; None for the data's own way.
        decode: latents at sigma -> pictures. With it bands and levels are judged by what exchanging each of them alone
            changes in the picture; without it by the latent difference.
        seed: of scenes, changes, noise and bootstrap.
        draws: bootstrap resamples.
        progress: called with (share done, what) after every batch; may raise to stop.
    """
    rows = tuple(rows) or scenes.rows_of(data)
    draw = draw or partial(scenes.draw, data)
    bands = [spectrum.band_numbers(entries, i, edges, order) for i in range(len(entries))]
    delta = -float(tau) if carried else 0.0
    shares = torch.zeros(len(rows), pairs, len(entries), len(edges) + 1, dtype=torch.float64)
    changes = torch.zeros(len(rows), pairs, 2 + len(edges) + len(entries), dtype=torch.float64)
    for f, row in enumerate(rows):
        both = scenes.scene_pairs(row, pairs, seed, data)
        for low in range(0, pairs, PROBE_BATCH):
            part = slice(low, min(low + PROBE_BATCH, pairs))
            before, after = (draw(records[part], side) for records in both)
            level = sigma * noise(range(seed + low, seed + part.stop), before.shape[1:])
            z = encode(torch.cat([before + level, after + level]), sigma)
            first, second = zip(*(latent.chunk(2) for latent in z), strict=True)
            shares[f, part] = difference_shares(first, second, entries, bands, len(edges) + 1, delta)
            if decode is not None:
                changes[f, part] = exchanged(decode, first, second, entries, edges, order)
            tell(progress, (f * pairs + part.stop) / (len(rows) * pairs), f"pairs that differ in {row}")
    kept = [s[~s.flatten(1).isnan().any(1)] for s in shares]
    if decode is not None:
        found = torch.stack([exchange_shares(c, draws, seed) for c in changes], 1)
        by_band, by_level = found.split([len(edges) + 1, len(entries)], 2)
        return Attribution(
            rows, torch.tensor([len(s) for s in kept]), torch.stack([s.mean(0) for s in kept]),
            *by_band, *by_level,
        )  # fmt: skip
    summed = {axis: [s.sum(axis) for s in kept] for axis in (1, 2)}  # over levels, over bands
    ends = {axis: [bootstrap(s, draws, seed) for s in of] for axis, of in summed.items()}
    return Attribution(
        rows, torch.tensor([len(s) for s in kept]), torch.stack([s.mean(0) for s in kept]),
        *(t for axis in (1, 2) for t in (
            torch.stack([s.mean(0) for s in summed[axis]]),
            torch.stack([e[0] for e in ends[axis]]), torch.stack([e[1] for e in ends[axis]]))),
    )  # fmt: skip
