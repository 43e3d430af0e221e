"""Tiny worlds and random next-step models for tests of analysis."""

import numpy as np
import torch

from flow_core.model import FlowConfig
from flow_core.networks import PointConfig
from flow_core.series.model import make
from flow_core.series.world import Segment, World
from flow_core.series.worlds import lorenz_world


def line(frames=300, name="small", season=True):
    """Two coordinates that forget their past: damped persistence is right."""
    rng = np.random.default_rng(0)
    x = np.zeros((frames, 2))
    for k in range(1, frames):
        x[k] = [0.9, 0.6] * x[k - 1] + rng.standard_normal(2) * [0.4, 0.8]
    values = x.astype(np.float32)
    return _world(name, values[None], "euclidean", season, x[: frames // 2].mean(0), x[: frames // 2].std(0))


def torus(frames=400, name="alanine"):
    """Two runs that hop between the cores of the extended and the alpha state."""
    rng = np.random.default_rng(1)
    state = np.cumsum(rng.random((2, frames)) < 0.05, 1) % 2
    psi = np.where(state, -0.5, 2.4) + 0.2 * rng.standard_normal((2, frames))
    values = np.stack([-1.5 + 0.3 * rng.standard_normal((2, frames)), psi], -1).astype(np.float32)
    return _world(name, values, "torus", False, np.zeros(2), np.ones(2))


def chaos():
    return lorenz_world({"train": 2, "validation": 1, "test": 2}, frames=64)


def _world(name, runs, geometry, season, center, scale):
    frames = runs.shape[1]
    splits = {
        "train": (0, frames // 2),
        "validation": (frames // 2, frames * 3 // 4),
        "test": (frames * 3 // 4, frames),
    }
    context = np.random.default_rng(2).standard_normal((frames, 2 if season else 0)).astype(np.float32)
    segments = tuple(Segment(run, np.arange(frames) * 1.0, context, splits) for run in runs)
    return World(
        name=name, title="Small world", variables=("a", "b"), unit="", dt=1.0, time_unit="steps", history=2, horizon=3,
        shape=(2,), geometry=geometry, center=center, scale=scale, segments=segments, licence="ours",
    )  # fmt: skip


def random_model(world, seed=0):
    model = make(world, world.name, FlowConfig("idff", 0.2), PointConfig(width=8, depth=1, frequencies=1), 1, seed)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(0.5)
    return model.eval().requires_grad_(False)
