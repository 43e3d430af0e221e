"""View "Pictures" of "Flows": pictures from the same noise by up to four flows and samplers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import gradio as gr
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.core.progress import Report
from analysis.flow.images import (
    EXACT_NFE,
    IMAGE_PATH_NAMES,
    MAX_IMAGES,
    TEACHER,
    TRAIN_COMMAND,
    ExactDistance,
    FlowPicturesRequest,
    FlowPicturesResult,
    ImageFlows,
)
from analysis.flow.settings import SideBySideRequest
from analysis.race import data_name
from analysis.workbench.library import ModelLibrary
from flow_core.guidance import MAX_GUIDANCE
from foundation.randomness import MAX_SEED
from ui.components.controls import chosen
from ui.components.html import details, figure_html, heading, row_html
from ui.components.layout import Frame, group, intro, noise_row, only
from ui.components.made import Made
from ui.components.players import Panel, images_player, images_value, tiled
from ui.components.save_bar import RecipeBinding, save_bar
from ui.server.errors import guarded
from ui.server.queue import AS_SENT, PRIVATE
from ui.server.runs import PROGRESS, RUN_SECONDS, LongRun, Superseded
from ui.source import DICE, NO_CLASS, BuiltTab, Views, Workspace, usable_seed
from ui.tabs.flows.guidance_sweep import build_guidance_sweep
from ui.tabs.flows.image_results import cost, momentum, of, setting_name, verdict
from ui.tabs.flows.image_sweep import sweep_view, wire_sweep
from ui.tabs.flows.set_up import LIVE, calls_of_all, steps_of_time, wire_calls
from ui.tabs.flows.settings import (
    LETTERS,
    Setting,
    SettingsControls,
    asked_each,
    in_a_row,
    saved_settings,
    setting_column,
)

SENTENCE = "The same noise becomes pictures in up to four ways, a few network calls each."
FORMULA = """x̂₁: what each expects the picture to be at that moment &nbsp;·&nbsp; v = (x̂₁ − x)/(1 − t) − (σ₀²/2) s,
&nbsp;s = ∇ log p<sub>t</sub> = (t x̂₁ − x)/V₀ &nbsp;·&nbsp; published drift √(1 − Σγ σ<sub>t</sub>²) (x̂₁ − x)/(1 − t)
+ (γ₁ − ½) σ<sub>t</sub>² s + γ₂ σ<sub>t</sub>² ξ² + γ₃ σ<sub>t</sub>² ξ³, &nbsp;σ<sub>t</sub> = σ₀ √(t (1 − t))"""
DISTANCE_WORDS = """<p class="ks-line">The exact flow is the plain ODE of the <em>same net</em> from the same noise, in
{nfe} calls. The distance to it is the error of a sampler, not of a net: a small one says nothing of how good the
pictures are. Momentum without noise heads for another law than the flow’s, and “matched noise” and “bridge SDE” draw
noise of their own, so for them a distance is a difference, not an error.</p>"""
WAIT = '<p class="ks-line">Distances are on their way, and with another noise its exact flow.</p>'


START_SETTINGS = (("otcfm", "euler"), ("idff", "heun"), ("idff", "published"), ("idff", "multistep"))
START_SAMPLERS = ("euler", "heun", "rk4", "multistep")  # where no net has noise of its path
NEEDS_CLASS = "leads towards a class: choose one first"
START_PICTURES, START_GAMMAS = 4, (0.2, 0.0, 0.0)
# a fine resolution takes long: neither a slider nor a sweep shall wait for it
EXACT_QUEUE = {"concurrency_id": "exact", "concurrency_limit": 1}
NO_FLOW = f"""<p class="ks-line">There is no flow of pictures in the models’ folder. Train one on the procedural shapes
with <code>{TRAIN_COMMAND}</code>, put its file there as images-shapes.flow.safetensors, and start again.</p>"""


@dataclass(frozen=True)
class FlowImagesControls(SettingsControls):
    """Components of the tab; `nfe_all` sets the NFE of all settings."""

    data: gr.Dropdown
    label: gr.Dropdown
    pictures: gr.Slider
    nfe_all: gr.Slider
    grid: gr.Radio
    guidance: gr.Slider
    guidance_from: gr.Slider
    guidance_to: gr.Slider
    seed: gr.Number
    dice: gr.Button
    player: gr.HTML
    save: gr.HTML
    words: gr.HTML
    exact: gr.HTML


GUIDANCE = ("guidance", "guidance_from", "guidance_to")
SHARED = ("data", "label", "pictures", "grid", "seed", *GUIDANCE)  # of all settings
FILLED = ("data", "label", "pictures", "nfe_all", "grid", "seed", *GUIDANCE)


class FlowImages:
    """The handlers; each can be called without a page.

    Their `values` are `SHARED` and the fields of each setting with its letter, by name.

    Args:
        flows: answers the questions.
        controls: of the tab, or their names.
        patience: seconds that a measurement may take.
    """

    def __init__(self, flows: ImageFlows, controls: FlowImagesControls, patience: float = RUN_SECONDS):
        self.flows, self.controls = flows, controls
        self.exact = LongRun(patience)

    def label(self, data: str, label) -> int:
        """The class, or none where this data has it not (it was chosen for other data)."""
        known = len(self.flows.kind(data).classes)
        return int(label) if isinstance(label, int | float) and 0 <= label < known else NO_CLASS

    def classes(self, data: str, label=NO_CLASS) -> dict:
        """The choices of a class; hidden where there are none."""
        names = self.flows.kind(data).classes
        choices = [("no class", NO_CLASS), *((name, i) for i, name in enumerate(names))]
        value = self.label(data, label)
        return {self.controls.label: gr.update(choices=choices, value=value, visible=len(choices) > 1)}

    def paths(self, data: str, paths: Mapping[str, str]) -> dict:
        """The nets that this data has, in every setting.

        Args:
            data: the kind of data.
            paths: what the settings have now, by the names of their controls; kept where this data has it.
        """
        there = self.flows.kind(data).paths
        choices = [(IMAGE_PATH_NAMES[p], p) for p in there]
        parts = self.controls.by_letter()
        return {
            parts[name]: gr.update(choices=choices, value=p if p in there else there[0]) for name, p in paths.items()
        }

    def of_data(self, data: str, label, **settings: str) -> dict:
        """Classes, nets and samplers of other data.

        Args:
            data: the kind of data.
            label: kept where this data has it.
            **settings: nets and samplers that the settings have now; what some data begins with was nobody's choice,
                and becomes what this data begins with.
        """
        parts, count = self.controls.by_letter(), len(self.controls.settings)
        shown = self.paths(data, {name: p for name, p in settings.items() if name.startswith("path_")})
        of = [(settings.get(f"path_{x}"), settings.get(f"sampler_{x}")) for x in map(str.lower, LETTERS[:count])]
        if tuple(of) in {tuple(start_settings(k.paths)) for k in self.flows.kinds}:
            for x, (path, sampler) in zip(LETTERS, start_settings(self.flows.kind(data).paths), strict=True):
                shown[parts[f"path_{x.lower()}"]]["value"] = path
                shown[parts[f"sampler_{x.lower()}"]] = gr.update(value=sampler)
        return {**self.classes(data, label), **shown}

    def settle(self, asked: Mapping[str, str], out: Mapping) -> dict:
        """Classes, nets and guidance of an address, whose choices are those of its data; see `BuiltTab.settle`."""
        c, words = self.controls, {name: path for path, name in IMAGE_PATH_NAMES.items()}
        nets = {name: part for name, part in c.by_letter().items() if name.startswith("path_")}
        if not {part.elem_id for part in (c.data, c.label, *nets.values())} & asked.keys():
            return c.settle_settings(out)
        data = chosen(c.data, out)
        classes = list(self.flows.kind(data).classes)
        label = classes.index(name) if (name := asked.get(c.label.elem_id)) in classes else NO_CLASS
        paths = {name: words.get(asked.get(part.elem_id, ""), part.value) for name, part in nets.items()}
        return c.settle_settings(out) | self.of_data(data, label, **paths) | self.guided(data, label)

    def guided(self, data: str, label) -> dict:
        """Whether guidance can be moved: it leads towards a class."""
        there = self.label(data, label) >= 0
        info = "1 for none, 0 to 20; where it acts, a step costs a call more" if there else NEEDS_CLASS
        c = self.controls
        return {
            c.guidance: gr.update(interactive=there, info=info),
            **{part: gr.update(interactive=there) for part in (c.guidance_from, c.guidance_to)},
        }

    def requests(
        self, data, label, pictures, grid, seed, guidance=1.0, guidance_from=0.0, guidance_to=1.0, **settings
    ) -> list[FlowPicturesRequest | str | None]:
        """The questions that the controls ask: a sentence where one cannot be asked, None where none is shown.

        Args:
            data, label, pictures, grid, seed: of all settings; the pictures have consecutive seeds.
            guidance, guidance_from, guidance_to: of all settings, too; not read without a class.
            **settings: the fields of each, with its letter.
        """
        whole(pictures, 1, MAX_IMAGES, "The number of pictures", "pictures")
        first = min(seed, MAX_SEED + 1 - MAX_IMAGES)
        shared = {
            "data": data, "label": self.label(data, label), "grid": grid,
            "seeds": tuple(range(first, first + pictures)),
        }  # fmt: skip
        if shared["label"] >= 0 and guidance != 1:
            start, end = sorted((guidance_from, guidance_to))
            shared |= {"guidance": guidance, "guidance_from": start, "guidance_to": end}
        return asked_each(settings, functools.partial(FlowPicturesRequest, **shared))

    def show(self, **values) -> dict:
        """The player, that the distances follow, and what can be saved."""
        if not usable_seed(values["seed"]):
            return gr.skip()
        requests = self.requests(**values)
        panels = [self._panel(letter, request) for letter, request in zip(LETTERS, requests, strict=True)]
        c = self.controls
        told = WAIT + self.made(values).line("#images-player")
        return {c.player: images_value(panels), c.words: told, c.save: saved_settings(requests, panels, self.flows)}

    def made(self, values: dict, *without: str) -> Made:
        """What a result of these values is made with.

        Args:
            values: of the controls, by name.
            *without: names of controls, of all settings or of each, that it is not made with.
        """
        c, classes = self.controls, self.flows.kind(values["data"]).classes
        label = self.label(values["data"], values["label"])
        of = classes[label] if label >= 0 else "no class"
        known = {name: part for name, part in c.named(*SHARED).items() if name in values and name not in without}
        shared = {part: values[name] for name, part in known.items() if label >= 0 or name not in GUIDANCE}
        nets = {c.by_letter()[n]: IMAGE_PATH_NAMES[v] for n, v in values.items() if n.startswith("path_")}
        asked = c.asked_by(values, *without)
        asked |= {part: name for part, name in nets.items() if part in asked}
        classed = f", {of}" if classes else ""
        return Made.by(f"{values['data']}{classed}, noise seed {values['seed']}", shared | {c.label: of} | asked)

    def _panel(self, letter: str, request: FlowPicturesRequest | str | None) -> Panel | None:
        if request is None:
            return None
        if isinstance(request, str):
            return Panel(letter, "", None, "", request)
        title = f"{letter}: {setting_name(request, with_momentum=False)}"
        try:
            result = self.flows.flow_pictures(request)
        except UserError as e:
            return Panel(title, "", None, "", str(e))
        note = ", ".join(filter(None, (f"net {result.net}", momentum(request))))
        return Panel(title, note, result, cost(result))

    def distances(self, report: Report | None = None, **values) -> dict:
        """What the numbers say, and the pictures of the exact flows."""
        if not usable_seed(values["seed"]):
            return gr.skip()
        requests: dict[str, FlowPicturesRequest] = {}
        results: dict[str, FlowPicturesResult] = {}
        distances: dict[str, ExactDistance] = {}
        for letter, request in zip(LETTERS, self.requests(**values), strict=True):
            if not isinstance(request, FlowPicturesRequest):
                continue
            try:
                results[letter] = self.flows.flow_pictures(request)
            except UserError:  # its panel says so
                continue
            requests[letter], distances[letter] = request, self.flows.distance(request, report)
        words = verdict(requests, results, distances)
        exact = {r.path: (r, distances[k].exact) for k, r in requests.items()}
        figures = [
            figure_html(
                tiled(e), f"Exact flow, {IMAGE_PATH_NAMES[p]} net", f"{EXACT_NFE} calls, {of(r)}", css="ks-image-exact"
            )
            for p, (r, e) in exact.items()
        ]
        words += self.made(values).line("#images-player, #images-words, #images-exact")
        return {self.controls.words: words, self.controls.exact: row_html(*figures)}

    def wish(self, request: gr.Request, **values) -> None:
        """Note what the visitor wants, ahead of the queue."""
        self.exact.ask(request.session_hash, repr(sorted(values.items())))

    def watched_distances(self, request: gr.Request, progress=PROGRESS, **values) -> dict:
        """`distances`, given up as soon as the visitor asks for others."""
        try:
            key = repr(sorted(values.items()))
            return self.distances(self.exact.report(request.session_hash, key, progress), **values)
        except Superseded:
            return gr.skip()

    def fill(self, request: SideBySideRequest) -> dict:
        """A recipe's request as values of the controls.

        Raises:
            UserError: what the page cannot show.
        """
        c = self.controls
        first = request.asked[0]
        if len({(r.guidance, r.guidance_from, r.guidance_to) for r in request.asked}) > 1:
            raise UserError("These settings differ in their guidance, which the page sets for all: ask /recipe for it.")
        guided = self.guided(first.data, first.label)
        for part, value in zip(guided, (first.guidance, first.guidance_from, first.guidance_to), strict=True):
            guided[part] |= {"value": value}
        settings = c.fill_settings(request)
        settled = zip(LETTERS, request.settings, strict=False)
        asked = {f"path_{letter.lower()}": r.path for letter, r in settled if r is not None}
        return {
            c.data: first.data, **self.classes(first.data, first.label), **guided, c.pictures: in_a_row(first.seeds),
            c.nfe_all: first.nfe, c.grid: first.grid, c.seed: first.seeds[0], **settings,
            **self.paths(first.data, asked),
        }  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# The page


def start_settings(paths: Sequence[str]) -> Sequence[tuple[str, str]]:
    """What the settings begin with, by the nets of the data: path and sampler of each.

    Where no net was trained on IDFF's path the teacher read on it stands in; where neither is there, samplers that take
    no noise of the path's own.
    """
    noisy = next((path for path in ("idff", TEACHER) if path in paths), None)
    plain = "otcfm" if "otcfm" in paths else paths[0]
    if noisy is None:
        return tuple((plain, sampler) for sampler in START_SAMPLERS)
    return tuple((noisy if path == "idff" else plain, sampler) for path, sampler in START_SETTINGS)


def following(tab: FlowImages, library: ModelLibrary, known: gr.State | str) -> Callable[..., dict]:
    """The handler of the view's opening: it begins with flows of the pictures that the header's model makes.

    Args:
        tab: whose controls are set.
        library: the models.
        known: the header's model when the view was opened last, or the name of that.

    Returns:
        A function of the header's model, the known one, the data, the class, and nets and samplers by name and letter.
        Of another model than before it chooses the flows of its pictures, where there are any; of the same one, or
        where there are none, it leaves what was chosen.
    """

    def follow(model: str, before: str, data: str, label, **settings: str) -> dict:
        if model == before:
            return gr.skip()
        name, there = data_name(library.get(model)), {kind.data for kind in tab.flows.kinds}
        other = name != data and name in there
        shown = {tab.controls.data: name, **tab.of_data(name, label, **settings)} if other else {}
        return {**shown, known: model}

    return follow


def _setting(letter: str, path: str, sampler: str, there: Sequence[str]) -> Setting:
    paths = gr.Dropdown(
        [(IMAGE_PATH_NAMES[p], p) for p in there], value=path, label="Net", info="what gives the velocity",
        elem_id=f"images-path-{letter.lower()}", filterable=False, min_width=100, render=False,
    )  # fmt: skip
    orders = ("first order; the term vanishes at 0.5", "second order: a derivative a call", "third: two a call")
    return setting_column(
        "images", letter, path, sampler, paths=paths, orders=orders, gammas=START_GAMMAS, sigma0=False
    )


def _shared_controls(flows: ImageFlows) -> dict:
    """What all settings have in common."""
    parts: dict = {}
    first = flows.kinds[0].data
    label = FlowImages(flows, FlowImagesControls.names()).classes(first)["label"]
    with group():
        with gr.Row(elem_classes="ks-two"):
            parts["data"] = gr.Dropdown(
                [k.data for k in flows.kinds], value=first, label="Data", info="of the nets",
                elem_id="images-data", filterable=False, min_width=120,
            )  # fmt: skip
            parts["label"] = gr.Dropdown(
                label["choices"], value=NO_CLASS, label="Class", info="of the pictures", elem_id="images-label",
                visible=label["visible"], filterable=False, min_width=120,
            )  # fmt: skip
        parts |= calls_of_all("images") | noise_row("images", "of the first")
        with gr.Accordion("More", open=False, elem_id="images-more"):
            parts["pictures"] = gr.Slider(
                1, MAX_IMAGES, START_PICTURES, step=1, label="Pictures", info="1 to 8, of seeds in a row",
                elem_id="images-pictures", buttons=["reset"],
            )  # fmt: skip
            parts["grid"] = steps_of_time("images")
            parts["guidance"] = gr.Slider(
                0, MAX_GUIDANCE, 1, step=0.5, label="Guidance", info=NEEDS_CLASS, interactive=False, buttons=["reset"],
                elem_id="images-guidance",
            )  # fmt: skip
            for part, name, value in (("guidance_from", "from", 0), ("guidance_to", "to", 1)):
                parts[part] = gr.Slider(
                    0, 1, value, step=0.05, label=f"Guidance {name} t", info="0 noise, 1 picture", interactive=False,
                    buttons=["reset"], elem_id=f"images-guidance-{name}",
                )  # fmt: skip
    return parts


def _distances(frame: Frame) -> dict:
    """The distance to the exact flow, and what can be saved."""
    parts: dict = {}
    with frame.readings, group("images"):
        gr.HTML(heading("Distance to the exact flow"))
        parts["words"] = gr.HTML(elem_id="images-words", elem_classes="ks-told")
        parts["exact"] = gr.HTML(elem_id="images-exact")
        gr.HTML(details("What the distance says", DISTANCE_WORDS.format(nfe=EXACT_NFE)))
        parts["save"] = save_bar(elem_id="images-keep")
    return parts


def build_flow_images(work: Workspace, views: Views) -> BuiltTab:
    """Lay the tab out and wire it; nothing is computed before it is opened. Without a model it says how to get one."""
    flows, frame = work.studio.images, views.frame
    with frame.controls:
        intro(SENTENCE, FORMULA, "images")
    if not flows.kinds:
        with frame.stage:
            gr.HTML(NO_FLOW, elem_id="images-none")
        return BuiltTab(None)
    sweep, of_guidance = sweep_view(frame)
    with frame.controls:
        parts = _shared_controls(flows)
    presets = parts.pop("presets")
    with frame.stage, gr.Column(min_width=0, elem_classes=only("images")):
        parts["player"] = images_player(elem_id="images-player")
    parts |= _distances(frame)
    with frame.controls:
        there = flows.kinds[0].paths
        starts = zip(LETTERS, start_settings(there), strict=True)
        settings = tuple(_setting(letter, *start, there) for letter, start in starts)
    c = FlowImagesControls(settings, **parts)
    tab = FlowImages(flows, c, work.bounded(RUN_SECONDS))
    rerun = _wire(tab, work, views, presets)
    inputs = {**c.named(*SHARED), **c.by_letter()}
    wire_sweep(flows, tab, sweep, inputs, work.bounded(RUN_SECONDS))
    build_guidance_sweep(flows, tab, setting_name, of_guidance, inputs, work.bounded(RUN_SECONDS))
    outputs = [*c.listed(*FILLED), *c.by_letter().values()]
    return BuiltTab(c, RecipeBinding(("flow_images",), "images", outputs, tab.fill, rerun), tab.settle)


def _wire(tab: FlowImages, work: Workspace, views: Views, presets: Sequence) -> Callable[[Dependency], None]:
    """Connect the handlers; gives what looks again after an event that set the controls."""
    c = tab.controls
    ahead = {"queue": False, "trigger_mode": "multiple", "show_progress": "hidden", **PRIVATE}
    asked = {"inputs_kwargs": {**c.named(*SHARED), **c.by_letter()}}
    again = {
        "fn": guarded(tab.show), **asked, "outputs": c.listed("player", "words", "save"),
        "trigger_mode": "always_last", **LIVE,
    }  # fmt: skip
    measured = {
        "fn": guarded(tab.watched_distances), **asked, "outputs": [c.words, c.exact], "show_progress_on": c.words,
        "trigger_mode": "always_last", **EXACT_QUEUE, **PRIVATE,
    }  # fmt: skip
    looks = [c.label.input, c.pictures.release, c.grid.input, c.seed.change]
    looks += [part.release for part in c.listed(*GUIDANCE)]
    for s in c.settings:
        looks += [s.shown.input, *(part.release for part in s.listed("nfe", "gamma1", "gamma2", "gamma3"))]
    gr.on(looks, guarded(tab.wish), **asked, **ahead)
    gr.on(looks, **again).success(**measured)

    def rerun(event: Dependency) -> None:
        """The controls are set: now they can be looked at."""
        event.success(guarded(tab.wish), **asked, **ahead).success(**again).success(**measured)

    for s in c.settings:
        for chooser in (s.path, s.sampler):
            rerun(chooser.input(guarded(s.read), [s.path, s.sampler], s.listed("gamma1", "gamma2", "gamma3"), **LIVE))
    for called in wire_calls(c, c.nfe_all, presets, [c.nfe_all.release]):
        rerun(called)
    nets = {name: part for name, part in c.by_letter().items() if name.startswith(("path_", "sampler_"))}
    of_data = {"inputs_kwargs": {**c.named("data", "label"), **nets}, "outputs": [c.label, *nets.values()]}
    rerun(c.data.input(guarded(tab.of_data), **of_data, **LIVE, **AS_SENT))
    known = gr.State(work.source.start[0])
    followed = {"model": work.source.model, "before": known, **of_data["inputs_kwargs"]}
    rerun(
        views.opened["images"](
            guarded(following(tab, work.library, known)), inputs_kwargs=followed,
            outputs=[known, c.data, *of_data["outputs"]], **LIVE, **AS_SENT,
        )
    )  # fmt: skip
    gr.on(
        [c.data.change, c.label.change], guarded(tab.guided), [c.data, c.label], c.listed(*GUIDANCE), queue=False,
        show_progress="hidden", **PRIVATE,
    )  # fmt: skip
    c.dice.click(None, None, c.seed, js=DICE, **PRIVATE)
    return rerun
