"""Distances against double loops and known values."""

import itertools
import math

import pytest
import torch

from flow_core.densities import distances
from flow_core.densities.mixtures import GaussianMixture
from flow_core.densities.toys import toy
from foundation.mistakes import Mistake
from tests.refusals import refuses


def clouds(n=7, m=9):
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, 2, generator=g), torch.randn(m, 2, generator=g) + 0.5


@pytest.mark.parametrize("bandwidths", [(1.0,), (0.5,), (0.25, 0.5, 1.0, 2.0, 4.0)])
def test_mmd_by_hand(bandwidths):
    x, y = clouds()
    k = lambda a, b: sum(math.exp(-float((a - b).square().sum()) / (2 * s * s)) for s in bandwidths) / len(bandwidths)  # noqa: E731
    kxy = sum(k(a, b) for a in x for b in y) / 63
    pairs = lambda z: sum(k(a, b) for a, b in itertools.permutations(z, 2))  # noqa: E731
    assert distances.MMD(y, bandwidths).unbiased(x) == pytest.approx(pairs(x) / 42 + pairs(y) / 72 - 2 * kxy, abs=1e-7)
    biased = (pairs(x) + 7) / 49 + (pairs(y) + 9) / 81 - 2 * kxy
    assert distances.MMD(y, bandwidths).biased(x) == pytest.approx(biased, abs=1e-7)
    both = distances.MMD(y, bandwidths).both(x)
    assert both == (distances.MMD(y, bandwidths).unbiased(x), distances.MMD(y, bandwidths).biased(x))


def test_mmd_of_equal_laws():
    g = torch.Generator().manual_seed(1)
    values = []
    for _ in range(60):
        x, y = torch.randn(2, 200, 2, generator=g)
        reference = distances.MMD(y)
        values.append((reference.unbiased(x), reference.biased(x)))
    mean = sum(v[0] for v in values) / 60
    spread = (sum((v[0] - mean) ** 2 for v in values) / 59) ** 0.5
    assert abs(mean) < 3 * spread / 60**0.5 and min(v[0] for v in values) < 0
    assert min(v[1] for v in values) > 0
    x = torch.randn(50, 2, generator=g)
    assert distances.MMD(x).biased(x) == pytest.approx(0, abs=1e-12)


def test_mmd_in_blocks_is_the_same():
    x, y = torch.randn(1500, 2), torch.randn(1100, 2)
    k = lambda a, b: (-0.5 * torch.cdist(a.double(), b.double()).square()).exp().mean()  # noqa: E731
    assert distances.MMD(y).biased(x) == pytest.approx(float(k(x, x) + k(y, y) - 2 * k(x, y)), abs=1e-9)


def test_wasserstein():
    x, y = clouds(5, 5)
    best = min(
        sum(float((x[i] - y[j]).square().sum()) for i, j in enumerate(p)) for p in itertools.permutations(range(5))
    )
    assert distances.wasserstein2(x, y) == pytest.approx(math.sqrt(best / 5))
    assert distances.wasserstein2(x, x.flip(0) + torch.tensor([3.0, 4.0])) == pytest.approx(5.0)


@pytest.mark.parametrize(
    "call,field",
    [
        (lambda: distances.MMD(torch.zeros(5, 2)).biased(torch.zeros(1, 2)), "points"),
        (lambda: distances.MMD(torch.zeros(5, 2)).biased(torch.full((3, 2), math.nan)), "points"),
        (lambda: distances.MMD(torch.zeros(3, 2), ()), "bandwidths"),
        (lambda: distances.MMD(torch.zeros(3, 2), (0.0,)), "bandwidths"),
        (lambda: distances.wasserstein2(torch.zeros(3, 2), torch.zeros(4, 2)), "size"),
        (lambda: distances.wasserstein2(torch.zeros(5000, 1), torch.zeros(5000, 1)), "size"),
    ],
)
def test_refusals(call, field):
    with refuses(field, error=Mistake):
        call()


@pytest.mark.parametrize("bandwidths", [(1.0,), (0.4, 1.3)])
def test_sums_over_frequencies_are_sums_over_pairs(monkeypatch, bandwidths):
    g = torch.Generator().manual_seed(2)
    x, y = 3 * torch.randn(130, 2, generator=g) + 1, 5 * torch.randn(90, 2, generator=g) - torch.tensor([9.0, 0.0])
    pairs = [distances.MMD(b, bandwidths).unbiased(a) for a, b in ((x, y), (x, x), (x, 40 * y))]
    monkeypatch.setattr(distances, "MANY_PAIRS", 1)
    far = []
    real = distances._spectral_sum
    monkeypatch.setattr(distances, "_spectral_sum", lambda *a: far.append(a[-1]) or real(*a))
    frequencies = [distances.MMD(b, bandwidths).unbiased(a) for a, b in ((x, y), (x, x), (x, 40 * y))]
    assert frequencies == pytest.approx(pairs, abs=1e-12)
    assert far and max(far) <= distances.MAX_REACH * min(bandwidths), "points far out are summed by pairs"


def test_blur_by_hand_and_of_data():
    world = GaussianMixture([[0.0, 0.0], [10.0, 0.0]], [1.0, 0.5])
    got = distances.blur(world, torch.tensor([[1.0, 1.0], [10.0, 2.0], [10.0, 0.5]]))
    assert got.spread == pytest.approx(math.sqrt((2 + 4 + 0.25) / 3 / 2)) and got.beyond == pytest.approx(1 / 3)
    eight = toy("8gaussians").density
    data = eight.sample(20_000, torch.Generator().manual_seed(0))
    true = distances.blur(eight, data)
    assert true.spread == pytest.approx(0.1**0.25, rel=0.01) and true.beyond == pytest.approx(math.exp(-4.5), abs=0.003)
    noisy = data + 0.4 * torch.randn(data.shape, generator=torch.Generator().manual_seed(1))
    wide = distances.blur(eight, noisy)
    assert wide.spread == pytest.approx(math.sqrt(0.1**0.5 + 0.16), rel=0.02) and wide.beyond > 3 * true.beyond
    # the kernel of width 1 sees little of it: less than a hundredth of its own scale
    assert abs(distances.MMD(data[:4000]).unbiased(noisy[4000:8000])) < 0.01
    board = toy("checkerboard").density
    cells = board.sample(500, torch.Generator().manual_seed(0))
    assert distances.blur(board, cells).beyond == 0 and math.isnan(distances.blur(board, cells).spread)
    assert distances.blur(board, -cells + torch.tensor([2.0, 0.0])).beyond > 0.9
