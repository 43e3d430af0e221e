"""The nets of the flow benchmark: of equal architecture, optimizer, batch and number of steps, kept once trained."""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from analysis.core.errors import UserError
from flow_core import load
from flow_core.densities.toys import Toy
from flow_core.model import FlowConfig, FlowModel, save
from flow_core.networks import PointConfig
from flow_core.train import train_live
from flow_core.training.objective import FlowTask, velocity_loss
from flow_core.training.points import toy_task
from foundation.randomness import derived_seed
from foundation.training.loop import TrainingConfig

NETS_SIGMA0 = 0.2
MAX_SEEDS = 20
TRAINED_NETS = {
    "I-CFM": FlowConfig("icfm", 0.0, predicts="velocity"),
    "OT-CFM": FlowConfig("otcfm", 0.0, predicts="velocity"),
    "IDFF": FlowConfig("idff", NETS_SIGMA0, predicts="x1"),
    "IDFF + OT": FlowConfig("idff", NETS_SIGMA0, "exact", predicts="x1+eps"),  # as in the public code of 2024
    "MeanFlow": FlowConfig("meanflow", 0.0, predicts="average"),
}
PEER_FLOW = "torchcfm OT-CFM"


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        densities, seeds: of which, and how many trainings of each net.
        steps, batch, width: of every training; about a million points, as the shipped nets have seen.
        points: samples of each net on the test.
        reference: data that they are compared with; many, so that these add little noise.
        validation: points and data of each net there.
        nfes: ascending.
        target: the NFE of the goal.
    """

    densities: tuple[str, ...] = ("8gaussians", "checkerboard")
    seeds: int = 5
    steps: int = 4000
    batch: int = 256
    width: int = 128
    points: int = 4096
    reference: int = 32_768
    validation: int = 1024
    nfes: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)
    target: int = 5

    def training(self, seed: int) -> TrainingConfig:
        return TrainingConfig(
            images=self.steps * self.batch, batch=self.batch, lr=5e-3, warmup=20 * self.batch,
            ema_halflife=100 * self.batch, seed=seed,
        )  # fmt: skip


class PeerTask(FlowTask):
    """The same net trained on the pairs, times and targets of the torchcfm package."""

    def __init__(self, task: FlowTask, matcher):
        super().__init__(task.model, task.draw_data, task.config)
        self.matcher = matcher

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        (x1,) = self.draw_data(n, generator)
        x0 = torch.randn(x1.shape, generator=generator)
        with torch.random.fork_rng(devices=[]):  # that package draws from the global generator
            torch.manual_seed(derived_seed(step, n))
            t, x, u = self.matcher.sample_location_and_conditional_flow(x0, x1)
        return x, t, u

    def forward(self, progress, x, t, u) -> dict[str, Tensor]:
        return velocity_loss(self.model, x, t, u)


def peer_matcher():
    """torchcfm's exact OT matcher where the package is installed, else None.

    Raises:
        UserError: it is there, and lacks what it needs itself; without the peer the table would look whole.
    """
    try:
        module = importlib.import_module("torchcfm.conditional_flow_matching")
    except ImportError as e:
        if (e.name or "").startswith("torchcfm"):  # a folder of that name on the path is no package
            return None
        raise UserError(f"torchcfm is installed and cannot be used ({e}): install what it needs, or remove it.") from e
    return module.ExactOptimalTransportConditionalFlowMatcher(sigma=0.0)


def trained(name: str, density: Toy, seed: int, plan: Plan, folder: Path) -> FlowModel:
    """One net, from the folder when it was trained before by the same plan."""
    flow, config = TRAINED_NETS[name.replace(PEER_FLOW, "OT-CFM")], plan.training(seed)
    task = toy_task(density, flow, PointConfig(width=plan.width), seed=seed)
    about = json.dumps([name, density.name, asdict(task.model.flow), asdict(task.model.config), asdict(config)])
    file = folder / f"{density.name}-{hashlib.sha256(about.encode()).hexdigest()[:16]}.safetensors"
    if not file.exists():
        task = PeerTask(task, peer_matcher()) if name == PEER_FLOW else task
        for _ in train_live(task, config, every=plan.steps):
            pass
        save(task.model, file, {"name": name, "density": density.name, "seed": seed}, dtype=torch.float32)
    return load(file)
