"""What is common to the search for momentum weights on validation noise."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from flow_core.samplers import SampleResult
from flow_core.series.scores import Interval
from foundation.student import mean_interval

SEED_ROOM = 2**25  # of noise seeds for validation, then of the test: no seed is in both
EULER, MULTISTEP = "exact flow, Euler", "exact flow, multistep"


def over_seeds(values: Tensor) -> Interval:
    """Mean over seeds with its interval."""
    return Interval(*mean_interval(values))


def counted(result: SampleResult, nfe: int) -> Tensor:
    """Its points; refused if it did not spend what it was asked to."""
    if result.nfe != nfe:
        raise RuntimeError(f"A sampler spent {result.nfe} network calls, not {nfe}.")
    return result.x


@dataclass(frozen=True)
class MomentumRow:
    """One family and order; for each nfe what the validation chose and what the test says of it.

    Attributes:
        family, order: which.
        gammas: weights that the validation chose.
        derivatives: backward passes a sample, counted; each is worth about two calls and none is one.
        mmd2: unbiased squared MMD.
        less_euler: paired difference to the exact Euler flow at equal nfe.
        less_none: to the same family without momentum.
    """

    family: str
    order: int
    gammas: tuple[tuple[float, ...], ...]
    derivatives: tuple[int, ...]
    mmd2: tuple[Interval, ...]
    less_euler: tuple[Interval, ...]
    less_none: tuple[Interval, ...]


@dataclass(frozen=True)
class Momentum:
    """What momentum does to the distance from data.

    Attributes:
        density: its name.
        nfe: network calls, counted.
        euler, multistep: unbiased squared MMD of the exact flow, for each nfe.
        less_multistep: the published drift of order 1 less the multistep, paired.
        rows: families and orders.
        seeds, validation: units of the test and of the choice.
    """

    density: str
    nfe: tuple[int, ...]
    euler: tuple[Interval, ...]
    multistep: tuple[Interval, ...]
    less_multistep: tuple[Interval, ...]
    rows: tuple[MomentumRow, ...]
    seeds: int
    validation: int
