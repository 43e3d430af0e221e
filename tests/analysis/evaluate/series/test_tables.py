"""Tables and verdicts of series models: every verdict follows the figures, whichever way they come out."""

import numpy as np
import pytest

from analysis.evaluate.series import forecast as tables
from analysis.evaluate.series.forecast import ForecastScores, SamplerScores
from analysis.evaluate.tables.markdown import Verdict, markdown
from analysis.series.loaded import MODEL
from flow_core.series.scores import Scores
from foundation.metrics.statistics import Interval
from tests.analysis.series.tiny_worlds import line, torus
from tests.sentences import tells

BELOW, ACROSS, ABOVE = Interval(-0.2, -0.3, -0.1), Interval(0.01, -0.1, 0.1), Interval(0.2, 0.1, 0.3)


def forecast(difference, leads, ssr=ACROSS, members=10, other=BELOW):
    row = Scores(Interval(1, 0.9, 1.1), Interval(0.8, 0.7, 0.9), Interval(2, 1, 3), ssr, 30, 6, Interval(1.9, 1, 3))
    by_lead = {MODEL: np.full(len(leads), 0.4), "damped persistence": np.full(len(leads), 0.5)}
    return ForecastScores(
        {MODEL: row, "damped persistence": row, "persistence": row}, by_lead, "damped persistence",
        {"persistence": other, "damped persistence": difference},
        tuple(leads), members, 6,
    )  # fmt: skip


@pytest.mark.parametrize("numbers,words", [
    ([], "no lead"), ([1], "leads 1"), ([1, 2, 3, 7], "leads 1-3, 7"), ([2, 4, 5], "leads 2, 4-5"),
])  # fmt: skip
def test_ranges_of_leads(numbers, words):
    assert tables.runs(numbers) == words


@pytest.mark.parametrize("difference,sign", [(BELOW, -1), (ABOVE, 1), (ACROSS, 0)])
def test_a_forecast_is_called_what_its_interval_says(difference, sign):
    figures = tables.forecast_verdict(forecast(difference, [BELOW, BELOW, ACROSS, ABOVE]), line()).figures
    assert figures["sign"] == sign and figures["relative"] == pytest.approx(difference.value / 0.5)
    assert (figures["better"], figures["worse"], figures["open"]) == ([1, 2], [4], [3])
    plane, circle = (tables.forecast_verdict(forecast(difference, [BELOW]), w).text for w in (line(), torus()))
    assert len(circle) > len(plane)  # which baselines the torus has is said


def test_baselines_that_are_not_beaten_are_named():
    assert tables.forecast_verdict(forecast(BELOW, [BELOW]), line()).figures["unbeaten"] == []
    verdict = tables.forecast_verdict(forecast(BELOW, [BELOW], other=ACROSS), line())
    assert verdict.figures["unbeaten"] == ["persistence"] and "+0.0100 [-0.1000, +0.1000]" in verdict.text


@pytest.mark.parametrize("blocks", [1, 9])
def test_few_blocks_are_a_caution_before_the_verdict(blocks):
    (caution,) = tables.few_verdict(blocks)
    assert caution.figures == {"stretches": blocks, "needed": 10} and not tables.few_verdict(10)
    verdicts = [b for b in tables.forecast_blocks(forecast(BELOW, [BELOW]), line()) if isinstance(b, Verdict)]
    assert verdicts[0] == tables.few_verdict(6)[0] and "sign" in verdicts[1].figures


@pytest.mark.parametrize("ssr,sign", [
    (Interval(0.9, 0.8, 1.0), 0), (Interval(0.5, 0.4, 0.6), -1), (Interval(1.5, 1.2, 1.8), 1)
])  # fmt: skip
def test_spread(ssr, sign):
    assert tables.spread_verdict(ssr, 0.95).figures == {"sign": sign, "ratio": ssr.value, "ideal": 0.95}


def test_forecast_text_holds_the_figures():
    text = markdown(tables.forecast_blocks(forecast(BELOW, [BELOW, ACROSS]), line()))
    assert "| this model | 1.0000 [0.9000, 1.1000] | 0.8000 [0.7000, 0.9000] | 2.0000 [1.0000, 3.0000] | 1.9000" in text
    assert "| damped persistence | 1.0000" in text and "| 0.010 [-0.100, 0.100] | -0.2000 [-0.3000, -0.1000] |" in text
    assert "| this model less damped persistence | -0.2000 [-0.3000, -0.1000] | +0.0100 [-0.1000, +0.1000] |" in text
    assert f"{np.sqrt(9 / 11):.3f}" in text and "| lead, frames | 1 | 2 |" in text and tells(text, 8)
    assert "radians" in markdown(tables.forecast_blocks(forecast(BELOW, [BELOW]), torus()))


def samplers(differences, none=None, gamma1=-20.0, heun=None):
    row, none = tuple((0.5, d) for d in differences), tuple(none or differences)
    n, names = len(differences), ("multistep", "matched noise", "published, no momentum")
    names += tuple(f"published, order {k}" for k in (1, 2, 3))
    gammas = {k: ((gamma1, *[1.0] * (k - 1)),) * n for k in (1, 2, 3)}
    return SamplerScores(
        tuple(range(1, n + 1)), (0.5,) * n, dict.fromkeys(names, row), dict.fromkeys((1, 2, 3), none),
        {2: (ACROSS,) * n, 3: (BELOW,) * n}, (BELOW,) * (n - 1) + (ABOVE,),
        dict.fromkeys((1, 2, 3), (heun or BELOW,) * n), gammas,
        {k: (k - 1,) * n for k in (1, 2, 3)}, 30, 6,
    )  # fmt: skip


def test_momentum_that_helps():
    s = samplers([ACROSS, BELOW, ABOVE, ABOVE], [ACROSS, BELOW, ABOVE, BELOW])
    figures = tables.momentum_verdict(s).figures
    assert figures["helps"] and figures["gamma1"] == [-20]
    first = figures["orders"]["1"]
    assert (first["all"], first["no_momentum_alone"], first["worse"]) == ([2], [4], [3])
    assert first["gain"] == pytest.approx(0.4)
    assert figures["without_momentum"] == {"better": [2], "worse": [3, 4]}
    assert figures["beyond_first"] == {"2": [], "3": [2, 3, 4]}


@pytest.mark.parametrize("differences,none", [
    ([BELOW, ACROSS], [BELOW, ACROSS]), ([BELOW, BELOW], [BELOW, ACROSS]), ([BELOW, ACROSS], [BELOW, BELOW]),
    ([BELOW, BELOW], [BELOW, Interval(0.0, 0.0, 0.0)]),
])  # fmt: skip
def test_momentum_that_does_not(differences, none):
    """One call has no momentum, and to beat one of the two controls is not enough."""
    figures = tables.momentum_verdict(samplers(differences, none, gamma1=0.5)).figures
    assert not figures["helps"] and {o["gain"] for o in figures["orders"].values()} == {None}


@pytest.mark.parametrize("heun", [ACROSS, ABOVE])
def test_what_heun_does_too_is_no_help_of_momentum(heun):
    figures = tables.momentum_verdict(samplers([ACROSS, BELOW], [ACROSS, BELOW], heun=heun)).figures
    assert not figures["helps"] and figures["orders"]["1"]["cancels"] == [2]


def test_multistep():
    figures = tables.multistep_verdict(samplers([BELOW, ACROSS, ABOVE])).figures
    assert figures == {"better": [1], "worse": [3], "first_better": [1, 2], "first_worse": [3]}


def test_samplers_blocks_hold_the_figures():
    text = markdown(tables.samplers_blocks(samplers([ACROSS, BELOW])))
    assert "| exact ODE, Euler | 0.50000 | 0.50000 |" in text
    assert "| multistep | +0.01000 [-0.10000, +0.10000] | -0.20000 [-0.30000, -0.10000] |" in text
    assert "| published, order 3 | -20, 1, 1 (2) | -20, 1, 1 (2) |" in text
