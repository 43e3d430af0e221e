"""Models in files: found by name, rebuilt from their header and loaded strictly, whatever kind they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from foundation.files import checkpoints
from foundation.files.locations import ASSETS
from foundation.files.settings import SettingsError

MODELS_DIR = ASSETS / "models"  # what ships
LARGEST = 1000.0  # magnitude of a parameter; no shipped one exceeds 5.4
M = TypeVar("M", bound="Model")


class Model(nn.Module):
    """A network with a card.

    Attributes:
        card: what a checkpoint says of its weights (data, recipe, metrics), plain values; {} for a new network.
    """

    def __init__(self) -> None:
        super().__init__()
        self.card: dict = {}


def find_model(name_or_path: str | Path, suffix: str, what: str, folder: str | Path = MODELS_DIR) -> Path:
    """The file of a model.

    Args:
        name_or_path: a name in `folder`, or the path of any .safetensors file, which is not looked at here.
        suffix: of this kind's files, ".hkd.safetensors" for example.
        what: what to call this kind of model in the sentence.
        folder: where names are looked up.

    Raises:
        CheckpointError: no such name; the sentence lists those that there are.
    """
    path = Path(name_or_path)
    if path.suffix == ".safetensors":
        return path
    path = Path(folder) / f"{name_or_path}{suffix}"
    if not path.is_file():
        known = ", ".join(sorted(p.name.removesuffix(suffix) for p in path.parent.glob(f"*{suffix}"))) or "none"
        raise checkpoints.CheckpointError(
            f"There is no {what} {str(name_or_path)!r}: give a .safetensors file or one of {known}.", "name"
        )
    return path


def load_model(path: Path, kind: str, make: Callable[[dict], M]) -> M:
    """A model in eval mode, without gradients, its card as attribute `card`.

    Args:
        path: of the checkpoint.
        kind: that it must hold.
        make: header's config -> the network; called on the meta device.

    Raises:
        CheckpointError: with a sentence that says what is wrong.
    """
    header = checkpoints.peek(path)
    if header.kind != kind:
        raise checkpoints.CheckpointError(
            f"{path.name} holds a {header.kind!r:.40} checkpoint, but a {kind!r} one is needed.", "kind"
        )
    try:
        with torch.device("meta"):  # shapes are compared before memory is taken
            model = make(header.config)
    except (SettingsError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as e:
        why, part = str(e).rstrip(".")[:300], ".".join(filter(None, ("config", getattr(e, "field", ""))))
        raise checkpoints.CheckpointError(
            f"{path.name} has a configuration that cannot be built: {why}.", part
        ) from None
    state = checkpoints.load_tensors(path, checkpoints.expected_shapes(model), kind=kind)
    model.load_state_dict(state, assign=True)
    _check_weights(path, model)
    model.card = header.card
    return model.eval().requires_grad_(False)


def _check_weights(path: Path, model: nn.Module) -> None:
    """Refuses what would only show later, as a flat picture or as numbers that overflow."""
    # of layers; operators have three axes, and theirs are zero where a student starts
    matrices = [p for p in model.parameters() if p.ndim in (2, 4)]
    if matrices and not any(bool(p.any()) for p in matrices):
        raise checkpoints.CheckpointError(
            f"{path.name} holds nothing but zeros where its weights should be: every answer would be the same. Save "
            "the model again.",
            "weights",
        )
    for name, p in model.named_parameters():
        most = float(p.detach().abs().max()) if p.numel() else 0.0
        if most > LARGEST:
            raise checkpoints.CheckpointError(
                f"{path.name}: {name:.80} holds numbers up to {most:.3g}; above {LARGEST:.3g} answers are noise or not "
                "finite. Take an earlier checkpoint of the run, or train with a lower lr.",
                name,
            )
