"""The seam between screen and science: one loaded model, an LRU of encoded states, one method a question.

Every method takes a frozen request, returns a frozen result (numpy only) and raises `UserError` with a sentence that
tells the cure. Encode once, evolve and decode many times.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from analysis.core.cache import ByteLRU
from analysis.core.errors import UserError
from analysis.core.images import as_pictures, magnified
from analysis.koopman import spectrum
from analysis.metrics import image as metrics
from analysis.workbench.editing_answers import EditQuestions
from analysis.workbench.effects_answers import EffectQuestions
from analysis.workbench.images import GenerateRequest, GenerateResult, TrajectoryRequest, TrajectoryResult
from analysis.workbench.spectrum import MaskRequest, MaskResult, SpectrumEntryResult, SpectrumResult
from foundation import noise
from foundation.counting import CountedCalls
from foundation.perceptual import PerceptualDistance, available
from koopman_core.edm import EDM, SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.model import KoopmanDiffusion

CACHE_BYTES = 256 * 2**20


def class_names(card: dict) -> tuple[str, ...]:
    """The classes that a card names; () where it names none or is not of our making."""
    data = card.get("data")
    names = data.get("classes") if isinstance(data, dict) else None
    return tuple(str(name) for name in names) if isinstance(names, (list, tuple)) else ()


class Workbench(EffectQuestions, EditQuestions):
    """Questions about one HKD model.

    Args:
        model: the model; moved to eval mode.
        teacher: the EDM teacher whose trajectories it learned, for comparisons.
        name: what to call it.
        cache_bytes: bound of the cache.

    Attributes:
        encodes: how many batches were encoded so far (a slider must not raise it).
    """

    def __init__(
        self, model: KoopmanDiffusion, teacher: EDM | None = None, name: str = "model", cache_bytes=CACHE_BYTES
    ):
        self.model, self.teacher, self.name = model.eval(), teacher.eval() if teacher else None, name
        if teacher is not None and teacher.config.resolution != model.config.resolution:
            raise UserError("This teacher makes pictures of another size than the model: choose its own teacher.")
        self.entries = model.spectrum()
        self.encodes = 0
        self._cache = ByteLRU(cache_bytes)
        self._lock = threading.RLock()  # one model, many threads: queue=False events and page loads meet here
        self._perceptual: PerceptualDistance | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class labels, () for an unconditional model."""
        names, n = class_names(self.model.card), self.model.config.classes
        return names if len(names) == n else tuple(f"class {i}" for i in range(n))

    def _label(self, label: int, field: str = "label") -> int:
        n = self.model.config.classes
        if not -1 <= label < n:
            what = (
                f"one of its {n} classes, 0 to {n - 1}, or -1 for none" if n else "-1, since this model has no classes"
            )
            raise UserError(f"The class must be {what}.", field)
        return label

    def _labels(self, label: int, n: int) -> Tensor | None:
        return None if label < 0 else torch.full((n,), label, dtype=torch.int64)

    def _encoded(self, seed: int, label: int) -> list[Tensor]:
        """E(x_T) of one seed, cached."""

        def make() -> list[Tensor]:
            self.encodes += 1
            x = SIGMA_MAX * noise([seed], self.model.picture_shape)
            return self.model.encode(x, SIGMA_MAX, self._labels(label, 1))

        return self._cache.get(("encoded", seed, label), make)

    @torch.inference_mode()
    def generate(self, request: GenerateRequest) -> GenerateResult:
        """Pictures in one network call each (paper, algorithm 2)."""
        label = self._label(request.label)
        with self._lock:
            start = time.perf_counter()
            f = CountedCalls(self.model.one_step)
            # one at a time: a picture must not depend on what it is batched with, to the last bit
            out = [f(noise([s], self.model.picture_shape), self._labels(label, 1)) for s in request.seeds]
            return GenerateResult(as_pictures(torch.cat(out)), f.calls // len(out), time.perf_counter() - start)

    @torch.inference_mode()
    def trajectory(
        self, request: TrajectoryRequest, progress: Callable[[float, str], None] | None = None
    ) -> TrajectoryResult:
        """The Koopman path from T to eps beside the teacher's own trajectory from the same noise.

        Args:
            progress: called with (share done, what); may raise to cancel.
        """
        label = self._label(request.label)
        key = ("trajectory", request.seed, label, request.steps)
        with self._lock:
            return self._cache.get(key, lambda: self._trajectory(request, label, progress))

    def _trajectory(self, request: TrajectoryRequest, label: int, progress) -> TrajectoryResult:
        n = request.steps
        sigmas = karras_sigmas(n)
        tau = self.model.tau(sigmas)
        z = [latent.expand(n, -1, -1, -1) for latent in self._encoded(request.seed, label)]
        path = self.model.decode(self.model.evolve(z, torch.ones(n), tau), self._labels(label, n))
        common = {"sigma": sigmas.numpy(), "tau": tau.numpy(), "koopman": as_pictures(path), "nfe_model": 1}
        if self.teacher is None:
            none = dict.fromkeys(("denoised", "state", "final", "mse", "lpips"))
            return TrajectoryResult(**common, **none, nfe_teacher=0)
        states, denoised = [], []

        def keep(i: int, sigma: float, x: Tensor, x0: Tensor) -> None:
            states.append(x / (1 + sigma**2) ** 0.5)
            denoised.append(x0)
            if progress is not None:
                progress((i + 1) / n, "teacher's trajectory")

        labels = self._labels(label, 1)
        x = SIGMA_MAX * noise([request.seed], self.model.picture_shape)
        final = heun_sample(lambda x, s: self.teacher(x, s, labels), x, sigmas, keep)
        x0 = torch.cat(denoised)
        return TrajectoryResult(
            **common,
            denoised=as_pictures(x0),
            state=as_pictures(torch.cat(states)),
            final=as_pictures(final.x)[0],
            mse=metrics.mse(path, x0).numpy(),
            lpips=self._lpips(path, x0),
            nfe_teacher=final.nfe,
        )

    def _lpips(self, x: Tensor, y: Tensor) -> np.ndarray | None:
        """LPIPS (Alex, side 64) where a backbone is at hand, else None."""
        if self._perceptual is None and available("alex"):
            self._perceptual = PerceptualDistance("alex", side=64)
        return None if self._perceptual is None else self._perceptual(x, y).numpy()

    def spectrum(self) -> SpectrumResult:
        """The eigenvalues alpha +- i beta of every latent."""
        entries = tuple(
            SpectrumEntryResult(
                i, e.name, e.shape, e.alpha.numpy(), e.beta.numpy(), spectrum.ranks(e.alpha).numpy().astype(np.int32)
            )
            for i, e in enumerate(self.entries)
        )
        return SpectrumResult(entries, self.model.koopman.warp)

    @torch.inference_mode()
    def mask_bands(self, request: MaskRequest) -> MaskResult:
        """Weigh bands of modes and decode: x_B = D({P_B exp((tau(eps) - 1) A) E(x_T)}) (docs/method.md, "Bands")."""
        label = self._label(request.label)
        if request.entries and request.entries[-1] >= len(self.entries):
            raise UserError(f"This model has levels 0 to {len(self.entries) - 1}: choose among them.")
        touched = request.entries or tuple(range(len(self.entries)))
        with self._lock:
            z = self._final_latents(request.seed, label)
            masked = spectrum.weigh_bands(z, self.entries, request.edges, request.gains, request.order, touched)
            both = [torch.cat([a, b]) for a, b in zip(z, masked, strict=True)]
            full, out = self.model.decode(both, self._labels(label, 2)).split(1)
            energy = torch.zeros(len(request.gains), dtype=torch.float64)
            modes = torch.zeros(len(request.gains), dtype=torch.int64)
            for i in touched:
                bands = spectrum.band_masks(self.entries[i].alpha, request.edges, request.order)
                for b, band in enumerate(bands):
                    energy[b] += (z[i] * spectrum.pair_mask(band)).double().square().sum()
                    modes[b] += band.sum()
        difference, magnification = magnified((full - out)[0])
        return MaskResult(
            full=as_pictures(full)[0],
            masked=as_pictures(out)[0],
            difference=difference,
            magnification=magnification,
            share=(energy / energy.sum().clamp_min(1e-30)).numpy(),
            modes=modes.numpy(),
            mse=float(metrics.mse(full, out)[0]),
        )

    def _final_latents(self, seed: int, label: int) -> list[Tensor]:
        """exp((tau(eps) - 1) A) E(x_T) of one seed, cached."""
        return self._cache.get(("final", seed, label), lambda: self.model.evolve(self._encoded(seed, label), 1.0, 0.0))
