"""Alanine dipeptide: its dihedral angles (phi, psi) as a series on the torus, and what to measure on such series.

Angles are radians in [-pi, pi), arrays (runs, frames, 2), phi first. The data are 2 x 10 ns of our own simulation, see
assets/data/alanine.json; a compact copy ships, the original is looked for below the folder that KOOPMAN_DATA names.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow_core.series.scores import wrap
from foundation.files.locations import ASSETS, DataError, provided
from foundation.mistakes import Mistake

SHIPPED = ASSETS / "data" / "alanine.npz"
PROVIDED_ANGLES = "alanine_dipeptide/dihedrals.npz"
CODES = 2**16  # the shipped int16 angle k stands for 2 pi k / CODES: rounding of at most 0.0028 degrees
ANGLE_BINS = 36  # of the Ramachandran histogram along each angle: 10 degrees
STATES = ("extended", "alpha", "left")
# A partition of the torus, borders in degrees, along the minima of the density of psi (near -120 and 75)
ALPHA_PSI, LEFT_PHI = (-120.0, 75.0), (0.0, 120.0)
# Cores: the inner part of each state. A transition counts when the core of another state is reached, so that shaking
# on a border is none (milestoning; Schütte et al. 2011)
ALPHA_CORE_PSI, EXTENDED_CORE_PSI, LEFT_CORE_PHI = (-75.0, 30.0), (105.0, 195.0), (30.0, 90.0)


@dataclass(frozen=True)
class Dihedrals:
    """Angles of one or more runs.

    Attributes:
        angles: float32 (runs, frames, 2), phi and psi, radians.
        dt_ps: time between frames, picoseconds.
        licence: a sentence about origin and right of use.
    """

    angles: np.ndarray
    dt_ps: float
    licence: str


def load(path: str | Path | None = None) -> Dihedrals:
    """The dihedral angles.

    Args:
        path: an .npz file with phi_psi (runs, frames, 2) in radians and dt_ps, as `flow_core.series.simulate_alanine`
            writes it, or a shipped one; without it the file below KOOPMAN_DATA, else the copy in assets/data/.

    Raises:
        DataError: missing or damaged file.
    """
    path = Path(path).expanduser() if path else provided(PROVIDED_ANGLES) or SHIPPED
    angles, dt_ps = read_angles(path)
    card = json.loads(SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))
    own = hashlib.sha256(path.read_bytes()).hexdigest() in (card["sha256"], card["source_sha256"])
    foreign = "Dihedral angles from a file of the user's; their owner's terms apply."
    return Dihedrals(angles, dt_ps, card["licence"] if own else foreign)


def read_angles(path: Path) -> tuple[np.ndarray, float]:
    """phi_psi as float32 radians (runs, frames, 2) and dt_ps of a file in radians or in the int16 codes that ship."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            angles, dt_ps = archive["phi_psi"], float(archive["dt_ps"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as dihedral angles ({error}); it needs phi_psi (runs, frames, 2) and dt_ps.", "file"
        ) from error
    if angles.dtype == np.int16:
        angles = decode(angles)
    sane = angles.ndim == 3 and angles.shape[2] == 2 and angles.shape[1] >= 2 and angles.dtype.kind == "f"
    if not sane or not np.isfinite(angles).all() or np.abs(angles).max() > 2 * math.pi or not dt_ps > 0:
        raise DataError(f"{path} does not hold (runs, frames, 2) angles in radians at a positive time step.", "phi_psi")
    return wrap(angles.astype(np.float64)).astype(np.float32), dt_ps


def encode(angles: np.ndarray) -> np.ndarray:
    """Radians to int16 codes: the nearest of 65,536 angles."""
    codes = np.rint(np.asarray(angles, np.float64) * (CODES / (2 * math.pi))).astype(np.int64)
    return ((codes + CODES // 2) % CODES - CODES // 2).astype(np.int16)


def decode(codes: np.ndarray) -> np.ndarray:
    """int16 codes to float64 radians in [-pi, pi)."""
    return codes * (2 * math.pi / CODES)


# -----------------------------------------------------------------------------------------------------------
# Agreement of two series, frame by frame


def circular_mae(a, b) -> np.ndarray:
    """Mean |a - b| the short way round over all but the last axis, degrees: (..., D) each, gives (D,)."""
    return np.degrees(_over_frames(np.abs(wrap(np.asarray(a, np.float64) - np.asarray(b, np.float64)))))


def circular_rmse(a, b) -> np.ndarray:
    """Root of the mean squared difference the short way round, degrees: (..., D) each, gives (D,)."""
    return np.degrees(np.sqrt(_over_frames(wrap(np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)))


def _over_frames(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1]).mean(0)


def circular_correlation(a, b) -> np.ndarray:
    """Circular correlation of Jammalamadaka and SenGupta (2001).

        sum sin(a - mean a) sin(b - mean b) / sqrt(sum sin(a - mean a)^2 sum sin(b - mean b)^2)

    Args:
        a, b: (..., D) radians.

    Returns:
        float64 (D,) in [-1, 1]; NaN where a series never moves.
    """
    a, b = (np.asarray(x, np.float64).reshape(-1, np.shape(x)[-1]) for x in (a, b))
    a, b = (np.sin(x - np.arctan2(np.sin(x).sum(0), np.cos(x).sum(0))) for x in (a, b))
    size = np.sqrt((a * a).sum(0) * (b * b).sum(0))
    return np.divide((a * b).sum(0), size, out=np.full(len(size), np.nan), where=size > 0)


# -----------------------------------------------------------------------------------------------------------
# Statistics of one series


def ramachandran(angles, bins: int = ANGLE_BINS) -> np.ndarray:
    """Share of the frames in each cell of a bins x bins grid on the torus, first index phi.

    To be compared by `series_metrics.jensen_shannon`, always beside its value between two parts of the real data: it
    grows with the number of bins and falls with the number of frames.

    Args:
        angles: (..., 2) radians.
        bins: along each angle, from -pi.
    """
    if bins < 1:
        raise Mistake("A histogram needs at least one bin.", "bins")
    cells = np.floor((wrap(np.asarray(angles, np.float64)) + math.pi) * (bins / (2 * math.pi))).astype(np.int64) % bins
    counts = np.bincount((cells[..., 0] * bins + cells[..., 1]).ravel(), minlength=bins * bins)
    return counts.reshape(bins, bins) / counts.sum()


def autocorrelation(angles, lags: int) -> np.ndarray:
    """Autocorrelation of the unit vector u = (cos, sin) of each angle: <du(t) . du(t + lag)> / <du . du>, du = u - <u>.

    Args:
        angles: (runs, frames, D) radians; the mean is over all runs, products stay inside a run.
        lags: highest lag, below the number of frames.

    Returns:
        float64 (lags + 1, D), 1 at lag 0; a turn of the origin of an angle changes nothing.
    """
    angles = np.asarray(angles, np.float64)
    frames = angles.shape[1]
    if angles.ndim != 3 or not 0 <= lags < frames:
        raise Mistake(f"Angles (runs, frames, D) and a lag from 0 to {frames - 1} are needed.", "lag")
    u = np.stack([np.cos(angles), np.sin(angles)])
    u = u - u.mean((1, 2), keepdims=True)
    product = [(u[:, :, : frames - k] * u[:, :, k:]).sum(0).mean((0, 1)) for k in range(lags + 1)]
    return np.stack(product) / product[0]


def states(angles) -> np.ndarray:
    """Metastable state of each frame by the partition of the torus: (..., 2) radians, gives int64, see `STATES`."""
    phi, psi = np.moveaxis(np.degrees(wrap(np.asarray(angles, np.float64))), -1, 0)
    alpha = _between(psi, ALPHA_PSI)
    return np.where(_between(phi, LEFT_PHI), 2, np.where(alpha, 1, 0))


def core_states(angles) -> np.ndarray:
    """The core visited last, int64 (runs, frames): `states` without the shaking on the borders.

    Before its first core a run counts as in the state of its first frame.
    """
    angles = np.asarray(angles, np.float64)
    phi, psi = np.moveaxis(np.degrees(wrap(angles)), -1, 0)
    left, partition = _between(phi, LEFT_CORE_PHI), states(angles)
    label = np.full(phi.shape, -1)
    label[(partition == 0) & _between(psi, EXTENDED_CORE_PSI)] = 0
    label[(partition == 1) & _between(psi, ALPHA_CORE_PSI)] = 1
    label[left] = 2
    label[:, 0] = np.where(label[:, 0] < 0, partition[:, 0], label[:, 0])
    last = np.maximum.accumulate(np.where(label >= 0, np.arange(label.shape[1]), 0), axis=1)
    return np.take_along_axis(label, last, 1)


def _between(angle: np.ndarray, borders: tuple[float, float]) -> np.ndarray:
    """Whether an angle lies in [low, high), degrees, going up from low round the circle."""
    low, high = borders
    return (angle - low) % 360 < high - low


@dataclass(frozen=True)
class Kinetics:
    """How a series moves between states.

    Attributes:
        populations: (S,) share of the frames.
        counts: int64 (S, S) transitions from row to column, zero on the diagonal.
        rates: (S, S) counts over the time spent in the row's state, per nanosecond; NaN where no time was spent.
    """

    populations: np.ndarray
    counts: np.ndarray
    rates: np.ndarray


def kinetics(labels, dt_ps: float, n_states: int = len(STATES)) -> Kinetics:
    """Populations, transition counts and rates.

    Args:
        labels: (runs, frames) states, `core_states` for rates that do not count shaking.
        dt_ps: time between frames, picoseconds.
        n_states: how many states there are.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.min() < 0 or labels.max() >= n_states or not dt_ps > 0:
        raise Mistake(f"Labels (runs, frames) from 0 to {n_states - 1} and a positive time step are needed.", "labels")
    counts = np.zeros((n_states, n_states), np.int64)
    np.add.at(counts, (labels[:, :-1], labels[:, 1:]), 1)
    spent = counts.sum(1, keepdims=True) * dt_ps / 1000  # time from a frame to the next belongs to the first
    np.fill_diagonal(counts, 0)
    rates = np.divide(counts, spent, out=np.full(counts.shape, np.nan), where=spent > 0)
    return Kinetics(np.bincount(labels.ravel(), minlength=n_states) / labels.size, counts, rates)
