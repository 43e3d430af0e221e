"""The settings inside a recipe: one strict pydantic model a kind of question, mirroring its request dataclass.

A new question joins by one class here, in `KINDS`; those about flows are in `recipe_settings_flow`. Pictures travel as
base64 PNG.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from analysis.core.images import embed, extract
from analysis.koopman.editing import ENCODINGS, REGIONS
from analysis.koopman.restoration import MAX_STEPS as REPLACEMENTS
from analysis.koopman.spectrum import ORDERS
from analysis.workbench.editing import METHODS, REFERENCES, ColorizeRequest, EditRequest, InpaintRequest
from analysis.workbench.images import MAX_PICTURES, MAX_STEPS, MIN_STEPS, GenerateRequest, TrajectoryRequest
from analysis.workbench.spectrum import MaskRequest
from foundation.randomness import MAX_SEED

# ---------------------------------------------------------------------------------------------------------------------
# The format

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Label = Annotated[int, Field(ge=-1, le=9999)]
Unit = Annotated[float, Field(ge=0, le=1)]
Edges = Annotated[list[Unit], Field(min_length=1, max_length=8)]
_Text = Annotated[str, Field(max_length=40_000)]
Rgb = Annotated[_Text, AfterValidator(lambda t: (extract(t), t)[1])]
Grey = Annotated[_Text, AfterValidator(lambda t: (extract(t, "L"), t)[1])]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$")]


class Strict(BaseModel):
    """Nothing unknown, nothing converted, nothing infinite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Settings(Strict):
    """The settings of one question: the fields of its request dataclass, and `kind`."""

    REQUEST: ClassVar[type]
    PICTURES: ClassVar[dict[str, str]] = {}  # field -> PNG mode

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        self.request()  # what the request refuses (falling edges, a missing mask) is refused here
        return self

    @classmethod
    def name(cls) -> str:
        """The kind."""
        return cls.model_fields["kind"].annotation.__args__[0]

    def request(self) -> Any:
        """The frozen request dataclass, ready to ask. Raises UserError."""
        values = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in self.PICTURES and value is not None:
                value = extract(value, self.PICTURES[name])
            values[name] = tuple(value) if isinstance(value, list) else value
        del values["kind"]
        return self.REQUEST(**values)

    @classmethod
    def of(cls, request: Any) -> Settings:
        """The settings of a request."""
        values: dict[str, Any] = {"kind": cls.name()}
        for name in cls.model_fields:
            if name != "kind":
                value = getattr(request, name)
                if name.endswith("label"):  # the Workbench takes None and 3.0, too
                    value = -1 if value is None else int(value)
                value = embed(value) if isinstance(value, np.ndarray) else value
                values[name] = list(value) if isinstance(value, tuple) else value
        return cls(**values)


class GenerateSettings(Settings):
    """Pictures of seeds; fields as in `GenerateRequest`."""

    REQUEST = GenerateRequest
    kind: Literal["generate"]
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MAX_PICTURES)]
    label: Label


class TrajectorySettings(Settings):
    """One noise followed from T to eps; fields as in `TrajectoryRequest`."""

    REQUEST = TrajectoryRequest
    kind: Literal["trajectory"]
    seed: Seed
    label: Label
    steps: Annotated[int, Field(ge=MIN_STEPS, le=MAX_STEPS)]


class MaskSettings(Settings):
    """Bands kept to a share; fields as in `MaskRequest`."""

    REQUEST = MaskRequest
    kind: Literal["mask_bands"]
    seed: Seed
    label: Label
    edges: Edges
    gains: Annotated[list[Annotated[float, Field(ge=0, le=2)]], Field(min_length=2, max_length=9)]
    order: Literal[ORDERS]
    entries: Annotated[list[Annotated[int, Field(ge=0, le=63)]], Field(max_length=64)]


class EditSettings(Settings):
    """Frequency-aware editing; fields as in `EditRequest`."""

    REQUEST = EditRequest
    PICTURES: ClassVar = {"picture": "RGB", "mask": "L"}
    kind: Literal["edit"]
    seed: Seed
    label: Label
    reference: Literal[REFERENCES]
    reference_seed: Seed
    reference_label: Label
    picture: Rgb | None
    encoding: Literal[ENCODINGS]
    noise_seed: Seed
    tau: Unit
    edges: Edges
    bands: Annotated[list[Annotated[int, Field(ge=0, le=8)]], Field(min_length=1, max_length=9)]
    order: Literal[ORDERS]
    ratio: Unit
    region: Literal[REGIONS]
    mask: Grey | None


class InpaintSettings(Settings):
    """A hole filled; fields as in `InpaintRequest`."""

    REQUEST = InpaintRequest
    PICTURES: ClassVar = {"picture": "RGB", "mask": "L"}
    kind: Literal["inpaint"]
    picture: Rgb
    mask: Grey
    seed: Seed
    label: Label
    steps: Annotated[int, Field(ge=1, le=REPLACEMENTS)]
    method: Literal[METHODS]
    tau: Unit
    truth: bool


class ColorizeSettings(Settings):
    """Colours made up; fields as in `ColorizeRequest`."""

    REQUEST = ColorizeRequest
    PICTURES: ClassVar = {"picture": "RGB"}
    kind: Literal["colorize"]
    picture: Rgb
    seed: Seed
    label: Label
    steps: Annotated[int, Field(ge=1, le=REPLACEMENTS)]
    truth: bool


KINDS: tuple[type[Settings], ...] = (
    GenerateSettings, TrajectorySettings, MaskSettings, EditSettings, InpaintSettings, ColorizeSettings,
)  # fmt: skip
