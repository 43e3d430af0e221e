"""From a picture back to noise: the teacher's ODE run backwards, and the Koopman law run backwards.

- **Teacher**: the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma from the picture, taken as the state at
  eps, up to T by Heun's method; the x_T that it ends in is then mapped to a picture by one call of the model.
- **Koopman** (an idea of arXiv 2506.22304, the form is ours): E(x; eps) is evolved back, e^(tau A) E(x; eps),
  in closed form and without any call for each time. D of it is the path that this picture would have come by; at
  tau = 0 it is the reconstruction D(E(x; eps)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foundation.mistakes import Mistake
from foundation.networks.counting import CountedCalls
from foundation.networks.devices import to_float64
from koopman_core.edm import EDM, SIGMA_MAX, SIGMA_MIN, SampleResult, karras_sigmas
from koopman_core.model import KoopmanDiffusion

OnStep = Callable[[int, float, Tensor], None]


def rising_sigmas(steps: int, sigma: float = SIGMA_MAX) -> Tensor:
    """The levels of the backward way, a Karras grid turned round: float64 (steps,), from eps to `sigma`."""
    return karras_sigmas(steps, sigma_max=sigma).flip(0)


@torch.no_grad()
def invert_ode(
    denoise: Callable[[Tensor, Tensor], Tensor], x: Tensor, sigmas: Tensor, callback: OnStep | None = None
) -> SampleResult:
    """The ODE from small to large noise by Heun's method.

    Args:
        denoise: D(x, sigma), sigma a 0-dim float32 tensor.
        x: (B, C, H, W) at `sigmas[0]`.
        sigmas: (N,) rising, above 0; they cost 2 (N - 1) calls.
        callback: called with (i, sigma_i, x_i) after every step; may raise to stop.

    Returns:
        The state at the last level and the counted calls.

    Raises:
        ValueError: fewer than two levels, or levels that do not rise from above 0.
    """
    levels = to_float64(sigmas).tolist()
    if len(levels) < 2 or levels[0] <= 0 or any(b <= a for a, b in zip(levels[:-1], levels[1:], strict=True)):
        raise Mistake("Inversion takes two or more noise levels that rise from above 0.", "levels")
    f = CountedCalls(denoise)

    def slope(x: Tensor, sigma: float) -> Tensor:
        return (x - f(x, torch.tensor(sigma, dtype=torch.float32, device=x.device))) / sigma

    for i, (now, after) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
        first = slope(x, now)
        second = slope(x + (after - now) * first, after)
        x = x + (after - now) * (first + second) / 2
        if callback is not None:
            callback(i + 1, after, x)
    return SampleResult(x, f.calls)


def invert_teacher(
    teacher: EDM, pictures: Tensor, steps: int, labels: Tensor | None = None, callback: OnStep | None = None,
    sigma: float = SIGMA_MAX,
) -> SampleResult:  # fmt: skip
    """`invert_ode` with the teacher's denoiser, from pictures (B, C, H, W) in [-1, 1] to the level sigma.

    Raises:
        ValueError: fewer than two steps.
    """
    return invert_ode(lambda x, s: teacher(x, s, labels), pictures, rising_sigmas(steps, sigma), callback)


@torch.no_grad()
def koopman_path(
    model: KoopmanDiffusion, pictures: Tensor, taus: Sequence[float], labels: Tensor | None = None
) -> list[Tensor]:
    """The way back in closed form: D(e^(tau A) E(x; eps)), one (B, C, H, W) a time.

    Args:
        model: the model; encodes once.
        pictures: (B, C, H, W) in [-1, 1].
        taus: times in [0, 1]; 0 gives the reconstruction.
        labels: (B,) int64 or None.
    """
    z = model.encode(pictures, SIGMA_MIN, labels)
    return [model.decode(model.evolve(z, 0.0, float(tau)), labels) for tau in taus]


@dataclass(frozen=True)
class NoiseNumbers:
    """How far an inverted x_T over 80 is from standard normal noise.

    Attributes: mean, std of its values; neighbours = correlation of horizontally neighbouring values; all of one
    picture, and 0, 1, 0 for noise.
    """

    mean: float
    std: float
    neighbours: float


def noise_numbers(x: Tensor) -> NoiseNumbers:
    """Of x_T, (1, C, H, W) with the standard deviation 80 where it is noise."""
    values = x[0].double() / SIGMA_MAX
    mean, std = float(values.mean()), float(values.std(correction=0))
    apart = values - mean
    beside = float((apart[..., 1:] * apart[..., :-1]).mean()) / max(std**2, 1e-30)
    return NoiseNumbers(mean, std, beside)
