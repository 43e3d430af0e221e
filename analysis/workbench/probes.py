"""Linearity, attribution and band labels: requests and results, frozen dataclasses, numpy only.

K bands, n times, L levels. Ranges are checked here; what depends on the model is checked by
`analysis.workbench.workbench.effects_answers`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import real, several, whole
from analysis.koopman.probes import ROWS
from analysis.workbench.spectrum import THIRDS, check_fields, is_empty
from foundation.randomness import FIRST_SEED
from koopman_core.edm import SIGMA_MAX, SIGMA_MIN


def _flag(value, what: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise UserError(f"{what} must be true or false.")
    return bool(value)


@dataclass(frozen=True)
class LinearityRequest:
    """Encoder against evolution along the teacher's trajectories.

    Attributes:
        seeds: of 1 to 64 teacher trajectories.
        label: class index, -1 for none.
        steps: of the Karras grid, 4 to 24.
        decoded: whether pictures are measured too.
        dmd_rank: 0 (no DMD) to 64; DMD uses the first 16 seeds at most.
    """

    seeds: tuple[int, ...]
    label: int = -1
    steps: int = 18
    decoded: bool = True
    dmd_rank: int = 8

    def __post_init__(self) -> None:
        check_fields(self, seeds="seeds", bands=False)
        object.__setattr__(self, "steps", whole(self.steps, 4, 24, "The number of steps"))
        object.__setattr__(self, "decoded", _flag(self.decoded, "Whether pictures are decoded"))
        object.__setattr__(self, "dmd_rank", whole(self.dmd_rank, 0, 64, "The rank of the DMD"))


@dataclass(frozen=True)
class AttributionRequest:
    """Pairs of procedural scenes that differ in one factor.

    Attributes:
        pairs: scenes a factor, 8 to 512.
        sigma: noise level to encode at, the same noise for both; sigma_min = 0.002 is as good as clean.
        carried: compare after the flow to eps, as the decoder sees it.
        edges, order: of the bands.
        rows: factors; () for all, "everything" (two unrelated scenes, the yardstick) included.
        seed: of scenes, noise and bootstrap; draws: 100 to 10,000 resamples.
    """

    pairs: int = 64
    sigma: float = SIGMA_MIN
    carried: bool = False
    edges: tuple[float, ...] = THIRDS
    order: str = "alpha"
    rows: tuple[str, ...] = ()
    seed: int = FIRST_SEED  # scenes that no training run has seen
    draws: int = 1000

    def __post_init__(self) -> None:
        check_fields(self, seed="seed")
        object.__setattr__(self, "pairs", whole(self.pairs, 8, 512, "The number of pairs"))
        object.__setattr__(self, "sigma", real(self.sigma, SIGMA_MIN, SIGMA_MAX, "The noise level"))
        object.__setattr__(self, "carried", _flag(self.carried, "Whether differences are carried to the picture"))
        object.__setattr__(self, "draws", whole(self.draws, 100, 10_000, "The number of resamples"))
        rows = ROWS if is_empty(self.rows) else several(self.rows, len(ROWS), "The factors")
        if any(not isinstance(r, str) or r not in ROWS for r in rows):
            raise UserError(f"Each factor must be one of {', '.join(ROWS)}.")
        object.__setattr__(self, "rows", tuple(r for r in ROWS if r in rows))


@dataclass(frozen=True)
class BandLabelsRequest:
    """How coarse or fine is what each band adds.

    Attributes:
        seeds: 1 to 64.
        label: class index, -1 for none.
        edges, order: of the bands.
        draws: 100 to 10,000 bootstrap resamples.
    """

    seeds: tuple[int, ...] = tuple(range(16))
    label: int = -1
    edges: tuple[float, ...] = THIRDS
    order: str = "alpha"
    draws: int = 1000

    def __post_init__(self) -> None:
        check_fields(self, seeds="seeds")
        object.__setattr__(self, "draws", whole(self.draws, 100, 10_000, "The number of resamples"))


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
