"""The models on disk, found by name and loaded once; and the models that visitors brought, found by key.

What visitors bring is checked before memory is taken, kept for a while, and usable only with its key.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import koopman_core
from analysis.core.errors import UserError
from analysis.workbench.images import GenerateRequest
from analysis.workbench.session import class_names
from analysis.workbench.workbench import Workbench
from foundation.files import checkpoints
from koopman_core.model import MODELS_DIR, TEACHER_SUFFIX

DEFAULT_MODEL = "portraits"
MAX_MODEL_BYTES = 64 * 2**20  # of one file
MAX_MODEL_PARAMETERS = 32_000_000  # what fits as fp16
MAX_MODEL_SIDE = 64  # pixels: a larger picture takes seconds a call
OWN_CACHE_BYTES = 32 * 2**20  # of encoded states, of one model
MOST_OWN_MODELS = 4  # models in memory, of all visitors together
LIFETIME = 2 * 3600.0  # seconds since its last use
OWN_PREFIX = "own-"
GONE = "This model of your own is not loaded any more: bring its file again."


@dataclass
class _Own:
    bench: Workbench
    card: dict
    parameters: int
    used: float


def load_model(model: str | Path, teacher: str | Path | None, name: str) -> tuple[Workbench, dict, int]:
    """A workbench from files of a stranger, its card and its number of parameters; one picture is tried.

    Args:
        model: a .safetensors file of an HKD model.
        teacher: its teacher's, if there is one.
        name: what to call it.

    Raises:
        UserError: too large, damaged, of another kind, not fitting together, or without finite pictures.
    """
    header = _checked(model, "hkd", "The model")
    if teacher is not None:
        _checked(teacher, "teacher", "The teacher")
    try:
        network = koopman_core.load(model)
        guide = None if teacher is None else koopman_core.load_teacher(teacher)
    except checkpoints.CheckpointError as e:
        raise UserError(str(e), "file") from None
    shape = network.picture_shape
    if shape[0] != 3:
        raise UserError("This model does not make colour pictures: bring one with three channels.", "model")
    if guide is not None and (guide.config.channels, guide.config.classes) != (shape[0], network.config.classes):
        raise UserError(
            "The teacher has other classes or channels than the model: bring the model's own teacher.", "teacher"
        )
    bench = Workbench(network, guide, name, OWN_CACHE_BYTES)
    bench.generate(GenerateRequest((0,)))
    return bench, header.card, header.parameters


def _checked(path: str | Path, kind: str, what: str) -> checkpoints.Header:
    """The header of a file that is small enough to be loaded."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise UserError(f"{what} must be a .safetensors file that this program wrote.", "file")
    try:
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise UserError(
                f"{what} has more than {MAX_MODEL_BYTES // 2**20} MB: save it as fp16, or choose a smaller one.", "file"
            )
        header = checkpoints.peek(path, max_parameters=MAX_MODEL_PARAMETERS)
    except OSError:
        raise UserError(f"{what} cannot be read: bring its file again.", "file") from None
    except checkpoints.CheckpointError as e:
        raise UserError(str(e), "file") from None
    if header.kind != kind:
        raise UserError(f"{what} is a file of another kind: bring a checkpoint of the kind {kind!r}.", "file")
    network = header.config.get("network") if kind == "hkd" else header.config
    side = network.get("resolution") if isinstance(network, dict) else None
    if not isinstance(side, int) or not 1 <= side <= MAX_MODEL_SIDE:
        raise UserError(f"{what} must make pictures of at most {MAX_MODEL_SIDE} x {MAX_MODEL_SIDE} pixels.", "file")
    return header


class OwnModels:
    """Uploaded models by key; the least recently used gives way, and each is forgotten after a time.

    A key holds 64 random bits and is told to its visitor only, so nobody else can use the model.

    Args:
        most: models in memory; 0 takes none.
        lifetime: seconds since the last use.
        clock: what tells the time.
    """

    def __init__(
        self, most: int = MOST_OWN_MODELS, lifetime: float = LIFETIME, clock: Callable[[], float] = time.monotonic
    ):
        self._most, self._lifetime, self._clock = most, lifetime, clock
        self._kept: OrderedDict[str, _Own] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether any are taken."""
        return self._most > 0

    def __len__(self) -> int:
        with self._lock:
            self._forget()
            return len(self._kept)

    def add(self, model: str | Path, teacher: str | Path | None = None) -> str:
        """Load a model, and return its key. Raises UserError; see `load_model`."""
        if not self.open:
            raise UserError(
                "Models of visitors are not taken here: start the app on your own machine for yours.", "upload"
            )
        # from the file's name, without anything that could be markup
        stem = re.sub(r"[^0-9A-Za-z_-]+", "-", Path(model).name.split(".")[0])[:32].strip("-_") or "model"
        loaded = load_model(model, teacher, f"{OWN_PREFIX}{stem}")
        key = f"{OWN_PREFIX}{stem}-{secrets.token_hex(8)}"
        with self._lock:
            self._kept[key] = _Own(*loaded, self._clock())
            self._forget()
        return key

    def find(self, key: str) -> tuple[Workbench, dict, int]:
        """Workbench, card and number of parameters of a key. Raises UserError."""
        with self._lock:
            self._forget()
            if key not in self._kept:
                raise UserError(GONE, "model")
            own = self._kept[key]
            own.used = self._clock()
            self._kept.move_to_end(key)
            return own.bench, own.card, own.parameters

    def drop(self, keys: Sequence[str]) -> None:
        """Forget models; keys that are gone already are no matter."""
        with self._lock:
            for key in keys:
                self._kept.pop(key, None)

    def _forget(self) -> None:
        old = self._clock() - self._lifetime
        while self._kept and (len(self._kept) > self._most or next(iter(self._kept.values())).used < old):
            self._kept.popitem(last=False)


MODEL_SUFFIX = ".hkd.safetensors"


@dataclass(frozen=True)
class ModelInfo:
    """Attributes: name; card (data, recipe, metrics); parameters; side of the pictures; classes."""

    name: str
    card: dict
    parameters: int
    side: int
    classes: tuple[str, ...]


class ModelLibrary:
    """HKD models of one folder: NAME.hkd.safetensors, each with its teacher TEACHER.teacher.safetensors.

    Args:
        folder: where they are; the shipped ones by default.
        default: the model to open on; the first of the list when it is not there.

    Attributes:
        own: models that visitors brought; usable by the key that `own.add` returns, never listed.

    Raises:
        UserError: no model in the folder.
    """

    def __init__(self, folder: str | Path = MODELS_DIR, default: str = DEFAULT_MODEL):
        self.folder = Path(folder)
        self._names = sorted(p.name.removesuffix(MODEL_SUFFIX) for p in self.folder.glob(f"*{MODEL_SUFFIX}"))
        if not self._names:
            raise UserError(
                f"There is no *{MODEL_SUFFIX} model in {self.folder}: give --models a folder that has one.", "folder"
            )
        self.default = default if default in self._names else self._names[0]
        self.own = OwnModels()
        self._benches: dict[str, Workbench] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """All names, the default first."""
        return sorted(self._names, key=lambda n: (n != self.default, n))

    def info(self, name: str) -> ModelInfo:
        """From the file's header alone.

        Raises:
            UserError: unknown name, or a file that cannot be read.
        """
        if self._is_own(name):
            bench, card, parameters = self.own.find(name)
            return ModelInfo(bench.name, card, parameters, bench.model.config.resolution, bench.classes)
        try:
            header = checkpoints.peek(self._path(name))
        except checkpoints.CheckpointError as e:
            raise UserError(str(e), "file") from None
        network = header.config.get("network")
        side = network.get("resolution") if isinstance(network, dict) else None
        side = side if isinstance(side, int) else 0  # a damaged file is refused when it is opened
        return ModelInfo(name, header.card, header.parameters, side, class_names(header.card))

    def get(self, name: str | None = None) -> Workbench:
        """The workbench of a model, loaded at its first use.

        Raises:
            UserError: unknown name, or a file that cannot be used.
        """
        name = self.default if name in (None, "") else name
        if self._is_own(name):
            return self.own.find(name)[0]
        path = self._path(name)
        with self._lock:
            if name not in self._benches:
                try:
                    model = koopman_core.load(path)
                    wanted = f"{model.card.get('teacher', name)}{TEACHER_SUFFIX}"
                    # compared with what is there: a name from a file opens nothing
                    there = next((p for p in self.folder.glob(f"*{TEACHER_SUFFIX}") if p.name == wanted), None)
                    teacher = koopman_core.load_teacher(there) if there else None
                except checkpoints.CheckpointError as e:
                    raise UserError(str(e), "file") from None
                self._benches[name] = Workbench(model, teacher, name, folder=self.folder)
            return self._benches[name]

    def _is_own(self, name: str) -> bool:
        return isinstance(name, str) and name.startswith(OWN_PREFIX) and name not in self._names

    def _path(self, name: str) -> Path:
        if not isinstance(name, str) or name not in self._names:
            raise UserError(f"There is no such model: choose one of {', '.join(self._names)}.", "model")
        return self.folder / f"{name}{MODEL_SUFFIX}"
