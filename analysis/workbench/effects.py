"""Shares of bands and levels over time: request and result, frozen dataclasses, numpy only.

K bands, n times, L levels. Ranges are checked here; what depends on the model is checked by
`analysis.workbench.workbench.effects_answers`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.koopman.effects import EFFECT_KINDS
from analysis.workbench.spectrum import THIRDS, check_fields

MAX_DECODED = 128  # pairs of a seed and a time: each costs 1 + K + L decodings


@dataclass(frozen=True)
class EffectRequest:
    """Shares of bands and levels over time, averaged over seeds.

    Attributes:
        seeds: 1 to 64, averaged over.
        label: class index, -1 for none.
        edges, order: of the bands.
        kind: "displacement", "energy" or "arc".
        times: of the curves, 2 to 256, equally spaced in tau.
        decoded_times: of the curves in pictures, 0 (leave them out) to 16.
    """

    seeds: tuple[int, ...]
    label: int = -1
    edges: tuple[float, ...] = THIRDS
    order: str = "alpha"
    kind: str = "displacement"
    times: int = 64
    decoded_times: int = 0

    def __post_init__(self) -> None:
        check_fields(self, seeds="seeds")
        if self.kind not in EFFECT_KINDS:
            raise UserError(f"The kind of effect must be one of {', '.join(EFFECT_KINDS)}.")
        object.__setattr__(self, "times", whole(self.times, 2, 256, "The number of times"))
        object.__setattr__(self, "decoded_times", whole(self.decoded_times, 0, 16, "The number of decoded times"))
        if len(self.seeds) * self.decoded_times > MAX_DECODED:
            raise UserError(f"Seeds times decoded times must stay within {MAX_DECODED}: ask for fewer of either.")


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
