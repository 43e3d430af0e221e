"""Pictures that people bring, honest and hostile."""

from __future__ import annotations

import base64
import io
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from analysis.core.errors import UserError
from foundation.data.decoding import UPLOAD_BYTES, limit_decoders
from tests.refusals import refuses
from ui.components import picture_chooser
from ui.components.picture_chooser import fitted, open_base64, open_mask_base64, open_picture, photograph

RED, GREEN = (200, 30, 40), (20, 180, 60)


def halves(width=40, height=20) -> Image.Image:
    """Left red, right green."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height))
    return image


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))


def bomb(width=13_000, height=13_000) -> bytes:
    """A small PNG of very many black pixels."""
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(bytes(width // 8 + 1)) for _ in range(height)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + header(width, height) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def wide_webp(side=16_000) -> bytes:
    """90 bytes that claim an animation of this side."""
    inner = saved(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    size = (side - 1).to_bytes(3, "little")
    frame = bytes(16) + inner
    parts = b"VP8X" + struct.pack("<I", 10) + bytes([2, 0, 0, 0]) + size + size
    parts += b"ANIM" + struct.pack("<I", 6) + bytes(6) + b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts


# honest pictures


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_central_square_of_each_kind(kind):
    out = open_picture(saved(halves(), kind, quality=95), 8)
    assert out.shape == (8, 8, 3) and out.dtype == np.uint8
    assert np.abs(out[:, 0].astype(int) - RED).max() < 12 and np.abs(out[:, -1].astype(int) - GREEN).max() < 12


def test_a_picture_of_the_models_size_stays_as_it_is():
    exact = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    assert np.array_equal(open_picture(saved(Image.fromarray(exact), "PNG"), 16), exact)


def test_a_phone_that_was_held_sideways():
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    out = open_picture(saved(halves(), "JPEG", exif=exif, quality=95), 8)
    assert out[0, 0, 1] > out[0, 0, 0]  # green is on the left now


def test_what_is_transparent_is_white():
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (open_picture(saved(clear, "PNG"), 8) == 255).all()
    assert (open_picture(saved(Image.new("LA", (8, 8), (0, 0)), "PNG"), 8) == 255).all()
    half = open_picture(saved(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG"), 8)
    assert np.abs(half.astype(int) - 127).max() <= 1


def test_one_bit_sixteen_bits_and_print_colours():
    assert (open_picture(saved(Image.new("1", (8, 8), 1), "PNG"), 8) == 255).all()
    deep = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    assert np.abs(open_picture(saved(deep, "PNG"), 8).astype(int) - 40_000 // 256).max() <= 1
    ink = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    out = open_picture(saved(ink, "JPEG"), 8)
    assert (out[..., 0] > 220).all() and (out[..., 1:] < 40).all()  # red


def test_no_metadata_survives():
    image = halves()
    exif = Image.Exif()
    exif[0x010E] = "home address"
    out = open_picture(saved(image, "PNG", exif=exif), 16)
    assert type(out) is np.ndarray and b"home address" not in out.tobytes()


# hostile ones


HOSTILE = {
    "empty": (b"", None),
    "nothing": (None, None),
    "text": (b"hello", None),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>', None),
    "gif": (saved(halves(), "GIF"), None),
    "bmp": (saved(halves(), "BMP"), None),
    "tiff": (saved(halves(), "TIFF"), None),
    "truncated PNG": (saved(halves(400, 400), "PNG")[:-200], None),
    "truncated JPEG": (saved(halves(400, 400), "JPEG")[:600], None),
    "truncated WebP": (saved(halves(400, 400), "WEBP")[:-40], None),
    "header only": (b"\x89PNG\r\n\x1a\n" + header(8, 8), None),
    "26 megapixels": (saved(Image.new("1", (5200, 5000)), "PNG"), "25 megapixels"),
    "wide WebP": (wide_webp(), "50 megapixels"),
    "16 megapixels of WebP": (wide_webp(4000), "12.5 megapixels"),
    "long": (bytes(UPLOAD_BYTES + 1), "16 MB"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_one_sentence(name):
    data, most = HOSTILE[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with refuses("picture", most) as caught:
            open_picture(data, 32, "The reference")
    assert str(caught.value).startswith("The reference") and str(caught.value).endswith(".")


def test_a_bomb_costs_no_more_than_its_header():
    data = bomb()
    assert len(data) < 25_000
    tracemalloc.start()
    with warnings.catch_warnings(), refuses("picture"):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        open_picture(data, 32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_second_header_does_not_help():
    data = b"\x89PNG\r\n\x1a\n" + header(8, 8) + header(13_000, 13_000) + bomb(8, 8)[33:]
    with warnings.catch_warnings(), pytest.raises(UserError):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        open_picture(data, 32)


def test_the_limit_holds_for_everybody(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back afterwards
    with warnings.catch_warnings():
        limit_decoders()
        with pytest.raises((Image.DecompressionBombWarning, Image.DecompressionBombError)):
            Image.open(io.BytesIO(saved(Image.new("1", (8000, 7000)), "PNG")))
        Image.open(io.BytesIO(saved(Image.new("1", (7000, 7000)), "PNG")))


# base64


def text(image: Image.Image) -> str:
    return base64.b64encode(saved(image, "PNG")).decode()


def test_base64_with_and_without_its_prefix():
    plain = open_base64(text(halves()), 8)
    assert np.array_equal(plain, open_picture(saved(halves(), "PNG"), 8))
    assert np.array_equal(open_base64(f"data:image/png;base64,{text(halves())}", 8), plain)


@pytest.mark.parametrize(
    ("value", "most"),
    [
        ("", None),
        (None, None),
        (3, None),
        ("/etc/passwd", None),
        ("http://localhost/x.png", None),
        ("data:image/svg+xml;base64,AAAA", None),
        ("ä" * 10, None),
        ("A" * (UPLOAD_BYTES * 4 // 3 + 100), "16 MB"),
        ("AAAA", None),
    ],
    ids=lambda v: str(v)[:20],
)
def test_base64_that_is_none(value, most):
    with refuses("picture", most):
        open_base64(value, 8)


def test_a_mask_is_a_pictures_brightness():
    grey = np.array([[0, 255], [128, 64]], np.uint8).repeat(4, 0).repeat(4, 1)
    assert np.array_equal(open_mask_base64(text(Image.fromarray(grey)), 8), grey)


# photographs and other sizes


@pytest.mark.parametrize("name", picture_chooser.PHOTOGRAPHS)
def test_photographs_are_in_the_wheel(name):
    out = photograph(name, 32)
    assert out.shape == (32, 32, 3) and out.std() > 10 and not out.flags.writeable


@pytest.mark.parametrize("name", ["../secret", "chelsea.png", "", None, ["cat"]])
def test_no_other_photograph(name):
    with refuses("photograph"):
        picture_chooser.photograph.__wrapped__(name, 32)


def test_fitted():
    picture = photograph("cat", 32)
    assert fitted(picture, 32) is picture
    assert fitted(picture, 16).shape == (16, 16, 3)
    assert fitted(np.full((32, 32), 255, np.uint8), 16).min() == 255
