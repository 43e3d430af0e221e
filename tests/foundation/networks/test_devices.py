"""Devices without float64, pretended: a tensor says that it lives on one, and doubles there are refused."""

from __future__ import annotations

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from foundation.networks.devices import default_device, float64_device, to_float64
from koopman_core.edm import heun_sample, karras_sigmas
from koopman_core.operator import KoopmanOperator, evolve_pairs, sigma_of_tau, tau_of_sigma

MPS = torch.device("mps")


class OnMPS(torch.Tensor):
    """Numbers in the memory of the CPU that say they are elsewhere."""


class PretendMPS(TorchFunctionMode):
    """Refuses what Apple's GPUs refuse, and keeps results where their arguments are."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        inputs = []
        tree_map(lambda a: inputs.append(a), (args, kwargs))
        there = any(isinstance(a, OnMPS) for a in inputs)
        if func == torch.Tensor.device.__get__:
            return MPS if there else func(*args)
        to = [a for a in inputs if isinstance(a, torch.device)]
        plain = [a for a in inputs if isinstance(a, torch.Tensor) and not isinstance(a, OnMPS) and a.ndim]
        if there and plain and not to:
            raise RuntimeError(f"{func} mixes devices")
        if to:
            there = to[-1] == MPS
        if func == torch.Tensor.cpu:
            there = False

        def here(a):
            if isinstance(a, torch.device):
                return torch.device("cpu")
            return a.as_subclass(torch.Tensor) if isinstance(a, OnMPS) else a

        with torch._C.DisableTorchFunction():
            out = func(*tree_map(here, args), **tree_map(here, kwargs))

        def placed(t):
            if not isinstance(t, torch.Tensor) or not there:
                return t
            if t.dtype == torch.float64:
                raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support it.")
            return t.as_subclass(OnMPS)

        return tree_map(placed, out)


@pytest.fixture
def mps():
    with PretendMPS():
        yield lambda t: t.to(MPS)


def plain(t: torch.Tensor) -> torch.Tensor:
    return t.as_subclass(torch.Tensor)


def test_the_pretence_refuses_doubles(mps):
    x = mps(torch.ones(2))
    assert x.device == MPS and (x + 1).device == MPS and x.cpu().device.type == "cpu"
    for wrong in (x.double, lambda: x.to(torch.float64), lambda: torch.zeros(2, dtype=torch.float64, device=MPS)):
        with pytest.raises(TypeError, match="float64"):
            wrong()
    with pytest.raises(RuntimeError, match="mixes"):
        x + torch.ones(2)


def test_float64_moves_to_the_cpu_only_where_it_must(mps):
    wide = to_float64(mps(torch.tensor([0.1, 2.0])))
    assert wide.device.type == "cpu" and wide.dtype == torch.float64
    assert wide.tolist() == torch.tensor([0.1, 2.0]).double().tolist()
    assert to_float64(0.1).item() == 0.1
    assert float64_device("mps").type == "cpu" and float64_device("cuda:1") == torch.device("cuda", 1)


def test_times_and_levels_from_such_a_device(mps):
    sigma = torch.tensor([80.0, 1.0, 0.002])
    tau = tau_of_sigma(sigma)
    assert torch.equal(tau_of_sigma(mps(sigma)), tau)
    assert torch.equal(sigma_of_tau(mps(tau.float())), sigma_of_tau(tau.float()))


def test_the_operator_works_there(mps):
    generator = torch.Generator().manual_seed(0)
    z, alpha, beta = (torch.randn(s, generator=generator) for s in ((2, 4, 3, 3), (2, 3, 3), (2, 3, 3)))
    delta = tau_of_sigma(mps(torch.tensor([80.0, 1.0]))) - 1
    there = evolve_pairs(mps(z), mps(alpha), mps(beta), delta)
    assert there.device == MPS and torch.equal(plain(there), evolve_pairs(z, alpha, beta, delta))
    assert KoopmanOperator((4, 3, 3)).alpha.dtype == torch.float32


def test_the_sampler_works_there(mps):
    sigmas = karras_sigmas(5)
    x = 80 * torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))

    def denoise(x, sigma):
        assert sigma.device == x.device and sigma.dtype == torch.float32
        return x / (1 + sigma**2)

    expected = heun_sample(denoise, x, sigmas)
    for levels in (sigmas, mps(sigmas.float())):  # levels in float32 are other levels by their rounding
        there = heun_sample(denoise, mps(x), levels)
        assert there.x.device == MPS and there.nfe == expected.nfe == 9
        torch.testing.assert_close(plain(there.x), expected.x, rtol=1e-5, atol=1e-6)


def test_runs_use_cuda_or_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    for cuda in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        assert default_device().type == ("cuda" if cuda else "cpu")
