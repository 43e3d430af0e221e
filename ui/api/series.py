"""HTTP endpoint about time series: `SeriesForecasts`'s forecasts without a page.

As in `ui.api.effects`: tables are nested lists, what has no number is null, and the work of a call is bounded.
"""

from __future__ import annotations

import gradio as gr
import numpy as np

from analysis.core.errors import UserError
from analysis.series.forecast import QUANTILES, ForecastRequest, ForecastResult, Maps, SeriesForecasts
from analysis.series.loaded import Scores
from ui.api.codec import plain
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE

PATIENCE = 30.0  # seconds a call


class SeriesEndpoints:
    """One method an endpoint; the docstring is what callers read."""

    def __init__(self, bench: SeriesForecasts):
        self.bench = bench

    def forecast(
        self,
        model: str = "",
        start: float = 0.5,
        horizon: int = 0,
        members: int = 20,
        nfe: int = 8,
        method: str = "multistep",
        gammas: list[float] = [0.5],  # noqa: B006
        seed: int = 0,
        every_member: bool = False,
        maps: bool = False,
    ) -> dict:
        """An ensemble forecast of a time series from its held-out part, beside the truth and forecasts without a net.

        model: "lorenz", "alanine", "sst_sites" or another that is here; "" for the first. start: where in the held-out
        part, 0 to 1. horizon: frames, 1 to twice the world's usual number and at most 200; 0 for the usual one.
        members: 2 to 50. nfe: network calls a frame, 1 to 50. method: "euler", "heun", "rk4", "taylor2", "multistep",
        "bridge", "matched", "momentum", "published". gammas: -100 to 100, up to three for "published" and "momentum",
        one of at least 0 for "matched", else not read. every_member: whether all members come back. maps: whether the
        maps of a field do.
        Returns model, title, variables, unit, dt, time_unit, start and starts (which one of how many), times (dates,
        or time after the last frame seen), past_times, past [time][variable] and seen (frames the model saw), truth and
        mean [lead][variable], levels and quantiles [level][lead][variable], members [member][lead][variable] or null,
        baselines (name: mean); marks (name: crps, crps_fair, rmse, spread, by_lead) in standard deviations of the
        training part, or radians for angles; reference (the baseline to beat), usual (name: fair CRPS over many
        starts), inside (share of the truth in the band from 5 to 95 %), in_sample (whether the model was trained on
        these frames), nfe and derivatives a frame as counted, seconds, models (what is here); maps: null, or mean,
        truth, error, spread [lead][row][column], null on land, latitudes, longitudes.
        """
        for flag in (every_member, maps):
            if not isinstance(flag, bool):
                raise UserError("Say with true or false whether members and maps shall come back.")
        r = self.bench.forecast(ForecastRequest(model, start, horizon, members, nfe, method, gammas, seed), PATIENCE)
        return {
            "model": r.model,
            "title": r.title,
            "variables": list(r.variables),
            "unit": r.unit,
            "dt": r.dt,
            "time_unit": r.time_unit,
            "start": r.start,
            "starts": r.starts,
            "times": _times(r.times),
            "past_times": _times(r.past_times),
            "past": plain(r.past),
            "seen": r.seen,
            "truth": plain(r.truth),
            "mean": plain(r.mean),
            "levels": list(QUANTILES),
            "quantiles": plain(r.quantiles),
            "members": plain(r.members) if every_member else None,
            "baselines": {name: plain(mean) for name, mean in r.baselines.items()},
            "marks": {name: _marks(m) for name, m in r.marks.items()},
            "reference": r.reference,
            "usual": dict(r.usual),
            "inside": r.inside,
            "in_sample": r.in_sample,
            "nfe": r.nfe,
            "derivatives": r.derivatives,
            "seconds": r.seconds,
            "models": [m.name for m in self.bench.models],
            "maps": _maps(r) if maps else None,
        }


def _times(times: np.ndarray) -> list:
    return times.astype(str).tolist() if np.issubdtype(times.dtype, np.datetime64) else plain(times)


def _marks(m: Scores) -> dict:
    one = {name: getattr(m, name) for name in ("crps", "crps_fair", "rmse", "spread")}
    return one | {"by_lead": plain(m.by_lead)}


def _maps(r: ForecastResult) -> dict | None:
    if r.maps is None:
        return None
    return {name: plain(getattr(r.maps, name)) for name in Maps.__dataclass_fields__}


def add_series_endpoints(bench: SeriesForecasts | None = None) -> None:
    """Register the endpoint with the page under construction."""
    endpoints = SeriesEndpoints(bench or SeriesForecasts.shared())
    gr.api(guarded(endpoints.forecast), api_name="forecast", **MODEL_QUEUE)
