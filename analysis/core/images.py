"""Images as bytes: tensors as uint8, differences magnified, PNG and base64, contact sheets."""

from __future__ import annotations

import base64
import binascii
import functools
import io
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from analysis.core.errors import UserError
from foundation.data.pictures import to_bytes

ImageProgress = Callable[[float, np.ndarray], None]  # share done, and the picture so far; may raise to cancel
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
        raise UserError(f"The picture is not finite with these settings: {cure}.", "picture")
    return to_bytes(x).permute(0, 2, 3, 1).contiguous().numpy()


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


def change_of(after: np.ndarray, before: np.ndarray, times: float) -> np.ndarray:
    """What changed from one picture to another, around mid-grey, by a factor that does not depend on the pictures.

    So two changes can be compared by eye, which `magnified` does not allow.

    Args:
        after, before: uint8 (H, W, C).
        times: the factor; what then leaves 0 to 255 is clipped.

    Returns:
        uint8 (H, W, C), 128 where nothing changed.
    """
    moved = after.astype(np.float32) - before.astype(np.float32)
    return np.clip(np.round(128 + times * moved), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------------------------------------------------------------
# Given images

MIN_SIDE, MAX_SIDE = 8, 256  # pixels


def checked_image(value: Any, what: str = "The picture") -> np.ndarray:
    """A read-only copy of an uint8 (H, W, 3) picture, or a UserError naming `what`."""
    good = isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 3 and value.shape[2] == 3
    if not good or not all(MIN_SIDE <= n <= MAX_SIDE for n in value.shape[:2]):
        raise UserError(f"{what} must be 8-bit RGB of the model's size: upload it as PNG, JPEG or WebP.", "picture")
    return _read_only(value)


def checked_mask(value: Any, what: str = "The mask") -> np.ndarray:
    """A mask as read-only uint8 (H, W), 255 = fully painted, or a UserError naming `what`.

    Args:
        value: bool, float in [0, 1] or uint8 (0 to 255, or 0 and 1).
        what: what to call it.
    """
    cure = UserError(
        f"{what} must be a grid of numbers from 0 to 1 as high and wide as the picture: paint it again.", "mask"
    )
    if not isinstance(value, np.ndarray) or value.ndim != 2 or not all(1 <= n <= MAX_SIDE for n in value.shape):
        raise cure
    if value.dtype == np.bool_:
        return _read_only(value.astype(np.uint8) * np.uint8(255))
    if value.dtype == np.uint8:
        return _read_only(value * np.uint8(255) if value.max() <= 1 else value)
    if value.dtype.kind != "f" or not np.isfinite(value).all() or value.min() < 0 or value.max() > 1:
        raise cure
    return _read_only(np.round(value * 255).astype(np.uint8))


def _read_only(value: np.ndarray) -> np.ndarray:
    value = np.array(value, order="C")
    value.setflags(write=False)
    return value


# ---------------------------------------------------------------------------------------------------------------------
# PNG

MAX_EMBEDDED = 64  # pixels a side of a picture inside a recipe


def png_bytes(picture: np.ndarray) -> bytes:
    """uint8 (H, W, 3), (H, W, 1) or (H, W) as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[2:] == (1,) else picture).save(buffer, format="PNG")
    return buffer.getvalue()


def png_base64(picture: np.ndarray) -> str:
    """As `png_bytes`, in base64."""
    return base64.b64encode(png_bytes(picture)).decode("ascii")


def data_uri(picture: np.ndarray) -> str:
    """As `png_bytes`, as an address that holds all of it."""
    return f"data:image/png;base64,{png_base64(picture)}"


def data_uris(pictures: Iterable[np.ndarray]) -> list[str]:
    """`data_uri` of each."""
    return [data_uri(p) for p in pictures]


def embed(picture: np.ndarray) -> str:
    """As `png_base64`, of at most 64 x 64 pixels. Raises UserError."""
    if max(picture.shape[:2]) > MAX_EMBEDDED:
        raise UserError(
            f"A recipe holds pictures up to {MAX_EMBEDDED} x {MAX_EMBEDDED} pixels: use a smaller model.", "recipe"
        )
    return png_base64(picture)


def extract(text: Any, mode: str = "RGB") -> np.ndarray:
    """The inverse of `embed`.

    Args:
        text: base64.
        mode: "RGB" or "L".

    Raises:
        UserError: not base64, not a PNG of that mode, more than 64 x 64 pixels, or damaged.
    """
    try:
        return np.asarray(open_png(base64.b64decode(text, validate=True), MAX_EMBEDDED**2, mode))
    except (TypeError, binascii.Error, ValueError):  # what is no text, no ASCII, no base64, or no such PNG
        kind = "RGB" if mode == "RGB" else "8-bit grey"
        raise UserError(
            f"A picture in the recipe is not a {kind} PNG of at most {MAX_EMBEDDED} x {MAX_EMBEDDED} pixels."
        ) from None


def open_png(data: bytes, most_pixels: int, mode: str | None = None) -> Image.Image:
    """A PNG whose size is checked in its header before anything is decoded; decoded when a mode is asked for.

    Raises:
        UserError: not a PNG of that mode, larger, or damaged.
    """
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR" or len(data) < 33:
        raise UserError("This is not a PNG file: choose one that this program saved.", "png")
    width, height = struct.unpack(">II", data[16:24])
    if not 0 < width * height <= most_pixels:
        raise UserError(
            f"The PNG has {width} x {height} pixels, more than are accepted here: choose a smaller one.", "png"
        )
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG",))
        if image.size != (width, height) or mode not in (None, image.mode):
            raise ValueError("a second header, or another mode")
        if mode is not None:
            image.load()
    except Exception:  # decoders of damaged files raise nearly anything
        raise UserError("The PNG file is damaged or of another kind: use one that this program saved.", "png") from None
    return image


# ---------------------------------------------------------------------------------------------------------------------
# Contact sheets

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
    return png_bytes(grid_sheet(*args, **kwargs))


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
