"""Samplers from noise (t = 0) to data (t = 1): free functions that spend exactly the network calls asked for.

Each takes `nfe`, wraps the network in a counter, and never calls it at t = 1. Steps run on the grid that `spacing`
gives, in float64. A method whose step costs several calls ends with a cheaper step where the calls do not divide.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flow_core.fields import Exact, MomentumODE, Motion, Network, Predict, Preserving, Published, data_prediction
from flow_core.paths import Path
from foundation import noise
from foundation.mistakes import Mistake

LIMIT = 1e4  # no data here is larger than tens: what leaves this range has diverged
MOST_CALLS = 10_000

Drift = Callable[[Network, Tensor, Tensor], Motion]
Callback = Callable[[int, float, Tensor, Tensor], None]
Spacing = Callable[[int], Tensor]


class Diverged(ValueError):
    """A sampler left every reasonable range; the message names the settings to lower."""


@dataclass(frozen=True)
class SampleResult:
    """What a sampler ends with.

    Attributes:
        x: (B, *dim) at t = 1.
        nfe: calls of the network, counted.
        derivatives: backward passes through it, counted; each costs about two calls.
        grid: (N + 1,) float64 times from 0 to 1.
    """

    x: Tensor
    nfe: int
    derivatives: int
    grid: Tensor


def uniform_grid(steps: int) -> Tensor:
    """k / N for k = 0 ... N, float64."""
    return torch.arange(_whole(steps, "steps") + 1, dtype=torch.float64) / steps


def cosine_grid(steps: int) -> Tensor:
    """(1 - cos(pi k / N)) / 2 for k = 0 ... N: dense at both ends, float64."""
    grid = (1 - torch.cos(math.pi * uniform_grid(steps))) / 2
    grid[0], grid[-1] = 0, 1
    return grid


GRIDS: dict[str, Spacing] = {"uniform": uniform_grid, "cosine": cosine_grid}


def _whole(n: int, what: str) -> int:
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST_CALLS:
        raise Mistake(f"{what} must be a whole number from 1 to {MOST_CALLS:,}, not {n!r}.", what)
    return n


def _checked(x: Tensor, i: int, steps: int) -> Tensor:
    if not bool((x.abs() <= LIMIT).all()):  # also false for NaN
        raise Diverged(
            f"The samples diverged in step {i + 1} of {steps}: lower the momentum weights (gamma) or sigma, "
            "or use more network calls."
        )
    return x


def _time(t: float, x: Tensor) -> Tensor:
    return torch.tensor(t, dtype=x.dtype, device=x.device)


def _loop(network: Network, x: Tensor, grid: Tensor, step, callback: Callback | None) -> SampleResult:
    """Runs x = step(i, t, h, x, report) over the grid; `report` passes what the step saw on to the callback."""
    times = grid.tolist()
    for i, (t, after) in enumerate(zip(times[:-1], times[1:], strict=True)):

        def report(x1: Tensor, i=i, t=t, x=x) -> None:
            if callback is not None:
                callback(i, t, x, x1)

        x = _checked(step(i, t, after - t, x, report), i, len(times) - 1)
    return SampleResult(x, network.calls, network.derivatives, grid)


# ---------------------------------------------------------------------------------------------------------------------
# Runge-Kutta

# rows of the tableau, then weights; only the last two touch the end of their step
TABLEAUS: dict[str, tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]] = {
    "euler": ((), (1.0,)),
    "midpoint": (((0.5,),), (0.0, 1.0)),
    "ralston": (((0.5,), (0.0, 0.75)), (2 / 9, 1 / 3, 4 / 9)),  # Ralston 1962, third order
    "heun": (((1.0,),), (0.5, 0.5)),
    "rk4": (((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
}


def _runge_kutta(
    network, x, drift: Drift, methods: Sequence[str], spacing, callback, proportional: bool = False
) -> SampleResult:
    """A method a step; proportional: a step's share of the grid is its calls', else all have the same."""
    f = Network(network)
    calls = [len(TABLEAUS[m][1]) if proportional else 1 for m in methods]
    ends = torch.tensor([0, *itertools.accumulate(calls)])
    grid = spacing(sum(calls))[ends]

    def step(i, t, h, x, report):
        rows, weights = TABLEAUS[methods[i]]
        first, x1 = drift(f, x, _time(t, x))
        report(x1)
        slopes = [first]
        for row in rows:
            at = x + h * sum(a * k for a, k in zip(row, slopes, strict=True) if a)
            slopes.append(drift(f, at, _time(t + sum(row) * h, x)).w)
        return x + h * sum(b * k for b, k in zip(weights, slopes, strict=True) if b)

    return _loop(f, x, grid, step, callback)


@torch.no_grad()
def euler(
    network: Predict, x: Tensor, drift: Drift, nfe: int, *, spacing: Spacing = uniform_grid, callback=None
) -> SampleResult:
    """Euler's method, one call a step. On (x1_hat - x)/(1 - t) its last step lands on x1_hat.

    Args:
        network: (x, t) -> Prediction; t is 0-dim of x's dtype.
        x: (B, *dim) the path's `start_std` (1 but for I-CFM and OT-CFM with sigma > 0) times standard normal noise.
        drift: from flow_core.fields.
        nfe: calls to spend, from 1.
        spacing: steps -> grid.
        callback: called with (i, t_i, x_i, x1_hat_i) at the start of every step; may raise to stop.

    Raises:
        ValueError: nfe out of range.
        Diverged: NaN or a state beyond `LIMIT`.
    """
    return _runge_kutta(network, x, drift, ["euler"] * _whole(nfe, "nfe"), spacing, callback)


@torch.no_grad()
def heun(
    network: Predict, x: Tensor, drift: Drift, nfe: int, *, spacing: Spacing = uniform_grid, callback=None
) -> SampleResult:
    """Heun's method, two calls a step; the last is Euler's (odd nfe) or the midpoint rule. Arguments as `euler`."""
    steps, rest = divmod(_whole(nfe, "nfe") - 1, 2)
    return _runge_kutta(network, x, drift, ["heun"] * steps + [("euler", "midpoint")[rest]], spacing, callback)


@torch.no_grad()
def rk4(
    network: Predict,
    x: Tensor,
    drift: Drift,
    nfe: int,
    *,
    spacing: Spacing = uniform_grid,
    callback=None,
    proportional: bool = False,
) -> SampleResult:
    """The classical fourth order, four calls a step.

    The end spends what is left: Euler, midpoint, Ralston's third order, or two midpoint steps.

    Args:
        proportional: steps as long as their calls say, so that an Euler step at the end is a quarter of the others:
            with 4k + 1 calls better on curved flows (IDFF), worse on nearly straight ones (OT-CFM).
        (others): as `euler`.
    """
    steps, rest = divmod(_whole(nfe, "nfe") - 1, 4)
    end = (["euler"], ["midpoint"], ["ralston"], ["midpoint", "midpoint"])[rest]
    return _runge_kutta(network, x, drift, ["rk4"] * steps + end, spacing, callback, proportional)


# ---------------------------------------------------------------------------------------------------------------------
# Others


@torch.no_grad()
def taylor2(
    network: Predict, x: Tensor, drift: Drift, nfe: int, *, spacing: Spacing = uniform_grid, callback=None
) -> SampleResult:
    """x + h w + h^2/2 (d_t w + (grad w) w), two calls a step: the value, then one that carries a tangent along.

    An odd nfe ends with an Euler step. Arguments as `euler`; the drift must be differentiable in t at 0, so no eps
    head, and must not differentiate by itself (momentum of order 2 or 3).
    """
    f = Network(network)
    pairs, rest = divmod(_whole(nfe, "nfe"), 2)

    def step(i, t, h, x, report):
        s = _time(t, x)
        w, x1 = drift(f, x, s)
        report(x1)
        if i >= pairs:
            return x + h * w
        with torch.inference_mode(False):  # a tangent cannot be attached to what was made in inference mode
            at, along, now = x.clone(), w.clone(), s.clone()
            slope = torch.func.jvp(lambda y, u: drift(f, y, u).w, (at, now), (along, torch.ones_like(now)))[1]
        return x + h * w + h**2 / 2 * slope

    return _loop(f, x, spacing(pairs + rest), step, callback)


@torch.no_grad()
def euler_maruyama(
    network: Predict,
    x: Tensor,
    drift: Preserving,
    nfe: int,
    *,
    draw: Callable[[int], Tensor],
    spacing: Spacing = uniform_grid,
    callback=None,
) -> SampleResult:
    """Euler-Maruyama with the drift's matched noise, one call a step.

    The last step follows the plain flow, eta = 0 there: a family member too, whose samples end without fresh noise.
    Letting the noise out of that step alone, or giving the bridge the noise that it has for a *known* x1, leaves the
    law too narrow: its variance ends .02 and .06 short of .36 at 32 steps and sigma = .8, and .002 this way.

    Args:
        draw: step -> standard normal (B, *dim), e.g. from `step_noise`.
        (others): as `euler`.
    """
    f, plain = Network(network), Exact(drift.path)
    grid = spacing(_whole(nfe, "nfe"))

    def step(i, t, h, x, report):
        last = i == nfe - 1
        w, x1 = (plain if last else drift)(f, x, _time(t, x))
        report(x1)
        std = 0.0 if last else drift.noise_std(t, h)
        return x + h * w + (std * draw(i).to(x) if std else 0)

    return _loop(f, x, grid, step, callback)


def step_noise(seeds: Sequence[int], shape: Sequence[int], steps: int) -> Callable[[int], Tensor]:
    """Noise for `euler_maruyama`: one generator a seed draws all its steps, so no sample depends on its batch.

    Give other seeds than the starting noise had: equal seeds repeat it in the first step.
    """
    drawn = noise(seeds, (steps, *shape))
    return lambda i: drawn[:, i]


@torch.no_grad()
def multistep(
    network: Predict, x: Tensor, path: Path, nfe: int, *, spacing: Spacing = uniform_grid, callback=None
) -> SampleResult:
    """Second-order multistep on x1_hat, one call a step (docs/flow.md, "Samplers"; twin of DPM-Solver++(2M)).

    Between two times the exact flow for a constant x1_hat is x/s + (a/s)' x1_hat, with a = t but on scheduled paths and
    s the standard deviation of the noise in x_t: sqrt(V0) for independent ends, 1 - t otherwise (exact for sigma = 0).
    In lambda = log(a / s) the last two predictions are extrapolated to the middle of the step; the first two steps and
    the last take x1_hat as it is.

    Args:
        path: whose flow is followed; there is no momentum here.
        (others): as `euler`.
    """
    f = Network(network)
    before: list[Tensor] = []
    grid = spacing(_whole(nfe, "nfe"))
    s = (path.noise_variance(grid).sqrt() if path.independent else 1 - grid).tolist()
    share = path.alpha(grid).tolist()
    scale = [math.log(a / v) if a > 0 and v > 0 else math.nan for a, v in zip(share, s, strict=True)]

    def step(i, t, h, x, report):
        now = _time(t, x)
        x1 = data_prediction(path, x, now, f(x, now))
        report(x1)
        target = x1
        if 2 <= i < nfe - 1:
            target = x1 + (scale[i + 1] - scale[i]) / (2 * (scale[i] - scale[i - 1])) * (x1 - before[-1])
        before[:] = [x1]
        keep = s[i + 1] / s[i]
        return keep * x + (share[i + 1] - keep * share[i]) * target

    return _loop(f, x, grid, step, callback)


@torch.no_grad()
def mean_flow(network: Predict, x: Tensor, nfe: int, *, spacing: Spacing = uniform_grid, callback=None) -> SampleResult:
    """x + h u(x, t, t + h) with the mean velocity u over each step: Euler's method without its error.

    Geng et al. 2025 (arXiv 2505.13447), "Sampling"; with one call the whole way in one jump.

    Args:
        network: (x, t, end=...) -> Prediction of the mean velocity from t to the end.
        callback: called with (i, t_i, x_i, x_i + (1 - t_i) u).
        (others): as `euler`.
    """
    f = Network(network)

    def step(i, t, h, x, report):
        u = f(x, _time(t, x), end=_time(t + h, x)).velocity
        report(x + (1 - t) * u)
        return x + h * u

    return _loop(f, x, spacing(_whole(nfe, "nfe")), step, callback)


# ---------------------------------------------------------------------------------------------------------------------
# By name

PLAIN_SAMPLERS: dict[str, Callable[..., SampleResult]] = {
    "euler": euler,
    "heun": heun,
    "rk4": rk4,
    "rk4p": functools.partial(rk4, proportional=True),
    "taylor2": taylor2,
}
MOMENTUM = ("published", "momentum", "matched")  # read gamma1; only the first two read gamma2 and gamma3
NOISY = ("matched", "bridge")  # draw noise in their steps
METHODS = (*PLAIN_SAMPLERS, "multistep", *MOMENTUM, "bridge")
MOST_GAMMAS = {"published": 3, "momentum": 3, "matched": 1}


def check_method(method: str, gammas: Sequence[float]) -> None:
    """Raises ValueError: an unknown method, or another number of momentum weights than it takes."""
    if method not in METHODS:
        raise Mistake(f"method must be one of {', '.join(METHODS)}, not {method!r}.", "method")
    most = MOST_GAMMAS.get(method, 0)
    if not min(most, 1) <= len(gammas) <= most:
        raise Mistake(
            f"The method {method!r} takes {f'1 to {most}' if most else 'no'} gammas, not {gammas!r}.", "gammas"
        )


def sample(
    method: str,
    network: Predict,
    x: Tensor,
    path: Path,
    nfe: int,
    *,
    gammas: tuple[float, ...] = (),
    spacing: Spacing = uniform_grid,
    noise_seeds: Sequence[int] = (),
    callback: Callback | None = None,
) -> SampleResult:
    """Run the sampler of a name: the one dispatch of page, series, scores and benchmarks.

    Args:
        method: one of `METHODS`: "euler", "heun", "rk4", "rk4p" (its steps in proportion to their calls) and "taylor2"
            follow the exact flow, but "euler" on a path of mean velocities jumps by these (`mean_flow`); "multistep"
            extrapolates x1_hat; "published" and "momentum" are Euler's method with
            momentum; "matched" and "bridge" add noise that keeps the marginals.
        network, x, nfe, spacing, callback: as in `euler`.
        path: of the network.
        gammas: one to three for "published" and "momentum", one (>= 0) for "matched", none for the others.
        noise_seeds: of the noise in the steps, one a sample; read by `NOISY` methods only.

    Raises:
        ValueError: a setting out of range.
        Diverged: a state left every reasonable range.
    """
    check_method(method, gammas)
    if method == "euler" and path.average:
        return mean_flow(network, x, nfe, spacing=spacing, callback=callback)
    if method in PLAIN_SAMPLERS:
        return PLAIN_SAMPLERS[method](network, x, Exact(path), nfe, spacing=spacing, callback=callback)
    if method == "multistep":
        return multistep(network, x, path, nfe, spacing=spacing, callback=callback)
    if method in NOISY:
        drift = Preserving(path, gammas[0] if method == "matched" else None)
        draw = step_noise(noise_seeds, x.shape[1:], _whole(nfe, "nfe"))
        return euler_maruyama(network, x, drift, nfe, draw=draw, spacing=spacing, callback=callback)
    kind = Published if method == "published" else MomentumODE
    return euler(network, x, kind(path, tuple(gammas)), nfe, spacing=spacing, callback=callback)


SAMPLER_NAMES = {
    "euler": "Euler",
    "heun": "Heun",
    "rk4": "Runge–Kutta 4",
    "rk4p": "Runge–Kutta 4, steps by calls",
    "taylor2": "Taylor-2",
    "multistep": "multistep on x̂₁",
    "published": "published momentum",
    "momentum": "momentum on exact v",
    "matched": "momentum, matched noise",
    "bridge": "bridge SDE",
}
