"""Closed forms against quadrature that knows nothing of them."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from flow_core.densities import mixtures
from flow_core.densities.mixtures import GaussianMixture, GridDensity, _uniform_posterior
from flow_core.paths import ICFM, IDFF, SBCFM
from foundation.mistakes import Mistake
from tests.refusals import refuses

LINE = GaussianMixture([[-2.0], [1.5]], [0.3, 0.5], [0.4, 0.6])
TIMES = [0.0, 1e-4, 0.02, 0.3, 0.8, 0.99]


def normal(x, m, s):
    return math.exp(-0.5 * ((x - m) / s) ** 2) / (s * math.sqrt(2 * math.pi))


@pytest.mark.parametrize("t", TIMES)
@pytest.mark.parametrize("x", [-3.0, 0.1, 2.5])
def test_a_mixture_on_the_line(t, x):
    v0 = float(IDFF(0.4).noise_variance(torch.tensor(t, dtype=torch.float64)))

    def prior(y):
        return 0.4 * normal(y, -2, 0.3) + 0.6 * normal(y, 1.5, 0.5)

    marks = np.linspace(-6, 6, 49)
    parts = [quad(lambda y, k=k: y**k * prior(y) * normal(x, t * y, math.sqrt(v0)), -6, 6, points=marks, limit=400,
                  epsabs=1e-14, epsrel=1e-12)[0] for k in (0, 1)]  # fmt: skip
    at = torch.tensor([[x]], dtype=torch.float64)
    assert float(LINE.noisy_log_prob(at, t, v0)) == pytest.approx(math.log(parts[0]), abs=1e-8)
    assert float(LINE.posterior_mean(at, t, v0)) == pytest.approx(parts[1] / parts[0], abs=1e-8)
    assert float(LINE.log_prob(at)) == pytest.approx(math.log(prior(x)), abs=1e-12)


def moments(x, t, root, a, b):
    """int N(x; t y, root^2) dy / (b - a) and E[y], by quadrature cut where the integrand lives, from its peak."""
    mode = min(max(x / t, a), b) if t else a
    width = root / t if t else 1.0
    cuts = sorted({a, b, *(min(max(mode + s * width, a), b) for s in (-8, -2, -0.5, 0, 0.5, 2, 8))})
    scale = normal(x, t * mode, root)

    def integral(n):
        f = lambda y: (y - mode) ** n * normal(x, t * y, root) / scale  # noqa: E731
        return sum(quad(f, low, high, epsrel=1e-12)[0] for low, high in itertools.pairwise(cuts))

    return integral(0) * scale / (b - a), mode + integral(1) / integral(0)


@pytest.mark.parametrize("v0", [1e-5, 1e-2, 0.5, 1.0])
@pytest.mark.parametrize("t", [0.0, 1e-4, 0.02, 0.3, 0.8, 1.0])
def test_a_uniform_interval(t, v0):
    edges = torch.tensor([-1.5, -1.0, 0.25, 3.0], dtype=torch.float64)
    root = math.sqrt(v0)
    for k in range(3):
        a, b = float(edges[k]), float(edges[k + 1])
        for x in (t * a, t * (a + b) / 2 + 0.3 * root, t * b + 2 * root, t * a - 5 * root):
            at = [torch.tensor([[v]], dtype=torch.float64) for v in (x, t, v0)]
            evidence, mean = _uniform_posterior(*at, edges)
            want = moments(x, t, root, a, b)
            assert float(evidence[0, k]) == pytest.approx(math.log(want[0]), abs=1e-7)
            assert float(mean[0, k]) == pytest.approx(want[1], abs=1e-7)


@pytest.mark.parametrize("t", [0.0, 0.2, 0.7])
def test_a_drawing_in_the_plane(t):
    cells = torch.tensor([[0.0, 1, 2], [3, 0, 0.5]], dtype=torch.float64)
    density = GridDensity(cells, 3.0)
    v0 = float(IDFF(0.4).noise_variance(torch.tensor(t, dtype=torch.float64)))
    # midpoints of a fine grid, weights by looking the cell up: row 0 is the top
    n = 600
    mid = (np.arange(n) + 0.5) / n * 6 - 3
    xs, ys = np.meshgrid(mid, mid)
    column, row = ((xs + 3) / 2).astype(int), 1 - ((ys + 3) / 3).astype(int)
    prior = cells.numpy()[row, column] / 6.5 / 6  # weight by share, spread over 2 x 3
    points = torch.tensor([[0.5, -1.0], [-2, 2], [4, 0]], dtype=torch.float64)
    np.testing.assert_allclose(density.log_prob(torch.tensor(np.stack([xs, ys], 2).reshape(-1, 2))).exp().numpy(),
                               prior.ravel(), rtol=1e-12, atol=1e-14)  # fmt: skip
    for p in points:
        kernel = prior * np.exp(-((p[0].item() - t * xs) ** 2 + (p[1].item() - t * ys) ** 2) / (2 * v0))
        mean = [(kernel * v).sum() / kernel.sum() for v in (xs, ys)]
        got = density.posterior_mean(p[None], t, v0)[0]
        np.testing.assert_allclose(got.numpy(), mean, atol=2e-4)
        evidence = kernel.sum() * (6 / n) ** 2 / (2 * math.pi * v0)
        assert float(density.noisy_log_prob(p[None], t, v0)) == pytest.approx(math.log(evidence), abs=1e-3)


def test_the_score_of_a_drawing_is_that_of_its_density():
    density, path = GridDensity(torch.tensor([[0.0, 1, 2], [3, 0, 0.5]]), 3.0), IDFF(0.3)
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    for t in (0.01, 0.4, 0.9):
        v0 = path.noise_variance(torch.tensor(t, dtype=torch.float64))
        (score,) = torch.autograd.grad(density.noisy_log_prob(x, t, v0).sum(), x)
        mean = density.oracle(path)(x.detach(), torch.tensor(t, dtype=torch.float64)).x1
        torch.testing.assert_close((t * mean - x.detach()) / v0, score, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "density", [LINE, GridDensity(torch.tensor([[0.0, 1, 2], [3, 0, 0.5]]), 3.0)], ids=["mixture", "drawing"]
)
def test_samples_follow_the_density_and_the_seed(density):
    draw = lambda seed: density.sample(20_000, torch.Generator().manual_seed(seed))  # noqa: E731
    x = draw(0)
    assert torch.equal(x, draw(0)) and not torch.equal(x, draw(1)) and x.dtype == torch.float64
    centred = x - x.mean(0)
    assert float(centred.square().mean().sqrt()) == pytest.approx(density.std(), rel=0.02)
    if density is LINE:
        assert float((x < -0.5).double().mean()) == pytest.approx(0.4, abs=0.015)
    else:
        share = [float(((x[:, 0] < -1) & (x[:, 1] < 0)).double().mean()), float((x[:, 1] > 0).double().mean())]
        assert share == pytest.approx([3 / 6.5, 3 / 6.5], abs=0.015)


def test_the_oracle_keeps_the_dtype_and_takes_one_time_or_many():
    oracle = LINE.oracle(ICFM(0.1))
    x = torch.randn(5, 1)
    one, many = oracle(x, torch.tensor(0.3)).x1, oracle(x, torch.full((5,), 0.3)).x1
    assert one.dtype == torch.float32
    torch.testing.assert_close(one, many)
    with refuses("coupling", "exact", Mistake):
        LINE.oracle(SBCFM(0.1))


def test_a_large_batch_is_taken_in_blocks(monkeypatch):
    density, x = GridDensity(torch.rand(5, 7), 2.0), torch.randn(40, 2, dtype=torch.float64)
    t = torch.linspace(0, 0.9, 40, dtype=torch.float64)
    whole = density.posterior_mean(x, t, 1 - t), density.noisy_log_prob(x, t, 1 - t)
    monkeypatch.setattr(mixtures, "TABLE_NUMBERS", 35 * 11)
    parts = density.posterior_mean(x, t, 1 - t), density.noisy_log_prob(x, t, 1 - t)
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)
    one = density.posterior_mean(x, 0.3, 0.5)
    torch.testing.assert_close(one, density.posterior_mean(x, *(torch.full((40,), v) for v in (0.3, 0.5))))


@pytest.mark.parametrize(
    "make,field",
    [
        (lambda: GridDensity(torch.zeros(3, 3)), "cells"),
        (lambda: GridDensity(-torch.eye(3)), "cells"),
        (lambda: GridDensity(torch.full((2, 2), math.nan)), "A drawing"),
        (lambda: GridDensity(torch.ones(129, 2)), "shape"),
        (lambda: GridDensity(torch.ones(4)), "shape"),
        (lambda: GridDensity(torch.ones(2, 2), 0.0), "extent"),
        (lambda: GaussianMixture(torch.zeros(2, 2), 0.0), "stds"),
        (lambda: GaussianMixture(torch.zeros(2, 2), 1.0, torch.zeros(2)), "weights"),
        (lambda: GaussianMixture(torch.zeros(0, 2), 1.0), "means"),
    ],
)
def test_refusals(make, field):
    with refuses(field, error=Mistake):
        make()
