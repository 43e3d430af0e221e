"""Does a model repeat its training pictures, and do its own differ from one another? The part `memory`.

Pictures of the student, of its teacher (the same held-out seeds) and held-out real ones are each looked up among the
training pictures, by the root mean square difference of their pixels; how much pictures of one kind differ is the mean
LPIPS of all pairs. What follows is said in `analysis.evaluate.hkd.memorisation`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binomtest, hypergeom
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.core.progress import Progress
from analysis.evaluate.hkd.fidelity import backbone
from analysis.evaluate.image_sets import MAKER_WORDS, MAKERS, SET_BATCH, data_of, makers
from analysis.evaluate.tables.markdown import NOT_DEFINED, Block, Verdict, grid, interval, number
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.figures.publication import contact_sheet, save
from analysis.workbench.workbench import Workbench
from foundation.data.datasets import ImageDataset, open_dataset
from foundation.metrics.perceptual import PerceptualDistance
from foundation.metrics.statistics import CONFIDENCE, Interval, bootstrap_interval
from foundation.randomness import FIRST_SEED

NEIGHBOURS = 5  # training pictures kept for each
TRAINING_BLOCK, QUERY_BLOCK = 1024, 512  # training pictures and pictures looked up whose distances are held at once
PAIRS = 100  # pictures of a kind whose pairs are compared
SHEET_ROWS = 12  # of the student's pictures, for the sheet
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
    for low in range(0, count, TRAINING_BLOCK):
        high = min(low + TRAINING_BLOCK, count)
        rows = torch.from_numpy(data.pictures(range(low, high))).permute(0, 3, 1, 2).flatten(1).double()
        norms = rows.square().sum(1)
        for at in range(0, n, QUERY_BLOCK):
            part = slice(at, at + QUERY_BLOCK)
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
    parts = zip(x.split(SET_BATCH), y.split(SET_BATCH), strict=True)
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
    return bootstrap_interval(2 * parts - parts.mean())


# ---------------------------------------------------------------------------------------------------------------------
# A model


def measure_memory(
    bench: Workbench, count: int, *, perceptual: PerceptualDistance | None = None, progress: Progress = None
) -> Memory:
    """Student, teacher and held-out real pictures against the training pictures, and against one another.

    Args:
        bench: a model with its teacher.
        count: pictures of each kind, from `SHEET_ROWS`.
        perceptual: LPIPS; None leaves it and the diversity out.
        progress: called with (share, words); may raise to stop.

    Raises:
        UserError: no teacher, no data that can be opened, or too few pictures in them.
        DataError: the data are not to be had.
    """
    if bench.teacher is None:
        raise UserError(
            f"The teacher of {bench.name} is not beside it: both are looked up among the pictures.", "teacher"
        )
    data, card = data_of(bench), bench.model.card["data"]
    held_out = open_dataset(card["spec"], bench.model.config.resolution, "test")
    trained = card.get("pictures", len(data))
    whole(trained, NEIGHBOURS, len(data), f"The number of training pictures in the card of {bench.name}", "trained")
    whole(
        count,
        SHEET_ROWS,
        len(held_out),
        f"The number of pictures of each kind, those held out of {data.name} too,",
        "count",
    )
    # the teacher alone meets the data; the student learns from it
    mirrored = bool(bench.teacher.card.get("recipe", {}).get("teacher", {}).get("flip", False))
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    total, done = len(MAKERS) * count + trained + 3 * PAIRS, 0

    def tell(words: str, so_far: int) -> None:
        if progress is not None:
            progress((done + so_far) / total, words)

    made: dict[str, Tensor] = {}
    for maker, make in makers(bench).items():
        parts = []
        for low in range(0, count, SET_BATCH):
            parts.append(make(seeds[low : low + SET_BATCH]))
            tell(maker, min(low + SET_BATCH, count))
        made[maker] = torch.cat(parts)
        done += count
    drawn = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(0))[:count]
    made[REAL] = torch.from_numpy(held_out.pictures(drawn)).permute(0, 3, 1, 2)
    together = nearest(
        torch.cat(list(made.values())), data, trained, mirrored=mirrored, progress=lambda n: tell("neighbours", n)
    )
    done += trained
    near: dict[str, Near] = {}
    pairs: dict[str, Tensor] = {}
    closest: tuple[Shown, ...] = ()
    for i, (kind, x) in enumerate(made.items()):
        part = slice(i * count, (i + 1) * count)
        found = Neighbours(together.rmse[part], together.index[part], together.mirrored[part])
        lpips = None
        if perceptual is not None:
            there = np.ascontiguousarray(found.pictures(np.arange(count), 0, data).transpose(0, 3, 1, 2))
            lpips = _apart(perceptual, x, torch.from_numpy(there))
            pairs[kind] = pairwise(perceptual, x[:PAIRS])
        near[kind] = Near(found.rmse[:, 0], found.ratio, lpips)
        if kind == "student":
            closest = _closest(x, found, data)
        tell("LPIPS", (i + 1) * PAIRS)
    return Memory(
        count, near, {kind: over_pairs(d) for kind, d in pairs.items()},
        over_pairs(pairs["student"] - pairs["teacher"]) if pairs else None, min(PAIRS, count), closest, data.name,
        trained, mirrored, bool(bench.model.config.classes), data.fingerprint() == card.get("fingerprint"),
    )  # fmt: skip


def _closest(x: Tensor, found: Neighbours, data: ImageDataset) -> tuple[Shown, ...]:
    """The pictures that are most like copies of one training picture, with their neighbours."""
    rows = np.argsort(found.ratio, kind="stable")[:SHEET_ROWS]
    columns = [x[rows].permute(0, 2, 3, 1).numpy(), *(found.pictures(rows, k, data) for k in range(NEIGHBOURS))]
    return tuple(
        Shown(FIRST_SEED + int(row), float(found.ratio[row]), np.stack(pictures))
        for row, *pictures in zip(rows, *columns, strict=True)
    )


CHANCE = (1 - CONFIDENCE) / 2  # of each one-sided test
NEAREST = 0.01  # share of the held-out pictures that are called near
COPY_RATIO = 0.5  # distance to the nearest over that to the second nearest, below which a picture is called a copy
ALL_MAKER_WORDS = MAKER_WORDS | {REAL: "held-out real pictures"}
MAKER_ORDER = (*MAKERS, REAL)


# ---------------------------------------------------------------------------------------------------------------------
# Counts


def wilson(hits: int, n: int) -> Interval:
    """A share with its 95 % score interval (Wilson 1927); never empty, at 0 and n of n neither."""
    ends = binomtest(hits, n).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(hits / n, float(ends.low), float(ends.high), n)


def at_least(hits: int, drawn: int, marked: int, total: int) -> float:
    """Chance of `hits` or more marked ones among `drawn` of `total`, `marked` of which are (hypergeometric tail)."""
    return float(hypergeom.sf(hits - 1, total, marked, drawn))


def below(values: np.ndarray, real: np.ndarray, k: int) -> tuple[int, float]:
    """How many values are below the k-th smallest real one, and the chance of so many if they are of one law.

    The precedence test (Nelson 1963): exact, and the limit's own chance is in it, which an interval of the share alone
    leaves out. So many are below if they are that many among the smallest of both together.
    """
    hits = int((values < np.sort(real)[k - 1]).sum())
    return hits, at_least(hits, hits + k - 1, len(values), len(values) + len(real))


def copies(near: Near, real: Near) -> tuple[int, int, float]:
    """Pictures with a ratio below `COPY_RATIO`, of either kind; the chance of so many more (Fisher's exact test)."""
    mine, theirs = (int((v.ratio < COPY_RATIO).sum()) for v in (near, real))
    n, m = len(near.ratio), len(real.ratio)
    return mine, theirs, at_least(mine, mine + theirs, n, n + m)


def nearest_count(n: int) -> int:
    """How many of n held-out pictures are the nearest `NEAREST`, one at least."""
    return max(1, round(NEAREST * n))


# ---------------------------------------------------------------------------------------------------------------------
# Sentences


def _chance(p: float) -> str:
    return "p < 1e-6" if p < 1e-6 else f"p = {p:.2g}"


def memory_verdict(maker: str, near: Near, real: Near) -> Verdict:
    """Whether a model's pictures repeat training pictures: figures["finding"] is copies, none, blurred or smooth."""
    n, k = len(near.rmse), nearest_count(len(real.rmse))
    close, chance_close = below(near.rmse, real.rmse, k)
    mine, theirs, chance_copies = copies(near, real)
    _, chance_ratio = below(near.ratio, real.ratio, (len(real.ratio) + 1) // 2)
    most = wilson(mine, n).high
    lying = (
        f"{close} of {n} lie nearer to a training picture than the nearest {k} of {len(real.rmse)} held-out ones "
        f"({_chance(chance_close)})"
    )
    single = (
        f"{mine} of {n} are less than half as far from one training picture as from the next, against {theirs} of "
        f"{len(real.ratio)} held-out ones ({_chance(chance_copies)})"
    )
    bound = f"with 95 % confidence such copies are at most {most:.1%} of its pictures"
    if chance_copies < CHANCE:
        finding, text = "copies", f"**The {maker} repeats training pictures.** {single}; {lying}."
    elif chance_close >= CHANCE:
        finding = "none"
        text = f"No sign that the {maker} repeats training pictures: {lying}, and {single}; {bound}."
    elif chance_ratio < CHANCE:
        finding = "blurred"
        text = (
            f"**The {maker} may repeat training pictures, blurred**: {lying}. Only {single}, but the ratios of nearest "
            f"to second nearest are smaller than those of held-out ones ({_chance(chance_ratio)}): look at the sheet."
        )
    else:
        finding = "smooth"
        text = (
            f"The {maker}'s pictures lie nearer to training pictures than held-out ones do, but to no single one: "
            f"{lying}, yet {single}, and the ratios of nearest to second nearest are not smaller. So smooth or simple "
            f"pictures lie; no sign of copies, {bound}."
        )
    figures = {
        "maker": maker, "finding": finding, "of": n, "near": close, "p_near": chance_close, "copies": mine,
        "copies_of_real": theirs, "p_copies": chance_copies, "p_ratio": chance_ratio, "copies_at_most": most,
    }  # fmt: skip
    return Verdict(text, figures)


def diversity_verdict(m: Memory) -> Verdict:
    """Whether the student's pictures differ from one another as the teacher's and as real ones do."""
    assert m.less is not None
    mine, real = m.diversity["student"], m.diversity[REAL]
    word = "less" if mine.high < real.low else "more" if mine.low > real.high else "neither more nor less beyond chance"
    share, less = mine.value / real.value, m.less.value / m.diversity["teacher"].value
    doubt = "" if m.less.sign else ", which may be chance"
    return Verdict(
        f"The student's pictures differ from one another {word} than held-out real ones do ({share:.0%} of their mean "
        f"LPIPS), and by {abs(less):.1%} {'less' if less < 0 else 'more'} than the teacher's of the same noises{doubt}"
        ".",
        {
            "than_real": int(mine.low > real.high) - int(mine.high < real.low), "share_of_real": share,
            "over_teacher": less, "settled": bool(m.less.sign),
        },
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Tables


def _near_rows(m: Memory, k: int) -> list[list[str]]:
    rows = []
    for kind in MAKER_ORDER:
        v = m.near[kind]
        hits = None if kind == REAL else wilson(below(v.rmse, m.near[REAL].rmse, k)[0], m.count)
        single = wilson(int((v.ratio < COPY_RATIO).sum()), m.count)
        rows.append([
            ALL_MAKER_WORDS[kind], number(float(np.median(v.rmse)), ".4f"),
            NOT_DEFINED if v.lpips is None else number(float(np.median(v.lpips)), ".4f"), interval(hits, ".1%"),
            number(float(np.median(v.ratio)), ".3f"), interval(single, ".1%"),
        ])  # fmt: skip
    return rows


def memory_blocks(m: Memory) -> list[Block]:
    """Tables and verdicts of `measure_memory`."""
    k = nearest_count(m.count)
    turned = ", mirrored ones too, as the teacher was trained with" if m.mirrored else ""
    classes = ", classes drawn evenly by seed" if m.classes else ""
    other = "" if m.same_data else " **These are not the pictures that the model's card names.**"
    blocks: list[Block] = [
        f"{m.count:,} pictures of each: one held-out seed a picture, the same for student and teacher{classes}; real "
        f"ones of the test split of {m.data}. Each is looked up, after rounding to bytes, among the {m.trained:,} "
        f"training pictures{turned}. RMSE of the values in [-1, 1]; medians, shares with 95 % Wilson "
        f"intervals. Without memorising, {k / (m.count + 1):.1%} are expected to be nearer than the nearest {k} of "
        f"{m.count:,} real ones; but smooth pictures lie nearer to all others, so the ratio of nearest to second "
        f"nearest counts too, which is small for a copy.{other}",
        grid(
            ["", "RMSE to the nearest training picture", "LPIPS (Alex, 64 px) to it",
             f"nearer than the nearest {k} of {m.count:,} real ones", "nearest / second nearest",
             f"ratio below {COPY_RATIO:g}"],
            _near_rows(m, k),
        ),
    ]  # fmt: skip
    verdicts = [memory_verdict(maker, m.near[maker], m.near[REAL]) for maker in reversed(MAKERS)]
    if not m.diversity:
        absent = "How much pictures differ from one another is not measured: no LPIPS backbone is at hand."
        return [*blocks, absent, *verdicts]
    return [
        *blocks,
        f"How much pictures differ from one another: mean LPIPS of all {math.comb(m.paired, 2):,} pairs of the "
        f"first {m.paired} of each, with its 95 % bootstrap interval over pictures. Fewer kinds of pictures lower "
        "it, and so does blur.",
        grid(["", "mean pairwise LPIPS"], [
            *([ALL_MAKER_WORDS[kind], interval(m.diversity[kind])] for kind in MAKER_ORDER),
            ["student less teacher, paired", interval(m.less, "+.4f")],
        ]),
        *verdicts,
        diversity_verdict(m),
    ]  # fmt: skip


@part("hkd", "memory", 6, "pictures", 200, SHEET_ROWS, 10_000, on_request=True, teacher=True)
def memory(job: Job) -> Outcome:
    """Memorisation and diversity; the sheet goes into a file where asked."""
    m = measure_memory(job.model, job.count, perceptual=backbone(job.options.lpips), progress=job.progress)
    if (sheet := job.options.sheet) is not None:
        sheet.parent.mkdir(parents=True, exist_ok=True)
        sheet.write_bytes(neighbours_png(m))
    return Outcome(memory_blocks(m))


def neighbours_png(m: Memory) -> bytes:
    """The student's most copy-like pictures, each in a row with its nearest training pictures."""
    across = ["student", *(f"nearest {i + 1}" for i in range(NEIGHBOURS))]
    turned = " A neighbour is shown mirrored where it is nearer so." if m.mirrored else ""
    caption = (
        f"Of {m.count:,} one-call pictures the {len(m.closest)} most like copies, by the ratio of the distances to "
        f"the nearest and the second nearest of {m.trained:,} training pictures of {m.data} (RMSE of pixels; 0 is an "
        f"exact copy).{turned}"
    )
    down = [f"{s.ratio:.2f}" for s in m.closest]
    rows = [list(s.pictures) for s in m.closest]
    return save(contact_sheet(rows, across, down, y="nearest / second nearest", caption=caption), "png")
