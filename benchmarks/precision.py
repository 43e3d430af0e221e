"""What trajectories lose with the network's layers in bf16, and with fewer steps: the last pictures beside fp32's."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.core.errors import UserError
from benchmarks.timing import Ratio, machine, print_table, ratio, timed_rounds
from foundation import noise
from foundation.randomness import FIRST_SEED
from koopman_core.denoiser import Denoiser, sampling_sigmas
from koopman_core.edm import SIGMA_MAX, heun_sample
from koopman_core.model import load_teacher
from koopman_core.trajectories import label_of

MEASURED_TEACHER, PICTURES = "portraits", 32
WAYS = ((18, False), (18, True), (12, False), (12, True))  # steps, layers in bf16; the first is the reference


@dataclass(frozen=True)
class Way:
    """One way to follow the ODE.

    Attributes: steps; bf16; ratio of the time to that of the first way; psnr (n,) of its last pictures to that one's in
    decibels, peak to peak 2, None of the first way itself.
    """

    steps: int
    bf16: bool
    ratio: Ratio
    psnr: Tensor | None


@torch.inference_mode()
def measure(teacher: Denoiser, seeds: range, rounds: int = 2) -> list[Way]:
    """All ways, timed side by side.

    Args:
        teacher: whose ODE.
        seeds: of the noises.
        rounds: of the timing, from two.
    """
    x = SIGMA_MAX * noise(seeds, teacher.picture_shape)
    labels = torch.tensor([label_of(s, teacher.classes) for s in seeds])
    last: dict[str, Tensor] = {}

    def follow(name: str, steps: int, bf16: bool) -> None:
        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                return teacher(x, sigma, labels).float()

        last[name] = heun_sample(denoise, x, sampling_sigmas(teacher, steps)).x

    names = {f"{steps} {bf16}": (steps, bf16) for steps, bf16 in WAYS}
    seconds = timed_rounds({n: (lambda n=n, way=way: follow(n, *way)) for n, way in names.items()}, rounds, warmup=0)
    first = next(iter(names))
    ways = []
    for name, (steps, bf16) in names.items():
        error = (last[name] - last[first]).square().flatten(1).mean(1)
        psnr = None if name == first else 10 * torch.log10(4 / error)
        ways.append(Way(steps, bf16, ratio(seconds[name], seconds[first]), psnr))
    return ways


def run() -> None:
    """The shipped teacher of portraits."""
    try:
        teacher = load_teacher(MEASURED_TEACHER)
    except ValueError as e:
        raise UserError(str(e)) from None
    rows = [
        [
            str(w.steps), "bf16" if w.bf16 else "fp32", f"{w.ratio.median:.2f} [{w.ratio.low:.2f}, {w.ratio.high:.2f}]",
            "the reference" if w.psnr is None else f"{statistics.median(w.psnr.tolist()):.1f}",
            "" if w.psnr is None else f"{float(w.psnr.min()):.1f}",
        ]
        for w in measure(teacher, range(FIRST_SEED, FIRST_SEED + PICTURES))
    ]  # fmt: skip
    heads = ["steps", "layers", "times the first", "PSNR of the last picture, dB, median", "smallest"]
    print_table(f"Trajectories of {MEASURED_TEACHER}, {PICTURES} noises, {machine()}", heads, rows)
