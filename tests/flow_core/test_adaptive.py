"""The adaptive reference against a flow whose map is known, and its calls against a counter of the test's own."""

import importlib

import pytest
import torch

from flow_core import adaptive
from flow_core.adaptive import dopri5
from flow_core.densities.mixtures import GaussianMixture
from flow_core.densities.toys import toy
from flow_core.fields import Exact, Motion
from flow_core.paths import ICFM, IDFF
from flow_core.samplers import Diverged, rk4
from foundation import noise
from foundation.mistakes import Mistake
from tests.refusals import refuses

INSTALLED = importlib.util.find_spec("torchdiffeq") is not None
SOLVERS = [
    "scipy",
    pytest.param("torchdiffeq", marks=pytest.mark.skipif(not INSTALLED, reason="torchdiffeq is not installed")),
]


def points():
    return torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_known_flow_and_counted_calls(solver):
    """Gaussian data: the flow multiplies by the spread of the data."""
    oracle, calls = GaussianMixture(torch.zeros(1, 2), 0.6).oracle(ICFM()), []

    def network(x, t):
        calls.append(float(t))
        return oracle(x, t)

    result = dopri5(network, points(), Exact(ICFM()), rtol=1e-9, atol=1e-9, solver=solver)
    # the Euler step at the end errs by h^2 / 2 times the acceleration, about 1e-8
    torch.testing.assert_close(result.x, 0.6 * points(), rtol=1e-6, atol=1e-7)
    assert result.nfe == len(calls) and max(calls) < 1 and result.grid.tolist() == [0.0, adaptive.ADAPTIVE_END, 1.0]
    loose = dopri5(oracle, points(), Exact(ICFM()), rtol=1e-2, atol=1e-2, solver=solver)
    assert loose.nfe < result.nfe and loose.derivatives == 0


@pytest.mark.parametrize("solver", SOLVERS)
def test_it_agrees_with_many_fixed_steps(solver):
    path, x = IDFF(0.5), noise(range(12), (2,)).double()
    oracle = toy("moons").density.oracle(path)
    want = rk4(oracle, x, Exact(path), 1203, spacing=lambda n: 1 - (1 - torch.arange(n + 1).double() / n) ** 4).x
    got = dopri5(oracle, x, Exact(path), rtol=1e-8, atol=1e-8, solver=solver)
    assert float((got.x - want).abs().max()) < 1e-3 and got.nfe < 1203
    single = dopri5(oracle, x.float(), Exact(path), rtol=1e-4, atol=1e-4, solver=solver)
    assert single.x.dtype == torch.float32 and float((single.x - want).abs().max()) < 0.02


def test_what_cannot_be_done_is_a_sentence(monkeypatch):
    x, drift = points(), Exact(ICFM())
    oracle = GaussianMixture(torch.zeros(1, 2), 0.6).oracle(ICFM())
    for wrong in ({"rtol": 0.0}, {"atol": 1.0}, {"end": 1.0}, {"solver": "lsoda"}):
        with refuses(next(iter(wrong)), error=Mistake):
            dopri5(oracle, x, drift, **wrong)
    with pytest.raises(Diverged):
        dopri5(oracle, x, lambda f, y, t: Motion(y**2 * 50 + 1, y), solver="scipy")

    def missing(name):
        raise ImportError

    monkeypatch.setattr(adaptive.importlib, "import_module", missing)
    with refuses("torchdiffeq", error=Mistake):
        dopri5(oracle, x, drift, solver="torchdiffeq")
    assert dopri5(oracle, x, drift).nfe > 6, "auto takes what is there"
    assert adaptive.adaptive_solver() == "scipy"
    monkeypatch.setattr(adaptive.importlib, "import_module", lambda name: object())
    assert adaptive.adaptive_solver() == "torchdiffeq"
