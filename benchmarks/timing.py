"""Timing of alternatives side by side: rounds are interleaved, the median of each counts."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from analysis.evaluate.tables.markdown import grid


def timed_rounds(
    alternatives: dict[str, Callable[[], object]], rounds: int = 7, warmup: int = 2, at_least: float = 0.0
) -> dict[str, list[float]]:
    """Seconds of each function in every round; each round calls all of them, so drift of the machine hits all alike.

    Args:
        alternatives: what is timed, by name.
        rounds: those that count.
        warmup: further rounds before, which do not.
        at_least: seconds that each function gets in a round: a quick one is called again, and the mean of one call
            counts, so that a quick one and a slow one have seen as much of what else the machine does.
    """
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for i in range(warmup + rounds):
        for name, f in alternatives.items():
            calls, spent, start = 0, 0.0, time.perf_counter()
            while calls == 0 or spent < at_least:
                f()
                calls, spent = calls + 1, time.perf_counter() - start
            if i >= warmup:
                seconds[name].append(spent / calls)
    return seconds


def side_by_side(alternatives: dict[str, Callable[[], object]], rounds: int = 7, warmup: int = 2) -> dict[str, float]:
    """Median seconds of each function; arguments as `timed_rounds`."""
    return {name: statistics.median(s) for name, s in timed_rounds(alternatives, rounds, warmup).items()}


@dataclass(frozen=True)
class Ratio:
    """How many times as long one took as another: median over rounds, and the quartiles around it."""

    median: float
    low: float
    high: float


def ratio(seconds: Sequence[float], base: Sequence[float]) -> Ratio:
    """Round by round, so that a slow round counts no more than a quick one; from two rounds."""
    low, median, high = statistics.quantiles((s / b for s, b in zip(seconds, base, strict=True)), method="inclusive")
    return Ratio(median, low, high)


def machine() -> str:
    """One line about where this was measured."""
    return f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}"


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A Markdown table on stdout."""
    print(f"\n### {title} ({machine()})\n")
    print(grid(columns, rows))
