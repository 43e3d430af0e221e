"""Student intervals against scipy's, and against what they promise."""

import math

import pytest
import torch
from scipy import stats

from foundation.student import mean_interval, ratio_interval


def test_the_mean_against_scipy():
    values = [1.0, 2.5, 0.5, 4.0, 3.0]
    low, high = stats.t.interval(0.95, 4, loc=2.2, scale=stats.sem(values))
    assert mean_interval(values) == pytest.approx((2.2, low, high))


def test_the_ends_of_the_ratio_are_where_the_difference_just_differs_from_0():
    a, b = torch.tensor([1.0, 1.4, 0.9, 1.6, 1.1]), torch.tensor([3.0, 3.6, 2.9, 3.8, 3.3])
    ratio, low, high = ratio_interval(a, b)
    assert ratio == pytest.approx(6.0 / 16.6) and low < ratio < high
    for end in (low, high):
        assert stats.ttest_1samp((a - end * b).double().numpy(), 0).pvalue == pytest.approx(0.05, abs=1e-5)


def test_the_ratio_covers_as_often_as_it_says():
    g = torch.Generator().manual_seed(0)
    common = torch.randn(2000, 5, generator=g)
    a, b = 1 + 0.3 * common + 0.1 * torch.randn(2000, 5, generator=g), 2 + 0.4 * common
    held = sum(low <= 0.5 <= high for _, low, high in map(ratio_interval, a, b)) / 2000
    assert held == pytest.approx(0.95, abs=0.015)


def test_a_ratio_over_what_may_be_0_has_no_ends():
    assert ratio_interval([1.0, 1.1, 0.9], [-1.0, 1.2, 0.1])[1:] == (-math.inf, math.inf)


@pytest.mark.parametrize("call", [
    lambda: mean_interval([1.0]), lambda: ratio_interval([1.0, 2.0], [1.0]), lambda: ratio_interval([1.0], [1.0]),
    lambda: ratio_interval([1.0, 2.0], [1.0, 2.0, 3.0]),
])  # fmt: skip
def test_too_few_are_refused(call):
    with pytest.raises(ValueError, match="takes"):
        call()
