"""View "Race" of "Watch": the model, its teacher and a flow, from one noise, at equal numbers of network calls."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr
import numpy as np

from analysis.core.errors import UserError
from analysis.core.progress import Report, part
from analysis.flow.images import IMAGE_PATH_NAMES, FlowPicturesRequest, ImageFlows
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.walks import FewCallsRequest
from analysis.workbench.workbench import Workbench
from ui.components.controls import Controls
from ui.components.html import data_uri
from ui.components.layout import Frame, details, group, intro
from ui.server.errors import guarded
from ui.server.queue import PRIVATE
from ui.server.runs import LONG_QUEUE, RUN_SECONDS, deadline
from ui.source import BuiltTab, Views, Workspace, fitting_label, usable_seed

SENTENCE = "One noise, three ways to a picture, at equal numbers of network calls."
FORMULA = """The model needs one call and has no use for more. The teacher: Euler's method, a noise level a call; at
35 calls Heun's, on 18 levels. The flow: Euler's steps; a mean flow takes them at once"""
RACE_CALLS = (1, 5, 35)
HEUN_FROM = 9  # calls; of fewer Heun's method makes too few steps
REPEATS = 3  # of the one call, of which the fastest is told
WAITING = '<p class="ks-line">The race is on: some seconds.</p>'


@dataclass(frozen=True)
class Runner:
    """A row of the race.

    Attributes:
        title, note: who it is.
        cells: by the number of calls the picture and its seconds.
        absent: why it does not run, "" where it does.
    """

    title: str
    note: str
    cells: dict[int, tuple[np.ndarray, float]]
    absent: str = ""


def _cell(runner: Runner, calls: int, first: bool) -> str:
    if calls in runner.cells:
        picture, seconds = runner.cells[calls]
        name = f"{runner.title} at {calls} {'call' if calls == 1 else 'calls'}"
        return (
            f'<td><img src="{data_uri(picture)}" alt="{html.escape(name)}"><small>{1000 * seconds:.0f} ms</small></td>'
        )
    if runner.absent:
        return f'<td class="ks-wait" colspan="{len(RACE_CALLS)}">{html.escape(runner.absent)}</td>' if first else ""
    return '<td class="ks-wait">done after one call</td>'


def race_html(runners: Sequence[Runner]) -> str:
    """The race as a table: a row a runner, a column a number of calls."""
    head = "".join(f'<th scope="col">{n} {"call" if n == 1 else "calls"}</th>' for n in RACE_CALLS)
    rows = "".join(
        f'<tr><th scope="row"><b>{html.escape(r.title)}</b><span>{html.escape(r.note)}</span></th>'
        f"{''.join(_cell(r, n, k == 0) for k, n in enumerate(RACE_CALLS))}</tr>"
        for r in runners
    )
    return f'<table class="ks-race"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>'


def race_words(runners: Sequence[Runner]) -> str:
    """What the clock says, in a sentence."""
    most = RACE_CALLS[-1]
    told = [
        f"{most} calls of the {r.title.lower()} {1000 * r.cells[most][1]:.0f} ms" for r in runners if most in r.cells
    ]
    more = "".join(f", {words}" for words in told)
    return f'<p class="ks-verdict">The model\'s one call took {1000 * runners[0].cells[1][1]:.0f} ms{more}.</p>'


@dataclass(frozen=True)
class RaceControls(Controls):
    """Components of the view."""

    path: gr.Dropdown
    again: gr.Button
    race: gr.HTML
    words: gr.HTML


class RaceTab:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        images: the flows.
        controls: of the view, or their names.
        patience: seconds that a race may take.
    """

    def __init__(
        self, library: ModelLibrary, images: ImageFlows, controls: RaceControls, patience: float = RUN_SECONDS
    ):
        self.library, self.images, self.controls, self.patience = library, images, controls, patience

    def paths(self, model: str, path: str | None = None) -> dict:
        """The flows of the model's pictures; where there is none, the list is grey and says so."""
        found = self._paths(self.library.get(model))
        value = path if path in found else next(iter(found), None)
        info = "trained on the same pictures" if found else "no flow of these pictures is here"
        choices = [(IMAGE_PATH_NAMES[p], p) for p in found]
        return {self.controls.path: gr.update(choices=choices, value=value, interactive=bool(found), info=info)}

    def _paths(self, bench: Workbench) -> tuple[str, ...]:
        data = bench.model.card.get("data")
        name = data.get("name") if isinstance(data, dict) else None
        return next((k.paths for k in self.images.kinds if k.data == name), ())

    def race(self, model, seed, label, path, report: Report | None = None) -> dict:
        """The pictures of all, and how long they took."""
        if not usable_seed(seed):
            return gr.skip()
        bench, c, label = self.library.get(model), self.controls, fitting_label(self.library, model, label)
        watch = deadline(self.patience, report)
        runners = [
            self._model(bench, seed, label), self._teacher(bench, seed, label, part(watch, 0, 0.6)),
            self._flow(bench, seed, label, path, part(watch, 0.6, 1)),
        ]  # fmt: skip
        paths = self.paths(model, path)
        return {c.race: race_html(runners), c.words: race_words(runners), **paths}

    def _model(self, bench: Workbench, seed: int, label: int) -> Runner:
        results = [bench.generate(GenerateRequest((seed,), label)) for _ in range(REPEATS)]
        return Runner("This model", bench.name, {1: (results[0].pictures[0], min(r.seconds for r in results))})

    def _teacher(self, bench: Workbench, seed: int, label: int, report) -> Runner:
        if bench.teacher is None:
            return Runner("Teacher", "", {}, "This model has no teacher here.")
        few, many = tuple(n for n in RACE_CALLS if n < HEUN_FROM), tuple(n for n in RACE_CALLS if n >= HEUN_FROM)
        cells = {}
        for k, (calls, method) in enumerate(((few, "euler"), (many, "heun"))):
            r = bench.few_calls(FewCallsRequest(seed, label, calls, method), part(report, k / 2, (k + 1) / 2))
            cells |= {int(n): (p, float(s)) for n, p, s in zip(r.calls, r.pictures, r.seconds, strict=True)}
        return Runner("Teacher", f"Euler, from {HEUN_FROM} calls on Heun", cells)

    def _flow(self, bench: Workbench, seed: int, label: int, path: str | None, report) -> Runner:
        found = self._paths(bench)
        path = path if path in found else next(iter(found), None)
        if path is None:
            return Runner("Flow", "", {}, "No flow of these pictures is here: train one with flow_core.train images.")
        cells, data = {}, bench.model.card["data"]["name"]
        classes = self.images.kind(data).classes
        for k, n in enumerate(RACE_CALLS):
            request = FlowPicturesRequest(
                data=data, path=path, sampler="euler", nfe=n, seeds=(seed,), label=label if classes else -1
            )
            try:
                if k == 0:  # what is set up at first is no part of a picture's time
                    self.images.flow_pictures(request, part(report, 0, 0))
                result = self.images.flow_pictures(
                    request, part(report, k / len(RACE_CALLS), (k + 1) / len(RACE_CALLS))
                )
            except UserError as e:
                return Runner("Flow", IMAGE_PATH_NAMES[path], {}, str(e))
            cells[n] = (result.pictures[0], result.seconds)
        return Runner("Flow", f"{IMAGE_PATH_NAMES[path]}, Euler", cells)


def _lay_out(frame: Frame) -> RaceControls:
    with frame.controls:
        intro(SENTENCE, FORMULA)
        with group():
            path = gr.Dropdown([], label="Flow", elem_id="race-path", filterable=False, info="of the same pictures")
            again = gr.Button("Race again", size="sm", elem_id="race-again")
    with frame.stage:
        race = gr.HTML(WAITING, elem_id="race")
    with frame.readings, group():
        words = gr.HTML(elem_id="race-words")
        gr.HTML(details("What is counted", '<p class="ks-line">Every evaluation of a network on one picture. '
                "Times are of this machine, one picture at a time.</p>"))  # fmt: skip
    return RaceControls(path, again, race, words)


def build_race(work: Workspace, views: Views) -> BuiltTab:
    """Lay the view out and wire it; nothing is computed before it is opened."""
    c, source = _lay_out(views.frame), work.source
    tab = RaceTab(work.library, work.studio.images, c, work.bounded(RUN_SECONDS))
    gr.on(
        [views.opened["race"], c.again.click, c.path.input], guarded(tab.race),
        inputs_kwargs={**source.named, **c.named("path")}, outputs=c.listed("race", "words", "path"),
        trigger_mode="always_last", show_progress_on=c.race, **LONG_QUEUE, **PRIVATE,
    )  # fmt: skip
    return BuiltTab(c)
