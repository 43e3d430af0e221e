"""View "Your dynamics" of "Look inside": DMD of trajectories that a visitor brings, from any model."""

from __future__ import annotations

import hashlib
import html
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from analysis.core.errors import UserError
from analysis.core.progress import Report
from analysis.figures import dynamics as figures
from analysis.koopman.trajectories import EXAMPLE_RATES, Study, example_states, study, visitor_states
from ui.components.controls import Controls
from ui.components.html import details, fact_table
from ui.components.layout import Frame, empty_stage, group, intro, only
from ui.components.plot import plot
from ui.server.errors import guarded
from ui.server.queue import PRIVATE
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, run_buttons, wire_run
from ui.source import BuiltTab, Views, Workspace
from ui.tabs.inside.linearity import drawn, told

PAGE_RANK = 32
METHOD_NAMES = (("exact: state by state", "exact"), ("optimised: whole trajectories", "optimised"))
SENTENCE = "Bring trajectories of any model: is there one linear law, and how far does it carry?"
FORMULA = """states x<sub>b</sub>(t) as an NPZ, <code>numpy.savez("my.npz", states=...)</code> of shape (trajectories,
times, features), perhaps <code>times</code> &nbsp;·&nbsp; x(t) = Σ<sub>k</sub> e<sup>λ<sub>k</sub> t</sup>
b<sub>k</sub> v<sub>k</sub> in leading singular vectors, λ = α + iβ &nbsp;·&nbsp; errors on held-out trajectories"""
EXAMPLE = "an example: two damped rotations seen through noise"
ASK = f'<p class="ks-line">Bring a file, or try {EXAMPLE}.</p>'


@dataclass(frozen=True)
class OwnStates:
    """A file of this visit. Attributes: name; digest of its content; data, the bytes."""

    name: str
    digest: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class DynamicsControls(Controls):
    """Components of the view."""

    file: gr.UploadButton
    brought: gr.State
    of: gr.HTML
    method: gr.Radio
    rank: gr.Slider
    held_out: gr.Slider
    buttons: RunButtons
    words: gr.HTML
    plane: gr.HTML
    errors: gr.HTML


class DynamicsTab:
    """The handlers; each can be called without a page.

    Args:
        controls: of the view, or their names.
        patience: seconds that a measurement may take.
    """

    def __init__(self, controls: DynamicsControls, patience: float = RUN_SECONDS):
        self.controls, self.run = controls, LongRun(patience)

    def bring(self, data: bytes | None) -> dict:
        """What is in the file.

        Raises:
            UserError: too large, or no states.
        """
        if not data:
            raise UserError("Choose an .npz file that numpy.savez wrote.", "npz")
        states = visitor_states(data)
        count, times, features = states.paths.shape
        words = f"{count} trajectories, {times} times, {features:,} features"
        brought = OwnStates(words, hashlib.sha256(data).hexdigest()[:16], data)
        return {self.controls.brought: brought, self.controls.of: f'<p class="ks-line">Yours: {words}.</p>'}

    def measure(
        self, brought: OwnStates | None, method: str, rank: float, held_out: float, report: Report | None = None
    ) -> dict[Any, Any]:
        """Verdict and figures, of the example where nothing was brought."""
        c = self.controls
        states = visitor_states(brought.data) if brought else example_states()
        found = study(states, int(rank), float(held_out), progress=report, method=method)
        known = () if brought else EXAMPLE_RATES
        return {
            c.words: dynamics_words(found, brought.name if brought else EXAMPLE),
            c.plane: drawn(figures.eigenvalue_plane(found, known)),
            c.errors: drawn(figures.error_curves(found)),
        }


def carries(found: Study) -> bool:
    """Whether the law is nearer at the end than predicting nothing, standing still and single coordinates."""
    last = {name: float(values[-1]) for name, values in found.errors.items()}
    return last["dense"] < min(1.0, last["identity"], last["diagonal"])


def dynamics_words(found: Study, of: str) -> str:
    """One conclusion, the eigenvalues under "Details", and what to mistrust."""
    last = {name: float(values[-1]) for name, values in found.errors.items()}
    on = "held-out trajectories" if found.held_out else "the fitted trajectories"
    simple = min(last["identity"], last["diagonal"])
    if carries(found):
        said = f"One linear law carries {on} to their end with a relative error of {last['dense']:.2g}"
        said += f"; the better of standing still and single coordinates leaves {simple:.2g}."
    else:
        said = (
            f"No linear law on these {len(found.alpha)} modes does better on {on} than standing still or single "
            f"coordinates: {last['dense']:.2g} against {simple:.2g} at their end."
        )
    rows = [
        (f"{k + 1}", f"{a:+.3g} [{al:+.3g}, {ah:+.3g}] {b:+.3g}i [{bl:+.3g}, {bh:+.3g}]")
        for k, (a, al, ah, b, bl, bh) in enumerate(zip(
            found.alpha, found.alpha_low, found.alpha_high, found.beta, found.beta_low, found.beta_high, strict=True
        ))
    ]  # fmt: skip
    remarks = "".join(f"<li>{html.escape(r)}</li>" for r in found.remarks)
    return (
        f'<p class="ks-verdict" role="status">{html.escape(said)}</p><p class="ks-line">{html.escape(of)}; '
        f"{found.captured:.1%} of the energy kept.</p>"
        + (f'<ul class="ks-line">{remarks}</ul>' if remarks else "")
        + details("Eigenvalues with 95 % intervals", fact_table(rows))
    )


def _lay_out(frame: Frame) -> DynamicsControls:
    view = "dynamics"
    with frame.controls:
        intro(SENTENCE, FORMULA, view)
        with group(view):
            file = gr.UploadButton(
                "Bring trajectories (.npz)", type="binary", file_types=[".npz"], size="sm", elem_id="dynamics-file"
            )
            of = gr.HTML(f'<p class="ks-line">Now: {EXAMPLE}.</p>', elem_id="dynamics-of")
            method = gr.Radio(
                list(METHOD_NAMES), value="exact", label="DMD", elem_id="dynamics-method",
                info="noise damps the eigenvalues of exact DMD",
            )  # fmt: skip
            rank = gr.Slider(
                1, PAGE_RANK, 4, step=1, label="Rank", elem_id="dynamics-rank", buttons=["reset"],
                info="singular vectors at most, 1 to 32",
            )  # fmt: skip
            held_out = gr.Slider(
                0, 0.9, 0.25, step=0.05, label="Held out", elem_id="dynamics-held-out", buttons=["reset"],
                info="share of the trajectories to judge by, 0 to 0.9",
            )  # fmt: skip
            buttons = run_buttons("Find the law", "dynamics")
    with frame.stage:
        empty_stage(
            "Eigenvalues with intervals, and how far they carry.",
            ("Find the law", "dynamics-start"),
            at_once="dynamics-start",
        )
    with frame.stage, gr.Row(elem_classes=["ks-pair", *only(view)]):
        with gr.Column(min_width=0):
            plane = plot(None, visible=False, elem_id="dynamics-plane", label="Eigenvalues with intervals")
        with gr.Column(min_width=0):
            errors = plot(None, visible=False, elem_id="dynamics-errors", label="Relative error by time step")
    words = told(frame, view, "dynamics", ASK)
    return DynamicsControls(file, gr.State(None), of, method, rank, held_out, buttons, words, plane, errors)


def build_dynamics(work: Workspace, views: Views) -> BuiltTab:
    """Lay the view out and wire it."""
    c = _lay_out(views.frame)
    tab = DynamicsTab(c, work.bounded(RUN_SECONDS))
    c.file.upload(guarded(tab.bring), [c.file], [c.brought, c.of], show_progress="hidden", **PRIVATE)
    wire_run(
        tab.run, c.buttons, tab.measure, c.named("brought", "method", "rank", "held_out"),
        c.listed("words", "plane", "errors"),
    )  # fmt: skip
    return BuiltTab(c)
