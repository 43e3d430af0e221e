"""Images as bytes: tensors as uint8, differences magnified, contact sheets as PNG."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from analysis.core.errors import UserError

MAGNIFY_MOST = 1000.0  # more would show the decoder's rounding (1e-6 of its output) as if it were a picture
PEAK = 0.9  # the largest value of a magnified difference, out of 1


def as_pictures(x: Tensor, cure: str = "bring the gains closer to 1") -> np.ndarray:
    """(n, C, H, W) in [-1, 1] -> uint8 (n, H, W, C).

    Args:
        x: float pictures; values outside [-1, 1] are clipped.
        cure: what to do when they are not finite.

    Raises:
        UserError: the pictures are not finite.
    """
    if not bool(torch.isfinite(x).all()):
        raise UserError(f"The picture is not finite with these settings: {cure}.")
    return to_uint8(x).permute(0, 2, 3, 1).contiguous().numpy()


def magnified(difference: Tensor, most: float = MAGNIFY_MOST) -> tuple[np.ndarray, float]:
    """A difference of two pictures around mid-grey, made visible by a stated factor.

    Args:
        difference: (C, H, W), finite.
        most: largest factor.

    Returns:
        uint8 (H, W, C), and the factor: 1 where the difference is plain to see (above 0.5) or nothing at all.

    Raises:
        UserError: the difference is not finite.
    """
    largest = float(difference.abs().max())
    factor = 1.0 if largest > 0.5 or largest == 0 else min(most, PEAK / largest)
    return as_pictures((difference.clamp(-2, 2) * factor)[None])[0], factor


MIN_CELL = 96  # pixels that a small picture is enlarged to, without smoothing
MARGIN, TEXT = 8, 14  # pixels
PAPER, INK, BLANK = "#ffffff", "#1f2937", "#e5e7eb"


@functools.cache
def _font(size: int = TEXT) -> ImageFont.FreeTypeFont:
    import matplotlib  # its font has Greek letters; here: slow to import

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _fitted(text: str, width: int) -> str:
    """A text cut so that it is at most `width` pixels long."""
    if _font().getlength(text) <= width:
        return text
    while text and _font().getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most `width` pixels, broken at spaces."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _font().getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [line for line in lines if line]


def grid_png(*args, **kwargs) -> bytes:
    """`grid_sheet` as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(grid_sheet(*args, **kwargs)).save(buffer, format="PNG")
    return buffer.getvalue()


def grid_sheet(
    pictures: Sequence[Sequence[np.ndarray | None]],
    across: Sequence[str],
    down: Sequence[str] = (),
    x: str = "",
    y: str = "",
    caption: str = "",
) -> np.ndarray:
    """Pictures in rows and columns with labels at the left and on top.

    Args:
        pictures: rows of uint8 (H, W, 3); None leaves a grey cell.
        across, down: labels of columns and rows; no row labels when `down` is empty.
        x, y: what the labels are values of.
        caption: text below.

    Returns:
        uint8 (H, W, 3).
    """
    made = [p for row in pictures for p in row if p is not None]
    side = max((p.shape[1] for p in made), default=MIN_CELL)
    cell = side * max(1, -(-MIN_CELL // side))
    line = TEXT + 6
    rows, columns = len(pictures), len(across)
    longest = max((_font().getlength(str(d)) for d in [*down, y]), default=0) if down else 0
    left = MARGIN + (min(math.ceil(longest), 3 * cell) + MARGIN if down else 0)
    top = MARGIN + line * (2 if x else 1)
    width = left + columns * (cell + MARGIN)
    below = _wrapped(caption, width - 2 * MARGIN)
    foot = top + rows * (cell + MARGIN)
    height = foot + line * len(below)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)

    def write(where: tuple[float, float], text: str, room: int, anchor: str) -> None:
        draw.text(where, _fitted(str(text), room), fill=INK, font=_font(), anchor=anchor)

    if x:
        write((left, MARGIN), x, width - left - MARGIN, "lt")
    if y and down:
        write((MARGIN, top - line), y, left - MARGIN, "lt")
    for j, label in enumerate(across):
        write((left + j * (cell + MARGIN) + cell / 2, top - line), label, cell, "mt")
    for i, row in enumerate(pictures):
        up = top + i * (cell + MARGIN)
        if down:
            write((left - MARGIN, up + cell / 2), down[i], left - 2 * MARGIN, "rm")
        for j, picture in enumerate(row):
            at = (left + j * (cell + MARGIN), up)
            if picture is None:
                draw.rectangle((*at, at[0] + cell - 1, at[1] + cell - 1), fill=BLANK)
            else:
                sheet.paste(Image.fromarray(picture).resize((cell, cell), Image.Resampling.NEAREST), at)
    for i, text in enumerate(below):
        write((MARGIN, foot + i * line), text, width - 2 * MARGIN, "lt")
    return np.asarray(sheet)


def to_uint8(x: Tensor) -> Tensor:
    """Pictures in [-1, 1] as bytes with EDM's rounding (Karras et al. 2022), `clip(127.5 x + 128, 0, 255)`.

    Args:
        x: any shape; values outside [-1, 1] are clipped.

    Returns:
        uint8 of the same shape and device: -1 gives 0, 0 gives 128, 1 gives 255.

    Raises:
        ValueError: x holds a NaN, which has no colour.
    """
    if x.isnan().any():
        raise ValueError("The picture holds NaN: use a gentler setting, the numbers behind it have overflowed.")
    return (x.detach().float() * 127.5 + 128.0).clip(0, 255).to(torch.uint8)
