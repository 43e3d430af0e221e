"""Flows from one Gaussian mixture to another in closed form: x_t = t x1 + (1 - t) x0 of independent ends."""

from __future__ import annotations

import torch
from torch import Tensor

from flow_core.densities.mixtures import TABLE_NUMBERS, GaussianMixture
from flow_core.fields import Predict, Prediction
from flow_core.mean_flow import exact_average
from flow_core.paths import Path
from foundation.mistakes import Mistake

MAX_PAIRS = 20_000  # of components: what a call of a thousand points takes a second for


def between(source: GaussianMixture, target: GaussianMixture, path: Path) -> Predict:
    """The network that a perfect training would give: (x, t) -> Prediction(x1), in x's dtype.

    x_t is a mixture over pairs of components, N(t m1 + (1 - t) m0, c I) with c = t^2 s1^2 + (1 - t)^2 s0^2, and given a
    pair E[x1 | x] = m1 + (t s1^2 / c) (x - mean).

    Args:
        source, target: of one dimension.
        path: without noise of its own, and with independent ends.

    Raises:
        ValueError: another path, other dimensions, or more than `MAX_PAIRS` pairs of components.
    """
    if path.sigma > 0 or path.scheduled or not path.independent:
        raise Mistake(
            "The closed form between two mixtures is for straight lines between independent ends: icfm.", "path"
        )
    if source.dims != target.dims:
        raise Mistake("Both ends of a flow have the same number of dimensions.", "dims")
    pairs = len(source.means) * len(target.means)
    if pairs > MAX_PAIRS:
        raise Mistake(
            f"This closed form would sum {pairs:,} pairs of components, and at most {MAX_PAIRS:,} are summed: train a "
            "net, or choose ends with fewer components.",
            "pairs",
        )
    m0, s0 = (v.repeat_interleave(len(target.means), 0) for v in (source.means, source.stds))
    m1, s1 = target.means.repeat(len(source.means), 1), target.stds.repeat(len(source.means))
    weights = (source.weights[:, None] * target.weights).flatten()

    def rows(x: Tensor, t: Tensor) -> Tensor:
        mean, c = t * m1 + (1 - t) * m0, t**2 * s1**2 + (1 - t) ** 2 * s0**2
        joint = weights.log() - 0.5 * (torch.cdist(x, mean).square() / c + source.dims * c.log())
        r, gain = joint.softmax(1), t * s1**2 / c
        return r @ (m1 - gain[:, None] * mean) + (r @ gain)[:, None] * x

    def predict(x: Tensor, t: Tensor, end: Tensor | None = None) -> Prediction:
        if end is not None:
            return Prediction(velocity=exact_average(predict, path, x.double(), t, end).to(x.dtype))
        t64 = torch.as_tensor(t, dtype=torch.float64)
        blocks = x.double().split(max(1, TABLE_NUMBERS // pairs))
        return Prediction(x1=torch.cat([rows(b, t64) for b in blocks]).to(x.dtype))

    return predict
