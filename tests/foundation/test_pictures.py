"""Picture files of any origin become what a viewer would show, cropped to the central square."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from foundation.datasets import DataError, open_dataset
from foundation.pictures import read_picture

RNG = np.random.default_rng(0)


def random_pictures(n, side=32):
    return RNG.integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def encoded(pixels, **options):
    out = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(out, **options)
    return io.BytesIO(out.getvalue())


def test_centre_is_cropped():
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = random_pictures(1)[0]
    wide[:, :32] = wide[:, 64:] = (255, 0, 0)
    assert np.array_equal(read_picture(encoded(wide, format="PNG"), 32), wide[:, 32:64])
    tall = wide.transpose(1, 0, 2)
    assert np.array_equal(read_picture(encoded(tall, format="PNG"), 32), tall[32:64])


def test_exif_orientation_is_honoured():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32] = 255  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise: white on the right
    seen = read_picture(encoded(picture, format="JPEG", exif=exif), 16)
    assert seen[:, 10:].min() > 230 and seen[:, :6].max() < 25


def test_transparent_parts_are_white():
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[8:24, 8:24] = (0, 0, 255, 255)
    seen = read_picture(encoded(rgba, format="PNG"), 32)
    assert seen[0, 0].tolist() == [255] * 3 and seen[16, 16].tolist() == [0, 0, 255]


def test_sixteen_bits_keep_their_greys():
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    seen = read_picture(encoded(Image.fromarray(ramp), format="PNG"), 32)
    assert np.array_equal(seen[..., 0], ramp >> 8)


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "CMYK"])
def test_other_modes_become_colour(mode):
    image = Image.new("RGB", (40, 40), (255, 255, 255)).convert(mode)
    seen = read_picture(encoded(image, format="JPEG" if mode == "CMYK" else "PNG"), 32)
    assert seen.shape == (32, 32, 3) and seen.min() >= 250


def test_large_jpeg_is_reduced_faithfully():
    ramp = np.repeat(np.linspace(0, 255, 1024).astype(np.uint8)[None], 1024, 0)
    seen = read_picture(encoded(np.stack([ramp] * 3, -1), format="JPEG", quality=95), 32)
    np.testing.assert_allclose(seen[5, :, 1], (np.arange(32) + 0.5) / 32 * 255, atol=2.5)


def test_small_jpeg_is_decoded_in_full():
    file = encoded(random_pictures(1, 40)[0], format="JPEG", quality=95)
    expected = Image.open(file).resize((32, 32), Image.Resampling.LANCZOS)
    assert np.array_equal(read_picture(file, 32), np.asarray(expected))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bombs_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    """A header that promises 10,000 x 10,000 pixels; the file itself is tiny."""
    good = encoded(random_pictures(1)[0], format="PNG").getvalue()
    header = b"IHDR" + struct.pack(">II", 10_000, 10_000) + good[24:29]
    bomb = good[:12] + header + struct.pack(">I", zlib.crc32(header)) + good[33:]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # it is our own check that is tested
    monkeypatch.setattr(Image.Image, "convert", lambda *a, **k: pytest.fail("decoded"))
    with pytest.raises(DataError, match="50 megapixels"):
        read_picture(io.BytesIO(bomb), 32)
    monkeypatch.undo()
    (tmp_path / "bomb.png").write_bytes(bomb)
    (tmp_path / "good.png").write_bytes(good)
    data = open_dataset(f"folder:{tmp_path}")
    assert (len(data), data.skipped) == (1, 1)
