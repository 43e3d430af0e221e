"""Inception features of sets of pictures, kept below runs/fid: what FID and KID are computed from.

One safetensors file a row of features: the sums from which mean and covariance follow (`frechet.Moments`), the first
10,000 features as they are, and a header that says which pictures they are of. Written under another name first, every
few hundred pictures and when a run is stopped, so a file that is there is whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from foundation.data.datasets import ImageDataset
from foundation.files.atomic_write import atomic_write
from foundation.files.locations import DataError
from foundation.metrics import inception
from foundation.metrics.frechet import Moments
from foundation.mistakes import Mistake

FEATURES_FOLDER = Path("runs/fid")
KEPT = 10_000  # features that stay as they are: 82 MB
PICTURES_PER_WRITE = 500  # pictures between two writes
FEATURES_KEY = "koopman_studio_features"
TENSORS = ("total", "outer", "shift", "kept")
ADVICE = "delete it, and it is made again"

CountProgress = Callable[[int, int], None] | None


@dataclass
class Row:
    """Attributes: moments of all features so far; kept = the first of them, float32 (at most 10,000, d)."""

    moments: Moments
    kept: Tensor

    def add(self, features: Tensor) -> None:
        """Take in features (B, d)."""
        self.moments.add(features)
        if len(self.kept) < KEPT:
            self.kept = torch.cat([self.kept, features[: KEPT - len(self.kept)].float()])

    def first(self, count: int) -> Row | None:
        """The row of the first pictures alone, or None where their features are gone."""
        if count == self.moments.count:
            return self
        return Row(Moments.of(self.kept[:count]), self.kept[:count]) if count <= len(self.kept) else None


def place(folder: Path, name: str, key: dict) -> Path:
    """The file of a row: its name, and a digest of what it says of itself."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    plain = re.sub(r"[^\w.+-]", "_", name)[:80]  # a name may come from a card
    return Path(folder) / f"{plain}-{digest[:12]}.safetensors"


def collect(
    path: Path,
    key: dict,
    count: int,
    pictures: Callable[[int, int], Tensor],
    features: Callable[[Tensor], Tensor],
    *,
    batch: int = 50,
    progress: CountProgress = None,
) -> Row:
    """Features of the pictures 0 to count - 1 of a row, those on disk not made again.

    Args:
        path: the row's file, from `place`; made where there is none.
        key: what the pictures are, JSON; the file must say the same.
        count: pictures.
        pictures: (low, high) -> uint8 (high - low, 3, H, W).
        features: bytes -> float32 (B, d), finite.
        batch: pictures made at once.
        progress: called with (done, count); may raise to stop.

    Raises:
        DataError: a file that is damaged or of other pictures, that holds more pictures than are asked for and none of
            their features any more, or a disk that is full.
        ValueError: no picture is asked for.
    """
    row = _read(path, key)
    if row is not None and row.moments.count > count:
        first = row.first(count)
        if first is None:
            raise DataError(
                f"{path.name} holds sums over {row.moments.count:,} pictures, from which those over {count:,} cannot "
                "be taken: ask for as many, or delete it.",
                "count",
            )
        return first
    saved = done = 0 if row is None else row.moments.count
    try:
        while done < count:
            high = min(done + batch, count)
            made = features(pictures(done, high))
            if not bool(torch.isfinite(made).all()):
                raise DataError("The features are not finite: the pictures behind them have overflowed.", "pictures")
            if row is None:
                row = Row(Moments.empty(made.shape[1]), made[:0].float())
            row.add(made)
            done = high
            if done - saved >= PICTURES_PER_WRITE:
                _write(path, key, row)
                saved = done
            if progress is not None:
                progress(done, count)
    finally:
        if row is not None and row.moments.count > saved:
            _write(path, key, row)
    if row is None:
        raise Mistake(f"count must be at least 1, not {count!r}.", "count")
    return row


def _write(path: Path, key: dict, row: Row) -> None:
    tensors = dict(zip(TENSORS, (row.moments.total, row.moments.outer, row.moments.shift, row.kept), strict=True))
    header = json.dumps({"key": key, "count": row.moments.count})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            save_file({k: t.contiguous() for k, t in tensors.items()}, part, metadata={FEATURES_KEY: header})
    except (OSError, SafetensorError) as e:
        raise DataError(f"{path.name} cannot be written ({e}): make room, or give another folder.", "path") from None


def _read(path: Path, key: dict) -> Row | None:
    """The row on disk, None where there is none."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[FEATURES_KEY])
            total, outer, shift, kept = (file.get_tensor(name).clone() for name in TENSORS)
        count, same = int(header["count"]), header["key"] == key
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as e:
        raise DataError(f"{path.name} is damaged ({type(e).__name__}): {ADVICE}.", "file") from None
    if not same:
        raise DataError(f"{path.name} holds the features of other pictures: {ADVICE}.", "key")
    d = len(total)
    if (outer.shape, shift.shape, kept.shape) != ((d, d), (d,), (min(count, KEPT), d)):
        raise DataError(f"{path.name} is damaged (its parts do not fit each other): {ADVICE}.", "file")
    return Row(Moments(total, outer, shift, count), kept)


MOST_PROCEDURAL = 10_000  # pictures of a procedural set, which has no whole; those of a stored one are all taken


def size_of(data: ImageDataset) -> int:
    """How many pictures are the reference when nothing else is said."""
    return min(len(data), MOST_PROCEDURAL) if data.name == "shapes" else len(data)


def reference(
    data: ImageDataset,
    network: Callable[[Tensor], Tensor],
    count: int | None = None,
    *,
    folder: Path = FEATURES_FOLDER,
    progress: CountProgress = None,
) -> Row:
    """Features of a data set's pictures, from the cache as far as they are there.

    Args:
        data: one split of a data set.
        network: `Inception`.
        count: pictures; default: `size_of(data)`.
        folder: of the cache.
        progress: called with (done, count); may raise to stop.

    Raises:
        DataError: more pictures than there are, and what `collect` says.
    """
    count = size_of(data) if count is None else count
    if not 2 <= count <= len(data):
        raise DataError(
            f"The reference from {data.name} must be a whole number from 2 to {len(data):,}, not {count}.", "count"
        )
    if data.name == "shapes":
        order, said = None, "as numbered"
    else:
        order, said = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)), "torch.randperm, seed 0"
    key = {
        "network": inception.SHA256, "data": data.name, "split": data.split, "size": data.size,
        "fingerprint": data.fingerprint(), "order": said,
    }  # fmt: skip

    def pictures(low: int, high: int) -> Tensor:
        indices = range(low, high) if order is None else order[low:high]
        return torch.from_numpy(data.pictures(indices)).permute(0, 3, 1, 2)

    name = f"{data.name.replace(':', '_')}-{data.split}-{data.size}"
    return collect(place(folder, name, key), key, count, pictures, network, batch=64, progress=progress)
