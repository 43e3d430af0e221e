"""What a moved slider costs on the shipped models: band edge, retention, mixing ratio; and the cumulative effect.

Every move is another question, so no cached answer is counted. Targets: 80 ms at the 95th percentile for a slider,
100 ms for the cumulative effect at 64 times, and not one encoding while a slider moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.workbench.editing import EditRequest
from analysis.workbench.effects import EffectRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MaskRequest
from analysis.workbench.workbench import Workbench
from benchmarks.timing import print_table

SLIDER_MOVES = 120
SEED, REFERENCE_SEED = 12, 3
UPPER = 0.9
TIMES = 64
SLIDER_MS, EFFECT_MS = 80.0, 100.0


@dataclass(frozen=True)
class Moves:
    """What it cost.

    Attributes:
        milliseconds: of every move, by the clock on the wall.
        computing: the same in processor time, all threads together: what a busy machine does not spoil.
        encodes: how many batches were encoded meanwhile.
    """

    milliseconds: tuple[float, ...]
    computing: tuple[float, ...]
    encodes: int


def questions(moves: int = SLIDER_MOVES) -> dict[str, tuple[str, list, float]]:
    """By slider: the Workbench's method, one request a move, the target in ms; a slider's requests all differ."""
    at = [float(v) for v in np.linspace(0.01, UPPER, moves)]
    return {
        "band edge": ("mask_bands", [MaskRequest(SEED, edges=(v, UPPER), gains=(0, 1, 1)) for v in at], SLIDER_MS),
        "retention": ("mask_bands", [MaskRequest(SEED, gains=(v, 1, 1)) for v in at], SLIDER_MS),
        "mixing ratio": ("edit", [EditRequest(SEED, reference_seed=REFERENCE_SEED, ratio=v) for v in at], SLIDER_MS),
        f"effect, {TIMES} times, 1 seed": (
            "cumulative_effect", [EffectRequest((SEED,), edges=(v, UPPER), times=TIMES) for v in at], EFFECT_MS,
        ),
        f"effect, {TIMES} times, 4 seeds": (
            "cumulative_effect",
            [EffectRequest(tuple(range(SEED, SEED + 4)), edges=(v, UPPER), times=TIMES) for v in at], EFFECT_MS,
        ),
    }  # fmt: skip


def measure(bench: Workbench, ask: Callable, requests: Sequence) -> Moves:
    """Ask all in turn; the first, which may have to encode, is asked before the clock starts and again never."""
    ask(requests[0])
    before, spent, computed = bench.encodes, [], []
    for request in requests[1:]:
        start, computing = time.perf_counter(), time.process_time()
        ask(request)
        computed.append(1e3 * (time.process_time() - computing))
        spent.append(1e3 * (time.perf_counter() - start))
    return Moves(tuple(spent), tuple(computed), bench.encodes - before)


def run() -> None:
    """Every shipped model, every slider."""
    library, rows = ModelLibrary(), []
    for name in library.names():
        bench = library.get(name)
        for slider, (method, requests, target) in questions().items():
            found = measure(bench, getattr(bench, method), requests)
            p50, p95 = np.percentile(found.milliseconds, [50, 95])
            computed = np.percentile(found.computing, 95)
            rows.append([name, slider, str(len(found.milliseconds)), f"{p50:.1f}", f"{p95:.1f}", f"{target:.0f}",
                         "yes" if p95 <= target else "no", f"{computed:.1f}", str(found.encodes)])  # fmt: skip
    columns = [
        "model",
        "moved",
        "moves",
        "p50, ms",
        "p95, ms",
        "target",
        "met",
        "p95 of processor time, ms",
        "encodings",
    ]
    print_table("Answers to a moved slider", columns, rows)
