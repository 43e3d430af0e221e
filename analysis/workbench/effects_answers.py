"""The Workbench's answers about effects, modes, linearity and labels: a mixin.

Kept apart from `analysis.workbench.workbench` to keep both readable; `Workbench` has this among its bases. Each method
takes a frozen request of `analysis.workbench` (`spectrum`, `effects`, `probes`), returns a frozen numpy result and
raises `UserError`. The long ones do not hold the lock while they compute, so that sliders of other sessions keep
answering, and stop when `progress` raises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.images import as_pictures, magnified
from analysis.core.progress import Progress
from analysis.koopman import effects, linearity, modes, probes, spectrum
from analysis.koopman.linearity import exact_dmd, latent_paths
from analysis.metrics import image as metrics
from analysis.workbench.effects import EffectRequest, EffectResult
from analysis.workbench.probes import (
    AttributionRequest,
    AttributionResult,
    BandLabelsRequest,
    BandLabelsResult,
    DMDLevel,
    LinearityRequest,
    LinearityResult,
)
from analysis.workbench.spectrum import ModeRequest, ModeResult, SurgeryRequest, SurgeryResult
from foundation import noise
from foundation.perceptual import available
from koopman_core.edm import karras_sigmas
from koopman_core.operator import sigma_of_tau

DMD_SEEDS, DMD_BYTES = 16, 128 * 2**20


class _Missing(Exception):
    pass


def _part(progress: Progress, start: float, end: float) -> Progress:
    """The share of a part as a share of the whole."""
    return None if progress is None else lambda share, what: progress(start + (end - start) * share, what)


class EffectQuestions:
    """Cumulative effect, mode card, surgery, linearity, attribution and band labels of the loaded model."""

    def _acting(self) -> list:
        return effects.acting(self.model)

    def _kept(self, key: tuple, make: Callable[[], Any]) -> Any:
        """The cached result; made outside of the lock."""

        def missing():
            raise _Missing

        with self._lock:
            try:
                return self._cache.get(key, missing)
            except _Missing:
                pass
        value = make()
        with self._lock:
            return self._cache.get(key, lambda: value)

    def _stacked(self, seeds: tuple[int, ...], label: int) -> list[Tensor]:
        """E(x_T) of several seeds, each encoded by itself and cached."""
        with self._lock:
            return [torch.cat(level) for level in zip(*(self._encoded(s, label) for s in seeds), strict=True)]

    def _level(self, entry: int) -> int:
        if entry >= len(self.entries):
            raise UserError(f"This model has levels 0 to {len(self.entries) - 1}: choose among them.")
        return entry

    @torch.inference_mode()
    def cumulative_effect(self, request: EffectRequest, progress: Progress = None) -> EffectResult:
        """What every band and level adds along the way (inferred; docs/method.md, "Cumulative effect")."""
        label = self._label(request.label)
        return self._kept(("effect", request, label), lambda: self._effect(request, label, progress))

    def _effect(self, request: EffectRequest, label: int, progress: Progress) -> EffectResult:
        z = self._stacked(request.seeds, label)
        entries = self._acting()
        tau = torch.linspace(1, 0, request.times, dtype=torch.float64)
        found = effects.cumulative_effect(z, entries, tau, request.edges, request.kind, request.order)
        several = len(request.seeds) > 1
        decoded = {}
        if request.decoded_times:
            n = request.decoded_times
            times = torch.linspace(1, 0, n, dtype=torch.float64) if n > 1 else torch.zeros(1, dtype=torch.float64)
            pictures = effects.decoded_effect(
                self.model, z, times, request.edges, request.order,
                labels=self._labels(label, len(request.seeds)), progress=progress,
            )  # fmt: skip
            if not bool(torch.isfinite(pictures.bands).all() and torch.isfinite(pictures.levels).all()):
                raise UserError("This model's pictures are not finite when a part is left out: train it longer.")
            decoded = {
                "decoded_tau": times.numpy(),
                "decoded_bands": pictures.bands.mean(0).numpy(),
                "decoded_levels": pictures.levels.mean(0).numpy(),
            }
        return EffectResult(
            kind=request.kind,
            tau=tau.numpy(),
            sigma=sigma_of_tau(tau, self.model.koopman.warp).numpy(),
            names=tuple(e.name for e in entries),
            bands=found.bands.mean(0).numpy(),
            bands_sd=found.bands.std(0).numpy() if several else np.full(found.bands.shape[1:], np.nan),
            levels=found.levels.mean(0).numpy(),
            joint=found.share.mean(0).numpy(),
            moves=any(bool(e.alpha.any() or e.beta.any()) for e in entries) and bool(found.total.any()),
            **decoded,
        )

    @torch.inference_mode()
    def mode(self, request: ModeRequest) -> ModeResult:
        """What a mode, or a group of modes of one level, is and does (inferred; see `analysis.koopman.modes`)."""
        label = self._label(request.label)
        entry = self._level(request.entry)
        entries = self._acting()
        facts = modes.mode_facts(entries[entry], request.modes)
        with self._lock:
            start = self._encoded(request.seed, label)
            z = self.model.evolve(start, 1.0, request.tau)
            full, without = modes.contribution(self.model, z, entry, request.modes, self._labels(label, 2))
        energy = modes.mode_energy(start, entries, entry, request.modes, torch.linspace(1, 0, request.times))
        both = as_pictures(torch.stack([full, without]), "choose fewer modes or another seed")
        picture, magnification = magnified(full - without)
        return ModeResult(
            entry=entry,
            name=entries[entry].name,
            **{f.name: getattr(facts, f.name).numpy() for f in fields(facts)},
            tau=energy.tau.numpy(),
            energy=energy.energy.numpy(),
            share=energy.share.numpy(),
            full=both[0],
            without=both[1],
            contribution=picture,
            magnification=magnification,
            mse=float(metrics.mse(full[None], without[None])[0]),
        )

    @torch.inference_mode()
    def surgery(self, request: SurgeryRequest) -> SurgeryResult:
        """The picture with other eigenvalues (inferred; see `modes.operate` for the bound)."""
        label = self._label(request.label)
        for entry in request.entries:
            self._level(entry)
        entries = self._acting()
        plan = modes.Surgery(
            request.edges, request.alpha_scale, request.alpha_shift, request.beta_scale, request.beta_shift,
            request.entries, request.order,
        )  # fmt: skip
        after, held = modes.operate(entries, plan)
        y = self._labels(label, 1)
        with self._lock:
            start = self._encoded(request.seed, label)
            full = self.model.decode(self.model.evolve(start, 1.0, request.tau), y)
            altered = modes.decode_with(self.model, start, after, request.tau, y)
        picture, magnification = magnified((altered - full)[0])
        touched = request.entries or range(len(entries))
        counts = sum(
            torch.tensor([int(m.sum()) for m in spectrum.band_masks(entries[i].alpha, request.edges, request.order)])
            for i in touched
        )
        exponent = max(float((-e.alpha).max()) for e in after) * (1 - request.tau)
        both = as_pictures(torch.cat([full, altered]))
        return SurgeryResult(
            full=both[0],
            altered=both[1],
            difference=picture,
            magnification=magnification,
            mse=float(metrics.mse(full, altered)[0]),
            modes=counts.numpy(),
            held=held,
            growth=float(np.exp(max(exponent, 0.0))),
        )

    @torch.inference_mode()
    def linearity(self, request: LinearityRequest, progress: Progress = None) -> LinearityResult:
        """How linear is the learned space along the teacher's trajectories? (inferred; `koopman.linearity`)."""
        label = self._label(request.label)
        if self.teacher is None:
            raise UserError("The linearity check follows the teacher's trajectories: load the model's teacher first.")
        return self._kept(("linearity", request, label), lambda: self._linearity(request, label, progress))

    def _linearity(self, request: LinearityRequest, label: int, progress: Progress) -> LinearityResult:
        sigmas = karras_sigmas(request.steps)
        labels = self._labels(label, len(request.seeds))
        noises = noise(request.seeds, self.model.picture_shape)
        states = linearity.teacher_states(self.teacher, noises, sigmas, labels, _part(progress, 0.0, 0.4))
        found = linearity.measure_linearity(
            self.model, states, sigmas, labels, decoded=request.decoded,
            perceptual=self._distance() if request.decoded else None, progress=_part(progress, 0.4, 0.9),
        )  # fmt: skip

        def arrays(values: dict[str, Tensor] | None) -> dict[str, np.ndarray] | None:
            return None if values is None else {k: v.numpy() for k, v in values.items()}

        return LinearityResult(
            names=found.names,
            tau=found.tau.numpy(),
            sigma=sigmas.numpy(),
            **arrays(found.errors),
            differences=arrays(found.differences),
            common=None if found.common is None else found.common.numpy(),
            spread=found.spread.numpy(),
            fitted_alpha=tuple(e.alpha.numpy() for e in found.fitted),
            fitted_beta=tuple(e.beta.numpy() for e in found.fitted),
            mse=arrays(found.mse),
            lpips=arrays(found.lpips),
            dmd=self._dmd(request.dmd_rank, states, sigmas, found.tau, labels, _part(progress, 0.9, 1.0)),
        )

    def _dmd(self, rank, states, sigmas, tau, labels, progress: Progress) -> tuple[DMDLevel, ...] | None:
        """Exact DMD of every level; None where it is not asked for or the Karras grid is not uniform in tau."""
        if rank == 0 or self.model.koopman.warp != "karras":
            return None
        # paths in float32, and the decomposition works in float64 on the largest of them
        one = len(sigmas) * sum(4 * int(np.prod(e.shape)) for e in self.entries)
        few = slice(0, max(1, min(DMD_SEEDS, DMD_BYTES // one)))
        paths = latent_paths(
            self.model, states[few], sigmas, None if labels is None else labels[few], _part(progress, 0.0, 0.5)
        )
        out = []
        for i, path in enumerate(paths):
            d = exact_dmd(path, tau, rank)
            rates = d.eigenvalues.numpy()
            out.append(DMDLevel(rates.real.copy(), rates.imag.copy(), d.amplitude.numpy(), d.captured, d.residual))
            if progress is not None:
                progress(0.5 + 0.5 * (i + 1) / len(paths), "DMD")
        return tuple(out)

    def _distance(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """LPIPS as the Workbench measures it, or None without a backbone."""
        if not available("alex") or self.model.config.channels != 3:
            return None
        return lambda x, y: torch.from_numpy(self._lpips(x, y))

    @torch.inference_mode()
    def attribution(self, request: AttributionRequest, progress: Progress = None) -> AttributionResult:
        """Which level and band sees which factor of the procedural scenes (inferred; see `analysis.koopman.probes`).

        It says something about models that know such scenes; others are measured as well.
        """
        if self.model.config.channels != 3:
            raise UserError("The procedural scenes have three colour channels: choose a model of colour pictures.")
        return self._kept(("attribution", request), lambda: self._attribution(request, progress))

    def _attribution(self, request: AttributionRequest, progress: Progress) -> AttributionResult:
        entries = self._acting()
        found = probes.attribution(
            self.model.encode, entries, float(self.model.tau(request.sigma)), sigma=request.sigma,
            side=self.model.config.resolution, pairs=request.pairs, edges=request.edges, order=request.order,
            rows=request.rows, carried=request.carried, seed=request.seed, draws=request.draws, progress=progress,
        )  # fmt: skip
        tables = {f.name: getattr(found, f.name).numpy() for f in fields(found) if f.name != "rows"}
        return AttributionResult(rows=found.rows, names=tuple(e.name for e in entries), **tables)

    @torch.inference_mode()
    def band_labels(self, request: BandLabelsRequest, progress: Progress = None) -> BandLabelsResult:
        """How coarse or fine is what each band adds to the picture? (docs/method.md, "Band labels")."""
        label = self._label(request.label)
        return self._kept(("band labels", request, label), lambda: self._band_labels(request, label, progress))

    def _band_labels(self, request: BandLabelsRequest, label: int, progress: Progress) -> BandLabelsResult:
        def latents(i: int) -> list[Tensor]:
            with self._lock:
                return self._final_latents(request.seeds[i], label)

        found = probes.band_frequencies(
            self.model, self._acting(), latents, len(request.seeds), request.edges, request.order,
            labels=self._labels(label, len(request.edges) + 2), draws=request.draws, progress=progress,
        )  # fmt: skip
        values = {f.name: getattr(found, f.name) for f in fields(found)}
        return BandLabelsResult(**{k: v.numpy() if isinstance(v, Tensor) else v for k, v in values.items()})
