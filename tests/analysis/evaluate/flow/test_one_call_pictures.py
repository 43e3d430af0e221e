"""One call on pictures: rows, distances and FID of tiny nets recomputed by hand, the verdict, whom the part fits."""

import pytest
import torch

import koopman_core
from analysis.evaluate import __main__ as evaluate
from analysis.evaluate import image_sets
from analysis.evaluate.flow import one_call_pictures as one_call
from analysis.evaluate.tables.markdown import Table
from analysis.evaluate.tables.parts import Job
from flow_core.model import FlowConfig, save
from foundation import noise
from foundation.data.datasets import open_dataset
from foundation.data.pictures import to_bytes
from foundation.metrics.frechet import Moments, fid
from foundation.randomness import FIRST_SEED, mix_seed
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from tests.analysis.conftest import random_pair
from tests.analysis.evaluate.five_features import network
from tests.analysis.flow.image_flows import random_flow
from tests.refusals import refuses

COUNT = 10
SHAPES = {"name": "shapes", "spec": "shapes"}


@pytest.fixture(autouse=True)
def few(monkeypatch, no_backbone, tmp_path):
    for module in (one_call, image_sets):
        monkeypatch.setattr(module, "FID_STEPS", 3)
    monkeypatch.setattr(one_call, "ONE_CALL_BATCH", 4)
    monkeypatch.setattr(one_call, "TIMED", 2)
    monkeypatch.setattr(image_sets, "Inception", lambda: network)
    monkeypatch.chdir(tmp_path)


def mean_flow():
    model = random_flow(FlowConfig("meanflow", 0.0, predicts="average", data_std=0.5), 5)
    model.card = {"data": SHAPES}
    return model


@pytest.fixture
def folder(tmp_path):
    """Two students of one teacher, an OT-CFM net, and a model of other pictures."""
    model, teacher = random_pair()
    koopman_core.save(teacher, tmp_path / "shapes.teacher.safetensors", {"name": "shapes-teacher"})
    for name, student in (("shapes", {"nested_blurs": [4.0]}), ("shapes-published", {"objective": "published"})):
        card = {"name": name, "teacher": "shapes", "data": SHAPES, "recipe": {"student": student}}
        koopman_core.save(model, tmp_path / f"{name}.hkd.safetensors", card)
    koopman_core.save(model, tmp_path / "other.hkd.safetensors", {"name": "other", "data": {"name": "portraits"}})
    otcfm = random_flow(FlowConfig("otcfm", 0.0, predicts="velocity", data_std=0.5), 6)
    save(otcfm, tmp_path / "images-shapes-otcfm.flow.safetensors", {"data": SHAPES}, torch.float32)
    return tmp_path


def test_rows_and_their_distances_to_the_teachers_pictures(folder):
    model = mean_flow()
    makers = one_call.makers_of(model, "mine", folder)
    assert [(m.kind, m.calls) for m in makers] == [
        ("teacher", 5), ("HKD", 1), ("HKD", 1), ("MeanFlow", 1), ("MeanFlow", 2), ("OT-CFM", 1),
    ]  # fmt: skip
    assert "nested" in makers[1].name and "published" in makers[2].name
    rows, metric = one_call.measure_pictures_of_one_call(makers, COUNT)
    assert metric == "mean squared error" and rows[0].distance.value == 0 and all(r.ms > 0 for r in rows)
    x = noise(range(FIRST_SEED, FIRST_SEED + COUNT), (3, 16, 16))
    _, teacher = random_pair()
    with torch.no_grad():
        want = heun_sample(lambda y, s: teacher(y, s, None), SIGMA_MAX * x, karras_sigmas(3)).x
        jump = x + model(x, 0.0, end=1.0).velocity
    shown = [torch.floor((127.5 * p + 128).clip(0, 255)) for p in (want, jump)]
    apart = ((shown[0] - shown[1]) / 127.5).square().mean((1, 2, 3))
    mine = next(r for r in rows if r.maker.kind == "MeanFlow")
    assert mine.distance.value == pytest.approx(float(apart.mean()), rel=1e-2)
    assert mine.less.value == 0 and rows[1].less.value == pytest.approx(mine.distance.value - rows[1].distance.value)
    table, verdict = one_call.one_call_picture_blocks(rows, metric, COUNT)[1:]
    assert len(table.rows) == 6 and set(verdict.figures["sign"]) == {makers[1].name, makers[2].name}


def test_each_seed_has_its_class_in_a_jump():
    model = random_flow(FlowConfig("meanflow", 0.0, predicts="average", data_std=0.5), 5, classes=3)
    seeds = range(FIRST_SEED, FIRST_SEED + 4)
    x, labels = noise(seeds, (3, 16, 16)), torch.tensor([mix_seed(s, 8) % 3 for s in seeds])
    with torch.no_grad():
        jump = x + model(x, 0.0, labels, end=1.0).velocity
    assert len(labels.unique()) > 1
    torch.testing.assert_close(one_call.flow_pictures(model, seeds, 1), to_bytes(jump))


def test_fid_is_that_of_the_pictures(folder):
    model = mean_flow()
    makers = one_call.makers_of(model, "mine", folder)
    found, of, name = one_call.measure_fids(makers, model, COUNT, 9, folder=folder / "features")
    real = network(torch.from_numpy(open_dataset("shapes", 16).pictures(range(9))).permute(0, 3, 1, 2))
    for m in makers:
        fake = network(m.make(range(FIRST_SEED, FIRST_SEED + COUNT)))
        assert found[m.name] == pytest.approx(fid(Moments.of(real), Moments.of(fake)), rel=1e-3)
    assert (of, name) == (9, "shapes")
    table, verdict = one_call.fid_blocks(found, COUNT, of, name)[1:]
    assert isinstance(table, Table) and verdict.figures["order"][0] == min(found, key=found.get)


def test_whom_it_fits_and_what_is_missing(folder, tmp_path_factory):
    model = mean_flow()
    fitting = [n for n, p in evaluate.FLOW_PARTS.items() if p.fits(model)]
    assert fitting == ["pictures", "one-call-pictures", "one-call-fid"]
    other = random_flow(FlowConfig("otcfm", 0.0, predicts="velocity", data_std=0.5), 6)
    for measure in (one_call.one_call_pictures, one_call.one_call_fid):
        (block,) = measure(Job(other, 8, folder=folder)).blocks
        assert isinstance(block, str)
    with refuses("model"):
        one_call.makers_of(random_flow(FlowConfig("meanflow", 0.0, predicts="average"), 5), "mine", folder)
    model.card = {"data": {"name": "shapes"}}
    with refuses("data"):
        one_call.measure_fids([], model, 8, None)


def test_the_command_that_is_printed_measures_the_same_again(folder, capsys):
    save(mean_flow(), folder / "images-shapes-meanflow.flow.safetensors", {"data": SHAPES}, torch.float32)
    asked = "--model images-shapes-meanflow --parts one-call-fid --one-call-fid 4 --fid-reference 9"
    assert evaluate.main(["flow", *asked.split(), "--models", str(folder)]) == 0
    assert f"`python -m analysis.evaluate flow {asked}`" in capsys.readouterr().out
