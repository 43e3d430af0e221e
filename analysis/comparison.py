"""Two pictures beside each other: their difference, and how far apart they are."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis import metrics
from analysis.errors import UserError
from analysis.pixels import magnified
from foundation.perceptual import PerceptualDistance, available


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
        raise UserError(f"The pictures have {sizes} pixels: compare models whose pictures are equally large.")
    x, y = _tensor(first), _tensor(second)
    psnr = float(metrics.psnr(x, y)[0])
    lpips = _perceptual()
    numbers = PairNumbers(
        mse=float(metrics.mse(x, y)[0]),
        psnr=psnr if math.isfinite(psnr) else None,
        ssim=float(metrics.ssim(x, y)[0]),
        lpips=None if lpips is None else float(lpips(x, y)[0]),
    )
    return Pair(*magnified((x - y)[0]), numbers)
