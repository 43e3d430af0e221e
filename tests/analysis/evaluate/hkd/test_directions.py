"""Directions measured where all is known: a linear decoder whose coordinates are the factors."""

import numpy as np
import pytest
import torch

from analysis.evaluate.hkd import directions
from analysis.evaluate.hkd.directions import CHANGE, Reader, matched, measure_method, selectivity
from analysis.evaluate.tables.parts import Job
from analysis.koopman.directions import draw
from analysis.workbench.workbench import Workbench
from foundation import noise
from foundation.procedural import shapes
from tests.analysis.conftest import random_pair
from tests.refusals import refuses
from tests.sentences import tells

NAMES = ("x", "colour.0", "colour.1")
STATES = 0.1 * noise([1], (4, 5))[0]


def walk(i, steps):
    """Five latent numbers are five pixels."""
    return (STATES[i] + steps).view(-1, 1, 1, 5)


def read(pictures):
    """The first is x; the next two are colours; the others show nothing that is read."""
    return 10 * pictures.flatten(1)[:, :3].double()


def test_selectivity_by_hand():
    change = torch.tensor([[3.0, 0.0, 4.0], [0.0, 1.0, 1.0]])
    assert selectivity(change, NAMES, "x").tolist() == pytest.approx([9 / 25, 0])
    assert selectivity(change, NAMES, "colour.1").tolist() == pytest.approx([16 / 25, 1])


def test_steps_are_matched_in_the_change_that_they_make():
    found = matched(walk, 0, torch.tensor([[2.0, 0, 0, 0, 0], [0, 1.0, 1.0, 0, 0]]))
    # a step of norm s changes five pixels by s^2 / 5 in the mean
    assert found.tolist() == pytest.approx([np.sqrt(5 * CHANGE)] * 2, rel=0.01)
    assert bool(matched(lambda i, steps: walk(i, 0 * steps), 0, torch.eye(5)[:1]).isnan().all())


def test_a_labelled_and_an_unlabelled_method():
    own = torch.tensor([[1.0, 0, 0, 0, 0], [0, 1.0, 0, 0, 1.0]])
    size = 10 * np.sqrt(5 * CHANGE)
    found = measure_method(walk, lambda i: own, read, NAMES, ("x", "colour.0"), 4, labelled=True)
    assert found["x"].own.value == pytest.approx(size, rel=0.02) and found["x"].own_share.value == pytest.approx(1)
    assert found["colour.0"].own.value == pytest.approx(size / np.sqrt(2), rel=0.02)
    assert found["x"].linear.value == pytest.approx(1) and found["x"].transfer.value == pytest.approx(size, rel=0.02)
    # the wrong sign and another order: the best candidate is found and turned round
    blind = measure_method(walk, lambda i: -own.flip(0), read, NAMES, ("x",), 4)
    assert blind["x"].own.value == pytest.approx(size, rel=0.02) and blind["x"].transfer_share.value == pytest.approx(1)
    # a labelled direction that does the opposite is told so
    wrong = measure_method(walk, lambda i: -own[:1], read, NAMES, ("x",), 4, labelled=True)
    assert wrong["x"].own.value == pytest.approx(-size, rel=0.02)


def test_the_reader_knows_drawn_scenes():
    reader = Reader("shapes", 16, scenes=500)
    assert {"x", "y"} <= set(reader.names) and all(r2 > directions.READABLE for r2 in reader.quality.values())
    records = shapes.factors(np.arange(60), 77)
    told = reader(draw("shapes", records, 16))
    for name in ("x", "y"):
        at = reader.names.index(name)
        assert np.corrcoef(told[:, at].numpy(), records[name])[0, 1] > 0.7


def test_the_part(monkeypatch):
    for name, value in (
        ("READER_SCENES", 150),
        ("READER_TRAINING", 120),
        ("SPREAD_NOISES", 4),
        ("UNNAMED", 1),
        ("GROUP_PICTURES", 1),
    ):
        monkeypatch.setattr(directions, name, value)
    monkeypatch.setattr(directions, "READABLE", -9.0)
    monkeypatch.setattr(directions, "WANTED", {"shapes": ("x",)})
    bench = Workbench(*random_pair())
    bench.model.card = {"data": {"spec": "shapes"}}
    shares = []
    text, table, verdict = directions.directions(Job(bench, 2, lambda share, _: shares.append(share))).blocks
    assert [row[:2] for row in table.rows] == [("x", m) for m in ("mean", "decoder", "groups", "teacher")]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1) and tells(text, 2)
    assert set(verdict.figures) <= {"x"}
    bench.model.card = {"data": {"spec": "cifar10"}}
    with refuses("data"):
        directions.directions(Job(bench, 2))
