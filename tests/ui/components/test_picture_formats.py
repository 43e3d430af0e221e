"""Photographs of phones and odd pixel formats, alike in an upload, in `/edit` and as `folder:` data."""

from __future__ import annotations

import base64
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from foundation.data.decoding import UPLOAD_BYTES, read_picture
from foundation.data.pictures import read_folder
from tests.refusals import refuses
from ui.components.picture_chooser import open_base64, open_picture

SIDE = 16


# ---------------------------------------------------------------------------------------------------------------------
# The three ways


def all_ways(data: bytes, folder: Path, name: str = "x.png", side: int = SIDE) -> np.ndarray:
    """What all three ways make of a file; they must agree to the last byte."""
    uploaded = open_picture(data, side)
    sent = open_base64(base64.b64encode(data).decode(), side)
    (folder / name).write_bytes(data)
    read, skipped = read_folder(folder, side)
    (folder / name).unlink()
    assert skipped == 0 and np.array_equal(uploaded, sent) and np.array_equal(uploaded, read[0])
    return uploaded


# ---------------------------------------------------------------------------------------------------------------------
# PNG files by hand, of any depth and kind


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


def png(values: np.ndarray, depth: int, kind: int, *chunks: bytes) -> bytes:
    """(H, W) or (H, W, C) whole numbers below 2**depth as a PNG."""
    height, width = values.shape[:2]
    flat = values.reshape(height, -1)
    if depth == 16:
        rows = flat.astype(">u2").view(np.uint8).reshape(height, -1)
    elif depth == 8:
        rows = flat.astype(np.uint8)
    else:
        bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    body = b"".join(chunks) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body


def see_through(*values: int) -> bytes:
    """A tRNS chunk: the colour that is transparent."""
    return chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))


def ramp(depth: int) -> np.ndarray:
    """(SIDE, SIDE) from black to white along each row."""
    return np.broadcast_to(np.linspace(0, 2**depth - 1, SIDE).round().astype(np.int64), (SIDE, SIDE)).copy()


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_grey_ramp_of_every_depth(tmp_path, depth):
    values = ramp(depth)
    out = all_ways(png(values, depth, GREY), tmp_path).astype(int)
    wanted = values >> 8 if depth == 16 else values * 255 // (2**depth - 1)
    assert np.array_equal(out[..., 0], wanted) and np.ptp(out, axis=2).max() == 0
    assert (np.diff(out[0, :, 0]) >= 0).all() and (depth < 8 or (np.diff(out[0, :, 0]) > 0).all())


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_every_depth_is_white(tmp_path, depth):
    values = ramp(depth)
    key = int(values[0, 5])
    out = all_ways(png(values, depth, GREY, see_through(key)), tmp_path).astype(int)[..., 0]
    wanted = values >> 8 if depth == 16 else values * 255 // (2**depth - 1)
    assert np.array_equal(out, np.where(values == key, 255, wanted))


@pytest.mark.parametrize("depth", [8, 16])
def test_grey_with_alpha(tmp_path, depth):
    top = 2**depth - 1
    values = np.stack([ramp(depth), np.zeros((SIDE, SIDE), int)], -1)
    values[:, 4:, 1] = top
    values[:, 12:, 1] = top // 2
    out = all_ways(png(values, depth, GREY_ALPHA), tmp_path).astype(int)[..., 1]
    grey = (ramp(depth) / top * 255)[0]
    assert (out[:, :4] == 255).all() and np.abs(out[0, 4:12] - grey[4:12]).max() <= 1
    assert np.abs(out[0, 12:] - (grey[12:] + 255) / 2).max() <= 2


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_is_white(tmp_path, depth):
    up = ramp(depth)
    values = np.stack([up, up, up[:, ::-1]], -1)
    key = values[0, 3]
    out = all_ways(png(values, depth, RGB, see_through(*key)), tmp_path).astype(int)
    plain = values >> (depth - 8)
    assert (out[:, 3] == 255).all() and np.array_equal(np.delete(out, 3, 1), np.delete(plain, 3, 1))


@pytest.mark.parametrize("depth", [8, 16])
def test_colour_with_alpha(tmp_path, depth):
    top = 2**depth - 1
    values = np.zeros((SIDE, SIDE, 4), int)
    values[..., 0] = top
    values[:8, :, 3], values[8:, :, 3] = top, top // 4
    out = all_ways(png(values, depth, RGBA), tmp_path).astype(int)
    assert (out[:7] == (255, 0, 0)).all() and np.abs(out[9:] - (255, 191, 191)).max() <= 1


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_palette_with_transparency(tmp_path, depth):
    colours = [(255, 0, 0), (0, 0, 255)]
    values = np.zeros((SIDE, SIDE), int)
    values[:, 8:] = 1
    table = chunk(b"PLTE", bytes(sum(colours, ())))
    out = all_ways(png(values, depth, PALETTE, table, chunk(b"tRNS", b"\x00")), tmp_path)
    assert (out[:, :8] == 255).all() and (out[:, 8:] == (0, 0, 255)).all()
    half = all_ways(png(values, depth, PALETTE, table, chunk(b"tRNS", b"\xff\x80")), tmp_path).astype(int)
    assert (half[:, :8] == (255, 0, 0)).all() and np.abs(half[:, 8:] - (127, 127, 255)).max() <= 1


def test_transparency_in_webp(tmp_path):
    clear = Image.new("RGBA", (40, 40), (0, 0, 255, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 20, 40))
    out = all_ways(saved(clear, "WEBP", lossless=True), tmp_path, "x.webp").astype(int)
    assert np.abs(out[:, :7] - (0, 0, 255)).max() <= 2 and out[:, 9:].min() >= 254


# ---------------------------------------------------------------------------------------------------------------------
# Colours


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("ink", [(0, 255, 255, 0), (255, 0, 255, 0), (0, 0, 0, 255), (0, 0, 0, 0)])
def test_print_colours_of_adobe(tmp_path, ink):
    """Adobe stores inks inverted, and says so in a marker."""
    data = saved(Image.new("CMYK", (40, 40), ink), "JPEG", quality=95)
    assert b"Adobe" in data
    c, m, y, k = (1 - v / 255 for v in ink)
    wanted = np.round(np.array([c * k, m * k, y * k]) * 255)
    assert np.abs(all_ways(data, tmp_path, "x.jpg").astype(int) - wanted).max() <= 12


def matrix_profile(primaries: np.ndarray, gamma: float, white=(0.9642, 1.0, 0.8249)) -> bytes:
    """An ICC display profile (version 2): columns of XYZ under D50 for red, green and blue, and one exponent."""

    def s15(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    def xyz(values) -> bytes:
        return b"XYZ \0\0\0\0" + s15(*values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"test display\0"
    about = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(12) + bytes(67)
    tags = {b"desc": about + bytes(-len(about) % 4), b"cprt": b"text\0\0\0\0none\0\0\0\0", b"wtpt": xyz(white),
            **{n: xyz(primaries[:, i]) for i, n in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
            **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)}  # fmt: skip
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + s15(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


# columns: red, green, blue of Display P3 in XYZ, adapted to D50 (the published profile's values)
P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
# and those of sRGB
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


def srgb_bytes(linear: np.ndarray) -> np.ndarray:
    """Linear light as sRGB bytes (IEC 61966-2-1)."""
    x = linear.clip(0, 1)
    return np.round(255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("colour", [(200, 90, 60), (40, 180, 90), (128, 128, 128), (30, 60, 200)])
def test_display_p3_is_converted(tmp_path, kind, colour):
    gamma = 563 / 256  # 2.2 as a profile stores it
    data = saved(Image.new("RGB", (40, 40), colour), kind, icc_profile=matrix_profile(P3, gamma), quality=95)
    light = np.linalg.solve(SRGB, P3 @ (np.array(colour) / 255) ** gamma)
    out = all_ways(data, tmp_path, f"x.{kind.lower()}").astype(int)
    off = 2 if kind == "PNG" else 6
    assert np.abs(out - srgb_bytes(light)).max() <= off
    if colour[0] != colour[1]:
        assert np.abs(srgb_bytes(light) - colour).max() > 4  # it matters


def test_a_picture_that_says_srgb_stays_as_it_is(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(all_ways(saved(Image.fromarray(pixels), "PNG", icc_profile=profile), tmp_path), pixels)


@pytest.mark.parametrize("profile", [b"x", b"\0" * 128, matrix_profile(P3, 2.2)[:300], bytes(200_000)], ids=len)
def test_a_broken_profile_is_no_profile(tmp_path, profile):
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    assert np.array_equal(all_ways(saved(Image.fromarray(pixels), "PNG", icc_profile=profile), tmp_path), pixels)


def test_a_profile_and_transparency(tmp_path):
    clear = Image.new("RGBA", (SIDE, SIDE), (200, 90, 60, 0))
    clear.paste((200, 90, 60, 255), (0, 0, 8, SIDE))
    out = all_ways(saved(clear, "PNG", icc_profile=matrix_profile(P3, 563 / 256)), tmp_path).astype(int)
    light = np.linalg.solve(SRGB, P3 @ (np.array((200, 90, 60)) / 255) ** (563 / 256))
    assert (out[:, 8:] == 255).all() and np.abs(out[:, :8] - srgb_bytes(light)).max() <= 2


# ---------------------------------------------------------------------------------------------------------------------
# Turns

TURNS = {  # EXIF 0x0112: what the camera's rows and columns are, as a function of the upright picture
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}  # fmt: skip


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("big", [False, True])
def test_every_turn(tmp_path, turn, kind, big):
    """Four corners of different colours, upright again whatever the camera was held like."""
    upright = np.zeros((8, 12, 3), np.uint8)
    upright[:4, :6], upright[:4, 6:], upright[4:, :6], upright[4:, 6:] = (250, 0, 0), (0, 250, 0), (0, 0, 250), 250
    upright = upright.repeat(250 if big else 8, 0).repeat(250 if big else 8, 1)
    exif = Image.Exif()
    exif[0x0112] = turn
    data = saved(Image.fromarray(np.ascontiguousarray(TURNS[turn](upright))), kind, exif=exif, quality=95)
    out = all_ways(data, tmp_path, f"x.{kind.lower()}").astype(int)
    seen = [out[2, 2], out[2, -3], out[-3, 2], out[-3, -3]]
    wanted = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 250)]
    assert np.abs(np.array(seen) - wanted).max() <= 12


# ---------------------------------------------------------------------------------------------------------------------
# Phones

WIDE, HIGH = 4032, 3024


def scene() -> np.ndarray:
    """A smooth picture of a phone's size with fine noise, which makes its files as long as a camera's."""
    y, x = np.mgrid[0:HIGH, 0:WIDE].astype(np.float32)
    grey = np.stack([x / WIDE, y / HIGH, 0.5 + 0.4 * np.sin(x / 700)], -1) * 235
    noise = np.random.default_rng(0).integers(0, 8, (HIGH, WIDE, 1), np.uint8)
    return (grey + noise).astype(np.uint8)


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return scene()


def expected(pixels: np.ndarray, side: int) -> np.ndarray:
    """Means over the squares that a pixel of the small picture covers."""
    left = (pixels.shape[1] - pixels.shape[0]) // 2
    square = pixels[:, left : left + pixels.shape[0]].astype(np.float64)
    edges = np.linspace(0, len(square), side + 1).round().astype(int)
    rows = np.stack([square[a:b].mean(0) for a, b in zip(edges, edges[1:], strict=False)])
    return np.stack([rows[:, a:b].mean(1) for a, b in zip(edges, edges[1:], strict=False)], 1)


def peak(reset: bool = False) -> int:
    """Most memory that this process held since the last reset, in bytes."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


# per kind of file: options, length at least, memory beyond the file at most (decoded, RGB takes 4 bytes a pixel)
PHONES = {
    "JPEG": ({"quality": 97}, 2.5e6, 24 * 2**20),
    "JPEG progressive": ({"quality": 97, "progressive": True}, 2.5e6, 90 * 2**20),
    "PNG": ({"compress_level": 1}, 9e6, 100 * 2**20),
    "PNG RGBA": ({"compress_level": 1}, 9e6, 100 * 2**20),
    "WEBP": ({"quality": 90, "method": 0}, 4e5, 300 * 2**20),
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from Linux")
@pytest.mark.parametrize("kind", PHONES)
def test_a_phones_photograph_is_shrunk_and_used(photograph, tmp_path, kind):
    options, least, most = PHONES[kind]
    image = Image.fromarray(photograph)
    if "RGBA" in kind:
        image.putalpha(255)
    data = saved(image, kind.split()[0], **options)
    del image
    assert least < len(data) < UPLOAD_BYTES
    start = peak(reset=True)
    out = open_picture(data, 32)
    assert peak() - start < most, (peak() - start) / 2**20
    assert np.abs(out.astype(int) - expected(photograph, 32)).max() <= 5
    assert np.array_equal(all_ways(data, tmp_path, f"x.{kind.split()[0].lower()}", 32), out)


def test_a_phone_that_was_held_upright(photograph, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(photograph), "JPEG", quality=80, exif=exif)
    out = all_ways(data, tmp_path, "x.jpg", 32).astype(int)
    assert np.abs(out - expected(photograph, 32).transpose(1, 0, 2)[:, ::-1]).max() <= 6


def test_two_pictures_in_one_file(tmp_path):
    """Phones put a second one into a JPEG (MPO): the first counts."""
    first, second = Image.new("RGB", (40, 40), (200, 10, 10)), Image.new("RGB", (40, 40), (10, 200, 10))
    data = saved(first, "MPO", save_all=True, append_images=[second], quality=95)
    assert np.abs(all_ways(data, tmp_path, "x.jpg").astype(int) - (200, 10, 10)).max() <= 3


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"avif"])
def test_a_heic_file_is_named_whatever_its_name_is(brand):
    data = struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1" + brand + bytes(500)
    with refuses("picture") as caught:
        open_picture(data, SIDE, "The reference")
    said = str(caught.value)
    assert said.startswith("The reference") and ("AVIF" if brand == b"avif" else "HEIC") in said


def test_decoding_for_training_keeps_its_own_bound(monkeypatch):
    """A folder may hold larger pictures than a stranger may send."""
    data = saved(Image.new("L", (6000, 5000)), "PNG")
    assert read_picture(io.BytesIO(data), SIDE).shape == (SIDE, SIDE, 3)
    with refuses("picture", "25 megapixels"):
        open_picture(data, SIDE)
