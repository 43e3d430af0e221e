"""Log-likelihood through the probability-flow ODE: log p_1(x) = log p_0(x_0) - int_0^1 div v dt, p_0 the path's start.

Chen et al. 2018 (arXiv 1806.07366); trace estimate: Grathwohl et al. 2019 (arXiv 1810.01367).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from flow_core.fields import Exact, Network, Predict
from flow_core.paths import Path
from flow_core.samplers import LIMIT, Diverged, Spacing, cosine_grid
from foundation.mistakes import Mistake

EXACT_UP_TO = 16  # dimensions whose trace is taken entry by entry when nothing else is asked
DENSITY_TIME = 1 - 1e-3  # the velocity of a network divides by 1 - t, so the density is read just before the end


@dataclass(frozen=True)
class Likelihood:
    """What `log_likelihood` returns.

    Attributes:
        log_prob: (B,) float64 natural logarithm of the density at x.
        bits_per_dim: (B,) float64, -log_prob / (dims ln 2).
        latent: (B, *dim) where the flow comes from at t = 0.
        nfe: calls of the network; derivatives: backward passes through it.
    """

    log_prob: Tensor
    bits_per_dim: Tensor
    latent: Tensor
    nfe: int
    derivatives: int


def log_likelihood(
    network: Predict,
    path: Path,
    x: Tensor,
    *,
    steps: int = 32,
    probes: int = 0,
    generator: torch.Generator | None = None,
    spacing: Spacing = cosine_grid,
    end: float = DENSITY_TIME,
    callback=None,
) -> Likelihood:
    """Density of the model at x, its flow integrated backwards by the classical Runge-Kutta method.

    The flow starts at t = `end` from alpha(end) x (alpha = t but on scheduled paths), whose density times its
    power dims is that of x blurred by the little noise
    that is left there: std(end) and 1 - end.

    Args:
        x: (B, *dim) data; float64 input is integrated in float64.
        steps: of four calls each.
        probes: Rademacher vectors of Hutchinson's trace estimate, drawn once; 0 takes the exact trace, one
            derivative a dimension, for at most `EXACT_UP_TO` dimensions, and one probe above that.
        generator: of the probes, on the CPU.
        end: in (0, 1).
        callback: called with (i, t, x) before every step; may raise to stop.

    Raises:
        ValueError: steps or probes out of range.
        Diverged: the flow left every range on its way back.
    """
    dims = x[0].numel()
    if not 0 <= probes <= 1000:
        raise Mistake(f"probes must be from 0 to 1000, not {probes!r}.", "probes")
    if not 0 < end < 1:
        raise Mistake(f"end must lie inside (0, 1), not {end!r}.", "end")
    probes = probes or (1 if dims > EXACT_UP_TO else 0)
    with torch.inference_mode(False):
        x = x.detach().clone()
        vectors = _probes(x, probes, generator)
        f, drift = Network(network), Exact(path)
        grid = (end * spacing(steps)).flip(0).tolist()
        share = float(path.alpha(end))
        state, change = share * x, torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for i, (t, after) in enumerate(zip(grid[:-1], grid[1:], strict=True)):
            if callback is not None:
                callback(i, t, state)
            h = after - t
            v, moved, spread = torch.zeros_like(state), torch.zeros_like(state), torch.zeros_like(change)
            for node, weight in ((0.0, 1 / 6), (0.5, 1 / 3), (0.5, 1 / 3), (1.0, 1 / 6)):
                v, divergence = _flow(f, drift, state + node * h * v, t + node * h, vectors)
                moved, spread = moved + weight * v, spread + weight * divergence
            state, change = state + h * moved, change + h * spread
            if not bool((state.abs() <= LIMIT).all()):
                raise Diverged("The flow diverged on its way back to noise: use more steps, or a better trained model.")
    var = path.start_std**2
    source = -0.5 * state.double().flatten(1).square().sum(1) / var - dims / 2 * math.log(2 * math.pi * var)
    log_prob = source + change + dims * math.log(share)  # change = int_end^0 div v dt
    return Likelihood(log_prob, -log_prob / (dims * math.log(2)), state, f.calls, f.derivatives)


def _probes(x: Tensor, n: int, generator) -> list[Tensor] | None:
    if n == 0:
        return None
    draws = torch.randint(2, (n, *x.shape), generator=generator)
    return list((2 * draws - 1).to(x))


def _flow(f: Network, drift: Exact, x: Tensor, t: float, vectors: list[Tensor] | None) -> tuple[Tensor, Tensor]:
    """v and its divergence (B,) float64 at one state."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        v = drift(f, x, torch.tensor(t, dtype=x.dtype, device=x.device)).w
        flat = v.flatten(1)
        exact = vectors is None
        directions = list(torch.eye(flat.shape[1]).to(x)) if vectors is None else vectors
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for i, e in enumerate(directions):
            last = i == len(directions) - 1
            (row,) = torch.autograd.grad((flat * e.flatten(-1 if exact else 1)).sum(), x, retain_graph=not last)
            f.derivatives += 1
            total += (row.flatten(1) * e.flatten(-1 if exact else 1)).double().sum(1)
    return v.detach(), total / (1 if exact else len(directions))
