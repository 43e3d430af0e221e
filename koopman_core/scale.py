"""What the paper's configurations cost, computed and not measured: `python -m koopman_core.scale`.

Multiplications and additions of the networks are counted by PyTorch's own counter on tensors without memory; times
follow from them and from two assumed speeds, of training in bf16 and of trajectories in strict fp32. A real device is a
factor of two to either side of that. Memory is what autograd saves, counted in float32: bf16 saves a quarter.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from foundation.files.settings import read_settings
from foundation.metrics.perceptual import VGG_WIDTHS
from foundation.networks.unet import UNet, UNetConfig, count_parameters
from koopman_core import recipes
from koopman_core.model import KoopmanDiffusion
from koopman_core.trajectories import TrajectoryConfig, disk_bytes

CONFIGS = Path(__file__).parent / "configs"
STATE = 20  # bytes a parameter: weight, gradient, two moments and average in float32
DEVICES = (1, 8)
BF16, FP32 = 180.0, 40.0  # TFLOP/s that one H100 is taken to reach: about a fifth of its peak in bf16, 0.6 in fp32


@dataclass(frozen=True)
class Cost:
    """Of one configuration.

    Attributes:
        forward, training: GFLOP a sample of the network, forward, and forward with backward.
        lpips: GFLOP a sample of LPIPS on its whole batch share; features of both pictures, backward to one.
        samples: a second in training.
        training_hours, trajectory_hours: on one device.
        disk: bytes of the trajectories.
        activations: bytes that a sample of the student takes until its gradients are there; network and LPIPS, float32.
        state: bytes of weights, gradients, moments and average.
        batch: samples a step over all devices.
        teacher_samples, teacher_hours: the same of training the teacher anew.
    """

    forward: float
    training: float
    lpips: float
    samples: float
    training_hours: float
    trajectory_hours: float
    disk: int
    activations: int
    state: int
    batch: int
    teacher_samples: float
    teacher_hours: float

    def memory(self, devices: int) -> float:
        """GB of each of so many devices in a step of the student."""
        return (self.state + self.activations * self.batch / devices) / 1e9


def saved_bytes(forward: Callable[[], Tensor], module: torch.nn.Module) -> int:
    """Bytes that a forward pass keeps for the backward one, beside the module's own parameters."""
    own = {p.untyped_storage()._cdata for p in module.parameters()}
    saved: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        storage = t.untyped_storage()  # tensors that share one are kept once
        if storage._cdata not in own:
            saved[storage._cdata] = storage.nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        out = forward()  # alive until all is counted, and with it what was kept
    total = sum(saved.values())
    del out
    return total


def network_bytes(config: UNetConfig) -> int:
    """What the network keeps for one picture, float32."""
    with torch.device("meta"):
        net = UNet(config)
        x, level = torch.zeros(1, config.channels, config.resolution, config.resolution), torch.zeros(1)
    return saved_bytes(lambda: net(x, level), net)


def _vgg_layers(side: int) -> list[tuple[int, int, int]]:
    """(channels in, channels out, side) of VGG-16's convolutions."""
    pooled, halvings, layers = {2: 1, 4: 2, 7: 3, 10: 4}, 0, []  # a pooling by 2 stands in front of these
    for i, (cin, cout) in enumerate(zip(VGG_WIDTHS[:-1], VGG_WIDTHS[1:], strict=True)):
        halvings = pooled.get(i, halvings)
        layers.append((cin, cout, side >> halvings))
    return layers


def vgg_bytes(side: int) -> int:
    """What LPIPS keeps for one pair of pictures, float32.

    Outputs of the convolutions, poolings with an index of 8 bytes, and of the five compared layers the target's
    features, the difference and its square.
    """
    layers = _vgg_layers(side)
    last = [layers[i] for i in (1, 3, 6, 9, 12)]
    outputs = sum(c * s * s for _, c, s in layers)
    pooled = sum(c * (s // 2) ** 2 for _, c, s in last[:-1])
    return 4 * outputs + 12 * pooled + 3 * 4 * sum(c * s * s for _, c, s in last)


def network_flops(config: UNetConfig, backward: bool) -> float:
    """Multiplications and additions for one picture, GFLOP."""
    with torch.device("meta"):
        net = UNet(config)
        x, level = torch.zeros(1, config.channels, config.resolution, config.resolution), torch.zeros(1)
    with FlopCounterMode(display=False) as counter:
        out = net(x, level)
        if backward:
            out.sum().backward()
    return counter.get_total_flops() / 1e9


def vgg_flops(side: int) -> float:
    """Multiplications and additions of VGG-16's convolutions for one picture of this side, GFLOP."""
    return sum(2 * 9 * cin * cout * s**2 for cin, cout, s in _vgg_layers(side)) / 1e9


def cost(name: str, bf16: float = BF16, fp32: float = FP32) -> Cost:
    """The cost of `configs/paper_NAME_*.toml`.

    Args:
        name: "cifar10" or "ffhq".
        bf16, fp32: assumed speeds, TFLOP/s.
    """
    files = {k: CONFIGS / f"paper_{name}_{k}.toml" for k in ("teacher", "trajectories", "student")}
    teacher = read_settings(files["teacher"], [], recipes.TeacherSettings)
    network = teacher["network"]
    student = read_settings(files["student"], [], recipes.StudentSettings)
    made = read_settings(files["trajectories"], [], recipes.TrajectorySettings)["trajectories"]
    forward, training = (network_flops(network, backward) for backward in (False, True))
    c = student["student"]
    lpips = 3 * vgg_flops(c.lpips_side) * c.lpips_share
    samples, alone = 1e3 * bf16 / (training + lpips), 1e3 * bf16 / training
    with torch.device("meta"):
        student_net = KoopmanDiffusion(network, student["koopman"])
    shape = (network.channels, network.resolution, network.resolution)
    return Cost(
        forward, training, lpips, samples, student["training"].images / samples / 3600,
        _trajectory_flops(made, forward) / (1e3 * fp32) / 3600, disk_bytes(made, shape),
        network_bytes(network) + round(vgg_bytes(c.lpips_side) * c.lpips_share), STATE * count_parameters(student_net),
        student["training"].batch, alone, teacher["training"].images / alone / 3600,
    )  # fmt: skip


def _trajectory_flops(made: TrajectoryConfig, forward: float) -> float:
    return made.count * (2 * made.steps - 1) * forward


def main(argv: list[str] | None = None) -> int:
    """Print one table; see the module."""
    parser = argparse.ArgumentParser(prog="koopman_core.scale", description=__doc__.split("\n\n")[0])
    parser.add_argument("--bf16", type=float, default=BF16, help=f"TFLOP/s of training ({BF16:g})")
    parser.add_argument("--fp32", type=float, default=FP32, help=f"TFLOP/s of trajectories ({FP32:g})")
    args = parser.parse_args(argv)
    print("| computed for one device | cifar10 | ffhq |\n|---|---|---|")
    costs = [cost(name, args.bf16, args.fp32) for name in ("cifar10", "ffhq")]
    for words, value in {
        "network forward, GFLOP a sample": lambda c: f"{c.forward:.1f}",
        "forward and backward": lambda c: f"{c.training:.0f}",
        "LPIPS (VGG)": lambda c: f"{c.lpips:.0f}",
        "samples a second": lambda c: f"{c.samples:.0f}",
        "student, hours": lambda c: f"{c.training_hours:.0f}",
        "trajectories, hours": lambda c: f"{c.trajectory_hours:.1f}",
        "trajectories, GB": lambda c: f"{c.disk / 1e9:.0f}",
    }.items():
        print(f"| {words} | {value(costs[0])} | {value(costs[1])} |")
    print("\n| on H100s, computed | " + " | ".join(f"{n}, {d}" for n in ("cifar10", "ffhq") for d in DEVICES) + " |")
    print("|---" * (1 + 2 * len(DEVICES)) + "|")
    for words, on in {
        "student, pictures/s": lambda c, d: f"{d * c.samples:,.0f}",
        "student, hours": lambda c, d: f"{c.training_hours / d:.1f}",
        "student, GPU-hours": lambda c, d: f"{c.training_hours:.0f}",
        "trajectories, hours": lambda c, d: f"{c.trajectory_hours / d:.2f}",
        "memory of a step, GB a device at most": lambda c, d: f"{c.memory(d):.0f}",
        "teacher anew, pictures/s": lambda c, d: f"{d * c.teacher_samples:,.0f}",
        "teacher anew, GPU-hours": lambda c, d: f"{c.teacher_hours:.0f}",
    }.items():
        print(f"| {words} | " + " | ".join(on(c, d) for c in costs for d in DEVICES) + " |")
    print(f"\nAssumed: {args.bf16:g} TFLOP/s in training (bf16), {args.fp32:g} TFLOP/s for trajectories (fp32).")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
