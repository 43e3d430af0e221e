"""Does a model repeat its training pictures, and do its own differ from one another? The part `memory`.

Pictures of the student, of its teacher (the same held-out seeds) and held-out real ones are each looked up among the
training pictures, by the root mean square difference of their pixels; how much pictures of one kind differ is the mean
LPIPS of all pairs. What follows is said in `analysis.neighbour_tables`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.edit_comparison import Interval, interval
from analysis.errors import UserError
from analysis.fidelity import FIRST_SEED
from analysis.generated import BATCH, MAKERS, Progress, data_of, makers
from analysis.requests import whole
from analysis.workbench import Workbench
from foundation.datasets import ImageDataset, open_dataset
from foundation.perceptual import PerceptualDistance

NEIGHBOURS = 5  # training pictures kept for each
CHUNK, BLOCK = 1024, 512  # training pictures and pictures looked up whose distances are held at once
PAIRED = 100  # pictures of a kind whose pairs are compared
SHOWN = 12  # of the student's pictures, for the sheet
REAL = "real"


@dataclass(frozen=True)
class Neighbours:
    """The k nearest training pictures of n pictures, nearest first.

    Attributes:
        rmse: (n, k) float64, root mean square difference of the values in [-1, 1], at most 2.
        index: (n, k) int64, which training picture.
        mirrored: (n, k) whether it is meant left for right.
    """

    rmse: np.ndarray
    index: np.ndarray
    mirrored: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """(n,) distance to the nearest over that to the second nearest, in [0, 1]; 0 for an exact copy."""
        first, second = self.rmse[:, 0], self.rmse[:, 1]
        return np.divide(first, second, out=np.zeros_like(first), where=first > 0)

    def pictures(self, rows: np.ndarray, rank: int, data: ImageDataset) -> np.ndarray:
        """The neighbours of some rows at one rank (0 = nearest), mirrored where meant; uint8 (len(rows), H, W, 3)."""
        found = data.pictures(self.index[rows, rank])
        return np.where(self.mirrored[rows, rank][:, None, None, None], found[:, :, ::-1], found)


@dataclass(frozen=True)
class Near:
    """One kind of pictures: rmse and lpips of the nearest training picture (lpips None without a backbone), ratio."""

    rmse: np.ndarray
    ratio: np.ndarray
    lpips: np.ndarray | None


@dataclass(frozen=True)
class Shown:
    """A picture of the student: its seed, its ratio, and (1 + k, H, W, 3) bytes, itself and its nearest neighbours."""

    seed: int
    ratio: float
    pictures: np.ndarray


@dataclass(frozen=True)
class Memory:
    """What was measured; keys are `generated.MAKERS` and `REAL`.

    Attributes:
        count: pictures of each kind.
        near: kind -> distances to the training pictures.
        diversity: kind -> mean LPIPS of all pairs of `paired` pictures; empty without a backbone.
        less: that of the student less that of the teacher, paired by seed; None without a backbone.
        paired: pictures whose pairs were compared.
        closest: the student's pictures of the smallest ratios.
        data: the data set's name.
        trained: training pictures, all of them looked through.
        mirrored: whether mirrored ones count too, since the teacher was trained on them.
        classes: whether the pictures were asked for by class.
        same_data: whether these are the pictures that the model's card names.
    """

    count: int
    near: dict[str, Near]
    diversity: dict[str, Interval]
    less: Interval | None
    paired: int
    closest: tuple[Shown, ...]
    data: str
    trained: int
    mirrored: bool
    classes: bool
    same_data: bool


# ---------------------------------------------------------------------------------------------------------------------
# The search


def _squares(pictures: Tensor, rows: Tensor, norms: Tensor) -> Tensor:
    """Squared distances of bytes (n, 3, H, W) to rows (m, 3 H W) of squared norms (m,); float64 (n, m)."""
    flat = pictures.flatten(1).double()
    return torch.addmm(norms + flat.square().sum(1)[:, None], flat, rows.T, alpha=-2)


def nearest(
    pictures: Tensor,
    data: ImageDataset,
    count: int,
    *,
    mirrored: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Neighbours:
    """The `NEIGHBOURS` nearest of a data set's first pictures, all of them compared.

    |q - x|^2 = |q|^2 + |x|^2 - 2 q.x in float64 of the bytes, where whole numbers of this size are exact: a copy has
    the distance 0. Mirrored or not, a training picture is one neighbour, with the smaller of its two distances.

    Args:
        pictures: uint8 (n, 3, H, W).
        data: the training pictures.
        count: how many of them are looked through, from `NEIGHBOURS`.
        mirrored: compare with each left for right too.
        progress: called with how many are done; may raise to stop.
    """
    n, values = len(pictures), pictures[0].numel()
    best = torch.full((n, NEIGHBOURS), torch.inf, dtype=torch.float64)
    index, turned = torch.zeros(best.shape, dtype=torch.int64), torch.zeros(best.shape, dtype=torch.bool)
    for low in range(0, count, CHUNK):
        high = min(low + CHUNK, count)
        rows = torch.from_numpy(data.pictures(range(low, high))).permute(0, 3, 1, 2).flatten(1).double()
        norms = rows.square().sum(1)
        for at in range(0, n, BLOCK):
            part = slice(at, at + BLOCK)
            distance = _squares(pictures[part], rows, norms)
            flipped = (
                _squares(pictures[part].flip(3), rows, norms) if mirrored else torch.full_like(distance, torch.inf)
            )
            over = flipped < distance
            all_of = torch.cat([best[part], torch.minimum(distance, flipped)], 1)
            best[part], place = all_of.topk(NEIGHBOURS, largest=False)
            numbers = torch.arange(low, high).expand(len(over), -1)
            index[part] = torch.cat([index[part], numbers], 1).gather(1, place)
            turned[part] = torch.cat([turned[part], over], 1).gather(1, place)
        if progress is not None:
            progress(high)
    return Neighbours((best / values).sqrt().numpy() / 127.5, index.numpy(), turned.numpy())


def _values(pictures: Tensor) -> Tensor:
    """Bytes as values in [-1, 1]."""
    return pictures.float() / 127.5 - 1


@torch.inference_mode()
def _apart(perceptual: PerceptualDistance, x: Tensor, y: Tensor) -> np.ndarray:
    """LPIPS of bytes (n, 3, H, W) pair by pair; (n,)."""
    parts = zip(x.split(BATCH), y.split(BATCH), strict=True)
    return torch.cat([perceptual(_values(a), _values(b)) for a, b in parts]).double().numpy()


@torch.inference_mode()
def pairwise(perceptual: PerceptualDistance, pictures: Tensor) -> Tensor:
    """LPIPS of every picture to every other; bytes (n, 3, H, W) -> float64 (n, n), 0 on the diagonal."""
    x = _values(pictures)
    features, out = perceptual.features(x), torch.zeros(len(x), len(x), dtype=torch.float64)
    for i in range(len(x) - 1):
        others = tuple(f[i + 1 :] for f in features)
        out[i, i + 1 :] = perceptual.distance_from(x[i : i + 1].expand(len(x) - i - 1, -1, -1, -1), others).double()
    return out + out.T


def over_pairs(distances: Tensor) -> Interval:
    """Mean of (n, n) symmetric values off their zero diagonal, with its 95 % bootstrap interval over pictures.

    A picture stands in both places of a pair, so the mean moves twice as far as that of the pictures' parts in it (the
    first-order term of a U-statistic; Hoeffding 1948).
    """
    parts = distances.sum(1) / (len(distances) - 1)
    return interval(2 * parts - parts.mean())


# ---------------------------------------------------------------------------------------------------------------------
# A model


def measure_memory(
    bench: Workbench, count: int, *, perceptual: PerceptualDistance | None = None, progress: Progress = None
) -> Memory:
    """Student, teacher and held-out real pictures against the training pictures, and against one another.

    Args:
        bench: a model with its teacher.
        count: pictures of each kind, from `SHOWN`.
        perceptual: LPIPS; None leaves it and the diversity out.
        progress: called with (share, words); may raise to stop.

    Raises:
        UserError: no teacher, no data that can be opened, or too few pictures in them.
        DataError: the data are not to be had.
    """
    if bench.teacher is None:
        raise UserError(f"The teacher of {bench.name} is not beside it: both are looked up among the pictures.")
    data, card = data_of(bench), bench.model.card["data"]
    held_out = open_dataset(card["spec"], bench.model.config.resolution, "test")
    trained = card.get("pictures", len(data))
    whole(trained, NEIGHBOURS, len(data), f"The number of training pictures in the card of {bench.name}")
    whole(count, SHOWN, len(held_out), f"The number of pictures of each kind, those held out of {data.name} too,")
    # the teacher alone meets the data; the student learns from it
    mirrored = bool(bench.teacher.card.get("recipe", {}).get("teacher", {}).get("flip", False))
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    total, done = len(MAKERS) * count + trained + 3 * PAIRED, 0

    def tell(words: str, so_far: int) -> None:
        if progress is not None:
            progress((done + so_far) / total, words)

    made: dict[str, Tensor] = {}
    for maker, make in makers(bench).items():
        parts = []
        for low in range(0, count, BATCH):
            parts.append(make(seeds[low : low + BATCH]))
            tell(maker, min(low + BATCH, count))
        made[maker] = torch.cat(parts)
        done += count
    drawn = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(0))[:count]
    made[REAL] = torch.from_numpy(held_out.pictures(drawn)).permute(0, 3, 1, 2)
    together = nearest(
        torch.cat(list(made.values())), data, trained, mirrored=mirrored, progress=lambda n: tell("neighbours", n)
    )
    done += trained
    near, pairs, closest = {}, {}, ()
    for i, (kind, x) in enumerate(made.items()):
        part = slice(i * count, (i + 1) * count)
        found = Neighbours(together.rmse[part], together.index[part], together.mirrored[part])
        lpips = None
        if perceptual is not None:
            there = np.ascontiguousarray(found.pictures(np.arange(count), 0, data).transpose(0, 3, 1, 2))
            lpips = _apart(perceptual, x, torch.from_numpy(there))
            pairs[kind] = pairwise(perceptual, x[:PAIRED])
        near[kind] = Near(found.rmse[:, 0], found.ratio, lpips)
        if kind == "student":
            closest = _closest(x, found, data)
        tell("LPIPS", (i + 1) * PAIRED)
    return Memory(
        count, near, {kind: over_pairs(d) for kind, d in pairs.items()},
        over_pairs(pairs["student"] - pairs["teacher"]) if pairs else None, min(PAIRED, count), closest, data.name,
        trained, mirrored, bool(bench.model.config.classes), data.fingerprint() == card.get("fingerprint"),
    )  # fmt: skip


def _closest(x: Tensor, found: Neighbours, data: ImageDataset) -> tuple[Shown, ...]:
    """The pictures that are most like copies of one training picture, with their neighbours."""
    rows = np.argsort(found.ratio, kind="stable")[:SHOWN]
    columns = [x[rows].permute(0, 2, 3, 1).numpy(), *(found.pictures(rows, k, data) for k in range(NEIGHBOURS))]
    return tuple(
        Shown(FIRST_SEED + int(row), float(found.ratio[row]), np.stack(pictures))
        for row, *pictures in zip(rows, *columns, strict=True)
    )
