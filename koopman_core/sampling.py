"""Pictures that depend on their seed alone: not on what else is in the batch, its order, or the number of threads.

Kernels choose their blocking by batch size and by the number of threads, and so round differently: the same seed alone
and among sixteen differs by about 4e-6, now and then by one level of a byte. Here rows are computed in groups of one
fixed size, the last one filled up, each group by a thread of its own that starts no others. Within such a group a row's
result depends neither on its place nor on its neighbours. Other processors still round in their own way.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch
from torch import Tensor

from foundation.randomness import noise
from koopman_core.model import KoopmanDiffusion

GROUP = (
    4  # measured (docs/reliability.md): a single picture costs 2.2 times, sixteen 1.4 times the CPU time of one batch
)
WORKERS = 4  # at most; groups at once


def in_groups(
    function: Callable[..., Tensor | Sequence[Tensor]], *batches: Tensor | None, group: int = GROUP
) -> Tensor | list[Tensor]:
    """A function of batches, computed in groups of one size; no gradients.

    Args:
        function: gets `group` rows of every batch (None stays None) and returns one row for each, in one tensor or in
            several. It must not mix rows, and must not depend on anything that is set for the calling thread alone.
        batches: tensors with B rows, or None; the first is a tensor.
        group: rows of a call. Results of another size of groups may differ by rounding.

    Returns:
        What the function returns, with B rows.

    Raises:
        ValueError: no row, a group below 1, or batches of unequal length.
    """
    first = batches[0]
    n = 0 if first is None else len(first)
    if not n or group < 1 or any(b is not None and len(b) != n for b in batches):
        raise ValueError("Groups need at least one row, as many rows in every batch, and a size of at least 1.")

    def call(start: int) -> list[Tensor]:
        rows = torch.arange(start, start + group).clamp_max(n - 1)  # the last group is filled up with the last row
        with torch.no_grad():
            out = function(*(None if b is None else b[rows.to(b.device)] for b in batches))
        return [out] if isinstance(out, Tensor) else list(out)

    starts = range(0, n, group)
    parts = list(_pool().map(call, starts)) if first.device.type == "cpu" else [call(s) for s in starts]
    joined = [torch.cat(tensors)[:n] for tensors in zip(*parts, strict=True)]
    return joined[0] if len(joined) == 1 else joined


def one_step(model: KoopmanDiffusion, seeds: Sequence[int], labels: Tensor | None = None, group: int = GROUP) -> Tensor:
    """One call of the network for every seed.

    Args:
        model: in eval mode.
        seeds: B whole numbers, see `foundation.noise`.
        labels: (B,) int64, -1 = no class.
        group: see `in_groups`.

    Returns:
        float32 (B, C, H, W), nominally in [-1, 1], on the model's device.
    """
    device = next(model.parameters()).device
    labels = None if labels is None else labels.to(device)
    return in_groups(model.one_step, noise(seeds, model.picture_shape).to(device), labels, group=group)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Threads in which torch computes with one thread; other threads keep their number."""
    before, count = torch.get_num_threads(), min(WORKERS, os.cpu_count() or 1)
    ready = Barrier(count + 1)

    def single() -> None:
        torch.set_num_threads(1)  # of this thread, and the default of those that torch has not met yet
        ready.wait()

    pool = ThreadPoolExecutor(count, "one-thread", initializer=single)
    for _ in range(count):
        pool.submit(int)
    ready.wait()
    torch.set_num_threads(before)
    return pool
