"""View "Surgery" of "Look inside": other eigenvalues for a band, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from analysis.koopman.spectrum import BAND_COUNT
from analysis.workbench.library import ModelInfo, ModelLibrary
from analysis.workbench.spectrum import SurgeryRequest
from ui.components.bands import long_names
from ui.components.controls import Controls
from ui.components.html import facts, figure_html, heading, row_html, times
from ui.components.layout import Frame, group, intro, only
from ui.components.plot import seen_script
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import Views, Workspace, fitting_label, made_with, usable_seed

SENTENCE = (
    "Give a band faster growth, slower decay or other turns, and see whether the picture changes in a way you can name."
)
FORMULA = """α′ = s α + d and β′ = s β + d for every mode of the band &nbsp;·&nbsp; picture
D( e<sup>(τ − 1) A′</sup> E(x<sub>T</sub>) ) &nbsp;·&nbsp; |α′| is held at 8: nothing grows by more than
e<sup>8</sup>"""


@dataclass(frozen=True)
class SurgeryControls(Controls):
    """Components of the view.

    The band is 0 to 2, or `BAND_COUNT` for all; `seen` is filled in by `seen_script`, `known` the model that is shown.
    """

    band: gr.Radio
    alpha_scale: gr.Slider
    alpha_shift: gr.Slider
    beta_scale: gr.Slider
    beta_shift: gr.Slider
    levels: gr.CheckboxGroup
    tau: gr.Slider
    reset: gr.Button
    pictures: gr.HTML
    numbers: gr.HTML
    seen: gr.Checkbox
    known: gr.State


NEUTRAL = {"alpha_scale": 1.0, "alpha_shift": 0.0, "beta_scale": 1.0, "beta_shift": 0.0}
RESULT_CONTROLS = ("band", *NEUTRAL, "levels", "tau")  # the controls that a result is of
RATES = (  # name, words, largest value, step, info
    ("alpha_scale", "Scale of α", 4, 0.05, "−4 to 4; 1 changes nothing, −1 turns growth to decay"),
    ("alpha_shift", "Shift of α", 8, 0.1, "per unit τ, −8 to 8; below 0: growth"),
    ("beta_scale", "Scale of β", 4, 0.05, "−4 to 4; 0 stops the turning"),
    ("beta_shift", "Shift of β", 25, 0.1, "rad per unit τ, −25 to 25: up to four turns"),
)


class Surgery:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the part, or their names.
    """

    def __init__(self, library: ModelLibrary, controls: SurgeryControls):
        self.library, self.controls = library, controls

    def follow_model(self, known: str, model: str, order: str) -> dict:
        """The levels and bands of another model than the `known` one."""
        if model == known:
            return gr.skip()
        entries, c = self.library.get(model).spectrum().entries, self.controls
        return {
            c.known: model, c.levels: gr.update(choices=[(e.name, e.index) for e in entries], value=[]),
            **self.bands(model, order),
        }  # fmt: skip

    def bands(self, model: str, order: str) -> dict:
        """The choices of the band."""
        return {self.controls.band: gr.update(choices=band_choices(self.library.info(model), order))}

    def operate(self, seen, model, seed, label, low, high, order, band, levels, tau, **rates) -> dict:
        """Before, after and difference; how many modes, their growth, how many were held back.

        Args:
            seen: whether the visitor looks at this part; nothing is done if not.
            model, seed, label: whose picture.
            low, high, order: of the bands.
            band: 0 to 2, or `BAND_COUNT` for all.
            levels: which to operate on; none for all.
            tau: time to decode at.
            **rates: those of `NEUTRAL`: scale and shift of alpha and beta, as in `SurgeryRequest`.
        """
        if not seen or not usable_seed(seed):
            return gr.skip()
        bench, c = self.library.get(model), self.controls
        known = len(bench.entries)
        touched = range(BAND_COUNT) if band == BAND_COUNT else (int(band),)
        by_band = (tuple(rates[n] if b in touched else v for b in range(BAND_COUNT)) for n, v in NEUTRAL.items())
        request = SurgeryRequest(
            seed, fitting_label(bench, label), (min(low, high), max(low, high)), order, *by_band,
            tuple(i for i in levels or () if i < known), tau,
        )  # fmt: skip
        result = bench.surgery(request)
        note = "none yet: move a slider" if result.mse == 0 else f"{times(result.magnification)}, grey = none"
        name = f"{bench.name}-seed{seed}-surgery.png"
        return {
            c.pictures: row_html(
                figure_html(result.full, "Before", f"seed {seed}, τ = {tau:g}"),
                figure_html(result.altered, "After", f"MSE {result.mse:.4f}", name),
                figure_html(result.difference, "Difference", note),
            )
            + made_with(bench, seed, label).line(),
            c.numbers: facts(
                (f"{int(sum(result.modes[b] for b in touched)):,}", "modes operated on"),
                (f"× {result.growth:.3g}", "largest growth of a mode from noise to here"),
                (f"{result.held:,}", "modes held back at |α| = 8"),
            ),
        }


def band_choices(info: ModelInfo, order: str) -> list[tuple[str, int]]:
    """The bands of a model and all of them, for a list."""
    return [*((name, b) for b, name in enumerate(long_names(info, order))), ("all modes", BAND_COUNT)]


def build_surgery(
    work: Workspace, frame: Frame, results: gr.Column, low: float, high: float
) -> tuple[Surgery, SurgeryControls]:
    """Lay the view out in the columns of the spectrum's tab; `wire_surgery` connects it.

    Args:
        work: what it stands on.
        frame: the tab's columns.
        results: the part of the stage where pictures are shown.
        low, high: the first edges.
    """
    early = Surgery(work.library, SurgeryControls.names())
    first = early.operate(True, *work.source.start, low, high, "alpha", 0, [], 0.0, **NEUTRAL)
    entries = work.library.get(work.source.start[0]).spectrum().entries
    with frame.controls:
        intro(SENTENCE, FORMULA, "surgery")
        with group("surgery"):
            band = gr.Radio(
                band_choices(work.library.info(work.source.start[0]), "alpha"), value=0, label="Band",
                info="whose rates are changed", elem_id="surgery-band",
            )  # fmt: skip
            rates = {
                name: gr.Slider(
                    -most, most, NEUTRAL[name], step=step, label=text, info=info, buttons=["reset"],
                    elem_id=f"surgery-{name.replace('_', '-')}",
                )
                for name, text, most, step, info in RATES
            }  # fmt: skip
            reset = gr.Button("Undo all", size="sm", elem_id="surgery-reset")
            tau = gr.Slider(
                0, 1, 0, step=0.01, label="Time to look at", elem_id="surgery-tau",
                info="τ: 0 = picture, 1 = noise, where nothing has moved yet", buttons=["reset"],
            )  # fmt: skip
            levels = gr.CheckboxGroup(
                [(e.name, e.index) for e in entries], value=[], label="Levels to operate on",
                info="none ticked: all of them", elem_id="surgery-levels", elem_classes="ks-chips",
            )  # fmt: skip
    with results, gr.Column(min_width=0, elem_classes=only("surgery")):
        gr.HTML(heading("With other eigenvalues", "follows at once"))
        pictures = gr.HTML(first["pictures"], elem_id="surgery-pictures", elem_classes="ks-shown ks-result")
    with frame.readings, group("surgery"):
        numbers = gr.HTML(first["numbers"], elem_id="surgery-facts")
    c = SurgeryControls(
        band, **rates, levels=levels, tau=tau, reset=reset, pictures=pictures, numbers=numbers,
        seen=gr.Checkbox(value=True, visible=False), known=gr.State(work.source.start[0]),
    )  # fmt: skip
    return Surgery(work.library, c), c


def wire_surgery(
    surgery: Surgery, c: SurgeryControls, work: Workspace, edges: dict, moved: Sequence, views: Views
) -> None:
    """Connect the view; it answers only where it is looked at.

    Args:
        surgery: the handler.
        c: its controls.
        work: what the page stands on.
        edges: the tab's controls low, high and order, by these names.
        moved: events of the edges.
        views: the tab's.
    """
    live = {"trigger_mode": "always_last", "show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    seldom = {**live, "trigger_mode": "multiple"}  # only one listener of an event may be "always_last"
    operated = {
        "fn": guarded(surgery.operate), "outputs": [c.pictures, c.numbers], "js": seen_script("surgery-pictures"),
        "inputs_kwargs": {"seen": c.seen, **work.source.named, **edges, **c.named(*RESULT_CONTROLS)},
    }  # fmt: skip

    edges["order"].input(guarded(surgery.bands), [work.source.model, edges["order"]], c.band, **seldom)
    gr.on(moved, **operated, **seldom)
    views.opened["surgery"](
        guarded(surgery.follow_model),
        [c.known, work.source.model, edges["order"]],
        [c.known, c.levels, c.band],
        **seldom,
    ).success(**operated, **seldom)
    controls = c.listed(*RESULT_CONTROLS)
    gr.on(
        [*(p.input for p in controls), *(p.release for p in controls if isinstance(p, gr.Slider))], **operated, **live
    )  # fmt: skip
    back = c.reset.click(None, None, c.listed(*NEUTRAL), js=f"() => {list(NEUTRAL.values())}", **PRIVATE)
    back.success(**operated, **live)
