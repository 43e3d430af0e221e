"""Flows in two dimensions: results and answers; questions are in `analysis.flow.point_requests`."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from analysis.core.errors import UserError, as_user_errors
from analysis.core.progress import Report
from analysis.flow.clouds import NOISE, STEPS, W2_POINTS, CloudNumbers
from analysis.flow.nets import Net, Training
from analysis.flow.point_requests import Flow2DRequest, SweepRequest
from analysis.flow.settings import MAX_POINTS
from flow_core.samplers import SampleResult, follow
from foundation import noise
from foundation.randomness import MAX_SEED, derived_seed


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
    """

    nfes: np.ndarray
    by_nfe: np.ndarray
    oracle_by_nfe: np.ndarray
    gammas: np.ndarray
    gamma_settings: tuple[int, ...]
    by_gamma: np.ndarray
    oracle_by_gamma: np.ndarray
    floor: np.ndarray


class PointFlows(Training):
    """Questions about flows in two dimensions; what is asked twice is kept."""

    @staticmethod
    @functools.cache
    def shared() -> PointFlows:
        """The one bench of a process: page and endpoints know the same trained nets."""
        return PointFlows()

    def flow_2d(self, request: Flow2DRequest) -> Flow2DResult:
        """One setting: trajectories, points, distances to data, and what data and the closed form get."""
        net = self.net(request)
        states, predictions = [], []

        def keep(i: int, t: float, x: Tensor, x1: Tensor) -> None:
            states.append(x)
            predictions.append(x1)

        result = self._sample(request, net, keep)
        density, axis = self.contours(request)
        numbers = self._numbers(request, result.x)
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
            floor=self.floor(request),
            oracle=numbers if net.name == "oracle" else self._of_oracle(request),
            w2_points=min(request.points, W2_POINTS),
        )

    def _of_oracle(self, request: Flow2DRequest) -> CloudNumbers | None:
        try:
            twin = replace(request, net="oracle")
            return self._numbers(request, self._sample(twin, self.net(twin)).x)
        except UserError:  # no closed form, or it diverged
            return None

    def _sample(self, request: Flow2DRequest, net: Net, callback=None) -> SampleResult:
        if request.sampler == "taylor2" and request.path == "sbcfm":
            raise UserError("Taylor-2 needs a net without an eps head, and this path has one: choose heun or rk4.")
        with as_user_errors():
            start = _noise(_seeds(request, NOISE))
            return follow(net.predict, start, net.path, request, lambda: _seeds(request, STEPS), callback)

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
        plain = replace(
            first, sampler="euler", net="oracle", path=first.path if first.path in ("icfm", "idff") else "icfm"
        )
        jobs = [
            (by_nfe, (s, k, r), replace(setting, nfe=n, seed=seed))
            for s, setting in enumerate((*request.settings, plain))
            for k, n in enumerate(request.nfes)
            for r, seed in enumerate(seeds)
        ]
        for m, setting in enumerate(moved):
            for g, gamma in enumerate(request.gammas):
                asked = request.at_gamma(setting, gamma)
                for r, seed in enumerate(seeds if asked else ()):
                    jobs.append((by_gamma, (0, m, g, r), replace(asked, seed=seed)))
                    jobs.append((by_gamma, (1, m, g, r), replace(asked, seed=seed, net="oracle")))
        for i, (table, place, asked) in enumerate(jobs):
            if report is not None:
                report(i / len(jobs), f"run {i + 1} of {len(jobs)}: {asked.sampler}, {asked.nfe} calls")
            table[place] = self._mmd2(asked)
        floor = [self.floor(replace(first, seed=seed)).mmd2 for seed in seeds]
        return SweepResult(
            nfes=np.array(request.nfes),
            by_nfe=by_nfe[:-1],
            oracle_by_nfe=by_nfe[-1],
            gammas=np.array(request.gammas if moved else ()),
            gamma_settings=tuple(request.settings.index(s) for s in moved),
            by_gamma=by_gamma[0],
            oracle_by_gamma=by_gamma[1],
            floor=np.array(floor),
        )

    def _mmd2(self, request: Flow2DRequest) -> float:
        try:
            x = self._sample(request, self.net(request)).x
        except UserError:
            return math.nan
        return self._kept_mmd(request).unbiased(x)


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
