"""The canvas: what it is given, and what comes back from a browser."""

from __future__ import annotations

import base64
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.refusals import refuses
from ui.components.painter import HOLES, MAX_PACKED_SIDE, canvas_value, hole, packed, painted, unpacked


def event(data):
    return SimpleNamespace(_data=data)


def test_what_the_canvas_shows_comes_back():
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    mask = np.zeros((16, 16), np.uint8)
    mask[2, 5:9] = 255
    value = json.loads(canvas_value(picture, mask))
    shown = Image.open(io.BytesIO(base64.b64decode(value["picture"].split(",")[1])))
    assert value["side"] == 16 and np.array_equal(np.asarray(shown), picture)
    assert np.array_equal(painted(event({"mask": value["mask"]}), 16), mask)  # row by row, not column by column


def test_an_empty_canvas_is_no_mask():
    value = json.loads(canvas_value(np.zeros((8, 8, 3), np.uint8)))
    assert painted(event({"mask": value["mask"]}), 8) is None


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"mask": None}, {"mask": [1] * 64}, {"mask": "1" * 63}, {"mask": "2" * 64}, {"mask": "١" * 64}],
)
def test_anything_else_is_refused(data):
    with refuses("mask"):
        painted(event(data), 8)


def blob(side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 3
    return ((np.hypot(x, y) < side / 5) * 255).astype(np.uint8)


@pytest.mark.parametrize("side", [1, 7, 16, 64, MAX_PACKED_SIDE])
def test_a_mask_is_a_short_text_and_comes_back(side):
    whole = np.full((side, side), 255, np.uint8)
    for mask in (whole, blob(side), *(hole(name, side) for name in HOLES)):
        text = packed(mask)
        back = unpacked(text)
        assert text == "" and back is None if not mask.any() else np.array_equal(back, mask)
        assert len(text) <= 4 + -(-side * side // 6)  # the worst of all masks has six pixels a letter
    assert len(packed(blob(64))) < 120 and len(packed(whole)) < 10


def test_what_is_packed_by_hand_is_read():
    # side 2: one pixel of nothing, two painted, one of nothing; and the first and the last of four
    assert unpacked("2rBCB").tolist() == [[0, 255], [255, 0]] and unpacked("2bJ").tolist() == [[255, 0], [0, 255]]
    assert packed(np.array([[0, 255], [255, 0]], np.uint8)) == "2bG"
    assert unpacked("9rAxC").all()  # nothing, then 81 = 17 + 2 * 32 in two letters
    with refuses("mask"):
        unpacked("9rAxCB")


def test_ready_made_holes():
    square, left, dots = (hole(name, 32) for name in HOLES)
    assert square[8:24, 8:24].all() and square.astype(bool).sum() == 256
    assert left[:, :16].all() and not left[:, 16:].any()
    assert dots.astype(bool).sum() == 512 and np.array_equal(dots, hole("random dots", 32))
    with pytest.raises(ValueError, match="star"):
        hole("star", 32)
