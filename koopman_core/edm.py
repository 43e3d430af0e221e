"""EDM: the diffusion teacher (Karras et al. 2022, arXiv 2206.00364), in our own words.

Noise levels `sigma` run from `SIGMA_MAX` (T) to `SIGMA_MIN` (eps). The probability-flow ODE is
dx/dsigma = (x - D(x; sigma)) / sigma with x_T ~ N(0, SIGMA_MAX^2 I).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from foundation.files.models import Model
from foundation.mistakes import Mistake
from foundation.networks.counting import CountedCalls
from foundation.networks.devices import to_float64
from foundation.networks.unet import UNet, UNetConfig

SIGMA_MIN, SIGMA_MAX, SIGMA_DATA, RHO = 0.002, 80.0, 0.5, 7.0


def karras_sigmas(steps: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX, rho: float = RHO) -> Tensor:
    """The `steps` noise levels of Karras et al. eq. 5, falling, float64 (the final 0 is the sampler's business).

    Raises:
        ValueError: fewer than 2 steps.
    """
    if steps < 2:
        raise Mistake(f"A Karras grid needs at least 2 steps, not {steps}.", "steps")
    u = torch.linspace(0, 1, steps, dtype=torch.float64)
    a, b = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    sigmas = (a + u * (b - a)) ** rho
    sigmas[0], sigmas[-1] = sigma_max, sigma_min  # exact ends, without the rounding of the power
    return sigmas


def c_in(sigma: Tensor) -> Tensor:
    """Scale of the network's input (Karras et al. table 1)."""
    return (sigma**2 + SIGMA_DATA**2).rsqrt()


def c_noise(sigma: Tensor) -> Tensor:
    """What the network is told of the noise level."""
    return sigma.log() / 4


def c_skip(sigma: Tensor) -> Tensor:
    """Weight of the input in the denoised picture."""
    return SIGMA_DATA**2 / (sigma**2 + SIGMA_DATA**2)


def c_out(sigma: Tensor) -> Tensor:
    """Weight of the network's output in the denoised picture."""
    return sigma * SIGMA_DATA * (sigma**2 + SIGMA_DATA**2).rsqrt()


def expand(sigma: Tensor | float, x: Tensor) -> Tensor:
    """A noise level as a float32 tensor (B,), whatever was given."""
    sigma = torch.as_tensor(sigma, dtype=torch.float32, device=x.device)
    return sigma.expand(x.shape[0]) if sigma.ndim == 0 else sigma


class EDM(Model):
    """The denoiser D(x; sigma) = c_skip x + c_out F(c_in x; c_noise) (Karras et al. eq. 7)."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        self.net = UNet(config)

    sigma_min, sigma_max = SIGMA_MIN, SIGMA_MAX  # what it is asked for; see `koopman_core.denoiser.Denoiser`

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        return self.config.channels, self.config.resolution, self.config.resolution

    @property
    def classes(self) -> int:
        return self.config.classes

    def forward(self, x: Tensor, sigma: Tensor | float, labels: Tensor | None = None, augment=None) -> Tensor:
        """x (B, C, H, W) noisy, sigma scalar or (B,), labels (B,) int64 with -1 = no class -> denoised (B, C, H, W)."""
        sigma = expand(sigma, x)
        s = sigma[:, None, None, None]
        f = self.net(c_in(s) * x, c_noise(sigma), labels, augment)
        return c_skip(s) * x + c_out(s) * f.float()


def draw_training_sigma(n: int, generator: torch.Generator, mean: float = -1.2, std: float = 1.2) -> Tensor:
    """ln sigma ~ N(mean, std^2) (Karras et al. table 1), stratified over the batch to lower the gradient's variance."""
    u = (torch.arange(n) + torch.rand(n, generator=generator)) / n
    z = torch.special.ndtri(u[torch.randperm(n, generator=generator)].double().clamp(1e-6, 1 - 1e-6)).float()
    return (mean + std * z).exp()


def edm_loss(denoised: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """Per-sample training loss (B,): lambda(sigma) ||D(x + sigma eps) - x||^2, mean over pixels (eq. 8).

    Args:
        denoised: D(x + sigma eps; sigma), (B, C, H, W).
        x: clean pictures (B, C, H, W).
        sigma: (B,); lambda is 1 / c_out(sigma)^2, so that all levels count alike.
    """
    weight = (sigma**2 + SIGMA_DATA**2) / (sigma * SIGMA_DATA) ** 2
    return weight * (denoised - x).square().flatten(1).mean(1)


@dataclass(frozen=True)
class SampleResult:
    """Attributes: x (B, C, H, W) samples; nfe: network calls made."""

    x: Tensor
    nfe: int


@torch.no_grad()
def heun_sample(
    denoise: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    sigmas: Tensor,
    callback: Callable[[int, float, Tensor, Tensor], None] | None = None,
) -> SampleResult:
    """Deterministic second-order sampler (Karras et al. algorithm 1 without churn).

    Args:
        denoise: D(x, sigma), sigma a 0-dim float32 tensor.
        x: (B, C, H, W) at `sigmas[0]`, i.e. sigmas[0] * standard normal noise.
        sigmas: falling levels without the final 0; N of them cost 2N - 1 calls (18 -> 35).
        callback: called with (i, sigma_i, x_i, denoised_i) for every level; may raise to stop.

    Returns:
        The state at sigma = 0 and the counted calls.
    """
    f = CountedCalls(denoise)
    levels = [*to_float64(sigmas).tolist(), 0.0]
    for i, (now, after) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
        denoised = f(x, torch.tensor(now, dtype=torch.float32, device=x.device))
        if callback is not None:
            callback(i, now, x, denoised)
        d = (x - denoised) / now
        euler = x + (after - now) * d
        if after > 0:
            d2 = (euler - f(euler, torch.tensor(after, dtype=torch.float32, device=x.device))) / after
            x = x + (after - now) * (d + d2) / 2
        else:
            x = euler
    return SampleResult(x, f.calls)
