"""Picture files of any origin become what a viewer would show, cropped to the central square."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from foundation.data.datasets import DataError, open_dataset
from foundation.data.decoding import read_picture
from foundation.data.pictures import from_bytes, to_bytes

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
    with pytest.raises(DataError, match="50"):
        read_picture(io.BytesIO(bomb), 32)
    monkeypatch.undo()
    (tmp_path / "bomb.png").write_bytes(bomb)
    (tmp_path / "good.png").write_bytes(good)
    data = open_dataset(f"folder:{tmp_path}")
    assert (len(data), data.skipped) == (1, 1)


# --- floats and bytes ------------------------------------------------------------------------------------------


def test_bytes_survive_the_way_through_floats():
    levels = torch.arange(256, dtype=torch.uint8)
    x = from_bytes(levels)
    assert x.dtype == torch.float32 and float(x[0]) == -1 and float(x[-1]) == 1
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(to_bytes(x.to(dtype)), levels)
    assert torch.equal(to_bytes(from_bytes(to_bytes(x))), levels)


def test_the_nearest_level_is_taken_halves_upwards():
    x = np.random.default_rng(0).uniform(-1.2, 1.2, 100_000).astype(np.float32)
    exact = np.clip(x.astype(np.float64) * 127.5 + 127.5, 0, 255)
    nearest = np.floor(exact + 0.5)
    got = to_bytes(torch.from_numpy(x)).numpy()
    clear = np.abs(exact + 0.5 - np.round(exact + 0.5)) > 1e-4  # float32 resolves 127.5 x + 128 to 1.5e-5
    assert clear.mean() > 0.99 and (got[clear] == nearest[clear]).all()
    assert np.abs(got - exact).max() <= 0.5001
    assert to_bytes(torch.zeros(1)).item() == 128  # 127.5 is a half


def test_out_of_range_is_clipped_and_nan_has_no_colour():
    assert to_bytes(torch.tensor([-2.0, -1.01, 1.01, 9.0, torch.inf, -torch.inf])).tolist() == [0, 0, 255, 255, 255, 0]
    with pytest.raises(ValueError):
        to_bytes(torch.tensor([0.0, torch.nan]))


def test_edms_statistics_round_in_the_same_way():
    x = torch.linspace(-1.5, 1.5, 200_001)
    edm = np.clip(x.numpy() * np.float32(127.5) + np.float32(128), 0, 255).astype(np.uint8)
    assert torch.equal(to_bytes(x), torch.from_numpy(edm))
    to_even = torch.round((x.double() + 1) * 127.5).clamp(0, 255).to(torch.uint8)
    assert (to_bytes(x) != to_even).double().mean() < 0.01
    cut_off = ((x.double() + 1) * 127.5).clamp(0, 255).to(torch.uint8)  # without the half: darker by half a level
    inside = x.abs() < 1
    darker = to_bytes(x)[inside].double() - cut_off[inside].double()
    assert abs(float(darker.mean()) - 0.5) < 0.01
