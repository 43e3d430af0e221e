"""`flow_core.train series`: pairs, the check on validation, the command, settings files, shipped models."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import flow_core
from flow_core.model import MODELS_DIR, FlowConfig
from flow_core.networks import PointConfig
from flow_core.series import model as series_model
from flow_core.series.baselines import fit_baseline
from flow_core.series.scores import crps_gaussian
from flow_core.series.world import Segment, World
from flow_core.train import main
from flow_core.training import series
from flow_core.training.objective import FlowTask
from foundation.files.settings import read_settings

CONFIGS = Path(flow_core.__file__).parent / "configs"
SHIPPED = sorted(MODELS_DIR.glob("*.series.safetensors"))


def world(shape=(2,)):
    """Each frame is half of the last one and noise of 0.1: a learner beats persistence by far."""
    rng, x = np.random.default_rng(0), np.zeros((600, *shape))
    for k in range(1, 600):
        x[k] = -0.5 * x[k - 1] + 0.1 * rng.standard_normal(shape)
    splits = {"train": (0, 400), "validation": (400, 500), "test": (500, 600)}
    season = rng.standard_normal((600, 1)).astype(np.float32)
    segment = Segment((x / 0.1).astype(np.float32), np.arange(600) * 1.0, season, splits)
    return World(
        name="half", title="Half", variables=("a", "b"), unit="", dt=1.0, time_unit="steps", history=2, horizon=3,
        shape=shape, geometry="euclidean", center=np.zeros(2), scale=np.ones(2), segments=(segment,), licence="ours",
    )  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(series, "open_world", lambda spec, history: world((2, 2) if spec == "sst" else (2,)))
    (tmp_path / "s.toml").write_text(
        f"[flow]\nsigma = 0.2\n[network]\nwidth = 16\ndepth = 2\n[training]\nimages = 12800\nbatch = 64\nlr = 2e-2\n"
        f'warmup = 640\nema_halflife = 640\ncompile = "off"\nprecision = "fp32"\nimages_per_log = 6400\n'
        f'[run]\nout = "{tmp_path / "out"}"\nname = "half"\nship = "{tmp_path}"\n'
    )
    return tmp_path


def test_pairs_are_changes_and_what_came_before_them():
    w = world()
    model = series_model.make(w, "half", FlowConfig(), PointConfig(width=8, depth=1), 2)
    task = FlowTask(model, series.series_draw(model, w))
    x0, x1, t, eps, condition = task.draw(0, 50, torch.Generator().manual_seed(0))
    v = w.segments[0].values.astype(np.float64)
    change = v[2:400] - v[1:399]
    mean, std = change.mean(0), change.std(0, ddof=1)
    for a, c in zip(x1.numpy(), condition.numpy(), strict=True):
        k = int(np.abs(v[1:399] - c[:2]).sum(1).argmin()) + 2  # the frame whose predecessor is the last one told
        np.testing.assert_allclose(a, (v[k] - v[k - 1] - mean) / std, atol=1e-4)
        np.testing.assert_allclose(c[2:4], (v[k - 1] - v[k - 2]) / std, atol=1e-4)
        np.testing.assert_allclose(c[4:], w.segments[0].context[k], atol=1e-6)
    assert x0.shape == eps.shape == (50, 2) and float(t.min()) > 0


def test_the_command_trains_beats_persistence_and_ships(run, capsys):
    assert main(["series", "--config", str(run / "s.toml"), "--quiet"]) == 0
    out = capsys.readouterr().out
    line = next(x for x in out.splitlines() if "validation CRPS" in x)
    mine, other = (float(x) for x in line.replace(")", "").split("ahead ")[1].split(" (persistence with its spread "))
    model = series_model.load("half", run)
    r = world().rollouts("validation", 1)
    perfect = float(crps_gaussian(-0.5 * r.history[:, -1:].astype(float), 1.0, r.truth).mean())
    assert 0.95 * perfect < mine < 1.15 * perfect < 0.7 * other
    last = fit_baseline(world(), "persistence", 1)
    assert other == pytest.approx(float(crps_gaussian(last.mean(r.history), last.std, r.truth).mean()), abs=1e-5)
    assert series.validation_check(model, world())[0] == pytest.approx(mine, abs=1e-5)
    assert model.card["windows_seen"] == 12800 and model.card["data"]["fingerprint"] == world().fingerprint()
    assert json.loads((run / "half.series.json").read_text()) == model.card and str(run) not in str(model.card)
    assert series_model.load(run / "out" / "series.safetensors").card["data"] == model.card["data"]
    again = ["series", "--config", str(run / "s.toml"), "--quiet"]
    assert main(again) == 2 and "--resume" in capsys.readouterr().err
    assert main([*again, "--resume", "--training.images=13056"]) == 0
    assert series_model.load("half", run).card["windows_seen"] == 13056


def test_an_export_on_the_way_leaves_the_training_weights_alone(run):
    plain = ["series", "--config", str(run / "s.toml"), "--quiet", "--training.images=3200"]
    assert main(plain) == 0
    often = [*plain, "--training.minutes_per_checkpoint=0.0", f"--run.out={run / 'often'}", "--run.name=often"]
    assert main(often) == 0
    a, b = (series_model.load(n, run).state_dict() for n in ("half", "often"))
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize(
    "override,name",
    [("--series.world=sst", "series.modes"), ("--series.modes=2", "series.modes"),
     ("--flow.coupling=exact", "predicts"),
     ("--flow.predicts=velocity", "predicts"), ("--series.season=1", "series.season")],
)  # fmt: skip
def test_mistakes_get_one_sentence(run, override, name, capsys):
    assert main(["series", "--config", str(run / "s.toml"), override]) == 2
    err = capsys.readouterr().err
    assert name in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("series*.toml")), ids=lambda p: p.stem)
def test_every_settings_file_is_valid(path):
    s = read_settings(path, [], series.SeriesSettings)
    assert s["run"].name == s["series"].world and s["run"].ship == ""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_shipped_models_are_small_and_forecast(path):
    model = series_model.load(path)
    assert path.stat().st_size < 1_000_000
    assert json.loads(path.with_suffix(".json").read_text()) == model.card and model.card["kind"] == "series"
    assert path.name == f"{model.card['name']}.series.safetensors"
    f = model.frame
    history = np.zeros((2, f.history, *f.shape), np.float32)
    made = model.forecast(history, np.zeros((2, 3, f.context), np.float32), 3, 4, 2, "multistep").members
    assert np.isfinite(made).all() and np.ptp(made) > 0


def test_five_models_ship():
    assert {p.name.split(".")[0] for p in SHIPPED} >= {"lorenz", "alanine", "alanine_in_sample", "sst", "sst_sites"}
