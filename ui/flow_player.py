"""Up to four flows side by side under one time slider; all frames come at once, so that moving needs no server."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr
import numpy as np

from analysis.flow_figures import MAX_DRAWN, POINTS_TRACE, flow_figure
from analysis.results_flow import Flow2DResult
from ui.plots import HEAD, JS_DIR

PANELS = 4
_PANEL = """<figure class="ks-flow"><figcaption><b></b><span></span></figcaption>
<div class="ks-flow-plot" role="img"></div><div class="ks-flow-numbers"></div></figure>"""
_PLAYER = f"""<div class="ks-player ks-flow-player">
<div class="ks-controls">
<button type="button" class="ks-play">▶ Play</button>
<button type="button" class="ks-back" aria-label="One step back, towards noise">‹</button>
<button type="button" class="ks-forward" aria-label="One step on, towards data">›</button>
<span class="ks-end">noise</span>
<input type="range" class="ks-time" min="0" max="1000" value="1000" aria-label="Time, from noise to data">
<span class="ks-end">data</span>
</div>
<output class="ks-now"></output>
<div class="ks-flows">{_PANEL * PANELS}</div>
</div>"""


@dataclass(frozen=True)
class Panel:
    """One setting. Attributes: title, note; result, None with a sentence in `problem`; numbers = HTML below."""

    title: str
    note: str
    result: Flow2DResult | None
    numbers: str
    problem: str = ""


def flow_player(value: str | None = None, **kwargs) -> gr.HTML:
    """The component. Value: `flow_value(...)`."""
    script = "\n".join((JS_DIR / part).read_text(encoding="utf-8") for part in ("common.js", "flow_player.js"))
    return gr.HTML(value, html_template=_PLAYER, js_on_load=script, head=HEAD, **kwargs)


def flow_value(panels: Sequence[Panel | None]) -> str:
    """Settings as the JSON that the player's script reads; None leaves a place empty."""
    return json.dumps({"trace": POINTS_TRACE, "panels": [_panel(p, k) for k, p in enumerate(panels)]})


def _panel(panel: Panel | None, setting: int) -> dict | None:
    if panel is None:
        return None
    about = {"title": panel.title, "note": panel.note, "numbers": panel.numbers}
    if panel.result is None:
        return about | {"numbers": f'<p class="ks-line">{html.escape(panel.problem)}</p>', "figure": None}
    frames = np.round(panel.result.trajectories[:MAX_DRAWN].astype(np.float64), 2)
    return about | {
        "times": panel.result.times.tolist(),
        "x": frames[:, :, 0].T.tolist(),
        "y": frames[:, :, 1].T.tolist(),
        "figure": json.loads(flow_figure(panel.result, setting).to_json()),
    }
