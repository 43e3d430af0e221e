"""Flows on the flat torus: angles that go the short way round.

Riemannian flow matching (Chen and Lipman 2023, arXiv 2302.03660): the path from x0 to x1 is the shortest line,
x_t = x0 + t wrap(x1 - x0), whose velocity is wrap(x1 - x0). Angles are radians; states of samplers need not be wrapped.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flow_core.paths import ICFM

TORUS_PATH = ICFM()  # what samplers are told: no noise beside x0; v alone is asked of a network


def wrap(x: Tensor) -> Tensor:
    """The same angles in [-pi, pi)."""
    return torch.remainder(x + math.pi, 2 * math.pi) - math.pi


def geodesic(x0: Tensor, x1: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """State and velocity of the shortest line from x0 to x1, all (B, D), at t (B,); the state is not wrapped."""
    u = wrap(x1 - x0)
    return x0 + t[:, None] * u, u


def uniform(n: int, dims: int, generator: torch.Generator) -> Tensor:
    """n points (n, dims) float32, uniform on the torus: what flows begin at."""
    return (2 * torch.rand(n, dims, generator=generator) - 1) * math.pi
