"""View "Factors" of "Look inside": frequencies of bands, and which of them carries which factor of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from analysis.core.progress import Report
from analysis.figures import effects
from analysis.workbench import findings
from analysis.workbench.findings import attribution_verdict, readings
from analysis.workbench.library import ModelLibrary
from analysis.workbench.probes import AttributionRequest, BandLabelsRequest
from ui.components.controls import Controls
from ui.components.html import heading
from ui.components.layout import Frame, empty_stage, group, intro, only
from ui.components.made import Made
from ui.components.plot import plot
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, run_buttons, wire_run
from ui.source import Views, Workspace, fitting_label, made_with, usable_seed
from ui.tabs.inside.linearity import consecutive, drawn, seed_words, told, verdict

MAX_LABEL_PICTURES, MAX_ATTRIBUTION_PAIRS = 32, 256
SIGMAS = (("0.002: clean", 0.002), ("0.5", 0.5), ("2.5: midpoint", 2.5), ("14", 14.0), ("80: noise", 80.0))
SENTENCE = (
    "What a band carries is measured, not assumed: its frequencies, and the factors in which pairs of scenes differ."
)
ASK = '<p class="ks-line">Not measured yet: some seconds.</p>'

BAND_CONTROLS = ("error of the first bands alone", "first step of the centroid", "layout moved by the largest band")


@dataclass(frozen=True)
class FactorControls(Controls):
    """Components of the part."""

    pictures: gr.Slider
    frequency_buttons: RunButtons
    frequencies: gr.HTML
    power: gr.HTML
    pairs: gr.Slider
    sigma: gr.Dropdown
    carried: gr.Checkbox
    factor_buttons: RunButtons
    factors: gr.HTML
    by_band: gr.HTML
    by_level: gr.HTML


class FactorPart:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the part, or their names.
        patience: seconds that a measurement may take.
    """

    def __init__(self, library: ModelLibrary, controls: FactorControls, patience: float = RUN_SECONDS):
        self.library, self.controls = library, controls
        self.frequency_run, self.factor_run = LongRun(patience), LongRun(patience)

    def frequencies(self, model, seed, label, low, high, order, pictures, report: Report | None = None) -> dict:
        """Verdict, and radial power of every band."""
        if not usable_seed(seed):
            return gr.skip()
        bench, c = self.library.get(model), self.controls
        seeds = consecutive(seed, min(pictures, MAX_LABEL_PICTURES))
        edges = (min(low, high), max(low, high))
        question = BandLabelsRequest(seeds, fitting_label(bench, label), edges, order)
        result = bench.band_labels(question, report)
        made, of = made_with(bench, seed, label, seed_words(seeds)), _edges_words(edges)
        return {
            c.frequencies: verdict(
                findings.label_words(result, order),
                findings.control_words(bench.model.card, *BAND_CONTROLS),
                made=made,
                of=of,
                over="#labels-power",
            ),
            c.power: drawn(effects.radial_power_curves(result, order)),
        }

    def factors(self, model, low, high, order, pairs, sigma, carried, report: Report | None = None) -> dict:
        """Verdict, heat map of bands, heat map of levels."""
        bench, c = self.library.get(model), self.controls
        edges = (min(low, high), max(low, high))
        question = AttributionRequest(min(pairs, MAX_ATTRIBUTION_PAIRS), sigma, carried, edges, order)
        result = bench.attribution(question, report)
        of = (
            f"{question.pairs} pairs of scenes a factor, encoded at σ = {sigma:g}"
            f"{', carried to the picture' if carried else ''}, {_edges_words(edges)}"
        )
        words = findings.attribution_words(result, order), attribution_verdict(readings(result, sigma, order))
        return {
            c.factors: verdict(
                *words, made=Made(bench.name, None, None), of=of, over="#attribution-bands, #attribution-levels"
            ),
            c.by_band: drawn(effects.attribution_map(result, "bands", order)),
            c.by_level: drawn(effects.attribution_map(result, "levels", order)),
        }


def _edges_words(edges: tuple[float, float]) -> str:
    return f"edges {edges[0]:.2f} and {edges[1]:.2f}"


def _lay_out_frequencies(frame: Frame) -> dict:
    with frame.controls, group("carry"):
        gr.HTML(heading("Coarse or fine?", "radial power"))
        pictures = gr.Slider(
            2, MAX_LABEL_PICTURES, 16, step=1, label="Pictures", elem_id="labels-seeds",
            info="from the current seed on; 2 to 32", buttons=["reset"],
        )  # fmt: skip
        buttons = run_buttons("Measure frequencies", "labels")
    with frame.stage, gr.Column(min_width=0, elem_classes=only("carry")):
        power = plot(None, visible=False, elem_id="labels-power", label="Radial power of each band")
    said = told(frame, "carry", "labels", ASK, "Frequencies")
    return {"pictures": pictures, "frequency_buttons": buttons, "frequencies": said, "power": power}


def _lay_out_factors(frame: Frame) -> dict:
    with frame.controls, group("carry"):
        gr.HTML(heading("Which factor is where?", "pairs of scenes"))
        pairs = gr.Slider(
            8, MAX_ATTRIBUTION_PAIRS, 16, step=8, label="Pairs a factor", elem_id="attribution-pairs",
            info="of drawn scenes, 8 to 256; more make the intervals narrower", buttons=["reset"],
        )  # fmt: skip
        sigma = gr.Dropdown(
            list(SIGMAS), value=0.002, label="Noise level σ", elem_id="attribution-sigma", filterable=False,
            info="at which both scenes of a pair are encoded, with the same noise",
        )  # fmt: skip
        carried = gr.Checkbox(
            label="carried to the picture", value=False, elem_id="attribution-carried",
            info="compare after the flow to τ = 0, as the decoder sees it",
        )  # fmt: skip
        buttons = run_buttons("Measure factors", "attribution")
    with frame.stage, gr.Row(elem_classes=["ks-pair", *only("carry")]):
        with gr.Column(min_width=0):
            by_band = plot(None, visible=False, elem_id="attribution-bands", label="Factors by bands")
        with gr.Column(min_width=0):
            by_level = plot(None, visible=False, elem_id="attribution-levels", label="Factors by levels")
    said = told(frame, "carry", "attribution", ASK, "Factors")
    return {
        "pairs": pairs, "sigma": sigma, "carried": carried, "factor_buttons": buttons, "factors": said,
        "by_band": by_band, "by_level": by_level,
    }  # fmt: skip


def build_factors(work: Workspace, views: Views, edges: dict) -> FactorControls:
    """Lay the view out and wire it.

    Args:
        work: what it stands on.
        views: the tab's.
        edges: the tab's controls low, high and order, by these names.
    """
    frame, source = views.frame, work.source
    with frame.controls:
        intro(SENTENCE, "", "carry")
    with frame.stage:
        empty_stage(
            "Is a band coarse or fine, and which factors of a scene does it carry?",
            ("Measure frequencies", "labels-start"), ("Measure factors", "attribution-start"), views=("carry",),
        )  # fmt: skip
    c = FactorControls(**_lay_out_frequencies(frame), **_lay_out_factors(frame))
    part = FactorPart(work.library, c, work.bounded(RUN_SECONDS))
    wire_run(
        part.frequency_run, c.frequency_buttons, part.frequencies, {**source.named, **edges, **c.named("pictures")},
        c.listed("frequencies", "power"),
    )  # fmt: skip
    wire_run(
        part.factor_run, c.factor_buttons, part.factors,
        {"model": source.model, **edges, **c.named("pairs", "sigma", "carried")},
        c.listed("factors", "by_band", "by_level"),
    )  # fmt: skip
    return c
