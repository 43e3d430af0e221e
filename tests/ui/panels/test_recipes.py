"""Opening a recipe sets the page so that it makes the same result, bit for bit."""

import base64
import dataclasses
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from analysis.core.errors import UserError
from analysis.flow.points import Flow2DRequest
from analysis.flow.settings import SideBySideRequest
from analysis.guide.examples import EXAMPLES
from analysis.recipes import recipe as recipes
from analysis.recipes.replay import describe_for
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.spectrum import MaskRequest
from tests.refusals import refuses
from tests.sentences import tells
from tests.ui.serving import page_of
from ui.components.save_bar import RecipeBinding, save_value
from ui.panels.recipes import KIND_WORDS, RecipeControls, RecipePanel
from ui.source import NO_CLASS
from ui.tabs.inside.spectrum import SpectrumTab
from ui.tabs.inside.spectrum_controls import MASK_CONTROLS, SpectrumControls
from ui.tabs.watch.generate import GenerateControls, GenerateTab
from ui.workspaces import STAY

TABS = ("generate", "spectrum", "flow")


def stays(filled: dict) -> bool:
    """Whether no view is opened and no control is set."""
    return list(filled) == ["opener"] and filled["opener"].split()[0] == STAY


@pytest.fixture(scope="module")
def built(library):
    """The real tabs."""
    return page_of(library, *TABS, seed=3)[1]


def panel_on(built, *tabs: str) -> RecipePanel:
    bindings = [built.built[tab].binding for tab in tabs]
    counts = tuple(f"count {tab}" for tab in tabs)
    return RecipePanel(built.work, "opener", bindings, replace(RecipeControls.names(), counts=counts))


@pytest.fixture
def panel(built):
    return panel_on(built, *TABS)


@pytest.fixture
def bar(built):
    """The bar's values of an answer, None where it stays."""
    source = built.work.source
    return lambda out: [out.get(part) for part in source.targets]


def generate_tab(library) -> GenerateTab:
    return GenerateTab(library, GenerateControls.names())


def recipe_of(library, model, request):
    return recipes.describe(request, library.get(model))


def pixels(kept: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(json.loads(kept)["png"]))))


def test_a_picture_is_made_again_bit_for_bit(library, built, panel, bar):
    recipe = recipe_of(library, "tiny-classes", GenerateRequest((77,), 2))
    out = panel.open_text(recipes.to_json(recipe), "tiny", 4)
    model, seed, label, line = bar(out)
    assert (model, seed, label["value"], out["pending"]) == ("tiny-classes", 77, 2, (5, recipe.request, ""))
    assert "<p" in line and KIND_WORDS["generate"] in out["status"] and "torch" not in out["status"]
    replayed = recipes.replay(recipe, library.get("tiny-classes")).pictures[0]
    kept = generate_tab(library).picture(model, seed, label["value"])["save_picture"]
    assert np.array_equal(pixels(kept), replayed)
    assert json.loads(kept)["recipe"] == recipes.to_json(recipe)


def test_a_trajectory_is_made_again_bit_for_bit(library, built, panel, bar):
    recipe = recipe_of(library, "tiny", TrajectoryRequest(9, -1, 6))
    out = panel.open(recipe, "tiny-classes", 0, "line")
    model, seed, label, _ = bar(out)
    filled = panel.fill(out["pending"], 1)
    steps = built.built["generate"].controls.steps
    assert filled.pop("opener").split()[0] == "watch" and isinstance(filled.pop("count generate"), int)
    assert filled == {steps: 6}  # and nothing of another tab
    kept = generate_tab(library).trajectory(model, seed, label["value"], filled[steps])["save_path"]
    replayed = recipes.replay(recipe, library.get("tiny")).koopman
    assert np.array_equal(pixels(kept), np.concatenate(list(replayed), axis=1))


def test_bands_are_filled_as_they_were(library, built, panel, bar):
    request = MaskRequest(3, -1, (0.2, 0.7), (0.0, 1.5, 1.0), "abs", (0, 2), "zero")
    recipe = recipe_of(library, "tiny", request)
    out = panel.open(recipe, "tiny", 0, "line")
    model, seed, label, _ = bar(out)
    filled = panel.fill(out["pending"], 1)
    assert filled["opener"].split()[0] == "bands"
    values = {name: filled[part] for name, part in built.built["spectrum"].controls.named(*MASK_CONTROLS).items()}
    assert list(values.values()) == [0.2, 0.7, 0.0, 1.5, 1.0, "abs", [0, 2], "zero"]
    tab = SpectrumTab(library, SpectrumControls.names())
    kept = tab.masked(model, seed, label["value"], **values)["save"]
    assert np.array_equal(pixels(kept), recipes.replay(recipe, library.get("tiny")).masked)


def test_flows_are_opened_and_the_bar_stays(library, built, panel, bar):
    question = SideBySideRequest((Flow2DRequest(nfe=4, points=64, net="oracle"),))
    recipe = describe_for(question, panel.work.studio)
    out = panel.open(recipe, "tiny", 6, "line")
    assert (
        out == {"pending": (7, recipe.request, ""), "due": 7, "line": out["line"]}
        and KIND_WORDS["flow_2d"] in out["line"]
    )
    filled = panel.fill(out["pending"], 7)
    assert filled["opener"].split()[0] == "flow" and isinstance(filled["count flow"], int)
    assert not {"count generate", "count spectrum"} & set(filled)
    assert filled[built.built["flow"].controls.density] == "8gaussians"
    assert stays(panel.fill(out["pending"], 8))  # the bar has moved since
    assert "torch 1.0" in panel.open(replace(recipe, torch="1.0"), "tiny", 6, "line")["line"]


def test_flows_that_cannot_be_opened_are_a_sentence(library, built, panel, bar):
    def recipe(**changes):
        return describe_for(SideBySideRequest((Flow2DRequest(points=64, **changes),)), panel.work.studio)

    other = replace(recipe(), checksums={"toy-8gaussians": "0" * 64})
    far = recipe(sampler="published", gamma1=90)
    cases = [
        (lambda: panel.open(other, "tiny", 0, "line"), "weights"),
        (lambda: panel.open(far, "tiny", 0, "line"), "recipe"),
        (
            lambda: panel_on(built, "generate", "spectrum").open(far, "tiny", 0, "line"),
            "kind",
        ),
    ]
    for ask, field in cases:
        with refuses(field):
            ask()


def test_a_png_and_a_json_file(library, built, panel, bar, tmp_path):
    recipe = recipe_of(library, "tiny", GenerateRequest((8,)))
    kept = json.loads(save_value(np.zeros((4, 4, 3), np.uint8), recipe, "x"))
    (tmp_path / "a.png").write_bytes(base64.b64decode(kept["png"]))
    (tmp_path / "a.json").write_text(kept["recipe"])
    (tmp_path / "misnamed.png").write_text(kept["recipe"])
    for name in ("a.png", "a.json", "misnamed.png"):
        assert bar(panel.open_file(str(tmp_path / name), "tiny", 0))[1] == 8


def test_the_checksum_decides_not_the_name(library, built, panel, bar):
    recipe = recipe_of(library, "tiny-classes", GenerateRequest((1,)))
    recipe = replace(recipe, checksums={"tiny": recipe.checkpoint})
    assert bar(panel.open(recipe, "tiny", 0, "line"))[0] == "tiny-classes"


def test_several_pictures_and_another_torch_are_said(library, built, panel, bar):
    recipe = replace(recipe_of(library, "tiny", GenerateRequest((4, 5))), torch="1.0")
    out = panel.open(recipe, "tiny", 0, "line")
    assert bar(out)[1] == 4 and tells(out["line"], 2) and "torch 1.0" in out["line"]


def test_what_cannot_be_opened_is_a_sentence(library, built, panel, bar, tmp_path):
    recipe = recipe_of(library, "tiny", GenerateRequest((4,)))
    (tmp_path / "large.json").write_text(" " * (recipes.MAX_RECIPE_BYTES + 1))
    whole = base64.b64decode(json.loads(save_value(np.zeros((4, 4), np.uint8), recipe, "x"))["png"])
    (tmp_path / "photo.png").write_bytes(whole[:60])
    classless = recipe_of(library, "tiny-classes", GenerateRequest((4,), 2))
    beyond = replace(classless, request=replace(classless.request, label=3))
    cases = [
        (lambda: panel.open_text("  ", "tiny", 0), "recipe"),
        (lambda: panel.open_text(None, "tiny", 0), "recipe"),
        (lambda: panel.open_text("/etc/passwd", "tiny", 0), "recipe"),
        (lambda: panel.open_file(None, "tiny", 0), "recipe"),
        (lambda: panel.open_file(str(tmp_path / "large.json"), "tiny", 0), "recipe"),
        (lambda: panel.open_file(str(tmp_path / "photo.png"), "tiny", 0), "png"),
        (
            lambda: panel.open(replace(recipe, checksums={"tiny": "0" * 64}), "tiny", 0, "line"),
            "weights",
        ),
        (lambda: panel.open(replace(recipe, teacher="0" * 64), "tiny", 0, "line"), "teacher"),
        (lambda: panel.open(beyond, "tiny", 0, "line"), "label"),
        (lambda: panel_on(built, "spectrum").open(recipe, "tiny", 0, "line"), "kind"),
    ]
    for ask, field in cases:
        with refuses(field):
            ask()


def test_only_the_latest_move_of_a_recipe_fills(library, built, panel, bar):
    recipe = recipe_of(library, "tiny", TrajectoryRequest(9, -1, 6))
    pending = panel.open(recipe, "tiny", 0, "line")["pending"]
    assert stays(panel.fill(pending, 2)) and stays(panel.fill(None, 1))
    elsewhere = panel.fill((*pending[:2], "walk"), 1)  # a lesson's own view, which then looks for itself
    assert elsewhere["opener"].split()[0] == "walk" and not elsewhere["opener"].endswith("filled")
    first, second = (panel.fill(pending, 1)["count generate"] for _ in range(2))
    assert first != second  # the same recipe again is computed again


def test_opens_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RecipeBinding(("edit",), "edit", [], lambda s: {}, lambda e: None).view = "x"


def test_a_class_of_no_class_model_is_none(library, built, panel, bar):
    recipe = recipe_of(library, "tiny", GenerateRequest((4,)))
    assert bar(panel.open(recipe, "tiny-classes", 0, "line"))[2]["value"] == NO_CLASS


def test_an_example_is_opened_as_a_recipe_is(panel):
    numbers = {e.key: i for i, e in enumerate(EXAMPLES)}
    out = panel.open_example(numbers["five-calls"], "tiny", 4)
    (moves, request, _), words = out.pop("pending"), out.pop("example_words")
    assert out == {"due": 5} and moves == 5 and recipes.kind_of(request) == "flow_2d"
    assert EXAMPLES[numbers["five-calls"]].title in words
    with refuses("model"):
        panel.open_example(numbers["doubled"], "tiny", 4)


def test_a_result_of_the_visit_is_opened_again(library, built, panel, bar):
    text = recipes.to_json(recipe_of(library, "tiny", GenerateRequest((5,))))
    clicked = SimpleNamespace(_data={"recipe": text})
    assert bar(panel.open_visited("tiny", 2, clicked))[1] == bar(panel.open_text(text, "tiny", 2))[1] == 5
    for bad in (None, [], {"recipe": None}, {"recipe": {"a": 1}}, {"recipe": "{}"}, {"recipe": "x" * 70_000}):
        with pytest.raises(UserError):
            panel.open_visited("tiny", 2, SimpleNamespace(_data=bad))
