"""A folder of tiny series models and a bench on it, whose worlds are those of `series_worlds` and a small field."""

import functools
from types import SimpleNamespace

import numpy as np
import torch

from analysis.series import forecast as series_bench
from analysis.series.forecast import SeriesForecasts
from flow_core.model import FlowConfig
from flow_core.networks import PointConfig
from flow_core.series import model
from flow_core.series.model import Forecast
from flow_core.series.scores import area_weights
from flow_core.series.world import Segment, World
from tests.analysis.series.tiny_worlds import chaos, line, random_model, torus


def field(frames=120):
    """A 4 x 5 grid with one cell of land, months as times."""
    rng = np.random.default_rng(3)
    mask = np.ones((4, 5), bool)
    mask[1, 2] = False
    values = (rng.standard_normal((frames, 1, 4, 5)) * mask).astype(np.float32)
    splits = {"train": (0, 60), "validation": (60, 90), "test": (90, frames)}
    times = np.datetime64("2010-01") + np.arange(frames)
    segment = Segment(values, times, np.zeros((frames, 2), np.float32), splits, np.full_like(values, 10))
    latitudes, longitudes = np.array([30.0, 10.0, -10.0, -30.0]), np.arange(140.0, 150.0, 2.0)
    return World(
        name="field", title="Small field", variables=("sst anomaly",), unit="°C", dt=1.0, time_unit="months", history=2,
        horizon=3, shape=(1, 4, 5), geometry="euclidean", center=np.zeros(()), scale=np.array(2.0), segments=(segment,),
        licence="ours", mask=mask, weights=area_weights(latitudes, mask), latitudes=latitudes, longitudes=longitudes,
    )  # fmt: skip


class FieldModel(torch.nn.Module):
    """Persistence with noise, in the place of a model of fields."""

    frame, card, config = SimpleNamespace(history=2), {}, PointConfig(2, 8, 1, 1)

    def forecast(self, history, context, horizon, members, nfe, method, seed=0, *, gammas=(), progress=None):
        noise = np.random.default_rng(seed).standard_normal((members, len(history), horizon, *history.shape[2:]))
        for k in range(horizon):
            if progress is not None:
                progress(k + 1, horizon)
        return Forecast((history[None, :, -1:] + noise).astype(np.float32), nfe, 0)


MADE = {"small": line, "lorenz": chaos, "alanine": torus, "field": field}


@functools.cache
def small_world(name) -> World:
    return MADE[name]()


def bench_on(folder, monkeypatch) -> SeriesForecasts:
    """The bench; models small, lorenz, alanine, field, and a file that is none."""
    torch.set_num_threads(1)
    for name in ("small", "lorenz", "alanine"):
        world = small_world(name)
        card = {"data": {"name": world.title, "fingerprint": world.fingerprint()}, "metrics": {"command": "x"}}
        if name == "small":
            card["metrics"] |= {"this model": {"crps_fair": 0.25}, "damped persistence": {"crps_fair": 0.5}, "odd": 3}
        model.save(random_model(world), folder / f"{name}{model.SERIES_SUFFIX}", card)
    stand_in = model.make(small_world("small"), "field", FlowConfig("idff", 0.2), PointConfig(2, 8, 1, 1), 1)
    model.save(stand_in, folder / f"field{model.SERIES_SUFFIX}", {"data": {"name": "Small field"}})
    (folder / f"broken{model.SERIES_SUFFIX}").write_bytes(b"no model")
    load = model.load
    monkeypatch.setattr(
        series_bench.series_model, "load", lambda path: FieldModel() if path.name.startswith("field") else load(path)
    )
    monkeypatch.setattr(series_bench, "open_world", lambda spec, history: small_world(spec))
    return SeriesForecasts(folder)
