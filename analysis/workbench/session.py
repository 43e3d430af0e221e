"""One loaded HKD model and what is kept of it: encode once, evolve and decode many times."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from analysis.core.cache import ByteLRU
from analysis.core.errors import UserError
from analysis.core.progress import Progress, still_wanted
from analysis.koopman import spectrum
from analysis.koopman.ablations import mean_latents, other_seed
from foundation import noise
from foundation.files.checkpoints import checksum
from foundation.metrics.perceptual import PerceptualDistance, available
from koopman_core.edm import EDM, SIGMA_MAX
from koopman_core.model import KoopmanDiffusion

CACHE_BYTES = 256 * 2**20
_T = TypeVar("_T")


def class_names(card: dict) -> tuple[str, ...]:
    """The classes that a card names; () where it names none or is not of our making."""
    data = card.get("data")
    names = data.get("classes") if isinstance(data, dict) else None
    return tuple(str(name) for name in names) if isinstance(names, (list, tuple)) else ()


class Session:
    """A model, its teacher, a cache of encoded states and results, and the lock that guards all of them.

    One model, many threads: whoever calls the model or the cache holds the lock. Answers that last long hold it for
    single steps only, so that the sliders of other visitors keep answering.

    Args:
        model: the model; moved to eval mode.
        teacher: the EDM teacher whose trajectories it learned, for comparisons.
        name: what to call it.
        cache_bytes: bound of the cache.
        folder: of the model's file, where what is kept beside it is looked for; None for a model without one.

    Attributes:
        entries: the model's spectrum, one entry a level.
        side: pixels a side of its pictures.
        all_levels: numbers of all levels.
        encodes: how many batches were encoded so far (a slider must not raise it).

    Raises:
        UserError: a teacher of pictures of another size.
    """

    def __init__(
        self,
        model: KoopmanDiffusion,
        teacher: EDM | None = None,
        name: str = "model",
        cache_bytes: int = CACHE_BYTES,
        folder: Path | None = None,
    ):
        if teacher is not None and teacher.config.resolution != model.config.resolution:
            raise UserError(
                "This teacher makes pictures of another size than the model: choose its own teacher.", "teacher"
            )
        self.model, self.teacher, self.name = model.eval(), teacher.eval() if teacher else None, name
        self.folder, self.side = folder, model.config.resolution
        self.entries = spectrum.RankedSpectrum(model.spectrum())
        self.encodes = 0
        self.cache = ByteLRU(cache_bytes)
        self.lock = threading.RLock()
        self.all_levels = tuple(range(len(self.entries)))
        self._means: dict[int, list[Tensor]] = {}
        self._begun: dict[int, dict[str, Any]] = {}
        self._perceptual: PerceptualDistance | None = None

    # -----------------------------------------------------------------------------------------------------------------
    # What fits this model

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the class labels, () for an unconditional model."""
        names, n = class_names(self.model.card), self.model.config.classes
        return names if len(names) == n else tuple(f"class {i}" for i in range(n))

    def label(self, label: int, field: str = "label") -> int:
        """A class that this model has, or -1 for none. Raises UserError of that field."""
        n = self.model.config.classes
        if not -1 <= label < n:
            what = f"one of its {n} classes from 0, or -1 for none" if n else "-1, since this model has no classes"
            raise UserError(f"The class must be {what}.", field)
        return label

    def labels(self, label: int, n: int) -> Tensor | None:
        """As the networks take it for `n` pictures."""
        return None if label < 0 else torch.full((n,), label, dtype=torch.int64)

    def levels(self, entries: Sequence[int], field: str = "entries") -> tuple[int, ...]:
        """Levels that this model has; all of them for (). Raises UserError of that field."""
        if entries and max(entries) >= len(self.all_levels):
            raise UserError(f"This model has levels 0 to {self.all_levels[-1]}: choose among them.", field)
        return tuple(entries) or self.all_levels

    def tensor(self, picture: np.ndarray) -> Tensor:
        """uint8 (H, W, 3) of the model's size -> (1, 3, H, W) in [-1, 1]. Raises UserError."""
        channels, height, width = self.model.picture_shape
        if channels != 3:
            raise UserError("This model does not make colour pictures: choose a model that does.", "model")
        if picture.shape != (height, width, 3):
            raise UserError(
                f"This model works on {width} x {height} pixels: bring the picture to that size.", "picture"
            )
        return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))[None] / 127.5 - 1

    # -----------------------------------------------------------------------------------------------------------------
    # What is kept

    @functools.cached_property
    def checksums(self) -> tuple[str, str | None]:
        """Of the model and of its teacher, None without one; see `foundation.files.checkpoints.checksum`."""
        return checksum(self.model), checksum(self.teacher) if self.teacher else None

    def kept(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """A result that lasts long, cached; made outside of the lock."""
        with self.lock:
            value = self.cache.find(key)
        if value is None:
            value = make()
            with self.lock:
                self.cache.put(key, value)
        return value

    def encoded(self, seed: int, label: int) -> list[Tensor]:
        """E(x_T) of one seed."""

        def make() -> list[Tensor]:
            still_wanted()  # of many seeds
            self.encodes += 1
            x = SIGMA_MAX * noise([seed], self.model.picture_shape)
            return self.model.encode(x, SIGMA_MAX, self.labels(label, 1))

        with self.lock:
            return self.cache.get(("encoded", seed, label), make)

    def final_latents(self, seed: int, label: int) -> list[Tensor]:
        """exp((tau(eps) - 1) A) E(x_T) of one seed."""
        with self.lock:
            return self.cache.get(
                ("final", seed, label), lambda: self.model.evolve(self.encoded(seed, label), 1.0, 0.0)
            )

    def stacked(self, seeds: Sequence[int], label: int) -> list[Tensor]:
        """E(x_T) of several seeds, each encoded by itself."""
        return [torch.cat(level) for level in zip(*(self.encoded(s, label) for s in seeds), strict=True)]

    def mean(self, label: int, progress: Progress = None) -> list[Tensor]:
        """Mean of E(x_T) over 1,024 noises of a class, (1, C_l, h_l, w_l) a level; made once, then kept."""
        with self.lock:
            known, begun = self._means.get(label), dict(self._begun.get(label, {}))
        if known is None:
            try:
                known = mean_latents(self.model, label, progress=progress, guard=self.lock, begun=begun)
            except BaseException:  # stopped: the next who asks goes on from here
                with self.lock:
                    self._begun[label] = begun
                raise
            with self.lock:
                self._means[label] = known
                self._begun.pop(label, None)
        return known

    def reference(
        self, ablation: str, seeds: Sequence[int], label: int, tau: float = 1.0, progress: Progress = None
    ) -> list[Tensor] | None:
        """What stands in place of what is left out of these seeds' pictures at tau; see `ablations.ablate`.

        Returns:
            (1, ...) a level for "mean", (len(seeds), ...) for "resample", None for "zero".
        """
        if ablation == "zero":
            return None
        at_noise = (
            self.mean(label, progress) if ablation == "mean" else self.stacked(list(map(other_seed, seeds)), label)
        )
        return self.model.evolve(at_noise, 1.0, tau)

    def lpips(self, x: Tensor, y: Tensor) -> np.ndarray | None:
        """LPIPS (Alex, side 64) where a backbone is at hand, else None."""
        if self._perceptual is None and available("alex"):
            self._perceptual = PerceptualDistance("alex", side=64)
        return None if self._perceptual is None else self._perceptual(x, y).numpy()

    def perceptual(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """`lpips` of tensors, or None without a backbone or for a model without three channels."""
        if not available("alex") or self.model.config.channels != 3:
            return None
        return lambda x, y: torch.from_numpy(self.lpips(x, y))
