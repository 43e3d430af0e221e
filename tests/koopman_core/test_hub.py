"""Models as folders and by address, without a network."""

import re
import sys
import types

import pytest
import torch
import yaml

import koopman_core
from foundation import noise
from foundation.files.checkpoints import CheckpointError, sha256
from foundation.networks.unet import UNetConfig
from koopman_core.denoiser import open_teacher
from koopman_core.edm import EDM
from koopman_core.hub import MODEL_FILE
from koopman_core.model import KoopmanConfig, KoopmanDiffusion
from tests.refusals import refuses

TINY = UNetConfig(resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(), embedding=16)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    model = KoopmanDiffusion(TINY, KoopmanConfig(decoder_sigma="max")).eval()
    torch.nn.init.normal_(model.net.decoder.conv.weight)
    model.card = {
        "name": "tiny | <b>bold</b>\n# x", "kind": "HKD student", "licence": "for tests: only", "images_seen": 24,
        "data": {"name": "shapes", "licence": "ours"}, "origin": {"file": "a.pkl", "sha256": "ab"},
        "metrics": {"fid": 3.5},
    }  # fmt: skip
    model.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny", model


def pictures(model):
    with torch.no_grad():
        return model.one_step(noise([1], model.picture_shape))


def test_a_folder_is_a_model(folder):
    path, model = folder
    assert sorted(p.name for p in path.iterdir()) == ["README.md", "config.json", MODEL_FILE]
    for again in (koopman_core.load(path), KoopmanDiffusion.from_pretrained(path),
                  KoopmanDiffusion.from_pretrained(str(path), sha256=sha256(path / MODEL_FILE))):  # fmt: skip
        assert torch.equal(pictures(again), pictures(model))
        assert again.card == model.card and again.koopman == model.koopman
    with refuses("sha256", MODEL_FILE, CheckpointError):
        KoopmanDiffusion.from_pretrained(path, sha256="0" * 64)


def test_the_card_is_the_hubs(folder):
    text = (folder[0] / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["license"] == "other" and "hkd" in about["tags"] and about["library_name"] == "koopman-studio"
    assert "for tests: only" in body and "a.pkl" in body and "| measured: fid | 3.5 |" in body and "<b>" not in body
    assert [line for line in body.splitlines() if line.startswith("# ")] == ["# tiny \\| &lt;b>bold&lt;/b> # x"]


def test_a_teachers_folder(tmp_path):
    teacher = EDM(TINY).eval()
    koopman_core.save_pretrained(teacher, tmp_path / "t")
    for again in (koopman_core.load_teacher(tmp_path / "t"), open_teacher(tmp_path / "t")):
        assert torch.equal(again.net.decoder.conv.weight, teacher.net.decoder.conv.weight)
    with refuses("kind", "'teacher'", CheckpointError):
        koopman_core.load(tmp_path / "t")


@pytest.fixture
def served(folder, monkeypatch):
    """The hub, as far as it is needed: one repository."""
    asked = []

    def hf_hub_download(repo_id, filename, revision=None):
        asked.append((repo_id, filename, revision))
        if repo_id != "user/tiny":
            raise FileNotFoundError(repo_id)
        return str(folder[0] / filename)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=hf_hub_download))
    return folder, asked


def test_addresses(served):
    (path, model), asked = served
    checksum = sha256(path / MODEL_FILE)
    for address, revision in {
        "": None,
        "@v1": "v1",
        f"@v1#sha256={checksum}": "v1",
        f"#sha256={checksum}": None,
    }.items():
        assert torch.equal(pictures(koopman_core.load(f"hf://user/tiny{address}")), pictures(model))
        assert asked[-1] == ("user/tiny", MODEL_FILE, revision)
    assert torch.equal(pictures(KoopmanDiffusion.from_pretrained("user/tiny", revision="main")), pictures(model))
    assert asked[-1][2] == "main"


@pytest.mark.parametrize(
    "address", ["hf://", "hf://user", "hf://user/tiny/x", "hf://user/tiny#sha256=12", "hf://user/../x/y", "hf://a b/c"]
)
def test_what_is_no_address(served, address):
    with refuses("address", re.escape(repr(address)), CheckpointError):
        koopman_core.load(address)
    assert served[1] == []


def test_what_cannot_be_fetched_or_is_another_model(served, monkeypatch):
    with refuses("repo", "user/none", CheckpointError):
        koopman_core.load("hf://user/none")
    with refuses("sha256", "user/tiny", CheckpointError):
        koopman_core.load("hf://user/tiny#sha256=" + "0" * 64)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with refuses("huggingface_hub", error=CheckpointError):
        koopman_core.load("hf://user/tiny")
