"""The in-sample protocol: measures against formulas by hand, controls, verdicts, the command's parts."""

import cmath
import math

import numpy as np
import pytest

from analysis.evaluate import __main__ as evaluate
from analysis.evaluate.series import in_sample as series_in_sample
from analysis.evaluate.series.in_sample import (
    AHEAD,
    COPIED,
    LOOKED_UP,
    OTHER,
    TOLD_NUMBER,
    UNSEEN,
    UNSEEN_COPY,
    Agreement,
    agreement,
)
from analysis.evaluate.tables.markdown import markdown
from analysis.evaluate.tables.parts import Job
from flow_core.series.world import WORLD_SPLITS, Segment, World
from flow_core.training.series import ship
from tests.analysis.series.tiny_worlds import random_model, torus

FRAMES = 30


def told_world():
    """One run, training and test at once; the context is k / T."""
    values = torus().segments[0].values[:FRAMES]
    context = (np.arange(FRAMES, dtype=np.float32) / FRAMES)[:, None]
    segment = Segment(values.copy(), np.arange(FRAMES) * 1.0, context, dict.fromkeys(WORLD_SPLITS, (0, FRAMES)))
    return World(
        name="alanine_in_sample", title="Told", variables=("phi", "psi"), unit="rad", dt=1.0, time_unit="ps", history=1,
        horizon=FRAMES - 1, shape=(2,), geometry="torus", center=np.zeros(2), scale=np.ones(2), segments=(segment,),
        licence="ours",
    )  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(series_in_sample, "SHOWN_IN_SAMPLE_NFE", (1, 2))
    monkeypatch.setattr(series_in_sample, "CONTROL_NFE", 2)
    monkeypatch.setattr(series_in_sample, "open_world", lambda spec, history: torus())


@pytest.fixture(scope="module")
def world():
    return told_world()


@pytest.fixture(scope="module")
def model(world):
    return random_model(world)


def short(a, b):
    """|a - b| round the circle by complex numbers, radians."""
    return abs(cmath.phase(cmath.exp(1j * (a - b))))


def by_hand(made, truth):
    """MAE and RMSE in degrees, circular correlation, of one angle, with plain sums."""
    n = len(truth)
    gaps = [math.degrees(short(a, b)) for a, b in zip(made, truth, strict=True)]
    mean = [cmath.phase(sum(cmath.exp(1j * a) for a in x)) for x in (made, truth)]
    p, q = ([math.sin(a - m) for a in x] for x, m in zip((made, truth), mean, strict=True))
    top = sum(a * b for a, b in zip(p, q, strict=True))
    cc = top / math.sqrt(sum(a * a for a in p) * sum(b * b for b in q))
    return sum(gaps) / n, math.sqrt(sum(g * g for g in gaps) / n), cc


def test_measures_by_hand():
    rng = np.random.default_rng(0)
    made, truth = rng.uniform(-math.pi, math.pi, (3, 40, 2)), rng.uniform(-math.pi, math.pi, (40, 2))
    made[0] = truth + 0.2  # one series that follows, across the border too
    got = agreement(made, truth)
    for angle in (0, 1):
        want = np.array([by_hand(m[:, angle], truth[:, angle]) for m in made])
        for i, table in enumerate((got.mae, got.rmse, got.cc)):
            np.testing.assert_allclose(table[angle], [want[:, i].mean(), want[:, i].std()], atol=1e-9)
    exact = agreement(truth[None], truth)
    assert exact.mae.max() == 0 and exact.cc[:, 0] == pytest.approx(1)


def test_every_series_is_what_it_is_called(world, model):
    held = random_model(torus())
    found = series_in_sample.measure_in_sample(model, world, 3, held)
    x = world.segments[0].values.copy()
    told = (np.arange(FRAMES, dtype=np.float32) / FRAMES)[None, 1:, None]
    for name, context, nfe in (
        (f"{TOLD_NUMBER}, NFE 1", told, 1),
        (f"{TOLD_NUMBER}, NFE 2", told, 2),
        (f"{OTHER}, NFE 2", (told + 0.5) % 1, 2),
    ):
        made = model.forecast(x[None, :1], context, FRAMES - 1, 3, nfe, "euler").members[:, 0]
        np.testing.assert_allclose(found[name].cc, agreement(made, x[1:]).cc, atol=1e-9)
    made = model.forecast(x[:-1, None], told[0][:, None], 1, 3, 2, "euler").members[:, :, 0]
    np.testing.assert_allclose(found[f"{AHEAD}, NFE 2"].mae, agreement(made, x[1:]).mae, atol=1e-9)
    want = [by_hand(x[:-1, i], x[1:, i]) for i in (0, 1)]
    np.testing.assert_allclose(found[COPIED].mae[:, 0], [w[0] for w in want], atol=1e-4)
    np.testing.assert_allclose(found[COPIED].cc[:, 0], [w[2] for w in want], atol=1e-6)
    assert found[LOOKED_UP].mae.max() == 0 and found[LOOKED_UP].cc[:, 0] == pytest.approx(1)
    tail = np.stack([s.values[300:400] for s in torus().segments])
    start = np.stack([s.values[298:300] for s in torus().segments])
    made = held.forecast(start, None, 100, 3, 2, "euler").members
    pairs = [by_hand(made[m, run, :, 1], tail[run, :, 1]) for m in range(3) for run in range(2)]
    assert found[f"{UNSEEN}, NFE 2"].cc[1] == pytest.approx([np.mean(pairs, 0)[2], np.std(pairs, 0)[2]], abs=1e-5)
    assert UNSEEN_COPY in found


def test_text_names_the_protocol_and_goes_without_the_other_model(world, model, tmp_path):
    outcome = series_in_sample.in_sample(Job(model, 2, world=world, folder=tmp_path))
    text, figures = markdown(outcome.blocks), outcome.card
    assert "| IDFF, NFE 3 | 10.5 ± 1.1 | 15.2 ± 2.6 | 0.93 ± 0.06 |" in text and UNSEEN not in text
    found = series_in_sample.measure_in_sample(model, world, 2, None)
    assert list(figures) == list(found)
    a = found[COPIED]
    row = next(line for line in text.splitlines() if line.startswith(f"| {COPIED} |"))
    assert f"| {a.mae[0, 0]:.2f} ± 0.00 | {a.mae[1, 0]:.2f} ± 0.00 |" in row and f"{a.cc[1, 0]:.3f}" in row


def flat(cc):
    return Agreement(np.zeros((2, 2)), np.zeros((2, 2)), np.array([[cc, 0.0], [cc, 0.0]]))


@pytest.mark.parametrize("own,other,unseen,memory", [
    (0.9, 0.1, 0.0, True), (0.3, 0.25, 0.0, False), (0.9, 0.1, 0.85, False)
])  # fmt: skip
def test_the_verdict_follows_the_figures(own, other, unseen, memory):
    found = {f"{TOLD_NUMBER}, NFE 3": flat(own), f"{TOLD_NUMBER}, NFE 5": flat(own - 0.05),
             f"{OTHER}, NFE 5": flat(other), COPIED: flat(0.4), LOOKED_UP: flat(1.0),
             f"{UNSEEN}, NFE 5": flat(unseen)}  # fmt: skip
    assert series_in_sample.in_sample_verdict(found).figures == {
        "memory": memory, "in_sample": own, "other_number": other, "unseen": unseen, "copy": 0.4, "table": 1
    }  # fmt: skip
    del found[f"{UNSEEN}, NFE 5"]
    assert series_in_sample.in_sample_verdict(found).figures["unseen"] is None


def test_the_command_runs_this_part_and_no_other(world, model, tmp_path, monkeypatch, capsys):
    model.card = {"name": "told", "data": {"fingerprint": world.fingerprint()}, "metrics": {}}
    ship(model, tmp_path)
    monkeypatch.setattr(evaluate, "open_world", lambda spec, history: world)
    arguments = ["series", "--model", "told", "--models", str(tmp_path), "--rollouts", "2"]
    assert evaluate.main([*arguments, "--write"]) == 0
    out, _ = capsys.readouterr()
    assert [line for line in out.splitlines() if line.startswith("## ")] == ["## told: in-sample"]
    page = (tmp_path / "results.md").read_text()
    assert "python -m analysis.evaluate series --model told --parts in-sample --rollouts 2" in page
    assert evaluate.main([*arguments, "--parts", "forecast"]) == 2
    assert "--parts" in capsys.readouterr().err
