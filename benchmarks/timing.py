"""Timing of alternatives side by side: rounds are interleaved, the median of each counts."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable

import torch


def side_by_side(alternatives: dict[str, Callable[[], object]], rounds: int = 7, warmup: int = 2) -> dict[str, float]:
    """Median seconds of each function; every round calls all of them, so drift of the machine hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for i in range(warmup + rounds):
        for name, f in alternatives.items():
            start = time.perf_counter()
            f()
            if i >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(s) for name, s in seconds.items()}


def machine() -> str:
    """One line about where this was measured."""
    return f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}"


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A Markdown table on stdout."""
    print(f"\n### {title} ({machine()})\n")
    for line in (columns, ["---"] * len(columns), *rows):
        print("| " + " | ".join(line) + " |")
