"""Answers about forecasts of time series: frozen dataclasses, numpy only. L leads, D variables, M members.

What is drawn as lines are `variables`: the world's own, or of a field its area mean alone, whose maps stand beside it.
Values are in the unit of the world; scores in standard deviations of the training part, on the torus in radians.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

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


@dataclass(frozen=True, eq=False)
class Marks:
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
        reference: the baseline to beat.
        usual: the same names -> fair CRPS over many starts, as the model's card has it; empty if it has none.
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
    marks: Mapping[str, Marks]
    reference: str
    usual: Mapping[str, float]
    inside: float
    plane: Plane | None
    maps: Maps | None
    nfe: int
    derivatives: int
    seconds: float
    in_sample: bool
    same_data: bool
    licence: str


@dataclass(frozen=True, eq=False)
class LongRunResult:
    """Free runs beside the real series; S series: this model, training part, test part.

    Attributes:
        title, variables, unit, dt, time_unit, period: of the world.
        names: of the series.
        runs, frames: how many free runs of how many frames.
        edges: (D, B + 1) of the histograms.
        densities: (S, D, B).
        distances: (2, D) W1 of the marginals in standard deviations of the test part, or on the torus (2, 1) the
            Jensen-Shannon distance of the joint histogram, to the test part: of the runs, and of the training part.
        frequencies: (F,) per time unit, None on the torus.
        spectra: (S, F, D) power spectral density, None on the torus.
        joint: (S, b, b) histogram of two angles, first index of the first; None off the torus.
        lags: (K,) in time units.
        echoes: (S, K, D) autocorrelation.
    """

    title: str
    variables: tuple[str, ...]
    unit: str
    dt: float
    time_unit: str
    period: float | None
    names: tuple[str, ...]
    runs: int
    frames: int
    edges: np.ndarray
    densities: np.ndarray
    distances: np.ndarray
    frequencies: np.ndarray | None
    spectra: np.ndarray | None
    joint: np.ndarray | None
    lags: np.ndarray
    echoes: np.ndarray
