"""Paths against an independent recomputation with numpy, for every sigma and shape; couplings; refusals."""

import math

import numpy as np
import pytest
import torch

from flow_core.paths import IDFF, OTCFM, PATHS, SBCFM, make_path, over
from foundation.mistakes import Mistake
from tests.refusals import refuses

STRAIGHT = ("icfm", "otcfm", "meanflow")
LINES = [name for name in PATHS if not PATHS[name].scheduled]  # the others are in test_schedules.py
SHAPES = [(4, 2), (3, 1, 4, 5), (2, 7), (3, 1)]
CASES = [
    (name, sigma)
    for name in LINES
    for sigma in (0.0, 1e-3, 0.2, 1.0, 3)
    if not (name in ("sbcfm", "idff") and sigma == 0) and not (name == "meanflow" and sigma > 0)
]


def noise_of(name, sigma):
    """A mean velocity is that of a flow without noise."""
    return 0.0 if name == "meanflow" else sigma


def ends(shape, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for _ in range(3)] + [rng.uniform(0.01, 0.99, size=shape[0])]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name,sigma", CASES)
def test_every_path_is_its_formula(name, sigma, shape):
    x0, x1, eps, t = ends(shape)
    path = make_path(name, sigma)
    a, b, e, s = (torch.from_numpy(v) for v in (x0, x1, eps, t))
    got = path.sample(a, b, s, e)
    field = path.field(a, b, got, s)
    for i in range(shape[0]):  # one sample at a time, plain numbers
        tau = float(t[i])
        std = sigma if name in STRAIGHT else sigma * math.sqrt(tau * (1 - tau))
        x = tau * x1[i] + (1 - tau) * x0[i] + std * eps[i]
        np.testing.assert_allclose(got[i].numpy(), x, rtol=1e-13, atol=1e-13)
        # the derivative of mean + std eps in t, by a central difference
        h = 1e-5 * min(tau, 1 - tau)

        def at(u, i=i):
            noise = sigma if name in STRAIGHT else sigma * math.sqrt(u * (1 - u))
            return u * x1[i] + (1 - u) * x0[i] + noise * eps[i]

        np.testing.assert_allclose(field[i].numpy(), (at(tau + h) - at(tau - h)) / (2 * h), rtol=1e-5, atol=1e-6)
        assert float(path.std(s)[i]) == pytest.approx(std, rel=1e-14)
        assert float(path.noise_variance(s)[i]) == pytest.approx((1 - tau) ** 2 + std**2, rel=1e-13)
        # std^2/(1 - t) + (std^2)'/2
        rate = 0.0 if name in STRAIGHT else sigma**2 * (1 - 2 * tau)
        assert float(path.pull(s)[i]) == pytest.approx(std**2 / (1 - tau) + rate / 2, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name,sigma", CASES)
def test_the_law_at_the_start_has_its_spread(name, sigma):
    x0, eps = (torch.randn(4000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    path = make_path(name, sigma)
    x = path.sample(x0, torch.full_like(x0, 7.0), torch.tensor(0.0), eps)
    assert path.start_std == pytest.approx(float(x.std()), rel=0.04)
    assert path.start_std == pytest.approx(math.sqrt(1 + sigma**2) if name in STRAIGHT else 1.0, rel=1e-14)


@pytest.mark.parametrize("name", LINES)
def test_one_time_for_all_is_the_same_time_for_each(name):
    x0, x1, eps, _ = (torch.from_numpy(v) for v in ends((3, 2, 2)))
    path, each = make_path(name, noise_of(name, 0.5)), torch.full((3,), 0.3, dtype=torch.float64)
    torch.testing.assert_close(path.sample(x0, x1, torch.tensor(0.3), eps), path.sample(x0, x1, each, eps))
    assert over(0.3, x0).shape == () and over(each, x0).shape == (3, 1, 1)


@pytest.mark.parametrize("name", ["sbcfm", "idff"])
def test_a_bridge_starts_and_ends_on_its_ends(name):
    x0, x1, eps, _ = (torch.from_numpy(v) for v in ends((3, 2)))
    path = make_path(name, 0.7)
    assert torch.equal(path.sample(x0, x1, torch.tensor(0.0), eps), x0)
    assert torch.equal(path.sample(x0, x1, torch.tensor(1.0), eps), x1)


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("sigma", [-1, math.nan, math.inf, "x", None, True])
def test_bad_sigma_is_refused_with_a_sentence(name, sigma):
    with refuses("sigma", error=Mistake):
        make_path(name, sigma)


def test_a_bridge_without_noise_names_the_other_path():
    for path in (SBCFM, IDFF):
        with refuses("sigma", "I-CFM", Mistake):
            path(0.0)


def test_names_and_couplings_are_checked():
    with refuses("path", "icfm, otcfm, sbcfm, idff", Mistake):
        make_path("ddpm", 0.1)
    with refuses("coupling", "exact", Mistake):
        OTCFM(0.1, "independent")
    with refuses("coupling", "exact or entropic", Mistake):
        SBCFM(0.1, "independent")
    assert [make_path(n, noise_of(n, 0.1)).coupling for n in LINES] == [
        "independent",
        "exact",
        "exact",
        "independent",
        "independent",
    ]


@pytest.mark.parametrize("name", LINES)
def test_a_time_may_be_a_plain_number(name):
    path, x = make_path(name, noise_of(name, 0.2)), torch.zeros(3, 2)
    for t in (0.25, 0.5):
        as_tensor = torch.tensor(t, dtype=torch.float64)
        for f in (path.std, path.pull, path.noise_variance):
            assert float(f(t)) == float(f(as_tensor))
        assert path.sample(x, x, t, x).dtype == torch.float32 and path.field(x, x, x, t).dtype == torch.float32
