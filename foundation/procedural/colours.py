"""Colour spaces, vectorised: sRGB from hue, saturation and value; OKLab from sRGB."""

from __future__ import annotations

import numpy as np

_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]], np.float32).T  # fmt: skip
_TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]], np.float32).T  # fmt: skip


def hsv(h: np.ndarray, s: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Colours in sRGB [0, 1], (N, 3), of hue (turns), saturation and value in [0, 1], each (N,)."""
    k = (np.array([5, 3, 1], np.float32) + 6 * h[:, None]) % 6
    return (v[:, None] * (1 - s[:, None] * np.clip(np.minimum(k, 4 - k), 0, 1))).astype(np.float32)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """OKLab (Ottosson 2020), in which Euclidean distance is close to perceived difference.

    Args:
        rgb: sRGB in [0, 1], shape (..., 3).

    Returns:
        Lightness in [0, 1] and the two opponent colours, shape (..., 3).
    """
    rgb = np.asarray(rgb, np.float32)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, _rounded(np.power, (rgb + 0.055) / 1.055, np.float32(2.4)))
    return _apply(_rounded(np.cbrt, _apply(linear, _TO_LMS)), _TO_LAB)


def _rounded(function: np.ufunc, *arguments: np.ndarray | np.float32) -> np.ndarray:
    """A function in double precision, rounded: NumPy's own for single precision differ between processors.

    A factor's last bit decides by which key it is changed (`factor_changes.change_keys`).
    """
    return function(*(np.asarray(a, np.float64) for a in arguments)).astype(np.float32)


def _apply(colours: np.ndarray, table: np.ndarray) -> np.ndarray:
    """A matrix product by hand: a BLAS rounds differently for different batch sizes, and no colour may."""
    return colours[..., :1] * table[0] + colours[..., 1:2] * table[1] + colours[..., 2:] * table[2]
