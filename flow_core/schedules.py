"""A network of one path used on another: the same data and noise in other proportions at other times.

For independent x0 ~ N(0, I), x_t given x1 is alpha(t) x1 + sqrt(V0(t)) n on every path, so x / alpha is the data with
noise of level sqrt(V0) / alpha, and what a network says of x1 depends on these two alone. A state of path B is one of
path A at the time at which A has its level, scaled by the ratio of their alphas: flows of both from one noise end at
one point. Known of diffusion models (Karras et al. 2022, arXiv 2206.00364) and of flows (Lipman et al. 2024, arXiv
2412.06264).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from flow_core.fields import Prediction, data_prediction
from flow_core.paths import Path
from foundation.mistakes import Mistake


def level(path: Path, t: Tensor | float) -> Tensor:
    """Noise to data, sqrt(V0) / alpha, float64 of the shape of t: infinite at t = 0."""
    t = torch.as_tensor(t, dtype=torch.float64)
    return path.noise_variance(t).sqrt() / path.alpha(t)


def converted(network: Callable[..., Prediction], trained: Path, other: Path) -> Callable[..., Prediction]:
    """A network of one path as a network of another: (x, t) -> Prediction(x1).

    Args:
        network: (x, t) -> Prediction on `trained`.
        trained, other: paths with independent ends.

    Raises:
        ValueError: a path whose ends depend on each other, or one that ends at another noise than the other does.
    """
    if not (trained.independent and other.independent):
        raise Mistake(
            "Only paths from independent noise are the same but for times and scales: choose icfm, idff, target or vp.",
            "path",
        )
    ends = [float(p.noise_variance(torch.ones((), dtype=torch.float64)).sqrt()) for p in (trained, other)]
    if ends[0] > ends[1] + 1e-12:
        raise Mistake(
            f"The network has learned data under noise of {ends[0]:g} and more, and the other path ends with "
            f"{ends[1]:g}: take one that ends with no less.",
            "noise",
        )

    def predict(x: Tensor, t: Tensor, *extras: Tensor) -> Prediction:
        t64 = torch.as_tensor(t, dtype=torch.float64)
        then = trained.time_of(level(other, t64))
        # one ratio of two: that of the noise is 0/0 at the end, that of the data at the start
        noise = (trained.noise_variance(then) / other.noise_variance(t64)).sqrt()
        scale = torch.where(t64 < 0.5, noise, trained.alpha(then) / other.alpha(t64)).to(x.dtype)
        then = then.to(x.dtype)
        y = (scale if scale.ndim == 0 else scale.reshape(-1, *[1] * (x.ndim - 1))) * x
        return Prediction(x1=data_prediction(trained, y, then, network(y, then, *extras)))

    return predict
