"""Guidance of class-conditional flows by one number at sampling time, within an interval of t.

v_w = v_none + w (v_class - v_none) for low <= t <= high, v_class outside: classifier-free guidance (Ho and Salimans
2022, arXiv 2207.12598) of a velocity (Zheng et al. 2023, arXiv 2311.13443); the interval is Kynkaanniemi et al. 2024
(arXiv 2404.07724). At one (x, t) a velocity is an affine function of x1_hat, so the same weights guide x1_hat. With
w = 1 nothing changes; the law at t = 1 of any other w is no longer that of the class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from flow_core.fields import Prediction
from foundation.mistakes import Mistake

MAX_GUIDANCE = 20.0


@dataclass(frozen=True)
class Guidance:
    """Attributes: scale = w, 0 to 20, 1 for none; low, high = times between which it acts, within [0, 1]."""

    scale: float = 1.0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.scale <= MAX_GUIDANCE:
            raise Mistake(
                f"The guidance scale must be from 0 to {MAX_GUIDANCE:g}, 1 for none, not {self.scale!r}.", "scale"
            )
        if not 0 <= self.low <= self.high <= 1:
            raise Mistake(
                f"Guidance acts in an interval of t within [0, 1], not from {self.low!r} to {self.high!r}.", "interval"
            )

    def acts(self, t: float) -> bool:
        """Whether it changes anything at a time."""
        return self.scale != 1 and self.low <= t <= self.high


class Guided:
    """A guided network, called like the one of the class.

    Args:
        conditional: (x, t, ...) -> Prediction of the class.
        unconditional: the same without a class.
        guidance: scale and interval.

    Attributes:
        extra: calls of `unconditional` so far; samplers count the others.
    """

    def __init__(
        self, conditional: Callable[..., Prediction], unconditional: Callable[..., Prediction], guidance: Guidance
    ):
        self.conditional, self.unconditional, self.guidance = conditional, unconditional, guidance
        self.extra = 0

    def __call__(self, x: Tensor, t: Tensor, **more: Tensor) -> Prediction:
        """t is one time for the whole batch."""
        labelled, g = self.conditional(x, t, **more), self.guidance
        # a time that carries a tangent, as in Taylor-2, cannot be read: only where there is an interval
        if g.scale == 1 or ((g.low, g.high) != (0, 1) and not g.acts(float(t))):
            return labelled
        plain, w = self.unconditional(x, t, **more), g.scale
        self.extra += 1
        return Prediction(
            *(None if a is None or b is None else b + w * (a - b) for a, b in zip(labelled, plain, strict=True))
        )
