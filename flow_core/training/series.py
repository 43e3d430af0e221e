"""`python -m flow_core.train series --config FILE`: from a world and a settings file to an exported next-step flow."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import torch

from flow_core.model import FlowConfig
from flow_core.networks import PointConfig
from flow_core.series import model as series_model
from flow_core.series.baselines import fit_baseline, torus_members
from flow_core.series.scores import crps, crps_gaussian, weighted_mean
from flow_core.series.world import World
from flow_core.series.worlds import open_world
from flow_core.training.objective import Draw, FlowTask, ObjectiveConfig
from foundation.files.settings import plain_sections, read_settings
from foundation.networks.unet import count_parameters
from foundation.training.commands import PROGRAM_VERSION
from foundation.training.loop import TrainingConfig, train

CHECK_STARTS, CHECK_MEMBERS, CHECK_NFE = 500, 20, 5


@dataclass(frozen=True)
class DataConfig:
    """What is learned.

    Attributes:
        world: spec of flow_core.series.worlds.
        history: frames, 0 for the world's own.
        harmonics: of angles.
        modes: EOFs of a field that flow; 0 for vector worlds.
        level: whether fields flow less the area mean of the window (`series.model.FrameConfig`).
        seen: last frames of the window that the network sees, 0 for all.
    """

    world: str = "lorenz"
    history: int = 0
    harmonics: int = 2
    modes: int = 0
    level: bool = False
    seen: int = 0


@dataclass(frozen=True)
class RunConfig:
    """Attributes: out = the run's folder; name = of the exported model; ship = a folder that gets it too, with card."""

    out: str = "runs/series"
    name: str = "lorenz"
    ship: str = ""


class SeriesSettings(TypedDict):
    """Sections of a settings file for a world."""

    series: DataConfig
    flow: FlowConfig
    network: PointConfig
    objective: ObjectiveConfig
    training: TrainingConfig
    run: RunConfig


def series_draw(model: series_model.SeriesModel, world: World) -> Draw:
    """Pairs of the training part, drawn at random with replacement: (change, condition)."""
    train_windows = world.windows("train")
    history, target = model.pairs(train_windows)
    context = torch.from_numpy(train_windows.context)
    x1, condition = model.target(history, target), model.condition(history, context)

    def draw(n: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        rows = torch.randint(len(x1), (n,), generator=generator)
        return x1[rows], condition[rows]

    return draw


def validation_check(model: series_model.SeriesModel, world: World) -> tuple[float, float]:
    """Fair CRPS one frame ahead on the validation part, of the model and of persistence."""
    stride = max(1, len(world.windows("validation")) // CHECK_STARTS)
    r = world.rollouts("validation", 1, stride)
    made = model.forecast(r.history, r.context, 1, CHECK_MEMBERS, CHECK_NFE)
    mine = crps(made.members, r.truth, fair=True, period=world.period)
    if world.geometry == "torus":
        other = crps(torus_members(world, r, "persistence", CHECK_MEMBERS), r.truth, fair=True, period=world.period)
    else:
        last = fit_baseline(world, "persistence", 1)
        other = crps_gaussian(last.mean(r.history), last.std, r.truth)
    first, second = (float(weighted_mean(score, world.weights).mean()) for score in (mine, other))
    return first, second


def run_series(config: Path, overrides: list[str], *, resume: bool, quiet: bool) -> int:
    """Train a next-step flow on a world."""
    s = read_settings(config, overrides, SeriesSettings)
    out, data = Path(s["run"].out), s["series"]
    world = open_world(data.world, data.history or None)
    model = series_model.make(
        world, data.world, s["flow"], s["network"], data.harmonics, s["training"].seed, data.modes, data.level,
        data.seen,
    )  # fmt: skip
    task = FlowTask(model, series_draw(model, world), s["objective"])
    recipe = plain_sections(s, without=("run",))

    def fill(ema: dict, windows: int, seconds: float) -> None:
        model.load_state_dict({k.removeprefix("model."): v for k, v in ema.items()}, strict=False)  # buffers stay
        model.card = {
            "name": s["run"].name, "kind": "series", "recipe": recipe, "version": PROGRAM_VERSION,
            "windows_seen": windows, "minutes": round(seconds / 60, 2), "parameters": count_parameters(model),
            "metrics": {},
            "data": {"name": world.title, "world": data.world, "licence": world.licence,
                     "train_windows": len(world.windows("train")), "fingerprint": world.fingerprint()},
        }  # fmt: skip

    def export(ema: dict, windows: int, seconds: float) -> None:
        kept = {k: v.clone() for k, v in model.state_dict().items()}
        fill(ema, windows, seconds)
        series_model.save(model, out / "series.safetensors")
        model.load_state_dict(kept)

    identity = {"task": "series", "network": asdict(s["network"]), "flow": model.flow.to_dict()}
    identity |= {"frame": asdict(model.frame) | {"field": list(model.frame.field)}}  # as JSON gives it back
    result = train(task, s["training"], out, identity=identity, resume=resume, on_checkpoint=export, quiet=quiet)
    fill(result.ema, result.images, result.seconds)
    mine, other = validation_check(model.eval(), world)
    if s["run"].ship:
        ship(model, Path(s["run"].ship))
    end = "finished" if result.finished else "stopped; go on with --resume"
    print(f"series: {result.images:,} windows in {result.seconds / 60:.1f} minutes, {end}")
    print(f"series: validation CRPS one frame ahead {mine:.5f} (persistence with its spread {other:.5f})")
    return 0


def ship(model: series_model.SeriesModel, folder: Path) -> Path:
    """The checkpoint under its card's name, and the card beside it as JSON; returns the checkpoint's path."""
    path = folder / f"{model.card['name']}{series_model.SERIES_SUFFIX}"
    series_model.save(model, path)
    path.with_suffix(".json").write_text(json.dumps(model.card, indent=1) + "\n")
    return path
