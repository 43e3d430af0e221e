"""What a next-step model sees, and the network inside it; see `flow_core.series_model`."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flow_core.networks import PointConfig

GEOMETRIES = ("euclidean", "torus")


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
    """

    world: str = "lorenz"
    history: int = 1
    dims: int = 3
    context: int = 0
    geometry: str = "euclidean"
    harmonics: int = 2

    def __post_init__(self) -> None:
        limits = {"history": (1, 1000), "dims": (1, 4096), "context": (0, 100), "harmonics": (1, 20)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {getattr(self, name)!r}.")
        if self.geometry not in GEOMETRIES:
            raise ValueError(f"geometry must be one of {', '.join(GEOMETRIES)}, not {self.geometry!r}.")

    @property
    def condition(self) -> int:
        """Numbers that the network is told beside x and t."""
        where = 2 * self.harmonics if self.geometry == "torus" else 1
        return self.dims * (where + self.history - 1) + self.context


class ConditionedNet(nn.Module):
    """MLP with SiLU on (x, t, condition), smooth in x and t."""

    def __init__(self, config: PointConfig, condition: int):
        super().__init__()
        self.config = config
        widths = [config.dims + 1 + 2 * config.frequencies + condition] + [config.width] * config.depth
        layers: list[nn.Module] = []
        for cin, cout in itertools.pairwise(widths):
            layers += [nn.Linear(cin, cout), nn.SiLU()]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(widths[-1], config.dims)

    def forward(self, x: Tensor, t: Tensor, level: Tensor, condition: Tensor) -> tuple[Tensor, ...]:
        """x (B, dims), t (B,), condition (B, C) -> one (B, dims); the noise level is told by t already."""
        del level
        angle = math.pi * t[:, None] * torch.arange(1, self.config.frequencies + 1, dtype=x.dtype, device=x.device)
        return (self.head(self.body(torch.cat([x, t[:, None], angle.cos(), angle.sin(), condition], 1))),)
