"""View "Paint and restore" of "Change": a hole is filled or colours are given by a run that can be cancelled."""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.koopman.restoration import MAX_RESTORATION_STEPS, Stop
from analysis.recipes import recipe
from analysis.workbench.defaults import restoration_defaults
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest, RestoreResult
from ui.components.controls import Controls, chosen
from ui.components.html import heading
from ui.components.layout import empty_html, group, intro
from ui.components.painter import HOLES, canvas, canvas_value, hole, packed, painted, unpacked
from ui.components.picture_chooser import Chooser, fitted, own_value, picture_chooser, picture_of_address
from ui.components.save_bar import RecipeBinding, save_bar, save_value
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import RUN_SECONDS, Latest, Superseded
from ui.source import DICE, BuiltTab, Views, Workspace, fitting_label, made_with, usable_seed
from ui.tabs.change.restore_results import (
    done_line,
    given_picture,
    hole_numbers,
    line,
    measured_words,
    preview,
    progress_line,
    restore_pictures,
)

RUN_QUEUE = {"concurrency_id": "restore", "concurrency_limit": 1}  # the model is locked for one step at a time only
SENTENCE = "Paint over a part of the picture and the model fills it; what is not painted stays as it is."
FORMULA = """x ← f(x + σ<sub>n</sub> ε, σ<sub>n</sub>), known part put back, n = 1 … N &nbsp;·&nbsp; f the Koopman model
from σ<sub>n</sub> to the picture &nbsp;·&nbsp; after algorithm 4 of Consistency Models (arXiv 2303.01469)"""
TASK_CHOICES = (("fill a hole", "inpaint"), ("give colours", "colorize"))
RESTORE_ORIGINS = (("your seed's", "seed"), ("another picture", "picture"))
BY_CHOICES = (("this model", "model"), ("its teacher", "teacher"))
MOST_END = 2.0  # last noise level that the slider has
METHOD_CHOICES = (("step by step", "iterative"), ("at once, in latent space", "latent"))
FIRST_HOLE = "centre square"
GO = "go"
ASK = empty_html("Every step is shown here.", ("Restore", "restore-go"), at_once="restore-at-once")


@dataclass(frozen=True)
class RestoreControls(Controls):
    """Components of the tab.

    `mask` is the hole, `now` the picture that the page shows, `owner` the model that it was shown
    for; boxes are what is shown or hidden as a whole.
    """

    origin: gr.Radio
    chooser_box: gr.Column
    brought: gr.State
    photo: gr.Dropdown
    own: gr.HTML
    task: gr.Radio
    hole_box: gr.Column
    canvas: gr.HTML
    holes: tuple[tuple[str, gr.Button], ...]
    preview_box: gr.Column
    preview: gr.HTML
    start: gr.Button
    stop: gr.Button
    at_once: gr.Button
    progress: gr.HTML
    pictures: gr.HTML
    numbers: gr.HTML
    save: gr.HTML
    note: gr.HTML
    method: gr.Radio
    by: gr.Radio
    end: gr.Slider
    skip: gr.Checkbox
    measured: gr.Button
    filling_seed: gr.Number
    dice: gr.Button
    steps: gr.Slider
    tau: gr.Slider
    truth: gr.Checkbox
    mask: gr.State
    now: gr.State
    owner: gr.State


LOOP = ("steps", "end", "skip")
QUESTION = ("origin", "brought", "task", "mask", *LOOP, "by", "method", "tau", "filling_seed", "truth")
RESULT = ("pictures", "progress", "numbers", "save")
LOOKED = ("now", "owner", "canvas", "preview", *RESULT)
TASK_PARTS = ("hole_box", "preview_box", "method", "tau", *LOOP, "by", "measured")
FILLED = (*QUESTION, "measured", "photo", "own", "chooser_box", "hole_box", "preview_box")


class RestoreTab:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the tab, or their names.
        patience: seconds that a run may take.
    """

    def __init__(self, library: ModelLibrary, controls: RestoreControls, patience: float = RUN_SECONDS):
        self.library, self.controls, self.patience = library, controls, patience
        self.latest = Latest()

    def picture(self, model: str, seed: int, label: int, origin: str, brought: np.ndarray) -> np.ndarray:
        """The picture to restore, uint8 (side, side, 3)."""
        if origin == "picture":
            return fitted(brought, self.library.get(model).side)
        request = GenerateRequest((seed,), fitting_label(self.library.get(model), label))
        return self.library.get(model).generate(request).pictures[0]

    def look(self, now, owner, model, seed, label, origin, brought, mask) -> dict:
        """Another picture or another model, maybe: canvas, preview, and an empty result.

        Args:
            now: the picture that the page shows, None at first.
            owner: the model that it was shown for.
            model, seed, label: of the source bar.
            origin: "seed" or "picture".
            brought: the photograph or upload.
            mask: the hole.
        """
        if origin == "seed" and not usable_seed(seed):
            return gr.skip()
        picture = self.picture(model, seed, label, origin, brought)
        if now is not None and owner == model and np.array_equal(picture, now):
            return gr.skip()
        title = f"seed {seed}" if origin == "seed" else "your choice"
        c = self.controls
        return {
            c.now: picture,
            c.owner: model,
            c.canvas: canvas_value(picture, None if mask is None else fitted(mask, len(picture))),
            c.preview: preview(picture, title),
            **self.empty(),
        }

    def look_and_wish(self, visitor: gr.Request, **values) -> dict:
        """A recipe's picture, and the wish for its run; arguments as `look`, without `now`."""
        self.wish(visitor)
        return self.look(None, **values)

    def empty(self) -> dict:
        """No result."""
        c = self.controls
        return {c.pictures: ASK, c.progress: "", c.numbers: "", c.save: ""}

    def ready_made(self, name: str, now: np.ndarray) -> dict:
        """One of the ready-made holes: mask and canvas."""
        mask = hole(name, len(now))
        return {self.controls.mask: mask, self.controls.canvas: canvas_value(now, mask)}

    def stroke(self, event: gr.EventData, now: np.ndarray) -> dict:
        """A stroke on the canvas: the mask."""
        return {self.controls.mask: painted(event, len(now))}

    # -----------------------------------------------------------------------------------------------------------------
    # The run

    def request(
        self, model, seed, label, origin, brought, task, mask, steps, end, skip, by, method, tau, filling_seed, truth
    ) -> InpaintRequest | ColorizeRequest:
        """What the controls ask for.

        Raises:
            UserError: no hole, or a value out of range.
        """
        picture = self.picture(model, seed, label, origin, brought)
        label = fitting_label(self.library.get(model), label)
        if task == "colorize":
            return ColorizeRequest(picture, filling_seed, label, steps, truth, end, skip, by)
        if mask is None:
            raise UserError("Nothing is painted: paint over what is unknown, or take a ready-made hole.", "mask")
        by = "model" if method == "latent" else by
        return InpaintRequest(
            picture, fitted(mask, len(picture)), filling_seed, label, steps, method, tau, truth, end, skip, by
        )

    def wish(self, request: gr.Request) -> None:
        """The visitor wants a run; noted ahead of the queue, so that it can be cancelled while it waits."""
        self.latest.wish(request.session_hash, GO)

    def cancel(self, request: gr.Request) -> None:
        """The visitor wants no run any more: it ends after its step, and what was made stays."""
        self.latest.wish(request.session_hash, "")

    def _wanted(self, visitor: gr.Request) -> bool:
        try:
            self.latest.check(visitor.session_hash, GO)
        except Superseded:
            return False
        return True

    def run(self, visitor: gr.Request, **values) -> Iterator[dict]:
        """The result as it grows: pictures, progress, numbers, what can be saved, the two buttons.

        Args:
            visitor: whose run it is.
            **values: as in `request`.
        """
        c = self.controls
        if not self._wanted(visitor):
            yield {c.progress: line("Cancelled before it began."), **self.buttons()}
            return
        bench = self.library.get(values["model"])
        request, task = self.request(**values), values["task"]
        steps = 1 if task == "inpaint" and request.method == "latent" else request.steps
        known = request.picture if request.truth else None
        given = given_picture(request)
        mine = {"seed": values["seed"]} if values["origin"] == "seed" else {"seed": None, "seeds": "your picture"}
        made = made_with(bench, label=values["label"], **mine)
        working = {c.numbers: "", c.save: "", **self.buttons(running=True)}
        yield {
            c.pictures: restore_pictures(given, given, known, task, made, request.by),
            c.progress: progress_line(0, steps), **working,
        }  # fmt: skip
        result = None
        for step in self._steps(getattr(bench, task), request, visitor):
            if isinstance(step, RestoreResult):
                result = step
                break
            share, picture = step
            yield {
                c.pictures: restore_pictures(given, picture, known, task, made, request.by),
                c.progress: progress_line(round(share * steps), steps), **working,
            }  # fmt: skip
        name = f"{bench.name}-{task}-seed{request.seed}"
        saved = "" if result.stopped else save_value(result.picture, recipe.describe(request, bench), name)
        yield {
            c.pictures: restore_pictures(result.given, result.picture, known, task, made, request.by, f"{name}.png"),
            c.progress: done_line(result, steps),
            c.numbers: made.within(hole_numbers(result, task)),
            c.save: saved,
            **self.buttons(),
        }

    def _steps(self, answer: Callable, request, visitor: gr.Request) -> Iterator[tuple | RestoreResult]:
        """(share done, picture) of every step, and the result at the end.

        In a thread of its own, since the Workbench tells its steps by a callback and Gradio wants them from a
        generator. When the page is left, the thread ends after its step.
        """
        messages: queue.SimpleQueue = queue.SimpleQueue()
        leave, end = threading.Event(), time.monotonic() + self.patience

        def progress(share: float, picture: np.ndarray) -> None:
            messages.put((share, picture))
            if leave.is_set() or time.monotonic() > end or not self._wanted(visitor):
                raise Stop

        def work() -> None:
            try:
                messages.put(answer(request, progress))
            except Exception as e:  # raised again in the visitor's own thread
                messages.put(e)

        threading.Thread(target=work, daemon=True).start()
        try:
            while True:
                message = messages.get()
                if isinstance(message, Exception):
                    raise message
                yield message
        finally:
            leave.set()

    def buttons(self, running: bool = False) -> dict:
        """The two buttons, while a run goes on or when nothing runs, however it ended."""
        c = self.controls
        return {c.start: gr.update(interactive=not running), c.stop: gr.update(interactive=running)}

    # -----------------------------------------------------------------------------------------------------------------
    # Controls

    def of_task(self, task: str, method: str) -> dict:
        """Which controls are there: hole, preview instead of it, method, encoding time, those of the steps."""
        filling = task == "inpaint"
        latent = filling and method == "latent"
        there = (filling, not filling, filling, latent, *(not latent for _ in TASK_PARTS[4:]))
        parts = self.controls.named(*TASK_PARTS).values()
        return {part: gr.update(visible=on) for part, on in zip(parts, there, strict=True)}

    def of_origin(self, origin: str) -> dict:
        """Whether a picture is to be chosen."""
        return {self.controls.chooser_box: gr.update(visible=origin == "picture")}

    def note(self, model: str, task: str) -> dict:
        """What was measured of this model's restorations."""
        return {self.controls.note: measured_words(self.library.get(model), task)}

    def best(self, model: str, task: str) -> dict:
        """Steps, last level and skip that were measured to be best for this model."""
        chosen_ones = restoration_defaults(self.library.get(model), task)
        return {part: chosen_ones[name] for name, part in self.controls.named(*LOOP).items()}

    def fill(self, request: InpaintRequest | ColorizeRequest) -> dict:
        """A restoration as values of the controls. Raises UserError: what the tab has no control for."""
        if request.end > MOST_END:
            raise UserError(
                f"This restoration ends above σ = {MOST_END:g}, which the tab cannot show: ask /recipe.", "recipe"
            )
        c, filling = self.controls, isinstance(request, InpaintRequest)
        task, method = ("inpaint", request.method) if filling else ("colorize", "iterative")
        there = self.of_task(task, method)
        values = {
            **there, **self.of_origin("picture"), c.origin: "picture", c.brought: request.picture, c.photo: None,
            c.own: own_value(request.picture), c.task: task, c.method: there[c.method] | {"value": method},
            **{part: there[part] | {"value": getattr(request, name)} for name, part in c.named(*LOOP, "by").items()},
            c.filling_seed: request.seed, c.truth: request.truth,
        }  # fmt: skip
        if filling:
            values |= {c.mask: request.mask, c.tau: there[c.tau] | {"value": request.tau}}
        return values


# ---------------------------------------------------------------------------------------------------------------------
# The page


def _picture_controls(work: Workspace) -> dict:
    """Which picture, what of it is unknown, and the two buttons."""
    parts: dict = {}
    with group():
        gr.HTML(heading("Picture"))
        parts["origin"] = gr.Radio(
            RESTORE_ORIGINS, value="seed", label="Picture", show_label=False, container=False, elem_id="restore-origin"
        )
        with gr.Column(visible=False, min_width=0) as parts["chooser_box"]:
            parts["chooser"] = picture_chooser(work.library, work.source.model, work.source.start[0], "restore")
    with group():
        gr.HTML(heading("What is unknown"))
        parts["task"] = gr.Radio(
            TASK_CHOICES,
            value="inpaint",
            label="What is unknown",
            show_label=False,
            container=False,
            elem_id="restore-task",
        )
        with gr.Row(elem_classes="ks-buttons ks-go"):
            parts["start"] = gr.Button("Restore", variant="primary", size="md", min_width=110, elem_id="restore-go")
            parts["stop"] = gr.Button("Cancel", size="md", min_width=90, interactive=False, elem_id="restore-stop")
        parts["at_once"] = gr.Button(visible="hidden", elem_id="restore-at-once")  # pressed by a card of the first view
    return parts


def _canvas_and_result(start: np.ndarray, first_hole: np.ndarray, title: str) -> dict:
    """The canvas with its ready-made holes, or the picture whose colours are unknown; beside it the result."""
    parts: dict = {}
    with gr.Row(elem_classes="ks-pair", elem_id="restore-result", equal_height=False):
        with gr.Column(min_width=0):
            with gr.Column(min_width=0) as parts["hole_box"]:
                gr.HTML(heading("Paint what is unknown", "with the mouse, or with arrow keys and space"))
                parts["canvas"] = canvas(
                    start, first_hole, elem_id="restore-canvas", label="Paint over what is unknown"
                )
                with gr.Row(elem_classes="ks-buttons"):
                    parts["holes"] = tuple(
                        (name, gr.Button(name.capitalize(), size="sm", min_width=90, elem_id=f"restore-hole-{i}"))
                        for i, name in enumerate(HOLES)
                    )
            with gr.Column(visible=False, min_width=0) as parts["preview_box"]:
                gr.HTML(heading("All colours are unknown", "the brightness of the picture is kept"))
                parts["preview"] = gr.HTML(preview(start, title), elem_id="restore-preview")
        with gr.Column(min_width=0):
            gr.HTML(heading("Restored"))
            parts["progress"] = gr.HTML(elem_id="restore-progress")
            parts["pictures"] = gr.HTML(ASK, elem_id="restore-pictures", elem_classes="ks-shown ks-result")
    return parts


def _method_controls(first: Mapping[str, Any]) -> dict:
    """How it is restored, to begin with as was measured to be best."""
    parts: dict = {}
    with group():
        gr.HTML(heading("How"))
        parts["method"] = gr.Radio(
            METHOD_CHOICES, value="iterative", label="Method", elem_id="restore-method",
            info="at once: both encoded, blended in the latents, decoded",
        )  # fmt: skip
        parts["steps"] = gr.Slider(
            1, MAX_RESTORATION_STEPS, first["steps"], step=1, label="Steps", buttons=["reset"],
            info="noise levels, 1 to 40; one network call each", elem_id="restore-steps",
        )  # fmt: skip
        parts["end"] = gr.Slider(
            0, MOST_END, first["end"], step=0.05, label="Last noise level σ", buttons=["reset"],
            info="0 = to the end, as published; higher stops where the model still draws", elem_id="restore-end",
        )  # fmt: skip
        parts["skip"] = gr.Checkbox(
            first["skip"], label="Hold the map still at small noise", elem_id="restore-skip",
            info="by as much as it moves the known part",
        )  # fmt: skip
        parts["measured"] = gr.Button(
            "Steps as measured best", size="sm", elem_id="restore-measured", min_width=140
        )  # fmt: skip
        parts["by"] = gr.Radio(
            BY_CHOICES, value="model", label="Restored by", elem_id="restore-by",
            info="the teacher takes the same steps with its denoiser: the strongest control",
        )  # fmt: skip
        parts["tau"] = gr.Slider(
            0, 1, InpaintRequest.tau, step=0.01, label="Encoding time τ", buttons=["reset"], visible=False,
            info="of the known picture: 0 = no noise added, 1 = most", elem_id="restore-tau",
        )  # fmt: skip
        with gr.Row(elem_classes="ks-two"):
            parts["filling_seed"] = gr.Number(
                InpaintRequest.seed, label="Seed for the filling", precision=0, elem_id="restore-seed", min_width=150,
                info="another than the picture's own, or the model may only repeat itself",
            )  # fmt: skip
            parts["dice"] = gr.Button("Another", size="sm", elem_id="restore-dice", min_width=70)
        parts["truth"] = gr.Checkbox(
            True, label="The picture is the truth: measure against it", elem_id="restore-truth",
            info="untick it where what you paint over is a flaw",
        )  # fmt: skip
    return parts


def build_restore(work: Workspace, views: Views) -> BuiltTab:
    """Lay the tab out and wire it."""
    model, seed, label = work.source.start
    early = RestoreTab(work.library, RestoreControls.names())
    start = early.picture(model, seed, label, "seed", None)
    first_hole = hole(FIRST_HOLE, len(start))
    with views.frame.controls:
        intro(SENTENCE, FORMULA)
        measured = restoration_defaults(work.library.get(model), "inpaint")
        parts = _picture_controls(work) | _method_controls(measured)
    with views.frame.stage:
        parts |= _canvas_and_result(start, first_hole, f"seed {seed}")
    with views.frame.readings, group():
        parts["numbers"] = gr.HTML(elem_id="restore-numbers", elem_classes="ks-result")
        parts["note"] = gr.HTML(measured_words(work.library.get(model), "inpaint"), elem_id="restore-note")
        parts["save"] = save_bar(elem_id="restore-keep")
    chooser = parts.pop("chooser")
    c = RestoreControls(
        **parts, brought=chooser.picture, photo=chooser.name, own=chooser.own, mask=gr.State(first_hole),
        now=gr.State(start), owner=gr.State(model),
    )  # fmt: skip
    tab = RestoreTab(work.library, c, work.bounded(RUN_SECONDS))
    rerun = _wire(tab, work, views.opened["restore"], chooser)

    def settle(asked: Mapping[str, str], out: Mapping) -> dict:
        told = {c.task.elem_id, c.method.elem_id} & asked.keys()
        shown = tab.of_task(chosen(c.task, out), chosen(c.method, out)) if told else {}
        if (text := asked.get(c.canvas.elem_id)) is not None:
            shown |= {c.mask: unpacked(text), c.now: None}  # the canvas is drawn as soon as the view is looked at
        side = work.library.get(chosen(work.source.model, out)).side
        brought = picture_of_address(asked, side, c.brought, c.photo, c.own)
        shown |= {c.origin: "seed"} if brought is None else brought
        if brought is None or c.origin in out:
            shown |= tab.of_origin(chosen(c.origin, {**out, **shown}))
        return shown

    binding = RecipeBinding(("inpaint", "colorize"), "restore", c.listed(*FILLED), tab.fill, rerun)
    settled = c.listed(*TASK_PARTS, "mask", "now", "brought", "own", "chooser_box")
    return BuiltTab(c, binding, settle, settled, {c.canvas.elem_id: packed(first_hole)})


def _wire(tab: RestoreTab, work: Workspace, opened: Callable, chooser: Chooser) -> Callable[[Dependency], None]:
    """Connect the handlers; gives what restores after an event that set the controls."""
    c, source = tab.controls, work.source
    seldom = {"trigger_mode": "multiple", "show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    light = {"queue": False, "trigger_mode": "multiple", "show_progress": "hidden", **PRIVATE}
    where = {**source.named, **c.named("origin", "brought", "mask")}
    pair, looked = c.listed("start", "stop"), c.listed(*LOOKED)

    def run(wished: Dependency) -> None:
        # the wish first: a run that waits in the queue can then be cancelled, too
        started = wished.success(
            guarded(tab.run), inputs_kwargs={**source.named, **c.named(*QUESTION)}, outputs=[*c.listed(*RESULT), *pair],
            trigger_mode="once", show_progress="hidden", **RUN_QUEUE, **PRIVATE,
        )  # fmt: skip
        started.then(tab.buttons, None, pair, **light)

    first = {
        "fn": guarded(tab.look_and_wish),
        "inputs_kwargs": {**c.named("owner"), **where},
        "outputs": looked,
        **seldom,
    }

    def rerun(event: Dependency) -> None:
        run(event.success(**first))

    looking = {"inputs_kwargs": {**c.named("now", "owner"), **where}, "outputs": looked, **seldom}
    for event in (opened, c.origin.input, *(e.success for e in chooser.chosen)):
        event(guarded(tab.look), **looking)
    c.origin.input(tab.of_origin, c.origin, c.chooser_box, **light)
    gr.on([c.task.input, c.method.input], tab.of_task, [c.task, c.method], c.listed(*TASK_PARTS), **light)
    told = {"inputs_kwargs": {"model": source.model, **c.named("task")}, **seldom}
    for event in (opened, c.task.input):
        event(guarded(tab.note), outputs=[c.note], **told)
    c.measured.click(guarded(tab.best), outputs=c.listed(*LOOP), **told)
    for name, button in c.holes:
        # in the queue of `look`, so that canvas and mask cannot overtake each other
        button.click(guarded(functools.partial(tab.ready_made, name)), c.now, [c.mask, c.canvas], **seldom)
    c.canvas.apply(guarded(tab.stroke), c.now, c.mask, **seldom)
    c.dice.click(None, None, c.filling_seed, js=DICE, **PRIVATE)
    run(c.start.click(guarded(tab.wish), None, None, **light))
    run(c.at_once.click(**first))
    c.stop.click(guarded(tab.cancel), None, None, **light)
    return rerun
