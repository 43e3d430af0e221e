"""Training of the EDM teacher."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from foundation.data.picture_data import draw_pictures
from foundation.metrics.perceptual import PerceptualDistance
from foundation.mistakes import Mistake
from foundation.training.loop import Task
from koopman_core.edm import EDM, draw_training_sigma, edm_loss


@dataclass(frozen=True)
class TeacherConfig:
    """How noise is drawn and what a denoised picture is asked for.

    Attributes:
        sigma_mean, sigma_std: of ln sigma.
        label_dropout: share of the pictures that are shown without their class.
        flip: mirror half of the pictures.
        lpips_weight: of LPIPS between the denoised picture and the clean one, beside the weighted squared error; 0 for
            none. For the last stretch of a training (ours): a mean of several pictures, which is what squared error
            asks for, lies far from each of them in LPIPS, so only little noise, which leaves one, may be judged by it.
        lpips_share: share of each batch that it is asked of, those with the least noise; of the others it counts 0.
    """

    sigma_mean: float = -1.2
    sigma_std: float = 1.2
    label_dropout: float = 0.1
    flip: bool = False
    lpips_weight: float = 0.0
    lpips_share: float = 0.4

    def __post_init__(self) -> None:
        if self.lpips_weight < 0:
            raise Mistake("lpips_weight is 0, for no LPIPS, or more.", "lpips_weight")
        if not 0 < self.lpips_share <= 1:
            raise Mistake("lpips_share lies above 0 and at most at 1.", "lpips_share")


class TeacherTask(Task):
    """EDM denoising loss on a pool of pictures.

    Args:
        model: the denoiser.
        pictures: uint8 (N, H, W, 3).
        labels: int64 (N,), -1 = no class.
        perceptual: LPIPS; None only with lpips_weight = 0.

    Raises:
        ValueError: lpips_weight > 0 without LPIPS.
    """

    def __init__(
        self,
        model: EDM,
        pictures: np.ndarray,
        labels: np.ndarray,
        config: TeacherConfig,
        perceptual: PerceptualDistance | None = None,
    ):
        super().__init__()
        if perceptual is None and config.lpips_weight > 0:
            raise Mistake(
                "lpips_weight > 0 needs a perceptual distance: give a backbone, or set teacher.lpips_weight=0.",
                "backbone",
            )
        self.model, self.config, self.perceptual = model, config, perceptual
        self.pictures, self.labels = pictures, labels

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        c = self.config
        x, labels = draw_pictures(self.pictures, self.labels, n, generator, flip=c.flip, label_dropout=c.label_dropout)
        sigma = draw_training_sigma(n, generator, c.sigma_mean, c.sigma_std)
        if c.lpips_weight:
            sigma = sigma.sort().values  # the least noise first, so that a compiled step sees one shape
        eps = torch.randn(x.shape, generator=generator)
        return x, labels, sigma, eps

    def forward(self, progress: Tensor, *drawn: Tensor) -> dict[str, Tensor]:
        x, labels, sigma, eps = drawn
        denoised = self.model(x + sigma[:, None, None, None] * eps, sigma, labels)
        loss = edm_loss(denoised, x, sigma).mean()
        parts = {"loss": loss}
        if self.perceptual is not None and self.config.lpips_weight:
            rows = max(1, round(self.config.lpips_share * len(x)))
            parts["lpips"] = self.perceptual(denoised[:rows], x[:rows]).mean()
            parts["loss"] = loss + self.config.lpips_weight * self.config.lpips_share * parts["lpips"]
        return parts
