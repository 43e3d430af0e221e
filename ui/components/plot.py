"""A clickable Plotly figure that keeps its zoom, as a component.

It is a `gr.HTML` with a script. Plotly's own JavaScript is served from the installed wheel, so nothing is loaded from
elsewhere. What comes back from a browser is checked here before it is used.
"""

from __future__ import annotations

import html
import json
from pathlib import Path

import gradio as gr
import plotly
from starlette.responses import FileResponse
from starlette.routing import Route

from analysis.core.errors import UserError
from ui.server.gradio_internals import sent
from ui.theme import script

PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
# relative, so that a proxy may put the page under any path; the version is there for the browser's cache
PLOTLY_AT = f"studio/plotly.min.js?v={plotly.__version__}"
# for the page's head; not `head=` of a component, whose script waits for what that names
PLOTLY_LATER = script("plotly_later.js").replace("PLOTLY_AT", json.dumps(PLOTLY_AT))


async def _plotly(_request) -> FileResponse:
    return FileResponse(PLOTLY_JS, media_type="text/javascript", headers={"cache-control": "max-age=604800"})


# its own route: Gradio's file route would tell every visitor where Python is installed
PLOTLY_ROUTE = Route("/studio/plotly.min.js", _plotly)


def plot(value: str | None = None, *, clickable=False, modebar=False, label="plot", **kwargs) -> gr.HTML:
    """A Plotly figure as a component. Value: `figure.to_json()`.

    Events: `select` (a point was clicked) and `apply` (points were selected with box or lasso); read them with
    `points`. A function, not a subclass of gr.HTML, because Gradio writes a .pyi file beside the source of a subclass.

    Args:
        value: the figure as JSON.
        clickable: whether clicks and selections are sent.
        modebar: show Plotly's tools all the time, not on hover.
        label: what a screen reader says.
        **kwargs: of gr.HTML.
    """
    # something to be reached by Tab and moved through by the arrows, or a group: its bar has buttons, so it is no image
    kind = 'role="application" tabindex="0"' if clickable else 'role="group"'
    label += "; left and right arrow choose a mode" if clickable else ""
    return gr.HTML(
        value,
        html_template=f'<div class="ks-plot" {kind} aria-label="{html.escape(label)}"></div>',
        js_on_load=script("common.js", "plot.js"),
        clickable=clickable,
        modebar=modebar,
        **kwargs,
    )


def points(event: gr.EventData, count: int) -> list[int]:
    """The mode indices of a `select` or `apply` event, checked: anything may come from a browser.

    Args:
        event: what Gradio passes to the handler.
        count: number of modes; indices lie in [0, count).

    Raises:
        UserError: not a list of such indices.
    """
    found = sent(event).get("points")
    if not isinstance(found, list) or len(found) > count:
        raise UserError("The selection does not belong to this level: choose the points again.", "selection")
    if not all(type(p) is int and 0 <= p < count for p in found):
        raise UserError("The selection does not belong to this level: choose the points again.", "selection")
    return found


# a tab that was just chosen takes a moment to be laid out
_SCRIPT = """async (...values) => {{
  await new Promise((done) => setTimeout(done, 30));
  const part = document.querySelector('#{name}');
  return [Boolean(part && part.offsetParent), ...values.slice(1)];
}}"""


def seen_script(name: str) -> str:
    """JavaScript for `js=`: the first input becomes whether the element of this id is on the screen."""
    return _SCRIPT.format(name=name)
