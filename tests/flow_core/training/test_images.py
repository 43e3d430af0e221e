"""`flow_core.train images`: a teacher's weights as a flow's, batches and labels, the command, settings files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import flow_core
from flow_core import samplers
from flow_core.fields import Exact
from flow_core.model import FlowConfig, FlowModel
from flow_core.samplers import euler
from flow_core.train import main
from flow_core.training import images
from flow_core.training.objective import FlowTask
from foundation.files.settings import read_settings
from foundation.networks.unet import UNetConfig
from koopman_core import model as koopman_model
from koopman_core import recipes as koopman_recipes
from koopman_core.edm import EDM

CONFIGS = Path(flow_core.__file__).parent / "configs"
TINY = UNetConfig(resolution=8, base=8, multipliers=(1, 2), blocks=1, attention=(), embedding=16, classes=3)
FAST = ["--quiet", "--training.batch=8", "--training.images_per_log=8", "--training.compile=off",
        "--training.precision=fp32", "--training.warmup=0"]  # fmt: skip


def teacher(seed=0):
    """A teacher whose last layer, nearly zero at first, speaks."""
    torch.manual_seed(seed)
    model = EDM(TINY).eval()
    model.net.decoder.conv.reset_parameters()
    return model


@pytest.mark.parametrize("path,sigma", [("icfm", 0.0), ("icfm", 0.3), ("idff", 0.2), ("idff", 1.0)])
def test_a_teachers_network_is_an_x1_network_of_every_independent_path(path, sigma):
    edm = teacher()
    flow = FlowModel(FlowConfig(path, sigma, data_std=0.5), TINY).eval()
    flow.net.unet.load_state_dict(edm.net.state_dict())
    x, labels = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([2, 0, -1])
    for t in (0.05, 0.3, 0.6, 0.9, 0.99):
        bridge = sigma**2 * t * (1 - t) if path == "idff" else sigma**2
        s = ((1 - t) ** 2 + bridge) ** 0.5 / t  # noise of the picture x / t, and EDM's denoiser written out there
        y, level = x / t, torch.full((3,), s).log() / 4
        with torch.no_grad():
            f = edm.net(y / (s**2 + 0.25) ** 0.5, level, labels)
            want = 0.25 / (s**2 + 0.25) * y + 0.5 * s / (s**2 + 0.25) ** 0.5 * f
            torch.testing.assert_close(flow(x, t, labels).x1, want, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(edm(y, s, labels), want, rtol=1e-5, atol=1e-5)


def test_batches_are_pictures_of_the_pool_with_their_labels():
    rng = np.random.default_rng(0)
    pictures, labels = rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8), np.arange(6)
    plain = torch.from_numpy(pictures.astype(np.float32) / np.float32(127.5) - 1).permute(0, 3, 1, 2)

    def draw(n, **kwargs):
        config = images.ImagesConfig(**kwargs)
        return images.picture_draw(pictures, labels, config)(n, torch.Generator().manual_seed(0))

    x, y = draw(60, label_dropout=0.0)
    assert torch.equal(x, plain[y]) and set(y.tolist()) == set(range(6))
    x, y = draw(400, flip=True, label_dropout=0.25)
    assert 0.15 < float((y == -1).float().mean()) < 0.35
    told = y >= 0
    mirrored = (x[told] == plain[y[told]].flip(3)).flatten(1).all(1)
    straight = (x[told] == plain[y[told]]).flatten(1).all(1)
    assert bool((mirrored ^ straight).all()) and 0.4 < float(mirrored.float().mean()) < 0.6


def test_transport_pairs_pictures_with_their_labels():
    pictures = np.stack([np.full((8, 8, 3), 80 * k, np.uint8) for k in range(3)])
    model = FlowModel(FlowConfig("otcfm", 0.0, data_std=0.5), TINY)
    config = images.ImagesConfig(label_dropout=0.0)
    task = FlowTask(model, images.picture_draw(pictures, np.arange(3), config))
    x0, x1, _, _, labels = task.draw(0, 24, torch.Generator().manual_seed(0))
    torch.testing.assert_close(x1, (80 * labels / 127.5 - 1)[:, None, None, None].expand_as(x1))
    # what the transport of the docstring does: the brightness of the noise tells the class
    means = x0.flatten(1).mean(1)
    assert float(torch.corrcoef(torch.stack([means, labels.double()]))[0, 1]) > 0.8


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Twelve small pictures, a settings file, a teacher; and a run of two steps that starts from the teacher."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    (root / "pictures").mkdir()
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(root / "pictures" / f"{i}.png")
    koopman_model.save(teacher(), root / "teacher.safetensors", {"name": "tiny-teacher", "images_seen": 70})
    (root / "images.toml").write_text(
        f"""
        [data]
        spec = "folder:{root / "pictures"}"
        size = 8
        [network]
        resolution = 8
        base = 8
        multipliers = [1, 2]
        blocks = 1
        attention = []
        embedding = 16
        classes = 3
        [images]
        start = "{root / "teacher.safetensors"}"
        [run]
        out = "{root / "out"}"
        name = "images-tiny"
        """
    )
    assert main([*command(root), "--training.images=16"]) == 0
    return root


def command(root):
    return ["images", "--config", str(root / "images.toml"), *FAST]


def test_the_exported_flow_loads_with_its_card_and_draws(run):
    model = flow_core.load(run / "out" / "flow.safetensors")
    assert model.config == TINY and model.sample_shape == (3, 8, 8) and model.flow == FlowConfig(data_std=0.5)
    card = model.card
    assert card["images_seen"] == 16 and card["start"] == {"name": "tiny-teacher", "images_seen": 70}
    assert card["recipe"]["images"]["start"] == "tiny-teacher" and card["data"]["licence"]
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    assert str(run) not in str(card), "a card must not tell paths of the machine"
    labels = torch.tensor([0, 2])
    result = euler(lambda x, t: model(x, t, labels), torch.randn(2, 3, 8, 8), Exact(model.path), 3)
    assert result.nfe == 3 and bool(torch.isfinite(result.x).all())
    assert [p.name for p in (run / "out" / "samples").glob("*.png")] == ["000000016.png"]


def test_a_run_begins_at_its_start(run, tmp_path):
    """A step of no size leaves the teacher's weights, and so does its average."""
    assert main([*command(run), "--training.images=8", "--training.lr=1e-12", f"--run.out={tmp_path / 'still'}"]) == 0
    got = flow_core.load(tmp_path / "still" / "flow.safetensors").net.unet.state_dict()
    for k, v in teacher().net.state_dict().items():
        torch.testing.assert_close(got[k], v, rtol=1e-3, atol=1e-4)
    moved = flow_core.load(run / "out" / "flow.safetensors").net.unet.state_dict()
    assert any(not torch.allclose(moved[k], v, rtol=1e-3, atol=1e-4) for k, v in got.items())


def test_resume_goes_on_where_it_was(run, tmp_path, capsys):
    out, whole = tmp_path / "halves", tmp_path / "whole"
    halves = [*command(run), f"--run.out={out}", "--training.schedule=constant"]
    assert main([*halves, "--training.images=8"]) == 0
    assert main([*halves, "--training.images=24"]) == 2 and "--resume" in capsys.readouterr().err
    assert main([*halves, "--training.images=24", "--resume"]) == 0
    assert "24 images" in capsys.readouterr().out
    assert main([*command(run), f"--run.out={whole}", "--training.schedule=constant", "--training.images=24"]) == 0
    a, b = (flow_core.load(d / "flow.safetensors").state_dict() for d in (out, whole))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert main([*halves, "--training.images=32", "--resume", "--images.start="]) == 2
    assert "--out" in capsys.readouterr().err


def test_transport_and_the_loss_of_the_velocity_by_command(run, tmp_path):
    otcfm = ["--flow.path=otcfm", "--flow.sigma=0.0", "--objective.weight=velocity", f"--run.out={tmp_path / 'ot'}"]
    assert main([*command(run), *otcfm, "--training.images=8"]) == 0
    assert flow_core.load(tmp_path / "ot" / "flow.safetensors").path.coupling == "exact"


@pytest.mark.parametrize("option", ["--training.precision=bf16", "--training.compile=on"])
def test_mean_velocities_learn_whatever_precision_and_compiler_the_machine_has(run, tmp_path, option):
    mean = ["--flow.path=meanflow", "--flow.sigma=0.0", "--flow.predicts=average", f"--run.out={tmp_path}"]
    assert main([*command(run), *mean, "--training.images=8", option]) == 0
    assert flow_core.load(tmp_path / "flow.safetensors").card["images_seen"] == 8


def test_mean_velocities_begin_at_the_teacher_and_are_drawn_in_one_call(run, tmp_path, monkeypatch):
    """A step of no size leaves velocities that are the teacher's, whatever the interval; the sheet is of one call."""
    mean = ["--flow.path=meanflow", "--flow.sigma=0.0", "--flow.predicts=average", f"--run.out={tmp_path / 'mean'}"]
    asked = []
    monkeypatch.setattr(images, "sample", lambda *args: asked.append((args[0], args[4])) or samplers.sample(*args))
    assert main([*command(run), *mean, "--training.images=8", "--training.lr=1e-12"]) == 0
    model, edm = flow_core.load(tmp_path / "mean" / "flow.safetensors"), teacher()
    assert asked == [("euler", 1)] and model.card["recipe"]["mean_flow"]["share"] == 0.5
    assert model.card["start"]["name"] == "tiny-teacher" and bool(model.net.interval.layer0.weight.any())
    x, labels, t = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([2, 0, -1]), 0.4
    with torch.no_grad():
        want = (edm(x / t, (1 - t) / t, labels) - x) / (1 - t)
        for end in (0.4, 0.9):
            torch.testing.assert_close(model(x, t, labels, end=end).velocity, want, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    "overrides,name",
    [
        (["--network.base=12"], "network.base is 12"),
        (["--network.classes=0"], "network.classes is 0"),
        (["--images.start=nothing"], "'nothing'"),
        (["--images.start=no/such.safetensors"], "such.safetensors"),
        (["--flow.predicts=velocity"], "flow.predicts"),
        (["--flow.data_std=1.0"], "flow.data_std"),
        (["--objective.weight=velocity"], "flow.sigma"),
        (["--data.size=16"], "data.size"),
        (["--images.label_dropout=2.0"], "label_dropout"),
        (["--images.flips=true"], "images.flips"),
    ],
)
def test_mistakes_get_one_sentence(run, tmp_path, overrides, name, capsys):
    assert main([*command(run), f"--run.out={tmp_path}", *overrides]) == 2
    err = capsys.readouterr().err
    assert name in err and "Traceback" not in err and len(err.strip().splitlines()) == 1


def test_a_flow_is_no_teacher(run, tmp_path, capsys):
    start = f"--images.start={run / 'out' / 'flow.safetensors'}"
    assert main([*command(run), f"--run.out={tmp_path}", start]) == 2
    err = capsys.readouterr().err
    assert "'flow'" in err and "'teacher'" in err


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("images*.toml")), ids=lambda p: p.stem)
def test_every_settings_file_is_valid_and_has_its_teachers_network(path):
    s = read_settings(path, [], images.ImagesSettings)
    assert s["run"].name == path.stem.replace("_", "-") and s["flow"].data_std == 0.5
    data = path.stem.split("_")[1]
    teachers = Path(koopman_recipes.__file__).parent / "configs" / f"{data}_teacher.toml"
    its = read_settings(teachers, [], koopman_recipes.TeacherSettings)
    assert s["network"] == its["network"] and s["data"] == its["data"]
    assert s["images"].start == f"{its['run'].out}/teacher.safetensors"
    twin = read_settings(path.with_name(f"images_{data}.toml"), [], images.ImagesSettings)
    assert s["training"] == twin["training"], "compared at equal budget"


def test_three_flows_of_three_kinds_of_pictures_can_be_trained():
    paths = [read_settings(p, [], images.ImagesSettings)["flow"].path for p in CONFIGS.glob("images*.toml")]
    assert sorted(paths) == 3 * ["idff"] + 3 * ["meanflow"] + 3 * ["otcfm"]
