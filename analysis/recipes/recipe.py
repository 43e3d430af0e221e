"""Recipes: a result described so fully that it can be made again.

Bit for bit on one kind of processor with as many threads: batches are part of a question, so they are the same again.
On another processor, with other threads or in a batch of another size a byte of a picture may differ by one level
(docs/reliability.md, "The same seed, another batch"); `koopman_core.sampling.in_groups` keeps bits from batch and
threads.

A recipe is JSON: which program, which weights (by checksum), which question, every setting. PNG files carry it in
a text chunk, and a recipe can be written as Python. Recipes come from strangers, so everything is checked
before it is used: size, schema, ranges, names. No path is ever in one, and nothing is unpickled or executed.

The settings are the request itself, read by the very annotations of its class. Settings of flows beside each other say
what they share once. Those of a model name its checkpoint and its teacher, those of flows all nets that are called.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json as parsed
from pydantic_core import to_json as dumped
from torch import nn

from analysis.core.errors import UserError
from analysis.core.fields import Request
from analysis.core.images import open_png
from analysis.flow.images import FlowPicturesRequest, ImageFlows
from analysis.flow.points import Flow2DRequest, PointFlows
from analysis.flow.settings import SideBySideRequest
from analysis.series.forecast import ForecastRequest, SeriesForecasts
from analysis.workbench.editing import EditRequest
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from analysis.workbench.spectrum import MaskRequest, ModeRequest
from analysis.workbench.workbench import Workbench
from foundation.files.checkpoints import checksum

PROGRAM = "0.1.0"  # of pyproject.toml; a test compares
TORCH = torch.__version__
FORMAT_VERSION = 1  # of this format
MAX_RECIPE_BYTES = 64 * 1024
MAX_PNG_BYTES = 4 * 2**20
MAX_PNG_PIXELS = 4_000_000
KEY = "koopman-studio-recipe"  # of the PNG's text chunk

# a new question joins by one line
MODEL_KINDS: dict[str, type[Request]] = {
    "generate": GenerateRequest,
    "trajectory": TrajectoryRequest,
    "mask_bands": MaskRequest,
    "mode": ModeRequest,
    "edit": EditRequest,
    "inpaint": InpaintRequest,
    "colorize": ColorizeRequest,
}
BESIDE: dict[str, type[Flow2DRequest] | type[FlowPicturesRequest]] = {
    "flow_2d": Flow2DRequest,
    "flow_images": FlowPicturesRequest,
}  # of each setting
FLOW_KINDS: dict[str, type[Request]] = {**dict.fromkeys(BESIDE, SideBySideRequest), "forecast": ForecastRequest}
RECIPE_KINDS = {**MODEL_KINDS, **FLOW_KINDS}

Flows = PointFlows | ImageFlows | SeriesForecasts  # who answers FLOW_KINDS
Release = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
NAME = r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]


@dataclass(frozen=True, eq=False)
class Recipe:
    """Everything that a result depends on.

    Attributes:
        kind: one of `RECIPE_KINDS`.
        request: the question.
        checksums: of the weights by name: the model, or all nets that a flow calls (none for a closed form).
        teacher: checksum of the model's teacher where the result needs it.
        program, torch: releases that made it; told, not checked, since only one machine promises equal bits.
    """

    kind: str
    request: Request
    checksums: Mapping[str, str]
    teacher: str | None = None
    program: str = PROGRAM
    torch: str = TORCH

    @property
    def of_flows(self) -> bool:
        """Whether it is of flows, and not of a model."""
        return self.kind in FLOW_KINDS

    @property
    def model(self) -> str:
        """Names of the weights, for people."""
        return ", ".join(self.checksums)

    @property
    def checkpoint(self) -> str:
        """Checksum of the model."""
        return next(iter(self.checksums.values()))

    @functools.cached_property
    def text(self) -> str:
        """ASCII JSON, one line a field; floats keep every bit."""
        about: dict[str, Any] = {"version": FORMAT_VERSION, "program": self.program, "torch": self.torch}
        if self.of_flows:
            about["nets"] = dict(self.checksums)
        else:
            (about["model"], about["checkpoint"]), about["teacher"] = *self.checksums.items(), self.teacher
        return dumped(about | {"settings": settings_of(self.kind, self.request)}, indent=1).decode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.text == other.text

    __hash__ = None  # type: ignore[assignment]


def kind_of(request: Any) -> str | None:
    """The kind of a question, None where there is no recipe for it."""
    of = type(request.asked[0]) if isinstance(request, SideBySideRequest) else type(request)
    among = BESIDE if isinstance(request, SideBySideRequest) else RECIPE_KINDS
    return next((kind for kind, cls in among.items() if cls is of), None)


def settings_of(kind: str, request: Request) -> dict[str, Any]:
    """A request as JSON values.

    Raises:
        UserError: what cannot be in a recipe.
    """
    if not isinstance(request, SideBySideRequest):
        return {"kind": kind, **request.as_settings()}
    shared = BESIDE[kind].SHARED
    each = [s if s is None else s.as_settings() for s in request.settings]
    first = next(s for s in each if s is not None)
    return {
        "kind": kind,
        **{name: first[name] for name in shared if name in first},
        "settings": [s and {name: value for name, value in s.items() if name not in shared} for s in each],
    }


def request_of(settings: Any) -> tuple[str, Request]:
    """Kind and request of settings as JSON values: exactly the fields of their kind.

    Raises:
        UserError: unknown, missing or out of range; `field` names one of ours.
    """
    kind = settings.get("kind") if isinstance(settings, dict) else None
    if not isinstance(kind, str) or kind not in RECIPE_KINDS:
        raise UserError(f'The settings need a "kind": one of {", ".join(RECIPE_KINDS)}.', "kind")
    values = {name: value for name, value in settings.items() if name != "kind"}
    for name in ("data", "model"):  # of nets, which no recipe names by a path
        if name in values and not re.fullmatch(NAME, str(values[name])):
            raise UserError(f"The {name} must be the name of a net: letters, digits, points and dashes.", name)
    return kind, _beside(kind, values) if kind in BESIDE else RECIPE_KINDS[kind].from_settings(values)


def _beside(kind: str, values: dict[str, Any]) -> SideBySideRequest:
    cls, names, former = BESIDE[kind], BESIDE[kind].SHARED, BESIDE[kind].former
    each = values.pop("settings", None)
    if not isinstance(each, list) or any(s is not None and not isinstance(s, dict) for s in each):
        raise UserError("The settings must be a list of settings, or null where a place is empty.", "settings")
    values = {k: v for k, v in former.items() if k in names} | values
    if values.keys() != set(names):
        raise UserError(f"Settings beside each other share exactly {', '.join(names)}: give these once.", "settings")
    if any(s is not None and s.keys() & set(names) for s in each):
        raise UserError(f"Settings beside each other share {', '.join(names)}: leave these out of each.", "settings")
    return SideBySideRequest(tuple(None if s is None else cls.from_settings({**values, **s}) for s in each))


def recipe_of(request: Request, checksums: Mapping[str, str], teacher: str | None = None) -> Recipe:
    """The recipe of a question that is asked here and now.

    Raises:
        UserError: no recipe for this kind of request, odd names of weights, or too large.
    """
    kind = kind_of(request)
    if kind is None:
        raise UserError("There is no recipe for this kind of result yet: save its picture instead.", "kind")
    odd = next((name for name in checksums if not re.fullmatch(NAME, name)), None)
    if odd is not None:
        raise UserError("A recipe names weights by letters, digits, points and dashes: rename the file of this net.")
    recipe = Recipe(kind, request, checksums, teacher)
    if len(recipe.text) > MAX_RECIPE_BYTES:
        raise UserError(
            f"The recipe would be larger than {MAX_RECIPE_BYTES // 1024} kB: use smaller pictures.", "recipe"
        )
    return recipe


def describe(request: Request, workbench: Workbench) -> Recipe:
    """The recipe of a request to a `Workbench`.

    Raises:
        UserError: no recipe for this kind of request, or its pictures are too large for one.
    """
    if kind_of(request) not in MODEL_KINDS:
        raise UserError("There is no recipe for this kind of result yet: save its picture instead.", "kind")
    name = re.sub(r"[^0-9A-Za-z._-]", "-", workbench.name)[:64].lstrip("._-") or "model"
    by_ode = isinstance(request, EditRequest) and request.encoding in ("ode", "inversion")
    follows = by_ode or isinstance(request, TrajectoryRequest)
    model, teacher = workbench.checksums
    return recipe_of(request, {name: model}, teacher if follows else None)


def nets_of(request: Request, bench: Flows) -> dict[str, nn.Module]:
    """Name and model of every net that a question calls.

    Raises:
        UserError: one of them is not here, or does not fit; or a question to somebody else.
    """
    if isinstance(request, ForecastRequest) and isinstance(bench, SeriesForecasts):
        return {bench.info(request.model).name: bench.open(request.model).model}
    models: dict[str, Any] = {}
    for setting in request.asked if isinstance(request, SideBySideRequest) else ():
        if isinstance(bench, PointFlows) and isinstance(setting, Flow2DRequest):
            net = bench.net(setting)
            models[net.name] = net.predict
        elif isinstance(bench, ImageFlows) and isinstance(setting, FlowPicturesRequest):
            images = bench.net(setting)
            models[images.name] = images.model
    return {name: model for name, model in models.items() if isinstance(model, nn.Module)}  # an oracle is none


def describe_flows(request: Request, bench: Flows) -> Recipe:
    """The recipe of a question to who answers it.

    Raises:
        UserError: no recipe for this kind of question, a net that is not here, or a drawing that no recipe holds.
    """
    if kind_of(request) not in FLOW_KINDS:
        raise UserError(
            "There is no recipe for this kind of question: ask for settings side by side, or a forecast.", "kind"
        )
    checksums = {name: checksum(model) for name, model in nets_of(request, bench).items()}
    if isinstance(request, ForecastRequest) and isinstance(
        bench, SeriesForecasts
    ):  # "" is another model where there are others
        request = replace(request, model=bench.info(request.model).name)
    return recipe_of(request, checksums)


def replay(recipe: Recipe, workbench: Workbench, progress: Callable[..., None] | None = None) -> Any:
    """Ask the question of a model's recipe again.

    Args:
        recipe: a checked one.
        workbench: with the recipe's own weights.
        progress: handed to kinds that take one.

    Returns:
        What the Workbench's method of that kind returns.

    Raises:
        UserError: other weights than the recipe's.
    """
    ((name, digest),) = recipe.checksums.items()
    if digest != checksum(workbench.model):
        raise UserError(
            f"This recipe was made with other weights ({name}, checksum {digest[:12]}): open that model.", "weights"
        )
    if recipe.teacher is not None and (workbench.teacher is None or recipe.teacher != checksum(workbench.teacher)):
        raise UserError(
            "This recipe needs the teacher that it was made with: put that teacher beside the model.", "teacher"
        )
    ask = getattr(workbench, recipe.kind)
    alone = progress is None or recipe.kind in ("mask_bands", "mode")
    return ask(recipe.request) if alone else ask(recipe.request, progress)


# ---------------------------------------------------------------------------------------------------------------------
# JSON and PNG


class _File(BaseModel):
    """What every recipe's file says: nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True)
    version: Literal[1]
    program: Release
    torch: Release
    settings: dict[str, Any]


class _OfModel(_File):
    model: Name
    checkpoint: Sha256
    teacher: Sha256 | None


class _OfFlows(_File):
    nets: Annotated[dict[Name, Sha256], Field(max_length=8)]


def to_json(recipe: Recipe) -> str:
    """As `Recipe.text`."""
    return recipe.text


def from_json(data: str | bytes) -> Recipe:
    """A checked recipe.

    Raises:
        UserError: too large, not JSON, another version, or anything out of range; the sentence says which field.
    """
    # a lone surrogate is no text: replaced, it fails as JSON below
    data = data.encode(errors="replace") if isinstance(data, str) else data
    if not isinstance(data, (bytes, bytearray)):
        raise UserError("A recipe is JSON text: take one that this program saved.", "recipe")
    if len(data) > MAX_RECIPE_BYTES:
        raise UserError(
            f"A recipe has at most {MAX_RECIPE_BYTES // 1024} kB: take one that this program saved.", "recipe"
        )
    try:
        return _read(bytes(data))
    except ValidationError as e:
        first = e.errors(include_url=False, include_context=False, include_input=False)[0]
        reason = ": ".join([".".join(map(str, first["loc"])), first["msg"]])
    except UserError as e:
        reason = str(e).rstrip(".") if not e.field else f"settings.{e.field}: {str(e).rstrip('.')}"
    except ValueError as e:  # no JSON
        reason = str(e)
    # without anything that the file's author could have put in to be shown
    reason = re.sub(r"[^\w .,:;'()\[\]=+-]", "", reason, flags=re.ASCII)[:200]
    raise UserError(
        f"This recipe cannot be used ({reason}): take one that this program saved, unchanged.", "recipe"
    ) from None


def _read(data: bytes) -> Recipe:
    settings = values.get("settings") if isinstance(values := parsed(data), dict) else None
    if isinstance(settings, dict) and settings.get("kind") in list(FLOW_KINDS):
        flows = _OfFlows.model_validate_json(data)
        return Recipe(*request_of(flows.settings), flows.nets, None, flows.program, flows.torch)
    about = _OfModel.model_validate_json(data)
    kind, request = request_of(about.settings)
    return Recipe(kind, request, {about.model: about.checkpoint}, about.teacher, about.program, about.torch)


def save_png(picture: np.ndarray, recipe: Recipe, target: str | Path | BinaryIO) -> None:
    """Write uint8 (H, W, 3) or (H, W) as PNG with its recipe inside.

    Args:
        target: a path of the caller's own choice, or a binary buffer.
    """
    info = PngInfo()
    info.add_text(KEY, recipe.text)
    Image.fromarray(picture).save(target, format="PNG", pnginfo=info)


def read_png(data: bytes) -> Recipe:
    """The recipe inside a PNG that `save_png` wrote; no pixel is decoded.

    Raises:
        UserError: not a PNG, too large, damaged, without a recipe, or with one that cannot be used.
    """
    if len(data) > MAX_PNG_BYTES:
        raise UserError(f"The PNG has more than {MAX_PNG_BYTES // 2**20} MB: choose a smaller one.", "png")
    text = open_png(bytes(data), MAX_PNG_PIXELS).info.get(KEY)
    if not isinstance(text, str):
        raise UserError(
            "This PNG carries no recipe: choose one that this program saved, not a screenshot of it.", "png"
        )
    return from_json(text)


# ---------------------------------------------------------------------------------------------------------------------
# Python


def as_python(recipe: Recipe) -> str:
    """A script whose `result` is the recipe's; of settings side by side, a list of theirs.

    What a request has by default is left out; one that holds pictures is read from the recipe's own text.
    """
    if recipe.of_flows:
        return _of_flows(recipe)
    name, request = recipe.model, recipe.request
    kind: Any = type(request)
    head = "from analysis.studio import Studio\n"
    bench = f"\nbench = Studio().library.get({name!r})\n"
    asked = {f.name: getattr(request, f.name) for f in fields(kind) if not _usual(request, f)}
    if any(isinstance(value, np.ndarray) for value in asked.values()):
        imports = f"from analysis.recipes import recipe\n{head}"
        return f"{imports}{bench}result = recipe.replay(recipe.from_json({recipe.text!r}), bench)\n"
    given = ", ".join(f"{key}={value!r}" for key, value in asked.items())
    imports = f"{head}from {kind.__module__} import {kind.__name__}\n"
    return f"{imports}{bench}result = bench.{recipe.kind}({kind.__name__}({given}))\n"


FLOW_CALLS = {
    "flow_2d": "[studio.points.flow_2d(setting) for setting in request.asked]",
    "flow_images": "[studio.images.flow_pictures(setting) for setting in request.asked]",
    "forecast": "studio.series.forecast(request)",
}  # of each kind of flows, what answers


def _of_flows(recipe: Recipe) -> str:
    """Read from the recipe's own text, which names the nets: a script shall not answer with others."""
    imports = (
        "from analysis.recipes.recipe import from_json\nfrom analysis.recipes.replay import check_flows\n"
        "from analysis.studio import Studio\n"
    )
    request = f"request = check_flows(from_json({recipe.text!r}), studio)\n"
    return f"{imports}\nstudio = Studio()\n{request}result = {FLOW_CALLS[recipe.kind]}\n"


def _usual(request, field) -> bool:
    value = getattr(request, field.name)
    return field.default is not MISSING and not isinstance(value, np.ndarray) and value == field.default
