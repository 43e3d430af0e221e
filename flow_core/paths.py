"""Probability paths from noise (t = 0) to data (t = 1): x_t = t x1 + (1 - t) x0 + std(t) eps, eps ~ N(0, I).

A path says how far x_t strays from the straight line and how x0 and x1 are paired. I-CFM, OT-CFM and SB-CFM: Tong et
al. 2023, arXiv 2302.00482; IDFF: arXiv 2409.14599. Times are scalar or (B,) and float64 stays float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from flow_core.couplings import COUPLINGS, check_pair, entropic_plan, exact_plan
from foundation.mistakes import Mistake


def over(t: Tensor | float, x: Tensor) -> Tensor:
    """A time, scalar or (B,), with as many axes as x (B, *dim), so that the two multiply."""
    t = torch.as_tensor(t, dtype=x.dtype, device=x.device)
    return t if t.ndim == 0 else t.reshape(-1, *[1] * (x.ndim - 1))


def _time(t: Tensor | float) -> Tensor:
    """A time as a tensor; a plain number becomes float64, which leaves float32 data float32."""
    return t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)


@dataclass(frozen=True)
class Path:
    """What the four paths share.

    Attributes:
        sigma: noise on the line, finite, >= 0; how it enters `std` is the subclass's.
        coupling: how a batch of x0 is paired with one of x1; "" is the path's own choice.
    """

    sigma: float = 0.0
    coupling: str = ""
    allowed: ClassVar[tuple[str, ...]] = COUPLINGS
    least: ClassVar[str] = "cannot be negative"
    bridge: ClassVar[bool] = False  # whether x_t given its ends is a Brownian bridge
    average: ClassVar[bool] = False  # whether its networks say mean velocities between two times
    scheduled: ClassVar[bool] = False  # whether x_t is alpha x1 + beta x0 with a schedule of its own

    def __post_init__(self) -> None:
        number = isinstance(self.sigma, int | float) and not isinstance(self.sigma, bool)
        if not number or not math.isfinite(self.sigma) or self.sigma < 0:
            raise Mistake(f"sigma must be a finite number and {self.least}, not {self.sigma!r}.", "sigma")
        object.__setattr__(self, "sigma", float(self.sigma))
        if not self.coupling:
            object.__setattr__(self, "coupling", self.allowed[0])
        if self.coupling not in self.allowed:
            raise Mistake(
                f"{type(self).__name__} pairs by {' or '.join(self.allowed)} coupling, not {self.coupling!r}.",
                "coupling",
            )

    @property
    def independent(self) -> bool:
        """Whether x0 ~ N(0, I) knows nothing of x1: then one data prediction gives the score too."""
        return self.coupling == "independent"

    @property
    def start_std(self) -> float:
        """Standard deviation of the law at t = 0, where samplers start: 1 on a bridge, sqrt(1 + sigma^2) elsewhere."""
        return math.sqrt(1 + float(self.std(torch.zeros((), dtype=torch.float64))) ** 2)

    def alpha(self, t: Tensor | float) -> Tensor:
        """Weight of x1 in x_t: t, but on scheduled paths."""
        return _time(t)

    def mean(self, x0: Tensor, x1: Tensor, t: Tensor | float) -> Tensor:
        """Mean of x_t given both ends: t x1 + (1 - t) x0."""
        t = over(t, x1)
        return t * x1 + (1 - t) * x0

    def std(self, t: Tensor | float) -> Tensor:
        """Standard deviation of x_t given both ends, of the shape of t."""
        raise NotImplementedError

    def sample(self, x0: Tensor, x1: Tensor, t: Tensor | float, eps: Tensor) -> Tensor:
        """x_t for given ends and noise, all (B, *dim)."""
        return self.mean(x0, x1, t) + self.std(over(t, x1)) * eps

    def field(self, x0: Tensor, x1: Tensor, x: Tensor, t: Tensor | float) -> Tensor:
        """Velocity of x = x_t given both ends: x1 - x0 + (std'/std)(x - mean).

        (1) of docs/flow.md, "Velocity and score".
        """
        raise NotImplementedError

    def pull(self, t: Tensor | float) -> Tensor:
        """Factor p of the score in v = (x1_hat - x)/(1 - t) - p score: std^2/(1 - t) + (std^2)'/2.

        For std = sigma sqrt(t (1 - t)) it is sigma^2/2 at every t: (3) of docs/flow.md, "Velocity and score".
        """
        raise NotImplementedError

    def noise_variance(self, t: Tensor | float) -> Tensor:
        """V0, the variance of x_t given x1 alone for independent x0 ~ N(0, I): (1 - t)^2 + std^2."""
        t = _time(t)
        return (1 - t) ** 2 + self.std(t) ** 2

    def law(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """x_t given x1 alone for independent x0: weight of x1 and variance, `alpha` and `noise_variance`."""
        return self.alpha(t), self.noise_variance(t)

    def time_of(self, level: Tensor) -> Tensor:
        """The time at which sqrt(V0) / alpha, the noise-to-data ratio for independent x0 ~ N(0, I), has a value.

        Args:
            level: float64 of any shape, not below the ratio at t = 1; infinite at t = 0.
        """
        raise NotImplementedError

    def couple(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Pairs a batch: int64 (B,), x0[i] belongs to x1[index[i]]; the generator serves the entropic plan only.

        Raises:
            ValueError: batches of other sizes, or an entropic plan that does not converge.
        """
        check_pair(x0, x1)
        if self.independent:
            return torch.arange(len(x1), device=x1.device)
        if self.coupling == "exact" or self.sigma == 0:
            return exact_plan(x0, x1)
        # the Schroedinger bridge of a Brownian motion of variance sigma^2 a unit of time
        plan = entropic_plan(x0, x1, 2 * self.sigma**2)
        return torch.multinomial(plan.softmax(1), 1, generator=generator)[:, 0]


class _Straight(Path):
    def std(self, t: Tensor | float) -> Tensor:
        """Constant: sigma."""
        return torch.full_like(_time(t), self.sigma)

    def field(self, x0: Tensor, x1: Tensor, x: Tensor, t: Tensor | float) -> Tensor:
        """x1 - x0 at every x and t."""
        del x, t
        return x1 - x0

    def pull(self, t: Tensor | float) -> Tensor:
        """sigma^2 / (1 - t)."""
        return self.sigma**2 / (1 - _time(t))

    def time_of(self, level: Tensor) -> Tensor:
        """1 / t from the quadratic equation of (1 - t)^2 + sigma^2 = level^2 t^2."""
        c = 1 + self.sigma**2
        return c / (1 + (c * level**2 - self.sigma**2).clamp_min(0).sqrt())


class ICFM(_Straight):
    """Independent conditional flow matching: constant std sigma, x0 and x1 independent.

    With sigma > 0 the law at t = 0 is N(0, (1 + sigma^2) I), and at t = 1 that of the data blurred by sigma.
    """

    allowed = ("independent",)


class OTCFM(_Straight):
    """Optimal-transport conditional flow matching: as I-CFM, paired by the exact plan of each minibatch."""

    allowed = ("exact",)


class MeanFlow(_Straight):
    """I-CFM's path without noise, or OT-CFM's, for networks that say its mean velocity between two times.

    Geng et al. 2025, arXiv 2505.13447 (independent); see `flow_core.mean_flow`.
    """

    allowed = ("independent", "exact")
    average = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma != 0:
            raise Mistake(
                f"The mean velocity is that of a flow without noise: sigma must be 0, not {self.sigma!r}.", "sigma"
            )


class Scheduled(Path):
    """x_t = alpha(t) x1 + beta(t) x0 for independent x0 ~ N(0, I), without further noise; beta(0) = 1.

    With x0 taken out, v = (beta'/beta) x + (alpha' - alpha beta'/beta) x1_hat.
    """

    allowed = ("independent",)
    scheduled = True

    def beta(self, t: Tensor | float) -> Tensor:
        """Weight of x0, of the shape of t."""
        raise NotImplementedError

    def rates(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Derivatives of alpha and beta, of the shape of t."""
        raise NotImplementedError

    def mean(self, x0: Tensor, x1: Tensor, t: Tensor | float) -> Tensor:
        """x_t itself: alpha x1 + beta x0."""
        t = over(t, x1)
        return self.alpha(t) * x1 + self.beta(t) * x0

    def std(self, t: Tensor | float) -> Tensor:
        """None beside the ends."""
        return torch.zeros_like(_time(t))

    def field(self, x0: Tensor, x1: Tensor, x: Tensor, t: Tensor | float) -> Tensor:
        """alpha' x1 + beta' x0."""
        del x
        grow, fall = self.rates(over(t, x1))
        return grow * x1 + fall * x0

    def noise_variance(self, t: Tensor | float) -> Tensor:
        """beta^2."""
        return self.beta(t) ** 2

    def weights(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Of x and of x1_hat in v, at t < 1."""
        (grow, fall), beta = self.rates(t), self.beta(t)
        return fall / beta, grow - self.alpha(t) * fall / beta


class Target(Scheduled):
    """Lipman et al. 2022 (arXiv 2210.02747), "optimal transport" conditional path: t x1 + (1 - (1 - sigma) t) x0.

    sigma in (0, 1] is what noise is left at t = 1.
    """

    least = "above 0 and at most 1 (0 is I-CFM's path: choose that one)"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.sigma <= 1:
            raise Mistake(f"sigma must be a finite number and {self.least}, not {self.sigma!r}.", "sigma")

    def beta(self, t: Tensor | float) -> Tensor:
        """1 - (1 - sigma) t."""
        return 1 - (1 - self.sigma) * _time(t)

    def rates(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """1 and sigma - 1."""
        one = torch.ones_like(_time(t))
        return one, (self.sigma - 1) * one

    def time_of(self, level: Tensor) -> Tensor:
        """1 / t = level + 1 - sigma."""
        return 1 / (level + 1 - self.sigma)


class VP(Scheduled):
    """Variance preserving, with the cosine schedule: sin(pi t/2) x1 + cos(pi t/2) x0 (Albergo et al. 2022).

    arXiv 2209.15571; the schedule of Nichol and Dhariwal 2021 without its offset.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma != 0:
            raise Mistake(f"This path takes no noise beside x0: sigma must be 0, not {self.sigma!r}.", "sigma")

    def alpha(self, t: Tensor | float) -> Tensor:
        """sin(pi t/2)."""
        return (math.pi / 2 * _time(t)).sin()

    def beta(self, t: Tensor | float) -> Tensor:
        """cos(pi t/2)."""
        return (math.pi / 2 * _time(t)).cos()

    def rates(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """(pi/2) cos(pi t/2) and -(pi/2) sin(pi t/2)."""
        angle = math.pi / 2 * _time(t)
        return math.pi / 2 * angle.cos(), -math.pi / 2 * angle.sin()

    def time_of(self, level: Tensor) -> Tensor:
        """tan(pi t/2) = 1 / level."""
        return 2 / math.pi * torch.atan2(torch.ones_like(level), level)


class _Bridge(Path):
    bridge = True
    least = "above 0 (a path without noise is I-CFM's: choose that one)"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma == 0:
            raise Mistake(f"sigma must be a finite number and {self.least}, not {self.sigma!r}.", "sigma")

    def std(self, t: Tensor | float) -> Tensor:
        """The Brownian bridge's: sigma sqrt(t (1 - t))."""
        t = _time(t)
        return self.sigma * (t * (1 - t)).sqrt()

    def field(self, x0: Tensor, x1: Tensor, x: Tensor, t: Tensor | float) -> Tensor:
        """x1 - x0 + (1 - 2t) / (2t (1 - t)) (x - mean), t inside (0, 1)."""
        s = over(t, x)
        return x1 - x0 + (1 - 2 * s) / (2 * s * (1 - s)) * (x - self.mean(x0, x1, t))

    def pull(self, t: Tensor | float) -> Tensor:
        """sigma^2 / 2."""
        return torch.full_like(_time(t), self.sigma**2 / 2)

    def noise_variance(self, t: Tensor | float) -> Tensor:
        """(1 - t)(1 - t + sigma^2 t): without the root, whose slope is infinite at t = 0."""
        t = _time(t)
        return (1 - t) * (1 - t + self.sigma**2 * t)

    def time_of(self, level: Tensor) -> Tensor:
        """1 / t = 1 - sigma^2/2 + sqrt(sigma^4/4 + level^2), from V0 = level^2 t^2, without its cancellation."""
        half = self.sigma**2 / 2 / level
        return 1 / (1 + level / (half + (half**2 + 1).sqrt()))


class SBCFM(_Bridge):
    """Schroedinger-bridge conditional flow matching; the plan is exact by default, its limit for small sigma."""

    allowed = ("exact", "entropic")


class IDFF(_Bridge):
    """IDFF's path (docs/flow.md, "Paths"): the bridge, independent as in the code of 2025, or paired as in 2024's."""

    allowed = COUPLINGS


PATHS: dict[str, type[Path]] = {
    "icfm": ICFM,
    "otcfm": OTCFM,
    "sbcfm": SBCFM,
    "idff": IDFF,
    "meanflow": MeanFlow,
    "target": Target,
    "vp": VP,
}


def make_path(name: str, sigma: float, coupling: str = "") -> Path:
    """A path by name.

    Args:
        name: "icfm", "otcfm", "sbcfm", "idff", "meanflow", "target", "vp".
        sigma: its noise.
        coupling: "independent", "exact", "entropic", or "" for the path's own.

    Raises:
        ValueError: unknown name, or a sigma or coupling that the path does not take.
    """
    if name not in PATHS:
        raise Mistake(f"path must be one of {', '.join(PATHS)}, not {name!r}.", "path")
    return PATHS[name](sigma, coupling)


PATH_NAMES = {
    "icfm": "I-CFM",
    "otcfm": "OT-CFM",
    "sbcfm": "SB-CFM",
    "idff": "IDFF",
    "meanflow": "MeanFlow",
    "target": "Target-CFM",
    "vp": "VP",
}
