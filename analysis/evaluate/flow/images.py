"""Flows of pictures, sampler beside sampler: how far from the net's own exact flow, and how far from data.

All noise and data are held out, and every method starts from the same noises. The distance to the exact flow is one of
pictures, by LPIPS, and momentum weights are chosen and judged by it. That to data is one of laws: squared MMD of
features of the Inception network. Where that network is not at hand, pictures averaged to 8 x 8 pixels take their
place, without a verdict: noise on every picture brings these *nearer* to data. Differences are paired by seed.

Intervals are over seeds, by the jackknife: the figure is an average over pairs, so that seeds have no figure each, but
their pseudo-values do (Arvesen 1969), which are on average too far apart rather than too near (Efron and Stein 1981).
The data are taken as given. This is no FID, which is biased for so few pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.progress import Progress
from analysis.evaluate.flow.image_mmd import HeldOut, held_out
from analysis.evaluate.flow.momentum import (
    EULER,
    HEUN,
    MULTISTEP,
    SEED_ROOM,
    Momentum,
    MomentumRow,
    choose,
    counted,
)
from analysis.flow.clouds import NOISE_PART, STEPS_PART
from analysis.flow.images import EXACT_NFE, FlowPicturesRequest
from analysis.metrics import image as metrics
from flow_core import model as flow_model
from flow_core.fields import Exact, Predict
from flow_core.model import FlowModel
from flow_core.paths import PATH_NAMES
from flow_core.samplers import Diverged, cosine_grid, rk4, sample
from foundation import noise
from foundation.data.datasets import DataError
from foundation.data.pictures import from_bytes, to_bytes
from foundation.metrics.perceptual import PerceptualDistance, available
from foundation.metrics.statistics import Interval, mean_interval
from foundation.randomness import FIRST_SEED, derived_seed, mix_seed

FLOW_BATCH = 16  # pictures a network call
# first weights that are tried, none first: it wins a tie
SEARCHED = {
    "published drift": (0.5, -80.0, -40.0, -20.0, -10.0, -5.0, 5.0, 15.0),
    "matched noise": (0.0, 1.0, 3.0, 10.0, 30.0),
}
SAMPLER = {"published drift": "published", "matched noise": "matched"}
COMPANION = "otcfm"  # what is measured beside a net of another path, where its file is there

Rows = dict[str, tuple[FlowModel, tuple[FlowPicturesRequest, ...]]]


def companion_of(model: FlowModel, name: str, folder: Path) -> FlowModel | None:
    """The OT-CFM net of the same data, NAME-otcfm in the folder; None where there is none, or the net is one itself.

    Raises:
        CheckpointError: a file that cannot be used.
        UserError: a net of other pictures.
    """
    path = folder / f"{name}-{COMPANION}{flow_model.FLOW_SUFFIX}"
    if model.flow.path == COMPANION or not path.is_file():
        return None
    other = flow_model.load(path)
    same = other.sample_shape == model.sample_shape and other.classes == model.classes
    if other.flow.path != COMPANION or not same:
        raise UserError(
            f"{path.name} is no OT-CFM net of the same pictures and classes: train it again, or move it.", "net"
        )
    return other


def path_words(model: FlowModel) -> str:
    """What a net's path is called."""
    return PATH_NAMES[model.flow.path]


# ---------------------------------------------------------------------------------------------------------------------
# From noises to pictures


class Meter:
    """Tells what share of the work is done, in network calls times pictures."""

    def __init__(self, total: int, progress: Progress):
        self.total, self.done, self.progress = total, 0, progress

    def add(self, calls: int, what: str) -> None:
        self.done += calls
        if self.progress is not None:
            self.progress(min(1.0, self.done / self.total), what)


def network_of(model: FlowModel, seeds: range) -> Predict:
    """(x, t), and `end` of mean velocities, -> Prediction; a seed draws its class evenly, as in `image_sets`."""
    classes = model.classes
    return model.labelled(torch.tensor([mix_seed(s, 8) % classes for s in seeds]) if classes else None)


def start_of(model: FlowModel, seeds: range) -> Tensor:
    """The noise of these seeds at t = 0."""
    return model.path.start_std * noise(seeds, model.sample_shape)


def exact_flow(model: FlowModel, seeds: range) -> Tensor:
    """What the plain flow ends with at a fine resolution, as `ImageFlows.exact` has it for one class."""
    flow = Exact(model.path)
    return shown(rk4(network_of(model, seeds), start_of(model, seeds), flow, EXACT_NFE, spacing=cosine_grid).x)


def shown(x: Tensor) -> Tensor:
    """Pictures as they are shown, rounded to the bytes that data have, in [-1, 1]."""
    return from_bytes(to_bytes(x))


def sampled(model: FlowModel, request: FlowPicturesRequest, seeds: range) -> Tensor:
    """Pictures of one setting (of a request sampler, calls and gamma1 are read); refused if it spends other calls.

    Raises:
        Diverged: a state left every reasonable range.
        ValueError: weights that the sampler cannot have.
    """
    result = sample(
        request.sampler, network_of(model, seeds), start_of(model, seeds), model.path, request.nfe,
        gammas=request.gammas, noise_seeds=[derived_seed(NOISE_PART, STEPS_PART, s) for s in seeds],
    )  # fmt: skip
    return shown(counted(result, request.nfe))


def batches(seeds: range) -> Iterable[range]:
    """Neighbouring seeds, `FLOW_BATCH` at a time."""
    return (seeds[i : i + FLOW_BATCH] for i in range(0, len(seeds), FLOW_BATCH))


# ---------------------------------------------------------------------------------------------------------------------
# Methods


def methods(
    model: FlowModel, other: FlowModel | None, nfes: tuple[int, ...], gammas: Mapping[str, tuple[float, ...]]
) -> Rows:
    """What is measured, by name: the net and one request a number of calls."""
    words = path_words(model)

    def row(sampler: str, weights: Iterable[float] = ()) -> tuple[FlowPicturesRequest, ...]:
        given = tuple(weights) or (0.5,) * len(nfes)
        return tuple(FlowPicturesRequest(sampler=sampler, nfe=n, gamma1=g) for n, g in zip(nfes, given, strict=True))

    rows: Rows = {} if other is None else {f"{path_words(other)}, {EULER}": (other, row("euler"))}
    rows |= {f"{words}, {EULER}": (model, row("euler")), f"{words}, {HEUN}": (model, row("heun"))}
    rows[f"{words}, exact flow, RK4, steps by calls"] = (model, row("rk4p"))
    rows[f"{words}, {MULTISTEP}"] = (model, row("multistep"))
    if has_momentum(model):
        rows[without(model)] = (model, row("published"))
        rows |= {chosen(model, f): (model, row(SAMPLER[f], g)) for f, g in gammas.items()}
        rows[f"{words}, bridge"] = (model, row("bridge"))
    return rows


def chosen(model: FlowModel, family: str) -> str:
    """Name of the row of a family with its momentum."""
    return f"{path_words(model)}, {family}, gamma1 chosen"


def without(model: FlowModel) -> str:
    """Name of the row of the published drift without momentum."""
    return f"{path_words(model)}, published drift, no momentum"


def has_momentum(model: FlowModel) -> bool:
    """Whether the path has noise to weight momentum with, and the net the score for it."""
    return model.path.bridge and model.path.independent and model.path.sigma > 0


IMAGE_NFES = (1, 2, 3, 5, 8, 12, 20)
IMAGE_VALIDATION_SEEDS = 16
LPIPS, PSNR = "LPIPS (Alex, 64 px)", "PSNR, dB"
PUBLISHED_FAMILY, MATCHED_FAMILY = SAMPLER  # the families of momentum


@dataclass(frozen=True)
class DataScores:
    """Distance to data.

    Attributes:
        features: `INCEPTION` or `POOLED`; verdicts are given for the first alone.
        bandwidth, count: of the kernel; data pictures.
        same: whether the data are those that the card names.
        mmd2: method -> for each nfe the unbiased squared MMD.
        less_euler: method -> for each nfe the paired difference to the net's Euler at equal calls.
        less_companion: method -> the same to the OT-CFM net's Euler; empty without that net.
        instead: of data in the place of samples.
        tenth: calls, and the paired difference of the published drift with so many to the OT-CFM net's Euler with ten
            times as many, the most; None where they were not measured.
    """

    features: str
    bandwidth: float
    count: int
    same: bool
    mmd2: Mapping[str, tuple[Interval, ...]]
    less_euler: Mapping[str, tuple[Interval, ...]]
    less_companion: Mapping[str, tuple[Interval, ...]]
    instead: Interval
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
        momentum: by the distance to the exact flow: what was chosen and what follows, from two calls up; None on a path
            without noise.
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
    momentum: Momentum | None


Nearness = Callable[[Tensor], Tensor]  # pictures -> (B,) distance to some exact flows, lower is nearer


def search(model: FlowModel, family: str, nfe: int, trial: Sequence[tuple[range, Nearness]], meter: Meter) -> float:
    """The gamma1 of a family's grid with the least distance to the exact flow of validation noises.

    One that diverges is never it.
    """

    def score(gammas: tuple[float, ...]) -> float:
        request = FlowPicturesRequest(sampler=SAMPLER[family], nfe=nfe, gamma1=gammas[0])
        total = 0.0
        for batch, nearness in trial:
            meter.add(nfe * len(batch), f"{family}, choosing at {nfe} calls")
            total += float(nearness(sampled(model, request, batch)).sum())
        return total

    return choose(score, (1,), SEARCHED[family])[0][0]


def _closeness(perceptual: PerceptualDistance | None, exact: Tensor) -> Callable[[Tensor], Tensor]:
    if perceptual is None:
        return lambda x: metrics.psnr(x, exact)
    features = perceptual.features(exact)
    return lambda x: perceptual.distance_from(x, features).double()


def _lower(closeness: Nearness, perceptual: PerceptualDistance | None) -> Nearness:
    """The same so that lower is nearer: decibels are the other way round."""
    return closeness if perceptual is not None else lambda x: -closeness(x)


@torch.inference_mode()
def measure_pictures(
    model: FlowModel, other: FlowModel | None, seeds: int, progress: Progress = None, nfes: tuple[int, ...] = IMAGE_NFES
) -> PictureScores:
    """Every method at every number of calls from the same noises; weights chosen on validation noises.

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
    weighed = has_momentum(model)
    perceptual = PerceptualDistance("alex", side=64) if available("alex") else None
    nets = [model] if other is None else [model, other]
    tries = sum(map(len, SEARCHED.values())) * sum(n for n in nfes if n > 1)
    trials = IMAGE_VALIDATION_SEEDS * (tries + EXACT_NFE) if weighed else 0
    gammas = {f: (grid[0],) * len(nfes) for f, grid in SEARCHED.items()} if weighed else {}
    count = len(methods(model, other, nfes, gammas))
    meter = Meter(trials + seeds * (EXACT_NFE * len(nets) + count * sum(nfes)), progress)
    if weighed:
        low = FIRST_SEED + SEED_ROOM
        trial = []
        for batch in batches(range(low, low + IMAGE_VALIDATION_SEEDS)):
            trial.append((batch, _lower(_closeness(perceptual, exact_flow(model, batch)), perceptual)))
            meter.add(EXACT_NFE * len(batch), f"exact flow, {path_words(model)}")
        gammas = {  # the first step is at t = 0, where there is no momentum
            f: tuple(grid[0] if n == 1 else search(model, f, n, trial, meter) for n in nfes)
            for f, grid in SEARCHED.items()
        }
    rows = methods(model, other, nfes, gammas)
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
                    made[net, request] = closeness[net](x), x[:, 0, 0, :1] if isinstance(data, str) else data.of(x)
                near[name][k].append(made[net, request][0])
                seen[name][k].append(made[net, request][1])
                meter.add(request.nfe * len(batch), f"{name}, {request.nfe} calls")
    found = {name: [torch.cat(parts) for parts in row] for name, row in near.items()}
    euler = f"{path_words(model)}, {EULER}"
    features = {name: [torch.cat(parts) for parts in row] for name, row in seen.items()}
    sign = -1 if perceptual is None else 1
    momentum = _momentum(model, nfes, {k: [sign * x for x in row] for k, row in found.items()}, gammas, seeds)
    return PictureScores(
        seeds, tuple(nfes), euler, "" if other is None else f"{path_words(other)}, {EULER}",
        PSNR if perceptual is None else LPIPS, {name: tuple(map(mean_interval, row)) for name, row in found.items()},
        _less(found, euler), bool(model.classes),
        data if isinstance(data, str) else _data_scores(model, other, data, nfes, features, bool(gammas)), momentum,
    )  # fmt: skip


def _less(found: Mapping[str, list[Tensor]], base: str) -> dict[str, tuple[Interval, ...]]:
    """Paired differences of all rows to one of them, at equal calls."""
    return {
        name: tuple(mean_interval(a - b) for a, b in zip(row, found[base], strict=True))
        for name, row in found.items()
        if name != base
    }


def _momentum(
    model: FlowModel,
    nfes: tuple[int, ...],
    distance: Mapping[str, list[Tensor]],
    gammas: Mapping[str, tuple[float, ...]],
    seeds: int,
) -> Momentum | None:
    """Distances to the exact flow, lower is nearer, with the weights that were chosen."""
    if not gammas:
        return None
    words, from_two = path_words(model), [k for k, n in enumerate(nfes) if n > 1]
    euler, second, heun = (f"{words}, {name}" for name in (EULER, MULTISTEP, HEUN))

    def mean(name: str) -> tuple[Interval, ...]:
        return tuple(mean_interval(distance[name][k]) for k in from_two)

    def gap(name: str, base: str) -> tuple[Interval, ...]:
        return tuple(mean_interval(distance[name][k] - distance[base][k]) for k in from_two)

    none = {PUBLISHED_FAMILY: without(model), MATCHED_FAMILY: euler}
    rows = tuple(
        MomentumRow(
            f, 1, tuple((row[k],) for k in from_two), (0,) * len(from_two), mean(chosen(model, f)),
            gap(chosen(model, f), euler), gap(chosen(model, f), none[f]), gap(chosen(model, f), heun),
        )
        for f, row in gammas.items()
    )  # fmt: skip
    return Momentum(
        "pictures", tuple(nfes[k] for k in from_two), mean(euler), mean(second), mean(heun),
        gap(chosen(model, PUBLISHED_FAMILY), second), rows, seeds, IMAGE_VALIDATION_SEEDS,
    )  # fmt: skip


def _data_scores(
    model: FlowModel,
    other: FlowModel | None,
    data: HeldOut,
    nfes: tuple[int, ...],
    features: Mapping[str, list[Tensor]],
    weighed: bool,
) -> DataScores:
    d = {name: [data.distances(f) for f in row] for name, row in features.items()}
    euler, rival = f"{path_words(model)}, {EULER}", "" if other is None else f"{path_words(other)}, {EULER}"
    tenth, few = None, nfes[-1] // 10
    if weighed and rival and few in nfes:
        tenth = few, mean_interval(d[chosen(model, PUBLISHED_FAMILY)][nfes.index(few)] - d[rival][-1])
    return DataScores(
        data.name, data.bandwidth, len(data.reference), data.same,
        {name: tuple(map(mean_interval, row)) for name, row in d.items()}, _less(d, euler),
        _less(d, rival) if rival else {}, mean_interval(data.distances(data.instead)), tenth,
    )  # fmt: skip
