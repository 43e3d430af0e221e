"""Picture files of any origin as small square arrays: the one place where pictures that people bring are decoded.

Whatever a file holds (16 bits, a palette, transparency, printing inks, another colour space, a turned camera) ends as
8-bit sRGB on white, and a phone's photograph costs little more memory than its pixels.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from foundation.data.readers import MAX_PIXELS
from foundation.files.locations import DataError

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

UPLOAD_BYTES = 16 * 2**20  # of a file of a stranger; a phone's photograph of 12 megapixels as PNG has 10 to 15 MB
# of a stranger's picture, by what decoding costs: a JPEG is decoded at a fraction of its size, WebP is held four times
UPLOAD_PIXELS = {"JPEG": 50_000_000, "PNG": 25_000_000, "WEBP": 12_500_000}
LARGE_PIXELS = 4_000_000  # pixels from which a picture is brought to colour and shrunk in strips
STRIP = 2**20  # pixels of a strip, about

_PNG, _DEPTH = b"\x89PNG\r\n\x1a\n", 24  # signature; place of the bits a channel
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_TURNED = 0x0112  # EXIF
_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_one_at_a_time = threading.Lock()  # several large pictures at once would take several times the memory


class PictureError(DataError):
    """A picture that cannot be used.

    Args:
        problem: what is wrong with it and the cure, to be said of "the picture".
    """

    def __init__(self, problem: str):
        super().__init__(f"The picture {problem}.")
        self.problem = problem


def limit_decoders() -> None:
    """Make Pillow refuse pictures over MAX_PIXELS from their headers, whoever decodes them in this process.

    `read_picture` looks at the header itself; this is for what Gradio or a later part of the page may decode.
    """
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def read_picture(file: Path | BinaryIO, size: int, uploaded: bool = False) -> np.ndarray:
    """One picture: turned as its EXIF says, in sRGB, on white where transparent, central square, LANCZOS to size.

    Args:
        file: PNG, JPEG or WebP.
        size: pixels a side of the result.
        uploaded: by a stranger, to whom UPLOAD_PIXELS apply; else the bound is 50 megapixels.

    Returns:
        uint8 (size, size, 3).

    Raises:
        PictureError: too many pixels, another kind of file, or damaged.
    """
    if isinstance(file, Path):
        with file.open("rb") as stream:
            return read_picture(stream, size, uploaded)
    head = file.read(_DEPTH + 1)
    file.seek(0)
    try:
        with Image.open(file, formats=PICTURE_FORMATS) as image, _one_at_a_time:  # reads the header only
            most = UPLOAD_PIXELS["JPEG" if image.format == "MPO" else str(image.format)] if uploaded else MAX_PIXELS
            if image.width * image.height > most:
                raise _too_large(most, f"{image.width}x{image.height} pixels, ")
            return _small(image, size, head[_DEPTH] if head.startswith(_PNG) else 8)
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(MAX_PIXELS) from None
    except UnidentifiedImageError:
        raise PictureError(_another_kind(head)) from None
    except Exception:  # decoders of damaged files raise nearly anything
        raise PictureError("is damaged and cannot be read: save it again or choose another one") from None


def _too_large(most: int, size: str = "") -> PictureError:
    return PictureError(f"has {size}more than {most / 10**6:g} megapixels: reduce it")


def _another_kind(head: bytes) -> str:
    """What a file is that is none of ours, and the cure."""
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in _HEIC:
        return (
            "is a HEIC file, whatever its name says: save it as JPEG, or let the phone's camera take “most compatible”"
            " pictures"
        )
    if brand in (b"avif", b"avis"):
        return "is an AVIF file, whatever its name says: save it as JPEG or PNG"
    return "is not a PNG, JPEG or WebP file: save it as one of these"


def _small(image: Image.Image, size: int, depth: int) -> np.ndarray:
    """The picture at its size; `depth` = bits a channel in the file."""
    # A large JPEG then decodes at 1/2, 1/4 or 1/8 of its size, never below the size asked here.
    image.draft(None, (2 * size, 2 * size))
    image.load()
    turn = image.getexif().get(_TURNED)
    _unscale_transparency(image, depth)
    to_srgb = _to_srgb(image)
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    if image.width * image.height > LARGE_PIXELS:
        plain, box = _in_strips(image, int(left), int(top), side, size, to_srgb), None
    else:
        plain, box = _plain(image, to_srgb), (left, top, left + side, top + side)
    plain = plain.resize((size, size), Image.Resampling.LANCZOS, box=box)
    return np.asarray(plain.transpose(_TURN[turn]) if turn in _TURN else plain)


def _in_strips(image: Image.Image, left: int, top: int, side: int, size: int, to_srgb: Callable) -> Image.Image:
    """The square of this side as 8-bit RGB, at four times the size or more; full colour for one strip at a time."""
    factor = max(1, side // (4 * size))
    side, left, top = side // factor * factor, left + side % factor // 2, top + side % factor // 2
    rows = max(1, STRIP // side // factor) * factor
    out = Image.new("RGB", (side // factor, side // factor))
    for y in range(0, side, rows):
        part = _plain(image.crop((left, top + y, left + side, top + min(y + rows, side))), to_srgb)
        out.paste(part.reduce(factor) if factor > 1 else part, (0, y // factor))
    return out


def _unscale_transparency(image: Image.Image, depth: int) -> None:
    """Bring the transparent colour of a PNG to its decoded pixels' 8 bits, where Pillow leaves it in the file's."""
    key = image.info.get("transparency")
    if image.mode == "L" and depth in (2, 4) and isinstance(key, int):
        image.info["transparency"] = key * 255 // (2**depth - 1)
    elif image.mode == "RGB" and depth == 16 and isinstance(key, tuple):
        # of each number the upper byte is left; colours that differ in the lower one only become transparent, too
        image.info["transparency"] = tuple(v >> 8 for v in key)


def _plain(image: Image.Image, to_srgb: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """A decoded picture, or a part of it, as 8-bit RGB on white."""
    if image.mode.startswith("I"):  # 16 bits a pixel; convert() would clip all but the darkest to white
        levels = np.asarray(image)
        key = image.info.get("transparency")
        image = Image.fromarray((levels >> 8).clip(0, 255).astype(np.uint8))
        if isinstance(key, int):
            image.putalpha(Image.fromarray((levels != key).astype(np.uint8) * np.uint8(255)))
    if not image.has_transparency_data:
        return to_srgb(image).convert("RGB")
    see_through = image.convert("RGBA")
    colour = to_srgb(see_through.convert("RGB")).convert("RGBA")
    colour.putalpha(see_through.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colour).convert("RGB")


def _to_srgb(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What brings parts of a picture from the colour space that its file names to sRGB.

    Nothing is done where the file names none, names sRGB itself (to two levels), or says something that makes no sense.
    """
    profile = image.info.get("icc_profile")
    if not profile:
        return _as_it_is
    from PIL import ImageCms  # only here: few pictures need it

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}[source.profile.xcolor_space.strip()]
        if (mode == "CMYK") != (image.mode == "CMYK"):
            return _as_it_is
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        levels = np.array([0, 64, 128, 192, 255], np.uint8)
        cube = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(5, 25, 3)
        if mode != "CMYK":
            test = Image.fromarray(cube).convert(mode)
            seen = np.asarray(ImageCms.applyTransform(test, transform)).astype(int)
            if np.abs(seen - np.asarray(test.convert("RGB"))).max() <= 2:
                return _as_it_is
    except (ImageCms.PyCMSError, OSError, LookupError, TypeError, ValueError):
        return _as_it_is

    def to_srgb(part: Image.Image) -> Image.Image:
        return transform.apply(part if part.mode == mode else part.convert(mode))

    return to_srgb


def _as_it_is(part: Image.Image) -> Image.Image:
    return part
