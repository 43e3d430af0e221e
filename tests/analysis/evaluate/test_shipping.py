"""Shipping keeps weights and card, refuses strangers and large files."""

import json
from types import SimpleNamespace

import torch
from safetensors.torch import load_file

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
    assert " MB" in capsys.readouterr().err and not (tmp_path / "b").exists()
    assert shipping.main([str(models / "many.hkd.safetensors"), str(teacher), "--models", str(tmp_path)]) == 2
    assert "many" in capsys.readouterr().err


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
    assert "flow" in capsys.readouterr().err


def test_measuring_a_large_model_in_float32_leaves_its_weights(models, tmp_path, monkeypatch):
    path = tmp_path / "large.hkd.safetensors"
    model = koopman_core.load(models / "shapes.hkd.safetensors")
    koopman_core.save(model, path, {"name": "large", "metrics": {}}, dtype=torch.float32)
    before = load_file(path)
    monkeypatch.setattr(shipping, "LARGEST_FILE", 1000)  # of what goes into the repository, not of what is measured
    shipping.write_metrics(tmp_path, SimpleNamespace(name="large", model=koopman_core.load(path)), {"fid": 3.5})
    after = load_file(path)
    assert {k: v.dtype for k, v in after.items()} == {k: torch.float32 for k in before}
    assert all(torch.equal(after[k], v) for k, v in before.items())
    card = {"name": "large", "metrics": {"fid": 3.5}}
    assert koopman_core.load(path).card == json.loads((tmp_path / "large.hkd.json").read_text()) == card


def test_shipping_keeps_float32_and_what_is_there_when_it_refuses(models, tmp_path, monkeypatch, capsys):
    source, teacher = tmp_path / "t.safetensors", koopman_core.load_teacher(models / "shapes.teacher.safetensors")
    koopman_core.save(teacher, source, teacher.card, dtype=torch.float32)
    arguments = [str(models / "shapes.hkd.safetensors"), str(source), "--models", str(tmp_path)]
    assert shipping.main(arguments) == 0
    weights = load_file(tmp_path / "shapes.teacher.safetensors")
    assert all(torch.equal(weights[k], v) for k, v in load_file(source).items())
    shipped = (tmp_path / "shapes.hkd.safetensors").read_bytes()
    monkeypatch.setattr(shipping, "LARGEST_FILE", 1000)
    assert shipping.main(arguments) == 2
    assert (tmp_path / "shapes.hkd.safetensors").read_bytes() == shipped
    assert not [f for f in tmp_path.iterdir() if f.name.startswith(".")]
