"""View "Inversion" of "Change": a picture taken back to noise and made again, by the teacher and by the Koopman law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import gradio as gr
import numpy as np

from analysis.core.progress import Report
from analysis.workbench.images import GenerateRequest
from analysis.workbench.inversion import Closeness, InvertRequest, InvertResult
from analysis.workbench.library import ModelLibrary
from ui.components.controls import Controls, chosen
from ui.components.html import figure_html, group_html, heading
from ui.components.layout import Frame, empty_stage, group, intro
from ui.components.picture_chooser import Chooser, fitted, picture_chooser, picture_of_address
from ui.components.players import slide_player, slides
from ui.server.errors import guarded
from ui.server.queue import PRIVATE
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, run_buttons, wire_run
from ui.source import BuiltTab, Views, Workspace, fitting_label, made_with, usable_seed

SENTENCE = "A picture goes back to noise and is made again: by the teacher's path, and by the linear law."
FORMULA = """teacher: x<sub>T</sub> = ODE<sup>−1</sup>(x), x̂ = D( e<sup>−A</sup> E(x<sub>T</sub>) ) &nbsp;·&nbsp;
law: x(τ) = D( e<sup>τA</sup> E(x; σ = 0.002) )"""
INVERSION_ORIGINS = (("your seed's", "seed"), ("a picture", "picture"))
INVERSION_TIMES = 12
ASK = '<p class="ks-line">Press “Invert”: the teacher goes back step by step.</p>'


def visible_noise(noise: np.ndarray) -> np.ndarray:
    """Noise (C, H, W) as a picture: two standard deviations are black and white."""
    return np.clip(127.5 + 127.5 * noise.transpose(1, 2, 0) / 2, 0, 255).round().astype(np.uint8)


def inverted(result: InvertResult, given: np.ndarray) -> str:
    """The picture and what came back, side by side."""
    shown = [figure_html(given, "Given")]
    if result.one_call is not None and result.noise is not None:
        shown += [
            figure_html(visible_noise(result.noise), "Teacher's noise", f"{result.nfe} calls back"),
            figure_html(result.one_call, "One call from it"),
        ]
    shown.append(figure_html(result.path[0], "By the law", "encoded, decoded"))
    return group_html("ks-strip ks-inverted", *shown)


def _decibels(value: float) -> str:
    return "∞" if not np.isfinite(value) else f"{value:.1f} dB"


def numbers(result: InvertResult) -> str:
    """How close both come, and how much the noise looks like noise."""
    ways: list[tuple[str, Closeness]] = [("by the law", result.koopman)]
    if result.teacher is not None:
        ways.insert(0, ("teacher, one call", result.teacher))
    head = "".join(f"<td>{name}</td>" for name, _ in ways)
    rows = [
        ("PSNR", [_decibels(w.psnr) for _, w in ways]), ("SSIM", [f"{w.ssim:.3f}" for _, w in ways]),
        ("LPIPS", ["–" if w.lpips is None else f"{w.lpips:.3f}" for _, w in ways]),
    ]  # fmt: skip
    body = "".join(f"<tr><th>{name}</th>{''.join(f'<td>{v}</td>' for v in values)}</tr>" for name, values in rows)
    words = "This model has no teacher here: only the law takes its pictures back."
    if result.teacher is not None:
        best = max(ways, key=lambda way: way[1].psnr)[0]
        words = f"Nearer to the given picture: {best}."
    noise = ""
    if n := result.noise_numbers:
        noise = (
            f'<p class="ks-line">The teacher\'s noise has mean {n.mean:+.3f}, standard deviation {n.std:.3f} and '
            f"correlation of neighbours {n.neighbours:+.3f}; of true noise 0, 1 and 0.</p>"
        )
    table = f'<table class="ks-bands"><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<p class="ks-verdict">{words}</p>{table}{noise}'


@dataclass(frozen=True)
class InversionControls(Controls):
    """Components of the view; `brought` is the photograph or upload."""

    origin: gr.Radio
    box: gr.Column
    brought: gr.State
    steps: gr.Slider
    buttons: RunButtons
    player: gr.HTML
    pictures: gr.HTML
    words: gr.HTML


class InversionTab:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the view, or their names.
        patience: seconds that an inversion may take.
    """

    def __init__(self, library: ModelLibrary, controls: InversionControls, patience: float = RUN_SECONDS):
        self.library, self.controls, self.run = library, controls, LongRun(patience)

    def invert(self, model, seed, label, origin, brought, steps, report: Report | None = None) -> dict:
        """Both ways back, beside each other."""
        bench = self.library.get(model)
        c, label = self.controls, fitting_label(bench, label)
        if origin == "seed":
            if not usable_seed(seed):
                return gr.skip()
            given = bench.generate(GenerateRequest((seed,), label)).pictures[0]
        else:
            given = fitted(brought, bench.side)
        result = bench.invert(InvertRequest(given, label, int(steps), INVERSION_TIMES), report)
        mine = {"seed": seed} if origin == "seed" else {"seed": None, "seeds": "your picture"}
        made = made_with(bench, label=label, **mine)
        labels = [f"τ = {t:.2f}, σ = {s:.3g}" for t, s in zip(result.tau, result.sigma, strict=True)]
        return {
            c.player: slides([("By the law", result.path)], labels, ("picture", "noise"), 0, made),
            c.pictures: made.within(inverted(result, given)),
            c.words: made.within(numbers(result)),
        }


def _lay_out(frame: Frame, work: Workspace) -> tuple[InversionControls, Chooser]:
    with frame.controls:
        intro(SENTENCE, FORMULA)
        with group():
            gr.HTML(heading("Picture"))
            origin = gr.Radio(
                INVERSION_ORIGINS,
                value="seed",
                label="Picture",
                show_label=False,
                container=False,
                elem_id="invert-origin",
            )
            with gr.Column(visible=False, min_width=0) as box:
                chooser = picture_chooser(work.library, work.source.model, work.source.start[0], "invert")
            steps = gr.Slider(
                4, 40, 18, step=1, label="Teacher's steps", info="noise levels on its way back", buttons=["reset"],
                elem_id="invert-steps",
            )  # fmt: skip
            buttons = run_buttons("Invert", "invert")
    with frame.stage:
        empty_stage("The picture goes back to noise, two ways, and is made again.", ("Invert", "invert-start"))
        pictures = gr.HTML(elem_id="invert-pictures", elem_classes="ks-result")
        player = slide_player("Time on the law's way", elem_id="invert-player", elem_classes="ks-result")
    with frame.readings, group():
        gr.HTML(heading("What came back"))
        words = gr.HTML(ASK, elem_id="invert-words", elem_classes="ks-told ks-result")
    controls = InversionControls(origin, box, chooser.picture, steps, buttons, player, pictures, words)
    return controls, chooser


def build_inversion(work: Workspace, views: Views) -> BuiltTab:
    """Lay the view out and wire it; nothing is computed before it is asked for."""
    c, chooser = _lay_out(views.frame, work)
    tab, source = InversionTab(work.library, c, work.bounded(RUN_SECONDS)), work.source
    c.origin.input(
        guarded(lambda origin: gr.update(visible=origin == "picture")), c.origin, c.box, queue=False,
        show_progress="hidden", **PRIVATE,
    )  # fmt: skip
    wire_run(
        tab.run, c.buttons, tab.invert, {**source.named, **c.named("origin", "brought", "steps")},
        c.listed("words", "player", "pictures"),
    )  # fmt: skip

    def settle(asked: Mapping[str, str], out: Mapping) -> dict:
        side = work.library.get(chosen(source.model, out)).side
        brought = picture_of_address(asked, side, chooser.picture, chooser.name, chooser.own)
        shown = {c.origin: "seed"} if brought is None else brought
        if brought is None or c.origin in out:
            shown |= {c.box: gr.update(visible=chosen(c.origin, {**out, **shown}) == "picture")}
        return shown

    return BuiltTab(c, settle=settle, settled=(c.box, chooser.picture, chooser.own))
