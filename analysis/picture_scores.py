"""Flows of pictures, sampler beside sampler: how far from the net's own exact flow, and how far from data.

All noise and data are held out, and every method starts from the same noises. The distance to the exact flow is one of
pictures, that to data one of laws (`analysis.picture_law`); differences of both are paired by seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis import metrics
from analysis.errors import UserError
from analysis.fidelity import FIRST_SEED
from analysis.flow_scores import EULER, MULTISTEP, SEED_ROOM, Momentum, MomentumRow, Progress, over_seeds
from analysis.picture_bench import EXACT_NFE
from analysis.picture_law import HeldOut, held_out, pooled
from analysis.picture_methods import (
    GRIDS,
    SAMPLER,
    Meter,
    batches,
    chosen,
    exact_flow,
    has_momentum,
    methods,
    path_words,
    sampled,
    without,
)
from analysis.requests_pictures import FlowPicturesRequest
from flow_core.distances import MMD
from flow_core.model import FlowModel
from flow_core.samplers import Diverged
from flow_core.series_metrics import Interval
from foundation.datasets import DataError
from foundation.perceptual import PerceptualDistance, available

NFES = (1, 2, 3, 5, 8, 12, 20)
VALIDATION_SEEDS = 16
LPIPS, PSNR = "LPIPS (Alex, 64 px)", "PSNR, dB"
PUBLISHED, MATCHED = SAMPLER  # the families of momentum


@dataclass(frozen=True)
class DataScores:
    """Distance to data.

    Attributes:
        bandwidth, count: of the kernel; data pictures.
        same: whether the data are those that the card names.
        mmd2: method -> for each nfe the unbiased squared MMD.
        less_euler: method -> for each nfe the paired difference to the net's Euler at equal calls.
        less_companion: method -> the same to the OT-CFM net's Euler; empty without that net.
        instead: of data in the place of samples.
        momentum: what was chosen and what follows, from two calls up; None on a path without noise.
        tenth: calls, and the paired difference of the published drift with so many to the OT-CFM net's Euler with ten
            times as many, the most; None where they were not measured.
    """

    bandwidth: float
    count: int
    same: bool
    mmd2: Mapping[str, tuple[Interval, ...]]
    less_euler: Mapping[str, tuple[Interval, ...]]
    less_companion: Mapping[str, tuple[Interval, ...]]
    instead: Interval
    momentum: Momentum | None
    tenth: tuple[int, Interval] | None


@dataclass(frozen=True)
class PictureScores:
    """A net, with the OT-CFM net of the same data where that is there.

    Attributes:
        seeds: noises of the test.
        nfe: network calls, counted.
        euler, companion: names of the net's and of the OT-CFM net's Euler, "" without that net.
        measure: `LPIPS` or `PSNR`, of each picture to its net's exact flow.
        exact: method -> for each nfe.
        less_euler: method -> for each nfe the paired difference to Euler at equal calls.
        classes: whether the net has some.
        data: distance to data, or the sentence why there is none.
    """

    seeds: int
    nfe: tuple[int, ...]
    euler: str
    companion: str
    measure: str
    exact: Mapping[str, tuple[Interval, ...]]
    less_euler: Mapping[str, tuple[Interval, ...]]
    classes: bool
    data: DataScores | str


def choose(model: FlowModel, family: str, nfe: int, seeds: range, reference: MMD, meter: Meter) -> float:
    """The gamma1 of a family's grid with the least distance to the validation data; one that diverges is never it."""

    def score(gamma1: float) -> float:
        request = FlowPicturesRequest(sampler=SAMPLER[family], nfe=nfe, gamma1=gamma1)
        made = []
        for batch in batches(seeds):
            meter.add(nfe * len(batch), f"{family}, choosing at {nfe} calls")
            try:
                made.append(pooled(sampled(model, request, batch)))
            except (Diverged, ValueError):  # the second: no real root in the published drift
                return math.inf
        return reference.unbiased(torch.cat(made))

    return min(GRIDS[family], key=score)


def _closeness(perceptual: PerceptualDistance | None, exact: Tensor) -> Callable[[Tensor], Tensor]:
    if perceptual is None:
        return lambda x: metrics.psnr(x, exact)
    features = perceptual.features(exact)
    return lambda x: perceptual.distance_from(x, features).double()


@torch.inference_mode()
def measure_pictures(
    model: FlowModel, other: FlowModel | None, seeds: int, progress: Progress = None, nfes: tuple[int, ...] = NFES
) -> PictureScores:
    """Every method at every number of calls from the same noises; weights chosen on validation noises and data.

    Args:
        model: a net for pictures.
        other: see `picture_methods.companion_of`.
        seeds: from 4.
        progress: called with (share, words); may raise to stop.
        nfes: rising.
    """
    if progress is not None:
        progress(0.0, "held-out data")
    try:
        data: HeldOut | str = held_out(model, seeds)
    except (UserError, DataError) as e:
        data = str(e)
    weighed = not isinstance(data, str) and has_momentum(model)
    nets = [model] if other is None else [model, other]
    trials = VALIDATION_SEEDS * sum(map(len, GRIDS.values())) * sum(n for n in nfes if n > 1) if weighed else 0
    gammas = {f: (grid[0],) * len(nfes) for f, grid in GRIDS.items()} if weighed else {}
    count = len(methods(model, other, nfes, gammas))
    meter = Meter(trials + seeds * (EXACT_NFE * len(nets) + count * sum(nfes)), progress)
    if weighed:
        low = FIRST_SEED + SEED_ROOM
        trial = range(low, low + VALIDATION_SEEDS)
        gammas = {  # the first step is at t = 0, where there is no momentum
            f: tuple(grid[0] if n == 1 else choose(model, f, n, trial, data.validation, meter) for n in nfes)
            for f, grid in GRIDS.items()
        }
    rows = methods(model, other, nfes, gammas)
    perceptual = PerceptualDistance("alex", side=64) if available("alex") else None
    near: dict[str, list[list[Tensor]]] = {name: [[] for _ in nfes] for name in rows}
    seen: dict[str, list[list[Tensor]]] = {name: [[] for _ in nfes] for name in rows}
    low = FIRST_SEED + 2 * SEED_ROOM
    for batch in batches(range(low, low + seeds)):
        ends, closeness = {}, {}
        for net in nets:
            ends[net] = exact_flow(net, batch)
            closeness[net] = _closeness(perceptual, ends[net])
            meter.add(EXACT_NFE * len(batch), f"exact flow, {path_words(net)}")
        made: dict[tuple, tuple[Tensor, Tensor]] = {}  # no momentum may be the weight that was chosen
        for name, (net, requests) in rows.items():
            for k, request in enumerate(requests):
                if (net, request) not in made:
                    try:
                        x = sampled(net, request, batch)
                    except Diverged:
                        x = torch.full_like(ends[net], math.nan)
                    made[net, request] = closeness[net](x), pooled(x)
                near[name][k].append(made[net, request][0])
                seen[name][k].append(made[net, request][1])
                meter.add(request.nfe * len(batch), f"{name}, {request.nfe} calls")
    found = {name: [torch.cat(parts) for parts in row] for name, row in near.items()}
    euler = f"{path_words(model)}, {EULER}"
    features = {name: [torch.cat(parts) for parts in row] for name, row in seen.items()}
    return PictureScores(
        seeds, tuple(nfes), euler, "" if other is None else f"{path_words(other)}, {EULER}",
        PSNR if perceptual is None else LPIPS, {name: tuple(map(over_seeds, row)) for name, row in found.items()},
        _less(found, euler), bool(model.config.classes),
        data if isinstance(data, str) else _data_scores(model, other, data, nfes, features, gammas, seeds),
    )  # fmt: skip


def _less(found: Mapping[str, list[Tensor]], base: str) -> dict[str, tuple[Interval, ...]]:
    """Paired differences of all rows to one of them, at equal calls."""
    return {
        name: tuple(over_seeds(a - b) for a, b in zip(row, found[base], strict=True))
        for name, row in found.items()
        if name != base
    }


def _data_scores(
    model: FlowModel,
    other: FlowModel | None,
    data: HeldOut,
    nfes: tuple[int, ...],
    features: Mapping[str, list[Tensor]],
    gammas: Mapping[str, tuple[float, ...]],
    seeds: int,
) -> DataScores:
    d = {name: [data.distances(f) for f in row] for name, row in features.items()}
    euler, rival = f"{path_words(model)}, {EULER}", "" if other is None else f"{path_words(other)}, {EULER}"
    momentum, tenth = None, None
    if gammas:
        from_two = [k for k, n in enumerate(nfes) if n > 1]
        said = lambda name: tuple(over_seeds(d[name][k]) for k in from_two)  # noqa: E731
        gap = lambda name, base: tuple(over_seeds(d[name][k] - d[base][k]) for k in from_two)  # noqa: E731
        mine, second = chosen(model, PUBLISHED), f"{path_words(model)}, {MULTISTEP}"
        none = {PUBLISHED: without(model), MATCHED: euler}
        momentum = Momentum(
            "pictures", tuple(nfes[k] for k in from_two), said(euler), said(second), gap(mine, second),
            tuple(
                MomentumRow(
                    f, 1, tuple((row[k],) for k in from_two), (0,) * len(from_two), said(chosen(model, f)),
                    gap(chosen(model, f), euler), gap(chosen(model, f), none[f]),
                )
                for f, row in gammas.items()
            ),
            seeds, VALIDATION_SEEDS,
        )  # fmt: skip
        few = nfes[-1] // 10
        if rival and few in nfes:
            tenth = few, over_seeds(d[mine][nfes.index(few)] - d[rival][-1])
    return DataScores(
        data.bandwidth, len(data.reference), data.same,
        {name: tuple(map(over_seeds, row)) for name, row in d.items()}, _less(d, euler),
        _less(d, rival) if rival else {}, over_seeds(data.distances(data.instead)), momentum, tenth,
    )  # fmt: skip
