"""A visitor's own checkpoint: what the bar then says, and who else can use it."""

import shutil

import gradio as gr
import pytest

from analysis.core.errors import UserError
from ui.panels.own_model import OwnModel, build_own_model
from ui.source import NO_CLASS, build_source, model_choices


def test_it_is_chosen_and_only_in_this_list(library, models_folder, tmp_path):
    file = shutil.copy(models_folder / "tiny-classes.hkd.safetensors", tmp_path / "mine.hkd.safetensors")
    model, seed, label, line, own, said = OwnModel(library).load(str(file), None, [], 7)
    key = model["value"]
    assert model["choices"] == [("tiny", "tiny"), ("tiny-classes", "tiny-classes"), ("own-mine", key)]
    assert own == [key] and seed == 7 and label["value"] == NO_CLASS and len(label["choices"]) == 4
    assert "own-mine is open, without a teacher" in said and key not in said + line
    assert model_choices(library) == model["choices"][:2]
    library.own.drop([key])
    assert model_choices(library, own) == model["choices"][:2]


def test_with_its_teacher_and_a_cleared_seed(library, models_folder):
    files = [str(models_folder / f"tiny.{part}.safetensors") for part in ("hkd", "teacher")]
    _, seed, *_, own, said = OwnModel(library).load(*files, ["own-old-0"], None)
    assert seed == 0 and "with its teacher" in said and own[0] == "own-old-0"
    library.own.drop(own)


@pytest.mark.parametrize("files", [(None, None), ("", None), ("/etc/passwd", None), ("tiny.hkd.safetensors", None)])
def test_what_cannot_be_opened_is_a_sentence(library, files):
    with pytest.raises(UserError) as caught:
        OwnModel(library).load(*files, [], 0)
    assert str(caught.value).endswith(".")


def test_it_can_be_laid_out(library):
    with gr.Blocks():
        build_own_model(library, build_source(library, 0))
