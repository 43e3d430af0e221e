"""Restoration beside what needs no model: mean colour, biharmonic filling, grey; and beside the teacher in the loop.

Half of the test pictures choose steps, last level and skip of the model's loop, by LPIPS (MSE without a backbone); the
other half are reported, so that the choice cannot flatter. Holes are squares of half the side at a random place. The
teacher in the loop is the same algorithm with D(x; sigma) in place of f(x, sigma), with as many calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from analysis.core.progress import Progress
from analysis.evaluate.hkd.fidelity import backbone
from analysis.evaluate.hkd.inversion import held_out
from analysis.evaluate.tables.markdown import Block, Table, Verdict, grid, interval
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.koopman import restoration
from analysis.metrics import image as metrics
from foundation.metrics.statistics import Interval, bootstrap_interval
from foundation.randomness import FIRST_SEED

NoiseMap = Callable[[Tensor, float], Tensor]
Distance = Callable[[Tensor, Tensor], Tensor]
STEP_CHOICES, END_LEVELS, SKIPS = (6, 12, 18), (0.0, 0.5), (False, True)
BOTH_TASKS = ("inpaint", "colorize")


@dataclass(frozen=True)
class Setting:
    """Of the loop. Attributes: steps; end = last noise level, 0 as published; skip = the level-aware skip."""

    steps: int
    end: float
    skip: bool

    def __str__(self) -> str:
        end = f" to sigma {self.end:g}" if self.end else ""
        return f"{self.steps} steps{end}{', skip' if self.skip else ''}"


PUBLISHED_SETTING = Setting(18, 0.0, False)


def square_hole(side: int, seed: int) -> Tensor:
    """bool (side, side), a square of half the side that lies inside, True = unknown."""
    size, rng = side // 2, np.random.default_rng(seed)
    top, left = rng.integers(0, side - size + 1, 2)
    hole = torch.zeros(side, side, dtype=torch.bool)
    hole[top : top + size, left : left + size] = True
    return hole


def mean_colour(picture: Tensor, hole: Tensor) -> Tensor:
    """The hole filled with the mean of the known pixels, (1, C, H, W)."""
    return torch.where(hole, picture[..., ~hole].mean(-1)[..., None, None], picture)


def biharmonic(picture: Tensor, hole: Tensor) -> Tensor:
    """The hole filled by scikit-image's biharmonic equations, (1, C, H, W) in [-1, 1]."""
    from skimage.restoration import inpaint_biharmonic  # here: slow to import

    known = torch.where(hole, torch.zeros(()), picture)[0].permute(1, 2, 0).double().numpy()
    filled = inpaint_biharmonic(known, hole.numpy(), channel_axis=-1)
    return torch.from_numpy(filled).permute(2, 0, 1)[None].to(picture).clamp(-1, 1)


@torch.inference_mode()
def restored(f: NoiseMap, task: str, picture: Tensor, hole: Tensor, setting: Setting, seed: int) -> Tensor:
    """One picture by the loop, (1, C, H, W) in [-1, 1]; of "colorize" the hole is not looked at."""
    if setting.skip:
        given = torch.where(hole, torch.zeros(()), picture) if task == "inpaint" else restoration.gray(picture)
        known = ~hole if task == "inpaint" else None
        f = restoration.with_skip(f, restoration.standing_error(f, given, known))
    if task == "inpaint":
        return restoration.inpaint(f, picture, hole, setting.steps, [seed], end=setting.end).x
    return restoration.into_gamut(restoration.colorize(f, picture, setting.steps, [seed], end=setting.end).x)


@dataclass(frozen=True)
class Scores:
    """Of N pictures. Attributes: psnr (N,) dB over what was unknown; lpips (N,), or None; mse (N,) of the same."""

    psnr: Tensor
    lpips: Tensor | None
    mse: Tensor

    @property
    def rank(self) -> float:
        """What is made small."""
        return float((self.mse if self.lpips is None else self.lpips).mean())


def scored(made: Sequence[Tensor], pictures: Tensor, holes: Sequence[Tensor], distance: Distance | None) -> Scores:
    """Restored pictures against the truth over their holes; LPIPS of whole pictures."""
    x, y = torch.cat(list(made)).double().clamp(-1, 1), pictures.double()
    mse = torch.stack([(a - b).square().mean(0)[h].mean() for a, b, h in zip(x, y, holes, strict=True)])
    psnr = 10 * torch.log10(metrics.DATA_RANGE**2 / mse)
    return Scores(psnr, None if distance is None else distance(x.float(), pictures).double(), mse)


def measure_task(
    task: str, f: NoiseMap, teacher: NoiseMap | None, pictures: Tensor, *, distance: Distance | None,
    settings: Sequence[Setting], seed: int = FIRST_SEED, progress: Progress = None,
) -> tuple[Setting, dict[str, Scores]]:  # fmt: skip
    """The setting that the first half of the pictures chooses, and all methods on the second half.

    Args:
        task: one of `BOTH_TASKS`.
        f, teacher: maps (x, sigma) -> picture.
        pictures: (N, 3, H, W) in [-1, 1], N at least 2.
        distance: LPIPS; None leaves it out.
        settings: to choose from.
        seed: of what is made up, one a picture from here on, and of the holes.
        progress: called with (share done, what); may raise to stop.
    """
    side, count = pictures.shape[-1], len(pictures)
    whole = torch.ones(side, side, dtype=torch.bool)
    holes = [square_hole(side, seed + i) if task == "inpaint" else whole for i in range(count)]
    half = count // 2
    done, total = 0, half * len(settings) + 3 * (count - half)

    def run(by: NoiseMap, setting: Setting, rows: range) -> Scores:
        nonlocal done
        made = []
        for i in rows:
            made.append(restored(by, task, pictures[i : i + 1], holes[i], setting, seed + i))
            done += 1
            if progress is not None:
                progress(min(done / total, 1.0), f"{task}, {setting}")
        return scored(made, pictures[rows.start : rows.stop], holes[rows.start : rows.stop], distance)

    tuning, rest = range(half), range(half, count)
    ranks = {s: run(f, s, tuning).rank for s in settings}
    best = min(settings, key=lambda s: ranks[s])
    plain: dict[str, Callable[[Tensor, Tensor], Tensor]] = (
        {"mean colour": mean_colour, "biharmonic": biharmonic} if task == "inpaint"
        else {"grey": lambda x, _: restoration.gray(x)}
    )  # fmt: skip
    out = {
        name: scored([fill(pictures[i : i + 1], holes[i]) for i in rest], pictures[half:], holes[half:], distance)
        for name, fill in plain.items()
    }
    out[f"model, {PUBLISHED_SETTING}"] = run(f, PUBLISHED_SETTING, rest)
    out[f"model, {best} (chosen)"] = run(f, best, rest)
    if teacher is not None:
        out[f"teacher in the loop, {PUBLISHED_SETTING}"] = run(teacher, PUBLISHED_SETTING, rest)
    return best, out


def scores_table(found: dict[str, Scores]) -> Table:
    """A row a method, with 95 % bootstrap intervals."""
    rows = []
    for name, s in found.items():
        lpips = None if s.lpips is None else bootstrap_interval(s.lpips)
        psnr, mse = bootstrap_interval(s.psnr), bootstrap_interval(s.mse)
        rows.append([name, interval(lpips), interval(psnr, ".2f"), interval(mse, ".4f")])
    return grid(["method", "LPIPS (Alex, 64 px)", "PSNR of the unknown, dB", "MSE of the unknown"], rows)


def _gap(a: Scores, b: Scores) -> Interval:
    """Paired a - b in LPIPS, or in MSE without; below 0 a is better."""
    x, y = (a.mse, b.mse) if a.lpips is None or b.lpips is None else (a.lpips, b.lpips)
    return bootstrap_interval(x - y)


def task_verdict(task: str, found: dict[str, Scores]) -> Verdict:
    """Whether the chosen setting beats what needs no model, paired."""
    name = next(n for n in found if n.endswith("(chosen)"))
    base = "biharmonic" if task == "inpaint" else "grey"
    gap = _gap(found[name], found[base])
    psnr = bootstrap_interval(found[name].psnr - found[base].psnr)
    said = {-1: "better than", 1: "worse than", 0: "not told apart from"}[gap.sign]
    measure = "MSE" if found[name].lpips is None else "LPIPS"
    return Verdict(
        f"{task}: {name} is {said} {base} ({gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] in {measure}; PSNR "
        f"{psnr.value:+.2f} [{psnr.low:+.2f}, {psnr.high:+.2f}] dB)."
        + ("" if gap.sign < 0 else " It does not work well enough: use the teacher."),
        {"task": task, "gap": [gap.value, gap.low, gap.high], "works": gap.sign < 0},
    )  # fmt: skip


@part("hkd", "restoration", 9, "restored", 200, 4, 10_000, on_request=True)
def restore(job: Job) -> Outcome:
    """Inpainting and colourisation against baselines, settings chosen by measurement."""
    model, teacher, distance = job.model.model, job.model.teacher, backbone(job.options.lpips)
    pictures = held_out(job.model, job.count)
    settings = [Setting(*s) for s in product(STEP_CHOICES, END_LEVELS, SKIPS)]
    blocks: list[Block] = [
        f"{job.count} test pictures: the first half choose among {len(settings)} settings of the loop, the second half "
        "are reported; means with 95 % bootstrap intervals. Holes are squares of half the side at random places."
    ]
    card: dict[str, dict] = {}

    def f(x: Tensor, sigma: float) -> Tensor:
        return model(x, sigma)

    def denoise(x: Tensor, sigma: float) -> Tensor:
        return teacher(x, torch.tensor(sigma), None)

    by_teacher = None if teacher is None else denoise
    with torch.inference_mode():
        for i, task in enumerate(BOTH_TASKS):
            best, found = measure_task(
                task,
                f,
                by_teacher,
                pictures,
                distance=distance,
                settings=settings,
                progress=job.share(i, len(BOTH_TASKS)),
            )
            verdict = task_verdict(task, found)
            blocks += [f"Task {task}.", scores_table(found), verdict]
            card[task] = {"steps": best.steps, "end": best.end, "skip": best.skip, "works": verdict.figures["works"]}
    return Outcome(blocks, card)
