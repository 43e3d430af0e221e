"""What a cluster of modes does: the picture without it, the factors that it carries, its place, and its like elsewhere.

All is measured on pictures by the decoder, not by latents: **left out** puts the cluster's mean over noises in its
place, **exchanged** puts another scene's cluster there. The control of a cluster is a random set of as many modes of
its level (docs/method.md, "Mode atlas").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.koopman.modes import without_modes
from analysis.koopman.probes import exchange_shares
from koopman_core.model import KoopmanDiffusion

ATLAS_BATCH = 32
WIDE = 0.36  # an effect whose radius is beyond this has no place; an even one over the whole picture has 0.408
SAME = 0.95  # quantile of the matches with random sets, beyond which a cluster is found again


@torch.no_grad()
def left_out(
    model: KoopmanDiffusion, z: Sequence[Tensor], mean: Sequence[Tensor], full: Tensor, entry: int,
    modes: Sequence[int], labels: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """D(z) - D(z with these modes at their mean), (B, C, H, W).

    Args:
        model: anything with `decode`.
        z, mean: latents at eps, (B, ...) and (1, ...) a level.
        full: D(z).
        entry, modes: which; flat indices of one level.
        labels: (B,) int64 or None.
    """
    return full - model.decode(without_modes(z, entry, modes, "mean", mean), labels)


def control(number: Tensor, modes: Tensor, seed: int) -> Tensor:
    """As many modes of the level that act at all, drawn at random; (n,) rising."""
    alive = torch.nonzero(number >= 0)[:, 0]
    drawn = torch.randperm(len(alive), generator=torch.Generator().manual_seed(seed))[: len(modes)]
    return alive[drawn].sort().values


@torch.no_grad()
def exchange_factor(
    model: KoopmanDiffusion, before: Sequence[Tensor], after: Sequence[Tensor], entry: int,
    clusters: Sequence[Sequence[int]],
) -> Tensor:  # fmt: skip
    """Share of the picture's change that each cluster alone makes when it is exchanged for the other scene's.

    Args:
        model: anything with `decode`.
        before, after: latents at eps of pairs of scenes, (B, ...) a level.
        entry, clusters: flat indices of one level.

    Returns:
        float64 (3, clusters): `probes.exchange_shares`, the share with its 95 % bootstrap interval over pairs.
    """
    first = model.decode(list(before)).double()
    changes = [(model.decode(list(after)).double() - first).square().mean((1, 2, 3))]
    for modes in clusters:
        picture = model.decode(without_modes(before, entry, modes, "resample", after)).double()
        changes.append((picture - first).square().mean((1, 2, 3)))
    return exchange_shares(torch.stack(changes, 1))


@dataclass(frozen=True)
class Place:
    """Where an effect lies. Attributes: x, y in [0, 1] from the upper left; radius, of the side; words."""

    x: float
    y: float
    radius: float
    words: str


def place_of(energy: Tensor) -> Place:
    """Centre and radius (root mean square distance) of an effect's energy over pixels, (H, W) not negative."""
    h, w = energy.shape
    share = energy.double() / energy.double().sum().clamp_min(1e-300)
    ys, xs = (torch.arange(side, dtype=torch.float64) + 0.5 for side in (h, w))
    y, x = float((share.sum(1) * ys).sum() / h), float((share.sum(0) * xs).sum() / w)
    spread = (share * ((ys[:, None] / h - y).square() + (xs / w - x).square())).sum()
    radius = float(spread.clamp_min(0).sqrt())
    if radius > WIDE:
        return Place(x, y, radius, "the whole picture")
    rows = ("upper", "middle", "lower")[min(int(3 * y), 2)]
    columns = ("left", "centre", "right")[min(int(3 * x), 2)]
    return Place(x, y, radius, "centre" if (rows, columns) == ("middle", "centre") else f"{rows} {columns}")


def effect_map(effects: Tensor) -> Tensor:
    """Root mean square over noises of effects (B, C, H, W), (C, H, W)."""
    return effects.double().square().mean(0).sqrt().float()


@dataclass(frozen=True)
class Matches:
    """Clusters found again in another training.

    Attributes:
        partner: (n,) index of the other's cluster, -1 for none.
        cosine: (n,) of the effects of both on the same noises.
        bound: cosine that `SAME` of the matches with random sets of modes stay below.
    """

    partner: np.ndarray
    cosine: np.ndarray
    bound: float

    @property
    def again(self) -> np.ndarray:
        """(n,) bool: more alike than random sets of modes are."""
        return (self.partner >= 0) & (self.cosine > self.bound)


def _assigned(a: Tensor, b: Tensor) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import linear_sum_assignment  # here: slow to import

    units = [torch.nn.functional.normalize(x.float().flatten(1), dim=1) for x in (a, b)]
    cosine = (units[0] @ units[1].T).numpy()
    rows, columns = linear_sum_assignment(-cosine)
    partner, value = np.full(len(a), -1), np.full(len(a), np.nan)
    partner[rows], value[rows] = columns, cosine[rows, columns]
    return partner, value


def match(own: Tensor, other: Tensor, other_controls: Tensor) -> Matches:
    """Match clusters of two trainings by what leaving them out changes in the pictures of the same noises.

    By the Hungarian assignment, so that no cluster is taken twice. The yardstick: the same against random sets of
    modes of the other training, as many and as large as its clusters.

    Args:
        own, other, other_controls: effects (n, B, C, H, W), (m, B, C, H, W) twice.
    """
    partner, cosine = _assigned(own, other)
    chance = _assigned(own, other_controls)[1]
    return Matches(partner, cosine, float(np.nanquantile(chance, SAME)))
