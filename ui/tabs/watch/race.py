"""View "Race" of "Watch": the model, its teacher and a flow, from one noise, at equal numbers of network calls."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gradio as gr

from analysis.core.images import data_uri
from analysis.core.progress import Report
from analysis.flow.images import IMAGE_PATH_NAMES, ImageFlows
from analysis.race import RACE_CALLS, RaceRequest, Runner, flow_paths, race
from analysis.workbench.library import ModelLibrary
from ui.components.controls import Controls, chosen
from ui.components.html import details
from ui.components.layout import Frame, group, intro
from ui.server.errors import guarded
from ui.server.queue import PRIVATE
from ui.server.runs import LONG_QUEUE, RUN_SECONDS, deadline
from ui.source import BuiltTab, Views, Workspace, fitting_label, made_with, usable_seed

SENTENCE = "One noise, three ways to a picture, at equal numbers of network calls."
FORMULA = """The model needs one call and has no use for more. The teacher: Euler's method, a noise level a call; at
35 calls Heun's, on 18 levels. The flow: Euler's steps; a mean flow takes them at once"""
WAITING = '<p class="ks-line">The race is on: some seconds.</p>'


def _cell(runner: Runner, calls: int, first: bool) -> str:
    if calls in runner.calls:
        at = runner.calls.index(calls)
        picture, seconds = runner.pictures[at], runner.seconds[at]
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
        f"{most} calls of the {r.title.lower()} {1000 * r.seconds[r.calls.index(most)]:.0f} ms"
        for r in runners
        if most in r.calls
    ]
    more = "".join(f", {words}" for words in told)
    return f'<p class="ks-verdict">The model\'s one call took {1000 * runners[0].seconds[0]:.0f} ms{more}.</p>'


@dataclass(frozen=True)
class RaceControls(Controls):
    """Components of the view; `known` is the model whose flows are listed."""

    path: gr.Dropdown
    again: gr.Button
    race: gr.HTML
    words: gr.HTML
    known: gr.State


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

    def of_model(self, model: str) -> tuple[str, ...]:
        """The flows of a model's pictures, first the one to begin with: trained ones, then the teacher read as one."""
        return flow_paths(self.library.get(model), self.images)

    def chosen(self, model: str, path: str | None, known: str | None) -> str | None:
        """The flow that runs: the visitor's choice where this model has it, else the one to begin with.

        Args:
            model: whose pictures.
            path: what the list says.
            known: the model that it says it of; what that one began with was nobody's choice.
        """
        found = self.of_model(model)
        begun = known in self.library.names() and model != known and path == next(iter(self.of_model(known)), None)
        return path if path in found and not begun else next(iter(found), None)

    def paths(self, model: str, path: str | None = None) -> dict:
        """The list of flows; where there is none, it is grey and says so."""
        found = self.of_model(model)
        value = path if path in found else next(iter(found), None)
        info = "trained on the same pictures" if found else "no flow of these pictures is here"
        choices = [(IMAGE_PATH_NAMES[p], p) for p in found]
        listed = gr.update(choices=choices, value=value, interactive=bool(found), info=info)
        return {self.controls.path: listed, self.controls.known: model}

    def settle(self, model: str, asked: Mapping[str, str]) -> dict:
        """The flow of an address, whose choices are those of its model; see `BuiltTab.settle`."""
        name = asked.get(self.controls.path.elem_id)
        return {} if name is None else self.paths(model, {n: p for p, n in IMAGE_PATH_NAMES.items()}.get(name))

    def race(self, model, seed, label, path, report: Report | None = None, known=None) -> dict:
        """The pictures of all, and how long they took."""
        if not usable_seed(seed):
            return gr.skip()
        bench, c, path = self.library.get(model), self.controls, self.chosen(model, path, known)
        request = RaceRequest(seed, fitting_label(bench, label), path or "")
        runners = race(bench, self.images, request, deadline(self.patience, report)).runners
        made = made_with(bench, seed, label)
        shown = {c.race: race_html(runners) + made.line(), c.words: made.within(race_words(runners))}
        return {**shown, **self.paths(model, path)}


def _lay_out(frame: Frame, first: dict, model: str) -> RaceControls:
    with frame.controls:
        intro(SENTENCE, FORMULA)
        with group():
            listed = {k: v for k, v in first["path"].items() if k != "__type__"}
            path = gr.Dropdown(label="Flow", elem_id="race-path", filterable=False, **listed)
            again = gr.Button("Race again", size="sm", elem_id="race-again")
    with frame.stage:
        race = gr.HTML(WAITING, elem_id="race", elem_classes="ks-result")
    with frame.readings, group():
        words = gr.HTML(elem_id="race-words", elem_classes="ks-result")
        gr.HTML(details("What is counted", '<p class="ks-line">Every evaluation of a network on one picture. '
                "Times are of this machine, one picture at a time.</p>"))  # fmt: skip
    return RaceControls(path, again, race, words, gr.State(model))


def build_race(work: Workspace, views: Views) -> BuiltTab:
    """Lay the view out and wire it; nothing is computed before it is opened."""
    source, images = work.source, work.studio.images
    start = source.start[0]
    first = RaceTab(work.library, images, RaceControls.names()).paths(start)
    c = _lay_out(views.frame, first, start)
    tab = RaceTab(work.library, images, c, work.bounded(RUN_SECONDS))
    gr.on(
        [views.opened["race"], c.again.click, c.path.input], guarded(tab.race),
        inputs_kwargs={**source.named, **c.named("path", "known")}, outputs=c.listed("race", "words", "path", "known"),
        trigger_mode="always_last", show_progress_on=c.race, **LONG_QUEUE, **PRIVATE,
    )  # fmt: skip
    return BuiltTab(
        c, settle=lambda asked, out: tab.settle(chosen(source.model, out), asked), settled=[c.path, c.known]
    )
