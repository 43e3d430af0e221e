"""Muon's orthogonalisation against the polynomial of the singular values, worked out by a decomposition."""

import pytest
import torch

from foundation.training.optimizers import NS_COEFFICIENTS, fast_bf16, orthogonalise


def by_singular_values(g):
    u, s, v = torch.linalg.svd(g.double(), full_matrices=False)
    s = s / s.norm(dim=-1, keepdim=True)
    a, b, c = NS_COEFFICIENTS
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    return (u * s[..., None, :]) @ v


@pytest.mark.parametrize("shape", [(24, 24), (24, 40), (24, 216), (216, 24), (3, 20, 90)])
def test_fp32_is_the_polynomial_of_the_singular_values(shape):
    g = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    got = orthogonalise(g, bf16=False)
    assert got.dtype == torch.float32 and got.shape == g.shape
    torch.testing.assert_close(got.double(), by_singular_values(g), atol=2e-5, rtol=0)


@pytest.mark.parametrize("shape", [(24, 40), (24, 216)])
def test_fp32_holds_for_nearly_singular_matrices(shape):
    generator = torch.Generator().manual_seed(1)
    u = torch.linalg.qr(torch.randn(24, 24, generator=generator))[0]
    v = torch.linalg.qr(torch.randn(shape[1], 24, generator=generator))[0]
    g = (u * torch.logspace(0, -8, 24)) @ v.mT
    # below 1e-5 of the largest a singular value is rounding: it may end anywhere, but no larger than the others
    assert torch.linalg.svdvals(orthogonalise(g, bf16=False)).max() < 1.25
    torch.testing.assert_close(orthogonalise(g, bf16=False).double(), by_singular_values(g), atol=1e-3, rtol=0)


def test_bf16_brings_singular_values_near_one():
    g = torch.randn(2, 64, 576, generator=torch.Generator().manual_seed(2))
    values = torch.linalg.svdvals(orthogonalise(g, bf16=True))
    assert values.min() > 0.6 and values.max() < 1.25


def test_zero_stays_zero_and_bf16_is_asked_of_the_hardware(monkeypatch):
    assert orthogonalise(torch.zeros(8, 40)).abs().max() == 0
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert fast_bf16(torch.device("cpu"))
