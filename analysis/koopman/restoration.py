"""Inpainting and colourisation: iterative replacement (Song et al. 2023, arXiv 2303.01469, algorithm 4) with HKD's map.

The paper (4.3) takes the algorithm over unchanged, with f(x, t) = D(exp((tau(eps) - tau(t)) A) E(x)). With Om = 1 on
what is UNKNOWN and an orthogonal transform A of the colours:

    y <- A^-1[(A y)(1 - Om)];   x ~ N(y, t_1^2 I);   x <- f(x, t_1);   x <- A^-1[(A y)(1 - Om) + (A x) Om]
    for n = 2..N:   x ~ N(x, (t_n^2 - eps^2) I);   x <- f(x, t_n);   replace again

The mask convention everywhere here is that one: **1 (True) = unknown**, to be made up; 0 = known, kept exactly. The
levels t_n are those of a Karras grid of N + 1 without its last, where nothing is left to denoise; f's output is clamped
to [-1, 1] before it replaces anything; holes start at 0 (the first two as in the authors' code, the third as in the
paper).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.koopman.editing import resize_region
from analysis.metrics import image as metrics
from foundation import noise
from foundation.mistakes import Mistake
from foundation.networks.counting import CountedCalls
from foundation.randomness import derived_seed
from koopman_core.edm import SIGMA_MAX, SIGMA_MIN, karras_sigmas
from koopman_core.model import KoopmanDiffusion
from koopman_core.operator import sigma_of_tau

MAX_RESTORATION_STEPS = 40
LUMA = (0.2989, 0.5870, 0.1140)  # of red, green, blue; algorithm 4's authors use these, they sum to 0.9999


class Stop(Exception):
    """Raised by a callback: end here and keep what was made so far."""


@dataclass(frozen=True)
class Restored:
    """What algorithm 4 made.

    Attributes:
        x: (B, C, H, W), the last picture after replacing.
        sigmas: (steps done,) levels.
        frames: the picture after every step.
        nfe: network calls.
        stopped: whether the callback ended it early.
    """

    x: Tensor
    sigmas: tuple[float, ...]
    frames: tuple[Tensor, ...]
    nfe: int
    stopped: bool


def replacement_sigmas(steps: int, end: float = 0.0) -> Tensor:
    """t_1 > ... > t_N: a Karras grid of N + 1 levels without its last, float64 (N,).

    Args:
        steps: N.
        end: the last level; 0 for that of the grid down to eps. A map that does not hold still at small noise drifts
            there, so it can be better to end early (ours).

    Raises:
        ValueError: not 1 to 40 steps, or an end that is neither 0 nor within eps and 80.
    """
    if not 1 <= steps <= MAX_RESTORATION_STEPS:
        raise Mistake(f"Use 1 to {MAX_RESTORATION_STEPS} steps, not {steps}.", "steps")
    if end == 0:
        return karras_sigmas(steps + 1)[:-1]
    if not SIGMA_MIN <= end < SIGMA_MAX:
        raise Mistake(f"The last level must lie between {SIGMA_MIN} and {SIGMA_MAX:g}, or be 0.", "end")
    return karras_sigmas(max(steps, 2), sigma_min=end)[:steps]


def with_skip(f: Callable[[Tensor, float], Tensor], error: float) -> Callable[[Tensor, float], Tensor]:
    """The map with a level-aware skip, w x + (1 - w) f(x, sigma), w = e^2 / (e^2 + sigma^2) (ours).

    x is the picture with the error sigma, f(x, sigma) the picture with an error of at least e; if the two errors are
    independent this is the mean of least variance. Where the noise is far above e it is f; where it is far below, x.

    Args:
        f: (x, sigma) -> picture.
        error: e, root mean squared error of f at eps, see `standing_error`.
    """

    def mixed(x: Tensor, sigma: float) -> Tensor:
        share = error**2 / (error**2 + sigma**2)
        return share * x + (1 - share) * f(x, sigma)

    return mixed


def standing_error(f: Callable[[Tensor, float], Tensor], picture: Tensor, known: Tensor | None = None) -> float:
    """Root mean squared error of f(y, eps) against y over known pixels: how far f is from holding a picture still.

    Args:
        picture: (1, C, H, W) in [-1, 1].
        known: bool (H, W), None for all.
    """
    apart = (f(picture, SIGMA_MIN).clamp(-1, 1) - picture).double().square().mean(1)[0]
    return float((apart if known is None else apart[known]).mean().sqrt())


@torch.no_grad()
def iterate(
    f: Callable[[Tensor, float], Tensor],
    start: Tensor,
    replace: Callable[[Tensor], Tensor],
    sigmas: Sequence[float] | Tensor,
    seeds: Sequence[int],
    callback: Callable[[int, float, Tensor], None] | None = None,
) -> Restored:
    """Algorithm 4 for any orthogonal transform.

    Args:
        f: (x, sigma) -> picture.
        start: A^-1[(A y)(1 - Om)], (B, C, H, W).
        replace: x -> A^-1[(A y)(1 - Om) + (A x) Om].
        sigmas: falling levels.
        seeds: one a sample. Step 1 draws noise(seed), so that with nothing known and one step the result is the
            seed's own picture; step n > 1 draws noise(derived_seed(seed, n - 1)).
        callback: called with (steps done, sigma, picture after replacing). `Stop` ends the run and keeps the picture;
            any other exception goes through to the caller, who has had every picture until then.
    """
    counted = CountedCalls(f)
    x, frames, levels, stopped = start, [], [float(s) for s in sigmas], False
    for n, sigma in enumerate(levels):
        draw = noise(seeds if n == 0 else [derived_seed(s, n) for s in seeds], x.shape[1:]).to(x)
        std = sigma if n == 0 else (sigma**2 - SIGMA_MIN**2) ** 0.5
        x = replace(counted(x + std * draw, sigma).clamp(-1, 1))
        frames.append(x)
        if callback is not None:
            try:
                callback(n + 1, sigma, x)
            except Stop:
                stopped = True
                break
    return Restored(x, tuple(levels[: len(frames)]), tuple(frames), counted.calls, stopped)


def _hole(mask: Tensor, picture: Tensor) -> Tensor:
    if mask.dtype != torch.bool or mask.shape[-2:] != picture.shape[-2:]:
        raise Mistake("The mask must be bool and of the picture's height and width, True = unknown.", "mask")
    return mask


def inpaint(
    f, picture: Tensor, mask: Tensor, steps: int, seeds: Sequence[int], callback=None, end: float = 0.0
) -> Restored:
    """Fill the hole; known pixels stay as they are to the last bit (A is the identity).

    Args:
        f: (x, sigma) -> picture.
        picture: (B, C, H, W) in [-1, 1]; what it holds inside the hole is never looked at.
        mask: bool (H, W) or (B, 1, H, W), True = unknown.
        steps: 1 to 40.
        seeds, callback: see `iterate`.
        end: see `replacement_sigmas`.

    Raises:
        ValueError: a mask of another type or size, or too many steps.
    """
    known = torch.where(_hole(mask, picture), torch.zeros(()), picture)
    return iterate(f, known, lambda x: torch.where(mask, x, known), replacement_sigmas(steps, end), seeds, callback)


# ---------------------------------------------------------------------------------------------------------------------
# Colour


def colour_matrix() -> Tensor:
    """Q, orthogonal float64 (3, 3), column 0 = the luma weights at unit length (docs/method.md, "Restoration").

    The orthogonal factor of a QR of the identity with that column; the sign makes the column sum positive.
    """
    basis = np.eye(3)
    basis[:, 0] = np.asarray(LUMA) / np.linalg.norm(LUMA)
    q = np.linalg.qr(basis)[0]
    return torch.from_numpy(q if q[:, 0].sum() > 0 else -q)


def to_luma(x: Tensor) -> Tensor:
    """A x: (B, 3, H, W) colours -> float64 channels (luma axis, chroma, chroma)."""
    return torch.einsum("bchw,cd->bdhw", x.double(), colour_matrix())


def from_luma(x: Tensor) -> Tensor:
    """The inverse of `to_luma`, float64."""
    return torch.einsum("bdhw,cd->bchw", x, colour_matrix())


def gray(x: Tensor) -> Tensor:
    """The grey picture of equal luma, on three channels; float32."""
    axis = colour_matrix()[:, 0]
    return (to_luma(x)[:, :1] / axis.sum()).expand(x.shape).float().contiguous()


def colorize(f, picture: Tensor, steps: int, seeds: Sequence[int], callback=None, end: float = 0.0) -> Restored:
    """Make up the two chroma channels; the luma axis is the picture's own, exactly (to float32's rounding).

    The result can leave [-1, 1], see `into_gamut`. Args as in `inpaint`; the picture's own chroma is never looked at.
    """
    luma = to_luma(picture)[:, :1]

    def replace(x: Tensor) -> Tensor:
        return from_luma(torch.cat([luma, to_luma(x)[:, 1:]], 1)).to(picture)

    start = from_luma(torch.cat([luma, torch.zeros_like(luma).expand(-1, 2, -1, -1)], 1)).to(picture)
    return iterate(f, start, replace, replacement_sigmas(steps, end), seeds, callback)


def into_gamut(x: Tensor) -> Tensor:
    """Colours outside [-1, 1] drawn towards the grey of equal luma until they fit: clipping would change the luma.

    Inferred; the authors' code leaves this open. Pictures whose luma is that of a real picture always fit.
    """
    grey = gray(x).double().clamp(-1, 1)
    step = x.double() - grey
    room = torch.where(step > 0, 1 - grey, 1 + grey)
    share = torch.where(step.abs() > room, room / step.abs().clamp_min(1e-12), 1.0).amin(1, keepdim=True)
    return torch.where(share < 1, (grey + share * step).clamp(-1, 1).to(x), x)


# ---------------------------------------------------------------------------------------------------------------------
# One step, in latent space


@torch.no_grad()
def inpaint_latents(
    model: KoopmanDiffusion,
    generated: Sequence[Tensor],
    picture: Tensor,
    mask: Tensor,
    tau: float,
    eps: Tensor,
    labels: Tensor | None = None,
) -> Tensor:
    """The fast option: encodings of the known picture and of a generated one are blended in z, decoded once.

    z = z_known + G (z_generated - z_known), G the mask by area averages at each latent's size; known pixels are put
    back exactly afterwards (inferred; ours). One encode and one decode, no iteration.

    Args:
        generated: exp((tau(eps) - 1) A) E(x_T) of some seed, latents at eps.
        picture: (1, C, H, W) in [-1, 1]; what it holds inside the hole is never looked at.
        mask: bool (H, W), True = unknown.
        tau: time at which the known picture is encoded, in [0, 1].
        eps: standard normal, of the picture's shape.
    """
    known = torch.where(_hole(mask, picture), torch.zeros(()), picture)
    sigma = float(sigma_of_tau(tau, model.koopman.warp))
    z = model.evolve(model.encode(known + sigma * eps, sigma, labels), tau, 0.0)
    share = mask.float()
    blended = [
        torch.lerp(a, b, resize_region(share, (a.shape[-2], a.shape[-1]))) for a, b in zip(z, generated, strict=True)
    ]
    return torch.where(mask, model.decode(blended, labels).clamp(-1, 1), known)


# ---------------------------------------------------------------------------------------------------------------------
# How good it is


@dataclass(frozen=True)
class HoleNumbers:
    """Distances of the hole to the truth.

    Attributes:
        psnr: dB over the hole's pixels, infinite when equal.
        ssim: averaged over the hole, None for pictures under 7 pixels.
        lpips: of the whole picture, since it compares no single pixels; None without a backbone.
    """

    psnr: float
    ssim: float | None
    lpips: float | None


def measure_hole(picture: Tensor, truth: Tensor, mask: Tensor, perceptual: Callable | None = None) -> HoleNumbers:
    """Restored picture against the truth.

    Args:
        picture, truth: (1, C, H, W) in [-1, 1].
        mask: bool (H, W), True = was unknown, at least one.
        perceptual: a `foundation.metrics.perceptual.PerceptualDistance`.

    Raises:
        ValueError: an empty hole.
    """
    if not bool(mask.any()):
        raise Mistake("The hole is empty: there is nothing to measure.", "hole")
    x, y = picture.double().clamp(-1, 1), truth.double().clamp(-1, 1)
    mse = (x - y).square().mean(1)[0][mask].mean()
    ssim = None
    if min(x.shape[-2:]) >= metrics.SSIM_WINDOW:
        from skimage.metrics import structural_similarity  # here: slow to import

        options = {"win_size": metrics.SSIM_WINDOW, "data_range": metrics.DATA_RANGE, "channel_axis": 0}
        local = structural_similarity(x[0].numpy(), y[0].numpy(), full=True, **options)[1]
        ssim = float(local.mean(0)[mask.numpy()].mean())
    lpips = None if perceptual is None else float(perceptual(x.float(), y.float())[0])
    return HoleNumbers(float(10 * torch.log10(metrics.DATA_RANGE**2 / mse)), ssim, lpips)
