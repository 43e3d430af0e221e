"""What points are compared with: densities, data drawn from them, distances, and what data itself gets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from analysis.core.cache import ByteLRU
from analysis.core.errors import as_user_errors
from analysis.flow.point_requests import DRAWN
from flow_core.densities.distances import MMD, wasserstein2
from flow_core.densities.toys import Toy, drawn, toy
from foundation.randomness import derived_seed

CACHE_BYTES = 64 * 2**20
W2_POINTS = 512  # exact assignment of 2048 points takes a second
HELD_OUT = 2048
DENSITY_CELLS = 80
# parts of the random numbers that belong to one seed
NOISE, STEPS, DATA, MOREDATA = 1, 2, 3, 4


class Target(Protocol):
    """What says which density; questions about points have these fields. See `analysis.flow.point_requests`."""

    @property
    def density(self) -> str: ...

    @property
    def drawing(self) -> tuple | None: ...


@dataclass(frozen=True)
class Place:
    """A density by itself: what a question begins at. Attributes: as of `Target`."""

    density: str
    drawing: tuple | None


class Cloud(Target, Protocol):
    """What says which data."""

    @property
    def seed(self) -> int: ...


class Clouds:
    """Densities, data drawn from them and distances to these data; what is asked twice is kept.

    Args:
        cache_bytes: bound of what is kept.
    """

    def __init__(self, cache_bytes: int = CACHE_BYTES):
        self._cache = ByteLRU(cache_bytes)
        self._lock = threading.RLock()

    def toy(self, cloud: Target) -> Toy:
        """The density of a question."""
        with as_user_errors():
            return drawn(cloud.drawing) if cloud.density == DRAWN else toy(cloud.density)

    def _cached(self, cloud: Target, what: tuple[Hashable, ...], make: Callable[[], Any]) -> Any:
        key = (cloud.density, cloud.drawing, *what)
        with self._lock:
            return self._cache.get(key, make)

    def contours(self, cloud: Target) -> tuple[np.ndarray, np.ndarray]:
        """The exact density (c, c) of a question, row = y growing, and its axis (c,)."""

        def make() -> tuple[np.ndarray, np.ndarray]:
            density = self.toy(cloud)
            axis = torch.linspace(-density.extent, density.extent, DENSITY_CELLS, dtype=torch.float64)
            y, x = torch.meshgrid(axis, axis, indexing="ij")
            p = density.density.log_prob(torch.stack([x.flatten(), y.flatten()], 1)).exp().view_as(x)
            return p.numpy().astype(np.float32), axis.numpy().astype(np.float32)

        return self._cached(cloud, ("contours",), make)

    def data(self, cloud: Cloud, part: int, n: int) -> Tensor:
        """n points (n, 2) of a part of the random numbers of the question's seed: `DATA` or `MOREDATA`."""
        seed = derived_seed(part, cloud.seed)
        return self._cached(cloud, ("data", seed, n), lambda: self.toy(cloud).sample(n, seed))

    def numbers(self, cloud: Cloud, x: Tensor) -> CloudNumbers:
        """Points (m, 2) against held-out data; W2 of the first points of both."""
        held_out = self.data(cloud, DATA, HELD_OUT)
        mmd = self.mmd(cloud)
        n = min(len(x), W2_POINTS)
        return CloudNumbers(mmd.unbiased(x), mmd.biased(x), wasserstein2(x[:n], held_out[:n]))

    def mmd(self, cloud: Cloud) -> MMD:
        """To held-out data; its own term, the dearest part, is computed once."""
        return self._cached(cloud, ("mmd", cloud.seed), lambda: MMD(self.data(cloud, DATA, HELD_OUT)))

    def floor(self, cloud: Cloud, points: int) -> CloudNumbers:
        """Data against data, so many points of it."""
        return self._cached(
            cloud, ("floor", cloud.seed, points), lambda: self.numbers(cloud, self.data(cloud, MOREDATA, points))
        )


@dataclass(frozen=True, eq=False)
class CloudNumbers:
    """How far a cloud lies from data it has not seen.

    Attributes:
        mmd2: unbiased squared MMD, kernel exp(-d^2 / 2); can be negative.
        mmd2_biased: biased, as the public code has it.
        w2: 2-Wasserstein distance by exact assignment, in the units of the plane.
    """

    mmd2: float
    mmd2_biased: float
    w2: float
