"""Questions about flows in two dimensions: frozen dataclasses; the answers are in `analysis.flow.points`.

Ranges are checked here; what depends on the net (its path, its sigma) is checked by `analysis.flow.points`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, ValidationInfo

from analysis.core.errors import UserError
from analysis.core.fields import Choice, Gamma, Request, Seed, check_noise, sorted_set
from analysis.flow.settings import (
    BRIDGES,
    MAX_NFE,
    MAX_POINTS,
    MAX_SETTINGS,
    MAX_SIGMA,
    MAX_SWEEP_SEEDS,
    MAX_SWEEP_VALUES,
    Grid,
    Nfe,
    Sampler,
    read_gammas,
)
from flow_core.densities.mixtures import MAX_CELLS
from flow_core.densities.toys import TOYS
from flow_core.model import NORMAL
from flow_core.paths import PATHS
from flow_core.samplers import MOMENTUM
from foundation.randomness import MAX_SEED

DRAWN = "drawn"
DENSITIES = (*TOYS, DRAWN)
STRAIGHT = ("icfm", "otcfm", "meanflow")  # paths that may begin at any source
NETS = ("auto", "oracle", "shipped")  # or the key of a trained net
KEY_PREFIX = "trained-"
MAX_TRAIN_STEPS = 6000
MAX_PLACE = 20.0  # of a coordinate: all densities lie well inside
MAX_LIKELIHOOD_STEPS = 64  # of four calls and eight derivatives each


def drawing_of(value: Any) -> tuple[tuple[float, ...], ...]:
    """A table of weights of 0 or more, row 0 at the top, 2 to 128 a side and not empty, as nested tuples."""
    try:
        cells = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        cells = np.zeros(0)
    if cells.ndim != 2 or not 2 <= min(cells.shape) <= max(cells.shape) <= MAX_CELLS:
        raise UserError(f"A drawing is a table of numbers with 2 to {MAX_CELLS} rows of 2 to {MAX_CELLS} each.")
    if not np.isfinite(cells).all() or (cells < 0).any() or (cells > 1e6).any():
        raise UserError("The weights of a drawing must be finite numbers from 0 to 1,000,000.")
    if not cells.any():
        raise UserError("Nothing is drawn: paint where the points shall be.")
    return tuple(tuple(row) for row in cells.tolist())


def _drawing(value: Any, info: ValidationInfo) -> tuple[tuple[float, ...], ...] | None:
    """In JSON a drawing is rows of 0 and 1, one text a row."""
    if value is None:
        return None
    if info.mode == "json":
        rows: list[str] = [r for r in value if isinstance(r, str)] if isinstance(value, list) else []
        if not rows or len(rows) != len(value) or not all(re.fullmatch("[01]+", row) for row in rows):
            raise UserError("A drawing in a recipe is a list of texts of 0 and 1, one a row.")
        value = [[int(cell) for cell in row] for row in rows]
    return drawing_of(value)


def _rows(drawing: tuple | None) -> list[str] | None:
    if drawing is None:
        return None
    if not np.isin(np.array(drawing), (0, 1)).all():
        raise UserError("A recipe holds drawings of 0 and 1 alone: round the weights of this one.")
    return ["".join(str(int(cell)) for cell in row) for row in drawing]


def _net(value: str, info: ValidationInfo) -> str:
    trained = rf"{KEY_PREFIX}[0-9a-f]{{16}}-[0-9]{{1,5}}" if info.mode == "json" else f"{KEY_PREFIX}.*"
    if value not in NETS and not re.fullmatch(trained, value, re.DOTALL):
        raise UserError(f"The net must be one of {', '.join(NETS)}, or the key of a net that was trained here.")
    return value


DensityName = Annotated[str, Choice(DENSITIES)]
SourceName = Annotated[str, Choice((NORMAL, *DENSITIES))]
Drawing = Annotated[tuple | None, PlainValidator(_drawing), PlainSerializer(_rows, when_used="json")]
PathName = Annotated[str, Choice(tuple(PATHS))]
Sigma0 = Annotated[float, Field(ge=0, le=MAX_SIGMA, title="sigma0")]
NetName = Annotated[str, AfterValidator(_net)]
Coordinate = Annotated[float, Field(ge=-MAX_PLACE, le=MAX_PLACE)]


def _check_target(request: Flow2DRequest | TrainRequest | LikelihoodRequest) -> None:
    """Raises UserError: sigma0 of 0 on a bridge, or a drawing without its density."""
    if request.path in BRIDGES and request.sigma0 == 0:
        raise UserError(
            "On this path sigma0 must be above 0: without noise it is the path of I-CFM, choose that one.", "sigma0"
        )
    if (request.drawing is not None) != (request.density == DRAWN):
        raise UserError(f'Send a drawing together with the density "{DRAWN}", and only then.', "drawing")
    if isinstance(request, LikelihoodRequest):
        return
    if (request.source_drawing is not None) != (request.source == DRAWN):
        raise UserError(
            f'Send a drawing of the source together with the source "{DRAWN}", only then.', "source_drawing"
        )
    if request.source != NORMAL and request.path not in STRAIGHT:
        raise UserError(
            "Another source than noise needs a path whose velocity needs no score: choose "
            f"{', '.join(STRAIGHT[:-1])} or {STRAIGHT[-1]}.", "source",
        )  # fmt: skip


@dataclass(frozen=True)
class Flow2DRequest(Request):
    """One setting: points from standard normal noise (t = 0) to a density (t = 1).

    Attributes:
        density: a name of flow_core.densities.toys, or "drawn".
        drawing: weights of a grid on [-4, 4]^2, row 0 at the top; for "drawn" only.
        path: "icfm", "otcfm", "sbcfm", "idff", "meanflow", "target" or "vp".
        sampler: on the exact velocity "euler" (on "meanflow" by mean velocities), "heun", "rk4", "rk4p" (steps in
            proportion to their calls), "taylor2"; on x1_hat "multistep"; Euler with momentum: "published" (the public
            code's drift), "momentum" (the same on the exact velocity), both without noise; Euler-Maruyama with
            matched noise: "matched" (eta = gamma1 sigma_t^2), "bridge" (eta = sigma0^2 / 2).
        nfe: network calls, 1 to 50.
        grid: of the steps, "uniform" or "cosine".
        sigma0: of the path's noise, 0 to 2; read on "sbcfm" and "idff", where it must be above 0, and on "target",
            where it is what is left of the noise at t = 1, above 0 and at most 1.
        gamma1, gamma2, gamma3: momentum weights, -100 to 100.
        seed: of noise and data; equal seeds start from equal noise.
        points: 16 to 2048.
        net: "oracle" (closed form, no network), "shipped", "auto" (shipped where one fits the path, else oracle), or
            the key of a trained net.
        source: what the points begin at: "normal" noise, or one of the densities, on the paths in `STRAIGHT`.
        source_drawing: as `drawing`, for the source "drawn" only.
    """

    density: DensityName = "8gaussians"
    drawing: Drawing = None
    path: PathName = "idff"
    sampler: Sampler = "euler"
    nfe: Nfe = 5
    grid: Grid = "uniform"
    sigma0: Sigma0 = 0.2
    gamma1: Gamma = 0.5
    gamma2: Gamma = 0.0
    gamma3: Gamma = 0.0
    seed: Seed = 0
    points: Annotated[int, Field(ge=16, le=MAX_POINTS, title="The number of points")] = 512
    net: NetName = "auto"
    source: SourceName = NORMAL
    source_drawing: Drawing = None

    def check_together(self) -> None:
        """Raises UserError: fields that do not go together."""
        _check_target(self)
        check_noise(self.sampler, self.gamma1)

    @property
    def gammas(self) -> tuple[float, ...]:
        """The weights that the sampler reads."""
        return read_gammas(self.sampler, self.gamma1, self.gamma2, self.gamma3)


@dataclass(frozen=True)
class SweepRequest(Request):
    """MMD^2 of several settings over NFE, and of those with momentum over gamma1, with spread over seeds.

    Attributes:
        settings: 1 to 4, of one density; their own seed is the first of the seeds.
        nfes: rising network calls, 1 to 50, at most 24.
        gammas: rising values of gamma1, at most 24; () leaves that part out. Other weights stay as in the setting.
        seeds: how many, 2 to 8, consecutive.
    """

    # `field()`, because `Request` has a method of this name, which would be the default
    settings: Annotated[  # type: ignore[assignment]
        tuple[Flow2DRequest, ...], Field(min_length=1, max_length=MAX_SETTINGS)
    ] = field()
    nfes: Annotated[
        tuple[Annotated[int, Field(ge=1, le=MAX_NFE)], ...],
        Field(min_length=1, max_length=MAX_SWEEP_VALUES, title="The numbers of network calls"),
        AfterValidator(sorted_set),
    ] = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)
    gammas: Annotated[
        tuple[Gamma, ...], Field(max_length=MAX_SWEEP_VALUES, title="The values of gamma1"), AfterValidator(sorted_set)
    ] = (-20.0, -10.0, -5.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
    seeds: Annotated[int, Field(ge=2, le=MAX_SWEEP_SEEDS, title="The number of seeds")] = 4

    def check_together(self) -> None:
        """Raises UserError: settings that are not of one density and seed, or seeds beyond the last."""
        if len({(s.density, s.drawing, s.source, s.source_drawing, s.seed) for s in self.settings}) > 1:
            raise UserError("All settings of a sweep must share their density, source and seed.", "settings")
        if self.settings[0].seed > MAX_SEED - self.seeds:
            raise UserError(
                f"So many seeds from this one on go beyond {MAX_SEED}: choose a smaller first seed.", "seeds"
            )

    @property
    def with_momentum(self) -> tuple[Flow2DRequest, ...]:
        """The settings that read gamma1."""
        return tuple(s for s in self.settings if s.sampler in MOMENTUM) if self.gammas else ()

    def at_gamma(self, setting: Flow2DRequest, gamma: float) -> Flow2DRequest | None:
        """A setting with another gamma1; None where there is no such: matched noise of a negative gamma1."""
        return None if setting.sampler == "matched" and gamma < 0 else replace(setting, gamma1=gamma)


@dataclass(frozen=True)
class TrainRequest(Request):
    """A net for a density, trained here and now.

    Attributes:
        density, drawing, path, sigma0, source, source_drawing: as in `Flow2DRequest`.
        steps: of 256 points each, 25 to 6000.
        width: units of each of the 3 hidden layers, 16 to 256.
        seed: of the weights and everything drawn.
    """

    density: DensityName = "8gaussians"
    drawing: Drawing = None
    path: PathName = "idff"
    sigma0: Sigma0 = 0.2
    steps: Annotated[int, Field(ge=25, le=MAX_TRAIN_STEPS, title="The number of training steps")] = 2000
    width: Annotated[int, Field(ge=16, le=256, title="The width of the net")] = 128
    seed: Seed = 0
    source: SourceName = NORMAL
    source_drawing: Drawing = None

    def check_together(self) -> None:
        """Raises UserError: fields that do not go together."""
        _check_target(self)


@dataclass(frozen=True)
class LikelihoodRequest(Request):
    """How probable a flow makes one point of the plane.

    Attributes:
        density, drawing, path, sigma0, net: as in `Flow2DRequest`.
        point: its coordinates, -20 to 20.
        steps: of the Runge-Kutta method back to noise, 4 to 64, four calls each.
    """

    density: DensityName = "8gaussians"
    drawing: Drawing = None
    path: PathName = "idff"
    sigma0: Sigma0 = 0.2
    point: Annotated[tuple[Coordinate, ...], Field(min_length=2, max_length=2)] = (0.0, 0.0)
    steps: Annotated[int, Field(ge=4, le=MAX_LIKELIHOOD_STEPS, title="The number of steps")] = 32
    net: NetName = "auto"

    def check_together(self) -> None:
        """Raises UserError: fields that do not go together."""
        _check_target(self)
