"""A small world of fields and random models of it, for tests of flow_core and analysis."""

import numpy as np

from flow_core.model import FlowConfig
from flow_core.networks import PointConfig
from flow_core.series import model
from flow_core.series.scores import area_weights
from flow_core.series.world import Segment, World

ROWS, COLUMNS = 4, 5


def field_world(frames=96, name="sst", seed=0):
    """Two waves of unequal size that forget at different rates, a small independent rest, land in a corner."""
    rng = np.random.default_rng(seed)
    latitudes, longitudes = np.linspace(45, -45, ROWS), np.linspace(180, 240, COLUMNS)
    mask = np.ones((ROWS, COLUMNS), bool)
    mask[0, :2] = False
    waves = np.stack([np.ones((ROWS, COLUMNS)), np.cos(np.linspace(0, 3, COLUMNS))[None] * np.ones((ROWS, 1))])
    c = np.zeros((frames, 2))
    for k in range(1, frames):
        c[k] = [0.9, 0.6] * c[k - 1] + rng.standard_normal(2) * [0.4, 0.3]
    x = np.einsum("tk,kij->tij", c, waves) + 0.3 * rng.standard_normal((frames, ROWS, COLUMNS))
    x = np.where(mask, x, 0.0)[:, None].astype(np.float32)
    splits = {
        "train": (0, frames // 2),
        "validation": (frames // 2, frames * 3 // 4),
        "test": (frames * 3 // 4, frames),
    }
    season = rng.standard_normal((frames, 2)).astype(np.float32)
    return World(
        name=name, title="Small fields", variables=("t",), unit="°C", dt=1.0, time_unit="months", history=2, horizon=3,
        shape=(1, ROWS, COLUMNS), geometry="euclidean", center=np.zeros(()), scale=np.array(2.0),
        segments=(Segment(x, np.arange(frames) * 1.0, season, splits),), licence="ours", mask=mask,
        weights=area_weights(latitudes, mask), latitudes=latitudes, longitudes=longitudes,
    )  # fmt: skip


def field_model(world, modes=2, seed=0):
    flow, net = FlowConfig("idff", 0.2), PointConfig(width=8, depth=1, frequencies=1)
    return model.make(world, world.name, flow, net, 1, seed, modes).eval().requires_grad_(False)
