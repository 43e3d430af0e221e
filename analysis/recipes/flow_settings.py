"""The settings of flows inside a recipe: side by side in the plane or of pictures, and forecasts of time series.

As in `recipe_settings`. What settings beside each other share is said once; a drawing is rows of 0 and 1.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from analysis.core.errors import UserError
from analysis.core.fields import MAX_GAMMA
from analysis.flow.images import MAX_PICTURES, FlowPicturesRequest
from analysis.flow.images import PATHS as PICTURE_PATHS
from analysis.flow.point_requests import DENSITIES, KEY_PREFIX, NETS, Flow2DRequest
from analysis.flow.settings import MAX_NFE, MAX_POINTS, MAX_SETTINGS, MAX_SIGMA
from analysis.flow.side_by_side import SHARED, SideBySideRequest
from analysis.recipes.settings import Label, Name, Seed, Settings, Strict, Unit
from analysis.series.forecast import MAX_MEMBERS, MAX_ORDER, MIN_MEMBERS, ForecastRequest
from analysis.series.loaded import MAX_HORIZON
from flow_core.densities.mixtures import MAX_CELLS
from flow_core.paths import PATHS
from flow_core.samplers import GRIDS, METHODS

Nfe = Annotated[int, Field(ge=1, le=MAX_NFE)]
Gamma = Annotated[float, Field(ge=-MAX_GAMMA, le=MAX_GAMMA)]
Grid = Literal[tuple(GRIDS)]
Net = Annotated[str, Field(pattern=rf"^({'|'.join(NETS)}|{KEY_PREFIX}[0-9a-f]{{16}}-[0-9]{{1,5}})$")]
Row = Annotated[str, Field(pattern=rf"^[01]{{2,{MAX_CELLS}}}$")]


class OfPlane(Strict):
    """One setting in the plane; fields as in `Flow2DRequest`."""

    path: Literal[tuple(PATHS)]
    sampler: Literal[METHODS]
    nfe: Nfe
    sigma0: Annotated[float, Field(ge=0, le=MAX_SIGMA)]
    gamma1: Gamma
    gamma2: Gamma
    gamma3: Gamma
    net: Net


class OfPictures(Strict):
    """One setting of pictures; fields as in `FlowPicturesRequest`."""

    path: Literal[PICTURE_PATHS]
    sampler: Literal[METHODS]
    nfe: Nfe
    gamma1: Gamma
    gamma2: Gamma
    gamma3: Gamma


class SideSettings(Settings):
    """Settings beside each other: what they share as fields, and `settings`, null where a place is empty."""

    REQUEST = SideBySideRequest
    ASKED: ClassVar[type]  # of each setting

    def request(self) -> SideBySideRequest:
        """The question, ready to ask. Raises UserError."""
        shared = {name: _asked(getattr(self, name)) for name in SHARED[self.ASKED]}
        each = (s if s is None else self.ASKED(**shared, **s.model_dump()) for s in self.settings)
        return SideBySideRequest(tuple(each))

    @classmethod
    def of(cls, request: SideBySideRequest) -> Settings:
        """The settings of a question. Raises UserError: a drawing that is not of 0 and 1."""
        shared = SHARED[cls.ASKED]
        fields = [name for name in cls.ASKED.__dataclass_fields__ if name not in shared]
        each = [s if s is None else {name: getattr(s, name) for name in fields} for s in request.settings]
        values = {name: _written(getattr(request.asked[0], name)) for name in shared}
        return cls.model_validate({"kind": cls.name(), "settings": each, **values})


def _asked(value: Any) -> Any:
    """A shared field as a request takes it."""
    rows = isinstance(value, list) and isinstance(value[0], str)
    return tuple(tuple(map(int, row)) for row in value) if rows else tuple(value) if isinstance(value, list) else value


def _written(value: Any) -> Any:
    """A shared field of a request as a recipe has it."""
    if not isinstance(value, tuple):
        return value
    if not isinstance(value[0], tuple):
        return list(value)
    cells = np.array(value)
    if not np.isin(cells, (0, 1)).all():
        raise UserError("A recipe holds drawings of 0 and 1 alone: round the weights of this one.")
    return ["".join(map(str, row)) for row in cells.astype(int)]


class Flow2DSettings(SideSettings):
    """Flows in the plane; shared fields as in `Flow2DRequest`, the drawing as rows of 0 and 1, the top first."""

    ASKED = Flow2DRequest
    kind: Literal["flow_2d"]
    density: Literal[DENSITIES]
    drawing: Annotated[list[Row], Field(min_length=2, max_length=MAX_CELLS)] | None
    seed: Seed
    points: Annotated[int, Field(ge=16, le=MAX_POINTS)]
    grid: Grid
    settings: Annotated[list[OfPlane | None], Field(min_length=1, max_length=MAX_SETTINGS)]


class FlowImagesSettings(SideSettings):
    """Flows of pictures; shared fields as in `FlowPicturesRequest`."""

    ASKED = FlowPicturesRequest
    kind: Literal["flow_images"]
    data: Name
    label: Label
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MAX_PICTURES)]
    grid: Grid
    settings: Annotated[list[OfPictures | None], Field(min_length=1, max_length=MAX_SETTINGS)]


class ForecastSettings(Settings):
    """A forecast of a time series; fields as in `ForecastRequest`."""

    REQUEST = ForecastRequest
    kind: Literal["forecast"]
    model: Name
    start: Unit
    horizon: Annotated[int, Field(ge=0, le=MAX_HORIZON)]
    members: Annotated[int, Field(ge=MIN_MEMBERS, le=MAX_MEMBERS)]
    nfe: Nfe
    method: Literal[METHODS]
    gammas: Annotated[list[Gamma], Field(min_length=1, max_length=MAX_ORDER)]
    seed: Seed


FLOW_KINDS: tuple[type[Settings], ...] = (Flow2DSettings, FlowImagesSettings, ForecastSettings)


def flow_kind(request: Any) -> type[Settings] | None:
    """The kind of a question about flows, None for any other."""
    if isinstance(request, SideBySideRequest):
        return next(k for k in (Flow2DSettings, FlowImagesSettings) if k.ASKED is type(request.asked[0]))
    return ForecastSettings if isinstance(request, ForecastRequest) else None
