"""Distances of two shown pictures against scikit-image and plain arithmetic."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from analysis.metrics import image as metrics
from analysis.metrics.image import compare_pictures
from tests.refusals import refuses


def pictures(seed=0):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return first, np.clip(first.astype(int) + rng.integers(-40, 41, first.shape), 0, 255).astype(np.uint8)


def test_numbers_are_those_of_the_pictures():
    first, second = pictures()
    x, y = (p.astype(np.float64) / 127.5 - 1 for p in (first, second))
    numbers = compare_pictures(first, second).numbers
    assert numbers.mse == pytest.approx(np.mean((x - y) ** 2), rel=1e-5)
    assert numbers.psnr == pytest.approx(peak_signal_noise_ratio(x, y, data_range=2), rel=1e-5)
    assert numbers.ssim == pytest.approx(structural_similarity(x, y, data_range=2, channel_axis=2), rel=1e-4)


def test_equal_pictures():
    first, _ = pictures()
    pair = compare_pictures(first, first.copy())
    assert pair.numbers.mse == 0 and pair.numbers.psnr is None and pair.numbers.ssim == pytest.approx(1)
    assert pair.magnification == 1 and np.ptp(pair.difference) == 0 and 127 <= pair.difference[0, 0, 0] <= 128


def test_the_difference_has_its_sign_and_factor():
    first = np.full((8, 8, 3), 100, np.uint8)
    second = first.copy()
    second[0, 0] = 110
    pair = compare_pictures(first, second)
    assert (pair.difference[0, 0] < 20).all()  # A - B < 0: dark, made plain to see
    assert pair.magnification == pytest.approx(0.9 / (10 / 127.5), rel=1e-4)


def test_lpips_only_where_it_is_at_hand(monkeypatch):
    monkeypatch.setattr(metrics, "_perceptual", lambda: None)
    assert compare_pictures(*pictures()).numbers.lpips is None


def test_other_sizes_are_a_sentence():
    with refuses("pictures"):
        compare_pictures(np.zeros((8, 8, 3), np.uint8), np.zeros((16, 16, 3), np.uint8))
