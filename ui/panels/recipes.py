"""Panel "Open a recipe": a text or a file that describes a result sets the page so that it makes that result again."""

from __future__ import annotations

import functools
import html
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.core.fields import Request
from analysis.guide.examples import EXAMPLES, recipe_of
from analysis.recipes import recipe as recipes
from analysis.recipes.replay import check_flows, find_model
from analysis.workbench.images import GenerateRequest
from ui.components.controls import Controls
from ui.components.save_bar import RecipeBinding, visit_strip, visited_recipe
from ui.panels.examples import words_of
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import Page, Workspace
from ui.workspaces import opening

KIND_WORDS = {
    "generate": "a generated picture",
    "trajectory": "a trajectory",
    "mask_bands": "bands kept or removed",
    "edit": "an edit",
    "inpaint": "a filled hole",
    "colorize": "colours made up",
    "flow_2d": "flows in the plane",
    "flow_images": "flows of pictures",
    "forecast": "a forecast",
}
INFO = "JSON that “Copy recipe” or “Save recipe” gave, or a PNG that “Save PNG” wrote"
PNG = b"\x89PNG"


@dataclass(frozen=True)
class RecipeControls(Controls):
    """Components of the panel, and of what else opens a recipe.

    `pending` is at which count of moves what is to be filled, and the view that then opens ("" for the one that the
    question's kind belongs to); `due` this count alone, `counts` one count a binding that grows when the result of its
    view is to be made.
    """

    text: gr.Textbox
    start: gr.Button
    file: gr.UploadButton
    status: gr.HTML
    visit: gr.HTML
    visit_status: gr.HTML
    example_words: gr.HTML
    pending: gr.State
    due: gr.Number
    counts: tuple[gr.State, ...]


class RecipePanel:
    """The handlers; each can be called without a page.

    Args:
        work: the models, who answers questions about flows, and the bar.
        opener: opens the right view.
        bindings: how each tab takes up its kinds.
        controls: of the panel, or their names.
    """

    def __init__(self, work: Workspace, opener: gr.HTML, bindings: Sequence[RecipeBinding], controls: RecipeControls):
        self.work, self.opener, self.bindings, self.controls = work, opener, tuple(bindings), controls
        self._counts = itertools.count(1)

    def open_text(self, text: str | None, model: str, moves: int) -> dict:
        """A pasted recipe; see `open`."""
        if not (text or "").strip():
            raise UserError("Paste a recipe first, or choose a file.", "recipe")
        return self.open(recipes.from_json(text), model, moves, self.controls.status)

    def open_file(self, path: str | None, model: str, moves: int) -> dict:
        """An uploaded JSON or PNG file, which Gradio has put into its own folder; see `open`."""
        if not path:
            raise UserError("Choose a recipe's .json or .png file.", "recipe")
        with open(path, "rb") as file:
            data = file.read(recipes.MAX_PNG_BYTES + 1)
        recipe = recipes.read_png(data) if data[:4] == PNG else recipes.from_json(data)
        return self.open(recipe, model, moves, self.controls.status)

    def open_visited(self, model: str, moves: int, event: gr.EventData) -> dict:
        """A result of this visit; see `open`."""
        return self.open(visited_recipe(event), model, moves, self.controls.visit_status)

    def open_example(self, number: int, model: str, moves: int) -> dict:
        """An example of `analysis.guide.examples`; see `open`. The line says what to look at."""
        recipe, line = recipe_of(EXAMPLES[number], self.work.studio), self.controls.example_words
        return {**self.open(recipe, model, moves, line), line: words_of(number)}

    def open(self, recipe: recipes.Recipe, model: str, moves: int, line: gr.HTML) -> dict:
        """The bar, what is to be filled and at which count of moves, and one line about it.

        Flows are of none of the bar's models: it stays where it is, and counts all the same.

        Args:
            recipe: a checked one.
            model: what the visitor looks at now; may be a model of his own.
            moves: the source bar's count.
            line: where the line goes.
        """
        binding = next((b for b in self.bindings if recipe.kind in b.kinds), None)
        pending, library = self.controls.pending, self.work.library
        if binding is None:
            raise UserError(
                f"No view of this page shows {KIND_WORDS.get(recipe.kind, recipe.kind)}: use /recipe instead.", "kind"
            )
        at, due = int(moves or 0) + 1, self.controls.due
        if recipe.of_flows:
            check_flows(recipe, self.work.studio)
            binding.fill(recipe.request)  # what it cannot show is told before anything is set
            return {pending: (at, recipe.request, ""), due: at, line: _line(recipe)}
        name = find_model(library, recipe, (model,))
        request: Any = recipe.request
        seeds = request.seeds if isinstance(request, GenerateRequest) else (request.seed,)
        bench = library.get(name)
        known = len(bench.classes)
        if request.label >= known:
            raise UserError(
                f"The recipe asks for class {request.label}, but its model has {known}: it was changed.", "label"
            )
        return {
            **self.work.source.moved(library, name, seeds[0], request.label),
            pending: (at, request, ""),
            due: at,
            line: _line(recipe, f" of the model {bench.name}", len(seeds)),
        }

    def fill(self, pending: tuple[int, Request, str] | None, moves: int | None) -> dict:
        """The view to open, its count, which makes its result, and its filled controls; or that the view stays."""
        filled: dict = {}
        for binding, count in zip(self.bindings, self.controls.counts, strict=True):
            # another move has come since, or it was none of a recipe's
            if pending is not None and pending[0] == moves and recipes.kind_of(pending[1]) in binding.kinds:
                view = pending[2] or binding.view
                opener = opening(view, filled=view == binding.view)  # another view of the tab has to look for itself
                filled |= {self.opener: opener, count: next(self._counts), **binding.fill(pending[1])}
        return filled or {self.opener: opening()}


@dataclass(frozen=True)
class RecipeFiller:
    """Attributes: pending, what `RecipePanel.fill` takes; now, attaches it to an event that does not move the bar."""

    pending: gr.State
    now: Callable[[Dependency], object]


def _line(recipe: recipes.Recipe, of: str = "", pictures: int = 1) -> str:
    """What was opened, and what may keep it from being equal."""
    text = f"Opened {KIND_WORDS.get(recipe.kind, recipe.kind)}{of}."
    if pictures > 1:
        text += f" It has {pictures} pictures; the first is shown, /recipe gives all."
    if recipe.torch != recipes.TORCH:
        text += f" It was made with torch {recipe.torch}; under {recipes.TORCH} the last digits may differ."
    return f'<p class="ks-line" role="status">{html.escape(text)}</p>'


def _lay_out(page: Page, bindings: Sequence[RecipeBinding]) -> RecipeControls:
    with gr.Accordion("Results of this visit", open=False, elem_id="visit"):
        visit = visit_strip(elem_id="visit-results")
        visit_status = gr.HTML(elem_id="visit-status")
    with gr.Accordion("Open a recipe", open=False, elem_id="open-recipe"):
        text = gr.Textbox(label="Recipe", info=INFO, lines=4, max_lines=12, elem_id="recipe-text")
        with gr.Row(elem_classes="ks-buttons"):
            start = gr.Button("Open this text", size="sm", variant="primary", elem_id="recipe-open")
            file = gr.UploadButton(
                "Open a file (.json, .png)", size="sm", file_types=[".json", ".png"], elem_id="recipe-file"
            )
        status = gr.HTML(elem_id="recipe-status")
    counts = tuple(gr.State(0) for _ in bindings)
    words = page.panels["examples"].words
    due = gr.Number(0, precision=0, visible=False)
    return RecipeControls(text, start, file, status, visit, visit_status, words, gr.State(None), due, counts)


def build_recipe_panel(page: Page) -> RecipeFiller:
    """Lay the panel out and wire it and the examples; after all tabs, whose own answers to another model come first."""
    source = page.work.source
    bindings = [tab.binding for tab in page.built.values() if tab.binding is not None]
    c = _lay_out(page, bindings)
    panel = RecipePanel(page.work, page.opener, bindings, c)

    quiet = {**MODEL_QUEUE, **PRIVATE, "show_progress": "hidden"}
    bar, here = [*source.targets, c.pending, c.due], [source.model, source.moves]
    outputs = [page.opener, *c.counts, *itertools.chain.from_iterable(b.outputs for b in bindings)]
    # queued, or the states in it would not tell that they changed; not behind the models, whose turn comes after it
    fill = {"fn": guarded(panel.fill), "inputs": [c.pending, source.moves], "outputs": outputs}
    later = {"trigger_mode": "multiple", "show_progress": "hidden", **PRIVATE}
    source.moves.change(**fill, **later)
    events = [
        c.start.click(guarded(panel.open_text), [c.text, *here], [*bar, c.status], **quiet),
        c.file.upload(guarded(panel.open_file), [c.file, *here], [*bar, c.status], **quiet),
        c.visit.select(guarded(panel.open_visited), here, [*bar, c.visit_status], **quiet),
    ]
    for i, button in enumerate(page.panels["examples"].buttons):
        opened = guarded(functools.partial(panel.open_example, i))
        events.append(button.click(opened, here, [*bar, c.example_words], **quiet))
    for event in events:
        # one step later, when all new values of the bar can be read
        event.success(None, c.due, source.moves, js="(due) => due", **PRIVATE)
    for count, binding in zip(c.counts, bindings, strict=True):
        # the tab attaches what makes its result
        binding.rerun(count.change(None, None, None, js="() => {}", **PRIVATE))
    return RecipeFiller(c.pending, lambda event: event.success(**fill, **later))
