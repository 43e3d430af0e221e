"""An adaptive solver as a reference: Dormand and Prince's pair of orders 5 and 4, which chooses its own steps.

By torchdiffeq where it is installed (the extra `ode`), else by scipy's RK45, the same pair with other step sizes.
It tells what the flow of a network is, at any number of calls; few-call samplers are `flow_core.samplers`.
"""

from __future__ import annotations

import importlib

import numpy as np
import torch
from torch import Tensor

from flow_core.fields import Network, Predict
from flow_core.samplers import Diverged, Drift, SampleResult
from foundation.mistakes import Mistake

ADAPTIVE_SOLVERS = ("auto", "torchdiffeq", "scipy")
ADAPTIVE_END = 1 - 1e-4  # the field divides by 1 - t: one Euler step goes the rest of the way


@torch.no_grad()
def dopri5(
    network: Predict,
    x: Tensor,
    drift: Drift,
    *,
    rtol: float = 1e-6,
    atol: float = 1e-6,
    solver: str = "auto",
    end: float = ADAPTIVE_END,
) -> SampleResult:
    """Follow a drift from t = 0 to `end` with error control, and from there in one Euler step.

    Args:
        network: (x, t) -> Prediction.
        x: (B, *dim) the start; the whole batch has one step size.
        drift: from flow_core.fields, without noise.
        rtol, atol: relative and absolute tolerance of a step, from 1e-12 to 0.1; float32 reaches about 1e-6.
        solver: "torchdiffeq", "scipy", or "auto", the first where it is installed.
        end: in (0, 1).

    Returns:
        As samplers do: nfe is what it took, rejected steps included; grid is 0, `end` and 1.

    Raises:
        ValueError: a setting out of range, or a solver that is not installed.
        Diverged: the solver gave up.
    """
    if solver not in ADAPTIVE_SOLVERS:
        raise Mistake(f"solver must be one of {', '.join(ADAPTIVE_SOLVERS)}, not {solver!r}.", "solver")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not 1e-12 <= value <= 0.1:
            raise Mistake(f"{name} must be from 1e-12 to 0.1, not {value!r}.", name)
    if not 0 < end < 1:
        raise Mistake(f"end must lie inside (0, 1), not {end!r}.", "end")
    f = Network(network)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return drift(f, y, t.to(y)).w

    ode = _torchdiffeq(solver)
    times = torch.tensor([0.0, end], dtype=torch.float64, device=x.device)
    if ode is None:
        y = _by_scipy(field, x, end, rtol, atol)
    else:
        ending = {"step_t": times[1:]}  # a step ends there, else one goes beyond t = 1 and is interpolated
        try:
            y = ode.odeint(field, x, times, rtol=rtol, atol=atol, method="dopri5", options=ending)[-1]
        except AssertionError as e:  # that package's way to say so
            raise _given_up() from e
    if not bool(torch.isfinite(y).all()):
        raise _given_up()
    y = y + (1 - end) * field(times[1], y)
    return SampleResult(y, f.calls, f.derivatives, torch.tensor([0.0, end, 1.0], dtype=torch.float64))


def adaptive_solver() -> str:
    """Which one "auto" is here: their steps, and so their calls, are not the same."""
    return "scipy" if _torchdiffeq("auto") is None else "torchdiffeq"


def _given_up() -> Diverged:
    return Diverged(
        "The adaptive solver's steps became too small: raise the tolerances, or lower the momentum weights."
    )


def _torchdiffeq(solver: str):
    if solver == "scipy":
        return None
    try:
        return importlib.import_module("torchdiffeq")
    except ImportError:
        if solver == "auto":
            return None
        raise Mistake(
            "torchdiffeq is not installed: pip install torchdiffeq, or choose the solver scipy.", "torchdiffeq"
        ) from None


def _by_scipy(field, x: Tensor, end: float, rtol: float, atol: float) -> Tensor:
    from scipy.integrate import solve_ivp  # only here: it takes a while to import

    def flat(t: float, y: np.ndarray) -> np.ndarray:
        state = torch.from_numpy(y).to(x).view_as(x)
        return field(torch.tensor(t, dtype=torch.float64), state).double().cpu().numpy().ravel()

    result = solve_ivp(flat, (0.0, end), x.double().cpu().numpy().ravel(), method="RK45", rtol=rtol, atol=atol)
    if not result.success:
        raise _given_up()
    return torch.from_numpy(result.y[:, -1]).to(x).view_as(x)
