"""Panel "Open a recipe": a text or a file that describes a result sets the page so that it makes that result again."""

from __future__ import annotations

import functools
import html
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gradio as gr
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.guide.examples import EXAMPLES, recipe_of
from analysis.recipes import recipe as recipes
from analysis.recipes.replay import check_flows, find_model
from analysis.recipes.settings import Settings
from analysis.studio import Studio, shared_studio
from analysis.workbench.library import ModelLibrary
from ui.components.save_bar import RecipeBinding, kept_recipe, visit_strip
from ui.panels.examples import ExampleRow, words_of
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import Source, moved

WORDS = {
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


class RecipePanel:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        opens: how each tab takes up its kinds.
        studio: who answers; of flows those of the process by default.
    """

    def __init__(self, library: ModelLibrary, opens: Sequence[RecipeBinding], studio: Studio | None = None):
        self.library, self.opens, self.studio = library, tuple(opens), studio or shared_studio(library)
        self._asks = itertools.count(1)

    def open_text(self, text: str | None, model: str, moves: int) -> tuple:
        """A pasted recipe; see `open`."""
        if not (text or "").strip():
            raise UserError("Paste a recipe first, or choose a file.")
        return self.open(recipes.from_json(text), model, moves)

    def open_file(self, path: str | None, model: str, moves: int) -> tuple:
        """An uploaded JSON or PNG file, which Gradio has put into its own folder; see `open`."""
        if not path:
            raise UserError("Choose a recipe's .json or .png file.")
        with open(path, "rb") as file:
            data = file.read(recipes.MAX_PNG_BYTES + 1)
        return self.open(recipes.read_png(data) if data[:4] == PNG else recipes.from_json(data), model, moves)

    def open_kept(self, model: str, moves: int, event: gr.EventData) -> tuple:
        """A result of this visit; see `open`."""
        return self.open(kept_recipe(event), model, moves)

    def open_example(self, number: int, model: str, moves: int) -> tuple:
        """An example of `analysis.guide.examples`; see `open`. The line says what to look at."""
        *opened, _ = self.open(recipe_of(EXAMPLES[number], self.studio), model, moves)
        return *opened, words_of(number)

    def open(self, recipe: recipes.Recipe, model: str, moves: int) -> tuple:
        """Values of `Source.targets`, what is to be filled and at which count of moves, and one line about it.

        Flows are of none of the bar's models: it stays where it is.

        Args:
            recipe: a checked one.
            model: what the visitor looks at now; may be a model of his own.
            moves: the source bar's count.
        """
        tab = next((o for o in self.opens if recipe.kind in o.kinds), None)
        if tab is None:
            raise UserError(f"No tab of this page shows {WORDS.get(recipe.kind, recipe.kind)}: use /recipe instead.")
        if recipe.of_flows:
            check_flows(recipe, self.studio)
            tab.fill(recipe.settings)  # what it cannot show is told before anything is set
            return *[gr.skip()] * 4, (int(moves or 0), recipe.settings), _line(recipe)
        name = find_model(self.library, recipe, (model,))
        settings = recipe.settings
        seeds = getattr(settings, "seeds", None) or [settings.seed]
        bench = self.library.get(name)
        known = len(bench.classes)
        if settings.label >= known:
            raise UserError(f"The recipe asks for class {settings.label}, but its model has {known}: it was changed.")
        bar = moved(self.library, name, seeds[0], settings.label)
        return *bar, (int(moves or 0) + 1, settings), _line(recipe, f" of the model {bench.name}", len(seeds))

    def fill(self, pending: tuple[int, Settings] | None, moves: int | None) -> tuple:
        """The tab to select, one count a tab that grows when its result is to be made, and all filled controls."""
        tab, asks, filled = gr.skip(), [], []
        for opens in self.opens:
            # another move has come since, or it was none of a recipe's
            mine = pending is not None and pending[0] == moves and pending[1].kind in opens.kinds
            asks.append(next(self._asks) if mine else gr.skip())
            filled += opens.fill(pending[1]) if mine else [gr.skip()] * len(opens.outputs)
            tab = gr.update(selected=opens.tab) if mine else tab
        return tab, *asks, *filled


@dataclass(frozen=True)
class RecipeFiller:
    """Attributes: pending, what `RecipePanel.fill` takes; now, attaches it to an event that does not move the bar."""

    pending: gr.State
    now: Callable[[Dependency], object]


def _line(recipe: recipes.Recipe, of: str = "", pictures: int = 1) -> str:
    """What was opened, and what may keep it from being equal."""
    text = f"Opened {WORDS.get(recipe.kind, recipe.kind)}{of}."
    if pictures > 1:
        text += f" It has {pictures} pictures; the first is shown, /recipe gives all."
    if recipe.torch != recipes.TORCH:
        text += f" It was made with torch {recipe.torch}; under {recipes.TORCH} the last digits may differ."
    return f'<p class="ks-line" role="status">{html.escape(text)}</p>'


def build_recipe_panel(
    library: ModelLibrary,
    source: Source,
    tabs: gr.Tabs,
    opens: Sequence[RecipeBinding],
    studio: Studio | None = None,
    examples: ExampleRow | None = None,
) -> RecipeFiller:
    """Lay the panel out and wire it; to be called after all tabs, whose own answers to another model come first.

    Args:
        library: the models.
        source: the bar that is set.
        tabs: where the right tab is selected.
        opens: how each tab takes up its kinds.
        studio: as in `RecipePanel`.
        examples: a row of buttons to be wired, too.

    Returns:
        How the tour fills the same controls.
    """
    panel = RecipePanel(library, opens, studio)
    with gr.Accordion("Results of this visit", open=False, elem_id="visit"):
        visit = visit_strip(elem_id="visit-results")
        again = gr.HTML(elem_id="visit-status")
    with gr.Accordion("Open a recipe", open=False, elem_id="open-recipe"):
        text = gr.Textbox(label="Recipe", info=INFO, lines=4, max_lines=12, elem_id="recipe-text")
        with gr.Row(elem_classes="ks-buttons"):
            go = gr.Button("Open this text", size="sm", variant="primary", elem_id="recipe-open")
            file = gr.UploadButton(
                "Open a file (.json, .png)", size="sm", file_types=[".json", ".png"], elem_id="recipe-file"
            )
        status = gr.HTML(elem_id="recipe-status")
    pending = gr.State(None)
    asks = [gr.State(0) for _ in opens]

    quiet = {**MODEL_QUEUE, **PRIVATE, "show_progress": "hidden"}
    bar = [*source.targets, pending]
    outputs = [tabs, *asks, *itertools.chain.from_iterable(o.outputs for o in opens)]
    # queued, or the states in it would not tell that they changed; not behind the models, whose turn comes after it
    fill = {"fn": guarded(panel.fill), "inputs": [pending, source.moves], "outputs": outputs}
    later = {"trigger_mode": "multiple", "show_progress": "hidden", **PRIVATE}
    source.moves.change(**fill, **later)
    here = [source.model, source.moves]
    events = [
        go.click(guarded(panel.open_text), [text, *here], [*bar, status], **quiet),
        file.upload(guarded(panel.open_file), [file, *here], [*bar, status], **quiet),
    ]
    events.append(visit.select(guarded(panel.open_kept), here, [*bar, again], **quiet))
    if examples is not None:
        told = [*bar, examples.told]
        for i, button in enumerate(examples.buttons):
            events.append(button.click(guarded(functools.partial(panel.open_example, i)), here, told, **quiet))
    for event in events:
        # at once where the bar stays; where it moves one step later, when all its new values can be read
        filled = event.success(**fill, **later)
        filled.success(guarded(lambda count: count[0]), pending, source.moves, show_progress="hidden", **PRIVATE)
    for ask, tab in zip(asks, opens, strict=True):
        # the tab attaches what makes its result
        tab.rerun(ask.change(guarded(lambda: None), None, None, queue=False, show_progress="hidden", **PRIVATE))
    return RecipeFiller(pending, lambda event: event.success(**fill, **later))
