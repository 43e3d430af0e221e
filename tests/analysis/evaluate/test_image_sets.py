"""FID and KID of teacher and student: from the pictures that they make, by a network of five features."""

import shutil
from dataclasses import replace

import pytest
import torch

from analysis.evaluate import __main__ as evaluate
from analysis.evaluate import image_sets
from analysis.evaluate.image_sets import Distribution, distribution_blocks, makers, measure_distribution
from analysis.evaluate.tables.markdown import markdown
from analysis.evaluate.tables.parts import Outcome
from analysis.workbench.library import ModelLibrary
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.data.datasets import open_dataset
from foundation.metrics.frechet import Moments, fid, kid
from foundation.metrics.statistics import Interval
from foundation.randomness import FIRST_SEED, mix_seed
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from tests.analysis.conftest import random_pair
from tests.analysis.evaluate.five_features import network
from tests.refusals import refuses

COUNT = 6


@pytest.fixture(autouse=True)
def few_steps(monkeypatch, tmp_path):
    monkeypatch.setattr(image_sets, "FID_STEPS", 2)
    monkeypatch.setattr(image_sets, "SET_BATCH", 4)
    monkeypatch.setattr(image_sets, "Inception", lambda: network)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KOOPMAN_LPIPS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


def bench_of(classes=0):
    bench = Workbench(*random_pair(classes=classes), "shapes")
    bench.model.card = {"data": {"spec": "shapes", "fingerprint": open_dataset("shapes", 16).fingerprint()}}
    return bench


@pytest.mark.parametrize("classes", [0, 3])
def test_figures_are_those_of_the_pictures(classes, tmp_path):
    bench = bench_of(classes)
    shares = []
    d = measure_distribution(
        bench, COUNT, runs=2, reference_count=9, folder=tmp_path, progress=lambda share, _: shares.append(share)
    )
    data = open_dataset("shapes", 16)
    real = network(torch.from_numpy(data.pictures(range(9))).permute(0, 3, 1, 2))
    for run in range(2):
        seeds = range(FIRST_SEED + 1_000_000 * run, FIRST_SEED + 1_000_000 * run + COUNT)
        labels = torch.tensor([mix_seed(s, 8) % 3 for s in seeds]) if classes else None
        x = noise(seeds, (3, 16, 16))
        with torch.no_grad():
            best = heun_sample(lambda x, s, c=labels: bench.teacher(x, s, c), SIGMA_MAX * x, karras_sigmas(2)).x
            pictures = {"teacher": best, "student": bench.model.one_step(x, labels)}
        for maker, p in pictures.items():
            fake = network((p * 127.5 + 128).clip(0, 255).to(torch.uint8))
            assert d.fid[maker][run] == pytest.approx(fid(Moments.of(real), Moments.of(fake)), rel=1e-3)
            if run == 0:
                assert d.kid[maker].value == pytest.approx(kid(real, fake).value, rel=1e-3)
    assert d.ratio == pytest.approx([s / t for s, t in zip(d.fid["student"], d.fid["teacher"], strict=True)])
    assert (d.name, d.reference, d.data, d.classes, d.same_data) == ("FID-6", 9, "shapes", bool(classes), True)
    assert shares == sorted(shares) and shares[-1] == 1


def test_what_is_on_disk_is_not_made_again(tmp_path, monkeypatch):
    bench = bench_of()
    first = measure_distribution(bench, COUNT, reference_count=9, folder=tmp_path)

    def not_again(*_):
        pytest.fail("made again")

    monkeypatch.setattr(image_sets, "makers", lambda *_: dict.fromkeys(("teacher", "student"), not_again))
    assert measure_distribution(bench, COUNT, reference_count=9, network=not_again, folder=tmp_path) == first
    one = measure_distribution(bench, COUNT, who=("student",), reference_count=9, network=not_again, folder=tmp_path)
    assert one.fid == {"student": first.fid["student"]} and one.kid == {"student": first.kid["student"]}
    with torch.no_grad():
        bench.model.operators[0].a += 1
    other = Workbench(bench.model, bench.teacher, "shapes")
    monkeypatch.setattr("foundation.files.checkpoints._checksums", {})
    with pytest.raises(pytest.fail.Exception, match="made again"):  # other weights are another model
        measure_distribution(other, COUNT, reference_count=9, network=not_again, folder=tmp_path)


def test_a_picture_depends_on_its_seed_alone():
    for make in makers(bench_of()).values():
        together, alone = make(range(5, 8)), make(range(6, 7))
        assert together.dtype == torch.uint8 and together.shape == (3, 3, 16, 16)
        assert int((together[1].int() - alone[0].int()).abs().max()) <= 1


def test_the_text_says_what_was_measured():
    v = Interval(0.0012, 0.001, 0.0014, 1000)
    one = Distribution(1000, {"teacher": (4.0,), "student": (6.0,)}, {"teacher": v, "student": v}, "cifar10", 50_000,
                       False, True)  # fmt: skip
    blocks = distribution_blocks(one)
    text = markdown(blocks)
    assert "| FID-1k | KID-1k x 1000 |" in text and "50,000 training" in text
    assert "| student, one call | 6.00 | 1.20 [1.00, 1.40] | 3.30 |" in text and "| 1.97 |" in text
    assert "| student / teacher | 1.50 | 1.00 | 1.68 |" in text
    figures = blocks[-1].figures
    assert (figures["ratio"], figures["above"], figures["biased"]) == (1.5, False, True)
    assert not distribution_blocks(replace(one, count=50_000))[-1].figures["biased"]
    zero = {"teacher": Interval(0.0001, -0.001, 0.001, 1000), "student": v}
    assert "| student / teacher | 1.50 | n/a | 1.68 |" in markdown(distribution_blocks(replace(one, kid=zero)))
    shapes = replace(one, data="shapes", fid={"teacher": (4.0, 5.0), "student": (8.0, 10.0)}, same_data=False)
    blocks = distribution_blocks(shapes)
    assert "| 9.00 [8.00, 10.00] | 1.20 [1.00, 1.40] | n/a |" in markdown(blocks)
    assert (blocks[-1].figures["ratio"], blocks[-1].figures["above"]) == (2, True)
    assert blocks[0] != distribution_blocks(replace(shapes, same_data=True))[0]
    assert "2.77 |" in markdown(distribution_blocks(replace(one, classes=True)))


@pytest.mark.parametrize("spec", [None, "folder"])
def test_a_model_of_unknown_pictures(spec):
    bench = bench_of()
    bench.model.card = {"data": {"spec": spec}}
    with refuses("data"):
        measure_distribution(bench, COUNT)


def test_the_command_writes_page_and_card_and_other_parts_leave_it(models, tmp_path, capsys):
    shutil.copytree(models, tmp_path / "m")
    bench = ModelLibrary(tmp_path / "m").get("shapes")
    from analysis.evaluate.shipping import write_metrics

    bench.model.card["data"]["spec"] = "shapes"
    write_metrics(tmp_path / "m", bench, {"old": 1})
    arguments = ["hkd", "--model", "shapes", "--models", str(tmp_path / "m"), "--write", "--seeds", "1"]
    fids = ["--fid", str(COUNT), "--fid-reference", "9"]
    assert evaluate.main([*arguments, *fids, "--parts", "distribution"]) == 0
    out = capsys.readouterr().out
    command = f"python -m analysis.evaluate hkd --model shapes --parts distribution --fid {COUNT} --fid-reference 9"
    assert f"## shapes: distribution\n\n`{command}`\n" in out and out.strip() in (tmp_path / "m/results.md").read_text()

    def metrics():
        return ModelLibrary(tmp_path / "m").info("shapes").card["metrics"]

    there = metrics()["distribution"]
    assert there["metric"] == "FID-6" and there["command"] == command and metrics()["old"] == 1
    assert there["reference"] == {"data": "shapes", "split": "train", "pictures": 9}
    assert evaluate.main([*arguments, "--parts", "fidelity"]) == 0
    assert metrics()["distribution"] == there and "one_step" in metrics() and "old" not in metrics()


def test_it_is_measured_only_where_it_is_asked_for(models, monkeypatch, capsys):
    stubs = {n: replace(p, measure=lambda job: Outcome([f"count {job.count}"])) for n, p in evaluate.HKD_PARTS.items()}
    monkeypatch.setattr(evaluate, "HKD_PARTS", stubs)
    arguments = ["hkd", "--model", "shapes", "--models", str(models)]
    assert evaluate.main(arguments) == 0 and "distribution" not in capsys.readouterr().out
    assert evaluate.main([*arguments, "--fid", "7"]) == 0
    out = capsys.readouterr().out
    assert "## shapes: bands" in out and "count 7" in out
    assert evaluate.main([*arguments, "--parts", "distribution"]) == 0 and "count 10000" in capsys.readouterr().out
    assert evaluate.main([*arguments, "--fid", "1"]) == 2 and "--fid" in capsys.readouterr().err
