"""Opening a recipe sets the page so that it makes the same result, bit for bit."""

import base64
import dataclasses
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from analysis.core.errors import UserError
from analysis.flow.point_requests import Flow2DRequest
from analysis.flow.side_by_side import SideBySideRequest
from analysis.guide.examples import EXAMPLES
from analysis.recipes import recipe as recipes
from analysis.recipes.replay import describe_for
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.spectrum import MaskRequest
from ui.components.save_bar import RecipeBinding, save_value
from ui.panels.recipes import RecipePanel, build_recipe_panel
from ui.source import NO_CLASS, build_source
from ui.tabs.flow_points import build_flow_lab
from ui.tabs.generate import GenerateTab, build_generate
from ui.tabs.spectrum import SpectrumTab, build_spectrum


@pytest.fixture(scope="module")
def opens(library):
    """The real tabs' own."""
    with gr.Blocks():
        source = build_source(library, 3)
        shown, wire, generate = build_generate(library, source)
        spectrum = build_spectrum(library, source, shown)
        wire()
        with gr.Tabs() as tabs, gr.Tab("Flow lab") as page:
            flows = build_flow_lab(page)
        build_recipe_panel(library, source, tabs, [generate, spectrum, flows])
    return [generate, spectrum, flows]


@pytest.fixture
def panel(library, opens):
    return RecipePanel(library, opens)


def recipe_of(library, model, request):
    return recipes.describe(request, library.get(model))


def pixels(kept: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(json.loads(kept)["png"]))))


def plain(values):
    return [v["value"] if isinstance(v, dict) else v for v in values]


def test_a_picture_is_made_again_bit_for_bit(library, panel):
    recipe = recipe_of(library, "tiny-classes", GenerateRequest((77,), 2))
    model, seed, label, line, pending, said = panel.open_text(recipes.to_json(recipe), "tiny", 4)
    assert (model, seed, label["value"], pending) == ("tiny-classes", 77, 2, (5, recipe.settings))
    assert "<p" in line and "Opened a generated picture" in said and "torch" not in said
    replayed = recipes.replay(recipe, library.get("tiny-classes")).pictures[0]
    _, _, kept = GenerateTab(library).picture(model, seed, label["value"])
    assert np.array_equal(pixels(kept), replayed)
    assert json.loads(kept)["recipe"] == recipes.to_json(recipe)


def test_a_trajectory_is_made_again_bit_for_bit(library, panel):
    recipe = recipe_of(library, "tiny", TrajectoryRequest(9, -1, 6))
    model, seed, label, _, pending, _ = panel.open(recipe, "tiny-classes", 0)
    tab, *values = panel.fill(pending, 1)
    assert tab["selected"] == "generate"
    asks, (steps, *others) = values[:3], values[3:]
    assert isinstance(asks[0], int) and asks[1:] == [gr.skip()] * 2 and all(v == gr.skip() for v in others)
    _, _, kept = GenerateTab(library).trajectory(model, seed, label["value"], steps)
    replayed = recipes.replay(recipe, library.get("tiny")).koopman
    assert np.array_equal(pixels(kept), np.concatenate(list(replayed), axis=1))


def test_bands_are_filled_as_they_were(library, panel):
    request = MaskRequest(3, -1, (0.2, 0.7), (0.0, 1.5, 1.0), "abs", (0, 2))
    recipe = recipe_of(library, "tiny", request)
    model, seed, label, _, pending, _ = panel.open(recipe, "tiny", 0)
    tab, *values = panel.fill(pending, 1)
    assert tab["selected"] == "spectrum"
    low, high, small, middle, large, order, levels = plain(values[4:11])
    assert (low, high, small, middle, large, order, list(levels)) == (0.2, 0.7, 0.0, 1.5, 1.0, "abs", [0, 2])
    _, _, kept = SpectrumTab(library).masked(
        model, seed, label["value"], low, high, small, middle, large, order, levels
    )
    assert np.array_equal(pixels(kept), recipes.replay(recipe, library.get("tiny")).masked)


def test_flows_are_opened_and_the_bar_stays(library, panel):
    question = SideBySideRequest((Flow2DRequest(nfe=4, points=64, net="oracle"),))
    recipe = describe_for(question, panel.studio)
    *bar, pending, said = panel.open(recipe, "tiny", 6)
    assert bar == [gr.skip()] * 4 and pending == (6, recipe.settings) and "Opened flows in the plane." in said
    tab, *values = panel.fill(pending, 6)
    assert tab["selected"] == "flow" and values[:2] == [gr.skip()] * 2 and isinstance(values[2], int)
    assert values[11] == "8gaussians" and all(v == gr.skip() for v in values[3:11])
    assert all(v == gr.skip() for v in panel.fill(pending, 7))  # the bar has moved since
    assert "torch 1.0" in panel.open(replace(recipe, torch="1.0"), "tiny", 6)[-1]


def test_flows_that_cannot_be_opened_are_a_sentence(library, panel):
    def recipe(**changes):
        return describe_for(SideBySideRequest((Flow2DRequest(points=64, **changes),)), panel.studio)

    other = replace(recipe(), checksums={"toy-8gaussians": "0" * 64})
    far = recipe(sampler="published", gamma1=90)
    cases = [
        (lambda: panel.open(other, "tiny", 0), "“toy-8gaussians”.*weights are not here"),
        (lambda: panel.open(far, "tiny", 0), "from -20 to 20"),
        (lambda: RecipePanel(library, panel.opens[:2]).open(far, "tiny", 0), "No tab of this page shows flows"),
    ]
    for ask, words in cases:
        with pytest.raises(UserError, match=words):
            ask()


def test_a_png_and_a_json_file(library, panel, tmp_path):
    recipe = recipe_of(library, "tiny", GenerateRequest((8,)))
    kept = json.loads(save_value(np.zeros((4, 4, 3), np.uint8), recipe, "x"))
    (tmp_path / "a.png").write_bytes(base64.b64decode(kept["png"]))
    (tmp_path / "a.json").write_text(kept["recipe"])
    (tmp_path / "misnamed.png").write_text(kept["recipe"])
    for name in ("a.png", "a.json", "misnamed.png"):
        assert panel.open_file(str(tmp_path / name), "tiny", 0)[1] == 8


def test_the_checksum_decides_not_the_name(library, panel):
    recipe = recipe_of(library, "tiny-classes", GenerateRequest((1,)))
    recipe = replace(recipe, checksums={"tiny": recipe.checkpoint})
    assert panel.open(recipe, "tiny", 0)[0] == "tiny-classes"


def test_several_pictures_and_another_torch_are_said(library, panel):
    recipe = replace(recipe_of(library, "tiny", GenerateRequest((4, 5))), torch="1.0")
    out = panel.open(recipe, "tiny", 0)
    assert out[1] == 4 and "2 pictures" in out[-1] and "torch 1.0" in out[-1]


def test_what_cannot_be_opened_is_a_sentence(library, panel, tmp_path):
    recipe = recipe_of(library, "tiny", GenerateRequest((4,)))
    (tmp_path / "large.json").write_text(" " * (recipes.MAX_RECIPE_BYTES + 1))
    whole = base64.b64decode(json.loads(save_value(np.zeros((4, 4), np.uint8), recipe, "x"))["png"])
    (tmp_path / "photo.png").write_bytes(whole[:60])
    classless = recipe_of(library, "tiny-classes", GenerateRequest((4,), 2))
    beyond = replace(classless, request=replace(classless.request, label=3))
    cases = [
        (lambda: panel.open_text("  ", "tiny", 0), "Paste a recipe"),
        (lambda: panel.open_text(None, "tiny", 0), "Paste a recipe"),
        (lambda: panel.open_text("/etc/passwd", "tiny", 0), "cannot be used"),
        (lambda: panel.open_file(None, "tiny", 0), "Choose a recipe"),
        (lambda: panel.open_file(str(tmp_path / "large.json"), "tiny", 0), "at most 64 kB"),
        (lambda: panel.open_file(str(tmp_path / "photo.png"), "tiny", 0), "damaged|no recipe"),
        (lambda: panel.open(replace(recipe, checksums={"tiny": "0" * 64}), "tiny", 0), "weights are not here"),
        (lambda: panel.open(replace(recipe, teacher="0" * 64), "tiny", 0), "teacher"),
        (lambda: panel.open(beyond, "tiny", 0), "class 3"),
        (lambda: RecipePanel(library, panel.opens[1:]).open(recipe, "tiny", 0), "No tab"),
    ]
    for ask, words in cases:
        with pytest.raises(UserError, match=words):
            ask()


def test_only_the_latest_move_of_a_recipe_fills(library, panel):
    recipe = recipe_of(library, "tiny", TrajectoryRequest(9, -1, 6))
    *_, pending, _ = panel.open(recipe, "tiny", 0)
    assert all(v == gr.skip() for v in panel.fill(pending, 2))
    assert all(v == gr.skip() for v in panel.fill(None, 1))
    first, second = panel.fill(pending, 1)[1], panel.fill(pending, 1)[1]
    assert first != second  # the same recipe again is computed again


def test_opens_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RecipeBinding(("edit",), "edit", [], lambda s: (), lambda e: None).tab = "x"


def test_a_class_of_no_class_model_is_none(library, panel):
    recipe = recipe_of(library, "tiny", GenerateRequest((4,)))
    assert panel.open(recipe, "tiny-classes", 0)[2]["value"] == NO_CLASS


def test_an_example_is_opened_as_a_recipe_is(panel):
    numbers = {e.key: i for i, e in enumerate(EXAMPLES)}
    *bar, (moves, settings), words = panel.open_example(numbers["five-calls"], "tiny", 4)
    assert all(v == gr.skip() for v in bar) and moves == 4 and settings.kind == "flow_2d"
    assert "<b>Five calls in the plane.</b> The same noise" in words
    with pytest.raises(UserError, match="needs the model shapes"):
        panel.open_example(numbers["doubled"], "tiny", 4)


def test_a_result_of_the_visit_is_opened_again(library, panel):
    text = recipes.to_json(recipe_of(library, "tiny", GenerateRequest((5,))))
    clicked = SimpleNamespace(_data={"recipe": text})
    assert panel.open_kept("tiny", 2, clicked)[1] == panel.open_text(text, "tiny", 2)[1] == 5
    for bad in (None, [], {"recipe": None}, {"recipe": {"a": 1}}, {"recipe": "{}"}, {"recipe": "x" * 70_000}):
        with pytest.raises(UserError):
            panel.open_kept("tiny", 2, SimpleNamespace(_data=bad))
