"""A flow of dihedral angles beside the simulation: Jensen-Shannon distance of Ramachandran histograms.

Read beside what independent draws of the same number get (the floor: two of them from one law), the training part (what
a perfect memory would get: the difference of the simulation's own parts) and uniform angles.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from analysis.evaluate.tables.markdown import Block, Verdict, grid, interval, number
from analysis.evaluate.tables.parts import Job, Outcome, part
from analysis.flow.torus import drawn
from flow_core.model import FlowModel
from flow_core.networks import TorusConfig
from flow_core.samplers import SAMPLER_NAMES, sample
from flow_core.series import alanine
from flow_core.series.scores import jensen_shannon
from flow_core.torus import TORUS_PATH, uniform, wrap
from flow_core.training.torus import parts
from foundation.metrics.statistics import Interval, mean_interval
from foundation.randomness import FIRST_SEED

CALLS = ((1, "euler"), (2, "euler"), (5, "euler"), (5, "heun"), (10, "heun"), (40, "heun"))


def histogram_of_flow(model: FlowModel, method: str, nfe: int, n: int, seed: int) -> np.ndarray:
    """Of n samples."""
    start = uniform(n, 2, torch.Generator().manual_seed(seed))
    result = sample(method, model, start, TORUS_PATH, nfe)
    if result.nfe != nfe:
        raise RuntimeError(f"A sampler spent {result.nfe} network calls, not {nfe}.")
    return alanine.ramachandran(wrap(result.x).numpy())


def measure(
    model: FlowModel, train: Tensor, test: Tensor, seeds: int
) -> tuple[dict[str, Interval], dict[str, float], Interval]:
    """Distances of samples to the test part, of others to it, and the floor of independent draws of its own law."""
    n, truth = len(test), alanine.ramachandran(test.numpy())
    rows = {
        f"flow, {SAMPLER_NAMES[method]}, {nfe} call{'s' if nfe > 1 else ''}": mean_interval(
            [jensen_shannon(histogram_of_flow(model, method, nfe, n, FIRST_SEED + i), truth) for i in range(seeds)]
        )
        for nfe, method in CALLS
    }
    rng = np.random.default_rng(FIRST_SEED)
    floor = mean_interval([jensen_shannon(drawn(truth, n, rng), drawn(truth, n, rng)) for _ in range(seeds)])
    flat = np.full_like(truth, 1 / truth.size)
    others = {
        "training part": float(jensen_shannon(alanine.ramachandran(train.numpy()), truth)),
        "uniform angles": float(jensen_shannon(drawn(flat, n, rng), truth)),
    }
    return rows, others, floor


def blocks(rows: dict[str, Interval], others: dict[str, float], floor: Interval, n: int, seeds: int) -> list[Block]:
    """The table and its verdict."""
    lines = [[k, interval(v, ".3f")] for k, v in rows.items()]
    lines += [[k, number(v, ".3f")] for k, v in others.items()]
    lines.append([f"two sets of {n:,} independent draws of the test part's histogram", interval(floor, ".3f")])
    best = min(rows.values(), key=lambda v: v.value)
    memory = others["training part"]
    word = "below" if best.high < memory else "above" if best.low > memory else "not told apart from"
    bins = alanine.ANGLE_BINS
    return [
        f"Jensen-Shannon distance of Ramachandran histograms ({bins} x {bins} cells) of {n:,} samples "
        f"to the {n:,} frames of the test part (the last fifth of each run); means with 95 % Student intervals over "
        f"{seeds} seeds of uniform angles, of one training. The frames of a simulation are not independent, so that "
        "its own parts differ by more than independent draws.",
        grid(["angles", "JSD to the test part"], lines),
        Verdict(
            f"The least distance of the flow, {best.value:.3f} [{best.low:.3f}, {best.high:.3f}], is {word} that of "
            f"the training part, {memory:.3f}; independent draws of one law differ by {floor.value:.3f}.",
            {"best": best.value, "training_part": memory, "floor": floor.value},
        ),
    ]


def of_two_angles(model: FlowModel) -> bool:
    """Whether a net is one of phi and psi."""
    return isinstance(model.config, TorusConfig) and model.config.dims == 2


@part("flow", "ramachandran", 4, "ramachandran-seeds", 5, 2, 100, fits=of_two_angles)
def ramachandran(job: Job) -> Outcome:
    """Samples of a flow of dihedral angles beside the simulation that it comes from."""
    if not of_two_angles(job.model):
        return Outcome(["Not applicable: this part is of flows of two dihedral angles."])
    data = alanine.load()
    train, test = parts(torch.from_numpy(data.angles))
    return Outcome(blocks(*measure(job.model, train, test, job.count), len(test), job.count))
