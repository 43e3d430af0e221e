"""Answers of endpoints that are more than a result as it is: what a caller chose to be sent, in the callers' words."""

from __future__ import annotations

import base64
import json
import math
import time
from typing import Any

import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import real, whole
from analysis.koopman.trajectories import study, visitor_states
from analysis.recipes import recipe as recipes
from analysis.recipes.replay import describe_for
from analysis.series.forecast import QUANTILES
from analysis.workbench.restoration import InpaintRequest
from ui.api.codec import result_json
from ui.api.endpoint import Call
from ui.components.html import one_line
from ui.server.runs import deadline
from ui.source import readable

MAX_SENT = 256  # images in the steps of one answer
TRAINING_SECONDS, FORECAST_SECONDS = 60.0, 30.0  # of one call


def models(call: Call) -> list[dict[str, Any]]:
    """Every model that can be read."""
    library = call.studio.library
    infos = [library.info(name) for name in readable(library)]
    return [
        {
            "name": i.name,
            "description": one_line(i),
            "side": i.side,
            "classes": list(i.classes),
            "parameters": i.parameters,
            "card": i.card,
        }
        for i in infos
    ]


def spectrum(call: Call) -> dict[str, Any]:
    """Eigenvalues of one level, and how all levels are called."""
    result = call.bench.spectrum()
    entry = result.entries[whole(call.more["level"], 0, len(result.entries) - 1, "The level", "level")]
    levels = [
        {"name": e.name, "shape": e.shape, "alpha_mean": float(e.alpha.mean()), "alpha_std": float(e.alpha.std())}
        for e in result.entries
    ]
    return {
        "levels": levels, "level": entry.index, "name": entry.name, "alpha": entry.alpha, "beta": entry.beta,
        "warp": result.warp, "idle": result.idle, "idle_bound": result.idle_bound,
    }  # fmt: skip


def mode(call: Call) -> dict[str, Any]:
    """A mode; its level by the name that callers use."""
    answer = result_json(call.bench.mode(call.request))
    return {"level": answer.pop("entry"), **answer}


def rank(call: Call) -> dict[str, Any]:
    """Pairs of a level, with pictures where they are asked for."""
    answer = result_json(call.bench.rank(call.request, call.watch), () if call.more["pictures"] else ("without",))
    return {"level": call.request.entry, **answer}


def restored(call: Call) -> dict[str, Any]:
    """A picture made whole, with its steps where they are asked for."""
    ask = call.bench.inpaint if isinstance(call.request, InpaintRequest) else call.bench.colorize
    answer = result_json(ask(call.request, call.watch), ("stopped",))
    return answer if call.more["frames"] else answer | {"frames": []}


def flow_2d(call: Call) -> dict[str, Any]:
    """Points; their ways where they are asked for."""
    result = call.studio.points.flow_2d(call.request, call.watch)
    answer = result_json(result, ("trajectories", "predictions", "density", "axis"))
    shown = result.trajectories if call.more["trajectories"] else None
    return answer | {"points": result.points, "trajectories": shown}


def train_toy(call: Call) -> dict[str, Any]:
    """A training to its end, or as far as it comes in the seconds of a call."""
    losses, fits, end = [], [], time.monotonic() + TRAINING_SECONDS
    looks: Any = call.studio.points.train_toy(call.request, deadline(math.inf))
    try:
        for look in looks:
            losses += look.losses.tolist()
            if look.numbers is not None:
                fits.append([look.step, look.numbers.mmd2])
            if time.monotonic() > end:
                break
    finally:
        looks.close()  # keeps the net
    return result_json(look, ("preview", "finished")) | {"losses": np.array(losses), "mmd2": np.array(fits)}


def flow_images(call: Call) -> dict[str, Any]:
    """Pictures; steps and distance to the exact flow where they are asked for."""
    images, request = call.studio.images, call.request
    steps, distance = call.more["steps"], None
    if steps and request.nfe * len(request.seeds) > MAX_SENT:
        raise UserError(f"Steps come back for at most {MAX_SENT} pictures: ask for fewer calls or seeds.", "steps")
    result = images.flow_pictures(request, call.watch)
    if call.more["distance"]:
        distance = images.distance(request, call.watch)
    return result_json(result, ("states", "predictions")) | {
        "pictures": result.pictures,
        "x1_hat": result.predictions if steps else None,
        "states": result.states if steps else None,
        "exact": distance and distance.exact,
        "distance": distance and result_json(distance, ("exact", "nfe")),
    }


def dynamics(call: Call) -> dict[str, Any]:
    """A stranger's trajectories, studied."""
    more = call.more
    if not isinstance(more["npz"], str):
        raise UserError("The npz must be base64 text of a file that numpy.savez wrote.", "npz")
    try:
        data = base64.b64decode(more["npz"], validate=True)
    except ValueError:
        raise UserError("The npz must be base64 text of a file that numpy.savez wrote.", "npz") from None
    states = visitor_states(data)
    rank, draws = (
        whole(more["rank"], 1, 64, "The rank", "rank"),
        whole(more["draws"], 10, 1000, "The number of resamples", "draws"),
    )
    share = real(more["held_out"], 0, 0.9, "The share held out", "held_out")
    return result_json(study(states, rank, share, draws, progress=call.watch, method=more["method"]))


def forecast(call: Call) -> dict[str, Any]:
    """A forecast; members and maps where they are asked for."""
    series, every = call.studio.series, call.more["every_member"]
    result = series.forecast(call.request, FORECAST_SECONDS, call.watch)
    answer = result_json(result, ("anomaly", "period", "plane", "same_data", "licence", "members", "maps"))
    return answer | {
        "levels": QUANTILES,
        "members": result.members if every else None,
        "models": [m.name for m in series.models],
        "maps": result.maps if call.more["maps"] else None,
    }


def describe(call: Call) -> str:
    """The recipe of settings."""
    settings = call.more["settings"]
    try:
        if len(json.dumps(settings)) > recipes.MAX_RECIPE_BYTES:
            raise UserError(
                f"The settings have more than {recipes.MAX_RECIPE_BYTES // 1024} kB: use smaller pictures.", "settings"
            )
        kind, request = recipes.request_of(settings)
    except RecursionError:
        raise UserError(
            "The settings are nested too deeply: give exactly the fields of their kind.", "settings"
        ) from None
    if kind in recipes.FLOW_KINDS and call.model != "":
        raise UserError(
            "Flows are of no model of this list, their settings name the nets: leave the model empty.", "model"
        )
    return recipes.to_json(describe_for(request, call.studio, call.model))
