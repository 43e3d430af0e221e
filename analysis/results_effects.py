"""Answers about effects, modes, validity and labels: frozen dataclasses, numpy only.

L levels (entries), K bands, n times. Pictures are uint8 (H, W, 3). They compare by identity: arrays have no one truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class EffectResult:
    """Means over seeds; tau falls from 1 (noise) to 0 (picture).

    Attributes:
        kind: which effect.
        tau, sigma: (n,) Koopman time and noise level.
        names: the L levels.
        bands: (K, n) share of every band over all levels; bands_sd: standard deviation over seeds (NaN for one).
        levels: (L, n) share of every level over all bands.
        joint: (L, K, n).
        moves: False where no seed's latents move at all (A = 0); displacement and arc are 0 then.
        decoded_tau: (m,), None if not asked for; decoded_bands (K, m), decoded_levels (L, m): mean squared picture
            change ([-1, 1] scale) when the band or the level is left out.
    """

    kind: str
    tau: np.ndarray
    sigma: np.ndarray
    names: tuple[str, ...]
    bands: np.ndarray
    bands_sd: np.ndarray
    levels: np.ndarray
    joint: np.ndarray
    moves: bool
    decoded_tau: np.ndarray | None = None
    decoded_bands: np.ndarray | None = None
    decoded_levels: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class ModeResult:
    """N distinct modes of one level, in the order of their index.

    Attributes:
        entry, name: the level.
        index, pair, row, column: (N,) int64.
        alpha, beta: (N,) per unit tau; half_life (halves for alpha > 0, doubles for alpha < 0), period: (N,) in tau,
            may be infinite.
        tau: (n,) from 1 to 0; energy (N, n) of each mode; share (n,) of the group in all modes' energy.
        full, without: the picture with and without the group; contribution: full - without around mid-grey,
            magnified by `magnification`.
        mse: between full and without.
    """

    entry: int
    name: str
    index: np.ndarray
    pair: np.ndarray
    row: np.ndarray
    column: np.ndarray
    alpha: np.ndarray
    beta: np.ndarray
    half_life: np.ndarray
    period: np.ndarray
    tau: np.ndarray
    energy: np.ndarray
    share: np.ndarray
    full: np.ndarray
    without: np.ndarray
    contribution: np.ndarray
    magnification: float
    mse: float


@dataclass(frozen=True, eq=False)
class SurgeryResult:
    """The picture before and after surgery.

    Attributes:
        full, altered: (H, W, 3).
        difference: (H, W, 3) altered - full around mid-grey, magnified by `magnification`.
        mse: between the two.
        modes: (K,) how many were operated on.
        held: modes whose |alpha| the bound of 8 held back.
        growth: largest factor by which a mode's norm grows on the way.
    """

    full: np.ndarray
    altered: np.ndarray
    difference: np.ndarray
    magnification: float
    mse: float
    modes: np.ndarray
    held: int
    growth: float


@dataclass(frozen=True, eq=False)
class DMDLevel:
    """Exact DMD of one level, strongest mode first.

    Attributes:
        alpha, beta: (r,) eigenvalues alpha + i beta per unit tau; |beta| is at most pi over the step.
        amplitude: (r,) at T.
        captured: share of energy in the singular vectors kept; residual: relative one-step error.
    """

    alpha: np.ndarray
    beta: np.ndarray
    amplitude: np.ndarray
    captured: float
    residual: float


@dataclass(frozen=True, eq=False)
class LinearityResult:
    """Relative error |E(x_t) - evolved E(x_T)| / |E(x_t)| along the teacher's trajectories.

    Attributes:
        names: the L levels.
        tau, sigma: (n,), index 0 = T.
        learned, identity, fitted: (L, n), root of summed squares over trajectories; fitted = the best alpha and beta
            of this form, by complex least squares on the same trajectories (`validity.fit_modes`).
        differences: {"learned", "identity", "fitted"} -> (L, n), the same of what differs between the trajectories
            (`validity.Linearity`); None for one.
        common: (L, n) share of the latents' energy that all trajectories have in common; None for one.
        spread: (L, n) standard deviation over trajectories of the learned one (NaN for one).
        fitted_alpha, fitted_beta: per level (C/2, h, w).
        mse, lpips: {"learned", "identity", "fitted"} -> (n,), D(evolved) against D(E(x_t)); None if not measured.
        dmd: one a level; None without, or where the model's grid is not uniform in tau.
    """

    names: tuple[str, ...]
    tau: np.ndarray
    sigma: np.ndarray
    learned: np.ndarray
    identity: np.ndarray
    fitted: np.ndarray
    differences: dict[str, np.ndarray] | None
    common: np.ndarray | None
    spread: np.ndarray
    fitted_alpha: tuple[np.ndarray, ...]
    fitted_beta: tuple[np.ndarray, ...]
    mse: dict[str, np.ndarray] | None
    lpips: dict[str, np.ndarray] | None
    dmd: tuple[DMDLevel, ...] | None


@dataclass(frozen=True, eq=False)
class AttributionResult:
    """Mean share of the squared latent difference; F factors, 95 % bootstrap intervals over pairs.

    Attributes:
        rows: the F factors; names: the L levels.
        pairs: (F,) that differ at all.
        share: (F, L, K).
        bands, bands_low, bands_high: (F, K); levels, levels_low, levels_high: (F, L).
    """

    rows: tuple[str, ...]
    names: tuple[str, ...]
    pairs: np.ndarray
    share: np.ndarray
    bands: np.ndarray
    bands_low: np.ndarray
    bands_high: np.ndarray
    levels: np.ndarray
    levels_low: np.ndarray
    levels_high: np.ndarray


@dataclass(frozen=True, eq=False)
class BandLabelsResult:
    """What each of K bands adds to the picture at eps, D(z) - D(z without it).

    Attributes:
        frequency: (R,) cycles per pixel; power (K, R) mean radial power.
        centroid, low, high: (K,) mean frequency centroid with its 95 % bootstrap interval; NaN without detail.
        change: (K,) mean squared picture change.
        coarse_to_fine: bands by centroid; distinct: (K - 1,) whether neighbours there differ by more than chance.
    """

    frequency: np.ndarray
    power: np.ndarray
    centroid: np.ndarray
    low: np.ndarray
    high: np.ndarray
    change: np.ndarray
    coarse_to_fine: tuple[int, ...]
    distinct: tuple[bool, ...]
