"""A measured curve over several seeds as CSV: at every place its mean and the 95 % interval of that mean."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis.core.errors import UserError
from analysis.core.progress import Report, part
from analysis.flow.image_sweeps import PictureSweepResult
from analysis.koopman.spectrum import band_names
from analysis.workbench.editing import EditRequest
from analysis.workbench.effects import EffectRequest
from analysis.workbench.images import TrajectoryRequest
from analysis.workbench.workbench import Workbench
from foundation.metrics.statistics import mean_interval
from foundation.randomness import MAX_SEED

MAX_BATCH = 64  # seeds
CURVE_RATIOS = (0.2, 0.4, 0.6, 0.8, 1.0)  # of an edit's curve


def consecutive(seed: int, count: int) -> tuple[int, ...]:
    """So many seeds from this one on.

    Raises:
        UserError: fewer than two, more than `MAX_BATCH`, or beyond the last seed.
    """
    if not isinstance(count, int) or not 2 <= count <= MAX_BATCH or seed > MAX_SEED + 1 - count:
        raise UserError(f"An interval needs 2 to {MAX_BATCH} seeds, and none beyond {MAX_SEED}.", "seeds")
    return tuple(range(seed, seed + count))


def curves_csv(curves: Mapping[str, np.ndarray], places: Mapping[str, np.ndarray]) -> str:
    """One line a curve and place: curve, the place, seeds, mean, low, high (Student's interval of the mean).

    Args:
        curves: by name (seeds, n).
        places: by name (n,): what the curves are over.

    Raises:
        ValueError: curves of another length than their places.
    """
    if {c.shape[1] for c in curves.values()} != {len(p) for p in places.values()}:
        raise ValueError("Curves and their places must be of one length.")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["curve", *places, "seeds", "mean", "low", "high"])
    for name, values in curves.items():
        for k, column in enumerate(values.T):
            found = mean_interval(column.tolist())
            numbers = (*(p[k] for p in places.values()), found.value, found.low, found.high)
            said = [f"{float(v):.9g}" for v in numbers]
            writer.writerow([name, *said[:-3], len(column), *said[-3:]])
    return out.getvalue()


def path_csv(bench: Workbench, request: TrajectoryRequest, count: int, report: Report | None = None) -> str:
    """The Koopman path's distance to the teacher's denoised state, by noise level, over seeds from the request's on.

    Raises:
        UserError: no teacher, or too few or too many seeds.
    """
    seeds, found = consecutive(request.seed, count), []
    for k, seed in enumerate(seeds):
        found.append(bench.trajectory(replace(request, seed=seed), part(report, k / count, (k + 1) / count)))
        if found[0].mse is None:
            raise UserError("This model has no teacher to compare with: choose another curve.", "teacher")
    curves = {name: [getattr(r, name) for r in found] for name in ("mse", "lpips")}
    there = {name: np.stack(values) for name, values in curves.items() if values[0] is not None}
    return curves_csv(there, {"sigma": found[0].sigma, "tau": found[0].tau})


def effect_csv(bench: Workbench, request: EffectRequest, count: int, report: Report | None = None) -> str:
    """What every band and every level has added by any time, over seeds from the request's first on.

    Raises:
        UserError: too few or too many seeds.
    """
    seeds, found = consecutive(request.seeds[0], count), []
    for k, seed in enumerate(seeds):
        if report is not None:
            report(k / count, f"seed {seed}")
        found.append(bench.cumulative_effect(replace(request, seeds=(seed,), decoded_times=0)))
    names = (*band_names(len(found[0].bands), request.order), *found[0].names)
    shares = np.stack([np.concatenate([r.bands, r.levels]) for r in found])
    curves = {name: shares[:, k] for k, name in enumerate(names)}
    return curves_csv(curves, {"tau": found[0].tau, "sigma": found[0].sigma})


def mix_csv(bench: Workbench, request: EditRequest, count: int, report: Report | None = None) -> str:
    """Layout moved and detail shared by an edit and by its control, by mixing ratio, over seeds from the request's on.

    Raises:
        UserError: too few or too many seeds.
    """
    seeds, found = consecutive(request.seed, count), []
    for k, seed in enumerate(seeds):
        if report is not None:
            report(k / count, f"seed {seed}")
        found.append([bench.edit(replace(request, seed=seed, ratio=ratio)) for ratio in CURVE_RATIOS])
    curves = {
        f"{who}, {what}": np.array([[getattr(getattr(r, part), field) for r in row] for row in found], np.float64)
        for who, part in (("chosen bands", "numbers"), ("control", "numbers_control"))
        for what, field in (("layout moved", "low_distance"), ("detail shared", "high_correlation"))
    }
    return curves_csv(curves, {"ratio": np.array(CURVE_RATIOS)})


def calls_csv(result: PictureSweepResult, names: Sequence[str]) -> str:
    """The distance of every setting to its net's exact flow, by network calls, over the sweep's seeds.

    Args:
        result: of the sweep.
        names: of the settings.
    """
    curves = {f"{name}, {result.measure}": result.distance[s].T for s, name in enumerate(names)}
    return curves_csv(curves, {"calls": result.nfes})
