"""The teacher's ODE trajectories: made once, kept as memory-mapped shards, read in any order.

For every noise: the states x at the Karras levels and the denoised state D(x; sigma) of each, which the Heun sampler
computes anyway, plus the final picture. float32 on disk, because at sigma = 80 the spacing of float16 is 0.06 to 0.25.

A folder holds `index.json` (grid, shapes, seeds, teacher) and `shard-00000.npy` ... of `shard_size` trajectories:
float32 (n, 2, steps, C, H, W) with [:, 0] = states over sqrt(sigma^2 + sigma_data^2) and [:, 1] = denoised states (left
out where the objective never reads them, `TrajectoryConfig.denoised`), and `final-00000.npy` (n, C, H, W). Each shard
is written under another name first, so a shard that is there is whole: any number of workers can fill the same folder,
and a killed run goes on where it was.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foundation import noise
from foundation.files.atomic_write import atomic_write
from foundation.mistakes import Mistake
from foundation.randomness import mix_seed
from koopman_core.completions import Guess
from koopman_core.denoiser import Denoiser, device_of, sampling_sigmas, strict_fp32
from koopman_core.edm import SIGMA_MAX, heun_sample
from koopman_core.guidance import Guided

STATE_ROW, DENOISED_ROW = 0, 1
UNLABELLED = 0.1  # as the teachers that are trained here


@dataclass(frozen=True)
class TrajectoryConfig:
    """How trajectories are made, and what is stored of them.

    Attributes:
        count: of trajectories.
        steps: of the Karras grid.
        shard_size, batch: trajectories a file, and a call of the teacher.
        seed: of the first noise.
        unlabelled: share without a class, in [0, 1]; 0 for a teacher that always had one, as the official EDM networks.
        denoised: whether D(x; sigma) is stored, half of the disk; the objective `published` never reads it.
        precision: "fp32", or "bf16" for the network's layers (states and steps stay in fp32): about twice as fast where
            the hardware is good at it; `python -m benchmarks precision` prints what that costs.
    """

    count: int = 20_000
    steps: int = 10
    shard_size: int = 500
    batch: int = 100
    seed: int = 1_000_000
    unlabelled: float = UNLABELLED
    denoised: bool = True
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if not 0 <= self.unlabelled <= 1:
            raise Mistake("unlabelled must lie in [0, 1].", "unlabelled")
        if min(self.count, self.shard_size, self.batch) < 1 or self.steps < 2:
            raise ValueError("count, shard_size and batch must be at least 1, steps at least 2.")
        if self.precision not in ("fp32", "bf16"):
            raise Mistake(f'precision must be "fp32" or "bf16", not {self.precision!r}.', "precision")

    @property
    def shards(self) -> int:
        return -(-self.count // self.shard_size)


def disk_bytes(config: TrajectoryConfig, picture_shape: tuple[int, int, int]) -> int:
    """Bytes that all shards will take."""
    return 4 * int(np.prod(picture_shape)) * config.count * ((1 + config.denoised) * config.steps + 1)


def label_of(seed: int, classes: int, unlabelled: float = UNLABELLED) -> int:
    """The class of a trajectory: a fixed function of its seed; a share of `unlabelled` (in thousandths) has none."""
    place = mix_seed(seed, 7) % 1000
    # by the last digit first: at 0.1 these are the seeds whose number ends in 0, as before there was a choice
    if classes == 0 or place % 10 * 100 + place // 10 < 1000 * unlabelled:
        return -1
    return mix_seed(seed, 8) % classes


def write_trajectories(
    teacher: Denoiser,
    config: TrajectoryConfig,
    folder: str | Path,
    *,
    guided: Guided | None = None,
    guess: Guess | None = None,
    worker: int = 0,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Fill a folder; shards that are there are kept.

    Args:
        teacher: the denoiser.
        guided: the same under guidance: what is followed and stored instead.
        guess: a student's, from which it goes on at a level of the grid.
        worker, workers: this worker takes the missing shards worker, worker + workers, ...
        progress: called with (trajectories done, trajectories in all) after every batch.

    Returns:
        How many trajectories were made now.

    Raises:
        ValueError: the folder belongs to other settings, another teacher or student; the guess is for no level of
            the grid.
    """
    if guess is not None and guess.level >= config.steps:
        raise Mistake(f"level must be below {config.steps}, the levels of these trajectories.", "level")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shape = teacher.picture_shape
    index = {
        "format": 1, "config": asdict(config), "shape": list(shape), "classes": teacher.classes,
        "sigmas": sampling_sigmas(teacher, config.steps).tolist(), "teacher": fingerprint(teacher),
        **({"guidance": guided.description()} if guided is not None else {}),
        **({"completion": {"student": fingerprint(guess.student), "level": guess.level}} if guess is not None else {}),
    }  # fmt: skip
    path = folder / "index.json"
    if path.exists():
        found = json.loads(path.read_text())
        # more trajectories of the same kind may be added to a folder later
        before = asdict(TrajectoryConfig()) | found["config"]  # settings that are newer than the folder
        same = {**found, "config": {**before, "count": config.count}} == index
        if not same:
            raise Mistake(
                f"{folder} holds trajectories of another teacher, student, grid or guidance: choose another folder, or "
                "delete it.",
                "folder",
            )
    with atomic_write(path) as part:
        part.write_text(json.dumps(index), encoding="utf-8")
    made = 0
    for shard in range(worker, config.shards, workers):
        if _rows(folder / f"final-{shard:05d}.npy") >= _size(config, shard):
            continue
        with strict_fp32():
            made += _write_shard(teacher, guided or teacher, guess, config, folder, shard, shape, progress)
    return made


def _size(config: TrajectoryConfig, shard: int) -> int:
    """Trajectories of a shard; the last one may be short, and grows when more are asked for."""
    return min(config.shard_size, config.count - shard * config.shard_size)


def _rows(path: Path) -> int:
    return len(np.load(path, mmap_mode="r")) if path.exists() else 0


def _write_shard(
    teacher: Denoiser,
    denoise: Denoiser | Guided,
    guess: Guess | None,
    config: TrajectoryConfig,
    folder: Path,
    shard: int,
    shape: tuple[int, int, int],
    progress: Callable[[int, int], None] | None,
) -> int:
    start, n = shard * config.shard_size, _size(config, shard)
    grid = sampling_sigmas(teacher, config.steps)
    paths = np.empty((n, 1 + config.denoised, config.steps, *shape), np.float32)
    finals = np.empty((n, *shape), np.float32)
    device = device_of(teacher)
    for low in range(0, n, config.batch):
        seeds = range(config.seed + start + low, config.seed + start + min(low + config.batch, n))
        x = SIGMA_MAX * noise(seeds, shape).to(device)
        labels = torch.tensor([label_of(s, teacher.classes, config.unlabelled) for s in seeds], device=device)
        rows = slice(low, low + len(seeds))
        level = 0 if guess is None else guess.level
        if guess is not None:
            _follow(denoise, x, labels, grid[:level], paths[rows, :, :level], config.precision)
            x = guess.state(x, labels, float(grid[level]), config.precision)
        finals[rows] = _follow(denoise, x, labels, grid[level:], paths[rows, :, level:], config.precision)
        if progress is not None:
            progress(start + low + len(seeds), config.count)
    if not (np.isfinite(paths).all() and np.isfinite(finals).all()):
        raise Mistake(
            "The teacher's trajectories are not finite: train the teacher longer or check its checkpoint.", "teacher"
        )
    _save(folder / f"shard-{shard:05d}.npy", paths)
    _save(folder / f"final-{shard:05d}.npy", finals)  # last: its presence means "whole"
    return n


def _follow(
    denoise: Denoiser | Guided, x: Tensor, labels: Tensor, grid: Tensor, paths: np.ndarray, precision: str
) -> np.ndarray:
    """Heun's method from `x` to the picture; what it passes is written down.

    Args:
        denoise: D(x, sigma, labels).
        x, labels: (B, C, H, W) states at the first level of `grid`, and (B,) int64.
        grid: (n,) falling levels.
        paths: (B, 1 or 2, n, C, H, W) of a shard.
        precision: "fp32" or "bf16", of the network's layers.

    Returns:
        (B, C, H, W) float32 pictures.
    """

    def keep(i: int, sigma: float, state: Tensor, denoised: Tensor) -> None:
        paths[:, STATE_ROW, i] = (state / (sigma**2 + 0.25) ** 0.5).cpu().numpy()
        if paths.shape[1] > DENOISED_ROW:
            paths[:, DENOISED_ROW, i] = denoised.cpu().numpy()

    def labelled(x: Tensor, sigma: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
            return denoise(x, sigma, labels).float()

    return heun_sample(labelled, x, grid, keep).x.cpu().numpy()


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_write(path) as part, open(part, "wb") as f:  # open: np.save would add another ending to the name
        np.save(f, array)


def fingerprint(teacher: Denoiser | torch.nn.Module) -> str:
    """A short hash of all weights (as fp16, the precision in which models ship) of a teacher, or of a student.

    Raises:
        ValueError: it has no weights, and no attribute `fingerprint` that tells it from others instead.
    """
    import hashlib

    if not isinstance(teacher, torch.nn.Module):
        own = getattr(teacher, "fingerprint", None)
        if not isinstance(own, str):
            raise Mistake(
                "A denoiser that is no torch module needs an attribute `fingerprint`, a text of its own.", "fingerprint"
            )
        return own
    h = hashlib.sha256()
    for name, t in sorted(teacher.state_dict().items()):
        h.update(name.encode())
        h.update(t.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
    return h.hexdigest()[:16]


def _mapped(path: Path) -> np.ndarray:
    """An array that stays in its file. It is read at random places: what the system reads ahead is never asked for."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_RANDOM"):  # not everywhere
        array.base.madvise(mmap.MADV_RANDOM)
    return array


class Trajectories:
    """Read access to a folder of trajectories.

    Attributes:
        sigmas: (steps,) float64, falling.
        count: trajectories present (whole shards, from the first).
        shape: (C, H, W).

    Raises:
        ValueError: no index, or no whole shard.
    """

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        try:
            self.index = json.loads((folder / "index.json").read_text())
        except (OSError, ValueError):
            raise Mistake(
                f"{folder} holds no trajectories: run `python -m koopman_core.train trajectories`.", "folder"
            ) from None
        self.sigmas = torch.tensor(self.index["sigmas"], dtype=torch.float64)
        self.shape = tuple(self.index["shape"])
        self.classes, self.teacher = self.index["classes"], self.index["teacher"]
        config = self.index["config"]
        self._seed, self._unlabelled = config["seed"], config.get("unlabelled", UNLABELLED)
        self._paths, self._finals = [], []
        shard = 0
        while (folder / f"final-{shard:05d}.npy").exists():
            self._paths.append(_mapped(folder / f"shard-{shard:05d}.npy"))
            self._finals.append(_mapped(folder / f"final-{shard:05d}.npy"))
            shard += 1
        if not shard:
            raise Mistake(
                f"{folder} holds no whole shard yet: let `python -m koopman_core.train trajectories` go on.", "shards"
            )
        self._size = len(self._finals[0])
        self.count = sum(len(f) for f in self._finals)

    def __len__(self) -> int:
        return self.count

    @property
    def has_denoised(self) -> bool:
        """Whether D(x; sigma) is stored beside the states."""
        return self._paths[0].shape[1] > DENOISED_ROW

    def states(self, rows: np.ndarray, steps: np.ndarray) -> Tensor:
        """x at grid index `steps`, (B, C, H, W): the true state, scale undone."""
        scale = (self.sigmas[torch.from_numpy(steps)] ** 2 + 0.25).sqrt().float()
        return self._take(rows, STATE_ROW, steps) * scale[:, None, None, None]

    def denoised(self, rows: np.ndarray, steps: np.ndarray) -> Tensor:
        """The teacher's D(x; sigma) there, (B, C, H, W); at the last index this is not yet the final picture.

        Raises:
            ValueError: these trajectories were stored without.
        """
        if not self.has_denoised:
            raise Mistake(
                "These trajectories hold no denoised states, which every objective but `published` needs: make them "
                "with trajectories.denoised=true in another folder.",
                "denoised",
            )
        return self._take(rows, DENOISED_ROW, steps)

    def finals(self, rows: np.ndarray) -> Tensor:
        """The teacher's samples, (B, C, H, W)."""
        return torch.from_numpy(np.stack([self._finals[r // self._size][r % self._size] for r in rows]))

    def labels(self, rows: np.ndarray) -> Tensor:
        """Class labels, int64 (B,), -1 = no class."""
        seeds = (self._seed + int(r) for r in rows)
        return torch.tensor([label_of(s, self.classes, self._unlabelled) for s in seeds], dtype=torch.int64)

    def _take(self, rows, what, steps) -> Tensor:
        return torch.from_numpy(
            np.stack([self._paths[r // self._size][r % self._size, what, s] for r, s in zip(rows, steps, strict=True)])
        )
