"""Lorenz-63: trajectories by RK4, and the long-run statistics that a learned step map should share with it.

    dx/dt = sigma (y - x),  dy/dt = x (rho - z) - y,  dz/dt = x y - beta z          (Lorenz 1963; 10, 28, 8/3)

States are float64 (..., 3). One generator a seed and element-wise arithmetic: a trajectory does not depend on which
others are made along with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from flow_core.series.scores import wasserstein_1d
from foundation.mistakes import Mistake
from foundation.randomness import noise

LORENZ_SIGMA, LORENZ_RHO, LORENZ_BETA = 10.0, 28.0, 8.0 / 3.0
DT = 0.035  # between frames: the published 2,000 points on (0, 70)
FINE = 0.005  # RK4 step: its error over one frame is below 1e-5 of the attractor's size
BURN_IN = 20.0  # time units until a random start lies on the attractor to rounding
LYAPUNOV = 0.9056  # largest exponent (Viswanath 1998; Sprott 2003), per time unit


def derivative(x: np.ndarray) -> np.ndarray:
    """The right-hand side at states (..., 3)."""
    u, v, w = x[..., 0], x[..., 1], x[..., 2]
    return np.stack([LORENZ_SIGMA * (v - u), u * (LORENZ_RHO - w) - v, u * v - LORENZ_BETA * w], -1)


def rk4_step(f: Callable[[np.ndarray], np.ndarray], y: np.ndarray, h: float) -> np.ndarray:
    """One step of the classical Runge-Kutta method of order 4 for dy/dt = f(y)."""
    k1 = f(y)
    k2 = f(y + h / 2 * k1)
    k3 = f(y + h / 2 * k2)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + f(y + h * k3))


def integrate(start: np.ndarray, frames: int, dt: float = DT, fine: float = FINE) -> np.ndarray:
    """Follow the flow.

    Args:
        start: (B, 3).
        frames: how many steps of dt.
        dt: time between frames; it is cut into equal RK4 steps of at most `fine`.

    Returns:
        float64 (B, frames + 1, 3), the start first.
    """
    start = np.asarray(start, np.float64)
    if start.ndim != 2 or start.shape[1] != 3:
        raise Mistake("Lorenz-63 needs starts (B, 3).", "start")
    if frames < 0 or not (dt > 0 and fine > 0):
        raise Mistake("Lorenz-63 needs no fewer than 0 frames, and steps above 0.", "frames" if frames < 0 else "dt")
    cuts = math.ceil(dt / fine - 1e-9)
    out = np.empty((len(start), frames + 1, 3))
    out[:, 0] = start
    for k in range(frames):
        x = out[:, k]
        for _ in range(cuts):
            x = rk4_step(derivative, x, dt / cuts)
        out[:, k + 1] = x
    return out


def trajectories(seeds: Sequence[int], frames: int, dt: float = DT, burn_in: float = BURN_IN) -> np.ndarray:
    """Trajectories on the attractor, one a seed, float64 (len(seeds), frames, 3).

    Each starts at (0, 0, 25) + 5 times standard normal noise and runs `burn_in` time units before its first frame.
    """
    start = 5 * noise(seeds, (3,)).double().numpy() + np.array([0.0, 0.0, 25.0])
    if burn_in > 0:
        start = integrate(start, 1, burn_in)[:, -1]
    return integrate(start, frames - 1, dt)


# -----------------------------------------------------------------------------------------------------------
# Lyapunov exponents


def lyapunov_of_map(
    step: Callable[[np.ndarray, int], np.ndarray],
    states: np.ndarray,
    steps: int,
    dt: float = DT,
    *,
    delta: float = 1e-6,
    settle: int = 100,
    seed: int = 0,
) -> np.ndarray:
    """Largest exponent of a step map by twins: run a state and a near one, log the growth, bring the twin back near.

    Args:
        step: (states, step number) -> next states, same shape. A random map must draw its noise from the number
            alone, so that both twins get the same. For a model that sees a history the state is the whole window.
        states: (B, ...) where to start.
        steps: to average over, after `settle` steps that turn the separation into its direction.
        dt: time of a step.
        delta: distance kept, Euclidean over all but the first axis; well above the rounding of the map: 1e-6 for
            float64, about 1e-3 of the states' size for a float32 network.
        seed: of the first separation.

    Returns:
        float64 (B,), per time unit; -inf where the map sends both twins to one point.

    Raises:
        ValueError: the map leaves the finite numbers.
    """
    a = np.asarray(states, np.float64)
    axes = tuple(range(1, a.ndim))
    rng = np.random.default_rng(seed)

    def random_separation() -> np.ndarray:
        d = rng.standard_normal(a.shape)
        return d * (delta / np.sqrt((d * d).sum(axes, keepdims=True)))

    b, total = a + random_separation(), np.zeros(len(a))
    for k in range(settle + steps):
        a, b = (np.asarray(step(x, k), np.float64) for x in (a, b))
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise Mistake(f"The map gave a number that is not finite at step {k}: it has no Lyapunov exponent.", "map")
        d = b - a
        size = np.sqrt((d * d).sum(axes, keepdims=True))
        merged = size == 0
        if k >= settle:
            total += np.log(np.where(merged, 1.0, size / delta)).ravel()
            total[merged.ravel()] = -np.inf
        b = a + np.where(merged, random_separation(), d * (delta / np.where(merged, 1.0, size)))
    return total / (steps * dt)


def window_map(next_frame: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[np.ndarray, int], np.ndarray]:
    """The step map on windows (B, H, ...), oldest frame first, of a model (windows, step number) -> frames (B, ...)."""

    def step(window: np.ndarray, k: int) -> np.ndarray:
        return np.concatenate([window[:, 1:], np.asarray(next_frame(window, k))[:, None]], 1)

    return step


# -----------------------------------------------------------------------------------------------------------
# Other long-run statistics


def marginal_distances(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """W1 between marginals, in standard deviations of the reference: (..., D) each, gives (D,)."""
    x, reference = (np.asarray(a, np.float64).reshape(-1, np.shape(a)[-1]) for a in (x, reference))
    return np.array([wasserstein_1d(a, b) / b.std() for a, b in zip(x.T, reference.T, strict=True)])


def power_spectrum(x: np.ndarray, dt: float = DT, segment: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """One-sided power spectral density by Welch's method: Hann window, half overlap, mean of each segment removed.

    Args:
        x: (B, T, D), T at least `segment`.
        dt: time between frames.
        segment: frames a segment, even.

    Returns:
        Frequencies (segment // 2 + 1,) per time unit, and densities (segment // 2 + 1, D) averaged over segments and
        trajectories; their integral is about the variance.
    """
    x = np.asarray(x, np.float64)
    if x.ndim != 3 or segment < 4 or segment % 2 or x.shape[1] < segment:
        raise Mistake(f"Trajectories (B, T, D) of {segment} frames or more are needed, and an even segment.", "segment")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(segment) / segment)
    parts = np.lib.stride_tricks.sliding_window_view(x, segment, 1)[:, :: segment // 2]  # (B, parts, D, segment)
    parts = (parts - parts.mean(-1, keepdims=True)) * window
    power = (np.abs(np.fft.rfft(parts)) ** 2).mean((0, 1)).T * dt / (window @ window)
    power[1:-1] *= 2  # the negative frequencies; zero and the highest have no twin
    return np.fft.rfftfreq(segment, dt), power


def spectrum_distance(power: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Log-spectral distance in decibel, rms over frequencies above zero: (F, D) each, gives (D,)."""
    floor = 1e-12 * reference.max(0)  # rounding noise is not compared
    ratio = 10 * np.log10(np.maximum(power[1:], floor) / np.maximum(reference[1:], floor))
    return np.sqrt((ratio**2).mean(0))


def valid_time(forecast: np.ndarray, truth: np.ndarray, scale, dt: float = DT, threshold: float = 0.4) -> np.ndarray:
    """Valid prediction time: until the rms error over coordinates, in units of `scale`, first exceeds the threshold.

    Args:
        forecast, truth: (N, L, D), first lead first.
        scale: standard deviation of each coordinate.

    Returns:
        float64 (N,) in Lyapunov times 1 / 0.9056; L frames where the error stays below.
    """
    error = np.sqrt(np.mean(((np.asarray(forecast) - np.asarray(truth)) / scale) ** 2, -1))
    over = ~(error <= threshold)  # NaN is an error too
    frames = np.where(over.any(1), over.argmax(1), over.shape[1])
    return frames * dt * LYAPUNOV
