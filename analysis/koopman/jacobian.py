"""Principal directions of a map at a point: randomised SVD of its Jacobian by products alone.

What moves a region of the picture most, without moving the rest, is read off the right singular vectors of the
Jacobian there (LOCO-Edit, arXiv 2409.02374, for the denoiser; here also for HKD's decoder). It is never built: J v by
`torch.func.jvp`, J^T u by `torch.func.vjp`, several at once as rows of a batch (Halko et al. 2011, algorithm 4.4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from analysis.core.progress import still_wanted
from foundation.mistakes import Mistake

OVERSAMPLE, POWER_ROUNDS = 4, 2
PRODUCT_ROWS = 4  # of a Jacobian, at once
LatentMap = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Principal:
    """Attributes: values (r,) singular values, largest first; directions (r, N) orthonormal right singular vectors."""

    values: Tensor
    directions: Tensor


class Jacobian:
    """The Jacobian of a row-wise map at one point.

    Args:
        f: (B, N) -> (B, M), each row by itself.
        at: (N,) the point.
    """

    def __init__(self, f: LatentMap, at: Tensor):
        self.f, self.at = f, at.detach().clone()

    def times(self, vectors: Tensor) -> Tensor:
        """J v of every row: (k, N) -> (k, M)."""
        return self._by_rows(vectors, lambda at, v: torch.func.jvp(self.f, (at,), (v.contiguous(),))[1])

    def transposed_times(self, vectors: Tensor) -> Tensor:
        """J^T u of every row: (k, M) -> (k, N)."""
        return self._by_rows(vectors, lambda at, v: torch.func.vjp(self.f, at)[1](v)[0])

    def _by_rows(self, vectors: Tensor, product: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """A few rows at once, so that neither memory nor the time to the next look at who waits grows with them."""
        out = []
        for rows in vectors.split(PRODUCT_ROWS):
            still_wanted()
            out.append(product(self.at.repeat(len(rows), 1), rows).detach())
        return torch.cat(out)


def _orthonormal(rows: Tensor) -> Tensor:
    return torch.linalg.qr(rows.double().T)[0].T.to(rows)


def principal(jacobian: Jacobian, rank: int, seed: int = 0, rounds: int = POWER_ROUNDS) -> Principal:
    """The leading singular values and right singular vectors.

    Args:
        jacobian: of the map.
        rank: how many, at most N.
        seed: of the random start.
        rounds: of subspace iteration; each takes rank + 4 products with J and as many with its transpose.

    Raises:
        ValueError: a rank outside of 1 to N.
    """
    n = jacobian.at.numel()
    if not 1 <= rank <= n:
        raise Mistake(f"The rank must lie between 1 and {n}.", "rank")
    count = min(rank + OVERSAMPLE, n)
    rows = torch.randn(count, n, generator=torch.Generator().manual_seed(seed)).to(jacobian.at)
    for _ in range(rounds):
        rows = _orthonormal(jacobian.transposed_times(_orthonormal(jacobian.times(_orthonormal(rows)))))
    left = _orthonormal(jacobian.times(rows))
    _, values, right = torch.linalg.svd(jacobian.transposed_times(left).double(), full_matrices=False)
    return Principal(values[:rank].to(jacobian.at), right[:rank].to(jacobian.at))


def off_the_rest(directions: Tensor, rest: Tensor) -> Tensor:
    """Directions (r, N) without their part in the span of the orthonormal rows `rest` (m, N), unit norm.

    A direction that lies in that span wholly has nothing left and becomes 0.
    """
    left = directions - (directions @ rest.T) @ rest
    norm = left.norm(dim=1, keepdim=True)
    return torch.where(norm > 1e-6, left / norm.clamp_min(1e-12), 0.0)


def in_region(f: Callable[[Tensor], Tensor], region: Tensor) -> LatentMap:
    """Pictures of a map weighed by a region: (B, N) -> (B, C H W), so that J is that of the region's pixels.

    Args:
        f: (B, N) -> (B, C, H, W).
        region: (H, W) in [0, 1].
    """
    return lambda x: (f(x) * region).flatten(1)


def regional(
    f: Callable[[Tensor], Tensor], at: Tensor, region: Tensor, rank: int, rest: int = 0, seed: int = 0
) -> Principal:
    """What moves a region most and the rest little: principal directions there, projected off those elsewhere.

    Args:
        f: (B, N) -> (B, C, H, W), row-wise.
        at: (N,) the point.
        region: (H, W) in [0, 1].
        rank: how many directions.
        rest: how many leading directions of the rest of the picture they are projected off; 0 for none.
        seed: of the random start.

    Returns:
        The singular values are those of the region before the projection.
    """
    found = principal(Jacobian(in_region(f, region), at), rank, seed)
    if rest == 0 or bool((region >= 1).all()):
        return found
    others = principal(Jacobian(in_region(f, 1 - region), at), rest, seed)
    return Principal(found.values, off_the_rest(found.directions, others.directions))


def sketch(jacobian: Jacobian, probes: int, seed: int = 0) -> Tensor:
    """(probes, N): random combinations of the rows of J, so that columns keep their angles (Johnson-Lindenstrauss).

    Column n is what moving coordinate n does to the picture, seen through `probes` random pictures of unit variance
    over sqrt(probes).
    """
    pixels = jacobian.f(jacobian.at[None]).shape[1]
    rows = torch.randn(probes, pixels, generator=torch.Generator().manual_seed(seed)).to(jacobian.at)
    return jacobian.transposed_times(rows / probes**0.5)


def flat(z: Sequence[Tensor]) -> Tensor:
    """Latents (B, C_l, h_l, w_l) as rows (B, N), level by level."""
    return torch.cat([latent.flatten(1) for latent in z], 1)


def unflat(rows: Tensor, shapes: Sequence[tuple[int, int, int]]) -> list[Tensor]:
    """The inverse of `flat`."""
    sizes = [c * h * w for c, h, w in shapes]
    return [part.view(-1, *shape) for part, shape in zip(rows.split(sizes, 1), shapes, strict=True)]
