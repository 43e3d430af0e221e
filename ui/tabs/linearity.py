"""Two parts of the tab "Cumulative effect": is the learned space linear, and what does each band carry?"""

from __future__ import annotations

import html

import gradio as gr
from gradio.events import Dependency

from analysis.figures import effects
from analysis.workbench import findings
from analysis.workbench.findings import attribution_verdict, linearity_verdict, readings
from analysis.workbench.library import ModelLibrary
from analysis.workbench.probes import AttributionRequest, BandLabelsRequest, LinearityRequest
from foundation.randomness import MAX_SEED
from ui.components.html import heading
from ui.components.plot import plot
from ui.server.errors import guarded
from ui.server.queue import PRIVATE
from ui.server.runs import LONG_QUEUE, LongRun, run_buttons, wire_run
from ui.source import Source, fitting_label, usable_seed

PICTURES = -1  # in the list of levels
MAX_SEEDS, MAX_STEPS, MAX_PAIRS = 16, 24, 256
SIGMAS = (("0.002: clean", 0.002), ("0.5", 0.5), ("2.5: midpoint", 2.5), ("14", 14.0), ("80: noise", 80.0))
LINEAR_INTRO = """<p class="ks-intro">The operator promises that latents move linearly. Here the encoder looks at the
teacher's own trajectory at every noise level, and is compared with what the operator makes of its first look.</p>
<p class="ks-formula">‖E(x<sub>t</sub>) − e<sup>(τ(t) − 1) A</sup> E(x<sub>T</sub>)‖ / ‖E(x<sub>t</sub>)‖
&nbsp;·&nbsp; yardsticks: A = 0, and the α and β of every mode that fit these very trajectories best<br>
of two trajectories or more also what differs between them: their mean is taken off every latent first</p>"""
CARRY_INTRO = """<p class="ks-intro">Names such as layout, shape and texture are not assumed. One measurement looks at
the frequencies of what a band adds to the picture; the other encodes pairs of drawn scenes that differ in one known
thing, and looks where their latents differ.</p>"""
ASK_LINEAR = '<p class="ks-line">Not measured yet. It follows the teacher, so it takes some seconds.</p>'
ASK_LABELS = '<p class="ks-line">Not measured yet: some seconds.</p>'


def verdict(*sentences: str, of: str) -> str:
    """What follows from a measurement, and what was measured."""
    words = " ".join(html.escape(s) for s in sentences if s)
    return f'<p class="ks-verdict" role="status">{words}</p><p class="ks-line">Measured on {html.escape(of)}.</p>'


def consecutive(seed: int, count: int) -> tuple[int, ...]:
    """`count` seeds from this one on, as far as there are any."""
    return tuple(range(seed, min(seed + int(count), MAX_SEED + 1)))


def seed_words(seeds: tuple[int, ...]) -> str:
    """One seed, or the first and the last."""
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def _shown(figure) -> dict:
    return gr.update(value=figure.to_json(), visible=True)


OLDER = '<p class="ks-line ks-older" role="status">Older: you now look at something else. Measure again.</p>'
REMARK = {"queue": False, "trigger_mode": "multiple", "show_progress": "hidden", **PRIVATE}
HIDDEN = {"value": None, "visible": False}


class Checks:
    """The handlers; each can be called without a page. `report` is the measurements' progress callback."""

    def __init__(self, library: ModelLibrary):
        self.library = library
        self.runs = {name: LongRun() for name in ("linearity", "labels", "attribution")}

    def linearity(self, model, seed, label, count, steps, report=None) -> tuple:
        """Verdict, list of levels, curves and DMD plane of the last level, and what was asked."""
        if not usable_seed(seed):
            return (gr.skip(),) * 5
        bench = self.library.get(model)
        request = LinearityRequest(
            consecutive(seed, min(count, MAX_SEEDS)), fitting_label(self.library, model, label), min(steps, MAX_STEPS)
        )
        result = bench.linearity(request, report)
        words = verdict(
            linearity_verdict(result),
            of=f"{bench.name}, {seed_words(request.seeds)}, {request.steps} noise levels",
        )  # fmt: skip
        choices = [("pictures, decoded", PICTURES), *((name, i) for i, name in enumerate(result.names))]
        last = len(result.names) - 1
        asked = (model, request)
        levels = gr.update(choices=choices, value=last, visible=True)
        return words, levels, *self.level(asked, last), asked

    def level(self, asked: tuple | None, level: int | None) -> tuple[dict, dict]:
        """Curves and DMD plane of one level, or the pictures' curves, of a check that was made."""
        if asked is None:
            return gr.update(**HIDDEN), gr.update(**HIDDEN)
        model, request = asked
        bench = self.library.get(model)
        result = bench.linearity(request)  # kept by the Workbench
        if level == PICTURES:
            return _shown(effects.linearity_pictures(result)), gr.update(**HIDDEN)
        entry = bench.spectrum().entries[min(max(int(level or 0), 0), len(result.names) - 1)]
        dmd = gr.update(**HIDDEN) if result.dmd is None else _shown(effects.dmd_plane(entry, result))
        return _shown(effects.linearity_curves(result, entry.index)), dmd

    def labels(self, model, seed, label, low, high, order, count, report=None) -> tuple:
        """Verdict, radial power of every band, and what was asked."""
        if not usable_seed(seed):
            return (gr.skip(),) * 3
        bench = self.library.get(model)
        seeds = consecutive(seed, min(count, 2 * MAX_SEEDS))
        edges = (min(low, high), max(low, high))
        request = BandLabelsRequest(seeds, fitting_label(self.library, model, label), edges, order)
        result = bench.band_labels(request, report)
        words = verdict(
            findings.label_words(result, order),
            of=f"{bench.name}, {seed_words(seeds)}, edges {edges[0]:.2f} and {edges[1]:.2f}",
        )
        return words, _shown(effects.radial_power_curves(result, order)), (model, request)

    def attribution(self, model, low, high, order, pairs, sigma, carried, report=None) -> tuple:
        """Verdict, heat map of bands, heat map of levels, and what was asked."""
        bench = self.library.get(model)
        edges = (min(low, high), max(low, high))
        request = AttributionRequest(min(pairs, MAX_PAIRS), sigma, carried, edges, order)
        result = bench.attribution(request, report)
        words = verdict(
            findings.attribution_words(result, order),
            attribution_verdict(readings(result, sigma, order)),
            of=f"{bench.name}, {request.pairs} pairs of scenes a factor, encoded at σ = {sigma:g}"
            f"{', carried to the picture' if carried else ''}, edges {edges[0]:.2f} and {edges[1]:.2f}",
        )
        maps = (_shown(effects.attribution_map(result, of, order)) for of in ("bands", "levels"))
        return words, *maps, (model, request)

    def older(self, model, seed, label, *asked: tuple | None) -> tuple[str, ...]:
        """For every measurement that was made: a remark where it is not about what is looked at now."""
        label = fitting_label(self.library, model, label)
        return tuple("" if a is None or _about(a, model, seed, label) else OLDER for a in asked)


def _about(asked: tuple, model: str, seed: int | None, label: int) -> bool:
    """Whether a measurement is of this model and, where it has seeds, begins with this one."""
    name, request = asked
    same_seed = not hasattr(request, "seeds") or request.seeds[0] == seed
    return name == model and same_seed and getattr(request, "label", label) == label


def build_linearity(checks: Checks, source: Source, shown_event: Dependency) -> None:
    """Lay the part "How linear is it?" out and wire it."""
    gr.HTML(LINEAR_INTRO)
    with gr.Row():
        with gr.Column(scale=3, min_width=280, elem_classes="ks-panel"):
            gr.HTML(heading("Linearity check"))
            count = gr.Slider(
                1, MAX_SEEDS, 4, step=1, label="Trajectories", elem_id="linearity-seeds",
                info="the teacher's, from the current seed on; 1 to 16", buttons=["reset"],
            )  # fmt: skip
            steps = gr.Slider(
                4, MAX_STEPS, 12, step=1, label="Noise levels", elem_id="linearity-steps",
                info="of the Karras grid, 4 to 24; the teacher calls its network about twice a level",
                buttons=["reset"],
            )  # fmt: skip
            buttons = run_buttons("Check linearity", "linearity")
        with gr.Column(scale=8, min_width=320, elem_classes="ks-panel"):
            old = gr.HTML(elem_id="linearity-older")
            words = gr.HTML(ASK_LINEAR, elem_id="linearity-words", elem_classes="ks-told")
            level = gr.Dropdown(
                [], label="Level", visible=False, elem_id="linearity-level", interactive=True, filterable=False,
                info="whose learned eigenvalues stand beside those of exact DMD",
            )  # fmt: skip
            with gr.Row():
                with gr.Column(scale=1, min_width=300):
                    curves = plot(None, visible=False, elem_id="linearity-curves", label="Relative error over time")
                with gr.Column(scale=1, min_width=300):
                    dmd = plot(None, visible=False, elem_id="linearity-dmd", label="Learned spectrum and exact DMD")
    asked = gr.State(None)
    done = wire_run(
        checks.runs["linearity"], buttons, checks.linearity, [*source.inputs, count, steps],
        [words, level, curves, dmd, asked],
    )  # fmt: skip
    for event in (done, shown_event):
        event.success(guarded(checks.older), [*source.inputs, asked], [old], **REMARK)
    level.input(
        guarded(checks.level), [asked, level], [curves, dmd], trigger_mode="always_last", **LONG_QUEUE, **PRIVATE
    )


def build_labels(
    checks: Checks, source: Source, shown_event: Dependency, low: gr.Slider, high: gr.Slider, order: gr.Radio
) -> None:
    """Lay the part "What does each band carry?" out and wire it."""
    gr.HTML(CARRY_INTRO)
    with gr.Row():
        with gr.Column(scale=3, min_width=280, elem_classes="ks-panel"):
            gr.HTML(heading("Coarse or fine?", "radial power"))
            count = gr.Slider(
                2, 2 * MAX_SEEDS, 16, step=1, label="Pictures", elem_id="labels-seeds",
                info="from the current seed on; 2 to 32", buttons=["reset"],
            )  # fmt: skip
            frequencies = run_buttons("Measure frequencies", "labels")
        with gr.Column(scale=8, min_width=320, elem_classes="ks-panel"):
            old = gr.HTML(elem_id="labels-older")
            words = gr.HTML(ASK_LABELS, elem_id="labels-words", elem_classes="ks-told")
            power = plot(None, visible=False, elem_id="labels-power", label="Radial power of each band")
    with gr.Row():
        with gr.Column(scale=3, min_width=280, elem_classes="ks-panel"):
            gr.HTML(heading("Which factor is where?", "pairs of scenes"))
            pairs = gr.Slider(
                8, MAX_PAIRS, 64, step=8, label="Pairs a factor", elem_id="attribution-pairs",
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
            factors = run_buttons("Measure factors", "attribution")
        with gr.Column(scale=8, min_width=320, elem_classes="ks-panel"):
            old_factors = gr.HTML(elem_id="attribution-older")
            answer = gr.HTML(ASK_LABELS, elem_id="attribution-words", elem_classes="ks-told")
            with gr.Row():
                maps = []
                for of in ("bands", "levels"):
                    with gr.Column(scale=2 if of == "bands" else 3, min_width=300):
                        maps.append(plot(None, visible=False, elem_id=f"attribution-{of}", label=f"Factors by {of}"))
    label_asked, factor_asked = gr.State(None), gr.State(None)
    counted = wire_run(
        checks.runs["labels"], frequencies, checks.labels, [*source.inputs, low, high, order, count],
        [words, power, label_asked],
    )  # fmt: skip
    attributed = wire_run(
        checks.runs["attribution"], factors, checks.attribution,
        [source.model, low, high, order, pairs, sigma, carried], [answer, *maps, factor_asked],
    )  # fmt: skip
    for event in (counted, attributed, shown_event):
        event.success(guarded(checks.older), [*source.inputs, label_asked, factor_asked], [old, old_factors], **REMARK)
