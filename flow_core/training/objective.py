"""Losses of flow models (docs/flow.md, "Networks and losses"), and the task that the training loop runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from flow_core.model import FlowModel
from flow_core.paths import over
from foundation.mistakes import Mistake
from foundation.training.loop import Task

LOSS_WEIGHTS = ("balanced", "plain", "velocity")
T_MIN, T_MAX = 1e-4, 1 - 1e-4  # the conditional velocity of a bridge is infinite at both ends

Draw = Callable[[int, torch.Generator], tuple[Tensor, ...]]


@dataclass(frozen=True)
class ObjectiveConfig:
    """How errors count.

    Attributes:
        weight: of the x1 loss: "balanced" divides the squared error by c_out^2, so that every t asks the network for
            numbers of one size (ours); "plain" is the mean squared error (the public code's, up to a factor);
            "velocity", for sigma = 0 alone, divides it by (1 - t)^2, which is the squared error of the velocity: the
            regression of conditional flow matching, with a network that says x1.
        eps_weight: of the eps head's mean squared error.
        within_classes: pair noise and data by transport within each class of the minibatch alone, so that the noise of
            every class is N(0, I), from which samplers start it; for data with labels.
    """

    weight: str = "balanced"
    eps_weight: float = 1.0
    within_classes: bool = False

    def __post_init__(self) -> None:
        if self.weight not in LOSS_WEIGHTS:
            raise Mistake(f"weight must be one of {', '.join(LOSS_WEIGHTS)}, not {self.weight!r}.", "weight")
        if not 0 <= self.eps_weight <= 1e3:
            raise Mistake(f"eps_weight must be from 0 to 1000, not {self.eps_weight!r}.", "eps_weight")


def draw_times(n: int, generator: torch.Generator) -> Tensor:
    """n times, uniform on [T_MIN, T_MAX], one in each of n equal parts, which lowers the gradient's variance."""
    u = (torch.arange(n) + torch.rand(n, generator=generator)) / n
    return T_MIN + (T_MAX - T_MIN) * u[torch.randperm(n, generator=generator)]


def x1_loss(model: FlowModel, x: Tensor, t: Tensor, x1: Tensor, eps: Tensor, config: ObjectiveConfig, *extras) -> dict:
    """Parts of the x1 (and eps) loss as scalars, "loss" their sum; x = x_t of x1 and eps, all (B, *dim), t (B,)."""
    out = model.raw(x, t, *extras)
    c_in, skip, scale = model.scales(over(t, x))
    error = (x1 - skip * x) / scale - out[0]
    if config.weight == "plain":
        error = scale * error
    elif config.weight == "velocity":  # scale / (1 - t) without the division: sqrt(V0) = 1 - t where sigma = 0
        error = model.flow.data_std * c_in * error
    parts = {"x1": error.square().mean()}
    if len(out) > 1:
        parts["eps"] = (out[1] - eps).square().mean()
        return {"loss": parts["x1"] + config.eps_weight * parts["eps"], **parts}
    return {"loss": parts["x1"]}


def velocity_loss(model: FlowModel, x: Tensor, t: Tensor, u: Tensor, *extras: Tensor) -> dict:
    """Mean squared error of the velocity against the conditional one u (B, *dim), in the network's unit."""
    scale = (1 + model.flow.data_std**2) ** 0.5
    return {"loss": (model.raw(x, t, *extras)[0] - u / scale).square().mean()}


class FlowTask(Task):
    """Trains a flow model on data that a function draws.

    A coupled x1 takes its extras along. Where these are class labels, transport within a minibatch of all classes
    pairs each class with a part of the noise of its own: given the class, x0 is then not N(0, I), from which samplers
    start it, but with `within_classes`. Several workers each couple their own share of the batch.

    Args:
        model: network and path.
        draw_data: (n, generator) -> x1 (n, *dim) float32, and what else the network takes, e.g. labels (n,).
        config: weights of the loss.
        draw_source: (n, generator) -> x0 (n, *dim); None for standard normal noise.

    Raises:
        ValueError: the weight "velocity" on a path with noise, where it is not the error of the velocity.
    """

    def __init__(
        self,
        model: FlowModel,
        draw_data: Draw,
        config: ObjectiveConfig | None = None,
        draw_source: Callable[[int, torch.Generator], Tensor] | None = None,
    ):
        super().__init__()
        self.draw_source = draw_source
        self.model, self.draw_data, self.config = model, draw_data, config or ObjectiveConfig()
        if self.config.weight == "velocity" and model.path.sigma > 0:
            raise Mistake(
                "weight = 'velocity' is the error of the velocity only on a path without noise: "
                "set flow.sigma to 0, or objective.weight to 'balanced'.",
                "flow.sigma",
            )

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        x1, *extras = self.draw_data(n, generator)
        x0 = self.draw_source(n, generator) if self.draw_source else torch.randn(x1.shape, generator=generator)
        if not self.model.path.independent:
            index = self._pairs(x0, x1, extras, generator)
            x1, extras = x1[index], [e[index] for e in extras]
        t = draw_times(n, generator)
        return x0, x1, t, torch.randn(x1.shape, generator=generator), *extras

    def _pairs(self, x0: Tensor, x1: Tensor, extras: list[Tensor], generator: torch.Generator) -> Tensor:
        path = self.model.path
        if not self.config.within_classes:
            return path.couple(x0, x1, generator)
        if not extras:
            raise Mistake(
                "objective.within_classes is for data with labels: set it to false.", "objective.within_classes"
            )
        index = torch.empty(len(x1), dtype=torch.int64)
        for label in extras[0].unique():
            rows = torch.nonzero(extras[0] == label)[:, 0]
            index[rows] = rows[path.couple(x0[rows], x1[rows], generator)]
        return index

    def forward(self, progress: Tensor, *drawn: Tensor) -> dict[str, Tensor]:
        x0, x1, t, eps, *extras = drawn
        path = self.model.path
        x = path.sample(x0, x1, t, eps)
        if self.model.flow.predicts == "velocity":
            return velocity_loss(self.model, x, t, path.field(x0, x1, x, t), *extras)
        return x1_loss(self.model, x, t, x1, eps, self.config, *extras)
