"""Workspace "Watch": a picture in one call, the way there beside the teacher's, the pipeline, and more seeds."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr
import numpy as np
from gradio.events import Dependency

from analysis.core.images import data_uris
from analysis.core.progress import Report
from analysis.recipes import recipe as recipes
from analysis.workbench.images import (
    MAX_GRID_STEPS,
    MIN_GRID_STEPS,
    GenerateRequest,
    TrajectoryRequest,
    TrajectoryResult,
)
from analysis.workbench.library import ModelLibrary
from analysis.workbench.workbench import Workbench
from foundation.randomness import MAX_SEED
from ui.components.controls import Controls
from ui.components.history import CLICKS
from ui.components.html import details, facts, figure_html, heading, model_card, pipeline_html, strip
from ui.components.layout import group, intro
from ui.components.players import player, player_value
from ui.components.plot import points
from ui.components.save_bar import RecipeBinding, save_bar, save_value
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import PROGRESS, RUN_SECONDS, Latest, Superseded, deadline
from ui.server.startup import DEFAULT_STEPS
from ui.source import BuiltTab, Views, Workspace, fitting_label, made_with, place_line_and_lock, usable_seed
from ui.theme import script

SHEET = 12
SENTENCE = "Noise to picture in one step; see and change every moment between."
FORMULA = """x(t) = D( e<sup>(τ(t) − 1) A</sup> E(x<sub>T</sub>) ) &nbsp;·&nbsp; E encoder, D decoder, A one 2×2 block
[α, β; −β, α] a mode &nbsp;·&nbsp; τ = 1 at noise (σ = 80), τ = 0 at the picture (σ = 0.002)"""
# the view, what it does there at once, title, words, drawing
CARDS = (
    ("restore", "restore-at-once", "Paint a hole", "and let the model fill it",
     '<rect x="5" y="5" width="30" height="30" rx="3"/><rect class="ks-fill" x="13" y="13" width="14" height="14"/>'),
    ("edit", "", "Mix two pictures", "by level and by band",
     '<circle cx="15" cy="20" r="10"/><circle class="ks-see-through" cx="25" cy="20" r="10"/>'),
    ("train", "", "Draw a shape and train", "a flow learns it in seconds",
     '<path d="M5 30 Q 12 5 20 20 T 35 10" fill="none"/><circle class="ks-fill" cx="35" cy="10" r="3"/>'),
)  # fmt: skip


def cards_html() -> str:
    """Three ways on; each opens its view and shows what it does."""
    return f'<div class="ks-cards">{"".join(map(_card, CARDS))}</div>'


def _card(card: tuple[str, str, str, str, str]) -> str:
    view, press, title, words, drawing = card
    pressed = f' data-press="{press}"' if press else ""
    return (
        f'<button type="button" class="ks-door" data-open="{view}"{pressed}>'
        f'<svg viewBox="0 0 40 40" aria-hidden="true">{drawing}</svg><span><b>{title}</b> {words}</span></button>'
    )


@dataclass(frozen=True)
class GenerateControls(Controls):
    """Components of the tab; `first` is the first seed of the sheet, `known` the model and class that are shown."""

    picture: gr.HTML
    cost: gr.HTML
    save_picture: gr.HTML
    sheet: gr.HTML
    sheet_made: gr.HTML
    next_sheet: gr.Button
    player: gr.HTML
    path_cost: gr.HTML
    save_path: gr.HTML
    steps: gr.Slider
    about: gr.HTML
    pipeline: gr.HTML
    first: gr.State
    known: gr.State


def comparison(result: TrajectoryResult) -> str:
    """What the page shows, in one sentence of its own numbers; none without a teacher."""
    if not result.nfe_teacher or result.mse is None:
        return ""
    lpips = "" if result.lpips is None else f"LPIPS {result.lpips[-1]:.3f}, "
    return (
        f'<p class="ks-verdict">One network call made this picture; from the same noise the teacher needs '
        f"{result.nfe_teacher}. Between it and the teacher's last denoised state: {lpips}mean squared error "
        f"{result.mse[-1]:.3f}.</p>"
    )


def sheet_html(pictures: Sequence[np.ndarray], seeds: Sequence[int]) -> str:
    """Small pictures as buttons; a click triggers `select` with the seed, to be read with `ui.components.plot.points`.

    Args:
        pictures: uint8 (side, side, 3) or (side, side).
        seeds: of each.
    """
    buttons = "".join(
        f'<button type="button" data-index="{seed}" aria-label="Seed {seed}">'
        f'<img src="{address}" alt=""><span>{seed}</span></button>'
        for address, seed in zip(data_uris(pictures), seeds, strict=True)
    )
    return f'<div class="ks-sheet" role="group" aria-label="More seeds">{buttons}</div>'


class GenerateTab:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the tab, or their names.
    """

    def __init__(self, library: ModelLibrary, controls: GenerateControls):
        self.library, self.controls = library, controls
        self.latest = Latest()
        self._warm: weakref.WeakSet[Workbench] = weakref.WeakSet()

    def _warmed(self, model: str, label: int) -> Workbench:
        """The model, after its first call: what is set up then is no part of a picture's time."""
        bench = self.library.get(model)
        if bench not in self._warm:
            bench.generate(GenerateRequest((0,), label))
            self._warm.add(bench)
        return bench

    def picture(self, model: str, seed: int | None, label: int) -> dict:
        """Big picture, its cost, and what can be saved of it."""
        if seed is None:  # the box was cleared to type another number
            return gr.skip()
        request = GenerateRequest((seed,), fitting_label(self.library.get(model), label))
        bench = self._warmed(model, request.label)
        result = bench.generate(request)
        made = made_with(self.library.get(model), seed, label)
        calls = "network call" if result.nfe == 1 else "network calls"
        recipe = recipes.describe(request, bench)
        c = self.controls
        return {
            c.picture: made.within(
                figure_html(
                    result.pictures[0],
                    f"seed {seed}",
                    f"{made.model}, {made.label}",
                    f"{bench.name}-seed{seed}.png",
                    css="ks-hero",
                )
            ),
            c.cost: facts((str(result.nfe), calls), (f"{1000 * result.seconds:.0f} ms", "on this machine")),
            c.save_picture: save_value(result.pictures[0], recipe, f"{bench.name}-seed{seed}"),
        }

    def fresh(self, model: str, seed: int | None, label: int, first: int, known: tuple | None) -> dict:
        """What `picture` gives; of another model or class than `known` the sheet, the card and the pipeline, too."""
        shown, label = self.picture(model, seed, label), fitting_label(self.library.get(model), label)
        if shown == gr.skip() or known == (model, label):
            return shown
        more = {} if known and known[0] == model else self.about(model)
        return {**shown, **more, **self.sheet(model, label, first), self.controls.known: (model, label)}

    def sheet(self, model: str, label: int, first: int) -> dict:
        """SHEET pictures with their seeds, from seed `first` on."""
        seeds = tuple(range(int(first), int(first) + SHEET))
        label = fitting_label(self.library.get(model), label)
        result = self.library.get(model).generate(GenerateRequest(seeds, label))
        made = made_with(self.library.get(model), None, label, f"seeds {seeds[0]} to {seeds[-1]}")
        return {self.controls.sheet: sheet_html(result.pictures, seeds), self.controls.sheet_made: made.line()}

    def next_sheet(self, model: str, label: int, first: int) -> dict:
        """The next SHEET seeds."""
        first = int(first) + SHEET
        first = 0 if first + SHEET > MAX_SEED else first
        return {**self.sheet(model, label, first), self.controls.first: first}

    def trajectory(self, model: str, seed: int, label: int, steps: int, progress: Report | None = None) -> dict:
        """The player, what it cost, and what can be saved."""
        bench = self.library.get(model)
        request = TrajectoryRequest(seed, fitting_label(bench, label), steps)
        result = bench.trajectory(request, progress)
        levels, made = len(result.sigma), made_with(bench, seed, label)
        costs = [("1", f"encoding and {levels} decodings: the Koopman path")]
        if result.nfe_teacher:
            costs.append((str(result.nfe_teacher), f"network calls: the teacher's path, Heun on {levels} levels"))
        recipe = recipes.describe(request, bench)
        c = self.controls
        return {
            c.player: player_value(result, made),
            c.path_cost: made.within(comparison(result) + details("What each path costs", facts(*costs))),
            c.save_path: save_value(strip(result.koopman), recipe, f"{bench.name}-seed{seed}-trajectory"),
        }

    def watched_trajectory(
        self, request: gr.Request, progress=PROGRESS, *, model: str, seed: int | None, label: int, steps: int
    ) -> dict:
        """`trajectory`, given up as soon as the visitor asks for another one."""
        key = (model, seed, label, steps)

        def report(share: float, what: str) -> None:
            self.latest.check(request.session_hash, key)
            progress(share, desc=what)

        watch = deadline(RUN_SECONDS, report)
        try:
            self.latest.check(request.session_hash, key)
            if not usable_seed(seed):  # `picture` says so
                return gr.skip()
            return self.trajectory(model, seed, label, steps, watch)
        except Superseded:
            return gr.skip()

    def wish(self, request: gr.Request, *, model: str, seed: int | None, label: int, steps: int) -> None:
        """Note what the visitor wants, ahead of the queue."""
        self.latest.wish(request.session_hash, (model, seed, label, steps))

    def choose(self, locked: bool, event: gr.EventData):
        """A click in the contact sheet: its seed."""
        chosen = points(event, MAX_SEED + 1)
        if len(chosen) != 1:
            return gr.skip()
        if locked:
            gr.Info("The seed is kept: untick “keep this seed” to choose another.")
            return gr.skip()
        return chosen[0]

    def about(self, model: str) -> dict:
        """The model's card, and its pipeline."""
        c = self.controls
        entries = self.library.get(model).spectrum().entries
        return {c.about: model_card(self.library.info(model)), c.pipeline: pipeline_html(entries)}

    def fill(self, request: GenerateRequest | TrajectoryRequest) -> dict:
        """A recipe's steps."""
        return {self.controls.steps: request.steps} if isinstance(request, TrajectoryRequest) else {}


def _lay_out(first: dict, work: Workspace, views: Views) -> GenerateControls:
    """The components with their first values, by name."""
    frame = views.frame
    with frame.stage:
        film = player(first["player"], elem_id="player", elem_classes="ks-result")
        path_cost = gr.HTML(first["path_cost"], elem_id="trajectory-facts", elem_classes="ks-result")
        gr.HTML(cards_html(), elem_id="doors")
    with frame.controls:
        intro(SENTENCE, FORMULA)
        with group(css="ks-group ks-result"):
            gr.HTML(heading("More seeds", "click one to look at it"))
            sheet = gr.HTML(first["sheet"], js_on_load=CLICKS, elem_id="sheet")
            sheet_made = gr.HTML(first["sheet_made"], elem_id="sheet-made")
            next_sheet = gr.Button("Next 12 seeds", size="sm", elem_id="next-sheet")
            place_line_and_lock(work.source)
        with group():
            steps = gr.Slider(
                MIN_GRID_STEPS, MAX_GRID_STEPS, DEFAULT_STEPS, step=1, label="Teacher's steps", elem_id="steps",
                info="noise levels of the Karras grid; the teacher calls its network about twice a level",
                buttons=["reset"],
            )  # fmt: skip
    with frame.readings:
        with group(css="ks-group ks-result"):
            picture = gr.HTML(first["picture"], elem_id="hero")
            cost = gr.HTML(first["cost"], elem_id="hero-facts")
        with group():
            gr.HTML(heading("How it works", "each box opens"))
            pipeline = gr.HTML(first["pipeline"], js_on_load=script("pipeline.js"), elem_id="pipeline")
        with group():
            gr.HTML(heading("Keep", "this picture"))
            save_picture = save_bar(first["save_picture"], elem_id="keep-picture")
            gr.HTML(heading("Keep", "the way from noise to it"))
            save_path = save_bar(first["save_path"], elem_id="keep-trajectory")
        with gr.Accordion("About this model", open=False, elem_id="about"):
            about = gr.HTML(first["about"])
    return GenerateControls(
        picture,
        cost,
        save_picture,
        sheet,
        sheet_made,
        next_sheet,
        film,
        path_cost,
        save_path,
        steps,
        about,
        pipeline,
        gr.State(0),
        gr.State((work.source.start[0], work.source.start[2])),
    )


def build_generate(work: Workspace, views: Views) -> BuiltTab:
    """Lay the tab out and wire it; `work.pipeline` is set."""
    library, source = work.library, work.source
    model, seed, label = source.start
    early = GenerateTab(library, GenerateControls.names())
    first = {
        **early.sheet(model, label, 0), **early.picture(model, seed, label),
        **early.trajectory(model, seed, label, DEFAULT_STEPS), **early.about(model),
    }  # fmt: skip
    c = _lay_out(first, work, views)
    tab, work.pipeline = GenerateTab(library, c), c.pipeline

    quiet = {**MODEL_QUEUE, **PRIVATE, "show_progress": "hidden"}
    # Gradio 6.31 answers a deferred "always_last" listener by firing its whole event again, so two of them on one event
    # keep each other going for ever: each event has one at most, and the rest is attached to its success.
    opened, wanted = views.opened["watch"], {**source.named, "steps": c.steps}
    ahead = {"queue": False, "trigger_mode": "multiple", "show_progress": "hidden", **PRIVATE}
    for event in (opened, c.steps.release):
        event(guarded(tab.wish), inputs_kwargs=wanted, **ahead)
    fresh = {
        "fn": guarded(tab.fresh), "inputs_kwargs": {**source.named, **c.named("first", "known")},
        "outputs": c.listed(
            "picture", "cost", "save_picture", "sheet", "sheet_made", "about", "pipeline", "known"
        ),
        **quiet,
    }  # fmt: skip
    shown = opened(**fresh, trigger_mode="always_last")
    c.next_sheet.click(
        guarded(tab.next_sheet), [source.model, source.label, c.first], [c.sheet, c.sheet_made, c.first], **quiet
    )
    c.sheet.select(guarded(tab.choose), source.locked, source.seed, show_progress="hidden", **PRIVATE)

    followed = {
        "fn": guarded(tab.watched_trajectory), "inputs_kwargs": wanted, "trigger_mode": "always_last",
        "outputs": c.listed("player", "path_cost", "save_path"), "show_progress_on": c.player, **MODEL_QUEUE, **PRIVATE,
    }  # fmt: skip
    shown.success(**followed)
    c.steps.release(**followed)

    def rerun(filled: Dependency) -> None:
        filled.success(guarded(tab.wish), inputs_kwargs=wanted, **ahead)
        filled.success(**fresh).success(**followed)

    return BuiltTab(c, RecipeBinding(("generate", "trajectory"), "watch", [c.steps], tab.fill, rerun))
