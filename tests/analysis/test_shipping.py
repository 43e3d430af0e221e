"""Shipping keeps weights and card, refuses strangers and large files."""

import json

import koopman_core
from analysis import shipping


def test_ship_and_refuse(models, tmp_path, capsys, monkeypatch):
    student, teacher = models / "shapes.hkd.safetensors", models / "shapes.teacher.safetensors"
    arguments = [str(student), str(teacher), "--models", str(tmp_path), "--teacher-note", "two runs"]
    assert shipping.main(arguments) == 0
    assert "sha256" in capsys.readouterr().out
    assert koopman_core.load(tmp_path / "shapes.hkd.safetensors").card["name"] == "shapes"
    assert json.loads((tmp_path / "shapes.teacher.json").read_text())["name"] == "shapes-teacher"
    assert koopman_core.load_teacher(tmp_path / "shapes.teacher.safetensors").card["note"] == "two runs"
    monkeypatch.setattr(shipping, "LARGEST_FILE", 1000)
    assert shipping.main([str(student), str(teacher), "--models", str(tmp_path / "b")]) == 2
    assert "ship a smaller network" in capsys.readouterr().err
    assert shipping.main([str(models / "many.hkd.safetensors"), str(teacher), "--models", str(tmp_path)]) == 2
    assert "was trained from" in capsys.readouterr().err
