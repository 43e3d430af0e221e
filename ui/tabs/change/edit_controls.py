"""The controls of view "Mix": what they are, their first values, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
import numpy as np

from analysis.core.fields import HIGH_EDGE, LOW_EDGE
from analysis.workbench.editing import EditRequest
from analysis.workbench.library import ModelInfo
from ui.components.bands import long_names
from ui.components.controls import Controls
from ui.components.history import history_strip
from ui.components.html import GLYPHS, heading
from ui.components.layout import group
from ui.components.painter import canvas
from ui.components.picture_chooser import picture_chooser
from ui.components.plot import plot
from ui.components.save_bar import save_bar
from ui.source import NO_CLASS, Workspace, class_choices

# an edit that is seen at once, everywhere and whole; bands and time are the model's own, as its card has measured them
DEFAULT = EditRequest(0, reference_seed=3, ratio=1.0, region="whole")
REGION_CHOICES = (
    ("whole picture", "whole"),
    ("lower half", "lower-half"),
    ("lower-left triangle", "lower-left-triangle"),
    ("lower-left quarter", "lower-left-quadrant"),
    ("painted", "painted"),
)
REFERENCE_CHOICES = (("another seed", "seed"), ("a drawn scene", "scene"), ("a picture", "picture"))
ENCODING_CHOICES = (
    ("with added noise", "noise"), ("inverted by the teacher", "inversion"), ("teacher's state", "ode"),
    ("its own path", "latent"),
)  # fmt: skip
OF_PICTURES = ("noise", "inversion")  # encodings of a reference that has no trajectory
EDIT_PLACEHOLDER = '<p class="ks-line">The first edit appears in a moment.</p>'


@dataclass(frozen=True)
class EditControls(Controls):
    """Components of the tab.

    `mask` is what is painted, `past` the history, `last` the setting that was moved last and when, `known` the
    model that is shown; boxes are what is shown or hidden as a whole.
    """

    reference: gr.Radio
    number_box: gr.Column
    other: gr.Number
    dice: gr.Button
    other_label: gr.Dropdown
    chooser_box: gr.Column
    picture: gr.State
    photo: gr.Dropdown
    own: gr.HTML
    encoding: gr.Radio
    tau: gr.Slider
    sigma: gr.HTML
    ratio: gr.Slider
    bands: gr.CheckboxGroup
    low: gr.Slider
    high: gr.Slider
    order: gr.Radio
    noise_seed: gr.Number
    levels: gr.CheckboxGroup
    region: gr.Radio
    feather: gr.Slider
    canvas_box: gr.Column
    canvas: gr.HTML
    hint: gr.HTML
    pictures: gr.HTML
    numbers: gr.HTML
    draw: gr.Button
    trade_off: gr.HTML
    save: gr.HTML
    undo: gr.Button
    redo: gr.Button
    reset: gr.Button
    strip: gr.HTML
    mask: gr.State
    past: gr.State
    last: gr.State
    known: gr.State


SETTING = (  # what an edit is made of, beside model, seed and class
    "reference", "other", "other_label", "picture", "encoding", "noise_seed", "tau", "low", "high", "bands", "order",
    "ratio", "region", "mask", "levels", "feather",
)  # fmt: skip
SHOWN = ("pictures", "numbers", "trade_off", "sigma", "save", "hint")
PAST = ("past", "strip", "undo", "redo")
FILLED = (*SETTING, "number_box", "chooser_box", "photo", "own", "canvas_box")


def band_choices(info: ModelInfo, order: str) -> list[tuple[str, int]]:
    """The three bands of a model by name."""
    return [(f"{GLYPHS[b]} {name}", b) for b, name in enumerate(long_names(info, order))]


def reference_panel(work: Workspace) -> dict:
    """What is brought in, and at which time."""
    parts: dict = {}
    library, source = work.library, work.source
    classes = class_choices(library, source.start[0])
    gr.HTML(heading("Reference", "what is brought in"))
    parts["reference"] = gr.Radio(
        REFERENCE_CHOICES, value="seed", label="Reference", show_label=False, container=False, elem_id="edit-reference"
    )
    with gr.Row(elem_classes="ks-two ks-level-top"):
        with gr.Column(min_width=100) as parts["number_box"]:
            parts["other"] = gr.Number(
                DEFAULT.reference_seed, label="Reference seed", info="picks its noise", precision=0,
                elem_id="edit-other",
            )  # fmt: skip
            parts["dice"] = gr.Button("Another", size="sm", elem_id="edit-dice")
        parts["other_label"] = gr.Dropdown(
            classes, value=NO_CLASS, label="Its class", info="of the reference", visible=len(classes) > 1,
            filterable=False, elem_id="edit-other-label", min_width=120,
        )  # fmt: skip
    with gr.Column(visible=False, min_width=0) as parts["chooser_box"]:
        parts["chooser"] = picture_chooser(library, source.model, source.start[0], "edit")
    parts["encoding"] = gr.Radio(
        ENCODING_CHOICES, value="noise", label="How the reference is read", elem_id="edit-encoding",
        info="at the edit time; on its own path the time cannot matter",
    )  # fmt: skip
    parts["tau"] = gr.Slider(
        0, 1, DEFAULT.tau, step=0.01, label="Edit time τ", info="0 = picture, 1 = noise, 0.5 = midpoint",
        buttons=["reset"], elem_id="edit-tau",
    )  # fmt: skip
    parts["sigma"] = gr.HTML(elem_id="edit-sigma")
    return parts


def mixing_panel(levels: list[tuple[str, int]], info: ModelInfo) -> dict:
    """How much of which bands."""
    parts: dict = {}
    gr.HTML(heading("What is mixed", "pictures follow at once"))
    parts["ratio"] = gr.Slider(
        0, 100, 100 * DEFAULT.ratio, step=1, label="Mixing ratio, %", buttons=["reset"],
        info="0 = original, 100 = reference", elem_id="edit-ratio",
    )  # fmt: skip
    parts["bands"] = gr.CheckboxGroup(
        band_choices(info, "alpha"), value=list(DEFAULT.bands), label="Bands", elem_id="edit-bands",
        info="of all modes by rank of α within each level",
    )  # fmt: skip
    parts["levels"] = gr.CheckboxGroup(
        levels, value=[], label="Levels", elem_id="edit-levels", elem_classes="ks-chips",
        info="none ticked: all of them",
    )  # fmt: skip
    for i, (part, name, value) in enumerate((("low", "First", LOW_EDGE), ("high", "Second", HIGH_EDGE))):
        parts[part] = gr.Slider(
            0, 1, value, step=0.01, label=f"{name} edge", info="share of modes below", buttons=["reset"],
            elem_id=f"edit-edge-{i}",
        )  # fmt: skip
    with gr.Column(min_width=0):
        parts["order"] = gr.Radio(
            [("signed α", "alpha"), ("size |α|", "abs")], value="alpha", label="Order of modes",
            info="what bands are cut from", elem_id="edit-order", min_width=180, scale=3,
        )  # fmt: skip
        parts["noise_seed"] = gr.Number(
            DEFAULT.noise_seed, label="Seed of added noise", info="0 to 4294967295", precision=0,
            elem_id="edit-noise", min_width=120, scale=2,
        )  # fmt: skip
    return parts


def region_panel() -> dict:
    """Where the reference comes in."""
    gr.HTML(heading("Where"))
    region = gr.Radio(
        REGION_CHOICES, value=DEFAULT.region, label="Where", show_label=False, container=False, elem_id="edit-region",
        elem_classes="ks-chips",
    )  # fmt: skip
    feather = gr.Slider(
        0, 8, 0, step=0.5, label="Soft edge", info="of the region, 0 to 8 pixels", buttons=["reset"],
        elem_id="edit-feather",
    )  # fmt: skip
    return {"region": region, "feather": feather}


def stage(original: np.ndarray) -> dict:
    """The canvas, where the region is painted, and the pictures."""
    parts: dict = {}
    parts["hint"] = gr.HTML(elem_id="edit-hint")
    with gr.Row(elem_classes="ks-pair ks-canvas-pair", elem_id="edit-result", equal_height=False):
        with gr.Column(visible=False, min_width=0) as parts["canvas_box"]:
            parts["canvas"] = canvas(original, elem_id="edit-canvas", label="Paint where the reference comes in")
        with gr.Column(min_width=0):
            parts["pictures"] = gr.HTML(EDIT_PLACEHOLDER, elem_id="edit-pictures", elem_classes="ks-result")
    return parts


def readings() -> dict:
    """Numbers, what can be saved, and the history."""
    parts: dict = {}
    with group():
        parts["numbers"] = gr.HTML(elem_id="edit-numbers", elem_classes="ks-result")
        parts["draw"] = gr.Button("Detail against layout", size="sm", elem_id="edit-draw")
        parts["trade_off"] = plot(
            None, visible=False, elem_id="edit-trade-off", label="Detail gained against layout moved, by mixing ratio"
        )
        parts["save"] = save_bar(elem_id="edit-keep")
    with group():
        gr.HTML(heading("Edits of this visit", "click one"))
        with gr.Row(elem_classes="ks-buttons"):
            for part, text in (("undo", "↶ Undo"), ("redo", "↷ Redo"), ("reset", "Reset all")):
                parts[part] = gr.Button(
                    text, size="sm", min_width=70, interactive=part == "reset", elem_id=f"edit-{part}"
                )
        parts["strip"] = history_strip(elem_id="edit-history")
    return parts
