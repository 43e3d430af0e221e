"""What can be a teacher: any network that denoises.

`EDM` is one. `VPDenoiser` makes one of a noise-prediction network on a discrete variance-preserving schedule (Ho et al.
2020; diffusers' `UNet2DModel`), whose picture at level k is a_k x_0 + sqrt(1 - a_k^2) eps: divided by a_k that is
x_0 + sigma_k eps with sigma_k = sqrt(1 - a_k^2) / a_k, EDM's form (Karras et al. 2022, appendix C.1). Own code comes in
by its name, "package.module:factory".
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from foundation.files.checkpoints import CheckpointError
from foundation.files.models import Model
from foundation.mistakes import Mistake
from koopman_core.edm import SIGMA_MAX, SIGMA_MIN, expand, karras_sigmas
from koopman_core.hub import MODEL_FILE
from koopman_core.model import load_teacher


@runtime_checkable
class Denoiser(Protocol):
    """D(x; sigma), the mean of clean pictures given x = picture + sigma * noise.

    Attributes:
        picture_shape: (C, H, W).
        classes: number of class labels, 0 for none.
        sigma_min, sigma_max: the noise levels that it knows, 0 < sigma_min < sigma_max.
    """

    @property
    def picture_shape(self) -> tuple[int, int, int]: ...
    @property
    def classes(self) -> int: ...
    @property
    def sigma_min(self) -> float: ...
    @property
    def sigma_max(self) -> float: ...

    def __call__(self, x: Tensor, sigma: Tensor | float, labels: Tensor | None = None) -> Tensor:
        """x (B, C, H, W), sigma scalar or (B,), labels (B,) int64 with -1 = no class -> (B, C, H, W)."""
        ...


def sampling_sigmas(denoiser: Denoiser, steps: int) -> Tensor:
    """The Karras grid between eps = 0.002 and T = 80, cut to the levels that the denoiser knows; float64, falling.

    Raises:
        ValueError: it does not reach T: trajectories start there.
    """
    if denoiser.sigma_max < SIGMA_MAX:
        raise Mistake(
            f"This denoiser knows noise up to sigma = {denoiser.sigma_max:.4g} only, but trajectories start at "
            f"{SIGMA_MAX:.0f}: choose a teacher that was trained on more noise.",
            "teacher",
        )
    return karras_sigmas(steps, sigma_min=max(SIGMA_MIN, denoiser.sigma_min))


def device_of(denoiser: Denoiser) -> torch.device:
    """Where its weights are; the CPU where it has none."""
    parameters = denoiser.parameters() if isinstance(denoiser, nn.Module) else iter(())
    return next(parameters, torch.zeros(())).device


@contextlib.contextmanager
def strict_fp32() -> Iterator[None]:
    """No TF32 inside: cuDNN's default rounds the factors of fp32 convolutions to 10 bits; the CPU is not concerned."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    try:
        cudnn.allow_tf32 = matmul.allow_tf32 = False
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


class VPDenoiser(Model):
    """D(x; sigma) = x - sigma eps(x / sqrt(1 + sigma^2), t(sigma)), t interpolated in ln sigma between whole steps.

    Its weights cannot start a student: that takes the U-Net of `foundation.networks.unet`.

    Args:
        network: eps(x, t) or eps(x, t, labels), t float (B,) in [0, N - 1]; what it returns, or that one's `sample`.
        alphas_cumprod: (N,) falling, a_k^2.
        picture_shape: (C, H, W).
        classes: number of class labels, 0 for none; such a network knows no "no class".

    Raises:
        ValueError: not a falling schedule within (0, 1).
    """

    log_sigmas: Tensor  # (N,) float64, rising

    def __init__(
        self, network: nn.Module, alphas_cumprod: Tensor, picture_shape: tuple[int, int, int], classes: int = 0
    ):
        super().__init__()
        a2 = torch.as_tensor(alphas_cumprod, dtype=torch.float64, device="cpu")
        if a2.ndim != 1 or len(a2) < 2 or not bool((a2.diff() < 0).all()) or not 0 < float(a2[-1]) < float(a2[0]) < 1:
            raise Mistake("alphas_cumprod must fall, within (0, 1), over two steps or more.", "alphas_cumprod")
        channels, height, width = picture_shape
        self.network, self.picture_shape, self.classes = network, (channels, height, width), classes
        self.register_buffer("log_sigmas", ((1 - a2) / a2).log() / 2)
        self.sigma_min, self.sigma_max = (math.exp(float(self.log_sigmas[i])) for i in (0, -1))

    def step_of(self, sigma: Tensor) -> Tensor:
        """The step t (B,), not rounded, of noise levels (B,); those outside of the schedule take its nearer end."""
        levels, wanted = self.log_sigmas, sigma.to(self.log_sigmas).log()
        high = torch.searchsorted(levels, wanted).clamp(1, len(levels) - 1)
        share = (wanted - levels[high - 1]) / (levels[high] - levels[high - 1])
        return (high - 1 + share.clamp(0, 1)).float()

    def forward(self, x: Tensor, sigma: Tensor | float, labels: Tensor | None = None) -> Tensor:
        """See `Denoiser`.

        Raises:
            ValueError: a class is missing or given to a network without.
        """
        if labels is not None and not self.classes and bool((labels >= 0).any()):
            raise Mistake("This network has no classes: leave `labels` out, or give -1.", "labels")
        if self.classes and (labels is None or bool((labels < 0).any())):
            raise Mistake(f"This network needs a class from 0 to {self.classes - 1} for every picture.", "labels")
        sigma = expand(sigma, x)
        s = sigma[:, None, None, None]
        extra = (labels,) if self.classes else ()
        eps = self.network(x * (1 + s**2).rsqrt(), self.step_of(sigma), *extra)
        return x - s * getattr(eps, "sample", eps).float()


def load_diffusers(folder: str | Path) -> VPDenoiser:
    """A `UNet2DModel` with its schedule, from a folder as diffusers saves it; nothing is downloaded.

    Args:
        folder: config.json and *.safetensors of the network, here or in `unet/`; scheduler_config.json, here or in
            `scheduler/`.

    Raises:
        CheckpointError: diffusers is not installed, or the folder holds something else.
    """
    folder = Path(folder)
    network, schedule = (_with(folder, *p) for p in (("config.json", "unet"), ("scheduler_config.json", "scheduler")))
    try:
        config, about = (json.loads(path.read_text(encoding="utf-8")) for path in (network, schedule))
        steps, low, high = about["num_train_timesteps"], about["beta_start"], about["beta_end"]
        kind, predicts = about.get("beta_schedule", "linear"), about.get("prediction_type", "epsilon")
        shape = config["out_channels"], config["sample_size"], config["sample_size"]
        classes = config.get("num_class_embeds") or 0
        whole = all(type(n) is int and 0 < n <= 10_000 for n in (steps, *shape)) and 0 < low < high < 1
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise CheckpointError(
            f"{folder} holds no diffusers network and schedule ({type(e).__name__}).", "folder"
        ) from None
    if not whole or kind not in ("linear", "scaled_linear") or predicts != "epsilon" or type(classes) is not int:
        raise CheckpointError(
            f"{folder} has a schedule or prediction that is not known here: take a noise-prediction network on a "
            "linear or scaled_linear schedule.",
            "schedule",
        )
    try:
        from diffusers import UNet2DModel
    except ImportError:
        raise CheckpointError(
            "Networks of diffusers need the package: `pip install diffusers`; nothing else here does.", "diffusers"
        ) from None
    try:
        unet = UNet2DModel.from_pretrained(network.parent, use_safetensors=True, local_files_only=True)
    except Exception as e:  # diffusers has errors of its own for every kind of damage
        raise CheckpointError(f"{folder} cannot be loaded by diffusers: {str(e)[:200]}", "folder") from None
    power = 2 if kind == "scaled_linear" else 1
    betas = torch.linspace(low ** (1 / power), high ** (1 / power), steps, dtype=torch.float64) ** power
    model = VPDenoiser(unet, (1 - betas).cumprod(0), shape, classes).eval().requires_grad_(False)
    model.card = {"name": f"{folder.name}-teacher", "kind": "noise prediction", "data": {"name": folder.name}}
    return model


def _with(folder: Path, name: str, inner: str) -> Path:
    here = folder / name
    return here if here.is_file() else folder / inner / name


def open_teacher(name: str | Path) -> Denoiser:
    """A teacher by whatever names it.

    Args:
        name: what `load_teacher` reads, a folder of diffusers, or "package.module:factory", a function of own code
            that takes nothing and returns a `Denoiser`.

    Raises:
        CheckpointError: no such thing, or what it gives is no denoiser.
    """
    text = str(name)
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text):
        return _from_factory(*text.split(":"))
    if Path(text).is_dir() and not (Path(text) / MODEL_FILE).is_file():
        return load_diffusers(text)
    return load_teacher(name)


def _from_factory(module: str, factory: str) -> Denoiser:
    try:
        made = getattr(importlib.import_module(module), factory)()
    except (ImportError, AttributeError, TypeError) as e:
        raise CheckpointError(f"{module}:{factory} cannot be called: {str(e)[:200]}", "factory") from None
    try:
        shape = tuple(made.picture_shape)
        whole = len(shape) == 3 and all(type(n) is int and n > 0 for n in shape) and type(made.classes) is int
        whole &= callable(made) and 0 < float(made.sigma_min) < float(made.sigma_max)
    except (AttributeError, TypeError, ValueError):
        whole = False
    if not whole:
        raise CheckpointError(
            f"What {module}:{factory} returns is no denoiser: it needs picture_shape, classes, sigma_min, sigma_max "
            "and a call with (x, sigma, labels).",
            "factory",
        )
    if isinstance(made, nn.Module):
        made.eval().requires_grad_(False)
    return made
