"""Images a second of the teacher's training step: as configured, in fp32, in the wrong memory format, compiled."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.timing import print_table, side_by_side
from foundation.settings import read_settings
from foundation.training import TrainingConfig, can_compile, fast_bf16
from foundation.unet import UNetConfig
from koopman_core import recipes
from koopman_core.edm import EDM, draw_training_sigma, edm_loss
from koopman_core.teacher_task import TeacherConfig

CONFIG = Path(recipes.__file__).parent / "configs" / "shapes_teacher.toml"
BATCH = 64


def run() -> None:
    """Forward, backward and Adam on random pictures."""
    sections = {"data": recipes.DataConfig, "network": UNetConfig, "teacher": TeacherConfig,
                "training": TrainingConfig, "run": recipes.RunConfig}  # fmt: skip
    config = read_settings(CONFIG, [], sections)["network"]
    x = torch.rand(BATCH, 3, config.resolution, config.resolution) * 2 - 1
    generator = torch.Generator().manual_seed(0)
    sigma, eps = draw_training_sigma(BATCH, generator), torch.randn(x.shape, generator=generator)

    def stepper(bf16: bool, channels_last: bool, compiled: bool):
        torch.manual_seed(0)
        model = EDM(config)
        data = x
        if channels_last:
            model, data = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
        if compiled:
            model.compile()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

        def step():
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                edm_loss(model, data, sigma, eps).mean().backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    bf16 = fast_bf16(torch.device("cpu"))
    ours = f"ours: {'bf16' if bf16 else 'fp32'}, NCHW" + (", compiled" if can_compile("auto") else "")
    steps = {
        ours: stepper(bf16, False, can_compile("auto")),
        "the same, not compiled": stepper(bf16, False, False),
        "fp32, NCHW, not compiled": stepper(False, False, False),
        "the same in channels_last, not compiled": stepper(bf16, True, False),
    }
    if not bf16:
        print("(This CPU has no AMX, so precision = auto means fp32: bf16 would be many times slower.)")
    t = side_by_side(steps, rounds=4)
    rows = [[name, f"{BATCH / s:.1f}", f"{t[ours] / s:.2f}"] for name, s in t.items()]
    print_table(f"Training step, batch {BATCH}", ["step", "images/s", "relative to ours"], rows)
