"""The mode atlas of a model: request, result and answer, read from the file that `analysis.evaluate.atlas` keeps.

The file is JSON beside the model, NAME.atlas.json. It says of which weights it is; one of others is refused.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image as Pillow
from pydantic import Field

from analysis.core.errors import UserError
from analysis.core.fields import MAX_LEVELS, Choice, Request
from analysis.workbench.session import Session

SUFFIX = ".atlas.json"
ATLAS_FORMAT = 1
MAX_FILE = 64 * 2**20
SORTS = ("effect", "address", "modes", "radius", "frequency", "alpha", "factor", "cosine")
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class AtlasRequest(Request):
    """Clusters of an atlas.

    Attributes:
        search: words that all occur in the address, the place or the names of factors; "" for all.
        level: only clusters of this level, -1 for all.
        sort: "effect" (largest first), "address", "modes", "radius" (smallest first), "frequency" (coarsest first),
            "alpha" (of the median mode, smallest first), "factor" (largest lift first) or "cosine" (of the match in
            the second training, largest first).
        count: at most so many, 1 to 500.
        pictures: whether pictures come along.
    """

    search: Annotated[str, Field(max_length=100)] = ""
    level: Annotated[int, Field(ge=-1, lt=MAX_LEVELS)] = -1
    sort: Annotated[str, Choice(SORTS)] = "effect"
    count: Annotated[int, Field(ge=1, le=500, title="The number of clusters")] = 100
    pictures: bool = True


@dataclass(frozen=True, eq=False)
class AtlasSeed:
    """A picture that the cluster changes much.

    Attributes: seed; mse without the cluster; full, without, difference (H, W, 3), or None; magnification.
    """

    seed: int
    mse: float
    full: np.ndarray | None
    without: np.ndarray | None
    difference: np.ndarray | None
    magnification: float


@dataclass(frozen=True)
class AtlasFactor:
    """A factor of drawn scenes.

    Attributes: name; share = of the picture's change that exchanging the cluster alone makes, with its interval;
    carried = the interval lies above that for unrelated scenes.
    """

    name: str
    share: Triple
    carried: bool


@dataclass(frozen=True, eq=False)
class AtlasCluster:
    """One cluster of modes. Intervals are (value, low, high), 95 %.

    Attributes:
        address: "model/level/cN".
        level, name: of its level.
        modes: flat indices.
        effect: mean squared change of the picture when the cluster is left out (mean ablation); of as many random modes
            of the level: control; of their paired difference: gain.
        x, y, radius, place: where, in the picture's side from the upper left; in words.
        frequency: centroid of what it adds, cycles per pixel; NaN without detail.
        alpha, beta: 10 %, 50 % and 90 % quantile of its modes' rates, beta without sign.
        picture: root mean square effect, (H, W, 3) with white at `scale`, or None.
        seeds: strongest first.
        factors: largest lift first; everything: the share for unrelated scenes, or None without known factors.
        match: address in the second training, "" for none or without one; cosine of the effects, NaN likewise; again =
            more alike than random sets of modes, None without a second training.
        recipe: JSON text that asks for the picture without these modes again; "" where there are too many.
    """

    address: str
    level: int
    name: str
    modes: tuple[int, ...]
    effect: Triple
    control: Triple
    gain: Triple
    x: float
    y: float
    radius: float
    place: str
    frequency: float
    alpha: Triple
    beta: Triple
    picture: np.ndarray | None
    scale: float
    seeds: tuple[AtlasSeed, ...]
    factors: tuple[AtlasFactor, ...]
    everything: Triple | None
    match: str
    cosine: float
    again: bool | None
    recipe: str


@dataclass(frozen=True, eq=False)
class AtlasResult:
    """Clusters that were asked for.

    Attributes:
        model, checkpoint, command, criterion: whose, of which weights, what measures it again, how many clusters.
        second: name of the second training; "" where none was given, and nothing is said of stability then.
        again: how many of all clusters are found again; None without a second training.
        levels: names; idle: modes of each that do next to nothing and are in no cluster.
        total: clusters of the whole atlas; found: of them that match the search.
        clusters: at most as many as asked for.
    """

    model: str
    checkpoint: str
    command: str
    criterion: str
    second: str
    again: int | None
    levels: tuple[str, ...]
    idle: tuple[int, ...]
    total: int
    found: int
    clusters: tuple[AtlasCluster, ...]


def command_for(model: str) -> str:
    """What makes the atlas of a model, where the page finds it."""
    return f"python -m analysis.evaluate.atlas --model {model} --out atlas --beside"


def atlas(session: Session, request: AtlasRequest) -> AtlasResult:
    """Clusters of the model's atlas.

    Raises:
        UserError: no atlas beside the model, one of other weights, or a level that it does not have.
    """
    if session.folder is None or not (path := session.folder / f"{session.name}{SUFFIX}").is_file():
        raise UserError(
            f"There is no atlas of {session.name} yet: {command_for(session.name)} makes one.",
            "atlas",
        )
    if request.level >= 0:
        session.levels((request.level,), "level")
    document = session.kept(("atlas", path.stat().st_mtime_ns), lambda: read_atlas(path))
    if document["checkpoint"] != session.checksums[0]:
        raise UserError(f"The atlas of {session.name} was made with other weights: make it again.", "weights")
    return select(document, request)


def read_atlas(path: Path) -> dict[str, Any]:
    """The kept file. Raises UserError: too large, no JSON, another format."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError("too large")
        document = json.loads(path.read_text("utf-8"))
        if document["format"] != ATLAS_FORMAT or not isinstance(document["clusters"], list):
            raise ValueError("another format")
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path.name} is no atlas of this program: make it again.", "file") from None
    return document


def lift(cluster: dict[str, Any]) -> float:
    """Largest share of a factor over that for unrelated scenes; 0 without factors."""
    if not cluster["factors"] or not cluster["everything"]:
        return 0.0
    return max(f["share"][0] for f in cluster["factors"]) / max(cluster["everything"][0], 1e-12)


def _text(cluster: dict[str, Any]) -> str:
    return " ".join([cluster["address"], cluster["name"], cluster["place"], *(f["name"] for f in cluster["factors"])])


def _key(sort: str, c: dict[str, Any]) -> Any:
    return {
        "effect": -c["effect"][0], "address": (c["level"], c["number"]), "modes": -len(c["modes"]),
        "radius": c["radius"], "frequency": np.inf if c["frequency"] is None else c["frequency"],
        "alpha": c["alpha"][1], "factor": -lift(c), "cosine": -(c["cosine"] or -1.0),
    }[sort]  # fmt: skip


def select(document: dict[str, Any], request: AtlasRequest) -> AtlasResult:
    """What a request asks of an atlas."""
    words = request.search.lower().split()
    found = [
        c for c in document["clusters"]
        if request.level in (-1, c["level"]) and all(w in _text(c).lower() for w in words)
    ]  # fmt: skip
    found.sort(key=lambda c: _key(request.sort, c))
    known = ("model", "checkpoint", "command", "criterion", "second", "again")
    return AtlasResult(
        **{name: document[name] for name in known},
        levels=tuple(level["name"] for level in document["levels"]),
        idle=tuple(level["idle"] for level in document["levels"]),
        total=len(document["clusters"]),
        found=len(found),
        clusters=tuple(_cluster(c, request.pictures) for c in found[: request.count]),
    )


def _picture(text: str, shown: bool) -> np.ndarray | None:
    return np.asarray(Pillow.open(io.BytesIO(base64.b64decode(text))).convert("RGB")) if shown else None


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _cluster(c: dict[str, Any], pictures: bool) -> AtlasCluster:
    known: dict[str, Any] = {
        name: c[name] for name in ("address", "level", "name", "x", "y", "radius", "place", "scale", "match", "again")
    }
    known |= {name: tuple(c[name]) for name in ("effect", "control", "gain", "alpha", "beta")}

    def seed(s: dict[str, Any]) -> AtlasSeed:
        full, without, difference = (_picture(s[i], pictures) for i in ("full", "without", "difference"))
        return AtlasSeed(s["seed"], s["mse"], full, without, difference, s["magnification"])

    return AtlasCluster(
        **known,
        modes=tuple(c["modes"]),
        frequency=_number(c["frequency"]),
        cosine=_number(c["cosine"]),
        picture=_picture(c["picture"], pictures),
        seeds=tuple(map(seed, c["seeds"])),
        factors=tuple(AtlasFactor(f["name"], tuple(f["share"]), f["carried"]) for f in c["factors"]),
        everything=None if c["everything"] is None else tuple(c["everything"]),
        recipe="" if c["recipe"] is None else json.dumps(c["recipe"], indent=1),
    )
