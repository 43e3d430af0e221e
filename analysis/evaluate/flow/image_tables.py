"""Flows of pictures, sampler beside sampler, as tables and verdicts; `images` measures them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.evaluate.flow.image_mmd import INCEPTION
from analysis.evaluate.flow.images import PSNR, SEARCHED, DataScores, PictureScores, companion_of, measure_pictures
from analysis.evaluate.flow.momentum import at_calls, momentum_verdict, multistep_verdict, settled, weight_cell
from analysis.evaluate.flow.points import in_the_plane, thousandths
from analysis.evaluate.tables.markdown import Block, Verdict, grid, interval
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.flow.images import EXACT_NFE
from foundation.metrics import inception
from foundation.metrics.statistics import Interval
from foundation.networks.unet import UNetConfig

THEIRS = (
    "Theirs, on CIFAR-10: FID 5.87 (public code, 2024) and 2.78 (fourth version of the paper), both at a stated 10 "
    "calls, which their script spends as 100 counted ones. FID is another metric: no figure here is one, and none can "
    "be compared with it."
)
PAIRED_NOTE = "paired 95 % intervals, not corrected for their number"


def pictures_blocks(s: PictureScores) -> list[Block]:
    """Both distances by method and number of calls, with the verdicts."""
    head = list(map(str, s.nfe))
    form, way = (".2f", "higher is nearer") if s.measure == PSNR else (".4f", "lower is nearer")
    classes = ", classes drawn evenly by seed" if s.classes else ""
    blocks: list[Block] = [
        f"{s.seeds} held-out noises, the same for every method{classes}. Distance to the exact flow: {s.measure} "
        f"({way}) of each picture to the converged exact flow of the same net from the same noise ({EXACT_NFE} calls "
        "of Runge-Kutta 4 on cosine steps); means with 95 % Student intervals over noises. A sampler that draws noise "
        "of its own does not aim at the exact flow of one noise, but at the law of the data.",
        grid([f"distance to the exact flow, {s.measure}, by network calls", *head], _score_rows(s.exact, form)),
        f"Less {s.euler}, at the same number of calls, paired.",
        grid(["difference", *head], _score_rows(s.less_euler, f"+{form}")),
    ]
    verdicts: list[Block] = [exact_verdict(s)]
    if s.momentum is not None:
        rows, prefix = s.momentum.rows, f"By the distance to the exact flow ({s.measure}). "
        blocks += [
            f"The gamma1 chosen, for every number of calls from 2, by that distance on {s.momentum.validation} "
            "validation noises; 0.5 is no momentum, with matched noise 0.",
            grid(["gamma1", *map(str, s.momentum.nfe)], [[r.family, *map(weight_cell, r.gammas)] for r in rows]),
        ]
        verdicts += [momentum_verdict(s.momentum, r.family, SEARCHED[r.family], prefix) for r in rows]
        verdicts.append(multistep_verdict(s.momentum, prefix))
    if isinstance(s.data, str):
        return [*blocks, f"No distance to data: {s.data}", *verdicts, THEIRS]
    return [*blocks, *_data_blocks(s, s.data, head), *verdicts, *_law_verdicts(s, s.data), THEIRS]


def _score_rows(table: Mapping[str, Sequence[Interval]], form: str) -> list[list[str]]:
    return [[name, *(interval(v, form) for v in row)] for name, row in table.items()]


def _data_blocks(s: PictureScores, d: DataScores, head: list[str]) -> list[Block]:
    other = "" if d.same else " **These are not the pictures that the model's card names.**"
    table = [[name, *map(thousandths, row)] for name, row in d.mmd2.items()]
    table.append(["data in place of samples", thousandths(d.instead), *["same"] * (len(head) - 1)])
    gaps = [[name, *(thousandths(v, "+.2f") for v in row)] for name, row in d.less_euler.items()]
    return [
        f"Distance to data: unbiased squared MMD of {d.features} (Gaussian kernel exp(-d^2 / (2 b^2)), b = "
        f"{d.bandwidth:.3f}, the median distance of held-out data), x 1000. {s.seeds:,} samples against {d.count:,} "
        f"held-out data pictures, with 95 % Student intervals over the jackknife's pseudo-values of the noises.{other}",
        grid(["MMD^2 x 1000, by network calls", *head], table),
        f"Less {s.euler}, at the same number of calls, paired.",
        grid(["difference x 1000", *head], gaps),
    ]


def _law_verdicts(s: PictureScores, d: DataScores) -> list[Block]:
    """Of the distance to data; none by pixels that are averaged, which cannot see noise on every picture."""
    if d.features != INCEPTION:
        return [
            f"No verdict on the law of the pictures, for which averaged pixels are blind: {inception.NETWORK_CURE}."
        ]
    return [law_verdict(s, d), *([] if d.tenth is None else [tenth_verdict(s, *d.tenth)])]


def _against(nfes: Sequence[int], rows: Mapping[str, Sequence[Interval]], better: int = -1) -> dict[str, dict]:
    """Method -> the numbers of calls at which it is better, and worse."""
    return {
        name: {"better": settled(nfes, row, better), "worse": settled(nfes, row, -better)} for name, row in rows.items()
    }


def _words(methods: Mapping[str, dict]) -> str:
    said = (f"{k}: better at {at_calls(m['better'])}, worse at {at_calls(m['worse'])}" for k, m in methods.items())
    return "; ".join(said)


def exact_verdict(s: PictureScores) -> Verdict:
    """Which methods are nearer to the exact flow than Euler at equal calls."""
    methods = _against(s.nfe, s.less_euler, 1 if s.measure == PSNR else -1)
    return Verdict(
        f"Distance to the net's own exact flow, against {s.euler}, at equal calls ({PAIRED_NOTE}): {_words(methods)}.",
        {"against": s.euler, "methods": methods},
    )


def law_verdict(s: PictureScores, d: DataScores) -> Verdict:
    """The same for the distance to data; also against the OT-CFM net where there is one."""
    methods = _against(s.nfe, d.less_euler)
    text = f"Distance to data, against {s.euler}, at equal calls ({PAIRED_NOTE}): {_words(methods)}."
    figures = {"against": s.euler, "methods": methods}
    if d.less_companion:
        rest = _against(s.nfe, d.less_companion)
        text += f" Against {s.companion}, which is another net: {_words(rest)}."
        figures |= {"companion": s.companion, "methods_against_companion": rest}
    return Verdict(text, figures)


def tenth_verdict(s: PictureScores, few: int, gap: Interval) -> Verdict:
    """The paper's claim of ten times fewer calls, in these two nets and this distance."""
    word = {-1: "nearer to data than", 0: "not told apart from", 1: "farther from data than"}[gap.sign]
    return Verdict(
        f"The paper claims about ten times fewer calls than flow matching. Here the published drift with the chosen "
        f"gamma1 and {at_calls((few,))} is {word} {s.companion} with {s.nfe[-1]} (paired difference x 1000: "
        f"{thousandths(gap, '+.2f')}).",
        {"calls": few, "against_calls": s.nfe[-1], "sign": gap.sign, "difference": gap.value},
    )


@part("flow", "pictures", 2, "picture-seeds", 64, 8, 10_000, fits=lambda m: isinstance(m.config, UNetConfig))
def pictures(job: Job) -> Outcome:
    """Distances of pictures to the exact flow and to data, beside those of NAME-otcfm in the folder."""
    if in_the_plane(job.model):
        return Outcome(["Not applicable: this part is of flows of pictures."])
    other = companion_of(job.model, job.name, job.folder)
    return Outcome(pictures_blocks(measure_pictures(job.model, other, job.count, job.progress)))
