"""Part of the Flow lab: draw a density, or what points begin at, and train a net while one looks."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gradio as gr
import numpy as np
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.core.progress import Report
from analysis.figures.flow import loss_figure, preview_figure
from analysis.flow.clouds import DRAWING
from analysis.flow.nets import STRAIGHT, TrainRequest, TrainStep
from analysis.flow.points import PointFlows
from analysis.flow.settings import BRIDGES, MAX_SIGMA
from flow_core.model import NORMAL
from ui.components.controls import Controls
from ui.components.html import heading
from ui.components.layout import Frame, empty_stage, group, intro, only
from ui.components.made import Made
from ui.components.painter import canvas, painted
from ui.components.plot import plot
from ui.server.errors import guarded, sentence_of
from ui.server.queue import AS_SENT, PRIVATE
from ui.server.runs import LONG_QUEUE, RUN_SECONDS, LongRun, Superseded, problem
from ui.tabs.flows.settings import DRAWING_SIDE, KEPT_NETS, Ends, bars, bits_of, mask_of, ring, trained_on

START_STEPS = 2000
TRAINED_PATHS = (("IDFF: predicts x₁", "idff"), ("OT-CFM: velocity", "otcfm"), ("I-CFM: velocity", "icfm"))
FROM_ANYWHERE = tuple((text, path) for text, path in TRAINED_PATHS if path in STRAIGHT)
PRESS = "() => document.getElementById('flow-train-start').click()"
ASK = '<p class="ks-line">Nothing trained yet. A net of 34,000 parameters sees fresh points in every step.</p>'


@dataclass(frozen=True)
class TrainingControls(Controls):
    """Components of the part; density to own are the tab's, `wish` says which training is wanted."""

    density: gr.Dropdown
    drawing: gr.State
    source: gr.Dropdown
    source_drawing: gr.State
    own: gr.State
    paper: gr.HTML
    source_paper: gr.HTML
    source_box: gr.Column
    subject: gr.HTML
    path: gr.Radio
    sigma0: gr.Slider
    steps: gr.Slider
    seed: gr.Number
    start: gr.Button
    start_drawing: gr.Button
    stop: gr.Button
    status: gr.HTML
    preview: gr.HTML
    loss: gr.HTML
    wish: gr.State


SENTENCE = "Draw where the points shall be, and watch a small net learn the way there."
QUESTION = ("density", "drawing", "source", "source_drawing", "path", "sigma0", "steps", "seed", "own")


class Trainer:
    """The handlers; each can be called without a page.

    Args:
        flows: trains.
        controls: of the part, or their names.
        patience: seconds that a training may take.
    """

    def __init__(self, flows: PointFlows, controls: TrainingControls, patience: float = RUN_SECONDS):
        self.flows, self.controls = flows, controls
        self.run = LongRun(patience)

    def train(
        self, density, drawing, source, source_drawing, path, sigma0, steps, seed, own, report: Report | None = None
    ) -> Iterator[dict]:
        """Status, loss curve, preview and the visitor's nets, after every look.

        Args:
            density, drawing, source, source_drawing: between what, see `Ends`.
            path, sigma0, steps, seed: of the training.
            own: the visitor's nets so far.
            report: called with (share done, what); raises `Superseded` to stop, and what was trained is kept.
        """
        ends, c = Ends(density, drawing, source, source_drawing), self.controls
        request = TrainRequest(**ends.asked(), path=path, sigma0=sigma0, steps=steps, seed=seed)
        contours, losses, fits, last, words = self.flows.contours(request), [], [], None, "Stopped"
        looks = self.flows.train_toy(request)
        try:
            for look in looks:
                losses.append(look.losses)
                if look.numbers is not None:
                    fits.append((look.step, look.numbers.mmd2))
                last = look
                mmd2 = np.array(fits).reshape(-1, 2)
                yield {
                    c.status: _status(look, "Training" if not look.finished else "Trained"),
                    c.loss: loss_figure(np.concatenate(losses), mmd2, request.steps).to_json(),
                    c.preview: preview_figure(*contours, look.preview).to_json(),
                }
                if report is not None:
                    report(look.step / look.steps, f"step {look.step:,} of {look.steps:,}")
            words = "Trained"
        except Superseded:
            pass
        finally:
            looks.close()  # keeps the net
        if last is None:
            yield {c.status: '<p class="ks-line">Stopped before it began.</p>'}
            return
        entry = (*trained_on(ends, path, sigma0), last.key)
        asked = {c.density: density, c.source: source, c.path: path, c.steps: steps, c.seed: seed}
        asked |= {c.sigma0: sigma0} if path in BRIDGES else {}
        of = "my drawing" if density == DRAWING else density
        made = Made.by(f"{of}, seed {seed}", asked).line("#flow-train-preview, #flow-train-loss, #flow-train-status")
        yield {c.status: _status(last, words, kept=True) + made, c.own: (*own, entry)[-KEPT_NETS:]}

    def ask(self, request: gr.Request) -> dict:
        """A visitor wants a training, and no earlier one."""
        key = time.monotonic_ns()
        self.run.ask(request.session_hash, key)
        return {self.controls.wish: key, **self.buttons(running=True)}

    def watched(self, request: gr.Request, wish: int, **question) -> Iterator[dict]:
        """`train` while its visitor wants it; however it ends, the buttons can be pressed again."""
        try:  # the status tells the progress: Gradio's own bar would lie over it
            report = self.run.report(request.session_hash, wish, lambda share, desc: None)
            yield from self.train(**question, report=report)
        except Superseded:  # stopped while it waited
            pass
        except Exception as e:
            yield {self.controls.status: problem(sentence_of(e))}
        yield self.buttons()

    def stop(self, request: gr.Request) -> dict:
        """A visitor wants none."""
        self.run.stop(request.session_hash)
        return self.buttons()

    def buttons(self, running: bool = False) -> dict:
        """Which of the two can be pressed."""
        c = self.controls
        return {c.start: gr.update(interactive=not running), c.stop: gr.update(interactive=running)}

    def stroke(self, event: gr.EventData) -> dict:
        """The drawing, and the density that it is.

        Raises:
            UserError: not one 0 or 1 a cell, or everything was rubbed out.
        """
        return {self.controls.drawing: _drawn(event), self.controls.density: DRAWING}

    def source_stroke(self, event: gr.EventData) -> dict:
        """The drawing of the source. Raises UserError: as `stroke`."""
        return {self.controls.source_drawing: _drawn(event)}

    def begins(self, source: str, path: str) -> dict:
        """Another source is chosen: a canvas for one that is drawn, and the paths that may begin there."""
        c, paths = self.controls, TRAINED_PATHS if source == NORMAL else FROM_ANYWHERE
        known = path if path in dict(map(reversed, paths)) else paths[0][1]
        return {c.source_box: gr.update(visible=source == DRAWING), c.path: gr.update(choices=list(paths), value=known)}


def _drawn(event: gr.EventData) -> str:
    mask = painted(event, DRAWING_SIDE)
    if mask is None:
        raise UserError("Nothing is drawn: paint where the points shall be.", "drawing")
    return bits_of(mask > 0)


def _status(look: TrainStep, words: str, kept: bool = False) -> str:
    fit = "" if look.numbers is None else f" &nbsp;·&nbsp; MMD² of its points {look.numbers.mmd2:.4f}"
    bar = f'<div class="ks-progress"><progress max="{look.steps}" value="{look.step}"></progress></div>'
    bar = "" if kept else bar
    end = " The settings above on this density, path and σ₀ run on it now." if kept else ""
    return (
        f'<p class="ks-line" role="status"><b>{words}</b>: {look.step:,} of {look.steps:,} steps in '
        f"{look.seconds:.1f} s &nbsp;·&nbsp; mean loss {look.losses[-1, 1]:.4f}{fit}.{end}</p>{bar}"
    )


@dataclass(frozen=True)
class TrainingPart:
    """What the tab fills and listens to.

    Attributes:
        paper, source_paper: what is drawn on; source_box: what holds the second.
        path: of the training; begins: (source, path) -> what another source makes of the two, see `Trainer.begins`.
        trained: event "a net was trained, or stopped"; painted: events "one of both was drawn".
    """

    paper: gr.HTML
    source_paper: gr.HTML
    source_box: gr.Column
    path: gr.Radio
    begins: Callable[[str, str], dict]
    trained: Dependency
    painted: tuple[Dependency, Dependency]


def subject(density: str) -> str:
    """What a training would learn now."""
    words = "The net learns what is drawn here."
    if density != DRAWING:
        words = f"The net learns <b>{html.escape(density)}</b>. Draw, and it learns your drawing."
    return f'<p class="ks-line">{words}</p>'


def _lay_out(frame: Frame, start: str) -> dict:
    parts: dict = {}
    with frame.controls:
        intro(SENTENCE, "", "train")
        with group("train"):
            with gr.Row(elem_classes="ks-buttons"):
                parts["start"] = gr.Button("Train", variant="primary", elem_id="flow-train-start", min_width=120)
                parts["stop"] = gr.Button("Stop", interactive=False, elem_id="flow-train-stop", min_width=90)
            parts["start_drawing"] = gr.Button(visible="hidden", elem_id="flow-train-drawing")
            parts["path"] = gr.Radio(
                TRAINED_PATHS, value="idff", label="Path", info="and what the net says", elem_id="flow-train-path"
            )
            parts["steps"] = gr.Slider(
                100, 6000, START_STEPS, step=100, label="Steps", info="of 256 points, 100 to 6000",
                elem_id="flow-train-steps", buttons=["reset"],
            )  # fmt: skip
            parts["sigma0"] = gr.Slider(
                0.05, MAX_SIGMA, 0.2, step=0.05, label="σ₀", info="noise of the IDFF path",
                elem_id="flow-train-sigma", buttons=["reset"],
            )  # fmt: skip
            parts["seed"] = gr.Number(0, label="Seed", info="from 0", precision=0, minimum=0, elem_id="flow-train-seed")
    with frame.stage, gr.Row(elem_classes=["ks-pair", *only("train")], equal_height=False):
        with gr.Column(min_width=0), gr.Row(elem_classes="ks-papers", equal_height=False):
            with gr.Column(min_width=0, visible=False) as parts["source_box"]:
                gr.HTML(heading("Begin here", "the same cells"))
                parts["source_paper"] = canvas(
                    None, mask_of(bars()) * np.uint8(255), label="Source to draw", elem_id="flow-source-paper"
                )
            with gr.Column(min_width=0):
                gr.HTML(heading("Draw here", "32 × 32 cells on [−4, 4]²"))
                parts["paper"] = canvas(
                    None, mask_of(ring()) * np.uint8(255), label="Density to draw", elem_id="flow-paper"
                )
                parts["subject"] = gr.HTML(subject(start), elem_id="flow-train-subject")
        with gr.Column(min_width=0):
            gr.HTML(heading("What the net has learned", "its points over the density"))
            empty_stage("Points learn the way to what is drawn.", ("Train on the drawing", "flow-train-drawing"))
            parts["preview"] = plot(None, elem_id="flow-train-preview", label="Points of the net in training")
            parts["loss"] = plot(None, elem_id="flow-train-loss", label="Loss over steps")
    with frame.readings, group("train"):
        parts["status"] = gr.HTML(ASK, elem_id="flow-train-status", elem_classes="ks-told")
    return parts


def build_training(
    flows: PointFlows, patience: float, frame: Frame, shared: dict[str, gr.components.Component]
) -> TrainingPart:
    """Lay the view out and wire it.

    Args:
        flows: trains.
        patience: seconds that a training may take.
        frame: the columns of its tab.
        shared: the tab's controls density, drawing, source, source_drawing and own, by name.
    """
    c = TrainingControls(**shared, **_lay_out(frame, shared["density"].value), wish=gr.State(0))
    trainer = Trainer(flows, c, patience)
    quick = {"queue": False, "show_progress": "hidden", **PRIVATE}
    pair = c.listed("start", "stop")
    asked = c.start.click(guarded(trainer.ask), None, [c.wish, *pair], **quick)
    trained = asked.success(
        trainer.watched, inputs_kwargs=c.named("wish", *QUESTION), show_progress="hidden",
        outputs=[*c.listed("status", "loss", "preview", "own"), *pair], **LONG_QUEUE, **PRIVATE,
    )  # fmt: skip
    # what is drawn, also before anyone has drawn: then it is the ring that is seen
    c.start_drawing.click(lambda: DRAWING, None, c.density, **quick).success(None, None, None, js=PRESS, **PRIVATE)
    c.stop.click(guarded(trainer.stop), None, pair, **quick)
    drew = c.paper.apply(guarded(trainer.stroke), None, [c.drawing, c.density], **quick)
    began = c.source_paper.apply(guarded(trainer.source_stroke), None, c.source_drawing, **quick)
    c.density.change(guarded(subject), c.density, c.subject, **quick)
    c.source.input(guarded(trainer.begins), [c.source, c.path], [c.source_box, c.path], **quick, **AS_SENT)
    return TrainingPart(c.paper, c.source_paper, c.source_box, c.path, trainer.begins, trained, (drew, began))
