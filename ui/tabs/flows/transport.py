"""Part of the view "Sweep": what minibatch transport pairs, by the size of the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from analysis.core.progress import Report
from analysis.figures.flow import transport_figure
from analysis.flow.clouds import DRAWING
from analysis.flow.points import PointFlows
from analysis.flow.transport import TransportRequest, TransportResult
from ui.components.controls import Controls
from ui.components.html import details
from ui.components.layout import Frame, group
from ui.components.made import Made
from ui.components.plot import plot
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, run_buttons, wire_run
from ui.source import usable_seed
from ui.tabs.flows.settings import Ends

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradio.components import Component

SENTENCE = "What OT-CFM learns from: exact transport of each batch, by the size of the batch, without a net."
TRANSPORT_ASK = """<p class="ks-line">Not paired yet: two sets of 512 noises with points of the density, in batches of
16 to 512.</p>"""
NOTE = """The exact plan of a batch is not that of the laws: a noise goes to another point in every batch. A perfect net
says their mean E[x₁ | x₀], where its one call ends; how far that is from data is the bias of the batch alone. Scatter
is how far the partners of one noise lie from their mean, spread that of the means within modes (which so few batches
widen a little)."""


def transport_words(r: TransportResult) -> str:
    """What the largest batch gains over the smallest."""
    cost, mmd2, scatter = r.cost.mean(1), r.mmd2.mean(1), r.scatter.mean(1)
    words = (
        f"From batches of {r.sizes[0]:,} to {r.sizes[-1]:,} the cost goes from {cost[0]:.2f} to {cost[-1]:.2f}, the "
        f"scatter of the partners of one noise from {scatter[0]:.2f} to {scatter[-1]:.2f}, and the MMD² of one perfect "
        f"call from {mmd2[0]:.4f} to {mmd2[-1]:.4f}."
    )
    return f'<p class="ks-verdict" role="status">{words}</p>{details("Details", f"<p>{NOTE}</p>")}'


@dataclass(frozen=True)
class TransportControls(Controls):
    """Components of the part; density, drawing and seed are the tab's."""

    density: gr.Dropdown
    drawing: gr.State
    seed: gr.Number
    buttons: RunButtons
    words: gr.HTML
    figure: gr.HTML


class TransportPart:
    """The handler; it can be called without a page.

    Args:
        flows: answers.
        controls: of the part, or their names.
        patience: seconds that it may take.
    """

    def __init__(self, flows: PointFlows, controls: TransportControls, patience: float = RUN_SECONDS):
        self.flows, self.controls = flows, controls
        self.run = LongRun(patience)

    def pair(self, density: str, drawing: str, seed: int, report: Report | None = None) -> dict:
        """A sentence and a figure."""
        if not usable_seed(seed):
            return gr.skip()
        drawn, c = Ends(density, drawing).asked()["drawing"], self.controls
        result = self.flows.transport(TransportRequest(density, drawn, seed=seed), report)
        where = "my drawing" if density == DRAWING else density
        made = Made.by(f"{where}, noise seed {seed}", {c.density: density, c.seed: seed})
        return {
            c.words: transport_words(result) + made.line("#transport-words, #transport-figure"),
            c.figure: gr.update(value=transport_figure(result).to_json(), visible=True),
        }


@dataclass(frozen=True)
class TransportView:
    """What is laid out before the tab's own controls. Attributes: as of `TransportControls`."""

    buttons: RunButtons
    words: gr.HTML
    figure: gr.HTML

    def wire(self, flows: PointFlows, shared: Mapping[str, Component], patience: float) -> None:
        """Connect it; `shared` are the tab's controls by name, the others as of `TransportPart`."""
        asked = {name: shared[name] for name in ("density", "drawing", "seed")}
        controls = TransportControls(**asked, buttons=self.buttons, words=self.words, figure=self.figure)
        part = TransportPart(flows, controls, patience)
        wire_run(part.run, self.buttons, part.pair, asked, [self.words, self.figure])


def transport_view(frame: Frame) -> TransportView:
    """Lay the part out: a button, its words and its figure."""
    with frame.controls, group("sweep"):
        gr.HTML(f'<p class="ks-line">{SENTENCE}</p>')
        buttons = run_buttons("Pair batches", "transport")
    with frame.readings, group("sweep"):
        words = gr.HTML(TRANSPORT_ASK, elem_id="transport-words", elem_classes="ks-told")
    with frame.stage, group("sweep", css="ks-plain"):
        label = "MMD² of one perfect call, and cost, over the size of the batch"
        figure = plot(None, visible=False, elem_id="transport-figure", label=label)
    return TransportView(buttons, words, figure)
