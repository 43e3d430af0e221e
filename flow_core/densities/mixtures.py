"""Densities whose path marginals are known in closed form: Gaussian mixtures, and grids of uniform cells.

For independent noise, x_t = t x1 + sqrt(V0(t)) n, both give E[x1 | x_t], the score and the velocity at every t without
a network: the oracle that every trained model is measured against. They compute in float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flow_core.fields import Prediction
from flow_core.mean_flow import exact_average
from flow_core.paths import Path
from foundation.mistakes import Mistake

MAX_CELLS = 128
TABLE_NUMBERS = 2**21  # numbers in one table of points x cells
_LOG_2PI = math.log(2 * math.pi)
Numbers = Tensor | float | Sequence[float] | Sequence[Sequence[float]]


def _doubles(values: Numbers, what: str) -> Tensor:
    t = torch.as_tensor(values, dtype=torch.float64)
    if not bool(torch.isfinite(t).all()):
        raise Mistake(f"{what} must hold finite numbers only.", what)
    return t


class Density:
    """What both kinds offer beside `sample`, `noisy_log_prob` and `posterior_mean`.

    Attributes:
        dims: of one point.
    """

    dims: int

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n points (n, dims), float64, from the generator alone."""
        raise NotImplementedError

    def log_prob(self, x: Tensor) -> Tensor:
        """log density (B,) at x (B, dims)."""
        raise NotImplementedError

    def noisy_log_prob(self, x: Tensor, t: Tensor | float, v0: Tensor | float) -> Tensor:
        """log density (B,) of t x1 + sqrt(v0) n at x; t and v0 scalar or (B,)."""
        raise NotImplementedError

    def posterior_mean(self, x: Tensor, t: Tensor | float, v0: Tensor | float) -> Tensor:
        """E[x1 | t x1 + sqrt(v0) n = x], (B, dims)."""
        raise NotImplementedError

    def std(self) -> float:
        """Root mean square deviation of a coordinate from its mean."""
        raise NotImplementedError

    def oracle(self, path: Path):
        """The network that a perfect training would give: (x, t) -> Prediction(x1), in x's dtype.

        With an `end` of an interval from t on it says the mean velocity over it, integrated finely.

        Raises:
            ValueError: the path pairs x0 with x1, for which no closed form is known.
        """
        if not path.independent:
            raise Mistake(f"The closed form is for independent noise, not for {path.coupling} coupling.", "coupling")

        def predict(x: Tensor, t: Tensor, end: Tensor | None = None) -> Prediction:
            if end is not None:
                return Prediction(velocity=exact_average(predict, path, x.double(), t, end).to(x.dtype))
            t64 = torch.as_tensor(t, dtype=torch.float64, device=x.device)
            return Prediction(self.posterior_mean(x.double(), *path.law(t64)).to(x.dtype))

        return predict


@dataclass(frozen=True, init=False)
class GaussianMixture(Density):
    """sum_k w_k N(m_k, s_k^2 I).

    Attributes:
        means: (K, dims) float64.
        stds, weights: (K,) float64; the weights sum to 1.

    Args:
        means: (K, dims); like the others a tensor or nested lists.
        stds: (K,) or a number, positive.
        weights: (K,), non-negative, brought to sum 1; None is equal.

    Raises:
        ValueError: no component, shapes that do not fit, or numbers out of range.
    """

    means: Tensor
    stds: Tensor
    weights: Tensor
    dims: int

    def __init__(self, means: Numbers, stds: Numbers, weights: Numbers | None = None) -> None:
        means = _doubles(means, "means")
        if means.ndim != 2 or means.numel() == 0:
            raise Mistake("means must be a table of one row a component.", "means")
        stds = _doubles(stds, "stds").expand(len(means))
        weights = _doubles(torch.ones(len(means)) if weights is None else weights, "weights")
        if bool((stds <= 0).any()):
            raise Mistake("A mixture needs a positive std for each component.", "stds")
        if weights.shape != stds.shape or bool((weights < 0).any()) or weights.sum() <= 0:
            raise Mistake("A mixture needs a weight of 0 or more for each component, and one above 0.", "weights")
        for name, value in {"means": means, "stds": stds, "weights": weights / weights.sum()}.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "dims", means.shape[1])

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        z = torch.randn(n, self.dims, generator=generator, dtype=torch.float64)
        return self.means[k] + self.stds[k, None] * z

    def log_prob(self, x: Tensor) -> Tensor:
        return self.noisy_log_prob(x, 1.0, 0.0)

    def _joint(self, x: Tensor, t: Tensor | float, v0: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """log w_k N(x; t m_k, c_k) as (B, K), t as (B or 1, 1), and c_k = t^2 s_k^2 + v0 as (B or 1, K)."""
        t, v0 = (torch.as_tensor(v, dtype=torch.float64, device=x.device).reshape(-1, 1) for v in (t, v0))
        means, variances = self.means.to(x.device), self.stds.to(x.device) ** 2
        c = t**2 * variances + v0
        # |x - t m|^2 written out, so that no (B, K, dims) is made
        distance = x.square().sum(1, keepdim=True) - 2 * t * (x @ means.T) + t**2 * means.square().sum(1)
        logw = self.weights.to(x.device).log()
        return logw - 0.5 * (distance / c + self.dims * (c.log() + _LOG_2PI)), t, c

    def noisy_log_prob(self, x: Tensor, t: Tensor | float, v0: Tensor | float) -> Tensor:
        return self._joint(x.double(), t, v0)[0].logsumexp(1)

    def posterior_mean(self, x: Tensor, t: Tensor | float, v0: Tensor | float) -> Tensor:
        joint, t, c = self._joint(x, t, v0)
        r = joint.softmax(1)
        means, gain = self.means.to(x.device), t * self.stds.to(x.device) ** 2 / c
        # sum_k r_k (m_k + gain_k (x - t m_k))
        return (r * (1 - gain * t)) @ means + (r * gain).sum(1, keepdim=True) * x

    def std(self) -> float:
        w = self.weights[:, None]
        centre = (w * self.means).sum(0)
        spread = (w * (self.means - centre).square()).sum(0).mean() + (self.weights * self.stds**2).sum()
        return math.sqrt(float(spread))

    def velocity(self, path: Path, x: Tensor, t: Tensor | float) -> Tensor:
        """The marginal velocity, put together from those of the components: m_k + c_k'/(2 c_k) (x - t m_k).

        It uses neither x1_hat nor the score, so it checks both.
        """
        r, s, c = self._joint(x, t, path.noise_variance(torch.as_tensor(t, dtype=torch.float64)))
        r = r.softmax(1)
        t = torch.as_tensor(t, dtype=torch.float64).reshape(-1, 1)
        # V0' = -2 (1 - t) + (std^2)', and (std^2)' = 2 (pull - std^2 / (1 - t))
        rate = -2 * (1 - t) + 2 * (path.pull(t) - path.std(t) ** 2 / (1 - t))
        half = (2 * s * self.stds**2 + rate) / (2 * c)
        return (r * (1 - half * s)) @ self.means + (r * half).sum(1, keepdim=True) * x


@dataclass(frozen=True)
class GridDensity(Density):
    """A plane of square cells, uniform within each: what a checkerboard is, and what a user draws.

    Attributes:
        cells: (rows, columns) of non-negative weights, not all 0, at most 128 a side; row 0 is the top (largest y).
        extent: the plane is [-extent, extent]^2.
    """

    cells: Tensor
    extent: float = 4.0
    dims: int = 2

    def __post_init__(self) -> None:
        cells = _doubles(self.cells, "A drawing")
        if cells.ndim != 2 or min(cells.shape) < 1 or max(cells.shape) > MAX_CELLS:
            raise Mistake(f"A drawing is a table of at most {MAX_CELLS} x {MAX_CELLS} weights.", "shape")
        if bool((cells < 0).any()) or not float(cells.sum()) > 0:
            raise Mistake("A drawing needs weights of 0 or more, and at least one above 0: draw something.", "cells")
        if not 0 < self.extent < 1e3:
            raise Mistake(f"extent must lie in (0, 1000), not {self.extent!r}.", "extent")
        object.__setattr__(self, "cells", cells.flip(0) / cells.sum())  # now by growing y

    def _edges(self) -> tuple[Tensor, Tensor]:
        """Edges along x (columns + 1,) and along y (rows + 1,)."""
        rows, columns = self.cells.shape
        line = (
            torch.linspace(-1, 1, columns + 1, dtype=torch.float64),
            torch.linspace(-1, 1, rows + 1, dtype=torch.float64),
        )
        return self.extent * line[0], self.extent * line[1]

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        rows, columns = self.cells.shape
        k = torch.multinomial(self.cells.flatten(), n, replacement=True, generator=generator)
        place = torch.stack([k % columns, k // columns], 1) + torch.rand(n, 2, generator=generator, dtype=torch.float64)
        return self.extent * (2 * place / torch.tensor([columns, rows]) - 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """-inf outside and on empty cells."""
        rows, columns = self.cells.shape
        place = ((x.double() / self.extent + 1) / 2 * torch.tensor([columns, rows])).floor().long()
        inside = ((place >= 0) & (place < torch.tensor([columns, rows]))).all(1)
        i, j = place[:, 1].clamp(0, rows - 1), place[:, 0].clamp(0, columns - 1)
        area = 4 * self.extent**2 / (rows * columns)
        return torch.where(inside, self.cells[i, j], 0.0).log() - math.log(area)

    def _joint(self, x: Tensor, t: Tensor | float, v0: Tensor | float):
        """For each axis: log evidence (B, n) and posterior mean (B, n) of every interval; then the cells' (B, r, c)."""
        t, v0 = (torch.as_tensor(v, dtype=torch.float64, device=x.device).reshape(-1, 1) for v in (t, v0))
        logx, meanx = _uniform_posterior(x[:, :1], t, v0, self._edges()[0].to(x.device))
        logy, meany = _uniform_posterior(x[:, 1:], t, v0, self._edges()[1].to(x.device))
        joint = self.cells.to(x.device).log() + logy[:, :, None] + logx[:, None, :]
        return joint, meanx, meany

    def _blocks(self, x: Tensor, t: Tensor | float, v0: Tensor | float):
        """Parts of the batch, small enough for a table of all cells."""
        n = max(1, TABLE_NUMBERS // self.cells.numel())
        times = [torch.as_tensor(v, dtype=torch.float64, device=x.device).expand(len(x)) for v in (t, v0)]
        return zip(x.double().split(n), *(v.split(n) for v in times), strict=True)

    def noisy_log_prob(self, x: Tensor, t: Tensor | float, v0: Tensor | float) -> Tensor:
        return torch.cat([self._joint(*part)[0].logsumexp((1, 2)) for part in self._blocks(x, t, v0)])

    def posterior_mean(self, x: Tensor, t: Tensor | float, v0: Tensor | float) -> Tensor:
        means = []
        for part in self._blocks(x, t, v0):
            joint, meanx, meany = self._joint(*part)
            r = joint.flatten(1).softmax(1).view_as(joint)
            means.append(torch.stack([(r.sum(1) * meanx).sum(1), (r.sum(2) * meany).sum(1)], 1))
        return torch.cat(means)

    def std(self) -> float:
        total = 0.0
        for edges, weights in zip(self._edges(), (self.cells.sum(0), self.cells.sum(1)), strict=True):
            low, high = edges[:-1], edges[1:]
            mean = float((weights * (low + high) / 2).sum())
            total += float((weights * (low**2 + low * high + high**2) / 3).sum()) - mean**2
        return math.sqrt(total / 2)


def _uniform_posterior(x: Tensor, t: Tensor, v0: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """y uniform on an interval [a, b], x = t y + sqrt(v0) n: log evidence of x and E[y | x], for every interval.

    With z_a = (x - t a)/sqrt(v0) and z_b alike: evidence (Phi(z_a) - Phi(z_b)) / (t (b - a)), and E[y | x] =
    (x + sqrt(v0) (phi(z_a) - phi(z_b)) / (Phi(z_a) - Phi(z_b))) / t. The difference is taken in the lower tail. Where
    the interval is narrow against the noise (also at t = 0) both cancel; there exp(z v - v^2/2), the density of
    v = t (y - middle)/sqrt(v0) on [-w/2, w/2] up to phi(z), is expanded to v^4: errors stay below 1e-10.
    """
    low, high = edges[:-1], edges[1:]
    middle, length = (low + high) / 2, high - low
    root = v0.sqrt()
    z, w = (x - t * middle) / root, t * length / root
    narrow = w * (1 + z.abs()) < 0.03
    w1 = torch.where(narrow, torch.ones_like(w * z), w)  # any harmless value: the series is taken there
    flip = torch.where(z > 0, -1.0, 1.0)  # Phi(z_a) - Phi(z_b) = Phi(-z_b) - Phi(-z_a)
    upper, lower = flip * z + w1 / 2, flip * z - w1 / 2
    top, bottom = torch.special.log_ndtr(upper), torch.special.log_ndtr(lower)
    log_mass = top + torch.log1p(-(bottom - top).exp())
    density = [-0.5 * (u**2 + _LOG_2PI) for u in (upper, lower)]
    slope = flip * ((density[0] - log_mass).exp() - (density[1] - log_mass).exp())
    share = (z**2 - 1) * w**2 / 24 + (z**4 - 6 * z**2 + 3) * w**4 / 1920
    gauss = -0.5 * (z**2 + _LOG_2PI) + torch.log1p(share)
    tilt = (z * w / 12 + (z**3 - 3 * z) * w**3 / 480) / (1 + share)
    evidence = torch.where(narrow, gauss, log_mass - w1.log()) - root.log()
    safe = torch.where(narrow, torch.ones_like(t * z), t * torch.ones_like(z))
    mean = torch.where(narrow, middle + length * tilt, (x + root * slope) / safe)
    # far tails cancel digits, and the mean lies within the interval whatever they say
    return evidence, torch.minimum(torch.maximum(mean, low), high)
