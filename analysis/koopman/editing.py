"""Frequency-aware editing: bands of modes of a reference are mixed into the Koopman path of a picture.

At the edit time tau_m, with z the latents of the original and z_r those of the reference,

    z' = z + r G^(l) M^(l) (z_r - z),    x' = D(exp((tau(eps) - tau_m) A) z')

(paper 4.3 shows it in figures only; the formula is inferred; docs/method.md, "Editing"). G is a region of the picture
brought to each latent's size, M a set of bands, r the mixing ratio. The frequency-agnostic control has M = 1.

G and M are diagonal in the modes and so commute with the evolution: mixing at tau_m and evolving to eps is mixing what
both have become at eps. Latents can therefore be evolved once and mixed for every move of a slider, and the edit time
enters through the reference's encoding alone: `noise` (reference + sigma_m noise), `ode` (the teacher's state at
sigma_m) and `inversion` (the ODE run back from the reference picture to sigma_m) depend on it, `latent` (the reference
seed's own Koopman path) does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from analysis.koopman.inversion import invert_teacher
from analysis.koopman.spectrum import level_masks, pair_mask
from foundation import noise
from foundation.mistakes import Mistake
from koopman_core.edm import EDM, SIGMA_MAX, SampleResult, heun_sample, karras_sigmas
from koopman_core.model import KoopmanDiffusion, SpectrumEntry
from koopman_core.operator import sigma_of_tau, tau_of_sigma

REGIONS = ("whole", "lower-half", "lower-left-triangle", "lower-left-quadrant", "painted")
ENCODINGS = ("noise", "ode", "latent", "inversion")
STRIP_RATIOS = (0.1, 0.2, 0.5, 0.8, 0.9)  # of the paper's figures
BLUR = 2.0  # pixels: what a Gaussian of this width keeps is "low-pass", the rest "high-pass"
MEASURES = ("outside", "high_correlation", "low_distance")
SAMPLER_STEPS = 18


def region_mask(name: str, height: int, width: int, painted: Tensor | None = None) -> Tensor:
    """G at the picture's size: float32 (height, width) in [0, 1], 1 where the reference may come in.

    The triangle is the paper's "lower-left half" as we read it, i / (h - 1) >= j / (w - 1) (inferred).

    Args:
        name: one of `REGIONS`.
        height, width: size in pixels.
        painted: (h', w') in [0, 1], for "painted" only; brought to the size by area averages.

    Raises:
        ValueError: unknown name, or "painted" without a painting.
    """
    i, j = torch.arange(height)[:, None], torch.arange(width)[None, :]
    if name == "whole":
        return torch.ones(height, width)
    if name == "lower-half":
        return (2 * i >= height).float().expand(height, width).contiguous()
    if name == "lower-left-triangle":
        return (i * (width - 1) >= j * (height - 1)).float()
    if name == "lower-left-quadrant":
        return ((2 * i >= height) & (2 * j < width)).float()
    if name == "painted" and painted is not None:
        return resize_region(painted.float().clamp(0, 1), (height, width))
    raise Mistake(
        f"The region must be one of {', '.join(REGIONS)}, the last with a painted mask; not {name!r}.", "region"
    )


def feathered(region: Tensor, width: float) -> Tensor:
    """A region with soft edges: a Gaussian of `width` pixels over it, renormalised at the border; 0 leaves it."""
    return region if width == 0 else low_pass(region[None, None], width)[0, 0].float().clamp(0, 1)


def resize_region(region: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask (H, W) at another size by area averages, so that a coarse cell takes part as far as it is covered."""
    return F.adaptive_avg_pool2d(region[None], size)[0]


def mode_weights(
    entries: Sequence[SpectrumEntry],
    region: Tensor,
    bands: Sequence[int] | None = None,
    edges: Sequence[float] = (),
    order: str = "alpha",
    levels: Sequence[int] = (),
) -> list[Tensor]:
    """G^(l) M^(l) of every latent, float32 (C_l, h_l, w_l) in [0, 1].

    Args:
        entries: the model's spectrum.
        region: G at the picture's size.
        bands: which bands of `spectrum.band_masks(alpha, edges, order)` take part; None for all modes.
        edges, order: of the bands.
        levels: which levels take part; () for all.

    Raises:
        ValueError: a band that the edges do not make.
    """
    if bands is not None and not set(bands) <= set(range(len(edges) + 1)):
        raise Mistake(f"{len(edges)} edges make the bands 0 to {len(edges)}: choose among them.", "bands")
    out = []
    for level, e in enumerate(entries):
        chosen = torch.full(e.alpha.shape, float(not levels or level in levels))
        if bands is not None and (not levels or level in levels):
            masks = level_masks(entries, level, edges, order)
            chosen = torch.stack([masks[b] for b in sorted(set(bands))]).any(0).float() if bands else 0 * chosen
        out.append(pair_mask(chosen) * resize_region(region, e.shape[1:]))
    return out


def mix(z: Sequence[Tensor], reference: Sequence[Tensor], weights: Sequence[Tensor], ratio: float) -> list[Tensor]:
    """z + r G M (z_r - z), exact at both ends: weight 0 gives z and weight 1 gives z_r to the last bit.

    Args:
        z, reference: latents (B, C_l, h_l, w_l), both at the same Koopman time.
        weights: `mode_weights`.
        ratio: r in [0, 1].

    Raises:
        ValueError: a ratio outside [0, 1].
    """
    if not 0 <= ratio <= 1:
        raise Mistake("The mixing ratio must lie between 0 and 1.", "ratio")
    return [torch.lerp(a, b, (ratio * w).to(a)) for a, b, w in zip(z, reference, weights, strict=True)]


def noisy_latents(model: KoopmanDiffusion, picture: Tensor, tau: float, eps: Tensor, labels=None) -> list[Tensor]:
    """z_r by `noise`: E(picture + sigma_m eps) at the edit time tau, evolved to eps.

    Args:
        picture: (B, C, H, W) in [-1, 1].
        eps: standard normal, of the picture's shape.
    """
    sigma = float(sigma_of_tau(tau, model.koopman.warp))
    return model.evolve(model.encode(picture + sigma * eps, sigma, labels), tau, 0.0)


def ode_states(
    teacher: EDM, seeds: Sequence[int], sigma: float, labels: Tensor | None = None, callback: Callable | None = None
) -> SampleResult:
    """The teacher's ODE states of these seeds at one noise level, by Heun's method.

    The grid from T to sigma is at least as fine as the 18-step grid of the whole way.

    Args:
        seeds: one a sample.
        sigma: level in [sigma_min, sigma_max].
        callback: as in `heun_sample`.
    """
    span = 1 - float(tau_of_sigma(sigma))
    grid = karras_sigmas(max(2, 1 + math.ceil((SAMPLER_STEPS - 1) * span - 1e-6)), sigma_min=sigma)
    state: list[Tensor] = []

    def keep(i: int, level: float, x: Tensor, denoised: Tensor) -> None:
        state[:] = [x]
        if callback is not None:
            callback(i / (len(grid) - 1), level, x, denoised)

    x = SIGMA_MAX * noise(seeds, (teacher.config.channels, teacher.config.resolution, teacher.config.resolution))
    done = heun_sample(lambda x, s: teacher(x, s, labels), x, grid, keep)
    return SampleResult(state[0], done.nfe)


def inverted_states(
    teacher: EDM, picture: Tensor, sigma: float, labels: Tensor | None = None, callback: Callable | None = None
) -> SampleResult:
    """The teacher's ODE run back from pictures to one noise level, on a grid as fine as that of `ode_states`.

    Args:
        picture: (B, C, H, W) in [-1, 1].
        sigma: level in (sigma_min, sigma_max].
        callback: as in `inversion.invert_ode`.
    """
    steps = max(2, 1 + math.ceil((SAMPLER_STEPS - 1) * float(tau_of_sigma(sigma)) - 1e-6))
    return invert_teacher(teacher, picture, steps, labels, callback, sigma)


def state_latents(model: KoopmanDiffusion, state: Tensor, tau: float, labels=None) -> list[Tensor]:
    """z_r by `ode` and `inversion`: E(state) at the edit time tau, evolved to eps; state is the ODE's at sigma(tau)."""
    return model.evolve(model.encode(state, float(sigma_of_tau(tau, model.koopman.warp)), labels), tau, 0.0)


# ---------------------------------------------------------------------------------------------------------------------
# What an edit did


@dataclass(frozen=True)
class EditNumbers:
    """What an edit did, pictures clamped to [-1, 1].

    Attributes:
        outside: mean squared change outside the region; None when nothing is outside.
        high_correlation: correlation of the high-pass parts of edit and reference inside the region, over pixels and
            channels; None when one of them is flat.
        low_distance: mean squared distance of the low-pass parts of edit and original, whole picture.
    """

    outside: float | None
    high_correlation: float | None
    low_distance: float


def leakage(edited: Tensor, original: Tensor, region: Tensor) -> float | None:
    """Mean squared change outside of the region over that inside: 0 = it stays inside, 1 = it is everywhere alike.

    Args:
        edited, original: (1, C, H, W).
        region: G, (H, W) in [0, 1].

    Returns:
        None where nothing is outside or nothing changed inside.
    """
    change = (edited.double().clamp(-1, 1) - original.double().clamp(-1, 1)).square().mean((0, 1))
    weight = region.double()
    if not bool((weight < 1).any()) or float((change * weight).sum()) == 0:
        return None
    return float(((change * (1 - weight)).sum() / (1 - weight).sum()) / ((change * weight).sum() / weight.sum()))


def low_pass(x: Tensor, sigma: float = BLUR) -> Tensor:
    """Gaussian blur of (B, C, H, W), float64; at the border the kernel is cut off and normalised again."""

    def kernel(n: int) -> Tensor:
        at = torch.arange(n, dtype=torch.float64)
        weights = torch.exp(-0.5 * ((at[:, None] - at[None, :]) / sigma) ** 2)
        return weights / weights.sum(1, keepdim=True)

    return kernel(x.shape[-2]) @ x.double() @ kernel(x.shape[-1]).T


def measure(edited: Tensor, original: Tensor, reference: Tensor, region: Tensor, sigma: float = BLUR) -> Tensor:
    """The three `MEASURES` of a batch, float64 (B, 3); NaN where one is not defined.

    Args:
        edited, original, reference: (B, C, H, W).
        region: G, (H, W) in [0, 1].
        sigma: of the Gaussian between low and high, pixels.
    """
    edited, original, reference = (x.double().clamp(-1, 1) for x in (edited, original, reference))
    inside = region.double().expand(edited.shape[1:])
    outside = ((edited - original).square() * (1 - inside)).sum((1, 2, 3)) / (1 - inside).sum()
    low = low_pass(edited, sigma)
    distance = (low - low_pass(original, sigma)).square().mean((1, 2, 3))
    a, b = edited - low, reference - low_pass(reference, sigma)

    def mean(x: Tensor) -> Tensor:
        return (x * inside).sum((1, 2, 3)) / inside.sum()

    a, b = (x - mean(x)[:, None, None, None] for x in (a, b))
    variance = mean(a * a), mean(b * b)
    # rounding of the blur alone leaves 1e-32 of a flat picture
    flat = (variance[0] < 1e-24) | (variance[1] < 1e-24)
    correlation = torch.where(flat, torch.nan, mean(a * b) / (variance[0] * variance[1]).sqrt())
    return torch.stack([outside, correlation, distance], 1)


def numbers(row: Tensor) -> EditNumbers:
    """One row of `measure` as numbers."""
    outside, high, low = row.tolist()
    return EditNumbers(None if math.isnan(outside) else outside, None if math.isnan(high) else high, low)
