"""What is asked of the app for the recordings: cheap settings that differ in every option once.

A question is a dict of arguments. `Refused` is one that must be refused, with the argument that is at fault.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDE = 32


@dataclass(frozen=True)
class Refused:
    """Attributes: field = the argument at fault; arguments."""

    field: str
    arguments: dict


@dataclass(frozen=True)
class After:
    """A question that needs a part of another answer.

    Attributes: endpoint, first = of the other question; take = argument -> key of that answer; arguments.
    """

    endpoint: str
    first: dict
    take: dict[str, str]
    arguments: dict


def png(pixels: np.ndarray) -> str:
    """An image, uint8 (H, W, 3) or (H, W), as base64 PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _scene() -> np.ndarray:
    """A yellow square on a vertical blue ramp, uint8 (32, 32, 3)."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[..., 1], image[..., 2] = 60, np.linspace(80, 220, SIDE).astype(np.uint8)[:, None]
    image[9:21, 12:24] = 230, 200, 40
    return image


def _half() -> np.ndarray:
    """White on the left half, uint8 (32, 32)."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, : SIDE // 2] = 255
    return mask


def _states() -> str:
    """Six trajectories of a damped turn in three numbers, 12 times, as base64 NPZ."""
    at, angle = np.arange(12) / 4, np.arange(6)
    phase = at[None] * 1.5 + angle[:, None]
    states = np.exp(-0.2 * at)[None, :, None] * np.stack([np.cos(phase), np.sin(phase), 0.3 * np.cos(phase)], -1)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, states=states.astype(np.float32), times=at)
    return base64.b64encode(buffer.getvalue()).decode()


PICTURE, HOLE, STATES = png(_scene()), png(_half()), _states()
TRAINING = {"path": "sbcfm", "steps": 25, "width": 16, "seed": 2}
CROSS = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]

EDIT = {
    "kind": "edit", "seed": 3, "label": -1, "reference": "seed", "reference_seed": 8, "reference_label": -1,
    "picture": None, "encoding": "noise", "noise_seed": 1, "tau": 0.5, "edges": [0.3, 0.7], "bands": [0, 2],
    "order": "alpha", "ratio": 0.6, "region": "lower-half", "mask": None,
}  # fmt: skip
PLANE = {
    "kind": "flow_2d", "density": "8gaussians", "drawing": None, "seed": 1, "points": 64, "grid": "uniform",
    "settings": [
        {"path": "idff", "sampler": "multistep", "nfe": 4, "sigma0": 0.2, "gamma1": 0.5, "gamma2": 0.0, "gamma3": 0.0,
         "net": "auto"},
        None,
        {"path": "otcfm", "sampler": "rk4", "nfe": 8, "sigma0": 0.2, "gamma1": 0.5, "gamma2": 0.0, "gamma3": 0.0,
         "net": "auto"},
    ],
}  # fmt: skip
DRAWN = PLANE | {
    "density": "drawn", "drawing": ["0110", "1001", "0110"], "grid": "cosine",
    "settings": [
        {"path": "idff", "sampler": "bridge", "nfe": 6, "sigma0": 0.5, "gamma1": 0.5, "gamma2": 0.0, "gamma3": 0.0,
         "net": "oracle"},
    ],
}  # fmt: skip
IMAGES = {
    "kind": "flow_images", "data": "shapes", "label": -1, "seeds": [3, 4], "grid": "uniform",
    "settings": [
        {"path": "idff", "sampler": "published", "nfe": 3, "gamma1": 0.2, "gamma2": 0.0, "gamma3": 0.0},
        {"path": "otcfm", "sampler": "euler", "nfe": 2, "gamma1": 0.5, "gamma2": 0.0, "gamma3": 0.0},
    ],
}  # fmt: skip
FORECAST = {
    "kind": "forecast", "model": "lorenz", "start": 0.3, "horizon": 3, "members": 4, "nfe": 3, "method": "multistep",
    "gammas": [0.5], "seed": 2,
}  # fmt: skip
INPAINT = {
    "kind": "inpaint", "picture": PICTURE, "mask": HOLE, "seed": 4, "label": -1, "steps": 3, "method": "iterative",
    "tau": 0.5, "truth": True,
}  # fmt: skip
MASK = {
    "kind": "mask_bands", "seed": 5, "label": -1, "edges": [0.25, 0.5], "gains": [0.0, 1.0, 1.5], "order": "abs",
    "entries": [0, 2],
}  # fmt: skip
COLORIZE = {"kind": "colorize", "picture": PICTURE, "seed": 6, "label": -1, "steps": 3, "truth": False}

# name -> (model, settings): one recipe of each kind, and of what differs in a kind
RECIPES: dict[str, tuple[str, dict]] = {
    "generate": ("shapes", {"kind": "generate", "seeds": [3, 9], "label": -1}),
    "generate-class": ("cifar10", {"kind": "generate", "seeds": [4], "label": -1}),
    "trajectory": ("shapes", {"kind": "trajectory", "seed": 5, "label": -1, "steps": 4}),
    "trajectory-cifar10": ("cifar10", {"kind": "trajectory", "seed": 5, "label": -1, "steps": 4}),
    "mask_bands": ("shapes", MASK),
    "mask_bands-cifar10": ("cifar10", MASK | {"order": "alpha", "entries": []}),
    "edit": ("shapes", EDIT),
    "edit-ode": ("shapes", EDIT | {"encoding": "ode", "bands": [1], "order": "abs"}),
    "edit-picture": ("cifar10", EDIT | {"reference": "picture", "picture": PICTURE, "region": "painted", "mask": HOLE}),
    "edit-scene": ("shapes", EDIT | {"reference": "scene", "reference_seed": 2000000007, "region": "whole"}),
    "inpaint": ("shapes", INPAINT),
    "inpaint-latent": ("cifar10", INPAINT | {"method": "latent", "truth": False}),
    "colorize": ("shapes", COLORIZE),
    "colorize-cifar10": ("cifar10", COLORIZE | {"truth": True}),
    "flow_2d": ("", PLANE),
    "flow_2d-drawn": ("", DRAWN),
    "flow_images": ("", IMAGES),
    "flow_images-cifar10": ("", IMAGES | {"data": "cifar10", "settings": [None, IMAGES["settings"][1]]}),
    "forecast": ("", FORECAST),
    "forecast-alanine": ("", FORECAST | {"model": "alanine", "method": "published", "gammas": [0.2, 0.1]}),
}
PNGS = ("generate", "edit-picture", "inpaint", "flow_images")  # recipes that are stored inside an image, too

QUESTIONS: dict[str, list[dict | Refused | After]] = {
    "models": [{}],
    "generate": [
        {},
        {"model": "shapes", "seeds": [3, 5]},
        {"model": "cifar10", "seeds": [7, 4294967295]},
        {"model": "shapes-published", "seeds": [2]},
        Refused("model", {"model": "nobody"}),
        Refused("seed", {"seeds": [-1]}),
        Refused("seed", {"seeds": []}),
        Refused("label", {"label": 99}),
    ],
    "trajectory": [
        {"seed": 1, "steps": 5},
        {"model": "shapes-published", "seed": 2, "steps": 4},
        {"model": "cifar10", "seed": 1, "steps": 4},
        Refused("steps", {"steps": 3}),
        Refused("seed", {"seed": 0.5}),
    ],
    "walk": [
        {"model": "shapes", "seed": 3, "to": 8, "frames": 4},
        Refused("frames", {"frames": 1}),
        Refused("to", {"to": -1}),
    ],
    "race": [  # its times and its flow are of no one model
        Refused("seed", {"seed": -1}),
        Refused("label", {"label": 99}),
    ],
    "rank": [
        {"model": "shapes", "seed": 2, "level": 1, "pictures": True, "ablation": "zero"},
        Refused("level", {"level": 99}),
        Refused("ablation", {"ablation": "median"}),
    ],
    "atlas": [  # none ships
        Refused("sort", {"sort": "x"}),
    ],
    "spectrum": [
        {},
        {"model": "shapes", "level": 2},
        {"model": "cifar10", "level": 1},
        Refused("level", {"level": 99}),
    ],
    "mask_bands": [
        {"seed": 2, "gains": [0, 1, 1]},
        {"seed": 2, "gains": [0, 1, 1], "ablation": "zero"},
        {
            "model": "shapes",
            "seed": 3,
            "edges": [0.2, 0.5, 0.8],
            "gains": [1, 0, 2, 0.5],
            "order": "abs",
            "ablation": "zero",
        },
        {"model": "cifar10", "seed": 4, "edges": [0.5], "gains": [0.5, 1], "levels": [0, 2], "ablation": "zero"},
        {"model": "cifar10", "seed": 4, "gains": [1, 0, 1], "ablation": "resample"},
        Refused("ablation", {"ablation": "median"}),
        Refused("edges", {"edges": [0.9, 0.1]}),
        Refused("gains", {"gains": [1, 1]}),
        Refused("order", {"order": "beta"}),
        Refused("levels", {"levels": [63]}),
    ],
    "cumulative_effect": [
        {"seeds": [1], "times": 8},
        {
            "model": "shapes",
            "seeds": [1, 2],
            "edges": [0.5],
            "order": "abs",
            "kind": "energy",
            "times": 5,
            "decoded_times": 2,
            "ablation": "zero",
        },
        {"model": "cifar10", "seeds": [0, 3], "kind": "arc", "times": 6},
        Refused("kind", {"kind": "speed"}),
        Refused("times", {"times": 1}),
        Refused("decoded_times", {"seeds": [0, 1, 2], "decoded_times": 16}),
    ],
    "mode": [
        {"times": 6},
        {"model": "shapes", "seed": 2, "level": 1, "modes": [0, 7, 40], "tau": 0.5, "times": 5, "ablation": "zero"},
        {"model": "cifar10", "seed": 1, "level": 2, "modes": list(range(0, 200, 5)), "times": 4, "ablation": "zero"},
        Refused("modes", {"modes": [10**9]}),
        Refused("tau", {"tau": 2}),
    ],
    "linearity": [
        {"seeds": [0, 1], "steps": 5, "decoded": False, "dmd_rank": 0},
        {"model": "shapes", "seeds": [2], "steps": 4, "dmd_rank": 2},
        {"model": "cifar10", "seeds": [0, 1], "steps": 4, "decoded": True, "dmd_rank": 2},
        Refused("steps", {"steps": 30}),
        Refused("dmd_rank", {"dmd_rank": 65}),
        Refused("seed", {"seeds": list(range(40)), "steps": 24}),
    ],
    "attribution": [
        {"pairs": 8, "rows": ["place", "everything"]},
        {"pairs": 8, "rows": ["place", "everything"], "measure": "latent"},
        {
            "model": "shapes",
            "pairs": 9,
            "sigma": 1.0,
            "carried": True,
            "edges": [0.5],
            "order": "abs",
            "rows": ["background"],
            "seed": 2000000011,
            "measure": "latent",
        },
        {"model": "cifar10", "pairs": 8, "rows": ["kind"], "measure": "latent"},
        Refused("pairs", {"pairs": 500}),
        Refused("rows", {"rows": ["weather"]}),
        Refused("sigma", {"sigma": 1000}),
    ],
    "surgery": [
        {},
        {"model": "shapes", "seed": 3, "alpha_scale": [0.5, 1, 1], "beta_shift": [0, 0, 2], "levels": [1]},
        {
            "model": "shapes",
            "seed": 3,
            "alpha_scale": [0.5, 1, 1],
            "beta_shift": [0, 0, 2],
            "levels": [1],
            "ablation": "zero",
        },
        {
            "model": "cifar10",
            "seed": 2,
            "edges": [0.5],
            "order": "abs",
            "alpha_shift": [0.2, -0.2],
            "beta_scale": [0, 1],
            "tau": 0.3,
            "ablation": "zero",
        },
        Refused("alpha_scale", {"alpha_scale": [1, 1]}),
        Refused("beta_shift", {"beta_shift": [0, 0, 90]}),
    ],
    "invert": [
        {"picture": PICTURE, "steps": 5, "times": 3},
        {"model": "cifar10", "picture": PICTURE, "steps": 4, "times": 2},
        Refused("picture", {}),
        Refused("steps", {"picture": PICTURE, "steps": 99}),
    ],
    "direction": [
        {"strengths": [-1, 1]},
        {"model": "shapes", "seed": 2, "method": "groups", "count": 3, "strengths": [2], "transfer": [5]},
        {"model": "cifar10", "contrast": "", "class_from": 0, "class_to": 5, "strengths": [1.5]},
        Refused("contrast", {"contrast": "weather"}),
        Refused("direction", {"method": "groups", "index": 3, "count": 2}),
    ],
    "dynamics": [
        {"npz": STATES, "rank": 3, "draws": 20},
        {"npz": STATES, "rank": 2, "held_out": 0, "draws": 10},
        {"npz": STATES, "rank": 2, "draws": 10, "method": "optimised"},
        Refused("npz", {"npz": "no base64!"}),
        Refused("rank", {"npz": STATES, "rank": 0}),
        Refused("method", {"npz": STATES, "method": "other"}),
    ],
    "signatures": [
        {"contrast": "size", "count": 8},
        {"model": "cifar10", "count": 8, "edges": [0.5], "order": "abs"},
        Refused("contrast", {"contrast": "weather"}),
        Refused("pictures a group", {"count": 65}),
    ],
    "edit": [
        {},
        {
            "model": "shapes",
            "seed": 2,
            "reference": "scene",
            "reference_seed": 5,
            "tau": 0.3,
            "edges": [0.2, 0.6],
            "bands": [0, 2],
            "order": "abs",
            "ratio": 1.0,
            "region": "whole",
        },
        {"model": "shapes", "seed": 2, "encoding": "ode", "reference_seed": 7, "bands": [1], "region": "lower-half"},
        {
            "model": "shapes",
            "seed": 2,
            "encoding": "latent",
            "reference_seed": 7,
            "bands": [0, 1, 2],
            "region": "lower-left-quadrant",
            "ratio": 0.25,
        },
        {
            "model": "cifar10",
            "seed": 4,
            "reference": "picture",
            "picture": PICTURE,
            "region": "painted",
            "mask": HOLE,
            "noise_seed": 3,
            "ratio": 0.8,
        },
        Refused("ratio", {"ratio": 9}),
        Refused("bands", {"bands": [7]}),
        Refused("region", {"region": "upper-half"}),
        Refused("picture", {"reference": "picture"}),
        Refused("encoding", {"reference": "scene", "encoding": "latent"}),
    ],
    "inpaint": [
        {"picture": PICTURE, "mask": HOLE, "seed": 5, "steps": 3, "frames": True},
        {"model": "shapes", "picture": PICTURE, "mask": HOLE, "method": "latent", "tau": 0.4, "truth": False},
        {"model": "cifar10", "picture": PICTURE, "mask": HOLE, "seed": 1, "steps": 2},
        Refused("picture", {"mask": HOLE}),
        Refused("mask", {"picture": PICTURE}),
        Refused("steps", {"picture": PICTURE, "mask": HOLE, "steps": 10**9}),
        Refused("method", {"picture": PICTURE, "mask": HOLE, "method": "magic"}),
    ],
    "colorize": [
        {"picture": PICTURE, "seed": 2, "steps": 3},
        {"model": "cifar10", "picture": f"data:image/png;base64,{PICTURE}", "steps": 2, "truth": False, "frames": True},
        Refused("picture", {"picture": "AAAA"}),
        Refused("steps", {"picture": PICTURE, "steps": 0}),
    ],
    "flow_2d": [
        {"points": 64},
        {"net": "oracle", "points": 64, "sampler": "heun", "nfe": 6, "trajectories": True},
        {"path": "otcfm", "points": 64, "sampler": "rk4", "nfe": 8, "density": "checkerboard", "seed": 3},
        {"path": "icfm", "points": 48, "sampler": "taylor2", "nfe": 4, "grid": "cosine"},
        {
            "path": "idff",
            "sigma0": 0.5,
            "points": 64,
            "net": "oracle",
            "sampler": "bridge",
            "nfe": 8,
            "density": "moons",
        },
        {"points": 64, "sampler": "multistep", "nfe": 3, "density": "pinwheel", "net": "shipped"},
        {"points": 64, "sampler": "published", "gamma1": 0.3, "gamma2": 0.1, "nfe": 6},
        {"points": 64, "sampler": "momentum", "gamma1": 0.3, "gamma2": 0.1, "gamma3": 0.05, "nfe": 5, "net": "oracle"},
        {"points": 64, "sampler": "matched", "gamma1": 1.0, "nfe": 6, "density": "spirals"},
        {"density": "drawn", "drawing": CROSS, "points": 64, "nfe": 4, "sampler": "heun"},
        After("train_toy", TRAINING, {"net": "key"}, {"path": "sbcfm", "points": 64, "nfe": 3}),
        Refused("nfe", {"nfe": 51}),
        Refused("sampler", {"sampler": "leapfrog"}),
        Refused("points", {"points": 5}),
        Refused("gamma1", {"gamma1": 1e6}),
        Refused("sigma0", {"sigma0": 0}),
        Refused("drawing", {"density": "drawn"}),
        Refused("net", {"net": "trained-0000000000000000-25"}),
    ],
    "likelihood": [
        {"net": "oracle", "point": [4, 1], "steps": 8},
        {"point": [-3.5, 3.5], "steps": 16},
        Refused("point", {"point": [0, 1e9]}),
        Refused("steps", {"steps": 65}),
    ],
    "transport": [
        {"sizes": [4, 16], "seed": 2},
        {"density": "drawn", "drawing": CROSS, "sizes": [8], "seeds": 3},
        Refused("sizes", {"sizes": [1, 2, 3, 4, 5], "seeds": 8}),
        Refused("drawing", {"density": "drawn"}),
    ],
    "train_toy": [
        {"steps": 25, "width": 16},
        {"density": "drawn", "drawing": CROSS, "path": "otcfm", "steps": 50, "width": 32, "seed": 3},
        Refused("steps", {"steps": 10}),
        Refused("width", {"width": 4}),
    ],
    "flow_images": [
        {"nfe": 3},
        {"data": "shapes", "path": "otcfm", "sampler": "rk4", "nfe": 4, "seeds": [1, 4], "grid": "cosine"},
        {"data": "shapes", "sampler": "published", "gamma1": 0.2, "gamma2": 0.1, "nfe": 3, "steps": True},
        {"data": "shapes", "sampler": "multistep", "nfe": 3, "seeds": [2], "distance": True},
        {"data": "cifar10", "sampler": "momentum", "gamma1": 0.2, "nfe": 3, "seeds": [2, 3]},
        {"data": "cifar10", "sampler": "matched", "gamma1": 0.5, "nfe": 3},
        {"data": "cifar10", "sampler": "bridge", "nfe": 3},
        {"data": "cifar10", "path": "otcfm", "sampler": "heun", "nfe": 4},
        {"data": "cifar10", "path": "otcfm", "sampler": "taylor2", "nfe": 2},
        Refused("nfe", {"nfe": 0}),
        Refused("data", {"data": "../../etc/passwd"}),
        Refused("path", {"data": "cifar10", "path": "otcfm", "sampler": "bridge"}),
        Refused("seed", {"seeds": [0] * 9}),
        Refused("steps", {"steps": "yes"}),
    ],
    "forecast": [
        {"horizon": 3, "members": 4, "nfe": 3},
        {
            "model": "lorenz",
            "start": 0.2,
            "horizon": 2,
            "members": 3,
            "nfe": 4,
            "method": "rk4",
            "seed": 7,
            "every_member": True,
        },
        {
            "model": "lorenz",
            "start": 0.9,
            "horizon": 2,
            "members": 3,
            "nfe": 3,
            "method": "momentum",
            "gammas": [0.2, 0.1],
        },
        {"model": "alanine", "start": 0.4, "horizon": 3, "members": 4, "nfe": 3, "method": "matched", "gammas": [0.3]},
        {"model": "alanine_in_sample", "start": 0.4, "horizon": 2, "members": 3, "nfe": 3, "method": "bridge"},
        {"model": "sst", "start": 0.5, "horizon": 2, "members": 3, "nfe": 2, "method": "euler", "maps": True},
        {"model": "sst_sites", "start": 0.5, "horizon": 3, "members": 4, "nfe": 2, "method": "heun"},
        Refused("model", {"model": "weather"}),
        Refused("start", {"start": 2}),
        Refused("members", {"members": 1}),
        Refused("method", {"method": "magic"}),
        Refused("gammas", {"gammas": []}),
        Refused("horizon", {"model": "lorenz", "horizon": 10**9}),
    ],
    "describe": [
        {},
        {"model": "cifar10", "settings": MASK},
        {"model": "shapes", "settings": EDIT | {"reference": "picture", "picture": PICTURE}},
        {"settings": PLANE},
        {"settings": FORECAST | {"model": "alanine"}},
        Refused("kind", {"settings": {"kind": "dance"}}),
        Refused("seeds", {"settings": {"kind": "generate", "seeds": [-1], "label": -1}}),
        Refused("members", {"settings": FORECAST | {"members": 1}}),
        Refused("model", {"model": "shapes", "settings": FORECAST}),
    ],
    "recipe": [  # what is answered is recorded with recipes/
        Refused("recipe", {"recipe": "{}"}),
        Refused("recipe", {"recipe": "[]"}),
    ],
}
NEEDS_DATA = ("sst", "sst_sites")  # series whose data KOOPMAN_DATA names

# words of a sentence that names an argument
WORDS: dict[str, tuple[str, ...]] = {
    "nfe": ("network calls", "nfe"), "label": ("class", "label"), "edges": ("edge",), "gains": ("retention", "gain"),
    "levels": ("level",), "decoded_times": ("decoded",), "dmd_rank": ("rank",), "rows": ("factor",),
    "modes": ("mode",), "sigma": ("noise level", "sigma"), "tau": ("time", "tau"),
    "alpha_scale": ("alpha scale", "alpha_scale"),
    "beta_shift": ("beta shift", "beta_shift"), "bands": ("band",), "data": ("data", "flow", "net"),
    "gammas": ("momentum weight", "gamma"), "pairs": ("pair",), "seeds": ("seed",), "times": ("times",),
    "net": ("net",), "drawing": ("drawing", "drawn"), "encoding": ("noise", "encoding"),
}  # fmt: skip


def names(sentence: str, field: str) -> bool:
    """Whether a sentence names an argument."""
    return any(word in sentence.lower() for word in WORDS.get(field, (field,)))


# button of "Save & export" -> values of other controls
EXPORTS: dict[str, dict] = {
    "export-csv": {},
    "export-npz": {},
    "export-gif": {"seed": 3},
    "export-figure": {"export-what": "sorted-alpha", "export-format": "html"},
    "export-report": {"seed": 3},
}

# command and arguments -> exit code, where nothing is computed
CALLS: list[tuple[str, list[str], int]] = [
    ("app", ["--port", "0"], 2),
    ("app", ["--host", "0.0.0.0"], 2),
    ("koopman_core.train", [], 2),
    ("koopman_core.train", ["teacher", "--config", "nowhere.toml"], 2),
    ("koopman_core.train", ["dance", "--config", "nowhere.toml"], 2),
    ("flow_core.train", ["toy", "--config", "nowhere.toml"], 2),
    ("analysis.evaluate", ["hkd", "--model", "nobody"], 2),
    ("analysis.evaluate", ["flow"], 2),
    ("analysis.evaluate", ["series", "--model", "lorenz", "--parts", "nothing"], 2),
    ("benchmarks", ["nothing"], 2),
    ("benchmarks", ["slider", "--write"], 2),
]
