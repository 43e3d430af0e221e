"""Layout and wiring of the tab "Edit"; what its controls do is in `ui.tabs.edit_handlers`."""

from __future__ import annotations

import functools

import gradio as gr
from gradio.events import Dependency

from analysis.workbench.library import ModelLibrary
from ui.components.html import heading
from ui.components.painter import canvas
from ui.components.picture_chooser import picture_chooser
from ui.components.plot import seen_script
from ui.components.save_bar import RecipeBinding, save_bar
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import DICE, NO_CLASS, Source, class_choices
from ui.tabs import edit_history
from ui.tabs.edit_handlers import (
    DEFAULT,
    EDIT_PLACEHOLDER,
    ENCODINGS,
    HIGH,
    LOW,
    REFERENCES,
    REGIONS,
    EditTab,
    band_choices,
    defaults,
    fill,
    history_strip,
    of_reference,
)
from ui.tabs.edit_history import History

INTRO = """<p class="ks-intro">Some modes of a <b>reference</b> are mixed into the picture of your seed, in a part of
it. The control mixes <b>all</b> modes at the same ratio and place: only beside it can be seen what choosing bands
does.</p>
<p class="ks-formula">z′ = z + r G M (z<sub>r</sub> − z) &nbsp;·&nbsp; r ratio, G region, M chosen bands, in the control
M = 1 &nbsp;·&nbsp; z<sub>r</sub> the reference, encoded at the edit time τ &nbsp;·&nbsp; x′ = D( e<sup>−τA</sup> z′
)</p>"""


def build_edit(library: ModelLibrary, source: Source, shown_event: Dependency, page: gr.Tab) -> RecipeBinding:
    """Lay the tab out and wire it; nothing is computed before it is opened.

    Args:
        library: the models.
        source: what is looked at.
        shown_event: "another picture is shown".
        page: the tab that this is in.

    Returns:
        How the tab takes up a recipe.
    """
    edit = EditTab(library)
    model, seed, label = source.start
    classes = class_choices(library, model)
    gr.HTML(INTRO)
    with gr.Row():
        with gr.Column(scale=4, min_width=300):
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("Reference", "what is brought in"))
                reference = gr.Radio(
                    REFERENCES,
                    value="seed",
                    label="Reference",
                    show_label=False,
                    container=False,
                    elem_id="edit-reference",
                )
                with gr.Row():
                    with gr.Column(min_width=120) as number_box:
                        other = gr.Number(
                            DEFAULT.reference_seed,
                            label="Reference seed",
                            info="picks its noise",
                            precision=0,
                            elem_id="edit-other",
                        )
                        dice = gr.Button("Another", size="sm", elem_id="edit-dice")
                    other_label = gr.Dropdown(
                        classes, value=NO_CLASS, label="Its class", info="of the reference", visible=len(classes) > 1,
                        filterable=False, elem_id="edit-other-label", min_width=120,
                    )  # fmt: skip
                with gr.Column(visible=False, min_width=0) as chooser_box:
                    chooser = picture_chooser(library, source.model, source.start[0], "edit")
                encoding = gr.Radio(
                    ENCODINGS, value="noise", label="Encoded", elem_id="edit-encoding",
                    info="how the reference gets to the edit time; on its own path the time cannot matter",
                )  # fmt: skip
                tau = gr.Slider(
                    0, 1, DEFAULT.tau, step=0.01, label="Edit time τ", info="0 = picture, 1 = noise, 0.5 = midpoint",
                    buttons=["reset"], elem_id="edit-tau",
                )  # fmt: skip
                sigma = gr.HTML(elem_id="edit-sigma")
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("What is mixed", "pictures follow at once"))
                ratio = gr.Slider(
                    0, 100, 100 * DEFAULT.ratio, step=1, label="Mixing ratio, %", buttons=["reset"],
                    info="0 = original, 100 = reference", elem_id="edit-ratio",
                )  # fmt: skip
                bands = gr.CheckboxGroup(
                    band_choices("alpha"), value=list(DEFAULT.bands), label="Bands", elem_id="edit-bands",
                    info="of all modes by rank of α within each level",
                )  # fmt: skip
                edges = [
                    gr.Slider(
                        0, 1, value, step=0.01, label=f"{name} edge", info="share of modes below", buttons=["reset"],
                        elem_id=f"edit-edge-{i}",
                    )
                    for i, (name, value) in enumerate((("First", LOW), ("Second", HIGH)))
                ]  # fmt: skip
                with gr.Row():
                    order = gr.Radio(
                        [("signed α", "alpha"), ("size |α|", "abs")], value="alpha", label="Order of modes",
                        info="what bands are cut from", elem_id="edit-order", min_width=180, scale=3,
                    )  # fmt: skip
                    noise_seed = gr.Number(
                        DEFAULT.noise_seed, label="Seed of added noise", info="0 to 4294967295", precision=0,
                        elem_id="edit-noise", min_width=120, scale=2,
                    )  # fmt: skip
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("Where"))
                region = gr.Radio(
                    REGIONS,
                    value=DEFAULT.region,
                    label="Where",
                    show_label=False,
                    container=False,
                    elem_id="edit-region",
                )
                with gr.Column(visible=False, min_width=0) as canvas_box:
                    paper = canvas(
                        edit.original(model, seed, label),
                        elem_id="edit-canvas",
                        label="Paint where the reference comes in",
                    )
        with gr.Column(scale=8, min_width=320, elem_classes="ks-results"):
            with gr.Column(elem_classes="ks-panel", min_width=0, elem_id="edit-result"):
                hint = gr.HTML(elem_id="edit-hint")
                pictures = gr.HTML(EDIT_PLACEHOLDER, elem_id="edit-pictures")
                numbers = gr.HTML(elem_id="edit-numbers")
                keep = save_bar(elem_id="edit-keep")
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("Edits of this visit", "click one to go back to it"))
                with gr.Row(elem_classes="ks-buttons"):
                    undo = gr.Button("↶ Undo", size="sm", min_width=80, interactive=False, elem_id="edit-undo")
                    redo = gr.Button("↷ Redo", size="sm", min_width=80, interactive=False, elem_id="edit-redo")
                    reset = gr.Button("Reset all", size="sm", min_width=80, elem_id="edit-reset")
                strip = history_strip(elem_id="edit-history")
    mask, past, last = gr.State(None), gr.State(History()), gr.State(("", 0.0))
    looked_at = gr.Checkbox(visible=False)

    values = [
        *source.inputs, reference, other, other_label, chooser.picture, encoding, noise_seed, tau, *edges, bands, order,
        ratio, region, mask,
    ]  # fmt: skip
    shown = [pictures, numbers, sigma, keep, hint]
    recorded = [*shown, past, last, strip, undo, redo]
    wanted = [past, last, *values]
    filled = [
        reference, other, number_box, other_label, chooser_box, chooser.picture, chooser.name, encoding, noise_seed,
        tau, *edges, bands, order, ratio, region, mask, canvas_box,
    ]  # fmt: skip
    drawn = [*source.inputs, region, mask]

    quiet = {"show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    seldom = {"trigger_mode": "multiple", **quiet}
    light = {"queue": False, "trigger_mode": "multiple", "show_progress": "hidden", **PRIVATE}

    def rerun(event: Dependency) -> None:
        event.success(guarded(edit.edited), wanted, recorded, **seldom).success(
            guarded(edit.paper), drawn, paper, **seldom
        )

    # `release` alone would miss the keyboard and `input` alone the reset button; of all that wait, the last is answered
    sliders = [tau, *edges, ratio]
    moved = [c.input for c in (reference, other, other_label, encoding, noise_seed, bands, order, region, *sliders)]
    gr.on(
        [*moved, *(s.release for s in sliders)],
        guarded(edit.edited),
        wanted,
        recorded,
        trigger_mode="always_last",
        **quiet,
    )
    reference.input(guarded(of_reference), reference, [other, number_box, chooser_box, encoding], **light)
    order.input(guarded(lambda name: gr.update(choices=band_choices(name))), order, bands, **light)
    region.input(guarded(lambda name: gr.update(visible=name == "painted")), region, canvas_box, **light)
    region.input(guarded(edit.paper), drawn, paper, **seldom)
    paper.apply(guarded(edit.stroke), wanted, [mask, *recorded], trigger_mode="always_last", **quiet)
    for event in (*chooser.chosen, dice.click(None, None, other, js=DICE, **PRIVATE)):
        event.success(guarded(edit.edited), wanted, recorded, **seldom)
    gr.on(source.another_model, guarded(edit.classes), source.model, other_label, **seldom)
    followed = shown_event.success(
        guarded(edit.follow), [looked_at, *wanted], recorded, js=seen_script("edit-result"), **seldom
    )
    for event in (followed, page.select(guarded(edit.edited), wanted, recorded, **seldom)):
        event.success(guarded(edit.paper), drawn, paper, **seldom)
    rerun(reset.click(guarded(defaults), None, filled, **seldom))
    stepped = [past, strip, undo, redo, source.seed, source.label, *filled]
    # in the queue of the edits, which write the history, too
    for event in (
        undo.click(guarded(functools.partial(edit.step, edit_history.undo)), past, stepped, **seldom),
        redo.click(guarded(functools.partial(edit.step, edit_history.redo)), past, stepped, **seldom),
        strip.select(guarded(edit.back_to), past, stepped, **seldom),
    ):
        event.success(guarded(edit.show), values, shown, **seldom).success(guarded(edit.paper), drawn, paper, **seldom)
    return RecipeBinding(("edit",), "edit", filled, fill, rerun)
