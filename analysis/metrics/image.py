"""Distances of images: MSE, PSNR, SSIM, LPIPS, radial power.

Images are float (B, C, H, W) in [-1, 1]; `compare_pictures` takes uint8.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.images import magnified
from foundation.metrics.perceptual import PerceptualDistance, available
from foundation.mistakes import Mistake

DATA_RANGE = 2.0  # of pictures in [-1, 1]
SSIM_WINDOW = 7  # pixels, scikit-image's default


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error over channels and pixels; (B,) float64, at most 4 for pictures in [-1, 1]."""
    x, y = _pair(x, y)
    return (x - y).square().mean(dim=(1, 2, 3))


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio `10 log10(R^2 / mse)`, R = 2; (B,) float64 decibels, infinite if equal."""
    return 10.0 * torch.log10(DATA_RANGE**2 / mse(x, y))


def contrast(x: Tensor) -> Tensor:
    """Root-mean-square contrast of pictures (B, C, H, W): standard deviation over channels and pixels; (B,) float64."""
    return x.detach().cpu().double().flatten(1).std(1, correction=0)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004) by scikit-image, averaged over channels.

    Uniform 7 x 7 window, data range 2, sample covariance, K1 = 0.01, K2 = 0.03; the mean leaves out a border
    of 3 pixels.

    Args:
        x: pictures (B, C, H, W) in [-1, 1], at least 7 pixels wide and high.
        y: pictures of the shape of x.

    Returns:
        (B,) float64 in [-1, 1], 1 for equal pictures.

    Raises:
        ValueError: shapes that differ, or pictures smaller than the window.
    """
    from skimage.metrics import structural_similarity  # here: slow to import

    x, y = _pair(x, y)
    if min(x.shape[-2:]) < SSIM_WINDOW:
        raise Mistake(f"SSIM needs {SSIM_WINDOW} x {SSIM_WINDOW} pixels or more, not {tuple(x.shape)}.", "pixels")
    options = {"win_size": SSIM_WINDOW, "data_range": DATA_RANGE, "channel_axis": 0}
    values = [structural_similarity(a, b, **options) for a, b in zip(x.numpy(), y.numpy(), strict=True)]
    return torch.tensor(np.array(values, dtype=np.float64))


@dataclass(frozen=True)
class RadialPower:
    """Fourier power by distance from the zero frequency, in K rings as wide as 1 / min(H, W).

    Attributes:
        frequency: (K,) float64, centre of each ring, cycles per pixel, from 0 to about sqrt(1/2).
        power: (B, K) float64, mean over the ring's coefficients and over channels of `|FFT(x) / (H W)|^2`.
        count: (K,) int64, coefficients in the ring; the first holds the DC coefficient alone.
    """

    frequency: Tensor
    power: Tensor
    count: Tensor


def radial_power(x: Tensor) -> RadialPower:
    """Radially averaged power spectrum of pictures (B, C, H, W).

    Scaled so that `sum_k count_k power_k` is the mean square of the picture (Parseval); `power[:, 0]` is the
    mean over channels of the squared mean colour. A coefficient belongs to the ring whose centre is nearest.
    """
    power, radius = _power_and_radius(x)
    width = 1.0 / min(x.shape[-2:])
    # The clamp keeps DC alone in ring 0: along the longer edge of an oblong picture the first frequency is
    # nearer to 0.
    ring = torch.where(radius > 0, (radius / width).round().clamp(min=1), 0.0).long().flatten()
    count = torch.bincount(ring)
    total = torch.zeros(len(power), len(count), dtype=torch.float64).index_add_(1, ring, power.flatten(1))
    frequency = width * torch.arange(len(count), dtype=torch.float64)
    return RadialPower(frequency, total / count.clamp(min=1), count)


def frequency_centroid(x: Tensor) -> Tensor:
    """Power-weighted mean radial frequency, `sum |f| P(f) / sum P(f)` over f != 0: where the detail lies.

    Taken over single coefficients, not rings, so a pure wave gives exactly its own frequency.

    Args:
        x: (B, C, H, W); channels add their powers.

    Returns:
        (B,) float64, cycles per pixel in (0, sqrt(1/2)]; NaN for a uniform picture, which has no detail.
    """
    x = _image(x)
    # The mean carries no detail, but its rounding errors would: take it away before the transform.
    power, radius = _power_and_radius(x - x.mean(dim=(2, 3), keepdim=True))
    power = power * (radius > 0)
    total = power.sum(dim=(1, 2))
    scale = x.square().mean(dim=(1, 2, 3))
    centroid = (power * radius).sum(dim=(1, 2)) / total
    # Float64 rounds at 1e-16 of an amplitude, 1e-32 of a power: less than this is no detail.
    return torch.where(total > 1e-28 * scale, centroid, torch.nan)


def _power_and_radius(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over channels of |FFT(x) / (H W)|^2, (B, H, W), and |f| in cycles per pixel, (H, W); float64."""
    x = _image(x)
    height, width = x.shape[-2:]
    power = torch.fft.fft2(x, norm="forward").abs().square().mean(dim=1)
    f_y = torch.fft.fftfreq(height, dtype=torch.float64)
    f_x = torch.fft.fftfreq(width, dtype=torch.float64)
    return power, torch.hypot(f_y[:, None], f_x[None, :])


def _image(x: Tensor) -> Tensor:
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise Mistake(f"Pictures have the shape (B, C, H, W), not {tuple(x.shape)}.", "shape")
    return x.detach().cpu().double()


def _pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    if x.shape != y.shape:
        raise Mistake(f"Only equal shapes can be compared, not {tuple(x.shape)} and {tuple(y.shape)}.", "pair")
    return _image(x), _image(y)


@dataclass(frozen=True)
class PairNumbers:
    """Distances of two pictures as they are shown (8 bits), on the [-1, 1] scale.

    Attributes:
        mse: mean squared error, 0 for equal pictures.
        psnr: decibels, None for equal pictures (infinite).
        ssim: structural similarity, 1 for equal pictures.
        lpips: LPIPS (Alex, side 64), None without a backbone.
    """

    mse: float
    psnr: float | None
    ssim: float
    lpips: float | None


@dataclass(frozen=True, eq=False)
class Pair:
    """Attributes: difference (H, W, 3), first minus second around mid-grey; its magnification; numbers."""

    difference: np.ndarray
    magnification: float
    numbers: PairNumbers


@functools.cache
def _perceptual() -> PerceptualDistance | None:
    return PerceptualDistance("alex", side=64) if available("alex") else None


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))[None] / 127.5 - 1


@torch.inference_mode()
def compare_pictures(first: np.ndarray, second: np.ndarray) -> Pair:
    """Difference and distances of two uint8 (H, W, 3) pictures.

    Raises:
        UserError: pictures of different size.
    """
    if first.shape != second.shape:
        sizes = " and ".join(f"{p.shape[1]} x {p.shape[0]}" for p in (first, second))
        raise UserError(
            f"The pictures have {sizes} pixels: compare models whose pictures are equally large.", "pictures"
        )
    x, y = _tensor(first), _tensor(second)
    decibels = float(psnr(x, y)[0])
    lpips = _perceptual()
    numbers = PairNumbers(
        mse=float(mse(x, y)[0]),
        psnr=decibels if math.isfinite(decibels) else None,
        ssim=float(ssim(x, y)[0]),
        lpips=None if lpips is None else float(lpips(x, y)[0]),
    )
    return Pair(*magnified((x - y)[0]), numbers)
