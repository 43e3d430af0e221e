"""The EDM "DDPM++" U-Net, split where Hierarchical Koopman Diffusion needs it.

Architecture: Karras et al. 2022 (arXiv 2206.00364), appendix C, after Song et al. 2021. Written from the published
description; `UNetConfig.edm_cifar10()` reproduces its parameter count exactly (tests/foundation/networks/test_unet.py).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foundation.mistakes import Mistake

SKIP_SCALE = math.sqrt(0.5)  # keeps the variance of (x + residual) at that of x
DEPTHS = ("encoder_depth", "decoder_depth")
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class UNetConfig:
    """Everything that is needed to rebuild a network.

    Attributes:
        resolution: side of the square pictures, pixels.
        channels: colour channels in and out.
        base: feature channels at multiplier 1.
        multipliers: feature multiplier of each level, finest first.
        blocks: residual blocks a level in the encoder (the decoder has one more).
        attention: resolutions (of the feature map) that get self-attention.
        embedding: width of the noise-level embedding.
        dropout: probability inside the residual blocks.
        classes: number of class labels, 0 for an unconditional network.
        augment: width of EDM's augmentation label (9 there), 0 for none.
        patch_size: pixels are folded into channels by this factor in front, unfolded behind.
        encoder_depth, decoder_depth: further residual blocks behind those of each level, finest first, which give or
            take no skip and start as the identity; () for none, as published.
    """

    resolution: int = 32
    channels: int = 3
    base: int = 128
    multipliers: tuple[int, ...] = (2, 2, 2)
    blocks: int = 4
    attention: tuple[int, ...] = (16,)
    embedding: int = 512
    dropout: float = 0.0
    classes: int = 0
    augment: int = 0
    patch_size: int = 1
    encoder_depth: tuple[int, ...] = ()
    decoder_depth: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("multipliers", "attention", *DEPTHS):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("resolution", "channels", "base", "blocks", "embedding", "patch_size"):
            if getattr(self, name) < 1:
                raise Mistake(f"UNetConfig.{name} must be at least 1.", name)
        for name in ("classes", "augment"):
            if getattr(self, name) < 0:
                raise Mistake(f"UNetConfig.{name} cannot be negative; 0 means none.", name)
        if not self.multipliers or min(self.multipliers) < 1:
            raise Mistake("UNetConfig.multipliers needs at least one level, each at least 1.", "multipliers")
        for name in DEPTHS:
            depth = getattr(self, name)
            if depth and (len(depth) != len(self.multipliers) or min(depth) < 0):
                raise Mistake(
                    f"UNetConfig.{name} needs a number of blocks, 0 or more, for each of the "
                    f"{len(self.multipliers)} levels, or none at all.",
                    name,
                )
        shrink = self.patch_size * 2 ** (len(self.multipliers) - 1)
        if self.resolution % shrink:
            raise Mistake(
                f"resolution {self.resolution} cannot be halved {len(self.multipliers) - 1} times after patches of "
                f"{self.patch_size}: choose a multiple of {shrink}.",
                "resolution",
            )
        if any(self.base * m % 4 for m in self.multipliers) or self.base % 4:
            raise Mistake(
                "base * multiplier must be a multiple of 4 (GroupNorm groups hold at least 4 channels).", "base"
            )
        if not 0.0 <= self.dropout < 1.0:
            raise Mistake("dropout must lie in [0, 1).", "dropout")

    @classmethod
    def edm_cifar10(cls, classes: int = 0) -> UNetConfig:
        """EDM's DDPM++ for CIFAR-10: 55,733,891 parameters (with its 9 augmentation inputs)."""
        return cls(dropout=0.13, augment=9, classes=classes)

    @classmethod
    def edm_ffhq(cls) -> UNetConfig:
        """EDM's DDPM++ for FFHQ and AFHQ at 64 x 64: 61,805,571 parameters."""
        return cls(resolution=64, multipliers=(1, 2, 2, 2), dropout=0.05, augment=9)

    def to_dict(self) -> dict:
        """Plain types only, for JSON; what files from before a choice have is not mentioned."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {k: v for k, v in values.items() if v or k not in DEPTHS}

    def skip_shapes(self) -> list[tuple[int, int, int]]:
        """(channels, height, width) of every encoder output in order, the bottleneck once more at the end."""
        side = self.resolution // self.patch_size
        shapes = []
        for level, mult in enumerate(self.multipliers):
            before = self.base if level == 0 else self.base * self.multipliers[level - 1]
            shapes.append((before, side >> level, side >> level))
            shapes += [(self.base * mult, side >> level, side >> level)] * self.blocks
        return [*shapes, shapes[-1]]


def _norm(channels: int) -> nn.GroupNorm:
    groups = next(g for g in range(min(32, channels // 4), 0, -1) if channels % g == 0)
    return nn.GroupNorm(groups, channels, eps=1e-6)


def _scaled_init(module: Layer, gain: float) -> Layer:
    """Xavier-uniform weight times `gain`, zero bias (EDM's initialisation)."""
    nn.init.xavier_uniform_(module.weight)
    with torch.no_grad():
        module.weight.mul_(gain)
        if module.bias is not None:
            module.bias.zero_()
    return module


def _conv(cin: int, cout: int, kernel: int, gain: float = 1.0) -> nn.Conv2d:
    return _scaled_init(nn.Conv2d(cin, cout, kernel, padding=kernel // 2), gain)


def _linear(cin: int, cout: int, bias: bool = True) -> nn.Linear:
    return _scaled_init(nn.Linear(cin, cout, bias=bias), 1.0)


class Block(nn.Module):
    """Residual block with optional self-attention and 2x resampling (box filter [1, 1]).

    With `identity` the sum is not scaled and the residual starts at 0: what it gives is what it takes until it is
    trained, so that a trained network may be made deeper.
    """

    def __init__(self, cin, cout, embedding, *, up=False, down=False, attention=False, dropout=0.0, identity=False):
        super().__init__()
        self.up, self.down, self.dropout, self.attention = up, down, dropout, attention
        self.scale = 1.0 if identity else SKIP_SCALE
        self.norm0 = _norm(cin)
        self.conv0 = _conv(cin, cout, 3)
        self.affine = _linear(embedding, cout)
        self.norm1 = _norm(cout)
        self.conv1 = _conv(cout, cout, 3, gain=0.0 if identity else 1e-5)
        self.skip = _conv(cin, cout, 1) if cin != cout or up or down else None
        if attention:
            self.norm2 = _norm(cout)
            self.qkv = _conv(cout, 3 * cout, 1, gain=math.sqrt(0.2))
            self.proj = _conv(cout, cout, 1, gain=1e-5)

    def _resample(self, x: Tensor) -> Tensor:
        if self.up:
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return F.avg_pool2d(x, 2) if self.down else x

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv0(self._resample(F.silu(self.norm0(x))))
        h = F.silu(self.norm1(h + self.affine(emb)[:, :, None, None]))
        h = self.conv1(F.dropout(h, self.dropout, self.training) if self.dropout else h)
        x = self._resample(x)
        x = (h + (x if self.skip is None else self.skip(x))) * self.scale
        if self.attention:
            b, c, height, width = x.shape
            # contiguous: a strided view sends CPU attention to the wrong kernel for 1-pixel maps
            q, k, v = self.qkv(self.norm2(x)).reshape(b, 3, c, height * width).transpose(2, 3).contiguous().unbind(1)
            a = F.scaled_dot_product_attention(q, k, v)  # one head, scale 1/sqrt(c)
            x = (x + self.proj(a.transpose(1, 2).reshape(b, c, height, width))) * SKIP_SCALE
        return x


class NoiseEmbedding(nn.Module):
    """Noise level, class label and augmentation label to one vector (EDM's mapping network)."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        width = config.base
        self.width, self.classes = width, config.classes
        self.label = _linear(config.classes, width) if config.classes else None
        self.augment = _linear(config.augment, width, bias=False) if config.augment else None
        self.layer0 = _linear(width, config.embedding)
        self.layer1 = _linear(config.embedding, config.embedding)

    def forward(self, c_noise: Tensor, labels: Tensor | None = None, augment: Tensor | None = None) -> Tensor:
        """The embedding (B, config.embedding).

        Args:
            c_noise: (B,) ln(sigma) / 4.
            labels: (B,) int64, -1 = "no class"; None is -1 for all.
            augment: (B, config.augment); None is zeros.

        Raises:
            ValueError: a label or an augmentation that this network does not know.
        """
        if labels is not None:
            self._check_labels(labels, len(c_noise))
        if augment is not None and self.augment is None:
            raise Mistake("This network was built without augmentation labels: leave `augment` out.", "augment")
        half = self.width // 2
        freqs = 10000.0 ** (-torch.arange(half, dtype=torch.float32, device=c_noise.device) / (half - 1))
        angle = c_noise.float()[:, None] * freqs
        emb = torch.cat([angle.sin(), angle.cos()], dim=1)
        if self.label is not None:
            if labels is None:
                labels = torch.full(c_noise.shape, -1, dtype=torch.int64, device=c_noise.device)
            # "no class" is the all-zero one-hot row: only the bias remains
            one_hot = (labels[:, None] == torch.arange(self.classes, device=labels.device)).float()
            emb = emb + self.label(one_hot * math.sqrt(self.classes))
        if self.augment is not None:
            # zeros where none are given: nothing changes, and the weight has a gradient (of 0), without which training
            # by several processes stops
            zeros = emb.new_zeros(len(emb), self.augment.in_features) if augment is None else augment
            emb = emb + self.augment(zeros)
        return F.silu(self.layer1(F.silu(self.layer0(emb))))

    def _check_labels(self, labels: Tensor, n: int) -> None:
        if labels.shape != (n,) or labels.is_floating_point():
            raise Mistake(f"labels must hold one whole number a picture ({n} here), -1 for no class.", "labels")
        # looking at values would break a compiled graph in two; there they come from a training set
        if torch.compiler.is_compiling() or bool(((labels >= -1) & (labels < self.classes)).all()):
            return
        if not self.classes:
            raise Mistake("This network has no classes: leave `labels` out, or give -1.", "labels")
        raise Mistake(f"labels must be from 0 to {self.classes - 1}, or -1 for no class.", "labels")


class Deepening(nn.ModuleList):
    """The further blocks behind one level."""

    def __init__(self, config: UNetConfig, depth: tuple[int, ...], level: int):
        width = config.base * config.multipliers[level]
        super().__init__(
            Block(width, width, config.embedding, dropout=config.dropout, identity=True)
            for _ in range(depth[level] if depth else 0)
        )

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        for block in self:
            x = block(x, emb)
        return x


class Encoder(nn.Module):
    """Down path. Returns every skip tensor in the order made, then the bottleneck (= the last skip, deepened)."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.patch = config.patch_size
        cout = config.base
        side = config.resolution // config.patch_size
        layers: list[nn.Module] = [_conv(config.channels * config.patch_size**2, cout, 3)]
        for level, mult in enumerate(config.multipliers):
            if level:
                layers.append(Block(cout, cout, config.embedding, down=True, dropout=config.dropout))
            for _ in range(config.blocks):
                cin, cout = cout, config.base * mult
                attention = side >> level in config.attention
                layers.append(Block(cin, cout, config.embedding, attention=attention, dropout=config.dropout))
        self.layers = nn.ModuleList(layers)
        self.per_level = 1 + config.blocks  # layers of one, that which reduces the picture included
        self.deeper = nn.ModuleList(
            Deepening(config, config.encoder_depth, level) for level in range(len(config.multipliers))
        )

    def forward(self, x: Tensor, emb: Tensor) -> list[Tensor]:
        if self.patch > 1:
            x = F.pixel_unshuffle(x, self.patch)
        x = self.layers[0](x)
        skips = [x]
        for i, layer in enumerate(self.layers[1:], start=1):
            x = layer(x, emb)
            skips.append(x)
            if (i + 1) % self.per_level == 0:
                x = self.deeper[i // self.per_level](x, emb)
        return [*skips, x]


class Decoder(nn.Module):
    """Up path. Takes what `Encoder` returns (possibly evolved or masked in between)."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.patch = config.patch_size
        skips = [shape[0] for shape in config.skip_shapes()[:-1]]
        self.n_inputs = len(skips) + 1
        side = config.resolution // config.patch_size
        cout = skips[-1]
        kw = {"embedding": config.embedding, "dropout": config.dropout}
        layers: list[nn.Module] = []
        takes: list[bool] = []  # whether the layer concatenates a skip
        self.deeper = nn.ModuleDict()  # behind which layer
        for level in reversed(range(len(config.multipliers))):
            if level == len(config.multipliers) - 1:
                layers += [Block(cout, cout, attention=True, **kw), Block(cout, cout, **kw)]
                takes += [False, False]
            else:
                layers.append(Block(cout, cout, up=True, **kw))
                takes.append(False)
            for index in range(config.blocks + 1):
                cin, cout = cout + skips.pop(), config.base * config.multipliers[level]
                attention = index == config.blocks and side >> level in config.attention
                layers.append(Block(cin, cout, attention=attention, **kw))
                takes.append(True)
            self.deeper[str(len(layers) - 1)] = Deepening(config, config.decoder_depth, level)
        self.layers, self.takes = nn.ModuleList(layers), takes
        self.norm = _norm(cout)
        self.conv = _conv(cout, config.channels * config.patch_size**2, 3, gain=1e-5)

    def forward(self, z: list[Tensor], emb: Tensor) -> Tensor:
        if len(z) != self.n_inputs:
            raise Mistake(
                f"The decoder takes {self.n_inputs} latents (every skip, then the bottleneck), got {len(z)}.", "z"
            )
        x, skips = z[-1], list(z[:-1])
        for i, (layer, take) in enumerate(zip(self.layers, self.takes, strict=True)):
            x = layer(torch.cat([x, skips.pop()], dim=1) if take else x, emb)
            if str(i) in self.deeper:
                x = self.deeper[str(i)](x, emb)
        x = self.conv(F.silu(self.norm(x)))
        return F.pixel_shuffle(x, self.patch) if self.patch > 1 else x


class UNet(nn.Module):
    """Encoder, decoder and the noise embedding that both consult, each for its own noise level.

    `forward` is the plain network F(x, c_noise); `encode` and `decode` are its halves.
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        self.embedding = NoiseEmbedding(config)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def encode(self, x: Tensor, c_noise: Tensor, labels=None, augment=None) -> list[Tensor]:
        """x (B, C, H, W), c_noise (B,) -> one tensor for every skip, then the bottleneck."""
        return self.encoder(x, self.embedding(c_noise, labels, augment))

    def decode(self, z: list[Tensor], c_noise: Tensor, labels=None, augment=None) -> Tensor:
        """The list that `encode` returns -> (B, C, H, W)."""
        return self.decoder(z, self.embedding(c_noise, labels, augment))

    def take(self, other: UNet) -> None:
        """The weights of a network that has fewer further blocks, or as many; what it lacks stays as it is.

        Raises:
            ValueError: the networks differ in something else.
        """
        plain = [replace(net.config, dropout=0.0, encoder_depth=(), decoder_depth=()) for net in (self, other)]
        unknown = other.state_dict().keys() - self.state_dict().keys()
        if plain[0] != plain[1] or unknown:
            raise Mistake("Weights can only be taken from a network that differs in its further blocks alone.", "other")
        self.load_state_dict(other.state_dict(), strict=False)

    def forward(self, x: Tensor, c_noise: Tensor, labels=None, augment=None) -> Tensor:
        emb = self.embedding(c_noise, labels, augment)
        return self.decoder(self.encoder(x, emb), emb)


def count_parameters(module: nn.Module) -> int:
    """Numbers held by the parameters of a module, trained or not."""
    return sum(p.numel() for p in module.parameters())
