"""Optimised DMD: eigenvalues that fit whole trajectories at once, so that noise does not damp them.

Exact DMD fits each state to the one before, whose noise shrinks its eigenvalues. Here all snapshots are fitted to sums
of exponentials with shared rates by variable projection (Askham and Kutz 2018, SIAM J. Appl. Dyn. Syst. 17, section 3):
the rates are searched, the weights of every trajectory follow by least squares.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from analysis.koopman.linearity import DMD, exact_dmd

MOST_EVALUATIONS = 200  # of the search, each with a Jacobian by differences
MOST_GROWTH = 60.0  # exponent at which a rate's curve is cut off


def _begin(rates: np.ndarray, step: float) -> tuple[np.ndarray, int, int]:
    """Where the search begins, and how many rates flip their sign at every step or are real and alone.

    Two rates at a time are searched as their mean alpha and the square d of half their difference: below 0 they are a
    conjugate pair alpha +- i sqrt(-d), above it two real rates, and nothing breaks on the way from one to the other.

    Returns:
        Real parts of the flipping ones and of the one that is alone, then alpha and d of every two.
    """
    flips = np.abs(np.abs(rates.imag) - math.pi / abs(step)) < 1e-9 * math.pi / abs(step)
    real = np.sort(rates.real[(rates.imag == 0) & ~flips])
    alone, neighbours = real[: len(real) % 2], real[len(real) % 2 :].reshape(-1, 2)
    upper = rates[(rates.imag > 0) & ~flips]
    means = np.concatenate([neighbours.mean(1), upper.real])
    squares = np.concatenate([(neighbours[:, 1] - neighbours[:, 0]) ** 2 / 4, -(upper.imag**2)])
    begin = np.concatenate([rates.real[flips], alone, np.stack([means, squares], 1).ravel()])
    return begin, int(flips.sum()), len(alone)


def _curves(values: np.ndarray, elapsed: np.ndarray, flips: int, alone: int) -> np.ndarray:
    """(n, k) real curves that span those of the rates; values as of `_begin`."""
    single, twos = values[: flips + alone], values[flips + alone :].reshape(-1, 2)

    def grown(exponent: np.ndarray) -> np.ndarray:
        return np.exp(np.minimum(exponent, MOST_GROWTH))

    t = elapsed[:, None]
    first = grown(t * single[None])
    first[:, :flips] *= ((-1.0) ** np.arange(len(elapsed)))[:, None]
    alpha, square = twos[None, :, 0], twos[None, :, 1]
    root = np.sqrt(np.abs(square))
    turn = root * t
    real = square > 0
    up, down = grown((alpha + root) * t), grown((alpha - root) * t)
    even = np.where(real, (up + down) / 2, grown(alpha * t) * np.cos(turn))
    # sinh(x) / x and sin(x) / x, which are one at 0
    small = np.abs(turn) < 1e-4
    near = grown(alpha * t) * t * (1 + np.sign(square) * turn**2 / 6)
    odd = np.where(real, (up - down) / 2, grown(alpha * t) * np.sin(turn)) / np.maximum(root, 1e-300)
    return np.concatenate([first, even, np.where(small, near, odd)], 1)


def _rates(values: np.ndarray, flips: int, alone: int, step: float) -> np.ndarray:
    """Complex rates of such values."""
    single, twos = values[: flips + alone].astype(complex), values[flips + alone :].reshape(-1, 2)
    single[:flips] += 1j * math.pi / abs(step)
    root = np.sqrt(twos[:, 1].astype(complex))
    return np.concatenate([single, twos[:, 0] + root, twos[:, 0] - root])


def optimised_dmd(paths: Tensor, tau: Tensor, rank: int, start: Tensor | None = None) -> DMD:
    """Shared rates of several trajectories, by all snapshots at once.

    Args:
        paths: (B, n, N) real, n snapshots each.
        tau: (n,) times, equally spaced.
        rank: as of `exact_dmd`.
        start: rates to begin at; None for the better of exact DMD's and of the trapezoid rule's.

    Returns:
        As `exact_dmd`; a mode is the direction that its weights over trajectories have most in common, and the residual
        is that of all snapshots.

    Raises:
        ValueError: as `exact_dmd`.
    """
    from scipy.optimize import least_squares  # only here: the page opens without scipy

    first = exact_dmd(paths, tau, rank)
    rates = first.eigenvalues.numpy()
    if not len(rates):
        return first
    elapsed = np.asarray(tau, dtype=np.float64) - float(tau[0])
    x = paths.double().permute(1, 0, 2).flatten(1)  # (n, B N)
    u, s, _ = torch.linalg.svd(x, full_matrices=False)
    small = (u * s).numpy()  # the residual's norm is the same, its columns are at most n
    found, least = rates, math.inf
    starts = [rates, _trapezoid_rates(paths.double(), elapsed, len(rates))] if start is None else [start.numpy()]
    for begin_at in starts:
        begin, flips, alone = _begin(begin_at, float(elapsed[1]))

        def residual(values: np.ndarray, flips: int = flips, alone: int = alone) -> np.ndarray:
            curves = _curves(values, elapsed, flips, alone)
            q, _ = np.linalg.qr(curves / np.maximum(np.linalg.norm(curves, axis=0), 1e-300))
            return (small - q @ (q.T @ small)).ravel()

        search = least_squares(residual, begin, x_scale="jac", max_nfev=MOST_EVALUATIONS)
        if search.cost < least:
            found, least = _rates(search.x, flips, alone, float(elapsed[1])), search.cost
    return _with_modes(found, paths.double(), elapsed, first.captured)


def _trapezoid_rates(paths: Tensor, elapsed: np.ndarray, count: int) -> np.ndarray:
    """Rates of the map from means of neighbouring states to their differences, in the leading singular vectors.

    Noise gives exact DMD rates that die within a step or flip at every one; these are not among them.
    """
    middle = ((paths[:, 1:] + paths[:, :-1]) / 2).flatten(0, 1)
    slope = (paths.diff(dim=1) / float(elapsed[1])).flatten(0, 1)
    basis = torch.linalg.svd(middle, full_matrices=False)[2][:count].T
    step = torch.linalg.lstsq(middle @ basis, slope @ basis).solution
    return torch.linalg.eigvals(step).numpy()


def _with_modes(rates: np.ndarray, paths: Tensor, elapsed: np.ndarray, captured: float) -> DMD:
    """Weights by least squares, and the mode of each rate."""
    x = paths.permute(1, 0, 2).flatten(1).to(torch.complex128)
    lam = torch.from_numpy(rates)
    grown = torch.exp(lam[None] * torch.from_numpy(elapsed)[:, None])
    weights = torch.linalg.lstsq(grown, x).solution  # (k, B N)
    residual = torch.linalg.norm(x - grown @ weights) / torch.linalg.norm(x).clamp_min(1e-300)
    each = weights.unflatten(1, (paths.shape[0], paths.shape[2]))
    modes = torch.linalg.svd(each, full_matrices=False)[2][:, 0]  # each row of `each` is about a number times its mode
    amplitude = torch.einsum("kbn,kn->kb", each, modes.conj()).abs().mean(1)
    rows = torch.argsort(lam.imag, descending=True, stable=True)
    rows = rows[torch.argsort(amplitude[rows].float(), descending=True, stable=True)]
    return DMD(lam[rows], modes[rows].T.contiguous(), amplitude[rows], captured, float(residual))
