"""Players of trajectories, of flows of points and of flows of images: a bar of play, step and time above the frames."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from analysis.core.images import data_uri
from analysis.figures.flow import MAX_DRAWN, POINTS_TRACE, flow_figure, preview_figure
from analysis.figures.spectrum import error_curve
from analysis.workbench.images import TrajectoryResult
from ui.components.html import strip
from ui.components.made import Made
from ui.theme import script

TRAJECTORY_TRACKS = 3


_TRAJECTORY_TRACK = """<figure class="ks-track"><button type="button" aria-pressed="false">
<canvas width="32" height="32" role="img"></canvas></button><figcaption><b></b><span></span></figcaption></figure>"""
_TRAJECTORY_PLAYER = f"""<div class="ks-player ks-film">
<div class="ks-steer">
<button type="button" class="ks-play" id="play">▶ Play</button>
<button type="button" class="ks-back" aria-label="One level back, towards noise">‹</button>
<button type="button" class="ks-forward" aria-label="One level on, towards the picture">›</button>
<span class="ks-end">noise</span>
<input type="range" class="ks-time" min="0" max="1" value="0" aria-label="Noise level, from noise to picture">
<span class="ks-end">picture</span>
</div>
<div class="ks-film-row">
<div class="ks-big"><canvas width="32" height="32" role="img" class="ks-main"></canvas>
<input type="range" class="ks-wipe" min="0" max="100" value="50" aria-label="Where the comparison begins" hidden>
<span class="ks-wipe-line" aria-hidden="true" hidden></span><output class="ks-big-words"></output></div>
<div class="ks-tracks">{_TRAJECTORY_TRACK * TRAJECTORY_TRACKS}</div>
</div>
<output class="ks-now ks-made"></output>
<details class="ks-details ks-curve-box"><summary>Error by noise level</summary>
<div class="ks-curve" role="img" aria-label="Error by noise level"></div></details>
</div>"""


def player(value: str | None = None, **kwargs) -> gr.HTML:
    """Pictures of a trajectory side by side under one slider, and the error curve. Value: `player_value(...)`."""
    return gr.HTML(
        value,
        html_template=_TRAJECTORY_PLAYER,
        js_on_load=script("common.js", "trajectory_player.js"),
        **kwargs,
    )


def player_value(result: TrajectoryResult, made: Made) -> str:
    """A trajectory as the JSON that the player's script reads: one strip of frames a track."""
    tracks = [("Koopman path", "decoded from evolved latents, closed form", result.koopman)]
    if result.denoised is not None:
        tracks.append(("Teacher, denoised", "its best guess of the picture at this level", result.denoised))
        tracks.append(("Teacher, ODE state", "the noisy state itself, over √(1 + σ²)", result.state))
    return json.dumps(
        {
            "made": {"words": made.words, "data": made.data()},
            "side": int(result.koopman.shape[1]),
            "sigma": [float(s) for s in result.sigma],
            "tau": [float(t) for t in result.tau],
            "tracks": [{"title": t, "note": n, "src": data_uri(strip(frames))} for t, n, frames in tracks],
            "figure": None if result.mse is None else json.loads(error_curve(result).to_json()),
        }
    )


_SLIDE_PLAYER = """<div class="ks-player ks-film ks-slide"><div class="ks-film-row">
<div class="ks-big"><canvas width="32" height="32" role="img" class="ks-main"></canvas>
<output class="ks-big-words"></output></div><div class="ks-tracks"></div></div>
<div class="ks-steer"><button type="button" class="ks-play">▶ Play</button>
<button type="button" class="ks-back" aria-label="One picture back">‹</button>
<button type="button" class="ks-forward" aria-label="One picture on">›</button>
<span class="ks-end"></span>
<input type="range" class="ks-time" min="0" max="1000" value="500" aria-label="{label}">
<span class="ks-end"></span></div><p class="ks-line ks-made"></p></div>"""


def slide_player(label: str, value: str | None = None, **kwargs) -> gr.HTML:
    """Pictures under one slider, to and fro; `label` says what it moves through. Value: `slides(...)`."""
    parts = script("time_bar.js", "slide_player.js")
    template = _SLIDE_PLAYER.replace("{label}", html.escape(label))
    return gr.HTML(value, html_template=template, js_on_load=parts, **kwargs)


def slides(
    tracks: Sequence[tuple[str, np.ndarray]], labels: Sequence[str], ends: tuple[str, str], start: int, made: Made
) -> str:
    """Tracks of pictures as the JSON that the player's script reads.

    Args:
        tracks: title and pictures (n, H, W, 3), the large one first.
        labels: n, what is written on the large picture.
        ends: what stands at both ends of the slider.
        start: the picture that is shown at first.
        made: what the pictures were made with.
    """
    return json.dumps(
        {
            "side": int(tracks[0][1].shape[1]),
            "labels": list(labels),
            "ends": list(ends),
            "start": start,
            "made": {"words": made.words, "data": made.data()},
            "tracks": [{"title": title, "src": data_uri(strip(pictures))} for title, pictures in tracks],
        }
    )


MAX_PANELS = 4


@dataclass(frozen=True)
class Panel:
    """One setting.

    Attributes:
        title, note: above the frames.
        result: of the setting, None with a sentence in `problem`.
        numbers: HTML below.
        problem: why there is no result.
        ground: density (c, c) and axis (c,) to be seen where there is no result in the plane.
    """

    title: str
    note: str
    result: Any
    numbers: str
    problem: str = ""
    ground: tuple[np.ndarray, np.ndarray] | None = None

    def about(self) -> dict:
        """What is written around the frames, for the player's script."""
        problem = f'<p class="ks-line">{html.escape(self.problem)}</p>'
        return {"title": self.title, "note": self.note, "numbers": problem if self.result is None else self.numbers}


def player_html(css: str, end: str, panel: str) -> str:
    """A player: the bar, from noise to `end`, above `MAX_PANELS` copies of a panel."""
    return f"""<div class="ks-player {css}">
<div class="ks-steer">
<button type="button" class="ks-play">▶ Play</button>
<button type="button" class="ks-back" aria-label="One step back, towards noise">‹</button>
<button type="button" class="ks-forward" aria-label="One step on, towards {end}">›</button>
<span class="ks-end">noise</span>
<input type="range" class="ks-time" min="0" max="1000" value="1000" aria-label="Time, from noise to {end}">
<span class="ks-end">{end.removeprefix("the ")}</span>
</div>
<output class="ks-now"></output>
<div class="ks-flows">{panel * MAX_PANELS}</div>
</div>"""


_FLOW_PANEL = """<figure class="ks-flow" hidden><figcaption><b></b><span></span></figcaption>
<div class="ks-flow-plot" role="img"></div><div class="ks-flow-numbers"></div></figure>"""
_FLOW_PLAYER = player_html("ks-flow-player", "data", _FLOW_PANEL)


def flow_player(value: str | None = None, **kwargs) -> gr.HTML:
    """The component. Value: `flow_value(...)`."""
    parts = script("common.js", "time_bar.js", "flow_player.js")
    return gr.HTML(value, html_template=_FLOW_PLAYER, js_on_load=parts, **kwargs)


def flow_value(panels: Sequence[Panel | None], begin: str = "noise") -> str:
    """Settings as the JSON that the player's script reads.

    Args:
        panels: None leaves a place empty.
        begin: what the points begin at.
    """
    shown = [_flow_panel(p, k) for k, p in enumerate(panels)]
    return json.dumps({"trace": POINTS_TRACE, "begin": begin, "panels": shown})


def _flow_panel(panel: Panel | None, setting: int) -> dict | None:
    if panel is None:
        return None
    about = panel.about()
    if panel.result is None:
        ground = None if panel.ground is None else json.loads(preview_figure(*panel.ground, None).to_json())
        return about | {"figure": ground, "times": None}
    frames = np.round(panel.result.trajectories[:MAX_DRAWN].astype(np.float64), 2)
    return about | {
        "times": panel.result.times.tolist(),
        "x": frames[:, :, 0].T.tolist(),
        "y": frames[:, :, 1].T.tolist(),
        "figure": json.loads(flow_figure(panel.result, setting).to_json()),
    }


SENT_FRAMES = 13  # moments sent of one setting: more of them, noisy as they are, would weigh megabytes
PLAYER_COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4}  # of so many pictures
_IMAGE_TRACK = '<div><canvas width="32" height="32" role="img"></canvas><span>{}</span></div>'
_IMAGE_TRACKS = _IMAGE_TRACK.format("x̂₁, the picture it expects") + _IMAGE_TRACK.format("x<sub>t</sub>, the state")
_IMAGE_PANEL = f"""<figure class="ks-flow" hidden><figcaption><b></b><span></span></figcaption>
<div class="ks-image-tracks">{_IMAGE_TRACKS}</div><output class="ks-line ks-image-at"></output>
<div class="ks-flow-numbers"></div></figure>"""
_IMAGE_PLAYER = player_html("ks-image-player", "the picture", _IMAGE_PANEL)


def images_player(value: str | None = None, **kwargs) -> gr.HTML:
    """The component. Value: `images_value(...)`."""
    parts = script("time_bar.js", "image_player.js")
    return gr.HTML(value, html_template=_IMAGE_PLAYER, js_on_load=parts, **kwargs)


def tiled(pictures: np.ndarray) -> np.ndarray:
    """(n, H, W, C) -> one picture of them in rows, the last row filled up with grey."""
    columns = PLAYER_COLUMNS[len(pictures)]
    short = -len(pictures) % columns
    grey = np.full((short, *pictures.shape[1:]), 128, np.uint8)
    rows = np.concatenate([pictures, grey]).reshape(-1, columns, *pictures.shape[1:])
    return np.concatenate([strip(row) for row in rows])


def shown_steps(count: int) -> list[int]:
    """Which of so many moments are sent: the first, the last, and at most `SENT_FRAMES` in all."""
    return sorted({round(k) for k in np.linspace(0, count - 1, min(count, SENT_FRAMES))})


def images_value(panels: Sequence[Panel | None]) -> str:
    """Settings as the JSON that the player's script reads; None leaves a place empty."""
    return json.dumps([None if p is None else _image_panel(p) for p in panels])


def _image_panel(panel: Panel) -> dict:
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
