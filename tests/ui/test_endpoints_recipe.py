"""/recipe and /describe: the same bits, and one sentence for anything else."""

import base64
import io
import json

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client
from PIL import Image

from analysis import UserError, recipes
from analysis.requests import GenerateRequest, TrajectoryRequest
from analysis.requests_editing import EditRequest
from ui.endpoints_recipe import RecipeEndpoints, _plain, add_recipe_endpoints


@pytest.fixture
def endpoints(library):
    return RecipeEndpoints(library)


def pixels(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_a_trajectory_comes_back_bit_for_bit(library, endpoints):
    bench, request = library.get("tiny"), TrajectoryRequest(5, -1, 6)
    out = endpoints.recipe(recipes.to_json(recipes.describe(request, bench)))
    expected = bench.trajectory(request)
    assert (out["kind"], out["model"]) == ("trajectory", "tiny")
    assert np.array_equal(np.stack([pixels(p) for p in out["pictures"]["koopman"]]), expected.koopman)
    assert np.array_equal(pixels(out["pictures"]["final"]), expected.final)
    assert out["numbers"]["mse"] == expected.mse.tolist() and out["numbers"]["nfe_teacher"] == 11


def test_an_edit_keeps_its_numbers(library, endpoints):
    bench, request = library.get("tiny"), EditRequest(5, ratio=0.25)
    out = endpoints.recipe(recipes.to_json(recipes.describe(request, bench)))
    expected = bench.edit(request)
    assert np.array_equal(pixels(out["pictures"]["edited"]), expected.edited)
    assert out["numbers"]["numbers"]["low_distance"] == pytest.approx(expected.numbers.low_distance)
    json.dumps(out, allow_nan=False)


def test_describe_and_recipe_are_inverse(library, endpoints):
    settings = {"kind": "generate", "seeds": [3, 9], "label": 1}
    text = endpoints.describe("tiny-classes", settings)
    assert json.loads(text)["settings"] == settings
    out = endpoints.recipe(text)
    expected = library.get("tiny-classes").generate(GenerateRequest((3, 9), 1)).pictures
    assert np.array_equal(np.stack([pixels(p) for p in out["pictures"]["pictures"]]), expected)
    assert json.loads(endpoints.describe())["model"] == "tiny"


def test_what_is_not_finite_is_null():
    assert _plain(np.array([1.0, np.inf, np.nan])) == [1.0, None, None]
    assert _plain((np.float32(2), np.int64(3), True, None, "x", -np.inf)) == [2.0, 3, True, None, "x", None]


DEEP = {}
for _ in range(5000):
    DEEP = {"x": DEEP}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (None, "kind"), ([], "kind"), ({}, "kind"), ({"kind": ["generate"]}, "kind"), ({"kind": "dance"}, "kind"),
        ({"kind": "generate"}, "seeds"), ({"kind": "generate", "seeds": [-1], "label": -1}, "seeds"),
        ({"kind": "generate", "seeds": [0], "label": -1, "<b>": 1}, "an unknown field"),
        ({"kind": "generate", "seeds": [0], "label": float("nan")}, "fields"),
        ({"kind": "generate", "seeds": [0], "label": -1, "x": "y" * 70_000}, "64 kB"),
        ({"kind": "trajectory", "seed": 0, "label": -1, "steps": 10**9}, "steps"),
        ({"kind": "generate", "seeds": DEEP, "label": -1}, "nested|fields"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used(endpoints, settings, words):
    with pytest.raises(UserError, match=words) as caught:
        endpoints.describe("tiny", settings)
    assert str(caught.value).endswith(".") and "<b>" not in str(caught.value)


def test_recipes_that_cannot_be_used(library, endpoints):
    recipe = recipes.describe(GenerateRequest((1,)), library.get("tiny"))
    foreign = recipes.to_json(recipe.model_copy(update={"checkpoint": "f" * 64}))
    for text in (None, 3, "", "{}", "[" * 1000, "x" * 70_000, foreign, ["x"], {"a": 1}):
        with pytest.raises(UserError):
            endpoints.recipe(text)


def test_through_the_client(library):
    with gr.Blocks(analytics_enabled=False) as demo:
        add_recipe_endpoints(library)
    demo.queue(api_open=False)
    _, url, _ = demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, ssr_mode=False)
    try:
        client = Client(url, verbose=False)
        text = client.predict("tiny", {"kind": "generate", "seeds": [4], "label": -1}, api_name="/describe")
        out = client.predict(text, api_name="/recipe")
        expected = library.get("tiny").generate(GenerateRequest((4,))).pictures[0]
        assert np.array_equal(pixels(out["pictures"]["pictures"][0]), expected)
        with pytest.raises(Exception, match="take one that this program saved"):
            client.predict("{}", api_name="/recipe")
    finally:
        demo.close(verbose=False)
