"""Guidance of a denoiser: away from a worse one, inside an interval of noise levels.

D_w(x; sigma) = D_guide + w (D - D_guide) for low <= sigma <= high, D outside. The guide is the teacher itself without
its class (classifier-free guidance, Ho and Salimans 2022, arXiv 2207.12598) or a worse teacher, an earlier or smaller
checkpoint (autoguidance, Karras et al. 2024, arXiv 2406.02507); the interval is Kynkäänniemi et al. 2024 (arXiv
2404.07724). A student learns from guided trajectories at no cost of its own.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from koopman_core.denoiser import Denoiser
from koopman_core.edm import SIGMA_MAX


@dataclass(frozen=True)
class GuidanceConfig:
    """Attributes.

    scale: w, 1 for none.
    low, high: noise levels between which it acts.
    guide: checkpoint of a worse teacher, "" for the teacher itself without its class.
    """

    scale: float = 1.0
    low: float = 0.0
    high: float = math.inf
    guide: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.scale <= 20:
            raise ValueError("guidance.scale must lie in [0, 20]; 1 is no guidance.")
        if not 0 <= self.low < self.high:
            raise ValueError("guidance.low must not be negative and must be below guidance.high.")


class Guided:
    """A guided denoiser, called like the teacher.

    Attributes:
        calls: network calls made so far, of teacher and guide together.

    Args:
        teacher: the denoiser D.
        config: scale and interval.
        guide: a worse denoiser of the same pictures; None for the teacher without its class.

    Raises:
        ValueError: the guide makes other pictures, or there is neither a guide nor a class to leave out.
    """

    def __init__(self, teacher: Denoiser, config: GuidanceConfig, guide: Denoiser | None = None):
        if guide is not None:
            if (teacher.picture_shape, teacher.classes) != (guide.picture_shape, guide.classes):
                raise ValueError("The guide must make pictures of the same size and classes as the teacher.")
        elif config.scale != 1 and not teacher.classes:
            raise ValueError("This teacher has no classes to leave out: give guidance.guide, a worse teacher.")
        self.teacher, self.config, self.guide = teacher, config, guide
        self.calls = 0

    def description(self) -> dict:
        """Scale, interval and guide as plain values, for the index of trajectories and for cards."""
        c = asdict(self.config)
        c["high"] = min(c["high"], SIGMA_MAX)  # JSON knows no infinity
        return c | {
            "guide": "class left out" if self.guide is None else getattr(self.guide, "card", {}).get("name", "")
        }

    def __call__(self, x: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """D_w(x; sigma); sigma is one level for the whole batch."""
        denoised = self.teacher(x, sigma, labels)
        self.calls += 1
        c = self.config
        if c.scale == 1 or not c.low <= float(sigma) <= c.high:
            return denoised
        if self.guide is not None:
            worse = self.guide(x, sigma, labels)
        elif labels is None or bool((labels < 0).all()):
            return denoised  # without a class there is nothing to lead towards
        else:
            worse = self.teacher(x, sigma, torch.full_like(labels, -1))
        self.calls += 1
        return worse + c.scale * (denoised - worse)
