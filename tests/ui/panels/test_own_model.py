"""A visitor's own checkpoint: what the bar then says, and who else can use it."""

import shutil

import pytest

from analysis.core.errors import UserError
from analysis.workbench.library import ModelLibrary, OwnModels
from tests.ui.serving import page_of
from ui.panels.own_model import OwnModel
from ui.source import NO_CLASS, Source, model_choices


def panel(library) -> OwnModel:
    source = Source(*("model", "seed", "label", "dice", "locked", "line", "moves"), ("tiny", 0, NO_CLASS))
    return OwnModel(library, source, "keys", "status")


def test_it_is_chosen_and_only_in_this_list(library, models_folder, tmp_path):
    file = shutil.copy(models_folder / "tiny-classes.hkd.safetensors", tmp_path / "mine.hkd.safetensors")
    out = panel(library).load(str(file), None, [], 7)
    model, seed, label, line, own, said = (out[n] for n in ("model", "seed", "label", "line", "keys", "status"))
    key = model["value"]
    assert model["choices"] == [("tiny", "tiny"), ("tiny-classes", "tiny-classes"), ("own-mine", key)]
    assert own == [key] and seed == 7 and label["value"] == NO_CLASS and len(label["choices"]) == 4
    assert "own-mine" in said and key not in said + line and library.get(key).teacher is None
    assert model_choices(library) == model["choices"][:2]
    library.own.drop([key])
    assert model_choices(library, own) == model["choices"][:2]


def test_with_its_teacher_and_a_cleared_seed(library, models_folder):
    files = [str(models_folder / f"tiny.{part}.safetensors") for part in ("hkd", "teacher")]
    out = panel(library).load(*files, ["own-old-0"], None)
    own = out["keys"]
    assert out["seed"] == 0 and own[0] == "own-old-0" and library.get(own[1]).teacher is not None
    library.own.drop(own)


@pytest.mark.parametrize("files", [(None, None), ("", None), ("/etc/passwd", None), ("tiny.hkd.safetensors", None)])
def test_what_cannot_be_opened_is_a_sentence(library, files):
    with pytest.raises(UserError) as caught:
        panel(library).load(*files, [], 0)
    assert str(caught.value).endswith(".")


def test_it_is_there_only_where_visitors_may_bring_models(library, models_folder):
    def laid_out(of) -> bool:
        demo, _ = page_of(of, "generate", panels=("own model",))
        return any(getattr(b, "elem_id", None) == "own" for b in demo.blocks.values())

    closed = ModelLibrary(models_folder, default="tiny")
    closed.own = OwnModels(most=0)
    assert laid_out(library) and not laid_out(closed)
