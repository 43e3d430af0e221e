"""Examples: each is a question that its models can answer, and whose tab can show it."""

import pytest

from analysis.core.errors import UserError
from analysis.guide.examples import EXAMPLES, recipe_of
from analysis.recipes.recipe import from_json, to_json
from analysis.recipes.replay import FlowBenches
from analysis.workbench.library import ModelLibrary
from koopman_core.model import MODELS_DIR


@pytest.fixture(scope="module")
def shipped():
    return ModelLibrary(MODELS_DIR)


def test_titles_and_words_are_there():
    assert len({e.key for e in EXAMPLES}) == len({e.title for e in EXAMPLES}) == len(EXAMPLES) >= 6
    assert all(e.words.endswith((".", "?")) and len(e.title) < 30 for e in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.key)
def test_each_is_a_recipe_of_models_that_ship(example, shipped):
    flows = FlowBenches.shared()
    recipe = recipe_of(example, shipped, flows)
    assert from_json(to_json(recipe)) == recipe
    if not example.model:
        assert flows.check(recipe) == example.ask() and recipe.nets


def test_kinds_are_many():
    assert len({type(e.ask()) for e in EXAMPLES}) >= 6


def test_a_model_that_is_not_here_is_a_sentence(models):
    flows = FlowBenches.shared()
    other = next(e for e in EXAMPLES if e.model)
    library = ModelLibrary(models)
    library._names = ["many"]
    with pytest.raises(UserError, match="needs the model shapes, which is not here"):
        recipe_of(other, library, flows)
