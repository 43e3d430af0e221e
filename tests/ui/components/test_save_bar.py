"""What a row of "copy, save" buttons offers, and files for the browser."""

import base64
import io
import json

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from analysis.recipes import recipe as recipes
from analysis.workbench.images import GenerateRequest
from ui.components.save_bar import TYPES, file_stem, save_bar, save_value, saved_figure, saved_file


@pytest.fixture
def kept(library):
    bench, request = library.get("tiny"), GenerateRequest((5,))
    picture = bench.generate(request).pictures[0]
    return picture, recipes.describe(request, bench)


def test_the_png_carries_the_recipe_that_is_copied(kept):
    picture, recipe = kept
    value = json.loads(save_value(picture, recipe, "tiny-seed5"))
    png = base64.b64decode(value["png"])
    assert recipes.from_json(value["recipe"]) == recipe == recipes.read_png(png)
    assert value["name"] == "tiny-seed5"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), picture)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1)])
def test_grey_pictures(kept, shape):
    value = json.loads(save_value(np.zeros(shape, np.uint8), kept[1], "x"))
    assert recipes.read_png(base64.b64decode(value["png"])) == kept[1]


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a b/c", "a-b-c"), ("../../etc/passwd", "etc-passwd"), ("", "picture"), ("é", "picture"), ("x" * 500, "x" * 80)],
)
def test_file_names_are_harmless(name, stem):
    assert file_stem(name) == stem


def test_a_file_is_whole_and_never_the_same_stamp_twice():
    first, second = (json.loads(saved_file(b"\x00\xff", "a/b", "csv")) for _ in range(2))
    assert base64.b64decode(first["data"]) == b"\x00\xff"
    assert first["name"] == "a-b.csv" and first["type"] == TYPES["csv"]
    assert first["stamp"] != second["stamp"]  # the browser saves each stamp once


def test_the_row_is_empty_without_a_value():
    bar = save_bar()
    assert bar.value in (None, "") and "hidden" in bar.html_template


def test_a_figure_is_sent_whole_and_on_white():
    figure = go.Figure(go.Scatter(y=[1, 2, 3]), layout={"height": 300})
    file = json.loads(saved_figure(figure, "a/b", "svg"))
    assert file["name"] == "a-b.svg" and file["format"] == "svg" and file["height"] == 300 and file["width"] > 0
    assert file["figure"]["data"][0]["type"] == "scatter" and file["figure"]["layout"]["paper_bgcolor"] == "white"
    assert figure.layout.paper_bgcolor is None  # a copy
    assert file["stamp"] != json.loads(saved_figure(figure, "a/b", "svg"))["stamp"]
