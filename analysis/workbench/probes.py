"""Linearity, attribution and band labels: requests and results, frozen dataclasses, numpy only.

K bands, n times, L levels. Ranges are checked here; what depends on the model is checked by
`analysis.workbench.workbench.effects_answers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from analysis.core.fields import THIRDS, Choice, Edges, Label, Order, Request, Seed, Seeds
from analysis.koopman.probes import ROWS
from foundation.randomness import FIRST_SEED
from koopman_core.edm import SIGMA_MAX, SIGMA_MIN

Draws = Annotated[int, Field(ge=100, le=10_000, title="The number of resamples")]


def _factors(rows: tuple[str, ...]) -> tuple[str, ...]:
    """In their usual order; all of them where none is named."""
    return tuple(r for r in ROWS if r in rows or not rows)


@dataclass(frozen=True)
class LinearityRequest(Request):
    """Encoder against evolution along the teacher's trajectories.

    Attributes:
        seeds: of 1 to 64 teacher trajectories.
        label: class index, -1 for none.
        steps: of the Karras grid, 4 to 24.
        decoded: whether pictures are measured too.
        dmd_rank: 0 (no DMD) to 64; DMD uses the first 16 seeds at most.
    """

    seeds: Seeds
    label: Label = -1
    steps: Annotated[int, Field(ge=4, le=24, title="The number of steps")] = 18
    decoded: bool = True
    dmd_rank: Annotated[int, Field(ge=0, le=64, title="The rank of the DMD")] = 8


@dataclass(frozen=True)
class AttributionRequest(Request):
    """Pairs of procedural scenes that differ in one factor.

    Attributes:
        pairs: scenes a factor, 8 to 512.
        sigma: noise level to encode at, the same noise for both; sigma_min = 0.002 is as good as clean.
        carried: compare after the flow to eps, as the decoder sees it.
        edges, order: of the bands.
        rows: factors; () for all, "everything" (two unrelated scenes, the yardstick) included.
        seed: of scenes, noise and bootstrap; draws: 100 to 10,000 resamples.
    """

    pairs: Annotated[int, Field(ge=8, le=512, title="The number of pairs")] = 64
    sigma: Annotated[float, Field(ge=SIGMA_MIN, le=SIGMA_MAX, title="The noise level")] = SIGMA_MIN
    carried: bool = False
    edges: Edges = THIRDS
    order: Order = "alpha"
    rows: Annotated[
        tuple[Annotated[str, Choice(ROWS)], ...],
        Field(max_length=len(ROWS), title="The factors"),
        AfterValidator(_factors),
    ] = ()
    seed: Seed = FIRST_SEED  # scenes that no training run has seen
    draws: Draws = 1000


@dataclass(frozen=True)
class BandLabelsRequest(Request):
    """How coarse or fine is what each band adds.

    Attributes:
        seeds: 1 to 64.
        label: class index, -1 for none.
        edges, order: of the bands.
        draws: 100 to 10,000 bootstrap resamples.
    """

    seeds: Seeds = tuple(range(16))
    label: Label = -1
    edges: Edges = THIRDS
    order: Order = "alpha"
    draws: Draws = 1000


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
