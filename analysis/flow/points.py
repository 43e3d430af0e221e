"""Flows in two dimensions: requests, results and answers."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from analysis.core.cache import ByteLRU
from analysis.core.errors import UserError, as_user_errors
from analysis.core.fields import Gamma, Request, Seed, sorted_set
from analysis.core.progress import Report, tell
from analysis.flow.clouds import NOISE_PART, STEPS_PART, W2_POINTS, CloudNumbers, Clouds, DensityName, Drawing
from analysis.flow.nets import (
    Net,
    NetName,
    Nets,
    PathName,
    Sigma0,
    SourceName,
    TrainRequest,
    TrainStep,
    check_source,
    check_target,
    source_of,
    train_net,
)
from analysis.flow.settings import (
    MAX_NFE,
    MAX_POINTS,
    MAX_SETTINGS,
    MAX_SWEEP_SEEDS,
    MAX_SWEEP_VALUES,
    FlowSetting,
    Grid,
    Nfe,
    Sampler,
)
from analysis.flow.transport import TransportRequest, TransportResult
from analysis.flow.transport import transport as measure_transport
from flow_core.densities.toys import Toy
from flow_core.likelihood import log_likelihood
from flow_core.model import MODELS_DIR, NORMAL
from flow_core.samplers import GRIDS, MOMENTUM, Callback, SampleResult, sample
from foundation import noise
from foundation.randomness import MAX_SEED, derived_seed

POINT_CACHE_BYTES = 32 * 2**20  # some fifty settings of 1,024 points: all that a slider passes by
MAX_PLACE = 20.0  # of a coordinate: all densities lie well inside
MAX_LIKELIHOOD_STEPS = 64  # of four calls and eight derivatives each
Coordinate = Annotated[float, Field(ge=-MAX_PLACE, le=MAX_PLACE)]


@dataclass(frozen=True)
class Flow2DRequest(FlowSetting):
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
        source: what the points begin at: "normal" noise, or one of the densities, on the paths in `nets.STRAIGHT`.
        source_drawing: as `drawing`, for the source "drawn" only.
    """

    SHARED: ClassVar[tuple[str, ...]] = ("density", "drawing", "seed", "points", "grid", "source", "source_drawing")
    former: ClassVar = {"source": NORMAL, "source_drawing": None}
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
        check_target(self)
        check_source(self)
        super().check_together()


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
        check_target(self)


@dataclass(frozen=True, eq=False)
class Flow2DResult:
    """One setting, run.

    Attributes:
        times: (N + 1,) of the grid, 0 = noise, 1 = data.
        trajectories: (n, N + 1, 2) float32, the states at these times.
        predictions: (n, N, 2) float32, x1_hat at the start of every step.
        density: (c, c) float32 the exact density, row = y growing, column = x growing.
        axis: (c,) float32 coordinates of rows and columns.
        nfe: network calls, counted.
        derivatives: backward passes, counted; each costs about two calls.
        net: what was called: "oracle", the name of a shipped net, or the key of a trained one.
        numbers: against held-out data.
        floor: the same of as many points of data: what a perfect sampler gets.
        oracle: the same of the same sampler on the closed form, None where none is known.
        w2_points: how many points of each cloud the W2 took.
    """

    times: np.ndarray
    trajectories: np.ndarray
    predictions: np.ndarray
    density: np.ndarray
    axis: np.ndarray
    nfe: int
    derivatives: int
    net: str
    numbers: CloudNumbers
    floor: CloudNumbers
    oracle: CloudNumbers | None
    w2_points: int

    @property
    def points(self) -> np.ndarray:
        """(n, 2) float32 at t = 1."""
        return self.trajectories[:, -1]


@dataclass(frozen=True, eq=False)
class SweepResult:
    """Unbiased MMD^2; NaN where a setting diverged or is undefined. R seeds.

    Attributes:
        nfes: (K,).
        by_nfe: (S, K, R), the settings.
        oracle_by_nfe: (K, R), Euler on the exact velocity of the closed form (of I-CFM where a path has none).
        gammas: (G,) values of gamma1, () when no setting has momentum.
        gamma_settings: indices of the settings in `by_gamma`.
        by_gamma: (M, G, R), each at its setting's own NFE.
        oracle_by_gamma: (M, G, R), the same on the closed form, NaN where none is known.
        floor: (R,) of data against data.
        heun_by_gamma: (M, R), Heun's method on the net's exact velocity with the calls of each of these settings: a
            method of second order has no error of Euler's for a weight to cancel.
    """

    nfes: np.ndarray
    by_nfe: np.ndarray
    oracle_by_nfe: np.ndarray
    gammas: np.ndarray
    gamma_settings: tuple[int, ...]
    by_gamma: np.ndarray
    oracle_by_gamma: np.ndarray
    floor: np.ndarray
    heun_by_gamma: np.ndarray


@dataclass(frozen=True, eq=False)
class LikelihoodResult:
    """Density of a flow at one point of the plane, beside the exact one.

    Attributes:
        log_prob: natural logarithm of the flow's density, per unit of area.
        bits_per_dim: -log_prob / (2 ln 2).
        exact_log_prob, exact_bits_per_dim: of the density itself; -inf and inf where that is 0.
        latent: (2,) where the plain flow brings the point from, at t = 0.
        nfe, derivatives: network calls and backward passes, counted.
        net: as in `Flow2DResult`.
    """

    log_prob: float
    bits_per_dim: float
    exact_log_prob: float
    exact_bits_per_dim: float
    latent: np.ndarray
    nfe: int
    derivatives: int
    net: str


class PointFlows:
    """Questions about flows in two dimensions; what is asked twice is kept.

    Args:
        folder: of the nets that ship; see `Nets`.
    """

    def __init__(self, folder: str | Path = MODELS_DIR):
        self.clouds, self.nets = Clouds(), Nets(folder)
        self._answers, self._lock = ByteLRU(POINT_CACHE_BYTES), threading.Lock()

    @property
    def trained(self) -> tuple[str, ...]:
        """Keys of the trained nets that can be used, the latest last."""
        return self.nets.trained

    def net(self, request: Flow2DRequest | LikelihoodRequest) -> Net:
        """What a question calls. Raises UserError: see `Nets.get`."""
        source = None if isinstance(request, LikelihoodRequest) else source_of(request, self.clouds)
        return self._get(request, request.net, source)

    def _get(self, request: Flow2DRequest | LikelihoodRequest, key: str, source: Toy | None) -> Net:
        return self.nets.get(self.clouds.toy(request), request.path, request.sigma0, key, source)

    def contours(self, request: Flow2DRequest | TrainRequest) -> tuple[np.ndarray, np.ndarray]:
        """The exact density (c, c) of a question, row = y growing, and its axis (c,)."""
        return self.clouds.contours(request)

    def train_toy(self, request: TrainRequest, report: Report | None = None) -> Iterator[TrainStep]:
        """Train a net; see `analysis.flow.nets.train_net`."""
        return train_net(request, self.clouds, self.nets, report)

    def flow_2d(self, request: Flow2DRequest, report: Report | None = None) -> Flow2DResult:
        """One setting: trajectories, points, distances to data, and what data and the closed form get.

        Args:
            request: what to run.
            report: called with (share done, what) at every step; may raise to cancel.
        """
        source = source_of(request, self.clouds)
        net = self._get(request, request.net, source)
        asked = request, net.name  # of "auto" another one may answer tomorrow
        with self._lock:
            known = self._answers.find(asked)
        if known is None:  # made without the lock: two that ask the same at once are no harm
            known = self._flow(request, net, source, report)
            with self._lock:
                self._answers.put(asked, known)
        return known

    def _flow(self, request: Flow2DRequest, net: Net, source: Toy | None, report: Report | None) -> Flow2DResult:
        start = self._start(request, source)
        states, predictions = [], []

        def keep(i: int, t: float, x: Tensor, x1: Tensor) -> None:
            tell(report, t, "flow")
            states.append(x)
            predictions.append(x1)

        result = self._sample(request, net, start, keep)
        density, axis = self.contours(request)
        numbers = self.clouds.numbers(request, result.x)
        return Flow2DResult(
            times=result.grid.numpy(),
            trajectories=_stacked([*states, result.x]),
            predictions=_stacked(predictions),
            density=density,
            axis=axis,
            nfe=result.nfe,
            derivatives=result.derivatives,
            net=net.name,
            numbers=numbers,
            floor=self.clouds.floor(request, request.points),
            oracle=numbers if net.name == "oracle" else self._of_oracle(request, net, source, start),
            w2_points=min(request.points, W2_POINTS),
        )

    def _of_oracle(self, request: Flow2DRequest, net: Net, source: Toy | None, start: Tensor) -> CloudNumbers | None:
        if not net.path.independent:  # no closed form
            return None
        try:
            oracle = self._get(request, "oracle", source)
            return self.clouds.numbers(request, self._sample(request, oracle, start).x)
        except UserError:  # no closed form, or it diverged
            return None

    def _sample(
        self, request: Flow2DRequest, net: Net, start: Tensor, callback: Callback | None = None
    ) -> SampleResult:
        if request.sampler == "taylor2" and request.path == "sbcfm":
            raise UserError(
                "Taylor-2 needs a net without an eps head, and this path has one: choose heun or rk4.", "sampler"
            )
        with as_user_errors():
            return sample(
                request.sampler, net.predict, start, net.path, request.nfe, gammas=request.gammas,
                spacing=GRIDS[request.grid], noise_seeds=_seeds(request, STEPS_PART), callback=callback,
            )  # fmt: skip

    @staticmethod
    def _start(request: Flow2DRequest, source: Toy | None) -> Tensor:
        if source is None:
            return _noise(_seeds(request, NOISE_PART))
        return source.sample(request.points, derived_seed(NOISE_PART, request.seed))

    def likelihood(self, request: LikelihoodRequest) -> LikelihoodResult:
        """Density of a net's plain flow at one point, beside the exact density."""
        net, density = self.net(request), self.clouds.toy(request).density
        at = torch.tensor([request.point], dtype=torch.float64)
        exact = float(density.log_prob(at))
        with as_user_errors():
            start = at if net.name == "oracle" else at.float()
            found = log_likelihood(net.predict, net.path, start, steps=request.steps)
        return LikelihoodResult(
            float(found.log_prob), float(found.bits_per_dim), exact, -exact / (2 * math.log(2)),
            found.latent[0].double().numpy(), found.nfe, found.derivatives, net.name,
        )  # fmt: skip

    def transport(self, request: TransportRequest, report: Report | None = None) -> TransportResult:
        """What minibatch transport pairs, by the size of the batch; see `analysis.flow.transport`."""
        return measure_transport(self.clouds, request, report)

    # -----------------------------------------------------------------------------------------------------------------
    # Sweeps

    def sweep(self, request: SweepRequest, report: Report | None = None) -> SweepResult:
        """MMD^2 over NFE and over gamma1.

        Args:
            request: what to run.
            report: called with (share done, what); may raise to cancel.
        """
        first, moved = request.settings[0], request.with_momentum
        seeds = range(first.seed, first.seed + request.seeds)
        for setting in request.settings:  # a net that is not there is told at once, not as gaps
            self.net(setting)
        shape = (len(request.settings) + 1, len(request.nfes), len(seeds))
        by_nfe, by_gamma = np.full(shape, np.nan), np.full((2, len(moved), len(request.gammas), len(seeds)), np.nan)
        heun = np.full((len(moved), len(seeds)), np.nan)
        plain = replace(first, sampler="euler", net="oracle", path="idff" if first.path == "idff" else "icfm")
        jobs: list[tuple[np.ndarray, tuple[int, ...], Flow2DRequest]] = [
            (by_nfe, (s, k, r), replace(setting, nfe=n, seed=seed))
            for s, setting in enumerate((*request.settings, plain))
            for k, n in enumerate(request.nfes)
            for r, seed in enumerate(seeds)
        ]
        for m, setting in enumerate(moved):
            jobs += [(heun, (m, r), replace(setting, sampler="heun", seed=seed)) for r, seed in enumerate(seeds)]
            for g, gamma in enumerate(request.gammas):
                asked = request.at_gamma(setting, gamma)
                if asked is None:
                    continue
                for r, seed in enumerate(seeds):
                    jobs.append((by_gamma, (0, m, g, r), replace(asked, seed=seed)))
                    jobs.append((by_gamma, (1, m, g, r), replace(asked, seed=seed, net="oracle")))
        for i, (table, place, asked) in enumerate(jobs):
            tell(report, i / len(jobs), f"run {i + 1} of {len(jobs)}: {asked.sampler}, {asked.nfe} calls")
            table[place] = self._mmd2(asked)
        floor = [self.clouds.floor(replace(first, seed=seed), first.points).mmd2 for seed in seeds]
        return SweepResult(
            nfes=np.array(request.nfes),
            by_nfe=by_nfe[:-1],
            oracle_by_nfe=by_nfe[-1],
            gammas=np.array(request.gammas if moved else ()),
            gamma_settings=tuple(request.settings.index(s) for s in moved),
            by_gamma=by_gamma[0],
            oracle_by_gamma=by_gamma[1],
            floor=np.array(floor),
            heun_by_gamma=heun,
        )

    def _mmd2(self, request: Flow2DRequest) -> float:
        try:
            source = source_of(request, self.clouds)
            net, start = self._get(request, request.net, source), self._start(request, source)
            x = self._sample(request, net, start).x
        except UserError:
            return math.nan
        return self.clouds.mmd(request).unbiased(x)


def _seeds(request: Flow2DRequest, part: int) -> range:
    """Consecutive seeds of the points: the first n are the same for every n."""
    first = min(derived_seed(part, request.seed), MAX_SEED - MAX_POINTS)
    return range(first, first + request.points)


@functools.lru_cache(maxsize=64)
def _noise(seeds: range) -> Tensor:
    return noise(seeds, (2,))


def _stacked(states: list[Tensor]) -> np.ndarray:
    """Each (n, 2) -> (n, len, 2) float32."""
    return torch.stack(states, 1).float().numpy()
