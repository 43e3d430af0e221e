"""Recipes: a result described so fully that it can be made again, bit for bit on one machine.

A recipe is JSON: which program, which weights (by checksum), which question, every setting. PNG files carry it in
a text chunk. Recipes come from strangers, so everything is checked before it is used: size, schema, ranges, names. No
path is ever in one, and nothing is unpickled or executed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, TypeVar, Union

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError

from analysis.core.errors import UserError
from analysis.core.images import open_png
from analysis.recipes.flow_settings import FLOW_KINDS
from analysis.recipes.settings import KINDS, EditSettings, Name, Settings, Sha256, Strict, TrajectorySettings
from foundation.checkpoints import checksum

PROGRAM = "0.1.0"  # of pyproject.toml; a test compares
TORCH = torch.__version__
VERSION = 1  # of this format
MAX_BYTES = 64 * 1024
MAX_PNG_BYTES = 4 * 2**20
MAX_PNG_PIXELS = 4_000_000
KEY = "koopman-studio-recipe"  # of the PNG's text chunk

Release = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$")]


class Made(Strict):
    """What every recipe says.

    Attributes:
        version: of the format.
        program, torch: releases that made it; told, not checked, since only one machine promises equal bits.
    """

    version: Literal[VERSION]
    program: Release
    torch: Release

    @property
    def kind(self) -> str:
        return self.settings.kind


class Recipe(Made):
    """Everything that a result of a `Workbench` depends on.

    Attributes:
        model: name of the model, for people.
        checkpoint, teacher: checksums of the weights, see `checksum`; teacher only where the result needs it.
        settings: the question.
    """

    model: Name
    checkpoint: Sha256
    teacher: Sha256 | None
    settings: Annotated[Union[KINDS], Field(discriminator="kind")]  # noqa: UP007 (a tuple cannot be joined by |)


class FlowRecipe(Made):
    """Everything that results of flows depend on; see `analysis.recipes.replay`.

    Attributes:
        nets: names and checksums of all nets that are called; none where all flows are closed forms.
        settings: the question.
    """

    nets: Annotated[dict[Name, Sha256], Field(max_length=8)]
    settings: Annotated[Union[FLOW_KINDS], Field(discriminator="kind")]  # noqa: UP007


FAMILIES = ("recipe of a model", "recipe of flows")


def _family(data: Any) -> str:
    """Which of the two a recipe is, told by its kind; what is neither is a bad one of the first."""
    settings = data.get("settings") if isinstance(data, dict) else None
    kind = settings.get("kind") if isinstance(settings, dict) else None
    return FAMILIES[kind in [k.name() for k in FLOW_KINDS]]


_EITHER = Annotated[Recipe, Tag(FAMILIES[0])] | Annotated[FlowRecipe, Tag(FAMILIES[1])]
_READ: TypeAdapter[Recipe | FlowRecipe] = TypeAdapter(Annotated[_EITHER, Discriminator(_family)])
_Any = TypeVar("_Any", Recipe, FlowRecipe)


def describe(request: Any, workbench) -> Recipe:
    """The recipe of a request to a workbench.

    Raises:
        UserError: no recipe for this kind of request, or its pictures are too large for one.
    """
    kind = next((k for k in KINDS if type(request) is k.REQUEST), None)
    if kind is None:
        raise UserError("There is no recipe for this kind of result yet: save its picture instead.")
    settings = settings_of(kind, request)
    return made(
        Recipe,
        model=re.sub(r"[^0-9A-Za-z._-]", "-", workbench.name)[:64].lstrip("._-") or "model",
        checkpoint=checksum(workbench.model),
        teacher=checksum(workbench.teacher) if workbench.teacher and _needs_teacher(settings) else None,
        settings=settings,
    )


def settings_of(kind: type[Settings], request: Any) -> Settings:
    """The settings of a request of this kind.

    Raises:
        UserError: what cannot be in a recipe.
    """
    try:
        return kind.of(request)
    except ValidationError as e:
        raise UserError(_sentence(e)) from None


def made(recipe: type[_Any], **fields) -> _Any:
    """A recipe that is made here and now of these fields.

    Raises:
        UserError: out of range, or too large.
    """
    try:
        return _small(recipe(version=VERSION, program=PROGRAM, torch=TORCH, **fields))
    except ValidationError as e:
        raise UserError(_sentence(e)) from None


def _needs_teacher(settings: Settings) -> bool:
    ode = isinstance(settings, EditSettings) and settings.encoding == "ode"
    return ode or isinstance(settings, TrajectorySettings)


def _small(recipe: _Any) -> _Any:
    if len(to_json(recipe).encode()) > MAX_BYTES:
        raise UserError(f"The recipe would be larger than {MAX_BYTES // 1024} kB: use smaller pictures.")
    return recipe


def _sentence(error: ValidationError) -> str:
    """The first complaint, without anything that the file's author could have put in to be shown."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"] if part not in FAMILIES)
    text = f"{where}: {first['msg']}" if where else first["msg"]
    text = re.sub(r"[^\w .,:;'()\[\]=+-]", "", text, flags=re.ASCII)[:200]
    return f"This recipe cannot be used ({text}): take one that this program saved, unchanged."


# ---------------------------------------------------------------------------------------------------------------------
# JSON and PNG


def to_json(recipe: Recipe | FlowRecipe) -> str:
    """ASCII JSON, one line a field; floats keep every bit."""
    return recipe.model_dump_json(indent=1)


def from_json(data: str | bytes) -> Recipe | FlowRecipe:
    """A checked recipe.

    Raises:
        UserError: too large, not JSON, another version, or anything out of range; the sentence says which field.
    """
    # a lone surrogate is no text: replaced, it fails as JSON below
    data = data.encode(errors="replace") if isinstance(data, str) else data
    if not isinstance(data, (bytes, bytearray)):
        raise UserError("A recipe is JSON text: take one that this program saved.")
    if len(data) > MAX_BYTES:
        raise UserError(f"A recipe has at most {MAX_BYTES // 1024} kB: take one that this program saved.")
    try:
        return _READ.validate_json(bytes(data))
    except ValidationError as e:
        raise UserError(_sentence(e)) from None


def save_png(picture: np.ndarray, recipe: Recipe | FlowRecipe, target: str | Path | BinaryIO) -> None:
    """Write uint8 (H, W, 3) or (H, W) as PNG with its recipe inside.

    Args:
        target: a path of the caller's own choice, or a binary buffer.
    """
    info = PngInfo()
    info.add_text(KEY, to_json(recipe))
    Image.fromarray(picture).save(target, format="PNG", pnginfo=info)


def read_png(data: bytes) -> Recipe | FlowRecipe:
    """The recipe inside a PNG that `save_png` wrote; no pixel is decoded.

    Raises:
        UserError: not a PNG, too large, damaged, without a recipe, or with one that cannot be used.
    """
    if len(data) > MAX_PNG_BYTES:
        raise UserError(f"The PNG has more than {MAX_PNG_BYTES // 2**20} MB: choose a smaller one.")
    text = open_png(bytes(data), MAX_PNG_PIXELS).info.get(KEY)
    if not isinstance(text, str):
        raise UserError("This PNG carries no recipe: choose one that this program saved, not a screenshot of it.")
    return from_json(text)


def replay(recipe: Recipe, workbench, progress: Callable[..., None] | None = None) -> Any:
    """Ask the recipe's question again.

    Args:
        recipe: a checked one.
        workbench: a `Workbench` with the recipe's own weights.
        progress: handed to kinds that take one.

    Returns:
        What the Workbench's method of that kind returns.

    Raises:
        UserError: other weights than the recipe's, or a question that this workbench does not know.
    """
    if recipe.checkpoint != checksum(workbench.model):
        raise UserError(
            f"This recipe was made with other weights ({recipe.model}, checksum {recipe.checkpoint[:12]}): "
            "open that model."
        )
    if recipe.teacher is not None and (workbench.teacher is None or recipe.teacher != checksum(workbench.teacher)):
        raise UserError("This recipe needs the teacher that it was made with: put that teacher beside the model.")
    ask = getattr(workbench, recipe.kind, None)
    if ask is None:
        raise UserError(f"This program cannot replay {recipe.kind}: use a newer one.")
    request = recipe.settings.request()
    return ask(request) if progress is None or recipe.kind in ("generate", "mask_bands") else ask(request, progress)
