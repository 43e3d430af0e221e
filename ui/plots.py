"""Components that Gradio does not have: a clickable plot that keeps its zoom, a trajectory player, a row of pictures.

Each is a `gr.HTML` with a script. Plotly's own JavaScript is served from the installed wheel, so nothing is loaded from
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
from analysis.figures.spectrum import error_curve
from analysis.workbench.images import TrajectoryResult
from ui.pictures import data_uri, strip

PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
JS_DIR = Path(__file__).parent / "js"
# relative, so that a proxy may put the page under any path; the version is there for the browser's cache
HEAD = f'<script src="studio/plotly.min.js?v={plotly.__version__}"></script>'
TRACKS = 3


async def _plotly(_request) -> FileResponse:
    return FileResponse(PLOTLY_JS, media_type="text/javascript", headers={"cache-control": "max-age=604800"})


# its own route: Gradio's file route would tell every visitor where Python is installed
PLOTLY_ROUTE = Route("/studio/plotly.min.js", _plotly)


def _script(name: str) -> str:
    return "\n".join((JS_DIR / part).read_text(encoding="utf-8") for part in ("common.js", name))


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
    # a figure for a screen reader, or something to be reached by Tab and moved through by the arrows
    kind = 'role="application" tabindex="0"' if clickable else 'role="img"'
    label += "; left and right arrow choose a mode" if clickable else ""
    return gr.HTML(
        value,
        html_template=f'<div class="ks-plot" {kind} aria-label="{html.escape(label)}"></div>',
        js_on_load=_script("plot.js"),
        head=HEAD,
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
    data = event._data if isinstance(event._data, dict) else {}
    found = data.get("points")
    if not isinstance(found, list) or len(found) > count:
        raise UserError("The selection does not belong to this level: choose the points again.")
    if not all(type(p) is int and 0 <= p < count for p in found):
        raise UserError("The selection does not belong to this level: choose the points again.")
    return found


_TRACK = """<figure class="ks-track"><canvas width="32" height="32" role="img"></canvas>
<figcaption><b></b><span></span></figcaption></figure>"""
_PLAYER = f"""<div class="ks-player">
<div class="ks-tracks">{_TRACK * TRACKS}</div>
<div class="ks-controls">
<button type="button" class="ks-play">▶ Play</button>
<button type="button" class="ks-back" aria-label="One level back, towards noise">‹</button>
<button type="button" class="ks-forward" aria-label="One level on, towards the picture">›</button>
<span class="ks-end">noise</span>
<input type="range" class="ks-time" min="0" max="1" value="0" aria-label="Noise level, from noise to picture">
<span class="ks-end">picture</span>
</div>
<output class="ks-now"></output>
<div class="ks-curve-box"><div class="ks-curve" role="img" aria-label="Error by noise level"></div></div>
</div>"""


def player(value: str | None = None, **kwargs) -> gr.HTML:
    """Pictures of a trajectory side by side under one slider, and the error curve. Value: `player_value(...)`."""
    return gr.HTML(value, html_template=_PLAYER, js_on_load=_script("player.js"), head=HEAD, **kwargs)


def player_value(result: TrajectoryResult, model: str, seed: int) -> str:
    """A trajectory as the JSON that the player's script reads: one strip of frames a track."""
    tracks = [("Koopman path", "decoded from evolved latents, closed form", result.koopman)]
    if result.denoised is not None:
        tracks.append(("Teacher, denoised", "its best guess of the picture at this level", result.denoised))
        tracks.append(("Teacher, ODE state", "the noisy state itself, over √(1 + σ²)", result.state))
    return json.dumps(
        {
            "model": model,
            "seed": seed,
            "side": int(result.koopman.shape[1]),
            "sigma": [float(s) for s in result.sigma],
            "tau": [float(t) for t in result.tau],
            "tracks": [{"title": t, "note": n, "src": data_uri(strip(frames))} for t, n, frames in tracks],
            "figure": None if result.mse is None else json.loads(error_curve(result).to_json()),
        }
    )
