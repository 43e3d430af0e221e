"""Pickles laid out as the official EDM code lays them out, made by stand-ins for its classes."""

from __future__ import annotations

import contextlib
import json
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import torch
from torch import nn

REFERENCE = Path(__file__).with_name("edm_reference.npz")
MODULE = "torch_utils.persistence"


def reference() -> tuple[dict, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Settings, weights by official name, and inputs with outputs of the official code for random numbers."""
    with np.load(REFERENCE, allow_pickle=False) as f:
        arrays = {k: torch.from_numpy(f[k]) for k in f.files if k != "settings"}
        settings = json.loads(f["settings"].tobytes())
    weights = {k.removeprefix("tensor/"): v for k, v in arrays.items() if k.startswith("tensor/")}
    return settings, weights, {k: v for k, v in arrays.items() if not k.startswith("tensor/")}


@contextlib.contextmanager
def official_names():
    """The module and function that official pickles name; only here, and only while a pickle is written."""
    modules = {name: types.ModuleType(name) for name in ("torch_utils", MODULE, "dnnlib", "dnnlib.util")}

    def reconstruct(meta):
        raise AssertionError("nothing of a pickle may be called")

    class EasyDict(dict):
        pass

    reconstruct.__module__, reconstruct.__qualname__ = MODULE, "_reconstruct_persistent_obj"
    EasyDict.__module__, EasyDict.__qualname__ = "dnnlib.util", "EasyDict"
    modules[MODULE]._reconstruct_persistent_obj = reconstruct
    modules["dnnlib.util"].EasyDict = EasyDict
    sys.modules.update(modules)
    try:
        yield reconstruct, EasyDict
    finally:
        for name in modules:
            del sys.modules[name]


class Described(nn.Module):
    """Pickled as the name of its class, source text and state."""

    def __init__(self, class_name: str, source: str = ""):
        super().__init__()
        self.about = {"class_name": class_name, "module_src": source}

    def __reduce__(self):
        state = {k: v for k, v in self.__dict__.items() if k != "about"}
        reconstruct = sys.modules[MODULE]._reconstruct_persistent_obj
        return reconstruct, ({"type": "class", "version": 6, **self.about, "state": state},), None


def module_tree(weights: dict[str, torch.Tensor], source: str = "") -> Described:
    """Modules with these weights: `enc` and `dec` are containers of torch's, filters are buffers."""
    root = Described("EDMPrecond", source)
    for name, tensor in weights.items():
        *path, leaf = name.split(".")
        module: nn.Module = root
        for part in path:
            if part not in module._modules:
                kinds = {"model": "SongUNet", "enc": None, "dec": None}
                kind = kinds.get(part, "Layer")
                module.add_module(part, nn.ModuleDict() if kind is None else Described(kind, source))
            module = module._modules[part]
        if leaf == "resample_filter":
            module.register_buffer(leaf, tensor)
        else:
            setattr(module, leaf, nn.Parameter(tensor) if tensor.is_floating_point() else tensor)
            if not tensor.is_floating_point():
                delattr(module, leaf)
                module.register_buffer(leaf, tensor)
    return root.eval().requires_grad_(False)


def snapshot(
    weights: dict[str, torch.Tensor],
    settings: dict,
    *,
    protocol: int = 4,
    source: str = "",
    kind: str = "EDMPrecond",
    network: str = "SongUNet",
    **extra,
) -> bytes:
    """The bytes of a training snapshot.

    Args:
        weights: by official name.
        settings: that the averaged network was made with.
        extra: more attributes of the averaged network.
    """
    with official_names() as (_, EasyDict):
        ema = module_tree(weights, source)
        ema.about["class_name"] = kind
        if "model" in ema._modules:
            ema.model.about["class_name"] = network
            ema.model._init_args, ema.model._init_kwargs = (), EasyDict(dropout=settings.get("dropout", 0.1))
            ema.model.label_dropout = 0
            ema.model.map_noise = Described("PositionalEmbedding", source)
        ema._init_args, ema._init_kwargs = (), EasyDict(settings)
        ema.sigma_data, ema.sigma_min, ema.sigma_max = np.float64(0.5), 0, float("inf")
        for name, value in extra.items():
            setattr(ema, name, value)
        data = {
            "ema": ema, "loss_fn": Described("EDMLoss", source), "augment_pipe": Described("AugmentPipe", source),
            "dataset_kwargs": EasyDict(class_name="training.dataset.ImageFolderDataset", path="x/tiny-8x8.zip"),
        }  # fmt: skip
        return pickle.dumps(data, protocol=protocol)
