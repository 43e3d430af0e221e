"""A training run that lasts a second, for the tests that need a process of their own.

    python tests/foundation/training/tiny_run.py OUT [--resume] [--kill-in-save N] [--long-step N]
        [--compile auto] [--fid]

Writes OUT/rank<r>.json at its end: what this worker saw and what it holds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from foundation.training.commands import leave
from foundation.training.loop import Task, TrainingConfig, train

IDENTITY = {"network": {"hidden": 20}, "task": "tiny"}


class TinyTask(Task):
    """Fits y = sin(3 x) from noisy samples; dropout makes it depend on the global generator as well."""

    def __init__(self, long_step: int = -1) -> None:
        super().__init__()
        self.long_step, self.out = long_step, Path()
        torch.manual_seed(0)
        self.net = nn.Sequential(
            nn.Linear(1, 20), nn.Tanh(), nn.Dropout(0.1), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 1)
        )  # the middle layer is wide enough for Muon, the others stay with Adam
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.drawn: list[Tensor] = []

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Points and noisy values."""
        x = torch.rand(n, 1, generator=generator) * 2 - 1
        y = (3 * x).sin() + 0.1 * torch.randn(n, 1, generator=generator)
        self.drawn.append(x)
        return x, y

    def forward(self, progress: Tensor, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Squared error, and beside it the absolute one."""
        if round(float(progress) * 40) == self.long_step:
            (self.out / f"in-long-step-{os.environ.get('RANK', '0')}").write_text(str(os.getpid()))
            time.sleep(60)
        error = self.net(x) - y
        return {"loss": error.square().mean(), "absolute": error.abs().mean()}


def tiny_config(**changes) -> TrainingConfig:
    """40 steps, a row of the log for every third."""
    options = {
        "images": 320, "batch": 8, "lr": 3e-2, "warmup": 40, "ema_halflife": 60, "images_per_log": 24,
        "precision": "fp32", "compile": "off", "minutes_per_checkpoint": 1e9, "threads": 1,
    }  # fmt: skip
    return TrainingConfig(**(options | changes))


def fingerprint(tensors) -> str:
    """Of numbers, bit for bit."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().double().numpy().tobytes())
    return digest.hexdigest()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill-in-save", type=int, default=0, help="SIGKILL itself in the middle of the Nth save")
    parser.add_argument("--long-step", type=int, default=-1, help="a step that lasts a minute")
    parser.add_argument("--compile", default="off")
    parser.add_argument("--fid", action="store_true", help="measure something in the place of FID at half and end")
    args = parser.parse_args()
    if args.kill_in_save:
        calls = iter(range(1, args.kill_in_save + 1))

        def fsync(_):
            if next(calls) == args.kill_in_save:
                os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = fsync
    task = TinyTask(args.long_step)
    task.out = args.out
    # a killed run saves after every step, and so in the middle of the log's intervals too
    config = tiny_config(minutes_per_checkpoint=0.0 if args.kill_in_save else 1e9, compile=args.compile)
    config = replace(config, images_per_fid=160 if args.fid else 0)

    def measure(stop) -> dict[str, float]:
        time.sleep(1)  # the other workers wait
        return {"fid": float(task.net[3].weight.detach().sum())}

    result = train(task, config, args.out, identity=IDENTITY, resume=args.resume, on_fid=measure, quiet=True)
    rank = os.environ.get("RANK", "0")
    about = {
        "world": os.environ.get("WORLD_SIZE", "1"),
        "images": result.images,
        "finished": result.finished,
        "weights": fingerprint(task.trainable_state().values()),
        "ema": fingerprint(result.ema.values()),
        "drawn": fingerprint(task.drawn),
    }
    (args.out / f"rank{rank}.json").write_text(json.dumps(about))


if __name__ == "__main__":
    main()
    leave(0)
