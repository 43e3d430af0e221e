"""The part "Change the spectrum" of the tab "Cumulative effect": other eigenvalues for a band, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from analysis.koopman.spectrum import band_names
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import SurgeryRequest
from ui.components.html import facts, figure_html, heading, row_html, times
from ui.source import Source, fitting_label, usable_seed

BANDS = 3
NEUTRAL = (1.0, 0.0, 1.0, 0.0)  # scale and shift of alpha, scale and shift of beta
INTRO = """<p class="ks-intro">Give a band other eigenvalues, and decode: faster growth, slower decay, other turns. A
spectrum that means something answers with a picture that changes in a way you can name.</p>
<p class="ks-formula">α′ = s α + d and β′ = s β + d for every mode of the band &nbsp;·&nbsp; picture
D( e<sup>(τ − 1) A′</sup> E(x<sub>T</sub>) ) &nbsp;·&nbsp; |α′| is held at 8: nothing grows by more than
e<sup>8</sup></p>"""


class Surgery:
    """The handler; it can be called without a page."""

    def __init__(self, library: ModelLibrary):
        self.library = library

    def operate(
        self, seen, model, seed, label, low, high, order, band, s_alpha, d_alpha, s_beta, d_beta, levels, tau
    ) -> tuple:
        """Before, after and difference; how many modes, their growth, how many were held back.

        Args:
            seen: whether the visitor looks at this part; nothing is done if not.
            model, seed, label: whose picture.
            low, high, order: of the bands.
            band: 0 to 2, or `BANDS` for all.
            s_alpha, d_alpha, s_beta, d_beta: scale and shift of alpha and beta, as in `SurgeryRequest`.
            levels: which to operate on; none for all.
            tau: time to decode at.
        """
        if not seen or not usable_seed(seed):
            return gr.skip(), gr.skip()
        bench = self.library.get(model)
        known = len(bench.entries)
        touched = range(BANDS) if band == BANDS else (int(band),)

        def only(value: float, neutral: float) -> tuple[float, ...]:
            return tuple(value if b in touched else neutral for b in range(BANDS))

        rates = (only(v, n) for v, n in zip((s_alpha, d_alpha, s_beta, d_beta), NEUTRAL, strict=True))
        scale, shift, turn_scale, turn_shift = rates
        request = SurgeryRequest(
            seed, fitting_label(self.library, model, label), (min(low, high), max(low, high)), order,
            scale, shift, turn_scale, turn_shift, tuple(i for i in levels or () if i < known), tau,
        )  # fmt: skip
        result = bench.surgery(request)
        shown = "none yet: move a slider" if result.mse == 0 else f"{times(result.magnification)}, grey = none"
        name = f"{bench.name}-seed{seed}-surgery.png"
        pictures = row_html(
            figure_html(result.full, "Before", f"seed {seed}, τ = {tau:g}"),
            figure_html(result.altered, "After", f"MSE {result.mse:.4f}", name),
            figure_html(result.difference, "Difference", shown),
        )
        count = int(sum(result.modes[b] for b in touched))
        numbers = facts(
            (f"{count:,}", "modes operated on"),
            (f"× {result.growth:.3g}", "largest growth of a mode from noise to here"),
            (f"{result.held:,}", "modes held back at |α| = 8"),
        )
        return pictures, numbers


@dataclass(frozen=True)
class SurgeryControls:
    """What the tab wires.

    Attributes:
        inputs: of `Surgery.operate`, those after the order; all answer while they move.
        outputs: of it.
        band, levels: whose choices follow the order and the model.
        rates: the four sliders; reset: the button that makes them neutral.
    """

    inputs: list
    outputs: list
    band: gr.Radio
    levels: gr.CheckboxGroup
    rates: list
    reset: gr.Button


def band_choices(order: str) -> list[tuple[str, int]]:
    """The bands and all of them, for a list."""
    return [*((name, b) for b, name in enumerate(band_names(BANDS, order))), ("all modes", BANDS)]


def build_surgery(tab: Surgery, source: Source, low: float, high: float) -> SurgeryControls:
    """Lay the part out; it is wired by the tab, whose edges it shares.

    Args:
        tab: the handler.
        source: what is looked at.
        low, high: the first edges.
    """
    model, seed, label = source.start
    entries = tab.library.get(model).spectrum().entries
    pictures, numbers = tab.operate(True, model, seed, label, low, high, "alpha", 0, *NEUTRAL, [], 0.0)
    gr.HTML(INTRO)
    with gr.Row():
        with gr.Column(scale=4, min_width=300, elem_classes="ks-panel"):
            gr.HTML(heading("Other eigenvalues", "pictures follow at once"))
            band = gr.Radio(
                band_choices("alpha"), value=0, label="Band", info="whose rates are changed", elem_id="surgery-band"
            )
            rates = [
                gr.Slider(
                    -most, most, value, step=step, label=text, info=info, elem_id=f"surgery-{name}", buttons=["reset"]
                )
                for name, text, most, value, step, info in (
                    ("alpha-scale", "Scale of α", 4, 1.0, 0.05, "−4 to 4; 1 changes nothing, −1 turns growth to decay"),
                    (
                        "alpha-shift",
                        "Shift of α",
                        8,
                        0.0,
                        0.1,
                        "per unit τ, −8 to 8; below 0: growth",
                    ),
                    ("beta-scale", "Scale of β", 4, 1.0, 0.05, "−4 to 4; 0 stops the turning"),
                    ("beta-shift", "Shift of β", 25, 0.0, 0.1, "rad per unit τ, −25 to 25: up to four turns"),
                )
            ]
            reset = gr.Button("Undo all", size="sm", elem_id="surgery-reset")
        with gr.Column(scale=8, min_width=320, elem_classes="ks-results"):
            with gr.Column(elem_classes="ks-panel", min_width=0):
                shown = gr.HTML(pictures, elem_id="surgery-pictures")
                told = gr.HTML(numbers, elem_id="surgery-facts")
            with gr.Row():
                tau = gr.Slider(
                    0, 1, 0, step=0.01, label="Time to look at", elem_id="surgery-tau", scale=2, min_width=200,
                    info="τ: 0 = picture, 1 = noise, where nothing has moved yet", buttons=["reset"],
                )  # fmt: skip
                levels = gr.CheckboxGroup(
                    [(e.name, e.index) for e in entries], value=[], label="Levels to operate on",
                    info="none ticked: all of them", elem_id="surgery-levels", scale=5, min_width=260,
                )  # fmt: skip
    return SurgeryControls([band, *rates, levels, tau], [shown, told], band, levels, rates, reset)
