"""Part "Change the spectrum" of the tab "Cumulative effect": other eigenvalues for a band, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from analysis.koopman.spectrum import band_names
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import SurgeryRequest
from ui.components.controls import Controls
from ui.components.html import facts, figure_html, heading, row_html, times
from ui.source import Workspace, fitting_label, usable_seed

BANDS = 3
INTRO = """<p class="ks-intro">Give a band other eigenvalues, and decode: faster growth, slower decay, other turns. A
spectrum that means something answers with a picture that changes in a way you can name.</p>
<p class="ks-formula">α′ = s α + d and β′ = s β + d for every mode of the band &nbsp;·&nbsp; picture
D( e<sup>(τ − 1) A′</sup> E(x<sub>T</sub>) ) &nbsp;·&nbsp; |α′| is held at 8: nothing grows by more than
e<sup>8</sup></p>"""


@dataclass(frozen=True)
class SurgeryControls(Controls):
    """Components of the part; the band is 0 to 2, or `BANDS` for all."""

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


NEUTRAL = {"alpha_scale": 1.0, "alpha_shift": 0.0, "beta_scale": 1.0, "beta_shift": 0.0}
MOVES = ("band", *NEUTRAL, "levels", "tau")  # the controls that a result is of
RATES = (  # name, words, largest value, step, info
    ("alpha_scale", "Scale of α", 4, 0.05, "−4 to 4; 1 changes nothing, −1 turns growth to decay"),
    ("alpha_shift", "Shift of α", 8, 0.1, "per unit τ, −8 to 8; below 0: growth"),
    ("beta_scale", "Scale of β", 4, 0.05, "−4 to 4; 0 stops the turning"),
    ("beta_shift", "Shift of β", 25, 0.1, "rad per unit τ, −25 to 25: up to four turns"),
)


class Surgery:
    """The handler; it can be called without a page.

    Args:
        library: the models.
        controls: of the part, or their names.
    """

    def __init__(self, library: ModelLibrary, controls: SurgeryControls):
        self.library, self.controls = library, controls

    def operate(self, seen, model, seed, label, low, high, order, band, levels, tau, **rates) -> dict:
        """Before, after and difference; how many modes, their growth, how many were held back.

        Args:
            seen: whether the visitor looks at this part; nothing is done if not.
            model, seed, label: whose picture.
            low, high, order: of the bands.
            band: 0 to 2, or `BANDS` for all.
            levels: which to operate on; none for all.
            tau: time to decode at.
            **rates: those of `NEUTRAL`: scale and shift of alpha and beta, as in `SurgeryRequest`.
        """
        if not seen or not usable_seed(seed):
            return gr.skip()
        bench, c = self.library.get(model), self.controls
        known = len(bench.entries)
        touched = range(BANDS) if band == BANDS else (int(band),)
        by_band = (tuple(rates[n] if b in touched else v for b in range(BANDS)) for n, v in NEUTRAL.items())
        request = SurgeryRequest(
            seed, fitting_label(self.library, model, label), (min(low, high), max(low, high)), order, *by_band,
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
            ),
            c.numbers: facts(
                (f"{int(sum(result.modes[b] for b in touched)):,}", "modes operated on"),
                (f"× {result.growth:.3g}", "largest growth of a mode from noise to here"),
                (f"{result.held:,}", "modes held back at |α| = 8"),
            ),
        }


def band_choices(order: str) -> list[tuple[str, int]]:
    """The bands and all of them, for a list."""
    return [*((name, b) for b, name in enumerate(band_names(BANDS, order))), ("all modes", BANDS)]


def build_surgery(work: Workspace, low: float, high: float) -> tuple[Surgery, SurgeryControls]:
    """Lay the part out; it is wired by the tab, whose edges it shares.

    Args:
        work: what it stands on.
        low, high: the first edges.
    """
    early = Surgery(work.library, SurgeryControls.names())
    first = early.operate(True, *work.source.start, low, high, "alpha", 0, [], 0.0, **NEUTRAL)
    entries = work.library.get(work.source.start[0]).spectrum().entries
    gr.HTML(INTRO)
    with gr.Row():
        with gr.Column(scale=4, min_width=300, elem_classes="ks-panel"):
            gr.HTML(heading("Other eigenvalues", "pictures follow at once"))
            band = gr.Radio(
                band_choices("alpha"), value=0, label="Band", info="whose rates are changed", elem_id="surgery-band"
            )
            rates = {
                name: gr.Slider(
                    -most, most, NEUTRAL[name], step=step, label=text, info=info, buttons=["reset"],
                    elem_id=f"surgery-{name.replace('_', '-')}",
                )
                for name, text, most, step, info in RATES
            }  # fmt: skip
            reset = gr.Button("Undo all", size="sm", elem_id="surgery-reset")
        with gr.Column(scale=8, min_width=320, elem_classes="ks-results"):
            with gr.Column(elem_classes="ks-panel", min_width=0):
                pictures = gr.HTML(first["pictures"], elem_id="surgery-pictures")
                numbers = gr.HTML(first["numbers"], elem_id="surgery-facts")
            with gr.Row():
                tau = gr.Slider(
                    0, 1, 0, step=0.01, label="Time to look at", elem_id="surgery-tau", scale=2, min_width=200,
                    info="τ: 0 = picture, 1 = noise, where nothing has moved yet", buttons=["reset"],
                )  # fmt: skip
                levels = gr.CheckboxGroup(
                    [(e.name, e.index) for e in entries], value=[], label="Levels to operate on",
                    info="none ticked: all of them", elem_id="surgery-levels", scale=5, min_width=260,
                )  # fmt: skip
    c = SurgeryControls(band, **rates, levels=levels, tau=tau, reset=reset, pictures=pictures, numbers=numbers)
    return Surgery(work.library, c), c
