"""The nets of flows in two dimensions: closed form, shipped files, and trainings of the last minutes.

A trained net is kept under a key that says all of the training and is the same for the same training.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path as FilePath
from typing import Annotated, Protocol

import numpy as np
from pydantic import AfterValidator, Field, ValidationInfo

from analysis.core.errors import UserError, as_user_errors
from analysis.core.fields import Choice, Request, Seed
from analysis.core.progress import Report, tell
from analysis.flow.clouds import DRAWING, CloudNumbers, Clouds, DensityName, Drawing, Place, Target
from analysis.flow.settings import BRIDGES, MAX_SIGMA
from flow_core import load
from flow_core.densities.mixtures import GaussianMixture
from flow_core.densities.pairs import between
from flow_core.densities.toys import TOYS, Toy
from flow_core.fields import Predict
from flow_core.model import FLOW_SUFFIX, MODELS_DIR, NORMAL, FlowConfig, FlowModel
from flow_core.networks import PointConfig
from flow_core.paths import PATHS, Path, make_path
from flow_core.samplers import sample
from flow_core.train import train_live
from flow_core.training.points import toy_task
from foundation import noise
from foundation.training.loop import TrainingConfig

MAX_TRAINED = 16
STRAIGHT = ("icfm", "otcfm", "meanflow")  # paths that may begin at any source
NET_CHOICES = ("auto", "oracle", "shipped")  # or the key of a trained net
KEY_PREFIX = "trained-"
MAX_TRAIN_STEPS = 6000


def _net(value: str, info: ValidationInfo) -> str:
    trained = rf"{KEY_PREFIX}[0-9a-f]{{16}}-[0-9]{{1,5}}" if info.mode == "json" else f"{KEY_PREFIX}.*"
    if value not in NET_CHOICES and not re.fullmatch(trained, value, re.DOTALL):
        raise UserError(
            f"The net must be one of {', '.join(NET_CHOICES)}, or the key of a net that was trained here.", "net"
        )
    return value


PathName = Annotated[str, Choice(tuple(PATHS))]
SourceName = Annotated[str, Choice((NORMAL, *TOYS, DRAWING))]
Sigma0 = Annotated[float, Field(ge=0, le=MAX_SIGMA, title="sigma0")]
NetName = Annotated[str, AfterValidator(_net)]


class Flow(Protocol):
    """What says which flow; questions about points have these fields."""

    @property
    def density(self) -> str: ...

    @property
    def drawing(self) -> tuple | None: ...

    @property
    def path(self) -> str: ...

    @property
    def sigma0(self) -> float: ...


def check_target(request: Flow) -> None:
    """Raises UserError: sigma0 of 0 on a bridge, or a drawing without its density."""
    if request.path in BRIDGES and request.sigma0 == 0:
        raise UserError(
            "On this path sigma0 must be above 0: without noise it is the path of I-CFM, choose that one.", "sigma0"
        )
    check_drawing(request)


def check_drawing(request: Target) -> None:
    """Raises UserError: a drawing without its density, or the other way round."""
    if (request.drawing is not None) != (request.density == DRAWING):
        raise UserError(f'Send a drawing together with the density "{DRAWING}", and only then.', "drawing")


class Sourced(Flow, Protocol):
    """What says what a flow begins at, too."""

    @property
    def source(self) -> str: ...

    @property
    def source_drawing(self) -> tuple | None: ...


def check_source(request: Sourced) -> None:
    """Raises UserError: a source on a path that needs noise, or a drawing without it."""
    if (request.source_drawing is not None) != (request.source == DRAWING):
        raise UserError(
            f'Send a drawing of the source together with the source "{DRAWING}", and only then.', "source_drawing"
        )
    if request.source != NORMAL and request.path not in STRAIGHT:
        raise UserError(
            "Another source than noise needs a path whose velocity needs no score: choose "
            f"{', '.join(STRAIGHT[:-1])} or {STRAIGHT[-1]}.",
            "source",
        )


def source_of(request: Sourced, clouds: Clouds) -> Toy | None:
    """The density that a question begins at, None for noise."""
    return None if request.source == NORMAL else clouds.toy(Place(request.source, request.source_drawing))


@dataclass(frozen=True)
class Net:
    """Attributes: name, as in a result; predict = the network; path it belongs to."""

    name: str
    predict: Predict
    path: Path


class Nets:
    """The nets of one folder and those trained here, by density, path, sigma0 and name.

    Args:
        folder: where toy-DENSITY.flow.safetensors (IDFF) and toy-DENSITY-PATH.flow.safetensors are.
    """

    def __init__(self, folder: str | FilePath = MODELS_DIR):
        self.folder = FilePath(folder)
        self._trained: OrderedDict[str, FlowModel] = OrderedDict()
        self._shipped: dict[str, FlowModel] = {}
        self._lock = threading.RLock()

    @property
    def trained(self) -> tuple[str, ...]:
        """Keys of the trained nets that can be used, the latest last; the oldest are forgotten."""
        with self._lock:
            return tuple(self._trained)

    def add(self, key: str, model: FlowModel) -> None:
        """Keep a trained net under its key."""
        with self._lock:
            self._trained[key] = model
            self._trained.move_to_end(key)
            while len(self._trained) > MAX_TRAINED:
                self._trained.popitem(last=False)

    def shipped_name(self, density: str, path: str) -> str | None:
        """Name of the folder's net for a density and a path, None where there is none."""
        name = f"toy-{density}" if path == "idff" else f"toy-{density}-{path}"
        return name if self._file(name).is_file() else None

    def _file(self, name: str) -> FilePath:
        return self.folder / f"{name}{FLOW_SUFFIX}"

    def get(self, density: Toy, path_name: str, sigma0: float, key: str, source: Toy | None = None) -> Net:
        """The net of a density and a path.

        Args:
            density: what it flows to.
            path_name: one of flow_core.paths.PATHS.
            sigma0: of the paths in `BRIDGES`; the others have none.
            key: "oracle", "shipped", "auto" (shipped where one fits, else oracle), or the key of a trained net.
            source: what flows begin at, None for noise; no net ships for another.

        Raises:
            UserError: no closed form, no shipped net, an unknown key, or a net of another path or sigma0.
        """
        path = make_path(path_name, sigma0 if path_name in BRIDGES else 0.0)
        if key.startswith(KEY_PREFIX):
            with self._lock:
                model = self._trained.get(key)
            if model is None:
                raise UserError("This trained net is not kept any more: train it again, or choose another net.", "net")
            if model.flow.source != (source.name if source else NORMAL):
                raise UserError("This net was trained from another source: choose its source, or another net.", "net")
            return _fitting(Net(key, model, model.path), path)
        if source is not None:
            return _between(source, density, path, key)
        name = self.shipped_name(density.name, path_name)
        if key != "oracle" and name is not None:
            model = self._load(name)
            if key == "shipped" or model.path == path:
                return _fitting(Net(name, model, model.path), path)
        if key == "shipped":
            raise UserError(
                f"No net for {density.name} on the path {path_name} ships: choose the oracle, or train one.",
                "net",
            )
        if not path.independent:
            raise UserError(
                f"The path {path_name} pairs noise and data, so it has no closed form: train a net for it, or "
                f"choose {' or '.join(self._with_net(path_name)) or 'another path'}.",
                "net",
            )
        return Net("oracle", density.density.oracle(path), path)

    def _with_net(self, path: str) -> list[str]:
        end = f"-{path}{FLOW_SUFFIX}"
        return sorted(p.name.removeprefix("toy-").removesuffix(end) for p in self.folder.glob(f"toy-*{end}"))

    def _load(self, name: str) -> FlowModel:
        with self._lock:
            if name not in self._shipped:
                with as_user_errors():  # CheckpointError is a sentence, too
                    self._shipped[name] = load(self._file(name))
            return self._shipped[name]


def _between(source: Toy, density: Toy, path: Path, key: str) -> Net:
    """The closed form of two mixtures; nothing ships from another source than noise."""
    start, end = source.density, density.density
    closed = key != "shipped" and path.independent
    if not (closed and isinstance(start, GaussianMixture) and isinstance(end, GaussianMixture)):
        why = "ships" if key == "shipped" else "has a closed form"
        raise UserError(
            f"No flow from {source.name} to {density.name} on this path {why}: train a net for it, or take two of "
            "8gaussians, moons, spirals and pinwheel on the path of I-CFM.",
            "net",
        )
    with as_user_errors():
        return Net("oracle", between(start, end, path), path)


def _fitting(net: Net, path: Path) -> Net:
    if type(net.path) is not type(path) or net.path.coupling != path.coupling:
        raise UserError("This net was trained on another path: choose its path, or another net.", "net")
    if net.path.sigma != path.sigma:
        raise UserError(
            f"This net was trained with sigma0 = {net.path.sigma:g}: set sigma0 to that, choose the oracle, or "
            "train a net with this one.",
            "net",
        )
    return net


# ---------------------------------------------------------------------------------------------------------------------
# Training

TRAIN_POINTS = 256
PREVIEW_POINTS, PREVIEW_NFE = 512, 15
LOOK_EVERY = 50
PREDICTED_BY_PATH = {
    "icfm": "velocity",
    "otcfm": "velocity",
    "sbcfm": "x1+eps",
    "idff": "x1",
    "meanflow": "average",
    "target": "x1",
    "vp": "x1",
}


@dataclass(frozen=True)
class TrainRequest(Request):
    """A net for a density, trained here and now.

    Attributes:
        density, drawing, path, sigma0, source, source_drawing: as in `Flow2DRequest`.
        steps: of 256 points each, 25 to 6000.
        width: units of each of the 3 hidden layers, 16 to 256.
        seed: of the weights and everything drawn.
    """

    density: DensityName = "8gaussians"
    drawing: Drawing = None
    path: PathName = "idff"
    sigma0: Sigma0 = 0.2
    steps: Annotated[int, Field(ge=25, le=MAX_TRAIN_STEPS, title="The number of training steps")] = 2000
    width: Annotated[int, Field(ge=16, le=256, title="The width of the net")] = 128
    seed: Seed = 0
    source: SourceName = NORMAL
    source_drawing: Drawing = None

    def check_together(self) -> None:
        """Raises UserError: fields that do not go together."""
        check_target(self)
        check_source(self)


def train_net(request: TrainRequest, clouds: Clouds, nets: Nets, report: Report | None = None) -> Iterator[TrainStep]:
    """Train a net, looked at every `LOOK_EVERY` steps.

    Closing the generator early keeps the net as it was at the last look; nothing is kept of a training that failed.

    Args:
        request: what to train.
        clouds: data, and what previews are compared with.
        nets: where the net is kept.
        report: called with (share done, what) before every step; may raise to stop, and then nothing is kept.

    Raises:
        UserError: from the generator, where flow_core refuses or the loss diverges.
    """
    config = TrainingConfig(
        images=request.steps * TRAIN_POINTS, batch=TRAIN_POINTS, lr=5e-3, warmup=20 * TRAIN_POINTS,
        ema_halflife=100 * TRAIN_POINTS, seed=request.seed,
    )  # fmt: skip
    sigma = request.sigma0 if request.path in BRIDGES else 0.0
    with as_user_errors():
        flow = FlowConfig(request.path, sigma, predicts=PREDICTED_BY_PATH[request.path])
        source, network = source_of(request, clouds), PointConfig(width=request.width)
        task = toy_task(clouds.toy(request), flow, network, seed=request.seed, source=source)
    model, start, losses, last = task.model, time.perf_counter(), [], None

    def before(done: int, of: int) -> None:
        tell(report, done / of, "training")

    live: Generator[tuple[int, float], None, None] = train_live(task, config, LOOK_EVERY, before)
    try:
        while True:
            try:
                with as_user_errors():
                    step, loss = next(live)
            except StopIteration:
                break
            losses.append((step, loss))
            preview, numbers = _preview(request, model, clouds, source)
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
            nets.add(last.key, model.eval().requires_grad_(False))


def _preview(
    request: TrainRequest, model: FlowModel, clouds: Clouds, source: Toy | None
) -> tuple[np.ndarray | None, CloudNumbers | None]:
    start = source.sample(PREVIEW_POINTS, 0) if source else noise(range(PREVIEW_POINTS), (2,))
    with as_user_errors():
        try:
            method, nfe = ("euler", 1) if model.path.average else ("heun", PREVIEW_NFE)  # a jump is what it learns
            x = sample(method, model, start, model.path, nfe).x
        except ValueError:  # diverged: it may come back
            return None, None
        return x.numpy().astype(np.float32), clouds.numbers(request, x)


def _key(request: TrainRequest, step: int) -> str:
    """Says all of a training that was stopped after so many steps."""
    said = {k: v for k, v in asdict(request).items() if not k.startswith("source") or request.source != NORMAL}
    return f"{KEY_PREFIX}{hashlib.sha256(repr(sorted(said.items())).encode()).hexdigest()[:16]}-{step}"


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
