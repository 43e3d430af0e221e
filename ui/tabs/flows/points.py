"""Views "Plane", "Sweep" and "Draw and train" of "Flows": flows in the plane side by side, and nets that train here."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import gradio as gr
import numpy as np
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.core.progress import Report
from analysis.figures.flow import gamma_figure, nfe_figure
from analysis.flow.clouds import DRAWING
from analysis.flow.nets import STRAIGHT
from analysis.flow.points import (
    Flow2DRequest,
    LikelihoodRequest,
    PointFlows,
    SweepRequest,
)
from analysis.flow.settings import MAX_POINTS, SideBySideRequest
from flow_core.densities.toys import TOYS
from flow_core.model import NORMAL
from flow_core.paths import PATH_NAMES
from ui.components.controls import chosen
from ui.components.html import details
from ui.components.layout import Frame, empty_stage, group, intro, noise_row, only
from ui.components.made import Made
from ui.components.painter import packed_value, unpacked
from ui.components.players import Panel, flow_player, flow_value
from ui.components.plot import plot
from ui.components.save_bar import RecipeBinding, save_bar
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, wire_run
from ui.source import DICE, BuiltTab, Views, Workspace, usable_seed
from ui.tabs.flows.point_results import (
    likelihood_words,
    momentum_words,
    net_words,
    numbers,
    setting_name,
    sweep_words,
    verdict,
)
from ui.tabs.flows.set_up import LIVE, calls_of_all, steps_of_time, sweep_part, wire_calls
from ui.tabs.flows.settings import (
    LETTERS,
    Ends,
    Setting,
    SettingsControls,
    asked_each,
    distinct,
    drawn_bits,
    nets_after,
    of_letters,
    opened_nets,
    own_net,
    requests_of,
    saved_settings,
    setting_column,
    within,
)
from ui.tabs.flows.training import TrainingPart, build_training
from ui.tabs.flows.transport import transport_view

SENTENCE = "A flow carries noise to data in a few network calls; here up to four ways start from the same noise."
FORMULA = """x<sub>t</sub> = t x₁ + (1 − t) x₀ + σ<sub>t</sub> ε, &nbsp;σ<sub>t</sub> = σ₀ √(t (1 − t)) &nbsp;·&nbsp;
exact velocity v = (x̂₁ − x)/(1 − t) − (σ₀²/2) s, &nbsp;s = ∇ log p<sub>t</sub> &nbsp;·&nbsp; published drift
√(1 − Σγ σ<sub>t</sub>²) (x̂₁ − x)/(1 − t) + (γ₁ − ½) σ<sub>t</sub>² ξ¹ + γ₂ σ<sub>t</sub>² ξ² + γ₃ σ<sub>t</sub>² ξ³,
&nbsp;ξ¹ = s, &nbsp;ξ<sup>k+1</sup> = ∇ Σ ξ<sup>k</sup>"""
SWEEP_SENTENCE = "The settings of the plane over the number of calls, and those with momentum over its weight."
MOMENTUM_WORDS = """<p class="ks-line">What theory says of momentum: adding η s to the drift keeps the law of
x<sub>t</sub> only together with the noise √(2η) dW (“matched noise”). The published drift adds it without noise and
lacks −(σ₀²/2) s, so with many calls it ends at another law than the data’s; γ₁ = ½ is where its first term vanishes,
not 0. With few calls a weight can cancel a part of Euler’s error; its sign depends on drift and density (at 5 calls on
the 8 Gaussians −20 in the published drift, which blurs, and +20 on the exact velocity). A method of second order,
such as Heun’s with as many calls, has no such error and needs no weight. Orders 2 and 3 cost derivatives of the net on
top of its calls.</p>"""
ASK = '<p class="ks-line">Not measured yet: every setting over 1 to 20 calls and over γ₁, four seeds each.</p>'


DENSITIES = [*((name, name) for name in TOYS), ("my drawing", DRAWING)]
SOURCES = [("noise", NORMAL), *((name, name) for name in TOYS), ("my other drawing", DRAWING)]
FROM_NOISE_ONLY = '<p class="ks-line">How probable a point is can be told of flows that begin at noise.</p>'
# what momentum shall cancel has its control beside it, on the same net
START_SETTINGS = (("otcfm", "euler"), ("idff", "heun"), ("idff", "published"), ("idff", "multistep"))
START_GAMMAS, START_POINTS = (0.2, -0.5, 0.0), 1024  # the gammas of the public code's best picture
SWEEP_POINTS = 1024
POINT = '<p class="ks-line">Click anywhere in a plane: how probable its flow makes that point.</p>'


@dataclass(frozen=True)
class FlowControls(SettingsControls):
    """Components of the tab.

    `nfe_all` sets the NFE of all settings; `own` are the visitor's nets, `drawing` and `source_drawing` the painted
    cells as text, `opened` what a recipe says of nets.
    """

    density: gr.Dropdown
    source: gr.Dropdown
    nfe_all: gr.Slider
    points: gr.Slider
    grid: gr.Radio
    net: gr.Radio
    seed: gr.Number
    dice: gr.Button
    player: gr.HTML
    words: gr.HTML
    likelihood: gr.HTML
    save: gr.HTML
    sweep_buttons: RunButtons
    sweep_words: gr.HTML
    sweep_nfe: gr.HTML
    sweep_gamma: gr.HTML
    drawing: gr.State
    source_drawing: gr.State
    own: gr.State
    opened: gr.State
    paper: gr.HTML
    source_paper: gr.HTML
    source_box: gr.Column


ENDS = ("density", "drawing", "source", "source_drawing")  # fields of `Ends`
OF_POINTS = ("seed", "points", "grid", "net")
SHARED = (*ENDS, *OF_POINTS, "own")  # of all settings
FILLED = (*ENDS, "nfe_all", "points", "grid", "net", "seed", "paper", "source_paper", "source_box", "opened")


class FlowLab:
    """The handlers; each can be called without a page.

    Their `values` are `SHARED` and the fields of each setting with its letter, by name.

    Args:
        flows: answers the questions.
        controls: of the tab, or their names.
        patience: seconds that a sweep may take.
    """

    def __init__(self, flows: PointFlows, controls: FlowControls, patience: float = RUN_SECONDS):
        self.flows, self.controls = flows, controls
        self.run = LongRun(patience)

    def requests(
        self, density, drawing, source, source_drawing, seed, points, grid, net, own, **settings
    ) -> list[Flow2DRequest | str | None]:
        """The questions that the controls ask: a sentence where one cannot be asked, None where none is shown.

        Args:
            density, drawing, source, source_drawing: of all settings, see `Ends`.
            seed, points, grid: of all settings.
            net: "auto" (own, shipped, or closed form) or "oracle".
            own: nets that the visitor trained, (what they were trained on, key).
            **settings: the fields of each, with its letter.
        """
        ends, kept = Ends(density, drawing, source, source_drawing), self.flows.trained
        shared = {**ends.asked(), "grid": grid, "seed": seed, "points": points}

        def ask(path: str, sigma0: float, **setting) -> Flow2DRequest | None:
            if needs_noise(source, path):
                return None
            trained = own_net(own, ends, path, sigma0, kept) if net == "auto" else None
            return Flow2DRequest(**shared, **setting, path=path, sigma0=sigma0, net=trained or net)

        return asked_each(settings, ask)

    def show(self, **values) -> dict:
        """The player, what follows from the numbers, and what can be saved."""
        if not usable_seed(values["seed"]):
            return gr.skip()
        requests = self.requests(**values)
        panels = [self._panel(letter, request) for letter, request in zip(LETTERS, requests, strict=True)]
        results = {letter: p.result for letter, p in zip(LETTERS, panels, strict=True) if p and p.result}
        c, source = self.controls, values["source"]
        made = self.made(values).line("#flow-player, #flow-words")
        return {
            c.player: flow_value(panels, begin_word(source)),
            c.words: verdict(results) + noise_needed(source, values) + made,
            c.save: saved_settings(requests, panels, self.flows),
        }  # fmt: skip

    def made(self, values: dict, *without: str) -> Made:
        """What a result of these values is made with; `without` as of `SettingsControls.asked_by`."""
        c = self.controls
        shared = {part: values[name] for name, part in c.named("density", "source", *OF_POINTS).items()}
        where = values["density"] if values["density"] != DRAWING else "my drawing"
        return Made.by(f"{where}, noise seed {values['seed']}", shared | c.asked_by(values, *without))

    def _panel(self, letter: str, request: Flow2DRequest | str | None) -> Panel | None:
        if request is None:
            return None
        if isinstance(request, str):
            return Panel(letter, "", None, "", request)
        title = f"{letter}: {setting_name(request)}"
        try:
            result = self.flows.flow_2d(request)
        except UserError as e:  # where it shall arrive is known, whether or not anything can go there
            return Panel(title, "", None, "", str(e), ground=self.flows.contours(request))
        return Panel(title, net_words(result.net), result, numbers(result))

    def likely(self, event: gr.EventData, **values) -> str:
        """A point of a plane was clicked: how probable the setting's flow makes it, beside the exact density.

        Raises:
            UserError: no such setting or point.
        """
        data = event._data if isinstance(event._data, dict) else {}
        setting, point = data.get("setting"), data.get("point")
        if type(setting) is not int or not 0 <= setting < len(LETTERS) or not isinstance(point, list):
            raise UserError("Click a point of one of the planes.")
        request = self.requests(**values)[setting]
        if not isinstance(request, Flow2DRequest):
            return ""
        if request.source != NORMAL:
            return FROM_NOISE_ONLY
        result = self.flows.likelihood(
            LikelihoodRequest(
                request.density, request.drawing, request.path, request.sigma0, tuple(point), net=request.net
            )
        )
        words = likelihood_words(LETTERS[setting], point, result)
        return words + self.made(values, "nfe").line("#flow-likelihood")

    def sweep(self, report: Report | None = None, **values) -> dict:
        """A sentence and two figures; a setting without a net is left out, and the sentence says so."""
        if not usable_seed(values["seed"]):
            return gr.skip()
        made = self.made(values, "nfe").line("#flow-sweep-words, #flow-sweep-nfe, #flow-sweep-gamma")
        values["points"] = min(values["points"], SWEEP_POINTS)
        requests, left_out = self._with_net(requests_of(self.requests(**values)))
        result = self.flows.sweep(SweepRequest(tuple(requests)), report)
        names = distinct([setting_name(r) for r in requests])
        with_gammas = bool(len(result.gammas))
        c = self.controls
        return {
            c.sweep_words: sweep_words(result, names, requests[0])
            + momentum_words(result, names, requests)
            + _left_out(left_out)
            + noise_needed(values["source"], values)
            + made,
            c.sweep_nfe: gr.update(value=nfe_figure(result, names).to_json(), visible=True),
            c.sweep_gamma: gr.update(
                value=gamma_figure(result, names).to_json() if with_gammas else None, visible=with_gammas
            ),
        }

    def _with_net(self, requests: Sequence[Flow2DRequest]) -> tuple[list[Flow2DRequest], list[str]]:
        """The questions that something can answer, and the names of the others.

        Raises:
            UserError: none can be answered; the first one's sentence.
        """
        good, left_out, sentences = [], [], []
        for request in requests:
            try:
                self.flows.net(request)
                good.append(request)
            except UserError as e:
                left_out.append(setting_name(request))
                sentences.append(str(e))
        if not good:
            raise UserError(sentences[0], "net")
        return good, left_out

    def take_nets(self, own: tuple, opened: tuple) -> dict:
        """The nets that a recipe has opened answer from now on."""
        own, opened = nets_after(own, opened)
        return {self.controls.own: own, self.controls.opened: opened}

    def fill(self, request: SideBySideRequest) -> dict:
        """A recipe's request as values of the controls.

        Raises:
            UserError: what the page cannot show.
        """
        c = self.controls
        first, (net, nets) = request.asked[0], opened_nets(request)
        paint = _painted(c.drawing, c.paper, first.drawing) | _painted(
            c.source_drawing, c.source_paper, first.source_drawing
        )
        begin = {c.source: first.source, c.source_box: gr.update(visible=first.source == DRAWING)}
        return {
            c.density: first.density, **begin, c.nfe_all: first.nfe, c.points: within(c.points, first.points),
            c.grid: first.grid, c.net: net, c.seed: first.seed, **paint, c.opened: nets, **c.fill_settings(request),
        }  # fmt: skip


def _painted(state: gr.State, paper: gr.HTML, drawing: tuple | None) -> dict:
    """A recipe's drawing as values of the state that keeps it and of its canvas; nothing without one."""
    bits = drawn_bits(drawing)
    return {state: bits, paper: json.dumps(json.loads(paper.value) | {"mask": bits})} if bits else {}


def needs_noise(source: str, path: str) -> bool:
    """Whether a path cannot begin at this source."""
    return source != NORMAL and path not in STRAIGHT


def noise_needed(source: str, values: dict) -> str:
    """Which of the settings are left out, since their paths begin at noise alone."""
    letters = [k for k, s in zip(LETTERS, of_letters(values), strict=True) if s.get("shown")
               and needs_noise(source, s["path"])]  # fmt: skip
    if not letters:
        return ""
    names = ", ".join(PATH_NAMES[path] for path in STRAIGHT)
    return (
        f'<p class="ks-line">Left out: {", ".join(letters)}. Their paths need a score, and so begin at noise; from '
        f"another density go {names}.</p>"
    )


def begin_word(source: str) -> str:
    """What the points begin at, in a word or two."""
    return next(text for text, name in SOURCES if name == source)


def _left_out(names: list[str]) -> str:
    if not names:
        return ""
    return f'<p class="ks-line">Left out, since no net answers: {html.escape(", ".join(names))}.</p>'


# ---------------------------------------------------------------------------------------------------------------------
# The page


def _setting(letter: str, path: str, sampler: str) -> Setting:
    paths = gr.Dropdown(
        [(t, p) for p, t in PATH_NAMES.items()], value=path, label="Path", info="how noise and data are joined",
        elem_id=f"flow-path-{letter.lower()}", filterable=False, min_width=100, render=False,
    )  # fmt: skip
    orders = ("first order; the term vanishes at 0.5", "second order", "third order")
    return setting_column("flow", letter, path, sampler, paths=paths, orders=orders, gammas=START_GAMMAS, sigma0=True)


def _shared_controls() -> dict:
    """What all settings have in common."""
    parts: dict = {}
    with group("flow", "sweep", "train"):
        parts["density"] = gr.Dropdown(
            DENSITIES, value=TOYS[0], label="Density", info="where the points shall arrive", elem_id="flow-density",
            filterable=False,
        )  # fmt: skip
        parts["source"] = gr.Dropdown(
            SOURCES, value=NORMAL, label="Begin at", elem_id="flow-source", filterable=False,
            info="shipped nets begin at noise: from another density take a closed form, or train one",
        )  # fmt: skip
    with group("flow", "sweep"):
        parts |= calls_of_all("flow") | noise_row("flow")
        with gr.Accordion("More", open=False, elem_id="flow-more"):
            parts["points"] = gr.Slider(
                64, MAX_POINTS, START_POINTS, step=64, label="Points", info="64 to 2048; 400 are drawn",
                elem_id="flow-points", buttons=["reset"],
            )  # fmt: skip
            parts["grid"] = steps_of_time("flow")
            parts["net"] = gr.Radio(
                [("trained net if there is one", "auto"), ("exact oracle", "oracle")], value="auto", label="Network",
                info="the oracle is the closed form: a perfect net", elem_id="flow-net",
            )  # fmt: skip
    return parts


def _sweep_view(frame: Frame) -> dict:
    """The sweep's buttons, sentence and figures."""
    parts: dict = {}
    parts["sweep_buttons"], parts["sweep_words"] = sweep_part(frame, "sweep", "flow-sweep", SWEEP_SENTENCE, ASK)
    with frame.stage, gr.Column(min_width=0, elem_classes=only("sweep")):
        empty_stage("Which setting is nearest to the data, from 1 to 20 calls.", ("Sweep", "flow-sweep-start"))
        for of, label in (("nfe", "MMD² over network calls"), ("gamma", "MMD² over gamma1")):
            parts[f"sweep_{of}"] = plot(None, visible=False, elem_id=f"flow-sweep-{of}", label=label)
    return parts


def build_flow_lab(work: Workspace, views: Views) -> BuiltTab:
    """Lay the tab out and wire it; nothing is computed before it is opened."""
    flows, frame = work.studio.points, views.frame
    with frame.controls:
        intro(SENTENCE, FORMULA, "flow")
    parts, pairs = _sweep_view(frame), transport_view(frame)
    with frame.controls:
        parts |= _shared_controls()
    presets = parts.pop("presets")
    with frame.stage, gr.Column(min_width=0, elem_classes=only("flow")):
        parts["player"] = flow_player(elem_id="flow-player")
    with frame.readings, group("flow"):
        parts["words"] = gr.HTML(elem_id="flow-words")
        parts["likelihood"] = gr.HTML(POINT, elem_id="flow-likelihood")
        parts["save"] = save_bar(elem_id="flow-keep")
        gr.HTML(details("What theory says of momentum", MOMENTUM_WORDS))
    parts |= {
        name: gr.State(value) for name, value in (("own", ()), ("drawing", ""), ("source_drawing", ""), ("opened", ()))
    }
    with frame.controls, group("flow", "sweep", css="ks-plain"):
        settings = tuple(_setting(letter, *start) for letter, start in zip(LETTERS, START_SETTINGS, strict=True))
    shared = {name: parts[name] for name in (*ENDS, "own")}
    training = build_training(flows, work.bounded(RUN_SECONDS), frame, shared)
    c = FlowControls(
        settings, **parts, paper=training.paper, source_paper=training.source_paper, source_box=training.source_box
    )
    lab = FlowLab(flows, c, work.bounded(RUN_SECONDS))
    pairs.wire(flows, parts, work.bounded(RUN_SECONDS))
    rerun = _wire(lab, views, training, presets)
    outputs = [*c.listed(*FILLED), *c.by_letter().values()]

    def settle(asked: Mapping[str, str], out: Mapping) -> dict:
        begins = training.begins(chosen(c.source, out), chosen(training.path, out)) if c.source in out else {}
        for state, paper in papers:
            begins |= _painted(state, paper, drawn_cells(unpacked(asked.get(paper.elem_id, ""))))
        return c.settle_settings(out) | begins

    papers = ((c.drawing, c.paper), (c.source_drawing, c.source_paper))
    binding = RecipeBinding(("flow_2d",), "flow", outputs, lab.fill, rerun)
    return BuiltTab(
        c, binding, settle, (c.source_box, *(part for pair in papers for part in pair)),
        {paper.elem_id: packed_value(paper.value) for _, paper in papers},
    )  # fmt: skip


def drawn_cells(mask: np.ndarray | None) -> tuple[tuple[int, ...], ...] | None:
    """A mask (side, side), 255 = painted, as the cells of a request; None where nothing is painted."""
    return None if mask is None else tuple(map(tuple, (mask > 0).astype(int).tolist()))


def _wire(lab: FlowLab, views: Views, training: TrainingPart, presets: Sequence) -> Callable[[Dependency], None]:
    """Connect the handlers; gives what looks again after an event that set the controls."""
    c = lab.controls
    asked = {**c.named(*SHARED), **c.by_letter()}
    again = {"fn": guarded(lab.show), "inputs_kwargs": asked, "outputs": c.listed("player", "words", "save"), **LIVE}
    # of sliders "release" too: it is what Gradio's reset button tells
    looks = [
        views.opened["flow"],
        c.density.input,
        c.source.input,
        c.points.input,
        c.points.release,
        c.grid.input,
        c.net.input,
        c.seed.change,
    ]
    for s in c.settings:
        sliders = s.listed("nfe", "sigma0", "gamma1", "gamma2", "gamma3")
        looks += [s.shown.input, *(e for part in sliders for e in (part.input, part.release))]
        for chooser in (s.path, s.sampler):
            read = chooser.input(guarded(s.read), [s.path, s.sampler], sliders[1:], **LIVE)
            read.success(**again)
    gr.on(looks, **again, trigger_mode="always_last")
    c.player.select(
        guarded(lab.likely), inputs_kwargs=asked, outputs=c.likelihood, show_progress_on=c.likelihood, **MODEL_QUEUE,
        **PRIVATE,
    )  # fmt: skip
    called = wire_calls(c, c.nfe_all, presets, [c.nfe_all.input, c.nfe_all.release])
    for event in (*called, training.trained, *training.painted):
        event.success(**again)
    c.dice.click(None, None, c.seed, js=DICE, **PRIVATE)
    wire_run(lab.run, c.sweep_buttons, lab.sweep, asked, c.listed("sweep_words", "sweep_nfe", "sweep_gamma"))

    def rerun(event: Dependency) -> None:
        own = [c.own, c.opened]
        event.success(guarded(lab.take_nets), own, own, **LIVE).success(**again)

    return rerun
