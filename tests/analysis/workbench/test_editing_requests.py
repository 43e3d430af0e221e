"""Requests of the editing questions: masks of any kind, own copies, sentences for nonsense."""

import math

import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.core.images import checked_mask
from analysis.workbench.editing import EditRequest
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from foundation.procedural import shapes
from tests.refusals import refuses


def scene():
    return shapes.images([3], 16)[0]


def hole():
    mask = np.zeros((16, 16), bool)
    mask[5:12, 3:10] = True
    return mask


def test_masks_of_any_kind():
    flags = hole()
    for mask in (
        flags,
        flags.astype(np.uint8),
        flags.astype(np.uint8) * 255,
        flags.astype(np.float32),
        flags.astype(float),
    ):
        assert np.array_equal(checked_mask(mask), flags * np.uint8(255))
    assert checked_mask(np.full((2, 2), 0.5)).tolist() == [[128, 128]] * 2
    again = checked_mask(np.random.default_rng(0).random((5, 5)))
    assert np.array_equal(checked_mask(again), again)  # kept as bytes, so a recipe loses nothing
    for bad in (
        None,
        "x",
        np.zeros((2, 2), int),
        np.full((2, 2), math.nan),
        np.full((2, 2), 2.0),
        np.zeros(3),
        np.zeros((0, 2)),
    ):
        with refuses("mask"):
            checked_mask(bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"seed": -1}, {"reference": "file"}, {"reference": ["seed"]}, {"reference_seed": 1.5}, {"encoding": "x"},
        {"noise_seed": None}, {"tau": 1.1}, {"tau": math.nan}, {"edges": (0.7, 0.3)}, {"bands": ()}, {"bands":
        (3,)}, {"bands": 2}, {"ratio": -0.1}, {"ratio": "1"}, {"ratio": True}, {"region": "left"}, {"order":
        "size"}, {"region": "painted"}, {"mask": np.ones((16, 16))}, {"region": "painted", "mask": np.zeros((16,
        16))}, {"picture": np.zeros((16, 16, 3), np.uint8)}, {"reference": "picture"}, {"reference": "picture",
        "picture": np.zeros((16, 16, 3))}, {"reference": "scene", "encoding": "latent"}, {"reference": "picture",
        "picture": np.zeros((16, 16, 3), np.uint8), "encoding": "ode"},
    ],
)  # fmt: skip
def test_bad_edits(bad):
    with pytest.raises(UserError):
        EditRequest(**{"seed": 0, **bad})


@pytest.mark.parametrize(
    "bad",
    [
        {"picture": None}, {"picture": np.zeros((16, 16, 4), np.uint8)}, {"picture": np.zeros((999, 16, 3),
        np.uint8)}, {"mask": np.ones((8, 8))}, {"mask": np.zeros((16, 16))}, {"mask": None}, {"seed": -1}, {"steps":
        0}, {"steps": 41}, {"method": "magic"}, {"tau": -1}, {"truth": "yes"},
    ],
)  # fmt: skip
def test_bad_restorations(bad):
    with pytest.raises(UserError):
        InpaintRequest(**{"picture": scene(), "mask": hole(), **bad})
    rest = {k: v for k, v in bad.items() if k in ("picture", "seed", "steps", "truth")}
    if rest:
        with pytest.raises(UserError):
            ColorizeRequest(**{"picture": scene(), **rest})


def test_requests_keep_their_own_copies():
    mine = scene().copy()
    request = ColorizeRequest(mine)
    mine[:] = 0
    assert np.array_equal(request.picture, scene())
    with pytest.raises(ValueError):
        request.picture[0] = 1
