"""A grid as one picture: every cell is there, enlarged without smoothing, and labels do not touch it."""

import io

import numpy as np
from PIL import Image

from analysis.core.images import MARGIN, MIN_CELL, grid_png, grid_sheet


def flat(value, side=32):
    return np.full((side, side, 3), value, np.uint8)


def count(sheet, colour):
    return int((sheet == np.array(colour, np.uint8)).all(axis=2).sum())


def test_each_cell_covers_its_square():
    sheet = grid_sheet(
        [[flat((200, 10, 10)), None], [flat((10, 200, 10)), flat((10, 10, 200))]], ["a", "b"], ["c", "d"]
    )
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    for colour in ((200, 10, 10), (10, 200, 10), (10, 10, 200), (229, 231, 235)):
        assert count(sheet, colour) == MIN_CELL**2, colour


def test_pixels_are_enlarged_as_they_are():
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    sheet = grid_sheet([[picture]], ["x"])
    cell = sheet[-MARGIN - MIN_CELL : -MARGIN, MARGIN : MARGIN + MIN_CELL]
    assert np.array_equal(cell, np.kron(picture, np.ones((6, 6, 1), np.uint8)))


def test_labels_and_caption_take_room_and_ink():
    bare = grid_sheet([[flat(0)]], ["1"])
    told = grid_sheet([[flat(0)]], ["1"], ["2"], "α", "seed", "word " * 40)
    assert told.shape[0] > bare.shape[0] + 3 * 15 and told.shape[1] > bare.shape[1]
    dark = (told < 100).all(axis=2)
    assert dark[: 2 * MARGIN + 14].any() and dark[-20:].any() and dark[:, : 3 * MARGIN].any()


def test_very_long_labels_are_cut():
    sheet = grid_sheet([[flat(0)]], ["x" * 500], ["y" * 500], "z" * 500)
    assert sheet.shape[1] < 5 * MIN_CELL + 100


def test_as_a_file():
    image = Image.open(io.BytesIO(grid_png([[flat(9)]], ["1"], caption="c")))
    assert image.format == "PNG" and np.array_equal(np.asarray(image), grid_sheet([[flat(9)]], ["1"], caption="c"))


def test_no_picture_at_all():
    assert grid_sheet([[None, None]], ["1", "2"]).shape[1] > 2 * MIN_CELL
