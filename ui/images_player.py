"""Flows of pictures side by side under one time slider: x1_hat and the state; all frames come at once."""

from __future__ import annotations

import json
from collections.abc import Sequence

import gradio as gr
import numpy as np

from ui.pictures import data_uri, strip
from ui.time_bar import Panel, player_html, script_of

MAX_FRAMES = 13  # moments sent of one setting: more of them, noisy as they are, would weigh megabytes
COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4}  # of so many pictures
_TRACK = '<div><canvas width="32" height="32" role="img"></canvas><span>{}</span></div>'
_TRACKS = _TRACK.format("x̂₁, the picture it expects") + _TRACK.format("x<sub>t</sub>, the state")
_PANEL = f"""<figure class="ks-flow"><figcaption><b></b><span></span></figcaption>
<div class="ks-image-tracks">{_TRACKS}</div><output class="ks-line ks-image-at"></output>
<div class="ks-flow-numbers"></div></figure>"""
_PLAYER = player_html("ks-image-player", "the picture", _PANEL)


def images_player(value: str | None = None, **kwargs) -> gr.HTML:
    """The component. Value: `images_value(...)`."""
    script = script_of("time_bar.js", "images_player.js")
    return gr.HTML(value, html_template=_PLAYER, js_on_load=script, **kwargs)


def tiled(pictures: np.ndarray) -> np.ndarray:
    """(n, H, W, C) -> one picture of them in rows, the last row filled up with grey."""
    columns = COLUMNS[len(pictures)]
    short = -len(pictures) % columns
    grey = np.full((short, *pictures.shape[1:]), 128, np.uint8)
    rows = np.concatenate([pictures, grey]).reshape(-1, columns, *pictures.shape[1:])
    return np.concatenate([strip(row) for row in rows])


def shown_steps(count: int) -> list[int]:
    """Which of so many moments are sent: the first, the last, and at most `MAX_FRAMES` in all."""
    return sorted({round(k) for k in np.linspace(0, count - 1, min(count, MAX_FRAMES))})


def images_value(panels: Sequence[Panel | None]) -> str:
    """Settings as the JSON that the player's script reads; None leaves a place empty."""
    return json.dumps([None if p is None else _panel(p) for p in panels])


def _panel(panel: Panel) -> dict:
    about, r = panel.about(), panel.result
    if r is None:
        return about | {"tracks": None}
    # at t = 1 nothing is expected any more: the picture is there
    expected = np.concatenate([r.predictions, r.pictures[None]])
    steps = shown_steps(len(r.times))
    return about | {
        "times": r.times[steps].tolist(),
        "steps": steps,
        "tracks": [_sprite(expected[steps]), _sprite(r.states[steps])],
    }


def _sprite(frames: np.ndarray) -> dict:
    """Moments (F, n, H, W, C) below each other in one picture, and how large one is."""
    tiles = [tiled(f) for f in frames]
    return {"src": data_uri(np.concatenate(tiles)), "width": tiles[0].shape[1], "height": tiles[0].shape[0]}
