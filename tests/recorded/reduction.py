"""Answers made small enough to store, and compared as far as another machine can repeat them.

An image becomes its size, mean, standard deviation and 8 x 8 box means; a long table its shape, statistics and some
entries; a text that names nothing becomes its type. Numbers agree within 1e-3 of themselves plus 1e-4 of the largest of
their table.
"""

from __future__ import annotations

import base64
import io
import json
import math
from typing import Any

import numpy as np
from PIL import Image

RELATIVE, SCALED, FLOOR = 1e-3, 1e-4, 1e-7
LEVELS = 2.0  # of 255: tolerance of thumbnails, mean and standard deviation
SIDE = 8  # cells of a thumbnail
SHORT, SAMPLES = 48, 24  # tables up to SHORT entries are stored whole, of longer ones SAMPLES
PNG_START = "iVBORw0KGgo"

# Texts under these keys are names that a program reads; all others are words for people.
NAMES = frozenset(
    [
        "name",
        "names",
        "net",
        "model",
        "kind",
        "rows",
        "warp",
        "reference",
        "variables",
        "classes",
        "times",
        "past_times",
        "checkpoint",
        "teacher",
    ]
)
EXACT = frozenset(("settings", "nets"))  # everything below is given back as it was sent
BY_TYPE = frozenset(("seconds", "usual", "key", "program", "torch", "models"))  # differ from run to run or with files
BY_KEYS = frozenset(("card",))  # measuring a model adds to its card
MAY_LACK = frozenset(("lpips",))  # null on a machine without a backbone
OF_CARD = frozenset(("idle", "idle_bound"))  # what measuring a model puts there


def reduced(value: Any, key: str = "", exact: bool = False) -> Any:
    """An answer's value as what is stored of it.

    Args:
        value: of JSON.
        key: under which it stands.
        exact: whether every text is stored as it is.
    """
    if key in OF_CARD:
        return None
    if key in BY_KEYS:
        return {"~keys": sorted(value)}
    if key in BY_TYPE:
        return _types(value)
    if isinstance(value, str):
        return _text(value, exact or key in NAMES)
    if isinstance(value, dict):
        return {k: reduced(v, k, exact or k in EXACT or key in EXACT) for k, v in value.items()}
    if not isinstance(value, list):
        return float(f"{value:.7g}") if isinstance(value, float) else value
    table = _table(value)
    return [reduced(v, key, exact) for v in value] if table is None else _summary(table)


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _types(v) for k, v in value.items()}
    if isinstance(value, list):
        return {"~type": "list"}
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {"~type": "number" if number else type(value).__name__}


def _text(value: str, exact: bool) -> Any:
    if value.startswith(PNG_START):
        return image(base64.b64decode(value))
    if value.startswith("{"):
        return {"~json": reduced(json.loads(value))}
    return value if exact else {"~type": "str"}


def image(data: bytes) -> dict:
    """An image file, reduced."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    box = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX))
    return {
        "~image": list(pixels.shape[:2]),
        "mean": round(float(pixels.mean()), 3),
        "std": round(float(pixels.std()), 3),
        "cells": base64.b64encode(box.tobytes()).decode(),
    }


def _table(value: list) -> np.ndarray | None:
    """Nested lists of equal lengths with numbers and nulls alone, as float64 with NaN for null; None for any other."""
    try:
        table = np.array(value, dtype=object)
    except ValueError:
        return None
    cells = table.ravel().tolist()
    if not cells or any(isinstance(c, bool) or not isinstance(c, (int, float, type(None))) for c in cells):
        return None
    if all(c is None for c in cells):
        return None
    return table.astype(np.float64)


def _summary(table: np.ndarray) -> dict:
    if table.ndim > 1 and table.shape[-1] <= 3:  # columns of different units
        return {"~table": list(table.shape), "columns": [_column(c) for c in np.moveaxis(table, -1, 0)]}
    return {"~table": list(table.shape), "columns": [_column(table)]}


def _column(table: np.ndarray) -> dict:
    flat = table.ravel()
    seen = flat[np.isfinite(flat)]
    summary = {"nulls": int(flat.size - seen.size)}
    if flat.size <= SHORT:
        return summary | {"all": [_rounded(v) for v in flat]}
    at = np.linspace(0, flat.size - 1, SAMPLES).round().astype(int)
    numbers = {"mean": seen.mean(), "std": seen.std(), "min": seen.min(), "max": seen.max()} if seen.size else {}
    return summary | {k: _rounded(v) for k, v in numbers.items()} | {"some": [_rounded(v) for v in flat[at]]}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def differences(recorded: Any, present: Any, where: str = "answer") -> list[str]:
    """Where a reduced answer is another than the recorded one, one line each; none if they agree.

    Args:
        recorded: from the recording.
        present: `reduced` answer of the present program.
        where: path for the lines.
    """
    if where.rsplit(".", 1)[-1] in MAY_LACK and (recorded is None or present is None):
        return []
    if isinstance(recorded, dict) and isinstance(present, dict):
        return _of_dicts(recorded, present, where)
    if isinstance(recorded, list) and isinstance(present, list):
        if len(recorded) != len(present):
            return [f"{where}: {len(present)} items, {len(recorded)} were recorded"]
        return [
            line
            for i, pair in enumerate(zip(recorded, present, strict=True))
            for line in differences(*pair, f"{where}.{i}")
        ]
    if _is_number(recorded) and _is_number(present):
        same = recorded == present if isinstance(recorded, int) else _close(recorded, present, abs(recorded))
    else:
        same = type(recorded) is type(present) and recorded == present
    return [] if same else [f"{where}: {str(present)[:80]}, recorded {str(recorded)[:80]}"]


def _of_dicts(recorded: dict, present: dict, where: str) -> list[str]:
    if "~keys" in recorded and "~keys" in present:
        lost = set(recorded["~keys"]) - set(present["~keys"])
        return [f"{where}: no longer has {sorted(lost)}"] if lost else []
    if recorded.keys() != present.keys():
        return [f"{where}: keys {sorted(present)}, recorded {sorted(recorded)}"]
    if "~image" in recorded:
        return _of_images(recorded, present, where)
    if "~table" in recorded and recorded["~table"] == present["~table"]:
        pairs = zip(recorded["columns"], present["columns"], strict=True)
        return [line for i, (a, b) in enumerate(pairs) for line in _of_columns(a, b, f"{where}.column{i}")]
    return [line for k in recorded for line in differences(recorded[k], present[k], f"{where}.{k}")]


def _of_images(recorded: dict, present: dict, where: str) -> list[str]:
    if recorded["~image"] != present["~image"]:
        return [f"{where}: size {present['~image']}, recorded {recorded['~image']}"]
    cells = [np.frombuffer(base64.b64decode(d["cells"]), np.uint8).astype(int) for d in (recorded, present)]
    most = int(np.abs(cells[0] - cells[1]).max())
    lines = [f"{where}: a cell differs by {most}/255"] if most > LEVELS else []
    for name in ("mean", "std"):
        if abs(recorded[name] - present[name]) > LEVELS:
            lines.append(f"{where}: {name} {present[name]}, recorded {recorded[name]}")
    return lines


def _of_columns(recorded: dict, present: dict, where: str) -> list[str]:
    if recorded.keys() != present.keys() or recorded["nulls"] != present["nulls"]:
        return [f"{where}: nulls {present['nulls']}, recorded {recorded['nulls']}"]
    values = "all" if "all" in recorded else "some"
    scale = max(
        [abs(v) for k in (values, "min", "max") for v in np.atleast_1d(recorded.get(k, ())) if v is not None] or [0]
    )
    lines = []
    for name in recorded.keys() - {"nulls"}:
        pairs = zip(np.atleast_1d(recorded[name]), np.atleast_1d(present[name]), strict=True)
        bad = [(a, b) for a, b in pairs if (a is None) != (b is None) or (a is not None and not _close(a, b, scale))]
        lines += [f"{where}.{name}: {bad[0][1]}, recorded {bad[0][0]} ({len(bad)} such)"] if bad else []
    return lines


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _close(recorded: float, present: float, scale: float) -> bool:
    return abs(recorded - present) <= RELATIVE * abs(recorded) + SCALED * scale + FLOOR
