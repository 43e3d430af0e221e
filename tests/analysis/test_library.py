"""Models by name; damaged or foreign files give a sentence."""

import shutil

import pytest

from analysis import ModelLibrary, UserError


def test_names_default_first(models):
    library = ModelLibrary(models)
    assert library.names() == ["shapes", "many"]
    assert ModelLibrary(models, default="many").names()[0] == "many"
    assert ModelLibrary(models, default="absent").default == "many"


def test_info_reads_the_header(models):
    info = ModelLibrary(models).info("many")
    assert (info.side, info.classes) == (16, ("a", "b", "c")) and info.parameters > 1000


def test_loaded_once(models):
    library = ModelLibrary(models)
    assert library.get() is library.get("shapes") and library.get("shapes").teacher is not None


@pytest.mark.parametrize("name", ["nothing", "../shapes", "shapes.hkd.safetensors", 3, ["shapes"]])
def test_unknown_names(models, name):
    with pytest.raises(UserError, match="choose one of"):
        ModelLibrary(models).get(name)


def test_empty_folder(tmp_path):
    with pytest.raises(UserError, match="There is no"):
        ModelLibrary(tmp_path)


def test_damaged_file(models, tmp_path):
    shutil.copytree(models, tmp_path / "m")
    path = tmp_path / "m" / "shapes.hkd.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    for ask in ("get", "info"):
        with pytest.raises(UserError, match="damaged"):
            getattr(ModelLibrary(tmp_path / "m"), ask)("shapes")


def test_a_card_cannot_lead_out_of_the_folder(models, tmp_path):
    import koopman_core

    model = koopman_core.load(models / "shapes.hkd.safetensors")
    (tmp_path / "m").mkdir()
    shutil.copy(models / "shapes.teacher.safetensors", tmp_path / "shapes.teacher.safetensors")
    koopman_core.save(model, tmp_path / "m" / "x.hkd.safetensors", {"teacher": "../shapes"})
    assert ModelLibrary(tmp_path / "m").get("x").teacher is None
