"""Intervals: resamples row by row, coverage of a dependent series; Student's against scipy's and what they promise."""

import math

import pytest
import torch
from scipy import stats

from foundation.metrics.statistics import (
    Interval,
    bootstrap,
    bootstrap_interval,
    mean_interval,
    ratio_interval,
    resampled_means,
)


@pytest.mark.parametrize("n, block", [(7, 1), (7, 3), (12, 4), (5, 9)])
def test_each_resample_is_whole_blocks_in_order(n, block):
    values = torch.stack([2.0 ** torch.arange(n), torch.ones(n)], 1)  # the sum tells how often each row was drawn
    means = resampled_means(values, draws=40, seed=3, block=block)
    assert means.shape == (40, 2) and means.dtype == torch.float64
    b = min(block, n)
    starts = torch.randint(n, (40, math.ceil(n / b)), generator=torch.Generator().manual_seed(3))
    for row, start in zip(means, starts.tolist(), strict=True):
        rows = [(s + i) % n for s in start for i in range(b)][:n]
        assert float(row[0]) == pytest.approx(sum(2.0**r for r in rows) / n)
        assert float(row[1]) == pytest.approx(1)


def test_interval_of_independent_numbers_has_the_textbook_width():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0)).double()
    low, high = bootstrap(values, draws=4000)
    assert float(high - low) == pytest.approx(2 * 1.96 * float(values.std()) / 20, rel=0.06)
    assert low < values.mean() < high


def test_blocks_see_that_neighbours_depend_on_each_other():
    noise = torch.randn(4000, generator=torch.Generator().manual_seed(1)).double().tolist()
    series, x = [], 0.0
    for e in noise:
        x = 0.9 * x + e
        series.append(x)
    series = torch.tensor(series, dtype=torch.float64)
    alone, together = (resampled_means(series, 2000, block=b).std() for b in (1, 100))
    exact = 1 / (1 - 0.9) / 4000**0.5  # standard error of the mean of an AR(1) series
    assert float(together) == pytest.approx(exact, rel=0.25)
    assert float(alone) < 0.4 * exact


def test_edges():
    low, high = bootstrap(torch.zeros(0, 2))
    assert low.shape == (2,) and bool(torch.isnan(low).all() and torch.isnan(high).all())
    assert [float(v) for v in bootstrap(torch.tensor([3.0]))] == [3, 3]
    with pytest.raises(ValueError):
        resampled_means(torch.zeros(0))
    with pytest.raises(ValueError):
        resampled_means(torch.zeros(3), block=0)


def test_an_interval_says_on_which_side_of_0_it_lies():
    values = torch.tensor([1.0, 2.0, math.nan, 3.0])
    v = bootstrap_interval(values)
    low, high = bootstrap(values[[0, 1, 3]])
    assert v == Interval(2.0, float(low), float(high), 3) and v.sign == 1
    assert [bootstrap_interval(x).sign for x in (-values, values - 2, values[:0])] == [-1, 0, 0]
    assert v.scaled(1000) == Interval(2000.0, 1000 * v.low, 1000 * v.high, 3)


def test_the_mean_against_scipy():
    values = [1.0, 2.5, 0.5, 4.0, 3.0]
    low, high = stats.t.interval(0.95, 4, loc=2.2, scale=stats.sem(values))
    v = mean_interval(values)
    assert (v.value, v.low, v.high, v.count) == pytest.approx((2.2, low, high, 5))


def test_the_ends_of_the_ratio_are_where_the_difference_just_differs_from_0():
    a, b = torch.tensor([1.0, 1.4, 0.9, 1.6, 1.1]), torch.tensor([3.0, 3.6, 2.9, 3.8, 3.3])
    v = ratio_interval(a, b)
    assert v.value == pytest.approx(6.0 / 16.6) and v.low < v.value < v.high
    for end in (v.low, v.high):
        assert stats.ttest_1samp((a - end * b).double().numpy(), 0).pvalue == pytest.approx(0.05, abs=1e-5)


def test_the_ratio_covers_as_often_as_it_says():
    g = torch.Generator().manual_seed(0)
    common = torch.randn(2000, 5, generator=g)
    a, b = 1 + 0.3 * common + 0.1 * torch.randn(2000, 5, generator=g), 2 + 0.4 * common
    held = sum(v.low <= 0.5 <= v.high for v in map(ratio_interval, a, b)) / 2000
    assert held == pytest.approx(0.95, abs=0.015)


def test_a_ratio_over_what_may_be_0_has_no_ends():
    v = ratio_interval([1.0, 1.1, 0.9], [-1.0, 1.2, 0.1])
    assert (v.low, v.high) == (-math.inf, math.inf) and v.sign == 0


@pytest.mark.parametrize("call", [
    lambda: mean_interval([1.0]), lambda: ratio_interval([1.0, 2.0], [1.0]), lambda: ratio_interval([1.0], [1.0]),
    lambda: ratio_interval([1.0, 2.0], [1.0, 2.0, 3.0]),
])  # fmt: skip
def test_too_few_are_refused(call):
    with pytest.raises(ValueError):
        call()
