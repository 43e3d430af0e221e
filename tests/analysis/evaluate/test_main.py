"""Student against teacher: the figures, the table, the card."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from analysis.evaluate import __main__ as evaluate
from analysis.evaluate import page as result_pages
from analysis.evaluate.hkd.fidelity import generalisation, measure_fidelity, measure_generalisation
from analysis.evaluate.page import FIRST_LINE
from analysis.evaluate.tables.parts import Job
from analysis.metrics import image as metrics
from analysis.workbench.library import ModelLibrary
from foundation import noise
from foundation.randomness import FIRST_SEED
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from tests.refusals import refuses

pytestmark = pytest.mark.usefixtures("no_backbone")


def spread(x):
    """Mean over pictures of the standard deviation of their values."""
    return float(np.mean([np.std(picture.numpy()) for picture in x]))


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
    assert f.one_step.contrast == pytest.approx(spread(one) / spread(best), rel=1e-4)
    assert f.yardstick.mse < f.one_step.mse
    assert [row.sigma for row in f.scrub] == pytest.approx(karras_sigmas(5).tolist())
    assert f.one_step.lpips is None


def test_what_the_teacher_made_serves_the_next_student(models):
    bench = ModelLibrary(models).get("shapes")
    remembered = {}
    f = measure_fidelity(bench.model, bench.teacher, 4, scrub_seeds=2, scrub_steps=5, remembered=remembered)

    def none(*_):
        pytest.fail("the teacher was asked again")

    assert measure_fidelity(bench.model, none, 4, scrub_seeds=2, scrub_steps=5, remembered=remembered) == f
    assert measure_fidelity(bench.model, bench.teacher, 4, scrub_seeds=2, scrub_steps=5) == f  # nothing is kept unasked
    with pytest.raises(pytest.fail.Exception):  # another grid is another question
        measure_fidelity(bench.model, none, 4, scrub_seeds=2, scrub_steps=6, remembered=remembered)


def test_trained_noises_are_those_of_the_card_and_the_others_are_held_out(models):
    bench = ModelLibrary(models).get("shapes")
    g = measure_generalisation(bench.model, bench.teacher, 1_000_000, 3)
    for kind, first in (("trained", 1_000_000), ("held out", FIRST_SEED)):
        eps = noise(range(first, first + 3), (3, 16, 16))
        with torch.no_grad():
            best = heun_sample(bench.teacher, SIGMA_MAX * eps, karras_sigmas(18)).x.clamp(-1, 1)
            torch.testing.assert_close(g.mse[kind], metrics.mse(bench.model.one_step(eps).clamp(-1, 1), best))
    assert g.lpips is None and set(g.mse) == {"trained", "held out"}


def test_a_card_without_its_noises_is_refused(models):
    bench = ModelLibrary(models).get("shapes")
    with refuses("trajectories"):
        generalisation(Job(bench, 3, name="shapes"))


def test_command_prints_and_writes_the_card(models, tmp_path, capsys):
    shutil.copytree(models, tmp_path / "m")
    arguments = ["hkd", "--model", "shapes", "--models", str(tmp_path / "m"), "--parts", "fidelity", "--seeds", "3"]
    assert (
        evaluate.main([*arguments, "--write", "--json", str(tmp_path / "f.json"), "--sheet", str(tmp_path / "s.png")])
        == 0
    )
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.size == (16 * 50, 4 * 50)  # 16 pixels enlarged 3 times, and a border
    out, err = capsys.readouterr()
    assert "student, one call" in out and "LPIPS" in err
    figures = json.loads((tmp_path / "f.json").read_text())
    card = ModelLibrary(tmp_path / "m").info("shapes").card
    assert card["metrics"]["one_step"] == figures["one_step"] and card["name"] == "shapes"
    assert json.loads((tmp_path / "m" / "shapes.hkd.json").read_text()) == card
    assert card["metrics"]["command"] == "python -m analysis.evaluate hkd --model shapes --parts fidelity --seeds 3"
    page = (tmp_path / "m" / "results.md").read_text()  # beside the models, since they are not the shipped ones
    assert out.strip() in page and f"`{card['metrics']['command']}`" in page


def test_every_part_goes_on_the_page_once_and_in_order(models, tmp_path, capsys):
    page, above = tmp_path / "results.md", tmp_path / "results" / "introduction.md"
    above.parent.mkdir()
    above.write_text("# Results\n\nBy hand.\n")
    counts = {"fidelity": "seeds=1", "bands": "band-seeds=2", "attribution": "scenes=8", "linearity": "trajectories=2"}
    counts |= {"editing": "pairs=2"}
    arguments = ["hkd", "--model", "shapes", "--models", str(tmp_path / "m"), "--results", str(page), "--write"]
    arguments += [f"--{c}" for c in counts.values()]
    shutil.copytree(models, tmp_path / "m")
    assert evaluate.main(arguments) == 0
    out = capsys.readouterr().out
    made = page.read_text()
    places = []
    for part, count in counts.items():
        command = f"`python -m analysis.evaluate hkd --model shapes --parts {part} --{count.replace('=', ' ')}`"
        assert out.count(f"## shapes: {part}\n\n{command}\n") == made.count(f"## shapes: {part}\n\n{command}\n") == 1
        places.append(made.index(command))
    assert places == sorted(places) and made.startswith(f"{FIRST_LINE}\n# Results\n\nBy hand.\n")
    card = (tmp_path / "m" / "shapes.hkd.json").read_text()
    assert evaluate.main([*arguments, "--parts", "editing,bands"]) == 0  # again: nothing changes
    again = capsys.readouterr().out
    assert page.read_text() == made and again.index("shapes: bands") < again.index("shapes: editing")
    assert "fidelity" not in again and (tmp_path / "m" / "shapes.hkd.json").read_text() == card


def test_a_broken_page_is_refused_before_anything_is_measured(models, tmp_path, capsys, monkeypatch):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "shapes.bands.json").write_text("{}")
    unmeasured = {n: replace(p, measure=lambda _: pytest.fail("measured")) for n, p in evaluate.HKD_PARTS.items()}
    monkeypatch.setattr(evaluate, "HKD_PARTS", unmeasured)
    arguments = ["hkd", "--models", str(models), "--model", "shapes", "--results", str(tmp_path / "r.md"), "--write"]
    assert evaluate.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and "shapes.bands.json" in err


def test_the_page_is_rendered_again_without_measuring(models, tmp_path, capsys):
    page = tmp_path / "results.md"
    arguments = ["hkd", "--models", str(models), "--model", "many", "--results", str(page), "--write"]
    assert evaluate.main([*arguments, "--parts", "bands", "--band-seeds", "2"]) == 0
    text = page.read_text()
    page.unlink()
    assert result_pages.main(["--results", str(page)]) == 0 and page.read_text() == text
    assert "1 sections" in capsys.readouterr().out
    (tmp_path / "results" / "many.bands.json").write_text("[]")
    assert result_pages.main(["--results", str(page)]) == 2 and page.read_text() == text
    assert "many.bands.json" in capsys.readouterr().err


def test_parts_without_a_teacher(models, capsys):
    few = ["--parts", "bands,attribution", "--band-seeds", "2"]
    assert evaluate.main(["hkd", "--models", str(models), "--model", "many", *few]) == 0
    assert "## many: bands" in capsys.readouterr().out


@pytest.mark.parametrize("arguments,name", [
    (["--model", "none"], " model:"), (["--seeds", "0"], "--seeds"), (["--model", "many"], "teacher"),
    (["--model", "many", "--parts", "linearity"], "bands,nested,attribution,editing"),
    (["--parts", "mood"], "--parts"), (["--parts", ""], "--parts"),
    (["--pairs", "1"], "--pairs"),
    (["--band-seeds", "65"], "--band-seeds"), (["--parts", "bands", "--json", "x"], "--json"),
    (["--sheet-neighbours", "x"], "memory"), (["--pictures", "11"], "--pictures"),
    (["--model", "many", "--parts", "memory"], "teacher"), (["--parts", "memory"], "data set"),
])  # fmt: skip
def test_mistakes_get_one_sentence(models, arguments, name, capsys):
    assert evaluate.main(["hkd", "--models", str(models), "--model", "shapes", *arguments]) == 2
    assert name in capsys.readouterr().err
