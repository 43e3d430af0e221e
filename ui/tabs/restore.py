"""Layout and wiring of the tab "Restore"; what its controls do is in `ui.tabs.restore_handlers`."""

from __future__ import annotations

import functools

import gradio as gr
from gradio.events import Dependency

from analysis.koopman.restoration import MAX_STEPS
from analysis.workbench.editing import InpaintRequest
from analysis.workbench.library import ModelLibrary
from ui.components.html import heading
from ui.components.painter import HOLES, canvas, hole
from ui.components.picture_chooser import picture_chooser
from ui.components.plot import seen_script
from ui.components.save_bar import RecipeBinding, save_bar
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import DICE, Source
from ui.tabs.restore_handlers import (  # fmt: skip
    EMPTY,
    FIRST_HOLE,
    METHODS,
    ORIGINS,
    TASKS,
    RestoreTab,
    fill,
    guarded_steps,
    idle,
    of_origin,
    of_task,
    preview,
)

RUN_QUEUE = {"concurrency_id": "restore", "concurrency_limit": 1}  # the model is locked for one step at a time only
INTRO = """<p class="ks-intro">The model fills the hole of a picture, or gives a grey picture colours: noise is added,
taken away in one call, what is known is put back, and again with less noise. Painted (1) is <b>unknown</b> and made up;
everything else (0) is known and stays as it is.</p>
<p class="ks-formula">x ← f(x + σ<sub>n</sub> ε, σ<sub>n</sub>), known part put back, n = 1 … N &nbsp;·&nbsp; f the
Koopman model from σ<sub>n</sub> to the picture &nbsp;·&nbsp; after algorithm 4 of Consistency Models (arXiv
2303.01469)</p>"""


def build_restore(library: ModelLibrary, source: Source, shown_event: Dependency, page: gr.Tab) -> RecipeBinding:
    """Lay the tab out and wire it.

    Args:
        library: the models.
        source: what is looked at.
        shown_event: "another picture is shown".
        page: the tab that this is in.

    Returns:
        How the tab takes up a recipe.
    """
    tab = RestoreTab(library)
    model, seed, label = source.start
    start = tab.picture(model, seed, label, "seed", None)
    first_hole = hole(FIRST_HOLE, len(start))
    gr.HTML(INTRO)
    with gr.Row():
        with gr.Column(scale=4, min_width=300):
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("Picture"))
                origin = gr.Radio(
                    ORIGINS, value="seed", label="Picture", show_label=False, container=False, elem_id="restore-origin"
                )
                with gr.Column(visible=False, min_width=0) as chooser_box:
                    chooser = picture_chooser(library, source.model, source.start[0], "restore")
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("What is unknown"))
                task = gr.Radio(
                    TASKS,
                    value="inpaint",
                    label="What is unknown",
                    show_label=False,
                    container=False,
                    elem_id="restore-task",
                )
                with gr.Column(min_width=0) as hole_box:
                    paper = canvas(start, first_hole, elem_id="restore-canvas", label="Paint what is to be made up")
                    with gr.Row(elem_classes="ks-buttons"):
                        presets = [
                            (name, gr.Button(name.capitalize(), size="sm", min_width=90, elem_id=f"restore-hole-{i}"))
                            for i, name in enumerate(HOLES)
                        ]
                with gr.Column(visible=False, min_width=0) as preview_box:
                    gr.HTML('<p class="ks-line">All colours are unknown; the luma of the picture is kept.</p>')
                    shown = gr.HTML(preview(start, f"seed {seed}"), elem_id="restore-preview")
        with gr.Column(scale=8, min_width=320):
            with gr.Column(elem_classes="ks-panel", min_width=0, elem_id="restore-result"):
                with gr.Row(elem_classes="ks-buttons ks-go"):
                    go = gr.Button("Restore", variant="primary", size="sm", min_width=110, elem_id="restore-go")
                    stop = gr.Button("Cancel", size="sm", min_width=90, interactive=False, elem_id="restore-stop")
                progress = gr.HTML(elem_id="restore-progress")
                pictures = gr.HTML(EMPTY[0], elem_id="restore-pictures")
                numbers = gr.HTML(elem_id="restore-numbers")
                keep = save_bar(elem_id="restore-keep")
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("How"))
                with gr.Row():
                    method = gr.Radio(
                        METHODS, value="iterative", label="Method", elem_id="restore-method", min_width=260,
                        info="at once: both encoded, blended in the latents, decoded",
                    )  # fmt: skip
                    with gr.Column(min_width=220):
                        made_up = gr.Number(
                            InpaintRequest.seed, label="Seed of what is made up", precision=0, elem_id="restore-seed",
                            info="another than the picture's own, or the model may only repeat itself",
                        )  # fmt: skip
                        dice = gr.Button("Another", size="sm", elem_id="restore-dice")
                with gr.Row():
                    steps = gr.Slider(
                        1, MAX_STEPS, InpaintRequest.steps, step=1, label="Steps", buttons=["reset"],
                        info="noise levels, 1 to 40; one network call each", elem_id="restore-steps", min_width=260,
                    )  # fmt: skip
                    tau = gr.Slider(
                        0, 1, InpaintRequest.tau, step=0.01, label="Encoding time τ", buttons=["reset"], visible=False,
                        info="of the known picture: 0 = no noise added, 1 = most", elem_id="restore-tau", min_width=260,
                    )  # fmt: skip
                truth = gr.Checkbox(
                    True, label="The picture is the truth: measure against it", elem_id="restore-truth",
                    info="untick it where what you paint over is a flaw",
                )  # fmt: skip
    mask, now, looked_at = gr.State(first_hole), gr.State(start), gr.Checkbox(visible=False)

    where = [*source.inputs, origin, chooser.picture]
    filled = [
        origin, chooser_box, chooser.picture, chooser.name, task, mask, hole_box, preview_box, method, tau, steps,
        made_up, truth,
    ]  # fmt: skip
    result = [pictures, progress, numbers, keep]
    looked = [now, paper, shown, *result]

    quiet = {"show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    seldom = {"trigger_mode": "multiple", **quiet}
    light = {"queue": False, "trigger_mode": "multiple", "show_progress": "hidden", **PRIVATE}

    def run(event: Dependency) -> None:
        # the wish first: a run that waits in the queue can then be cancelled, too
        started = event.success(guarded(tab.wish), None, None, **light).success(
            guarded_steps(tab.run), [*where, task, mask, steps, method, tau, made_up, truth], [*result, go, stop],
            trigger_mode="once", show_progress="hidden", **RUN_QUEUE, **PRIVATE,
        )  # fmt: skip
        started.then(idle, None, [go, stop], **light)

    def rerun(event: Dependency) -> None:
        run(event.success(guarded(functools.partial(tab.look, True, None)), [*where, mask], looked, **seldom))

    look = guarded(functools.partial(tab.look, True))
    for event in (page.select, origin.input, *(c.success for c in chooser.chosen)):
        event(look, [now, *where, mask], looked, **seldom)
    shown_event.success(
        guarded(tab.look), [looked_at, now, *where, mask], looked, js=seen_script("restore-result"), **seldom
    )
    origin.input(of_origin, origin, chooser_box, **light)
    gr.on([task.input, method.input], of_task, [task, method], [hole_box, preview_box, method, tau, steps], **light)
    for name, button in presets:
        # in the queue of `look`, so that canvas and mask cannot overtake each other
        button.click(guarded(functools.partial(tab.ready_made, name)), now, [mask, paper], **seldom)
    paper.apply(guarded(tab.stroke), now, mask, **seldom)
    dice.click(None, None, made_up, js=DICE, **PRIVATE)
    run(go.click(None, None, None, **PRIVATE))
    stop.click(guarded(tab.cancel), None, None, **light)
    return RecipeBinding(("inpaint", "colorize"), "restore", filled, fill, rerun)
