"""What each training command does, from its settings file to the exported model."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypedDict

import torch

from flow_core.densities.distances import MMD
from flow_core.densities.toys import Toy, toy
from flow_core.mean_flow import MeanFlowConfig
from flow_core.model import NORMAL, FlowConfig, FlowModel, save, save_tensors
from flow_core.networks import PointConfig
from flow_core.samplers import sample
from flow_core.training.images import run_images
from flow_core.training.mean_flow import task_of, unread_sections
from flow_core.training.objective import Draw, FlowTask, ObjectiveConfig
from flow_core.training.series import run_series
from flow_core.training.torus import run_torus
from foundation import noise
from foundation.files.settings import plain_sections, read_settings
from foundation.networks.unet import count_parameters
from foundation.training.commands import PROGRAM_VERSION
from foundation.training.loop import TrainingConfig, train

FIT_POINTS, FIT_NFE, FIT_SEED = 2048, 99, 1_000_000
FIT_WORDS = (
    f"{FIT_POINTS} points of the exact flow by Heun at NFE {FIT_NFE} against {FIT_POINTS} held-out points, "
    "kernel exp(-d^2/2)"
)


@dataclass(frozen=True)
class ToyConfig:
    """Attributes: density, source = names of flow_core.densities.toys; source "normal" is noise."""

    density: str = "8gaussians"
    source: str = NORMAL


@dataclass(frozen=True)
class RunConfig:
    """Attributes: out = the run's folder; name = of the exported model."""

    out: str = "runs/toy"
    name: str = "toy"


class ToySettings(TypedDict):
    """Sections of a settings file for a density."""

    toy: ToyConfig
    flow: FlowConfig
    network: PointConfig
    objective: ObjectiveConfig
    mean_flow: MeanFlowConfig
    training: TrainingConfig
    run: RunConfig


def toy_draw(density: Toy) -> Draw:
    """Fresh points in every step: a density never runs out of data."""
    return lambda n, generator: (density.density.sample(n, generator).float(),)


def toy_task(
    density: Toy,
    flow: FlowConfig,
    network: PointConfig,
    objective: ObjectiveConfig | None = None,
    seed: int = 0,
    mean_flow: MeanFlowConfig | None = None,
    source: Toy | None = None,
) -> FlowTask:
    """A model for a density, with its spread filled in and weights drawn from the seed, and the task that trains it.

    Args:
        source: what flows begin at; None for standard normal noise.
    """
    if source is not None:
        flow = replace(flow, source=source.name, source_std=source.density.std())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FlowModel(replace(flow, data_std=density.density.std()), network)
    begin = None if source is None else lambda n, generator: toy_draw(source)(n, generator)[0]
    return task_of(model, toy_draw(density), objective, mean_flow, begin)


def toy_fit(model: FlowModel, density: Toy, source: Toy | None = None) -> dict[str, float]:
    """How well a model fits: unbiased squared MMD of its flow at `FIT_NFE` calls, and of data, to held-out data."""
    reference = MMD(density.sample(FIT_POINTS, FIT_SEED))
    if source is None:
        start = model.path.start_std * noise(range(FIT_SEED, FIT_SEED + FIT_POINTS), (2,))
    else:
        start = source.sample(FIT_POINTS, FIT_SEED + 2)
    samples = sample("heun", model, start, model.path, FIT_NFE).x
    jumped = (
        {"mmd2_one_call": reference.unbiased(sample("euler", model, start, model.path, 1).x)}
        if model.path.average
        else {}
    )
    return {
        "mmd2": reference.unbiased(samples),
        **jumped,
        "mmd2_biased": reference.biased(samples),
        "mmd2_biased_of_data": reference.biased(density.sample(FIT_POINTS, FIT_SEED + 1)),
    }


def run_toy(config: Path, overrides: list[str], *, resume: bool, quiet: bool) -> int:
    """Train a flow on a two-dimensional density."""
    s = read_settings(config, overrides, ToySettings)
    out, density = Path(s["run"].out), toy(s["toy"].density)
    source = None if s["toy"].source == NORMAL else toy(s["toy"].source)
    task = toy_task(density, s["flow"], s["network"], s["objective"], s["training"].seed, s["mean_flow"], source)
    model = task.model
    recipe = plain_sections(s, without=("run", *unread_sections(model)))

    def export(ema: dict, images: int, seconds: float) -> None:
        model.card = {
            "name": s["run"].name, "kind": "flow", "data": {"name": density.name},
            "recipe": recipe, "version": PROGRAM_VERSION, "points_seen": images, "minutes": round(seconds / 60, 2),
            "parameters": count_parameters(model), "metrics": {},
        }  # fmt: skip
        save_tensors(model, {k.removeprefix("model."): v for k, v in ema.items()}, out / "flow.safetensors")

    identity = {"network": asdict(s["network"]), "flow": model.flow.to_dict(), "task": "toy"}
    result = train(task, s["training"], out, identity=identity, resume=resume, on_checkpoint=export, quiet=quiet)
    model.load_state_dict({k.removeprefix("model."): v for k, v in result.ema.items()})
    fit = toy_fit(model.eval(), density, source)
    model.card["metrics"] = {**{k: float(f"{v:.3g}") for k, v in fit.items()}, "how": FIT_WORDS}
    save(model, out / "flow.safetensors")
    end = "finished" if result.finished else "stopped; go on with --resume"
    print(f"toy: {result.images:,} points in {result.seconds / 60:.1f} minutes, {end}")
    print(
        f"toy: MMD^2 to held-out data {fit['mmd2_biased']:.5f} (biased, bandwidth 1; of as much data "
        f"{fit['mmd2_biased_of_data']:.5f}), unbiased {fit['mmd2']:.6f}"
    )
    return 0


RUN = {"toy": run_toy, "images": run_images, "series": run_series, "torus": run_torus}
