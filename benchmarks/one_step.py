"""HKD in one call against its teacher's Heun sampler at 18 steps (35 calls), same network size, same noise."""

from __future__ import annotations

import torch

from analysis.library import ModelLibrary
from benchmarks.timing import print_table, side_by_side
from foundation import noise
from koopman_core.edm import SIGMA_MAX, heun_sample, karras_sigmas


@torch.inference_mode()
def run() -> None:
    """Batches of 1 and 16 with the default model."""
    bench = ModelLibrary().get()
    model, teacher = bench.model, bench.teacher
    grid, rows = karras_sigmas(18), []
    for batch in (1, 16):
        eps = noise(range(batch), model.picture_shape)
        calls = heun_sample(teacher, SIGMA_MAX * eps, grid).nfe
        t = side_by_side(
            {"one": lambda e=eps: model.one_step(e), "heun": lambda e=eps: heun_sample(teacher, SIGMA_MAX * e, grid)}
        )
        rows.append(
            [str(batch), f"{1e3 * t['one']:.1f}", f"{1e3 * t['heun']:.0f}", str(calls), f"{t['heun'] / t['one']:.1f}"]
        )
    columns = ["batch", "HKD, 1 call, ms", "teacher, Heun 18, ms", "teacher's calls", "ratio"]
    print_table(f"One step against the teacher, model {bench.name}", columns, rows)
