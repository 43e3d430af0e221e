"""A canvas to paint a mask on a small picture, pixel by pixel, and what comes back from it.

Not `gr.ImageMask`: in Gradio 6.31 it loses the paint that a handler sets together with another picture, comes back at a
size of its own, needs WebGL, and lets the server decode whatever a browser sends. Here a stroke comes back as a string
of 0 and 1, one a pixel.
"""

from __future__ import annotations

import html
import json
import re

import gradio as gr
import numpy as np

from analysis.core.errors import UserError
from analysis.core.images import data_uri
from ui.server.gradio_internals import sent
from ui.theme import script

# how an address keeps a mask: its side, then "r" and the lengths of its runs, the first one of what is not painted,
# five bits a letter, the lowest first, 32 more where another letter follows; or "b" and six pixels a letter
PACKED = re.compile(r"([1-9]\d{0,2})([rb])([A-Za-z0-9_-]*)")
PACKED_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
MAX_PACKED_SIDE = 256
HOLES = ("centre square", "left half", "random dots")
_PAINTER = """<div class="ks-painter"><canvas role="application" tabindex="0"
aria-label="{label}; arrow keys move, space paints"></canvas><div class="ks-tools">
<button type="button" aria-pressed="true">Paint</button><button type="button" aria-pressed="false">Erase</button>
<label>size <input type="range" min="1" max="12" value="5" aria-label="Size of the brush, pixels"></label>
<button type="button" class="ks-clear">Clear</button></div></div>"""


def canvas(picture: np.ndarray | None, mask: np.ndarray | None = None, *, label: str, **kwargs) -> gr.HTML:
    """The component. Value: `canvas_value(...)`. Event: `apply` after every stroke, to be read with `painted`.

    Args:
        picture: uint8 (side, side, 3); None for an empty sheet, in the page's own colour.
        mask: uint8 (side, side), 255 = painted; an empty sheet has one.
        label: what a screen reader says.
        **kwargs: of gr.HTML.
    """
    return gr.HTML(
        canvas_value(picture, mask),
        html_template=_PAINTER.format(label=html.escape(label)),
        js_on_load=script("painter.js"),
        **kwargs,
    )


def canvas_value(picture: np.ndarray | None, mask: np.ndarray | None = None) -> str:
    """A picture, or None for an empty sheet, and its mask, as the JSON that the canvas' script reads."""
    on = np.zeros(picture.shape[:2], bool) if mask is None and picture is not None else np.asarray(mask) >= 128
    bits = "".join(map(str, on.astype(int).ravel()))
    return json.dumps({"side": len(on), "picture": "" if picture is None else data_uri(picture), "mask": bits})


def painted(event: gr.EventData, side: int) -> np.ndarray | None:
    """What was painted, uint8 (side, side) of 0 and 255; None = nothing.

    Args:
        event: what Gradio passes to the handler; anything may come from a browser.
        side: of the picture.

    Raises:
        UserError: not one 0 or 1 a pixel of this picture.
    """
    bits = sent(event).get("mask")
    if not isinstance(bits, str) or len(bits) != side * side or not set(bits) <= {"0", "1"}:
        raise UserError("The painting does not belong to this picture: paint again.", "mask")
    mask = np.frombuffer(bits.encode("ascii"), np.uint8).reshape(side, side) - np.uint8(ord("0"))
    return mask * np.uint8(255) if mask.any() else None


def packed(mask: np.ndarray | None) -> str:
    """A mask, uint8 (side, side), 255 = painted, as an address keeps it, the shorter form; "" for an empty one."""
    on = np.zeros((1, 1), bool) if mask is None else np.asarray(mask) >= 128
    if not on.any():
        return ""
    flat = on.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    runs = np.diff(edges, prepend=0, append=flat.size)
    lengths = "".join(map(_run, runs.tolist()))
    pixels = np.pad(flat, (0, -flat.size % 6)).reshape(-1, 6) @ (1 << np.arange(6))
    short, form = (lengths, "r") if len(lengths) <= len(pixels) else ("".join(PACKED_LETTERS[p] for p in pixels), "b")
    return f"{len(on)}{form}{short}"


def packed_value(value: str) -> str:
    """`packed` of what a canvas is given, see `canvas_value`."""
    given = json.loads(value)
    bits = np.frombuffer(given["mask"].encode("ascii"), np.uint8).reshape(given["side"], given["side"])
    return packed((bits == ord("1")) * np.uint8(255))


def _run(length: int) -> str:
    text = ""
    while length > 31:
        text += PACKED_LETTERS[32 + length % 32]
        length //= 32
    return text + PACKED_LETTERS[length]


def unpacked(text: str) -> np.ndarray | None:
    """What `packed`, here or in the page's script, made a text of: uint8 (side, side) of 0 and 255; None = nothing.

    Raises:
        UserError: none of these, cut off, or larger than `MAX_PACKED_SIDE`.
    """
    if not text:
        return None
    found = PACKED.fullmatch(text)
    side = int(found[1]) if found else 0
    values = [PACKED_LETTERS.index(letter) for letter in found[3]] if found else []
    flat = None
    if found and side <= MAX_PACKED_SIDE:
        flat = _of_runs(values, side * side) if found[2] == "r" else _of_pixels(values, side * side)
    if flat is None:
        raise UserError("The painting in this link is damaged: copy the whole link, or paint again.", "mask")
    return flat.reshape(side, side).astype(np.uint8) * np.uint8(255) if flat.any() else None


def _of_runs(values: list[int], size: int) -> np.ndarray | None:
    runs, run, shift = [], 0, 0
    for value in values:
        run |= (value & 31) << shift
        shift += 5
        if value < 32:
            runs.append(run)
            run = shift = 0
        elif shift > 20:  # longer than any run
            return None
    if shift or sum(runs) != size:
        return None
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs)


def _of_pixels(values: list[int], size: int) -> np.ndarray | None:
    if len(values) != -(-size // 6):
        return None
    flat = (np.array(values)[:, None] >> np.arange(6) & 1).astype(bool).ravel()
    return flat[:size]


def hole(name: str, side: int, seed: int = 0) -> np.ndarray:
    """A ready-made hole, uint8 (side, side), 255 = unknown.

    Args:
        name: one of `HOLES`.
        side: pixels.
        seed: of the random dots, which cover half of the picture.

    Raises:
        ValueError: unknown name.
    """
    unknown = np.zeros((side, side), bool)
    if name == "centre square":
        unknown[side // 4 : side - side // 4, side // 4 : side - side // 4] = True
    elif name == "left half":
        unknown[:, : side // 2] = True
    elif name == "random dots":
        unknown.ravel()[np.random.default_rng(seed).permutation(side * side)[: side * side // 2]] = True
    else:
        raise ValueError(f"The hole must be one of {', '.join(HOLES)}, not {name!r}.")
    return unknown.astype(np.uint8) * np.uint8(255)
