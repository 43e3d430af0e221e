"""Picture files, base64 text, paintings and clicks that a browser never sends."""

from __future__ import annotations

import base64
import warnings
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from analysis.flow.clouds import drawing_of
from foundation.data.decoding import UPLOAD_PIXELS
from tests.hostile.judge import assert_finite, judged
from tests.hostile.strategies import ANY, fuzz, mutated, png
from tests.ui.components.test_picture_chooser import bomb, chunk, header, wide_webp
from ui.components.painter import painted
from ui.components.picture_chooser import open_base64, open_mask_base64, open_picture
from ui.components.plot import points

SIDE = 16
KINDS = {"PNG": png(24), "JPEG": png(24, kind="JPEG"), "WEBP": png(24, kind="WEBP"), "palette": png(24, "P")}


def assert_picture(out: np.ndarray) -> None:
    assert type(out) is np.ndarray and out.dtype == np.uint8 and out.shape[:2] == (SIDE, SIDE)


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(kind):
    @fuzz(60)
    @given(data=mutated(KINDS[kind], header=60))
    def every(data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's about odd files
            judged(lambda: open_picture(data, SIDE), check=assert_picture)

    every()


@fuzz(60)
@given(width=st.integers(0, 2**32 - 1), height=st.integers(0, 2**32 - 1), end=st.booleans())
def test_headers_that_claim_any_size(width, height, end):
    data = b"\x89PNG\r\n\x1a\n" + header(width, height)
    data += chunk(b"IDAT", b"x") + chunk(b"IEND", b"") if end else b""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert judged(lambda: open_picture(data, SIDE), check=assert_picture) is None


@pytest.mark.parametrize("data", [bomb(), bomb(60_000, 900), wide_webp(), wide_webp(4_000)], ids=len)
def test_bombs(data):
    assert len(data) < 25_000 and max(UPLOAD_PIXELS.values()) < 13_000**2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert judged(lambda: open_picture(data, SIDE)) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("turn", [*range(-1, 10), 2**16 - 1])
def test_every_turn_of_exif(kind, turn):
    exif = Image.Exif()
    exif[0x0112] = turn % 2**16
    exif[0x010E] = "home address"
    out = judged(lambda: open_picture(png(24, kind=kind, exif=exif), SIDE), check=assert_picture)
    plain = open_picture(png(24, kind=kind), SIDE)
    turned = turn in range(2, 9)
    assert (not np.array_equal(out, plain)) == turned and b"home" not in out.tobytes()


@pytest.mark.parametrize("reader", [open_base64, open_mask_base64])
def test_text_that_is_no_picture(reader):
    @fuzz(60)
    @given(text=ANY | mutated(base64.b64encode(KINDS["PNG"]), header=40).map(lambda b: b.decode("latin-1")))
    def every(text):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            judged(lambda: reader(text, SIDE), check=assert_picture)

    every()


def event(value) -> gr.EventData:
    return SimpleNamespace(_data=value, target=None)


@fuzz(80)
@given(value=ANY | st.fixed_dictionaries({"mask": ANY | st.text("01", min_size=250, max_size=260)}))
def test_paintings(value):
    def clean(mask) -> None:
        assert mask is None or (mask.shape == (SIDE, SIDE) and mask.dtype == np.uint8)

    judged(lambda: painted(event(value), SIDE), check=clean)


@fuzz(60)
@given(
    value=ANY | st.fixed_dictionaries({"points": ANY | st.lists(st.integers(-2, 70) | st.floats(0, 9), max_size=70)})
)
def test_clicks_on_a_plot(value):
    def clean(found) -> None:
        assert all(type(p) is int and 0 <= p < 64 for p in found) and len(found) <= 64

    judged(lambda: points(event(value), 64), check=clean)


@fuzz(60)
@given(value=ANY | st.lists(st.lists(st.floats() | st.integers(), min_size=2, max_size=4), min_size=2, max_size=4))
def test_drawings(value):
    judged(lambda: drawing_of(value), check=assert_finite)
