"""Held-out pictures taken back to noise and made again, by the teacher's ODE and by the Koopman law."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.core.errors import UserError
from analysis.core.progress import Progress
from analysis.evaluate.hkd.fidelity import backbone
from analysis.evaluate.tables.markdown import Table, Verdict, grid, interval
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.koopman.inversion import invert_teacher, koopman_path, noise_numbers
from analysis.metrics import image as metrics
from analysis.workbench.workbench import Workbench
from foundation.data.datasets import open_dataset
from foundation.metrics.statistics import Interval, bootstrap_interval
from koopman_core.edm import EDM, SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.model import KoopmanDiffusion

ODE_STEPS = 18  # levels of both ways
INVERSION_BATCH = 20
WAY_WORDS = {
    "one call": "teacher's ODE backwards, then one call of the model",
    "teacher": "teacher's ODE backwards, then its ODE forwards (yardstick)",
    "koopman": "Koopman: D(E(x; eps)), no ODE",
}


def held_out(bench: Workbench, count: int) -> Tensor:
    """Test pictures of the model's data, (count, 3, side, side) in [-1, 1], drawn in a fixed random order.

    Raises:
        UserError: a model whose data are not named, or fewer pictures.
        DataError: they are not to be had.
    """
    data = bench.model.card.get("data", {})
    spec = data.get("spec") if isinstance(data, dict) else None
    if not isinstance(spec, str):
        raise UserError(
            "The card of this model does not say what it was trained on: there are no test pictures.", "data"
        )
    pictures = open_dataset(spec, bench.model.config.resolution, "test")
    if count > len(pictures):
        raise UserError(f"{pictures.name} has {len(pictures):,} test pictures: ask for no more.", "count")
    rows = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))[:count]
    return torch.from_numpy(pictures.pictures(rows)).permute(0, 3, 1, 2).float() / 127.5 - 1


@dataclass(frozen=True)
class Inverted:
    """N pictures; every table is (N,) float64.

    Attributes:
        mse, psnr, lpips: by way of `WAY_WORDS`; lpips empty without a backbone.
        std, neighbours: of the teacher's x_T over 80, see `NoiseNumbers`.
        calls: by way, network calls a picture.
    """

    mse: dict[str, Tensor]
    psnr: dict[str, Tensor]
    lpips: dict[str, Tensor]
    std: Tensor
    neighbours: Tensor
    calls: dict[str, int]


@torch.inference_mode()
def measure_inversion(
    model: KoopmanDiffusion,
    teacher: EDM,
    pictures: Tensor,
    *,
    steps: int = ODE_STEPS,
    distance: Callable[[Tensor, Tensor], Tensor] | None = None,
    progress: Progress = None,
) -> Inverted:
    """Both inversions of pictures without a class, and the teacher's round trip.

    Args:
        model, teacher: a pair.
        pictures: (N, C, H, W) in [-1, 1].
        steps: levels of the teacher's ways.
        distance: LPIPS of two batches; None leaves it out.
        progress: called with (share done, what) after every batch; may raise to stop.
    """
    out: dict[str, list[Tensor]] = {way: [] for way in WAY_WORDS}
    noises, calls = [], {"one call": 2 * (steps - 1) + 1, "teacher": 0, "koopman": 1}
    for low in range(0, len(pictures), INVERSION_BATCH):
        x = pictures[low : low + INVERSION_BATCH]
        back = invert_teacher(teacher, x, steps)
        again = heun_sample(lambda x, s: teacher(x, s, None), back.x, karras_sigmas(steps))
        calls["teacher"] = back.nfe + again.nfe
        made = {"one call": model(back.x, SIGMA_MAX), "teacher": again.x, "koopman": koopman_path(model, x, [0.0])[0]}
        for way, picture in made.items():
            out[way].append(picture.clamp(-1, 1))
        noises += [noise_numbers(one[None]) for one in back.x]
        if progress is not None:
            progress((low + len(x)) / len(pictures), "pictures taken back to noise")
    made = {way: torch.cat(parts) for way, parts in out.items()}
    return Inverted(
        {way: metrics.mse(x, pictures) for way, x in made.items()},
        {way: metrics.psnr(x, pictures) for way, x in made.items()},
        {} if distance is None else {way: distance(x, pictures).double() for way, x in made.items()},
        torch.tensor([n.std for n in noises]).double(),
        torch.tensor([n.neighbours for n in noises]).double(),
        calls,
    )


def inversion_table(found: dict[str, Inverted]) -> Table:
    """A row a way and kind of pictures, with 95 % bootstrap intervals."""
    rows = []
    for kind, r in found.items():
        for way, words in WAY_WORDS.items():
            lpips = bootstrap_interval(r.lpips[way]) if r.lpips else None
            psnr = bootstrap_interval(r.psnr[way])
            rows.append([
                kind, words, str(r.calls[way]), interval(lpips), interval(psnr, ".2f"),
                interval(bootstrap_interval(r.mse[way]), ".5f"),
            ])  # fmt: skip
    return grid(["pictures", "way", "network calls", "LPIPS (Alex, 64 px)", "PSNR, dB", "MSE"], rows)


def inversion_verdict(r: Inverted) -> Verdict:
    """Which way is closer to the real pictures, paired, and whether x_T looks like noise."""
    table = r.lpips or r.mse
    gap = bootstrap_interval(table["koopman"] - table["one call"])
    closer = {1: "the teacher's ODE and one call", -1: "the Koopman way", 0: "neither beyond chance"}[gap.sign]
    std, beside = bootstrap_interval(r.std), bootstrap_interval(r.neighbours)
    said = f"{std.value:.3f} [{std.low:.3f}, {std.high:.3f}]"
    return Verdict(
        f"Closer to the test pictures in {'LPIPS' if r.lpips else 'MSE'}: {closer}. The x_T of the ODE over 80 has the "
        f"standard deviation {said} and a correlation of neighbours of {beside.value:+.3f}; noise has 1 and 0.",
        {"gap": _ends(gap), "std": _ends(std), "neighbours": _ends(beside)},
    )


def _ends(v: Interval) -> list[float]:
    return [v.value, v.low, v.high]


@part("hkd", "inversion", 6, "inverted", 200, 2, 10_000, on_request=True, teacher=True)
def inversion(job: Job) -> Outcome:
    """Test pictures to noise and back."""
    bench, distance = job.model, backbone(job.options.lpips)
    found = measure_inversion(
        bench.model, bench.teacher, held_out(bench, job.count), distance=distance, progress=job.progress
    )
    return Outcome([
        f"{job.count} held-out test pictures, {ODE_STEPS} levels of Heun's method; means with 95 % bootstrap "
        "intervals. Pictures from the one-call map are compared after clamping.",
        inversion_table({"test": found}),
        inversion_verdict(found),
    ])  # fmt: skip
