"""The task that trains mean velocities (`flow_core.mean_flow`), and which task a model needs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from flow_core.mean_flow import MeanFlowConfig, draw_intervals, identity, mean_flow_loss
from flow_core.model import FlowModel
from flow_core.training.objective import Draw, FlowTask, ObjectiveConfig
from foundation.networks.unet import UNetConfig


class MeanFlowTask(FlowTask):
    """Trains the mean velocities of a model, with the pairs and labels of `FlowTask`.

    Args:
        model, draw_data, config, draw_source: as there; of the config the coupling within classes alone is read.
        mean_flow: intervals and weights.
    """

    def __init__(
        self,
        model: FlowModel,
        draw_data: Draw,
        config: ObjectiveConfig | None = None,
        mean_flow: MeanFlowConfig | None = None,
        draw_source: Callable[[int, torch.Generator], Tensor] | None = None,
    ):
        super().__init__(model, draw_data, config, draw_source)
        self.mean_flow = mean_flow or MeanFlowConfig()
        self.compilable = not isinstance(model.config, UNetConfig)  # torch 2.13 traces no forward mode of GroupNorm

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        x0, x1, _, _, *extras = super().draw(step, n, generator)
        return x0, x1, *draw_intervals(n, self.mean_flow, generator), *extras

    def forward(self, progress: Tensor, *drawn: Tensor) -> dict[str, Tensor]:
        x0, x1, t, end, *extras = drawn
        path = self.model.path
        x = path.mean(x0, x1, t)
        average = lambda y, s, r: self.model.average(y, s, r, *extras)  # noqa: E731
        along = None
        if self.mean_flow.tangent == "net":
            with torch.no_grad():
                along = average(x, t, t)
        u, target = identity(average, x, t, end, path.field(x0, x1, x, t), along)
        return mean_flow_loss(u, target, self.mean_flow)


def task_of(
    model: FlowModel,
    draw_data: Draw,
    objective: ObjectiveConfig | None = None,
    mean_flow: MeanFlowConfig | None = None,
    draw_source: Callable[[int, torch.Generator], Tensor] | None = None,
) -> FlowTask:
    """The task of what a model predicts."""
    if model.flow.predicts == "average":
        return MeanFlowTask(model, draw_data, objective, mean_flow, draw_source)
    return FlowTask(model, draw_data, objective, draw_source)


def unread_sections(model: FlowModel) -> tuple[str, ...]:
    """Sections of a settings file that the training of a model leaves unread, for its card to leave out."""
    return () if model.flow.predicts == "average" else ("mean_flow",)
