"""What the ablation compares, what is asked of every training, and what is found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import koopman_core

CONFIG = Path(koopman_core.__file__).parent / "configs" / "shapes_ablation.toml"
PATH = ("--student.objective=path", "--student.share_eps=0.5", "--student.operator_lr=2e-2")
FROM = 1.0  # sigma from which on the path is averaged: below, it is nearly the picture


@dataclass(frozen=True)
class Row:
    """One way to train.

    Attributes:
        key: name of its runs.
        words: what it is.
        overrides: of the settings file.
        seeds: how many trainings, with the seeds 0, 1 ...
        paper: FID of the paper's row (CIFAR-10, FID-50k), None where it has none.
    """

    key: str
    words: str
    overrides: tuple[str, ...] = ()
    seeds: int = 1
    paper: float | None = None


def _latent(*weights: float, scale: str = "energy") -> tuple[str, ...]:
    return (*PATH, f"--student.latent_weights=[{','.join(map(str, weights))}]", f"--student.latent_scale={scale}")


ROWS = {
    "paper": (
        Row("off_T", "A = 0, loss at T only", ("--koopman.evolved=none", "--student.only_T=true"), 2, 5.72),
        Row("on_T", "A trained, loss at T only", ("--student.only_T=true",), 2, 5.57),
        Row("bottleneck", "A at the bottleneck only", ("--koopman.evolved=bottleneck",), 2, 4.78),
        Row("full", "A at all levels (published)", (), 2, 3.30),
        Row("path", "the same, objective path (ours)", PATH, 2),
    ),
    "time": (
        Row("path", "path, sigma^(1/7) (karras)", PATH),
        Row("path_log", "path, log sigma", (*PATH, "--koopman.warp=log")),
        Row("path_sigma", "path, sigma", (*PATH, "--koopman.warp=sigma")),
    ),
    "latent": (
        Row("path", "path, none", PATH),
        Row("latent_all", "0.1 at 16, 8 and 4 pixels", _latent(0.1, 0.1, 0.1)),
        Row("latent_16", "0.3 at 16 pixels", _latent(0.3, 0, 0)),
        Row("latent_8", "0.3 at 8 pixels", _latent(0, 0.3, 0)),
        Row("latent_4", "0.3 at 4 pixels", _latent(0, 0, 0.3)),
        Row("latent_var", "0.1 at 16, 8 and 4 pixels, over the variance", _latent(0.1, 0.1, 0.1, scale="variance")),
    ),
}


@dataclass(frozen=True)
class Figures:
    """What one training gave.

    Attributes:
        seed: of the training.
        lpips, psnr: one call against the teacher's 35-call sample, means over held-out noises.
        zero: LPIPS of the same with A = 0.
        scrub: LPIPS of the Koopman path to the teacher's denoised state, mean over the levels sigma >= `FROM`.
        linear: side of the latents in pixels -> relative error of the linear law in its latent space, mean over times.
        apart: the same of what differs between the trajectories (`validity.Linearity.differences`).
        growing: share of the pairs that have alpha > 0, so that they shrink on the way to the picture.
        fid, kid: FID and KID of so many pictures as were asked for; None when not asked for.
    """

    seed: int
    lpips: float
    psnr: float
    zero: float
    scrub: float
    linear: dict[int, float]
    apart: dict[int, float]
    growing: float
    fid: float | None
    kid: float | None


@dataclass(frozen=True)
class Plan:
    """What is asked of every run.

    Attributes:
        teacher: name of a shipped model, or a teacher's checkpoint.
        trajectories: folder of that teacher's.
        images: samples a training.
        noises: of the fidelity; a fifth of them, at most 100, for the path.
        fid, reference: pictures a run and training pictures; None for no FID, or all.
        lpips: backbone file, or None to look it up.
    """

    teacher: str
    trajectories: Path
    images: int = 20_000
    noises: int = 500
    fid: int | None = None
    reference: int | None = None
    lpips: Path | None = None
    config: Path = CONFIG
