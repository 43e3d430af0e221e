"""Tiny random models on disk."""

import pytest
import torch

import koopman_core
from foundation.networks.unet import UNetConfig
from koopman_core.edm import EDM
from koopman_core.model import KoopmanDiffusion

NETWORK = {"resolution": 16, "base": 8, "multipliers": (1, 2), "blocks": 1, "attention": (), "embedding": 16}


def random_pair(seed=0, classes=0, network=NETWORK, koopman=None):
    """A model whose operators and labels matter, and its teacher."""
    torch.manual_seed(seed)
    teacher = EDM(UNetConfig(classes=classes, **network)).eval()
    for p in teacher.parameters():  # EDM starts half of its layers at almost zero: labels would not show
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=0.15)
    model = KoopmanDiffusion.from_teacher(teacher, koopman).eval()
    for operator in model.operators:
        torch.nn.init.normal_(operator.a, std=0.5)
    return model, teacher


@pytest.fixture
def no_backbone(monkeypatch, tmp_path):
    """No LPIPS, even where this machine has a backbone."""
    monkeypatch.delenv("KOOPMAN_LPIPS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with `shapes` (unconditional, with its teacher), `many` (three classes, no teacher)."""
    folder = tmp_path_factory.mktemp("models")
    model, teacher = random_pair()
    card = {"name": "shapes", "teacher": "shapes", "data": {"classes": []}, "metrics": {}}
    koopman_core.save(model, folder / "shapes.hkd.safetensors", card)
    koopman_core.save(teacher, folder / "shapes.teacher.safetensors", {"name": "shapes-teacher"})
    model, _ = random_pair(1, classes=3)
    koopman_core.save(model, folder / "many.hkd.safetensors", {"name": "many", "data": {"classes": ["a", "b", "c"]}})
    return folder
