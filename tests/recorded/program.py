"""All that the recordings know of the program's own modules: when these move, this file changes and no other."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

# Where each command stands; of several names the first that there is.
COMMANDS: dict[str, tuple[str, ...]] = {
    "app": ("app",),
    "koopman_core.train": ("koopman_core.train",),
    "flow_core.train": ("flow_core.train",),
    "flow_core.alanine_data": ("flow_core.series.alanine_archive", "flow_core.alanine_data"),
    "flow_core.alanine_simulation": ("flow_core.series.simulate_alanine", "flow_core.alanine_simulation"),
    "analysis.evaluate": ("analysis.evaluate",),
    "analysis.ablation": ("analysis.evaluate.ablation", "analysis.ablation"),
    "analysis.reference": ("analysis.evaluate.reference", "analysis.evaluate.image_sets", "analysis.reference"),
    "analysis.shipping": ("analysis.evaluate.shipping", "analysis.shipping"),
    "benchmarks": ("benchmarks",),
}


def build() -> tuple[Any, dict]:
    """The page as `python app.py` serves it, and the arguments of its `launch`."""
    from app import page, parse, prepare_environment

    prepare_environment()
    return page(parse(["--model", "shapes"]))  # the answers were recorded when the page opened on it


def opened(data: bytes) -> str:
    """The recipe in a JSON or PNG file, checked, as the program writes it again."""
    from analysis.recipes.recipe import from_json, read_png, to_json

    return to_json(read_png(data) if data.startswith(b"\x89PNG") else from_json(data))


def png_with(recipe: str, image: bytes) -> bytes:
    """A PNG that carries a recipe, with the pixels of another."""
    from analysis.recipes.recipe import from_json, save_png

    buffer = io.BytesIO()
    save_png(np.asarray(Image.open(io.BytesIO(image))), from_json(recipe), buffer)
    return buffer.getvalue()
