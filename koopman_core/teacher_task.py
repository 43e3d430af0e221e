"""Training of the EDM teacher."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foundation.data.picture_data import draw_pictures
from foundation.training.loop import Task
from koopman_core.edm import EDM, draw_training_sigma, edm_loss


@dataclass(frozen=True)
class TeacherConfig:
    """Attributes: sigma_mean, sigma_std of ln sigma; label_dropout; flip (mirror half of the pictures)."""

    sigma_mean: float = -1.2
    sigma_std: float = 1.2
    label_dropout: float = 0.1
    flip: bool = False


class TeacherTask(Task):
    """EDM denoising loss on a pool of pictures.

    Args:
        model: the denoiser.
        pictures: uint8 (N, H, W, 3).
        labels: int64 (N,), -1 = no class.
    """

    def __init__(self, model: EDM, pictures: np.ndarray, labels: np.ndarray, config: TeacherConfig):
        super().__init__()
        self.model, self.config = model, config
        self.pictures, self.labels = pictures, labels

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        c = self.config
        x, labels = draw_pictures(self.pictures, self.labels, n, generator, flip=c.flip, label_dropout=c.label_dropout)
        sigma = draw_training_sigma(n, generator, c.sigma_mean, c.sigma_std)
        eps = torch.randn(x.shape, generator=generator)
        return x, labels, sigma, eps

    def forward(self, progress: Tensor, *drawn: Tensor) -> dict[str, Tensor]:
        x, labels, sigma, eps = drawn
        return {"loss": edm_loss(self.model, x, sigma, eps, labels).mean()}
