"""What an HTTP endpoint is: a request class, who answers, limits and a queue, made into a function for Gradio."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import gradio as gr
import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import Image, Mask
from analysis.studio import Studio
from analysis.workbench.workbench import Workbench
from ui.api.codec import jsonable
from ui.components.picture_chooser import open_base64, open_mask_base64
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE
from ui.server.runs import deadline


@dataclass(frozen=True)
class Call:
    """One call of an endpoint.

    Attributes:
        studio: who is asked.
        model: name of an HKD model, "" for the default.
        request: the question, checked.
        more: arguments that are no fields of the question.
        watch: a progress callback that gives up in time.
    """

    studio: Studio
    model: str
    request: Any
    more: Mapping[str, Any]
    watch: Callable[[float, str], None]

    @property
    def bench(self) -> Workbench:
        """Of the model."""
        return self.studio.library.get(self.model)


@dataclass(frozen=True)
class Limit:
    """A bound on the work of one call. Attributes: work of a request; most of it; what to call it."""

    work: Callable[[Any], float]
    most: int
    what: str


@dataclass(frozen=True)
class Endpoint:
    """A line of the table.

    Attributes:
        name: of the API.
        about: what callers read; sentences.
        answer: the result, a dataclass or JSON.
        request: class of the question, None where the arguments are all there is.
        arguments: their names in order, `name=field` where the request has another name for it.
        defaults: of arguments, where they are not the request's own.
        limits: beyond those of the request.
        patience: seconds that an answer may take, where it looks at `Call.watch`.
        queue: in which it waits.
        returns: type of the answer.
    """

    name: str
    about: str
    answer: Callable[[Call], Any]
    request: type | None = None
    arguments: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    patience: float = 60.0
    queue: Mapping[str, Any] = field(default_factory=lambda: MODEL_QUEUE)
    returns: Any = dict

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """Types of the request's fields."""
        return get_type_hints(self.request, include_extras=True) if self.request else {}

    @functools.cached_property
    def fields(self) -> dict[str, str]:
        """Field of the request by argument, in the order of `arguments`; "" for those that are none."""
        pairs = (word.partition("=")[::2] for word in self.arguments.split())
        return {name: known if (known := other or name) in self.hints else "" for name, other in pairs}

    @functools.cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Name, default and type of every argument, in order."""
        usual = {f.name: f.default for f in dataclasses.fields(self.request)} if self.request else {}
        found = {}
        for name, known in self.fields.items():
            default = self.defaults.get(name, _listed(usual.get(known, "")))
            hint = self.hints.get(known, type(default))
            if _image_of(hint) and name not in self.defaults:
                default = ""
            found[name] = inspect.Parameter(
                name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=_json_type(hint)
            )
        return found

    def call(self, studio: Studio, arguments: Mapping[str, Any]) -> Call:
        """What is asked. Raises UserError."""
        model = arguments.get("model", "") if self.fields.get("model") == "" else ""
        values, more = {}, {}
        for name, parameter in self.parameters.items():
            value, known = arguments.get(name, parameter.default), self.fields[name]
            if known:
                values[known] = _opened(studio, model, value, self.hints[known], name)
            elif isinstance(parameter.default, bool) and not isinstance(value, bool):
                raise UserError(f"{name} must be true or false.", name)
            else:
                more[name] = value
        return Call(studio, model, self.request(**values) if self.request else None, more, deadline(self.patience))

    def ask(self, call: Call) -> Any:
        """The answer as JSON. Raises UserError."""
        for limit in self.limits:
            if limit.work(call.request) > limit.most:
                raise UserError(f"{limit.what} must stay within {limit.most} here: ask for less.", "limit")
        return jsonable(self.answer(call))

    def of(self, studio: Studio, request: Any) -> Any:
        """The answer to a question that is checked already, other arguments as they are by default."""
        known = {f.name for f in dataclasses.fields(request)}
        more = {name: p.default for name, p in self.parameters.items() if name not in known}
        return self.ask(Call(studio, "", request, more, deadline(self.patience)))

    def function(self, studio: Studio) -> Callable[..., Any]:
        """The function that Gradio offers, with the signature that callers see."""
        signature = inspect.Signature(list(self.parameters.values()), return_annotation=self.returns)

        def function(*args, **kwargs):
            return self.ask(self.call(studio, signature.bind(*args, **kwargs).arguments))

        function.__name__, function.__doc__ = self.name, self.about
        function.__signature__ = signature  # type: ignore[attr-defined]
        function.__annotations__ = {name: p.annotation for name, p in self.parameters.items()} | {
            "return": self.returns
        }
        return function

    def add(self, studio: Studio) -> None:
        """Register with the page under construction."""
        gr.api(guarded(self.function(studio)), api_name=self.name, **self.queue)


def _listed(value: Any) -> Any:
    """A default as JSON has it."""
    if value is dataclasses.MISSING:
        return ""
    return [_listed(v) for v in value] if isinstance(value, tuple) else value


def _image_of(hint: Any) -> Any:
    """`Image` or `Mask` where a field holds one, else None."""
    parts = [hint, *get_args(hint), *(b for a in get_args(hint) for b in get_args(a))]
    return next((kind for kind in (Image, Mask) if any(part == kind for part in parts)), None)


def _json_type(hint: Any) -> Any:
    """A field's type as Gradio shows it to callers."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return str if args[0] is np.ndarray else _json_type(args[0])
    if origin in (Union, types.UnionType):
        inner = [_json_type(a) for a in args if a is not type(None)]
        return inner[0] if inner[0] is str else inner[0] | None
    if origin is tuple or hint is tuple:
        return types.GenericAlias(list, (_json_type(args[0]),)) if args else list[list[float]]
    return hint


def _opened(studio: Studio, model: str, value: Any, hint: Any, name: str) -> Any:
    """A field's value; images come as base64 text, "" for none."""
    kind = _image_of(hint)
    if kind is None:
        return value
    if value in ("", None) and type(None) in (*get_args(hint), *(b for a in get_args(hint) for b in get_args(a))):
        return None
    read = open_base64 if kind == Image else open_mask_base64
    try:
        return read(value, studio.library.get(model).side, f"The {name}")
    except UserError as e:  # of a picture, whichever argument it is
        raise UserError(str(e), name if e.field == "picture" else e.field) from None
