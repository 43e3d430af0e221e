"""Finders and readers of the published data sets, CIFAR-10 and Fashion-MNIST.

Each reader returns uint8 pixels and int64 labels, or raises a `DataError` whose sentence tells the cure.
Nothing is unpickled and no archive is unpacked to disk.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from foundation.files.locations import DATA_ENV, DataError, download

MAX_PIXELS = 50_000_000  # of one picture file, read from its header before anything is decoded
MAX_DATASET_BYTES = 4 * 2**30  # of a whole data set in memory
MAX_BATCH_BYTES = 2**28  # of one .bin file; the real ones have 2**24.9
CIFAR_SIDE, CIFAR_RECORD = 32, 1 + 3 * 32 * 32
CIFAR_BINS = {"train": tuple(f"data_batch_{k}.bin" for k in range(1, 6)), "test": ("test_batch.bin",)}
CIFAR_FOLDER = "cifar-10-batches-bin"
FASHION_FILES = {"train": "train", "test": "t10k"}
FASHION_SIDE = 28
PROVIDED_FOLDERS = {"cifar10": "cifar10", "fashion": "fashion_mnist"}  # subfolders of the folder that DATA_ENV names
CIFAR_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}


# -----------------------------------------------------------------------------------------------------------
# Where the files are


def download_cifar() -> Path:
    """The published tar.gz in the cache."""
    return _download("cifar10", CIFAR_URL, CIFAR_MD5)


def download_fashion(file_name: str) -> Path:
    """One of the four published files in the cache."""
    return _download("fashion", FASHION_URL + file_name, FASHION_MD5[file_name])


def _download(name: str, url: str, md5: str) -> Path:
    cure = (
        f"Fetch the data in another way and give its folder, {name}:PATH, or set {DATA_ENV} to the folder that holds "
        f"{PROVIDED_FOLDERS[name]}/."
    )
    return download(name, url, f"md5:{md5}", cure)


# -----------------------------------------------------------------------------------------------------------
# CIFAR-10


def check_cifar(path: Path) -> None:
    """Raise a DataError unless `read_cifar` would find a known layout at this path."""
    _cifar_layout(path)


def read_cifar(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10 in any of three layouts.

    Args:
        path: a folder with labels.npz and lossless WebP sheets ({split}_0.webp, ...: rows of 32x32 tiles); or
            a folder with the binary version (data_batch_1.bin, ..., or cifar-10-batches-bin/ with them); or
            its tar.gz as published.
        split: "train" or "test".

    Returns:
        Pixels uint8 (N, 32, 32, 3) and labels int64 (N,) in 0..9.

    Raises:
        DataError: no such layout, or a file is missing or damaged.
    """
    layout, path = _cifar_layout(path)
    if layout == "sheets":
        return _read_sheets(path, split)
    if layout == "bins":
        parts = []
        for name in CIFAR_BINS[split]:
            with _reading(path / name), open(path / name, "rb") as file:
                parts.append(_cifar_records(file.read(MAX_BATCH_BYTES), path / name))
    else:
        with _reading(path), tarfile.open(path, "r:gz") as archive:
            parts = [_cifar_records(_member(archive, name, path), path) for name in CIFAR_BINS[split]]
    return np.concatenate([p for p, _ in parts]), np.concatenate([n for _, n in parts])


def _cifar_layout(path: Path) -> tuple[str, Path]:
    if path.is_file() and path.name.endswith((".tar.gz", ".tgz")):
        return "tar", path
    if (path / "labels.npz").is_file():
        return "sheets", path
    for folder in (path, path / CIFAR_FOLDER):
        if any((folder / name).is_file() for names in CIFAR_BINS.values() for name in names):
            return "bins", folder
    raise DataError(
        f"No CIFAR-10 found in {path}; give the folder with data_batch_1.bin to test_batch.bin (the binary "
        "version), its .tar.gz, or a folder with labels.npz and WebP sheets.",
        "path",
    )


def _member(archive: tarfile.TarFile, name: str, path: Path) -> bytes:
    try:
        file = archive.extractfile(f"{CIFAR_FOLDER}/{name}")
    except KeyError:
        file = None
    if file is None:
        raise DataError(f"{path} holds no {CIFAR_FOLDER}/{name}; download {CIFAR_URL} again.", "path")
    return file.read(MAX_BATCH_BYTES)


def _cifar_records(blob: bytes, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """One byte of label, then the red, green and blue plane, 1024 bytes each, row by row."""
    if len(blob) % CIFAR_RECORD or not blob:
        raise DataError(f"A batch of {path} is cut short; copy or download the data again.", "length")
    records = np.frombuffer(blob, np.uint8).reshape(-1, CIFAR_RECORD)
    pixels = records[:, 1:].reshape(-1, 3, CIFAR_SIDE, CIFAR_SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), _labels(records[:, 0], path)


def _labels(labels: np.ndarray, path: Path) -> np.ndarray:
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        raise DataError(f"The labels of {path} are not a list of whole numbers; copy the data again.", "labels")
    if labels.min() < 0 or labels.max() > 9:
        raise DataError(f"The labels of {path} go outside 0 to 9; this is not the ten-class data set.", "labels")
    return labels.astype(np.int64)


def _read_sheets(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    with _reading(path / "labels.npz"), np.load(path / "labels.npz", allow_pickle=False) as archive:
        if split not in archive:
            raise DataError(f"{path / 'labels.npz'} has no array {split!r}; it needs 'train' and 'test'.", "split")
        labels = _labels(archive[split], path)
    if len(labels) * (CIFAR_RECORD - 1) > MAX_DATASET_BYTES:
        raise DataError(f"{path} lists {len(labels):,} pictures, more than fit in memory; split the data.", "size")
    pixels = np.empty((len(labels), CIFAR_SIDE, CIFAR_SIDE, 3), np.uint8)
    sheets = {int(m[1]): p for p in path.iterdir() if (m := re.fullmatch(rf"{split}_(\d+)\.webp", p.name))}
    done = 0
    for number in range(len(sheets)):
        if done == len(labels) or number not in sheets:
            break
        tiles = _tiles(sheets[number])[: len(labels) - done]  # the last sheet may have spare tiles
        pixels[done : done + len(tiles)] = tiles
        done += len(tiles)
    if done < len(labels):
        raise DataError(
            f"{path} holds {done:,} {split} pictures for {len(labels):,} labels; add the missing sheets.", "sheets"
        )
    return pixels, labels


def _tiles(path: Path) -> np.ndarray:
    """The 32x32 tiles of a sheet in reading order: (rows * columns, 32, 32, 3)."""
    with _reading(path), Image.open(path, formats=("WEBP",)) as image:
        width, height = image.size
        if width % CIFAR_SIDE or height % CIFAR_SIDE or width * height > MAX_PIXELS:
            raise DataError(
                f"{path} has {width}x{height} pixels; a sheet is made of 32x32 tiles, 50 MP at most.", "shape"
            )
        sheet = np.asarray(image.convert("RGB"))
    grid = sheet.reshape(height // CIFAR_SIDE, CIFAR_SIDE, width // CIFAR_SIDE, CIFAR_SIDE, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(-1, CIFAR_SIDE, CIFAR_SIDE, 3)


# -----------------------------------------------------------------------------------------------------------
# Fashion-MNIST


def fashion_names(split: str) -> tuple[str, str]:
    """File names of the images and of the labels."""
    part = FASHION_FILES[split]
    return f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"


def check_fashion(path: Path, split: str) -> None:
    """Raise a DataError unless both files of the split are in this folder."""
    for name in fashion_names(split):
        if not (path / name).is_file():
            raise DataError(f"{path / name} is missing; give the folder with the four Fashion-MNIST .gz files.", "path")


def read_fashion(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Fashion-MNIST from two gzipped idx files.

    Returns:
        Pixels uint8 (N, 28, 28) and labels int64 (N,) in 0..9.

    Raises:
        DataError: a file is missing, damaged or not an idx file of this shape.
    """
    pixels = _read_idx(images, (FASHION_SIDE, FASHION_SIDE))
    numbers = _labels(_read_idx(labels, ()), labels)
    if len(pixels) != len(numbers):
        raise DataError(
            f"{images} has {len(pixels):,} pictures but {labels} {len(numbers):,} labels; pair them.", "labels"
        )
    return pixels, numbers


def _read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """An idx array: magic 0, 0, 8 (unsigned byte), count of lengths; lengths, big-endian; data."""
    with _reading(path), gzip.open(path, "rb") as file:
        if file.read(4) != bytes((0, 0, 8, 1 + len(shape))):
            raise DataError(f"{path} is not an idx file of this kind; copy or download it again.", "kind")
        count, *lengths = (int.from_bytes(_exactly(file, 4, path), "big") for _ in range(1 + len(shape)))
        item = int(np.prod(shape))
        if tuple(lengths) != shape:
            raise DataError(f"{path} holds pictures of another size than {FASHION_SIDE}x{FASHION_SIDE}.", "shape")
        if count * max(item, FASHION_SIDE**2) > MAX_DATASET_BYTES:
            raise DataError(f"{path} promises {count:,} entries; it is damaged, copy or download it again.", "size")
        data = np.frombuffer(_exactly(file, count * item, path), np.uint8)
        if file.read(1):
            raise DataError(f"{path} is longer than its header says; copy or download it again.", "length")
    return data.reshape(count, *shape)


def _exactly(file: gzip.GzipFile, length: int, path: Path) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise DataError(f"{path} is cut short; copy or download it again.", "length")
    return data


@contextlib.contextmanager
def _reading(path: Path):
    """Turn what reading a damaged or missing file raises into a sentence."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; copy or download the data again.", "path") from error
    except (
        OSError,
        EOFError,
        ValueError,
        SyntaxError,
        zlib.error,
        tarfile.TarError,
        zipfile.BadZipFile,
    ) as error:
        raise DataError(f"{path} cannot be read ({error}); copy or download it again.", "file") from error
