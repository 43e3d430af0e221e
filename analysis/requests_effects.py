"""Questions about effects, modes, validity and labels: frozen dataclasses; the answers are in `results_effects`.

K bands, n times. Ranges are checked here; what depends on the model (how many levels, modes, classes) is checked by
`analysis.bench_effects`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.effects import KINDS
from analysis.errors import UserError
from analysis.fidelity import FIRST_SEED
from analysis.probes import ROWS
from analysis.requests import MAX_SEED, edges_of, real, several, whole
from analysis.spectrum import ORDERS
from koopman_core.edm import SIGMA_MAX, SIGMA_MIN

MAX_SEEDS = 64
MAX_MODES = 4096
MAX_DECODED = 128  # pairs of a seed and a time: each costs 1 + K + L decodings
THIRDS = (1 / 3, 2 / 3)


def _check(request, *, seed: str | None = None, seeds: str | None = None, bands: bool = True) -> None:
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


def _flag(value, what: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise UserError(f"{what} must be true or false.")
    return bool(value)


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
        _check(self, seeds="seeds")
        if self.kind not in KINDS:
            raise UserError(f"The kind of effect must be one of {', '.join(KINDS)}.")
        object.__setattr__(self, "times", whole(self.times, 2, 256, "The number of times"))
        object.__setattr__(self, "decoded_times", whole(self.decoded_times, 0, 16, "The number of decoded times"))
        if len(self.seeds) * self.decoded_times > MAX_DECODED:
            raise UserError(f"Seeds times decoded times must stay within {MAX_DECODED}: ask for fewer of either.")


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
        _check(self, seed="seed", bands=False)
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
        _check(self, seed="seed")
        bands = len(self.edges) + 1
        for name, neutral, most, what in (
            ("alpha_scale", 1.0, 4.0, "alpha scale"), ("alpha_shift", 0.0, 8.0, "alpha shift"),
            ("beta_scale", 1.0, 4.0, "beta scale"), ("beta_shift", 0.0, 25.0, "beta shift"),
        ):  # fmt: skip
            given = getattr(self, name)
            values = (neutral,) * bands if _empty(given) else several(given, 9, f"The {what}s")
            if len(values) != bands:
                raise UserError(f"{bands - 1} edges make {bands} bands: give as many {what}s, not {len(values)}.")
            object.__setattr__(self, name, tuple(real(v, -most, most, f"Each {what}") for v in values))
        entries = () if _empty(self.entries) else several(self.entries, 64, "The levels")
        object.__setattr__(self, "entries", tuple(sorted({whole(e, 0, 63, "Each level") for e in entries})))
        object.__setattr__(self, "tau", real(self.tau, 0, 1, "The time tau"))


def _empty(values) -> bool:
    return isinstance(values, (list, tuple)) and len(values) == 0


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
        _check(self, seeds="seeds", bands=False)
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
        _check(self, seed="seed")
        object.__setattr__(self, "pairs", whole(self.pairs, 8, 512, "The number of pairs"))
        object.__setattr__(self, "sigma", real(self.sigma, SIGMA_MIN, SIGMA_MAX, "The noise level"))
        object.__setattr__(self, "carried", _flag(self.carried, "Whether differences are carried to the picture"))
        object.__setattr__(self, "draws", whole(self.draws, 100, 10_000, "The number of resamples"))
        rows = ROWS if _empty(self.rows) else several(self.rows, len(ROWS), "The factors")
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
        _check(self, seeds="seeds")
        object.__setattr__(self, "draws", whole(self.draws, 100, 10_000, "The number of resamples"))
