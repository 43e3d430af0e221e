"""FID against the printed formula by scipy's matrix root, KID against a double loop."""

import numpy as np
import pytest
import scipy.linalg
import torch

from foundation.metrics import frechet
from foundation.metrics.frechet import Moments, fid, kid, sample_name
from foundation.mistakes import Mistake
from tests.refusals import refuses


def features(seed, n, d=6, shift=0.0):
    rng = np.random.default_rng(seed)
    return torch.tensor(shift + rng.normal(size=(n, d)) @ rng.normal(size=(d, d)))


def by_formula(x, y):
    x, y = x.numpy(), y.numpy()
    c, d = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.real(scipy.linalg.sqrtm(c @ d))
    return np.square(x.mean(0) - y.mean(0)).sum() + np.trace(c + d - 2 * root)


def by_loops(x, y):
    x, y, d = x.numpy(), y.numpy(), x.shape[1]

    def k(a, b):
        return (a @ b / d + 1) ** 3

    xx = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    yy = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    return xx + yy - 2 * np.mean([k(a, b) for a in x for b in y])


def test_moments_of_a_stream_are_those_of_the_whole():
    x = features(0, 50) + 1000  # far from 0: plain sums of squares would cancel
    moments = Moments.empty(6)
    for part in (x[:7], x[7:7], x[7:8], x[8:]):
        moments.add(part)
    assert moments.count == 50
    np.testing.assert_allclose(moments.mean, x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(moments.covariance, np.cov(x.numpy(), rowvar=False), rtol=1e-10)


def test_fid_is_the_formula():
    x, y = features(1, 40), features(2, 30, shift=0.5)
    a, b = Moments.of(x), Moments.of(y)
    assert fid(a, b) == pytest.approx(by_formula(x, y), rel=1e-9)
    assert fid(b, a) == pytest.approx(fid(a, b), rel=1e-12)
    assert fid(a, Moments.of(x + 3)) == pytest.approx(9 * 6, rel=1e-9)  # moved alone
    assert fid(a, Moments.of(3 * x - 2 * x.mean(0))) == pytest.approx(4 * float(a.covariance.trace()), rel=1e-9)


@pytest.mark.parametrize("n", [500, 20])  # more and fewer pictures than dimensions
def test_fid_of_a_set_against_itself_is_0(n):
    x = features(3, n, d=100)
    m = Moments.of(x)
    assert fid(m, Moments.of(x.flip(0))) <= 1e-9 * float(m.covariance.trace())


def test_fid_of_few_pictures_in_many_dimensions():
    """Covariances without common directions: the root of their product is 0, where rounding likes to add to it."""
    x, y = torch.zeros(12, 200, dtype=torch.float64), torch.zeros(12, 200, dtype=torch.float64)
    basis = torch.tensor(np.linalg.qr(np.random.default_rng(0).normal(size=(200, 200)))[0])
    x[:, :5], y[:, 5:9] = features(4, 12, 5), features(5, 12, 4)
    a, b = Moments.of(x @ basis), Moments.of(y @ basis)
    free = float((x.mean(0) - y.mean(0)).square().sum() + x.var(0).sum() + y.var(0).sum())
    assert fid(a, b) == pytest.approx(free, rel=1e-9)
    assert fid(Moments.of(torch.ones(3, 4)), Moments.of(torch.zeros(3, 4))) == pytest.approx(4)  # no spread at all


@pytest.mark.parametrize("block", [1024, 5])
def test_kid_is_the_mean_over_all_pairs(monkeypatch, block):
    monkeypatch.setattr(frechet, "KERNEL_ROWS", block)
    x, y = features(6, 17), features(7, 12, shift=0.3)
    found = kid(x, y)
    assert found.value == pytest.approx(by_loops(x, y), rel=1e-10) and found.count == 12
    assert found.low < found.value < found.high
    assert kid(y, x).value == pytest.approx(found.value, rel=1e-10)


@pytest.mark.parametrize("shift,most", [(0.6, 1.25), (0.0, 1.9)])
def test_the_interval_of_kid_is_as_wide_as_repetitions_spread(shift, most):
    """Over 60 repetitions; sets of one law may have a wider interval than they need, never a narrower one."""
    rng = np.random.default_rng(8)
    draws = [(rng.normal(size=(60, 4)), rng.normal(size=(60, 4)) + shift) for _ in range(60)]
    found = [kid(torch.tensor(x), torch.tensor(y), draws=200) for x, y in draws]
    spread = np.std([f.value for f in found])
    claimed = np.mean([f.high - f.low for f in found]) / (2 * 1.96)
    assert 0.8 < claimed / spread < most
    if shift == 0:  # unbiased: below 0 about as often as above
        assert abs(np.mean([f.value for f in found])) < 3 * spread / len(found) ** 0.5


def test_names_carry_the_count():
    assert [sample_name("FID", n) for n in (1000, 10_000, 50_000, 2048)] == ["FID-1k", "FID-10k", "FID-50k", "FID-2048"]


def test_mistakes():
    one, two = torch.zeros(1, 3), torch.zeros(2, 3)
    for a, b in ((one, two), (two, one), (two, torch.zeros(2, 4))):
        with refuses("features", error=Mistake):
            fid(Moments.of(a), Moments.of(b))
        with refuses("features", error=Mistake):
            kid(a, b)
    with refuses("pictures", error=Mistake):
        fid(Moments.of(two), Moments.of(torch.tensor([[0.0, 1, torch.nan]] * 2)))
