"""The parts of an evaluation of a flow, and the command around them."""

import pytest
import torch

from analysis.evaluate import __main__ as evaluate
from analysis.evaluate.flow import image_mmd, image_tables, transport
from analysis.evaluate.flow import images as flow_images
from analysis.evaluate.flow import points as flow_points
from analysis.evaluate.page import FIRST_LINE
from analysis.evaluate.tables.parts import Job
from analysis.flow import transport as pairs
from flow_core.densities.toys import toy
from flow_core.model import FlowConfig, FlowModel, save
from foundation.networks.unet import UNetConfig
from tests.analysis.evaluate.flow.test_points import few, random_flow  # noqa: F401


@pytest.fixture(autouse=True)
def two_counts(monkeypatch):
    monkeypatch.setattr(flow_points.measure_quality, "__defaults__", (None, (1, 2)))
    monkeypatch.setattr(flow_points.measure_momentum, "__defaults__", (None, (2,)))
    monkeypatch.setattr(transport.measure_transport, "__defaults__", (None, (4, 8)))
    for name, value in {"NOISES": 16, "PAIRINGS": 3, "REFERENCE": 40}.items():
        monkeypatch.setattr(pairs, name, value)


def test_sections_are_of_what_was_measured():
    model, density = random_flow(), toy("8gaussians")
    q = flow_points.measure_quality(model, density, 2)
    assert flow_points.quality(Job(model, 2)).blocks == flow_points.quality_blocks(q) and q.nfe == (1, 2)
    m = flow_points.measure_momentum(model, density, 2)
    assert flow_points.momentum(Job(model, 2)).blocks == flow_points.momentum_blocks(m)


def fitting(model):
    return [name for name, p in evaluate.FLOW_PARTS.items() if p.fits(model)]


def test_what_a_part_does_not_fit(monkeypatch):
    for name in ("measure_quality", "measure_momentum"):
        monkeypatch.setattr(flow_points, name, lambda *_: pytest.fail("measured"))
    straight = random_flow("otcfm", 0.0, "velocity")
    assert fitting(straight) == ["quality", "transport"] and fitting(random_flow()) == ["quality", "momentum"]
    with torch.device("meta"):
        pictures = FlowModel(FlowConfig(), UNetConfig())
    assert fitting(pictures) == ["pictures"]
    for job, parts in ((Job(straight, 8, name="straight"), ("momentum", "pictures")),
                       (Job(pictures, 2), ("quality", "momentum"))):  # fmt: skip
        for name in parts:
            (block,) = evaluate.FLOW_PARTS[name].measure(job).blocks
            assert isinstance(block, str)


@pytest.fixture
def folder(tmp_path):
    save(random_flow(), tmp_path / "tiny.flow.safetensors", {"name": "tiny", "data": {"name": "8gaussians"}})
    card = {"name": "straight", "data": {"name": "8gaussians"}}
    save(random_flow("otcfm", 0.0, "velocity"), tmp_path / "straight.flow.safetensors", card)
    return tmp_path


def test_the_command_prints_and_writes_every_flow(folder, capsys):
    arguments = ["flow", "--models", str(folder), "--quality-seeds", "2", "--momentum-seeds", "3", "--write"]
    (folder / "results").mkdir()
    (folder / "results" / "introduction.md").write_text("# Results\n\nBy hand.\n")
    assert evaluate.main([*arguments, "--model", "tiny,straight"]) == 0
    out, page = capsys.readouterr().out, (folder / "results.md").read_text()
    wanted = ["tiny: quality", "tiny: momentum", "straight: quality", "straight: transport"]
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == [*wanted[2:], *wanted[:2]]
    assert [line[3:] for line in out.splitlines() if line.startswith("## ")] == wanted
    assert "`python -m analysis.evaluate flow --model tiny --parts momentum --momentum-seeds 3`" in page
    assert page.startswith(f"{FIRST_LINE}\n# Results\n\nBy hand.\n\n## straight")
    assert evaluate.main([*arguments, "--model", "all"]) == 0
    assert (folder / "results.md").read_text() == page
    assert evaluate.main([*arguments, "--model", "straight", "--parts", "momentum"]) == 0
    assert "momentum" in (folder / "results.md").read_text()


@pytest.mark.parametrize("arguments,name", [
    (["--model", "none"], "'none'"), ([], "--model names"), (["--parts", "bands"], "--parts"),
    (["--model", "tiny", "--quality-seeds", "1"], "--quality-seeds"),
    (["--model", "tiny", "--picture-seeds", "7"], "--picture-seeds"),
    (["--model", "tiny", "--json", "x"], "--json"), (["--model", "tiny,none"], "'none'"),
])  # fmt: skip
def test_mistakes_get_one_sentence(folder, arguments, name, capsys):
    assert evaluate.main(["flow", "--models", str(folder), *arguments]) == 2
    out, err = capsys.readouterr()
    assert name in err and out == ""


def test_an_empty_folder_is_told(tmp_path, capsys):
    assert evaluate.main(["flow", "--models", str(tmp_path), "--model", "all"]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_the_command_measures_the_pair_of_picture_nets(flows_folder, monkeypatch, capsys):
    true = flow_images.measure_pictures
    monkeypatch.setattr(image_tables, "measure_pictures", lambda *a: true(*a, nfes=(1, 2)))
    for module in (flow_images, image_tables):
        monkeypatch.setattr(module, "SEARCHED", {"published drift": (0.5,), "matched noise": (0.0,)})
    monkeypatch.setattr(image_mmd, "open_dataset", lambda *a: pytest.fail("no data is named in these cards"))
    arguments = ["flow", "--models", str(flows_folder), "--picture-seeds", "8", "--model", "images-shapes"]
    assert evaluate.main(arguments) == 0
    out = capsys.readouterr().out
    assert "## images-shapes: pictures\n" in out and "MMD" not in out
    assert "`python -m analysis.evaluate flow --model images-shapes --parts pictures --picture-seeds 8`" in out
    assert "| OT-CFM, exact flow, Euler |" in out and "| IDFF, bridge |" in out
