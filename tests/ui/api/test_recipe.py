"""/recipe and /describe: the same bits, and one sentence for anything else."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from analysis.core.errors import UserError
from analysis.flow.images import FlowPicturesRequest
from analysis.flow.points import Flow2DRequest
from analysis.flow.settings import SideBySideRequest
from analysis.recipes import recipe as recipes
from analysis.recipes.replay import describe_for
from analysis.series.forecast import ForecastRequest
from analysis.studio import Studio
from analysis.workbench.editing import EditRequest
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from tests.analysis.flow.tiny_flows import tiny_benches
from tests.ui.api.asking import client_with, functions, refuses_over_http
from ui.api.codec import jsonable


@pytest.fixture(scope="module")
def benches(flows_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield tiny_benches(flows_folder, tmp_path_factory.mktemp("series"), patch)


@pytest.fixture
def endpoints(library, benches):
    return functions(Studio(library=library, points=benches.points, images=benches.images, series=benches.series))


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


def test_flows_in_the_plane_come_back(endpoints, benches):
    asked = Flow2DRequest(points=16, nfe=2, net="oracle"), None, Flow2DRequest(points=16, sampler="heun", nfe=3)
    text = recipes.to_json(describe_for(SideBySideRequest(asked), benches))
    out = endpoints.recipe(text)
    assert (out["kind"], out["model"], out["pictures"]) == ("flow_2d", "toy-8gaussians", {})
    assert list(out["numbers"]) == ["A", "C"]
    expected = benches.points.flow_2d(asked[2])
    assert np.array_equal(np.float32(out["numbers"]["C"]["points"]), expected.points)
    assert out["numbers"]["C"]["numbers"]["mmd2"] == expected.numbers.mmd2 and out["numbers"]["A"]["nfe"] == 2
    assert endpoints.describe("", json.loads(text)["settings"]) == text
    json.dumps(out, allow_nan=False)


def test_flows_of_pictures_come_back(endpoints, benches):
    asked = FlowPicturesRequest(path="otcfm", nfe=2, seeds=(3, 9))
    text = recipes.to_json(describe_for(SideBySideRequest((None, asked)), benches))
    out = endpoints.recipe(text)
    assert (out["kind"], out["model"], list(out["pictures"])) == ("flow_images", "images-shapes-otcfm", ["B"])
    expected = benches.images.flow_pictures(asked).pictures
    assert np.array_equal(np.stack([pixels(p) for p in out["pictures"]["B"]]), expected)
    assert out["numbers"]["B"]["nfe"] == 2 and "pictures" not in out["numbers"]["B"]
    assert endpoints.describe("", json.loads(text)["settings"]) == text


def test_a_forecast_comes_back(endpoints, benches):
    asked = ForecastRequest("small", 0.25, 2, 3, 2)
    text = recipes.to_json(describe_for(asked, benches))
    out = endpoints.recipe(text)
    assert (out["kind"], out["model"], out["pictures"]) == ("forecast", "small", {})
    assert np.array_equal(np.float32(out["numbers"]["mean"]), np.float32(benches.series.forecast(asked).mean))
    assert endpoints.describe("", json.loads(text)["settings"]) == text


FORECAST = {
    "kind": "forecast", "model": "small", "start": 0.5, "horizon": 2, "members": 3, "nfe": 2, "method": "euler",
    "gammas": [0.5], "seed": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "changes", "field"),
    [
        ("tiny", {}, "model"), ("", {"members": 1}, "members"), ("", {"x": 1}, ""), ("", {"model": "tall"}, "model"),
        ("", {"model": "../x"}, "model"), ("", {"kind": "flow_images"}, "settings"),
        ("", {"kind": "flow_2d"}, "settings"),
    ],
)  # fmt: skip
def test_flows_that_cannot_be_described(endpoints, model, changes, field):
    with pytest.raises(UserError, check=lambda e: e.field == field):
        endpoints.describe(model, FORECAST | changes)


def test_what_is_not_finite_is_null():
    assert jsonable(np.array([1.0, np.inf, np.nan])) == [1.0, None, None]
    assert jsonable((np.float32(2), np.int64(3), True, None, "x", -np.inf)) == [2.0, 3, True, None, "x", None]


DEEP = {}
for _ in range(5000):
    DEEP = {"x": DEEP}


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (None, "kind"), ([], "kind"), ({}, "kind"), ({"kind": ["generate"]}, "kind"), ({"kind": "dance"}, "kind"),
        ({"kind": "generate"}, "seeds"), ({"kind": "generate", "seeds": [-1], "label": -1}, "seeds"),
        ({"kind": "generate", "seeds": [0], "label": -1, "<b>": 1}, ""),
        ({"kind": "generate", "seeds": [0], "label": float("nan")}, "label"),
        ({"kind": "generate", "seeds": [0], "label": -1, "x": "y" * 70_000}, "settings"),
        ({"kind": "trajectory", "seed": 0, "label": -1, "steps": 10**9}, "steps"),
        ({"kind": "generate", "seeds": DEEP, "label": -1}, "settings"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used(endpoints, settings, field):
    with pytest.raises(UserError, check=lambda e: e.field == field) as caught:
        endpoints.describe("tiny", settings)
    assert str(caught.value).endswith(".") and "<b>" not in str(caught.value)


def test_recipes_that_cannot_be_used(library, endpoints):
    recipe = recipes.describe(GenerateRequest((1,)), library.get("tiny"))
    foreign = recipes.to_json(replace(recipe, checksums={"tiny": "f" * 64}))
    for text in (None, 3, "", "{}", "[" * 1000, "x" * 70_000, foreign, ["x"], {"a": 1}):
        with pytest.raises(UserError):
            endpoints.recipe(text)


def test_through_the_client(library):
    with client_with(Studio(library=library), "recipe", "describe") as client:
        text = client.predict("tiny", {"kind": "generate", "seeds": [4], "label": -1}, api_name="/describe")
        out = client.predict(text, api_name="/recipe")
        expected = library.get("tiny").generate(GenerateRequest((4,))).pictures[0]
        assert np.array_equal(pixels(out["pictures"]["pictures"][0]), expected)
        with refuses_over_http("recipe"):
            client.predict("{}", api_name="/recipe")
