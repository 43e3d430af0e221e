"""Results as JSON: pictures are base64 PNG strings, tables are nested lists, what has no number is null."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from analysis.core.errors import UserError
from ui.components.html import png_base64


def pngs(stack: np.ndarray | None) -> list[str] | None:
    """A stack of pictures as base64 PNG."""
    return None if stack is None else [png_base64(p) for p in stack]


def listed(values: np.ndarray | None) -> list | None:
    """An array as nested lists."""
    return None if values is None else values.tolist()


def as_tuple(values: Any, what: str) -> tuple:
    """A JSON list as a tuple; the requests check what is in it."""
    if not isinstance(values, (list, tuple)):
        raise UserError(f"{what} must be a list.")
    return tuple(values)


def plain(values: np.ndarray | None) -> list | None:
    """An array as nested lists, null for what is not finite."""
    if values is None:
        return None
    return values.tolist() if np.isfinite(values).all() else np.where(np.isfinite(values), values, None).tolist()


def is_picture(value: Any) -> bool:
    """Whether it is an 8-bit image, or a stack of them."""
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim in (3, 4) and value.shape[-1] == 3


def jsonable(value: Any) -> Any:
    """Anything in a result as JSON; what is not finite becomes null."""
    if is_dataclass(value):
        return {f.name: jsonable(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    value = float(value)
    return value if math.isfinite(value) else None


def answer_of(result: Any) -> tuple[dict, dict]:
    """Pictures (base64 PNG, or a list of them) and everything else of a Workbench's result, by name."""
    pictures, numbers = {}, {}
    for field in fields(result):
        value = getattr(result, field.name)
        if is_picture(value):
            pictures[field.name] = png_base64(value) if value.ndim == 3 else [png_base64(p) for p in value]
        else:
            numbers[field.name] = jsonable(value)
    return pictures, numbers
