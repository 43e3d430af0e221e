"""The curve of FID beside a training: figures of the exported weights, the same for a run that was stopped."""

import csv

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image

import koopman_core
from foundation import noise
from foundation.data.datasets import open_dataset
from foundation.metrics import inception
from foundation.randomness import FIRST_SEED, mix_seed
from koopman_core import fid
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.train import main

COUNT = 6
SETTINGS = ["--quiet", "--training.batch=4", "--training.warmup=0", "--training.compile=off", "--run.dtype=float32",
            "--training.precision=fp32", "--training.images_per_fid=8", f"--training.fid_count={COUNT}"]  # fmt: skip
NETWORK = """
[network]
resolution = 8
base = 8
multipliers = [1]
blocks = 1
attention = []
embedding = 16
classes = 3
"""


class Network:
    """Three features of a picture; counts its calls."""

    calls = 0

    def __init__(self, **_):
        pass

    def __call__(self, pixels):
        type(self).calls += 1
        return pixels.float().div(255).mean((2, 3))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A folder with twelve pictures, where the features are those of the small network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inception, "checked_path", lambda: None)
    monkeypatch.setattr(inception, "Inception", Network)
    monkeypatch.setattr(Network, "calls", 0)
    monkeypatch.setattr(fid, "SAMPLE_BATCH", {"cpu": 4})
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(tmp_path / "pictures" / f"{i}.png")
    data = '[data]\nspec = "folder:pictures"\nsize = 8\n'
    (tmp_path / "teacher.toml").write_text(data + NETWORK + '[run]\nout = "teacher"\nname = "tiny"\n')
    return tmp_path


def curve(folder):
    with open(folder / "fid.csv", newline="") as f:
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(f)]


def distance(pictures):
    """The Frechet distance by a matrix's root, of floats in [-1, 1] to the folder's pictures."""
    real = torch.from_numpy(open_dataset("folder:pictures", 8).pictures(range(12))).permute(0, 3, 1, 2)
    samples = (pictures * 127.5 + 128).clip(0, 255).to(torch.uint8)
    a, b = (Network()(x).double().numpy() for x in (real, samples))
    c, d = np.cov(a.T), np.cov(b.T)
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c + d - 2 * scipy.linalg.sqrtm(c @ d).real)


def held_out():
    seeds = range(FIRST_SEED, FIRST_SEED + COUNT)
    return noise(seeds, (3, 8, 8)), torch.tensor([mix_seed(s, 8) % 3 for s in seeds])


def test_figures_are_those_of_the_exported_weights(run):
    teach = ["teacher", "--config", "teacher.toml", *SETTINGS, "--training.images=16"]
    assert main(teach) == 0
    rows = curve(run / "teacher")
    assert [(r["images"], r["pictures"], r["reference"]) for r in rows] == [(8, COUNT, 12), (16, COUNT, 12)]
    teacher = koopman_core.load_teacher(run / "teacher" / "teacher.safetensors")
    x, labels = held_out()
    samples = heun_sample(lambda x, s: teacher(x, s, labels), SIGMA_MAX * x, karras_sigmas(18)).x
    assert rows[-1]["fid"] == pytest.approx(distance(samples), rel=1e-3)

    (run / "trajectories.toml").write_text(
        '[teacher]\ncheckpoint = "teacher/teacher.safetensors"\n[trajectories]\ncount = 6\nsteps = 3\n'
        '[run]\nout = "trajectories"\ncompile = "off"\n'
    )
    (run / "student.toml").write_text(
        '[input]\ntrajectories = "trajectories"\nteacher = "teacher/teacher.safetensors"\n'
        '[student]\nlambda2 = 0.0\n[run]\nout = "student"\n'
    )
    assert main(["trajectories", "--config", "trajectories.toml", "--quiet"]) == 0
    student = ["student", "--config", "student.toml", *SETTINGS, "--training.images=8"]
    assert main(student) == 2  # the card does not say which folder
    calls = Network.calls
    assert main([*student, "--input.fid_data=folder:pictures"]) == 0
    assert Network.calls == calls + 2  # six pictures in two batches; the reference is on disk
    model = koopman_core.load(run / "student" / "student.safetensors")
    with torch.no_grad():
        samples = model.one_step(x, labels)
    (row,) = curve(run / "student")
    assert row["images"] == 8 and row["fid"] == pytest.approx(distance(samples), rel=1e-3)


def test_a_missing_network_is_said_before_the_training(run, monkeypatch, capsys):
    monkeypatch.undo()
    monkeypatch.chdir(run)
    monkeypatch.setenv("KOOPMAN_INCEPTION", str(run / "none.pt"))
    assert main(["teacher", "--config", "teacher.toml", *SETTINGS]) == 2
    assert "images_per_fid=0" in capsys.readouterr().err and not (run / "teacher" / "log.csv").exists()


def test_a_measurement_that_is_stopped_gives_no_row_and_its_reference_goes_on(run):
    data, asked = open_dataset("folder:pictures", 8), []

    def pictures(seeds):
        asked.append(seeds)
        return torch.full((len(seeds), 3, 8, 8), 100, dtype=torch.uint8)

    measure = fid.FidCurve(pictures, data, COUNT)
    assert measure(lambda: bool(asked)) is None and len(asked) == 1
    row = measure(lambda: False)
    assert row["pictures"] == COUNT and Network.calls == 1 + 1 + 2
