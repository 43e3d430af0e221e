"""Nested bands (ours): modes in the order of alpha carry layout, then shape, then detail.

A band of modes means nothing to the decoder unless training asks for it. Here it does: with the first share q of every
latent's modes kept, in the order of alpha, the decoded picture is to be the picture low-passed, the less the larger q.
This is nested dropout (Rippel et al. 2014, arXiv 1402.0915) along the spectrum, with a pyramid of low-pass pictures as
targets. Ranks are those of alpha at every step, so the bands of training are the bands of the trained model. They
begin on a slight ramp over the channel pairs: at A = 0 there would be no order, and a convolution cannot tell apart the
positions of one channel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from koopman_core.model import KoopmanDiffusion

RAMP = 0.25  # alpha starts at -RAMP ... RAMP: over the whole span tau: 1 -> 0 a factor of 0.78 to 1.28


def rank_shares(alpha: Tensor) -> Tensor:
    """The share of a latent's modes with a smaller alpha, in [0, 1), of every mode; ties in the order of memory.

    Args:
        alpha: (C/2, h, w).

    Returns:
        float32 of the same shape: a permutation of 0, 1/n, ..., (n - 1)/n.
    """
    flat = alpha.detach().flatten()
    ranks = torch.empty(len(flat), dtype=torch.float32, device=alpha.device)
    ranks[torch.argsort(flat, stable=True)] = torch.arange(len(flat), dtype=torch.float32, device=alpha.device)
    return (ranks / len(flat)).view(alpha.shape)


def keep_first(z: Tensor, ranks: Tensor, share: Tensor) -> Tensor:
    """A latent with the first `share` of its modes; the others are zero.

    Args:
        z: (B, C, h, w), channels (2k, 2k+1) form pair k.
        ranks: (C/2, h, w) from `rank_shares`.
        share: (B,) in (0, 1].
    """
    mask = (ranks < share[:, None, None, None]).to(z.dtype)
    return z * mask.repeat_interleave(2, dim=1)


def low_pass(x: Tensor, blur: Tensor) -> Tensor:
    """Gaussian blur of every picture by its own standard deviation, mirrored at the edges.

    A Gaussian is diagonal in the cosine transform (DCT-II), whose basis mirrors at the edges of pixels: exact at every
    width, 0 included.

    Args:
        x: (B, C, h, w).
        blur: (B,) standard deviations in pixels.

    Returns:
        (B, C, h, w).
    """
    rows, columns = (_blur_matrices(side, blur.to(x)) for side in x.shape[-2:])
    return rows[:, None] @ x @ columns[:, None].mT


def _blur_matrices(side: int, blur: Tensor) -> Tensor:
    k = torch.arange(side, dtype=torch.float32, device=blur.device)
    basis = torch.cos(math.pi / side * k[:, None] * (k[None] + 0.5)) * math.sqrt(2 / side)
    basis[0] *= math.sqrt(0.5)
    damping = torch.exp(-0.5 * (blur[:, None] * (math.pi / side * k)) ** 2)
    return basis.T @ (damping[:, :, None] * basis)


def blur_at(share: Tensor, blurs: tuple[float, ...]) -> Tensor:
    """The blur that belongs to a kept share of modes: `blurs` at 1/n, 2/n, ... of n = len(blurs) + 1 bands, none at 1.

    Between them its logarithm is linear; from the last band's edge to 1 the blur itself is, since it ends at 0.

    Args:
        share: (B,) in [1/n, 1].
        blurs: standard deviations in pixels, falling.

    Returns:
        (B,) pixels.
    """
    n = len(blurs) + 1
    place = share * n - 1  # 0 at the first edge, n - 1 at the whole
    logs = torch.tensor([*blurs, blurs[-1]], dtype=torch.float32, device=share.device).log()
    i = place.long().clamp(0, n - 2)
    within = place - i
    between = (logs[i] + within * (logs[i + 1] - logs[i])).exp()
    return torch.where(i == n - 2, blurs[-1] * (1 - within).clamp_min(0), between)


def start_ramp(model: KoopmanDiffusion) -> None:
    """Set alpha of every operator that is still zero and is trained to a ramp over its channel pairs."""
    with torch.no_grad():
        for operator in model.operators:
            if operator.a.requires_grad and not operator.a.any():
                pairs = operator.a.shape[0] // 2
                operator.a[:pairs] = torch.linspace(-RAMP, RAMP, pairs)[:, None, None].to(operator.a)
