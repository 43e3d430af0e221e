"""One sampler by its name in a request, for flows of any kind of data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from flow_core.fields import Exact, MomentumODE, Predict, Preserving, Published
from flow_core.paths import Path
from flow_core.samplers import GRIDS, SAMPLERS, Callback, SampleResult, euler, euler_maruyama, multistep, step_noise


class Followed(Protocol):
    """What is read of a question; see `analysis.requests_flow.Flow2DRequest`."""

    sampler: str
    nfe: int
    grid: str
    gamma1: float

    @property
    def gammas(self) -> tuple[float, ...]: ...


def follow(
    predict: Predict,
    x: Tensor,
    path: Path,
    request: Followed,
    noise_seeds: Callable[[], Sequence[int]],
    callback: Callback | None = None,
) -> SampleResult:
    """Run the sampler that a question names.

    Args:
        predict: the network.
        x: (B, *dim) noise to start from.
        path: of the network.
        request: what to run.
        noise_seeds: seeds of the noise in the steps, one a sample; asked for by samplers with noise only.
        callback: of flow_core.samplers.
    """
    common = {"spacing": GRIDS[request.grid], "callback": callback}
    if request.sampler in SAMPLERS:
        return SAMPLERS[request.sampler](predict, x, Exact(path), request.nfe, **common)
    if request.sampler == "multistep":
        return multistep(predict, x, path, request.nfe, **common)
    if request.sampler in ("published", "momentum"):
        kind = Published if request.sampler == "published" else MomentumODE
        return euler(predict, x, kind(path, request.gammas), request.nfe, **common)
    drift = Preserving(path, request.gamma1 if request.sampler == "matched" else None)
    draw = step_noise(noise_seeds(), x.shape[1:], request.nfe)
    return euler_maruyama(predict, x, drift, request.nfe, draw=draw, **common)
