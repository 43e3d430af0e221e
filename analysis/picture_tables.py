"""Measured figures of flows of pictures as Markdown tables, and what follows from them as computed sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.flow_tables import at_calls, momentum_verdict, multistep_verdict, thousandths
from analysis.picture_bench import EXACT_NFE
from analysis.picture_law import SIDE, VALIDATION_DATA
from analysis.picture_methods import GRIDS
from analysis.picture_scores import PSNR, DataScores, PictureScores
from analysis.result_tables import grid
from analysis.series_tables import interval, sign, verdict
from flow_core.series_metrics import Interval

THEIRS = (
    "Theirs, on CIFAR-10: FID 5.87 (public code, 2024) and 2.78 (fourth version of the paper), both at a stated 10 "
    "calls, which their script spends as 100 counted ones. FID is another metric: no figure here is one, and none can "
    "be compared with it."
)
PAIRED = "paired 95 % intervals, not corrected for their number"


def pictures_text(s: PictureScores) -> str:
    """Both distances by method and number of calls, with the verdicts."""
    head = list(map(str, s.nfe))
    form, way = (".2f", "higher is nearer") if s.measure == PSNR else (".4f", "lower is nearer")
    classes = ", classes drawn evenly by seed" if s.classes else ""
    parts = [
        f"{s.seeds} held-out noises, the same for every method{classes}. Distance to the exact flow: {s.measure} "
        f"({way}) of each picture to the converged exact flow of the same net from the same noise ({EXACT_NFE} calls "
        "of Runge-Kutta 4 on cosine steps); means with 95 % Student intervals over noises. A sampler that draws noise "
        "of its own does not aim at the exact flow of one noise, but at the law of the data.",
        grid([f"distance to the exact flow, {s.measure}, by network calls", *head], _rows(s.exact, form)),
        f"Less {s.euler}, at the same number of calls, paired.",
        grid(["difference", *head], _rows(s.less_euler, f"+{form}")),
    ]
    if isinstance(s.data, str):
        return "\n\n".join([
            *parts,
            f"No distance to data, and so no choice of momentum weights: {s.data}",
            verdict(exact_verdict(s)),
            THEIRS,
        ])  # fmt: skip
    return "\n\n".join([*parts, *_data_parts(s, s.data, head), THEIRS])


def _rows(table: Mapping[str, Sequence[Interval]], form: str) -> list[list[str]]:
    return [[name, *(interval(v, form) for v in row)] for name, row in table.items()]


def _data_parts(s: PictureScores, d: DataScores, head: list[str]) -> list[str]:
    other = "" if d.same else " **These are not the pictures that the model's card names.**"
    table = [[name, *map(thousandths, row)] for name, row in d.mmd2.items()]
    table.append(["data in place of samples", thousandths(d.instead), *["same"] * (len(head) - 1)])
    gaps = [[name, *(thousandths(v, "+.2f") for v in row)] for name, row in d.less_euler.items()]
    parts = [
        f"Distance to data: unbiased squared MMD of {SIDE} x {SIDE} average-pooled pixels (Gaussian kernel exp(-d^2 / "
        f"(2 b^2)), b = {d.bandwidth:.3f}, the median distance of held-out data), x 1000. Colour and layout count in "
        f"it, detail does not. {s.seeds:,} samples against {d.count:,} held-out data pictures, with 95 % Student "
        f"intervals over the jackknife's pseudo-values of the noises.{other}",
        grid(["MMD^2 x 1000, by network calls", *head], table),
        f"Less {s.euler}, at the same number of calls, paired.",
        grid(["difference x 1000", *head], gaps),
    ]
    said = [exact_verdict(s), law_verdict(s, d)]
    if d.momentum is not None:
        rows = d.momentum.rows
        parts += [
            f"The gamma1 chosen, for every number of calls from 2, by the distance to data of {d.momentum.validation} "
            f"validation noises ({VALIDATION_DATA:,} other data pictures); 0.5 is no momentum, with matched noise 0.",
            grid(
                ["gamma1", *map(str, d.momentum.nfe)], [[r.family, *(f"{g[0]:g}" for g in r.gammas)] for r in rows]
            ),
        ]  # fmt: skip
        said += [f"By the distance to data. {momentum_verdict(d.momentum, r.family, GRIDS)}" for r in rows]
        said.append(f"By the distance to data. {multistep_verdict(d.momentum)}")
    if d.tenth is not None:
        said.append(tenth_verdict(s, *d.tenth))
    return [*parts, verdict(*said)]


def _settled(nfes: Sequence[int], row: Sequence[Interval], better: int = -1) -> str:
    good, bad = ([n for n, v in zip(nfes, row, strict=True) if sign(v) == w] for w in (better, -better))
    return f"better at {at_calls(good)}, worse at {at_calls(bad)}"


def exact_verdict(s: PictureScores) -> str:
    """Which methods are nearer to the exact flow than Euler at equal calls."""
    better = 1 if s.measure == PSNR else -1
    said = [f"{name}: {_settled(s.nfe, row, better)}" for name, row in s.less_euler.items()]
    return f"Distance to the net's own exact flow, against {s.euler}, at equal calls ({PAIRED}): {'; '.join(said)}."


def law_verdict(s: PictureScores, d: DataScores) -> str:
    """The same for the distance to data; also against the OT-CFM net where there is one."""
    said = "; ".join(f"{name}: {_settled(s.nfe, row)}" for name, row in d.less_euler.items())
    text = f"Distance to data, against {s.euler}, at equal calls ({PAIRED}): {said}."
    if d.less_companion:
        rest = "; ".join(f"{name}: {_settled(s.nfe, row)}" for name, row in d.less_companion.items())
        text += f" Against {s.companion}, which is another net: {rest}."
    return text


def tenth_verdict(s: PictureScores, few: int, gap: Interval) -> str:
    """The paper's claim of ten times fewer calls, in these two nets and this distance."""
    word = {-1: "nearer to data than", 0: "not told apart from", 1: "farther from data than"}[sign(gap)]
    return (
        f"The paper claims about ten times fewer calls than flow matching. Here the published drift with the chosen "
        f"gamma1 and {at_calls((few,))} is {word} {s.companion} with {s.nfe[-1]} (paired difference x 1000: "
        f"{thousandths(gap, '+.2f')})."
    )
