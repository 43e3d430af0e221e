"""Tab "Flow images": pictures from the same noise by up to four flows and samplers, with what they see on the way."""

from __future__ import annotations

import functools
from dataclasses import replace

import gradio as gr
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.figures.flow import calls_figure
from analysis.flow.images import (
    EXACT_NFE,
    MAX_PICTURES,
    PATHS,
    TRAIN,
    ExactDistance,
    FlowPicturesRequest,
    FlowPicturesResult,
    ImageFlows,
    PictureSweepRequest,
)
from analysis.flow.settings import MAX_NFE
from analysis.recipes.settings import Settings
from foundation.randomness import MAX_SEED
from ui.cards import heading
from ui.flow_images_words import (
    ASK,
    DISTANCE_WORDS,
    INTRO,
    WAIT,
    cost,
    distance_table,
    momentum,
    of,
    setting_name,
    sweep_words,
    verdict,
)
from ui.flow_kept import filled, in_a_row, side_kept
from ui.flow_settings import LETTERS, NFE, Setting, asked_of, read_by, setting_column, told_apart
from ui.flow_words import PATH_NAMES
from ui.guard import MODEL_QUEUE, PRIVATE, guarded
from ui.images_player import images_player, images_value, tiled
from ui.keep import Opens, keep_bar
from ui.latest import Superseded
from ui.long_runs import PROGRESS, LongRun, run_buttons, wire_run
from ui.pictures import figure_html, row_html
from ui.plots import plot
from ui.source import DICE, NO_CLASS, usable_seed
from ui.time_bar import Panel

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


def build_flow_images(page: gr.Tab, bench: ImageFlows | None = None) -> Opens | None:
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
        keep = keep_bar(elem_id="images-keep")
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
    return Opens(("flow_images",), "images", outputs, fill, rerun)
