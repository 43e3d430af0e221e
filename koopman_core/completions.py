"""Completions: the teacher goes on from a student's own guess (ours).

One call from noise has to foresee every choice that the teacher makes on its way, such as whether there is a hat. Where
it cannot, the nearest picture by any distance is a mean of what might be: haze. Here the student's guess y = f(x_T, T)
stands in the place of the teacher's denoised picture at one level sigma_k of the grid, with the trajectory's own noise:

    x_k = y + sigma_k eps,   x_T = T eps,

and the teacher goes on from there to the picture. Such a picture is a teacher's, without haze, and yet near to the
guess; how near to the teacher's whole trajectory depends on k. A student that is trained on completions is asked for
its own choices made clear. The levels before k stay as they were, so the path has a jump at k, where the guess was
wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from foundation import noise
from foundation.files.atomic_write import atomic_write
from foundation.mistakes import Mistake
from koopman_core.denoiser import Denoiser, strict_fp32
from koopman_core.model import KoopmanDiffusion
from koopman_core.trajectories import TrajectoryConfig, fingerprint, follow, label_of, save_shard


@dataclass(frozen=True)
class CompletionConfig:
    """How trajectories are completed.

    Attributes:
        trajectories: folder of those to begin with.
        student: whose guess, as `koopman_core.load` reads it.
        level: index in their grid from which the teacher goes on; N levels cost 2 (N - level) - 1 of its calls each.
        batch: trajectories a call.
        replace: whether a shard is deleted once its completion is whole: both take twice the disk.
        precision: "fp32" or "bf16", as in `TrajectoryConfig`; of the student's call, too.
    """

    trajectories: str = "runs/trajectories"
    student: str = "runs/student/student.safetensors"
    level: int = 5
    batch: int = 100
    replace: bool = False
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if self.level < 1 or self.batch < 1:
            raise Mistake("level and batch must be at least 1: level 0 would be the whole trajectory.", "level")
        if self.precision not in ("fp32", "bf16"):
            raise Mistake(f'precision must be "fp32" or "bf16", not {self.precision!r}.', "precision")


def complete_trajectories(
    teacher: Denoiser,
    student: KoopmanDiffusion,
    config: CompletionConfig,
    folder: str | Path,
    *,
    worker: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Fill a folder, which is one of trajectories; shards that are there are kept.

    Args:
        teacher: that of the trajectories.
        student: whose guess it goes on from.
        config: which trajectories, and from where.
        folder: of the completions.
        worker, workers: this worker takes the missing shards worker, worker + workers, ...
        progress: called with (completions done, in all) after every batch.

    Returns:
        How many were made now.

    Raises:
        ValueError: the trajectories are of another teacher or grid, or the folder holds something else.
    """
    source, folder = Path(config.trajectories), Path(folder)
    try:
        index = json.loads((source / "index.json").read_text())
    except (OSError, ValueError):
        raise Mistake(f"{source} holds no trajectories to complete.", "trajectories") from None
    if index["teacher"] != fingerprint(teacher):
        raise Mistake(f"{source} holds another teacher's trajectories: give the checkpoint that made them.", "teacher")
    if config.level >= len(index["sigmas"]):
        raise Mistake(f"level must be below {len(index['sigmas'])}, the levels of these trajectories.", "level")
    if "guidance" in index or "completion" in index:
        raise Mistake("Guided trajectories, and completions, cannot be completed: give plain ones.", "trajectories")
    index["completion"] = {"student": fingerprint(student), "level": config.level}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.json"
    if path.exists() and json.loads(path.read_text()) != index:
        raise Mistake(f"{folder} holds something else: choose another folder, or delete it.", "folder")
    with atomic_write(path) as part:
        part.write_text(json.dumps(index), encoding="utf-8")
    made, shard, size = 0, worker, index["config"]["shard_size"]
    while shard * size < index["config"]["count"]:
        names = [f"{kind}-{shard:05d}.npy" for kind in ("shard", "final")]
        if not (folder / names[1]).exists() and (source / names[1]).exists():
            paths, finals = (np.load(source / name) for name in names)
            for low in range(0, len(finals), config.batch):
                rows = slice(low, min(low + config.batch, len(finals)))
                _complete(teacher, student, config, index, shard * size, rows, paths, finals)
                made += rows.stop - rows.start
                if progress is not None:
                    progress(shard * size + rows.stop, index["config"]["count"])
            save_shard(folder, shard, paths, finals)
            for name in names if config.replace else ():
                (source / name).unlink()
        shard += workers
    return made


@torch.no_grad()
def _complete(
    teacher: Denoiser,
    student: KoopmanDiffusion,
    config: CompletionConfig,
    index: dict,
    first: int,
    rows: slice,
    paths: np.ndarray,
    finals: np.ndarray,
) -> None:
    """Overwrite `rows` of a shard, whose first trajectory is number `first`, from the level on."""
    settings = asdict(TrajectoryConfig()) | index["config"]  # folders are older than some settings
    grid = torch.tensor(index["sigmas"], dtype=torch.float64)[config.level :]
    seeds = range(settings["seed"] + first + rows.start, settings["seed"] + first + rows.stop)
    device = next(student.parameters()).device
    eps = noise(seeds, student.picture_shape).to(device)
    labels = torch.tensor([label_of(s, index["classes"], settings["unlabelled"]) for s in seeds], device=device)
    with strict_fp32():
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            guess = student.one_step(eps, labels).float()
        x = guess + float(grid[0]) * eps
        finals[rows] = follow(teacher, x, labels, grid, paths[rows], config.precision)
