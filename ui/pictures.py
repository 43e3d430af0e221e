"""Small pictures as PNG text: for the page (data URIs) and for callers of the HTTP API (base64)."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from PIL import Image


def png_base64(picture: np.ndarray) -> str:
    """uint8 (H, W, 3) or (H, W, 1) as a base64 PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def data_uri(picture: np.ndarray) -> str:
    """A picture as an address that holds all of it."""
    return f"data:image/png;base64,{png_base64(picture)}"


def strip(frames: np.ndarray) -> np.ndarray:
    """(n, H, W, C) -> (H, n W, C), frames side by side."""
    n, h, w, c = frames.shape
    return frames.transpose(1, 0, 2, 3).reshape(h, n * w, c)


def figure_html(picture: np.ndarray, title: str, note: str = "", download: str = "", css: str = "") -> str:
    """One captioned picture, enlarged by the page without smoothing.

    Args:
        picture: uint8 (H, W, C).
        title, note: caption; escaped here.
        download: file name offered for saving; none when empty.
        css: further classes.
    """
    source = data_uri(picture)
    save = f'<a class="ks-save" href="{source}" download="{html.escape(download)}">save PNG</a>' if download else ""
    return (
        f'<figure class="ks-picture {html.escape(css)}"><img src="{source}" alt="{html.escape(title)}">'
        f"<figcaption><b>{html.escape(title)}</b><span>{html.escape(note)}</span>{save}</figcaption></figure>"
    )


def row_html(*figures: str) -> str:
    """Several of `figure_html` side by side."""
    return f'<div class="ks-pictures">{"".join(figures)}</div>'
