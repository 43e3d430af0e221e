"""The guided tour as data: six lessons, each a preset to open and one question that is answered by moving something.

Nothing here says how an answer comes out: `analysis.lesson_checks` measures it when it is given.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.requests import MaskRequest, TrajectoryRequest
from analysis.requests_editing import EditRequest
from analysis.requests_effects import LinearityRequest
from analysis.requests_flow import Flow2DRequest

SEED = 2  # of the page's first picture
EDGES = (0.33, 0.67)  # as far as the page's sliders show thirds
POINTS = 512
ASKS = ("level", "guess", "mode", "band", "detail", "flow")  # each the answer of one function of lesson_checks
Preset = TrajectoryRequest | LinearityRequest | MaskRequest | EditRequest | tuple[Flow2DRequest, ...]


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Attributes:
        title: a few words.
        words: two to four plain sentences.
        tab: id of the tab that is opened.
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
        "generate",
        "level",
        TrajectoryRequest(SEED),
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
        "effects",
        "guess",
        LinearityRequest(tuple(range(SEED, SEED + 4)), steps=8, dmd_rank=0),
        "Guess this error with the slider below, then press Check, which measures it on four trajectories. The tab's "
        "own button does so for more of them, level by level.",
    ),
    Lesson(
        "Reading the spectrum",
        (
            "Every point of the plane is one mode, two numbers of the latents at one place.",
            "On the way from noise to picture it is multiplied by exp(−α) and turned by the angle β: left of α = 0 it "
            "grows, right of it it fades.",
            "What its real part means for the picture is not said by the plane: that has to be measured.",
        ),
        "spectrum",
        "mode",
        MaskRequest(SEED, edges=EDGES),
        "Choose one mode that grows: click a point, or reach the plane with Tab and move with ← and →. Then press "
        "Check.",
    ),
    Lesson(
        "Bands",
        (
            "The modes of each level, ranked by α, are cut into three bands of about a third each.",
            "A band's name says where its modes lie in the ranking, not what they carry.",
            "What the picture owes to a band shows when the band is taken away.",
        ),
        "spectrum",
        "band",
        MaskRequest(SEED, edges=EDGES),
        "Which band will be missed least? Pull its “Keep” slider to 0, and only that one, then press Check.",
    ),
    Lesson(
        "Editing in the middle",
        (
            "At τ = 0.5, the middle of the way, modes of another picture, the reference, are mixed into a part of this "
            "one; the formula then carries the mixture to the end.",
            "At first all three bands are ticked, which is the control: every mode is mixed.",
        ),
        "edit",
        "detail",
        EditRequest(SEED, reference_seed=1, edges=EDGES, bands=(0, 1, 2), ratio=0.9),
        "Tick a single band, the one that you think brings most of the reference's detail, then press Check.",
    ),
    Lesson(
        "Few steps and momentum",
        (
            "A flow carries noise to data in a number of network calls (NFE); with few of them every step is long, and "
            "long steps err.",
            "A takes plain Euler steps on an OT-CFM path; B adds the published momentum, a push along the score, on "
            "IDFF's path; C remembers its last prediction there, a multistep rule.",
            "MMD² says how far the points end from data: nearer to 0 is better.",
        ),
        "flow",
        "flow",
        (
            Flow2DRequest(path="otcfm", sampler="euler", points=POINTS),
            Flow2DRequest(path="idff", sampler="published", gamma1=0.2, gamma2=-0.5, points=POINTS),
            Flow2DRequest(path="idff", sampler="multistep", points=POINTS),
        ),
        "Choose below which one comes nearest, then press Check. Then move “NFE of all” and check again: does the "
        "order stay?",
    ),
)
