"""Models by name; damaged or foreign files give a sentence."""

import shutil
from dataclasses import replace

import pytest

from analysis.recipes import recipe as recipes
from analysis.recipes.replay import find_model
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.library import ModelLibrary
from tests.refusals import refuses


def test_names_default_first(models):
    library = ModelLibrary(models, default="shapes")
    assert library.names() == ["shapes", "many"]
    assert ModelLibrary(models, default="many").names()[0] == "many"
    assert ModelLibrary(models, default="absent").default == "many"


def test_info_reads_the_header(models):
    info = ModelLibrary(models).info("many")
    assert (info.side, info.classes) == (16, ("a", "b", "c")) and info.parameters > 1000


def test_loaded_once(models):
    library = ModelLibrary(models, default="shapes")
    assert library.get() is library.get("shapes") and library.get("shapes").teacher is not None


@pytest.mark.parametrize("name", ["nothing", "../shapes", "shapes.hkd.safetensors", 3, ["shapes"]])
def test_unknown_names(models, name):
    with refuses("model"):
        ModelLibrary(models).get(name)


def test_empty_folder(tmp_path):
    with refuses("folder"):
        ModelLibrary(tmp_path)


def test_damaged_file(models, tmp_path):
    shutil.copytree(models, tmp_path / "m")
    path = tmp_path / "m" / "shapes.hkd.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    for ask in ("get", "info"):
        with refuses("file"):
            getattr(ModelLibrary(tmp_path / "m"), ask)("shapes")


def test_a_card_cannot_lead_out_of_the_folder(models, tmp_path):
    import koopman_core

    model = koopman_core.load(models / "shapes.hkd.safetensors")
    (tmp_path / "m").mkdir()
    shutil.copy(models / "shapes.teacher.safetensors", tmp_path / "shapes.teacher.safetensors")
    koopman_core.save(model, tmp_path / "m" / "x.hkd.safetensors", {"teacher": "../shapes"})
    assert ModelLibrary(tmp_path / "m").get("x").teacher is None


@pytest.mark.parametrize(
    "card",
    [{"data": None}, {"data": [1]}, {"data": {"classes": 3}}, {"data": {"classes": None}}, {"teacher": "x" * 5000},
     {"teacher": "\x00"}, {"teacher": None}, {"teacher": ["shapes"]}],
    ids=lambda c: str(c)[:30],
)  # fmt: skip
def test_a_card_that_is_not_of_our_making(models, tmp_path, card):
    import koopman_core

    model = koopman_core.load(models / "many.hkd.safetensors")
    koopman_core.save(model, tmp_path / "x.hkd.safetensors", card)
    library = ModelLibrary(tmp_path)
    assert library.info("x").classes == () and library.info("x").side == 16
    assert library.get().classes == ("class 0", "class 1", "class 2") and library.get().teacher is None


# recipes find their model


def test_a_recipe_finds_its_weights_whatever_they_are_called(models, tmp_path):
    library = ModelLibrary(models, default="shapes")
    recipe = recipes.describe(GenerateRequest((1,)), library.get("many"))
    assert find_model(library, recipe) == "many"
    assert find_model(library, replace(recipe, checksums={"shapes": recipe.checkpoint})) == "many"
    (tmp_path / "m").mkdir()
    shutil.copy(models / "many.hkd.safetensors", tmp_path / "m" / "renamed.hkd.safetensors")
    (tmp_path / "m" / "broken.hkd.safetensors").write_bytes(b"no model")
    assert find_model(ModelLibrary(tmp_path / "m"), recipe) == "renamed"


def test_a_recipe_without_its_weights_or_teacher(models, tmp_path):
    library = ModelLibrary(models, default="shapes")
    recipe = recipes.describe(TrajectoryRequest(1, -1, 4), library.get("shapes"))
    with refuses("weights"):
        find_model(library, replace(recipe, checksums={"many": "0" * 64}))
    (tmp_path / "m").mkdir()
    shutil.copy(models / "shapes.hkd.safetensors", tmp_path / "m")
    alone = ModelLibrary(tmp_path / "m")
    with refuses("teacher"):
        find_model(alone, recipe)
    assert find_model(alone, replace(recipe, teacher=None)) == "shapes"


# a visitor's own models


def test_own_models_are_used_by_key_and_never_listed(models):
    library = ModelLibrary(models, default="shapes")
    key = library.own.add(models / "many.hkd.safetensors")
    assert library.names() == ["shapes", "many"] and key not in str(library.names())
    bench = library.get(key)
    assert bench.name == "own-many" and library.get(key) is bench
    info = library.info(key)
    assert (info.name, info.side, info.classes) == ("own-many", 16, ("a", "b", "c"))
    recipe = recipes.describe(GenerateRequest((1,)), bench)
    assert key not in recipes.to_json(recipe)  # a recipe that is shown around gives nothing away
    assert find_model(library, recipe, (key,)) == key and find_model(library, recipe) == "many"


@pytest.mark.parametrize("key", ["own-", "own-many", "own-many-0000000000000000", "own-../../x"])
def test_guessed_keys_open_nothing(models, key):
    library = ModelLibrary(models, default="shapes")
    library.own.add(models / "many.hkd.safetensors")
    for ask in (library.get, library.info):
        with refuses("model"):
            ask(key)


def test_a_model_in_the_folder_may_be_called_own(models, tmp_path):
    (tmp_path / "m").mkdir()
    shutil.copy(models / "many.hkd.safetensors", tmp_path / "m" / "own-many.hkd.safetensors")
    assert ModelLibrary(tmp_path / "m").get("own-many").name == "own-many"
