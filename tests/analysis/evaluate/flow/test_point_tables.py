"""Verdicts on flows in the plane follow from the intervals, whichever way they come out."""

import dataclasses
import math

import pytest

from analysis.evaluate.flow.momentum import EULER, MULTISTEP, Blurred, Momentum, MomentumRow, at_calls, momentum_verdict
from analysis.evaluate.flow.points import (
    Quality,
    blur_tables,
    calls_for,
    momentum_blocks,
    quality_blocks,
    quality_verdict,
)
from analysis.evaluate.tables.markdown import Table, Verdict, markdown
from foundation.metrics.statistics import Interval
from tests.sentences import tells

GOOD, BAD, OPEN = Interval(-1e-3, -2e-3, -5e-4), Interval(1e-3, 5e-4, 2e-3), Interval(0.0, -1e-3, 1e-3)


def value(v):
    return Interval(v, v - 1e-4, v + 1e-4)


@pytest.mark.parametrize("numbers,words", [
    ((), "no number of calls"), ((1,), "1 call"), ((3,), "3 calls"), ((2, 5), "2 and 5 calls"),
    ((1, 2, 5), "1, 2 and 5 calls"),
])  # fmt: skip
def test_numbers_of_calls(numbers, words):
    assert at_calls(numbers) == words


def test_quality_text():
    q = Quality(
        "8gaussians", (1, 5, 20), {EULER: tuple(map(value, (1.0, 0.02, 0.001))),
                                   MULTISTEP: tuple(map(value, (1.0, 0.0009, 0.0005)))},
        {EULER: (value(2.0),) * 3, MULTISTEP: (value(1.0),) * 3}, {MULTISTEP: (OPEN, GOOD, BAD)}, value(0.0),
        value(0.9), 4, {EULER: (Blurred(value(0.7), value(0.2)),) * 3}, Blurred(value(0.56), value(0.011)),
        (97, value(0.0003)),
    )  # fmt: skip
    text = markdown(quality_blocks(q))
    assert tells(text, "0.30 [0.20, 0.40]", 97)
    assert "| exact flow, Euler | 1000.00 [999.90, 1000.10] | 20.00" in text
    assert quality_verdict(q).figures == {
        "most": 20, "methods": {MULTISTEP: {"better": [5], "worse": [20], "calls": 5}}
    }  # fmt: skip
    assert calls_for(q, MULTISTEP, 1e-9) is None
    assert "| exact flow, Euler | 0.700 [0.700, 0.700] |" in text and "0.0110 [0.0109, 0.0111] | same" in text


def test_a_grid_has_no_spread_within_modes():
    none, some = Blurred(Interval(math.nan, math.nan, math.nan), value(0.2)), Blurred(value(0.6), value(0.1))
    tables = [
        [b for b in blur_tables({EULER: (x,)}, x, ["5"]) if isinstance(b, Table)] for x in (none, some)
    ]  # fmt: skip
    assert [[t.head[0] for t in of] for of in tables] == [["share beyond"], ["spread within modes", "share beyond"]]


def rows(controls):
    return tuple(
        MomentumRow(family, k, ((-5.0,), (10.0,)), (0, 4), (value(0.01),) * 2, euler, none, heun)
        for family, k, euler, none, heun in controls
    )


def momentum(*controls):
    plain = (value(0.01),) * 2
    return Momentum("moons", (2, 5), plain, plain, plain, (GOOD, BAD), rows(controls), 10, 4)


@pytest.mark.parametrize("euler,none,heun,helps,cancels,hurts", [
    ((GOOD, OPEN), (GOOD, OPEN), (GOOD, OPEN), True, False, False),
    ((GOOD, OPEN), (GOOD, OPEN), (OPEN, OPEN), False, True, False),
    ((GOOD, OPEN), (GOOD, OPEN), (BAD, OPEN), False, True, False),
    ((OPEN, BAD), (OPEN, OPEN), (GOOD, GOOD), False, False, True),
    ((GOOD, OPEN), (OPEN, GOOD), (GOOD, GOOD), False, False, False),
    ((GOOD, GOOD), (BAD, GOOD), (GOOD, GOOD), True, False, True),
])  # fmt: skip
def test_a_finding_follows_from_all_controls(euler, none, heun, helps, cancels, hurts):
    """Better than Euler and than no momentum alone is no help: Heun's method does that without weights."""
    m = momentum(("published drift", 1, euler, none, heun))
    figures = momentum_verdict(m, "published drift", (-20.0, 20.0)).figures
    assert (figures["helps"], figures["cancels"], figures["hurts"]) == (helps, cancels, hurts)


def test_momentum_blocks():
    m = momentum(
        ("published drift", 1, (GOOD, OPEN), (GOOD, GOOD), (GOOD, GOOD)),
        ("published drift", 2, (BAD, OPEN), (OPEN, OPEN), (OPEN, OPEN)),
        ("matched noise", 1, (OPEN, OPEN), (OPEN, OPEN), (OPEN, OPEN)),
    )  # fmt: skip
    blocks = momentum_blocks(m)
    published, matched, multistep = (b.figures for b in blocks if isinstance(b, Verdict))
    assert published["orders"] == {
        "1": {"helps": [2], "cancels": [], "hurts": [], "open": [5]},
        "2": {"helps": [], "cancels": [], "hurts": [2], "open": [5]},
    }  # fmt: skip
    assert published["gamma1"] == [-5, 10] and published["at_the_end"] == []
    assert (matched["family"], matched["helps"], matched["hurts"]) == ("matched noise", False, False)
    assert multistep == {"better": [2], "worse": [5]}
    text = markdown(blocks)
    assert "| published drift, order 1, less Euler | -1.00 [-2.00, -0.50] |" in text
    assert "| matched noise, order 1 | -5 (0) | 10 (4) |" in text and "matched noise, order 1, less no" not in text
    ends = MomentumRow(
        "matched noise", 1, ((0.0,), (30.0,)), (0, 0), (value(0.01),) * 2, (OPEN, GOOD), (OPEN, GOOD), (OPEN, GOOD)
    )
    verdict = momentum_verdict(dataclasses.replace(m, rows=(ends,)), "matched noise", (0.0, 1.0, 30.0))
    assert verdict.figures["gamma1"] == [0, 30] and verdict.figures["at_the_end"] == [30]
