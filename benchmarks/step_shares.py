"""What a training step is spent on: network, clipping, optimizer, average of the weights.

The optimizer is timed as it is and with the plain iteration in float32, which every matrix went through before.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from unittest import mock

import torch

from benchmarks.timing import print_table, ratio, timed_rounds
from foundation.networks.unet import UNetConfig
from foundation.training import optimizers
from koopman_core.edm import EDM, draw_training_sigma, edm_loss

NETWORK, CLIP, OPTIMIZER, AVERAGE = "forward and backward", "clipping", "optimizer", "average of the weights"
PLAIN = "(optimizer, plain iteration in fp32)"


def step_parts(config: UNetConfig, batch: int, bf16: bool) -> dict[str, Callable[[], object]]:
    """Name -> one part of a step on random pictures, each callable on its own and again."""
    torch.manual_seed(0)
    model = EDM(config)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(batch, config.channels, config.resolution, config.resolution, generator=generator) * 2 - 1
    sigma, eps = draw_training_sigma(batch, generator), torch.randn(x.shape, generator=generator)
    parameters = list(model.parameters())
    average = [p.detach().clone() for p in parameters]
    made = optimizers.make_optimizers([{"params": parameters, "lr": 1e-3}], "muon", 0.99)

    def network() -> None:
        for p in parameters:
            p.grad = None
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            value = edm_loss(model, x, sigma, eps).mean()
        value.backward()

    def optimize() -> None:
        for optimizer in made:
            optimizer.step()

    def plain() -> None:
        with (
            mock.patch.object(optimizers, "fast_bf16", lambda device: False),
            mock.patch.object(optimizers, "_newton_schulz_gram", optimizers._newton_schulz),
        ):
            optimize()

    return {
        NETWORK: network,
        CLIP: lambda: torch.nn.utils.clip_grad_norm_(parameters, 1.0),
        OPTIMIZER: optimize,
        PLAIN: plain,
        AVERAGE: lambda: torch._foreach_lerp_(average, [p.detach() for p in parameters], 0.01),
    }


def step_shares(config: UNetConfig, batch: int, rounds: int, bf16: bool) -> dict[str, float]:
    """Prints the table; returns the share of every part in the step as it is, the plain optimizer's relative to it."""
    seconds = timed_rounds(step_parts(config, batch, bf16), rounds, warmup=1)
    parts = (NETWORK, CLIP, OPTIMIZER, AVERAGE)
    whole = [sum(seconds[name][i] for name in parts) for i in range(rounds)]
    before = [w - a + b for w, a, b in zip(whole, seconds[OPTIMIZER], seconds[PLAIN], strict=True)]
    shares = {
        name: statistics.median(s / w for s, w in zip(spent, whole, strict=True)) for name, spent in seconds.items()
    }
    rows = [[name, f"{statistics.median(seconds[name]):.3f}", f"{100 * shares[name]:.1f} %"] for name in seconds]
    print_table(f"Shares of a training step, batch {batch}, not compiled", ["part", "s", "share"], rows)
    gain = ratio(before, whole)
    print(f"\nPictures a second with this optimizer, to those with the plain iteration: {gain.median:.2f} "
          f"[{gain.low:.2f}, {gain.high:.2f}]")  # fmt: skip
    return shares
