"""The controls of the spectrum's tab, and where they stand: plane, maps, bands, surgery beside them."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from analysis.core.fields import HIGH_EDGE, LOW_EDGE
from analysis.workbench.library import ModelInfo
from ui.components.bands import GAINS, keeping
from ui.components.controls import Controls
from ui.components.html import EMPTY_MODE, heading
from ui.components.layout import Frame, group, intro, only
from ui.components.plot import plot
from ui.components.save_bar import save_bar
from ui.source import Workspace
from ui.tabs.inside.pairs import build_pairs
from ui.tabs.inside.surgery import build_surgery

MODES_SENTENCE = (
    "Each point is one mode: it grows (α &lt; 0) or fades (α &gt; 0) on the way to the picture, and turns with β."
)
MODES_FORMULA = """λ = α ± iβ &nbsp;·&nbsp; z(τ) = e<sup>(τ − 1) α</sup> R((τ − 1) β) z(1) for every mode"""
BANDS_SENTENCE = "Take a band of modes away, or double it, and see what the picture owes to it."
BANDS_FORMULA = (
    "D( P<sub>B</sub> e<sup>−A</sup> E(x<sub>T</sub>) ) &nbsp;·&nbsp; bands B by rank of α within each level"
)


@dataclass(frozen=True)
class SpectrumControls(Controls):
    """Components of the tab.

    `mark` is the mode with a ring around it, `chosen` all that are chosen, flat indices; `known` is what is shown,
    (model, level).
    """

    level: gr.Radio
    about_level: gr.HTML
    card: gr.HTML
    plane: gr.HTML
    mode_pictures: gr.HTML
    mode_curves: gr.HTML
    pair: gr.Dropdown
    alpha_map: gr.HTML
    beta_map: gr.HTML
    low: gr.Slider
    high: gr.Slider
    small: gr.Slider
    middle: gr.Slider
    large: gr.Slider
    all_bands: gr.Button
    only_small: gr.Button
    only_middle: gr.Button
    only_large: gr.Button
    pictures: gr.HTML
    save: gr.HTML
    bands: gr.HTML
    order: gr.Radio
    levels: gr.CheckboxGroup
    ablation: gr.Radio
    lines: gr.HTML
    pairs: gr.HTML
    mark: gr.State
    chosen: gr.State
    known: gr.State


WHERE = ("level", "low", "high", "order")
ONLY = ("only_small", "only_middle", "only_large")
PRESETS = dict(zip(("all_bands", *ONLY), ((1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)), strict=True))
MASK_CONTROLS = ("low", "high", "small", "middle", "large", "order", "levels", "ablation")


def _plane_part(frame: Frame, first: dict, start: int) -> dict:
    """Levels and the plane; what chosen modes do, and the maps; the card."""
    parts: dict = {}
    with frame.controls:
        intro(MODES_SENTENCE, MODES_FORMULA, "modes")
        intro(BANDS_SENTENCE, BANDS_FORMULA, "bands")
        with group(css="ks-group ks-level-group"):
            parts["level"] = gr.Radio(
                first["level"]["choices"], value=start, label="Level", elem_id="level",
                info="every skip connection and the bottleneck", elem_classes="ks-chips",
            )  # fmt: skip
            parts["about_level"] = gr.HTML(first["about_level"], elem_id="about-level")
    with frame.stage, gr.Row(elem_classes="ks-pair", equal_height=False):
        with gr.Column(min_width=0, elem_classes="ks-half"):
            gr.HTML(heading("Eigenvalues", "point at a mode, click it, or draw a box"))
            parts["plane"] = plot(
                first["plane"], clickable=True, modebar=True, elem_id="plane",
                label="Eigenvalues in the complex plane: growth to the left of 0, decay to the right",
            )  # fmt: skip
            with gr.Row(elem_classes=["ks-pair", *only("modes")]):
                parts["alpha_map"] = plot(first["alpha_map"], elem_id="alpha-map", label="α over positions")
                parts["beta_map"] = plot(first["beta_map"], elem_id="beta-map", label="β over positions")
            with gr.Column(min_width=0, elem_classes=only("bands", "surgery")):
                parts["lines"] = plot(first["lines"], elem_id="lines", label="Sorted real parts of all levels")
        parts["results"] = gr.Column(min_width=0, elem_classes=["ks-half", "ks-results"])
    with parts["results"], gr.Column(min_width=0, elem_classes=only("modes")):
        gr.HTML(heading("What the chosen modes do", "a box takes them out"))
        parts["mode_pictures"] = gr.HTML(
            first["mode_pictures"], elem_id="mode-pictures", elem_classes="ks-shown ks-result"
        )
    with frame.controls, group("modes"):
        pairs = {k: v for k, v in first["pair"].items() if k != "__type__"}
        parts["pair"] = gr.Dropdown(label="Channel pair", info="whose maps are drawn", elem_id="pair", **pairs)
    with frame.readings, group("modes"):
        parts["card"] = gr.HTML(EMPTY_MODE, elem_id="mode")
        parts["mode_curves"] = plot(
            None, visible=False, elem_id="mode-curves", label="Energy of the chosen modes over time"
        )
    return parts


def _band_sliders(first: dict, entries: tuple, info: ModelInfo) -> dict:
    """Retentions and their presets, edges, order and levels."""
    parts: dict = {}
    with group("bands"):
        for part, words in zip(GAINS, keeping(info), strict=True):
            parts[part] = gr.Slider(0, 2, 1, step=0.05, buttons=["reset"], elem_id=f"gain-{part}", **words)
        with gr.Row(elem_classes="ks-buttons"):
            parts["all_bands"] = gr.Button("All", size="sm", min_width=60, elem_id="only-all")
            for part in ONLY:
                name = part.replace("_", "-")
                parts[part] = gr.Button(first[part]["value"], size="sm", min_width=60, elem_id=name)
        parts["levels"] = gr.CheckboxGroup(
            [(e.name, e.index) for e in entries], value=[], label="Levels to touch", elem_id="levels",
            info="none ticked: all of them", elem_classes="ks-chips",
        )  # fmt: skip
        parts["ablation"] = gr.Radio(
            [("the mean", "mean"), ("another picture", "resample"), ("zero", "zero")], value="mean",
            label="In place of what is removed", elem_id="ablation", info="zero is the published way",
            elem_classes="ks-chips",
        )  # fmt: skip
    return parts


def _edge_sliders() -> dict:
    """What the bands are, in all three views."""
    parts: dict = {}
    with group():
        gr.HTML(heading("Bands", "the colours of the plane"))
        for name, part, value in (("Lower", "low", LOW_EDGE), ("Upper", "high", HIGH_EDGE)):
            parts[part] = gr.Slider(
                0, 1, value, step=0.01, label=f"{name} edge", info="share of modes below", buttons=["reset"],
                elem_id=part,
            )  # fmt: skip
        parts["order"] = gr.Radio(
            [("signed α", "alpha"), ("size |α|", "abs")], value="alpha", label="Order of modes",
            elem_id="order", info="what “smallest” means",
        )  # fmt: skip
    return parts


def lay_out(first: dict, frame: Frame, entries: tuple, start: int, work: Workspace) -> tuple:
    """The components with their first values, by name; and the surgery, which shares plane, edges and stage."""
    parts = _plane_part(frame, first, start)
    results = parts.pop("results")
    with frame.controls:
        parts |= _band_sliders(first, entries, work.library.info(work.source.start[0]))
    with results, gr.Column(min_width=0, elem_classes=only("bands")):
        gr.HTML(heading("What is left of the picture", "follows at once"))
        parts["pictures"] = gr.HTML(first["pictures"], elem_id="triptych", elem_classes="ks-shown ks-result")
    with frame.readings, group("bands"):
        parts["bands"] = gr.HTML(first["bands"], elem_id="bands", elem_classes="ks-result")
        parts["save"] = save_bar(first["save"], elem_id="keep-bands")
    with frame.readings:
        parts["pairs"] = build_pairs(work, parts["level"]).listed_pairs
    surgery = build_surgery(work, frame, results, LOW_EDGE, HIGH_EDGE)
    with frame.controls:
        parts |= _edge_sliders()
    return SpectrumControls(
        **parts, mark=gr.State(None), chosen=gr.State([]), known=gr.State((work.source.start[0], start))
    ), *surgery
