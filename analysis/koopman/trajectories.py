"""Trajectories of any system by DMD: eigenvalues with intervals, held-out errors, what to mistrust.

    states = open_states("activations.npz")          # (trajectories, times, features)
    found = study(states, rank=8)

Bring the activations of a network, the path of a flow, the hidden states of a transformer. States are seen through the
leading singular vectors of the training snapshots, found from their Gram matrix, so many features cost little: DMD of
those coordinates has the very eigenvalues of exact DMD (Tu et al. 2014) of the states. Where states are noisy, which
damps the eigenvalues of exact DMD, `method="optimised"` fits whole trajectories at once.
"""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.progress import Progress, tell
from analysis.koopman.linearity import DMD, exact_dmd
from analysis.koopman.optimised_dmd import optimised_dmd
from foundation.metrics.statistics import CONFIDENCE

DMD_METHODS = ("exact", "optimised")
EXAMPLE_RATES = (-0.3 + 4.0j, -0.3 - 4.0j, -0.1 + 1.5j, -0.1 - 1.5j)
MAX_SNAPSHOT_NUMBERS = 2**26  # 512 MB in float64
VISITOR_BYTES, VISITOR_UNPACKED = 12 * 2**20, 64 * 2**20  # of a file that a visitor brings
NEAR_ALIASING = 0.9  # of pi over the step
NEGLIGIBLE_SQUARED = 1e-10  # of the largest singular value squared


@dataclass(frozen=True)
class States:
    """Attributes: paths (B, n, N) float64; times (n,) float64, equally spaced."""

    paths: Tensor
    times: Tensor


def example_states(noise: float = 0.3, seed: int = 0) -> States:
    """Sixteen trajectories with the rates `EXAMPLE_RATES`, seen through a random map to twelve features and noise."""
    rng = np.random.default_rng(seed)
    times = np.linspace(0, 3, 31)
    upper = [rate for rate in EXAMPLE_RATES if rate.imag > 0]
    start = rng.normal(size=(16, 1, len(upper))) + 1j * rng.normal(size=(16, 1, len(upper)))
    z = start * np.exp(np.array(upper) * times[:, None])
    seen = np.concatenate([z.real, z.imag], -1) @ rng.normal(size=(2 * len(upper), 12))
    return checked_states(seen + noise * rng.normal(size=seen.shape), times)


def open_states(source: str | Path | bytes | BinaryIO, most: int = 8 * MAX_SNAPSHOT_NUMBERS) -> States:
    """Trajectories from an NPZ with `states` (trajectories, times, features ...) and perhaps `times` (times,).

    Further axes are flattened into the features. Without `times` steps are 1.

    Args:
        source: a file, or what is in one.
        most: bytes that the unpacked arrays may have; looked at before anything is unpacked.

    Raises:
        UserError: no such file, no numbers, too many, unequal or repeated times, or values that are not finite.
    """
    data = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with zipfile.ZipFile(data) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > most:
                raise UserError(
                    f"The arrays have more than {most // 2**20} MB: take fewer trajectories or features.", "states"
                )
        with np.load(data, allow_pickle=False) as archive:
            if "states" not in archive.files:
                raise UserError(
                    'The file has no array "states": save (trajectories, times, features) by that name.', "states"
                )
            states = archive["states"]
            times = archive["times"] if "times" in archive.files else None
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as e:
        if isinstance(e, UserError):
            raise
        raise UserError("The states cannot be read: save them with numpy.savez, as numbers.", "states") from None
    return checked_states(states, times)


def visitor_states(data: bytes) -> States:
    """`open_states` of what a visitor brings, who may not bring more than a server has room for.

    Raises:
        UserError: as `open_states`, or a file of more than 12 MB, or of 64 MB unpacked.
    """
    if len(data) > VISITOR_BYTES:
        raise UserError(
            f"The file has more than {VISITOR_BYTES // 2**20} MB: take fewer trajectories or features.", "npz"
        )
    return open_states(data, VISITOR_UNPACKED)


def checked_states(states: np.ndarray, times: np.ndarray | None = None) -> States:
    """The same from arrays. Raises UserError."""
    if states.dtype.kind not in "fiu" or states.ndim < 3 or min(states.shape) < 1:
        raise UserError("The states must be numbers of the shape (trajectories, times, features).", "states")
    if states.size > MAX_SNAPSHOT_NUMBERS:
        raise UserError(
            f"There are more than {MAX_SNAPSHOT_NUMBERS:,} numbers: take fewer trajectories or features.", "states"
        )
    paths = torch.from_numpy(states.reshape(*states.shape[:2], -1).astype(np.float64))
    n = paths.shape[1]
    if n < 3:
        raise UserError("Give three or more times of every trajectory.", "states")
    if not bool(torch.isfinite(paths).all()):
        raise UserError("The states must be finite numbers.", "states")
    if times is None:
        return States(paths, torch.arange(n, dtype=torch.float64))
    if times.dtype.kind not in "fiu" or times.shape != (n,):
        raise UserError("The times must be as many numbers as each trajectory has states.", "times")
    at = torch.from_numpy(times.astype(np.float64))
    steps = at.diff()
    uneven = float((steps - steps.mean()).abs().max()) > 1e-6 * float(steps.abs().max())
    if uneven or not bool(torch.isfinite(at).all()):
        raise UserError("The times must be equally spaced: interpolate the states first.", "times")
    if float(steps.mean()) == 0:
        raise UserError("The times must differ.", "times")
    return States(paths, at)


@dataclass(frozen=True)
class Study:
    """What DMD says; r modes, n times, B trajectories of which some were held out.

    Attributes:
        alpha, beta: (r,) eigenvalues alpha + i beta per unit of time, the strongest first.
        alpha_low, alpha_high, beta_low, beta_high: (r,) 95 % bootstrap intervals over training trajectories, modes of a
            resample matched to the modes here at the least total distance; NaN for one trajectory.
        amplitude: (r,) mean over trajectories at the start.
        captured: share of the training snapshots' energy in the singular vectors kept.
        singular: (s,) singular values of the training snapshots, largest first.
        held_out: numbers of the trajectories that nothing was fitted to; those of the fit where there was one only.
        errors: by predictor, (n,) relative error on them, |x(t) - prediction| / |x(t)| over all of them, from their
            first state on: "dense" (DMD), "diagonal" (each singular coordinate by itself), "identity" (x(t) = x(0)),
            "best" (what no operator on these singular vectors can go below).
        step: of the times; largest = pi / |step|, beyond which frequencies fold back.
        remarks: what to mistrust, one sentence each.
    """

    alpha: np.ndarray
    beta: np.ndarray
    alpha_low: np.ndarray
    alpha_high: np.ndarray
    beta_low: np.ndarray
    beta_high: np.ndarray
    amplitude: np.ndarray
    captured: float
    singular: np.ndarray
    held_out: tuple[int, ...]
    errors: dict[str, np.ndarray]
    step: float
    largest: float
    remarks: tuple[str, ...]


def singular_basis(snapshots: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Leading left singular vectors and all singular values of (N, m) snapshots, by the smaller Gram matrix.

    Args:
        snapshots: (N, m) float64, not all zero.
        rank: how many vectors at most.

    Returns:
        (N, r) orthonormal, and (min(N, m),) falling; of the latter those below 1e-5 of the first are rounding.
    """
    tall = snapshots.shape[0] > snapshots.shape[1]
    squares, vectors = torch.linalg.eigh(snapshots.T @ snapshots if tall else snapshots @ snapshots.T)
    squares, vectors = squares.flip(0).clamp_min(0), vectors.flip(1)
    r = min(rank, int((squares > NEGLIGIBLE_SQUARED * squares[0]).sum()))
    if not tall:
        return vectors[:, :r], squares.sqrt()
    # once more orthonormal: dividing by small singular values lets rounding in
    return torch.linalg.qr(snapshots @ (vectors[:, :r] / squares[:r].sqrt()))[0], squares.sqrt()


def propagate(dmd: DMD, start: Tensor, elapsed: Tensor) -> Tensor:
    """States by the modes of a DMD, from (B, r) at 0 to (B, n, r) at the elapsed times."""
    weights = torch.linalg.lstsq(dmd.modes, start.T.to(dmd.modes.dtype)).solution  # (modes, B)
    grown = torch.exp(dmd.eigenvalues[None] * elapsed[:, None])
    return torch.einsum("rk,nk,kb->bnr", dmd.modes, grown, weights).real


def study(
    states: States, rank: int = 8, held_out: float = 0.25, draws: int = 200, seed: int = 0, progress: Progress = None,
    method: str = "exact",
) -> Study:  # fmt: skip
    """DMD of some trajectories, judged by the others.

    Args:
        states: of `open_states`.
        rank: singular vectors at most.
        held_out: share of the trajectories that is left out of the fit, in [0, 0.9]; at least one of two or more,
            drawn at random.
        draws: bootstrap resamples.
        seed: of both.
        progress: called with (share done, what); may raise to stop.
        method: of `DMD_METHODS`: each state from the one before, or whole trajectories at once.

    Raises:
        UserError: a rank, share or number of draws out of range, another method, or states that are zero.
    """
    if method not in DMD_METHODS:
        raise UserError(f"The method must be one of {', '.join(DMD_METHODS)}.", "method")
    if not 1 <= rank <= 256 or not 0 <= held_out <= 0.9 or not 10 <= draws <= 10_000:
        raise UserError("Use a rank of 1 to 256, a held-out share of 0 to 0.9, and 10 to 10,000 resamples.", "rank")
    paths, times = states.paths, states.times
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(paths), generator=generator)
    out = min(len(paths) - 1, max(1, round(held_out * len(paths)))) if held_out > 0 else 0
    test, fit = sorted(order[:out].tolist()), sorted(order[out:].tolist())
    known = paths[fit]
    if not bool(known[:, :-1].any()):
        raise UserError("The states that are fitted are all zero.", "states")
    basis, singular = singular_basis(known[:, :-1].flatten(0, 1).T, rank)
    small = known @ basis
    dmd = (optimised_dmd if method == "optimised" else exact_dmd)(small, times, basis.shape[1])
    spread = _resampled(small, times, dmd, draws, generator, progress, method)
    judged = paths[test or fit]
    step = float(times.diff().mean())
    remarks = _remarks(known, dmd, spread, step, basis.shape[1], rank, len(test))
    ends = np.full((2, 2, len(dmd.eigenvalues)), np.nan)
    if spread is not None:
        tail = (1 - CONFIDENCE) / 2
        ends = np.stack([np.nanquantile(part, [tail, 1 - tail], axis=0) for part in (spread.real, spread.imag)])
    rates = dmd.eigenvalues.numpy()
    kept = singular[: basis.shape[1]].square().sum() / singular.square().sum()
    return Study(
        rates.real.copy(), rates.imag.copy(), ends[0, 0], ends[0, 1], ends[1, 0], ends[1, 1], dmd.amplitude.numpy(),
        float(kept), singular.numpy(), tuple(test), _errors(judged, basis, small, dmd, times), step,
        math.pi / abs(step), tuple(remarks),
    )  # fmt: skip


def _resampled(
    small: Tensor, times: Tensor, dmd: DMD, draws: int, generator: torch.Generator, progress: Progress, method: str
) -> np.ndarray | None:
    """(draws, r) eigenvalues of resamples of whole trajectories, matched to those of all; None for one trajectory.

    A resample may have fewer eigenvalues: what is missing is NaN.
    """
    count, wanted = len(small), dmd.eigenvalues.numpy()
    if count < 2 or len(wanted) == 0:
        return None
    out = np.full((draws, len(wanted)), np.nan + 1j * np.nan)
    for i in range(draws):
        rows = torch.randint(count, (count,), generator=generator)
        if method == "optimised":
            again = optimised_dmd(small[rows], times, small.shape[2], dmd.eigenvalues)
        else:
            again = exact_dmd(small[rows], times, small.shape[2])
        found = again.eigenvalues.numpy()
        if len(found):
            from scipy.optimize import linear_sum_assignment  # only here: the page opens without scipy

            mine, theirs = linear_sum_assignment(np.abs(wanted[:, None] - found[None]))
            out[i, mine] = found[theirs]
        tell(progress, (i + 1) / draws, "resampled eigenvalues")
    return out


def _errors(judged: Tensor, basis: Tensor, small: Tensor, dmd: DMD, times: Tensor) -> dict[str, np.ndarray]:
    """Relative errors of all predictors on trajectories (B, n, N)."""
    seen = judged @ basis
    x, y = small[:, :-1].flatten(0, 1), small[:, 1:].flatten(0, 1)
    gain = (x * y).sum(0) / x.square().sum(0).clamp_min(1e-300)  # of every coordinate by itself
    powers = gain[None] ** torch.arange(len(times))[:, None]
    predicted = {
        "dense": propagate(dmd, seen[:, 0], times - times[0]) @ basis.T,
        "diagonal": (seen[:, :1] * powers) @ basis.T,
        "identity": judged[:, :1].expand_as(judged),
        "best": seen @ basis.T,
    }
    norm = judged.square().sum((0, 2)).clamp_min(1e-300)
    return {name: ((p - judged).square().sum((0, 2)) / norm).sqrt().numpy() for name, p in predicted.items()}


def _remarks(
    known: Tensor, dmd: DMD, spread: np.ndarray | None, step: float, used: int, rank: int, tested: int
) -> list[str]:
    """What a reader has to know before believing the eigenvalues."""
    out, largest = [], math.pi / abs(step)
    rates = dmd.eigenvalues
    flat = known.flatten(1)
    same = int((torch.cdist(flat, flat).fill_diagonal_(math.inf).amin(1) == 0).sum()) if len(known) > 1 else 0
    if same:
        out.append(f"{same} trajectories are there more than once: intervals are too narrow.")
    if used < rank:
        out.append(f"The snapshots have rank {used}, not {rank}: there are no more modes than that.")
    if used >= known.shape[0] * (known.shape[1] - 1):
        out.append("There are as many modes as snapshots: the fit is exact whatever the dynamics are.")
    negative = int((rates.imag.abs() > largest * (1 - 1e-6)).sum())
    if negative:
        out.append(
            f"{negative} eigenvalues of one step are negative: they flip sign at every step, as a continuous rate does "
            f"only at the largest frequency {largest:.3g}."
        )
    near = int((rates.imag.abs() > NEAR_ALIASING * largest).sum()) - negative
    if near:
        out.append(
            f"{near} frequencies lie above {NEAR_ALIASING:.0%} of the largest that this step can tell ({largest:.3g}): "
            "they may be faster ones folded back. Take smaller steps."
        )
    repeated = _repeated(rates, spread)
    if repeated:
        out.append(f"{repeated} pairs of eigenvalues are not told apart: their modes are any mixture of each other's.")
    if tested == 0:
        out.append("Nothing was held out: errors are of the very trajectories that were fitted.")
    if len(known) == 1:
        out.append("One trajectory was fitted: there are no intervals.")
    return out


def _repeated(rates: Tensor, spread: np.ndarray | None) -> int:
    """Neighbouring eigenvalues that are closer than twice the deviation of their difference; conjugates apart."""
    values, count = rates.numpy(), 0
    width = np.full(len(values), 1e-8 * max(1.0, float(np.abs(values).max(initial=0))))
    if spread is not None and len(values):
        deviation = np.sqrt(np.nanvar(spread.real, axis=0) + np.nanvar(spread.imag, axis=0))
        width = np.maximum(width, np.nan_to_num(deviation))
    for i in range(len(values)):
        for j in range(i):
            conjugate = abs(values[i] - values[j].conjugate()) < 1e-8 * max(1.0, abs(values[i])) and values[i].imag != 0
            count += int(not conjugate and abs(values[i] - values[j]) < 2 * math.hypot(width[i], width[j]))
    return count
