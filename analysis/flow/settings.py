"""What flows of points and of images share: the types of their fields, bounds, and which weights a sampler reads."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from analysis.core.fields import Choice
from flow_core.samplers import GRIDS, METHODS, MOMENTUM

BRIDGES = ("sbcfm", "idff", "target")  # paths that read sigma0; the others have no noise beside x0
MAX_NFE, MAX_POINTS, MAX_SIGMA = 50, 2048, 2.0
MAX_SETTINGS, MAX_SWEEP_SEEDS, MAX_SWEEP_VALUES = 4, 8, 24

Sampler = Annotated[str, Choice(METHODS)]
Grid = Annotated[str, Choice(tuple(GRIDS)), Field(title="The grid of the steps")]
Nfe = Annotated[int, Field(ge=1, le=MAX_NFE, title="The number of network calls")]


def read_gammas(sampler: str, *every: float) -> tuple[float, ...]:
    """The momentum weights that a sampler reads; trailing zeros do not raise the order."""
    if sampler not in MOMENTUM:
        return ()
    if sampler == "matched":
        return every[:1]
    return every[: max((k + 1 for k, g in enumerate(every) if g), default=1)]
