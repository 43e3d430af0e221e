"""Up to four flows side by side under one time slider; all frames come at once, so that moving needs no server."""

from __future__ import annotations

import json
from collections.abc import Sequence

import gradio as gr
import numpy as np

from analysis.figures.flow import MAX_DRAWN, POINTS_TRACE, flow_figure
from ui.plots import HEAD
from ui.time_bar import Panel, player_html, script_of

_PANEL = """<figure class="ks-flow"><figcaption><b></b><span></span></figcaption>
<div class="ks-flow-plot" role="img"></div><div class="ks-flow-numbers"></div></figure>"""
_PLAYER = player_html("ks-flow-player", "data", _PANEL)


def flow_player(value: str | None = None, **kwargs) -> gr.HTML:
    """The component. Value: `flow_value(...)`."""
    script = script_of("common.js", "time_bar.js", "flow_player.js")
    return gr.HTML(value, html_template=_PLAYER, js_on_load=script, head=HEAD, **kwargs)


def flow_value(panels: Sequence[Panel | None]) -> str:
    """Settings as the JSON that the player's script reads; None leaves a place empty."""
    return json.dumps({"trace": POINTS_TRACE, "panels": [_panel(p, k) for k, p in enumerate(panels)]})


def _panel(panel: Panel | None, setting: int) -> dict | None:
    if panel is None:
        return None
    about = panel.about()
    if panel.result is None:
        return about | {"figure": None}
    frames = np.round(panel.result.trajectories[:MAX_DRAWN].astype(np.float64), 2)
    return about | {
        "times": panel.result.times.tolist(),
        "x": frames[:, :, 0].T.tolist(),
        "y": frames[:, :, 1].T.tolist(),
        "figure": json.loads(flow_figure(panel.result, setting).to_json()),
    }
