"""Models in files: names, kinds and configurations that do not fit get a sentence; what fits comes back."""

import pytest
import torch

from foundation.files import checkpoints
from foundation.files.models import find_model, load_model
from tests.refusals import refuses


def make(config: dict) -> torch.nn.Linear:
    return torch.nn.Linear(config["inputs"], 2)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    checkpoints.save(
        tmp_path / "a.line.safetensors", model.state_dict(), kind="line", config={"inputs": 3}, card={"name": "a"}
    )
    checkpoints.save(tmp_path / "b.line.safetensors", model.state_dict(), kind="line", config={})
    return tmp_path


def test_a_name_is_looked_up_and_a_path_is_taken(folder):
    assert find_model("a", ".line.safetensors", "line", folder) == folder / "a.line.safetensors"
    assert find_model("x/y.safetensors", ".line.safetensors", "line", folder).name == "y.safetensors"
    with refuses("name", "'c'.* a, b[.]", checkpoints.CheckpointError):
        find_model("c", ".line.safetensors", "line", folder)


def test_what_was_saved_comes_back(folder):
    model = load_model(folder / "a.line.safetensors", "line", make)
    torch.manual_seed(0)
    assert torch.equal(model.weight, torch.nn.Linear(3, 2).weight)
    assert model.card == {"name": "a"} and not model.training and not model.weight.requires_grad


def test_another_kind_or_configuration_is_a_sentence(folder):
    with refuses("kind", "'line'.*'curve'", checkpoints.CheckpointError):
        load_model(folder / "a.line.safetensors", "curve", make)
    with refuses("config", "b.line.safetensors .*'inputs'", checkpoints.CheckpointError):
        load_model(folder / "b.line.safetensors", "line", make)


def changed(folder, change):
    model = make({"inputs": 3})
    with torch.no_grad():
        change(model)
    checkpoints.save(folder / "c.line.safetensors", model.state_dict(), kind="line", config={"inputs": 3})
    return folder / "c.line.safetensors"


@pytest.mark.parametrize("value", [1001.0, -60_000.0, 3e38])
def test_weights_that_would_overflow_are_refused_at_loading(folder, value):
    path = changed(folder, lambda m: m.bias[1].fill_(value))
    with refuses("bias", error=checkpoints.CheckpointError):
        load_model(path, "line", make)


def test_weights_of_nothing_but_zeros_are_refused_at_loading(folder):
    path = changed(folder, lambda m: m.weight.zero_())
    with pytest.raises(checkpoints.CheckpointError):
        load_model(path, "line", make)
    assert load_model(changed(folder, lambda m: (m.weight[1:].zero_(), m.bias.fill_(1000))), "line", make)
