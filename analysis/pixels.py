"""Float pictures as bytes for the eye: one conversion, one way to magnify a difference."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from analysis import metrics
from analysis.errors import UserError

MAGNIFY_MOST = 1000.0  # more would show the decoder's rounding (1e-6 of its output) as if it were a picture
PEAK = 0.9  # the largest value of a magnified difference, out of 1


def as_pictures(x: Tensor, cure: str = "bring the gains closer to 1") -> np.ndarray:
    """(n, C, H, W) in [-1, 1] -> uint8 (n, H, W, C).

    Args:
        x: float pictures; values outside [-1, 1] are clipped.
        cure: what to do when they are not finite.

    Raises:
        UserError: the pictures are not finite.
    """
    if not bool(torch.isfinite(x).all()):
        raise UserError(f"The picture is not finite with these settings: {cure}.")
    return metrics.to_uint8(x).permute(0, 2, 3, 1).contiguous().numpy()


def magnified(difference: Tensor, most: float = MAGNIFY_MOST) -> tuple[np.ndarray, float]:
    """A difference of two pictures around mid-grey, made visible by a stated factor.

    Args:
        difference: (C, H, W), finite.
        most: largest factor.

    Returns:
        uint8 (H, W, C), and the factor: 1 where the difference is plain to see (above 0.5) or nothing at all.

    Raises:
        UserError: the difference is not finite.
    """
    largest = float(difference.abs().max())
    factor = 1.0 if largest > 0.5 or largest == 0 else min(most, PEAK / largest)
    return as_pictures((difference.clamp(-2, 2) * factor)[None])[0], factor
