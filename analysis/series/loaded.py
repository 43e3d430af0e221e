"""A series model with its world at hand: starts, baselines and what is drawn, made once and kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from flow_core.series import alanine, sst
from flow_core.series.baselines import (
    SIMPLE_BASELINES,
    Baseline,
    GaussianForecast,
    fit_baseline,
    strong_baseline,
    strong_kinds,
    torus_members,
)
from flow_core.series.model import SeriesModel
from flow_core.series.scores import crps, crps_gaussian, ensemble_mean, gaussian_scores, scores, weighted_mean, wrap
from flow_core.series.world import Rollouts, World
from foundation.files.locations import provided

MAX_HORIZON = 200


# of a model; "" is the first of the list
ModelName = Annotated[str, Field(max_length=200, title="The name of a model")]


@dataclass(frozen=True, eq=False)
class Scores:
    """How far a forecast from one start is from the truth; all leads and variables weigh the same, cells by area.

    Attributes:
        crps: of the ensemble as it is, or of the Gaussian.
        crps_fair: what infinitely many members would have on average; the same for a Gaussian.
        rmse: of the mean.
        spread: root of the mean variance.
        by_lead: (L,) fair CRPS.
    """

    crps: float
    crps_fair: float
    rmse: float
    spread: float
    by_lead: np.ndarray


@dataclass(frozen=True, eq=False)
class Plane:
    """Two variables against each other in the real series.

    Attributes:
        pair: which two of the variables.
        density: (b, b) share of the held-out frames in each cell, first index of the first variable.
        edges: two of (b + 1,).
    """

    pair: tuple[int, int]
    density: np.ndarray
    edges: tuple[np.ndarray, np.ndarray]


MOST_STARTS = 1000  # about so many, evenly spread over the held-out part
FIT_NUMBERS = 5_000_000  # of the training frames that baselines are fitted on; of more runs every k-th is taken
TORUS_MEMBERS = 100  # of a baseline on the torus
PLANE_CELLS = 72
USUAL = 100
PLANES = {"lorenz": (0, 2)}  # vector worlds on the line of which two variables are drawn against each other


def missing_files(spec: str) -> str:
    """A sentence on the files that a world lacks here, or ""; nothing is downloaded for a visitor."""
    name, _, path = spec.partition(":")
    where = "of the folder that KOOPMAN_DATA names, and start the app again"
    if name == "sst_sites" and not path:
        files = [f"sst_{site}.csv" for site in sst.SITES]
        if not all(provided(f"sst/{f}") for f in files):
            return f"The daily sea temperatures are not at hand: put {', '.join(files)} into sst/ {where}."
    if name in ("sst", "sst_global") and not path and not provided(f"sst/{sst.FIELD_FILE}"):
        import pooch  # only here: where `foundation.files.locations.download` keeps it

        if not (pooch.os_cache("koopman") / "sst" / sst.FIELD_FILE).is_file():
            return f"The monthly sea temperatures are not at hand: put {sst.FIELD_FILE} into sst/ {where}."
    return ""


@dataclass(frozen=True)
class BaselineForecast:
    """A forecast from one start, normalised: members, or Gaussians.

    Attributes:
        mean: (L, *shape).
        std: (L, *shape), None where there are members.
        members: (M, L, *shape), None for Gaussians.
    """

    mean: np.ndarray
    std: np.ndarray | None
    members: np.ndarray | None

    def marks(self, truth: np.ndarray, world: World) -> Scores:
        """How far it is from the truth (L, *shape)."""
        weights, period = world.weights, world.period
        if self.members is None:
            s = gaussian_scores(self.mean, self.std, truth, weights=weights)
            single = crps_gaussian(self.mean, self.std, truth)
        else:
            s = scores(self.members, truth, period=period, weights=weights)
            single = crps(self.members, truth, fair=True, period=period)
        rmse = math.sqrt(s.mse.value)
        by_lead = weighted_mean(single, world.weights)
        return Scores(s.crps.value, (s.crps_fair or s.crps).value, rmse, s.ssr.value * rmse, by_lead)


@dataclass(frozen=True, eq=False)
class LoadedSeries:
    """Attributes: model; world; rollouts = starts of the test part; bound = longest horizon; others as made below.

    `strong` is the kind of the strongest baseline by the model's card where it is not among the simple ones, else "".
    """

    model: SeriesModel
    world: World
    rollouts: Rollouts
    bound: int
    fitted: Mapping[str, Baseline]
    drawn: Mapping[str, np.ndarray]
    plane: Plane | None
    same_data: bool
    strong: str = ""

    @property
    def usual(self) -> int:
        """Frames of a usual forecast, but no more than are drawn in a few seconds."""
        return min(self.world.horizon, self.bound, USUAL)

    def baselines(self, row: int, horizon: int) -> dict[str, BaselineForecast]:
        """What every simple baseline says from one start, and the strongest one that the card knows."""
        last = self.rollouts.history[row : row + 1]
        found = {
            kind: BaselineForecast(b.mean(last)[0, :horizon], b.std[:horizon], None) for kind, b in self.fitted.items()
        }
        for kind, drawn in self.drawn.items():
            members = wrap(drawn[:, :horizon] + (last[0, -1] if kind == "persistence" else 0.0))
            found[kind] = BaselineForecast(ensemble_mean(members, self.world.period), None, members)
        if self.strong:
            guess = strong_baseline(self.world, self._start(row, horizon), self.strong)
            if isinstance(guess, GaussianForecast):
                std = np.broadcast_to(guess.std, guess.mean.shape)[0]
                found[self.strong] = BaselineForecast(guess.mean[0], std, None)
            else:
                found[self.strong] = BaselineForecast(ensemble_mean(guess[:, 0], self.world.period), None, guess[:, 0])
        return found

    def _start(self, row: int, horizon: int) -> Rollouts:
        r, one = self.rollouts, slice(row, row + 1)
        return Rollouts(r.history[one], r.truth[one, :horizon], r.context[one, :horizon], r.segment[one], r.first[one])

    def past(self, row: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Times and real frames (P, *shape), normalised, up to the start, at least those that the model sees."""
        segment, first = self.world.segments[int(self.rollouts.segment[row])], int(self.rollouts.first[row])
        begin = max(0, first - max(frames, self.world.history))
        return segment.times[begin:first], self.world.normalise(segment.values[begin:first])


def load_series(model: SeriesModel, world: World) -> LoadedSeries:
    """Get everything ready.

    Raises:
        DataError: the world's parts are too short.
    """
    bound = max(1, min(MAX_HORIZON, 2 * world.horizon, *(_longest(world, s) // 2 for s in ("train", "test"))))
    spare = (end - max(begin, world.history) - bound + 1 for begin, end in _parts(world, "test"))
    rollouts = world.rollouts("test", bound, max(1, sum(n for n in spare if n > 0) // MOST_STARTS))
    fitted, drawn = {}, {}
    if world.geometry == "torus":
        from_zero = dataclasses.replace(rollouts, history=np.zeros_like(rollouts.history[:1]), truth=rollouts.truth[:1])
        for kind in SIMPLE_BASELINES[:2]:  # from zero, persistence is the drawn change
            drawn[kind] = torus_members(world, from_zero, kind, TORUS_MEMBERS)[:, 0]
    else:
        light = _lighter(world, bound)
        fitted = {kind: fit_baseline(light, kind, bound) for kind in SIMPLE_BASELINES}
    best = strongest(card_scores(model.card))
    strong = best if best in strong_kinds(world) else ""
    same = world.fingerprint() == model.card.get("data", {}).get("fingerprint")
    return LoadedSeries(model, world, rollouts, bound, fitted, drawn, _plane(world), same, strong)


def _parts(world: World, split: str) -> list[tuple[int, int]]:
    """First frame and end of a split in each run that has it."""
    return [s.splits[split] for s in world.segments if split in s.splits]


def _longest(world: World, split: str) -> int:
    return max((end - begin for begin, end in _parts(world, split)), default=0)


def _lighter(world: World, horizon: int) -> World:
    """The training runs, so many that baselines are fitted in a second or two."""
    runs = [s for s in world.segments if "train" in s.splits]
    frames = sum(end - begin for begin, end in _parts(world, "train"))
    every = math.ceil(frames * horizon * int(np.prod(world.shape)) / FIT_NUMBERS)
    return dataclasses.replace(world, segments=tuple(runs[::every])) if every > 1 else world


def _plane(world: World) -> Plane | None:
    if world.geometry == "torus" and world.shape[0] >= 2:
        edges = np.linspace(-np.pi, np.pi, PLANE_CELLS + 1)
        return Plane((0, 1), alanine.ramachandran(real_series(world, "test")[..., :2], PLANE_CELLS), (edges, edges))
    if world.name not in PLANES:
        return None
    a, b = PLANES[world.name]
    x = real_series(world, "test")
    density, first, second = np.histogram2d(x[..., a].ravel(), x[..., b].ravel(), PLANE_CELLS)
    return Plane((a, b), density / density.sum(), (first, second))


def plotted_values(world: World, frames: np.ndarray) -> np.ndarray:
    """Normalised frames (..., *shape) as what is drawn, (..., D) in the unit of the world: of a field its area mean."""
    values = world.denormalise(frames)
    return values if world.weights is None else (np.nan_to_num(values) * world.weights).sum((-2, -1))


def names(world: World) -> tuple[str, ...]:
    """Of what is drawn."""
    return world.variables if world.weights is None else tuple(f"area mean, {v}" for v in world.variables)


def card_scores(card: Mapping) -> dict[str, float]:
    """Fair CRPS over many starts, as `python -m analysis.evaluate series` wrote it into the card; {} without any."""
    table = card.get("metrics", {})
    found = {k: v.get("crps_fair") for k, v in table.items() if isinstance(v, dict)} if isinstance(table, dict) else {}
    return {k: float(v) for k, v in found.items() if isinstance(v, (int, float)) and math.isfinite(v)}


def strongest(usual: Mapping[str, float]) -> str:
    """The baseline of the least fair CRPS over many starts; "" where none was measured."""
    return min((k for k in usual if k != MODEL), key=lambda k: usual[k], default="")


METHOD, NFE = "multistep", 8  # of every forecast but those of the part samplers
MODEL = "this model"


def real_series(world: World, split: str) -> np.ndarray:
    """The series of a split, (runs, T, D) in the unit of the world."""
    parts = [s.values[slice(*s.splits[split])] for s in world.segments if split in s.splits]
    return np.stack(parts).astype(np.float64)
