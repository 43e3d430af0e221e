"""The ablation as Markdown: one table a group, and what follows from it, computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from analysis.ablation_rows import FROM, Figures, Plan, Row
from analysis.distribution import sample_name
from analysis.result_tables import NOT_DEFINED, grid, span
from analysis.verdicts import LINEAR

Found = Sequence[tuple[Row, Sequence[Figures]]]


def _cell(values: Sequence[float | None], form: str) -> str:
    """A mean, with the least and the most of several trainings."""
    if any(v is None for v in values):
        return NOT_DEFINED
    mean = sum(values) / len(values)
    return span(mean, min(values), max(values), form) if len(values) > 1 else f"{mean:{form}}"


def _mean(found: Sequence[Figures], of: Callable[[Figures], float]) -> float:
    return sum(of(f) for f in found) / len(found)


def order_verdict(rows: Found, of: Callable[[Figures], float], name: str) -> str:
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
    words = {word for _, word in claims}
    if words == {"holds"}:
        head = f"By {name} the order is the paper's"
    else:
        head = f"By {name} the order is {'not ' if 'is reversed' in words else 'not shown to be '}the paper's"
    return f"{head}: {'; '.join(text for text, _ in claims)}."


def _paper(rows: Found, plan: Plan) -> list[str]:
    named = [(row, found) for row, found in rows if row.paper is not None]
    named.sort(key=lambda pair: -pair[0].paper)
    out = [order_verdict(named, lambda f: f.lpips, "LPIPS to the teacher")]
    if plan.fid:
        means = [_mean(found, lambda f: f.fid) for _, found in named]
        apart = f" The paper's rows lie within {100 * (max(means) / min(means) - 1):.1f} % of one another."
        out = [
            order_verdict(named, lambda f: f.fid, sample_name("FID", plan.fid)) + apart,
            order_verdict(named, lambda f: f.kid, sample_name("KID", plan.fid)),
            *out,
        ]
    by_key = {row.key: found for row, found in rows}
    full, path = by_key["full"], by_key["path"]

    def ratio(of: Callable[[Figures], float]) -> float:
        return _mean(path, of) / _mean(full, of)

    out.append(
        f"Path against published at equal budget: LPIPS of the picture {ratio(lambda f: f.lpips):.2f} times, of the "
        f"way to it {ratio(lambda f: f.scrub):.2f} times; without A the picture is "
        f"{_mean(path, lambda f: f.zero / f.lpips):.1f} times as far with path, "
        f"{_mean(full, lambda f: f.zero / f.lpips):.1f} times with published (1 is an idle operator)."
    )
    return out


def _best(rows: Found, plan: Plan) -> list[str]:
    best = min(rows, key=lambda pair: _mean(pair[1], lambda f: f.lpips))[0]
    way = min(rows, key=lambda pair: _mean(pair[1], lambda f: f.scrub))[0]
    signs = ", ".join(f"{row.words} {100 * _mean(found, lambda f: f.growing):.0f} %" for row, found in rows)
    return [
        f"Nearest to the teacher's picture: {best.words}; nearest along the way: {way.words}. Trainings with other "
        "seeds can change this: the spread of the rows above that were trained twice says by how much.",
        f"Pairs with alpha > 0, which shrink towards the picture: {signs}.",
    ]


def _latent(rows: Found, plan: Plan) -> list[str]:
    (_, plain), *asked = rows
    sides = sorted(plain[0].linear, reverse=True)
    out = []

    def moved(found: Sequence[Figures], of: Callable[[Figures, int], float]) -> list[str]:
        means = [[_mean(which, lambda f, s=side: of(f, s)) for which in (plain, found)] for side in sides]
        return [f"{before:.2f} to {after:.2f}" for before, after in means]

    for row, found in asked:
        linear = ", ".join(
            f"{side} pixels {way}" for side, way in zip(sides, moved(found, lambda f, s: f.linear[s]), strict=True)
        )
        apart = ", ".join(moved(found, lambda f, s: f.apart[s]))
        cost = _mean(found, lambda f: f.lpips) / _mean(plain, lambda f: f.lpips)
        out.append(
            f"{row.words}: relative error of the linear law, {linear}; of what differs between pictures {apart}; "
            f"LPIPS of the picture {cost:.2f} times."
        )
    reached = [
        f"{side} pixels"
        for side in sides
        if any(_mean(found, lambda f, s=side: max(f.linear[s], f.apart[s])) <= LINEAR for _, found in asked)
    ]
    out.append(f"Levels that become linear (relative error up to {LINEAR}) in any row: {', '.join(reached) or 'none'}.")
    return out


VERDICTS = {"paper": _paper, "time": _best, "latent": _latent}


def ablation_text(group: str, rows: Found, plan: Plan) -> str:
    """Table and verdicts of a group.

    Args:
        group: of `ablation_rows.ROWS`.
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
    table = []
    for row, found in rows:
        cells = [
            row.words, str(len(found)), _cell([f.lpips for f in found], ".4f"), _cell([f.psnr for f in found], ".2f"),
            _cell([f.zero for f in found], ".4f"), _cell([f.scrub for f in found], ".4f"),
            " / ".join(f"{_mean(found, lambda f, s=s: f.linear[s]):.2f}" for s in sides),
            " / ".join(f"{_mean(found, lambda f, s=s: f.apart[s]):.2f}" for s in sides),
            f"{100 * _mean(found, lambda f: f.growing):.0f} %",
        ]  # fmt: skip
        if plan.fid:
            cells.append(_cell([f.fid for f in found], ".2f"))
            cells.append(_cell([f.kid and 1000 * f.kid for f in found], ".2f"))
        if group == "paper":
            cells.append(NOT_DEFINED if row.paper is None else f"{row.paper:.2f}")
        table.append(cells)
    head += [sample_name("FID", plan.fid), sample_name("KID", plan.fid) + " x 1000"] if plan.fid else []
    head += ["paper, CIFAR-10, FID-50k"] if group == "paper" else []
    intro = (
        f"Each row was trained on {plan.images:,} samples of the same trajectories, from the same teacher's weights "
        f"and with the same settings but the ones named; {plan.noises} held-out noises. Of several trainings: mean "
        "[least, most]. The latents' error is relative, over the teacher's trajectories, mean over levels of that "
        "size and times; then the same with the mean over the trajectories taken off."
    )
    verdicts = "\n".join(f"- **Verdict.** {text}" for text in VERDICTS[group](rows, plan))
    return "\n\n".join([intro, grid(head, table), verdicts])
