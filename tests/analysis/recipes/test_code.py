"""A recipe as Python: run, it gives the recipe's result."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import studio
from analysis.flow.points import Flow2DRequest, PointFlows
from analysis.flow.settings import SideBySideRequest
from analysis.recipes import recipe as recipes
from analysis.recipes.recipe import FLOW_CALLS, as_python, describe_flows
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.restoration import InpaintRequest
from analysis.workbench.spectrum import MaskRequest

GREY = np.full((16, 16, 3), 128, np.uint8)
HOLE = np.zeros((16, 16), np.uint8)
HOLE[4:8, 4:8] = 255


@pytest.mark.parametrize(
    "request_, shown",
    [
        (GenerateRequest((2, 5)), "pictures"),
        (MaskRequest(3, gains=(1.0, 0.0, 1.0), ablation="zero"), "masked"),
        (InpaintRequest(GREY, HOLE, seed=4, steps=2), "picture"),
    ],
)
def test_the_script_makes_the_result_again(models, monkeypatch, request_, shown):
    library = ModelLibrary(models, default="shapes")
    monkeypatch.setattr(studio.Studio, "__init__", lambda self: setattr(self, "library", library))
    bench = library.get("shapes")
    recipe = recipes.describe(request_, bench)
    names: dict = {}
    exec(as_python(recipe), names)
    expected = getattr(recipes.replay(recipe, bench), shown)
    np.testing.assert_array_equal(getattr(names["result"], shown), expected)


def test_a_script_of_flows_makes_every_setting_again():
    flows = PointFlows()
    settings = tuple(Flow2DRequest("moons", path="icfm", nfe=n, points=64, net="oracle") for n in (1, 3))
    names: dict = {}
    exec(as_python(describe_flows(SideBySideRequest(settings), flows)), names)
    for mine, setting in zip(names["result"], settings, strict=True):
        np.testing.assert_array_equal(mine.points, flows.flow_2d(setting).points)
    assert set(FLOW_CALLS) == set(recipes.FLOW_KINDS)


def test_what_is_usual_is_left_out(models):
    bench = ModelLibrary(models, default="shapes").get("shapes")
    text = as_python(recipes.describe(GenerateRequest((2,)), bench))
    assert "label" not in text and "seeds=(2,)" in text
