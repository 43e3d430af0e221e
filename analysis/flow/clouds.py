"""What points are compared with: densities, data drawn from them, distances, and what data itself gets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.core.cache import ByteLRU
from analysis.core.errors import as_user_errors
from analysis.flow.point_requests import DRAWN, Flow2DRequest
from flow_core.densities.distances import MMD, wasserstein2
from flow_core.densities.toys import Toy, drawn, toy
from foundation.randomness import derived_seed

CACHE_BYTES = 64 * 2**20
W2_POINTS = 512  # exact assignment of 2048 points takes a second
HELD_OUT = 2048
DENSITY_CELLS = 80
# parts of the random numbers that belong to one seed
NOISE, STEPS, DATA, MOREDATA = 1, 2, 3, 4


class Clouds:
    """Densities and data of questions, which all have `density`, `drawing` and `seed`.

    Args:
        cache_bytes: bound of what is kept.
    """

    def __init__(self, cache_bytes: int = CACHE_BYTES):
        self._cache = ByteLRU(cache_bytes)
        self._lock = threading.RLock()

    def _toy(self, request) -> Toy:
        with as_user_errors():
            return drawn(request.drawing) if request.density == DRAWN else toy(request.density)

    def _cached(self, request, what: tuple, make: Callable):
        key = (request.density, request.drawing, *what)
        with self._lock:
            return self._cache.get(key, make)

    def contours(self, request) -> tuple[np.ndarray, np.ndarray]:
        """The exact density (c, c) of a question, row = y growing, and its axis (c,)."""

        def make() -> tuple[np.ndarray, np.ndarray]:
            density = self._toy(request)
            axis = torch.linspace(-density.extent, density.extent, DENSITY_CELLS, dtype=torch.float64)
            y, x = torch.meshgrid(axis, axis, indexing="ij")
            p = density.density.log_prob(torch.stack([x.flatten(), y.flatten()], 1)).exp().view_as(x)
            return p.numpy().astype(np.float32), axis.numpy().astype(np.float32)

        return self._cached(request, ("contours",), make)

    def _data(self, request, part: int, n: int) -> Tensor:
        seed = derived_seed(part, request.seed)
        return self._cached(request, ("data", seed, n), lambda: self._toy(request).sample(n, seed))

    def _numbers(self, request, x: Tensor) -> CloudNumbers:
        """Against held-out data; W2 of the first points of both."""
        held_out = self._data(request, DATA, HELD_OUT)
        mmd = self._kept_mmd(request)
        n = min(len(x), W2_POINTS)
        return CloudNumbers(mmd.unbiased(x), mmd.biased(x), wasserstein2(x[:n], held_out[:n]))

    def _kept_mmd(self, request) -> MMD:
        """To held-out data; its own term, the dearest part, is computed once."""
        return self._cached(request, ("mmd", request.seed), lambda: MMD(self._data(request, DATA, HELD_OUT)))

    def floor(self, request: Flow2DRequest) -> CloudNumbers:
        """Data against data, as many points as the question has."""
        return self._cached(
            request,
            ("floor", request.seed, request.points),
            lambda: self._numbers(request, self._data(request, MOREDATA, request.points)),
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
