"""Pictures for training: a pool held in memory, batches drawn from it, and sheets of what a model makes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foundation.data.pictures import from_bytes, to_bytes
from foundation.files.atomic_write import atomic_write
from foundation.files.settings import SettingsError


@dataclass(frozen=True)
class DataConfig:
    """Attributes: spec as `datasets.open_dataset` reads it; size; pool = distinct pictures held, 0 = all."""

    spec: str = "shapes"
    size: int = 32
    pool: int = 0


def training_pool(data: DataConfig, folder: Path) -> tuple[np.ndarray, np.ndarray, dict]:
    """Pictures uint8 (N, H, W, 3), labels int64 (N,), and what is to be said of them; kept in `folder` between runs."""
    from foundation.data.datasets import open_dataset

    dataset = open_dataset(data.spec, size=data.size, split="train")
    n = min(data.pool or len(dataset), len(dataset))
    if n > 2_000_000:
        raise SettingsError(
            f"data.pool: {data.spec} has {n:,} pictures; set pool to what fits in memory, e.g. 100_000."
        )
    about = {
        "name": dataset.name, "spec": data.spec.split(":")[0], "pictures": n, "licence": dataset.licence,
        "classes": list(dataset.classes), "fingerprint": dataset.fingerprint(),
    }  # fmt: skip
    key = json.dumps([about, data.size])
    cache, keyfile = folder / "pool.npz", folder / "pool.json"
    if keyfile.exists() and cache.exists() and keyfile.read_text() == key:
        with np.load(cache, allow_pickle=False) as f:
            return f["pictures"], f["labels"], about
    parts = np.array_split(np.arange(n), max(1, n // 5000))
    pictures = np.concatenate([dataset.pictures(part) for part in parts])
    labels = np.concatenate([dataset.labels(part) for part in parts])
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(cache) as part, open(part, "wb") as f:  # every process of a run gets here
        np.savez(f, pictures=pictures, labels=labels)
    with atomic_write(keyfile) as part:  # last: it says that the other is whole
        part.write_text(key)
    return pictures, labels.astype(np.int64), about


def told_labels(labels: np.ndarray, classes: int) -> np.ndarray:
    """Labels of a pool as a network with so many classes is told them: -1, nothing, where it has none.

    Raises:
        SettingsError: the data has more classes than the network.
    """
    if not classes:
        return np.full_like(labels, -1)
    if labels.max() >= classes:
        raise SettingsError(
            f"The data has {labels.max() + 1} classes, but the network {classes}: set network.classes to "
            f"{labels.max() + 1}, or to 0 for a network without classes."
        )
    return labels


def draw_pictures(
    pictures: np.ndarray, labels: np.ndarray, n: int, generator: torch.Generator, *, flip: bool, label_dropout: float
) -> tuple[Tensor, Tensor]:
    """A batch from a pool, drawn with replacement.

    Args:
        pictures: uint8 (N, H, W, 3).
        labels: int64 (N,), -1 = no class.
        n: pictures of the batch.
        generator: of everything random, on the CPU.
        flip: mirror half of them.
        label_dropout: share of the labels that become "no class".

    Returns:
        float32 (n, 3, H, W) in [-1, 1]; int64 labels (n,).
    """
    index = torch.randint(len(pictures), (n,), generator=generator).numpy()
    x = from_bytes(torch.from_numpy(pictures[index]).permute(0, 3, 1, 2))
    if flip:
        mirrored = torch.rand(n, generator=generator) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    y = torch.from_numpy(labels[index])
    dropped = torch.rand(n, generator=generator) < label_dropout
    return x.contiguous(), torch.where(dropped, torch.full_like(y, -1), y)


def save_grid(path: Path, x: torch.Tensor, columns: int = 8, enlarge: int = 3) -> None:
    """x (B, 3, H, W) in [-1, 1] -> one PNG sheet; what is not finite becomes grey, the run goes on."""
    from PIL import Image

    u = to_bytes(x.nan_to_num(0)).permute(0, 2, 3, 1).cpu().numpy()
    u = u.repeat(enlarge, 1).repeat(enlarge, 2)
    u = np.pad(u, ((0, (-len(u)) % columns), (1, 1), (1, 1), (0, 0)), constant_values=255)
    n, h, w, _ = u.shape
    sheet = u.reshape(n // columns, columns, h, w, 3).transpose(0, 2, 1, 3, 4).reshape(n // columns * h, columns * w, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)
