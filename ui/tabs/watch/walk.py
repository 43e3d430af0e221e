"""View "Walk" of "Watch": pictures between two seeds, one network call each."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
import numpy as np

from analysis.core.progress import Report
from analysis.workbench.library import ModelLibrary
from analysis.workbench.walks import MAX_WALK_FRAMES, WalkRequest, WalkResult
from foundation.randomness import MAX_SEED
from ui.components.controls import Controls
from ui.components.html import facts, figure_html, group_html, heading
from ui.components.layout import Frame, group, intro
from ui.components.made import Made
from ui.components.players import slide_player, slides
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import DICE, BuiltTab, Views, Workspace, fitting_label, made_with, usable_seed

SENTENCE = "From one seed to another: every picture between them comes out of noise, in one call."
FORMULA = "x<sub>T</sub>(s) = cos(sπ/2) x<sub>T</sub> + sin(sπ/2) x′<sub>T</sub>, standard normal noise at every s"
FRAMES = 25
WALK_PICTURES = 6  # of the frames, side by side below the picture


def walk_value(result: WalkResult, seed: int, to: int, made: Made) -> str:
    """A walk for the player, which opens in its middle."""
    n = len(result.pictures)
    inner = [f"{share:.0%} of the way" for share in result.share[1:-1]]
    ends = f"seed {seed}", f"seed {to}"
    return slides([(f"From {ends[0]} to {ends[1]}", result.pictures)], [ends[0], *inner, ends[1]], ends, n // 2, made)


@dataclass(frozen=True)
class WalkControls(Controls):
    """Components of the view."""

    to: gr.Number
    dice: gr.Button
    frames: gr.Slider
    player: gr.HTML
    strip: gr.HTML
    cost: gr.HTML


class WalkTab:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the view, or their names.
    """

    def __init__(self, library: ModelLibrary, controls: WalkControls):
        self.library, self.controls = library, controls

    def walk(self, model, seed, label, to, frames, report: Report | None = None) -> dict:
        """The player, some of the frames side by side, and what they cost."""
        if not (usable_seed(seed) and usable_seed(to)):
            return gr.skip()
        request = WalkRequest(seed, to, fitting_label(self.library.get(model), label), int(frames))
        result, c = self.library.get(model).walk(request, report), self.controls
        places = sorted({round(k) for k in np.linspace(0, len(result.pictures) - 1, WALK_PICTURES)})
        shown = [figure_html(result.pictures[k], f"{result.share[k]:.0%}") for k in places]
        made = made_with(self.library.get(model), seed, label, f"seed {seed} to seed {to}")
        cost = f"{1000 * result.seconds / len(result.pictures):.0f} ms"
        return {
            c.player: walk_value(result, seed, to, made),
            c.strip: made.within(group_html("ks-strip", *shown)),
            c.cost: facts((str(len(result.pictures)), "network calls, one a picture"), (cost, "a picture")),
        }


def _lay_out(frame: Frame, seed: int) -> WalkControls:
    with frame.controls:
        intro(SENTENCE, FORMULA)
        with group():
            to = gr.Number(
                seed + 1 if seed < MAX_SEED else 0, label="To seed", info="from the header's seed", precision=0,
                elem_id="walk-to",
            )  # fmt: skip
            dice = gr.Button("Another seed", size="sm", elem_id="walk-dice")
            frames = gr.Slider(
                2, MAX_WALK_FRAMES, FRAMES, step=1, label="Pictures", info="of the way, both ends among them",
                buttons=["reset"], elem_id="walk-frames",
            )  # fmt: skip
    with frame.stage:
        player = slide_player("Between the seeds", elem_id="walk-player", elem_classes="ks-result")
        pictures = gr.HTML(elem_id="walk-strip", elem_classes="ks-result")
    with frame.readings, group():
        gr.HTML(heading("What it costs"))
        cost = gr.HTML(elem_id="walk-cost")
    return WalkControls(to, dice, frames, player, pictures, cost)


def build_walk(work: Workspace, views: Views) -> BuiltTab:
    """Lay the view out and wire it; nothing is computed before it is opened."""
    c, source = _lay_out(views.frame, work.source.start[1]), work.source
    tab = WalkTab(work.library, c)
    walked = {
        "fn": guarded(tab.walk), "inputs_kwargs": {**source.named, **c.named("to", "frames")},
        "outputs": c.listed("player", "strip", "cost"), "trigger_mode": "always_last", "show_progress": "hidden",
        **MODEL_QUEUE, **PRIVATE,
    }  # fmt: skip
    gr.on([views.opened["walk"], c.to.input, c.frames.release], **walked)
    c.dice.click(None, None, c.to, js=DICE, **PRIVATE).success(**walked)
    return BuiltTab(c)
