"""How linear is the learned space? E(x_t) along the teacher's trajectories against the evolved E(x_T).

The published loss never asks for it, so it is measured, not assumed (docs/results.md). Everything here is a measurement
of ours (docs/method.md, "Linearity"), with two yardsticks: the identity (A = 0), and the best alpha and beta that any
operator of this form could have on the very same trajectories.

Exact dynamic mode decomposition stands beside it: the spectrum that the data alone would ask for.

Tu et al. 2014 (arXiv 1312.0041), algorithm 2: the best linear map from every snapshot to the next one, seen through
the leading singular vectors. Beside the learned spectrum it says what a dense operator would have found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from analysis.core.progress import Progress, tell
from analysis.koopman.effects import MODES_AT_ONCE, acting
from analysis.koopman.modes import LARGEST_EXPONENT, evolve_with
from analysis.metrics import image as metrics
from foundation.mistakes import Mistake
from koopman_core.edm import EDM, SIGMA_MAX, heun_sample
from koopman_core.model import KoopmanDiffusion, SpectrumEntry

NEGLIGIBLE = 1e-10  # singular values below this share of the largest are rounding, in float64 of float32 data
SPACING = 1e-6  # how unequal the steps in tau may be, absolute


@dataclass(frozen=True)
class DMD:
    """At most `rank` modes, the strongest at the start (noise) first.

    Attributes:
        eigenvalues: (r,) complex128, per unit tau: dz/dtau = lambda z, to be compared with alpha +- i beta. The
            imaginary part is known up to 2 pi over the step only: it lies in [-pi / step, pi / step].
        modes: (N, r) complex128, the exact modes, unit norm.
        amplitude: (r,) mean over trajectories of |b_k|, where z(T) = sum_k b_k mode_k by least squares.
        captured: share of the snapshots' energy in the singular vectors that were kept.
        residual: |Y - K X| / |Y| of the one-step prediction, in the sample.
    """

    eigenvalues: Tensor
    modes: Tensor
    amplitude: Tensor
    captured: float
    residual: float


@torch.no_grad()
def exact_dmd(paths: Tensor, tau: Tensor, rank: int) -> DMD:
    """Exact DMD of several trajectories of one system.

    Args:
        paths: (B, n, N) real, n snapshots each.
        tau: (n,) their times, equally spaced, falling or rising; at least 2.
        rank: largest number of singular vectors to keep; fewer where the data has fewer.

    Raises:
        ValueError: unequal steps, fewer than 2 snapshots, a rank below 1, or data that is zero or not finite.
    """
    tau = torch.as_tensor(tau, dtype=torch.float64)
    steps = tau.diff()
    if rank < 1:
        raise Mistake("DMD takes a rank of 1 or more.", "rank")
    if len(tau) < 2 or paths.ndim != 3 or paths.shape[1] != len(tau):
        raise Mistake("DMD takes (trajectories, snapshots, numbers) with 2 or more times.", "snapshots")
    if float((steps - steps.mean()).abs().max()) > SPACING or float(steps.mean().abs()) <= SPACING:
        raise Mistake("DMD needs equal steps in tau: take the levels of a uniform grid in tau.", "tau")
    paths = paths.double()
    x, y = paths[:, :-1].flatten(0, 1).T, paths[:, 1:].flatten(0, 1).T
    if not bool(torch.isfinite(paths).all()) or not bool(x.any()):
        raise Mistake("DMD needs finite snapshots that are not all zero.", "paths")
    u, s, vh = torch.linalg.svd(x, full_matrices=False)
    r = min(rank, int((s > NEGLIGIBLE * s[0]).sum()))
    captured = float(s[:r].square().sum() / s.square().sum())
    u, s, v = u[:, :r], s[:r], vh[:r].T
    forward = y @ v / s  # Y V S^-1; the map K = forward U^T
    small = u.T @ forward
    mu, w = torch.linalg.eig(small)
    alive = mu.abs() > 1e-12  # an eigenvalue 0 has no continuous rate
    mu, w = mu[alive], w[:, alive]
    modes = forward.to(w.dtype) @ w
    modes = modes / torch.linalg.vector_norm(modes, dim=0).clamp_min(1e-300)
    start = paths[:, 0].T.to(w.dtype)
    amplitude = torch.linalg.lstsq(modes, start).solution.abs().mean(1) if len(mu) else torch.zeros(0).double()
    # both of a conjugate pair are equally strong: which comes first is not left to rounding
    rows = torch.argsort(mu.imag, descending=True, stable=True)
    rows = rows[torch.argsort(amplitude[rows].float(), descending=True, stable=True)]
    residual = torch.linalg.norm(y - forward @ (u.T @ x)) / torch.linalg.norm(y).clamp_min(1e-300)
    return DMD(mu[rows].log() / steps.mean(), modes[:, rows], amplitude[rows], captured, float(residual))


@torch.no_grad()
def latent_paths(
    model: KoopmanDiffusion,
    states: Tensor,
    sigmas: Tensor,
    labels: Tensor | None = None,
    progress: Progress = None,
) -> list[Tensor]:
    """The encoder's view of trajectories, one (B, n, C_l * h_l * w_l) float32 a level.

    Args:
        model: anything with `encode`.
        states: (B, n, C, H, W), see `validity.teacher_states`.
        sigmas: (n,) their levels.
        labels: (B,) int64 or None.
        progress: called with (share done, what) after every time; may raise to stop.
    """
    n = states.shape[1]
    seen = []
    for t in range(n):
        seen.append([z.flatten(1) for z in model.encode(states[:, t], float(sigmas[t]), labels)])
        tell(progress, (t + 1) / n, "latents for DMD")
    return [torch.stack(level, 1) for level in zip(*seen, strict=True)]


OPERATORS = ("learned", "identity", "fitted")
FIT_BATCH = 8
FIT_ROUNDS = 40  # of Gauss-Newton; most modes settle in about ten
SETTLED_GAIN = 1e-12  # of a mode's squared gain: a smaller gain in the fit does not show
NOTHING = 1e-12  # of a latent's energy: a smaller share is rounding


@torch.no_grad()
def teacher_states(
    teacher: EDM, noises: Tensor, sigmas: Tensor, labels: Tensor | None = None, progress: Progress = None
) -> Tensor:
    """States x_t of the teacher's ODE (Heun), (B, n, C, H, W) at the n falling levels, from standard normal noises.

    Args:
        teacher: the denoiser.
        noises: (B, C, H, W), `foundation.noise`.
        sigmas: (n,) falling, from sigma_max.
        labels: (B,) int64 or None.
        progress: called with (share done, what) after every level; may raise to stop.
    """
    out, n = [], len(sigmas)
    for low in range(0, len(noises), FIT_BATCH):
        part = slice(low, low + FIT_BATCH)
        y = None if labels is None else labels[part]
        seen: list[Tensor] = []

        def keep(i: int, sigma: float, x: Tensor, denoised: Tensor, low=low, seen=seen) -> None:
            del sigma, denoised
            seen.append(x)
            tell(
                progress,
                (low + (i + 1) / n * min(FIT_BATCH, len(noises) - low)) / len(noises),
                "teacher's trajectories",
            )

        def denoise(x: Tensor, sigma: Tensor, y: Tensor | None = y) -> Tensor:
            return teacher(x, sigma, y)

        heun_sample(denoise, SIGMA_MAX * noises[part], sigmas, keep)
        out.append(torch.stack(seen, 1))
    return torch.cat(out)


def as_complex(z: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C/2 * h * w) complex128, w_k = z_2k + i z_2k+1, which moves as e^((alpha - i beta) tau)."""
    b, c, h, w = z.shape
    pairs = z.double().view(b, c // 2, 2, h, w)
    return torch.complex(pairs[:, :, 0], pairs[:, :, 1]).flatten(1)


@dataclass
class Moments:
    """Sums over trajectories from which the error of any alpha and beta follows; N modes of one entry, n times.

    Attributes:
        cross: (N, n) complex128, sum of w(t) conj w(T).
        start: (N,) sum of |w(T)|^2.
        power: (n,) sum over modes too of |w(t)|^2.
        total: (N, n) complex128, sum of w(t).
    """

    cross: Tensor
    start: Tensor
    power: Tensor
    total: Tensor

    @classmethod
    def empty(cls, modes: int, times: int) -> Moments:
        many = torch.zeros(2, modes, times, dtype=torch.complex128)
        return cls(many[0], torch.zeros(modes).double(), torch.zeros(times).double(), many[1])

    def add(self, t: int, now: Tensor, first: Tensor) -> None:
        """Take in w(t) and w(T) of some trajectories, (B, N) complex128 each; T has the index 0."""
        self.cross[:, t] += (now * first.conj()).sum(0)
        self.power[t] += now.abs().square().sum()
        self.total[:, t] += now.sum(0)
        if t == 0:
            self.start += first.abs().square().sum(0)

    def about_the_mean(self, count: int) -> Moments:
        """Those of what is left when every w(t) has lost its mean over the `count` trajectories.

        The law is linear, so it has to hold for that too.
        """
        first = self.total[:, :1]
        return Moments(
            self.cross - self.total * first.conj() / count,
            (self.start - first[:, 0].abs().square() / count).clamp_min(0),
            (self.power - self.total.abs().square().sum(0) / count).clamp_min(0),
            torch.zeros_like(self.total),
        )

    def error(self, alpha: Tensor, beta: Tensor, delta: Tensor) -> Tensor:
        """(n,) root of sum |w(t) - g w(T)|^2 over sum |w(t)|^2, g = e^((alpha - i beta) delta)."""
        total = self.power.clone()
        for low in range(0, len(self.start), MODES_AT_ONCE):
            part = slice(low, low + MODES_AT_ONCE)
            rate = torch.complex(alpha.double().flatten()[part], -beta.double().flatten()[part])
            g = torch.exp(rate[:, None] * delta)
            growth = g.real.square() + g.imag.square()
            total += (growth * self.start[part, None] - 2 * (g.conj() * self.cross[part]).real).sum(0)
        return (total.clamp_min(0) / self.power.clamp_min(1e-300)).sqrt()


def fit_modes(
    moments: Moments, delta: Tensor, starts: Sequence[tuple[Tensor, Tensor]] = (), bound: float = LARGEST_EXPONENT
) -> tuple[Tensor, Tensor]:
    """The alpha and beta of every mode that follow the trajectories best.

    Complex least squares: each mode minimises sum_t v_t sum_seeds |w(t) - e^(lambda d_t) w(T)|^2 over
    lambda = alpha - i beta, with v_t = 1 / (the entry's energy at t), so that every time counts as it does in the
    relative error. It starts from the best of a log-ratio regression (ln of the mean complex gain against d, the phase
    unwrapped along the path, weighted by the squared gain), of 0 and of `starts`, and takes damped Gauss-Newton steps:
    the fit is never worse than any of its starts in the weighted sum, though it may be a local minimum. It is made on
    the trajectories that it is judged by, so it flatters: other trajectories would be followed less well.

    Args:
        moments: of one entry.
        delta: (n,) times tau - 1.
        starts: more (alpha, beta) to start from.
        bound: on |alpha|.

    Returns:
        alpha, beta: (N,) float64.
    """
    found = []
    weight = torch.where(moments.power > 0, 1 / moments.power.clamp_min(1e-300), 0)
    weight = weight / weight.max().clamp_min(1e-300)
    flat = [(a.double().flatten(), b.double().flatten()) for a, b in starts]
    for low in range(0, len(moments.start), MODES_AT_ONCE):
        part = slice(low, low + MODES_AT_ONCE)
        energy = moments.start[part, None]
        gain = torch.where(energy > 0, moments.cross[part] / torch.where(energy > 0, energy, 1), 0)
        tries = [_log_ratio(gain, weight, delta), torch.zeros_like(gain[:, 0])]
        tries += [torch.complex(a[part], -b[part]) for a, b in flat]
        rates = torch.stack([_bounded(rate, bound) for rate in tries])
        best = torch.stack([_cost(rate, gain, weight, delta) for rate in rates]).argmin(0)
        found.append(_gauss_newton(rates.gather(0, best[None])[0], gain, weight, delta, bound))
    rate = torch.cat(found)
    return rate.real, -rate.imag


def _log_ratio(gain: Tensor, weight: Tensor, delta: Tensor) -> Tensor:
    """ln gain = lambda delta by weighted least squares through the origin, (N,) complex."""
    size = gain.abs().clamp_min(1e-12)
    turn = torch.angle(gain[:, 1:] * gain[:, :-1].conj()).cumsum(1)
    phase = torch.angle(gain[:, :1]) + torch.cat([torch.zeros_like(gain.real[:, :1]), turn], 1)
    w = weight * size.square()
    below = (w * delta.square()).sum(1).clamp_min(1e-300)
    return torch.complex((w * delta * size.log()).sum(1) / below, (w * delta * phase).sum(1) / below)


def _cost(rate: Tensor, gain: Tensor, weight: Tensor, delta: Tensor) -> Tensor:
    """sum_t v_t |gain - e^(rate delta)|^2, (N,)."""
    e = gain - torch.exp(rate[:, None] * delta)
    return (weight * (e.real.square() + e.imag.square())).sum(1)


def _gauss_newton(rate: Tensor, gain: Tensor, weight: Tensor, delta: Tensor, bound: float) -> Tensor:
    """Refine (N,) rates by damped Gauss-Newton; a mode that has settled is left alone."""
    rate, best = rate.clone(), _cost(rate, gain, weight, delta)
    step = torch.ones_like(best)
    enough = SETTLED_GAIN * (weight * gain.abs().square()).sum(1)
    moving = torch.arange(len(rate))
    for _ in range(FIT_ROUNDS):
        r, y = rate[moving], gain[moving]
        g = torch.exp(r[:, None] * delta)
        slope = delta * g  # d g / d rate: holomorphic, so one complex unknown a mode
        above = (weight * slope.conj() * (y - g)).sum(1)
        below = (weight * (slope.real.square() + slope.imag.square())).sum(1).clamp_min(1e-300)
        r = _bounded(r + step[moving] * above / below, bound)
        won = best[moving] - _cost(r, y, weight, delta)
        better = won > 0
        rate[moving[better]] = r[better]
        best[moving] -= won.clamp_min(0)
        step[moving] = torch.where(better, (2 * step[moving]).clamp_max(1), step[moving] / 4)
        moving = moving[torch.where(better, won > enough[moving], step[moving] > 1e-3)]
        if len(moving) == 0:
            break
    return rate


def _bounded(rate: Tensor, bound: float) -> Tensor:
    return torch.complex(rate.real.clamp(-bound, bound), rate.imag)


@dataclass(frozen=True)
class Linearity:
    """How far the evolved E(x_T) is from E(x_t); L levels, n times, index 0 = T, B trajectories.

    Attributes:
        names: the L levels.
        tau: (n,) times.
        errors: by operator ("learned", "identity", "fitted"), (L, n): the root of the squared distance over the
            squared norm of E(x_t), both summed over trajectories. 0 = linear, 1 = no better than predicting 0.
        differences: the same of what differs between the trajectories, the mean over them taken off everything: 1 = no
            better than predicting that mean. NaN where nothing differs; None for one trajectory.
        common: (L, n) share of the latents' energy that all trajectories have in common, estimated without the bias of
            few; None for one.
        spread: (L, n) standard deviation over trajectories of the learned operator's relative error.
        fitted: the spectrum of the best fit.
        mse: by operator, (n,) between D(E(x_t)) and D(evolved E(x_T)); None if not asked for.
        lpips: likewise; None without a distance.
    """

    names: tuple[str, ...]
    tau: Tensor
    errors: dict[str, Tensor]
    differences: dict[str, Tensor] | None
    common: Tensor | None
    spread: Tensor
    fitted: tuple[SpectrumEntry, ...]
    mse: dict[str, Tensor] | None
    lpips: dict[str, Tensor] | None


@torch.no_grad()
def measure_linearity(
    model: KoopmanDiffusion,
    states: Tensor,
    sigmas: Tensor,
    labels: Tensor | None = None,
    *,
    decoded: bool = True,
    perceptual: Callable[[Tensor, Tensor], Tensor] | None = None,
    progress: Progress = None,
) -> Linearity:
    """Relative error |E(x_t) - e^((tau_t - 1) A) E(x_T)| / |E(x_t)| by level and time, and of the pictures.

    Args:
        model: anything with `encode`, `decode`, `tau`, `spectrum` and `koopman`.
        states: (B, n, C, H, W) of `teacher_states`.
        sigmas: (n,) their levels, the first sigma_max.
        labels: (B,) int64 or None.
        decoded: measure the pictures too (a second pass: encodes again, decodes four times).
        perceptual: LPIPS of two picture batches; None leaves it out.
        progress: called with (share done, what); may raise to stop.
    """
    entries, tau = acting(model), model.tau(sigmas)
    delta, n = tau - tau[0], len(sigmas)
    total = n * -(-len(states) // FIT_BATCH) * (1 + decoded)
    done = 0

    def walk(what: str):
        """Every batch and level: (rows, level, labels, E(x_T), E(x_t))."""
        nonlocal done
        for low in range(0, len(states), FIT_BATCH):
            rows = slice(low, low + FIT_BATCH)
            y = None if labels is None else labels[rows]
            first: list[Tensor] = []
            for t in range(n):
                z = model.encode(states[rows, t], float(sigmas[t]), y)
                first = first or z  # the levels fall from T
                yield rows, t, y, first, z
                done += 1
                tell(progress, done / total, what)

    sums = [Moments.empty(e.alpha.numel(), n) for e in entries]
    single = torch.zeros(len(entries), n, len(states), dtype=torch.float64)
    for rows, t, _, first, z in walk("latents along the trajectories"):
        for level, (evolved, now) in enumerate(zip(evolve_with(first, entries, float(delta[t])), z, strict=True)):
            sums[level].add(t, as_complex(now), as_complex(first[level]))
            norm = now.double().flatten(1).norm(dim=1)
            single[level, t, rows] = (evolved - now).double().flatten(1).norm(dim=1) / norm.clamp_min(1e-300)
    fitted = []
    for moments, e in zip(sums, entries, strict=True):
        alpha, beta = (v.view(e.alpha.shape).float() for v in fit_modes(moments, delta, [(e.alpha, e.beta)]))
        fitted.append(replace(e, alpha=alpha, beta=beta))
    still = [replace(e, alpha=torch.zeros_like(e.alpha), beta=torch.zeros_like(e.beta)) for e in entries]
    spectra = dict(zip(OPERATORS, (entries, still, fitted), strict=True))

    def judged(by: Sequence[Moments]) -> dict[str, Tensor]:
        return {
            name: torch.stack([m.error(e.alpha, e.beta, delta) for m, e in zip(by, of, strict=True)])
            for name, of in spectra.items()
        }

    errors, differences, common = judged(sums), None, None
    if len(states) > 1:
        apart = [m.about_the_mean(len(states)) for m in sums]
        left = torch.stack([a.power / m.power.clamp_min(1e-300) for a, m in zip(apart, sums, strict=True)])
        differences = {name: e.where(left > NOTHING, torch.nan) for name, e in judged(apart).items()}
        # of few trajectories the mean holds some of what differs, too: n / (n - 1) takes it out again
        common = (1 - left * len(states) / (len(states) - 1)).clamp_min(0)
    mse = {name: torch.zeros(n).double() for name in OPERATORS} if decoded else None
    lpips = {name: torch.zeros(n).double() for name in OPERATORS} if decoded and perceptual else None
    if decoded:
        for _, t, y, first, z in walk("pictures along the trajectories"):
            target = model.decode(z, y).clamp(-1, 1)
            for name, of in spectra.items():
                picture = model.decode(evolve_with(first, of, float(delta[t])), y).nan_to_num().clamp(-1, 1)
                assert mse is not None
                mse[name][t] += metrics.mse(picture, target).sum() / len(states)
                if lpips is not None and perceptual is not None:
                    lpips[name][t] += perceptual(picture, target).double().sum() / len(states)
    spread = single.std(-1) if len(states) > 1 else torch.full(single.shape[:2], torch.nan, dtype=torch.float64)
    return Linearity(
        tuple(e.name for e in entries), tau, errors, differences, common, spread, tuple(fitted), mse, lpips
    )
