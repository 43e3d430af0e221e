"""Recordings on disk, and the weights that they were recorded with."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ANSWERS, RECIPES = HERE / "answers", HERE / "recipes"
MODELS = HERE.parents[1] / "assets" / "models"
SUFFIXES = ("hkd", "flow", "series")


def read(name: str) -> list[dict]:
    """The recordings of answers/NAME.json."""
    return json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8"))


def write(name: str, records: list[dict]) -> None:
    """Write answers/NAME.json, one recording a line."""
    lines = ",\n".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in records)
    (ANSWERS / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


@functools.cache
def weights(file: str) -> str | None:
    """SHA-256 of the tensors of assets/models/FILE.safetensors, 16 hex digits; None without such a file.

    The file's header is left out, since measuring a model rewrites the card in it.
    """
    path = MODELS / f"{file}.safetensors"
    if not path.is_file():
        return None
    data = path.read_bytes()
    return hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()[:16]


def weights_of(names: set[str]) -> dict[str, str]:
    """The weights of all files that belong to models of these names, a student's teacher included."""
    files = {f"{name}.{suffix}" for name in names for suffix in SUFFIXES if weights(f"{name}.{suffix}")}
    for file in [f for f in files if f.endswith(".hkd")]:
        teacher = json.loads((MODELS / f"{file}.json").read_text(encoding="utf-8")).get("teacher")
        files |= {f"{teacher}.teacher"} if weights(f"{teacher}.teacher") else set()
    return {file: weights(file) for file in sorted(files)}


def lacking(record: dict[str, Any]) -> str:
    """Why a recording cannot be replayed here, "" if it can."""
    for file, digest in record.get("weights", {}).items():
        if weights(file) != digest:
            return f"{file}.safetensors with the weights {digest} is not here"
    return ""
