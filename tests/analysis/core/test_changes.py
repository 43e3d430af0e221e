"""What changed from one picture to another."""

from __future__ import annotations

import numpy as np

from analysis.core.images import change_of


def test_a_change_is_around_mid_grey_and_clipped():
    before = np.array([[[10, 100, 200]]], np.uint8)
    after = np.array([[[12, 90, 0]]], np.uint8)
    assert change_of(after, before, 3).tolist() == [[[134, 98, 0]]]
    assert change_of(before, after, 3).tolist() == [[[122, 158, 255]]]
    assert (change_of(before, before, 3) == 128).all()
