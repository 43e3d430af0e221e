"""Tables and verdicts of series models: every sentence follows the figures, whichever way they come out."""

import numpy as np
import pytest

from analysis.evaluate import series as tables
from analysis.evaluate.series import ForecastScores, SamplerScores
from analysis.series.loaded import MODEL
from flow_core.series.scores import Interval, Scores
from tests.analysis.series.tiny_worlds import line, torus

BELOW, ACROSS, ABOVE = Interval(-0.2, -0.3, -0.1), Interval(0.01, -0.1, 0.1), Interval(0.2, 0.1, 0.3)


def forecast(difference, leads, ssr=ACROSS, members=10, other=BELOW):
    row = Scores(Interval(1, 0.9, 1.1), Interval(0.8, 0.7, 0.9), Interval(2, 1, 3), ssr, 30, 6)
    by_lead = {MODEL: np.full(len(leads), 0.4), "damped persistence": np.full(len(leads), 0.5)}
    return ForecastScores(
        {MODEL: row, "damped persistence": row, "persistence": row}, by_lead, "damped persistence",
        {"persistence": other, "damped persistence": difference},
        np.array([[d.value, d.low, d.high] for d in leads]), members, 6,
    )  # fmt: skip


@pytest.mark.parametrize("numbers,words", [
    ([], "no lead"), ([1], "leads 1"), ([1, 2, 3, 7], "leads 1-3, 7"), ([2, 4, 5], "leads 2, 4-5"),
])  # fmt: skip
def test_ranges_of_leads(numbers, words):
    assert tables.runs(numbers) == words


@pytest.mark.parametrize("difference,words", [
    (BELOW, "the forecast beats damped persistence"), (ABOVE, "the forecast does not beat damped persistence"),
    (ACROSS, "the forecast is not told apart from damped persistence"),
])  # fmt: skip
def test_a_forecast_is_called_what_its_interval_says(difference, words):
    text = tables.forecast_verdict(forecast(difference, [BELOW, BELOW, ACROSS, ABOVE]), line())
    assert words in text and f"{difference.value / 0.5:+.0%}" in text
    assert "Better at leads 1-2; worse at leads 4; not told apart at the others." in text
    assert "not defined on the torus" not in text
    assert "not defined on the torus" in tables.forecast_verdict(forecast(difference, [BELOW]), torus())


def test_a_verdict_on_all_leads_names_no_others():
    assert tables.forecast_verdict(forecast(BELOW, [BELOW, BELOW]), line()).endswith(
        "leads 1-2; worse at no lead. It beats every other baseline too."
    )
    text = tables.forecast_verdict(forecast(BELOW, [BELOW], other=ACROSS), line())
    assert text.endswith("It does not beat persistence (+0.0100 [-0.1000, +0.1000]).")


def test_a_forecast_that_beats_only_the_others_is_not_said_to_beat_them_too():
    for difference, words in ((BELOW, "every other baseline too."), (ACROSS, "It beats every other baseline.")):
        assert tables.forecast_verdict(forecast(difference, [BELOW]), line()).endswith(words)


@pytest.mark.parametrize("blocks,words", [(1, "one independent stretch,"), (9, "9 independent stretches,")])
def test_few_blocks_are_told_first(blocks, words):
    (text,) = tables.few_verdict(blocks)
    assert words in text and "no difference here is settled" in text and not tables.few_verdict(10)
    whole = tables.forecast_text(forecast(BELOW, [BELOW]), line(), 8, "multistep")  # of 6 blocks
    assert whole.index("6 independent stretches") < whole.index("the forecast beats")


@pytest.mark.parametrize("ssr,words", [
    (Interval(0.9, 0.8, 1.0), "fits the error"), (Interval(0.5, 0.4, 0.6), "too narrow"),
    (Interval(1.5, 1.2, 1.8), "too wide"),
])  # fmt: skip
def test_spread(ssr, words):
    assert words in tables.spread_verdict(ssr, 0.95)


def test_forecast_text_holds_the_figures():
    text = tables.forecast_text(forecast(BELOW, [BELOW, ACROSS]), line(), 8, "multistep")
    assert "| this model | 1.0000 [0.9000, 1.1000] | 0.8000 [0.7000, 0.9000] | 2.0000" in text
    assert "| damped persistence | 1.0000" in text and "| 0.010 [-0.100, 0.100] | -0.2000 [-0.3000, -0.1000] |" in text
    assert "| this model less damped persistence | -0.2000 [-0.3000, -0.1000] | +0.0100 [-0.1000, +0.1000] |" in text
    assert f"{np.sqrt(9 / 11):.3f}" in text and "| lead, frames | 1 | 2 |" in text and "8 network calls" in text
    assert "radians" in tables.forecast_text(forecast(BELOW, [BELOW]), torus(), 8, "euler")


def samplers(differences, none=None, gamma1=-20.0):
    row, none = tuple((0.5, d) for d in differences), tuple(none or differences)
    n, names = len(differences), ("multistep", "matched noise", "published, no momentum")
    names += tuple(f"published, order {k}" for k in (1, 2, 3))
    gammas = {k: ((gamma1, *[1.0] * (k - 1)),) * n for k in (1, 2, 3)}
    return SamplerScores(
        tuple(range(1, n + 1)), (0.5,) * n, dict.fromkeys(names, row), dict.fromkeys((1, 2, 3), none),
        {2: (ACROSS,) * n, 3: (BELOW,) * n}, (BELOW,) * (n - 1) + (ABOVE,), gammas,
        {k: (k - 1,) * n for k in (1, 2, 3)}, 30, 6,
    )  # fmt: skip


def test_momentum_that_helps():
    text = tables.momentum_verdict(samplers([ACROSS, BELOW, ABOVE, ABOVE], [ACROSS, BELOW, ABOVE, BELOW]))
    assert text.startswith("Momentum helps at some numbers of calls")
    assert "without momentum, at 2 calls (largest gain over Euler 40.0%), the second alone at 4 calls" in text
    assert "and is worse than it at 3 calls; order 2" in text
    assert "published drift is better than the exact Euler flow at 2 calls and worse at 3, 4 calls" in text
    assert "order 2 is better than order 1 at no number of calls" in text
    assert "order 3 is better than order 1 at 2, 3, 4 calls" in text and "-20 (below 1/2 throughout" in text


@pytest.mark.parametrize("differences,none", [
    ([BELOW, ACROSS], [BELOW, ACROSS]), ([BELOW, BELOW], [BELOW, ACROSS]), ([BELOW, ACROSS], [BELOW, BELOW]),
    ([BELOW, BELOW], [BELOW, Interval(0.0, 0.0, 0.0)]),
])  # fmt: skip
def test_momentum_that_does_not(differences, none):
    """One call has no momentum, and to beat one of the two controls is not enough."""
    text = tables.momentum_verdict(samplers(differences, none, gamma1=0.5))
    assert text.startswith("Momentum does not help") and "below 1/2" not in text and "largest gain" not in text


def test_multistep():
    text = tables.multistep_verdict(samplers([BELOW, ACROSS, ABOVE]))
    assert "is better than Euler at 1 call and worse at 3 calls." in text
    assert "better than the multistep at 1, 2 calls and worse at 3 calls." in text


def test_samplers_text_holds_the_figures():
    text = tables.samplers_text(samplers([ACROSS, BELOW]))
    assert "| exact ODE, Euler | 0.50000 | 0.50000 |" in text
    assert "| multistep | +0.01000 [-0.10000, +0.10000] | -0.20000 [-0.30000, -0.10000] |" in text
    assert "| published, order 3 | -20, 1, 1 (2) | -20, 1, 1 (2) |" in text
