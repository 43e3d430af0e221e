"""Student against teacher: the figures, the table, the card."""

import json
import shutil

import pytest
import torch
from PIL import Image

from analysis import ModelLibrary, evaluate, metrics
from analysis.fidelity import FIRST_SEED, measure_fidelity
from foundation import noise
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas


@pytest.fixture(autouse=True)
def no_backbone(monkeypatch, tmp_path):
    monkeypatch.delenv("KOOPMAN_LPIPS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


def test_figures_are_means_over_held_out_noises(models):
    bench = ModelLibrary(models).get("shapes")
    f = measure_fidelity(bench.model, bench.teacher, 4, scrub_seeds=4, scrub_steps=5)
    x = SIGMA_MAX * noise(range(FIRST_SEED, FIRST_SEED + 4), (3, 16, 16))
    with torch.no_grad():
        best = heun_sample(bench.teacher, x, karras_sigmas(18)).x.clamp(-1, 1)
        one = bench.model.one_step(x / SIGMA_MAX).clamp(-1, 1)
        for operator in bench.model.operators:
            operator.a.zero_()
        zero = bench.model.one_step(x / SIGMA_MAX).clamp(-1, 1)
    assert f.one_step.mse == pytest.approx(float(metrics.mse(one, best).mean()), rel=1e-4)
    assert f.one_step.psnr == pytest.approx(float(metrics.psnr(one, best).mean()), rel=1e-4)
    assert f.zero_operator.mse == pytest.approx(float(metrics.mse(zero, best).mean()), rel=1e-4)
    assert f.yardstick.mse < f.one_step.mse
    assert [row.sigma for row in f.scrub] == pytest.approx(karras_sigmas(5).tolist())
    assert f.one_step.lpips is None


def test_command_prints_and_writes_the_card(models, tmp_path, capsys):
    shutil.copytree(models, tmp_path / "m")
    arguments = ["hkd", "--model", "shapes", "--models", str(tmp_path / "m"), "--seeds", "3"]
    assert (
        evaluate.main([*arguments, "--write", "--json", str(tmp_path / "f.json"), "--sheet", str(tmp_path / "s.png")])
        == 0
    )
    assert Image.open(tmp_path / "s.png").size == (16 * 50, 4 * 50)  # 16 pixels enlarged 3 times, and a border
    out, err = capsys.readouterr()
    assert "student, one call" in out and "LPIPS is left out" in err
    figures = json.loads((tmp_path / "f.json").read_text())
    card = ModelLibrary(tmp_path / "m").info("shapes").card
    assert card["metrics"]["one_step"] == figures["one_step"] and card["name"] == "shapes"
    assert json.loads((tmp_path / "m" / "shapes.hkd.json").read_text()) == card


@pytest.mark.parametrize("arguments,words", [
    (["--model", "none"], "no such model"), (["--seeds", "0"], "--seeds"), (["--model", "many"], "teacher"),
])  # fmt: skip
def test_mistakes_get_one_sentence(models, arguments, words, capsys):
    assert evaluate.main(["hkd", "--models", str(models), *arguments]) == 2
    assert words in capsys.readouterr().err
