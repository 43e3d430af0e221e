"""`python -m flow_core.train images --config FILE`: from pictures, or from an EDM teacher, to an exported flow.

An x1-network in the preconditioning of `FlowModel` with data_std = 0.5 is EDM's denoiser in other coordinates: x_t / t
is a picture with noise of level sqrt(V0) / t (docs/flow.md, "Networks and losses"): a teacher's weights are a flow's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch

from flow_core.mean_flow import MeanFlowConfig
from flow_core.model import FlowConfig, FlowModel, save_tensors
from flow_core.networks import PictureNet
from flow_core.samplers import Diverged, sample
from flow_core.training.mean_flow import task_of, unread_sections
from flow_core.training.objective import Draw, ObjectiveConfig
from foundation import noise
from foundation.data.picture_data import DataConfig, draw_pictures, save_grid, told_labels, training_pool
from foundation.files import checkpoints
from foundation.files.models import find_model
from foundation.files.settings import SettingsError, plain_sections, read_settings
from foundation.networks.unet import UNetConfig, count_parameters
from foundation.training.commands import PROGRAM_VERSION, device_sentence, report
from foundation.training.loop import TrainingConfig, train

EDM_STD = 0.5  # spread of the data that EDM's preconditioning takes for granted
SHEET_PICTURES, SHEET_NFE = 32, 13


@dataclass(frozen=True)
class PictureFlowConfig(FlowConfig):
    """A `FlowConfig` for pictures. Attributes: data_std = EDM's spread of pictures in [-1, 1]; the rest as there."""

    data_std: float = EDM_STD


@dataclass(frozen=True)
class ImagesConfig:
    """Attributes: flip (mirror half of the pictures); label_dropout; start = a shipped teacher, its file, or ""."""

    flip: bool = False
    label_dropout: float = 0.1
    start: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.label_dropout <= 1:
            raise ValueError(f"label_dropout must be from 0 to 1, not {self.label_dropout!r}.")


@dataclass(frozen=True)
class RunConfig:
    """Attributes: out = the run's folder; name = of the exported model."""

    out: str = "runs/images"
    name: str = "images"


class ImagesSettings(TypedDict):
    """Sections of a settings file for pictures."""

    data: DataConfig
    flow: PictureFlowConfig
    network: UNetConfig
    objective: ObjectiveConfig
    mean_flow: MeanFlowConfig
    images: ImagesConfig
    training: TrainingConfig
    run: RunConfig


def start_from(model: FlowModel, name_or_path: str) -> dict:
    """Gives a flow an EDM teacher's weights; returns what a card says of it: its name, the images that it has seen.

    Raises:
        CheckpointError: no such teacher, or a file that cannot be used.
        SettingsError: the flow's network or preconditioning is another than the teacher's.
    """
    if model.flow.predicts not in ("x1", "average") or model.flow.data_std != EDM_STD:
        raise SettingsError(
            f"images.start needs flow.predicts = 'x1' (or 'average') and flow.data_std = {EDM_STD}, with which a "
            "teacher's weights are a flow's: set both, or start from nothing."
        )
    path = find_model(name_or_path, ".teacher.safetensors", "teacher")
    header = checkpoints.peek(path)
    net = model.net
    if not isinstance(net, PictureNet):
        raise SettingsError("images.start is for networks of pictures.")
    mine = net.config.to_dict()
    if header.kind == "teacher" and header.config != mine:
        key = next(k for k in {**mine, **header.config} if mine.get(k) != header.config.get(k))
        raise SettingsError(
            f"images.start is another network: its {key:.40} is {header.config.get(key)!r:.40}, here network.{key:.40} "
            f"is {mine.get(key)!r:.40}."
        )
    expected = {f"net.{k}": s for k, s in checkpoints.expected_shapes(net.unet).items()}
    tensors = checkpoints.load_tensors(path, expected, kind="teacher")
    net.unet.load_state_dict({k.removeprefix("net."): v for k, v in tensors.items()})
    about = {"name": header.card.get("name", path.name)}
    # the start's own start is inside: what a network has seen is never lost
    return about | {k: header.card[k] for k in ("images_seen", "start") if k in header.card}


def picture_draw(pictures: np.ndarray, labels: np.ndarray, config: ImagesConfig) -> Draw:
    """Batches (pictures, labels) of a pool."""
    return lambda n, generator: draw_pictures(
        pictures, labels, n, generator, flip=config.flip, label_dropout=config.label_dropout
    )


def run_images(config: Path, overrides: list[str], *, resume: bool, quiet: bool) -> int:
    """Train a flow on pictures."""
    s = read_settings(config, overrides, ImagesSettings)
    out, network = Path(s["run"].out), s["network"]
    if s["data"].size != network.resolution:
        raise SettingsError(
            f"data.size is {s['data'].size}, but network.resolution {network.resolution}: give both one value."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(s["training"].seed)
        model = FlowModel(FlowConfig(**asdict(s["flow"])), network)
    start = start_from(model, s["images"].start) if s["images"].start else {}
    pictures, labels, about = training_pool(s["data"], out)
    draw = picture_draw(pictures, told_labels(labels, network.classes), s["images"])
    task = task_of(model, draw, s["objective"], s["mean_flow"])
    print(
        f"images: {count_parameters(model):,} parameters, {len(pictures):,} pictures, {device_sentence()}", flush=True
    )
    recipe = plain_sections(s, without=("run", *unread_sections(model)))
    # paths of this machine belong in no card
    recipe["data"]["spec"], recipe["images"]["start"] = about["spec"], start.get("name", "")

    def export(ema: dict, images: int, seconds: float) -> None:
        model.card = {
            "name": s["run"].name, "kind": "flow", "data": about, "recipe": recipe, "version": PROGRAM_VERSION,
            "images_seen": images, "minutes": round(seconds / 60, 2), "device": device_sentence(),
            "parameters": count_parameters(model), "metrics": {}, **({"start": start} if start else {}),
        }  # fmt: skip
        save_tensors(model, {k.removeprefix("model."): v for k, v in ema.items()}, out / "flow.safetensors")

    def sheet(images: int) -> None:
        model.eval()
        device = next(model.parameters()).device
        x = model.path.start_std * noise(range(SHEET_PICTURES), model.sample_shape).to(device)
        y = torch.arange(SHEET_PICTURES, device=device) % network.classes if network.classes else None
        method, nfe = ("euler", 1) if model.path.average else ("heun", SHEET_NFE)  # mean velocities are for one call
        try:
            made = sample(method, model.labelled(y), x, model.path, nfe).x
        except Diverged as e:  # early on; training goes on
            print(f"images: no sheet at {images:,} images. {e}", flush=True)
        else:
            save_grid(out / "samples" / f"{images:09d}.png", made)

    # the start belongs to it: a card must not name another than the one that the run began with
    identity = {"task": "images", "network": network.to_dict(), "flow": model.flow.to_dict(), "start": start}
    result = train(
        task, s["training"], out, identity=identity, resume=resume, on_checkpoint=export, on_sample=sheet, quiet=quiet
    )
    report("images", result)
    return 0
