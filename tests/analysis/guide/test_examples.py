"""Examples: each is a question that its models can answer, and whose tab can show it."""

import pytest

from analysis.guide.examples import EXAMPLES, recipe_of
from analysis.recipes.recipe import from_json, to_json
from analysis.recipes.replay import check_flows
from analysis.studio import Studio
from analysis.workbench.library import ModelLibrary
from tests.refusals import refuses


@pytest.fixture(scope="module")
def shipped():
    return Studio()


def test_titles_and_words_are_there():
    assert len({e.key for e in EXAMPLES}) == len({e.title for e in EXAMPLES}) == len(EXAMPLES) >= 6
    assert all(e.words.endswith((".", "?")) and len(e.title) < 30 for e in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.key)
def test_each_is_a_recipe_of_models_that_ship(example, shipped):
    recipe = recipe_of(example, shipped)
    assert from_json(to_json(recipe)) == recipe
    if not example.model:
        assert check_flows(recipe, shipped) == example.ask() and recipe.checksums


def test_kinds_are_many():
    assert len({type(e.ask()) for e in EXAMPLES}) >= 6


def test_a_model_that_is_not_here_is_a_sentence(models):
    other = next(e for e in EXAMPLES if e.model)
    library = ModelLibrary(models)
    library._names = ["many"]
    with refuses("model"):
        recipe_of(other, Studio(library=library))
