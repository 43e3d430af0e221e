"""Inception features on a CPU: the published file as it is, in channels_last, and compiled (what FID uses here)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.timing import print_table, ratio, timed_rounds
from foundation import noise
from foundation.files.locations import DataError
from foundation.metrics.inception import CPU_BATCH, INCEPTION_SIDE, checked_path, compiled
from foundation.networks.compiler import can_compile

FEATURE_ROUNDS = 5


def alternatives(batch: int = CPU_BATCH) -> dict[str, Callable[[Tensor], Tensor]]:
    """The network in each form, as functions of (batch, 3, 299, 299).

    Raises:
        DataError: there is no file, or another.
    """
    path = checked_path()
    plain, last = (torch.jit.load(path, map_location="cpu").eval() for _ in range(2))
    found: dict[str, Callable[[Tensor], Tensor]] = {
        "TorchScript file": plain,
        "the same, channels_last": last.to(memory_format=torch.channels_last),
    }
    fast = compiled(path, batch) if can_compile("auto") else None
    return found | ({"compiled": fast} if fast else {})


def run(rounds: int = FEATURE_ROUNDS) -> None:
    """Measure and print."""
    try:
        forms = alternatives()
    except DataError as e:
        print(f"features: {e}")
        return
    x = noise(range(CPU_BATCH), (3, INCEPTION_SIDE, INCEPTION_SIDE)).clamp(-1, 1)
    base, *_ = forms
    with torch.inference_mode():
        wanted = forms[base](x)
        apart = {name: float((f(x) - wanted).abs().max()) for name, f in forms.items()}
        seconds = timed_rounds({name: lambda f=f: f(x) for name, f in forms.items()}, rounds)
    rows = []
    for name in forms:
        r = ratio(seconds[base], seconds[name])
        rows.append([name, f"{r.median:.2f} ({r.low:.2f} to {r.high:.2f})", f"{apart[name]:.1e}"])
    print_table(f"Inception features, batch {CPU_BATCH}", ["form", "times as fast", "largest difference"], rows)
