"""The evidence of "Look inside": what every band and level adds on the way; linearity and factors beside it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import gradio as gr

from analysis.core.fields import HIGH_EDGE, LOW_EDGE
from analysis.core.progress import Report
from analysis.figures import effects
from analysis.koopman.spectrum import BAND_COUNT, band_names
from analysis.workbench.effects import EffectRequest
from analysis.workbench.findings import decoded_words, effect_words
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MaskRequest
from ui.components.controls import Controls
from ui.components.html import details, figure_html, group_html, heading
from ui.components.layout import Frame, group, intro, only
from ui.components.plot import plot, seen_script
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, run_buttons, wire_run
from ui.source import BuiltTab, Views, Workspace, fitting_label, made_with, usable_seed
from ui.tabs.inside.factors import build_factors
from ui.tabs.inside.linearity import build_linearity, consecutive, drawn, seed_words, verdict
from ui.tabs.inside.signatures import build_signatures

START_SEEDS, MAX_EFFECT_SEEDS = 4, 16
DECODED_TIMES = 8
DISPLACEMENT = "share<sub>B</sub>(τ) = Σ<sub>B</sub> |z(τ) − z(1)|² / Σ<sub>all</sub> |z(0) − z(1)|²"
ENERGY = "share<sub>B</sub>(τ) = Σ<sub>B</sub> |z(τ)|² / Σ<sub>all</sub> |z(τ)|²"
ARC = "share<sub>B</sub>(τ) = Σ<sub>B</sub> ∫ |dz| / Σ<sub>all</sub> ∫ |dz|, below the line over the whole way"
EFFECTS = (("displacement", "displacement"), ("energy", "energy"), ("length of the way", "arc"))
FORMULAS = {
    "displacement": f"{DISPLACEMENT} &nbsp;·&nbsp; 0 at noise; all bands together make 1 at the picture",
    "energy": f"{ENERGY} &nbsp;·&nbsp; all bands together make 1 at every time",
    "arc": f"{ARC} &nbsp;·&nbsp; only rises; all bands together make 1 at the picture",
}
SENTENCE = "How much every band of modes and every level has moved by any time: no network is called on the way."
ASK = '<p class="ks-line">Not measured yet: it leaves out one band or level at a time and decodes.</p>'


@dataclass(frozen=True)
class EffectControls(Controls):
    """Components of the tab's own view; `seen` is filled in by `seen_script`."""

    low: gr.Slider
    high: gr.Slider
    order: gr.Radio
    kind: gr.Radio
    seeds: gr.Slider
    formula: gr.HTML
    words: gr.HTML
    by_band: gr.HTML
    by_level: gr.HTML
    decoded_buttons: RunButtons
    decoded_words: gr.HTML
    decoded_pictures: gr.HTML
    decoded_by_band: gr.HTML
    decoded_by_level: gr.HTML
    seen: gr.Checkbox


SHARED_CONTROLS = ("low", "high", "order")  # shared by all parts


class EffectsTab:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the tab, or their names.
        patience: seconds that a measurement may take.
    """

    def __init__(self, library: ModelLibrary, controls: EffectControls, patience: float = RUN_SECONDS):
        self.library, self.controls = library, controls
        self.run = LongRun(patience)

    def request(self, model, seed, label, low, high, order, kind, seeds, decoded=0) -> EffectRequest:
        """The question that the controls ask; edges in any order."""
        return EffectRequest(
            consecutive(seed, min(seeds, MAX_EFFECT_SEEDS)), fitting_label(self.library.get(model), label),
            (min(low, high), max(low, high)), order, kind, decoded_times=decoded,
        )  # fmt: skip

    def _told(self, sentence: str, model: str, request: EffectRequest, over: str) -> str:
        low, high = request.edges
        made = made_with(self.library.get(model), request.seeds[0], request.label, seed_words(request.seeds))
        return verdict(sentence, made=made, of=f"edges {low:.2f} and {high:.2f}", over=over)

    def curves(self, seen, model, seed, label, low, high, order, kind, seeds) -> dict:
        """Formula, curves of bands and levels, and a sentence.

        Args:
            seen: whether the visitor looks at this part; nothing is done if not.
            model, seed, label: whose latents; `seed` is the first of those that are averaged.
            low, high, order: of the bands.
            kind: of effect.
            seeds: how many.
        """
        if not seen or not usable_seed(seed):
            return gr.skip()
        request = self.request(model, seed, label, low, high, order, kind, seeds)
        result = self.library.get(model).cumulative_effect(request)
        c = self.controls
        return {
            c.formula: details("Formula", f"<p>{FORMULAS[kind]}</p>"),
            c.by_band: effects.band_curves(result, order).to_json(),
            c.by_level: effects.level_curves(result).to_json(),
            c.words: self._told(effect_words(result, order), model, request, "#effect-bands, #effect-levels"),
        }

    def decoded(self, model, seed, label, low, high, order, seeds, report: Report | None = None) -> dict:
        """A sentence, the first seed's pictures without a band or a level, and how much it changes, over time."""
        if not usable_seed(seed):
            return gr.skip()
        request = self.request(model, seed, label, low, high, order, "displacement", seeds, DECODED_TIMES)
        result = self.library.get(model).cumulative_effect(request, report)
        c = self.controls
        return {
            c.decoded_words: self._told(
                decoded_words(result, order), model, request, "#decoded-pictures, #decoded-bands, #decoded-levels"
            ),
            c.decoded_pictures: self.without(model, request, result.names),
            c.decoded_by_band: drawn(effects.decoded_curves(result, "bands", order)),
            c.decoded_by_level: drawn(effects.decoded_curves(result, "levels")),
        }

    def without(self, model: str, request: EffectRequest, levels: tuple[str, ...]) -> str:
        """The first seed's picture, and what is left of it without each band and without each level, at τ = 0."""
        bench, seed = self.library.get(model), request.seeds[0]

        def ask(gains: tuple, entries: tuple = ()):
            return bench.mask_bands(MaskRequest(seed, request.label, request.edges, gains, request.order, entries))

        whole = (1.0,) * BAND_COUNT
        bands = [(f"Without {name}", ask((*whole[:b], 0.0, *whole[b + 1 :]))) for b, name in
                 enumerate(band_names(BAND_COUNT, request.order))]  # fmt: skip
        parts = [(f"Without {name}", ask((0.0,) * BAND_COUNT, (i,))) for i, name in enumerate(levels)]
        shown = [figure_html(bands[0][1].full, "All modes", f"seed {seed}")]
        for row in (bands, parts):
            shown += [figure_html(result.masked, title, f"MSE {result.mse:.3g}") for title, result in row]
        note = '<p class="ks-line">At the end of the way, τ = 0; the curves below are over time.</p>'
        return note + group_html("ks-pictures ks-without", *shown)

    def edges(self, moved: str, low: float, high: float) -> dict:
        """The edge that is held ("low" or "high") pushes the other one."""
        if low <= high:  # one that may be moving again is left alone
            return gr.skip()
        edge = low if moved == "low" else high
        return {self.controls.low: edge, self.controls.high: edge}


def _edge_controls() -> dict:
    with group():
        gr.HTML(heading("Bands", "of all these views"))
        low, high = (
            gr.Slider(
                0, 1, value, step=0.01, label=f"{name} edge", info="share of modes below, 0 to 1", buttons=["reset"],
                elem_id=f"effect-{part}",
            )
            for name, part, value in (("Lower", "low", LOW_EDGE), ("Upper", "high", HIGH_EDGE))
        )  # fmt: skip
        order = gr.Radio(
            [("signed α", "alpha"), ("size |α|", "abs")], value="alpha", label="Order of modes",
            info="what “smallest” means", elem_id="effect-order",
        )  # fmt: skip
    return {"low": low, "high": high, "order": order}


def _over_time(frame: Frame) -> dict:
    """The view "Over time": curves, and the same in pictures."""
    parts: dict = {}
    with frame.controls:
        intro(SENTENCE, "", "over-time")
        with group("over-time"):
            parts["kind"] = gr.Radio(
                EFFECTS, value="displacement", label="Share of", info="what is summed over a band",
                elem_id="effect-kind",
            )  # fmt: skip
            parts["formula"] = gr.HTML(elem_id="effect-formula")
            parts["seeds"] = gr.Slider(
                1, MAX_EFFECT_SEEDS, START_SEEDS, step=1, label="Seeds", elem_id="effect-seeds", buttons=["reset"],
                info="averaged, from the current one on, 1 to 16; the ribbon is ± one standard deviation",
            )  # fmt: skip
            parts["decoded_buttons"] = run_buttons("Measure in pictures", "decoded")
    with frame.stage, gr.Column(min_width=0, elem_classes=only("over-time")):
        with gr.Row(elem_classes="ks-pair"):
            with gr.Column(min_width=0):
                gr.HTML(heading("Bands", "over all levels"))
                parts["by_band"] = plot(None, elem_id="effect-bands", label="Share of every band over time")
            with gr.Column(min_width=0):
                gr.HTML(heading("Levels", "over all bands, stacked"))
                parts["by_level"] = plot(None, elem_id="effect-levels", label="Share of every level over time")
        parts["decoded_pictures"] = gr.HTML(elem_id="decoded-pictures")
        with gr.Row(elem_classes="ks-pair"):
            for name, of in (("decoded_by_band", "bands"), ("decoded_by_level", "levels")):
                with gr.Column(min_width=0):
                    label = f"Change of the picture without each of the {of}, over time"
                    parts[name] = plot(None, visible=False, elem_id=f"decoded-{of}", label=label)
    with frame.readings, group("over-time"):
        parts["words"] = gr.HTML(elem_id="effect-words")
        gr.HTML(heading("In pictures", "what is lost without a band or a level"))
        parts["decoded_words"] = gr.HTML(ASK, elem_id="decoded-words", elem_classes="ks-told")
    return parts


def build_effects(work: Workspace, views: Views) -> BuiltTab:
    """Lay the tab out and wire it; what it shows is worked out when it is opened."""
    own = _over_time(views.frame)
    build_linearity(work, views)
    with views.frame.controls, group("over-time", "carry", "signatures", css="ks-plain"):
        edges = _edge_controls()
    build_factors(work, views, edges)
    build_signatures(work, views, edges)
    c = EffectControls(**edges, **own, seen=gr.Checkbox(value=True, visible=False))
    tab = EffectsTab(work.library, c, work.bounded(RUN_SECONDS))
    _wire(tab, work, views)
    wire_run(
        tab.run, c.decoded_buttons, tab.decoded, {**work.source.named, **c.named(*SHARED_CONTROLS, "seeds")},
        c.listed("decoded_words", "decoded_pictures", "decoded_by_band", "decoded_by_level"),
    )  # fmt: skip
    return BuiltTab(c)


def _wire(tab: EffectsTab, work: Workspace, views: Views) -> None:
    """Connect the curves; they answer only where they are looked at."""
    c, source = tab.controls, work.source
    live = {"trigger_mode": "always_last", "show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    curves = {
        "fn": guarded(tab.curves),
        "inputs_kwargs": {"seen": c.seen, **source.named, **c.named(*SHARED_CONTROLS, "kind", "seeds")},
        "outputs": c.listed("formula", "by_band", "by_level", "words"), "js": seen_script("effect-bands"),
    }  # fmt: skip
    moved = []
    # "release" too: it is what Gradio's reset button tells
    for edge, name in ((c.low, "low"), (c.high, "high")):
        pushed = guarded(functools.partial(tab.edges, name))
        moved.append(gr.on([edge.input, edge.release], pushed, [c.low, c.high], [c.low, c.high], **live))
    for event in moved:
        event.success(**curves, **live)
    gr.on([views.opened["over-time"], c.kind.input, c.order.input], **curves, **live)
    gr.on([c.seeds.input, c.seeds.release], **curves, **live)
