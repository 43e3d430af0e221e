"""Mean velocities of a flow between two times, and what they are learned from: MeanFlow, one call from noise to data.

Geng, Deng, Bai, Kolter and He 2025, arXiv 2505.13447, whose time runs from data to noise; here it runs from noise
(t = 0) to data (t = 1), so an interval begins at t and ends at r >= t. The mean velocity u carries a state over it:

    x_r = x_t + (r - t) u(x_t, t, r),        (r - t) u = integral of v along the flow from t to r

Differentiating the second along the flow at fixed r gives the MeanFlow identity, in which no integral is left:

    u(x, t, r) = v(x, t) + (r - t) (d/dt + v . grad) u(x, t, r)

A network is trained towards its right-hand side, held fixed, with the velocity given both ends in place of v.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flow_core.fields import Exact, Predict
from flow_core.paths import Path, over
from flow_core.samplers import cosine_grid, rk4
from foundation.mistakes import Mistake

TIME_LAWS = ("uniform", "logit-normal")
TANGENTS = ("pair", "net")
FEWEST_CALLS, MORE_CALLS = 8, 56  # of RK4 on cosine steps where a mean velocity is integrated, by its interval's length
EDGE = 1e-4  # no interval begins nearer than this to either end: the identity is not needed there


@dataclass(frozen=True)
class MeanFlowConfig:
    """How mean velocities are learned. The paper's choices are those of its section 5 and appendix.

    Attributes:
        share: of the batch with r != t; the rest learns the velocity alone. 0.25 in the paper's ImageNet runs, 0.75
            on CIFAR-10.
        adaptive: power p of the weight (|error|^2 + 1e-3)^-p of a sample, held fixed: 1 in the ImageNet runs, 0.75 on
            CIFAR-10; 0 is the squared error (ours, in the plane: there the error of one pair is mostly the spread of
            its velocity, which has few dimensions, and the weight would turn the mean that is learned into a mode).
        tangent: what velocity the derivative of u is taken along: "pair", that of the drawn pair of ends, as in the
            paper; "net", the network's own at an interval of no length (arXiv 2512.02012, there with a loss of the
            velocity): less spread where pairs cross, but it feeds the network's errors back, and in the plane it
            diverged within a hundred steps at the rate of the settings files here.
        times: what the two times of an interval are drawn from, "uniform" or "logit-normal": 1 - sigmoid(m + s n).
        mean, spread: m and s, in the paper's time, whose noise is at 1: -0.4 and 1 in its ImageNet runs, -2 and 2 on
            CIFAR-10.
    """

    share: float = 0.5
    adaptive: float = 0.0
    tangent: str = "pair"
    times: str = "uniform"
    mean: float = -0.4
    spread: float = 1.0

    def __post_init__(self) -> None:
        if self.times not in TIME_LAWS:
            raise Mistake(f"times must be one of {', '.join(TIME_LAWS)}, not {self.times!r}.", "times")
        if self.tangent not in TANGENTS:
            raise Mistake(f"tangent must be one of {', '.join(TANGENTS)}, not {self.tangent!r}.", "tangent")
        limits = {"share": (0, 1), "adaptive": (0, 2), "mean": (-10, 10), "spread": (0.01, 10)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise Mistake(f"{name} must be from {low} to {high}, not {getattr(self, name)!r}.", name)


def draw_intervals(n: int, config: MeanFlowConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Beginnings t and ends r >= t of n intervals, (n,) each, in [EDGE, 1 - EDGE]; a share 1 - `share` has length 0.

    Of two draws the earlier is the beginning; where they are to be one time, it is the first, so that the velocity is
    learned at times of the law that was asked for.
    """
    if config.times == "uniform":
        both = torch.rand(2, n, generator=generator)
    else:
        both = 1 - (config.mean + config.spread * torch.randn(2, n, generator=generator)).sigmoid()
    both = EDGE + (1 - 2 * EDGE) * both
    long = torch.arange(n) < round(config.share * n)
    t = torch.where(long, both.amin(0), both[0])
    return t, torch.where(long, both.amax(0), t)


def identity(
    average: Callable[[Tensor, Tensor, Tensor], Tensor],
    x: Tensor,
    t: Tensor,
    end: Tensor,
    v: Tensor,
    along: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Both sides of the MeanFlow identity, by one forward-mode derivative.

    Args:
        average: u(x, t, r); its derivative is taken in x and t.
        x: (B, *dim).
        t, end: (B,), the interval.
        v: (B, *dim) velocity at (x, t), or the velocity given both ends, whose mean that is.
        along: (B, *dim) velocity that the derivative is taken along; None is v.

    Returns:
        u(x, t, r), which gradients flow through, and v + (r - t) (dt + along . grad) u, which they do not.
    """
    with torch.autocast(x.device.type, enabled=False):  # it would cast weights, but no derivatives
        u, change = torch.func.jvp(
            lambda y, s: average(y, s, end), (x, t), (v if along is None else along, torch.ones_like(t))
        )[:2]
    return u, (v + over(end - t, x) * change).detach()


def mean_flow_loss(u: Tensor, target: Tensor, config: MeanFlowConfig) -> dict[str, Tensor]:
    """Squared error of each sample times its adaptive weight: "loss", the mean; "error", the mean without weights."""
    squared = (u - target).flatten(1).square().sum(1)
    weight = (squared.detach() + 1e-3) ** -config.adaptive
    return {"loss": (weight * squared).mean(), "error": squared.detach().mean()}


def exact_average(network: Predict, path: Path, x: Tensor, t: Tensor | float, end: Tensor | float) -> Tensor:
    """The mean velocity of a network's own flow from x at t to the end, integrated finely.

    Args:
        network: (x, t) -> Prediction.
        path: of the network.
        x: (B, *dim).
        t, end: one time each, 0 <= t <= end <= 1, t < 1.
    """
    t, length = float(t), float(end) - float(t)
    drift = Exact(path)
    if length <= 0:
        return drift(network, x, torch.tensor(t, dtype=x.dtype, device=x.device)).w  # type: ignore[arg-type]
    calls = FEWEST_CALLS + 4 * round(MORE_CALLS / 4 * length)
    return (rk4(network, x, drift, calls, spacing=lambda n: t + length * cosine_grid(n)).x - x) / length
