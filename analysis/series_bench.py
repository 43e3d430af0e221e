"""Forecasts of time series, from a question to numbers: the counterpart of `FlowBench` for series models."""

from __future__ import annotations

import functools
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analysis.cache import ByteLRU
from analysis.errors import UserError
from analysis.flow_clouds import sentences
from analysis.requests_series import ForecastRequest, LongRunRequest
from analysis.results_series import QUANTILES, ForecastResult, LongRunResult, Maps, Marks, SeriesInfo
from analysis.series_long_run import measure_long_run
from analysis.series_opened import Guess, Opened, lines, names, needs, opened
from analysis.series_scores import MODEL
from flow_core import series_model
from flow_core.baselines import KINDS
from flow_core.series_metrics import ensemble_mean, wrap
from flow_core.world import World
from flow_core.worlds import open_world
from foundation import checkpoints
from foundation.models import MODELS_DIR

Report = Callable[[float, str], None]
ORDER = ("lorenz", "alanine", "sst", "sst_sites")  # of the list; others follow by name
CACHE_BYTES = 64 * 2**20


class SeriesBench:
    """Series models of one folder; each is opened with its world at its first use, and what is asked twice is kept.

    Args:
        folder: where NAME.series.safetensors are.
    """

    def __init__(self, folder: str | Path = MODELS_DIR):
        self.folder = Path(folder)
        self._opened: dict[str, Opened] = {}
        self._answers = ByteLRU(CACHE_BYTES)
        self._lock = threading.RLock()

    @staticmethod
    @functools.cache
    def shared() -> SeriesBench:
        """The one bench of a process, on the models that ship."""
        return SeriesBench()

    @functools.cached_property
    def models(self) -> tuple[SeriesInfo, ...]:
        """Every model whose file can be read; first those whose data are at hand."""
        found = []
        for path in sorted(self.folder.glob(f"*{series_model.SUFFIX}")):
            try:
                header = checkpoints.peek(path)
            except checkpoints.CheckpointError:
                continue
            data = header.card.get("data", {})
            frame = header.config.get("series", {})
            spec = str(frame.get("world") or data.get("world", "") if isinstance(frame, dict) else "")
            name = path.name.removesuffix(series_model.SUFFIX)
            title = str(data.get("name") or spec or name)
            found.append(SeriesInfo(name, title, spec, needs(spec), header.card, header.parameters))
        place = {name: k for k, name in enumerate(ORDER)}
        return tuple(sorted(found, key=lambda m: (bool(m.needs), place.get(m.name, len(place)), m.name)))

    def info(self, name: str = "") -> SeriesInfo:
        """A model of the list; "" is the first.

        Raises:
            UserError: no such model, or none at all.
        """
        if not self.models:
            raise UserError(
                f"There is no series model here: put a *{series_model.SUFFIX} file into the folder of models."
            )
        if name == "":
            return self.models[0]
        for model in self.models:
            if model.name == name:
                return model
        raise UserError(f"There is no such series model: choose one of {', '.join(m.name for m in self.models)}.")

    def open(self, name: str = "") -> Opened:
        """A model with its world; seconds at its first use.

        Raises:
            UserError: no such model, a damaged one, or data that are not at hand.
        """
        info = self.info(name)
        with self._lock:
            if info.name not in self._opened:
                if info.needs:
                    raise UserError(info.needs)
                with sentences():  # CheckpointError and DataError are sentences, too
                    model = series_model.load(self.folder / f"{info.name}{series_model.SUFFIX}")
                    world = open_world(info.world, model.frame.history)
                    self._opened[info.name] = opened(model, world)
            return self._opened[info.name]

    def forecast(self, request: ForecastRequest, patience: float = math.inf) -> ForecastResult:
        """One ensemble, beside the truth and the baselines.

        Args:
            request: what to forecast.
            patience: seconds that the members may take.

        Raises:
            UserError: nothing like that can be forecast here, or the members diverged.
        """
        at = self.open(request.model)
        horizon = request.horizon or at.usual
        if horizon > at.bound:
            raise UserError(f"{at.world.title} can be forecast for 1 to {at.bound} frames: choose a shorter horizon.")
        with self._lock:
            return self._answers.get(request, lambda: self._forecast(request, at, horizon, patience))

    def _forecast(self, request: ForecastRequest, at: Opened, horizon: int, patience: float) -> ForecastResult:
        world, rollouts = at.world, at.rollouts
        row = round(request.start * (len(rollouts) - 1))
        begin = time.perf_counter()

        def watch(done: int, of: int) -> None:
            if time.perf_counter() - begin > patience:
                raise UserError(
                    f"This forecast takes longer than {patience:g} s here: ask for fewer frames, members or network "
                    "calls, or for another method."
                )

        with sentences():
            made = at.model.forecast(
                rollouts.history[row : row + 1], rollouts.context[row : row + 1, :horizon], horizon, request.members,
                request.nfe, request.method, request.seed, gammas=request.weights, progress=watch,
            )  # fmt: skip
        seconds = time.perf_counter() - begin
        members, truth = made.members[:, 0], rollouts.truth[row, :horizon]
        if not np.isfinite(members).all():
            raise UserError("The forecast holds numbers that are not finite: use more network calls or lower gamma.")
        baselines = at.baselines(row, horizon)
        guesses = {MODEL: Guess(ensemble_mean(members, world.period), None, members), **baselines}
        marks = {name: guess.marks(truth, world) for name, guess in guesses.items()}
        drawn, real = lines(world, members), lines(world, truth)
        mean = ensemble_mean(drawn, world.period)
        around = drawn - mean if world.period is None else wrap(drawn - mean)
        quantiles = np.quantile(around, QUANTILES, axis=0)
        off = real - mean if world.period is None else wrap(real - mean)
        times, past_times, past = self._times(at, row, horizon)
        usual = _usual(at.model.card)
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
            baselines={kind: lines(world, guess.mean) for kind, guess in baselines.items()},
            marks=marks,
            reference=_reference(marks, usual),
            usual=usual,
            inside=float(((off >= quantiles[0]) & (off <= quantiles[-1])).mean()),
            plane=at.plane,
            maps=None if world.weights is None else _maps(world, members, truth),
            nfe=made.nfe,
            derivatives=made.derivatives,
            seconds=seconds,
            in_sample=world.in_sample,
            same_data=at.same_data,
            licence=world.licence,
        )

    @staticmethod
    def _times(at: Opened, row: int, horizon: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times of the leads, of the frames before the start, and these frames as lines."""
        times = at.world.times(at.rollouts, row)[:horizon]
        past_times, past = at.past(row, horizon // 2)
        if not np.issubdtype(times.dtype, np.datetime64):  # a number of a simulation's clock says nothing
            times, past_times = times - past_times[-1], past_times - past_times[-1]
        return times, past_times, lines(at.world, past)

    def long_run(self, request: LongRunRequest, report: Report | None = None) -> LongRunResult:
        """Free runs, and what they share with the real series.

        Args:
            request: which model, how long.
            report: called with (share done, what); may raise to stop.
        """
        at = self.open(request.model)
        with sentences():
            return measure_long_run(at.model, at.world, request.frames, report)


def _reference(marks: dict[str, Marks], usual: dict[str, float]) -> str:
    """Damped persistence; on the torus, which has none, the better one over many starts, or else here."""
    if KINDS[2] in marks:
        return KINDS[2]
    return min(KINDS[:2], key=lambda k: usual.get(k, marks[k].crps_fair))


def _usual(card: dict) -> dict[str, float]:
    """Fair CRPS over many starts, as `python -m analysis.evaluate series` wrote it into the card."""
    table = card.get("metrics", {})
    found = {k: v.get("crps_fair") for k, v in table.items() if isinstance(v, dict)} if isinstance(table, dict) else {}
    return {k: float(v) for k, v in found.items() if isinstance(v, (int, float)) and math.isfinite(v)}


def _maps(world: World, members: np.ndarray, truth: np.ndarray) -> Maps:
    values, real = world.denormalise(members)[:, :, 0], world.denormalise(truth)[:, 0]
    mean = values.mean(0)
    return Maps(mean, real, mean - real, values.std(0), world.latitudes, world.longitudes)
