"""Curves of detail against layout: points are single edits, the gain is interpolation by hand, the choice follows."""

import numpy as np
import pytest
import torch

from analysis.evaluate.hkd import edit_curves
from analysis.evaluate.hkd.edit_comparison import compare_edits
from analysis.evaluate.hkd.edit_curves import AGNOSTIC, EditCurves, choose, gain_at_equal_layout, measure_curves
from analysis.evaluate.hkd.koopman import CHOICES
from analysis.evaluate.tables.parts import Job
from analysis.workbench.workbench import Workbench
from tests.analysis.conftest import random_pair

PAIRS = [(1, 101), (2, 102), (3, 103)]


@pytest.fixture(scope="module")
def model():
    return random_pair()[0]


def test_points_are_those_of_the_comparison(model):
    shares = []
    found = measure_curves(model, PAIRS, times=(0.3,), ratios=(0.5, 0.9), progress=lambda s, _: shares.append(s))
    assert shares == [1] and found.layout.shape == (1, len(CHOICES) + 3, 2, 3)
    r = compare_edits(model, PAIRS, bands=CHOICES["middle + largest"], ratio=0.9, tau=0.3)
    for arm, name in (("aware", "middle + largest"), ("agnostic", AGNOSTIC)):
        a = found.arms.index(name)
        assert float(found.layout[0, a, 1].mean()) == pytest.approx(r.arms[arm]["low_distance"].value, rel=1e-3)
        assert float(found.detail[0, a, 1].mean()) == pytest.approx(r.arms[arm]["high_correlation"].value, abs=1e-4)


def made(layout, detail, arms=("largest", AGNOSTIC), pairs=6, noise=0.0):
    """Curves (T, A, R) that all pairs share, up to noise."""
    wide = [np.repeat(np.array(v, float)[..., None], pairs, -1) for v in (layout, detail)]
    wide[1] = wide[1] + noise * np.random.default_rng(0).normal(size=wide[1].shape)
    times = tuple(0.2 + 0.1 * t for t in range(len(layout)))
    return EditCurves(times, arms, (0.5, 0.9), *(torch.from_numpy(v) for v in wide))


def test_the_gain_is_read_off_the_line():
    curves = made([[[0.1, 0.3], [0.2, 0.4]]], [[[0.2, 0.7], [0.3, 0.5]]])
    gain = gain_at_equal_layout(curves, 0, "largest")
    assert gain.value == pytest.approx(0.7 - 0.4) and gain.low == pytest.approx(gain.value) and gain.count == 6
    far = made([[[0.1, 0.5], [0.2, 0.4]]], [[[0.2, 0.7], [0.3, 0.5]]])
    assert np.isnan(gain_at_equal_layout(far, 0, "largest").value)
    noisy = gain_at_equal_layout(made([[[0.1, 0.3], [0.2, 0.4]]], [[[0.2, 0.7], [0.3, 0.5]]], noise=0.2), 0, "largest")
    assert noisy.low < noisy.value < noisy.high


def test_the_choice_is_the_largest_gain_beyond_chance():
    arms = ("largest", "middle", AGNOSTIC)
    layout = [[[0.1, 0.3], [0.1, 0.3], [0.2, 0.4]]] * 2
    detail = [[[0.2, 0.5], [0.2, 0.6], [0.3, 0.5]], [[0.2, 0.8], [0.2, 0.7], [0.3, 0.5]]]
    chosen = choose(made(layout, detail, arms))
    assert (chosen.arm, chosen.time, chosen.settled) == ("largest", pytest.approx(0.3), True)
    assert edit_curves.card_figures(chosen)["bands"] == [2]
    poor = [[[0.2, 0.3], [0.2, 0.39], [0.3, 0.5]], [[0.2, 0.1], [0.2, 0.2], [0.3, 0.5]]]
    chosen = choose(made(layout, poor, arms))
    assert (chosen.arm, chosen.time, chosen.settled) == ("middle", pytest.approx(0.2), False)


def test_the_part_keeps_its_choice_where_the_workbench_reads_it(model, monkeypatch):
    monkeypatch.setattr(edit_curves, "EDIT_TIMES", (0.3,))
    bench = Workbench(model)
    outcome = edit_curves.edit_choice(Job(bench, 2))
    _, table, verdict = outcome.blocks
    assert len(table.rows) == 3 * (len(CHOICES) + 3) and outcome.card == verdict.figures
    model.card = {"metrics": {"edit-choice": outcome.card}}
    told = bench.edit_defaults()
    assert list(told["bands"]) == outcome.card["bands"] and told["tau"] == outcome.card["tau"]
    model.card = {}
