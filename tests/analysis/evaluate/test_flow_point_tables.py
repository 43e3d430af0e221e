"""Sentences about flows in the plane follow from the intervals, whichever way they come out."""

import dataclasses

import pytest

from analysis.evaluate.flow_points import Quality, at_calls, calls_for, momentum_text, momentum_verdict, quality_text
from analysis.evaluate.momentum import EULER, MULTISTEP, Momentum, MomentumRow
from flow_core.series.scores import Interval

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
        value(0.9), 4,
    )  # fmt: skip
    text = quality_text(q)
    assert "| exact flow, Euler | 1000.00 [999.90, 1000.10] | 20.00" in text
    assert "exact flow, multistep: better at 5 calls, worse at 20 calls" in text
    assert "Euler's mean distance with 20 is reached with: exact flow, multistep 5." in text
    assert calls_for(q, MULTISTEP, 1e-9) is None and "public code are the paper's" not in text


def rows(controls):
    return tuple(
        MomentumRow(family, k, ((-5.0,), (10.0,)), (0, 4), (value(0.01),) * 2, euler, none)
        for family, k, euler, none in controls
    )


def momentum(*controls):
    plain = (value(0.01),) * 2
    return Momentum("moons", (2, 5), plain, plain, (GOOD, BAD), rows(controls), 10, 4)


@pytest.mark.parametrize("euler,none,words", [
    ((GOOD, OPEN), (GOOD, OPEN), "momentum helps (helps"), ((OPEN, BAD), (OPEN, OPEN), "momentum hurts (helps"),
    ((GOOD, OPEN), (OPEN, GOOD), "it cannot be told (helps"), ((GOOD, GOOD), (BAD, GOOD), "hurts at others (helps"),
])  # fmt: skip
def test_the_word_follows_from_both_controls(euler, none, words):
    assert words in momentum_verdict(momentum(("published drift", 1, euler, none)), "published drift")


def test_momentum_text():
    m = momentum(
        ("published drift", 1, (GOOD, OPEN), (GOOD, GOOD)), ("published drift", 2, (BAD, OPEN), (OPEN, OPEN)),
        ("matched noise", 1, (OPEN, OPEN), (OPEN, OPEN)),
    )  # fmt: skip
    text = momentum_text(m)
    assert "order 1 helps at 2 calls, hurts at no number of calls, cannot be told at 5 calls" in text
    assert "order 2 helps at no number of calls, hurts at 2 calls, cannot be told at 5 calls" in text
    assert "Matched noise: it cannot be told" in text and "The gamma1 chosen: -5, 10." in text
    assert "better than the multistep at 2 calls and worse at 5 calls" in text
    assert "| published drift, order 1, less Euler | -1.00 [-2.00, -0.50] |" in text
    assert "those tried" not in text
    ends = MomentumRow("matched noise", 1, ((0.0,), (30.0,)), (0, 0), (value(0.01),) * 2, (OPEN, GOOD), (OPEN, GOOD))
    said = momentum_verdict(dataclasses.replace(m, rows=(ends,)), "matched noise")
    assert "0, 30 (at the end of those tried, so that the best may lie beyond: 30)." in said
    assert "| matched noise, order 1 | -5 (0) | 10 (4) |" in text and "matched noise, order 1, less no" not in text
