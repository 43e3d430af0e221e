"""Images a second of the teacher's training step beside the U-Net of torchcfm, and what a step is spent on.

The step is timed as configured and otherwise. The peer is that package's picture net (`pip install torchcfm`) with
about as many parameters: forward, backward and Adam on the same number of pictures of the same size, compiled and not,
the better counts. Without the package, or where none of its nets has as many, its lines are left out, which is said.
Ours folds patches of 2 x 2 pixels into channels, which is most of the difference: operations are therefore given, and
the peer is measured on folded pictures too. Of a step's parts the optimizer is timed as it is and with the plain
iteration in float32, which every matrix went through before.
"""

from __future__ import annotations

import importlib
import itertools
import statistics
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpu_training
from benchmarks.serving import load
from benchmarks.timing import Ratio, print_table, ratio, timed_rounds
from foundation.files.settings import read_settings
from foundation.networks.compiler import can_compile
from foundation.networks.unet import UNetConfig, count_parameters
from foundation.training import optimizers
from koopman_core import recipes
from koopman_core.edm import EDM, draw_training_sigma, edm_loss

SETTINGS_FILE = Path(recipes.__file__).parent / "configs" / "portraits_teacher.toml"
STEP_BATCH = 64
STEP_ROUNDS = 4
SPEED_GOAL = 1.5
COMPILED = ", compiled"
PEER = "torchcfm's U-Net"
# What is tried of the peer's widths, blocks and multipliers; attention at half of the resolution, as that package has
# it for 32 x 32.
PEER_WIDTHS, PEER_BLOCKS = (32, 64, 96, 128), (1, 2, 3)
PEER_MULTIPLIERS = ((1, 2, 2), (1, 2, 2, 2), (1, 2, 2, 3), (1, 2, 3, 4), (1, 2, 2, 4), (1, 2, 4, 4))
ALLOWED = 0.05  # of our number of parameters
NETWORK, CLIP, OPTIMIZER, AVERAGE = "forward and backward", "clipping", "optimizer", "average of the weights"
PLAIN = "(optimizer, plain iteration in fp32)"

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
    """

    def __init__(self, module: ModuleType, config: UNetConfig):
        self.module, self.config = module, config

    def net(self, patch: int, settings: dict) -> nn.Module:
        """Their net on patches of so many pixels."""
        side = self.config.resolution // patch
        torch.manual_seed(0)
        shape = (self.config.channels * patch**2, side, side)
        return self.module.UNetModel(shape, attention_resolutions=str(side // 2), **settings)

    def settings(self, parameters: int) -> dict | None:
        """Those of the net with the nearest number of parameters; None where it is not within `ALLOWED` of ours."""
        best: tuple[float, dict] = (ALLOWED, {})
        for width, blocks, multipliers in itertools.product(PEER_WIDTHS, PEER_BLOCKS, PEER_MULTIPLIERS):
            asked = {"num_channels": width, "num_res_blocks": blocks, "channel_mult": multipliers}
            with torch.device("meta"):
                off = abs(count_parameters(self.net(1, asked)) / parameters - 1)
            if off <= best[0]:
                best = off, asked
        return best[1] or None

    def loss(self, net: nn.Module, x: Tensor, patch: int) -> Loss:
        """Flow matching on straight lines, which is what that net is made for."""
        data = F.pixel_unshuffle(x, patch) if patch > 1 else x
        generator = torch.Generator().manual_seed(0)
        start, t = torch.randn(data.shape, generator=generator), torch.rand(len(data), generator=generator)
        between = torch.lerp(start, data, t[:, None, None, None])
        return lambda: (net(t, between) - (data - start)).square().mean()


def steps_of(config: UNetConfig, batch: int, compiled: bool, bf16: bool) -> tuple[dict, dict, str]:
    """What is timed.

    Returns:
        Name -> step, ours first; name -> (parameters, operations for a picture); why there is no peer, or "".
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
        noisy = data + sigma[:, None, None, None] * eps
        add(name, model, lambda: edm_loss(model(noisy, sigma), data, sigma).mean(), bf16, compiled)

    first = f"ours: {'bf16' if bf16 else 'fp32'}, NCHW" + (COMPILED if compiled else "")
    ours(first, bf16, compiled)
    if compiled:
        ours("the same, not compiled", bf16)
    if bf16:
        ours("fp32, NCHW, not compiled", False)
    ours("the same in channels_last, not compiled", bf16, layout=torch.channels_last)
    if (module := peer_package()) is None:
        return steps, sizes, f"{PEER} is left out, since it cannot be imported: `pip install torchcfm` adds it."
    peers, mine = Peers(module, config), sizes[first][0]
    if (settings := peers.settings(mine)) is None:
        return steps, sizes, (
            f"{PEER} is left out: none of its settings is within {ALLOWED:.0%} of our {mine:,} parameters."
        )  # fmt: skip
    for patch in dict.fromkeys((1, config.patch_size)):
        for compiling in dict.fromkeys((compiled, False)):
            net = peers.net(patch, settings)
            name = PEER + (f", patches of {patch}" if patch > 1 else "") + (COMPILED if compiling else "")
            add(name, net, peers.loss(net, x, patch), bf16, compiling)
    return steps, sizes, ""


def best_of_peers(seconds: dict[str, list[float]], ours: str) -> dict[str, tuple[str, Ratio]]:
    """By kind of peer (as it comes, on patches): the quicker of compiled and not, and our images to theirs."""
    best: dict[str, tuple[str, Ratio]] = {}
    for name in (n for n in seconds if n.startswith(PEER)):
        kind, found = name.removesuffix(COMPILED), ratio(seconds[name], seconds[ours])
        if kind not in best or found.median < best[kind][1].median:
            best[kind] = name, found
    return best


def step_parts(config: UNetConfig, batch: int, bf16: bool) -> dict[str, Callable[[], object]]:
    """Name -> one part of a step on random pictures, each callable on its own and again."""
    torch.manual_seed(0)
    model = EDM(config)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(batch, config.channels, config.resolution, config.resolution, generator=generator) * 2 - 1
    sigma, eps = draw_training_sigma(batch, generator), torch.randn(x.shape, generator=generator)
    noisy = x + sigma[:, None, None, None] * eps
    parameters = list(model.parameters())
    average = [p.detach().clone() for p in parameters]
    made = optimizers.make_optimizers([{"params": parameters, "lr": 1e-3}], "muon", 0.99)

    def network() -> None:
        for p in parameters:
            p.grad = None
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            value = edm_loss(model(noisy, sigma), x, sigma).mean()
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


def run(
    config: UNetConfig | None = None,
    *,
    batch: int = STEP_BATCH,
    rounds: int = STEP_ROUNDS,
    compiled: bool | None = None,
    device: str = "cpu",
) -> None:
    """Forward, backward and Adam on random pictures.

    Args:
        config: of our net; that of the `portraits` teacher by default.
        batch: pictures a step.
        rounds: from two.
        compiled: whether compiled steps are timed; where that can be done by default.
        device: "cuda" measures the paper's networks on a GPU instead (`gpu_training`).
    """
    if device == "cuda":
        return gpu_training.run()
    if config is None:
        config = read_settings(SETTINGS_FILE, [], recipes.TeacherSettings)["network"]
    bf16 = optimizers.fast_bf16(torch.device("cpu"))
    compiled = can_compile("auto") if compiled is None else compiled
    steps, sizes, without = steps_of(config, batch, compiled, bf16)
    ours = next(iter(steps))
    if not bf16:
        print("(Neither AMX nor AVX-512's bf16 here: precision = auto means fp32, bf16 would be many times slower.)")
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
    if without:
        print(without)
    for kind, (name, r) in best_of_peers(seconds, ours).items():
        goal = f"; goal {SPEED_GOAL}: {'reached' if r.median >= SPEED_GOAL else 'missed'}" if kind == PEER else ""
        print(f"Images a second, ours to {name}: {r.median:.2f} [{r.low:.2f}, {r.high:.2f}]{goal}")
    step_shares(config, batch, rounds, bf16)
