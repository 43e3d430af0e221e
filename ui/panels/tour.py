"""The guided tour: a slim bar above the tabs that opens each lesson's tab with a preset and checks what the reader did.

The lessons are data, their answers are measured (both in `analysis.guide.lessons`); here they are shown.
"""

from __future__ import annotations

import functools
import html
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import gradio as gr
from gradio.context import Context
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.flow.point_requests import DRAWN, Flow2DRequest
from analysis.flow.points import PointFlows
from analysis.guide import lessons
from analysis.guide.lessons import LESSONS, Lesson, Reply
from analysis.recipes import recipe
from analysis.workbench.images import TrajectoryRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.probes import LinearityRequest
from analysis.workbench.spectrum import MaskRequest
from ui.panels.recipes import RecipeFiller
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import deadline
from ui.source import NO_CLASS, Source, fitting_label, moved, readable, usable_seed
from ui.tabs.flow_points import PER_SETTING, setting_name
from ui.tabs.flow_settings import LETTERS, read_by
from ui.tabs.linearity import consecutive

PATIENCE = 60.0  # seconds for one answer
PROGRESS = gr.Progress()  # Gradio sees it as a default argument and fills in the visitor's own
LABEL = "Take the tour (six lessons, five minutes)"
INTRO = """<div class="ks-lesson" role="status"><p>Six short lessons. Each opens a tab with a preset and asks one
question; you answer by moving something, and the answer is measured at that moment with the models in front of you.
The tour sets model, seed and the controls of its tab.</p></div>"""
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
# the controls that lessons read, by elem_id, in the order of `Tour.check`
READ = (
    "level", "low", "high", "gain-small", "gain-middle", "gain-large", "order", "levels", "steps", "edit-tau",
    "edit-ratio", "edit-bands", "edit-other", "flow-density", "flow-nfe-all", "flow-seed",
)  # fmt: skip
SHARED = ("density", "points", "nfe-all", "grid", "net", "seed")  # of the Flow lab, before those of each setting
PER = ("shown", "path", "sampler", "nfe", "sigma", "gamma1", "gamma2", "gamma3")
assert len(PER) == PER_SETTING
FLOW = (*(f"flow-{n}" for n in SHARED), *(f"flow-{n}-{letter.lower()}" for letter in LETTERS for n in PER))


def lesson_html(number: int, lesson: Lesson) -> str:
    """Progress, words and task of a lesson; `number` counts from 1."""
    dots = "".join(f'<i class="{"ks-now-at" if k == number else ""}"></i>' for k in range(1, len(LESSONS) + 1))
    return (
        f'<div class="ks-lesson" role="status"><p class="ks-steps"><b>{number} of {len(LESSONS)}</b>'
        f'<span aria-hidden="true">{dots}</span></p><h3>{html.escape(lesson.title)}</h3>'
        f"<p>{html.escape(' '.join(lesson.words))}</p>"
        f'<p class="ks-task"><b>Your turn.</b> {html.escape(lesson.task)}</p></div>'
    )


def reply_html(reply: Reply) -> str:
    """A reply; whether it agrees is said by a word and a sign, not by a colour."""
    sign, word = {True: ("✓", "That agrees."), False: ("✗", "Measured otherwise."), None: ("→", "")}[reply.right]
    return (
        f'<p class="ks-verdict" role="status"><b><span aria-hidden="true">{sign}</span> {word}</b> '
        f"{html.escape(reply.text)}</p>"
    )


def flow_values(settings: Sequence[Flow2DRequest] | None) -> list:
    """A lesson's settings as values of the controls `FLOW`; those beyond them are hidden. None changes nothing."""
    if settings is None:
        return [gr.skip()] * len(FLOW)
    first = settings[0]
    values = [first.density, first.points, first.nfe, first.grid, first.net, first.seed]
    for k in range(len(LETTERS)):
        if k >= len(settings):
            values += [False, *[gr.skip()] * (PER_SETTING - 1)]
            continue
        s = settings[k]
        numbers = zip((s.sigma0, s.gamma1, s.gamma2, s.gamma3), read_by(s.path, s.sampler), strict=True)
        values += [True, s.path, s.sampler, s.nfe, *({**seen, "value": v} for v, seen in numbers)]
    return values


class Tour:
    """The handlers; each can be called without a page. A lesson's number counts from 1; 0 is the introduction.

    Args:
        library: the models; lessons are about the default one.
        flows: answers about flows.
    """

    def __init__(self, library: ModelLibrary, flows: PointFlows | None = None):
        self.library, self.flows = library, flows or PointFlows.shared()
        self._asks = itertools.count(1)

    def go(self, by: int, at: int, moves: int | None, *shown) -> tuple:
        """The next or the last lesson: its words, its answer's controls, its tab and its preset.

        Args:
            by: 1 or -1.
            at: number of the lesson that is shown.
            moves: the source bar's count.
            *shown: model, seed, class and level: where they are the lesson's own already, nothing is made anew.

        Returns:
            The bar itself (9 values), tabs, part of a tab, level, `Source.targets`, what is to be filled, by how much
            `moves` grows, a count that grows when flows are to be looked at, and the values of `FLOW`.
        """
        at = int(at) + by
        if not 1 <= at <= len(LESSONS):  # finished, or back at the introduction
            closed = gr.update(open=by < 0)
            bar = (0, INTRO, *self.controls(None), "", gr.update(interactive=False), gr.update(value="Start"), closed)
            return *bar, *[gr.skip()] * 7, None, 0, gr.skip(), *flow_values(None)
        lesson = LESSONS[at - 1]
        last = gr.update(value="Finish the tour" if at == len(LESSONS) else "Next lesson")
        bar = (at, lesson_html(at, lesson), *self.controls(lesson), "", gr.update(interactive=True), last, gr.skip())
        preset = lesson.preset
        part, level, source, pending, grows, ask = gr.skip(), gr.skip(), [gr.skip()] * 4, None, 0, gr.skip()
        flows = preset if isinstance(preset, tuple) else None
        if flows:
            ask = next(self._asks)
        else:
            model = readable(self.library)[0]
            bench = self.library.get(model)
            seed = preset.seeds[0] if isinstance(preset, LinearityRequest) else preset.seed
            bottom = len(bench.spectrum().entries) - 1
            if shown != (model, seed, NO_CLASS, bottom):
                source, level, grows = moved(self.library, model, seed, NO_CLASS), bottom, 1
            if isinstance(preset, LinearityRequest):
                part = gr.update(selected="linear")
            else:
                pending = (int(moves or 0) + grows, recipe.describe(preset, bench).settings)
        tab = gr.update(selected=lesson.tab)
        return *bar, tab, part, level, *source, pending, grows, ask, *flow_values(flows)

    def controls(self, lesson: Lesson | None) -> tuple[dict, dict, dict]:
        """Guess, choice and the button Check, as far as a lesson needs them."""
        asks = "" if lesson is None else lesson.asks
        choices = self.names(lesson.preset) if asks == "flow" else []
        return (
            gr.update(visible=asks == "guess", value=0.5),
            gr.update(visible=bool(choices), choices=[(name, k) for k, name in enumerate(choices)], value=None),
            gr.update(visible=lesson is not None),
        )

    @staticmethod
    def names(settings: Sequence[Flow2DRequest]) -> list[str]:
        """What settings are called in the Flow lab."""
        return [f"{letter}: {setting_name(s)}" for letter, s in zip(LETTERS, settings, strict=False)]

    def check(self, played, mode, at, guess, choice, model, seed, label, progress=PROGRESS, *values) -> str:
        """What was done beside what is measured now.

        Args:
            played: index of the player's level; mode: flat index of the chosen mode. None where there is none.
            at: the lesson's number.
            guess, choice: of the two controls in the bar.
            model, seed, label: what is looked at.
            progress: Gradio's.
            *values: of `READ`.
        """
        if not 1 <= int(at) <= len(LESSONS):
            return ""
        report = deadline(PATIENCE, lambda share, what: progress(share, desc=what))
        lesson = LESSONS[int(at) - 1]
        return reply_html(self.reply(lesson, played, mode, guess, choice, model, seed, label, report, *values))

    def reply(self, lesson, played, mode, guess, choice, model, seed, label, report, *values) -> Reply:
        """`check` of one lesson, not yet on a page."""
        done, preset = dict(zip(READ, values, strict=True)), lesson.preset
        if lesson.asks == "flow":
            if done["flow-density"] == DRAWN:
                raise UserError("The tour knows the named densities only: choose one of them.")
            same = {"density": done["flow-density"], "nfe": done["flow-nfe-all"], "seed": done["flow-seed"] or 0}
            asked = [replace(s, **same) for s in preset]
            return lessons.nearest_flow(self.flows, asked, self.names(asked), choice, report)
        if not usable_seed(seed):
            raise UserError("Type a seed first: a whole number from 0 to 4294967295.")
        bench, label = self.library.get(model), fitting_label(self.library, model, label)
        entries = bench.spectrum().entries
        if lesson.asks == "level":
            return lessons.outline(bench, TrajectoryRequest(seed, label, done["steps"]), played, report)
        if lesson.asks == "guess":
            return lessons.linear(
                bench, replace(preset, seeds=consecutive(seed, len(preset.seeds)), label=label), guess, report
            )
        if lesson.asks == "mode":
            level = min(max(int(done["level"] or 0), 0), len(entries) - 1)
            return lessons.growing_mode(entries[level], mode)
        if lesson.asks == "band":
            edges = (min(done["low"], done["high"]), max(done["low"], done["high"]))
            gains = tuple(done[f"gain-{name}"] for name in ("small", "middle", "large"))
            touched = tuple(i for i in done["levels"] or () if i < len(entries))
            return lessons.missed_least(bench, MaskRequest(seed, label, edges, gains, done["order"], touched))
        if not done["edit-bands"]:
            return Reply("Tick exactly one band first.")
        asked = replace(
            preset, seed=seed, label=label, reference_seed=done["edit-other"], tau=done["edit-tau"],
            bands=tuple(done["edit-bands"]), ratio=round(done["edit-ratio"] / 100, 10),
        )  # fmt: skip
        return lessons.most_detail(bench, asked, report)


def part_of_page(elem_id: str) -> gr.blocks.Block:
    """The component of the page under construction that has this elem_id.

    Raises:
        LookupError: there is none.
    """
    for block in Context.root_block.blocks.values():
        if getattr(block, "elem_id", None) == elem_id:
            return block
    raise LookupError(f"no component {elem_id!r} on this page")


def build_tour(library: ModelLibrary) -> Callable[[Source, gr.Tabs, RecipeFiller, Callable[[Dependency], None]], None]:
    """Lay the bar out, closed.

    Args:
        library: the models.

    Returns:
        A function that wires it, to be called after all tabs and the recipe panel with the source bar, the tabs, what
        `build_recipe_panel` and what `build_flow_lab` return.
    """
    tour = Tour(library)
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
    at, ask = gr.State(0), gr.State(0)
    grows, played, mode = (gr.Number(0, precision=0, visible=False) for _ in range(3))

    def wire(source: Source, tabs: gr.Tabs, filling: RecipeFiller, look_again: Callable[[Dependency], None]) -> None:
        quiet = {"show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
        bar = [at, words, guess, choice, check, reply, back, ahead, box]
        level = part_of_page("level")
        set_up = [tabs, part_of_page("effect-parts"), level, *source.targets, filling.pending, grows, ask]
        outputs = [*bar, *set_up, *map(part_of_page, FLOW)]
        inputs = [at, source.moves, *source.inputs, level]
        for button, by in ((back, -1), (ahead, 1)):
            went = button.click(guarded(functools.partial(tour.go, by)), inputs, outputs, **quiet)
            filling.now(went)  # where the bar does not move
            # one step later, when the bar's new values can be read
            went.success(None, [source.moves, grows], source.moves, js=ADD, **PRIVATE)
            button.click(None, None, None, js=SCROLL, **PRIVATE)
        look_again(ask.change(guarded(lambda: None), None, None, queue=False, show_progress="hidden", **PRIVATE))
        close.click(lambda: gr.update(open=False), None, box, queue=False, show_progress="hidden", **PRIVATE)
        done = [played, mode, at, guess, choice, *source.inputs, *map(part_of_page, READ)]
        check.click(guarded(tour.check), done, reply, js=DONE, show_progress="minimal", **MODEL_QUEUE, **PRIVATE)

    return wire
