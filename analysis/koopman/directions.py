"""Directions in the latents that change one thing: by means, by the decoder's Jacobian, by groups of modes.

All are directions d at eps, where the decoder sees them; at another time the same one is e^(tau A) d, since the law is
linear, so it does not matter when it is added. A step of s standard deviations is z + s sd d / |d|, sd being that
of <z, d / |d|> over noises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.core.progress import Progress, tell
from analysis.koopman import spectrum
from analysis.koopman.jacobian import Jacobian, flat, in_region, regional, sketch, unflat
from analysis.koopman.scenes import DRAWN, draw
from foundation import noise
from foundation.mistakes import Mistake
from foundation.randomness import FIRST_SEED
from koopman_core.model import KoopmanDiffusion, SpectrumEntry
from koopman_core.operator import sigma_of_tau

DIRECTION_BATCH = 32
PROBES = 24  # random pictures of a sketch
SEPARATED = 0.03  # of groups: modes below this share of the strongest mode's effect are left alone
LLOYD = 50  # rounds of clustering


def flat_decoder(model: KoopmanDiffusion, labels: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """D as a map of flat latents, (B, N) -> (B, C, H, W); labels (1,) or None."""
    levels = [e.shape for e in model.spectrum()]

    def decode(rows: Tensor) -> Tensor:
        y = None if labels is None else labels.expand(len(rows))
        return model.decode(unflat(rows, levels), y)

    return decode


def along(z: Tensor, direction: Tensor) -> Tensor:
    """<z, d / |d|> of rows, (B,)."""
    return (z.double() @ direction.double()) / direction.double().norm().clamp_min(1e-300)


def step(direction: Tensor, spread: float, strength: float) -> Tensor:
    """What is added for a strength in standard deviations."""
    return strength * spread * direction / direction.norm().clamp_min(1e-30)


# ---------------------------------------------------------------------------------------------------------------------
# Means


def contrasts(data: str) -> tuple[str, ...]:
    """What can be contrasted in drawn data: numbers by name (colours as name.0 ...), choices as name=value."""
    dtype, sample = DRAWN[data].FACTOR_DTYPE, DRAWN[data].factors(np.arange(256))
    out = []
    for name in dtype.names:
        kind, shape = dtype[name].base.kind, dtype[name].shape
        if kind in "iu":
            out += [f"{name}={v}" for v in np.unique(sample[name])]
        elif shape:
            out += [f"{name}.{i}" for i in range(shape[0])]
        else:
            out.append(name)
    return tuple(out)


def score(records: np.ndarray, contrast: str) -> np.ndarray:
    """The number that a contrast is about, (N,) float64; 1 and 0 of a choice.

    Raises:
        ValueError: unknown contrast.
    """
    name, choice, value = contrast.partition("=")
    name, dot, axis = (name, "", "") if choice else contrast.partition(".")
    names = records.dtype.names or ()
    if name not in names or (choice and not value.isdigit()) or (dot and not axis.isdigit()):
        raise Mistake(f"Unknown contrast {contrast!r}: a factor, factor.axis or factor=value.", "contrast")
    column = records[name]
    if choice:
        return (column == int(value)).astype(np.float64)
    if (column.ndim == 2) != bool(dot) or (dot and int(axis) >= column.shape[1]):
        raise Mistake(f"Unknown contrast {contrast!r}: a factor, factor.axis or factor=value.", "contrast")
    return (column[:, int(axis)] if dot else column).astype(np.float64)


def sides(records: np.ndarray, contrast: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows with little and with much of it: lowest and highest third of a number; without and with a choice.

    Raises:
        ValueError: unknown contrast, or nobody on one side.
    """
    values = score(records, contrast)
    if "=" in contrast:
        low, high = values == 0, values == 1
    else:
        ends = np.quantile(values, [1 / 3, 2 / 3])
        low, high = values <= ends[0], values >= ends[1]
    if not low.any() or not high.any() or (low & high).any():
        raise Mistake(f"These pictures do not differ in {contrast!r}.", "pictures")
    return np.flatnonzero(low), np.flatnonzero(high)


@torch.no_grad()
def factor_direction(
    model: KoopmanDiffusion, data: str, contrast: str, tau: float, count: int = 256, seed: int = FIRST_SEED,
    progress: Progress = None, guard: AbstractContextManager | None = None,
) -> Tensor:  # fmt: skip
    """Mean latents of pictures with much of a factor less those with little, carried to eps, (N,).

    Args:
        model: the model.
        data: a key of `DRAWN`.
        contrast: one of `contrasts`.
        tau: time at which the pictures, noised to its level, are encoded.
        count: pictures that are drawn.
        seed: of the pictures.
        progress: called with (share done, what); may raise to stop.
        guard: entered for every batch anew, such as the lock of a model that others wait for.
    """
    records = DRAWN[data].factors(np.arange(count), seed)
    low, high = sides(records, contrast)
    sigma = float(sigma_of_tau(tau, model.koopman.warp))
    total: list[Tensor] = []
    rows = np.concatenate([low, high])
    for start in range(0, len(rows), DIRECTION_BATCH):
        part = rows[start : start + DIRECTION_BATCH]
        x = draw(data, records[part], model.config.resolution)
        x = x + sigma * noise([(seed + int(i)) % 2**32 for i in part], x.shape[1:])
        sign = torch.where(torch.arange(start, start + len(part)) < len(low), -1 / len(low), 1 / len(high)).double()
        with guard or nullcontext():
            z = model.evolve(model.encode(x, sigma), tau, 0.0)
        total.append((flat(z).double() * sign[:, None]).sum(0))
        tell(progress, (start + len(part)) / len(rows), "pictures that differ in a factor")
    return torch.stack(total).sum(0).float()


# ---------------------------------------------------------------------------------------------------------------------
# The decoder's Jacobian


def decoder_directions(
    model: KoopmanDiffusion, z: Sequence[Tensor], region: Tensor, rank: int, rest: int, spread: Tensor | None = None,
    labels: Tensor | None = None, seed: int = 0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Principal directions of D at z for a region, off those of the rest.

    Args:
        model: the model.
        z: latents of one picture at eps.
        region: (H, W) in [0, 1].
        rank, rest: how many, and how many of the rest they are projected off.
        spread: (N,) standard deviation of every coordinate over noises: directions are then principal for coordinates
            measured in it, so that levels of another scale do not decide; None for plain coordinates.
        labels: (1,) int64 or None.
        seed: of the random start.

    Returns:
        Singular values (rank,) and directions in the latents' own coordinates (rank, N).
    """
    decode, at = flat_decoder(model, labels), flat(z)[0].clone()
    scale = torch.ones_like(at) if spread is None else spread.clamp_min(1e-6 * float(spread.max()))
    found = regional(lambda rows: decode(rows * scale), at / scale, region, rank, rest, seed)
    return found.values, found.directions * scale


# ---------------------------------------------------------------------------------------------------------------------
# Modes grouped by what they do


@dataclass(frozen=True)
class Groups:
    """Modes that change the picture alike; G groups, the strongest first.

    Attributes:
        number: (modes,) int64 group of every mode, all levels one after another; -1 where it does next to nothing.
        directions: (G, N) unit norm in the latents: the direction within the group that changes pictures most.
        effect: (G,) norm of the picture's change per standard deviation along it, by the sketch.
    """

    number: Tensor
    directions: Tensor
    effect: Tensor


def lines(units: Tensor, sizes: Tensor, count: int, seed: int = 0) -> Tensor:
    """k-means of unit vectors up to sign (each centre the first principal axis of its members), (n,) int64.

    The first centres are drawn as in k-means++, by squared sine times squared size.

    Args:
        units: (n, P) unit norm.
        sizes: (n,) weights.
        count: clusters, at most n.
        seed: of the draws.
    """
    generator, weight = torch.Generator().manual_seed(seed), sizes.square()
    centres = units[torch.multinomial(weight, 1, generator=generator)]
    while len(centres) < count:
        away = (1 - (units @ centres.T).square().amax(1)).clamp_min(0) * weight + 1e-12
        centres = torch.cat([centres, units[torch.multinomial(away, 1, generator=generator)]])
    number = torch.full((len(units),), -1)
    for _ in range(LLOYD):
        before, number = number, (units @ centres.T).abs().argmax(1)
        if torch.equal(before, number):
            break
        for g in range(count):
            inside = number == g
            if bool(inside.any()):  # an empty one keeps its centre
                rows = units[inside] * sizes[inside, None]
                centres[g] = torch.linalg.eigh(rows.T @ rows)[1][:, -1]
    return number


def mode_groups(signatures: Tensor, spread: Tensor, count: int, seed: int = 0) -> Groups:
    """Cluster modes by the direction of their effect.

    Each mode has the effects of its two channels, measured in standard deviations. As turning a mode by half flips the
    sign of its effect, modes are compared by the line along their leading effect: see `lines`.

    Args:
        signatures: (P, N) of `jacobian.sketch`, of one picture or of several below each other; channels of a pair are
            neighbours in the order of `pair_columns`.
        spread: (N,) standard deviation of every coordinate.
        count: groups at most.
        seed: of the first centres.
    """
    scaled = signatures * spread  # effect of one standard deviation
    pairs = scaled.view(len(scaled), -1, 2)
    # leading effect of each mode, (modes, P), and how large it is
    u, s, _ = torch.linalg.svd(pairs.permute(1, 0, 2).double(), full_matrices=False)
    leading, size = u[:, :, 0], s[:, 0]
    alive = size > SEPARATED * size.max()
    number = torch.full((len(size),), -1)
    many = min(count, int(alive.sum()))
    number[alive] = lines(leading[alive], size[alive], many, seed)
    directions, effects, kept = [], [], []
    for g in range(many):
        inside = (number == g).repeat_interleave(2)
        if not bool(inside.any()):
            continue
        _, values, right = torch.linalg.svd(scaled[:, inside].double(), full_matrices=False)
        d = torch.zeros(scaled.shape[1], dtype=torch.float64)
        d[inside] = right[0] * spread[inside].double()
        directions.append((d / d.norm()).float())
        effects.append(float(values[0]))
        kept.append(g)
    order = np.argsort(-np.array(effects), kind="stable")
    rank = torch.full((many + 1,), -1)
    for new, old in enumerate(order):
        rank[kept[old]] = new
    return Groups(
        torch.where(number >= 0, rank[number.clamp_min(0)], -1), torch.stack([directions[i] for i in order]),
        torch.tensor([effects[i] for i in order]),
    )  # fmt: skip


def pair_columns(entries: Sequence[SpectrumEntry]) -> Tensor:
    """Columns of `flat` in the order mode by mode, both channels of a pair as neighbours: (N,) int64."""
    out, start = [], 0
    for e in entries:
        c, h, w = e.shape
        index = torch.arange(c * h * w).view(c // 2, 2, h, w) + start
        out.append(index.permute(0, 2, 3, 1).flatten())
        start += c * h * w
    return torch.cat(out)


def grouped_directions(
    model: KoopmanDiffusion, latents: Sequence[Sequence[Tensor]], spread: Tensor, region: Tensor, count: int,
    labels: Tensor | None = None, seed: int = 0, progress: Progress = None,
) -> Groups:  # fmt: skip
    """Groups of modes by their effect in a region, sketched at several pictures.

    Args:
        model: the model.
        latents: of each picture at eps, (1, C_l, h_l, w_l) a level.
        spread: (N,) standard deviation of every coordinate.
        region: (H, W) in [0, 1].
        count: groups at most.
        labels: (1,) int64 or None.
        seed: of probes and first centres.
        progress: called with (share done, what) after every picture; may raise to stop.
    """
    decode, columns = flat_decoder(model, labels), pair_columns(model.spectrum())
    rows = []
    for i, z in enumerate(latents):
        rows.append(sketch(Jacobian(in_region(decode, region), flat(z)[0]), PROBES, seed))
        tell(progress, (i + 1) / len(latents), "effects of modes")
    found = mode_groups(torch.cat(rows)[:, columns], spread[columns], count, seed)
    back = torch.empty_like(found.directions)
    back[:, columns] = found.directions
    return Groups(found.number, back, found.effect)


def placed(direction: Tensor, entries: Sequence[SpectrumEntry], edges: Sequence[float], order: str) -> Tensor:
    """(L, K) shares of a direction's squared norm by level and band."""
    out = torch.zeros(len(entries), len(edges) + 1, dtype=torch.float64)
    parts = unflat(direction[None], [e.shape for e in entries])
    for level, part in enumerate(parts):
        for band, mask in enumerate(spectrum.level_masks(entries, level, edges, order)):
            out[level, band] = (part[0].double() * spectrum.pair_mask(mask)).square().sum()
    return out / out.sum().clamp_min(1e-300)
