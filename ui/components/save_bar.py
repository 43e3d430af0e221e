"""Under a result: its recipe to copy or save, and its picture as a PNG that carries the recipe."""

from __future__ import annotations

import base64
import io
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
import plotly.graph_objects as go
from gradio.events import Dependency

from analysis.recipes import recipe as recipes
from ui.server.gradio_internals import sent
from ui.theme import script

LONGEST_NAME = 80
FIGURE_WIDTH, FIGURE_HEIGHT = 900, 520  # pixels of a saved figure that says nothing of its own
TYPES = {
    "csv": "text/csv",
    "gif": "image/gif",
    "html": "text/html",
    "mp4": "video/mp4",
    "npz": "application/octet-stream",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "zip": "application/zip",
}
_BAR = """<div class="ks-save-bar" hidden>
<button type="button" class="ks-copy-recipe" title="Text that makes this result again">Copy recipe</button>
<button type="button" class="ks-copy-python" title="A script that asks the same question">Copy as Python</button>
<button type="button" class="ks-save-recipe" title="The same text as a file">Save recipe</button>
<button type="button" class="ks-save-picture" title="The picture with the recipe inside">Save PNG</button>
<output class="ks-saved" aria-live="polite"></output>
<textarea class="ks-recipe-text" aria-label="Recipe, to be copied by hand" rows="6" readonly hidden></textarea>
</div>"""


@dataclass(frozen=True)
class RecipeBinding:
    """How a tab takes up a recipe. The bar's model, seed and class are set by the recipe's panel, the rest by the tab.

    Attributes:
        kinds: of `analysis.recipes.recipe.RECIPE_KINDS` that this tab shows.
        view: the view that is opened.
        outputs: components that are filled.
        fill: the request as {component: value}; pure, may raise UserError.
        rerun: attaches to an event, by its `success`, what computes the result from the filled controls.
    """

    kinds: tuple[str, ...]
    view: str
    outputs: list
    fill: Callable[[Any], dict]
    rerun: Callable[[Dependency], None]


def file_stem(name: str) -> str:
    """A file name that every system takes, without its ending."""
    return re.sub(r"[^0-9A-Za-z._-]+", "-", name)[:LONGEST_NAME].strip("._-") or "picture"


_VISIT = """<div><p class="ks-line">What you look at for a while is kept here until you leave the page.</p>
<div class="ks-history" role="group" aria-label="Results of this visit"></div></div>"""


def save_bar(value: str | None = None, **kwargs) -> gr.HTML:
    """A slim row of buttons as a component; nothing is shown while the value is empty. Value: `save_value(...)`."""
    return gr.HTML(value, html_template=_BAR, js_on_load=script("save_bar.js"), **kwargs)


def visit_strip(**kwargs) -> gr.HTML:
    """The results that this page has shown for a while, in the browser's memory alone; a click triggers `select`.

    Read it with `visited_recipe`.
    """
    return gr.HTML(html_template=_VISIT, js_on_load=script("save_bar.js"), **kwargs)


def visited_recipe(event: gr.EventData) -> recipes.Recipe:
    """The recipe of a `select` of `visit_strip`, checked: anything may come from a browser.

    Raises:
        UserError: it is none.
    """
    return recipes.from_json(sent(event).get("recipe"))


def save_value(picture: np.ndarray, recipe: recipes.Recipe, name: str) -> str:
    """What the row offers, as the JSON that its script reads.

    Args:
        picture: uint8 (H, W, 3), (H, W, 1) or (H, W).
        recipe: what makes it.
        name: of the files, without an ending; unusual characters are replaced.
    """
    buffer, stem = io.BytesIO(), file_stem(name)
    grey = picture.ndim == 3 and picture.shape[-1] == 1
    recipes.save_png(picture[..., 0] if grey else picture, recipe, buffer)
    return json.dumps(
        {
            "recipe": recipe.text,
            "python": recipes.as_python(recipe),
            "png": base64.b64encode(buffer.getvalue()).decode("ascii"),
            "name": stem,
        }
    )


def saver(**kwargs) -> gr.HTML:
    """What saves files that are made on demand, and says so. Value: `saved_file(...)` or `saved_figure(...)`."""
    word = '<output class="ks-saved" aria-live="polite"></output>'
    return gr.HTML(html_template=word, js_on_load=script("save_bar.js"), **kwargs)


def saved_file(data: bytes, name: str, ending: str) -> str:
    """A file for `saver`, saved once by the browser; nothing is written on the server.

    Args:
        data: its content.
        name: without its ending; unusual characters are replaced.
        ending: one of `TYPES`.
    """
    return _once(name, ending, type=TYPES[ending], data=base64.b64encode(data).decode("ascii"))


def saved_figure(figure: go.Figure, name: str, ending: str) -> str:
    """A figure for `saver`: drawn by Plotly in the page, on white, and saved once by the browser.

    Args:
        figure: what is drawn.
        name: without its ending; unusual characters are replaced.
        ending: "png" (three times as large) or "svg".
    """
    drawn = go.Figure(figure).update_layout(paper_bgcolor="white", plot_bgcolor="white")
    width, height = drawn.layout.width or FIGURE_WIDTH, drawn.layout.height or FIGURE_HEIGHT
    return _once(name, ending, figure=json.loads(drawn.to_json()), format=ending, width=width, height=height)


def _once(name: str, ending: str, **what) -> str:
    return json.dumps({"name": f"{file_stem(name)}.{ending}", "stamp": secrets.token_hex(8)} | what)
