"""Models of strangers: limits, sentences, and how long they are kept."""

import re
import shutil

import pytest
import torch

import koopman_core
from analysis.core.errors import UserError
from analysis.workbench import library
from analysis.workbench.library import OwnModels, load_model
from foundation.files import checkpoints
from foundation.networks.unet import UNetConfig
from koopman_core.edm import EDM
from koopman_core.model import KoopmanDiffusion
from tests.refusals import refuses

NETWORK = {"resolution": 16, "base": 8, "multipliers": (1, 2), "blocks": 1, "attention": (), "embedding": 16}


def saved(model, path):
    koopman_core.save(model, path, {"name": "x"})
    return path


def test_model_and_teacher_answer(models):
    bench, card, parameters = load_model(
        models / "shapes.hkd.safetensors", models / "shapes.teacher.safetensors", "own-x"
    )
    assert bench.name == "own-x" and bench.teacher is not None and card["name"] == "shapes" and parameters > 1000


@pytest.mark.parametrize(
    ("change", "most"),
    [
        ({"MAX_MODEL_BYTES": 1000}, "0 MB"),
        ({"MAX_MODEL_PARAMETERS": 1000}, "1,000"),
        ({"MAX_MODEL_SIDE": 8}, "8 x 8"),
    ],
)
def test_limits(models, monkeypatch, change, most):
    for name, value in change.items():
        monkeypatch.setattr(library, name, value)
    with refuses("file", most):
        OwnModels().add(models / "shapes.hkd.safetensors")


def test_limits_come_before_memory_is_taken(models, monkeypatch):
    monkeypatch.setattr(library, "MAX_MODEL_PARAMETERS", 1000)
    monkeypatch.setattr(koopman_core, "load", lambda path: pytest.fail("loaded"))
    with pytest.raises(UserError):
        load_model(models / "shapes.hkd.safetensors", None, "x")


def test_files_that_are_no_models(models, tmp_path):
    torch.manual_seed(0)
    grey = saved(KoopmanDiffusion(UNetConfig(**NETWORK, channels=1)), tmp_path / "grey.hkd.safetensors")
    classes = saved(EDM(UNetConfig(**NETWORK, classes=3)), tmp_path / "classes.teacher.safetensors")
    large = saved(EDM(UNetConfig(**{**NETWORK, "resolution": 32})), tmp_path / "large.teacher.safetensors")
    shutil.copy(models / "shapes.hkd.safetensors", tmp_path / "named.bin")
    (tmp_path / "text.safetensors").write_bytes(b"hello")
    checkpoints.save(tmp_path / "odd.safetensors", {}, kind="hkd", config={"network": ["x"]})
    checkpoints.save(tmp_path / "empty.safetensors", {}, kind="hkd", config={"network": {"resolution": 16}})
    checkpoints.save(tmp_path / "true.safetensors", {}, kind="hkd", config={"network": {"resolution": "16"}})
    model, teacher = models / "shapes.hkd.safetensors", models / "shapes.teacher.safetensors"
    cases = [
        ((grey, None), "model"),
        ((model, classes), "teacher"),
        ((model, large), "teacher"),
        ((tmp_path / "named.bin", None), "file"),
        ((tmp_path / "text.safetensors", None), "file"),
        ((tmp_path / "odd.safetensors", None), "file"),
        ((tmp_path / "true.safetensors", None), "file"),
        ((tmp_path / "empty.safetensors", None), "file"),
        ((tmp_path / "absent.safetensors", None), "file"),
        ((teacher, None), "file"),
        ((model, model), "file"),
    ]
    for files, field in cases:
        with refuses(field) as caught:
            OwnModels().add(*files)
        assert str(tmp_path) not in str(caught.value)


def test_pictures_must_be_finite(models, tmp_path):
    model = koopman_core.load(models / "shapes.hkd.safetensors")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(3e38)
    koopman_core.save(model, tmp_path / "x.hkd.safetensors", {}, dtype=torch.float32)
    with refuses("file"):
        OwnModels().add(tmp_path / "x.hkd.safetensors")


def test_keys_cannot_be_guessed_and_names_are_harmless(models, tmp_path):
    own = OwnModels()
    odd = shutil.copy(models / "many.hkd.safetensors", tmp_path / "<b>my model<.hkd.safetensors")
    first, second = (own.add(odd) for _ in range(2))
    assert first != second
    assert re.fullmatch(r"own-b-my-model-[0-9a-f]{16}", first)


def test_the_least_recently_used_gives_way(models):
    own = OwnModels(most=2)
    a, b = (own.add(models / "many.hkd.safetensors") for _ in range(2))
    own.find(a)
    c = own.add(models / "many.hkd.safetensors")
    assert len(own) == 2
    with refuses("model"):
        own.find(b)
    assert own.find(a) and own.find(c)
    own.drop([a, "nobody"])
    assert len(own) == 1


def test_forgotten_after_a_time_without_use(models):
    now = [0.0]
    own = OwnModels(lifetime=10, clock=lambda: now[0])
    key = own.add(models / "many.hkd.safetensors")
    now[0] = 9
    own.find(key)
    now[0] = 18
    own.find(key)
    now[0] = 28.5
    with refuses("model"):
        own.find(key)
    assert len(own) == 0


def test_none_are_taken_where_none_are_wanted(models):
    own = OwnModels(most=0)
    assert not own.open and OwnModels().open
    with refuses("upload"):
        own.add(models / "many.hkd.safetensors")
    assert len(own) == 0
