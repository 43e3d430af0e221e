"""Flows in two dimensions, from a question to numbers: the counterpart of the Workbench for `flow_core`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from analysis.errors import UserError
from analysis.flow_clouds import NOISE, STEPS, W2_POINTS, sentences
from analysis.flow_follow import follow
from analysis.flow_nets import Net
from analysis.flow_training import Training
from analysis.requests_flow import MAX_POINTS, Flow2DRequest, SweepRequest
from analysis.results_flow import CloudNumbers, Flow2DResult, SweepResult
from flow_core.samplers import SampleResult
from foundation import noise
from foundation.randomness import MAX_SEED, derived_seed

Report = Callable[[float, str], None]


class FlowBench(Training):
    """Questions about flows in two dimensions; what is asked twice is kept."""

    @staticmethod
    @functools.cache
    def shared() -> FlowBench:
        """The one bench of a process: page and endpoints know the same trained nets."""
        return FlowBench()

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
        with sentences():
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
