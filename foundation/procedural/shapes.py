"""Procedural colour pictures with known factors: one object on a smooth two-colour background.

Any index gives one picture, always the same, whatever batch it is asked in. What is drawn (the factors) comes
from `shape_factors`; how, from here. All lengths are fractions of the picture's side, so that the
same factors render at any size; comments give pixels at size 32.

    pictures = images(range(8))                          # uint8 (8, 32, 32, 3)
    known = factors(range(8))                            # structured array, one record a picture
    turned = render(vary(known, "turn", seed=1))         # another turn, everything else held
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foundation.mistakes import Mistake
from foundation.procedural.shape_factors import (
    FACTOR_DTYPE,
    FACTOR_GROUPS,
    SHAPE_KINDS,
    STRIPE_DEPTH,
    STRIPE_PERIODS,
    check,
    contrast,
    factors,
    vary,
)

__all__ = [
    "FACTOR_DTYPE",
    "FACTOR_GROUPS",
    "RECIPE",
    "SHAPE_KINDS",
    "contrast",
    "coverage",
    "factors",
    "images",
    "render",
    "vary",
]  # fmt: skip

RECIPE = "shapes-1"  # raise the number whenever a picture would change: fingerprints are made from it
ROUND = ("disc", "ring")  # never turned, so that a turn of them changes no pixel even by rounding
SHAPES_AT_ONCE = 256  # pictures rendered at a time: the working arrays then stay near the caches


def _distance(kind: int, u: np.ndarray, v: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Signed bound of the distance to the object's edge, negative inside; never more than the true distance.

    The proportions give the kinds similar areas inside the circle of the given radius.
    """
    if kind == 0:
        return np.hypot(u, v) - 0.88 * radius
    if kind == 1:
        return np.maximum(np.abs(u), np.abs(v)) - np.float32(0.5**0.5) * radius
    if kind == 2:  # the inscribed circle has half the radius; one corner points up at turn 0
        return np.maximum(v, np.float32(0.75**0.5) * np.abs(u) - 0.5 * v) - 0.5 * radius
    if kind == 3:
        return np.abs(np.hypot(u, v) - 0.73 * radius) - 0.24 * radius
    u, v = np.abs(u), np.abs(v)
    length, width = 0.94 * radius, 0.34 * radius  # corners at hypot(0.94, 0.34) = 0.9996 of the radius
    return np.maximum(np.maximum(u, v) - length, np.minimum(u, v) - width)


def coverage(factors: np.ndarray, size: int = 32, supersample: int = 4) -> np.ndarray:
    """How much of each pixel the object covers: float32 (N, size, size) in [0, 1].

    Only pixels which the edge may cross are supersampled, and each sample is softened over its own width.
    """
    factors = check(factors)
    grid = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / size
    offsets = ((np.arange(supersample, dtype=np.float32) + np.float32(0.5)) / supersample - np.float32(0.5)) / size
    dy, dx = (o.reshape(1, -1) for o in np.meshgrid(offsets, offsets, indexing="ij"))
    out = np.empty((len(factors), size, size), np.float32)
    for kind in range(len(SHAPE_KINDS)):
        rows = np.flatnonzero(factors["kind"] == kind)
        f = factors[rows]
        turn = f["turn"] * (SHAPE_KINDS[kind] not in ROUND)
        cos, sin, radius = np.cos(turn), np.sin(turn), f["size"] / 2
        x, y = grid - f["x"][:, None], grid - f["y"][:, None]
        u = (cos[:, None] * x)[:, None, :] + (sin[:, None] * y)[:, :, None]
        v = (cos[:, None] * y)[:, :, None] - (sin[:, None] * x)[:, None, :]
        d = _distance(kind, u, v, radius[:, None, None])
        covered = (d < 0).astype(np.float32)
        n, i, j = np.nonzero(np.abs(d) < 0.75 / size)  # an edge farther than half a diagonal misses the pixel
        c, s = cos[n, None], sin[n, None]
        fine_u = u[n, i, j, None] + c * dx + s * dy
        fine_v = v[n, i, j, None] + c * dy - s * dx
        fine = _distance(kind, fine_u, fine_v, radius[n, None])
        covered[n, i, j] = np.clip(0.5 - fine * (size * supersample), 0, 1).mean(1)
        out[rows] = covered
    return out


def render(factors: np.ndarray, size: int = 32, supersample: int = 4) -> np.ndarray:
    """Draw the pictures.

    Args:
        factors: (N,) records of `FACTOR_DTYPE`.
        size: side in pixels, 8 to 1024.
        supersample: samples along each side of a pixel on the object's edge, 1 to 16.

    Returns:
        uint8 sRGB (N, size, size, 3).

    Raises:
        ValueError: a size or a supersample out of range, or factors of another dtype.
    """
    factors = check(factors)
    if not 8 <= size <= 1024:
        raise Mistake("Use a size of 8 to 1024 pixels.", "size")
    if not 1 <= supersample <= 16:
        raise Mistake("Use a supersample of 1 to 16.", "supersample")
    out = np.empty((len(factors), size, size, 3), np.uint8)
    step = max(1, SHAPES_AT_ONCE * 1024 // size**2)
    for start in range(0, len(factors), step):
        _render_chunk(factors[start : start + step], size, supersample, out[start : start + step])
    return out


def _render_chunk(f: np.ndarray, size: int, supersample: int, out: np.ndarray) -> None:
    def plane(angle: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Distance along a direction, (N, size, size)."""
        return (np.cos(angle)[:, None] * x)[:, None, :] + (np.sin(angle)[:, None] * y)[:, :, None]

    grid = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / size
    reach = np.abs(np.cos(f["gradient"])) + np.abs(np.sin(f["gradient"]))  # the gradient ends in the corners
    blend = plane(f["gradient"], grid[None] - 0.5, grid[None] - 0.5) / reach[:, None, None] + 0.5
    striped = f["texture"] > 0
    wave = np.float32(2 * np.pi) / np.array((1, *STRIPE_PERIODS), np.float32)[f["texture"]]
    direction = f["stripe_direction"]
    phase = plane(direction, grid - f["x"][:, None], grid - f["y"][:, None]) * wave[:, None, None]
    # A sine averaged over a pixel is the sine at its centre times one sinc an axis: exact anti-aliasing.
    cycles = wave / np.float32(2 * np.pi * size)
    depth = STRIPE_DEPTH / 2 * striped * np.sinc(cycles * np.cos(direction)) * np.sinc(cycles * np.sin(direction))
    shade = np.sin(phase + f["stripe_phase"][:, None, None]) * depth.astype(np.float32)[:, None, None]
    shade += (1 - STRIPE_DEPTH / 2 * striped).astype(np.float32)[:, None, None]
    covered = coverage(f, size, supersample)
    for c in range(3):
        a, b, colour = (f[name][:, c, None, None] for name in ("background_a", "background_b", "colour"))
        ground = a + blend * (b - a)
        out[..., c] = (ground + covered * (shade * colour - ground)) * np.float32(255) + np.float32(0.5)


def images(indices: Sequence[int] | np.ndarray, size: int = 32, seed: int = 0) -> np.ndarray:
    """The pictures of these indices, uint8 (N, size, size, 3); see `factors` and `render`."""
    return render(factors(indices, seed), size)
