"""The parts of an evaluation of a series model: what they print is what was measured; the command around them."""

import dataclasses
import json

import numpy as np
import pytest

from analysis.evaluate import __main__ as evaluate
from analysis.evaluate.series import forecast as series
from analysis.evaluate.series import worlds as series_worlds
from analysis.evaluate.tables.markdown import markdown
from analysis.evaluate.tables.parts import Job
from analysis.series import long_run
from analysis.series.loaded import METHOD, NFE
from analysis.series.long_run import starts
from flow_core.series import alanine
from flow_core.series import model as series_model
from flow_core.series.baselines import analogs
from flow_core.series.lorenz import valid_time
from flow_core.series.scores import jensen_shannon, wasserstein_1d
from flow_core.training.series import ship
from foundation.metrics.statistics import Interval
from tests.analysis.series.tiny_worlds import chaos, line, random_model, torus
from tests.sentences import tells


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(series, "SAMPLER_MEMBERS", 3)
    monkeypatch.setattr(long_run, "STARTS", 8)
    monkeypatch.setattr(series_worlds, "FREE_RUNS", 3)
    monkeypatch.setattr(series_worlds, "TWIN_STEPS", 6)
    monkeypatch.setattr(series_worlds, "SETTLE", 2)
    monkeypatch.setattr(series_worlds, "VALID_STARTS", 4)


def sentences(err: str) -> list[str]:
    """What is told beside the bars of progress."""
    return [line for line in err.splitlines() if line.endswith(".")]


def test_forecast_text_and_figures():
    world = line()
    model = random_model(world)
    outcome = series.forecast(Job(model, 4, world=world))
    figures = outcome.card
    f = series.measure_forecast(model, world, 4)
    assert outcome.blocks == series.forecast_blocks(f, world)
    assert figures["this model"]["mse"] == f.rows["this model"].mse.value
    assert figures["crps_fair_less"]["damped persistence"]["value"] == f.difference.value
    assert json.loads(json.dumps(figures)) == figures


def test_samplers_text(monkeypatch):
    world = torus()
    model = random_model(world)
    monkeypatch.setattr(series, "SERIES_GAMMAS", (0.5, -5.0))
    monkeypatch.setattr(series, "HIGHER_SERIES_GAMMAS", (0.0, 1.0))
    outcome = series.samplers(Job(model, 6, world=world))
    assert outcome.card is None
    assert outcome.blocks == series.samplers_blocks(series.measure_samplers(model, world, 6))


def test_alanine_statistics_by_hand():
    world = torus()
    model = random_model(world)
    blocks = series_worlds.statistics(Job(model, 40, world=world)).blocks
    text = markdown(blocks)
    r, _ = starts(world, "test", 1, 3)
    run = model.forecast(r.history, None, 40, 1, NFE, METHOD).members[0]
    test = np.stack([s.values[300:400] for s in world.segments])
    train = np.stack([s.values[:200] for s in world.segments])
    shapes = [alanine.ramachandran(x) for x in (run, train, test)]
    assert f"| this model | {jensen_shannon(shapes[0], shapes[2]):.3f} |" in text
    assert f"| train | {jensen_shannon(shapes[1], shapes[2]):.3f} |" in text
    labels = alanine.core_states(train)
    hops = int(((labels[:, :-1] == 0) & (labels[:, 1:] == 1)).sum())
    assert hops >= 1 and f"({hops})" in next(x for x in text.splitlines() if x.startswith("| extended to alpha"))
    one, _ = starts(world, "test", 1, 1000)
    still = alanine.circular_mae(one.history[:, -1:], one.truth)
    assert f"| persistence | {still[0]:.2f} | {still[1]:.2f} |" in text
    assert " nan " not in text and blocks[-1].figures["distance"] == jensen_shannon(shapes[0], shapes[2])


def test_alanine_verdict_counts_rates_within_a_factor_of_two():
    def moved(counts):
        counts = np.array(counts)
        return alanine.Kinetics(np.ones(3) / 3, counts, counts / 2.0)

    real, near = moved([[0, 20, 0], [30, 0, 5], [0, 0, 0]]), moved([[0, 30, 0], [10, 0, 9], [0, 0, 0]])
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    kinetics = {"this model": near, "train": real}
    far = series_worlds.alanine_verdict({"this model": 0.3, "train": 0.2}, kinetics, alanine.STATES, pairs)
    assert far.figures == {
        "distance": 0.3, "distance_of_training": 0.2, "rates": 2, "within_factor_2": ["extended to alpha"]
    }  # fmt: skip
    assert "1.50" in far.text
    close = series_worlds.alanine_verdict({"this model": 0.1, "train": 0.2}, kinetics, alanine.STATES, pairs)
    assert "0.50" not in close.text and close.figures["distance"] == 0.1


def test_lorenz_statistics_by_hand():
    world = chaos()
    model = random_model(world)
    blocks = series_worlds.statistics(Job(model, 20, world=world)).blocks
    text = markdown(blocks)
    r, _ = starts(world, "test", 1, 3)
    run = world.denormalise(model.forecast(r.history, None, 20, 1, NFE, "multistep").members[0])
    parts = {k: np.concatenate([s.values for s in world.segments if k in s.splits]) for k in ("train", "test")}
    for name, x in {"this model": run.reshape(-1, 3), "train": parts["train"]}.items():
        w1 = [wasserstein_1d(a, b) / b.std() for a, b in zip(x.T, parts["test"].astype(float).T, strict=True)]
        assert f"| {name} | {w1[0]:.4f} | {w1[1]:.4f} | {w1[2]:.4f} |" in text
    assert tells(text, len(r), 0.9056)
    horizon = len(world.segments[0].values) // 2
    r, _ = starts(world, "test", horizon, series_worlds.VALID_STARTS)
    times = valid_time(analogs(world, r, 1)[0], r.truth, np.ones(3), world.dt)
    assert f"| nearest analog | {times.mean():.2f}" in text


@pytest.mark.parametrize("low,high,chaotic,holds", [(0.8, 1.0, True, True), (-0.1, 0.5, False, False),
                                                    (1.0, 1.2, True, False)])  # fmt: skip
def test_lorenz_verdict(low, high, chaotic, holds):
    exponent = Interval((low + high) / 2, low, high)
    times = {
        "this model": Interval(5, 4, 6), "persistence": Interval(0.1, 0.1, 0.2), "nearest analog": Interval(2, 1, 3),
    }  # fmt: skip
    rows = {"this model": (np.array([0.1, 0.3]), np.array([9.0, 2])), "train": (np.array([0.01, 0.02]), np.ones(2))}
    assert series_worlds.lorenz_verdict(times, exponent, rows).figures == {
        "valid_time": 5, "longest_other": "nearest analog", "longer": True, "chaotic": chaotic,
        "holds_the_exponent": holds, "largest_w1": [0.3, 0.02], "largest_decibel": [9, 1],
    }  # fmt: skip
    same = times | {"nearest analog": Interval(4.5, 4, 5)}
    assert not series_worlds.lorenz_verdict(same, exponent, rows).figures["longer"]


def test_sites_statistics():
    world = dataclasses.replace(line(), name="sst_sites")
    blocks = series_worlds.statistics(Job(random_model(world), 20, world=world)).blocks
    text = markdown(blocks)
    x = world.segments[0].values[:150].astype(float)
    d = x - x.mean(0)
    want = f"| train, a | {d.std(0)[0]:.3f} | {(d[:-1, 0] * d[1:, 0]).mean() / (d[:, 0] ** 2).mean():.3f} |"
    assert want in text and len(blocks[-1].figures["spread_ratio"]) == len(world.variables)


def test_a_world_without_statistics_says_so():
    world = line()
    (text,) = series_worlds.statistics(Job(random_model(world), 20, world=world)).blocks
    assert world.title in text


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    world = torus()
    model = random_model(world)
    model.card = {"name": "tiny", "data": {"fingerprint": world.fingerprint()}, "metrics": {}}
    ship(model, tmp_path)
    monkeypatch.setattr(evaluate, "open_world", lambda spec, history: world)
    return tmp_path


def test_the_command_prints_writes_the_page_and_the_card(shipped, capsys):
    arguments = ["series", "--model", "tiny", "--models", str(shipped), "--parts", "statistics,forecast"]
    assert evaluate.main([*arguments, "--members", "3", "--frames", "20", "--write"]) == 0
    out, err = capsys.readouterr()
    page = (shipped / "results.md").read_text()
    command = "python -m analysis.evaluate series --model tiny --parts forecast --members 3"
    assert f"`{command}`" in page and page.index("tiny: forecast") < page.index("tiny: statistics")
    assert out.strip().splitlines()[0] == "## tiny: forecast" and not sentences(err)
    card = json.loads((shipped / "tiny.series.json").read_text())
    assert card["metrics"]["command"] == command and "this model" in card["metrics"]
    assert series_model.load("tiny", shipped).card == card


def test_other_data_are_told(shipped, capsys, monkeypatch):
    world = torus(frames=200)
    monkeypatch.setattr(evaluate, "open_world", lambda spec, history: world)
    arguments = ["series", "--model", "tiny", "--models", str(shipped), "--parts", "forecast", "--members", "2"]
    assert evaluate.main(arguments) == 0
    assert len(sentences(capsys.readouterr().err)) == 1


@pytest.mark.parametrize("arguments,name", [
    (["--model", "none"], "'none'"), ([], "--model names"), (["--parts", "bands"], "--parts"),
    (["--model", "tiny", "--members", "1"], "--members"), (["--model", "tiny", "--json", "x"], "--json"),
])  # fmt: skip
def test_mistakes_get_one_sentence(shipped, arguments, name, capsys):
    assert evaluate.main(["series", "--models", str(shipped), *arguments]) == 2
    assert name in capsys.readouterr().err
