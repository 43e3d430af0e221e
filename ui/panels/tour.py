"""The guided tour: in the drawer "Learn" it opens each lesson's view with a preset and checks what the reader did.

The lessons are data, their answers are measured (both in `analysis.guide.lessons`); here they are shown.
"""

from __future__ import annotations

import functools
import html
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import gradio as gr

from analysis.core.errors import UserError
from analysis.core.progress import Report
from analysis.flow.clouds import DRAWING
from analysis.flow.points import Flow2DRequest
from analysis.guide import lessons
from analysis.guide.lessons import LESSONS, Lesson, Reply
from analysis.workbench.images import TrajectoryRequest
from analysis.workbench.probes import LinearityRequest
from analysis.workbench.spectrum import MaskRequest
from ui.components.controls import Controls
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import PROGRESS, deadline
from ui.source import NO_CLASS, Page, Workspace, fitting_label, readable, usable_seed
from ui.tabs.change.edit_controls import EditControls
from ui.tabs.flows.point_results import setting_name
from ui.tabs.flows.points import FlowControls
from ui.tabs.flows.settings import LETTERS
from ui.tabs.inside.linearity import consecutive
from ui.tabs.inside.spectrum_controls import SpectrumControls
from ui.tabs.watch.generate import GenerateControls
from ui.workspaces import opening

CHECK_SECONDS = 60.0  # for one answer
LABEL = "Take the tour (six lessons, five minutes)"
INTRO = """<div class="ks-lesson" role="status"><p>Six short lessons. Each opens a view with a preset and asks one
question; you answer by moving something, and the answer is measured at that moment with the models in front of you.
The tour sets model, seed and the controls of its view.</p></div>"""
SCROLL = "() => { document.querySelector('#tour').scrollIntoView({block: 'nearest'}); }"
# what is moved without the server: the player's level, and the one mode that is chosen in the plane
DONE = """(played, mode, ...values) => {
  const read = (selector, name) => {
    const part = document.querySelector(selector);
    return part && part.dataset[name] !== undefined ? Number(part.dataset[name]) : null;
  };
  return [read('#player .ks-player', 'level'), read('#mode .ks-card', 'mode'), ...values];
}"""
ADD = "(count, by) => (count || 0) + (by || 0)"


@dataclass(frozen=True)
class TourControls(Controls):
    """Components of the bar.

    `at` is the number of the lesson, `ask` a count that grows when flows are to be looked at, `grows` by how much the
    source bar's count does; `played` and `mode` are filled in by a script.
    """

    box: gr.Accordion
    words: gr.HTML
    guess: gr.Slider
    choice: gr.Radio
    reply: gr.HTML
    back: gr.Button
    check: gr.Button
    ahead: gr.Button
    close: gr.Button
    at: gr.State
    ask: gr.State
    grows: gr.Number
    played: gr.Number
    mode: gr.Number


BAR = ("at", "words", "guess", "choice", "check", "reply", "back", "ahead", "box", "grows", "ask")


@dataclass(frozen=True)
class Stops:
    """The controls that lessons set and read, by tab."""

    opener: gr.HTML
    generate: GenerateControls
    spectrum: SpectrumControls
    edit: EditControls
    flows: FlowControls

    @classmethod
    def of(cls, page: Page) -> Stops:
        """Those of a finished page."""
        names = {"generate": "generate", "spectrum": "spectrum", "edit": "edit", "flows": "flow"}
        return cls(page.opener, **{field: page.built[tab].controls for field, tab in names.items()})

    @classmethod
    def names(cls) -> Stops:
        """As `Controls.names`: what handlers answer without a page."""
        return cls(
            "opener", GenerateControls.names(), SpectrumControls.names(), EditControls.names(),
            FlowControls.names(),
        )  # fmt: skip

    @property
    def read(self) -> dict:
        """What `Tour.check` looks at, by the names of its arguments."""
        edit, flows = self.edit, self.flows
        return {
            **self.spectrum.named("level", "low", "high", "small", "middle", "large", "order", "levels"),
            "steps": self.generate.steps, "tau": edit.tau, "ratio": edit.ratio, "bands": edit.bands,
            "other": edit.other, "density": flows.density, "nfe": flows.nfe_all, "flow_seed": flows.seed,
        }  # fmt: skip

    @property
    def set(self) -> list:
        """What a lesson may set, but for the bars."""
        flows = self.flows
        shared = flows.listed("density", "points", "nfe_all", "grid", "net", "seed")
        return [self.opener, self.spectrum.level, *shared, *flows.by_letter().values()]


def lesson_html(number: int, lesson: Lesson) -> str:
    """Progress, words and task of a lesson; `number` counts from 1."""
    dots = "".join(f'<i class="{"ks-now-at" if k == number else ""}"></i>' for k in range(1, len(LESSONS) + 1))
    return (
        f'<div class="ks-lesson" role="status"><p class="ks-steps"><b>{number} of {len(LESSONS)}</b>'
        f'<span aria-hidden="true">{dots}</span></p><h3>{html.escape(lesson.title)}</h3>'
        f"<p>{html.escape(' '.join(lesson.words))}</p>"
        f'<p class="ks-task"><b>Your turn.</b> {html.escape(lesson.task)}</p></div>'
    )


AGREEMENT = {True: ("✓", "That agrees."), False: ("✗", "Measured otherwise."), None: ("→", "")}  # by `Reply.right`


def reply_html(reply: Reply) -> str:
    """A reply; whether it agrees is said by a word and a sign, not by a colour."""
    sign, word = AGREEMENT[reply.right]
    return (
        f'<p class="ks-verdict" role="status"><b><span aria-hidden="true">{sign}</span> {word}</b> '
        f"{html.escape(reply.text)}</p>"
    )


class Tour:
    """The handlers; each can be called without a page. A lesson's number counts from 1; 0 is the introduction.

    Args:
        work: the models, who answers about flows, and the bar; lessons are about the default model.
        controls: of the tour's bar, or their names.
        stops: of the tabs, or their names.
        pending: what is to be filled, see `RecipePanel.fill`.
    """

    def __init__(self, work: Workspace, controls: TourControls, stops: Stops, pending: gr.State):
        self.work, self.controls, self.stops, self.pending = work, controls, stops, pending
        self._asks = itertools.count(1)

    def go(self, by: int, at: int, moves: int | None, *shown) -> dict:
        """The next or the last lesson: its words, its answer's controls, its tab and its preset.

        Args:
            by: 1 or -1.
            at: number of the lesson that is shown.
            moves: the source bar's count.
            *shown: model, seed, class and level: where they are the lesson's own already, nothing is made anew.
        """
        at, c = int(at) + by, self.controls
        if not 1 <= at <= len(LESSONS):  # finished, or back at the introduction
            return {
                c.at: 0, c.words: INTRO, c.reply: "", c.back: gr.update(interactive=False),
                c.ahead: gr.update(value="Start"), c.box: gr.update(open=by < 0), c.grows: 0, self.pending: None,
                **self.answering(None),
            }  # fmt: skip
        lesson = LESSONS[at - 1]
        flows = isinstance(lesson.preset, tuple)
        return {
            c.at: at, c.words: lesson_html(at, lesson), c.reply: "", c.back: gr.update(interactive=True),
            c.ahead: gr.update(value="Finish the tour" if at == len(LESSONS) else "Next lesson"),
            self.stops.opener: opening(lesson.tab, filled=flows), **self.answering(lesson),
            **(self.flows_set(lesson.preset) if flows else self.model_set(lesson, moves, shown)),
        }  # fmt: skip

    def model_set(self, lesson: Lesson, moves: int | None, shown: tuple) -> dict:
        """The bar, the level and the tab's controls as a lesson about the model wants them; its view stays open."""
        preset, library, grows, values = lesson.preset, self.work.library, 0, {}
        model = readable(library)[0]
        bench = library.get(model)
        linear = isinstance(preset, LinearityRequest)
        seed = preset.seeds[0] if linear else preset.seed
        bottom = len(bench.spectrum().entries) - 1
        if shown != (model, seed, NO_CLASS, bottom):
            values, grows = self.work.source.moved(library, model, seed, NO_CLASS), 1
            values[self.stops.spectrum.level] = bottom
        values |= {self.controls.grows: grows, self.pending: None}
        if linear:
            return values
        return values | {self.pending: (int(moves or 0) + grows, preset, lesson.tab)}

    def flows_set(self, settings: Sequence[Flow2DRequest]) -> dict:
        """The Flow lab as a lesson wants it; settings beyond the lesson's are hidden."""
        first, c = settings[0], self.stops.flows
        values = {
            c.density: first.density, c.points: first.points, c.nfe_all: first.nfe, c.grid: first.grid,
            c.net: first.net, c.seed: first.seed, self.controls.ask: next(self._asks), self.controls.grows: 0,
            self.pending: None,
        }  # fmt: skip
        for setting, request in itertools.zip_longest(c.settings, settings):
            values |= setting.fill(request)
        return values

    def answering(self, lesson: Lesson | None) -> dict:
        """Guess, choice and the button Check, as far as a lesson needs them."""
        c, asks = self.controls, "" if lesson is None else lesson.asks
        choices = self.names(lesson.preset) if asks == "flow" else []
        return {
            c.guess: gr.update(visible=asks == "guess", value=0.5),
            c.choice: gr.update(
                visible=bool(choices), choices=[(name, k) for k, name in enumerate(choices)], value=None
            ),
            c.check: gr.update(visible=lesson is not None),
        }

    @staticmethod
    def names(settings: Sequence[Flow2DRequest]) -> list[str]:
        """What settings are called in the Flow lab."""
        return [f"{letter}: {setting_name(s)}" for letter, s in zip(LETTERS, settings, strict=False)]

    def check(self, progress=PROGRESS, *, at, **values) -> str:
        """What was done beside what is measured now.

        Args:
            progress: Gradio's.
            at: the lesson's number.
            **values: of `answer`.
        """
        if not 1 <= int(at) <= len(LESSONS):
            return ""
        report = deadline(self.work.bounded(CHECK_SECONDS), lambda share, what: progress(share, desc=what))
        return reply_html(self.answer(LESSONS[int(at) - 1], report, **values))

    def answer(
        self, lesson: Lesson, report: Report, *, played, mode, guess, choice, model, seed, label, **done
    ) -> Reply:
        """`check` of one lesson, not yet on a page.

        Args:
            lesson: one.
            report: gives up when time is up.
            played: index of the player's level; mode: flat index of the chosen mode. None where there is none.
            guess, choice: of the two controls in the bar.
            model, seed, label: what is looked at.
            **done: of `Stops.read`.
        """
        if lesson.asks == "flow":
            return self._flow_answer(lesson.preset, choice, report, done)
        if not usable_seed(seed):
            raise UserError("Type a seed first: a whole number from 0 to 4294967295.", "seed")
        bench = self.work.library.get(model)
        label = fitting_label(bench, label)
        entries = bench.spectrum().entries
        if lesson.asks == "level":
            return lessons.outline(bench, TrajectoryRequest(seed, label, done["steps"]), played, report)
        if lesson.asks == "guess":
            seeds = consecutive(seed, len(lesson.preset.seeds))
            return lessons.linear(bench, replace(lesson.preset, seeds=seeds, label=label), guess, report)
        if lesson.asks == "mode":
            level = min(max(int(done["level"] or 0), 0), len(entries) - 1)
            return lessons.growing_mode(entries[level], mode)
        if lesson.asks == "band":
            edges = (min(done["low"], done["high"]), max(done["low"], done["high"]))
            gains = tuple(done[name] for name in ("small", "middle", "large"))
            touched = tuple(i for i in done["levels"] or () if i < len(entries))
            return lessons.missed_least(bench, MaskRequest(seed, label, edges, gains, done["order"], touched))
        if not done["bands"]:
            return Reply("Tick exactly one band first.")
        request = replace(
            lesson.preset, seed=seed, label=label, reference_seed=done["other"], tau=done["tau"],
            bands=tuple(done["bands"]), ratio=round(done["ratio"] / 100, 10),
        )  # fmt: skip
        return lessons.most_detail(bench, request, report)

    def _flow_answer(self, preset: Sequence[Flow2DRequest], choice, report: Report, done: dict) -> Reply:
        if done["density"] == DRAWING:
            raise UserError("The tour knows the named densities only: choose one of them.", "density")
        same = {"density": done["density"], "nfe": done["nfe"], "seed": done["flow_seed"] or 0}
        requests = [replace(s, **same) for s in preset]
        return lessons.nearest_flow(self.work.studio.points, requests, self.names(requests), choice, report)


def lay_out_tour(_: Workspace) -> TourControls:
    """The bar, closed."""
    with gr.Accordion(LABEL, open=False, elem_id="tour", elem_classes="ks-tour") as box:
        words = gr.HTML(INTRO, elem_id="tour-words")
        guess = gr.Slider(
            0, 1, 0.5, step=0.05, label="Your guess", info="relative error: 0 linear, 1 no better than their mean",
            buttons=["reset"], visible=False, elem_id="tour-guess",
        )  # fmt: skip
        choice = gr.Radio([], label="Nearest to the data", info="your choice", visible=False, elem_id="tour-choice")
        reply = gr.HTML(elem_id="tour-reply")
        with gr.Row(elem_classes="ks-buttons"):
            back = gr.Button("Back", size="sm", min_width=70, interactive=False, elem_id="tour-back")
            check = gr.Button("Check", size="sm", min_width=90, variant="primary", visible=False, elem_id="tour-check")
            ahead = gr.Button("Start", size="sm", min_width=90, elem_id="tour-next")
            close = gr.Button("Close", size="sm", min_width=70, elem_id="tour-close")
    grows, played, mode = (gr.Number(0, precision=0, visible=False) for _ in range(3))
    return TourControls(
        box, words, guess, choice, reply, back, check, ahead, close, gr.State(0), gr.State(0), grows, played, mode
    )


def build_tour(page: Page) -> Tour:
    """Wire the bar to the finished views and to what fills them from a recipe."""
    c, stops, filler = page.panels["tour"], Stops.of(page), page.panels["recipes"]
    source, tour = page.work.source, Tour(page.work, c, stops, filler.pending)
    quiet = {"show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    outputs = [*c.listed(*BAR), *source.targets, filler.pending, *stops.set]
    inputs = [c.at, source.moves, *source.inputs, stops.spectrum.level]
    for button, by in ((c.back, -1), (c.ahead, 1)):
        went = button.click(guarded(functools.partial(tour.go, by)), inputs, outputs, **quiet)
        filler.now(went)  # where the bar does not move
        # one step later, when the bar's new values can be read
        went.success(None, [source.moves, c.grows], source.moves, js=ADD, **PRIVATE)
        button.click(None, None, None, js=SCROLL, **PRIVATE)
    look_again = page.built["flow"].binding.rerun
    look_again(c.ask.change(guarded(lambda: None), None, None, queue=False, show_progress="hidden", **PRIVATE))
    c.close.click(lambda: gr.update(open=False), None, c.box, queue=False, show_progress="hidden", **PRIVATE)
    asked = {**c.named("played", "mode", "at", "guess", "choice"), **source.named, **stops.read}
    c.check.click(
        guarded(tour.check), inputs_kwargs=asked, outputs=c.reply, js=DONE, show_progress="minimal", **MODEL_QUEUE,
        **PRIVATE,
    )  # fmt: skip
    return tour
