"""Training of the EDM teacher."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foundation.training import Task
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
        index = torch.randint(len(self.pictures), (n,), generator=generator).numpy()
        x = torch.from_numpy(self.pictures[index]).permute(0, 3, 1, 2).float() / 127.5 - 1
        if self.config.flip:
            mirrored = torch.rand(n, generator=generator) < 0.5
            x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
        labels = torch.from_numpy(self.labels[index])
        dropped = torch.rand(n, generator=generator) < self.config.label_dropout
        labels = torch.where(dropped, torch.full_like(labels, -1), labels)
        sigma = draw_training_sigma(n, generator, self.config.sigma_mean, self.config.sigma_std)
        eps = torch.randn(x.shape, generator=generator)
        return x.contiguous(), labels, sigma, eps

    def forward(self, progress, x, labels, sigma, eps) -> dict[str, Tensor]:
        return {"loss": edm_loss(self.model, x, sigma, eps, labels).mean()}
