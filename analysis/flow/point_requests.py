"""Questions about flows in two dimensions: frozen dataclasses; the answers are in `analysis.flow.points`.

Ranges are checked here; what depends on the net (its path, its sigma) is checked by `analysis.flow.points`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import MAX_GAMMA, check_noise, one_of, real, several, whole
from analysis.flow.settings import (
    BRIDGES,
    MAX_NFE,
    MAX_POINTS,
    MAX_SETTINGS,
    MAX_SIGMA,
    MAX_SWEEP_SEEDS,
    MAX_SWEEP_VALUES,
)
from flow_core.densities.mixtures import MAX_CELLS
from flow_core.densities.toys import TOYS
from flow_core.paths import PATHS
from flow_core.samplers import GRIDS, METHODS, MOMENTUM
from foundation.randomness import MAX_SEED

DRAWN = "drawn"
DENSITIES = (*TOYS, DRAWN)
NETS = ("auto", "oracle", "shipped")  # or the key of a trained net
KEY_PREFIX = "trained-"
MAX_TRAIN_STEPS = 6000


def drawing_of(value) -> tuple[tuple[float, ...], ...]:
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


def _net(value) -> str:
    """The name of a net."""
    if not isinstance(value, str) or (value not in NETS and not value.startswith(KEY_PREFIX)):
        raise UserError(f"The net must be one of {', '.join(NETS)}, or the key of a net that was trained here.")
    return value


def _check(request, **more) -> None:
    """Normalise the fields that all questions share, and put `more` in their places."""
    clean = {
        "density": one_of(request.density, DENSITIES, "The density"),
        "path": one_of(request.path, tuple(PATHS), "The path"),
        "sigma0": real(request.sigma0, 0, MAX_SIGMA, "sigma0"),
        **more,
    }
    if clean["path"] in BRIDGES and clean["sigma0"] == 0:
        raise UserError("On this path sigma0 must be above 0: without noise it is the path of I-CFM, choose that one.")
    if (request.drawing is not None) != (clean["density"] == DRAWN):
        raise UserError(f'Send a drawing together with the density "{DRAWN}", and only then.')
    clean["drawing"] = None if request.drawing is None else drawing_of(request.drawing)
    for name, value in clean.items():
        object.__setattr__(request, name, value)


@dataclass(frozen=True)
class Flow2DRequest:
    """One setting: points from standard normal noise (t = 0) to a density (t = 1).

    Attributes:
        density: a name of flow_core.densities.toys, or "drawn".
        drawing: weights of a grid on [-4, 4]^2, row 0 at the top; for "drawn" only.
        path: "icfm", "otcfm", "sbcfm", "idff".
        sampler: on the exact velocity "euler", "heun", "rk4", "taylor2"; on x1_hat "multistep"; Euler with momentum:
            "published" (the public code's drift), "momentum" (the same on the exact velocity), both without noise;
            Euler-Maruyama with matched noise: "matched" (eta = gamma1 sigma_t^2), "bridge" (eta = sigma0^2 / 2).
        nfe: network calls, 1 to 50.
        grid: of the steps, "uniform" or "cosine".
        sigma0: of the path's noise, 0 to 2; read on the paths "sbcfm" and "idff", where it must be above 0.
        gamma1, gamma2, gamma3: momentum weights, -100 to 100.
        seed: of noise and data; equal seeds start from equal noise.
        points: 16 to 2048.
        net: "oracle" (closed form, no network), "shipped", "auto" (shipped where one fits the path, else oracle), or
            the key of a trained net.
    """

    density: str = "8gaussians"
    drawing: tuple | None = None
    path: str = "idff"
    sampler: str = "euler"
    nfe: int = 5
    grid: str = "uniform"
    sigma0: float = 0.2
    gamma1: float = 0.5
    gamma2: float = 0.0
    gamma3: float = 0.0
    seed: int = 0
    points: int = 512
    net: str = "auto"

    def __post_init__(self) -> None:
        gammas = {g: real(getattr(self, g), -MAX_GAMMA, MAX_GAMMA, g) for g in ("gamma1", "gamma2", "gamma3")}
        _check(
            self,
            sampler=one_of(self.sampler, METHODS, "The sampler"),
            nfe=whole(self.nfe, 1, MAX_NFE, "The number of network calls"),
            grid=one_of(self.grid, tuple(GRIDS), "The grid of the steps"),
            points=whole(self.points, 16, MAX_POINTS, "The number of points"),
            net=_net(self.net),
            seed=whole(self.seed, 0, MAX_SEED, "The seed"),
            **gammas,
        )
        check_noise(self.sampler, self.gamma1)

    @property
    def gammas(self) -> tuple[float, ...]:
        """The weights that the sampler reads; trailing zeros do not raise the order."""
        if self.sampler not in MOMENTUM:
            return ()
        every = (self.gamma1, self.gamma2, self.gamma3)
        if self.sampler == "matched":
            return every[:1]
        return every[: max((k + 1 for k, g in enumerate(every) if g), default=1)]


@dataclass(frozen=True)
class SweepRequest:
    """MMD^2 of several settings over NFE, and of those with momentum over gamma1, with spread over seeds.

    Attributes:
        settings: 1 to 4, of one density; their own seed is the first of the seeds.
        nfes: rising network calls, 1 to 50, at most 24.
        gammas: rising values of gamma1, at most 24; () leaves that part out. Other weights stay as in the setting.
        seeds: how many, 2 to 8, consecutive.
    """

    settings: tuple[Flow2DRequest, ...]
    nfes: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)
    gammas: tuple[float, ...] = (-20.0, -10.0, -5.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
    seeds: int = 4

    def __post_init__(self) -> None:
        settings = several(self.settings, MAX_SETTINGS, "The settings")
        if any(not isinstance(s, Flow2DRequest) for s in settings):
            raise UserError("Each setting must be a question about a flow in two dimensions.")
        if len({(s.density, s.drawing, s.seed) for s in settings}) > 1:
            raise UserError("All settings of a sweep must share their density and their seed.")
        nfes = several(self.nfes, MAX_SWEEP_VALUES, "The numbers of network calls")
        gammas = () if self.gammas in ((), []) else several(self.gammas, MAX_SWEEP_VALUES, "The values of gamma1")
        seeds = whole(self.seeds, 2, MAX_SWEEP_SEEDS, "The number of seeds")
        if settings[0].seed > MAX_SEED - seeds:
            raise UserError(f"So many seeds from this one on go beyond {MAX_SEED}: choose a smaller first seed.")
        clean = {
            "settings": settings,
            "nfes": tuple(sorted({whole(n, 1, MAX_NFE, "Each number of network calls") for n in nfes})),
            "gammas": tuple(sorted({real(g, -MAX_GAMMA, MAX_GAMMA, "Each gamma1") for g in gammas})),
            "seeds": seeds,
        }
        for name, value in clean.items():
            object.__setattr__(self, name, value)

    @property
    def with_momentum(self) -> tuple[Flow2DRequest, ...]:
        """The settings that read gamma1."""
        return tuple(s for s in self.settings if s.sampler in MOMENTUM) if self.gammas else ()

    def at_gamma(self, setting: Flow2DRequest, gamma: float) -> Flow2DRequest | None:
        """A setting with another gamma1; None where there is no such: matched noise of a negative gamma1."""
        return None if setting.sampler == "matched" and gamma < 0 else replace(setting, gamma1=gamma)


@dataclass(frozen=True)
class TrainRequest:
    """A net for a density, trained here and now.

    Attributes:
        density, drawing, path, sigma0: as in `Flow2DRequest`.
        steps: of 256 points each, 25 to 6000.
        width: units of each of the 3 hidden layers, 16 to 256.
        seed: of the weights and everything drawn.
    """

    density: str = "8gaussians"
    drawing: tuple | None = None
    path: str = "idff"
    sigma0: float = 0.2
    steps: int = 2000
    width: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        _check(
            self,
            steps=whole(self.steps, 25, MAX_TRAIN_STEPS, "The number of training steps"),
            width=whole(self.width, 16, 256, "The width of the net"),
            seed=whole(self.seed, 0, MAX_SEED, "The seed"),
        )


MAX_PLACE = 20.0  # of a coordinate: all densities lie well inside
MAX_LIKELIHOOD_STEPS = 64  # of four calls and eight derivatives each


@dataclass(frozen=True)
class LikelihoodRequest:
    """How probable a flow makes one point of the plane.

    Attributes:
        density, drawing, path, sigma0, net: as in `Flow2DRequest`.
        point: its coordinates, -20 to 20.
        steps: of the Runge-Kutta method back to noise, 4 to 64, four calls each.
    """

    density: str = "8gaussians"
    drawing: tuple | None = None
    path: str = "idff"
    sigma0: float = 0.2
    point: tuple[float, float] = (0.0, 0.0)
    steps: int = 32
    net: str = "auto"

    def __post_init__(self) -> None:
        point = several(self.point, 2, "The point")
        if len(point) != 2:
            raise UserError("A point of the plane has two coordinates.")
        _check(
            self,
            point=tuple(real(v, -MAX_PLACE, MAX_PLACE, "Each coordinate") for v in point),
            steps=whole(self.steps, 4, MAX_LIKELIHOOD_STEPS, "The number of steps"),
            net=_net(self.net),
        )
