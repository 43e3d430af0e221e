"""A recipe as the Python that asks its question."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import numpy as np

from analysis.recipes.recipe import Recipe, to_json


def as_python(recipe: Recipe) -> str:
    """A script whose `result` is the recipe's; "" for recipes of flows.

    What a request has by default is left out; one that holds pictures is read from the recipe's own text.
    """
    if recipe.of_flows:
        return ""
    name, request = recipe.model, recipe.request
    kind: Any = type(request)
    head = "from analysis.studio import Studio\n"
    bench = f"\nbench = Studio().library.get({name!r})\n"
    asked = {f.name: getattr(request, f.name) for f in fields(kind) if not _usual(request, f)}
    if any(isinstance(value, np.ndarray) for value in asked.values()):
        imports = f"from analysis.recipes import recipe\n{head}"
        return f"{imports}{bench}result = recipe.replay(recipe.from_json({to_json(recipe)!r}), bench)\n"
    given = ", ".join(f"{key}={value!r}" for key, value in asked.items())
    imports = f"{head}from {kind.__module__} import {kind.__name__}\n"
    return f"{imports}{bench}result = bench.{recipe.kind}({kind.__name__}({given}))\n"


def _usual(request, field) -> bool:
    value = getattr(request, field.name)
    return field.default is not MISSING and not isinstance(value, np.ndarray) and value == field.default
