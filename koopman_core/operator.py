"""The Koopman operator of one latent tensor, in closed form.

Paper: Hierarchical Koopman Diffusion, section 3.2 and appendix D.4 (arXiv 2510.12220). At every position (i, j) the
generator is block-diagonal with one 2x2 block a channel pair, Lambda_k = [[alpha, beta], [-beta, alpha]], whose
exponential is a scaled rotation. No matrix is ever built.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from foundation.mistakes import Mistake
from foundation.networks.devices import to_float64
from koopman_core.edm import RHO, SIGMA_MAX, SIGMA_MIN

WARPS = ("karras", "log", "sigma")
ALPHA_MAX = 8.0  # over the whole span tau: 1 -> 0 nothing grows by more than e^8 = 2981


def tau_of_sigma(sigma: Tensor | float, warp: str = "karras") -> Tensor:
    """Normalised Koopman time in [0, 1]: 0 at sigma_min, 1 at sigma_max.

    The paper does not fix the time variable; every monotone choice is another linear model (docs/decisions.md).

    Args:
        sigma: noise level(s) in [sigma_min, sigma_max]; values outside are clamped.
        warp: "karras" (sigma^(1/7)), "log" (ln sigma) or "sigma".

    Returns:
        float64 tensor of the shape of `sigma`, on its device or on the CPU (`foundation.networks.devices`).
    """
    s = to_float64(sigma).clamp(SIGMA_MIN, SIGMA_MAX)
    g = _warp(warp)[0]
    low, high = g(torch.tensor(SIGMA_MIN, dtype=torch.float64)), g(torch.tensor(SIGMA_MAX, dtype=torch.float64))
    return (g(s) - low) / (high - low)


def sigma_of_tau(tau: Tensor | float, warp: str = "karras") -> Tensor:
    """Inverse of `tau_of_sigma`, float64."""
    t = to_float64(tau).clamp(0, 1)
    g, inverse = _warp(warp)
    low, high = g(torch.tensor(SIGMA_MIN, dtype=torch.float64)), g(torch.tensor(SIGMA_MAX, dtype=torch.float64))
    return inverse(low + t * (high - low)).clamp(SIGMA_MIN, SIGMA_MAX)


def sigma_rate(sigma: Tensor | float, warp: str = "karras") -> Tensor:
    """d sigma / d tau at a noise level in [sigma_min, sigma_max], float64."""
    s = to_float64(sigma).clamp(SIGMA_MIN, SIGMA_MAX)
    g = _warp(warp)[0]
    low, high = g(torch.tensor(SIGMA_MIN, dtype=torch.float64)), g(torch.tensor(SIGMA_MAX, dtype=torch.float64))
    slope = {"karras": s ** (1 / RHO - 1) / RHO, "log": 1 / s, "sigma": torch.ones_like(s)}[warp]
    return (high - low) / slope


def _warp(name: str):
    if name == "karras":
        return lambda s: s ** (1 / RHO), lambda v: v**RHO
    if name == "log":
        return torch.log, torch.exp
    if name == "sigma":
        return lambda s: s, lambda v: v
    raise Mistake(f"Unknown time warp {name!r}: choose one of {', '.join(WARPS)}.", "warp")


def evolve_pairs(z: Tensor, alpha: Tensor, beta: Tensor, delta: Tensor | float) -> Tensor:
    """exp(delta * A) z for the block-diagonal A (paper, section 3.2; docs/method.md, "Operator").

    Args:
        z: (B, C, h, w), channels (2k, 2k+1) form pair k.
        alpha, beta: (C/2, h, w).
        delta: tau_to - tau_from, scalar or (B,).

    Returns:
        float32 (B, C, h, w).
    """
    b, c, h, w = z.shape
    delta = torch.as_tensor(delta, dtype=torch.float32, device=z.device)
    if delta.ndim == 1:
        delta = delta.view(-1, 1, 1, 1)
    with torch.autocast(z.device.type, enabled=False):
        z = z.float().view(b, c // 2, 2, h, w)
        growth = torch.exp(alpha * delta)
        cos, sin = growth * torch.cos(beta * delta), growth * torch.sin(beta * delta)
        even, odd = z[:, :, 0], z[:, :, 1]
        return torch.stack([cos * even + sin * odd, cos * odd - sin * even], dim=2).view(b, c, h, w)


def pair_rate(z: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """A z, the rate of `evolve_pairs` at delta = 0; arguments and result as there."""
    b, c, h, w = z.shape
    even, odd = z.float().view(b, c // 2, 2, h, w).unbind(2)
    return torch.stack([alpha * even + beta * odd, alpha * odd - beta * even], dim=2).view(b, c, h, w)


class ChannelMixing(nn.Module):
    """An orthogonal 1x1 mixing of channels, Q = exp(S - S^T), which starts as the identity.

    In front of A it chooses which channels make a pair; its transpose stands in front of the decoder, so nothing else
    of the network sees it.

    Args:
        channels: C.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.s = nn.Parameter(torch.zeros(channels, channels))

    @property
    def matrix(self) -> Tensor:
        """Q, (C, C) float32."""
        with torch.autocast(self.s.device.type, enabled=False):
            return torch.linalg.matrix_exp(self.s.float() - self.s.float().T)

    def forward(self, z: Tensor, back: bool = False) -> Tensor:
        """Q z, or Q^T z, at every position of (B, C, h, w)."""
        q = self.matrix.to(z.dtype)
        return torch.einsum("dc,bchw->bdhw", q.T if back else q, z)


class KoopmanOperator(nn.Module):
    """One generator A for a latent of shape (C, h, w).

    The parameter has the latent's own shape: alpha in its first half of channels, beta in the second (paper D.4).
    It starts at zero, so the evolution starts as the identity (paper, algorithm 1); that is no dead start, since
    d/d alpha of e^(alpha delta) z is delta z.

    Args:
        shape: (C, h, w), C even.
        alpha_max: soft bound, alpha = alpha_max * tanh(a / alpha_max); slope 1 at 0.

    Raises:
        ValueError: an odd number of channels.
    """

    def __init__(self, shape: tuple[int, int, int], alpha_max: float = ALPHA_MAX):
        super().__init__()
        if shape[0] % 2:
            raise Mistake(f"A Koopman latent needs an even number of channels, not {shape[0]}.", "shape")
        if not 0 < alpha_max <= 80 or not math.isfinite(alpha_max):
            raise Mistake(
                "alpha_max must lie in (0, 80]: e^80 is the most that float32 holds with room to spare.", "alpha_max"
            )
        self.alpha_max = alpha_max
        self.a = nn.Parameter(torch.zeros(shape))

    @property
    def alpha(self) -> Tensor:
        """(C/2, h, w) real parts."""
        half = self.a.shape[0] // 2
        return self.alpha_max * torch.tanh(self.a[:half].float() / self.alpha_max)

    @property
    def beta(self) -> Tensor:
        """(C/2, h, w) imaginary parts."""
        return self.a[self.a.shape[0] // 2 :].float()

    def forward(self, z: Tensor, delta: Tensor | float) -> Tensor:
        """exp(delta A) z, see `evolve_pairs`."""
        return evolve_pairs(z, self.alpha, self.beta, delta)
