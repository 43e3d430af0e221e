"""Part of the Flow lab: draw a density, and train a net on it or on a named one while one looks."""

from __future__ import annotations

import functools
import time

import gradio as gr
import numpy as np
from gradio.components import Component
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.figures.flow import loss_figure, preview_figure
from analysis.flow.nets import TrainStep
from analysis.flow.point_requests import DRAWN, TrainRequest
from analysis.flow.points import PointFlows
from analysis.flow.settings import BRIDGES, MAX_SIGMA
from ui.components.html import heading
from ui.components.painter import canvas, painted
from ui.components.plot import plot
from ui.server.errors import guarded
from ui.server.queue import PRIVATE
from ui.server.runs import LONG_QUEUE, LongRun, Superseded
from ui.tabs.flow_settings import DRAWING_SIDE, KEPT_NETS

STEPS = 2000
PATHS = (("IDFF: predicts x₁", "idff"), ("OT-CFM: velocity", "otcfm"), ("I-CFM: velocity", "icfm"))
ASK = '<p class="ks-line">Nothing trained yet. A net of 34,000 parameters sees fresh points in every step.</p>'


def ring() -> str:
    """What is drawn before anyone has drawn: a ring and a dot, as text of 0 and 1."""
    y, x = np.mgrid[:DRAWING_SIDE, :DRAWING_SIDE] + 0.5 - DRAWING_SIDE / 2
    r = np.hypot(x, y)
    return _bits(((r > 8.5) & (r < 11.5)) | (r < 2.5))


def _bits(on: np.ndarray) -> str:
    return "".join(map(str, np.asarray(on, bool).astype(int).ravel()))


def _mask(bits: str) -> np.ndarray:
    return np.frombuffer((bits or ring()).encode("ascii"), np.uint8).reshape(DRAWING_SIDE, DRAWING_SIDE) - np.uint8(
        ord("0")
    )


def cells_of(bits: str) -> tuple[tuple[int, ...], ...]:
    """A drawing kept as text, as the cells of a request; "" is the ring."""
    return tuple(map(tuple, _mask(bits).tolist()))


def own_net(own, density: str, drawing: str, path: str, sigma0: float, kept: tuple[str, ...]) -> str | None:
    """Key of the visitor's latest net that fits a setting, None if there is none.

    Args:
        own: (density, drawing, path, sigma0, key) of every net, the latest last.
        density, drawing, path, sigma0: of the setting.
        kept: keys that still work.
    """
    wanted = _what(density, drawing, path, sigma0)
    return next((key for *what, key in reversed(own) if tuple(what) == wanted and key in kept), None)


def _what(density: str, drawing: str, path: str, sigma0: float) -> tuple:
    return density, (drawing or ring()) if density == DRAWN else "", path, sigma0 if path in BRIDGES else 0.0


class Trainer:
    """The handlers; each can be called without a page."""

    def __init__(self, bench: PointFlows):
        self.bench = bench
        self.run = LongRun()

    def train(self, density, drawing, path, sigma0, steps, seed, own, report=None):
        """Status, loss curve, preview and the visitor's nets, after every look.

        Args:
            report: called with (share done, what); raises `Superseded` to stop, and what was trained is kept.
        """
        cells = cells_of(drawing) if density == DRAWN else None
        request = TrainRequest(density, cells, path, sigma0, steps, seed=seed)
        contours, losses, fits, last, words = self.bench.contours(request), [], [], None, "Stopped"
        looks = self.bench.train_toy(request)
        try:
            for look in looks:
                losses.append(look.losses)
                if look.numbers is not None:
                    fits.append((look.step, look.numbers.mmd2))
                last = look
                mmd2 = np.array(fits).reshape(-1, 2)
                yield (
                    _status(look, "Training" if not look.finished else "Trained"),
                    loss_figure(np.concatenate(losses), mmd2, request.steps).to_json(),
                    preview_figure(*contours, look.preview).to_json(),
                    own,
                )
                if report is not None:
                    report(look.step / look.steps, f"step {look.step:,} of {look.steps:,}")
            words = "Trained"
        except Superseded:
            pass
        finally:
            looks.close()  # keeps the net
        if last is None:
            yield '<p class="ks-line">Stopped before it began.</p>', gr.skip(), gr.skip(), own
            return
        entry = (*_what(density, drawing, path, sigma0), last.key)
        yield _status(last, words, kept=True), gr.skip(), gr.skip(), (*own, entry)[-KEPT_NETS:]

    @staticmethod
    def stroke(event: gr.EventData) -> tuple[str, str]:
        """The drawing, and the density that it is.

        Raises:
            UserError: not one 0 or 1 a cell, or everything was rubbed out.
        """
        mask = painted(event, DRAWING_SIDE)
        if mask is None:
            raise UserError("Nothing is drawn: paint where the points shall be.")
        return _bits(mask > 0), DRAWN


def _status(look: TrainStep, words: str, kept: bool = False) -> str:
    fit = "" if look.numbers is None else f" &nbsp;·&nbsp; MMD² of its points {look.numbers.mmd2:.4f}"
    bar = f'<div class="ks-progress"><progress max="{look.steps}" value="{look.step}"></progress></div>'
    bar = "" if kept else bar
    end = " The settings above on this density, path and σ₀ run on it now." if kept else ""
    return (
        f'<p class="ks-line" role="status"><b>{words}</b>: {look.step:,} of {look.steps:,} steps in '
        f"{look.seconds:.1f} s &nbsp;·&nbsp; mean loss {look.losses[-1, 1]:.4f}{fit}.{end}</p>{bar}"
    )


def build_training(
    bench: PointFlows, density: Component, drawing: Component, own: Component
) -> tuple[Dependency, Dependency, Component]:
    """Lay the part out and wire it.

    Args:
        bench: trains.
        density: the tab's choice of a density.
        drawing: state, the drawing as text.
        own: state, the visitor's nets.

    Returns:
        The events "a net was trained, or stopped" and "something was drawn"; and what is drawn on.
    """
    trainer = Trainer(bench)
    with gr.Row():
        with gr.Column(elem_classes="ks-panel", min_width=260, scale=1):
            gr.HTML(heading("Draw a density", "32 × 32 cells on [−4, 4]², uniform in each"))
            blank = np.full((DRAWING_SIDE, DRAWING_SIDE, 3), 236, np.uint8)
            paper = canvas(blank, _mask("") * np.uint8(255), label="Density to draw", elem_id="flow-paper")
        with gr.Column(elem_classes="ks-panel", min_width=300, scale=2):
            gr.HTML(heading("Train a net", "on the density chosen at the top"))
            with gr.Row():
                path = gr.Radio(
                    PATHS, value="idff", label="Path", info="and what the net says", elem_id="flow-train-path"
                )
                sigma0 = gr.Slider(
                    0.05, MAX_SIGMA, 0.2, step=0.05, label="σ₀", info="noise of the IDFF path",
                    elem_id="flow-train-sigma", buttons=["reset"], min_width=140,
                )  # fmt: skip
                steps = gr.Slider(
                    100, 6000, STEPS, step=100, label="Steps", info="of 256 points, 100 to 6000",
                    elem_id="flow-train-steps", buttons=["reset"], min_width=140,
                )  # fmt: skip
                seed = gr.Number(
                    0, label="Seed", info="from 0", precision=0, minimum=0, elem_id="flow-train-seed", min_width=80
                )
            with gr.Row(elem_classes="ks-buttons"):
                start = gr.Button("Train", variant="primary", elem_id="flow-train-start", min_width=120, scale=0)
                stop = gr.Button("Stop", interactive=False, elem_id="flow-train-stop", min_width=90, scale=0)
            status = gr.HTML(ASK, elem_id="flow-train-status", elem_classes="ks-told")
            with gr.Row():
                with gr.Column(min_width=260):
                    preview = plot(None, elem_id="flow-train-preview", label="Points of the net in training")
                with gr.Column(min_width=260):
                    loss = plot(None, elem_id="flow-train-loss", label="Loss over steps")

    inputs = [density, drawing, path, sigma0, steps, seed, own]
    swap = {"queue": False, "show_progress": "hidden", **PRIVATE}

    def ask(request: gr.Request):
        key = time.monotonic_ns()
        trainer.run.ask(request.session_hash, key)
        return key, gr.update(interactive=False), gr.update(interactive=True)

    def train(request: gr.Request, key, *values):
        try:  # the status tells the progress: Gradio's own bar would lie over it
            report = trainer.run.report(request.session_hash, key, lambda share, desc: None)
        except Superseded:  # stopped while it waited
            return
        looks = trainer.train(*values, report)
        advance = guarded(functools.partial(next, looks, None))
        try:
            while (shown := advance()) is not None:
                yield shown
        finally:
            looks.close()

    def halt(request: gr.Request) -> None:
        trainer.run.stop(request.session_hash)

    wish = gr.State(0)
    asked = start.click(guarded(ask), None, [wish, start, stop], **swap)
    trained = asked.success(
        train, [wish, *inputs], [status, loss, preview, own], show_progress="hidden", **LONG_QUEUE, **PRIVATE
    )
    trained.then(lambda: (gr.update(interactive=True), gr.update(interactive=False)), None, [start, stop], **swap)
    stop.click(halt, None, None, **swap)
    drew = paper.apply(guarded(trainer.stroke), None, [drawing, density], **swap)
    return trained, drew, paper
