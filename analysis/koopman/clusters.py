"""Modes of one level clustered by their response, and how many clusters there are (docs/method.md, "Mode atlas").

One mode's effect is invisible, and its sign means nothing. What a mode does is described by where in the picture, and
in brightness or in colour, one standard deviation of it acts, and by the factors of drawn scenes that move it. Both are
shares, of effect energy and of squared difference; their square roots are points on a sphere, where k-means works.

How many clusters: the partition is made with one half of the pictures and judged on the other half by the silhouette.
That does not rise with the number of clusters by itself, unlike what they explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.koopman.directions import flat_decoder, pair_columns
from analysis.koopman.jacobian import Jacobian, flat
from analysis.koopman.scenes import draw, scene_pairs
from foundation import noise
from koopman_core.edm import SIGMA_MIN
from koopman_core.model import KoopmanDiffusion

PLACE_CELLS = 4  # a side: where in the picture a mode acts
COUNTS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24)  # of clusters that are tried
IDLE_SHARE = 1e-3  # modes below this share of the strongest mode's effect energy are left alone
CLUSTER_STARTS, ROUNDS = 2, 60  # of k-means
CLUSTER_BATCH = 32
CRITERION = (
    "the number of clusters with the largest silhouette on pictures that the partition has not seen, weighted by effect"
)


def cell_probes(shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    """Random pictures that are 0 outside of one cell: a product with J^T tells how much a mode acts there.

    Args:
        shape: (C, H, W) of the pictures.
        seed: of the noise.

    Returns:
        (K cells^2, C, H, W): of brightness (all channels alike, unit norm), then, for more than one channel, of colour
        (what is left of independent channels without their mean); the expected square of an inner product is the
        energy of that part in that cell.
    """
    c, h, w = shape
    eps = torch.randn(c, h, w, generator=torch.Generator().manual_seed(seed))
    bright = torch.randn(1, h, w, generator=torch.Generator().manual_seed(seed + 2**31)).expand(c, h, w) / c**0.5
    parts = [bright] if c == 1 else [bright, eps - eps.mean(0)]
    rows, columns = (torch.arange(side) * PLACE_CELLS // side for side in (h, w))
    cell = rows[:, None] * PLACE_CELLS + columns
    inside = (cell == torch.arange(PLACE_CELLS**2)[:, None, None]).float()[:, None]
    return torch.cat([part * inside for part in parts])


def effect_energy(
    model: KoopmanDiffusion, z: Sequence[Tensor], spread: Tensor, labels: Tensor | None = None, seed: int = 0
) -> Tensor:
    """Where one standard deviation of every mode acts at one picture, to first order: (K cells^2, modes) float32.

    Args:
        model: the model.
        z: latents of the picture at eps, (1, C_l, h_l, w_l) a level.
        spread: (N,) standard deviation of every coordinate of `jacobian.flat`.
        labels: (1,) int64 or None.
        seed: of the probes.
    """
    decode = flat_decoder(model, labels)
    jacobian = Jacobian(lambda rows: decode(rows).flatten(1), flat(z)[0])
    probes = cell_probes(model.picture_shape, seed).flatten(1)
    products = torch.cat([jacobian.transposed_times(part) for part in probes.split(CLUSTER_BATCH)]) * spread
    return products[:, pair_columns(model.spectrum())].square().unflatten(1, (-1, 2)).sum(2)


@torch.no_grad()
def scene_latents(model: KoopmanDiffusion, data: str, row: str, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pairs of scenes that differ in one factor, encoded without noise and carried to eps, (count, N) each.

    Args:
        model: the model.
        data, row: of `scenes`.
        count: pairs.
        seed: of the scenes; both of a pair get the same noise of sigma_min.
    """
    tau, out = float(model.tau(SIGMA_MIN)), []
    for records in scene_pairs(row, count, seed, data):
        x = draw(data, records, model.config.resolution)
        x = x + SIGMA_MIN * noise([(seed + i) % 2**32 for i in range(count)], x.shape[1:])
        parts = [flat(model.evolve(model.encode(p, SIGMA_MIN), tau, 0.0)) for p in x.split(CLUSTER_BATCH)]
        out.append(torch.cat(parts))
    return out[0], out[1]


def mode_differences(model: KoopmanDiffusion, before: Tensor, after: Tensor) -> Tensor:
    """Mean squared difference of every mode between pairs of latents (B, N), by halves of the pairs: (2, modes)."""
    square = (before - after)[:, pair_columns(model.spectrum())].square().unflatten(1, (-1, 2)).sum(2)
    return torch.stack([square[::2].mean(0), square[1::2].mean(0)])


def factor_profile(differences: Tensor) -> Tensor:
    """(F, n) mean squared differences, the last row between unrelated scenes -> (n, F - 1) shares that sum to 1.

    A mode's difference for a factor is measured in that between unrelated scenes, so that its scale does not count.
    """
    share = differences[:-1] / differences[-1:].clamp_min(1e-20)
    return (share / share.sum(0).clamp_min(1e-20)).T


def points(energy: Tensor, differences: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Modes as points on the unit sphere, and their weights.

    Args:
        energy: (K cells^2, n) effect energy, mean over pictures.
        differences: (F, n) of `factor_profile`, or None without factors.

    Returns:
        (n, D) unit norm, half of its square from either part; (n,) effect energy.
    """
    weight = energy.sum(0)
    where = (energy / weight.clamp_min(1e-30)).T.sqrt()
    if differences is None:
        return torch.nn.functional.normalize(where, dim=1), weight
    both = torch.cat([where, factor_profile(differences).sqrt()], 1)
    return torch.nn.functional.normalize(both, dim=1), weight


def _centres(rows: Tensor, weight: Tensor, number: Tensor, before: Tensor) -> Tensor:
    """Weighted mean directions; an empty cluster keeps its own."""
    sums = torch.zeros_like(before).index_add_(0, number, weight[:, None] * rows)
    norm = sums.norm(dim=1, keepdim=True)
    return torch.where(norm > 0, sums / norm.clamp_min(1e-30), before)


def spherical_means(rows: Tensor, weight: Tensor, count: int, seed: int = 0) -> Tensor:
    """k-means on the sphere by weighted cosine, the best of a few starts drawn as in k-means++; (n,) int64.

    Args:
        rows: (n, D) unit norm.
        weight: (n,) not negative, more than 0 somewhere.
        count: clusters, at most n.
        seed: of the starts.
    """
    best, kept = -1.0, torch.zeros(len(rows), dtype=torch.int64)
    for start in range(CLUSTER_STARTS):
        generator = torch.Generator().manual_seed(seed + start)
        centres = rows[torch.multinomial(weight, 1, generator=generator)]
        while len(centres) < count:
            away = (1 - (rows @ centres.T).amax(1)).clamp_min(0) * weight + 1e-12 * weight.max()
            centres = torch.cat([centres, rows[torch.multinomial(away, 1, generator=generator)]])
        number = torch.full((len(rows),), -1)
        for _ in range(ROUNDS):
            found = (rows @ centres.T).argmax(1)
            if torch.equal(found, number):
                break
            number = found
            centres = _centres(rows, weight, number, centres)
        value = float(((rows * centres[number]).sum(1) * weight).sum())
        if value > best:
            best, kept = value, number
    return kept


def silhouette(rows: Tensor, weight: Tensor, number: Tensor) -> float:
    """Mean of (b - a) / max(a, b), weighted: a, b = squared distance to the own and to the nearest other centre.

    The centres are those of these rows: the partition may come from others.
    """
    labels = number.unique(return_inverse=True)[1]
    count = int(labels.max()) + 1
    if count < 2:
        return 0.0
    centres = _centres(rows, weight, labels, torch.zeros(count, rows.shape[1]))
    away = (1 - rows @ centres.T).clamp_min(0)
    own = away.gather(1, labels[:, None])[:, 0]
    other = away.scatter(1, labels[:, None], torch.inf).amin(1)
    value = (other - own) / torch.maximum(own, other).clamp_min(1e-12)
    return float((value * weight).sum() / weight.sum())


@dataclass(frozen=True)
class LevelClusters:
    """The modes of one level; K clusters, the one with most effect first.

    Attributes:
        number: (n,) int64 cluster of every mode, -1 where it does next to nothing.
        effect: (n,) effect energy of one standard deviation of it.
        silhouettes: held-out value of every number of clusters that was tried.
    """

    number: Tensor
    effect: Tensor
    silhouettes: dict[int, float]

    @property
    def count(self) -> int:
        return int(self.number.max()) + 1

    def modes(self, cluster: int) -> Tensor:
        """Flat indices, rising."""
        return torch.nonzero(self.number == cluster)[:, 0]


def cluster_level(
    energy: Tensor, differences: Tensor | None = None, counts: Sequence[int] = COUNTS, seed: int = 0
) -> LevelClusters:
    """Clusters of one level's modes, their number by held-out silhouette.

    Args:
        energy: (2, K cells^2, n) effect energy over two halves of the pictures.
        differences: (2, F, n) over two halves of the pairs, or None.
        counts: numbers of clusters to try; those of more than the modes that act are left out.
        seed: of k-means.
    """
    both = energy.mean(0)
    strength = both.sum(0)
    alive = strength > IDLE_SHARE * strength.max()
    if int(alive.sum()) == 0:
        return LevelClusters(torch.full((len(strength),), -1), strength, {})
    fit, held = (
        points(energy[half][:, alive], None if differences is None else differences[half][:, alive]) for half in (0, 1)
    )
    tried = {}
    for count in counts:
        if count <= int(alive.sum()):
            tried[count] = silhouette(*held, spherical_means(*fit, count, seed))
    number = torch.full((len(strength),), -1)
    chosen = max(tried, key=lambda k: tried[k]) if tried else 1
    rows, weight = points(both[:, alive], None if differences is None else differences.mean(0)[:, alive])
    found = spherical_means(rows, weight, chosen, seed) if chosen > 1 else torch.zeros(len(rows), dtype=torch.int64)
    labels = found.unique(return_inverse=True)[1]
    sums = torch.zeros(int(labels.max()) + 1).index_add_(0, labels, weight)
    rank = torch.empty(len(sums), dtype=torch.int64)
    rank[sums.argsort(descending=True, stable=True)] = torch.arange(len(sums))
    number[alive] = rank[labels]
    return LevelClusters(number, strength, tried)
