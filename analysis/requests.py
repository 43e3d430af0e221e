"""What can be asked of a Workbench and what comes back: frozen dataclasses, numpy only.

Pictures are uint8 (H, W, 3) or stacks (n, H, W, 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.errors import UserError
from foundation.randomness import MAX_SEED as MAX_SEED

MAX_PICTURES = 64
MIN_STEPS, MAX_STEPS = 4, 40


def _is_number(value) -> bool:
    """A finite number; True and False are none here."""
    if isinstance(value, (int, np.integer)):
        return not isinstance(value, bool)  # math.isfinite overflows on a very long one
    return isinstance(value, (float, np.floating)) and math.isfinite(value)


def whole(value, low: int, high: int, what: str) -> int:
    """A whole number in [low, high], or a UserError naming `what`."""
    if not _is_number(value) or not low <= value <= high or value != int(value):
        raise UserError(f"{what} must be a whole number from {low} to {high}.")
    return int(value)


def real(value, low: float, high: float, what: str) -> float:
    """A finite number in [low, high], or a UserError naming `what`."""
    if not _is_number(value) or not low <= value <= high:
        raise UserError(f"{what} must be a number from {low:g} to {high:g}.")
    return float(value)


def several(values, most: int, what: str) -> tuple:
    """A list or tuple with 1 to `most` items, as a tuple."""
    if not isinstance(values, (list, tuple)) or not 1 <= len(values) <= most:
        raise UserError(f"{what} must be a list of 1 to {most} items.")
    return tuple(values)


def edges_of(values) -> tuple[float, ...]:
    """Two to eight rising quantile edges."""
    edges = tuple(real(e, 0, 1, "Each band edge") for e in several(values, 8, "The band edges"))
    if any(b < a for a, b in zip(edges[:-1], edges[1:], strict=True)):
        raise UserError("The band edges must rise: put the lower edge first.")
    return edges


@dataclass(frozen=True)
class GenerateRequest:
    """Attributes: seeds, one a picture; label = class index, -1 for no class."""

    seeds: tuple[int, ...]
    label: int = -1

    def __post_init__(self) -> None:
        seeds = several(self.seeds, MAX_PICTURES, "The seeds")
        object.__setattr__(self, "seeds", tuple(whole(s, 0, MAX_SEED, "Each seed") for s in seeds))


@dataclass(frozen=True)
class GenerateResult:
    """Attributes: pictures (n, H, W, 3); nfe = network calls; seconds."""

    pictures: np.ndarray
    nfe: int
    seconds: float


@dataclass(frozen=True)
class TrajectoryRequest:
    """Attributes: seed; label; steps of the Karras grid (4 to 40), the teacher's Heun sampler included."""

    seed: int
    label: int = -1
    steps: int = 18

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", whole(self.seed, 0, MAX_SEED, "The seed"))
        object.__setattr__(self, "steps", whole(self.steps, MIN_STEPS, MAX_STEPS, "The number of steps"))


@dataclass(frozen=True)
class TrajectoryResult:
    """One noise followed from T to eps; n = steps, index 0 = T.

    Attributes:
        sigma, tau: (n,) noise level and Koopman time.
        koopman: (n, H, W, 3) the decoded Koopman path D(exp((tau - 1) A) E(x_T)).
        denoised: (n, H, W, 3) the teacher's denoised state at the same level, None without a teacher.
        state: (n, H, W, 3) the teacher's raw ODE state over sqrt(1 + sigma^2), None without a teacher.
        final: (H, W, 3) the teacher's sample.
        mse: (n,) between koopman and denoised ([-1, 1] scale); lpips: (n,) or None without a backbone.
        nfe_model, nfe_teacher: network calls.
    """

    sigma: np.ndarray
    tau: np.ndarray
    koopman: np.ndarray
    denoised: np.ndarray | None
    state: np.ndarray | None
    final: np.ndarray | None
    mse: np.ndarray | None
    lpips: np.ndarray | None
    nfe_model: int
    nfe_teacher: int


@dataclass(frozen=True)
class SpectrumEntryResult:
    """Attributes: index, name; shape (C, h, w); alpha, beta (C/2, h, w) float32; rank (C/2, h, w) by signed alpha."""

    index: int
    name: str
    shape: tuple[int, int, int]
    alpha: np.ndarray
    beta: np.ndarray
    rank: np.ndarray


@dataclass(frozen=True)
class SpectrumResult:
    """Attributes: entries, encoder order, bottleneck last; warp = the time variable."""

    entries: tuple[SpectrumEntryResult, ...]
    warp: str


@dataclass(frozen=True)
class MaskRequest:
    """Bands by rank of alpha within each entry, each kept to a share.

    Attributes:
        seed, label: which picture.
        edges: inner quantile edges, rising, in [0, 1]; n edges make n + 1 bands.
        gains: retention of each band, 0 (removed) to 2 (doubled); 1 keeps it.
        order: "alpha" (signed) or "abs".
        entries: which latents are masked; () for all.
    """

    seed: int
    label: int = -1
    edges: tuple[float, ...] = (1 / 3, 2 / 3)
    gains: tuple[float, ...] = (1.0, 1.0, 1.0)
    order: str = "alpha"
    entries: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", whole(self.seed, 0, MAX_SEED, "The seed"))
        edges = edges_of(self.edges)
        gains = tuple(real(g, 0, 2, "Each retention") for g in several(self.gains, 9, "The retentions"))
        if len(gains) != len(edges) + 1:
            raise UserError(
                f"{len(edges)} edges make {len(edges) + 1} bands: give as many retentions, not {len(gains)}."
            )
        if self.order not in ("alpha", "abs"):
            raise UserError('The order of the modes must be "alpha" or "abs".')
        entries = () if self.entries in ((), []) else several(self.entries, 64, "The levels")
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "gains", gains)
        object.__setattr__(self, "entries", tuple(sorted({whole(e, 0, 63, "Each level") for e in entries})))


@dataclass(frozen=True)
class MaskResult:
    """What is left of a picture.

    Attributes: full, masked (H, W, 3); difference (H, W, 3) magnified around mid-grey by `magnification`;
    share (bands,) of the latent energy at eps in the touched entries; modes (bands,) counts; mse masked to full.
    """

    full: np.ndarray
    masked: np.ndarray
    difference: np.ndarray
    magnification: float
    share: np.ndarray
    modes: np.ndarray
    mse: float
