"""Workspace "Forecast": ensemble forecasts beside what really came, and free runs beside the real series."""

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
from analysis.figures.series import (
    MAP_NAMES,
    autocorrelation_figure,
    error_figure,
    fan_figure,
    forecast_sheet,
    joint_figure,
    map_figure,
    marginal_figure,
    plane_figure,
    singular,
    spectrum_figure,
)
from analysis.series.forecast import (
    MAX_FRAME_CALLS,
    MAX_MEMBERS,
    MIN_MEMBERS,
    ForecastRequest,
    ForecastResult,
    SeriesForecasts,
    SeriesInfo,
)
from analysis.series.loaded import MAX_HORIZON, METHOD, MODEL, NFE, strongest
from analysis.series.long_run import MAX_FRAMES, MIN_FRAMES, LongRunRequest, LongRunResult
from flow_core.samplers import METHODS, MOMENTUM, SAMPLER_NAMES
from ui.components.controls import Controls, chosen
from ui.components.html import details, facts, heading
from ui.components.layout import Frame, empty_stage, group, intro, noise_row, only
from ui.components.made import Made
from ui.components.plot import plot
from ui.components.save_bar import RecipeBinding, save_bar, save_value
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, run_buttons, wire_run
from ui.source import DICE, BuiltTab, Views, Workspace, usable_seed
from ui.tabs.flows.settings import described

SENTENCE = "Each member draws its next frame by a flow and is fed with it again; beside them, what really came."
FORMULA = """frame<sub>k+1</sub> = frame<sub>k</sub> + change, change drawn by the flow given the last frames
&nbsp;·&nbsp; CRPS = mean |x<sub>i</sub> − y| − ½ mean |x<sub>i</sub> − x<sub>j</sub>|, smaller is better; the fair one
leaves out i = j &nbsp;·&nbsp; the forecast to beat: the strongest over many starts of persistence, damped persistence
(a<sub>L</sub> × last frame), the same towards the level of the last frames, vector autoregression, nearest analogs"""
FREE_SENTENCE = "Are long runs realistic? 16 free runs, not steered by data, beside the real series."
ASK = f"""<p class="ks-line">Not run yet: 16 free runs, not steered by data ({METHOD}, {NFE} calls a frame, as in
the tables of results), compared with the training and the test part of the real series.</p>"""


def choices(models: Sequence[SeriesInfo]) -> list[tuple[str, str]]:
    """The worlds at hand for a chooser: title, the model's name where two share one, and what is a demonstration."""
    there = [m for m in models if not m.needs]
    titles = [m.title for m in there]

    def label(m: SeriesInfo) -> str:
        name = f" ({m.name})" if titles.count(m.title) > 1 else ""
        return m.title + name + (", a demonstration" if m.unbeaten else "")

    return [(label(m), m.name) for m in there]


def not_here(models: Sequence[SeriesInfo]) -> str:
    """The worlds that need files which are not here, and which; "" without any."""
    lines = "".join(f"<li><b>{html.escape(m.title)}</b>: {html.escape(m.needs)}</li>" for m in models if m.needs)
    if not lines:
        return ""
    count = lines.count("<li>")
    title = f"{count} more world{'s' if count > 1 else ''} with files that are not here"
    return f'<details class="ks-line"><summary>{title}</summary><ul>{lines}</ul></details>'


def time_span(dt: float, unit: str) -> str:
    """So many time units: 1 day, 0.035 time units."""
    return f"{dt:g} {singular(unit) if dt == 1 else unit}"


def unit_of_scores(result: ForecastResult) -> str:
    """What CRPS and RMSE are in, short."""
    return "rad" if result.period is not None else "sd"


def _long_unit(result: ForecastResult) -> str:
    return "radians" if result.period is not None else "standard deviations of the training part"


def problem(sentence: str, models: Sequence[SeriesInfo]) -> str:
    """A sentence in the place of a forecast, and the worlds that can be looked at."""
    others = [m.title for m in models if not m.needs]
    also = f" These worlds are at hand: {'; '.join(others)}." if others else ""
    return f'<p class="ks-verdict" role="status">{html.escape(sentence + also)}</p>'


def numbers(r: ForecastResult) -> str:
    """The scores and the cost of one forecast."""
    mine, unit = r.marks[MODEL], unit_of_scores(r)
    calls = "network calls a frame" + (f", and {r.derivatives} derivatives" if r.derivatives else "")
    first = facts(
        (f"{mine.crps_fair:.3g} {unit}", "fair CRPS"),
        (f"{r.marks[r.reference].crps_fair:.3g} {unit}", f"that of {r.reference}"),
    )
    more = facts(
        (f"{mine.rmse:.3g} {unit}", "RMSE of the mean"),
        (f"{mine.spread:.3g} {unit}", "spread"),
        (f"{100 * r.inside:.0f} %", "of the truth in the 5 to 95 % band"),
        (str(r.nfe), calls),
        (f"{r.seconds:.2f} s", f"for {len(r.members)} members of {len(r.truth)} frames"),
    )
    return first + details("More numbers", more)


def verdict(r: ForecastResult) -> str:
    """Whether the forecast beats the baselines here, and how that is over many starts."""
    mine, other = r.marks[MODEL], r.marks[r.reference]
    gap = mine.crps_fair - other.crps_fair
    share = f"{abs(gap) / other.crps_fair:.0%} {'less' if gap < 0 else 'more'}" if other.crps_fair > 0 else "more"
    measured = MODEL in r.usual and r.reference == strongest(r.usual)
    which = f"{r.reference}, the strongest baseline over many starts" if measured else r.reference
    words = f"Here the forecast {'beats' if gap < 0 else 'does not beat'} {which}: its fair CRPS is "
    words += f"{mine.crps_fair:.3g} against {other.crps_fair:.3g}, {share}"
    behind = mine.by_lead >= other.by_lead
    if gap < 0 and behind.any():
        words += f"; at {_leads(behind)} it does not"
    elif gap >= 0 and not behind.all():
        words += f"; at {_leads(~behind)} it does"
    words += ". "
    better = [k for k, m in r.marks.items() if k not in (MODEL, r.reference) and m.crps_fair <= mine.crps_fair]
    if better:
        words += f"It does not beat {' and '.join(better)} either. " if gap >= 0 else (
            f"It does not beat {' and '.join(better)}. ")  # fmt: skip
    if mine.spread < 0.5 * mine.rmse:
        words += "The members agree more than they are right: the spread is below half the error. "
    where = f"start {r.start + 1:,} of {r.starts:,} of the held-out part{_when(r)}"
    note = f"One forecast, from {where}; scores in {_long_unit(r)}, averaged over leads and variables. "
    if r.anomaly:
        note += "Anomalies are against the climatology of the training years. "
    if MODEL in r.usual and r.reference in r.usual:
        note += (
            f"Over many starts (the model’s card: usual horizon, 20 members, {METHOD}, {NFE} calls) the fair CRPS is "
            f"{r.usual[MODEL]:.3g}, of {', '.join(f'{k} {v:.3g}' for k, v in baselines_by_strength(r.usual))}. "
        )
    warning = ""
    if r.unbeaten:
        warning += (
            f"A demonstration: over many starts not shown to be better than {r.unbeaten}, whose fair CRPS is "
            f"{r.usual[r.unbeaten]:.3g} against {r.usual[MODEL]:.3g}. "
        )
    if r.in_sample:
        warning += "Mind that this protocol trains and tests on the same frames: it measures memory, not prediction. "
    if not r.same_data:
        warning += "The data here are not bit for bit those that the model was trained on. "
    more = "".join(f'<p class="ks-line">{html.escape(text.strip())}</p>' for text in (note, r.licence))
    mind = f'<p class="ks-line">{html.escape(warning.strip())}</p>' if warning else ""
    told = f'<p class="ks-verdict" role="status">{html.escape(words.strip())}</p>'
    return told + mind + details("What is compared", more)


def baselines_by_strength(usual: Mapping[str, float]) -> list[tuple[str, float]]:
    """Baselines with their fair CRPS over many starts, the strongest first."""
    return sorted(((k, v) for k, v in usual.items() if k != MODEL), key=lambda pair: pair[1])


def _leads(which: np.ndarray) -> str:
    count = int(which.sum())
    return f"{count} of {len(which)} leads" if count > 1 else f"lead {int(np.argmax(which)) + 1}"


def _when(r: ForecastResult) -> str:
    return f", {r.times[0]} to {r.times[-1]}" if np.issubdtype(r.times.dtype, np.datetime64) else ""


def long_words(r: LongRunResult) -> str:
    """How far free runs are from the real series, beside how far its own two parts are from each other."""
    mine, real = r.distances
    if r.period is not None:
        words = (
            f"The joint histogram of the free runs has a Jensen-Shannon distance of {mine[0]:.3f} to that of the test "
            f"part; the training part has {real[0]:.3f}"
        )
    else:
        parts = [f"{v} {a:.3f} ({b:.3f})" for v, a, b in zip(r.variables, mine, real, strict=True)]
        words = (
            "Distance W₁ of each marginal to the test part, in its standard deviations, and in brackets that of the "
            f"training part: {', '.join(parts)}"
        )
    near = "no farther from the test part than the training part is" if (mine <= real).all() else (
        "farther from the test part than the training part is" + (", in some variables" if (mine <= real).any() else "")
    )  # fmt: skip
    runs = f"{r.runs} runs of {r.frames:,} frames ({time_span(r.dt, r.time_unit)} each)"
    note = (
        f"{r.title}: {runs}, {METHOD}, {NFE} calls a frame. The shorter the runs, the farther even a perfect model "
        "would be."
    )
    return (
        f'<p class="ks-verdict" role="status">{html.escape(words)}. The free runs are {near}.</p>'
        f'<p class="ks-line">{html.escape(note)}</p>'
    )


START, START_MEMBERS, FREE_FRAMES, START_GAMMA = 0.3, 20, 500, 0.5
PAGE_FORECAST_SECONDS = 30.0  # that a forecast of the page may take


@dataclass(frozen=True)
class SeriesControls(Controls):
    """Components of the tab; maps as in `MAP_NAMES`.

    `known` is the name of the world that is shown, `planned` the horizon that an address asks for, 0 for the usual one.
    """

    model: gr.Dropdown
    start: gr.Slider
    horizon: gr.Slider
    members: gr.Slider
    method: gr.Dropdown
    nfe: gr.Slider
    gamma: gr.Slider
    seed: gr.Number
    dice: gr.Button
    numbers: gr.HTML
    words: gr.HTML
    save: gr.HTML
    fan: gr.HTML
    plane: gr.HTML
    error: gr.HTML
    lead: gr.Slider
    map_mean: gr.HTML
    map_truth: gr.HTML
    map_error: gr.HTML
    map_spread: gr.HTML
    frames: gr.Slider
    run_buttons: RunButtons
    run_words: gr.HTML
    run_marginals: gr.HTML
    run_spectrum: gr.HTML
    run_autocorrelation: gr.HTML
    known: gr.State
    planned: gr.State


SETTINGS = ("members", "nfe", "method", "gamma", "seed")
MAPS = tuple(f"map_{what}" for what in MAP_NAMES)
RUN_FIGURES = ("fan", "plane", "error", "lead", *MAPS)
FORECAST = ("numbers", "words", "save", *RUN_FIGURES)
FREE_RUN = ("run_marginals", "run_spectrum", "run_autocorrelation")
FILLED = ("model", "known", "start", "horizon", *SETTINGS, "run_words", *FREE_RUN)


class TimeSeries:
    """The handlers; each can be called without a page.

    Args:
        series: answers the questions.
        controls: of the tab, or their names.
        patience: seconds that free runs may take.
    """

    def __init__(self, series: SeriesForecasts, controls: SeriesControls, patience: float = RUN_SECONDS):
        self.series, self.controls, self.patience = series, controls, patience
        self.run = LongRun(patience)

    def another_world(self, model, known, start, planned=0, **settings) -> dict:
        """The name of the world shown, the horizon's slider, and a forecast of the usual horizon, as `forecast` has it.

        Or of the horizon that is `planned`. All at once: a second listener would be sent the old horizon, which the
        slider of the new world may refuse. Nothing is done for the world that is shown already.
        """
        if model == known or not usable_seed(settings["seed"]):
            return gr.skip()
        c, shown = self.controls, self.forecast(model, start, planned, lead=0, **settings)
        try:
            return {**shown, c.known: model, c.planned: 0, c.horizon: self.horizons(model, planned)}
        except UserError:  # the forecast says it
            return {**shown, c.known: "", c.planned: 0}

    def settle(self, _: Mapping[str, str], out: Mapping) -> dict:
        """A forecast anew after an address, with its horizon where the world goes so far; see `BuiltTab.settle`."""
        c = self.controls
        if not any(part in out for part in c.listed("model", "start", "horizon", *SETTINGS)):
            return {}
        planned = out.get(c.horizon, 0)
        try:
            horizon = self.horizons(chosen(c.model, out), int(planned))
        except UserError:
            planned, horizon = 0, gr.update(value=c.horizon.value)
        return {
            c.known: "", c.planned: int(planned), c.horizon: horizon, c.gamma: reads_gamma(chosen(c.method, out)),
            **self.forget_runs(),
        }  # fmt: skip

    def horizons(self, model: str, horizon: int = 0) -> dict:
        """The horizon's slider of a world, at this horizon or the usual one (0).

        Raises:
            UserError: no such world, or not so far.
        """
        at = self.series.open(model)
        whole(horizon, 0, at.bound, "The horizon", "horizon")
        info = f"frames of {time_span(at.world.dt, at.world.time_unit)} each, 1 to {at.bound}"
        return gr.update(maximum=at.bound, value=horizon or at.usual, info=info)

    def forecast(self, model, start, horizon, members, nfe, method, gamma, seed, lead) -> dict:
        """Numbers, verdict, what can be saved, fan, plane, error by lead, the map's lead and four maps."""
        if not usable_seed(seed):
            return gr.skip()
        c = self.controls
        try:
            question = ForecastRequest(model, start, horizon, members, nfe, method, (gamma,), seed)
            seconds = min(PAGE_FORECAST_SECONDS, self.patience)
            result, bound = self.series.forecast(question, seconds), self.series.open(model).bound
        except UserError as e:
            hidden = {figure: gr.update(visible=False) for figure in c.listed(*RUN_FIGURES)}
            return {c.numbers: "", c.words: problem(str(e), self.series.models), c.save: "", **hidden}
        fields = result.maps is not None
        last = len(result.times)
        lead = lead if type(lead) is int and 1 <= lead <= last else last
        maps = {
            getattr(c, f"map_{what}"): _shown(map_figure(result, what, lead) if fields else None) for what in MAP_NAMES
        }
        return {
            c.numbers: numbers(result),
            c.words: verdict(result) + self.made(question, result),
            c.save: self.saved(question, result),
            c.fan: _shown(fan_figure(result)),
            c.plane: _shown(None if result.plane is None else plane_figure(result)),
            c.error: _shown(error_figure(result, unit_of_scores(result))),
            c.lead: gr.update(visible=fields, maximum=bound, value=lead, info=f"frames after the start, 1 to {last}"),
            **maps,
        }

    def made(self, question: ForecastRequest, result: ForecastResult) -> str:
        """The line that says what a forecast is of, and of what it no longer is."""
        c, q = self.controls, question
        asked = {
            c.model: q.model, c.start: q.start, c.horizon: len(result.times), c.members: q.members, c.nfe: q.nfe,
            c.method: q.method, c.seed: q.seed,
        } | ({c.gamma: q.gammas[0]} if q.method in MOMENTUM else {})  # fmt: skip
        made = Made.by(f"{self.series.info(q.model).title}, noise seed {q.seed}", asked)
        return made.line(".ks-on-series:not(.ks-intro-box)")

    def saved(self, question: ForecastRequest, result: ForecastResult) -> str:
        """What can be saved of a forecast."""
        recipe = described(replace(question, horizon=len(result.times)), self.series)
        name = f"{result.model}-start{result.start}-seed{question.seed}"
        return save_value(forecast_sheet(result), recipe, name) if recipe else ""

    def free_runs(self, model, frames, report: Report | None = None) -> dict:
        """A sentence, marginals, spectrum or joint histogram, autocorrelation."""
        result, c = self.series.long_run(LongRunRequest(model, frames), report), self.controls
        made = Made.by(result.title, {c.model: model, c.frames: frames})
        middle = joint_figure(result) if result.joint is not None else spectrum_figure(result)
        return {
            c.run_words: long_words(result) + made.line(".ks-on-free:not(.ks-intro-box)"),
            c.run_marginals: _shown(marginal_figure(result)),
            c.run_spectrum: _shown(middle),
            c.run_autocorrelation: _shown(autocorrelation_figure(result)),
        }

    def forget_runs(self) -> dict:
        """No free runs of the world that was left."""
        return {self.controls.run_words: ASK, **{figure: _shown(None) for figure in self.controls.listed(*FREE_RUN)}}

    def fill(self, request: ForecastRequest) -> dict:
        """A recipe's forecast as values of the controls.

        Raises:
            UserError: what the page cannot show.
        """
        if len(request.weights) > 1:
            raise UserError(
                "This page has γ₁ alone, the recipe has more momentum weights: ask /recipe for its result.", "gammas"
            )
        c = self.controls
        return {
            # the world is shown already: the tab, when it is selected, shall not choose the usual horizon
            c.model: request.model, c.known: request.model, c.start: request.start,
            c.horizon: self.horizons(request.model, request.horizon), c.members: request.members,
            c.nfe: request.nfe, c.method: request.method,
            c.gamma: reads_gamma(request.method) | {"value": request.gammas[0]}, c.seed: request.seed,
            **self.forget_runs(),
        }  # fmt: skip


def _shown(figure) -> dict:
    """A plot with this figure, or hidden."""
    return gr.update(value=None if figure is None else figure.to_json(), visible=figure is not None)


def reads_gamma(method: str) -> dict:
    """Whether the slider of gamma1 is shown."""
    return gr.update(visible=method in MOMENTUM)


# ---------------------------------------------------------------------------------------------------------------------
# The page


def _question_controls(models: Sequence[SeriesInfo]) -> dict:
    """Which forecast."""
    parts: dict = {}
    there = choices(models)
    with group():
        parts["model"] = gr.Dropdown(
            there, value=there[0][1] if there else None, label="World", info="with the model that ships for it",
            elem_id="series-model", filterable=False,
        )  # fmt: skip
    with group("series"):
        parts["start"] = gr.Slider(
            0, 1, START, step=0.001, label="Start", info="where in the held-out part, 0 to 1", elem_id="series-start",
            buttons=["reset"],
        )  # fmt: skip
        parts["horizon"] = gr.Slider(
            1, MAX_HORIZON, 1, step=1, label="Horizon", info="frames", elem_id="series-horizon", buttons=[]
        )
        parts["members"] = gr.Slider(
            MIN_MEMBERS, MAX_MEMBERS, START_MEMBERS, step=1, label="Members", info="of the ensemble, 2 to 50",
            elem_id="series-members", buttons=["reset"],
        )  # fmt: skip
        parts["lead"] = gr.Slider(
            1, MAX_HORIZON, 1, step=1, label="Lead of the maps", info="frames after the start", visible=False,
            elem_id="series-lead", buttons=[],
        )  # fmt: skip
        parts |= noise_row("series")
        with gr.Accordion("How the flow is followed", open=False, elem_id="series-more"):
            parts["method"] = gr.Dropdown(
                [(SAMPLER_NAMES[m], m) for m in METHODS], value=METHOD, label="Method", info="of integration",
                elem_id="series-method", filterable=False,
            )  # fmt: skip
            parts["nfe"] = gr.Slider(
                1, MAX_FRAME_CALLS, NFE, step=1, label="NFE", info="network calls a frame, 1 to 50",
                elem_id="series-nfe", buttons=["reset"],
            )  # fmt: skip
            parts["gamma"] = gr.Slider(
                -100, 100, START_GAMMA, step=0.5, label="γ₁", info="momentum weight; without noise it vanishes at 0.5",
                elem_id="series-gamma", buttons=["reset"], visible=False,
            )  # fmt: skip
    with group():
        gr.HTML(not_here(models), elem_id="series-not-here")
    return parts


def _forecast_view(frame: Frame) -> dict:
    """The forecast, and maps where the world is a field."""
    parts: dict = {}
    with frame.stage, gr.Column(min_width=0, elem_classes=only("series")):
        gr.HTML(heading("Forecast", "black or white: what really came; dotted: the last frame that the model saw"))
        parts["fan"] = plot(None, elem_id="series-fan", label="Members, their bands, truth and baselines over time")
        with gr.Row(elem_classes="ks-maps"):
            for what, title in MAP_NAMES.items():
                with gr.Column(min_width=0):
                    parts[f"map_{what}"] = plot(None, visible=False, elem_id=f"series-map-{what}", label=title)
        with gr.Row(elem_classes="ks-pair", elem_id="series-below"):
            with gr.Column(min_width=0):
                parts["plane"] = plot(
                    None, visible=False, elem_id="series-plane", label="Two variables against each other"
                )
            with gr.Column(min_width=0):
                parts["error"] = plot(None, elem_id="series-error", label="Error by lead time")
    with frame.readings, group("series"):
        parts["words"] = gr.HTML(elem_id="series-words", elem_classes="ks-told")
        parts["numbers"] = gr.HTML(elem_id="series-numbers")
        parts["save"] = save_bar(elem_id="series-keep")
    return parts


def _free_run_view(frame: Frame) -> dict:
    """Long runs beside the real series."""
    parts: dict = {}
    with frame.controls:
        intro(FREE_SENTENCE, "", "free")
        with group("free"):
            parts["frames"] = gr.Slider(
                MIN_FRAMES, MAX_FRAMES, FREE_FRAMES, step=1, label="Frames", elem_id="series-frames", buttons=["reset"],
                info="of each of 16 runs, 64 to 2000; fewer where the season ends before",
            )  # fmt: skip
            parts["run_buttons"] = run_buttons("Run free", "series-run")
    with frame.readings, group("free"):
        parts["run_words"] = gr.HTML(ASK, elem_id="series-run-words", elem_classes="ks-told")
    with frame.stage, gr.Column(min_width=0, elem_classes=only("free")):
        empty_stage("16 runs that no data steers, beside the real series.", ("Run free", "series-run-start"))
        for of, label in (
            ("marginals", "Marginals"), ("spectrum", "Spectrum or joint histogram"),
            ("autocorrelation", "Autocorrelation"),
        ):  # fmt: skip
            parts[f"run_{of}"] = plot(None, visible=False, elem_id=f"series-run-{of}", label=label)
    return parts


def build_time_series(work: Workspace, views: Views) -> BuiltTab:
    """Lay the tab out and wire it; nothing is computed, and no data is opened, before it is looked at."""
    series, frame = work.studio.series, views.frame
    with frame.controls:
        intro(SENTENCE, FORMULA, "series")
        parts = _question_controls(series.models)
    c = SeriesControls(
        **parts, **_forecast_view(frame), **_free_run_view(frame), known=gr.State(""), planned=gr.State(0)
    )
    tab = TimeSeries(series, c, work.bounded(RUN_SECONDS))
    rerun = _wire(tab, views.opened["series"])
    binding = RecipeBinding(("forecast",), "series", c.listed(*FILLED), tab.fill, rerun)
    return BuiltTab(c, binding, tab.settle, c.listed("known", "planned", "run_words", *FREE_RUN))


def _wire(tab: TimeSeries, opened: Callable) -> Callable[[Dependency], None]:
    """Connect the handlers; gives what forecasts after an event that set the controls."""
    c = tab.controls
    live = {"show_progress": "minimal", "show_progress_on": c.words, **MODEL_QUEUE, **PRIVATE}
    light = {"queue": False, "show_progress": "hidden", **PRIVATE}
    gr.on(
        [opened, c.model.input], guarded(tab.another_world),
        inputs_kwargs=c.named("model", "known", "start", "planned", *SETTINGS),
        outputs=c.listed("known", "planned", "horizon", *FORECAST), **live, trigger_mode="always_last",
    )  # fmt: skip
    c.method.input(reads_gamma, c.method, c.gamma, **light)
    moved = [s.release for s in c.listed("start", "horizon", "members", "nfe", "gamma", "lead")]
    again = {
        "fn": guarded(tab.forecast), "inputs_kwargs": c.named("model", "start", "horizon", *SETTINGS, "lead"),
        "outputs": c.listed(*FORECAST), **live,
    }  # fmt: skip
    gr.on([*moved, c.method.input, c.seed.change], **again, trigger_mode="always_last")
    c.dice.click(None, None, c.seed, js=DICE, **PRIVATE)
    c.model.input(tab.forget_runs, None, c.listed("run_words", *FREE_RUN), **light)
    wire_run(
        tab.run, c.run_buttons, tab.free_runs, c.named("model", "frames"), c.listed("run_words", *FREE_RUN)
    )  # fmt: skip

    def rerun(event: Dependency) -> None:
        event.success(**again)

    return rerun
