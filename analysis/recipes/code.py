"""A recipe as the Python that asks its question."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import numpy as np

from analysis.recipes.recipe import Recipe, to_json


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
        return f"{imports}{bench}result = recipe.replay(recipe.from_json({to_json(recipe)!r}), bench)\n"
    given = ", ".join(f"{key}={value!r}" for key, value in asked.items())
    imports = f"{head}from {kind.__module__} import {kind.__name__}\n"
    return f"{imports}{bench}result = bench.{recipe.kind}({kind.__name__}({given}))\n"


ASKED = {
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
    request = f"request = check_flows(from_json({to_json(recipe)!r}), studio)\n"
    return f"{imports}\nstudio = Studio()\n{request}result = {ASKED[recipe.kind]}\n"


def _usual(request, field) -> bool:
    value = getattr(request, field.name)
    return field.default is not MISSING and not isinstance(value, np.ndarray) and value == field.default
