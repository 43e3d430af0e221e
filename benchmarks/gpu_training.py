"""Pictures a second of the paper's networks on a GPU, and the share of its peak that they use.

Model-FLOPs utilisation: multiplications and additions that the network needs, forward and backward, over what the
device could do in bf16 by its data sheet. Steps are of the teacher's loss with Adam, in bf16, channels_last, compiled.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch

from benchmarks.timing import print_table, timed_rounds
from foundation.networks.compiler import can_compile
from foundation.networks.unet import UNetConfig, count_parameters
from foundation.training.optimizers import make_optimizers
from koopman_core.edm import EDM, draw_training_sigma, edm_loss
from koopman_core.scale import network_flops

PAPER_NETWORKS = {"CIFAR-10": UNetConfig.edm_cifar10, "FFHQ": UNetConfig.edm_ffhq}
GPU_BATCH, GPU_ROUNDS = 256, 10
# dense bf16 TFLOP/s of data sheets; the first name that the device's own holds counts
PEAKS = {"H100 PCIe": 756.0, "H100": 989.0, "H200": 989.0, "A100": 312.0, "L40S": 362.0, "RTX 4090": 165.0}


def peak(name: str) -> float | None:
    """TFLOP/s in bf16 of a device by its name, None where it is not listed."""
    return next((v for k, v in PEAKS.items() if all(word in name for word in k.split())), None)


def utilisation(gflop: float, pictures: float, peak: float) -> float:
    """Share of the peak, in [0, 1].

    Args:
        gflop: a picture, forward and backward.
        pictures: a second.
        peak: TFLOP/s.
    """
    return gflop * pictures / (1e3 * peak)


def step(config: UNetConfig, batch: int, device: torch.device, compiled: bool) -> Callable[[], None]:
    """One step on random pictures: forward, backward and Adam, waited for."""
    torch.manual_seed(0)
    model = EDM(config).to(device, memory_format=torch.channels_last)
    if compiled:
        model.compile(dynamic=False)
    (optimizer,) = make_optimizers([{"params": list(model.parameters()), "lr": 1e-4}], "adam", 0.999)
    x = torch.randn(batch, *model.picture_shape, device=device).to(memory_format=torch.channels_last)
    sigma = draw_training_sigma(batch, torch.Generator().manual_seed(0)).to(device)
    noisy = x + sigma[:, None, None, None] * torch.randn_like(x)

    def run() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = edm_loss(model(noisy, sigma), x, sigma).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def pictures_a_second(
    config: UNetConfig, batch: int, device: torch.device, rounds: int, compiled: bool
) -> tuple[float, int]:
    """The median over steps, and the batch: halved until a step fits the memory."""
    try:
        seconds = timed_rounds({"step": step(config, batch, device, compiled)}, rounds, warmup=3)["step"]
    except torch.OutOfMemoryError:
        if batch == 1:
            raise
    else:
        return batch / statistics.median(seconds), batch
    torch.cuda.empty_cache()  # outside of the handler, whose traceback holds the tensors
    return pictures_a_second(config, batch // 2, device, rounds, compiled)


def run(rounds: int = GPU_ROUNDS) -> None:
    """Measure and print; without a GPU a sentence."""
    if not torch.cuda.is_available():
        print("PyTorch sees no CUDA GPU here: nothing was measured. `python -m benchmarks training` measures the CPU.")
        return
    device = torch.device("cuda")
    name, compiled = torch.cuda.get_device_name(device), can_compile("auto", "cuda")
    most, rows = peak(name), []
    for what, make in PAPER_NETWORKS.items():
        config = make()
        speed, batch = pictures_a_second(config, GPU_BATCH, device, rounds, compiled)
        gflop = network_flops(config, backward=True)
        share = f"{100 * utilisation(gflop, speed, most):.1f} %" if most else "peak not known"
        rows.append([what, f"{count_parameters(EDM(config)):,}", str(batch), f"{speed:,.0f}",
                     f"{gflop * speed / 1e3:.0f}", share])  # fmt: skip
    columns = ["network", "parameters", "batch", "pictures/s", "TFLOP/s", "model-FLOPs utilisation"]
    of = f"of {most:g} TFLOP/s" if most else ""
    print_table(f"Training step, bf16, {'compiled' if compiled else 'not compiled'}; {name} {of}", columns, rows)
