"""Leaving modes out: what stands in their place.

A mode that is set to 0 puts the decoder outside of its data, and what is seen may be that alone (haze). The field's two
other ablations keep it inside: **mean** puts the mode's mean over many noises, of the same class and at the same time,
**resample** the mode of another picture. **zero** is the published option.

The evolution is linear, so it carries a mean over noises to the mean at any other time: references are kept at T and
evolved with the latents, or by `evolve` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from analysis.core.progress import Progress, tell
from foundation.randomness import FIRST_SEED, derived_seed, noise
from koopman_core.edm import SIGMA_MAX
from koopman_core.model import KoopmanDiffusion

ABLATIONS = ("mean", "resample", "zero")
MEAN_NOISES = 1024
MEAN_SEED = FIRST_SEED + 2**30  # of the noises of a mean, none of which is measured or trained on
ABLATION_BATCH = 32
RESAMPLE_KEY = 19  # of the seed of another picture


def ablate(
    z: Sequence[Tensor],
    keep: Sequence[Tensor | None],
    kind: str = "zero",
    reference: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """Latents of which only a share k is kept, k z + (1 - k) r: exactly z where k = 1, exactly r where k = 0.

    Args:
        z: latents at one time, (B, C_l, h_l, w_l) a level.
        keep: k of every mode, one tensor a level, in [0, 1], broadcast against z; None leaves a level alone. Both
            channels of a pair have one value (`spectrum.pair_mask`).
        kind: one of `ABLATIONS`.
        reference: r at the same time, broadcast against z: `mean_latents` or `resampled_latents`, evolved; None for
            zero.

    Raises:
        ValueError: an unknown kind, or a reference that is missing or not asked for.
    """
    if kind not in ABLATIONS:
        raise ValueError(f"An ablation is one of {', '.join(ABLATIONS)}, not {kind!r}.")
    if (reference is None) != (kind == "zero"):
        raise ValueError("Mean and resample ablation take a reference at the latents' time, zero ablation takes none.")
    out = []
    for level, (latent, share) in enumerate(zip(z, keep, strict=True)):
        if share is None:
            out.append(latent)
            continue
        share = share.to(latent)
        kept = latent * share
        out.append(kept if reference is None else kept + reference[level].to(latent) * (1 - share))
    return out


def _label(model: KoopmanDiffusion, label: int, count: int) -> Tensor | None:
    return torch.full((count,), label) if model.config.classes else None


@torch.no_grad()
def mean_latents(
    model: KoopmanDiffusion,
    label: int = -1,
    count: int = MEAN_NOISES,
    *,
    progress: Progress = None,
    guard: AbstractContextManager | None = None,
    begun: dict[str, Any] | None = None,
) -> list[Tensor]:
    """Mean of E(x_T) over noises, of one class; made once a model and class, then kept by the caller.

    Args:
        model: the model.
        label: class of all, -1 for none.
        count: noises.
        progress: called with (share, words); may raise to stop.
        guard: entered for every batch anew, such as the lock of a model that others wait for.
        begun: filled with the sums so far, so that a mean that was stopped goes on where it was; {} at first. The sums
            are always added in the same order: a mean in two parts has the same bits.

    Returns:
        float32 (1, C_l, h_l, w_l) a level, at T.

    Raises:
        ValueError: no noise.
    """
    if count < 1:
        raise ValueError("A mean takes at least one noise.")
    begun = {} if begun is None else begun
    start, total = begun.get("sums", (0, []))
    for low in range(start, count, ABLATION_BATCH):
        n = min(ABLATION_BATCH, count - low)
        x = SIGMA_MAX * noise(range(MEAN_SEED + low, MEAN_SEED + low + n), model.picture_shape)
        with guard or nullcontext():
            z = model.encode(x, SIGMA_MAX, _label(model, label, n))
        sums = [latent.double().sum(0, keepdim=True) for latent in z]
        total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
        begun["sums"] = low + n, total
        tell(progress, (low + n) / count, "mean latents")
    return [(t / count).float() for t in total]


def other_seed(seed: int) -> int:
    """The seed of the picture that stands in for another, a fixed function of it."""
    return derived_seed(seed, RESAMPLE_KEY)


@torch.no_grad()
def resampled_latents(model: KoopmanDiffusion, seeds: Sequence[int], label: int = -1) -> list[Tensor]:
    """E(x_T) of another noise for each seed, a fixed function of it; (len(seeds), C_l, h_l, w_l) a level, at T.

    Args:
        model: the model.
        seeds: of the pictures that are changed.
        label: their class, -1 for none, which the other pictures share.
    """
    others = [other_seed(s) for s in seeds]
    x = SIGMA_MAX * noise(others, model.picture_shape)
    return model.encode(x, SIGMA_MAX, _label(model, label, len(others)))
