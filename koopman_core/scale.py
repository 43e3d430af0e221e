"""What the paper's configurations cost, computed and not measured: `python -m koopman_core.scale`.

Multiplications and additions of the networks are counted by PyTorch's own counter on tensors without memory; times
follow from them and from two assumed speeds, of training in bf16 and of trajectories in strict fp32. A real device is a
factor of two to either side of that.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from foundation.perceptual import VGG_WIDTHS
from foundation.settings import read_settings
from foundation.unet import UNet, UNetConfig
from koopman_core import recipes
from koopman_core.trajectories import TrajectoryConfig, disk_bytes

CONFIGS = Path(__file__).parent / "configs"
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
    """

    forward: float
    training: float
    lpips: float
    samples: float
    training_hours: float
    trajectory_hours: float
    disk: int


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
    total, pooled = 0, {2: 1, 4: 2, 7: 3, 10: 4}  # a pooling by 2 stands in front of these
    halvings = 0
    for i, (cin, cout) in enumerate(zip(VGG_WIDTHS[:-1], VGG_WIDTHS[1:], strict=True)):
        halvings = pooled.get(i, halvings)
        total += 2 * 9 * cin * cout * (side >> halvings) ** 2
    return total / 1e9


def cost(name: str, bf16: float = BF16, fp32: float = FP32) -> Cost:
    """The cost of `configs/paper_NAME_*.toml`.

    Args:
        name: "cifar10" or "ffhq".
        bf16, fp32: assumed speeds, TFLOP/s.
    """
    files = {k: CONFIGS / f"paper_{name}_{k}.toml" for k in ("teacher", "trajectories", "student")}
    network = read_settings(files["teacher"], [], recipes.TeacherSettings)["network"]
    student = read_settings(files["student"], [], recipes.StudentSettings)
    made = read_settings(files["trajectories"], [], recipes.TrajectorySettings)["trajectories"]
    forward, training = (network_flops(network, backward) for backward in (False, True))
    c = student["student"]
    lpips = 3 * vgg_flops(c.lpips_side) * c.lpips_share if c.lpips_net == "vgg" else 0.0
    samples = 1e3 * bf16 / (training + lpips)
    shape = (network.channels, network.resolution, network.resolution)
    return Cost(
        forward, training, lpips, samples, student["training"].images / samples / 3600,
        _trajectory_flops(made, forward) / (1e3 * fp32) / 3600, disk_bytes(made, shape),
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
    print(f"\nAssumed: {args.bf16:g} TFLOP/s in training (bf16), {args.fp32:g} TFLOP/s for trajectories (fp32).")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
