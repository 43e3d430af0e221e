"""The published in-sample protocol of molecular dynamics, beside controls that tell memory from prediction.

There one trajectory is training and test, the network is told the number of every frame, and the rollout is compared
with the frames that it was trained on (docs/flow.md, "Time series"). Nothing of it is a forecast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.core.progress import Progress
from analysis.evaluate.tables.markdown import Verdict, cell, grid
from analysis.evaluate.tables.parts import Job, Outcome, part
from flow_core.series import alanine
from flow_core.series import model as series_model
from flow_core.series.model import SeriesModel
from flow_core.series.world import World
from flow_core.series.worlds import open_world
from foundation.files.checkpoints import CheckpointError

SHOWN_IN_SAMPLE_NFE = (3, 5)  # as the published rows say; their solver makes 40 calls a frame in both (docs/flow.md)
CONTROL_NFE = 3
SOLVER = "euler"
HELD_OUT_WORLD = "alanine"
# A picture of a table in the authors' repository, of another molecule (a poly-alanine whose data are not published):
# MAE and RMSE in degrees, circular correlation, each with its spread as printed there
PUBLISHED_ROWS = (
    ("SRNN", "82.6 ± 28", "91.9 ± 25", "0.10 ± 0.27"),
    ("DVAE", "78.1 ± 27", "88.1 ± 25", "0.30 ± 0.35"),
    ("NODE", "25.3 ± 6.3", "28.8 ± 6.2", "0.10 ± 0.41"),
    ("IDFF, NFE 3", "10.5 ± 1.1", "15.2 ± 2.6", "0.93 ± 0.06"),
    ("IDFF, NFE 5", "10.3 ± 1.3", "14.9 ± 2.7", "0.93 ± 0.05"),
)
TOLD_NUMBER, OTHER = "rollout, told each frame's number", "rollout, told the number of a frame half the trajectory away"
COPIED, LOOKED_UP, AHEAD = (
    "copy of the previous frame",
    "table of the frames by number",
    "one frame ahead, told its number",
)
UNSEEN, UNSEEN_NEXT, UNSEEN_COPY = (
    f"held-out model, {what}" for what in ("rollout through unseen frames", "one unseen frame ahead", "copy")
)


@dataclass(frozen=True)
class Agreement:
    """How single series agree with the truth.

    Attributes:
        mae, rmse: (D, 2) mean and standard deviation over the series, degrees, by angle.
        cc: (D, 2) the same of the circular correlation.
    """

    mae: np.ndarray
    rmse: np.ndarray
    cc: np.ndarray


def agreement(made: np.ndarray, truth: np.ndarray) -> Agreement:
    """Each of the series (M, T, D) against the truth (T, D) or its own (M, T, D), radians."""
    pairs = list(zip(made, np.broadcast_to(truth, made.shape), strict=True))
    measures = alanine.circular_mae, alanine.circular_rmse, alanine.circular_correlation
    rows = (np.array([f(a, b) for a, b in pairs]) for f in measures)
    return Agreement(*(np.stack([r.mean(0), r.std(0)], 1) for r in rows))


def one_ahead(model: SeriesModel, world: World, members: int) -> tuple[Agreement, Agreement]:
    """Draws of each frame of the test part from the true ones before it, and copies of the frame before."""
    w = world.windows("test")
    made = model.forecast(w.history, w.context[:, None], 1, members, CONTROL_NFE, SOLVER).members[:, :, 0]
    return agreement(made, w.target), agreement(w.history[None, :, -1], w.target)


def measure_in_sample(
    model: SeriesModel, world: World, members: int, held_out: SeriesModel | None, progress: Progress = None
) -> dict[str, Agreement]:
    """Every series of the table, by name; `held_out` and its rows may be absent."""
    r = world.rollouts("test")
    horizon, frames = r.truth.shape[1], len(world.segments[0].values)
    jobs = len(SHOWN_IN_SAMPLE_NFE) + 2
    found: dict[str, Agreement] = {}

    def rolled(which: SeriesModel, history, context, length: int, nfe: int, job: int) -> np.ndarray:
        tick = None if progress is None else lambda done, of: progress((job + done / of) / jobs, "rollouts")
        return which.forecast(history, context, length, members, nfe, SOLVER, progress=tick).members

    for job, nfe in enumerate(SHOWN_IN_SAMPLE_NFE):
        made = rolled(model, r.history, r.context, horizon, nfe, job)
        found[f"{TOLD_NUMBER}, NFE {nfe}"] = agreement(made[:, 0], r.truth[0])
    other = (r.context + (frames // 2) / frames) % 1
    made = rolled(model, r.history, other, horizon, CONTROL_NFE, jobs - 2)
    found[f"{OTHER}, NFE {CONTROL_NFE}"] = agreement(made[:, 0], r.truth[0])
    found[f"{AHEAD}, NFE {CONTROL_NFE}"], found[COPIED] = one_ahead(model, world, members)
    numbers = np.rint(r.context[0, :, -1].astype(np.float64) * frames).astype(int)
    found[LOOKED_UP] = agreement(world.segments[0].values[numbers][None], r.truth[0])
    if held_out is not None:
        unseen = open_world(held_out.frame.world, held_out.frame.history)
        begin, end = unseen.segments[0].splits["test"]
        r = unseen.rollouts("test", end - begin)
        made = rolled(held_out, r.history, None, end - begin, CONTROL_NFE, jobs - 1)
        truth = np.broadcast_to(r.truth, made.shape)
        found[f"{UNSEEN}, NFE {CONTROL_NFE}"] = agreement(*(a.reshape(-1, *a.shape[2:]) for a in (made, truth)))
        found[f"{UNSEEN_NEXT}, NFE {CONTROL_NFE}"], found[UNSEEN_COPY] = one_ahead(held_out, unseen, members)
    return found


@part("series", "in-sample", 3, "rollouts", 10, 1, 100, fits=lambda world: world.in_sample)
def in_sample(job: Job) -> Outcome:
    """The published rows, ours and the controls, with the verdict; and the figures for the card."""
    model, world, members = job.model, job.world, job.count
    try:
        held_out, absent = series_model.load(HELD_OUT_WORLD, job.folder), ""
    except CheckpointError:
        held_out, absent = None, f" The model {HELD_OUT_WORLD}, trained on other frames than its test, is not at hand."
    found = measure_in_sample(model, world, members, held_out, job.progress)
    head = ["MAE, degrees", "RMSE, degrees", "circular correlation"]
    rows = [
        [name, *(_pm(table[i], form) for table, form in ((a.mae, ".2f"), (a.rmse, ".2f"), (a.cc, ".3f"))
                 for i in range(len(world.variables)))] for name, a in found.items()
    ]  # fmt: skip
    figures = {
        name: {"mae_degrees": a.mae[:, 0].tolist(), "circular_correlation": a.cc[:, 0].tolist()}
        for name, a in found.items()
    }
    columns = [f"{what} {angle}" for what in ("MAE", "RMSE", "CC") for angle in world.variables]
    return Outcome([
        "The published protocol, in sample: the network is told the number of each frame and is tested on the one "
        f"trajectory that it was trained on ({len(world.segments[0].values):,} frames). It measures memory, not "
        "prediction.",
        "As published, for another molecule, whose data are not available: not comparable in degrees. Its NFE 3 and "
        "NFE 5 are 40 network calls a frame each.",
        grid(["published", *head], PUBLISHED_ROWS),
        f"Here: {members} series a row, each compared with the truth by itself, mean ± standard deviation over them; "
        f"{SOLVER}, NFE counted; MAE and RMSE in degrees, CC the circular correlation. A rollout starts from the first "
        f"frame and is fed with its own.{absent}",
        grid(["series", *columns], rows),
        in_sample_verdict(found),
    ], figures)  # fmt: skip


def _pm(row: np.ndarray, form: str) -> str:
    return cell(f"{{:{form}}} ± {{:{form}}}", float(row[0]), float(row[1]))


def in_sample_verdict(found: dict[str, Agreement]) -> Verdict:
    """How much of the agreement is the number of the frame, and how much is left on unseen frames."""
    names = {key: next((n for n in found if n.startswith(key)), None) for key in (OTHER, UNSEEN)}
    cc = {key: float(found[name].cc[:, 0].mean()) for key, name in names.items() if name}
    mine = {name: float(a.cc[:, 0].mean()) for name, a in found.items() if name.startswith(TOLD_NUMBER)}
    best = max(mine, key=lambda name: mine[name])
    copy = float(found[COPIED].cc[:, 0].mean())
    unseen = f", and a model that was trained on other frames reaches {cc[UNSEEN]:.2f}" if UNSEEN in cc else ""
    memory = mine[best] - max(cc.values()) > 0.1
    end = (
        "What the number adds is memory: the in-sample figure says nothing about frames that were not trained on"
        if memory
        else "The number of the frame adds nothing here: this network has not learned its trajectory by heart"
    )
    table = float(found[LOOKED_UP].cc[:, 0].mean())
    return Verdict(
        f"In sample a rollout has a circular correlation of up to {mine[best]:.2f}, averaged over the angles ({best}). "
        f"With the number of another frame {cc[OTHER]:.2f} is left{unseen}; a copy of the previous frame has "
        f"{copy:.2f}, and a table that looks the frame up by its number, without any network, {table:.2f}. {end}.",
        {
            "memory": memory, "in_sample": mine[best], "other_number": cc[OTHER], "unseen": cc.get(UNSEEN),
            "copy": copy, "table": table,
        },
    )  # fmt: skip
