"""Flows of images: requests, results and answers."""

from __future__ import annotations

import functools
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from analysis.core.cache import ByteLRU
from analysis.core.errors import UserError, as_user_errors
from analysis.core.fields import Choice, Gamma, Label, Seed
from analysis.core.images import as_pictures
from analysis.core.progress import Report, tell
from analysis.flow.clouds import NOISE_PART, STEPS_PART
from analysis.flow.settings import FlowSetting, Grid, Nfe, Sampler
from analysis.metrics.image import PairNumbers, compare_pictures
from flow_core import load
from flow_core.fields import Exact, Predict
from flow_core.guidance import MAX_GUIDANCE, Guidance, Guided
from flow_core.model import FLOW_KIND, FLOW_SUFFIX, MODELS_DIR, FlowConfig, FlowModel
from flow_core.paths import PATH_NAMES
from flow_core.samplers import GRIDS, MOMENTUM, NOISY, Callback, SampleResult, cosine_grid, rk4, sample
from foundation import noise
from foundation.files import checkpoints
from foundation.networks.unet import UNetConfig
from foundation.randomness import derived_seed
from koopman_core.edm import EDM, SIGMA_DATA
from koopman_core.model import TEACHER_KIND, TEACHER_SUFFIX, load_teacher

TEACHER = "teacher"  # a denoiser read as a flow, in the place of a net that was trained as one
IMAGE_PATHS = ("idff", "otcfm", "meanflow", TEACHER)
TEACHER_SIGMA = 0.2  # noise of the path that it is read on, as the nets of pictures have it
IMAGE_PATH_NAMES = {**{p: PATH_NAMES[p] for p in IMAGE_PATHS if p != TEACHER}, TEACHER: "Teacher (IDFF path)"}
Time = Annotated[float, Field(ge=0, le=1)]
MAX_IMAGES = 8
MAX_WORK = 600  # calls times pictures: some ten seconds of one core with a net of 3 M parameters
# what one call costs with derivatives, in plain calls, rounded up from 2.4, 5.8 and 4.7 (3 M parameters, one core)
ORDER_COST, TAYLOR_COST = {1: 1, 2: 3, 3: 6}, 5


@dataclass(frozen=True)
class FlowPicturesRequest(FlowSetting):
    """One setting: pictures from standard normal noise (t = 0) to data (t = 1).

    Attributes:
        data: what the net was trained on, "shapes" or "cifar10" of those that ship.
        path: of the net, "idff", "otcfm" or "meanflow"; "teacher" is the denoiser read on the path "idff".
        sampler: as in `Flow2DRequest`; those with momentum or noise need a path with noise, "idff".
        nfe: network calls, 1 to 50.
        grid: of the steps, "uniform" or "cosine".
        gamma1, gamma2, gamma3: momentum weights, -100 to 100.
        seeds: 1 to 8, one a picture; equal seeds start from equal noise, whatever the net and the sampler.
        label: class index, -1 for none.
        guidance: scale w of v_none + w (v_class - v_none), 0 to 20; 1 is the class's own flow. Another one needs a
            class, and costs a second network call wherever it acts.
        guidance_from, guidance_to: times between which it acts, 0 to 1.
    """

    SHARED: ClassVar[tuple[str, ...]] = ("data", "label", "seeds", "grid")
    former: ClassVar = {"guidance": 1.0, "guidance_from": 0.0, "guidance_to": 1.0}
    data: Annotated[str, Field(max_length=64)] = "shapes"
    path: Annotated[str, Choice(IMAGE_PATHS)] = "idff"
    sampler: Sampler = "euler"
    nfe: Nfe = 5
    grid: Grid = "uniform"
    gamma1: Gamma = 0.5
    gamma2: Gamma = 0.0
    gamma3: Gamma = 0.0
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_IMAGES)] = (0,)
    label: Label = -1
    guidance: Annotated[float, Field(ge=0, le=MAX_GUIDANCE, title="The guidance scale")] = 1.0
    guidance_from: Time = 0.0
    guidance_to: Time = 1.0

    def check_together(self) -> None:
        """Raises UserError: fields that do not go together, or too much work."""
        super().check_together()
        if self.guidance != 1 and self.label < 0:
            raise UserError("Guidance leads towards a class: choose one, or set the guidance scale to 1.", "guidance")
        if self.guidance_from > self.guidance_to:
            raise UserError("Guidance must begin before it ends: lower guidance_from.", "guidance_from")
        if self.work > MAX_WORK:
            raise UserError(
                f"This costs about as much as {self.work:,} network calls for one picture, and at most {MAX_WORK} are "
                f"made: ask for fewer calls or pictures{self._cheaper}.",
                "nfe",
            )

    @property
    def work(self) -> int:
        """Calls times pictures, with what differentiates the net counted in calls."""
        cost = TAYLOR_COST if self.sampler == "taylor2" and self.nfe > 1 else ORDER_COST[max(len(self.gammas), 1)]
        return self.nfe * len(self.seeds) * cost * (1 if self.guidance == 1 else 2)

    @property
    def guided(self) -> Guidance:
        """The scale and its interval."""
        return Guidance(self.guidance, self.guidance_from, self.guidance_to)

    @property
    def _cheaper(self) -> str:
        if self.sampler == "taylor2":
            return ", or choose a sampler without derivatives"
        return ", or set gamma2 and gamma3 to 0" if len(self.gammas) > 1 else ""


def needs_noise(sampler: str) -> bool:
    """Whether a sampler is another than Euler's only on a path with noise."""
    return sampler in MOMENTUM or sampler in NOISY


@dataclass(frozen=True)
class PictureFlowInfo:
    """What there is for one kind of data.

    Attributes: data; paths that have a net; classes, names of the labels, () without.
    """

    data: str
    paths: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FlowPicturesResult:
    """One setting, run.

    Attributes:
        times: (N + 1,) of the grid, 0 = noise, 1 = data.
        states: (N + 1, n, H, W, 3) at these times; values beyond black and white are clipped.
        predictions: (N, n, H, W, 3) x1_hat at the start of every step.
        nfe: network calls, counted, those without the class that guidance adds among them; one call carries all n
            pictures.
        derivatives: backward passes, counted.
        seconds: of the run.
        net: name of the model.
    """

    times: np.ndarray
    states: np.ndarray
    predictions: np.ndarray
    nfe: int
    derivatives: int
    seconds: float
    net: str

    @property
    def pictures(self) -> np.ndarray:
        """(n, H, W, 3) at t = 1."""
        return self.states[-1]


@dataclass(frozen=True, eq=False)
class ExactDistance:
    """How far one setting's pictures lie from its net's own exact flow from the same noise.

    Distances are of the 8-bit pictures on the [-1, 1] scale, as in `analysis.metrics.image.PairNumbers`.

    Attributes:
        exact: (n, H, W, 3) uint8, the plain flow at a fine resolution.
        nfe: calls that it took.
        mse: (n,).
        psnr: (n,) decibels, infinite for equal pictures.
        ssim: (n,).
        lpips: (n,) LPIPS (Alex, side 64), None without a backbone.
    """

    exact: np.ndarray
    nfe: int
    mse: np.ndarray
    psnr: np.ndarray
    ssim: np.ndarray
    lpips: np.ndarray | None


IMAGES_PREFIX = "images-"
DATA_ORDER = ("portraits", "shapes", "cifar10")  # of the list; others follow by name
IMAGE_CACHE_BYTES = 64 * 2**20
# Runge-Kutta 4 on cosine steps: on the shapes net and 8 noises at 54 dB or more from the same with 401 calls
EXACT_NFE = 61
WEIGHTS_CURE = "bring the momentum weights closer to 0, or use more network calls"
TRAIN_COMMAND = "python -m flow_core.train images --config flow_core/configs/images_shapes.toml"


@dataclass(frozen=True, eq=False)
class PictureNet:
    """Attributes: name; model; classes, names of its labels."""

    name: str
    model: FlowModel
    classes: tuple[str, ...]

    def predict(self, label: int, n: int) -> Predict:
        """(x, t) -> Prediction with a class for all n pictures, -1 for none."""
        return self.model.labelled(None if label < 0 else torch.full((n,), label, dtype=torch.int64))

    def guided(self, request: FlowPicturesRequest) -> Guided:
        """The same for a question, with its guidance."""
        n = len(request.seeds)
        return Guided(self.predict(request.label, n), self.predict(-1, n), request.guided)

    def start(self, seeds: tuple[int, ...]) -> Tensor:
        """The noise of these seeds at t = 0."""
        return self.model.path.start_std * noise(seeds, self.model.sample_shape)


def teacher_flow(teacher: EDM, path: str = "idff", sigma: float = TEACHER_SIGMA) -> FlowModel:
    """An EDM denoiser as the flow of a path with independent noise; its weights are shared.

    Given x1, x_t / alpha is x1 with noise of level s = sqrt(V0) / alpha, so E[x1 | x_t] = D(x_t / alpha; s), whatever
    the path; `FlowModel` has EDM's preconditioning (Karras et al. 2022, table 1) and tells its network ln(s) / 4. The
    minimizer of flow matching on independent pairs is this same posterior mean: what differs from a net trained on the
    path is which times the training dwelt on.

    Args:
        teacher: the denoiser.
        path, sigma: as in `FlowConfig`, with independent coupling.
    """
    model = FlowModel(FlowConfig(path=path, sigma=sigma, predicts="x1", data_std=SIGMA_DATA), teacher.config)
    model.net.unet = teacher.net
    model.card = teacher.card
    return model.eval()


class ImageFlows:
    """Questions about the picture flows of one folder; what is asked twice is kept.

    Args:
        folder: where images-DATA.flow.safetensors (IDFF), images-DATA-otcfm.flow.safetensors and teachers,
            DATA.teacher.safetensors, are.
    """

    def __init__(self, folder: str | Path = MODELS_DIR):
        self.folder = Path(folder)
        self._nets: dict[str, PictureNet] = {}
        self._answers, self._exact = ByteLRU(IMAGE_CACHE_BYTES), ByteLRU(IMAGE_CACHE_BYTES)
        # two locks: pictures need not wait for the fine resolution
        self._lock, self._exact_lock = threading.RLock(), threading.RLock()

    @functools.cached_property
    def kinds(self) -> tuple[PictureFlowInfo, ...]:
        """What there is, from the files' headers; files that cannot be read are left out."""
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for file in sorted(self.folder.glob(f"{IMAGES_PREFIX}*{FLOW_SUFFIX}")):
            data = file.name.removesuffix(FLOW_SUFFIX).removeprefix(IMAGES_PREFIX)
            path = next((p for p in IMAGE_PATHS if p != "idff" and data.endswith(f"-{p}")), "idff")
            try:
                header = checkpoints.peek(file)
            except checkpoints.CheckpointError:
                continue
            unet = header.config.get("unet")
            if header.kind == FLOW_KIND and isinstance(unet, dict):
                found.setdefault(data.removesuffix(f"-{path}"), {})[path] = _classes(header.card, unet.get("classes"))
        for file in sorted(self.folder.glob(f"*{TEACHER_SUFFIX}")):
            try:
                header = checkpoints.peek(file)
            except checkpoints.CheckpointError:
                continue
            # an official network was always given a class, and has more pixels than a page waits for
            if header.kind == TEACHER_KIND and "origin" not in header.card and header.config.get("channels") == 3:
                data = file.name.removesuffix(TEACHER_SUFFIX)
                found.setdefault(data, {})[TEACHER] = _classes(header.card, header.config.get("classes"))
        names = sorted(found, key=lambda d: (DATA_ORDER.index(d) if d in DATA_ORDER else len(DATA_ORDER), d))
        return tuple(
            PictureFlowInfo(d, tuple(p for p in IMAGE_PATHS if p in found[d]), max(found[d].values(), key=len))
            for d in names
        )

    def kind(self, data: str) -> PictureFlowInfo:
        """What there is for one kind of data.

        Raises:
            UserError: nothing.
        """
        if not self.kinds:
            raise UserError(
                f"There is no flow of pictures in the models' folder: train one with {TRAIN_COMMAND}.", "net"
            )
        for info in self.kinds:
            if info.data == data:
                return info
        raise UserError(
            f"There is no flow of such pictures: choose one of {', '.join(i.data for i in self.kinds)}.", "data"
        )

    def net(self, request: FlowPicturesRequest) -> PictureNet:
        """What a question calls.

        Raises:
            UserError: no such net, a file that cannot be used, a class that it does not have, or a sampler that needs
                noise on its path.
        """
        if request.path not in self.kind(request.data).paths:
            raise UserError(
                f"There is no net for {request.data} on the path {request.path}: choose another path, or train one "
                "with python -m flow_core.train images.",
                "net",
            )
        name = f"{IMAGES_PREFIX}{request.data}" + ("" if request.path == "idff" else f"-{request.path}")
        with self._lock:
            if name not in self._nets:
                self._nets[name] = self._load(request.data if request.path == TEACHER else name, request.path)
            net = self._nets[name]
        if request.label >= len(net.classes):
            known = f"from 0 to {len(net.classes) - 1}, or -1 for none" if net.classes else "-1: this net has none"
            raise UserError(f"The class must be {known}.", "label")
        if net.model.path.sigma == 0 and needs_noise(request.sampler):
            raise UserError(
                "Momentum and noise are multiples of the path's own noise, and this path has none (sigma = 0): choose "
                "another sampler, or the path idff.",
                "sampler",
            )
        return net

    def _load(self, name: str, path: str) -> PictureNet:
        if path == TEACHER:
            with as_user_errors():
                teacher = load_teacher(self.folder / f"{name}{TEACHER_SUFFIX}")
            return PictureNet(f"{name}.{TEACHER}", teacher_flow(teacher), _classes(teacher.card, teacher.classes))
        with as_user_errors():
            model = load(self.folder / f"{name}{FLOW_SUFFIX}")
        config = model.config
        if model.flow.path != path or not isinstance(config, UNetConfig) or config.channels != 3:
            raise UserError(f"The file of {name} holds another flow than its name says: train it again.", "net")
        return PictureNet(name, model, _classes(model.card, config.classes))

    # -----------------------------------------------------------------------------------------------------------------
    # Questions

    def flow_pictures(self, request: FlowPicturesRequest, report: Report | None = None) -> FlowPicturesResult:
        """One setting: pictures, and x1_hat and the state at every step.

        Args:
            request: what to run.
            report: called with (share done, what) at every step; may raise to cancel.
        """
        net = self.net(request)

        def make() -> FlowPicturesResult:
            states, predictions, start = [], [], time.perf_counter()

            def keep(i: int, t: float, x: Tensor, x1: Tensor) -> None:
                tell(report, t, "flow")
                states.append(x)
                predictions.append(x1)

            result = self._sample(request, net, keep)
            seconds = time.perf_counter() - start
            seen, said = ([as_pictures(x, WEIGHTS_CURE) for x in part] for part in ([*states, result.x], predictions))
            return FlowPicturesResult(
                result.grid.numpy(), np.stack(seen), np.stack(said), result.nfe, result.derivatives, seconds, net.name
            )

        with self._lock:
            return self._answers.get(request, make)

    @staticmethod
    def _sample(request: FlowPicturesRequest, net: PictureNet, callback: Callback | None = None) -> SampleResult:
        predict, path = net.guided(request), net.model.path
        try:
            with as_user_errors():
                result = sample(
                    request.sampler, predict, net.start(request.seeds), path, request.nfe, gammas=request.gammas,
                    spacing=GRIDS[request.grid], callback=callback,
                    noise_seeds=[derived_seed(NOISE_PART, STEPS_PART, s) for s in request.seeds],
                )  # fmt: skip
        except RuntimeError as e:  # not every layer has the derivatives that Taylor-2 and orders 2 and 3 need
            if request.sampler != "taylor2" and len(request.gammas) < 2:
                raise
            raise UserError(
                "This net cannot be differentiated so often: choose another sampler or order.", "order"
            ) from e
        return replace(result, nfe=result.nfe + predict.extra)

    def exact(self, request: FlowPicturesRequest, report: Report | None = None) -> np.ndarray:
        """The plain flow of the request's net from the same noise at a fine resolution, (n, H, W, 3) uint8.

        Args:
            request: sampler, calls and momentum are not read.
            report: called with (share done, what); may raise to cancel.
        """
        net, seeds = self.net(request), request.seeds

        def watch(i: int, t: float, x: Tensor, x1: Tensor) -> None:
            tell(report, t, f"exact flow of {net.name}, {EXACT_NFE} calls")

        def make() -> np.ndarray:
            path, predict = net.model.path, net.guided(request)
            with as_user_errors():
                x = rk4(predict, net.start(seeds), Exact(path), EXACT_NFE, spacing=cosine_grid, callback=watch).x
            return as_pictures(x, "train the net for longer")

        with self._exact_lock:
            return self._exact.get((net.name, seeds, request.label, request.guided), make)

    def distance(self, request: FlowPicturesRequest, report: Report | None = None) -> ExactDistance:
        """How far a setting's pictures lie from its net's own exact flow; arguments as `exact`."""
        made, exact = self.flow_pictures(request, report).pictures, self.exact(request, report)
        pairs = pair_numbers(made, exact)
        return ExactDistance(
            exact=exact,
            nfe=EXACT_NFE,
            mse=np.array([p.mse for p in pairs]),
            psnr=np.array([decibels(p) for p in pairs]),
            ssim=np.array([p.ssim for p in pairs]),
            lpips=None if pairs[0].lpips is None else np.array([p.lpips for p in pairs]),
        )


def _classes(card: dict, count) -> tuple[str, ...]:
    """Names of the labels: the card's, or else numbers."""
    count = count if isinstance(count, int) else 0
    data = card.get("data")
    names = data.get("classes") if isinstance(data, dict) else None
    names = names if isinstance(names, (list, tuple)) and len(names) == count else [f"class {i}" for i in range(count)]
    return tuple(str(n) for n in names)


def pair_numbers(made: np.ndarray, exact: np.ndarray) -> list[PairNumbers]:
    """What two sets of pictures differ by, one by one."""
    return [compare_pictures(a, b).numbers for a, b in zip(made, exact, strict=True)]


def decibels(pair: PairNumbers) -> float:
    """PSNR in dB, infinite for equal pictures."""
    return np.inf if pair.psnr is None else pair.psnr
