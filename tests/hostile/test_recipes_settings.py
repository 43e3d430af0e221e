"""Recipes as JSON and in a PNG, and settings in TOML, with other fields and other bytes."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TypedDict, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.PngImagePlugin import PngInfo

from analysis.flow.clouds import DRAWING
from analysis.flow.images import FlowPicturesRequest
from analysis.flow.points import Flow2DRequest
from analysis.flow.settings import SideBySideRequest
from analysis.recipes import recipe as recipes
from analysis.recipes.replay import check_flows, describe_for, find_model
from analysis.series.forecast import ForecastRequest
from analysis.workbench.editing import EditRequest
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from analysis.workbench.spectrum import MaskRequest, ModeRequest
from foundation.files.settings import SettingsError, read_settings
from foundation.networks.unet import UNetConfig
from foundation.training.loop import TrainingConfig
from tests.analysis.flow.tiny_flows import tiny_benches
from tests.hostile.judge import judged
from tests.hostile.strategies import NUMBERS, fuzz, mutated, other_fields, png

# ---------------------------------------------------------------------------------------------------------------------
# Recipes

PICTURE, MASK = np.full((16, 16, 3), 90, np.uint8), np.full((16, 16), 255, np.uint8)
REQUESTS = (
    GenerateRequest((0, 1)), TrajectoryRequest(1, steps=4), MaskRequest(1, entries=(0,)), ColorizeRequest(PICTURE),
    ModeRequest(0, 0, (0,)),
    EditRequest(0, reference="picture", picture=PICTURE, region="painted", mask=MASK), InpaintRequest(PICTURE, MASK),
)  # fmt: skip
FLOWS = (
    SideBySideRequest((Flow2DRequest(DRAWING, ((0, 1), (1, 1)), net="oracle"), None)),
    SideBySideRequest((FlowPicturesRequest(), FlowPicturesRequest(path="otcfm"))), ForecastRequest("small"),
)  # fmt: skip


@pytest.fixture(scope="module")
def benches(flows_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield tiny_benches(flows_folder, tmp_path_factory.mktemp("series"), patch)


@pytest.fixture(scope="module")
def written(library, benches) -> dict[str, dict]:
    """An honest recipe of each kind."""
    found = [recipes.describe(r, library.get("tiny")) for r in REQUESTS] + [describe_for(r, benches) for r in FLOWS]
    return {r.kind: json.loads(recipes.to_json(r)) for r in found}


def in_a_png(text: str) -> bytes:
    info = PngInfo()
    info.add_text(recipes.KEY, text)
    return png(8, pnginfo=info)


@pytest.mark.parametrize("kind", list(recipes.RECIPE_KINDS))
def test_recipes_with_other_fields(library, benches, written, kind):
    @fuzz(30)
    @given(value=other_fields(written[kind]), packed=st.booleans())
    def every(value, packed):
        text = json.dumps(value)
        read = (lambda: recipes.read_png(in_a_png(text))) if packed else (lambda: recipes.from_json(text))
        recipe = judged(read, check=lambda recipe: recipes.settings_of(recipe.kind, recipe.request))
        if recipe is not None:
            judged(lambda: repr(check_flows(recipe, benches)) if recipe.of_flows else find_model(library, recipe))

    every()


@fuzz(60)
@given(data=st.data())
def test_recipes_with_other_bytes(written, data):
    text = json.dumps(written[data.draw(st.sampled_from(sorted(written)))])
    raw = data.draw(st.one_of(mutated(text.encode()), mutated(in_a_png(text), header=80)))
    read = recipes.read_png if raw[:4] == b"\x89PNG" else recipes.from_json
    judged(lambda: read(raw), check=lambda recipe: recipes.settings_of(recipe.kind, recipe.request))


# ---------------------------------------------------------------------------------------------------------------------
# Settings files


class Sections(TypedDict):
    training: TrainingConfig
    network: UNetConfig


ODD_VALUES = ["[[[[", "[" * 5000, "{a=1}", "1979-05-27", "0x" + "f" * 5000, "9" * 5000]
TOML = b"[training]\nimages = 64\nbatch = 8\nseed = 0\n[network]\nresolution = 16\nmultipliers = [1, 2]\n"


def assert_settings(found: Sections) -> None:
    classes = get_type_hints(Sections)
    assert found.keys() == classes.keys()
    for name, value in found.items():
        assert isinstance(value, classes[name]) and all(hasattr(value, f.name) for f in fields(value))


@fuzz(60)
@given(content=mutated(TOML))
def test_settings_with_other_bytes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "settings.toml"
    path.write_bytes(content)
    read_judged(path, [])


@fuzz(60)
@given(
    key=st.sampled_from(["training.images", "training.batch", "network.multipliers", "network.base", "x.y", "x", ""]),
    value=st.text(max_size=12) | NUMBERS.map(str) | st.sampled_from(ODD_VALUES),
)
def test_overrides(tmp_path_factory, key, value):
    path = tmp_path_factory.getbasetemp() / "settings.toml"
    path.write_bytes(TOML)
    read_judged(path, [f"{key}={value}"])


def read_judged(path: Path, overrides: list[str]) -> None:
    """Whoever writes a settings file knows where it is: only the path itself may be told back."""

    def read() -> Sections:
        try:
            return read_settings(path, overrides, Sections)
        except SettingsError as e:
            raise SettingsError(str(e).replace(str(path), path.name)) from None

    judged(read, SettingsError, assert_settings)
