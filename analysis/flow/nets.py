"""The nets of flows in two dimensions: closed form, shipped files, and trainings of the last minutes.

A trained net is kept under a key that says all of the training and is the same for the same training.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from analysis.core.errors import UserError, as_user_errors
from analysis.flow.clouds import CACHE_BYTES, CloudNumbers, Clouds
from analysis.flow.point_requests import KEY_PREFIX, Flow2DRequest, TrainRequest
from analysis.flow.settings import BRIDGES
from flow_core import load
from flow_core.fields import Exact, Predict
from flow_core.model import MODELS_DIR, SUFFIX, FlowConfig, FlowModel
from flow_core.networks import PointConfig
from flow_core.paths import Path, make_path
from flow_core.samplers import heun
from flow_core.train import train_live
from flow_core.training.points import toy_task
from foundation import noise
from foundation.checkpoints import CheckpointError
from foundation.training import TrainingConfig

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
        with as_user_errors():
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


BATCH = 256
PREVIEW_POINTS, PREVIEW_NFE = 512, 15
LOOK_EVERY = 50
PREDICTS = {"icfm": "velocity", "otcfm": "velocity", "sbcfm": "x1+eps", "idff": "x1"}


class Training(Nets):
    """Trains nets and keeps them."""

    def train_toy(self, request: TrainRequest) -> Iterator[TrainStep]:
        """Train a net, looked at every `LOOK_EVERY` steps.

        Closing the generator early keeps the net as it was at the last look; nothing is kept of a training that failed.

        Raises:
            UserError: from the generator, where flow_core refuses or the loss diverges.
        """
        batch = BATCH
        config = TrainingConfig(
            images=request.steps * batch, batch=batch, lr=5e-3, warmup=20 * batch, ema_halflife=100 * batch,
            seed=request.seed,
        )  # fmt: skip
        sigma = request.sigma0 if request.path in BRIDGES else 0.0
        with as_user_errors():
            flow = FlowConfig(request.path, sigma, predicts=PREDICTS[request.path])
            density = self._toy(request)
            task = toy_task(density, flow, PointConfig(width=request.width), seed=request.seed)
        model, start, losses, last = task.model, time.perf_counter(), [], None
        live = train_live(task, config, LOOK_EVERY)
        try:
            while True:
                try:
                    with as_user_errors():
                        step, loss = next(live)
                except StopIteration:
                    break
                losses.append((step, loss))
                preview, numbers = self._preview(request, model)
                last = TrainStep(
                    step, request.steps, time.perf_counter() - start, np.array(losses), preview, numbers,
                    _key(request, step), step >= request.steps,
                )  # fmt: skip
                yield last
                losses = []
        except UserError:
            last = None
            raise
        finally:
            live.close()  # leaves the averaged weights in the model
            if last is not None:
                self._keep(last.key, model.eval().requires_grad_(False))

    def _preview(self, request: TrainRequest, model: FlowModel) -> tuple[np.ndarray | None, CloudNumbers | None]:
        with as_user_errors():
            start = noise(range(PREVIEW_POINTS), (2,))
            try:
                x = heun(model, start, Exact(model.path), PREVIEW_NFE).x
            except ValueError:  # diverged: it may come back
                return None, None
            return x.numpy().astype(np.float32), self._numbers(request, x)


def _key(request: TrainRequest, step: int) -> str:
    """Says all of a training that was stopped after so many steps."""
    return f"{KEY_PREFIX}{hashlib.sha256(repr(sorted(asdict(request).items())).encode()).hexdigest()[:16]}-{step}"


@dataclass(frozen=True, eq=False)
class TrainStep:
    """A training, looked at.

    Attributes:
        step, steps: done and asked for.
        seconds: so far.
        losses: (k, 2) step and mean loss since the last look.
        preview: (m, 2) points from the averaged weights; None where the flow from them diverged.
        numbers: of the preview, against held-out data; None with it.
        key: of the net as it is now; it can be used once the training ends or is closed.
        finished: whether this is the last look.
    """

    step: int
    steps: int
    seconds: float
    losses: np.ndarray
    preview: np.ndarray | None
    numbers: CloudNumbers | None
    key: str
    finished: bool
