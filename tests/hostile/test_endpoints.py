"""Every HTTP endpoint as the function that it is, with anything in its arguments."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path

import pytest
from hypothesis import given

from analysis.flow.images import ImageFlows
from analysis.flow.points import PointFlows
from analysis.recipes import recipe
from analysis.series.forecast import SeriesForecasts
from analysis.workbench.images import GenerateRequest
from tests.analysis.flow.image_flows import write_flows
from tests.hostile.judge import judged
from tests.hostile.strategies import base64_png, changed_arguments, fuzz
from ui.api.editing import EditEndpoints
from ui.api.effects import EffectEndpoints
from ui.api.endpoints import Endpoints
from ui.api.flow_images import ImageEndpoints
from ui.api.flow_points import FlowEndpoints
from ui.api.recipe import RecipeEndpoints
from ui.api.series import SeriesEndpoints

EXAMPLES = 40


def tiny_flows(_) -> ImageEndpoints:
    return ImageEndpoints(ImageFlows(write_flows(Path(tempfile.mkdtemp(prefix="flows")))))


# a class of endpoints is one line: how it is made from the library
FAMILIES = {
    Endpoints: Endpoints,
    EffectEndpoints: EffectEndpoints,
    EditEndpoints: EditEndpoints,
    RecipeEndpoints: RecipeEndpoints,
    FlowEndpoints: lambda _: FlowEndpoints(PointFlows()),
    ImageEndpoints: tiny_flows,
    SeriesEndpoints: lambda _: SeriesEndpoints(SeriesForecasts()),
}
ALL = [(f, name) for f in FAMILIES for name, _ in inspect.getmembers(f, inspect.isfunction) if name[0] != "_"]
CHEAP = {
    "steps": 4, "times": 4, "points": 16, "pairs": 8, "width": 16, "dmd_rank": 2, "seeds": [0], "nfe": 2,
}  # fmt: skip
HONEST = {
    "flow_images": {"steps": True},
    "forecast": {"model": "alanine", "horizon": 2, "members": 2},
    "train_toy": {"steps": 25},
    "inpaint": {"picture": base64_png(), "mask": base64_png(16, "L")},
    "colorize": {"picture": base64_png()},
    "attribution": {"rows": ["everything"]},
}


@pytest.fixture(scope="module")
def families(library):
    return {family: make(library) for family, make in FAMILIES.items()}


def honest(family, name) -> dict:
    """Arguments that are quickly answered."""
    known = inspect.signature(getattr(family, name)).parameters
    return {k: v for k, v in CHEAP.items() if k in known} | HONEST.get(name, {})


@pytest.mark.parametrize(("family", "name"), ALL, ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_what_the_cases_start_from_is_answered(families, library, family, name):
    arguments = honest(family, name)
    if name == "recipe":
        bench = library.get("tiny")
        arguments["recipe"] = recipe.to_json(recipe.describe(GenerateRequest((0,)), bench))
    assert judged(lambda: getattr(families[family], name)(**arguments)) is not None


WITH_ARGUMENTS = [(f, n) for f, n in ALL if len(inspect.signature(getattr(f, n)).parameters) > 1]


@pytest.mark.parametrize(("family", "name"), WITH_ARGUMENTS, ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_anything_in_the_arguments(families, family, name):
    names = [n for n in inspect.signature(getattr(family, name)).parameters if n != "self"]
    ask = getattr(families[family], name)

    @fuzz(EXAMPLES)
    @given(changed=changed_arguments(names))
    def every(changed):
        judged(lambda: ask(**(honest(family, name) | changed)))

    every()
