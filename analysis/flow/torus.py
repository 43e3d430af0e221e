"""A flow of two dihedral angles on the torus: request, result and answer, beside the simulation that it comes from."""

from __future__ import annotations

import itertools
import math
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from analysis.core.errors import UserError, as_user_errors
from analysis.core.fields import Choice, Request, Seed
from analysis.flow.settings import Nfe
from flow_core import load
from flow_core.model import FLOW_SUFFIX, MODELS_DIR, FlowModel
from flow_core.networks import TorusConfig
from flow_core.samplers import sample
from flow_core.series import alanine
from flow_core.series.scores import jensen_shannon
from flow_core.torus import TORUS_PATH, uniform, wrap
from flow_core.training.torus import parts
from foundation.randomness import FIRST_SEED

TORUS_MODEL = "torus-alanine"
TORUS_SAMPLERS = ("euler", "heun", "rk4")
MAX_ANGLES = 4000


@dataclass(frozen=True)
class AnglesRequest(Request):
    """Dihedral angles of alanine dipeptide, each from angles drawn evenly (t = 0) to the molecule's (t = 1).

    Attributes:
        sampler: "euler", "heun" or "rk4", on the velocity.
        nfe: network calls, 1 to 50.
        seed: of the first angles.
        points: 100 to 4,000.
    """

    sampler: Annotated[str, Choice(TORUS_SAMPLERS)] = "heun"
    nfe: Nfe = 20
    seed: Seed = 0
    points: Annotated[int, Field(ge=100, le=MAX_ANGLES, title="The number of points")] = 2000


@dataclass(frozen=True, eq=False)
class AnglesResult:
    """Angles in radians, phi then psi.

    Attributes:
        times: (N + 1,) of the grid.
        trajectories: (n, N + 1, 2) float32 in [-pi, pi) at t = 0 and unbroken from there on, so beyond it later.
        density: (c, c) of the simulation's test part at `axis`, row = psi growing, column = phi growing.
        axis: (c,) from -pi to pi, where the density is the same at both ends.
        nfe: network calls, counted.
        distance: Jensen-Shannon, of the Ramachandran histogram of all points to that of the test part.
        training: the same of the training part.
        floor: between as many independent draws from the test part's histogram and as many as it has frames.
        flat: the same of angles drawn evenly.
        marginals: the largest difference of the distribution functions of phi and of psi to the test part's.
    """

    times: np.ndarray
    trajectories: np.ndarray
    density: np.ndarray
    axis: np.ndarray
    nfe: int
    distance: float
    training: float
    floor: float
    flat: float
    marginals: tuple[float, float]

    @property
    def points(self) -> np.ndarray:
        """(n, 2) at t = 1, in [-pi, pi)."""
        return wrap(torch.from_numpy(self.trajectories[:, -1])).numpy()


def drawn(histogram: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """The histogram of n independent draws from one."""
    return (rng.multinomial(n, histogram.ravel()) / n).reshape(histogram.shape)


def at_corners(histogram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of shares (bins, bins) of cells, first index phi, what is drawn: (bins + 1,)^2, row psi, and its axis.

    A corner has the mean of the four cells around it, over the edge of the square too; per square radian.
    """
    around = (histogram + np.roll(histogram, 1, 0)) / 2
    around = (around + np.roll(around, 1, 1)) / 2
    corners = np.pad(around, ((0, 1), (0, 1)), mode="wrap").T
    axis = np.linspace(-math.pi, math.pi, len(histogram) + 1)
    return (corners * (len(histogram) / (2 * math.pi)) ** 2).astype(np.float32), axis.astype(np.float32)


def copies(trajectories: np.ndarray) -> np.ndarray:
    """Lines (n, K, 2) that leave the square [-pi, pi)^2, as all their copies (m, K, 2) that are seen in it."""
    turns = 2 * math.pi * np.array(list(itertools.product((0, -1, 1), repeat=2)), np.float32)
    every = trajectories[:, None] + turns[:, None]
    seen = (np.abs(every) <= math.pi).all(3).any(2)
    return every[seen]


class TorusFlows:
    """Questions about the flow of angles in a folder.

    Args:
        folder: where torus-alanine.flow.safetensors is.
    """

    def __init__(self, folder: str | Path = MODELS_DIR):
        self.folder, self._lock = Path(folder), threading.RLock()

    @cached_property
    def _data(self) -> tuple[Tensor, Tensor]:
        return parts(torch.from_numpy(alanine.load().angles))

    @cached_property
    def model(self) -> FlowModel:
        """The net. Raises UserError: there is none, or it is no net of two angles."""
        path = self.folder / f"{TORUS_MODEL}{FLOW_SUFFIX}"
        if not path.is_file():
            raise UserError(
                f"No flow of angles is here: train one with flow_core/configs/torus_alanine.toml and put it there as "
                f"{path.name}.",
                "file",
            )
        with as_user_errors():
            model = load(path)
        if not isinstance(model.config, TorusConfig) or model.config.dims != 2:
            raise UserError(f"{path.name} is no flow of two angles: train it again, or move it away.", "net")
        return model

    def angles(self, request: AnglesRequest) -> AnglesResult:
        """Sample, and compare with the simulation.

        Raises:
            UserError: no net is here, or the data cannot be read.
        """
        with self._lock, as_user_errors():
            model, (train, test) = self.model, self._data
        start = uniform(request.points, 2, torch.Generator().manual_seed(request.seed))
        states: list[Tensor] = []
        with as_user_errors():
            result = sample(
                request.sampler, model, start, TORUS_PATH, request.nfe, callback=lambda i, t, x, x1: states.append(x)
            )
        truth = alanine.ramachandran(test.numpy())
        rng = np.random.default_rng(FIRST_SEED)
        density, axis = at_corners(truth)
        end = wrap(result.x)

        def distance(histogram: np.ndarray) -> float:
            return float(jensen_shannon(histogram, truth))

        return AnglesResult(
            times=result.grid.numpy(),
            trajectories=torch.stack([*states, result.x], 1).numpy().astype(np.float32),
            density=density,
            axis=axis,
            nfe=result.nfe,
            distance=distance(alanine.ramachandran(end.numpy())),
            training=distance(alanine.ramachandran(train.numpy())),
            floor=float(jensen_shannon(drawn(truth, request.points, rng), drawn(truth, len(test), rng))),
            flat=distance(drawn(np.full_like(truth, 1 / truth.size), request.points, rng)),
            marginals=(_apart(end[:, 0], test[:, 0]), _apart(end[:, 1], test[:, 1])),
        )


def _apart(a: Tensor, b: Tensor) -> float:
    """Largest difference of two distribution functions (Kolmogorov and Smirnov)."""
    both = torch.cat([a, b]).sort().values
    shares = [torch.searchsorted(x.sort().values.contiguous(), both, right=True) / len(x) for x in (a, b)]
    return float((shares[0] - shares[1]).abs().max())
