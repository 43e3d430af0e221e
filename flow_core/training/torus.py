"""`python -m flow_core.train torus --config FILE`: an unconditional flow of alanine dipeptide's dihedral angles."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

from flow_core.model import FlowConfig, FlowModel, save_tensors
from flow_core.networks import TorusConfig
from flow_core.series import alanine
from flow_core.torus import geodesic, uniform
from flow_core.training.objective import FlowTask, draw_times, velocity_loss
from foundation.files.settings import plain_sections, read_settings
from foundation.networks.unet import count_parameters
from foundation.training.commands import PROGRAM_VERSION, report
from foundation.training.loop import TrainingConfig, train

TRAIN_SHARE, TEST_SHARE = 0.7, 0.2  # shares of each run: the first and the last, as the world `alanine` has them
VELOCITY_STD = math.pi / 3**0.5  # of an angle's velocity: uniform in (-pi, pi)
TORUS_FLOW = FlowConfig("icfm", 0.0, predicts="velocity", data_std=(VELOCITY_STD**2 - 1) ** 0.5)


@dataclass(frozen=True)
class AnglesConfig:
    """Attributes: path = an .npz file as `alanine.load` takes it, "" for the one that ships."""

    path: str = ""


@dataclass(frozen=True)
class RunConfig:
    """Attributes: out = the run's folder; name = of the exported model."""

    out: str = "runs/torus"
    name: str = "torus-alanine"


class TorusSettings(TypedDict):
    """Sections of a settings file for angles."""

    angles: AnglesConfig
    network: TorusConfig
    training: TrainingConfig
    run: RunConfig


class TorusTask(FlowTask):
    """Trains the velocity of shortest lines from uniform angles to data, independent of them."""

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        (x1,) = self.draw_data(n, generator)
        return uniform(n, x1.shape[1], generator), x1, draw_times(n, generator)

    def forward(self, progress: Tensor, *drawn: Tensor) -> dict[str, Tensor]:
        x0, x1, t = drawn
        x, u = geodesic(x0, x1, t)
        return velocity_loss(self.model, x, t, u)


def torus_task(angles: Tensor, network: TorusConfig, seed: int = 0) -> TorusTask:
    """A model with weights drawn from the seed, and the task that trains it on angles (N, D)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FlowModel(TORUS_FLOW, network)
    return TorusTask(model, lambda n, generator: (angles[torch.randint(len(angles), (n,), generator=generator)],))


def parts(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Frames (runs, frames, D) of the training and of the test part, (N, D) each."""
    frames = angles.shape[1]
    return angles[:, : round(TRAIN_SHARE * frames)].flatten(0, 1), angles[
        :, frames - round(TEST_SHARE * frames) :
    ].flatten(0, 1)


def run_torus(config: Path, overrides: list[str], *, resume: bool, quiet: bool) -> int:
    """Train a flow of dihedral angles."""
    s = read_settings(config, overrides, TorusSettings)
    out, data = Path(s["run"].out), alanine.load(s["angles"].path or None)
    train_part, _ = parts(torch.from_numpy(data.angles))
    task = torus_task(train_part, s["network"], s["training"].seed)
    recipe = plain_sections(s, without=("run", "angles"))

    def export(ema: dict, frames: int, seconds: float) -> None:
        task.model.card = {
            "name": s["run"].name, "kind": "flow", "data": {"name": "alanine", "licence": data.licence},
            "recipe": recipe, "version": PROGRAM_VERSION, "points_seen": frames, "minutes": round(seconds / 60, 2),
            "parameters": count_parameters(task.model), "metrics": {},
        }  # fmt: skip
        save_tensors(task.model, {k.removeprefix("model."): v for k, v in ema.items()}, out / "flow.safetensors")

    identity = {"network": asdict(s["network"]), "task": "torus"}
    report(
        "torus", train(task, s["training"], out, identity=identity, resume=resume, on_checkpoint=export, quiet=quiet)
    )
    return 0
