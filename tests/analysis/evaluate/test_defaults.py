"""Defaults chosen by measurement, into the card and out of it, on a tiny model of portraits."""

import json
import shutil

import pytest

import koopman_core
from analysis.core.errors import UserError
from analysis.evaluate import defaults
from analysis.evaluate.hkd import edit_curves, restoration
from analysis.evaluate.shipping import keep_part
from analysis.workbench.library import ModelLibrary
from analysis.workbench.workbench import Workbench
from tests.analysis.conftest import random_pair


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    model, teacher = random_pair(3, classes=8)
    card = {"name": "faces", "teacher": "faces", "data": {"spec": "portraits"}, "metrics": {"distribution": {"fid": 1}}}
    koopman_core.save(model, folder / "faces.hkd.safetensors", card)
    koopman_core.save(teacher, folder / "faces.teacher.safetensors", {"name": "faces-teacher"})
    return folder


def test_one_command_writes_the_card(folder, tmp_path, monkeypatch, capsys, no_backbone):
    monkeypatch.setattr(restoration, "STEP_CHOICES", (2, 3))
    monkeypatch.setattr(restoration, "PUBLISHED_SETTING", restoration.Setting(3, 0.0, False))
    models = tmp_path / "m"
    shutil.copytree(folder, models)
    command = ["--model", "faces", "--models", str(models), "--curve-pairs", "2", "--restored", "4"]
    assert defaults.main(command) == 0
    assert capsys.readouterr().out.count("Default of this model") == 1
    card = json.loads((models / "faces.hkd.json").read_text())
    told = card["metrics"]
    assert told["distribution"] == {"fid": 1} and told["edit-choice"]["tau"] in edit_curves.EDIT_TIMES
    assert told["edit-choice"]["command"].endswith("--model faces --parts edit-choice --curve-pairs 2")
    bench = ModelLibrary(models).get("faces")
    assert list(bench.edit_defaults()["bands"]) == told["edit-choice"]["bands"]
    for task in ("inpaint", "colorize"):
        found, kept = bench.restoration_defaults(task), told["restoration"][task]
        assert found == {name: kept[name] for name in ("steps", "end", "skip", "works")} and found["steps"] in (2, 3)
    keep_part(models, bench, "fidelity", "x", {"one_step": 2.0})  # other figures stay
    assert bench.restoration_defaults("inpaint")["steps"] == told["restoration"]["inpaint"]["steps"]


def test_a_strangers_card_is_checked():
    model, _ = random_pair()
    usual = {"steps": 20, "end": 0.0, "skip": False, "works": None}
    for told in (None, 3, {}, {"inpaint": 4}, {"inpaint": {"steps": 10**6}}, {"inpaint": {"end": "x", "works": "yes"}}):
        model.card = {"metrics": {"restoration": told}}
        assert Workbench(model).restoration_defaults("inpaint") == usual
    with pytest.raises(UserError) as refused:
        Workbench(model).restoration_defaults("sharpen")
    assert refused.value.field == "task"


def test_mistakes_are_sentences(folder, capsys):
    for more in (["--parts", "bands"], ["--restored", "1"], ["--model", "nobody"]):
        assert defaults.main(["--model", "faces", "--models", str(folder), *more]) == 2
        assert capsys.readouterr().err.startswith("analysis.evaluate.defaults: ")
