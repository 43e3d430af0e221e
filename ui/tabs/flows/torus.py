"""View "Angles" of "Flows": dihedral angles of a molecule as a flow on the torus, drawn as its square."""

from __future__ import annotations

from dataclasses import dataclass, replace

import gradio as gr

from analysis.core.errors import UserError
from analysis.flow.settings import MAX_NFE
from analysis.flow.torus import MAX_ANGLES, TORUS_SAMPLERS, AnglesRequest, AnglesResult, TorusFlows, copies
from flow_core.samplers import SAMPLER_NAMES
from ui.components.controls import Controls
from ui.components.html import details, facts
from ui.components.layout import Frame, group, intro, noise_row
from ui.components.made import Made
from ui.components.players import Panel, flow_player, flow_value
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import DICE, BuiltTab, Views, Workspace, usable_seed

SENTENCE = (
    "Two angles of alanine dipeptide, φ across and ψ upwards: a flow carries evenly spread ones to those of the "
    "molecule."
)
FORMULA = """What leaves the square on one side comes back on the other: x<sub>t</sub> = x₀ + t wrap(x₁ − x₀),
the shortest way round &nbsp;·&nbsp; v = E[wrap(x₁ − x) | x<sub>t</sub> = x] / (1 − t)"""
START_ANGLES, START_CALLS = 2000, 20
SHOWN_ANGLES = 200  # of the points, with their copies beyond the edges


def angle_numbers(r: AnglesResult) -> str:
    """How far the angles are from the simulation's, beside what others get."""
    phi, psi = r.marginals
    pairs = (
        (f"{r.distance:.3f}", "Jensen-Shannon distance of the (φ, ψ) histogram to the test part"),
        (f"{r.floor:.3f}", "of as many independent draws of its own law"),
        (f"{r.training:.3f}", "of the simulation’s training part"),
        (f"{r.flat:.3f}", "of evenly spread angles"),
        (f"{phi:.3f}, {psi:.3f}", "largest difference of the distribution functions of φ and of ψ"),
        (str(r.nfe), "network calls"),
    )
    words = (
        f"At {r.nfe} call{'s' if r.nfe > 1 else ''} the angles are {r.distance:.3f} away from those of the molecule, "
        f"evenly spread ones {r.flat:.3f}; as many draws of its own law are {r.floor:.3f} away."
    )
    return f'<p class="ks-verdict" role="status">{words}</p>{details("Details", facts(*pairs))}'


@dataclass(frozen=True)
class AnglesControls(Controls):
    """Components of the view."""

    sampler: gr.Dropdown
    nfe: gr.Slider
    points: gr.Slider
    seed: gr.Number
    dice: gr.Button
    player: gr.HTML
    words: gr.HTML


class AnglesTab:
    """The handlers; each can be called without a page.

    Args:
        flows: answers.
        controls: of the view, or their names.
    """

    def __init__(self, flows: TorusFlows, controls: AnglesControls):
        self.flows, self.controls = flows, controls

    def show(self, sampler, nfe, points, seed) -> dict:
        """The player and the distances, or why there are none."""
        if not usable_seed(seed):
            return gr.skip()
        c = self.controls
        try:
            result = self.flows.angles(AnglesRequest(sampler, nfe, seed, points))
        except UserError as e:
            return {c.player: flow_value([Panel("Angles", "", None, "", str(e))]), c.words: ""}
        seen = replace(result, trajectories=copies(result.trajectories[:SHOWN_ANGLES]))
        note = f"{min(SHOWN_ANGLES, len(result.trajectories))} of {len(result.trajectories):,} points in radians"
        panel = Panel(SAMPLER_NAMES[sampler], note, seen, "")
        asked = {c.sampler: sampler, c.nfe: nfe, c.points: points, c.seed: seed}
        made = Made.by(f"alanine dipeptide, noise seed {seed}", asked).line("#angles-player, #angles-words")
        return {c.player: flow_value([panel]), c.words: angle_numbers(result) + made}


def _lay_out(frame: Frame) -> AnglesControls:
    with frame.controls:
        intro(SENTENCE, FORMULA)
        with group():
            sampler = gr.Dropdown(
                [(SAMPLER_NAMES[s], s) for s in TORUS_SAMPLERS], value="heun", label="Sampler",
                info="how the flow is followed", elem_id="angles-sampler", filterable=False,
            )  # fmt: skip
            nfe = gr.Slider(
                1, MAX_NFE, START_CALLS, step=1, label="NFE", info="network calls, 1 to 50", elem_id="angles-nfe",
                buttons=["reset"],
            )  # fmt: skip
            seed = noise_row("angles")
            points = gr.Slider(
                100, MAX_ANGLES, START_ANGLES, step=100, label="Points", info=f"{SHOWN_ANGLES} are drawn",
                elem_id="angles-points", buttons=["reset"],
            )  # fmt: skip
    with frame.stage:
        player = flow_player(elem_id="angles-player")
    with frame.readings, group():
        words = gr.HTML(elem_id="angles-words")
    return AnglesControls(sampler, nfe, points, **seed, player=player, words=words)


def build_torus(work: Workspace, views: Views) -> BuiltTab:
    """Lay the view out and wire it; nothing is computed before it is opened."""
    c = _lay_out(views.frame)
    tab = AnglesTab(work.studio.torus, c)
    shown = {
        "fn": guarded(tab.show), "inputs_kwargs": c.named("sampler", "nfe", "points", "seed"),
        "outputs": c.listed("player", "words"), "trigger_mode": "always_last", "show_progress": "hidden",
        **MODEL_QUEUE, **PRIVATE,
    }  # fmt: skip
    moved = [e for part in (c.nfe, c.points) for e in (part.input, part.release)]
    gr.on([views.opened["angles"], c.sampler.input, c.seed.change, *moved], **shown)
    c.dice.click(None, None, c.seed, js=DICE, **PRIVATE)
    return BuiltTab(c)
