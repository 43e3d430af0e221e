"""The time-series worlds: Lorenz-63, alanine dipeptide, sea-surface temperature; see `flow_core.series.world`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flow_core.series import alanine, lorenz, sst
from flow_core.series.scores import area_weights
from flow_core.series.world import WORLD_SPLITS, Rollouts, Segment, Windows, World
from foundation.files.locations import DataError
from foundation.randomness import derived_seed

__all__ = ["WORLD_SPLITS", "Rollouts", "Segment", "Windows", "World", "open_world"]

WORLD_SPECS = "lorenz, alanine, alanine:PATH, alanine_in_sample, sst, sst:PATH, sst_global, sst_sites or sst_sites:PATH"
LORENZ_RUNS = {"train": 32, "validation": 8, "test": 16}
LORENZ_FRAMES = 1000
ALANINE_SHARES = (0.7, 0.8)  # the training part of each run ends at the first, the validation part at the second
IN_SAMPLE_FRAMES = 2000  # of the first run; the published length is not known, Lorenz has 2,000 there
FIELD_ENDS = ("2016-12", "2018-12")  # last training month, last validation month
SITES_ENDS = ("2015-12-31", "2018-12-31")


def open_world(spec: str, history: int | None = None) -> World:
    """Open a world by name.

    Args:
        spec: lorenz, alanine, alanine:PATH, alanine_in_sample, sst (Pacific field), sst:PATH, sst_global, sst_sites or
            sst_sites:PATH; without a path see `alanine.load`, `sst.field_path` and `sst.read_sites`.
        history: frames that a model sees; each world has its own default.

    Raises:
        DataError: unknown name, files missing or damaged, history out of range.
    """
    name, colon, path = spec.partition(":")
    makers = {
        "lorenz": lambda _: lorenz_world(),
        "alanine": alanine_world,
        "alanine_in_sample": alanine_in_sample_world,
        "sst": lambda p: sst_field_world(p, "pacific"),
        "sst_global": lambda p: sst_field_world(p, "global"),
        "sst_sites": sst_sites_world,
    }
    if name not in makers or (colon and not path) or (path and name == "lorenz"):
        raise DataError(f"Unknown world {spec!r}; use {WORLD_SPECS}.", "spec")
    world = makers[name](path or None)
    return world if history is None else dataclasses.replace(world, history=history)


def lorenz_world(runs: Mapping[str, int] = LORENZ_RUNS, frames: int = LORENZ_FRAMES, seed: int = 0) -> World:
    """Lorenz-63 without noise; every split has trajectories of its own."""
    counts = [runs[split] for split in WORLD_SPLITS]
    seeds = [derived_seed(seed, s, k) for s, n in enumerate(counts) for k in range(n)]
    x = lorenz.trajectories(seeds, frames).astype(np.float32)
    owner = np.repeat(WORLD_SPLITS, counts)
    times, nothing = np.arange(frames) * lorenz.DT, np.zeros((frames, 0), np.float32)
    train = x[owner == "train"].astype(np.float64).reshape(-1, 3)
    parts = [Segment(run, times, nothing, {str(split): (0, frames)}) for run, split in zip(x, owner, strict=True)]
    return World(
        name="lorenz",
        title="Lorenz-63",
        variables=("x", "y", "z"),
        unit="",
        dt=lorenz.DT,
        time_unit="time units",
        history=1,
        horizon=100,
        shape=(3,),
        geometry="euclidean",
        center=train.mean(0),
        scale=train.std(0),
        segments=tuple(parts),
        licence="Integrated by this code (flow_core/series/lorenz.py), under the licence of the code.",
    )


def alanine_world(path: str | Path | None = None) -> World:
    """Dihedrals of alanine dipeptide; the last fifth of each run is the test part, the tenth before validation."""
    data = alanine.load(path)
    frames = data.angles.shape[1]
    a, b = (round(share * frames) for share in ALANINE_SHARES)
    splits = {"train": (0, a), "validation": (a, b), "test": (b, frames)}
    times, nothing = np.arange(frames) * data.dt_ps, np.zeros((frames, 0), np.float32)
    segments = tuple(Segment(run, times, nothing, splits) for run in data.angles)
    return _torus("alanine", "Alanine dipeptide", data, 4, 20, segments)


def alanine_in_sample_world(path: str | Path | None = None, frames: int = IN_SAMPLE_FRAMES) -> World:
    """The published protocol: one trajectory is training and test at once, and the model is told the frame.

    It measures memory, not prediction: context is k / T, the absolute frame number; the history is the frame before.
    """
    data = alanine.load(path)
    run = data.angles[0, :frames]
    t = len(run)
    context = (np.arange(t, dtype=np.float32) / t)[:, None]
    segment = Segment(run.copy(), np.arange(t) * data.dt_ps, context, dict.fromkeys(WORLD_SPLITS, (0, t)))
    return _torus("alanine_in_sample", "Alanine dipeptide, in sample (published protocol)", data, 1, t - 1, (segment,))


def _torus(name: str, title: str, data: alanine.Dihedrals, history: int, horizon: int, segments) -> World:
    return World(
        name=name,
        title=title,
        variables=("phi", "psi"),
        unit="rad",
        dt=data.dt_ps,
        time_unit="ps",
        history=history,
        horizon=horizon,
        shape=(2,),
        geometry="torus",
        center=np.zeros(2),
        scale=np.ones(2),
        segments=segments,
        licence=data.licence,
    )


def sst_field_world(path: str | Path | None = None, region: str = "pacific") -> World:
    """Monthly ERSST v5 anomalies; one scale for all cells, the area-weighted rms of the training anomalies."""
    field = sst.crop(sst.read_field(sst.field_path(path)), region)
    splits = _time_splits(field.months, FIELD_ENDS)
    mask = field.mask
    filled = np.where(mask, field.values, 0.0).astype(np.float64)
    train = np.zeros(len(filled), bool)
    train[slice(*splits["train"])] = True
    climatology = sst.monthly_climatology(filled, field.months, train)
    anomaly = filled - climatology
    weights = area_weights(field.latitudes, mask)
    scale = np.sqrt((anomaly[train] ** 2).mean(0)[mask] @ weights[mask])
    maps, below = (a[:, None].astype(np.float32) for a in (anomaly, climatology))
    return World(
        name="sst" if region == "pacific" else f"sst_{region}",
        title=f"Sea-surface temperature, {region}, monthly",
        variables=("sst anomaly",),
        unit="°C",
        dt=1.0,
        time_unit="months",
        history=3,
        horizon=6,
        shape=(1, *mask.shape),
        geometry="euclidean",
        center=np.zeros(()),
        scale=np.array(scale),
        segments=(Segment(maps, field.months, _season_context(field.months), splits, below),),
        licence=sst.FIELD_LICENCE,
        mask=mask,
        weights=weights,
        latitudes=field.latitudes,
        longitudes=field.longitudes,
    )


def sst_sites_world(folder: str | Path | None = None) -> World:
    """Daily OISST anomalies at three sites, each scaled by the standard deviation of its training anomalies."""
    sites = sst.read_sites(folder)
    splits = _time_splits(sites.days, SITES_ENDS)
    train = np.zeros(len(sites.days), bool)
    train[slice(*splits["train"])] = True
    climatology = sst.harmonic_climatology(sites.values, sites.days, train)
    anomaly = sites.values - climatology
    series, below = (a.astype(np.float32) for a in (anomaly, climatology))
    return World(
        name="sst_sites",
        title="Sea-surface temperature, three sites, daily",
        variables=sites.names,
        unit="°C",
        dt=1.0,
        time_unit="days",
        history=14,
        horizon=7,
        shape=(len(sites.names),),
        geometry="euclidean",
        center=anomaly[train].mean(0),
        scale=anomaly[train].std(0),
        segments=(Segment(series, sites.days, _season_context(sites.days), splits, below),),
        licence=sst.SITES_LICENCE,
    )


def _season_context(times: np.ndarray) -> np.ndarray:
    angle = sst.season(times)
    return np.stack([np.sin(angle), np.cos(angle)], 1).astype(np.float32)


def _time_splits(times: np.ndarray, ends: tuple[str, str]) -> dict[str, tuple[int, int]]:
    a, b = (int(np.searchsorted(times, np.datetime64(end), "right")) for end in ends)
    if not 0 < a < b < len(times):
        raise DataError(
            f"The series must begin before {ends[0]} and go on after {ends[1]}; give the full file.", "ends"
        )
    return {"train": (0, a), "validation": (a, b), "test": (b, len(times))}
