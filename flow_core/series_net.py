"""What a next-step model sees, and the network inside it; see `flow_core.series_model`."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flow_core.networks import PointConfig

GEOMETRIES = ("euclidean", "torus")
MAX_CELLS = 100_000  # of a field
MEMORY = 16  # numbers of the vector that a frame number is looked up as


@dataclass(frozen=True)
class FrameConfig:
    """What a model sees and says.

    Attributes:
        world: spec for `flow_core.worlds.open_world`.
        history: frames of a window.
        dims: numbers of a frame.
        context: numbers known of the next frame in advance.
        geometry: "euclidean" or "torus".
        harmonics: cos(k a), sin(k a) for k = 1 ... harmonics of each angle of the last frame; torus only.
        field: (1, rows, columns) where frames are fields, whose leading EOFs' coefficients are the `dims` numbers.
        numbered: T, where the last context number is k / T of frame k (`alanine_in_sample` alone): a learned vector for
            each k, which is the published memory of a trajectory; 0 elsewhere.
    """

    world: str = "lorenz"
    history: int = 1
    dims: int = 3
    context: int = 0
    geometry: str = "euclidean"
    harmonics: int = 2
    field: tuple[int, ...] = ()
    numbered: int = 0

    def __post_init__(self) -> None:
        limits = {"history": (1, 1000), "dims": (1, 4096), "context": (0, 100), "harmonics": (1, 20)}
        limits["numbered"] = (0, 100_000)
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {getattr(self, name)!r}.")
        if self.geometry not in GEOMETRIES:
            raise ValueError(f"geometry must be one of {', '.join(GEOMETRIES)}, not {self.geometry!r}.")
        if self.field and (len(self.field) != 3 or min(self.field) < 1 or math.prod(self.field) > MAX_CELLS):
            raise ValueError(f"field must be (1, rows, columns) of at most {MAX_CELLS:,} cells, not {self.field!r}.")
        if self.numbered and not self.context:
            raise ValueError("numbered needs a context that tells the frame's number.")
        if self.field and self.geometry == "torus":
            raise ValueError("field needs geometry 'euclidean': EOFs are sums, which angles have none of.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one frame as the world has it."""
        return self.field or (self.dims,)

    @property
    def condition(self) -> int:
        """Numbers that the network is told beside x and t."""
        where = 2 * self.harmonics if self.geometry == "torus" else 1
        return self.dims * (where + self.history - 1) + self.context


class ConditionedNet(nn.Module):
    """MLP with SiLU on (x, t, condition), smooth in x and t.

    Args:
        config: its size.
        condition: numbers of a condition.
        numbered: T where the last of these is k / T, 0 elsewhere: a learned vector of k enters too.
    """

    def __init__(self, config: PointConfig, condition: int, numbered: int = 0):
        super().__init__()
        self.config = config
        self.memory = nn.Embedding(numbered, MEMORY) if numbered else None
        condition += MEMORY if numbered else 0
        widths = [config.dims + 1 + 2 * config.frequencies + condition] + [config.width] * config.depth
        layers: list[nn.Module] = []
        for cin, cout in itertools.pairwise(widths):
            layers += [nn.Linear(cin, cout), nn.SiLU()]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(widths[-1], config.dims)

    def forward(self, x: Tensor, t: Tensor, level: Tensor, condition: Tensor) -> tuple[Tensor, ...]:
        """x (B, dims), t (B,), condition (B, C) -> one (B, dims); the noise level is told by t already."""
        del level
        if self.memory is not None:
            frames = self.memory.num_embeddings
            number = (condition[:, -1] * frames).round().clamp(0, frames - 1).long()
            condition = torch.cat([condition, self.memory(number)], 1)
        angle = math.pi * t[:, None] * torch.arange(1, self.config.frequencies + 1, dtype=x.dtype, device=x.device)
        return (self.head(self.body(torch.cat([x, t[:, None], angle.cos(), angle.sin(), condition], 1))),)
