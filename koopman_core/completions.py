"""Completions: the teacher goes on from a student's own guess (ours).

One call from noise has to foresee every choice that the teacher makes on its way, such as whether there is a hat. Where
it cannot, the nearest picture by any distance is a mean of what might be: haze. Here the student's guess y = f(x_T, T)
stands in the place of the teacher's denoised picture at one level sigma_k of the grid, with the trajectory's own noise:

    x_k = y + sigma_k eps,   x_T = T eps,

and the teacher goes on from there to the picture. Such a picture is a teacher's, without haze, and yet near to the
guess; how near to the teacher's whole trajectory depends on k. A student that is trained on completions is asked for
its own choices made clear. The levels before k are the whole trajectory's, so the path has a jump at k, where the guess
was wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from foundation.mistakes import Mistake
from koopman_core.edm import SIGMA_MAX
from koopman_core.model import KoopmanDiffusion

if TYPE_CHECKING:
    from koopman_core.denoiser import Denoiser


@dataclass(frozen=True)
class CompletionConfig:
    """Whose guess trajectories are completed from, and where.

    Attributes:
        student: file, as `koopman_core.load` reads it; "" for trajectories that are the teacher's alone.
        level: index in their grid from which the teacher goes on; N levels cost 2 N - 2 of its calls and one of the
            student's, one less than the whole trajectory.
    """

    student: str = ""
    level: int = 5

    def __post_init__(self) -> None:
        if self.level < 1:
            raise Mistake("level must be at least 1: level 0 would be the whole trajectory.", "level")


class Guess:
    """A student's picture from noise, and the level at which the teacher takes it up.

    Args:
        student: f.
        level: k, at least 1.
        teacher: whose trajectories are completed.

    Raises:
        ValueError: the student makes other pictures than the teacher.
    """

    def __init__(self, student: KoopmanDiffusion, level: int, teacher: Denoiser):
        if (student.picture_shape, student.config.classes) != (teacher.picture_shape, teacher.classes):
            raise Mistake("The student must make pictures of the same size and classes as the teacher.", "student")
        self.student, self.level = student, level

    @torch.no_grad()
    def state(self, x: Tensor, labels: Tensor, sigma: float, precision: str) -> Tensor:
        """x_k at level `sigma` for states `x` (B, C, H, W) at T; precision of the network is "fp32" or "bf16"."""
        eps = x / SIGMA_MAX
        with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
            return self.student.one_step(eps, labels).float() + sigma * eps
