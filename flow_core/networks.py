"""The networks inside a flow model: an MLP for points, and foundation's U-Net for pictures.

Both map (input scaled to unit variance, t, noise level) to raw outputs of unit size, one for each head;
preconditioning is the model's business.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foundation.unet import UNet, UNetConfig

LEVEL_MIN, LEVEL_MAX = 0.002, 80.0  # noise-to-data ratios that the U-Net tells apart: EDM's range


@dataclass(frozen=True)
class PointConfig:
    """An MLP.

    Attributes:
        dims: of a point.
        width: units of a hidden layer.
        depth: hidden layers.
        frequencies: pairs cos(pi k t), sin(pi k t) that time enters by, beside t itself.
    """

    dims: int = 2
    width: int = 128
    depth: int = 3
    frequencies: int = 4

    def __post_init__(self) -> None:
        limits = {"dims": (1, 4096), "width": (1, 4096), "depth": (1, 16), "frequencies": (0, 64)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {getattr(self, name)!r}.")


class PointNet(nn.Module):
    """MLP with SiLU, smooth in x and t so that it can be differentiated often."""

    def __init__(self, config: PointConfig, heads: int = 1):
        super().__init__()
        self.config, self.heads = config, heads
        widths = [config.dims + 1 + 2 * config.frequencies] + [config.width] * config.depth
        layers: list[nn.Module] = []
        for cin, cout in itertools.pairwise(widths):
            layers += [nn.Linear(cin, cout), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], heads * config.dims)

    def forward(self, x: Tensor, t: Tensor, level: Tensor) -> tuple[Tensor, ...]:
        """x (B, dims), t (B,) -> one (B, dims) for each head; the noise level is told by t already."""
        del level
        k = torch.arange(1, self.config.frequencies + 1, dtype=x.dtype, device=x.device)
        angle = math.pi * t[:, None] * k
        h = torch.cat([x, t[:, None], angle.cos(), angle.sin()], 1)
        return self.head(self.body(h)).chunk(self.heads, 1)


class PictureNet(nn.Module):
    """Foundation's U-Net, told ln(level) / 4 as in EDM, where level = sqrt(V0) / t is the noise-to-data ratio."""

    def __init__(self, config: UNetConfig, heads: int = 1):
        super().__init__()
        if heads != 1:
            raise ValueError("A picture network has one head: predict x1 or velocity, not x1+eps.")
        self.config = config
        self.unet = UNet(config)

    def forward(self, x: Tensor, t: Tensor, level: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """x (B, C, H, W), level (B,), labels (B,) int64 with -1 = no class -> one (B, C, H, W)."""
        del t
        return (self.unet(x, level.clamp(LEVEL_MIN, LEVEL_MAX).log() / 4, labels).float(),)
