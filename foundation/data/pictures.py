"""Pictures as bytes: a folder of files as square uint8 arrays, and the one rule between floats and bytes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foundation.data.decoding import SUFFIXES, PictureError, read_picture
from foundation.data.readers import MAX_DATASET_BYTES
from foundation.files.locations import DataError
from foundation.mistakes import Mistake


def to_bytes(x: Tensor) -> Tensor:
    """Pictures in [-1, 1] as bytes: floor(127.5 x + 128), that is the nearest level, halves upwards.

    EDM's rule (Karras et al. 2022), which cuts off 127.5 x + 128, and so the FID statistics' of their kind. It undoes
    `from_bytes` for all 256 levels. Rounding halves to even differs from it at every second boundary of levels only.

    Args:
        x: any shape; values outside [-1, 1] are clipped.

    Returns:
        uint8 of the same shape and device: -1 gives 0, 0 gives 128, 1 gives 255.

    Raises:
        ValueError: x holds a NaN, which has no colour.
    """
    if x.isnan().any():
        raise Mistake("The picture holds NaN: use a gentler setting, the numbers behind it have overflowed.", "picture")
    return (x.detach().float() * 127.5 + 128.0).clip(0, 255).to(torch.uint8)


def from_bytes(pixels: Tensor) -> Tensor:
    """Bytes as float32 pictures in [-1, 1] of the same shape: byte / 127.5 - 1."""
    return pixels.float() / 127.5 - 1


def find_pictures(path: Path) -> list[Path]:
    """All PNG, JPEG and WebP files below a folder by their suffix, in sorted order.

    Raises:
        DataError: no folder, or none in it.
    """
    if not path.is_dir():
        raise DataError(f"There is no folder {path}; check the path after 'folder:'.", "path")
    # Links to folders are not followed: a loop of them would never end.
    found = [Path(top, name) for top, _, names in os.walk(path) for name in names]
    found = sorted(p for p in found if p.suffix.lower() in SUFFIXES and p.is_file())
    if not found:
        raise DataError(f"No PNG, JPEG or WebP pictures in {path}; put some there or give another folder.", "path")
    return found


def read_folder(path: Path, size: int) -> tuple[np.ndarray, int]:
    """Every picture of a folder and its subfolders, cropped to the central square and resized.

    Returns:
        Pixels uint8 (N, size, size, 3), and how many files had to be skipped: not a picture, damaged, or more
        than 50 megapixels.

    Raises:
        DataError: no folder, no usable picture, or too many for the memory.
    """
    files = find_pictures(path)
    if len(files) * size**2 * 3 > MAX_DATASET_BYTES:
        raise DataError(f"{len(files):,} pictures of size {size} need over 4 GB; use fewer or a smaller size.", "size")
    pixels = np.empty((len(files), size, size, 3), np.uint8)
    good = 0
    for file in files:
        try:
            pixels[good] = read_picture(file, size)
        except (PictureError, OSError):  # one bad file must not end a run
            continue
        good += 1
    if not good:
        raise DataError(
            f"None of the {len(files):,} picture files in {path} could be read; check some of them.", "pictures"
        )
    return pixels[:good], len(files) - good
