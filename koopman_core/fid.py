"""FID while a training runs: pictures of held-out seeds against the cached statistics of the training pictures.

Seeds, classes and rounding are those of `python -m analysis.evaluate hkd --fid N`, so that the two figures are one
where the exported numbers are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from foundation.data.datasets import ImageDataset, open_dataset
from foundation.data.pictures import to_bytes
from foundation.files.locations import DataError
from foundation.files.settings import SettingsError
from foundation.metrics import inception
from foundation.metrics.feature_cache import FEATURES_FOLDER, reference
from foundation.metrics.frechet import Moments, fid
from foundation.randomness import FIRST_SEED, mix_seed, noise
from koopman_core.edm import EDM, SIGMA_MAX, SIGMA_MIN, heun_sample, karras_sigmas
from koopman_core.guidance import Guided
from koopman_core.model import KoopmanDiffusion

FID_STEPS = 18  # of the teacher's grid: 35 calls
SAMPLE_BATCH = {"cpu": 50, "cuda": 500}  # pictures at once
FID_CURE = "Or measure none: training.images_per_fid=0."


class _Stopped(Exception):
    """The run is to stop amid a measurement."""


def _inputs(model: EDM | KoopmanDiffusion, seeds: range) -> tuple[Tensor, Tensor | None]:
    """Standard normal noise (B, C, H, W) of seeds, and with classes the one that each seed draws, evenly."""
    device, classes = next(model.parameters()).device, model.config.classes
    labels = torch.tensor([mix_seed(s, 8) % classes for s in seeds], device=device) if classes else None
    return noise(seeds, model.picture_shape).to(device), labels


@torch.inference_mode()
def teacher_pictures(
    teacher: EDM, seeds: range, steps: int = FID_STEPS, denoise: Guided | None = None, end: float = SIGMA_MIN
) -> Tensor:
    """Heun's samples as bytes (B, 3, H, W) on the CPU, of the teacher as it is or as `denoise` guides it.

    Args:
        teacher: the denoiser, and whose class labels are drawn.
        seeds: one a picture.
        steps: noise levels; n of them cost 2n - 1 calls.
        denoise: what is followed instead of the teacher.
        end: the last noise level, above 0; from there one call goes to the picture.
    """
    eps, labels = _inputs(teacher, seeds)
    follow = teacher if denoise is None else denoise
    x = heun_sample(lambda x, sigma: follow(x, sigma, labels), SIGMA_MAX * eps, karras_sigmas(steps, sigma_min=end)).x
    return to_bytes(x).cpu()


@torch.inference_mode()
def student_pictures(model: KoopmanDiffusion, seeds: range) -> Tensor:
    """Pictures of one call as bytes (B, 3, H, W) on the CPU."""
    return to_bytes(model.one_step(*_inputs(model, seeds))).cpu()


class FidCurve:
    """Measures FID during a training, for `foundation.training.loop.train`.

    Args:
        pictures: seeds -> uint8 (B, 3, H, W) by the weights of the moment.
        data: what the pictures are compared with; its features are generated once, in `folder`.
        count: pictures a measurement, from 2.
        folder: of the cache.

    Raises:
        DataError: no Inception network is at hand, or another file than that.
    """

    def __init__(
        self, pictures: Callable[[range], Tensor], data: ImageDataset, count: int, folder: Path = FEATURES_FOLDER
    ):
        inception.checked_path()  # a missing file is said before the training, not hours later
        self.pictures, self.data, self.count, self.folder = pictures, data, count, folder
        self._network: Callable[[Tensor], Tensor] | None = None

    def __call__(self, stop: Callable[[], bool]) -> dict[str, float] | None:
        """FID, how many pictures and how many of the reference; None when `stop` said so meanwhile."""

        def go_on(*_) -> None:
            if stop():
                raise _Stopped

        device = "cuda" if torch.cuda.is_available() else "cpu"
        if self._network is None:
            self._network = inception.Inception(device=device, batch=256 if device == "cuda" else inception.CPU_BATCH)
        try:
            real = reference(self.data, self._network, folder=self.folder, progress=go_on).moments
            generated = Moments.empty(len(real.total))
            for low in range(0, self.count, SAMPLE_BATCH[device]):
                go_on()
                high = min(low + SAMPLE_BATCH[device], self.count)
                generated.add(self._network(self.pictures(range(FIRST_SEED + low, FIRST_SEED + high))))
        except _Stopped:
            return None
        return {"fid": fid(real, generated), "pictures": generated.count, "reference": real.count}


def fid_curve(pictures: Callable[[range], Tensor], spec: str | None, size: int, count: int) -> FidCurve:
    """A curve against a data set's training pictures.

    Args:
        pictures: as `FidCurve`.
        spec: of `foundation.data.datasets.open_dataset`; None where nobody says what the pictures are.
        size: their side in pixels.
        count: pictures a measurement.

    Raises:
        SettingsError: no such data, or no Inception network; the sentence says the cures.
    """
    if not spec or spec == "folder":  # a card does not say which folder
        raise SettingsError(f"FID needs the training pictures: name them, as input.fid_data=folder:PATH. {FID_CURE}")
    try:
        return FidCurve(pictures, open_dataset(spec, size, "train"), count)
    except DataError as e:
        raise SettingsError(f"{e} {FID_CURE}") from None
