"""How true is a student to its teacher? One noise in, two pictures out: distances between them, with yardsticks.

All figures are over held-out noises (seeds from `FIRST_SEED`, which no training run uses), start in T.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.evaluate.tables.markdown import Block, grid, interval, number
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.koopman import spectrum
from analysis.metrics import image as metrics
from foundation import noise
from foundation.metrics.perceptual import PerceptualDistance, available
from foundation.metrics.statistics import bootstrap_interval
from foundation.randomness import FIRST_SEED
from koopman_core.edm import EDM, SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.model import KoopmanDiffusion
from koopman_core.trajectories import label_of

FIDELITY_BATCH = 50


@dataclass(frozen=True)
class Distance:
    """Means over pictures.

    Attributes: mse on [-1, 1]; psnr in dB; lpips, None without a backbone; contrast of the one over that of the other,
    `metrics.contrast`, above 1 where the first is the stronger.
    """

    mse: float
    psnr: float
    lpips: float | None
    contrast: float


@dataclass(frozen=True)
class ScrubRow:
    """One level of the grid: the Koopman path against the teacher's denoised state there."""

    sigma: float
    distance: Distance


@dataclass(frozen=True)
class Fidelity:
    """Student against teacher.

    Attributes:
        seeds: how many noises.
        one_step: student in one call against the teacher's 35-call sample.
        yardstick: the teacher's 19-call against its 35-call sample.
        zero_operator: the student with A = 0 against the 35-call sample.
        scrub: path against the teacher's denoised state, `scrub_steps` levels.
        spectrum: one summary a level.
    """

    seeds: int
    one_step: Distance
    yardstick: Distance
    zero_operator: Distance
    scrub: tuple[ScrubRow, ...]
    spectrum: tuple[spectrum.EntrySummary, ...]


class _Mean:
    def __init__(self, perceptual: PerceptualDistance | None):
        self.perceptual = perceptual
        self.rows: list[Tensor] = []

    def add(self, x: Tensor, y: Tensor) -> None:
        x = x.clamp(-1, 1)
        y = y.clamp(-1, 1)
        lpips = self.perceptual(x, y).double() if self.perceptual else torch.full((len(x),), torch.nan)
        figures = [metrics.mse(x, y), metrics.psnr(x, y), lpips, metrics.contrast(x), metrics.contrast(y)]
        self.rows.append(torch.stack(figures, 1))

    def result(self) -> Distance:
        mse, psnr, lpips, mine, other = torch.cat(self.rows).mean(0).tolist()
        return Distance(mse, psnr, lpips if self.perceptual else None, mine / other if other else float("nan"))


@dataclass(frozen=True)
class TeacherSide:
    """What the teacher makes of a batch of noises.

    Attributes: best = its 35-call samples; short = its 19-call samples; path = its denoised states on a grid.
    """

    best: Tensor
    short: Tensor
    path: list[Tensor]


def _teacher_side(teacher: EDM, x: Tensor, labels: Tensor | None, steps: int) -> TeacherSide:
    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return teacher(x, sigma, labels)

    path: list[Tensor] = []
    short = heun_sample(denoise, x, karras_sigmas(steps), lambda i, s, state, d: path.append(d)).x
    best = heun_sample(denoise, x, karras_sigmas(18)).x
    return TeacherSide(best, short if steps == 10 else heun_sample(denoise, x, karras_sigmas(10)).x, path)


def trajectory_labels(model: KoopmanDiffusion, seeds: Sequence[int]) -> Tensor | None:
    """The classes (n,) that trajectories of these seeds have; None without classes."""
    classes = model.config.classes
    return torch.tensor([label_of(s, classes) for s in seeds]) if classes else None


@torch.inference_mode()
def paired_samples(
    model: KoopmanDiffusion, teacher: EDM, seeds: Sequence[int], labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The teacher's 35-call samples and the student's pictures from the same noises, (n, C, H, W) each."""
    eps, denoise = noise(seeds, model.picture_shape), partial(teacher, labels=labels)
    return heun_sample(denoise, SIGMA_MAX * eps, karras_sigmas(18)).x, model.one_step(eps, labels)


@torch.inference_mode()
def measure_fidelity(
    model: KoopmanDiffusion,
    teacher: EDM,
    seeds: int = 1000,
    *,
    perceptual: PerceptualDistance | None = None,
    scrub_seeds: int = 200,
    scrub_steps: int = 10,
    remembered: dict[tuple, TeacherSide] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fidelity:
    """Student against teacher.

    Args:
        seeds: noises for the final picture.
        perceptual: LPIPS; None leaves it out.
        scrub_seeds: noises for the comparison along the path.
        remembered: what the teacher made, for its next student; filled and looked up here; twelve pictures a noise.
        progress: called with (noises done, seeds).
    """
    one, yard, zero = _Mean(perceptual), _Mean(perceptual), _Mean(perceptual)
    sigmas = karras_sigmas(scrub_steps)
    scrub = [_Mean(perceptual) for _ in sigmas]
    shape = model.picture_shape
    for low in range(0, seeds, FIDELITY_BATCH):
        batch = range(FIRST_SEED + low, FIRST_SEED + min(low + FIDELITY_BATCH, seeds))
        x = SIGMA_MAX * noise(batch, shape)
        labels = trajectory_labels(model, batch)
        key = (batch, scrub_steps)
        made = (remembered or {}).get(key) or _teacher_side(teacher, x, labels, scrub_steps)
        if remembered is not None:
            remembered[key] = made
        z = model.encode(x, SIGMA_MAX, labels)
        one.add(model.decode(model.evolve(z, 1.0, 0.0), labels), made.best)
        zero.add(model.decode(z, labels), made.best)  # exp(0) is the identity: unevolved latents are those of A = 0
        yard.add(made.short, made.best)
        if low < scrub_seeds:
            for tau, target, mean in zip(model.tau(sigmas), made.path, scrub, strict=True):
                mean.add(model.decode(model.evolve(z, 1.0, tau), labels), target)
        if progress is not None:
            progress(min(low + FIDELITY_BATCH, seeds), seeds)
    rows = tuple(ScrubRow(float(s), m.result()) for s, m in zip(sigmas, scrub, strict=True))
    return Fidelity(
        seeds, one.result(), yard.result(), zero.result(), rows, tuple(spectrum.summarise(model.spectrum()))
    )


# ---------------------------------------------------------------------------------------------------------------------
# The part


def _cells(d: Distance) -> list[str]:
    return [number(d.lpips, ".4f"), number(d.psnr, ".2f"), number(d.mse, ".5f"), number(d.contrast, ".3f")]


def fidelity_blocks(f: Fidelity) -> list[Block]:
    """Student against teacher, along the path, and a summary of the spectrum."""
    distances = ["LPIPS (Alex, 64 px)", "PSNR, dB", "MSE", "contrast, ratio"]
    return [
        f"{f.seeds} held-out noises.",
        grid(["against the teacher's 35-call sample", *distances], [
            ["student, one call", *_cells(f.one_step)],
            ["teacher, 19 calls (yardstick)", *_cells(f.yardstick)],
            ["student with A = 0", *_cells(f.zero_operator)],
        ]),
        grid(
            ["Koopman path against the teacher's denoised state, sigma", *distances],
            [[number(row.sigma, ".4g"), *_cells(row.distance)] for row in f.scrub],
        ),
        grid(["level", "latent", "alpha mean", "alpha sd", "max abs alpha", "beta sd", "max abs beta"], [
            [e.name, "x".join(map(str, e.shape)), number(e.alpha_mean, "+.3f"), number(e.alpha_std, ".3f"),
             number(e.alpha_max, ".2f"), number(e.beta_std, ".3f"), number(e.beta_max, ".2f")] for e in f.spectrum
        ]),
    ]  # fmt: skip


@dataclass(frozen=True)
class Generalisation:
    """One call against the teacher's sample, on noises that the student was trained on and on others.

    Attributes: mse and lpips, {"trained": (n,), "held out": (n,)}; lpips None without a backbone.
    """

    mse: dict[str, Tensor]
    lpips: dict[str, Tensor] | None


@torch.inference_mode()
def measure_generalisation(
    model: KoopmanDiffusion,
    teacher: EDM,
    first: int,
    count: int,
    *,
    perceptual: PerceptualDistance | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Generalisation:
    """What training remembers, and what carries over to other noises.

    Args:
        first: seed of the trajectories' first noise; `count` from there on.
        count: noises of each kind, each with the class that a trajectory of its seed has.
        progress: called with (noises done, noises in all).
    """
    mse: dict[str, list[Tensor]] = {}
    lpips: dict[str, list[Tensor]] = {}
    for k, (kind, start) in enumerate((("trained", first), ("held out", FIRST_SEED))):
        for low in range(0, count, FIDELITY_BATCH):
            batch = range(start + low, start + min(low + FIDELITY_BATCH, count))
            pair = paired_samples(model, teacher, batch, trajectory_labels(model, batch))
            best, mine = (pictures.clamp(-1, 1) for pictures in pair)
            mse.setdefault(kind, []).append(metrics.mse(mine, best))
            if perceptual is not None:
                lpips.setdefault(kind, []).append(perceptual(mine, best))
            if progress is not None:
                progress(k * count + min(low + FIDELITY_BATCH, count), 2 * count)
    joined = {kind: torch.cat(v) for kind, v in lpips.items()}
    return Generalisation({kind: torch.cat(v) for kind, v in mse.items()}, joined or None)


def backbone(path: Path | None) -> PerceptualDistance | None:
    """LPIPS, or None where no backbone is at hand, which is said."""
    if path or available("alex"):
        return PerceptualDistance("alex", backbone=path, side=64)
    print("No LPIPS backbone is at hand (set KOOPMAN_LPIPS or give --lpips): LPIPS is left out.", file=sys.stderr)
    return None


@part("hkd", "fidelity", 0, "seeds", 1000, 1, 1_000_000, teacher=True)
def fidelity(job: Job) -> Outcome:
    """Student against teacher."""
    tell = job.progress
    f = measure_fidelity(
        job.model.model, job.model.teacher, job.count, perceptual=backbone(job.options.lpips),
        scrub_seeds=min(job.count, 200),
        progress=None if tell is None else lambda done, n: tell(done / n, "held-out noises"),
    )  # fmt: skip
    return Outcome(fidelity_blocks(f), asdict(f))


@part("hkd", "generalisation", 11, "trained-noises", 150, 2, 100_000, on_request=True, teacher=True)
def generalisation(job: Job) -> Outcome:
    """One call on noises of the training beside others."""
    known = job.model.model.card.get("trajectories", {})
    first = known.get("seed")
    if first is None:
        raise UserError(
            f"The card of {job.name} does not say which noises it was trained on: it was trained before cards did.",
            "trajectories",
        )
    count, tell = min(job.count, known["count"]), job.progress
    g = measure_generalisation(
        job.model.model, job.model.teacher, first, count, perceptual=backbone(job.options.lpips),
        progress=None if tell is None else lambda done, n: tell(done / n, "noises"),
    )  # fmt: skip
    rows = []
    for kind, mse in g.mse.items():
        far = None if g.lpips is None else bootstrap_interval(g.lpips[kind])
        rows.append([kind, interval(far), interval(bootstrap_interval(mse), ".5f")])
    return Outcome([
        f"{count} noises of each kind; means with 95 % bootstrap intervals. Their difference is what was "
        "learned by heart.",
        grid(["one call against the teacher's 35-call sample, noises", "LPIPS (Alex, 64 px)", "MSE"], rows),
    ])  # fmt: skip
