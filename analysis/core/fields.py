"""Types of a request's fields, and `Request`, which checks them: a question is declared once.

A request is a frozen dataclass on `Request` whose annotations say everything:

    @dataclass(frozen=True)
    class TrajectoryRequest(Request):
        seed: Seed
        steps: Annotated[int, Field(ge=4, le=40, title="The number of steps")] = 18

pydantic reads them strictly: from Python when a request is made (numpy's numbers, whole floats and lists are taken as
well, since programs and browsers send them), and from JSON in `Request.from_settings`, where unknown and missing
fields are refused. What is at fault is a `UserError` with the field's name; its sentence is made from the field's own
JSON schema, where `title` says what to call the field. Rules between fields stand in `check_together`; a field's own
validator (`AfterValidator`, `PlainValidator`) raises a `UserError` of its own.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_type_hints

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import PydanticSerializationError, core_schema, to_json

from analysis.core.errors import UserError
from analysis.core.images import checked_image, checked_mask, embed, extract
from foundation.randomness import MAX_SEED

MAX_GAMMA = 100.0
MAX_EDGES, MAX_LEVELS = 8, 64
THIRDS = (1 / 3, 2 / 3)
SLIDER_THIRDS = LOW_EDGE, HIGH_EDGE = 0.33, 0.67  # as far as the page's sliders show them
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_T = TypeVar("_T")


# ---------------------------------------------------------------------------------------------------------------------
# Types


@dataclasses.dataclass(frozen=True)
class Choice:
    """Annotates a text that is one of these words."""

    words: Sequence[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.literal_schema(list(self.words))


def _rising(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(b < a for a, b in zip(edges[:-1], edges[1:], strict=True)):
        raise UserError("The band edges must rise: put the lower edge first.")
    return edges


def sorted_set(values: tuple[_T, ...]) -> tuple[_T, ...]:
    """Without doubles, in their order: an `AfterValidator`."""
    return tuple(sorted(set(values)))  # type: ignore[type-var]


def _image(value: Any, info: ValidationInfo) -> np.ndarray:
    return checked_image(extract(value) if info.mode == "json" else value, _words(info.field_name or info.context))


def _mask(value: Any, info: ValidationInfo) -> np.ndarray:
    return checked_mask(extract(value, "L") if info.mode == "json" else value, _words(info.field_name or info.context))


Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Label = Annotated[
    int, Field(ge=-1, le=9999, title="The class (-1 for none)"), BeforeValidator(lambda v: -1 if v is None else v)
]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1, max_length=64)]
Unit = Annotated[float, Field(ge=0, le=1)]
Order = Annotated[str, Choice(("alpha", "abs")), Field(title="The order of the modes")]
Edges = Annotated[
    tuple[Unit, ...], Field(min_length=1, max_length=MAX_EDGES, title="The band edges"), AfterValidator(_rising)
]
Levels = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=MAX_LEVELS)], ...],
    Field(max_length=MAX_LEVELS, title="The levels"),
    AfterValidator(sorted_set),
]
Gamma = Annotated[float, Field(ge=-MAX_GAMMA, le=MAX_GAMMA)]
# uint8 (H, W, 3), read-only; base64 PNG in JSON
Image = Annotated[np.ndarray, PlainValidator(_image), PlainSerializer(embed, when_used="json")]
# uint8 (H, W), 255 = fully painted, read-only; bool and float in [0, 1] are taken as well; base64 PNG in JSON
Mask = Annotated[np.ndarray, PlainValidator(_mask), PlainSerializer(embed, when_used="json")]


# ---------------------------------------------------------------------------------------------------------------------
# Requests


class Request:
    """A question: a frozen dataclass whose fields are checked as their annotations say.

    Attributes:
        former: fields that came later, with the value that settings without them mean. Where a field has that value,
            settings leave it out, so that an old recipe is written as it was.
    """

    __pydantic_config__ = _STRICT
    former: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        cls: Any = type(self)
        usual = _usual(cls)
        for name, adapter in _fields(cls).items():
            value = getattr(self, name)
            if name in usual and type(value) is type(usual[name]) and value == usual[name]:
                object.__setattr__(self, name, usual[name])
            else:
                object.__setattr__(self, name, _checked(adapter, value, name))
        self.check_together()

    def check_together(self) -> None:
        """Rules between fields. Raises UserError."""

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Self:
        """The request of all its fields as JSON values; those of `former` may be left out.

        Raises:
            UserError: unknown, missing or out of range; `field` names the field where it is one of ours.
        """
        names = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
        settings = {**cls.former, **settings}
        missing = next((name for name in names if name not in settings), None)
        if missing is not None:
            raise UserError(f"{_words(missing)} is missing: give all of {', '.join(names)}.", missing)
        if len(settings) > len(names):
            raise UserError(f"There is an unknown field: give only {', '.join(names)}.")
        of: Any = cls
        reader = _of_class(of)
        try:
            return reader.validate_json(to_json(settings))
        except ValidationError as e:
            where = e.errors(include_url=False, include_input=False)[0]["loc"]
            name = str(where[0]) if where and where[0] in names else ""
            raise _refusal(e, name, _fields(of).get(name), where[1:]) from None

    def as_settings(self) -> dict[str, Any]:
        """All fields as JSON values, but those with the value that `former` gives them.

        Raises:
            UserError: a field that JSON cannot hold, such as an image of more than 64 x 64 pixels.
        """
        cls: Any = type(self)
        try:
            values = _of_class(cls).dump_python(self, mode="json")
        except PydanticSerializationError as e:
            raise (e.__cause__ if isinstance(e.__cause__, UserError) else UserError(str(e))) from None
        return {name: v for name, v in values.items() if name not in self.former or v != self.former[name]}


@functools.cache
def _of_class(cls: Any) -> TypeAdapter:
    return TypeAdapter(cls)


@functools.cache
def _fields(cls: Any) -> dict[str, TypeAdapter]:
    """A strict reader of each field."""
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: TypeAdapter(hints[f.name], config=_STRICT) for f in dataclasses.fields(cls)}


@functools.cache
def _usual(cls: Any) -> dict[str, Any]:
    """The values that fields have where nothing is said and that need no check: plain numbers, texts and None."""
    plain = (bool, int, float, str, type(None))
    return {f.name: f.default for f in dataclasses.fields(cls) if type(f.default) in plain}


def _plain(value: Any, depth: int = 4) -> Any:
    """What a program or a browser sends as plain Python: numbers of numpy, whole floats as int, lists as tuples."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, (list, tuple)) and depth:
        return tuple(_plain(v, depth - 1) for v in value)
    return value


def _checked(adapter: TypeAdapter, value: Any, name: str) -> Any:
    try:
        return adapter.validate_python(_plain(value), context=name)
    except ValidationError as e:
        raise _refusal(e, name, adapter, e.errors(include_url=False, include_input=False)[0]["loc"]) from None


# ---------------------------------------------------------------------------------------------------------------------
# Sentences


def _words(name: str | None) -> str:
    return f"The {(name or 'value').replace('_', ' ')}"


def _refusal(error: ValidationError, name: str, adapter: TypeAdapter | None, where: Sequence[int | str]) -> UserError:
    """The first complaint of pydantic as a sentence that repeats nothing of what was sent."""
    own = error.errors(include_url=False, include_input=False)[0].get("ctx", {}).get("error")
    if isinstance(own, UserError):
        return UserError(str(own), own.field or name)
    if adapter is None:
        return UserError("These are no settings: give a table with exactly the fields of the question.")
    schema = adapter.json_schema()
    what = schema.get("title", _words(name))
    for part in where:  # nested tables are asked one by one
        if isinstance(part, int):
            schema = next((s for s in _either(schema) if "items" in s), {}).get("items", {})
            what = f"Each of {what[0].lower()}{what[1:]}" if not what.startswith("Each") else what
    return UserError(f"{what} must be {_rule(schema)}.", name)


def _either(schema: dict) -> list[dict]:
    return [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]


def _rule(schema: dict) -> str:
    """What a JSON schema asks for."""
    if len(_either(schema)) != 1 or "anyOf" in schema:
        return " or ".join(dict.fromkeys(_rule(s) for s in _either(schema)))
    if "enum" in schema or "const" in schema:
        return f"one of {', '.join(map(str, schema.get('enum', [schema.get('const')])))}"
    kind = schema.get("type")
    if kind in ("integer", "number"):
        low, high = schema.get("minimum"), schema.get("maximum")
        if high is None and "exclusiveMaximum" in schema:  # of whole numbers only
            high = schema["exclusiveMaximum"] - 1
        form = "d" if kind == "integer" else "g"
        upper = "" if high is None else f" to {high:{form}}"
        span = "" if low is None else f" from {low:{form}}{upper}" if upper else f" of at least {low:{form}}"
        return f"a {'whole ' if kind == 'integer' else ''}number{span}"
    if kind == "array":
        least, most = schema.get("minItems", 0), schema.get("maxItems")
        return f"a list of {least} to {most} items" if most else f"a list of at least {least} items"
    if kind == "string":
        return f"a text of at most {schema['maxLength']} characters" if "maxLength" in schema else "a text"
    return {"boolean": "true or false", "null": "null"}.get(kind or "", "of the right kind")


# ---------------------------------------------------------------------------------------------------------------------
# Single numbers, outside of requests


@functools.cache
def _number(kind: Any, low: float, high: float, what: str) -> TypeAdapter:
    return TypeAdapter(Annotated[kind, Field(ge=low, le=high, title=what)], config=_STRICT)


def whole(value: Any, low: int, high: int, what: str, field: str = "") -> int:
    """A whole number in [low, high], or a UserError of `field` naming `what`."""
    return _checked(_number(int, low, high, what), value, field)


def real(value: Any, low: float, high: float, what: str, field: str = "") -> float:
    """A finite number in [low, high], or a UserError of `field` naming `what`."""
    return _checked(_number(float, low, high, what), value, field)


def check_noise(sampler: str, gamma1: float) -> None:
    """Raises UserError: matched noise of a negative gamma1."""
    if sampler == "matched" and gamma1 < 0:
        raise UserError(
            "Matched noise needs gamma1 of at least 0: its noise has the variance 2 gamma1 sigma_t^2.", "gamma1"
        )
