"""Bootstrap: resamples recomputed row by row, coverage of a dependent series."""

import math

import pytest
import torch

from foundation.bootstrap import bootstrap, resampled_means


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
    with pytest.raises(ValueError, match="at least one row"):
        resampled_means(torch.zeros(0))
    with pytest.raises(ValueError, match="at least 1"):
        resampled_means(torch.zeros(3), block=0)
