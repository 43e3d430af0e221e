"""View "Linearity" of "Look inside": does the learned space move linearly?"""

from __future__ import annotations

import html
from dataclasses import dataclass

import gradio as gr

from analysis.core.progress import Report
from analysis.figures import effects
from analysis.workbench.findings import control_words, linearity_verdict
from analysis.workbench.library import ModelLibrary
from analysis.workbench.probes import LinearityRequest
from foundation.randomness import MAX_SEED
from ui.components.controls import Controls
from ui.components.html import details, heading
from ui.components.layout import Frame, empty_stage, group, intro, only
from ui.components.made import Made
from ui.components.plot import plot
from ui.server.errors import guarded
from ui.server.queue import PRIVATE
from ui.server.runs import LONG_QUEUE, RUN_SECONDS, LongRun, RunButtons, run_buttons, wire_run
from ui.source import Views, Workspace, fitting_label, made_with, usable_seed

PICTURE_LEVEL = -1  # in the list of levels
MAX_FIT_SEEDS, MAX_FIT_STEPS = 16, 24
SENTENCE = "The operator promises that latents move linearly: here that is checked on the teacher's own trajectory."
FORMULA = """‖E(x<sub>t</sub>) − e<sup>(τ(t) − 1) A</sup> E(x<sub>T</sub>)‖ / ‖E(x<sub>t</sub>)‖ &nbsp;·&nbsp;
yardsticks: A = 0, and the α and β of every mode that fit these very trajectories best &nbsp;·&nbsp; of two or more also
what differs between them: their mean is taken off every latent first"""
ASK = '<p class="ks-line">Not measured yet. It follows the teacher, so it takes some seconds.</p>'


@dataclass(frozen=True)
class LinearityControls(Controls):
    """Components of the part; `request` is (model, question) of what is shown."""

    trajectories: gr.Slider
    steps: gr.Slider
    buttons: RunButtons
    words: gr.HTML
    level: gr.Dropdown
    curves: gr.HTML
    dmd: gr.HTML
    request: gr.State


def verdict(*sentences: str, made: Made, of: str = "", over: str = "") -> str:
    """What follows from a measurement in one sentence, and what was measured; the rest is behind a sign.

    Args:
        *sentences: plain text; the first one begins with the conclusion.
        made: whose it is.
        of: what else belongs to it.
        over: selects the plots that were measured with it, see `Made.data`.
    """
    first, stop, rest = sentences[0].partition(". ")
    told = [html.escape(s) for s in (rest, *sentences[1:], of and f"{of}.") if s]
    more = details("Details", "".join(f'<p class="ks-line">{s}</p>' for s in told))
    words = html.escape(first + stop.strip())
    return f'<p class="ks-verdict" role="status">{words}</p>{more}{made.line(over, "Measured on ")}'


def consecutive(seed: int, count: int) -> tuple[int, ...]:
    """`count` seeds from this one on, as far as there are any."""
    return tuple(range(seed, min(seed + int(count), MAX_SEED + 1)))


def seed_words(seeds: tuple[int, ...]) -> str:
    """One seed, or the first and the last."""
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def drawn(figure=None) -> dict:
    """A plot with this figure, or hidden."""
    return gr.update(value=None if figure is None else figure.to_json(), visible=figure is not None)


def told(frame: Frame, view: str, name: str, ask: str, title: str = "") -> gr.HTML:
    """Where a measurement is told in the readings.

    Args:
        frame: the tab's columns.
        view: where it is seen.
        name: of the measurement, in the ids.
        ask: HTML, while nothing is measured.
        title: above it.
    """
    with frame.readings, group(view):
        if title:
            gr.HTML(heading(title))
        return gr.HTML(ask, elem_id=f"{name}-words", elem_classes="ks-told")


class LinearityPart:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the part, or their names.
        patience: seconds that a measurement may take.
    """

    def __init__(self, library: ModelLibrary, controls: LinearityControls, patience: float = RUN_SECONDS):
        self.library, self.controls = library, controls
        self.run = LongRun(patience)

    def measure(self, model, seed, label, trajectories, steps, report: Report | None = None) -> dict:
        """Verdict, list of levels, curves and DMD plane of the last level."""
        if not usable_seed(seed):
            return gr.skip()
        bench, c = self.library.get(model), self.controls
        question = LinearityRequest(
            consecutive(seed, min(trajectories, MAX_FIT_SEEDS)), fitting_label(bench, label),
            min(steps, MAX_FIT_STEPS),
        )  # fmt: skip
        result = bench.linearity(question, report)
        made = made_with(bench, seed, label, seed_words(question.seeds))
        conclusion, _, numbers = linearity_verdict(result).partition(": ")
        choices = [("pictures, decoded", PICTURE_LEVEL), *((name, i) for i, name in enumerate(result.names))]
        last, request = len(result.names) - 1, (model, question)
        return {
            c.words: verdict(
                f"{conclusion}. {numbers[0].upper()}{numbers[1:]}",
                control_words(bench.model.card, "error of the law, of what differs"),
                made=made,
                of=f"{question.steps} noise levels",
                over="#linearity-curves, #linearity-dmd",
            ),
            c.level: gr.update(choices=choices, value=last, visible=True),
            **self.show_level(request, last),
            c.request: request,
        }

    def show_level(self, request: tuple | None, level: int | None) -> dict:
        """Curves and DMD plane of one level, or the pictures' curves, of a check that was made."""
        c = self.controls
        if request is None:
            return {c.curves: drawn(), c.dmd: drawn()}
        model, question = request
        bench = self.library.get(model)
        result = bench.linearity(question)  # kept by the Workbench
        if level == PICTURE_LEVEL:
            return {c.curves: drawn(effects.linearity_pictures(result)), c.dmd: drawn()}
        entry = bench.spectrum().entries[min(max(int(level or 0), 0), len(result.names) - 1)]
        plane = None if result.dmd is None else effects.dmd_plane(entry, result)
        return {c.curves: drawn(effects.linearity_curves(result, entry.index)), c.dmd: drawn(plane)}


def _lay_out(frame: Frame) -> LinearityControls:
    with frame.controls:
        intro(SENTENCE, FORMULA, "linear")
        with group("linear"):
            trajectories = gr.Slider(
                1, MAX_FIT_SEEDS, 4, step=1, label="Trajectories", elem_id="linearity-seeds",
                info="the teacher's, from the current seed on; 1 to 16", buttons=["reset"],
            )  # fmt: skip
            steps = gr.Slider(
                4, MAX_FIT_STEPS, 12, step=1, label="Noise levels", elem_id="linearity-steps",
                info="of the Karras grid, 4 to 24; the teacher calls its network about twice a level",
                buttons=["reset"],
            )  # fmt: skip
            buttons = run_buttons("Check linearity", "linearity")
            level = gr.Dropdown(
                [], label="Level", visible=False, elem_id="linearity-level", interactive=True, filterable=False,
                info="whose learned eigenvalues stand beside those of exact DMD",
            )  # fmt: skip
    with frame.stage:
        empty_stage(
            "How far the linear law is from the teacher, over time.", ("Check linearity", "linearity-start"),
            views=("linear",),
        )  # fmt: skip
    with frame.stage, gr.Row(elem_classes=["ks-pair", *only("linear")]):
        with gr.Column(min_width=0):
            curves = plot(None, visible=False, elem_id="linearity-curves", label="Relative error over time")
        with gr.Column(min_width=0):
            dmd = plot(None, visible=False, elem_id="linearity-dmd", label="Learned spectrum and exact DMD")
    return LinearityControls(
        trajectories, steps, buttons, told(frame, "linear", "linearity", ASK), level, curves, dmd, gr.State(None)
    )


def build_linearity(work: Workspace, views: Views) -> LinearityControls:
    """Lay the view out and wire it."""
    c, source = _lay_out(views.frame), work.source
    part = LinearityPart(work.library, c, work.bounded(RUN_SECONDS))
    wire_run(
        part.run, c.buttons, part.measure, {**source.named, **c.named("trajectories", "steps")},
        c.listed("words", "level", "curves", "dmd", "request"),
    )  # fmt: skip
    c.level.input(
        guarded(part.show_level), [c.request, c.level], [c.curves, c.dmd], trigger_mode="always_last", **LONG_QUEUE,
        **PRIVATE,
    )  # fmt: skip
    return c
