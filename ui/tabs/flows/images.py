"""Views "Pictures" and "Picture sweep" of "Flows": pictures from the same noise by up to four flows and samplers."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import gradio as gr
import numpy as np
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.core.progress import Report
from analysis.export import batches
from analysis.figures.flow import calls_figure
from analysis.flow.image_sweeps import PictureSweepRequest, PictureSweepResult, sweep
from analysis.flow.images import (
    EXACT_NFE,
    IMAGE_PATH_NAMES,
    MAX_IMAGES,
    NOISY,
    TRAIN_COMMAND,
    ExactDistance,
    FlowPicturesRequest,
    FlowPicturesResult,
    ImageFlows,
)
from analysis.flow.settings import SideBySideRequest
from flow_core.guidance import MAX_GUIDANCE
from flow_core.samplers import SAMPLER_NAMES
from foundation.randomness import MAX_SEED
from ui.components.controls import chosen
from ui.components.html import facts, figure_html, heading, row_html
from ui.components.layout import Frame, details, empty_stage, group, intro, noise_row, only
from ui.components.made import Made
from ui.components.players import Panel, images_player, images_value, tiled
from ui.components.plot import plot
from ui.components.save_bar import RecipeBinding, save_bar, saved_file, saver
from ui.server.errors import guarded
from ui.server.queue import AS_SENT, PRIVATE
from ui.server.runs import PROGRESS, RUN_SECONDS, LongRun, RunButtons, Superseded, wire_run
from ui.source import DICE, NO_CLASS, BuiltTab, Views, Workspace, usable_seed
from ui.tabs.flows.guidance_sweep import VIEW as SWEEP_VIEW
from ui.tabs.flows.guidance_sweep import build_guidance_sweep
from ui.tabs.flows.set_up import LIVE, calls_of_all, steps_of_time, sweep_part, wire_calls
from ui.tabs.flows.settings import (
    LETTERS,
    Setting,
    SettingsControls,
    distinct,
    in_a_row,
    of_letters,
    requests_of,
    saved_settings,
    setting_column,
)

SENTENCE = "The same noise becomes pictures in up to four ways, a few network calls each."
FORMULA = """x̂₁: what each expects the picture to be at that moment &nbsp;·&nbsp; v = (x̂₁ − x)/(1 − t) − (σ₀²/2) s,
&nbsp;s = ∇ log p<sub>t</sub> = (t x̂₁ − x)/V₀ &nbsp;·&nbsp; published drift √(1 − Σγ σ<sub>t</sub>²) (x̂₁ − x)/(1 − t)
+ (γ₁ − ½) σ<sub>t</sub>² s + γ₂ σ<sub>t</sub>² ξ² + γ₃ σ<sub>t</sub>² ξ³, &nbsp;σ<sub>t</sub> = σ₀ √(t (1 − t))"""
SWEEP_SENTENCE = "How far each setting ends from its net's exact flow, over 1 to 20 calls."
DISTANCE_WORDS = """<p class="ks-line">The exact flow is the plain ODE of the <em>same net</em> from the same noise, in
{nfe} calls. The distance to it is the error of a sampler, not of a net: a small one says nothing of how good the
pictures are. Momentum without noise heads for another law than the flow’s, and “matched noise” and “bridge SDE” draw
noise of their own, so for them a distance is a difference, not an error.</p>"""
ASK = '<p class="ks-line">Not measured yet: every setting over 1 to 20 calls, several seeds each.</p>'
WAIT = '<p class="ks-line">Distances are on their way, and with another noise its exact flow.</p>'


def momentum(request: FlowPicturesRequest) -> str:
    """The weights that the sampler reads, "" where it reads none."""
    return ", ".join(f"γ{'₁₂₃'[k]} = {g:g}" for k, g in enumerate(request.gammas))


def setting_name(request: FlowPicturesRequest, with_momentum: bool = True) -> str:
    """Path, sampler and momentum in words."""
    gammas = f" ({momentum(request)})" if with_momentum and request.gammas else ""
    return f"{IMAGE_PATH_NAMES[request.path]}, {SAMPLER_NAMES[request.sampler]}{gammas}"


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
        '<div class="ks-grid-box" tabindex="0" role="region" aria-label="Distances"><table class="ks-bands">'
        "<thead><tr><th>to the exact flow</th>"
        f"{''.join(f'<td>{h}</td>' for h in heads)}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def verdict(
    requests: dict[str, FlowPicturesRequest],
    results: dict[str, FlowPicturesResult],
    distances: dict[str, ExactDistance],
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
        if requests[best].path == requests[second].path and not sure:
            words += f"{n} picture{'s' if n > 1 else ''} cannot tell the two apart: look at the sweep. "
    else:
        words += ". "
    if len({requests[k].path for k in distances}) > 1:
        words += "Each net has an exact flow of its own: between nets, compare the pictures. "
    if len({(results[k].nfe, results[k].derivatives) for k in distances}) > 1:
        words += "Mind that they do not all cost the same. "
    if any(requests[k].sampler in NOISY for k in distances):
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


START_SETTINGS = (("otcfm", "euler"), ("idff", "heun"), ("idff", "published"), ("idff", "multistep"))
START_SAMPLERS = ("euler", "heun", "published", "multistep")  # where all settings have one net
NEEDS_CLASS = "leads towards a class: choose one first"
START_PICTURES, START_GAMMAS = 4, (0.2, 0.0, 0.0)
SWEEP_PICTURES = 6  # at first
# a fine resolution takes long: neither a slider nor a sweep shall wait for it
EXACT_QUEUE = {"concurrency_id": "exact", "concurrency_limit": 1}
NONE = f"""<p class="ks-line">There is no flow of pictures in the models’ folder. Train one on the procedural shapes
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
    sweep_buttons: RunButtons
    sweep_seeds: gr.Slider
    sweep_words: gr.HTML
    sweep_figure: gr.HTML
    sweep_curves: gr.State
    sweep_save: gr.Button
    sweep_saved: gr.HTML


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
        self.run, self.exact = LongRun(patience), LongRun(patience)

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

    def of_data(self, data: str, label, **paths: str) -> dict:
        """Classes and nets of other data."""
        return {**self.classes(data, label), **self.paths(data, paths)}

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
        requests: list[FlowPicturesRequest | str | None] = []
        whole(pictures, 1, MAX_IMAGES, "The number of pictures", "pictures")
        first = min(seed, MAX_SEED + 1 - MAX_IMAGES)
        shared = {
            "data": data, "label": self.label(data, label), "grid": grid,
            "seeds": tuple(range(first, first + pictures)),
        }  # fmt: skip
        if shared["label"] >= 0 and guidance != 1:
            start, end = sorted((guidance_from, guidance_to))
            shared |= {"guidance": guidance, "guidance_from": start, "guidance_to": end}
        for setting in of_letters(settings):
            if not setting.pop("shown", False):
                requests.append(None)
                continue
            try:
                requests.append(FlowPicturesRequest(**shared, **setting))
            except UserError as e:
                requests.append(str(e))
        return requests

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
        if distances:
            words += distance_table({k: setting_name(r) for k, r in requests.items()}, distances)
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

    def sweep(self, report: Report | None = None, sweep_seeds: int = SWEEP_PICTURES, **values) -> dict:
        """A sentence, a figure, and the curves as CSV."""
        if not usable_seed(values["seed"]):
            return gr.skip()
        whole(sweep_seeds, 2, MAX_IMAGES, "The number of seeds", "seeds")
        made = self.made(values, "pictures", "nfe").line("#images-sweep-words, #images-sweep-plot")
        values["pictures"] = 1  # dearer settings are gaps there, not mistakes
        requests = requests_of(self.requests(**values))
        first = requests[0].seeds[0]
        requests = [replace(r, nfe=1, seeds=tuple(range(first, first + sweep_seeds))) for r in requests]
        result = sweep(self.flows, PictureSweepRequest(tuple(requests)), report)
        names = distinct([setting_name(r) for r in requests])
        c = self.controls
        return {
            c.sweep_words: sweep_words(result, names, requests[0]) + made,
            c.sweep_figure: gr.update(value=calls_figure(result, names).to_json(), visible=True),
            c.sweep_curves: batches.calls_csv(result, names),
            c.sweep_save: gr.update(visible=True),
        }

    def save_curves(self, curves: str, data: str, seed: int) -> str:
        """The sweep's curves as a file."""
        return saved_file(curves.encode(), f"flow-{data}-seed{seed}-distance-by-calls", "csv")

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
    """What the settings begin with, by the nets of the data: path and sampler of each."""
    if {path for path, _ in START_SETTINGS} <= set(paths):
        return START_SETTINGS
    return tuple((paths[0], sampler) for sampler in START_SAMPLERS)


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


def _sweep_view(frame: Frame) -> tuple[dict, Frame]:
    """The sweep, and the columns of the sweep of guidance."""
    parts = sweep_part(frame, SWEEP_VIEW, "images-sweep", SWEEP_SENTENCE, ASK)
    with frame.controls, group(SWEEP_VIEW):
        parts["sweep_seeds"] = gr.Slider(
            2, MAX_IMAGES, SWEEP_PICTURES, step=1, label="Seeds of the sweep", info="in a row, 2 to 8",
            elem_id="images-sweep-seeds", buttons=["reset"],
        )  # fmt: skip
    with frame.readings, group(SWEEP_VIEW):
        parts["sweep_save"] = gr.Button(
            "Save the curves (CSV)", size="sm", visible=False, elem_id="images-sweep-save", min_width=140
        )
        parts["sweep_saved"] = saver(elem_id="images-sweep-saved")
        parts["sweep_curves"] = gr.State("")
    with frame.stage, gr.Column(min_width=0, elem_classes=only(SWEEP_VIEW)) as stage:
        empty_stage("Press “Sweep” for distances over calls, or “Sweep guidance” for pictures by its scale.")
        parts["sweep_figure"] = plot(
            None, visible=False, elem_id="images-sweep-plot", label="Distance over network calls"
        )
    with frame.controls, gr.Column(min_width=0) as controls:
        pass
    return parts, Frame(controls, stage, frame.readings)


def build_flow_images(work: Workspace, views: Views) -> BuiltTab:
    """Lay the tab out and wire it; nothing is computed before it is opened. Without a model it says how to get one."""
    flows, frame = work.studio.images, views.frame
    with frame.controls:
        intro(SENTENCE, FORMULA, "images")
    if not flows.kinds:
        with frame.stage:
            gr.HTML(NONE, elem_id="images-none")
        return BuiltTab(None)
    parts, of_guidance = _sweep_view(frame)
    with frame.controls:
        parts |= _shared_controls(flows)
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
    rerun = _wire(tab, views, presets)
    inputs = {**c.named(*SHARED), **c.by_letter()}
    build_guidance_sweep(flows, tab, setting_name, of_guidance, inputs, work.bounded(RUN_SECONDS))
    outputs = [*c.listed(*FILLED), *c.by_letter().values()]
    return BuiltTab(c, RecipeBinding(("flow_images",), "images", outputs, tab.fill, rerun), tab.settle)


def _wire(tab: FlowImages, views: Views, presets: Sequence) -> Callable[[Dependency], None]:
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
    looks = [views.opened["images"], c.label.input, c.pictures.release, c.grid.input, c.seed.change]
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
    nets = {name: part for name, part in c.by_letter().items() if name.startswith("path_")}
    rerun(
        c.data.input(
            guarded(tab.of_data), inputs_kwargs={**c.named("data", "label"), **nets},
            outputs=[c.label, *nets.values()], **LIVE, **AS_SENT,
        )
    )  # fmt: skip
    gr.on(
        [c.data.change, c.label.change], guarded(tab.guided), [c.data, c.label], c.listed(*GUIDANCE), queue=False,
        show_progress="hidden", **PRIVATE,
    )  # fmt: skip
    c.dice.click(None, None, c.seed, js=DICE, **PRIVATE)
    wire_run(
        tab.run, c.sweep_buttons, tab.sweep, {**asked["inputs_kwargs"], **c.named("sweep_seeds")},
        c.listed("sweep_words", "sweep_figure", "sweep_curves", "sweep_save"),
    )  # fmt: skip
    c.sweep_save.click(guarded(tab.save_curves), c.listed("sweep_curves", "data", "seed"), c.sweep_saved, **LIVE)
    return rerun
