"""Tab "Flow images": pictures from the same noise by up to four flows and samplers, with what they see on the way."""

from __future__ import annotations

import functools
import html
from dataclasses import replace

import gradio as gr
import numpy as np
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.figures.flow import calls_figure
from analysis.flow.images import (
    EXACT_NFE,
    MAX_PICTURES,
    NOISY,
    PATHS,
    TRAIN,
    ExactDistance,
    FlowPicturesRequest,
    FlowPicturesResult,
    ImageFlows,
    PictureSweepRequest,
    PictureSweepResult,
)
from analysis.flow.settings import MAX_NFE
from analysis.recipes.settings import Settings
from flow_core.paths import PATH_NAMES
from flow_core.samplers import SAMPLER_NAMES
from foundation.randomness import MAX_SEED
from ui.components.html import facts, figure_html, heading, row_html
from ui.components.players import Panel, images_player, images_value, tiled
from ui.components.plot import plot
from ui.components.save_bar import RecipeBinding, save_bar
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import PROGRESS, LongRun, Superseded, run_buttons, wire_run
from ui.source import DICE, NO_CLASS, usable_seed
from ui.tabs.flow_settings import (
    LETTERS,
    NFE,
    Setting,
    asked_of,
    filled,
    in_a_row,
    read_by,
    setting_column,
    side_kept,
    told_apart,
)

INTRO = """<p class="ks-intro">The same noise becomes pictures in up to four ways, a few network calls each. Under the
slider: what each expects the picture to be at that moment, x̂₁, and the noisy state itself.</p>
<p class="ks-formula">v = (x̂₁ − x)/(1 − t) − (σ₀²/2) s, &nbsp;s = ∇ log p<sub>t</sub> = (t x̂₁ − x)/V₀ &nbsp;·&nbsp;
published drift √(1 − Σγ σ<sub>t</sub>²) (x̂₁ − x)/(1 − t) + (γ₁ − ½) σ<sub>t</sub>² s + γ₂ σ<sub>t</sub>² ξ² + γ₃
σ<sub>t</sub>² ξ³, &nbsp;σ<sub>t</sub> = σ₀ √(t (1 − t))</p>"""
DISTANCE_WORDS = """<p class="ks-line">The exact flow is the plain ODE of the <em>same net</em> from the same noise, in
{nfe} calls. The distance to it is the error of a sampler, not of a net: a small one says nothing of how good the
pictures are. Momentum without noise heads for another law than the flow’s, and “matched noise” and “bridge SDE” draw
noise of their own, so for them a distance is a difference, not an error.</p>"""
ASK = '<p class="ks-line">Not measured yet: every setting over 1 to 20 calls, 6 pictures each.</p>'
WAIT = '<p class="ks-line">Distances are on their way, and with another noise its exact flow.</p>'


def momentum(request: FlowPicturesRequest) -> str:
    """The weights that the sampler reads, "" where it reads none."""
    return ", ".join(f"γ{'₁₂₃'[k]} = {g:g}" for k, g in enumerate(request.gammas))


def setting_name(request: FlowPicturesRequest, with_momentum: bool = True) -> str:
    """Path, sampler and momentum in words."""
    gammas = f" ({momentum(request)})" if with_momentum and request.gammas else ""
    return f"{PATH_NAMES[request.path]}, {SAMPLER_NAMES[request.sampler]}{gammas}"


def of(request: FlowPicturesRequest) -> str:
    """Which noise."""
    first, last = request.seeds[0], request.seeds[-1]
    return f"seed {first}" if first == last else f"seeds {first} to {last}"


def cost(result: FlowPicturesResult) -> str:
    """What one setting took."""
    calls = "network call" if result.nfe == 1 else "network calls"
    pairs = [(str(result.nfe), calls), (f"{result.seconds:.2g} s", "on this machine")]
    if result.derivatives:
        pairs.insert(1, (str(result.derivatives), "derivatives" if result.derivatives > 1 else "derivative"))
    return facts(*pairs)


def _spread(values: np.ndarray, unit: str) -> str:
    """Mean, and the standard deviation over pictures."""
    if not np.isfinite(values).all():
        return "equal"
    more = f" ± {values.std(ddof=1):{unit}}" if len(values) > 1 else ""
    return f"{values.mean():{unit}}{more}"


def distance_table(names: dict[str, str], distances: dict[str, ExactDistance]) -> str:
    """One row a setting.

    Args:
        names: of the settings, by letter.
        distances: of those that could be run, by letter.
    """
    with_lpips = any(d.lpips is not None for d in distances.values())
    rows = ""
    for letter, d in distances.items():
        cells = [_spread(d.mse, ".4f"), _spread(d.psnr, ".1f"), _spread(d.ssim, ".3f")]
        cells += [_spread(d.lpips, ".3f")] if with_lpips else []
        rows += f"<tr><th>{letter}: {html.escape(names[letter])}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>"
    heads = ["MSE", "PSNR, dB", "SSIM", *(["LPIPS (Alex)"] if with_lpips else [])]
    return (
        '<div class="ks-grid-box"><table class="ks-bands"><thead><tr><th>to the exact flow</th>'
        f"{''.join(f'<td>{h}</td>' for h in heads)}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def verdict(
    asked: dict[str, FlowPicturesRequest], results: dict[str, FlowPicturesResult], distances: dict[str, ExactDistance]
) -> str:
    """Which setting follows its flow most closely, and what must be kept in mind; settings by letter."""
    if not distances:
        return '<p class="ks-line">No setting can be run: each says why.</p>'
    measure = "LPIPS" if all(d.lpips is not None for d in distances.values()) else "MSE"
    values = {k: d.lpips if measure == "LPIPS" else d.mse for k, d in distances.items()}
    order = sorted(values, key=lambda k: values[k].mean())
    best, n = order[0], len(values[order[0]])
    words = f"{best} ends nearest to its net’s exact flow: {measure} {_spread(values[best], '.4f')}"
    if len(order) > 1:
        second = order[1]
        # the same noises in both, so that differences are taken picture by picture
        gap = values[second] - values[best]
        words += f", then {second} with {_spread(values[second], '.4f')}. "
        sure = n > 1 and gap.mean() > 3 * gap.std(ddof=1) / np.sqrt(n)
        if asked[best].path == asked[second].path and not sure:
            words += f"{n} picture{'s' if n > 1 else ''} cannot tell the two apart: look at the sweep. "
    else:
        words += ". "
    if len({asked[k].path for k in distances}) > 1:
        words += "Each net has an exact flow of its own: between nets, compare the pictures. "
    if len({(results[k].nfe, results[k].derivatives) for k in distances}) > 1:
        words += "Mind that they do not all cost the same. "
    if any(asked[k].sampler in NOISY for k in distances):
        words += "A setting with noise of its own need not come near. "
    spread = f"Mean ± standard deviation of {n} pictures, 8 bits, values from −1 to 1." if n > 1 else "One picture."
    return f'<p class="ks-verdict" role="status">{words}</p><p class="ks-line">{spread}</p>'


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
        f"{_spread(at[best], digits)}{unit}."
    )
    drawn = f"{len(first.seeds)} pictures, {of(first)}; bands are ± one standard deviation"
    gaps = " Gaps: diverged, or dearer than one question may be." if np.isnan(result.distance).any() else ""
    return f'<p class="ks-verdict" role="status">{html.escape(words)}</p><p class="ks-line">{drawn}.{gaps}</p>'


START = (("otcfm", "euler"), ("idff", "euler"), ("idff", "published"), ("idff", "multistep"))
PICTURES, GAMMAS = 4, (0.2, 0.0, 0.0)
PER_SETTING, SWEEP_PICTURES = 7, 6
# a fine resolution takes long: neither a slider nor a sweep shall wait for it
EXACT_QUEUE = {"concurrency_id": "exact", "concurrency_limit": 1}
NONE = f"""<p class="ks-line">There is no flow of pictures in the models’ folder. Train one on the procedural shapes
with <code>{TRAIN}</code>, put its file there as images-shapes.flow.safetensors, and start again.</p>"""


class FlowImages:
    """The handlers; each can be called without a page."""

    def __init__(self, bench: ImageFlows):
        self.bench = bench
        self.run, self.exact = LongRun(), LongRun()

    def label(self, data: str, label) -> int:
        """The class, or none where this data has it not (it was chosen for other data)."""
        known = len(self.bench.kind(data).classes)
        return int(label) if isinstance(label, int | float) and 0 <= label < known else NO_CLASS

    def classes(self, data: str, label=NO_CLASS) -> dict:
        """The choices of a class; hidden where there are none."""
        names = self.bench.kind(data).classes
        choices = [("no class", NO_CLASS), *((name, i) for i, name in enumerate(names))]
        return gr.update(choices=choices, value=self.label(data, label), visible=len(choices) > 1)

    def requests(self, data, label, pictures, grid, seed, *settings) -> list[FlowPicturesRequest | str | None]:
        """The questions that the controls ask: a sentence where one cannot be asked, None where none is shown.

        Args:
            data, label, pictures, grid, seed: of all settings; the pictures have consecutive seeds.
            *settings: of each: shown, path, sampler, nfe, gamma1, gamma2, gamma3.
        """
        asked: list[FlowPicturesRequest | str | None] = []
        whole(pictures, 1, MAX_PICTURES, "The number of pictures")
        label, first = self.label(data, label), min(seed, MAX_SEED + 1 - MAX_PICTURES)
        for k in range(0, len(settings), PER_SETTING):
            shown, path, sampler, nfe, *gammas = settings[k : k + PER_SETTING]
            if not shown:
                asked.append(None)
                continue
            try:
                request = FlowPicturesRequest(
                    data, path, sampler, nfe, grid, *gammas, seeds=tuple(range(first, first + pictures)), label=label
                )
            except UserError as e:
                request = str(e)
            asked.append(request)
        return asked

    def flows(self, *values) -> tuple:
        """The player's value, that the distances follow, and what can be kept; arguments as `requests`."""
        if not usable_seed(values[4]):
            return (gr.skip(),) * 3
        panels: list[Panel | None] = []
        requests = self.requests(*values)
        for letter, asked in zip(LETTERS, requests, strict=True):
            if asked is None:
                panels.append(None)
            elif isinstance(asked, str):
                panels.append(Panel(letter, "", None, "", asked))
            else:
                title = f"{letter}: {setting_name(asked, with_momentum=False)}"
                try:
                    result = self.bench.flow_pictures(asked)
                    note = ", ".join(filter(None, (f"net {result.net}", momentum(asked))))
                    panels.append(Panel(title, note, result, cost(result)))
                except UserError as e:
                    panels.append(Panel(title, "", None, "", str(e)))
        return images_value(panels), WAIT, side_kept(requests, panels, self.bench)

    def distances(self, *values) -> tuple:
        """What the numbers say, and the pictures of the exact flows; arguments as `requests`, and a `Report` last."""
        *values, report = values
        if not usable_seed(values[4]):
            return gr.skip(), gr.skip()
        asked: dict[str, FlowPicturesRequest] = {}
        results: dict[str, FlowPicturesResult] = {}
        found: dict[str, ExactDistance] = {}
        for letter, request in zip(LETTERS, self.requests(*values), strict=True):
            if not isinstance(request, FlowPicturesRequest):
                continue
            try:
                results[letter] = self.bench.flow_pictures(request)
            except UserError:  # its panel says so
                continue
            asked[letter], found[letter] = request, self.bench.distance(request, report)
        words = verdict(asked, results, found)
        if found:
            words += distance_table({k: setting_name(r) for k, r in asked.items()}, found)
        exact = {r.path: (r, found[k].exact) for k, r in asked.items()}
        figures = [
            figure_html(
                tiled(e), f"Exact flow, {PATH_NAMES[p]} net", f"{EXACT_NFE} calls, {of(r)}", css="ks-image-exact"
            )
            for p, (r, e) in exact.items()
        ]
        return words, row_html(*figures)

    def wish(self, request: gr.Request, *values) -> None:
        """Note what the visitor wants, ahead of the queue."""
        self.exact.ask(request.session_hash, repr(values))

    def watched_distances(self, request: gr.Request, progress=PROGRESS, *values) -> tuple:
        """`distances`, given up as soon as the visitor asks for others."""
        try:
            return self.distances(*values, self.exact.report(request.session_hash, repr(values), progress))
        except Superseded:
            return gr.skip(), gr.skip()

    def sweep(self, *values) -> tuple:
        """A sentence and a figure; arguments as `distances`."""
        *values, report = values
        if not usable_seed(values[4]):
            return gr.skip(), gr.skip()
        values[2] = 1  # dearer settings are gaps there, not mistakes
        asked = asked_of(self.requests(*values))
        seeds = tuple(range(asked[0].seeds[0], asked[0].seeds[0] + SWEEP_PICTURES))
        asked = [replace(r, nfe=1, seeds=seeds) for r in asked]
        result = self.bench.sweep(PictureSweepRequest(tuple(asked)), report)
        names = told_apart([setting_name(r) for r in asked])
        figure = gr.update(value=calls_figure(result, names).to_json(), visible=True)
        return sweep_words(result, names, asked[0]), figure


def gammas_read(sampler: str) -> list[dict]:
    """Which of the three gammas a sampler reads: the others are hidden."""
    return read_by("idff", sampler)[1:]


def _setting(letter: str, path: str, sampler: str) -> Setting:
    paths = gr.Dropdown(
        [(PATH_NAMES[p], p) for p in PATHS], value=path, label="Net", info="trained on this path",
        elem_id=f"images-path-{letter.lower()}", filterable=False, min_width=100, render=False,
    )  # fmt: skip
    orders = ("first order; the term vanishes at 0.5", "second order: a derivative a call", "third: two a call")
    return setting_column("images", letter, path, sampler, paths=paths, orders=orders, gammas=GAMMAS, sigma0=False)


def build_flow_images(page: gr.Tab, bench: ImageFlows | None = None) -> RecipeBinding | None:
    """Lay the tab out and wire it.

    Args:
        page: the tab itself: nothing is computed before it is opened.
        bench: answers the questions; the one of the process by default.

    Returns:
        How the tab takes up a recipe; None where there is no model for it.
    """
    tab = FlowImages(bench or ImageFlows.shared())
    gr.HTML(INTRO)
    kinds = tab.bench.kinds
    if not kinds:
        gr.HTML(NONE, elem_id="images-none")
        return None
    with gr.Row():
        data = gr.Dropdown(
            [k.data for k in kinds], value=kinds[0].data, label="Data", info="what the nets have learned",
            elem_id="images-data", filterable=False, min_width=140,
        )  # fmt: skip
        start = tab.classes(kinds[0].data)
        label = gr.Dropdown(
            start["choices"], value=NO_CLASS, label="Class", info="what shall be made", elem_id="images-label",
            visible=start["visible"], filterable=False, min_width=140,
        )  # fmt: skip
        pictures = gr.Slider(
            1, MAX_PICTURES, PICTURES, step=1, label="Pictures", info="1 to 8, of seeds in a row",
            elem_id="images-pictures", buttons=["reset"], min_width=170,
        )  # fmt: skip
        every = gr.Slider(
            1, MAX_NFE, NFE, step=1, label="NFE of all", info="sets all four, 1 to 50", elem_id="images-nfe-all",
            buttons=["reset"], min_width=170,
        )  # fmt: skip
        grid = gr.Radio(
            ["uniform", "cosine"], value="uniform", label="Steps", info="cosine: dense at both ends",
            elem_id="images-grid", min_width=150,
        )  # fmt: skip
        with gr.Column(min_width=120, scale=0):
            seed = gr.Number(
                0, label="Noise seed", info="of the first", precision=0, minimum=0, elem_id="images-seed", min_width=110
            )
            dice = gr.Button("New noise", size="sm", elem_id="images-dice", min_width=110)
    with gr.Column(elem_classes="ks-panel", min_width=0):
        gr.HTML(heading("Side by side", "the same noise in all; move the slider or press play"))
        player = images_player(elem_id="images-player")
        keep = save_bar(elem_id="images-keep")
    with gr.Row(elem_classes="ks-flow-settings"):
        settings = [_setting(letter, *start) for letter, start in zip(LETTERS, START, strict=True)]
    with gr.Column(elem_classes="ks-panel", min_width=0):
        gr.HTML(heading("Distance to the exact flow", "how much of it the few calls miss"))
        told = gr.HTML(elem_id="images-words", elem_classes="ks-told")
        exact = gr.HTML(elem_id="images-exact")
        gr.HTML(DISTANCE_WORDS.format(nfe=EXACT_NFE))
    inputs = [data, label, pictures, grid, seed, *(c for s in settings for c in s.inputs)]
    with gr.Column(elem_classes="ks-panel", min_width=0):
        gr.HTML(heading("Sweep", "the settings above over NFE"))
        buttons = run_buttons("Sweep", "images-sweep")
        words = gr.HTML(ASK, elem_id="images-sweep-words", elem_classes="ks-told")
        figure = plot(None, visible=False, elem_id="images-sweep-plot", label="Distance over network calls")

    live = {"show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    ahead = {"queue": False, "trigger_mode": "multiple", "show_progress": "hidden", **PRIVATE}
    again = functools.partial(dict, fn=guarded(tab.flows), inputs=inputs, outputs=[player, told, keep])
    measure = functools.partial(
        dict, fn=guarded(tab.watched_distances), inputs=inputs, outputs=[told, exact], show_progress_on=told,
        trigger_mode="always_last",
    )  # fmt: skip
    looks = [page.select, label.input, pictures.release, grid.input, seed.change]
    for s in settings:
        looks += [s.shown.input, s.nfe.release, *(g.release for g in s.gammas)]
    gr.on(looks, guarded(tab.wish), inputs, None, **ahead)
    shown = [gr.on(looks, **again(), trigger_mode="always_last", **live)]
    for s in settings:
        for chooser in (s.path, s.sampler):
            shown.append(chooser.input(gammas_read, s.sampler, list(s.gammas), **live))
    shown.append(every.release(lambda n: [n] * len(settings), every, [s.nfe for s in settings], **live))
    shown.append(data.input(guarded(tab.classes), [data, label], label, **live))
    first, *others = shown
    first.success(**measure(), **EXACT_QUEUE, **PRIVATE)

    def rerun(event: Dependency) -> None:
        """The controls are set: now they can be looked at."""
        wished = event.success(guarded(tab.wish), inputs, None, **ahead)
        seen = wished.success(**again(), trigger_mode="always_last", **live)
        seen.success(**measure(), **EXACT_QUEUE, **PRIVATE)

    for chosen in others:
        rerun(chosen)
    dice.click(None, None, seed, js=DICE, **PRIVATE)
    wire_run(tab.run, buttons, tab.sweep, inputs, [words, figure])

    def fill(recipe: Settings) -> tuple:
        request = recipe.request()
        first = request.asked[0]
        count = in_a_row(first.seeds)
        classes = tab.classes(first.data, first.label)
        return first.data, classes, count, first.nfe, first.grid, first.seeds[0], *filled(settings, request)

    outputs = [data, label, pictures, every, grid, seed, *(c for s in settings for c in s.inputs)]
    return RecipeBinding(("flow_images",), "images", outputs, fill, rerun)
