"""Laws of angles whose marginals on the torus are exact: what flows of angles are measured against.

Where x0 is uniform and independent of x1, wrap(x1 - x0) is uniform in (-pi, pi)^D whatever x1 is, so x_t given x1 is
uniform in the box of half width (1 - t) pi around x1, and

    p_t(x) = P(x1 in the box around x) / (2 pi (1 - t))^D,      v(x, t) = E[wrap(x1 - x) | x1 in that box] / (1 - t)

For mixtures of wrapped normals both are error functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from flow_core.fields import Prediction
from flow_core.torus import wrap

SHIFTS = 3  # whole turns to each side that a wrapped normal sums over; exact to rounding for stds up to 2
_LOG_2PI = math.log(2 * math.pi)


def _normal(z: Tensor) -> Tensor:
    return (-0.5 * z.square()).exp() / math.sqrt(2 * math.pi)


@dataclass(frozen=True, init=False)
class WrappedMixture:
    """sum_k w_k WN(m_k, s_k^2 I): normals whose angles are taken modulo 2 pi.

    Attributes:
        means: (K, D) float64.
        stds, weights: (K,) float64; the weights sum to 1.

    Raises:
        ValueError: shapes that do not fit, or a std outside (0, 2].
    """

    means: Tensor
    stds: Tensor
    weights: Tensor

    def __init__(self, means, stds, weights=None) -> None:
        means = torch.as_tensor(means, dtype=torch.float64)
        if means.ndim != 2 or means.numel() == 0:
            raise ValueError("means must be a table of one row a component.")
        stds = torch.as_tensor(stds, dtype=torch.float64).expand(len(means))
        weights = torch.ones(len(means)) if weights is None else torch.as_tensor(weights)
        if weights.shape != stds.shape or bool((weights < 0).any()) or not weights.sum() > 0:
            raise ValueError("A mixture needs a non-negative weight for each component.")
        if not bool(((stds > 0) & (stds <= 2)).all()):
            raise ValueError("The std of a wrapped normal must be above 0 and at most 2, beyond which it is uniform.")
        weights = weights.double() / weights.sum()
        for name, value in {"means": means, "stds": stds, "weights": weights}.items():
            object.__setattr__(self, name, value)

    @property
    def dims(self) -> int:
        """Angles of a point."""
        return self.means.shape[1]

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n points (n, D) float64 in [-pi, pi)."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        z = torch.randn(n, self.dims, generator=generator, dtype=torch.float64)
        return wrap(self.means[k] + self.stds[k, None] * z)

    def _offsets(self, x: Tensor) -> Tensor:
        """Means less x with all shifts, (B, K, D, 2 SHIFTS + 1)."""
        turns = 2 * math.pi * torch.arange(-SHIFTS, SHIFTS + 1, dtype=torch.float64)
        return wrap(self.means - x.double()[:, None])[..., None] + turns

    def log_prob(self, x: Tensor) -> Tensor:
        """log density (B,) at x (B, D), per radian to the power D."""
        s = self.stds[:, None, None]
        each = (-0.5 * (self._offsets(x) / s).square() - s.log() - _LOG_2PI / 2).logsumexp(3).sum(2)
        return (self.weights.log() + each).logsumexp(1)

    def _boxes(self, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Mass of a component along an axis within (1 - t) pi of x, and its integral of wrap(x1 - x), (B, K, D)."""
        half, s, m = (1 - t) * math.pi, self.stds[:, None, None], self._offsets(x)
        low, high = (-half - m) / s, (half - m) / s
        mass = torch.special.ndtr(high) - torch.special.ndtr(low)
        return mass.sum(3), (m * mass - s * (_normal(high) - _normal(low))).sum(3)

    def marginal_log_prob(self, x: Tensor, t: float) -> Tensor:
        """log p_t (B,) at x (B, D), 0 <= t < 1."""
        mass, _ = self._boxes(x, t)
        joint = self.weights.log() + mass.clamp_min(1e-300).log().sum(2)
        return joint.logsumexp(1) - self.dims * math.log(2 * math.pi * (1 - t))

    def velocity(self, x: Tensor, t: float) -> Tensor:
        """The marginal velocity (B, D) float64, 0 <= t < 1."""
        mass, moment = self._boxes(x, t)
        mass = mass.clamp_min(1e-300)
        r = (self.weights.log() + mass.log().sum(2)).softmax(1)
        return (r[:, :, None] * moment / mass).sum(1) / (1 - t)

    def oracle(self):
        """The network that a perfect training would give: (x, t) -> Prediction(velocity), in x's dtype."""
        return lambda x, t: Prediction(velocity=self.velocity(x, float(t)).to(x.dtype))
