"""What the part `memory` says: tables, computed sentences, a sheet of pictures with their nearest training pictures.

A smooth picture lies nearer to every other, so nearness alone proves nothing: a copy lies near to one training picture
and not to the next (unless the training set holds it twice: then only an exact copy shows in the ratio). Both are
judged against held-out real pictures, by exact tests of counts.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln, ndtri

from analysis.edit_comparison import Interval
from analysis.generated import MAKER_WORDS, MAKERS
from analysis.grid_sheet import grid_png
from analysis.neighbours import NEIGHBOURS, REAL, Memory, Near
from analysis.result_tables import NOT_DEFINED, grid, span
from analysis.series_tables import verdict
from foundation.bootstrap import LEVEL

CHANCE = (1 - LEVEL) / 2  # of each one-sided test
NEAREST = 0.01  # share of the held-out pictures that are called near
COPY = 0.5  # distance to the nearest over that to the second nearest, below which a picture is called a copy
WORDS = MAKER_WORDS | {REAL: "held-out real pictures"}
ORDER = (*MAKERS, REAL)


# ---------------------------------------------------------------------------------------------------------------------
# Counts


def wilson(hits: int, n: int) -> Interval:
    """A share with its 95 % score interval (Wilson 1927); never empty, at 0 and n of n neither."""
    z = float(ndtri((1 + LEVEL) / 2))
    middle, half = hits + z * z / 2, z * math.sqrt(hits * (n - hits) / n + z * z / 4)
    return Interval(hits / n, max(0.0, (middle - half) / (n + z * z)), min(1.0, (middle + half) / (n + z * z)), n)


def at_least(hits: int, drawn: int, marked: int, total: int) -> float:
    """Chance of `hits` or more marked ones among `drawn` of `total`, `marked` of which are (hypergeometric tail)."""

    def log_choose(n, k):
        return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)

    i = np.arange(max(hits, drawn + marked - total, 0), min(drawn, marked) + 1)
    logs = log_choose(marked, i) + log_choose(total - marked, drawn - i) - log_choose(total, drawn)
    return min(1.0, float(np.exp(logs).sum()))


def below(values: np.ndarray, real: np.ndarray, k: int) -> tuple[int, float]:
    """How many values are below the k-th smallest real one, and the chance of so many if they are of one law.

    The precedence test (Nelson 1963): exact, and the limit's own chance is in it, which an interval of the share alone
    leaves out. So many are below if they are that many among the smallest of both together.
    """
    hits = int((values < np.sort(real)[k - 1]).sum())
    return hits, at_least(hits, hits + k - 1, len(values), len(values) + len(real))


def copies(near: Near, real: Near) -> tuple[int, int, float]:
    """Pictures with a ratio below `COPY`, of either kind, and the chance of so many more (Fisher's exact test)."""
    mine, theirs = (int((v.ratio < COPY).sum()) for v in (near, real))
    n, m = len(near.ratio), len(real.ratio)
    return mine, theirs, at_least(mine, mine + theirs, n, n + m)


def nearest_count(n: int) -> int:
    """How many of n held-out pictures are the nearest `NEAREST`, one at least."""
    return max(1, round(NEAREST * n))


# ---------------------------------------------------------------------------------------------------------------------
# Sentences


def _chance(p: float) -> str:
    return "p < 1e-6" if p < 1e-6 else f"p = {p:.2g}"


def memory_verdict(maker: str, near: Near, real: Near) -> str:
    """Whether a model's pictures repeat training pictures."""
    n, k = len(near.rmse), nearest_count(len(real.rmse))
    close, chance_close = below(near.rmse, real.rmse, k)
    mine, theirs, chance_copies = copies(near, real)
    _, chance_ratio = below(near.ratio, real.ratio, (len(real.ratio) + 1) // 2)
    lying = (
        f"{close} of {n} lie nearer to a training picture than the nearest {k} of {len(real.rmse)} held-out ones "
        f"({_chance(chance_close)})"
    )
    single = (
        f"{mine} of {n} are less than half as far from one training picture as from the next, against {theirs} of "
        f"{len(real.ratio)} held-out ones ({_chance(chance_copies)})"
    )
    bound = f"with 95 % confidence such copies are at most {wilson(mine, n).high:.1%} of its pictures"
    if chance_copies < CHANCE:
        return f"**The {maker} repeats training pictures.** {single}; {lying}."
    if chance_close >= CHANCE:
        return f"No sign that the {maker} repeats training pictures: {lying}, and {single}; {bound}."
    if chance_ratio < CHANCE:
        return (
            f"**The {maker} may repeat training pictures, blurred**: {lying}. Only {single}, but the ratios of nearest "
            f"to second nearest are smaller than those of held-out ones ({_chance(chance_ratio)}): look at the sheet."
        )
    return (
        f"The {maker}'s pictures lie nearer to training pictures than held-out ones do, but to no single one: {lying}, "
        f"yet {single}, and the ratios of nearest to second nearest are not smaller. So smooth or simple pictures lie; "
        f"no sign of copies, {bound}."
    )


def diversity_verdict(m: Memory) -> str:
    """Whether the student's pictures differ from one another as the teacher's and as real ones do."""
    mine, real = m.diversity["student"], m.diversity[REAL]
    word = "less" if mine.high < real.low else "more" if mine.low > real.high else "neither more nor less beyond chance"
    share = mine.mean / real.mean
    less = m.less.mean / m.diversity["teacher"].mean
    settled = "" if m.less.low > 0 or m.less.high < 0 else ", which may be chance"
    return (
        f"The student's pictures differ from one another {word} than held-out real ones do ({share:.0%} of their mean "
        f"LPIPS), and by {abs(less):.1%} {'less' if less < 0 else 'more'} than the teacher's of the same noises"
        f"{settled}."
    )


# ---------------------------------------------------------------------------------------------------------------------
# Tables


def _near_rows(m: Memory, k: int) -> list[list[str]]:
    rows = []
    for kind in ORDER:
        v = m.near[kind]
        hits = NOT_DEFINED if kind == REAL else _interval(wilson(below(v.rmse, m.near[REAL].rmse, k)[0], m.count))
        lpips = NOT_DEFINED if v.lpips is None else f"{np.median(v.lpips):.4f}"
        single = _interval(wilson(int((v.ratio < COPY).sum()), m.count))
        rows.append([WORDS[kind], f"{np.median(v.rmse):.4f}", lpips, hits, f"{np.median(v.ratio):.3f}", single])
    return rows


def _interval(v: Interval, form: str = ".1%") -> str:
    return span(v.mean, v.low, v.high, form)


def memory_text(m: Memory) -> str:
    """Tables and verdicts of `measure_memory`."""
    k = nearest_count(m.count)
    turned = ", mirrored ones too, as the teacher was trained with" if m.mirrored else ""
    classes = ", classes drawn evenly by seed" if m.classes else ""
    other = "" if m.same_data else " **These are not the pictures that the model's card names.**"
    texts = [
        f"{m.count:,} pictures of each: one held-out seed a picture, the same for student and teacher{classes}; real "
        f"ones of the test split of {m.data}. Each is looked up, after rounding to bytes, among the {m.trained:,} "
        f"training pictures{turned}. RMSE of the values in [-1, 1]; medians, shares with 95 % Wilson "
        f"intervals. Without memorising, {k / (m.count + 1):.1%} are expected to be nearer than the nearest {k} of "
        f"{m.count:,} real ones; but smooth pictures lie nearer to all others, so the ratio of nearest to second "
        f"nearest counts too, which is small for a copy.{other}",
        grid(
            ["", "RMSE to the nearest training picture", "LPIPS (Alex, 64 px) to it",
             f"nearer than the nearest {k} of {m.count:,} real ones", "nearest / second nearest",
             f"ratio below {COPY:g}"],
            _near_rows(m, k),
        ),
    ]  # fmt: skip
    said = [memory_verdict(maker, m.near[maker], m.near[REAL]) for maker in reversed(MAKERS)]
    if m.diversity:
        texts += [
            f"How much pictures differ from one another: mean LPIPS of all {math.comb(m.paired, 2):,} pairs of the "
            f"first {m.paired} of each, with its 95 % bootstrap interval over pictures. Fewer kinds of pictures lower "
            "it, and so does blur.",
            grid(["", "mean pairwise LPIPS"], [
                *([WORDS[kind], _interval(m.diversity[kind], ".4f")] for kind in ORDER),
                ["student less teacher, paired", _interval(m.less, "+.4f")],
            ]),
        ]  # fmt: skip
        said.append(diversity_verdict(m))
    else:
        texts.append("How much pictures differ from one another is not measured: no LPIPS backbone is at hand.")
    return "\n\n".join([*texts, verdict(*said)])


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
    return grid_png([list(s.pictures) for s in m.closest], across, down, y="nearest / 2nd", caption=caption)
