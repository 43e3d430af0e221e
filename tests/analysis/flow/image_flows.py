"""Tiny random flows of pictures, and a folder of them."""

from __future__ import annotations

from pathlib import Path

import torch

from flow_core.model import FlowConfig, FlowModel, save
from foundation.networks.unet import UNetConfig

NETWORK = {"resolution": 16, "base": 8, "multipliers": (1, 2), "blocks": 1, "attention": (), "embedding": 16}
CLASSES = ["cat & dog", "<b>ship</b>", "plane"]


def random_flow(flow: FlowConfig, seed: int, **network) -> FlowModel:
    torch.manual_seed(seed)
    model = FlowModel(flow, UNetConfig(**NETWORK, **network)).eval()
    for p in model.parameters():  # half of the layers start at almost zero
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=0.15)
    return model


def write_flows(where: Path) -> Path:
    """`shapes` with both nets, `cifar10` with classes and one net, and two files that are no picture flows."""
    idff, otcfm = FlowConfig("idff", 0.2, data_std=0.5), FlowConfig("otcfm", 0.0, predicts="velocity", data_std=0.5)
    save(random_flow(idff, 0), where / "images-shapes.flow.safetensors", {"data": {"classes": []}}, torch.float32)
    save(random_flow(otcfm, 1), where / "images-shapes-otcfm.flow.safetensors", {}, torch.float32)
    classed = random_flow(idff, 2, classes=3)
    save(classed, where / "images-cifar10.flow.safetensors", {"data": {"classes": CLASSES}}, torch.float32)
    (where / "images-broken.flow.safetensors").write_bytes(b"not a model")
    save(random_flow(otcfm, 3), where / "images-liar.flow.safetensors", {}, torch.float32)
    return where
