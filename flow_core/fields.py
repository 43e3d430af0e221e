"""What moves a sample: exact velocity, score, momentum, the published drift, the marginal-preserving family.

Everything follows from what the network says of one state; numbers in brackets are the lines of docs/flow.md, "Velocity
and score". t = 0 is noise, t = 1 data, and no formula here is evaluated at t = 1. A drift is called as
`drift(network, x, t)`, so that whoever holds the counted network knows every call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from flow_core.paths import Path, Scheduled, over
from foundation.mistakes import Mistake
from foundation.networks.counting import CountedCalls


class Prediction(NamedTuple):
    """What a network says of (x, t): some of E[x1 | x], E[eps | x] and the velocity, each (B, *dim)."""

    x1: Tensor | None = None
    eps: Tensor | None = None
    velocity: Tensor | None = None


class Motion(NamedTuple):
    """Attributes: w = drift at (x, t); x1 = what is shown of the data there, `shown_data`; both (B, *dim)."""

    w: Tensor
    x1: Tensor


Predict = Callable[[Tensor, Tensor], Prediction]


class Network(CountedCalls):
    """A network and what was asked of it.

    Attributes:
        calls: forward passes, the NFE.
        derivatives: backward passes through it; each costs about two calls, and none is a call.
    """

    def __init__(self, f: Predict):
        super().__init__(f)
        self.derivatives = 0


# ---------------------------------------------------------------------------------------------------------------------
# From a prediction to the exact quantities


def score(path: Path, x: Tensor, t: Tensor | float, p: Prediction) -> Tensor:
    """grad log p_t.

    From the eps head, -eps_hat / std (2; at t = 0, where that is 0/0, the source's own score -x), else
    (t x1_hat - x) / V0 for independent x0 ~ N(0, I) (4), with alpha in place of t on scheduled paths.

    Raises:
        ValueError: x0 depends on x1 and the network has no eps head.
    """
    t = over(t, x)
    if p.eps is not None and path.sigma > 0:
        std = path.std(t)
        return torch.where(std > 0, -p.eps / std.where(std > 0, torch.ones_like(std)), -x)
    if not path.independent:
        raise Mistake(
            f"With {path.coupling} coupling the score needs a network with an eps head: "
            "train one with predicts = 'x1+eps', or use the independent coupling.",
            "eps",
        )
    share, variance = path.law(t)
    return (share * data_prediction(path, x, t, p) - x) / variance


def velocity(path: Path, x: Tensor, t: Tensor | float, p: Prediction) -> Tensor:
    """The marginal velocity v = (x1_hat - x)/(1 - t) - pull(t) score (3); of a schedule, from its own weights."""
    if p.velocity is not None:
        return p.velocity
    t = over(t, x)
    if isinstance(path, Scheduled):
        here, there = path.weights(t)
        return here * x + there * data_prediction(path, x, t, p)
    pull = path.pull(t) if path.sigma else None
    v = (data_prediction(path, x, t, p) - x) / (1 - t)
    return v if pull is None else v - pull * score(path, x, t, p)


def data_prediction(path: Path, x: Tensor, t: Tensor | float, p: Prediction) -> Tensor:
    """x1_hat; of a velocity network by solving the formula of `velocity` for it.

    Raises:
        ValueError: a velocity network of a noisy path with dependent ends, from which x1_hat does not follow; or a
            prediction of neither.
    """
    if p.x1 is not None:
        return p.x1
    if p.velocity is None:
        raise Mistake("A network must say x1 or the velocity: its prediction holds neither.", "prediction")
    t = over(t, x)
    if isinstance(path, Scheduled):
        here, there = path.weights(t)
        return (p.velocity - here * x) / there
    if path.sigma == 0:
        return x + (1 - t) * p.velocity
    if not path.independent:
        raise Mistake(
            f"x1_hat does not follow from a velocity network with sigma > 0 and {path.coupling} coupling: "
            "train with sigma = 0, or a network that predicts x1.",
            "x1",
        )
    share = (1 - t) * path.pull(t) / path.noise_variance(t)
    return ((1 - t) * p.velocity + (1 - share) * x) / (1 - share * t)


def shown_data(path: Path, x: Tensor, t: Tensor | float, p: Prediction) -> Tensor:
    """x1_hat for a callback; where it does not follow from the velocity, where that points: x + (1 - t) v."""
    if p.velocity is not None and p.x1 is None and path.sigma > 0 and not path.independent:
        return x + (1 - over(t, x)) * p.velocity
    return data_prediction(path, x, t, p)


def momentum_terms(network: Network, path: Path, x: Tensor, t: Tensor, order: int) -> tuple[Prediction, list[Tensor]]:
    """xi^1 = score and xi^(k+1) = grad of the component sum of xi^k, by automatic differentiation.

    The sum of the components depends on the axes: only xi^1 turns with the data. A turn by 45 degrees, under which the
    8 Gaussians stay the same, changes the second and third term by more than half of their size.

    Args:
        order: how many terms, 1 to 3; one call and order - 1 derivatives of the network.

    Returns:
        The prediction at (x, t), and the terms (B, *dim), detached.
    """
    if order == 1:
        p = network(x, t)
        return p, [score(path, x, t, p)]
    # leave inference mode too: what is made in it cannot be differentiated
    with torch.inference_mode(False), torch.enable_grad():
        at = x.detach().clone().requires_grad_()
        p = network(at, t.clone())
        terms = [score(path, at, t.clone(), p)]
        for k in range(2, order + 1):
            terms += torch.autograd.grad(terms[-1].sum(), at, create_graph=k < order, materialize_grads=True)
            network.derivatives += 1
    detached = (None if q is None else q.detach() for q in p)
    return Prediction(*detached), [xi.detach() for xi in terms]


# ---------------------------------------------------------------------------------------------------------------------
# Drifts


@dataclass(frozen=True)
class Exact:
    """The probability-flow ODE dx = v dt."""

    path: Path

    def __call__(self, network: Network, x: Tensor, t: Tensor) -> Motion:
        p = network(x, t)
        return Motion(velocity(self.path, x, t, p), shown_data(self.path, x, t, p))


@dataclass(frozen=True)
class Preserving:
    """dx = [v + eta score] dt + sqrt(2 eta) dW, which has the marginals of the path for every eta >= 0.

    docs/flow.md, "Marginal-preserving family". Known from stochastic interpolants (arXiv 2303.08797) and SiT (arXiv
    2401.08740).

    Attributes:
        gamma1: eta = gamma1 std^2, the first-order Langevin-enhanced IDFF; None is eta = pull(t), the Brownian-bridge
            SDE dx = (x1_hat - x)/(1 - t) dt + ..., which needs no score and is regular at t = 0;
            on a path with constant noise it is not finite at the end.

    Raises:
        ValueError: a negative gamma1, or the bridge SDE of a path that is none and has noise.
    """

    path: Path
    gamma1: float | None = None

    def __post_init__(self) -> None:
        if self.gamma1 is not None and not 0 <= self.gamma1 < math.inf:
            raise Mistake(f"Matched noise needs a finite gamma1 of at least 0, not {self.gamma1!r}.", "gamma1")
        if self.gamma1 is None and self.path.scheduled:
            raise Mistake(
                "The bridge SDE needs a bridge: choose the path idff or sbcfm, or a sampler without noise.", "path"
            )
        if self.gamma1 is None and self.path.sigma > 0 and not self.path.bridge:
            raise Mistake(
                "The bridge SDE needs a bridge: with constant noise on the path its eta = sigma^2 / (1 - t) is "
                "infinite at the end. Choose matched noise, or the path idff or sbcfm.",
                "path",
            )

    def eta(self, t: Tensor) -> Tensor:
        """Half the variance of the noise for each unit of time, of the shape of t."""
        return self.path.pull(t) if self.gamma1 is None else self.gamma1 * self.path.std(t) ** 2

    def __call__(self, network: Network, x: Tensor, t: Tensor) -> Motion:
        p = network(x, t)
        x1 = data_prediction(self.path, x, t, p)
        if self.gamma1 is None:
            return Motion((x1 - x) / (1 - over(t, x)), x1)
        v = velocity(self.path, x, t, p)
        return Motion(v + self.eta(over(t, x)) * score(self.path, x, t, p) if self.gamma1 else v, x1)

    def noise_std(self, t: float, h: float) -> float:
        """Standard deviation of the noise of an Euler-Maruyama step from t to t + h, sqrt(2 eta(t) h)."""
        return math.sqrt(2 * float(self.eta(torch.tensor(t, dtype=torch.float64))) * h)


def _gammas(gammas: tuple[float, ...]) -> None:
    if not 1 <= len(gammas) <= 3 or not all(math.isfinite(g) for g in gammas):
        raise Mistake(f"Give one to three finite momentum weights gamma1, gamma2, gamma3, not {gammas!r}.", "gammas")


def _momentum(network: Network, path: Path, x: Tensor, t: Tensor, gammas: tuple[float, ...]) -> tuple:
    """The prediction and sum_k gamma^k_t xi^k with gamma^k_t = gamma_k std^2, the first weight being gamma1 - 1/2."""
    weights = (gammas[0] - 0.5, *gammas[1:])
    while weights and weights[-1] == 0:
        weights = weights[:-1]
    std = path.std(over(t, x))
    if not weights or not bool((std > 0).any()):  # a term with no weight costs no derivative
        return network(x, t), torch.zeros_like(x)
    p, terms = momentum_terms(network, path, x, t, len(weights))
    return p, std**2 * sum(w * xi for w, xi in zip(weights, terms, strict=True))


@dataclass(frozen=True)
class MomentumODE:
    """dx = [v + (gamma1 - 1/2) std^2 xi^1 + gamma2 std^2 xi^2 + gamma3 std^2 xi^3] dt, without noise.

    The published momentum on the exact velocity. It does not keep the marginals; at gamma1 = 1/2 alone it is the plain
    flow (docs/flow.md, "Momentum").

    Attributes:
        gammas: one to three weights; their number is the order.
    """

    path: Path
    gammas: tuple[float, ...]

    def __post_init__(self) -> None:
        _gammas(self.gammas)

    def __call__(self, network: Network, x: Tensor, t: Tensor) -> Motion:
        p, momentum = _momentum(network, self.path, x, t, self.gammas)
        return Motion(velocity(self.path, x, t, p) + momentum, data_prediction(self.path, x, t, p))


@dataclass(frozen=True)
class Published:
    """The drift of the public code of 2025, with the true score in place of its column sums.

    w = sqrt(1 - (gamma1 + gamma2 + gamma3) std^2) (x1_hat - x)/(1 - t) + the momentum of `MomentumODE`. The term
    -pull(t) score is missing there, so the marginals are not kept even at gamma1 = 1/2 (docs/flow.md, "Published
    drift").
    """

    path: Path
    gammas: tuple[float, ...]

    def __post_init__(self) -> None:
        _gammas(self.gammas)
        if self.path.scheduled:
            raise Mistake("The published drift follows straight lines from x0 to x1: choose the path idff.", "path")
        most = float(self.path.std(torch.tensor(0.5, dtype=torch.float64))) ** 2
        if sum(self.gammas) * most > 1 + 1e-9:
            raise Mistake(
                f"The published drift has the factor sqrt(1 - (gamma1 + gamma2 + gamma3) sigma_t^2): for this sigma "
                f"keep the sum of the gammas at most {1 / most:.6g}, not {sum(self.gammas):.6g}.",
                "gammas",
            )

    def __call__(self, network: Network, x: Tensor, t: Tensor) -> Motion:
        p, momentum = _momentum(network, self.path, x, t, self.gammas)
        x1, s = data_prediction(self.path, x, t, p), over(t, x)
        factor = (1 - sum(self.gammas) * self.path.std(s) ** 2).clamp_min(0).sqrt()
        return Motion(factor * (x1 - x) / (1 - s) + momentum, x1)
