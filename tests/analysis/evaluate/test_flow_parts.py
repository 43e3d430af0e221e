"""The parts of an evaluation of a flow, and the command around them."""

from pathlib import Path

import pytest
import torch

from analysis.evaluate import __main__ as evaluate
from analysis.evaluate import flow_images, flow_points, parts
from analysis.evaluate import flow_images as picture_scores
from analysis.evaluate import flow_points as flow_tables
from flow_core.densities.toys import toy
from flow_core.model import FlowConfig, FlowModel, save
from foundation.unet import UNetConfig
from tests.analysis.evaluate.test_flow_points import few, random_flow  # noqa: F401


@pytest.fixture(autouse=True)
def two_counts(monkeypatch):
    monkeypatch.setattr(flow_points.measure_quality, "__defaults__", (None, (1, 2)))
    monkeypatch.setattr(flow_points.measure_momentum, "__defaults__", (None, (2,)))


def test_texts_are_of_what_was_measured():
    model, density = random_flow(), toy("8gaussians")
    q = flow_points.measure_quality(model, density, 2)
    assert parts.quality(model, 2) == flow_tables.quality_text(q) and q.nfe == (1, 2)
    m = flow_points.measure_momentum(model, density, 2)
    assert parts.momentum(model, 2) == flow_tables.momentum_text(m)


def test_what_a_part_does_not_fit():
    straight = random_flow("otcfm", 0.0, "velocity")
    assert parts.parts_for(straight) == ("quality",) and parts.parts_for(random_flow()) == (
        "quality", "momentum"
    )  # fmt: skip
    assert "Not applicable: momentum" in parts.momentum(straight, 2)
    with torch.device("meta"):
        pictures = FlowModel(FlowConfig(), UNetConfig())
    assert parts.parts_for(pictures) == ("pictures",)
    assert "Not applicable: this part is of flows of pictures" in parts.pictures(
        straight, 8, name="straight", folder=Path()
    )
    assert parts.quality(pictures, 2) == parts.momentum(pictures, 2) == (
        "Not applicable: this part is of flows in the plane."
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    save(random_flow(), tmp_path / "tiny.flow.safetensors", {"name": "tiny", "data": {"name": "8gaussians"}})
    card = {"name": "straight", "data": {"name": "8gaussians"}}
    save(random_flow("otcfm", 0.0, "velocity"), tmp_path / "straight.flow.safetensors", card)
    return tmp_path


def test_the_command_prints_and_writes_every_flow(folder, capsys):
    arguments = ["flow", "--models", str(folder), "--quality-seeds", "2", "--momentum-seeds", "3", "--write"]
    (folder / "results.md").write_text("# Results\n\nBy hand.\n\n<!-- begin a b -->\nkept\n<!-- end a b -->\n")
    assert evaluate.main([*arguments, "--model", "tiny,straight"]) == 0
    out, page = capsys.readouterr().out, (folder / "results.md").read_text()
    wanted = ["tiny: quality", "tiny: momentum", "straight: quality"]
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == wanted
    assert [line[3:] for line in out.splitlines() if line.startswith("## ")] == wanted
    assert "`python -m analysis.evaluate flow --model tiny --parts momentum --momentum-seeds 3`" in page
    assert page.startswith("# Results\n\nBy hand.\n\n<!-- begin a b -->\nkept\n<!-- end a b -->\n")
    assert evaluate.main([*arguments, "--model", "all"]) == 0
    assert (folder / "results.md").read_text() == page
    assert evaluate.main([*arguments, "--model", "straight", "--parts", "momentum"]) == 0
    assert "Not applicable: momentum" in (folder / "results.md").read_text()


@pytest.mark.parametrize("arguments,words", [
    (["--model", "none"], "There is no flow 'none'"), ([], "--model names"), (["--parts", "bands"], "--parts takes"),
    (["--model", "tiny", "--quality-seeds", "1"], "--quality-seeds must"),
    (["--model", "tiny", "--picture-seeds", "7"], "--picture-seeds must"),
    (["--model", "tiny", "--json", "x"], "leave them out"), (["--model", "tiny,none"], "There is no flow 'none'"),
])  # fmt: skip
def test_mistakes_get_one_sentence(folder, arguments, words, capsys):
    assert evaluate.main(["flow", "--models", str(folder), *arguments]) == 2
    out, err = capsys.readouterr()
    assert words in err and out == ""


def test_an_empty_folder_is_told(tmp_path, capsys):
    assert evaluate.main(["flow", "--models", str(tmp_path), "--model", "all"]) == 2
    assert "There is no flow in" in capsys.readouterr().err


def test_the_command_measures_the_pair_of_picture_nets(flows_folder, monkeypatch, capsys):
    true = picture_scores.measure_pictures
    monkeypatch.setattr(parts, "measure_pictures", lambda *a: true(*a, nfes=(1, 2)))
    monkeypatch.setattr(picture_scores, "GRIDS", {"published drift": (0.5,), "matched noise": (0.0,)})
    monkeypatch.setattr(flow_images, "open_dataset", lambda *a: pytest.fail("no data is named in these cards"))
    arguments = ["flow", "--models", str(flows_folder), "--picture-seeds", "8", "--model", "images-shapes"]
    assert evaluate.main(arguments) == 0
    out = capsys.readouterr().out
    assert "## images-shapes: pictures\n" in out and "No distance to data" in out
    assert "`python -m analysis.evaluate flow --model images-shapes --parts pictures --picture-seeds 8`" in out
    assert "| OT-CFM, exact flow, Euler |" in out and "| IDFF, bridge |" in out
