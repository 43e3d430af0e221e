"""Spectra, bands, single modes and new eigenvalues: requests and results, frozen dataclasses, numpy only.

K bands, n times. Ranges are checked here; what depends on the model (how many levels, modes, classes) is checked
where a request is answered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import edges_of, real, several, whole
from analysis.koopman.spectrum import ORDERS
from foundation.randomness import MAX_SEED as MAX_SEED


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


MAX_SEEDS = 64
MAX_MODES = 4096
THIRDS = (1 / 3, 2 / 3)


def check_fields(request, *, seed: str | None = None, seeds: str | None = None, bands: bool = True) -> None:
    """Normalise the fields that several requests share."""

    def put(name: str, value) -> None:
        object.__setattr__(request, name, value)

    if seed:
        put(seed, whole(getattr(request, seed), 0, MAX_SEED, "The seed"))
    if seeds:
        values = several(getattr(request, seeds), MAX_SEEDS, "The seeds")
        put(seeds, tuple(whole(s, 0, MAX_SEED, "Each seed") for s in values))
    if bands:
        put("edges", edges_of(request.edges))
        if request.order not in ORDERS:
            raise UserError('The order of the modes must be "alpha" or "abs".')


@dataclass(frozen=True)
class ModeRequest:
    """One mode, or a group of modes of one level.

    Attributes:
        seed: which noise.
        entry: level.
        modes: 1 to 4096 flat indices k h w + i w + j of it; sorted, doubles dropped.
        label: class index, -1 for none.
        tau: time of the picture, 0 = the final one.
        times: of the energy curves, 2 to 256.
    """

    seed: int
    entry: int
    modes: tuple[int, ...]
    label: int = -1
    tau: float = 0.0
    times: int = 64

    def __post_init__(self) -> None:
        check_fields(self, seed="seed", bands=False)
        object.__setattr__(self, "entry", whole(self.entry, 0, 63, "The level"))
        modes = several(self.modes, MAX_MODES, "The modes")
        numbers = sorted({whole(m, 0, 2**31 - 1, "Each mode") for m in modes})
        object.__setattr__(self, "modes", tuple(numbers))
        object.__setattr__(self, "tau", real(self.tau, 0, 1, "The time tau"))
        object.__setattr__(self, "times", whole(self.times, 2, 256, "The number of times"))


@dataclass(frozen=True)
class SurgeryRequest:
    """New eigenvalues, alpha' = scale alpha + shift and beta likewise, by band.

    Attributes:
        seed, label: which picture.
        edges, order: of the K bands.
        alpha_scale, beta_scale: K numbers, -4 to 4; () leaves all at 1.
        alpha_shift: K numbers, -8 to 8, per unit tau; () leaves all at 0.
        beta_shift: K numbers, -25 to 25 (four turns), per unit tau.
        entries: which levels; () for all.
        tau: time to decode at, 0 = the picture.
    """

    seed: int
    label: int = -1
    edges: tuple[float, ...] = THIRDS
    order: str = "alpha"
    alpha_scale: tuple[float, ...] = ()
    alpha_shift: tuple[float, ...] = ()
    beta_scale: tuple[float, ...] = ()
    beta_shift: tuple[float, ...] = ()
    entries: tuple[int, ...] = ()
    tau: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, seed="seed")
        bands = len(self.edges) + 1
        for name, neutral, most, what in (
            ("alpha_scale", 1.0, 4.0, "alpha scale"), ("alpha_shift", 0.0, 8.0, "alpha shift"),
            ("beta_scale", 1.0, 4.0, "beta scale"), ("beta_shift", 0.0, 25.0, "beta shift"),
        ):  # fmt: skip
            given = getattr(self, name)
            values = (neutral,) * bands if is_empty(given) else several(given, 9, f"The {what}s")
            if len(values) != bands:
                raise UserError(f"{bands - 1} edges make {bands} bands: give as many {what}s, not {len(values)}.")
            object.__setattr__(self, name, tuple(real(v, -most, most, f"Each {what}") for v in values))
        entries = () if is_empty(self.entries) else several(self.entries, 64, "The levels")
        object.__setattr__(self, "entries", tuple(sorted({whole(e, 0, 63, "Each level") for e in entries})))
        object.__setattr__(self, "tau", real(self.tau, 0, 1, "The time tau"))


def is_empty(values) -> bool:
    """Whether it is a list or tuple without items."""
    return isinstance(values, (list, tuple)) and len(values) == 0


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
