"""Forecasts of time series: requests, results and answers."""

from __future__ import annotations

import functools
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from analysis.core.cache import ByteLRU
from analysis.core.errors import UserError, as_user_errors
from analysis.core.fields import Choice, Gamma, Request, Seed, Unit, check_noise
from analysis.core.progress import Progress, Report, tell
from analysis.series.loaded import (
    MAX_HORIZON,
    METHOD,
    MODEL,
    NFE,
    BaselineForecast,
    LoadedSeries,
    ModelName,
    Plane,
    Scores,
    card_scores,
    load_series,
    missing_files,
    names,
    plotted_values,
    strongest,
)
from analysis.series.long_run import LongRunRequest, LongRunResult, measure_long_run
from flow_core.samplers import METHODS, MOMENTUM
from flow_core.series import model as series_model
from flow_core.series.baselines import SIMPLE_BASELINES
from flow_core.series.scores import ensemble_mean, wrap
from flow_core.series.world import World
from flow_core.series.worlds import open_world
from foundation.files import checkpoints
from foundation.files.models import MODELS_DIR

MIN_MEMBERS, MAX_MEMBERS, MAX_FRAME_CALLS, MAX_ORDER = 2, 50, 50, 3


@dataclass(frozen=True)
class ForecastRequest(Request):
    """An ensemble from one start of the held-out part.

    Attributes:
        model: a name; "" for the first.
        start: where in the held-out part, 0 = its first start, 1 = its last.
        horizon: frames, from 1 to the world's bound (at most 200); 0 for the world's usual number.
        members: 2 to 50.
        nfe: network calls a frame, 1 to 50.
        method: one of `flow_core.samplers.METHODS`.
        gammas: momentum weights, -100 to 100: up to three for "published" and "momentum", of which "matched" reads
            the first (0 or more); other methods read none.
        seed: of the noise.
    """

    model: ModelName = ""
    start: Unit = 0.5
    horizon: Annotated[int, Field(ge=0, le=MAX_HORIZON)] = 0
    members: Annotated[int, Field(ge=MIN_MEMBERS, le=MAX_MEMBERS, title="The number of members")] = 20
    nfe: Annotated[int, Field(ge=1, le=MAX_FRAME_CALLS, title="The number of network calls")] = NFE
    method: Annotated[str, Choice(METHODS)] = METHOD
    gammas: Annotated[tuple[Gamma, ...], Field(min_length=1, max_length=MAX_ORDER, title="The momentum weights")] = (
        0.5,
    )
    seed: Seed = 0

    def check_together(self) -> None:
        """Raises UserError: matched noise of a negative weight."""
        check_noise(self.method, self.gammas[0])

    @property
    def weights(self) -> tuple[float, ...]:
        """The gammas that the method reads."""
        if self.method not in MOMENTUM:
            return ()
        return self.gammas[:1] if self.method == "matched" else self.gammas


QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class SeriesInfo:
    """A model and its world, from the file's header alone.

    Attributes:
        name: of the model.
        title: of the world.
        world: its spec.
        needs: a sentence on the files that are not at hand; "" if none is missing.
        card: of the model.
        parameters: how many.
    """

    name: str
    title: str
    world: str
    needs: str
    card: dict
    parameters: int

    @property
    def unbeaten(self) -> str:
        """The strongest baseline where the card does not show the model to be better; "" where it does or has none."""
        return unbeaten(self.card)


@dataclass(frozen=True, eq=False)
class Maps:
    """A field by lead; NaN on land.

    Attributes:
        mean, truth, error, spread: (L, rows, columns) mean and standard deviation of the members, mean less truth.
        latitudes, longitudes: degrees.
    """

    mean: np.ndarray
    truth: np.ndarray
    error: np.ndarray
    spread: np.ndarray
    latitudes: np.ndarray
    longitudes: np.ndarray


@dataclass(frozen=True, eq=False)
class ForecastResult:
    """An ensemble forecast beside the truth and the baselines.

    Attributes:
        model, title: names of the model and of its world.
        variables, unit, dt, time_unit: of the world.
        anomaly: whether the values are what is left above a climatology of the training part.
        period: 2 pi for angles, else None.
        start, starts: which start of the held-out part, from 0, and how many there are.
        times: (L,) datetime64, or float64 in time units after the last frame that was seen.
        past_times: (P,) likewise, the last one being 0 or its date.
        past: (P, D) real frames before the start; the model saw the last `seen` of them.
        seen: frames.
        truth: (L, D).
        members: (M, L, D).
        mean: (L, D) of the members; on the torus the direction of their mean.
        quantiles: (5, L, D), see `QUANTILES`; on the torus around the mean, so that they may lie beyond half a turn.
        baselines: name -> (L, D) mean.
        marks: "this model" and baselines -> scores of this forecast.
        reference: the baseline to beat: the strongest over many starts by the model's card, forecast here too.
        usual: model and baselines -> fair CRPS over many starts, as the model's card has it; empty if it has none. It
            names baselines that are not forecast here.
        unbeaten: as of `SeriesInfo`: where it is not "", the model is a demonstration.
        inside: share of the truth between the outer quantiles.
        plane: None where no two variables are drawn against each other.
        maps: of a field, else None.
        nfe, derivatives: network calls and backward passes a frame, counted.
        seconds: of the forecast alone.
        in_sample: whether the held-out part is none: the model was trained on it.
        same_data: whether the world's data are those that the model was trained on.
        licence: of the data.
    """

    model: str
    title: str
    variables: tuple[str, ...]
    unit: str
    dt: float
    time_unit: str
    anomaly: bool
    period: float | None
    start: int
    starts: int
    times: np.ndarray
    past_times: np.ndarray
    past: np.ndarray
    seen: int
    truth: np.ndarray
    members: np.ndarray
    mean: np.ndarray
    quantiles: np.ndarray
    baselines: Mapping[str, np.ndarray]
    marks: Mapping[str, Scores]
    reference: str
    usual: Mapping[str, float]
    unbeaten: str
    inside: float
    plane: Plane | None
    maps: Maps | None
    nfe: int
    derivatives: int
    seconds: float
    in_sample: bool
    same_data: bool
    licence: str


WORLD_ORDER = ("lorenz", "alanine", "sst", "sst_sites")  # of the list; others follow by name
SERIES_CACHE_BYTES = 64 * 2**20


class SeriesForecasts:
    """Series models of one folder; each is opened with its world at its first use, and what is asked twice is kept.

    Args:
        folder: where NAME.series.safetensors are.
    """

    def __init__(self, folder: str | Path = MODELS_DIR):
        self.folder = Path(folder)
        self._opened: dict[str, LoadedSeries] = {}
        self._answers = ByteLRU(SERIES_CACHE_BYTES)
        self._lock = threading.RLock()

    @functools.cached_property
    def models(self) -> tuple[SeriesInfo, ...]:
        """Every model whose file can be read; first those whose data are at hand."""
        found = []
        for path in sorted(self.folder.glob(f"*{series_model.SERIES_SUFFIX}")):
            try:
                header = checkpoints.peek(path)
            except checkpoints.CheckpointError:
                continue
            data = header.card.get("data", {})
            frame = header.config.get("series", {})
            spec = str(frame.get("world") or data.get("world", "") if isinstance(frame, dict) else "")
            name = path.name.removesuffix(series_model.SERIES_SUFFIX)
            title = str(data.get("name") or spec or name)
            found.append(SeriesInfo(name, title, spec, missing_files(spec), header.card, header.parameters))
        place = {name: k for k, name in enumerate(WORLD_ORDER)}
        return tuple(sorted(found, key=lambda m: (bool(m.needs), place.get(m.name, len(place)), m.name)))

    def info(self, name: str = "") -> SeriesInfo:
        """A model of the list; "" is the first.

        Raises:
            UserError: no such model, or none at all.
        """
        if not self.models:
            raise UserError(
                f"There is no series model here: put a *{series_model.SERIES_SUFFIX} file into the folder of models.",
                "model",
            )
        if name == "":
            return self.models[0]
        for model in self.models:
            if model.name == name:
                return model
        raise UserError(
            f"There is no such series model: choose one of {', '.join(m.name for m in self.models)}.", "model"
        )

    def open(self, name: str = "") -> LoadedSeries:
        """A model with its world; seconds at its first use.

        Raises:
            UserError: no such model, a damaged one, or data that are not at hand.
        """
        info = self.info(name)
        with self._lock:
            if info.name not in self._opened:
                if info.needs:
                    raise UserError(info.needs, "model")
                with as_user_errors():  # CheckpointError and DataError are sentences, too
                    model = series_model.load(self.folder / f"{info.name}{series_model.SERIES_SUFFIX}")
                    world = open_world(info.world, model.frame.history)
                    self._opened[info.name] = load_series(model, world)
            return self._opened[info.name]

    def forecast(self, request: ForecastRequest, patience: float = math.inf, report: Progress = None) -> ForecastResult:
        """One ensemble, beside the truth and the baselines.

        Args:
            request: what to forecast.
            patience: seconds that the members may take.
            report: called with (share done, what) at every frame; may raise to cancel.

        Raises:
            UserError: nothing like that can be forecast here, or the members diverged.
        """
        at = self.open(request.model)
        horizon = request.horizon or at.usual
        if horizon > at.bound:
            raise UserError(
                f"{at.world.title} can be forecast for 1 to {at.bound} frames: choose a shorter horizon.", "horizon"
            )
        with self._lock:
            return self._answers.get(request, lambda: self._forecast(request, at, horizon, patience, report))

    def _forecast(
        self, request: ForecastRequest, at: LoadedSeries, horizon: int, patience: float, report: Progress
    ) -> ForecastResult:
        world, rollouts = at.world, at.rollouts
        row = round(request.start * (len(rollouts) - 1))
        begin = time.perf_counter()

        def watch(done: int, of: int) -> None:
            tell(report, done / of, "forecast")
            if time.perf_counter() - begin > patience:
                raise UserError(
                    f"This forecast takes longer than {patience:g} s here: ask for fewer frames, members or network "
                    "calls, or for another method.",
                    "patience",
                )

        with as_user_errors():
            made = at.model.forecast(
                rollouts.history[row : row + 1], rollouts.context[row : row + 1, :horizon], horizon, request.members,
                request.nfe, request.method, request.seed, gammas=request.weights, progress=watch,
            )  # fmt: skip
        seconds = time.perf_counter() - begin
        members, truth = made.members[:, 0], rollouts.truth[row, :horizon]
        if not np.isfinite(members).all():
            raise UserError(
                "The forecast holds numbers that are not finite: use more network calls or lower gamma.", "gamma"
            )
        baselines = at.baselines(row, horizon)
        guesses = {MODEL: BaselineForecast(ensemble_mean(members, world.period), None, members), **baselines}
        marks = {name: guess.marks(truth, world) for name, guess in guesses.items()}
        drawn, real = plotted_values(world, members), plotted_values(world, truth)
        mean = ensemble_mean(drawn, world.period)
        around = drawn - mean if world.period is None else wrap(drawn - mean)
        quantiles = np.quantile(around, QUANTILES, axis=0)
        off = real - mean if world.period is None else wrap(real - mean)
        times, past_times, past = self._times(at, row, horizon)
        usual = card_scores(at.model.card)
        return ForecastResult(
            model=self.info(request.model).name,
            title=world.title,
            variables=names(world),
            unit=world.unit,
            dt=world.dt,
            time_unit=world.time_unit,
            anomaly=world.segments[0].background is not None,
            period=world.period,
            start=row,
            starts=len(rollouts),
            times=times,
            past_times=past_times,
            past=past,
            seen=world.history,
            truth=real,
            members=drawn,
            mean=mean,
            quantiles=mean + quantiles,
            baselines={kind: plotted_values(world, guess.mean) for kind, guess in baselines.items()},
            marks=marks,
            reference=_reference(marks, usual),
            usual=usual,
            unbeaten=unbeaten(at.model.card),
            inside=float(((off >= quantiles[0]) & (off <= quantiles[-1])).mean()),
            plane=at.plane,
            maps=_maps(world, members, truth),
            nfe=made.nfe,
            derivatives=made.derivatives,
            seconds=seconds,
            in_sample=world.in_sample,
            same_data=at.same_data,
            licence=world.licence,
        )

    @staticmethod
    def _times(at: LoadedSeries, row: int, horizon: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times of the leads, of the frames before the start, and these frames as lines."""
        times = at.world.times(at.rollouts, row)[:horizon]
        past_times, past = at.past(row, horizon // 2)
        if not np.issubdtype(times.dtype, np.datetime64):  # a number of a simulation's clock says nothing
            times, past_times = times - past_times[-1], past_times - past_times[-1]
        return times, past_times, plotted_values(at.world, past)

    def long_run(self, request: LongRunRequest, report: Report | None = None) -> LongRunResult:
        """Free runs, and what they share with the real series.

        Args:
            request: which model, how long.
            report: called with (share done, what); may raise to stop.
        """
        at = self.open(request.model)
        with as_user_errors():
            return measure_long_run(at.model, at.world, request.frames, report)


def _reference(marks: Mapping[str, Scores], usual: Mapping[str, float]) -> str:
    """The strongest baseline over many starts; where none was measured damped persistence, on the torus the best."""
    measured = strongest({k: v for k, v in usual.items() if k in marks})
    if measured:
        return measured
    if SIMPLE_BASELINES[2] in marks:
        return SIMPLE_BASELINES[2]
    return min(SIMPLE_BASELINES[:2], key=lambda k: marks[k].crps_fair)


def unbeaten(card: Mapping) -> str:
    """The strongest baseline of a card, unless its figures show the model to be better than that; else "".

    Better is a paired interval below 0 where the card has one, or else the smaller figure.
    """
    usual = card_scores(card)
    best = strongest(usual)
    if MODEL not in usual or not best:
        return ""
    less = card["metrics"].get("crps_fair_less", {})
    high = less.get(best, {}).get("high") if isinstance(less, dict) and isinstance(less.get(best, {}), dict) else None
    better = high < 0 if isinstance(high, (int, float)) else usual[MODEL] < usual[best]
    return "" if better else best


def _maps(world: World, members: np.ndarray, truth: np.ndarray) -> Maps | None:
    """None where the world is no field."""
    if world.latitudes is None or world.longitudes is None:
        return None
    values, real = world.denormalise(members)[:, :, 0], world.denormalise(truth)[:, 0]
    mean = values.mean(0)
    return Maps(mean, real, mean - real, values.std(0), world.latitudes, world.longitudes)
