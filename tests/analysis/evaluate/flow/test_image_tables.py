"""Tables of flows of pictures, and verdicts that follow from the figures, whichever way they come out."""

import dataclasses

import pytest

from analysis.evaluate.flow.image_mmd import INCEPTION, POOLED
from analysis.evaluate.flow.image_tables import exact_verdict, law_verdict, pictures_blocks, tenth_verdict
from analysis.evaluate.flow.images import LPIPS, PSNR, DataScores, PictureScores
from analysis.evaluate.flow.momentum import Momentum, MomentumRow
from analysis.evaluate.tables.markdown import Verdict, markdown
from foundation.metrics.statistics import Interval
from tests.sentences import tells

GOOD, BAD, OPEN = Interval(-1e-3, -2e-3, -5e-4), Interval(1e-3, 5e-4, 2e-3), Interval(0.0, -1e-3, 1e-3)
MINE, THEIRS, HEUN = "IDFF, exact flow, Euler", "OT-CFM, exact flow, Euler", "IDFF, exact flow, Heun"


def value(v):
    return Interval(v, v - 1e-4, v + 1e-4)


@pytest.fixture
def scores():
    rows = (
        MomentumRow("published drift", 1, ((-80.0,),), (0,), (value(0.01),), (GOOD,), (BAD,), (GOOD,)),
        MomentumRow("matched noise", 1, ((3.0,),), (0,), (value(0.01),), (GOOD,), (GOOD,), (GOOD,)),
    )
    momentum = Momentum("pictures", (2,), (value(0.02),), (value(0.02),), (value(0.02),), (GOOD,), rows, 64, 16)
    table = {THEIRS: (value(0.3), value(0.2)), MINE: (value(0.2), value(0.1)), HEUN: (value(0.2), value(0.05))}
    less = {THEIRS: (BAD, OPEN), HEUN: (OPEN, GOOD)}
    data = DataScores(
        INCEPTION, 1.5, 8000, True, table, less, {MINE: (OPEN, GOOD), HEUN: (BAD, GOOD)}, value(0.0), (1, BAD)
    )
    return PictureScores(64, (1, 2), MINE, THEIRS, LPIPS, table, less, False, data, momentum)


def verdicts(blocks):
    return [b.figures for b in blocks if isinstance(b, Verdict)]


def notes(blocks):
    return [b for b in blocks if isinstance(b, str)]


def test_blocks(scores):
    blocks = pictures_blocks(scores)
    text = markdown(blocks)
    assert f"| {MINE} | 0.2000 [0.1999, 0.2001] | 0.1000" in text
    assert f"| {HEUN} | +0.0000 [-0.0010, +0.0010] | -0.0010" in text
    assert INCEPTION in text and "b = 1.500" in text and tells(text, 64, 8000)
    assert f"| {MINE} | 200.00 [199.90, 200.10] |" in text and f"| {HEUN} | +0.00 [-1.00, +1.00] | -1.00" in text
    assert "| data in place of samples | 0.00 [-0.10, 0.10] | same |" in text
    assert "| published drift | -80 |\n| matched noise | 3 |" in text
    _, published, matched, multistep, _, tenth = verdicts(blocks)
    assert (published["helps"], published["hurts"], published["at_the_end"]) == (False, True, [-80])
    assert (matched["helps"], matched["hurts"], matched["gamma1"]) == (True, False, [3])
    assert multistep == {"better": [2], "worse": []}
    assert (tenth["calls"], tenth["against_calls"], tenth["sign"]) == (1, 2, 1)
    classed = dataclasses.replace(scores, classes=True, data=dataclasses.replace(scores.data, same=False))
    assert [a == b for a, b in zip(notes(blocks), notes(pictures_blocks(classed)), strict=True)].count(False) == 2


def test_without_data_one_sentence_and_the_other_table(scores):
    blocks = pictures_blocks(dataclasses.replace(scores, data="Set KOOPMAN_DATA."))
    text = markdown(blocks)
    assert "Set KOOPMAN_DATA." in text and f"| {MINE} | 0.2000" in text and "MMD" not in text
    assert len(verdicts(blocks)) == 4  # of the distance to the exact flow, by which momentum is chosen and judged
    bare = dataclasses.replace(scores.data, tenth=None, less_companion={})
    blocks = pictures_blocks(dataclasses.replace(scores, data=bare, momentum=None))
    assert "gamma1" not in markdown(blocks) and len(verdicts(blocks)) == 2
    assert "companion" not in verdicts(blocks)[1]


def test_averaged_pixels_give_no_verdict_on_the_law(scores):
    """Noise on every picture brings averaged pixels nearer to data: figures of them stand in the table alone."""
    seen = pictures_blocks(scores)
    blind = pictures_blocks(dataclasses.replace(scores, data=dataclasses.replace(scores.data, features=POOLED)))
    assert len(verdicts(blind)) == len(verdicts(seen)) - 2
    assert not any("methods_against_companion" in v or "against_calls" in v for v in verdicts(blind))


def test_verdicts_follow_the_figures(scores):
    assert exact_verdict(scores).figures["methods"] == {
        THEIRS: {"better": [], "worse": [1]}, HEUN: {"better": [2], "worse": []}
    }  # fmt: skip
    other_way = exact_verdict(dataclasses.replace(scores, measure=PSNR)).figures["methods"]
    assert other_way[HEUN] == {"better": [], "worse": [2]}
    figures = law_verdict(scores, scores.data).figures
    assert figures["companion"] == THEIRS
    assert figures["methods_against_companion"][MINE] == {"better": [2], "worse": []}


@pytest.mark.parametrize(("gap", "sign"), [(GOOD, -1), (BAD, 1), (OPEN, 0)])
def test_the_claim_of_ten_times_fewer_calls(scores, gap, sign):
    figures = tenth_verdict(scores, 2, gap).figures
    assert figures == {"calls": 2, "against_calls": 2, "sign": sign, "difference": gap.value}
