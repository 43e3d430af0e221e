"""Results as JSON: images are base64 PNG strings, tables are nested lists, what has no number is null."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from analysis.core.images import png_base64


def is_picture(value: Any) -> bool:
    """Whether it is an 8-bit image, (H, W, 3) or (H, W, 1), or stacks of them."""
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim >= 3 and value.shape[-1] in (1, 3)


def jsonable(value: Any) -> Any:
    """Anything in a result as JSON."""
    if is_picture(value):
        return png_base64(value) if value.ndim == 3 else [jsonable(v) for v in value]
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "M":
            return value.astype(str).tolist()
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            return [jsonable(v) for v in value.tolist()]
        return value.tolist()
    if is_dataclass(value):
        return result_json(value)
    if isinstance(value, Mapping):
        return {str(name): jsonable(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    value = float(value)
    return value if math.isfinite(value) else None


def result_json(result: Any, without: Collection[str] = ()) -> dict[str, Any]:
    """A result dataclass by field.

    Args:
        result: what a question answers.
        without: fields that stay here.
    """
    return {f.name: jsonable(getattr(result, f.name)) for f in fields(result) if f.name not in without}


def pictures_and_numbers(result: Any) -> tuple[dict, dict]:
    """Images, and everything else of a result, by field."""
    images = {f.name for f in fields(result) if is_picture(getattr(result, f.name))}
    return {n: jsonable(getattr(result, n)) for n in images}, result_json(result, images)
