"""The Workbench's questions about editing and restoration, a part of `Workbench`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.images import as_pictures
from analysis.koopman import editing, restoration
from analysis.workbench.editing import ColorizeRequest, EditRequest, EditResult, InpaintRequest, RestoreResult
from foundation import noise, shapes
from koopman_core.operator import sigma_of_tau

Progress = Callable[[float, np.ndarray], None]


def _digest(array: np.ndarray | None) -> str:
    return "" if array is None else f"{array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


def _shown(x: Tensor) -> np.ndarray:
    return as_pictures(x, "choose a smaller ratio or another time")


class EditQuestions:
    """Editing, inpainting, colourisation for a class that has what `Workbench` has.

    Uses model, teacher, entries, encodes, _cache, _lock, _label, _labels, _encoded, _final_latents, _lpips.
    """

    def _tensor(self, picture: np.ndarray) -> Tensor:
        """uint8 (H, W, 3) of the model's size -> (1, 3, H, W) in [-1, 1]."""
        channels, height, width = self.model.picture_shape
        if channels != 3:
            raise UserError("This model does not make colour pictures: choose a model that does.")
        if picture.shape != (height, width, 3):
            raise UserError(f"This model works on {width} x {height} pixels: bring the picture to that size.")
        return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))[None] / 127.5 - 1

    # -----------------------------------------------------------------------------------------------------------------
    # Editing

    @torch.inference_mode()
    def edit(self, request: EditRequest, progress: Progress | None = None) -> EditResult:
        """Frequency-aware editing with its control (paper 4.3; docs/method.md, "Editing").

        Ratio, bands and region never encode again; edit time, reference and seed do.

        Args:
            progress: called with (share done, picture) while the `ode` encoding runs; may raise to cancel.
        """
        label, other = self._label(request.label), self._label(request.reference_label, "reference_label")
        with self._lock:
            z = self._final_latents(request.seed, label)
            picture = self._reference_picture(request, other)
            path = self._reference_latents(request, other, picture, progress)
            region = self._region(request)
            aware, everywhere = self._weights(request, region, True), self._weights(request, region, False)
            parts = [
                z,
                editing.mix(z, path, aware, request.ratio),
                editing.mix(z, path, everywhere, request.ratio),
                path,
            ]
            # always four at a time: a picture must not depend on what it is batched with, to the last bit
            batch = [torch.cat(level) for level in zip(*parts, strict=True)]
            decoded = self.model.decode(batch, self._labels(label, 4))
            strip = self._cache.get(
                (
                    "strip",
                    request.seed,
                    label,
                    self._reference_key(request, other),
                    request.region,
                    _digest(request.mask),
                    request.bands,
                    request.edges,
                    request.order,
                ),
                lambda: self._strip(z, path, aware, label),
            )
        shown = _shown(decoded)
        reference = picture.expand(2, -1, -1, -1)
        rows = editing.measure(decoded[1:3], decoded[:1].expand(2, -1, -1, -1), reference, region)
        chosen = sum(float((w > 0).sum()) for w in aware) / sum(w.numel() for w in aware)
        return EditResult(
            *shown[:3],
            reference=_shown(picture)[0],
            encoded=shown[3],
            strip=strip,
            strip_ratios=editing.STRIP_RATIOS,
            sigma=float(sigma_of_tau(request.tau, self.model.koopman.warp)),
            numbers=editing.numbers(rows[0]),
            numbers_control=editing.numbers(rows[1]),
            share=chosen,
        )

    def _strip(self, z, path, weights, label: int) -> np.ndarray:
        steps = [editing.mix(z, path, weights, r) for r in editing.STRIP_RATIOS]
        batch = [torch.cat(level) for level in zip(*steps, strict=True)]
        return _shown(self.model.decode(batch, self._labels(label, len(steps))))

    def _region(self, request: EditRequest) -> Tensor:
        painted = None if request.mask is None else torch.from_numpy(request.mask.astype(np.float32)) / 255
        return editing.region_mask(request.region, *self.model.picture_shape[1:], painted)

    def _weights(self, request: EditRequest, region: Tensor, aware: bool) -> list[Tensor]:
        """G M of every latent, cached: sorting the modes of a large model takes longer than a decode."""
        bands = (request.bands, request.edges, request.order) if aware else ()
        key = ("weights", request.region, _digest(request.mask), *bands)
        return self._cache.get(key, lambda: editing.mode_weights(self.entries, region, *bands))

    def _reference_key(self, request: EditRequest, label: int) -> tuple:
        if request.reference == "picture":
            what = ("picture", _digest(request.picture))
        else:
            what = (request.reference, request.reference_seed)
        when = {"noise": (request.noise_seed, request.tau), "ode": (request.tau,), "latent": ()}[request.encoding]
        return "reference", *what, label, request.encoding, *when

    def _reference_picture(self, request: EditRequest, label: int) -> Tensor:
        """(1, 3, H, W) in [-1, 1]: the upload, the scene, or the model's own picture of the reference seed."""
        if request.reference == "picture":
            return self._tensor(request.picture)
        if request.reference == "scene":
            return self._tensor(shapes.images([request.reference_seed], self.model.picture_shape[1])[0])

        def make() -> Tensor:
            z = self._final_latents(request.reference_seed, label)
            return self.model.decode(z, self._labels(label, 1)).clamp(-1, 1)

        return self._cache.get(("picture", request.reference_seed, label), make)

    def _reference_latents(self, request: EditRequest, label: int, picture: Tensor, progress) -> list[Tensor]:
        """z_r evolved to eps, cached."""
        if request.encoding == "latent":
            return self._final_latents(request.reference_seed, label)
        labels = self._labels(label, 1)

        def make() -> list[Tensor]:
            if request.encoding == "noise":
                eps = noise([request.noise_seed], self.model.picture_shape)
                self.encodes += 1
                return editing.noisy_latents(self.model, picture, request.tau, eps, labels)
            sigma = float(sigma_of_tau(request.tau, self.model.koopman.warp))
            state = editing.ode_states(self.teacher, [request.reference_seed], sigma, labels, report).x
            self.encodes += 1
            return editing.state_latents(self.model, state, request.tau, labels)

        def report(share: float, sigma: float, x: Tensor, denoised: Tensor) -> None:
            if progress is not None:
                progress(share, _shown(denoised)[0])

        if request.encoding == "ode" and self.teacher is None:
            raise UserError("This model has no teacher to take the ODE state from: choose the encoding noise.")
        return self._cache.get(self._reference_key(request, label), make)

    # -----------------------------------------------------------------------------------------------------------------
    # Restoration

    @torch.inference_mode()
    def inpaint(self, request: InpaintRequest, progress: Progress | None = None) -> RestoreResult:
        """Fill a hole by algorithm 4 of Consistency Models, or in one step (docs/method.md, "Restoration").

        Args:
            progress: called with (share done, picture so far) after every step. Raising `restoration.Stop` ends the
                run and keeps the picture; anything else that it raises cancels.
        """
        label, picture = self._label(request.label), self._tensor(request.picture)
        hole = torch.from_numpy(request.mask >= 128)
        given = torch.where(hole, torch.zeros(()), picture)
        if request.method == "latent":
            with self._lock:
                generated = self._final_latents(request.seed, label)
                eps = noise([request.seed], self.model.picture_shape)
                self.encodes += 1
                labels = self._labels(label, 1)
                x = restoration.inpaint_latents(self.model, generated, picture, hole, request.tau, eps, labels)
            sigma = float(sigma_of_tau(request.tau, self.model.koopman.warp))
            done = restoration.Restored(x, (sigma,), (x,), 2, False)  # E(x_T), and E and D of the blend
            self._report(progress, 1)(1, sigma, x)
        else:
            done = restoration.inpaint(
                self._map(label), picture, hole, request.steps, [request.seed], self._report(progress, request.steps)
            )
        return self._restored(done, given, picture if request.truth else None, hole)

    @torch.inference_mode()
    def colorize(self, request: ColorizeRequest, progress: Progress | None = None) -> RestoreResult:
        """Make up colours, luma kept; `progress` as in `inpaint`. Shown pictures are drawn into the gamut."""
        label, picture = self._label(request.label), self._tensor(request.picture)
        report = self._report(progress, request.steps)
        done = restoration.colorize(self._map(label), picture, request.steps, [request.seed], report)
        everywhere = torch.ones(picture.shape[-2:], dtype=torch.bool)
        return self._restored(done, restoration.gray(picture), picture if request.truth else None, everywhere)

    def _map(self, label: int):
        """f(x, sigma), locked for one call only, so that other questions get through between the steps."""

        def f(x: Tensor, sigma: float) -> Tensor:
            with self._lock:
                return self.model(x, sigma, self._labels(label, len(x)))

        return f

    def _report(self, progress: Progress | None, steps: int):
        def report(done: int, sigma: float, x: Tensor) -> None:
            shown = _shown(restoration.into_gamut(x))[0]
            if progress is not None:
                progress(done / steps, shown)

        return report

    def _restored(self, done, given: Tensor, truth: Tensor | None, hole: Tensor) -> RestoreResult:
        frames = restoration.into_gamut(torch.cat(done.frames))
        shown, numbers = _shown(frames), None
        if truth is not None:
            with self._lock:
                lpips = self._lpips(frames[-1:], truth)
            perceptual = None if lpips is None else lambda x, y: lpips
            numbers = restoration.measure_hole(frames[-1:], truth, hole, perceptual)
        return RestoreResult(shown[-1], _shown(given)[0], shown, np.array(done.sigmas), done.nfe, done.stopped, numbers)
