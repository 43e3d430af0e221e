"""Images a second of the teacher's training step, as configured and otherwise, and beside the U-Net of torchcfm.

The peer is that package's picture net (`pip install torchcfm`; without it its lines are left out) with as many
parameters: forward, backward and Adam on the same number of pictures of the same size, compiled and not, the better
counts. Ours folds patches of 2 x 2 pixels into channels, which is most of the difference: operations are therefore
given, and the peer is measured on folded pictures too.
"""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from analysis.core.errors import UserError
from benchmarks import gpu_training
from benchmarks.serving import load
from benchmarks.timing import Ratio, print_table, ratio, timed_rounds
from foundation.settings import read_settings
from foundation.training import can_compile, fast_bf16
from foundation.unet import UNetConfig, count_parameters
from koopman_core import recipes
from koopman_core.edm import EDM, draw_training_sigma, edm_loss

CONFIG = Path(recipes.__file__).parent / "configs" / "shapes_teacher.toml"
BATCH = 64
ROUNDS = 4
GOAL = 1.5
COMPILED = ", compiled"
PEER = "torchcfm's U-Net"
# Of the widths, blocks and multipliers that give as many parameters as ours, those of the fewest operations; attention
# at half of the resolution, as that package has it for 32 x 32.
PEER_SETTINGS = {"num_channels": 32, "num_res_blocks": 2, "channel_mult": (1, 2, 2, 3)}
NEAR = 0.05  # of our number of parameters

Loss = Callable[[], Tensor]


def stepper(model: nn.Module, loss: Loss, bf16: bool, compiled: bool) -> Callable[[], None]:
    """One training step: forward, backward and Adam."""
    if compiled:
        model.compile(dynamic=False)  # else the second net of a class counts as one whose sizes change
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def operations(loss: Loss) -> float:
    """Floating-point operations of one forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        loss()
    return float(counter.get_total_flops())


def peer_package() -> ModuleType | None:
    """torchcfm's nets where it, and what it needs itself, is installed."""
    try:
        return importlib.import_module("torchcfm.models.unet")
    except ImportError:
        return None


class Peers:
    """The nets of torchcfm, as they come and on folded pictures.

    Args:
        module: of them.
        config: of our net.
        settings: of theirs.
    """

    def __init__(self, module: ModuleType, config: UNetConfig, settings: dict):
        self.module, self.config, self.settings = module, config, settings

    def net(self, patch: int) -> nn.Module:
        """Their net on patches of so many pixels.

        Raises:
            UserError: it has not about as many parameters as ours.
        """
        side = self.config.resolution // patch
        torch.manual_seed(0)
        net = self.module.UNetModel(
            (self.config.channels * patch**2, side, side), attention_resolutions=str(side // 2), **self.settings
        )
        mine, theirs = (count_parameters(n) for n in (EDM(self.config), net))
        if abs(theirs / mine - 1) > NEAR:
            raise UserError(
                f"{PEER} has {theirs:,} parameters and ours {mine:,}: change PEER_SETTINGS until they are as many."
            )
        return net

    def loss(self, net: nn.Module, x: Tensor, patch: int) -> Loss:
        """Flow matching on straight lines, which is what that net is made for."""
        data = F.pixel_unshuffle(x, patch) if patch > 1 else x
        generator = torch.Generator().manual_seed(0)
        start, t = torch.randn(data.shape, generator=generator), torch.rand(len(data), generator=generator)
        between = torch.lerp(start, data, t[:, None, None, None])
        return lambda: (net(t, between) - (data - start)).square().mean()


def steps_of(config: UNetConfig, batch: int, compiled: bool, bf16: bool, settings: dict) -> tuple[dict, dict, str]:
    """What is timed.

    Returns:
        Name -> step, ours first; name -> (parameters, operations for a picture); name of ours.
    """
    x = torch.rand(batch, config.channels, config.resolution, config.resolution) * 2 - 1
    generator = torch.Generator().manual_seed(0)
    sigma, eps = draw_training_sigma(batch, generator), torch.randn(x.shape, generator=generator)
    steps: dict[str, Callable[[], None]] = {}
    sizes: dict[str, tuple[int, float]] = {}

    def add(name: str, model: nn.Module, loss: Loss, bf16: bool, compiled: bool = False) -> None:
        sizes[name] = count_parameters(model), operations(loss) / batch
        steps[name] = stepper(model, loss, bf16, compiled)

    def ours(name: str, bf16: bool, compiled: bool = False, layout: torch.memory_format = torch.contiguous_format):
        torch.manual_seed(0)
        model, data = EDM(config).to(memory_format=layout), x.contiguous(memory_format=layout)
        add(name, model, lambda: edm_loss(model, data, sigma, eps).mean(), bf16, compiled)

    first = f"ours: {'bf16' if bf16 else 'fp32'}, NCHW" + (COMPILED if compiled else "")
    ours(first, bf16, compiled)
    if compiled:
        ours("the same, not compiled", bf16)
    if bf16:
        ours("fp32, NCHW, not compiled", False)
    ours("the same in channels_last, not compiled", bf16, layout=torch.channels_last)
    if (module := peer_package()) is not None:
        peers = Peers(module, config, settings)
        for patch in dict.fromkeys((1, config.patch_size)):
            for compiling in dict.fromkeys((compiled, False)):
                net = peers.net(patch)
                name = PEER + (f", patches of {patch}" if patch > 1 else "") + (COMPILED if compiling else "")
                add(name, net, peers.loss(net, x, patch), bf16, compiling)
    return steps, sizes, first


def best_of_peers(seconds: dict[str, list[float]], ours: str) -> dict[str, tuple[str, Ratio]]:
    """By kind of peer (as it comes, on patches): the quicker of compiled and not, and our images to theirs."""
    best: dict[str, tuple[str, Ratio]] = {}
    for name in (n for n in seconds if n.startswith(PEER)):
        kind, found = name.removesuffix(COMPILED), ratio(seconds[name], seconds[ours])
        if kind not in best or found.median < best[kind][1].median:
            best[kind] = name, found
    return best


def run(
    config: UNetConfig | None = None,
    *,
    batch: int = BATCH,
    rounds: int = ROUNDS,
    compiled: bool | None = None,
    settings: dict = PEER_SETTINGS,
    device: str = "cpu",
) -> None:
    """Forward, backward and Adam on random pictures.

    Args:
        config: of our net; that of the `shapes` teacher by default.
        batch: pictures a step.
        rounds: from two.
        compiled: whether compiled steps are timed; where that can be done by default.
        settings: of the peer.
        device: "cuda" measures the paper's networks on a GPU instead (`gpu_training`).
    """
    if device == "cuda":
        return gpu_training.run()
    if config is None:
        config = read_settings(CONFIG, [], recipes.TEACHER_SECTIONS)["network"]
    bf16 = fast_bf16(torch.device("cpu"))
    steps, sizes, ours = steps_of(config, batch, can_compile("auto") if compiled is None else compiled, bf16, settings)
    if not bf16:
        print("(This CPU has no AMX, so precision = auto means fp32: bf16 would be many times slower.)")
    before = load()
    seconds = timed_rounds(steps, rounds)
    rows = []
    for name, spent in seconds.items():
        parameters, flops = sizes[name]
        r = ratio(seconds[ours], spent)
        rows.append([name, f"{parameters:,}", f"{flops / 1e9:.2f}", f"{batch / statistics.median(spent):.1f}",
                     f"{r.median:.2f} [{r.low:.2f}, {r.high:.2f}]"])  # fmt: skip
    columns = ["step", "parameters", "GFLOP forward a picture", "images/s", "relative to ours"]
    print_table(f"Training step, batch {batch}; {before}", columns, rows)
    print()
    if (best := best_of_peers(seconds, ours)) == {}:
        print(f"{PEER} is left out, since it cannot be imported: `pip install torchcfm` adds it.")
    for kind, (name, r) in best.items():
        goal = f"; goal {GOAL}: {'reached' if r.median >= GOAL else 'missed'}" if kind == PEER else ""
        print(f"Images a second, ours to {name}: {r.median:.2f} [{r.low:.2f}, {r.high:.2f}]{goal}")
