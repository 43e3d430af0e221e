"""The one rule for devices: what a run uses, and where numbers in float64 can live."""

from __future__ import annotations

import torch
from torch import Tensor

WITHOUT_FLOAT64 = ("mps",)  # Apple's GPUs refuse every tensor of doubles


def default_device() -> torch.device:
    """Where a run computes: a CUDA GPU if PyTorch sees one, else the CPU; Apple's GPU only for who moves a model."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def float64_device(device: torch.device | str) -> torch.device:
    """The device itself, or the CPU where it has no float64."""
    device = torch.device(device)
    return torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device


def to_float64(value: Tensor | float) -> Tensor:
    """A number or tensor as float64, on its own device or on the CPU where that has no float64.

    Moved before it is widened: in one step the old device would be asked for doubles.
    """
    if not isinstance(value, Tensor):
        return torch.as_tensor(value, dtype=torch.float64)
    return value.to(float64_device(value.device)).double()
