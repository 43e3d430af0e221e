"""The seam between screen and science: one loaded model, one method a question.

Every method takes a frozen request, returns a frozen result (numpy only) and raises `UserError` with a sentence that
tells the cure. The answers are functions of a `Session`, each beside its request and its result.
"""

from __future__ import annotations

from typing import Any

from analysis.core.progress import Progress
from analysis.workbench import directions, editing, effects, images, inversion, probes
from analysis.workbench import spectrum as spectra
from analysis.workbench.session import CACHE_BYTES, Session
from koopman_core.edm import EDM
from koopman_core.model import KoopmanDiffusion


class Workbench:
    """Questions about one HKD model; each is documented where it is answered.

    Args:
        model: the model; moved to eval mode.
        teacher: the EDM teacher whose trajectories it learned, for comparisons.
        name: what to call it.
        cache_bytes: bound of the cache.
    """

    def __init__(
        self, model: KoopmanDiffusion, teacher: EDM | None = None, name: str = "model", cache_bytes: int = CACHE_BYTES
    ):
        self.session = Session(model, teacher, name, cache_bytes)
        self.model, self.teacher, self.name = self.session.model, self.session.teacher, name
        self.entries = self.session.entries

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class labels, () for an unconditional model."""
        return self.session.classes

    @property
    def encodes(self) -> int:
        """How many batches were encoded so far."""
        return self.session.encodes

    def generate(self, request: images.GenerateRequest) -> images.GenerateResult:
        return images.generate(self.session, request)

    def trajectory(self, request: images.TrajectoryRequest, progress: Progress = None) -> images.TrajectoryResult:
        return images.trajectory(self.session, request, progress)

    def spectrum(self) -> spectra.SpectrumResult:
        return spectra.spectrum(self.session)

    def mask_bands(self, request: spectra.MaskRequest) -> spectra.MaskResult:
        return spectra.mask_bands(self.session, request)

    def mode(self, request: spectra.ModeRequest) -> spectra.ModeResult:
        return spectra.mode(self.session, request)

    def surgery(self, request: spectra.SurgeryRequest) -> spectra.SurgeryResult:
        return spectra.surgery(self.session, request)

    def cumulative_effect(self, request: effects.EffectRequest, progress: Progress = None) -> effects.EffectResult:
        return effects.cumulative_effect(self.session, request, progress)

    def linearity(self, request: probes.LinearityRequest, progress: Progress = None) -> probes.LinearityResult:
        return probes.linearity(self.session, request, progress)

    def attribution(self, request: probes.AttributionRequest, progress: Progress = None) -> probes.AttributionResult:
        return probes.attribution(self.session, request, progress)

    def band_labels(self, request: probes.BandLabelsRequest, progress: Progress = None) -> probes.BandLabelsResult:
        return probes.band_labels(self.session, request, progress)

    def invert(self, request: inversion.InvertRequest, progress: Progress = None) -> inversion.InvertResult:
        return inversion.invert(self.session, request, progress)

    def direction(self, request: directions.DirectionRequest, progress: Progress = None) -> directions.DirectionResult:
        return directions.direction(self.session, request, progress)

    def edit(self, request: editing.EditRequest, progress: editing.ImageProgress | None = None) -> editing.EditResult:
        return editing.edit(self.session, request, progress)

    def edit_defaults(self) -> dict[str, Any]:
        return editing.edit_defaults(self.session)

    def inpaint(
        self, request: editing.InpaintRequest, progress: editing.ImageProgress | None = None
    ) -> editing.RestoreResult:
        return editing.inpaint(self.session, request, progress)

    def colorize(
        self, request: editing.ColorizeRequest, progress: editing.ImageProgress | None = None
    ) -> editing.RestoreResult:
        return editing.colorize(self.session, request, progress)
