"""Under the plane of eigenvalues: what a chosen mode, or a group of them, does to the picture and over time."""

from __future__ import annotations

import gradio as gr
import numpy as np

from analysis.figures import effects
from analysis.figures.spectrum import bands_of
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MAX_MODES, ModeRequest, SpectrumEntryResult
from ui.cards import contribution, heading, mode_card, selection_card
from ui.plots import plot
from ui.source import fitting_label, usable_seed

WAITING = '<p class="ks-line">Choose one or more points above: here you see what the picture owes to them.</p>'
TOO_MANY = f'<p class="ks-line">These are more than {MAX_MODES:,} modes: draw a smaller box to see what they do.</p>'


class ModePanel:
    """The handler; it can be called without a page."""

    def __init__(self, library: ModelLibrary):
        self.library = library

    def show(
        self,
        model: str,
        seed: int | None,
        label: int,
        entry: SpectrumEntryResult,
        edges: tuple[float, float],
        order: str,
        chosen: list[int],
    ) -> tuple:
        """The card with the energy, the pictures, and the curves of a choice.

        Args:
            model, seed, label: whose picture.
            entry: the level of the modes.
            edges, order: of the bands, for a group's card.
            chosen: flat indices; [] for none. Those of another model that do not fit are no choice.
        """
        if not usable_seed(seed):
            return (gr.skip(),) * 3
        if not chosen or max(chosen) >= entry.alpha.size:
            return gr.skip(), WAITING, gr.update(value=None, visible=False)
        if len(chosen) > MAX_MODES:
            return gr.skip(), TOO_MANY, gr.update(value=None, visible=False)
        bench = self.library.get(model)
        result = bench.mode(ModeRequest(seed, entry.index, tuple(chosen), fitting_label(self.library, model, label)))
        if len(chosen) == 1:
            card = mode_card(entry, chosen[0], result)
        else:
            card = selection_card(entry, np.array(chosen), bands_of(entry, edges, order), order, result)
        curves = effects.mode_curves(result).to_json()
        return card, contribution(result, bench.name, seed), gr.update(value=curves, visible=True)


def build_mode_panel() -> tuple[gr.HTML, gr.HTML]:
    """Lay the panel out: pictures and curves, both empty."""
    with gr.Column(elem_classes="ks-panel", min_width=0):
        gr.HTML(heading("What the chosen modes do", "D(z) − D(z without them), magnified"))
        pictures = gr.HTML(WAITING, elem_id="mode-pictures")
        curves = plot(None, visible=False, elem_id="mode-curves", label="Energy of the chosen modes over time")
    return pictures, curves
