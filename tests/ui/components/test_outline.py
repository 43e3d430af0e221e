"""The edge of a region over a picture."""

import re

import numpy as np
import pytest

from analysis.workbench.editing import EditRequest, region_of
from ui.components.html import outline

LINES = re.compile(r"M(\d+) (\d+)([vh])(\d+)")


def drawn(inside: np.ndarray, svg: str) -> set:
    """Every unit of the drawing's edge, as (direction, x, y)."""
    first = re.search(r'<path d="([^"]+)"', svg)[1]
    units = set()
    for x, y, way, length in LINES.findall(first):
        for k in range(int(length)):
            units.add((way, int(x) + k * (way == "h"), int(y) + k * (way == "v")))
    return units


@pytest.mark.parametrize("seed", range(5))
def test_it_parts_every_pair_of_neighbours_of_which_one_is_inside_and_no_other(seed):
    inside = np.random.default_rng(seed).random((7, 9)) < 0.5
    wanted = {("v", x, y) for y in range(7) for x in range(1, 9) if inside[y, x] != inside[y, x - 1]}
    wanted |= {("h", x, y) for y in range(1, 7) for x in range(9) if inside[y, x] != inside[y - 1, x]}
    assert drawn(inside, outline(inside.astype(float))) == wanted


def test_a_region_of_a_request_has_its_edge_and_the_whole_picture_none():
    quadrant = region_of(EditRequest(0, region="lower-left-quadrant"), 8, 8).numpy()
    assert sorted(LINES.findall(outline(quadrant))[:2]) == [("0", "4", "h", "4"), ("4", "4", "v", "4")]
    assert outline(region_of(EditRequest(0, region="whole"), 8, 8).numpy()) == ""
