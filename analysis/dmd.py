"""Exact dynamic mode decomposition: the spectrum that the data alone would ask for.

Tu et al. 2014 (arXiv 1312.0041), algorithm 2: the best linear map from every snapshot to the next one, seen through
the leading singular vectors. Beside the learned spectrum it says what a dense operator would have found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from koopman_core.model import KoopmanDiffusion

NEGLIGIBLE = 1e-10  # singular values below this share of the largest are rounding, in float64 of float32 data
SPACING = 1e-6  # how unequal the steps in tau may be, absolute


@dataclass(frozen=True)
class DMD:
    """At most `rank` modes, the strongest at the start (noise) first.

    Attributes:
        eigenvalues: (r,) complex128, per unit tau: dz/dtau = lambda z, to be compared with alpha +- i beta. The
            imaginary part is known up to 2 pi over the step only: it lies in [-pi / step, pi / step].
        modes: (N, r) complex128, the exact modes, unit norm.
        amplitude: (r,) mean over trajectories of |b_k|, where z(T) = sum_k b_k mode_k by least squares.
        captured: share of the snapshots' energy in the singular vectors that were kept.
        residual: |Y - K X| / |Y| of the one-step prediction, in the sample.
    """

    eigenvalues: Tensor
    modes: Tensor
    amplitude: Tensor
    captured: float
    residual: float


@torch.no_grad()
def exact_dmd(paths: Tensor, tau: Tensor, rank: int) -> DMD:
    """Exact DMD of several trajectories of one system.

    Args:
        paths: (B, n, N) real, n snapshots each.
        tau: (n,) their times, equally spaced, falling or rising; at least 2.
        rank: largest number of singular vectors to keep; fewer where the data has fewer.

    Raises:
        ValueError: unequal steps, fewer than 2 snapshots, a rank below 1, or data that is zero or not finite.
    """
    tau = torch.as_tensor(tau, dtype=torch.float64)
    steps = tau.diff()
    if rank < 1 or len(tau) < 2 or paths.ndim != 3 or paths.shape[1] != len(tau):
        raise ValueError("DMD takes (trajectories, snapshots, numbers) with 2 or more times and a rank of 1 or more.")
    if float((steps - steps.mean()).abs().max()) > SPACING or float(steps.mean().abs()) <= SPACING:
        raise ValueError("DMD needs equal steps in tau: take the levels of a uniform grid in tau.")
    paths = paths.double()
    x, y = paths[:, :-1].flatten(0, 1).T, paths[:, 1:].flatten(0, 1).T
    if not bool(torch.isfinite(paths).all()) or not bool(x.any()):
        raise ValueError("DMD needs finite snapshots that are not all zero.")
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    r = min(rank, int((s > NEGLIGIBLE * s[0]).sum()))
    captured = float(s[:r].square().sum() / s.square().sum())
    u, s, v = u[:, :r], s[:r], vh[:r].T
    forward = y @ v / s  # Y V S^-1; the map K = forward U^T
    small = u.T @ forward
    mu, w = torch.linalg.eig(small)
    alive = mu.abs() > 1e-12  # an eigenvalue 0 has no continuous rate
    mu, w = mu[alive], w[:, alive]
    modes = forward.to(w.dtype) @ w
    modes = modes / torch.linalg.vector_norm(modes, dim=0).clamp_min(1e-300)
    start = paths[:, 0].T.to(w.dtype)
    amplitude = torch.linalg.lstsq(modes, start).solution.abs().mean(1) if len(mu) else torch.zeros(0).double()
    rows = torch.argsort(amplitude, descending=True)
    residual = torch.linalg.norm(y - forward @ (u.T @ x)) / torch.linalg.norm(y).clamp_min(1e-300)
    return DMD(mu[rows].log() / steps.mean(), modes[:, rows], amplitude[rows], captured, float(residual))


@torch.no_grad()
def latent_paths(
    model: KoopmanDiffusion,
    states: Tensor,
    sigmas: Tensor,
    labels: Tensor | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> list[Tensor]:
    """The encoder's view of trajectories, one (B, n, C_l * h_l * w_l) float32 a level.

    Args:
        model: anything with `encode`.
        states: (B, n, C, H, W), see `validity.teacher_states`.
        sigmas: (n,) their levels.
        labels: (B,) int64 or None.
        progress: called with (share done, what) after every time; may raise to stop.
    """
    n = states.shape[1]
    seen = []
    for t in range(n):
        seen.append([z.flatten(1) for z in model.encode(states[:, t], float(sigmas[t]), labels)])
        if progress is not None:
            progress((t + 1) / n, "latents for DMD")
    return [torch.stack(level, 1) for level in zip(*seen, strict=True)]
