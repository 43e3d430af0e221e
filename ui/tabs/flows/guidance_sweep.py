"""Part of the view "Picture sweep": what guidance towards a class makes of the pictures, scale by scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import gradio as gr
import numpy as np

from analysis.core.progress import Report
from analysis.figures.flow import UNITS
from analysis.flow.image_sweeps import GuidanceSweepRequest, GuidanceSweepResult, guidance_sweep
from analysis.flow.images import FlowPicturesRequest, ImageFlows
from ui.components.controls import Controls
from ui.components.html import figure_html, row_html
from ui.components.layout import Frame, group
from ui.components.made import Made
from ui.components.players import tiled
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, run_buttons, wire_run
from ui.source import usable_seed
from ui.tabs.flows.settings import distinct, requests_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gradio.components import Component

VIEW = "images-sweep"
SENTENCE = "The same settings with guidance towards the chosen class, between the times chosen beside it."
GUIDANCE_ASK = """<p class="ks-line">Not run yet: two pictures of every setting at six scales; choose a class first. A
scale of 1 is the class as it was learned; any other leads away from its law.</p>"""
SWEPT_PICTURES = 2


def guidance_rows(result: GuidanceSweepResult, names: Sequence[str]) -> str:
    """A row a setting, a picture a scale, each with its distance to scale 1 and its calls."""
    unit = UNITS[result.measure]
    rows = []
    for s, name in enumerate(names):
        figures = []
        for k, scale in enumerate(result.scales):
            far = float(np.mean(result.distance[s, k]))
            calls = f"{result.nfe[s, k]} calls"
            note = calls if scale == 1 else f"{unit} {far:.3f} to scale 1, {calls}"
            figures.append(figure_html(tiled(result.pictures[s, k]), f"{name}, scale {scale:g}", note))
        rows.append(row_html(*figures))
    return "".join(rows)


@dataclass(frozen=True)
class GuidanceControls(Controls):
    """Components of the part."""

    buttons: RunButtons
    words: gr.HTML
    rows: gr.HTML


class Settings(Protocol):
    """What the part asks of its tab, see `FlowImages`."""

    def requests(self, **values) -> list:
        """The question of each setting."""

    def made(self, values: dict, *without: str) -> Made:
        """What a result is made with."""


class GuidanceSweep:
    """The handler; it can be called without a page.

    Args:
        flows: answers.
        tab: whose settings they are.
        name: of a setting.
        controls: of the part, or their names.
        patience: seconds that it may take.
    """

    def __init__(
        self, flows: ImageFlows, tab: Settings, name: Callable[[FlowPicturesRequest], str],
        controls: GuidanceControls, patience: float = RUN_SECONDS,
    ):  # fmt: skip
        self.flows, self.tab, self.name, self.controls = flows, tab, name, controls
        self.run = LongRun(patience)

    def sweep(self, report: Report | None = None, **values) -> dict:
        """Pictures by setting and scale.

        Raises:
            UserError: no class is chosen, or a setting that cannot be asked.
        """
        if not usable_seed(values["seed"]):
            return gr.skip()
        low, high = sorted((values["guidance_from"], values["guidance_to"]))
        asked = requests_of(self.tab.requests(**(values | {"pictures": SWEPT_PICTURES, "guidance": 1.0})))
        settings = tuple(replace(r, guidance_from=low, guidance_to=high) for r in asked)
        result = guidance_sweep(self.flows, GuidanceSweepRequest(settings), report)
        c = self.controls
        said = f'<p class="ks-line" role="status">Guidance between t = {low:g} and {high:g}, from the same noise.</p>'
        said += self.tab.made(values, "pictures", "guidance").line("#guidance-sweep-words, #guidance-sweep-rows")
        return {c.words: said, c.rows: guidance_rows(result, distinct([self.name(r) for r in settings]))}


def build_guidance_sweep(
    flows: ImageFlows, tab: Settings, name: Callable[[FlowPicturesRequest], str], frame: Frame,
    inputs: Mapping[str, Component], patience: float,
) -> GuidanceSweep:  # fmt: skip
    """Lay the part out and wire it; arguments as of `GuidanceSweep`, and the tab's columns and controls by name."""
    with frame.controls, group(VIEW):
        gr.HTML(f'<p class="ks-line">{SENTENCE}</p>')
        buttons = run_buttons("Sweep guidance", "guidance-sweep")
    with frame.readings, group(VIEW):
        words = gr.HTML(GUIDANCE_ASK, elem_id="guidance-sweep-words", elem_classes="ks-told")
    with frame.stage:
        rows = gr.HTML(elem_id="guidance-sweep-rows")
    part = GuidanceSweep(flows, tab, name, GuidanceControls(buttons, words, rows), patience)
    wire_run(part.run, buttons, part.sweep, inputs, [words, rows])
    return part
