"""Picture metrics against plain numpy recomputations, closed forms and Parseval's theorem."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from analysis.metrics.image import contrast, frequency_centroid, mse, psnr, radial_power, ssim
from foundation.data.pictures import to_bytes
from foundation.mistakes import Mistake
from tests.refusals import refuses


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 1


def wave(height: int, width: int, rows: int, columns: int, phase: float = 0.3) -> torch.Tensor:
    """A cosine with `rows` and `columns` whole cycles over the picture, (1, 1, H, W) float64."""
    i, j = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    return torch.cos(2 * math.pi * (rows * i / height + columns * j / width) + phase)[None, None]


def test_contrast_is_the_spread_of_a_pictures_values():
    x = torch.stack([0.1 * pictures(3, 8, 8, seed=5), pictures(3, 8, 8, seed=6), torch.full((3, 8, 8), 0.3)])
    assert contrast(x).tolist() == pytest.approx([np.std(p.double().numpy()) for p in x], abs=1e-12)
    assert contrast(2 * x - 1).tolist() == pytest.approx((2 * contrast(x)).tolist(), abs=1e-6)


def test_mse_and_psnr():
    x, y = pictures(4, 3, 9, 11), pictures(4, 3, 9, 11, seed=1)
    expected = np.array([np.mean((a.astype(np.float64) - b) ** 2) for a, b in zip(x.numpy(), y.numpy(), strict=True)])
    np.testing.assert_allclose(mse(x, y), expected, rtol=1e-6)
    np.testing.assert_allclose(psnr(x, y), 20 * np.log10(2 / np.sqrt(expected)), rtol=1e-6)
    assert psnr(x, x).isinf().all() and mse(x, y).dtype == psnr(x, y).dtype == torch.float64
    black = -torch.ones(2, 3, 8, 8)
    assert torch.equal(mse(black, -black), torch.full((2,), 4.0).double())
    assert torch.equal(psnr(black, -black), torch.zeros(2).double())


def test_ssim_against_the_definition():
    x = pictures(2, 3, 12, 10)
    y = (0.7 * x + 0.3 * pictures(2, 3, 12, 10, seed=1)).clamp(-1, 1)
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    expected = []
    for a, b in zip(x.double().numpy(), y.double().numpy(), strict=True):
        values = []
        for c, i, j in np.ndindex(3, 12 - 6, 10 - 6):  # windows that lie inside the picture
            p, q = a[c, i : i + 7, j : j + 7].ravel(), b[c, i : i + 7, j : j + 7].ravel()
            (v_p, v_pq), (_, v_q) = np.cov(p, q)
            m_p, m_q = p.mean(), q.mean()
            values.append((2 * m_p * m_q + c1) * (2 * v_pq + c2) / ((m_p**2 + m_q**2 + c1) * (v_p + v_q + c2)))
        expected.append(np.mean(values))
    np.testing.assert_allclose(ssim(x, y), expected, rtol=1e-9)
    np.testing.assert_allclose(ssim(x, x), 1.0)
    assert ssim(x.bfloat16(), y.bfloat16()).dtype == torch.float64
    with refuses("pixels", "7 x 7", Mistake):
        ssim(x[..., :6, :], y[..., :6, :])


@pytest.mark.parametrize("metric", [mse, psnr, ssim])
def test_pairs_are_checked(metric):
    x = pictures(2, 3, 8, 8)
    with refuses("pair", error=Mistake):
        metric(x, x[:1])
    with refuses("shape", error=Mistake):
        metric(x[0], x[0])
    assert len(metric(x[:0], x[:0])) == 0


def test_to_bytes_rounds_like_edm():
    x = torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0, math.inf, -math.inf])
    assert to_bytes(x).tolist() == [0, 0, 128, 255, 255, 255, 0]
    levels = torch.arange(256)
    assert torch.equal(to_bytes(levels / 127.5 - 1), levels.to(torch.uint8))  # bytes survive the round trip
    x = pictures(2, 3, 8, 8)
    assert np.array_equal(to_bytes(x), np.clip(x.numpy() * 127.5 + 128, 0, 255).astype(np.uint8))
    assert to_bytes(x.half()).shape == x.shape
    with refuses("picture", error=Mistake):
        to_bytes(torch.tensor([0.0, math.nan]))


@pytest.mark.parametrize("size", [(32, 32), (15, 15), (8, 20), (1, 6)])
def test_radial_power_parseval_and_rings(size):
    x = pictures(3, 2, *size)
    spectrum = radial_power(x)
    height, width = size
    rings, total = {}, np.zeros(3)
    coefficients = np.fft.fft2(x.double().numpy()) / (height * width)
    for u, v in np.ndindex(size):
        f_y, f_x = (u if 2 * u < height else u - height) / height, (v if 2 * v < width else v - width) / width
        ring = round(math.hypot(f_y, f_x) * min(size))
        rings.setdefault(max(ring, 1) if (u, v) != (0, 0) else 0, []).append(
            (np.abs(coefficients[..., u, v]) ** 2).mean(1)
        )
    for ring, values in rings.items():
        np.testing.assert_allclose(spectrum.power[:, ring], np.mean(values, axis=0), rtol=1e-10)
        assert spectrum.count[ring] == len(values)
    total = (spectrum.power * spectrum.count).sum(1)
    np.testing.assert_allclose(total, x.double().square().mean(dim=(1, 2, 3)), rtol=1e-12)  # Parseval
    np.testing.assert_allclose(spectrum.power[:, 0], x.double().mean(dim=(2, 3)).square().mean(1), rtol=1e-9)
    assert spectrum.count[0] == 1 and spectrum.count.sum() == height * width
    np.testing.assert_allclose(spectrum.frequency, np.arange(len(spectrum.count)) / min(size))
    assert spectrum.power.dtype == torch.float64 and spectrum.power.isfinite().all()


def test_a_wave_sits_in_its_own_ring():
    spectrum = radial_power(2 * wave(32, 32, 3, 4) + 0.5)  # |f| = 5 / 32; power 2^2 / 2
    assert spectrum.frequency[5] == 5 / 32
    expected = torch.zeros_like(spectrum.power[0])
    expected[0], expected[5] = 0.25, 2.0 / spectrum.count[5].item()
    torch.testing.assert_close(spectrum.power[0], expected, atol=1e-14, rtol=1e-12)


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (5, 0), (3, 4), (-7, 2), (16, 16)])
def test_centroid_of_a_wave_is_its_frequency(rows, columns):
    x = 0.2 * wave(32, 32, rows, columns) - 0.6
    assert frequency_centroid(x).item() == pytest.approx(math.hypot(rows, columns) / 32, rel=1e-12)
    oblong = wave(16, 48, rows % 9, columns % 9)
    assert frequency_centroid(oblong).item() == pytest.approx(math.hypot(rows % 9 / 16, columns % 9 / 48), rel=1e-12)


def test_centroid_weighs_by_power_and_ignores_brightness_and_contrast():
    low, high = wave(32, 32, 0, 2), wave(32, 32, 0, 10)
    mixed = torch.cat([low + 3 * high, low], dim=1)  # powers over both channels: low 1 + 1, high 9
    expected = (2 * 2 + 9 * 10) / 11 / 32
    for x in (mixed, 0.1 * mixed + 0.5):
        assert frequency_centroid(x).item() == pytest.approx(expected, rel=1e-12)


def test_centroid_of_a_uniform_picture_is_undefined():
    x = torch.stack([torch.full((3, 32, 32), 1 / 3), pictures(3, 32, 32), torch.zeros(3, 32, 32)])
    assert frequency_centroid(x).isnan().tolist() == [True, False, True]


def test_results_carry_no_gradient():
    x = pictures(2, 3, 8, 8).requires_grad_()
    results = [mse(x, x), psnr(x, x), ssim(x, x), frequency_centroid(x), radial_power(x).power, to_bytes(x)]
    assert not any(result.requires_grad for result in results)
