"""Verdicts on hand-made figures whose answer is known, and the tables beside them."""

import math

import numpy as np
import pytest
import torch

from analysis.evaluate.hkd import koopman
from analysis.evaluate.hkd.edit_comparison import EditComparison
from analysis.evaluate.hkd.fidelity import Distance, Fidelity, ScrubRow, fidelity_blocks
from analysis.koopman.editing import MEASURES
from analysis.koopman.scenes import rows_of
from analysis.koopman.spectrum import EntrySummary
from analysis.workbench.findings import attribution_verdict, linear_levels, linearity_verdict, overall_errors, readings
from analysis.workbench.probes import AttributionResult, BandLabelsResult, DMDLevel, LinearityResult
from foundation.metrics.statistics import Interval
from koopman_core.model import SpectrumEntry
from tests.sentences import numbers, tells

FACTOR_ROWS = rows_of("shapes")


def cells(table):
    """Head and rows as lists of strings, read from the Markdown of a table."""
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in str(table).splitlines()]
    assert len({len(r) for r in rows}) == 1 and set(rows[1]) == {"---"}
    assert [list(table.head), *map(list, table.rows)] == [rows[0], *rows[2:]]
    return [rows[0], *rows[2:]]


def test_fidelity_without_lpips():
    f = Fidelity(
        7, Distance(0.01, 20.0, None, 1.12), Distance(0.02, 21.0, 0.5, 1.0), Distance(1.0, 3.0, 0.25, 0.5),
        (ScrubRow(80.0, Distance(0.5, 1.0, 0.125, 0.9876)),),
        (EntrySummary("skip 0", (2, 3, 4), 0.1, 0.2, 0.3, 0.4, 0.5),),
    )  # fmt: skip
    words, students, path, spectrum = fidelity_blocks(f)
    assert "7" in words and students.rows[0][2].figures == (20.0,)
    assert cells(students)[1] == ["student, one call", "n/a", "20.00", "0.01000", "1.120"]
    assert cells(students)[2][1:] == ["0.5000", "21.00", "0.02000", "1.000"] and cells(students)[3][1] == "0.2500"
    assert cells(path)[1] == ["80", "0.1250", "1.00", "0.50000", "0.988"]
    assert cells(spectrum)[1] == ["skip 0", "2x3x4", "+0.100", "0.200", "0.30", "0.400", "0.50"]


# ---------------------------------------------------------------------------------------------------------------------
# Bands


def labels(order, distinct, centroid=(0.1, 0.2, 0.3)):
    centroid = np.array(centroid)
    return BandLabelsResult(
        np.arange(3.0), np.zeros((3, 3)), centroid, centroid - 0.01, centroid + 0.01, np.array([1.0, 2, 3]),
        order, distinct,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("order", "distinct", "unsettled", "relation"),
    [
        ((0, 1, 2), (True, True), [], "paper"),
        ((2, 1, 0), (True, True), [], "reverse"),
        ((1, 0, 2), (True, True), [], "other"),
        ((0, 1, 2), (True, False), ["middle and largest"], "open"),
        ((0, 2, 1), (True, False), ["largest and middle"], "open"),
        ((0, 2, 1), (False, True), ["smallest and largest"], "other"),  # largest is surely coarser than middle
        ((2, 1, 0), (True, False), ["middle and smallest"], "other"),
        ((2, 0, 1), (False, False), ["largest and smallest", "smallest and middle"], "open"),
    ],
)
def test_bands_verdict(order, distinct, unsettled, relation):
    figures = koopman.bands_verdict(labels(order, distinct), "alpha").figures
    assert figures["coarse_to_fine"] == [("smallest", "middle", "largest")[b] for b in order]
    assert figures["unsettled"] == unsettled and figures["relation"] == relation


def test_bands_table_goes_from_coarse_to_fine():
    found = {
        "alpha": labels((1, 0, 2), (True, False), (0.2, 0.1, 0.3)),
        "abs": labels((0, 1, 2), (False, False), (0.1, 0.2, math.nan)),
    }
    rows = cells(koopman.bands_table(found))
    assert rows[1] == ["alpha", "middle", "0.1000 [0.0900, 0.1100]", "2", "yes"]
    assert [r[1] for r in rows[1:4]] == ["middle", "smallest", "largest"] and rows[3][4] == "-"
    assert rows[6][:3] == ["abs alpha", "largest", "n/a"]


# ---------------------------------------------------------------------------------------------------------------------
# Attribution


def attribution(carried):
    """Every factor's share is 0.5 in the bands that are given, 0.25 elsewhere; everything has 0.33 +- 0.05."""
    bands = np.full((len(FACTOR_ROWS), 3), 0.25)
    bands[-1] = 0.33
    for factor, band in carried.items():
        bands[FACTOR_ROWS.index(factor), band] = 0.5
    levels = np.full((len(FACTOR_ROWS), 2), 0.5)
    ends = [bands - 0.05, bands + 0.05, levels, levels - 0.1, levels + 0.1]
    pairs = np.full(len(FACTOR_ROWS), 9)
    return AttributionResult(
        FACTOR_ROWS, ("skip 0", "bottleneck"), pairs, np.zeros((len(FACTOR_ROWS), 2, 3)), bands, *ends
    )


PAPER = {"background": 0, "place": 0, "kind": 1, "size": 1, "turn": 1, "texture": 2}


def test_the_papers_reading_is_found_in_either_direction():
    straight, reverse = readings(attribution(PAPER), 1.5, "alpha")
    assert straight.held == tuple(PAPER) and straight.failed == () and not straight.reverse
    assert reverse.held == ("kind", "size", "turn") and reverse.failed == ("background", "place", "texture")
    text = attribution_verdict([reverse, straight])
    assert tells(text, "smallest", "largest", "alpha") and numbers(text) == [1.5]  # no count of those that do not hold
    turned = attribution({f: 2 - b for f, b in PAPER.items()})
    text = attribution_verdict(readings(turned, 0.002, "abs"))
    assert tells(text, "largest", "smallest", "abs alpha") and numbers(text) == [0.002]


def test_one_factor_in_another_band_is_enough_to_refuse_it():
    tested = readings(attribution({**PAPER, "turn": 0}), 1.5, "alpha")
    text = attribution_verdict(tested)
    assert tells(text, 2, 1.5, 5, 6, "background", "place", "kind", "size", "texture") and "turn" not in text
    nothing = readings(attribution({}), 1.5, "alpha")
    assert tells(attribution_verdict(nothing), 0, 6) and "background" not in attribution_verdict(nothing)


def test_intervals_that_touch_show_nothing():
    r = attribution(PAPER)
    r.bands_low[FACTOR_ROWS.index("texture"), 2] = r.bands_high[-1, 2]
    assert "texture" in readings(r, 1.5, "alpha")[0].failed


def test_attribution_tables_star_what_is_above_everything():
    rows = cells(koopman.attribution_table(attribution(PAPER), "bands"))
    assert rows[0] == ["factor", "smallest", "middle", "largest", "pairs"] and rows[-1][0] == "everything"
    assert [[c.endswith("*") for c in r[1:4]].index(True) for r in rows[1:] if r[0] in PAPER] == [0, 1, 0, 1, 1, 2]
    assert rows[1] == ["background", "0.500 [0.450, 0.550] *", "0.250 [0.200, 0.300]", "0.250 [0.200, 0.300]", "9"]
    levels = cells(koopman.attribution_table(attribution(PAPER), "levels"))
    assert levels[0] == ["factor", "skip 0", "bottleneck", "pairs"] and not any("*" in c for r in levels for c in r)
    tested = readings(attribution(PAPER), 1.5, "abs")
    rows = cells(koopman.readings_table(tested))
    assert rows[1][:4] == ["1.5", "abs alpha", "smallest to largest", ", ".join(PAPER)] and rows[1][4] == "none"
    assert rows[2][2] == "largest to smallest"


# ---------------------------------------------------------------------------------------------------------------------
# Linearity

RATES = torch.tensor([-1.0, 1.0]).view(2, 1, 1), torch.tensor([0.5, -2.0]).view(2, 1, 1)
ENTRIES = [SpectrumEntry(f"level {i}", (4, 1, 1), *RATES) for i in range(2)]


def linear(learned, identity=0.5, fitted=0.25, n=18, mse=True, dmd=None, apart=None):
    def errors(values):
        e = np.broadcast_to(np.array(values, float).reshape(-1, 1), (2, n)).copy()
        e[:, 0] = 0
        return e

    pictures = {k: np.r_[9.0, np.full(n - 1, v)] for k, v in (("learned", 0.1), ("identity", 0.2), ("fitted", 0.3))}
    return LinearityResult(
        ("level 0", "level 1"), np.linspace(1, 0, n), np.geomspace(80, 0.002, n), errors(learned), errors(identity),
        errors(fitted), None if apart is None else {k: errors(v) for k, v in apart.items()},
        None if apart is None else np.array([[0.25], [0.75]]) * np.ones(n),
        np.zeros((2, n)), (), (), pictures if mse else None, None, dmd,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("learned", "levels"),
    [([0.05, 0.1], ["level 0", "level 1"]), ([0.05, 0.7], ["level 0"]), ([0.4, 0.7], [])],
)
def test_linearity_verdict(learned, levels):
    r = linear(learned)
    assert linear_levels(r) == levels
    assert tells(linearity_verdict(r), 10, learned[0], "level 0", learned[1], "level 1")
    np.testing.assert_allclose(overall_errors(r.learned), learned)  # T, where the error is 0, is left out


def test_linearity_verdict_compares():
    of = [10, 0.40, 0, 0.70, 1, 1, 0, 1, 2, 0.25, 0.25]  # per cent; errors of levels; 1 is like predicting 0; closer at
    medians, pictures = [0.25, 0.55, 0.50], [0.1, 0.2, 0.3]  # best, learned, identity; learned, identity, best
    assert numbers(linearity_verdict(linear([0.4, 0.7]))) == [*of, *medians, *pictures]
    assert numbers(linearity_verdict(linear([0.4, 0.7], mse=False))) == [*of, *medians]
    mean = np.zeros((1, 3))
    mean[0, 1:] = 3, 4
    assert overall_errors(mean)[0] == pytest.approx(math.sqrt(12.5))


APART = {"learned": [0.05, 0.65], "identity": [0.5, 0.7], "fitted": [0.04, 0.2]}


def test_a_level_that_is_linear_only_in_what_all_share_is_not_linear():
    r = linear([0.05, 0.05], apart=APART)
    text = linearity_verdict(r)
    assert linear_levels(r) == ["level 0"] and tells(text, 10, "level 0", "level 1", 25, "level 0", 75, "level 1")
    assert tells(text, 25, 0.05, "level 0", 0.65, "level 1", 1, 0.12, 0.35, 0.60)  # medians: best, learned, identity
    alone = linear([0.05, 0.05])
    assert linear_levels(alone) == ["level 0", "level 1"] and not tells(linearity_verdict(alone), 25)
    none = linear([0.05, 0.7], apart={**APART, "learned": [0.3, 0.6]})
    assert linear_levels(none) == [] and tells(linearity_verdict(none), 10, "level 0", 0.05, "level 0")


def test_differences_table():
    rows = cells(koopman.differences_table(linear([0.4, 0.7], apart=APART)))
    assert rows[1] == ["level 0", *["0.050 / 0.500 / 0.040"] * 5, "0.25"] and rows[0][-1] == "energy in common"


def test_linearity_table():
    r = linear([0.4, 0.7])
    assert koopman.shown_times(18) == [3, 7, 10, 14, 17] and koopman.shown_times(4) == [1, 2, 3]
    rows = cells(koopman.linearity_table(r))
    assert rows[1] == ["level 0", *["0.400 / 0.500 / 0.250"] * 5] and rows[0][-1] == "sigma 0.002"
    assert rows[3] == ["pictures, MSE", *["0.1 / 0.2 / 0.3"] * 5]
    assert len(cells(koopman.linearity_table(linear([0.4, 0.7], mse=False)))) == 3


def test_dmd_beside_the_learned_spectrum():
    level = DMDLevel(
        np.array([0.5, 0.5, -3.0, 0.9, 0.1]), np.array([2.0, -2.0, 0.0, 0.0, 0.0]), np.arange(5.0)[::-1], 0.75, 0.125
    )
    r = linear([0.4, 0.7], dmd=(level, level))
    assert koopman.leading_rates(level) == [0.5 + 2j, -3, 0.9]  # one of the pair, no fourth
    rows = cells(koopman.dmd_table(r, ENTRIES))
    assert rows[2] == [
        "level 1",
        "-0.90 to +0.90",
        "-1.00 to +1.00",
        "1.92",
        "+0.50 ± 2.00i, -3.00, +0.90",
        "0.750",
        "0.125",
    ]
    assert koopman.dmd_verdict(r, ENTRIES).figures == {"leading": 6, "inside": 4}


# ---------------------------------------------------------------------------------------------------------------------
# Editing


def about(mean, width=0.01):
    return Interval(mean, mean - width, mean + width, 9)


def arm(low, high):
    return dict(zip(MEASURES, (about(0.5), about(high), about(low)), strict=True))


def comparison(aware, agnostic=(0.4, 0.4), random=(0.2, 0.2)):
    """From (low-pass distance, high-pass correlation) of the three arms."""
    arms = {"aware": arm(*aware), "agnostic": arm(*agnostic), "random": arm(*random)}
    gaps = {
        c: {m: about(arms["aware"][m].value - arms[c][m].value) for m in MEASURES} for c in ("agnostic", "random")
    }  # fmt: skip
    return EditComparison(9, arms, gaps)


LOWER = {r: comparison((r, r), (0.4 * r, 0.4 * r)) for r in (0.0, 0.5, 1.0)}  # detail equals layout change, up to 0.4


def test_a_trade_is_at_equal_layout_change():
    found = {
        "a": comparison((0.1, 0.3)),
        "b": comparison((0.1, 0.1)),
        "c": comparison((0.3, 0.1)),
        "d": comparison((0.9, 0.9)),
    }
    t = koopman.trades(found, LOWER)
    assert t["a"].ratio == pytest.approx(0.25) and t["a"].agnostic == pytest.approx(0.1)
    assert [t[k].sign for k in "abc"] == [1, 0, -1]
    assert math.isnan(t["d"].agnostic) and t["d"].sign == 0  # no agnostic edit changes as much
    rows = cells(koopman.trades_table(t))
    assert rows[1] == ["a", "0.3 [0.29, 0.31]", "25%", "0.1", "+0.2 *"] and rows[4][2:] == ["n/a"] * 3
    assert "*" not in rows[2][4] and rows[3][4] == "-0.2 *"


def test_editing_verdict():
    found = {"a": comparison((0.1, 0.3)), "b": comparison((0.1, 0.15)), "c": comparison((0.3, 0.1))}
    verdict = koopman.editing_verdict(found, koopman.trades(found, LOWER))
    assert verdict.figures == {
        "closer_than_agnostic": ["a", "b", "c"], "less_detail_than_agnostic": ["a", "b", "c"],
        "closer_than_random": ["a", "b"], "more_detail_than_random": ["a"], "more_at_equal_layout": ["a", "b"],
        "less_at_equal_layout": ["c"], "best": "a",
    }  # fmt: skip
    only = {"c": found["c"], "d": comparison((0.4, 0.4))}
    verdict = koopman.editing_verdict(only, koopman.trades(only, LOWER))
    assert verdict.figures["best"] is None and verdict.figures["closer_than_agnostic"] == ["c"]
    assert verdict.figures["closer_than_random"] == []


def test_editing_tables():
    found = {"a": comparison((0.1, 0.3)), "b": comparison((0.1, math.nan))}
    arms, gaps = koopman.editing_tables(found, {0.0: LOWER[0.0], 0.5: LOWER[0.5]})
    rows = cells(arms)
    assert [r[0] for r in rows[1:]] == [
        "all modes (agnostic)", "all modes at ratio 50%", "all modes at ratio 0%", "a", "as many as a, at random", "b",
        "as many as b, at random",
    ]  # fmt: skip
    assert rows[4][1:] == ["0.5 [0.49, 0.51]", "0.3 [0.29, 0.31]", "0.1 [0.09, 0.11]"] and rows[6][2] == "n/a"
    assert rows[2][3] == "0.2 [0.19, 0.21]"
    rows = cells(gaps)
    assert [r[:2] for r in rows[1:]] == [["a", "agnostic"], ["a", "random"], ["b", "agnostic"], ["b", "random"]]
    assert rows[1][4] == "-0.3 [-0.31, -0.29]" and rows[2][3] == "+0.1 [+0.09, +0.11]"
