"""The flow lab of the web page: shipped nets, densities and held-out points as numbers that JavaScript reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import flow_core
from analysis.flow.clouds import DATA_PART, HELD_OUT
from flow_core.densities.mixtures import GaussianMixture
from flow_core.densities.toys import TOYS, toy
from flow_core.model import FLOW_KIND, FLOW_SUFFIX, FlowModel
from flow_core.networks import PointConfig
from foundation.files.checkpoints import checksum, peek
from foundation.files.models import MODELS_DIR
from foundation.randomness import derived_seed


def density(name: str) -> dict:
    """A density of flow_core.toys: its closed form, and held-out points of seed 0, row by row."""
    t = toy(name)
    d = t.density
    if isinstance(d, GaussianMixture):
        form: dict[str, object] = {"means": d.means.tolist(), "stds": d.stds.tolist(), "weights": d.weights.tolist()}
    else:
        form = {"cells": d.cells.flip(0).tolist(), "side": d.extent}  # row 0 at the top, as it is drawn
    points = t.sample(HELD_OUT, derived_seed(DATA_PART, 0))
    return {
        "name": name,
        "extent": t.extent,
        "std": d.std(),
        **form,
        "points": np.round(points.flatten().tolist(), 5).tolist(),
    }


def net(name: str, model: FlowModel) -> dict:
    """A net of points: what it was trained for, and its layers in order as (out, in) of each weight."""
    flow, layers = model.flow, [p for p in model.net.parameters() if p.ndim == 2]
    if not isinstance(model.config, PointConfig):
        raise ValueError(f"{name} is a net of pictures: the flow lab takes nets of points.")
    return {
        "name": name,
        "density": name.removeprefix("toy-").split("-")[0],
        "path": flow.path,
        "sigma": flow.sigma,
        "independent": model.path.independent,
        "predicts": flow.predicts,
        "std": flow.data_std,
        "frequencies": model.config.frequencies,
        "layers": [list(p.shape) for p in layers],
    }


def weights(model: FlowModel) -> np.ndarray:
    """All numbers of a net in the order weight, bias, weight, ... as float16, which shipped nets are stored in."""
    return np.concatenate([p.detach().numpy().astype(np.float16).ravel() for p in model.net.parameters()])


def write_flow(folder: Path, models: Path = MODELS_DIR) -> list[dict]:
    """Write flow.bin, the weights of the nets of points in a folder, and flow.json with all else about them.

    Returns:
        What tells a recipe's nets: name, density, path, sigma, checksum.
    """
    folder.mkdir(parents=True, exist_ok=True)
    nets, numbers, told = [], [], []
    for path in sorted(models.glob(f"toy-*{FLOW_SUFFIX}")):
        if peek(path).kind != FLOW_KIND:
            continue
        model = flow_core.load(path)
        if isinstance(model.config, PointConfig) and not model.path.average:  # the page has nets of one time
            form = net(path.name.removesuffix(FLOW_SUFFIX), model)
            nets.append(form)
            numbers.append(weights(model))
            told.append({k: form[k] for k in ("name", "density", "path", "sigma")} | {"checksum": checksum(model)})
    (folder / "flow.bin").write_bytes(np.concatenate(numbers).astype("<f2").tobytes() if numbers else b"")
    known = {"densities": [density(name) for name in TOYS], "nets": nets}
    (folder / "flow.json").write_text(json.dumps(known, separators=(",", ":")), "utf-8")
    return told
