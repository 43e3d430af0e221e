"""The models on disk, found by name and loaded once; and the models that visitors brought, found by key."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import koopman_core
from analysis.errors import UserError
from analysis.recipes import Recipe, checksum
from analysis.uploads import PREFIX, OwnModels
from analysis.workbench import Workbench, class_names
from foundation import checkpoints
from koopman_core.model import MODELS_DIR

SUFFIX = ".hkd.safetensors"


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

    def __init__(self, folder: str | Path = MODELS_DIR, default: str = "shapes"):
        self.folder = Path(folder)
        self._names = sorted(p.name.removesuffix(SUFFIX) for p in self.folder.glob(f"*{SUFFIX}"))
        if not self._names:
            raise UserError(f"There is no *{SUFFIX} model in {self.folder}: give --models a folder that has one.")
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
            raise UserError(str(e)) from None
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
                    wanted = f"{model.card.get('teacher', name)}.teacher.safetensors"
                    # compared with what is there: a name from a file opens nothing
                    there = next((p for p in self.folder.glob("*.teacher.safetensors") if p.name == wanted), None)
                    teacher = koopman_core.load_teacher(there) if there else None
                except checkpoints.CheckpointError as e:
                    raise UserError(str(e)) from None
                self._benches[name] = Workbench(model, teacher, name)
            return self._benches[name]

    def find(self, recipe: Recipe, also: Sequence[str] = ()) -> str:
        """The model that a recipe was made with: its checksum decides, its name only says where to look first.

        Args:
            recipe: a checked one.
            also: further models that the asker may use.

        Raises:
            UserError: no such weights here, or only without the teacher that the recipe needs.
        """
        alone = False
        for name in sorted(dict.fromkeys([*also, *self.names()]), key=lambda n: n != recipe.model):
            try:
                bench = self.get(name)
            except UserError:  # a damaged file is no reason not to look further
                continue
            if checksum(bench.model) != recipe.checkpoint:
                continue
            if recipe.teacher is None or (bench.teacher is not None and checksum(bench.teacher) == recipe.teacher):
                return name
            alone = True
        if alone:
            raise UserError(
                f"This recipe was made beside a teacher (checksum {recipe.teacher[:12]}) that is not here: put that "
                "teacher's file beside the model."
            )
        raise UserError(
            f"This recipe was made with the model “{recipe.model}” (checksum {recipe.checkpoint[:12]}), whose weights "
            "are not here: add that model first."
        )

    def _is_own(self, name: str) -> bool:
        return isinstance(name, str) and name.startswith(PREFIX) and name not in self._names

    def _path(self, name: str) -> Path:
        if not isinstance(name, str) or name not in self._names:
            raise UserError(f"There is no such model: choose one of {', '.join(self._names)}.")
        return self.folder / f"{name}{SUFFIX}"
