"""Two-dimensional densities with exact values everywhere: five named ones, and what a user draws.

The curved ones are Gaussian mixtures with so many components along the curve (closer together than their std) that
they are smooth, so sampler, density, posterior and score are exact (docs/flow.md, "Worlds with known answers"). Scales
follow the public code of IDFF: 8 Gaussians on a circle of radius 5 with covariance sqrt(.1) I, the checkerboard on
[-4, 4]^2 with cells of side 2, moons of radius 3 with std .6, five arms of a pinwheel.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flow_core.densities.mixtures import GaussianMixture, GridDensity
from foundation.mistakes import Mistake


@dataclass(frozen=True)
class Toy:
    """A density and how to show it.

    Attributes:
        name: as `toy` takes it; "drawn" for a drawing.
        density: sampler, log density and closed-form posterior.
        extent: half the side of a square that holds nearly all of it.
    """

    name: str
    density: GaussianMixture | GridDensity
    extent: float

    def sample(self, n: int, seed: int) -> Tensor:
        """n points (n, 2), float32, the same for the same seed."""
        return self.density.sample(n, torch.Generator().manual_seed(seed)).float()


def _eight_gaussians() -> Toy:
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    return Toy("8gaussians", GaussianMixture(5 * _circle(angle), 0.1**0.25), 7.5)


def _checkerboard() -> Toy:
    row, column = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    return Toy("checkerboard", GridDensity(((row + column) % 2).double(), 4.0), 5.0)


def _moons() -> Toy:
    angle = math.pi * _midpoints(96)
    upper, lower = _circle(angle), torch.tensor([1.0, 0.5]) - _circle(angle)
    return Toy("moons", GaussianMixture(3 * torch.cat([upper, lower]) - 1, 0.6), 7.0)


def _spirals() -> Toy:
    angle = 3 * math.pi * _midpoints(256).sqrt()  # the root: nearly equal distances along the arm
    arm = 4 * angle[:, None] / (3 * math.pi) * _circle(angle)
    return Toy("spirals", GaussianMixture(torch.cat([arm, -arm]), 0.15), 5.0)


def _pinwheel() -> Toy:
    radius = 1 + 0.3 * torch.special.ndtri(_midpoints(64))
    arms = [radius[:, None] * _circle(2 * math.pi * k / 5 + 0.25 * radius.exp()) for k in range(5)]
    return Toy("pinwheel", GaussianMixture(2 * torch.cat(arms), 0.15), 4.5)


def _circle(angle: Tensor) -> Tensor:
    return torch.stack([angle.cos(), angle.sin()], 1)


def _midpoints(n: int) -> Tensor:
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


_MAKERS: dict[str, Callable[[], Toy]] = {
    "8gaussians": _eight_gaussians,
    "checkerboard": _checkerboard,
    "moons": _moons,
    "spirals": _spirals,
    "pinwheel": _pinwheel,
}
TOYS = tuple(_MAKERS)


@functools.cache
def toy(name: str) -> Toy:
    """A density by name, one of `TOYS`; computed once.

    Raises:
        ValueError: unknown name.
    """
    if name not in _MAKERS:
        raise Mistake(f"There is no density {name!r}: choose one of {', '.join(TOYS)}.", "name")
    with torch.inference_mode(False):  # its tensors are shared with whoever differentiates
        return _MAKERS[name]()


def drawn(cells, extent: float = 4.0) -> Toy:
    """The density of a drawing.

    Args:
        cells: (rows, columns) non-negative weights, row 0 at the top, at most 128 a side.
        extent: the drawing covers [-extent, extent]^2.

    Raises:
        ValueError: not such a table, or nothing drawn.
    """
    return Toy("drawn", GridDensity(cells, extent), 1.25 * extent)
