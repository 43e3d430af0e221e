"""What points are compared with: densities, data drawn from them, distances, and what data itself gets."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import numpy as np
import torch
from pydantic import PlainSerializer, PlainValidator, ValidationInfo
from torch import Tensor

from analysis.core.cache import ByteLRU
from analysis.core.errors import UserError
from analysis.core.fields import Choice
from flow_core.densities.distances import MMD, blur, wasserstein2
from flow_core.densities.mixtures import MAX_CELLS
from flow_core.densities.toys import TOYS, Toy, drawn, toy
from foundation.randomness import derived_seed

CLOUD_CACHE_BYTES = 64 * 2**20
W2_POINTS = 512  # exact assignment of 2048 points takes a second
HELD_OUT = 2048
DENSITY_CELLS = 80
# parts of the random numbers that belong to one seed
NOISE_PART, STEPS_PART, DATA_PART, MORE_DATA_PART = 1, 2, 3, 4
DRAWING = "drawn"


def drawing_of(value: Any) -> tuple[tuple[float, ...], ...]:
    """A table of weights of 0 or more, row 0 at the top, 2 to 128 a side and not empty, as nested tuples."""
    try:
        cells = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        cells = np.zeros(0)
    if cells.ndim != 2 or not 2 <= min(cells.shape) <= max(cells.shape) <= MAX_CELLS:
        raise UserError(f"A drawing is a table of numbers with 2 to {MAX_CELLS} rows of 2 to {MAX_CELLS} each.")
    if not np.isfinite(cells).all() or (cells < 0).any() or (cells > 1e6).any():
        raise UserError("The weights of a drawing must be finite numbers from 0 to 1,000,000.")
    if not cells.any():
        raise UserError("Nothing is drawn: paint where the points shall be.")
    return tuple(tuple(row) for row in cells.tolist())


def _drawing(value: Any, info: ValidationInfo) -> tuple[tuple[float, ...], ...] | None:
    """In JSON a drawing is rows of 0 and 1, one text a row."""
    if value is None:
        return None
    if info.mode == "json":
        rows: list[str] = [r for r in value if isinstance(r, str)] if isinstance(value, list) else []
        if not rows or len(rows) != len(value) or not all(re.fullmatch("[01]+", row) for row in rows):
            raise UserError("A drawing in a recipe is a list of texts of 0 and 1, one a row.")
        value = [[int(cell) for cell in row] for row in rows]
    return drawing_of(value)


def _rows(drawing: tuple | None) -> list[str] | None:
    if drawing is None:
        return None
    if not np.isin(np.array(drawing), (0, 1)).all():
        raise UserError("A recipe holds drawings of 0 and 1 alone: round the weights of this one.")
    return ["".join(str(int(cell)) for cell in row) for row in drawing]


DensityName = Annotated[str, Choice((*TOYS, DRAWING))]
Drawing = Annotated[tuple | None, PlainValidator(_drawing), PlainSerializer(_rows, when_used="json")]


class Target(Protocol):
    """What says which density; questions about points have these fields."""

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

    def __init__(self, cache_bytes: int = CLOUD_CACHE_BYTES):
        self._cache = ByteLRU(cache_bytes)
        self._lock = threading.RLock()

    def toy(self, cloud: Target) -> Toy:
        """The density of a question."""
        return drawn(cloud.drawing) if cloud.density == DRAWING else toy(cloud.density)

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
        """n points (n, 2) of a part of the random numbers of the question's seed: `DATA_PART` or `MORE_DATA_PART`."""
        seed = derived_seed(part, cloud.seed)
        return self._cached(cloud, ("data", seed, n), lambda: self.toy(cloud).sample(n, seed))

    def numbers(self, cloud: Cloud, x: Tensor) -> CloudNumbers:
        """Points (m, 2) against held-out data; W2 of the first points of both."""
        held_out = self.data(cloud, DATA_PART, HELD_OUT)
        n = min(len(x), W2_POINTS)
        b = blur(self.toy(cloud).density, x)
        w2 = wasserstein2(x[:n], held_out[:n])
        return CloudNumbers(*self.mmd(cloud).both(x), w2, b.spread, b.beyond)

    def mmd(self, cloud: Cloud) -> MMD:
        """To held-out data; its own term, the dearest part, is computed once."""
        return self._cached(cloud, ("mmd", cloud.seed), lambda: MMD(self.data(cloud, DATA_PART, HELD_OUT)))

    def floor(self, cloud: Cloud, points: int) -> CloudNumbers:
        """Data against data, so many points of it."""
        return self._cached(
            cloud, ("floor", cloud.seed, points), lambda: self.numbers(cloud, self.data(cloud, MORE_DATA_PART, points))
        )


@dataclass(frozen=True, eq=False)
class CloudNumbers:
    """How far a cloud lies from data it has not seen.

    Attributes:
        mmd2: unbiased squared MMD, kernel exp(-d^2 / 2); can be negative.
        mmd2_biased: biased, as the public code has it.
        w2: 2-Wasserstein distance by exact assignment, in the units of the plane.
        spread, beyond: blur, which that MMD hardly sees: see `flow_core.densities.distances.Blur`.
    """

    mmd2: float
    mmd2_biased: float
    w2: float
    spread: float
    beyond: float
