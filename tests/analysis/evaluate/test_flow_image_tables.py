"""Tables of flows of pictures, and sentences that follow from the figures, whichever way they come out."""

import dataclasses

import pytest

from analysis.evaluate.flow_images import (
    LPIPS,
    PSNR,
    DataScores,
    PictureScores,
    exact_verdict,
    law_verdict,
    pictures_text,
    tenth_verdict,
)
from analysis.evaluate.momentum import Momentum, MomentumRow
from flow_core.series.scores import Interval

GOOD, BAD, OPEN = Interval(-1e-3, -2e-3, -5e-4), Interval(1e-3, 5e-4, 2e-3), Interval(0.0, -1e-3, 1e-3)
MINE, THEIRS, HEUN = "IDFF, exact flow, Euler", "OT-CFM, exact flow, Euler", "IDFF, exact flow, Heun"


def value(v):
    return Interval(v, v - 1e-4, v + 1e-4)


@pytest.fixture
def scores():
    rows = (
        MomentumRow("published drift", 1, ((-80.0,),), (0,), (value(0.01),), (GOOD,), (BAD,)),
        MomentumRow("matched noise", 1, ((3.0,),), (0,), (value(0.01),), (GOOD,), (GOOD,)),
    )
    momentum = Momentum("pictures", (2,), (value(0.02),), (value(0.02),), (GOOD,), rows, 64, 16)
    table = {THEIRS: (value(0.3), value(0.2)), MINE: (value(0.2), value(0.1)), HEUN: (value(0.2), value(0.05))}
    less = {THEIRS: (BAD, OPEN), HEUN: (OPEN, GOOD)}
    data = DataScores(
        1.5, 8000, True, table, less, {MINE: (OPEN, GOOD), HEUN: (BAD, GOOD)}, value(0.0), momentum, (1, BAD)
    )
    return PictureScores(64, (1, 2), MINE, THEIRS, LPIPS, table, less, False, data)


def test_text(scores):
    text = pictures_text(scores)
    assert "64 held-out noises, the same for every method. Distance to the exact flow: LPIPS" in text
    assert f"| {MINE} | 0.2000 [0.1999, 0.2001] | 0.1000" in text
    assert f"| {HEUN} | +0.0000 [-0.0010, +0.0010] | -0.0010" in text
    assert "unbiased squared MMD of 8 x 8 average-pooled pixels" in text and "b = 1.500" in text
    assert f"| {MINE} | 200.00 [199.90, 200.10] |" in text and f"| {HEUN} | +0.00 [-1.00, +1.00] | -1.00" in text
    assert "| data in place of samples | 0.00 [-0.10, 0.10] | same |" in text
    assert "64 samples against 8,000 held-out data pictures" in text and "not the pictures" not in text
    assert "| published drift | -80 |\n| matched noise | 3 |" in text
    assert "Published drift: momentum hurts (" in text and "Matched noise: momentum helps (" in text
    assert "-80 (at the end of those tried" in text and "gamma1 chosen: 3." in text
    assert "better than the multistep at 2 calls and worse at no number of calls" in text
    assert "the chosen gamma1 and 1 calls" not in text and "and 1 call is farther from data" in text
    assert "FID is another metric" in text
    classed = dataclasses.replace(scores, classes=True, data=dataclasses.replace(scores.data, same=False))
    assert "every method, classes drawn evenly by seed." in pictures_text(classed)
    assert "**These are not the pictures" in pictures_text(classed)


def test_without_data_one_sentence_and_the_other_table(scores):
    text = pictures_text(dataclasses.replace(scores, data="Set KOOPMAN_DATA."))
    assert "No distance to data, and so no choice of momentum weights: Set KOOPMAN_DATA." in text
    assert f"| {MINE} | 0.2000" in text and "MMD" not in text and text.count("Verdict") == 1
    bare = dataclasses.replace(scores.data, momentum=None, tenth=None, less_companion={})
    text = pictures_text(dataclasses.replace(scores, data=bare))
    assert "gamma1" not in text and text.count("Verdict") == 2 and "another net" not in text


def test_verdicts_follow_the_figures(scores):
    said = exact_verdict(scores)
    assert f"{THEIRS}: better at no number of calls, worse at 1 call;" in said
    assert f"{HEUN}: better at 2 calls, worse at no number of calls." in said
    other_way = exact_verdict(dataclasses.replace(scores, measure=PSNR))
    assert f"{HEUN}: better at no number of calls, worse at 2 calls." in other_way
    said = law_verdict(scores, scores.data)
    assert f"Against {THEIRS}, which is another net: {MINE}: better at 2 calls, worse at no number" in said


@pytest.mark.parametrize(
    ("gap", "words"),
    [(GOOD, "nearer to data than"), (BAD, "farther from data than"), (OPEN, "not told apart from")],
)
def test_the_claim_of_ten_times_fewer_calls(scores, gap, words):
    said = tenth_verdict(scores, 2, gap)
    assert f"gamma1 and 2 calls is {words} {THEIRS} with 2 (paired" in said
