"""The atlas of a tiny model of portraits: command, steps that are kept, page, question."""

import json
from functools import partial

import numpy as np
import pytest
import torch

import koopman_core
from analysis.evaluate import atlas
from analysis.koopman import clusters
from analysis.koopman.ablations import mean_latents
from analysis.recipes import recipe as recipes
from analysis.workbench.atlas import AtlasRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.workbench import Workbench
from foundation.procedural import portraits
from tests.analysis.conftest import NETWORK, random_pair
from tests.refusals import refuses

FEW = ["--noises", "4", "--pictures", "2", "--pairs", "4", "--factors", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two trainings on portraits, nearly alike, and the atlas of one."""
    folder = tmp_path_factory.mktemp("models")
    for name, bend in (("faces", 0.0), ("again", 0.01)):
        model, _ = random_pair(3, network=NETWORK | {"resolution": 16})
        with torch.no_grad():
            for i, p in enumerate(model.parameters()):
                p += bend * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)) * p.std(correction=0)
        card = {"name": name, "data": {"spec": "portraits", "classes": []}}
        koopman_core.save(model, folder / f"{name}.hkd.safetensors", card)
    return folder


@pytest.fixture(scope="module")
def out(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    command = ["--model", "faces", "--models", str(folder), "--out", str(out), "--second", "again", "--beside", *FEW]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters.cluster_level, "__defaults__", (None, (2, 3), 0))
        patch.setattr("analysis.workbench.session.mean_latents", partial(mean_latents, count=32))
        assert atlas.main(command) == 0
    return out


def test_the_document_says_all_of_every_cluster(out, folder):
    document = json.loads((out / "faces.atlas.json").read_text())
    bench = ModelLibrary(folder).get("faces")
    assert document["checkpoint"] == bench.checksums[0] and document["second"] == "again"
    assert [level["name"] for level in document["levels"]] == [e.name for e in bench.entries]
    for level, about in enumerate(document["levels"]):
        inside = [m for c in document["clusters"] if c["level"] == level for m in c["modes"]]
        assert len(inside) == len(set(inside)) == about["modes"] - about["idle"]
    first = document["clusters"][0]
    assert first["address"] == "faces/skip0/c0" and len(first["seeds"]) == 3
    assert first["effect"][1] <= first["effect"][0] <= first["effect"][2]
    names = {f["name"] for c in document["clusters"] for f in c["factors"]}
    assert names and names <= set(portraits.FACTOR_GROUPS)
    # a training that is nearly the same has nearly the same clusters
    assert document["again"] > len(document["clusters"]) / 2
    assert {c["match"].partition("/")[0] for c in document["clusters"] if c["match"]} == {"again"}


def test_figures_are_those_of_their_recipes(out, folder, monkeypatch):
    document = json.loads((out / "faces.atlas.json").read_text())
    bench = ModelLibrary(folder).get("faces")
    cluster = document["clusters"][-1]
    monkeypatch.setattr("analysis.workbench.session.mean_latents", partial(mean_latents, count=32))
    again = recipes.replay(recipes.from_json(json.dumps(cluster["recipe"])), bench)
    assert again.mse == pytest.approx(cluster["seeds"][0]["mse"], rel=2e-2)  # kept in half precision
    assert again.index.tolist() == cluster["modes"]


def test_steps_are_kept(out, folder, monkeypatch):
    def never(*_args, **_more):
        raise AssertionError("measured again")

    monkeypatch.setattr(clusters, "effect_energy", never)
    monkeypatch.setattr(clusters, "cluster_level", never)
    monkeypatch.setattr("analysis.koopman.atlas.exchange_factor", never)
    before = (out / "faces.atlas.json").read_bytes()
    command = ["--model", "faces", "--models", str(folder), "--out", str(out), "--second", "again", *FEW]
    assert atlas.main(command) == 0 and (out / "faces.atlas.json").read_bytes() == before
    page = (out / "faces.atlas.html").read_text("utf-8")
    assert "faces/skip0/c0" in page and "@DATA@" not in page and "http://" not in page and "https://" not in page


def test_the_question_answers_from_the_kept_file(out, folder):
    bench = ModelLibrary(folder).get("faces")
    found = bench.atlas(AtlasRequest(level=1, count=2, sort="effect"))
    assert found.found >= len(found.clusters) > 0 and {c.level for c in found.clusters} == {1}
    assert found.clusters[0].effect >= found.clusters[-1].effect
    assert found.clusters[0].picture.shape == (16, 16, 3) and found.clusters[0].seeds[0].full.dtype == np.uint8
    assert isinstance(found.clusters[0].again, bool)
    all_of_them = bench.atlas(AtlasRequest(pictures=False))
    name = next(f.name for c in all_of_them.clusters for f in c.factors)
    some = bench.atlas(AtlasRequest(search=f"skip {name}", sort="factor", pictures=False))
    assert 0 < some.found < all_of_them.total and some.clusters[0].picture is None
    assert bench.atlas(AtlasRequest(search="no such place")).clusters == ()
    with refuses("level"):
        bench.atlas(AtlasRequest(level=9))
    with refuses("atlas"):
        ModelLibrary(folder).get("again").atlas(AtlasRequest())


def test_an_atlas_of_other_weights_and_a_damaged_one_are_refused(out, folder, tmp_path):
    bench = ModelLibrary(folder).get("again")
    other = Workbench(bench.model, None, "faces", folder=folder)
    with refuses("weights"):
        other.atlas(AtlasRequest())
    for text in ("{", "[]", '{"format": 99, "clusters": []}', '{"format": 1}'):
        (tmp_path / "faces.atlas.json").write_text(text)
        with refuses("file"):
            Workbench(bench.model, None, "faces", folder=tmp_path).atlas(AtlasRequest())


def test_mistakes_are_sentences(folder, tmp_path, capsys):
    for more in (["--noises", "1"], ["--label", "3"], ["--second", str(tmp_path / "gone.safetensors")]):
        assert atlas.main(["--model", "faces", "--models", str(folder), "--out", str(tmp_path), *more]) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("analysis.evaluate.atlas: ")


def test_without_factors_and_without_a_second_training(tmp_path, monkeypatch):
    model, _ = random_pair(1, classes=3)
    monkeypatch.setattr("analysis.workbench.session.mean_latents", partial(mean_latents, count=32))
    document = atlas.make_atlas(Workbench(model, None, "many"), tmp_path, atlas.AtlasSettings(3, 2, 4, 1, label=2))
    assert document["second"] == "" and document["again"] is None and document["data"] is None
    assert all(c["factors"] == [] and c["everything"] is None and c["again"] is None for c in document["clusters"])
    assert document["clusters"][0]["recipe"]["settings"]["label"] == 2
