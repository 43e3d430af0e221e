"""View "Picture sweep" of "Flows": how far every setting ends from its exact flow, over the number of calls."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, replace

import gradio as gr
import numpy as np
from gradio.components import Component

from analysis.core.fields import whole
from analysis.core.progress import Report
from analysis.export import batches
from analysis.figures.flow import calls_figure
from analysis.flow.image_sweeps import PictureSweepRequest, PictureSweepResult, sweep
from analysis.flow.images import MAX_IMAGES, FlowPicturesRequest, ImageFlows
from ui.components.controls import Controls
from ui.components.layout import Frame, empty_stage, group, only
from ui.components.plot import plot
from ui.components.save_bar import saved_file, saver
from ui.server.errors import guarded
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, wire_run
from ui.source import usable_seed
from ui.tabs.flows.guidance_sweep import VIEW, Settings
from ui.tabs.flows.image_results import mean_and_spread, of, setting_name
from ui.tabs.flows.set_up import LIVE, sweep_part
from ui.tabs.flows.settings import distinct, requests_of

SENTENCE = "How far each setting ends from its net's exact flow, over 1 to 20 calls."
ASK = '<p class="ks-line">Not measured yet: every setting over 1 to 20 calls, several seeds each.</p>'
SWEEP_PICTURES = 6  # at first
GAPS = " Gaps: diverged, or dearer than one question may be."


def sweep_words(result: PictureSweepResult, names: list[str], first: FlowPicturesRequest, nfe: int = 5) -> str:
    """Which setting is nearest to its exact flow at few calls.

    Args:
        result: of the sweep.
        names: of the settings.
        first: for its seeds.
        nfe: where to look, or else the smallest.
    """
    column = list(result.nfes).index(nfe) if nfe in result.nfes else 0
    at = result.distance[:, column]
    sign, digits = (1, ".4f") if result.measure == "LPIPS" else (-1, ".1f")
    known = [s for s in range(len(names)) if np.isfinite(at[s]).all()]
    if not known:
        return f'<p class="ks-verdict" role="status">At {result.nfes[column]} calls no setting has a number.</p>'
    best = min(known, key=lambda s: sign * at[s].mean())
    unit = " dB" if result.measure == "PSNR" else ""
    words = (
        f"At {result.nfes[column]} calls {names[best]} is nearest to its exact flow: {result.measure} "
        f"{mean_and_spread(at[best], digits)}{unit}."
    )
    drawn = f"{len(first.seeds)} pictures, {of(first)}; bands are ± one standard deviation"
    gaps = GAPS if np.isnan(result.distance).any() else ""
    return f'<p class="ks-verdict" role="status">{html.escape(words)}</p><p class="ks-line">{drawn}.{gaps}</p>'


@dataclass(frozen=True)
class SweepControls(Controls):
    """Components of the view; `curves` is the CSV that `save` offers by `saved`."""

    buttons: RunButtons
    words: gr.HTML
    seeds: gr.Slider
    figure: gr.HTML
    curves: gr.State
    save: gr.Button
    saved: gr.HTML


class PictureSweep:
    """The handlers; each can be called without a page.

    Args:
        flows: answers.
        tab: whose settings they are.
        controls: of the view, or their names.
        patience: seconds that it may take.
    """

    def __init__(self, flows: ImageFlows, tab: Settings, controls: SweepControls, patience: float = RUN_SECONDS):
        self.flows, self.tab, self.controls = flows, tab, controls
        self.run = LongRun(patience)

    def sweep(self, report: Report | None = None, sweep_seeds: int = SWEEP_PICTURES, **values) -> dict:
        """A sentence, a figure, and the curves as CSV."""
        if not usable_seed(values["seed"]):
            return gr.skip()
        whole(sweep_seeds, 2, MAX_IMAGES, "The number of seeds", "seeds")
        made = self.tab.made(values, "pictures", "nfe").line("#images-sweep-words, #images-sweep-plot")
        values["pictures"] = 1  # dearer settings are gaps there, not mistakes
        requests = requests_of(self.tab.requests(**values))
        first = requests[0].seeds[0]
        requests = [replace(r, nfe=1, seeds=tuple(range(first, first + sweep_seeds))) for r in requests]
        result = sweep(self.flows, PictureSweepRequest(tuple(requests)), report)
        names = distinct([setting_name(r) for r in requests])
        c = self.controls
        return {
            c.words: sweep_words(result, names, requests[0]) + made,
            c.figure: gr.update(value=calls_figure(result, names).to_json(), visible=True),
            c.curves: batches.calls_csv(result, names),
            c.save: gr.update(visible=True),
        }

    def save_curves(self, curves: str, data: str, seed: int) -> str:
        """The sweep's curves as a file."""
        return saved_file(curves.encode(), f"flow-{data}-seed{seed}-distance-by-calls", "csv")


def sweep_view(frame: Frame) -> tuple[SweepControls, Frame]:
    """Lay the view out; also the columns of the sweep of guidance, which is seen there, too."""
    buttons, words = sweep_part(frame, VIEW, "images-sweep", SENTENCE, ASK)
    with frame.controls, group(VIEW):
        seeds = gr.Slider(
            2, MAX_IMAGES, SWEEP_PICTURES, step=1, label="Seeds of the sweep", info="in a row, 2 to 8",
            elem_id="images-sweep-seeds", buttons=["reset"],
        )  # fmt: skip
    with frame.readings, group(VIEW):
        save = gr.Button("Save the curves (CSV)", size="sm", visible=False, elem_id="images-sweep-save", min_width=140)
        saved = saver(elem_id="images-sweep-saved")
        curves = gr.State("")
    with frame.stage, gr.Column(min_width=0, elem_classes=only(VIEW)) as stage:
        empty_stage(
            "How far each setting ends from the exact flow, by its calls; or its pictures by the scale of guidance.",
            ("Sweep", "images-sweep-start"), ("Sweep guidance", "guidance-sweep-start"),
        )  # fmt: skip
        figure = plot(None, visible=False, elem_id="images-sweep-plot", label="Distance over network calls")
    with frame.controls, gr.Column(min_width=0) as controls:
        pass
    sweep_controls = SweepControls(buttons, words, seeds, figure, curves, save, saved)
    return sweep_controls, Frame(controls, stage, frame.readings)


def wire_sweep(
    flows: ImageFlows, tab: Settings, c: SweepControls, inputs: Mapping[str, Component], patience: float
) -> None:
    """Connect the handlers; arguments as of `PictureSweep`, and the tab's controls by name."""
    part = PictureSweep(flows, tab, c, patience)
    outputs = c.listed("words", "figure", "curves", "save")
    wire_run(part.run, c.buttons, part.sweep, {**inputs, "sweep_seeds": c.seeds}, outputs)
    c.save.click(guarded(part.save_curves), [c.curves, inputs["data"], inputs["seed"]], c.saved, **LIVE)
