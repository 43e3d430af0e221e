"""Lessons of the tour, each with the measurement that answers it.

Nothing in a lesson says how its answer comes out: its check measures it when it is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from analysis.core.fields import SLIDER_THIRDS, whole
from analysis.core.progress import Report
from analysis.flow.points import Flow2DRequest, PointFlows, SweepRequest
from analysis.koopman import editing
from analysis.koopman.spectrum import band_names
from analysis.workbench.editing import EditRequest
from analysis.workbench.findings import LINEAR, linear_levels, listed, overall_errors
from analysis.workbench.images import TrajectoryRequest
from analysis.workbench.probes import LinearityRequest
from analysis.workbench.spectrum import MaskRequest, SpectrumEntryResult
from analysis.workbench.workbench import Workbench

PICTURE_SEED = 2  # of the page's first picture
LESSON_POINTS = 512
ASKS = ("level", "guess", "mode", "band", "detail", "flow")  # each answered by one of the functions below
Preset = TrajectoryRequest | LinearityRequest | MaskRequest | EditRequest | tuple[Flow2DRequest, ...]


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Attributes:
        title: a few words.
        words: two to four plain sentences.
        tab: the view of the page that is opened.
        asks: how the answer is given, one of `ASKS`.
        preset: the question that fills the tab's controls.
        task: what the reader shall do before the answer is checked.
    """

    title: str
    words: tuple[str, ...]
    tab: str
    asks: str
    preset: Preset
    task: str


LESSONS = (
    Lesson(
        "What is a trajectory?",
        (
            "Pictures are made from noise, level by level: σ falls from 80, where nothing but noise is left, to 0.002, "
            "the picture.",
            "All states on this way, in order, are one trajectory.",
            "The teacher goes it step by step with many network calls; the Koopman model encodes the noise once, and a "
            "formula then gives every moment.",
        ),
        "watch",
        "level",
        TrajectoryRequest(PICTURE_SEED),
        "Drag the slider between “noise” and “picture” to the first moment at which you can tell the outline of the "
        "object, then press Check.",
    ),
    Lesson(
        "What is linear?",
        (
            "Linear means that time acts on the latents z by a matrix: z(τ) = exp((τ − 1) A) z(1), and two short moves "
            "make one long one.",
            "From the noise on this holds by construction.",
            "Whether the encoder, shown the teacher's noisy state at a later moment, finds itself on the same line is "
            "another question, and it can be measured, on what differs between trajectories: an error of 0 is linear, "
            "1 is no better than predicting the same latent for all.",
        ),
        "linear",
        "guess",
        LinearityRequest(tuple(range(PICTURE_SEED, PICTURE_SEED + 4)), steps=8, dmd_rank=0),
        "Guess this error, for the level in the middle of the ranking, with the slider below; then press Check, which "
        "measures it on four trajectories. The view's own button does so for more of them, level by level.",
    ),
    Lesson(
        "Reading the spectrum",
        (
            "Every point of the plane is one mode, two numbers of the latents at one place.",
            "On the way from noise to picture it is multiplied by exp(−α) and turned by the angle β: left of α = 0 it "
            "grows, right of it it fades.",
            "What its real part means for the picture is not said by the plane: that has to be measured.",
        ),
        "modes",
        "mode",
        MaskRequest(PICTURE_SEED, edges=SLIDER_THIRDS),
        "Choose a mode of the tenth of this level that grows most (or fades least): click a point, or reach the plane "
        "with Tab and move with ← and →. Then press Check.",
    ),
    Lesson(
        "Bands",
        (
            "The modes of each level, ranked by α, are cut into three bands of about a third each.",
            "A band's name says where its modes lie in the ranking, not what they carry.",
            "What the picture owes to a band shows when the band is taken away.",
        ),
        "bands",
        "band",
        MaskRequest(PICTURE_SEED, edges=SLIDER_THIRDS),
        "Which band will be missed least? Pull its “Keep” slider to 0, and only that one, then press Check.",
    ),
    Lesson(
        "Editing on the way",
        (
            "At τ = 0.2, late on the way to the picture, modes of another picture, the reference, are mixed into a "
            "part of this one; the formula then carries the mixture to the end.",
            "At first all three bands are ticked, which is the control: every mode is mixed.",
        ),
        "edit",
        "detail",
        # at the midpoint one band alone brings no detail that could be seen: correlations of .03
        EditRequest(PICTURE_SEED, reference_seed=1, edges=SLIDER_THIRDS, bands=(0, 1, 2), ratio=0.9, tau=0.2),
        "Tick a single band, the one that you think brings most of the reference's detail, then press Check.",
    ),
    Lesson(
        "Few steps and momentum",
        (
            "A flow carries noise to data in a number of network calls (NFE); with few of them every step is long, and "
            "long steps err.",
            "A takes plain Euler steps on an OT-CFM path; B adds the published momentum on IDFF's path, a term along "
            "the score that cancels a part of Euler's error; C remembers its last prediction there, a multistep rule, "
            "which does that without weights, as Heun's method does.",
            "MMD² says how far the points end from data: nearer to 0 is better.",
        ),
        "flow",
        "flow",
        (
            Flow2DRequest(path="otcfm", sampler="euler", points=LESSON_POINTS),
            Flow2DRequest(path="idff", sampler="published", gamma1=0.2, gamma2=-0.5, points=LESSON_POINTS),
            Flow2DRequest(path="idff", sampler="multistep", points=LESSON_POINTS),
        ),
        "Choose below which one comes nearest, then press Check. Then move “NFE of all” and check again: does the "
        "order stay?",
    ),
)


CLEAR = 0.5  # correlation from which an outline is called clear (ours)
NEAR_LEVELS = 2  # noise levels: as near as a hand and an eye can be
UNTOUCHED = 0.5  # where the slider of the guess begins
GUESSED = 0.1  # how near a guess has to be
GROWING_SHARE = 0.1  # share of a level's modes that are called those that grow most
FAINT = 0.1  # correlation of detail below which nothing is said to have been brought
ALIKE = 0.02  # difference of such correlations that no eye sees
FLOW_SEEDS = 3


@dataclass(frozen=True)
class Reply:
    """Attributes: text; right = whether the answer agrees with what was measured, None where there is none yet."""

    text: str
    right: bool | None = None


def clarity(pictures: np.ndarray) -> np.ndarray:
    """Correlation of every picture's fine detail with that of the last one.

    Args:
        pictures: uint8 (n, H, W, 3).

    Returns:
        (n,) float64 in [-1, 1]; 0 where one of the two has no detail. Detail is what a Gaussian of 2 pixels takes away.
    """
    x = torch.from_numpy(pictures.astype(np.float64)).permute(0, 3, 1, 2) / 127.5 - 1
    last = x[-1:].expand_as(x)
    values = editing.measure(x, last, last, torch.ones(x.shape[-2:]))[:, 1]
    return torch.nan_to_num(values).numpy()


def outline(bench: Workbench, request: TrajectoryRequest, level: int | None, report: Report | None = None) -> Reply:
    """Lesson 1: the first level at which the outline can be told.

    Args:
        bench: the model.
        request: the trajectory that is looked at.
        level: index of the player's level, 0 = noise; None where nothing is played.
        report: progress, may raise to stop.
    """
    if level is None:
        return Reply("Wait until the trajectory is shown, then move its slider.")
    result = bench.trajectory(request, report)
    n = len(result.sigma)
    level = whole(level, 0, n - 1, "The level of the trajectory", "level")
    if level == n - 1:
        return Reply("The slider stands at the picture itself: drag it towards the noise first.")
    seen = clarity(result.koopman)
    if seen[-1] < CLEAR:
        return Reply("The last picture has no detail to compare with: take another seed.")
    first = int(np.argmax(seen >= CLEAR))
    apart = level - first
    where = "the same level" if apart == 0 else f"{abs(apart)} level{'s' * (abs(apart) > 1)} "
    where += "" if apart == 0 else "later" if apart > 0 else "earlier"
    return Reply(
        f"You stopped at level {level + 1} of {n}, σ = {result.sigma[level]:.3g}, where the fine detail correlates "
        f"{seen[level]:.2f} with that of the finished picture. It first reaches {CLEAR:g} at level {first + 1}, σ = "
        f"{result.sigma[first]:.3g}: you chose {where}.",
        abs(apart) <= NEAR_LEVELS,
    )


def linear(bench: Workbench, request: LinearityRequest, guess: float, report: Report | None = None) -> Reply:
    """Lesson 2: the relative error of the operator along the teacher's trajectories, of what differs between them.

    A guess is right within `GUESSED` of the median over levels.

    Args:
        bench: the model, with its teacher.
        request: which trajectories; of one alone its own error is taken.
        guess: in [0, 1]; at `UNTOUCHED` there is none yet.
        report: progress, may raise to stop.
    """
    if guess == UNTOUCHED:
        return Reply(f"The slider still stands at {UNTOUCHED:g}, where it began: move it to your guess first.")
    result = bench.linearity(request, report)
    errors = overall_errors(result.learned if result.differences is None else result.differences["learned"])
    low, high, middle = int(errors.argmin()), int(errors.argmax()), float(np.median(errors))
    levels = linear_levels(result)
    verdict = (
        f"linear to within {LINEAR:.0%} at {listed(levels)}" if levels else f"not linear to within {LINEAR:.0%} at any"
    )
    verdict += "" if levels else " level"
    text = (
        f"You guessed {guess:.2f}. Measured: {middle:.2f} in the middle, from {errors[low]:.2f} ({result.names[low]}) "
        f"to {errors[high]:.2f} ({result.names[high]}), so the latents are {verdict}."
    )
    if result.mse is not None:
        with_a, without = (float(result.mse[k][1:].mean()) for k in ("learned", "identity"))
        nearer = "nearer" if with_a < without else "not nearer"
        text += (
            f" The pictures are another matter: those that the formula gives are {nearer} to those of the encoder than "
            f"with A = 0, mean squared error {with_a:.2g} against {without:.2g}."
        )
    return Reply(text, abs(guess - middle) <= GUESSED + 1e-9)


def growing_mode(entry: SpectrumEntryResult, index: int | None) -> Reply:
    """Lesson 3: a mode among the `GROWING_SHARE` of its level that grow most.

    Args:
        entry: the level that is looked at.
        index: flat index of the mode that was chosen; None where none or several are.
    """
    if index is None:
        return Reply("Choose one point of the plane first.")
    index = whole(index, 0, entry.alpha.size - 1, "The mode", "mode")
    if float(np.ptp(entry.alpha)) == 0:
        return Reply(f"All modes of {entry.name} have one α: none grows most. Take another level.")
    alpha, beta = float(entry.alpha.flat[index]), float(entry.beta.flat[index])
    growing, ahead = (int((entry.alpha < limit).sum()) for limit in (0, alpha))
    way = "grows" if alpha < 0 else "fades" if alpha > 0 else "keeps its size"
    return Reply(
        f"Your mode of {entry.name} has α = {alpha:+.2f}: on the way to the picture it {way}, × "
        f"{math.exp(-alpha):.2f}, and turns by {math.degrees(abs(beta)):.0f}°. Of this level's {entry.alpha.size:,} "
        f"modes {growing:,} grow, and {ahead:,} ({ahead / entry.alpha.size:.0%}) have a smaller α than yours.",
        ahead < GROWING_SHARE * entry.alpha.size,
    )


def missed_least(bench: Workbench, request: MaskRequest) -> Reply:
    """Lesson 4: the band without which the picture changes least.

    Args:
        bench: the model.
        request: what the page's sliders say; the answer is the one band at 0.
    """
    away = [b for b, gain in enumerate(request.gains) if gain == 0]
    if len(away) != 1:
        return Reply("Pull exactly one “Keep” slider to 0 and leave the others above it.")
    names = band_names(len(request.gains), request.order)
    bands = range(len(request.gains))
    mse = [bench.mask_bands(replace(request, gains=tuple(float(k != b) for k in bands))).mse for b in bands]
    least = int(np.argmin(mse))
    each = listed([f"{names[b]} {mse[b]:.3g}" for b in bands])
    return Reply(
        f"Change of the picture (mean squared error) when one band is taken away: {each}. You took {names[away[0]]}; "
        f"{names[least]} is missed least" + (", as you said." if least == away[0] else "."),
        least == away[0],
    )


def most_detail(bench: Workbench, request: EditRequest, report: Report | None = None) -> Reply:
    """Lesson 5: the band that brings most of the reference's detail.

    Args:
        bench: the model.
        request: what the page's controls say; the answer is the one band that is ticked.
        report: progress, may raise to stop.

    Correlations below `FAINT` have no answer, and bands within `ALIKE` of the most are as right as that.
    """
    if len(request.bands) != 1:
        return Reply("Tick exactly one band first.")
    names = band_names(len(request.edges) + 1, request.order)
    every = tuple(range(len(names)))
    asked = [replace(request, bands=bands) for bands in (*((b,) for b in every), every)]
    tell = None if report is None else lambda share, picture: report(share, "the reference's path")
    found = [bench.edit(r, tell).numbers for r in asked]
    detail = [n.high_correlation for n in found if n.high_correlation is not None]
    if len(detail) < len(found):
        return Reply("One of these pictures has no detail to compare: take another reference.")
    most, mine = int(np.argmax(detail[:-1])), request.bands[0]
    each = listed([f"{names[b]} {detail[b]:.2f}" for b in every])
    text = f"Correlation of the edit's fine detail with the reference's: {each}; all bands together {detail[-1]:.2f}. "
    if detail[most] < FAINT:
        return Reply(
            f"{text}Below {FAINT:g} no band brings detail that could be seen, so there is no right answer here: take "
            "another reference, or an earlier time."
        )
    alike = detail[most] - detail[mine] < ALIKE and mine != most
    text += (
        f"You took {names[mine]}, which changes the layout by {found[mine].low_distance:.3g} where all bands change it "
        f"by {found[-1].low_distance:.3g}; most detail comes with {names[most]}"
    )
    text += ", by less than could be seen. " if alike else ". "
    return Reply(f"{text}This is one pair of pictures: another pair may differ.", mine == most or alike)


def nearest_flow(
    bench: PointFlows,
    settings: Sequence[Flow2DRequest],
    names: Sequence[str],
    chosen: int | None,
    report: Report | None = None,
) -> Reply:
    """Lesson 6: the setting whose points end nearest to data.

    Args:
        bench: answers about flows.
        settings: all with the same NFE, density and seed.
        names: of the settings.
        chosen: index of the one that the reader named.
        report: progress, may raise to stop.
    """
    if chosen is None:
        return Reply("Choose one of them first.")
    chosen = whole(chosen, 0, len(settings) - 1, "The choice", "choice")
    calls = settings[0].nfe
    result = bench.sweep(SweepRequest(tuple(settings), (calls,), (), FLOW_SEEDS), report)
    runs = result.by_nfe[:, 0]  # (settings, seeds)
    means = runs.mean(axis=1)
    if not np.isfinite(means).any():
        return Reply("All of them diverged with this number of calls: choose another one.")
    ranked = sorted(range(len(names)), key=lambda s: means[s] if np.isfinite(means[s]) else math.inf)
    best, second = ranked[:2]
    each = listed([f"{n} {m:.4f}" if np.isfinite(m) else f"{n} diverged" for n, m in zip(names, means, strict=True)])
    gap = runs[second] - runs[best]
    close = bool(np.isfinite(gap).all() and gap.mean() <= gap.std(ddof=1))
    text = (
        f"With {calls} network call{'s' * (calls > 1)}, MMD² over {FLOW_SEEDS} noises: {each}; data against data "
        f"{result.floor.mean():.4f}. {names[best]} comes nearest"
    )
    text += f", but not by more than the scatter between noises from {names[second]}." if close else "."
    return Reply(text, chosen == best or (close and chosen == second))
