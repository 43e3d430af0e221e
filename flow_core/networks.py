"""The networks inside a flow model: an MLP for points, and foundation's U-Net for pictures.

Both map (input scaled to unit variance, t, noise level) to raw outputs of unit size, one for each head;
preconditioning is the model's business. With `interval` they are told a second time, as the length end - t of an
interval that begins at t: 0 where nothing is said.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foundation.mistakes import Mistake
from foundation.networks.unet import UNet, UNetConfig

INTERVAL_WAVES = 4  # pairs cos(pi k s), sin(pi k s) of an interval's length s that a U-Net is told
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
                raise Mistake(f"{name} must be from {low} to {high}, not {getattr(self, name)!r}.", name)


class PointNet(nn.Module):
    """MLP with SiLU, smooth in x and t so that it can be differentiated often."""

    def __init__(self, config: PointConfig, heads: int = 1, interval: bool = False):
        super().__init__()
        self.config, self.heads, self.interval = config, heads, interval
        times = 2 if interval else 1
        widths = [config.dims + times * (1 + 2 * config.frequencies)] + [config.width] * config.depth
        layers: list[nn.Module] = []
        for cin, cout in itertools.pairwise(widths):
            layers += [nn.Linear(cin, cout), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], heads * config.dims)

    def forward(self, x: Tensor, t: Tensor, level: Tensor, interval: Tensor | None = None) -> tuple[Tensor, ...]:
        """x (B, dims), t and interval (B,) -> one (B, dims) for each head; the noise level is told by t already."""
        del level
        features = [x, *self._waves(t)]
        if self.interval:
            features += self._waves(torch.zeros_like(t) if interval is None else interval)
        return self.head(self.body(torch.cat(features, 1))).chunk(self.heads, 1)

    def _waves(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        k = torch.arange(1, self.config.frequencies + 1, dtype=t.dtype, device=t.device)
        angle = math.pi * t[:, None] * k
        return t[:, None], angle.cos(), angle.sin()


@dataclass(frozen=True)
class TorusConfig:
    """An MLP of angles.

    Attributes:
        dims: angles of a point.
        harmonics: pairs cos(k x), sin(k x) that each angle enters by, so that a whole turn changes nothing.
        width, depth, frequencies: as in `PointConfig`.
    """

    dims: int = 2
    harmonics: int = 4
    width: int = 128
    depth: int = 3
    frequencies: int = 4

    def __post_init__(self) -> None:
        limits = {"dims": (1, 64), "harmonics": (1, 64), "width": (1, 4096), "depth": (1, 16), "frequencies": (0, 64)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise Mistake(f"{name} must be from {low} to {high}, not {getattr(self, name)!r}.", name)


class TorusNet(nn.Module):
    """`PointNet` of the harmonics of angles; what it says are velocities, no angles."""

    def __init__(self, config: TorusConfig):
        super().__init__()
        self.config = config
        widths = [2 * config.dims * config.harmonics + 1 + 2 * config.frequencies] + [config.width] * config.depth
        layers: list[nn.Module] = []
        for cin, cout in itertools.pairwise(widths):
            layers += [nn.Linear(cin, cout), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], config.dims)

    def forward(self, x: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """x (B, dims) radians, t (B,) -> one (B, dims)."""
        k = torch.arange(1, self.config.harmonics + 1, dtype=x.dtype, device=x.device)
        turns = (x[..., None] * k).flatten(1)
        m = torch.arange(1, self.config.frequencies + 1, dtype=x.dtype, device=x.device)
        angle = math.pi * t[:, None] * m
        features = [turns.cos(), turns.sin(), t[:, None], angle.cos(), angle.sin()]
        return (self.head(self.body(torch.cat(features, 1))),)


class IntervalEmbedding(nn.Module):
    """What a U-Net's blocks are told of an interval, beside the noise level: nothing before training.

    Its last layer begins at 0, so that a network that learned velocities at one time begins as itself.
    """

    def __init__(self, width: int):
        super().__init__()
        self.layer0, self.layer1 = nn.Linear(1 + 2 * INTERVAL_WAVES, width), nn.Linear(width, width)
        nn.init.zeros_(self.layer1.weight)
        nn.init.zeros_(self.layer1.bias)

    def forward(self, interval: Tensor) -> Tensor:
        """Lengths (B,) in [0, 1] -> (B, width)."""
        angle = math.pi * interval[:, None] * torch.arange(1, INTERVAL_WAVES + 1, device=interval.device)
        return self.layer1(nn.functional.silu(self.layer0(torch.cat([interval[:, None], angle.cos(), angle.sin()], 1))))


class PictureNet(nn.Module):
    """Foundation's U-Net, told ln(level) / 4 as in EDM, where level = sqrt(V0) / t is the noise-to-data ratio."""

    def __init__(self, config: UNetConfig, heads: int = 1, interval: bool = False):
        super().__init__()
        if heads != 1:
            raise Mistake("A picture network has one head: predict x1 or velocity, not x1+eps.", "predicts")
        self.config = config
        self.unet = UNet(config)
        self.interval = IntervalEmbedding(config.embedding) if interval else None

    def forward(
        self, x: Tensor, t: Tensor, level: Tensor, labels: Tensor | None = None, interval: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """x (B, C, H, W), level and interval (B,), labels (B,) int64 with -1 = no class -> one (B, C, H, W)."""
        emb = self.unet.embedding(level.clamp(LEVEL_MIN, LEVEL_MAX).log() / 4, labels)
        if self.interval is not None:
            emb = emb + self.interval(torch.zeros_like(t) if interval is None else interval)
        return (self.unet.decoder(self.unet.encoder(x, emb), emb).float(),)
