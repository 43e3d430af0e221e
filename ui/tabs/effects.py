"""Tab "Cumulative effect": what every band and level adds on the way, how linear it is, what bands carry, surgery."""

from __future__ import annotations

import functools

import gradio as gr
from gradio.events import Dependency

from analysis.figures import effects
from analysis.workbench.effects import EffectRequest
from analysis.workbench.findings import decoded_words, effect_words
from analysis.workbench.library import ModelLibrary
from ui.components.html import heading
from ui.components.plot import plot, seen_script
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import LongRun, run_buttons, wire_run
from ui.source import Source, fitting_label, usable_seed
from ui.tabs.linearity import Checks, build_labels, build_linearity, consecutive, seed_words, verdict
from ui.tabs.surgery import NEUTRAL, Surgery, band_choices, build_surgery

LOW, HIGH = 0.33, 0.67
SEEDS, MAX_SEEDS = 4, 16
DECODED_TIMES = 8
DISPLACEMENT = "share<sub>B</sub>(τ) = Σ<sub>B</sub> |z(τ) − z(1)|² / Σ<sub>all</sub> |z(0) − z(1)|²"
ENERGY = "share<sub>B</sub>(τ) = Σ<sub>B</sub> |z(τ)|² / Σ<sub>all</sub> |z(τ)|²"
ARC = "share<sub>B</sub>(τ) = Σ<sub>B</sub> ∫ |dz| / Σ<sub>all</sub> ∫ |dz|, below the line over the whole way"
KINDS = (("displacement", "displacement"), ("energy", "energy"), ("length of the way", "arc"))
FORMULAS = {
    "displacement": f"{DISPLACEMENT} &nbsp;·&nbsp; 0 at noise; all bands together make 1 at the picture",
    "energy": f"{ENERGY} &nbsp;·&nbsp; all bands together make 1 at every time",
    "arc": f"{ARC} &nbsp;·&nbsp; only rises; all bands together make 1 at the picture",
}
INTRO = """<p class="ks-intro">Between noise and picture nothing is called but a matrix exponential, so it can be said
exactly how much every band of modes and every level has moved by any time.</p>"""
ASK = '<p class="ks-line">Not measured yet: it leaves out one band or level at a time and decodes.</p>'


class EffectsTab:
    """The handlers; each can be called without a page."""

    def __init__(self, library: ModelLibrary):
        self.library = library
        self.run = LongRun()

    def request(self, model, seed, label, low, high, order, kind, count, decoded=0) -> EffectRequest:
        """The question that the controls ask; edges in any order."""
        return EffectRequest(
            consecutive(seed, min(count, MAX_SEEDS)), fitting_label(self.library, model, label),
            (min(low, high), max(low, high)), order, kind, decoded_times=decoded,
        )  # fmt: skip

    def curves(self, seen, model, seed, label, low, high, order, kind, count) -> tuple:
        """Formula, curves of bands and levels, and a sentence.

        Args:
            seen: whether the visitor looks at this part; nothing is done if not.
            model, seed, label: whose latents; `seed` is the first of those that are averaged.
            low, high, order: of the bands.
            kind: of effect.
            count: of seeds.
        """
        if not seen or not usable_seed(seed):
            return (gr.skip(),) * 4
        bench = self.library.get(model)
        request = self.request(model, seed, label, low, high, order, kind, count)
        result = bench.cumulative_effect(request)
        words = verdict(
            effect_words(result, order),
            of=f"{bench.name}, {seed_words(request.seeds)}, edges {request.edges[0]:.2f} and {request.edges[1]:.2f}",
        )
        return (
            f'<p class="ks-formula">{FORMULAS[kind]}</p>',
            effects.band_curves(result, order).to_json(),
            effects.level_curves(result).to_json(),
            words,
        )

    def decoded(self, model, seed, label, low, high, order, count, report=None) -> tuple:
        """A sentence, and how much the picture changes without a band or a level, over time."""
        if not usable_seed(seed):
            return (gr.skip(),) * 3
        bench = self.library.get(model)
        request = self.request(model, seed, label, low, high, order, "displacement", count, DECODED_TIMES)
        result = bench.cumulative_effect(request, report)
        words = verdict(
            decoded_words(result, order),
            of=f"{bench.name}, {seed_words(request.seeds)}, edges {request.edges[0]:.2f} and {request.edges[1]:.2f}",
        )
        return (
            words,
            gr.update(value=effects.decoded_curves(result, "bands", order).to_json(), visible=True),
            gr.update(value=effects.decoded_curves(result, "levels").to_json(), visible=True),
        )

    @staticmethod
    def edges(moved: str, low: float, high: float) -> tuple[float, float]:
        """The edge that is held ("low" or "high") pushes the other one."""
        if low <= high:  # one that may be moving again is left alone
            return gr.skip(), gr.skip()
        return (low, low) if moved == "low" else (high, high)

    def another_model(self, model: str) -> dict:
        """The levels of another model, none ticked."""
        return gr.update(choices=[(e.name, e.index) for e in self.library.get(model).spectrum().entries], value=[])


def build_effects(library: ModelLibrary, source: Source, shown_event: Dependency, page: gr.Tab) -> None:
    """Lay the tab out and wire it.

    Args:
        library: the models.
        source: what is looked at.
        shown_event: "another picture is shown".
        page: the tab itself: what it shows is brought up to date when it is opened.
    """
    tab, checks, surgery = EffectsTab(library), Checks(library), Surgery(library)
    formula, by_band, by_level, words = tab.curves(True, *source.start, LOW, HIGH, "alpha", "displacement", SEEDS)
    gr.HTML(INTRO)
    with gr.Row():
        low = gr.Slider(
            0, 1, LOW, step=0.01, label="Lower edge", info="share of modes below, 0 to 1", elem_id="effect-low",
            buttons=["reset"], min_width=220,
        )  # fmt: skip
        high = gr.Slider(
            0, 1, HIGH, step=0.01, label="Upper edge", info="share of modes below, 0 to 1", elem_id="effect-high",
            buttons=["reset"], min_width=220,
        )  # fmt: skip
        order = gr.Radio(
            [("signed α", "alpha"), ("size |α|", "abs")], value="alpha", label="Order of modes",
            info="what “smallest” means in all four parts", elem_id="effect-order", min_width=220,
        )  # fmt: skip
    with gr.Tabs(elem_id="effect-parts"):
        with gr.Tab("Over time", id="over-time") as over_time:
            with gr.Row():
                kind = gr.Radio(
                    KINDS,
                    value="displacement",
                    label="Share of",
                    info="what is summed over a band",
                    elem_id="effect-kind",
                    min_width=260,
                )
                count = gr.Slider(
                    1, MAX_SEEDS, SEEDS, step=1, label="Seeds", elem_id="effect-seeds", buttons=["reset"],
                    info="averaged, from the current one on, 1 to 16; the ribbon is ± one standard deviation",
                )  # fmt: skip
            with gr.Column(elem_classes="ks-panel", min_width=0):
                formulas = gr.HTML(formula, elem_id="effect-formula")
                told = gr.HTML(words, elem_id="effect-words")
                with gr.Row():
                    with gr.Column(scale=1, min_width=300):
                        gr.HTML(heading("Bands", "over all levels"))
                        bands = plot(by_band, elem_id="effect-bands", label="Share of every band over time")
                    with gr.Column(scale=1, min_width=300):
                        gr.HTML(heading("Levels", "over all bands, stacked"))
                        levels = plot(by_level, elem_id="effect-levels", label="Share of every level over time")
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("In pictures", f"what is lost without a band or a level, at {DECODED_TIMES} times"))
                buttons = run_buttons("Measure in pictures", "decoded")
                seen_words = gr.HTML(ASK, elem_id="decoded-words", elem_classes="ks-told")
                with gr.Row():
                    decoded = []
                    for of in ("bands", "levels"):
                        with gr.Column(scale=1, min_width=300):
                            decoded.append(
                                plot(None, visible=False, elem_id=f"decoded-{of}", label=f"Pictures without {of}")
                            )
        with gr.Tab("How linear is it?", id="linear"):
            build_linearity(checks, source, shown_event)
        with gr.Tab("What does each band carry?", id="carry"):
            build_labels(checks, source, shown_event, low, high, order)
        with gr.Tab("Change the spectrum", id="surgery") as operate:
            controls = build_surgery(surgery, source, LOW, HIGH)
    seen = gr.Checkbox(value=True, visible=False)  # filled in by seen_script

    live = {"trigger_mode": "always_last", "show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    seldom = {**live, "trigger_mode": "multiple"}  # only one listener of an event may be "always_last"
    shared = [seen, *source.inputs, low, high, order]
    effect = {
        "fn": guarded(tab.curves), "inputs": [*shared, kind, count], "outputs": [formulas, bands, levels, told],
        "js": seen_script("effect-bands"),
    }  # fmt: skip
    operation = {
        "fn": guarded(surgery.operate), "inputs": [*shared, *controls.inputs], "outputs": controls.outputs,
        "js": seen_script("surgery-pictures"),
    }  # fmt: skip
    gr.on(source.another_model, guarded(tab.another_model), source.model, controls.levels, **seldom)
    moved = [shown_event]
    # "release" too: it is what Gradio's reset button tells
    for edge, name in ((low, "low"), (high, "high")):
        pushed = functools.partial(tab.edges, name)
        moved.append(gr.on([edge.input, edge.release], pushed, [low, high], [low, high], **live))
    moved.append(order.input(lambda o: gr.update(choices=band_choices(o)), order, controls.band, **live))
    for event in moved:
        event.success(**effect, **live)
        event.success(**operation, **seldom)
    for event in (page.select, over_time.select, kind.input):
        event(**effect, **live)
    gr.on([count.input, count.release], **effect, **live)
    for event in (page.select, operate.select):
        event(**operation, **seldom)
    rates = [c.release for c in controls.inputs if isinstance(c, gr.Slider)]
    gr.on([*(c.input for c in controls.inputs), *rates], **operation, **live)
    back = controls.reset.click(None, None, controls.rates, js=f"() => {list(NEUTRAL)}", **PRIVATE)
    back.success(**operation, **live)
    wire_run(tab.run, buttons, tab.decoded, [*source.inputs, low, high, order, count], [seen_words, *decoded])
