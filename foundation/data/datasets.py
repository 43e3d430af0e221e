"""Picture data sets behind one interface: procedural ones, CIFAR-10, Fashion-MNIST, a folder of one's own.

    data = open_dataset("cifar10:path/to/cifar10")
    x, labels = data.batch(range(64))                    # float32 (64, 3, 32, 32) in [-1, 1], int64 (64,)

Without a path, CIFAR-10 and Fashion-MNIST are looked for below the folder that the environment variable
KOOPMAN_DATA names (cifar10/ and fashion_mnist/), else downloaded once and checked against a published md5.
"""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from foundation.data import readers
from foundation.data.pictures import from_bytes, read_folder
from foundation.files.locations import DataError, provided
from foundation.mistakes import Mistake
from foundation.procedural import portraits, shapes

__all__ = ["DataError", "ImageDataset", "open_dataset"]

DATASET_SPECS = "portraits, shapes, cifar10, cifar10:PATH, fashion, fashion:PATH or folder:PATH"
IMAGE_SPLITS = ("train", "test")
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FASHION_CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
PROCEDURAL_LENGTH = {"train": 10_000_000, "test": 100_000}
PROCEDURAL_START = {"train": 0, "test": 2**40}  # first index; the splits are far apart, so never overlap


class ImageDataset(abc.ABC):
    """Square colour pictures by index.

    Attributes:
        name: what to call it; a folder shows only its last part.
        split: "train" or "test".
        size: side in pixels.
        channels: always 3.
        classes: names of the labels, () where there are none.
        licence: a sentence about the right to use it.
    """

    channels = 3

    def __init__(self, name: str, split: str, size: int, classes: tuple[str, ...], licence: str) -> None:
        self.name, self.split, self.size, self.classes, self.licence = name, split, size, classes, licence

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def _pictures(self, indices: np.ndarray) -> np.ndarray: ...

    @abc.abstractmethod
    def _labels(self, indices: np.ndarray) -> np.ndarray: ...

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Sha256, 64 hex digits, of the pixels and labels; of the recipe where pictures are rendered."""

    @property
    def skipped(self) -> int:
        """How many files could not be used."""
        return 0

    def pictures(self, indices: Sequence[int] | np.ndarray | Tensor) -> np.ndarray:
        """The pictures as bytes.

        Args:
            indices: (B,) integers in [0, len).

        Returns:
            uint8 (B, size, size, 3).

        Raises:
            IndexError: an index is out of range.
            ValueError: not a flat list of integers.
        """
        return self._pictures(self._check(indices))

    def labels(self, indices: Sequence[int] | np.ndarray | Tensor) -> np.ndarray:
        """int64 labels (B,), -1 for "no class"; `indices` as in `pictures`."""
        return self._labels(self._check(indices))

    def batch(self, indices: Sequence[int] | np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
        """The pictures as a network wants them.

        Args:
            indices: (B,) integers in [0, len).

        Returns:
            float32 (B, 3, size, size) = byte / 127.5 - 1, in [-1, 1]; int64 labels (B,), -1 for "no class".

        Raises:
            IndexError: an index is out of range.
            ValueError: not a flat list of integers.
        """
        indices = self._check(indices)
        pixels = torch.from_numpy(np.ascontiguousarray(self._pictures(indices).transpose(0, 3, 1, 2)))
        return from_bytes(pixels), torch.from_numpy(self._labels(indices))

    def _check(self, indices: Sequence[int] | np.ndarray | Tensor) -> np.ndarray:
        indices = np.asarray(indices)
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
            raise Mistake("Indices must be a flat list of integers; pass [index] for one picture.", "indices")
        if indices.size and (indices.min() < 0 or indices.max() >= len(self)):
            raise IndexError(f"An index is out of range; {self.name} {self.split} has {len(self):,} pictures.")
        return indices.astype(np.int64)


class _Procedural(ImageDataset):
    """Rendered on demand by a module of ours: portraits, whose label is the style of the hair, or shapes."""

    def __init__(self, name: str, split: str, size: int) -> None:
        self._module = {"portraits": portraits, "shapes": shapes}[name]
        classes = portraits.HAIR_STYLES if name == "portraits" else ()
        licence = "Procedural pictures made by this code, under the licence of the code."
        super().__init__(name, split, size, classes, licence)

    def __len__(self) -> int:
        return PROCEDURAL_LENGTH[self.split]

    def _pictures(self, indices: np.ndarray) -> np.ndarray:
        return self._module.images(indices + PROCEDURAL_START[self.split], self.size)

    def _labels(self, indices: np.ndarray) -> np.ndarray:
        if not self.classes:
            return np.full(len(indices), -1, np.int64)
        return portraits.factors(indices + PROCEDURAL_START[self.split])["hair"].astype(np.int64)

    def fingerprint(self) -> str:
        recipe = f"{self._module.RECIPE} {self.size} {PROCEDURAL_START[self.split]} {len(self)}"
        return hashlib.sha256(recipe.encode()).hexdigest()


class _Stored(ImageDataset):
    """Bytes in memory, read when first needed and then kept as they were stored.

    Args:
        load: gives pixels uint8 (N, h, h, 3) or (N, h, h), labels int64 (N,) and the count of skipped files.
        pad: black pixels added on each side.
        name, split, size, classes, licence: see `ImageDataset`.
    """

    def __init__(
        self,
        name: str,
        split: str,
        size: int,
        classes: tuple[str, ...],
        licence: str,
        load: Callable[[], tuple[np.ndarray, np.ndarray, int]],
        pad: int = 0,
    ) -> None:
        super().__init__(name, split, size, classes, licence)
        self._load, self._pad = load, pad

    @cached_property
    def _loaded(self) -> tuple[np.ndarray, np.ndarray, int]:
        return self._load()

    def __len__(self) -> int:
        return len(self._loaded[0])

    @property
    def skipped(self) -> int:
        return self._loaded[2]

    def _pictures(self, indices: np.ndarray) -> np.ndarray:
        pixels = self._loaded[0][indices]
        if pixels.ndim == 3:
            pixels = np.repeat(pixels[..., None], 3, axis=3)
        if self._pad:
            pixels = np.pad(pixels, ((0, 0), (self._pad,) * 2, (self._pad,) * 2, (0, 0)))
        if pixels.shape[1] == self.size:
            return pixels
        shape = (self.size, self.size)
        resized = [np.asarray(Image.fromarray(p).resize(shape, Image.Resampling.LANCZOS)) for p in pixels]
        return np.stack(resized) if resized else np.empty((0, *shape, 3), np.uint8)

    def _labels(self, indices: np.ndarray) -> np.ndarray:
        return self._loaded[1][indices]

    @cached_property
    def _digest(self) -> str:
        pixels, labels, _ = self._loaded
        digest = hashlib.sha256(f"{pixels.shape} {self.size} {self._pad} ".encode())
        digest.update(np.ascontiguousarray(pixels).data)
        digest.update(labels.astype("<i8").tobytes())
        return digest.hexdigest()

    def fingerprint(self) -> str:
        return self._digest


def open_dataset(spec: str, size: int = 32, split: str = "train") -> ImageDataset:
    """Open a data set by name.

    A folder that has subfolders train/ and test/ is split so, else both splits are all its pictures. It is
    read at once; CIFAR-10 and Fashion-MNIST at the first use of their pictures.

    Args:
        spec: portraits, shapes, cifar10, cifar10:PATH, fashion, fashion:PATH or folder:PATH.
        size: side of the pictures in pixels, 8 to 1024; stored pictures are resized (LANCZOS).
        split: "train" or "test".

    Returns:
        The data set.

    Raises:
        DataError: unknown name, split or size; files missing, damaged or not to be had.
    """
    name, colon, rest = spec.partition(":")
    if name not in ("portraits", "shapes", "cifar10", "fashion", "folder") or (colon and not rest):
        raise DataError(f"Unknown data set {spec!r}; use {DATASET_SPECS}.", "spec")
    if split not in IMAGE_SPLITS:
        raise DataError(f"Unknown split {split!r}; use 'train' or 'test'.", "split")
    if isinstance(size, bool) or not isinstance(size, int) or not 8 <= size <= 1024:
        raise DataError(f"Pictures cannot have size {size!r}; use a whole number from 8 to 1024.", "size")
    path = Path(rest).expanduser() if rest else None
    if name in ("portraits", "shapes"):
        if path:
            raise DataError(f"The {name} are made on demand and have no path; use {name!r}, not {spec!r}.", "spec")
        return _Procedural(name, split, size)
    if name == "cifar10":
        return _open_cifar(path, size, split)
    if name == "fashion":
        return _open_fashion(path, size, split)
    if path is None:
        raise DataError("Which folder? Use folder:PATH.", "spec")
    return _open_folder(path, size, split)


def _open_cifar(path: Path | None, size: int, split: str) -> ImageDataset:
    path = path or provided(readers.PROVIDED_FOLDERS["cifar10"]) or readers.download_cifar()
    readers.check_cifar(path)
    licence = (
        "CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009) states no "
        "licence; it may be used with a citation of that report."
    )

    def load() -> tuple[np.ndarray, np.ndarray, int]:
        return *readers.read_cifar(path, split), 0

    return _Stored("cifar10", split, size, CIFAR_CLASSES, licence, load)


def _open_fashion(path: Path | None, size: int, split: str) -> ImageDataset:
    path = path or provided(readers.PROVIDED_FOLDERS["fashion"])
    names = readers.fashion_names(split)
    if path:
        readers.check_fashion(path, split)
        files = [path / name for name in names]
    else:
        files = [readers.download_fashion(name) for name in names]
    licence = "Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, 2017; Zalando SE), MIT licence."

    def load() -> tuple[np.ndarray, np.ndarray, int]:
        return *readers.read_fashion(*files), 0

    return _Stored("fashion", split, size, FASHION_CLASSES, licence, load, pad=2)  # 28 + 2 * 2 = 32


def _open_folder(path: Path, size: int, split: str) -> ImageDataset:
    has_splits = all((path / part).is_dir() for part in IMAGE_SPLITS)
    pixels, skipped = read_folder(path / split if has_splits else path, size)
    labels = np.full(len(pixels), -1, np.int64)
    name = f"folder:{path.resolve().name}"  # a full path in a model card would tell about the user's machine
    licence = "Pictures of a folder given by the user; their owner's terms apply."
    return _Stored(name, split, size, (), licence, lambda: (pixels, labels, skipped))
