"""Shipping keeps weights and card, refuses strangers and large files."""

import json

import torch

import flow_core
import koopman_core
from analysis.evaluate import shipping
from flow_core.model import FlowConfig
from tests.analysis.flow.image_flows import random_flow


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


def test_a_flow_alone(models, tmp_path, capsys):
    source = tmp_path / "flow.safetensors"
    model = random_flow(FlowConfig("idff", 0.2, data_std=0.5), 0)
    flow_core.save(model, source, {"name": "images-small", "data": {"classes": []}})
    into = tmp_path / "shipped"
    into.mkdir()
    assert shipping.main([str(source), "--models", str(into)]) == 0
    assert "images-small.flow.safetensors" in capsys.readouterr().out
    assert json.loads((into / "images-small.flow.json").read_text()) == model.card
    shipped = flow_core.load(into / "images-small.flow.safetensors")
    for name, tensor in model.state_dict().items():
        assert torch.equal(shipped.state_dict()[name], tensor.half().float())
    assert shipping.main([str(source), str(models / "shapes.teacher.safetensors"), "--models", str(into)]) == 2
    assert shipping.main([str(models / "shapes.hkd.safetensors"), "--models", str(into)]) == 2
    assert "a flow stands alone" in capsys.readouterr().err
