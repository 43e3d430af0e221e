"""The training commands, from pictures in a folder to a student that loads, and every shipped settings file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

import koopman_core
from foundation import noise
from foundation.files.settings import read_settings
from foundation.networks.unet import UNetConfig
from koopman_core import convert, recipes
from koopman_core.train import main
from koopman_core.trajectories import TrajectoryConfig
from tests.koopman_core.official_layout import REFERENCE
from tests.processes import run_on_two

CONFIGS = Path(recipes.__file__).parent / "configs"
SECTIONS = {
    "teacher": recipes.TeacherSettings,
    "trajectories": recipes.TrajectorySettings,
    "student": recipes.StudentSettings,
}  # fmt: skip
FAST = ["--training.batch=8", "--training.images_per_log=8", "--training.compile=off", "--training.precision=fp32",
        "--training.warmup=0"]  # fmt: skip


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda p: p.stem)
def test_every_settings_file_is_valid(path):
    kind = path.stem.rsplit("_", 1)[1]
    read_settings(path, [], SECTIONS["student" if kind in ("published", "ablation") else kind])


def test_the_papers_networks_are_the_papers():
    for name, config in {"cifar10": UNetConfig.edm_cifar10(), "ffhq": UNetConfig.edm_ffhq()}.items():
        assert read_settings(CONFIGS / f"paper_{name}_teacher.toml", [], SECTIONS["teacher"])["network"] == config


def test_the_papers_runs_start_from_official_weights():
    for name, folder in {"cifar10": "edm", "ffhq": "edm_ffhq"}.items():
        data = read_settings(CONFIGS / f"paper_{name}_trajectories.toml", [], SECTIONS["trajectories"])
        student = read_settings(CONFIGS / f"paper_{name}_student.toml", [], SECTIONS["student"])
        assert data["teacher"].checkpoint == student["input"].teacher == f"runs/{folder}/teacher.safetensors"
        assert data["run"].out == student["input"].trajectories
        assert data["trajectories"].unlabelled == 0 and student["run"].dtype == "float32"
        # what is stored is what the objective reads
        assert student["student"].objective == "published" and not data["trajectories"].denoised


def test_the_papers_ffhq_settings_run_on_a_tiny_network(tmp_path):
    """Two steps of each file; what is overridden is size, paths, and what needs files that are not here."""
    write_settings(tmp_path)
    small = ["--data.size=8", "--network.resolution=8", "--network.base=4", "--network.blocks=1",
             "--network.embedding=8", f"--data.spec=folder:{tmp_path / 'pictures'}"]  # fmt: skip
    steps = ["--training.images=8", "--training.batch=4", "--training.compile=off", "--training.images_per_fid=0"]
    teacher, data = tmp_path / "teacher" / "teacher.safetensors", tmp_path / "data"
    for name, overrides in {
        "teacher": [*small, *steps],
        "trajectories": [f"--teacher.checkpoint={teacher}", "--trajectories.count=6", "--run.compile=off"],
        "student": [*steps, f"--input.teacher={teacher}", f"--input.trajectories={data}", "--student.lambda2=0.0"],
    }.items():
        out = data if name == "trajectories" else tmp_path / name
        config = str(CONFIGS / f"paper_ffhq_{name}.toml")
        assert main([name, "--config", config, "--quiet", f"--run.out={out}", *overrides]) == 0, name
    student = koopman_core.load(tmp_path / "student" / "student.safetensors")
    assert student.card["images_seen"] == 8 and student.card["trajectories"] == {
        "count": 6,
        "steps": 40,
        "seed": TrajectoryConfig.seed,
    }
    assert (student.config.augment, student.config.dropout, student.config.multipliers) == (9, 0, (1, 2, 2, 2))
    with safe_open(tmp_path / "student" / "student.safetensors", "pt") as f:
        assert f.get_slice("net.decoder.conv.weight").get_dtype() == "F32"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole run on 12 small pictures; the folder holds teacher, trajectories, student."""
    root = tmp_path_factory.mktemp("run")
    write_settings(root)
    assert main(["teacher", "--config", str(root / "teacher.toml"), "--quiet", *FAST, "--training.images=24"]) == 0
    assert main(["trajectories", "--config", str(root / "trajectories.toml"), "--quiet"]) == 0
    assert main(["student", "--config", str(root / "student.toml"), "--quiet", *FAST, "--training.images=24"]) == 0
    return root


def write_settings(root, network="", training=""):
    """Pictures and the three settings files of a tiny run."""
    rng = np.random.default_rng(0)
    (root / "pictures").mkdir()
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(root / "pictures" / f"{i}.png")
    (root / "teacher.toml").write_text(
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
        {network}
        {training}
        [run]
        out = "{root / "teacher"}"
        name = "tiny"
        """
    )
    (root / "trajectories.toml").write_text(
        f"""
        [teacher]
        checkpoint = "{root / "teacher" / "teacher.safetensors"}"
        [trajectories]
        count = 10
        steps = 4
        batch = 5
        [run]
        out = "{root / "trajectories"}"
        compile = "off"
        """
    )
    (root / "student.toml").write_text(
        f"""
        [input]
        trajectories = "{root / "trajectories"}"
        teacher = "{root / "teacher" / "teacher.safetensors"}"
        [student]
        lambda2 = 0.0
        {training}
        [run]
        out = "{root / "student"}"
        name = "tiny"
        """
    )


def test_student_loads_with_its_card(run):
    model = koopman_core.load(run / "student" / "student.safetensors")
    assert model.card["name"] == model.card["teacher"] == "tiny"
    assert model.card["images_seen"] == 24 and model.card["trajectories"] == {
        "count": 10,
        "steps": 4,
        "seed": TrajectoryConfig.seed,
    }
    teacher = koopman_core.load_teacher(run / "teacher" / "teacher.safetensors")
    assert str(run) not in f"{model.card} {teacher.card}", "a card must not tell paths of the machine"
    with torch.no_grad():
        assert bool(torch.isfinite(model.one_step(noise([0], model.picture_shape))).all())
    assert list((run / "student" / "samples").glob("*.png")) and list((run / "teacher" / "samples").glob("*.png"))


def test_a_student_that_goes_on_from_another_says_so(run, tmp_path):
    first = run / "student" / "student.safetensors"
    assert main(["student", "--config", str(run / "student.toml"), "--quiet", *FAST, "--training.images=8",
                 f"--input.start={first}", f"--run.out={tmp_path / 'on'}"]) == 0  # fmt: skip
    card = koopman_core.load(tmp_path / "on" / "student.safetensors").card
    assert card["images_seen"] == 8
    assert card["start"] == {
        "name": "tiny",
        "images_seen": 24,
        "trajectories": {"count": 10, "steps": 4, "seed": TrajectoryConfig.seed},
    }


def test_a_student_may_be_deeper_than_its_teacher_and_its_start(run, tmp_path, capsys):
    first, out = run / "student" / "student.safetensors", tmp_path / "on"
    command = ["student", "--config", str(run / "student.toml"), "--quiet", *FAST, "--training.images=8"]
    deeper = ["--input.encoder_depth=[0, 1]", "--input.decoder_depth=[1, 0]", "--training.lr=1e-12"]
    assert main([*command, *deeper, f"--input.start={first}", f"--run.out={out}"]) == 0
    before, after = (koopman_core.load(p) for p in (first, out / "student.safetensors"))
    assert (after.config.encoder_depth, after.config.decoder_depth) == ((0, 1), (1, 0))
    for name, p in before.net.state_dict().items():
        torch.testing.assert_close(after.net.state_dict()[name], p, atol=1e-3, rtol=0)
    # a shallower one cannot go on from a deeper one
    assert main([*command, f"--input.start={out / 'student.safetensors'}", f"--run.out={tmp_path / 'no'}"]) == 2
    assert "input.start" in capsys.readouterr().err


def test_a_teacher_that_goes_on_from_another_starts_at_its_weights(run, tmp_path, capsys):
    first = run / "teacher" / "teacher.safetensors"
    command = ["teacher", "--config", str(run / "teacher.toml"), "--quiet", *FAST, f"--input.start={first}"]
    assert main([*command, "--training.images=8", "--training.lr=1e-12", f"--run.out={tmp_path / 'on'}"]) == 0
    before, after = (koopman_core.load_teacher(p) for p in (first, tmp_path / "on" / "teacher.safetensors"))
    for name, p in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], p, atol=1e-3, rtol=0)
    assert after.card["start"] == {"name": "tiny-teacher", "images_seen": before.card["images_seen"]}
    assert main([*command, "--network.base=16", f"--run.out={tmp_path / 'other'}"]) == 2
    assert "input.start" in capsys.readouterr().err


def test_resume_goes_on_where_it_was(run, capsys):
    assert main(["teacher", "--config", str(run / "teacher.toml"), "--quiet", "--resume", *FAST,
                 "--training.images=40"]) == 0  # fmt: skip
    rows = (run / "teacher" / "log.csv").read_text().splitlines()
    assert [int(r.split(",")[0]) for r in rows[1:]] == [8, 16, 24, 32, 40]
    assert "40 images" in capsys.readouterr().out


def test_a_teacher_without_classes_learns_from_pictures_with_labels(run, tmp_path, monkeypatch):
    pool = recipes.training_pool

    def labelled(data, folder):
        pictures, labels, about = pool(data, folder)
        return pictures, np.arange(len(labels)) % 3, about

    monkeypatch.setattr(recipes, "training_pool", labelled)
    command = ["teacher", "--config", str(run / "teacher.toml"), "--quiet", *FAST, f"--run.out={tmp_path}"]
    assert main([*command, "--training.images=8"]) == 0


def test_student_of_another_teacher_is_refused(run, tmp_path, capsys):
    teacher = koopman_core.load_teacher(run / "teacher" / "teacher.safetensors")
    with torch.no_grad():
        next(teacher.parameters()).add_(1)
    koopman_core.save(teacher, tmp_path / "other.safetensors")
    code = main(["student", "--config", str(run / "student.toml"), f"--input.teacher={tmp_path / 'other.safetensors'}"])
    assert code == 2 and "input.teacher" in capsys.readouterr().err


@pytest.mark.parametrize(
    "override,name",
    [("--training.imagse=3", "training.imagse"), ("--training.images=ten", "training.images"),
     ("--nosuch.key=1", "'nosuch'"),
     ("--training.lr=-1.0", "training: lr"), ("nonsense", "'nonsense'")],
)  # fmt: skip
def test_mistakes_get_one_sentence(run, override, name, capsys):
    assert main(["teacher", "--config", str(run / "teacher.toml"), override]) == 2
    err = capsys.readouterr().err
    assert name in err and "Traceback" not in err and len(err.strip().splitlines()) == 1


def test_missing_settings_file(capsys):
    assert main(["teacher", "--config", "no/such.toml"]) == 2
    assert "such.toml" in capsys.readouterr().err


def test_a_run_is_never_overwritten_by_accident(run, capsys):
    before = (run / "teacher" / "state.safetensors").read_bytes()
    assert main(["teacher", "--config", str(run / "teacher.toml"), "--quiet", *FAST, "--training.images=8"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert (run / "teacher" / "state.safetensors").read_bytes() == before


def test_two_workers_train_with_augmentation_inputs(tmp_path):
    """Every configuration of the paper has these inputs, and nothing here fills them."""
    training = """[training]
        images = 16
        batch = 8
        microbatch = 2
        compile = "off"
        precision = "fp32"
        threads = 1
        """
    write_settings(tmp_path, network="augment = 9", training=training)
    run_on_two(Path(__file__).with_name("two_workers.py"), str(tmp_path))
    for rank in range(2):
        assert json.loads((tmp_path / f"rank{rank}.json").read_text()) == {"codes": [0, 0, 0], "world": "2"}
    student = koopman_core.load(tmp_path / "student" / "student.safetensors")
    teacher = koopman_core.load_teacher(tmp_path / "teacher" / "teacher.safetensors")
    assert student.card["images_seen"] == teacher.card["images_seen"] == 16
    assert student.config.augment == 9


def test_from_official_weights_to_a_student(tmp_path, capsys):
    official = tmp_path / "edm.npz"
    official.write_bytes(REFERENCE.read_bytes())
    teacher = tmp_path / "teacher" / "teacher.safetensors"
    assert convert.main([str(official), str(teacher), "--name", "tiny-official"]) == 0
    write_settings(tmp_path)
    data = [f"--run.out={tmp_path / 'data'}", "--trajectories.denoised=false"]
    trajectories = ["trajectories", "--config", str(tmp_path / "trajectories.toml"), "--quiet", *data]
    assert main(trajectories) == 2  # one in ten without a class, which the official network never saw
    assert "unlabelled=0" in capsys.readouterr().err
    assert main([*trajectories, "--trajectories.unlabelled=0"]) == 0
    assert main(["student", "--config", str(tmp_path / "student.toml"), "--quiet", *FAST, "--training.images=8",
                 f"--input.trajectories={tmp_path / 'data'}", "--student.objective=published",
                 "--run.dtype=float32"]) == 0  # fmt: skip
    student = koopman_core.load(tmp_path / "student" / "student.safetensors")
    start = koopman_core.load_teacher(teacher)
    assert student.card["origin"] == start.card["origin"] and student.card["licence"] == start.card["licence"]
    assert student.card["teacher"] == "tiny-official"
    assert start.config.dropout == 0.13 and student.config == replace(start.config, dropout=0.0)
    with safe_open(tmp_path / "student" / "student.safetensors", "pt") as f:
        assert f.get_slice("net.decoder.conv.weight").get_dtype() == "F32"
    # an EDM teacher brings its network
    assert main(["student", "--config", str(tmp_path / "student.toml"), "--network.base=64"]) == 2
    assert " network" in capsys.readouterr().err
