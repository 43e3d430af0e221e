"""What the ablation (`analysis.evaluate.ablation`) asks and gives, and its tables and verdicts from these figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import koopman_core
from analysis.evaluate.tables.markdown import NOT_DEFINED, Block, Cell, Verdict, cell, extremes, grid, number
from analysis.workbench.findings import LINEAR
from foundation.metrics.frechet import sample_name

SETTINGS_FOLDER = Path(koopman_core.__file__).parent / "configs"
ABLATION_SETTINGS = SETTINGS_FOLDER / "shapes_ablation.toml"
FROM = 1.0  # sigma from which on the path is averaged: below, it is nearly the picture


@dataclass(frozen=True)
class Row:
    """One way to train.

    Attributes:
        key: name of its runs.
        words: what it is.
        overrides: of the settings file; {seed} and {folder} in them are those of the training and of all runs.
        seeds: how many trainings, with the seeds 0, 1 ...
        paper: FID of the paper's row (CIFAR-10, FID-50k), None where it has none.
    """

    key: str
    words: str
    overrides: tuple[str, ...] = ()
    seeds: int = 1
    paper: float | None = None


@dataclass(frozen=True)
class Figures:
    """What one training gave.

    Attributes:
        seed: of the training.
        lpips, psnr: one call against the teacher's 35-call sample, means over held-out noises.
        zero: LPIPS of the same with A = 0.
        scrub: LPIPS of the Koopman path to the teacher's denoised state, mean over the levels sigma >= `FROM`.
        linear: side of the latents in pixels -> relative error of the linear law in its latent space, mean over times.
        apart: the same of what differs between the trajectories (`validity.Linearity.differences`).
        growing: share of the pairs that have alpha > 0, so that they shrink on the way to the picture.
        fid, kid: FID and KID of so many pictures as were asked for; None when not asked for.
        nested: where it was trained with nested bands, of `nested_bands.NestedBands`: "share", the larger error of the
            first bands alone over the variance; "first step", "second step", of the centroids; "move".
    """

    seed: int
    lpips: float
    psnr: float
    zero: float
    scrub: float
    linear: dict[int, float]
    apart: dict[int, float]
    growing: float
    fid: float | None
    kid: float | None
    nested: dict[str, float] | None = None


@dataclass(frozen=True)
class Plan:
    """What is asked of every run.

    Attributes:
        teacher: name of a shipped model, or a teacher's checkpoint.
        trajectories: folder of that teacher's.
        images: samples a training.
        noises: of the fidelity; a fifth of them, at most 100, for the path.
        fid, reference: pictures a run and training pictures; None for no FID, or all.
        lpips: backbone file, or None to look it up.
        config: settings that all rows share.
    """

    teacher: str
    trajectories: Path
    images: int = 20_000
    noises: int = 500
    fid: int | None = None
    reference: int | None = None
    lpips: Path | None = None
    config: Path = ABLATION_SETTINGS


Found = Sequence[tuple[Row, Sequence[Figures]]]


def _cell(values: Sequence[float | None], form: str) -> str:
    """A mean, with the least and the most of several trainings."""
    there = [v for v in values if v is not None]
    return extremes(there, form) if len(there) == len(values) else NOT_DEFINED


def _mean(found: Sequence[Figures], of: Callable[[Figures], float]) -> float:
    return sum(of(f) for f in found) / len(found)


def _mean_at(found: Sequence[Figures], of: Callable[[Figures, int], float], side: int) -> float:
    """The same of a figure of latents of so many pixels."""
    return _mean(found, lambda f: of(f, side))


def known(figure: float | None) -> float:
    """A figure that must be there. Raises ValueError."""
    if figure is None:
        raise ValueError("A figure is missing that these rows have: FID and KID were asked for some runs only.")
    return figure


def order_verdict(rows: Found, of: Callable[[Figures], float], name: str) -> Verdict:
    """Are the paper's rows in the paper's order? Neighbours are told apart only where no two trainings overlap.

    Args:
        rows: the paper's, in its order from worst to best.
        of: the figure, smaller is better.
        name: of the figure.
    """
    claims = []
    for (above, a), (below, b) in pairwise(rows):
        worse, better = [of(f) for f in a], [of(f) for f in b]
        word = "is not told apart"
        if max(better) < min(worse):
            word = "holds"
        elif max(worse) < min(better):
            word = "is reversed"
        claims.append((f'"{below.words}" better than "{above.words}" {word}', word))
    words = [word for _, word in claims]
    order = "paper" if set(words) == {"holds"} else "not" if "is reversed" in words else "open"
    head = {"paper": "the paper's", "not": "not the paper's", "open": "not shown to be the paper's"}[order]
    return Verdict(
        f"By {name} the order is {head}: {'; '.join(text for text, _ in claims)}.",
        {"by": name, "order": order, "neighbours": words},
    )


def _paper(rows: Found, plan: Plan) -> list[Verdict]:
    named = [(row, found) for row, found in rows if row.paper is not None]
    named.sort(key=lambda pair: -known(pair[0].paper))
    out = [order_verdict(named, lambda f: f.lpips, "LPIPS to the teacher")]
    if plan.fid:
        means = [_mean(found, lambda f: known(f.fid)) for _, found in named]
        apart = max(means) / min(means) - 1
        by_fid = order_verdict(named, lambda f: known(f.fid), sample_name("FID", plan.fid))
        within = f" The paper's rows lie within {100 * apart:.1f} % of one another."
        out = [
            Verdict(by_fid.text + within, {**by_fid.figures, "apart": apart}),
            order_verdict(named, lambda f: known(f.kid), sample_name("KID", plan.fid)),
            *out,
        ]
    by_key = {row.key: found for row, found in rows}
    full, path = by_key["full"], by_key["path"]

    def ratio(of: Callable[[Figures], float]) -> float:
        return _mean(path, of) / _mean(full, of)

    idle = {n: _mean(r, lambda f: f.zero / f.lpips) for n, r in (("path", path), ("published", full))}
    picture, way = ratio(lambda f: f.lpips), ratio(lambda f: f.scrub)
    out.append(Verdict(
        f"Path against published at equal budget: LPIPS of the picture {picture:.2f} times, of the way to it {way:.2f} "
        f"times; without A the picture is {idle['path']:.1f} times as far with path, {idle['published']:.1f} times "
        "with published (1 is an idle operator).",
        {"lpips_ratio": picture, "path_ratio": way, "without_A": idle},
    ))  # fmt: skip
    return out


def _best(rows: Found, plan: Plan) -> list[Verdict]:
    best = min(rows, key=lambda pair: _mean(pair[1], lambda f: f.lpips))[0].words
    way = min(rows, key=lambda pair: _mean(pair[1], lambda f: f.scrub))[0].words
    shrinking = {row.words: _mean(found, lambda f: f.growing) for row, found in rows}
    return [
        Verdict(
            f"Nearest to the teacher's picture: {best}; nearest along the way: {way}. Trainings with other seeds can "
            "change this: the spread of the rows above that were trained twice says by how much.",
            {"picture": best, "path": way},
        ),
        Verdict(
            "Pairs with alpha > 0, which shrink towards the picture: "
            f"{', '.join(f'{words} {100 * v:.0f} %' for words, v in shrinking.items())}.",
            {"shrinking": shrinking},
        ),
    ]


def _latent(rows: Found, plan: Plan) -> list[Verdict]:
    (_, plain), *asked = rows
    sides = sorted(plain[0].linear, reverse=True)
    out: list[Verdict] = []

    def moved(found: Sequence[Figures], of: Callable[[Figures, int], float]) -> list[tuple[float, float]]:
        means = ([_mean_at(which, of, side) for which in (plain, found)] for side in sides)
        return [(before, after) for before, after in means]

    for row, found in asked:
        linear, apart = moved(found, lambda f, s: f.linear[s]), moved(found, lambda f, s: f.apart[s])
        cost = _mean(found, lambda f: f.lpips) / _mean(plain, lambda f: f.lpips)
        ways = ", ".join(f"{side} pixels {a:.2f} to {b:.2f}" for side, (a, b) in zip(sides, linear, strict=True))
        out.append(Verdict(
            f"{row.words}: relative error of the linear law, {ways}; of what differs between pictures "
            f"{', '.join(f'{a:.2f} to {b:.2f}' for a, b in apart)}; LPIPS of the picture {cost:.2f} times.",
            {"row": row.words, "linear": linear, "of_what_differs": apart, "lpips_ratio": cost},
        ))  # fmt: skip
    reached = [
        side
        for side in sides
        if any(_mean_at(found, lambda f, s: max(f.linear[s], f.apart[s]), side) <= LINEAR for _, found in asked)
    ]
    names = ", ".join(f"{side} pixels" for side in reached) or "none"
    out.append(Verdict(
        f"Levels that become linear (relative error up to {LINEAR}) in any row: {names}.", {"linear_sides": reached}
    ))  # fmt: skip
    return out


# name, figure, whether less of it is better
OPERATOR_FIGURES: tuple[tuple[str, Callable[[Figures], float], bool], ...] = (
    ("LPIPS of the picture", lambda f: f.lpips, True),
    ("LPIPS of the way", lambda f: f.scrub, True),
    ("LPIPS without A, over that with it", lambda f: f.zero / f.lpips, False),
    ("error of the law, of what differs", lambda f: statistics.fmean(f.apart.values()), True),
    ("error of the first bands alone", lambda f: _nested(f, "share"), True),
    ("first step of the centroid", lambda f: _nested(f, "first step"), False),
    ("second step of the centroid", lambda f: _nested(f, "second step"), False),
    ("layout moved by the largest band", lambda f: _nested(f, "move"), True),
)


def _nested(figures: Figures, name: str) -> float:
    return known((figures.nested or {}).get(name))


def _operator(rows: Found, plan: Plan) -> list[Verdict]:
    """What learning A adds: its figures over every control's; apart where no two trainings overlap."""
    (_, learned), *controls = rows
    out = []
    for row, found in controls:
        margins, words = {}, {}
        for name, of, less in OPERATOR_FIGURES:
            ours, theirs = [of(f) for f in learned], [of(f) for f in found]
            margins[name] = statistics.fmean(ours) / statistics.fmean(theirs)
            if max(ours) < min(theirs):
                words[name] = "better" if less else "worse"
            elif max(theirs) < min(ours):
                words[name] = "worse" if less else "better"
            else:
                words[name] = "not told apart"
        said = [
            f"{word}: {', '.join(f'{n} ({margins[n]:.2f} times)' for n in names)}"
            for word in ("better", "worse", "not told apart")
            if (names := [n for n, w in words.items() if w == word])
        ]
        out.append(Verdict(
            f"A that is learned against '{row.words}', {len(learned)} and {len(found)} trainings; {'; '.join(said)}.",
            {"row": row.words, "margins": margins, "apart": words},
        ))  # fmt: skip
    return out


def control_figures(rows: Found, plan: Plan) -> dict:
    """Of the group `operator`, what a model's card keeps: mean, least and most of every figure, by figure and row."""
    figures: dict[str, dict[str, list[float]]] = {}
    for name, of, _ in OPERATOR_FIGURES:
        figures[name] = {}
        for row, found in rows:
            values = [of(f) for f in found]
            figures[name][row.words] = [statistics.fmean(values), min(values), max(values)]
    return {"images": plan.images, "trainings": len(rows[0][1]), "figures": figures}


VERDICTS = {
    "paper": _paper,
    "time": _best,
    "latent": _latent,
    "linear": _latent,
    "decoder": _best,
    "decoder_published": _best,
    "operator": _operator,
}


def ablation_blocks(group: str, rows: Found, plan: Plan) -> list[Block]:
    """Table and verdicts of a group.

    Args:
        group: of `ABLATION_ROWS`.
        rows: each with the figures of its trainings.
        plan: what was asked.
    """
    sides = sorted(rows[0][1][0].linear, reverse=True)
    head = [
        "", "trainings", "LPIPS to the teacher", "PSNR, dB", "LPIPS with A = 0",
        f"LPIPS of the path, sigma >= {FROM:g}",
        "error of the linear law at " + " / ".join(f"{s}" for s in sides) + " pixels", "of what differs",
        "alpha > 0",
    ]  # fmt: skip
    table, each_side = [], " / ".join(["{:.2f}"] * len(sides))
    for row, found in rows:
        cells = [
            row.words, Cell("{}", len(found)),
            _cell([f.lpips for f in found], ".4f"), _cell([f.psnr for f in found], ".2f"),
            _cell([f.zero for f in found], ".4f"), _cell([f.scrub for f in found], ".4f"),
            cell(each_side, *(_mean_at(found, lambda f, s: f.linear[s], side) for side in sides)),
            cell(each_side, *(_mean_at(found, lambda f, s: f.apart[s], side) for side in sides)),
            cell("{:.0f} %", 100 * _mean(found, lambda f: f.growing)),
        ]  # fmt: skip
        if group == "operator":
            names = ("share", "first step", "second step", "move")
            cells += [_cell([_nested(f, name) for f in found], ".3f") for name in names]
        if plan.fid:
            cells.append(_cell([f.fid for f in found], ".2f"))
            cells.append(_cell([f.kid and 1000 * f.kid for f in found], ".2f"))
        if group == "paper":
            cells.append(number(row.paper, ".2f"))
        table.append(cells)
    if group == "operator":
        head += ["first bands alone, error over the variance", "first step", "second step", "largest moves the layout"]
    head += [sample_name("FID", plan.fid), sample_name("KID", plan.fid) + " x 1000"] if plan.fid else []
    head += ["paper, CIFAR-10, FID-50k"] if group == "paper" else []
    intro = (
        f"Each row was trained on {plan.images:,} samples of the same trajectories, from the same teacher's weights "
        f"and with the same settings but the ones named; {plan.noises} held-out noises. Of several trainings: mean "
        "[least, most]. The latents' error is relative, over the teacher's trajectories, mean over levels of that "
        "size and times; then the same with the mean over the trajectories taken off."
    )
    return [intro, grid(head, table), *VERDICTS[group](rows, plan)]
