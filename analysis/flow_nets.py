"""The nets of flows in two dimensions: closed form, shipped files, and trainings of the last minutes.

A trained net is kept under a key that says all of the training and is the same for the same training.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from dataclasses import dataclass

from analysis.errors import UserError
from analysis.flow_clouds import CACHE_BYTES, Clouds, sentences
from analysis.requests_flow import BRIDGES, KEY_PREFIX, Flow2DRequest
from flow_core import load
from flow_core.fields import Predict
from flow_core.model import MODELS_DIR, SUFFIX, FlowModel
from flow_core.paths import Path, make_path
from foundation.checkpoints import CheckpointError

MAX_TRAINED = 16


@dataclass(frozen=True)
class Net:
    """Attributes: name, as in a result; predict = the network; path it belongs to."""

    name: str
    predict: Predict
    path: Path


class Nets(Clouds):
    """Nets, and the clouds to compare their points with."""

    def __init__(self, cache_bytes: int = CACHE_BYTES):
        super().__init__(cache_bytes)
        self._trained: OrderedDict[str, FlowModel] = OrderedDict()

    @property
    def trained(self) -> tuple[str, ...]:
        """Keys of the trained nets that can be used, the latest last; the oldest are forgotten."""
        with self._lock:
            return tuple(self._trained)

    def _keep(self, key: str, model: FlowModel) -> None:
        with self._lock:
            self._trained[key] = model
            self._trained.move_to_end(key)
            while len(self._trained) > MAX_TRAINED:
                self._trained.popitem(last=False)

    @staticmethod
    def shipped_name(density: str, path: str) -> str | None:
        """Name of the shipped net for a density and a path, None where none ships."""
        name = f"toy-{density}" if path == "idff" else f"toy-{density}-{path}"
        return name if (MODELS_DIR / f"{name}{SUFFIX}").is_file() else None

    def net(self, request: Flow2DRequest) -> Net:
        """What a question calls.

        Raises:
            UserError: no closed form, no shipped net, an unknown key, or a net of another path or sigma0.
        """
        sigma = request.sigma0 if request.path in BRIDGES else 0.0
        with sentences():
            path = make_path(request.path, sigma)
        if request.net.startswith(KEY_PREFIX):
            with self._lock:
                model = self._trained.get(request.net)
            if model is None:
                raise UserError("This trained net is not kept any more: train it again, or choose another net.")
            return self._fitting(Net(request.net, model, model.path), path)
        name = self.shipped_name(request.density, request.path)
        if request.net != "oracle" and name is not None:
            model = self._shipped(name)
            if request.net == "shipped" or model.path == path:
                return self._fitting(Net(name, model, model.path), path)
        if request.net == "shipped":
            raise UserError(
                f"No net for {request.density} on the path {request.path} ships: choose the oracle, or train one."
            )
        if not path.independent:
            raise UserError(
                f"The path {request.path} pairs noise and data, so it has no closed form: train a net for it, or "
                f"choose {' or '.join(self._with_net(request.path)) or 'another path'}."
            )
        return Net("oracle", self._toy(request).density.oracle(path), path)

    @staticmethod
    def _with_net(path: str) -> list[str]:
        end = f"-{path}{SUFFIX}"
        return sorted(p.name.removeprefix("toy-").removesuffix(end) for p in MODELS_DIR.glob(f"toy-*{end}"))

    @staticmethod
    @functools.lru_cache(maxsize=32)
    def _shipped(name: str) -> FlowModel:
        try:
            return load(name)
        except CheckpointError as e:
            raise UserError(str(e)) from None

    @staticmethod
    def _fitting(net: Net, path: Path) -> Net:
        if type(net.path) is not type(path) or net.path.coupling != path.coupling:
            raise UserError("This net was trained on another path: choose its path, or another net.")
        if net.path.sigma != path.sigma:
            raise UserError(
                f"This net was trained with sigma0 = {net.path.sigma:g}: set sigma0 to that, choose the oracle, or "
                "train a net with this one."
            )
        return net
