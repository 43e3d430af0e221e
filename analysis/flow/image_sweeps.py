"""Sweeps of flows of images: distance to the exact flow over network calls, pictures over guidance scales."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from analysis.core.errors import UserError
from analysis.core.fields import Request, sorted_set
from analysis.core.progress import Report, tell
from analysis.flow.images import EXACT_NFE, FlowPicturesRequest, ImageFlows, decibels, pair_numbers
from analysis.flow.settings import MAX_NFE, MAX_SETTINGS, MAX_SWEEP_VALUES
from flow_core.guidance import MAX_GUIDANCE
from foundation.metrics.perceptual import available


@dataclass(frozen=True)
class GuidanceSweepRequest(Request):
    """Pictures of several settings, such as intervals, at several guidance scales.

    Attributes:
        settings: 1 to 4 of the same seeds, with a class; their own scale is not read.
        scales: rising, 0 to 20, at most 24.
    """

    # `field()`, because `Request` has a method of this name, which would be the default
    settings: Annotated[  # type: ignore[assignment]
        tuple[FlowPicturesRequest, ...], Field(min_length=1, max_length=MAX_SETTINGS)
    ] = field()
    scales: Annotated[
        tuple[Annotated[float, Field(ge=0, le=MAX_GUIDANCE)], ...],
        Field(min_length=1, max_length=MAX_SWEEP_VALUES, title="The guidance scales"),
        AfterValidator(sorted_set),
    ] = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0)

    def check_together(self) -> None:
        """Raises UserError: settings without a class or of other seeds, or one that is too dear with guidance."""
        if any(s.label < 0 for s in self.settings):
            raise UserError("Guidance leads towards a class: choose one in every setting.", "settings")
        if len({s.seeds for s in self.settings}) > 1:
            raise UserError("All settings of a sweep must share their seeds.", "settings")
        for setting in self.settings:
            for scale in self.scales:
                replace(setting, guidance=scale)


@dataclass(frozen=True)
class PictureSweepRequest(Request):
    """Distance to the exact flow of several settings over NFE.

    Attributes:
        settings: 1 to 4 of the same seeds, at least two of them.
        nfes: rising network calls, 1 to 50, at most 24.
    """

    # `field()`, because `Request` has a method of this name, which would be the default
    settings: Annotated[  # type: ignore[assignment]
        tuple[FlowPicturesRequest, ...], Field(min_length=1, max_length=MAX_SETTINGS)
    ] = field()
    nfes: Annotated[
        tuple[Annotated[int, Field(ge=1, le=MAX_NFE)], ...],
        Field(min_length=1, max_length=MAX_SWEEP_VALUES, title="The numbers of network calls"),
        AfterValidator(sorted_set),
    ] = (1, 2, 3, 4, 5, 7, 10, 15, 20)

    def check_together(self) -> None:
        """Raises UserError: settings of other seeds, or of one."""
        if len({s.seeds for s in self.settings}) > 1 or len(set(self.settings[0].seeds)) < 2:
            raise UserError(
                "All settings of a sweep must share their seeds, and there must be two or more of these.", "settings"
            )

    @staticmethod
    def at(setting: FlowPicturesRequest, nfe: int) -> FlowPicturesRequest | None:
        """A setting with another number of calls; None where that is dearer than one question may be."""
        try:
            return replace(setting, nfe=nfe)
        except UserError:
            return None


@dataclass(frozen=True, eq=False)
class PictureSweepResult:
    """Distance to the exact flow over NFE; NaN where a setting diverged or is too dear. S settings, K numbers of calls.

    Attributes:
        nfes: (K,).
        distance: (S, K, n).
        measure: "LPIPS", or "PSNR" in decibels without a backbone.
    """

    nfes: np.ndarray
    distance: np.ndarray
    measure: str


@dataclass(frozen=True, eq=False)
class GuidanceSweepResult:
    """Pictures over guidance scales. S settings, K scales.

    Attributes:
        scales: (K,).
        pictures: (S, K, n, H, W, 3) uint8, from equal noise.
        distance: (S, K, n) to the same setting's picture from the same noise at scale 1.
        measure: "LPIPS", or "PSNR" in decibels without a backbone.
        nfe: (S, K) network calls, counted.
    """

    scales: np.ndarray
    pictures: np.ndarray
    distance: np.ndarray
    measure: str
    nfe: np.ndarray


def sweep(flows: ImageFlows, request: PictureSweepRequest, report: Report | None = None) -> PictureSweepResult:
    """Distance to the exact flow over NFE.

    Args:
        flows: who answers.
        request: which settings.
        report: called with (share done, what); may raise to cancel.
    """
    for setting in request.settings:  # what cannot be asked is told at once, not as gaps
        flows.net(setting)
    measure = _measure()
    distance = np.full((len(request.settings), len(request.nfes), len(request.settings[0].seeds)), np.nan)
    jobs = [(s, k) for s in range(len(request.settings)) for k in range(len(request.nfes))]
    work = [EXACT_NFE] * len(request.settings) + [request.nfes[k] for _, k in jobs]
    done = 0

    def told(share: float, what: str) -> None:
        tell(report, min(1.0, (sum(work[:done]) + share * work[done]) / sum(work)), what)

    for setting in request.settings:
        flows.exact(setting, told)
        done += 1
    for s, k in jobs:
        asked = request.at(request.settings[s], request.nfes[k])
        told(0, f"setting {s + 1} of {len(request.settings)}, {request.nfes[k]} calls")
        done += 1
        if asked is not None:
            distance[s, k] = _distances(flows, asked, measure)
    return PictureSweepResult(np.array(request.nfes), distance, measure)


def guidance_sweep(
    flows: ImageFlows, request: GuidanceSweepRequest, report: Report | None = None
) -> GuidanceSweepResult:
    """Pictures at every scale, and how far each lies from that at scale 1; arguments as `sweep`."""
    measure, made, distance = _measure(), [], []
    for s, setting in enumerate(request.settings):
        plain = flows.flow_pictures(replace(setting, guidance=1.0)).pictures
        for k, scale in enumerate(request.scales):
            tell(report, (s + k / len(request.scales)) / len(request.settings), f"guidance {scale:g}")
            made.append(flows.flow_pictures(replace(setting, guidance=scale)))
            pairs = pair_numbers(made[-1].pictures, plain)
            distance.append([p.lpips if measure == "LPIPS" else decibels(p) for p in pairs])
    shape = (len(request.settings), len(request.scales))
    pictures = np.stack([r.pictures for r in made])
    return GuidanceSweepResult(
        np.array(request.scales), pictures.reshape(*shape, *pictures.shape[1:]),
        np.array(distance).reshape(*shape, -1), measure, np.array([r.nfe for r in made]).reshape(shape),
    )  # fmt: skip


def _measure() -> str:
    return "LPIPS" if available("alex") else "PSNR"


def _distances(flows: ImageFlows, setting: FlowPicturesRequest, measure: str) -> np.ndarray | float:
    try:
        found = flows.distance(setting)
    except UserError:
        return np.nan
    return found.psnr if measure == "PSNR" or found.lpips is None else found.lpips
