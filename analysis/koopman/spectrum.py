"""Koopman spectra: sorting modes, bands as masks, summaries.

A mode is (entry, pair k, row i, column j) with eigenvalues alpha +- i beta; entries are the encoder's skips in order
and the bottleneck. Bands (docs/method.md, "Bands"): per entry, modes are ranked by alpha (or |alpha|), a band is a
range of ranks, and the masks of one set of edges partition the modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from koopman_core.model import SpectrumEntry

ORDERS = ("alpha", "abs")


@dataclass(frozen=True)
class EntrySummary:
    """Attributes: name; shape (C, h, w); mean and standard deviation of alpha, beta; largest |alpha|, |beta|."""

    name: str
    shape: tuple[int, int, int]
    alpha_mean: float
    alpha_std: float
    alpha_max: float
    beta_std: float
    beta_max: float


def summarise(entries: Sequence[SpectrumEntry]) -> list[EntrySummary]:
    """One line an entry."""
    return [
        EntrySummary(
            e.name, e.shape, float(e.alpha.mean()), float(e.alpha.std(correction=0)), float(e.alpha.abs().max()),
            float(e.beta.std(correction=0)), float(e.beta.abs().max()),
        )
        for e in entries
    ]  # fmt: skip


def ranks(alpha: Tensor, order: str = "alpha") -> Tensor:
    """Rank of every mode of one entry, int64 of alpha's shape, 0 = smallest.

    The sort is stable over (k, i, j), so equal values (an untrained operator) still give a partition.

    Raises:
        ValueError: unknown order.
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, not {order!r}.")
    key = (alpha.abs() if order == "abs" else alpha).flatten()
    out = torch.empty(key.numel(), dtype=torch.int64)
    out[torch.sort(key, stable=True).indices] = torch.arange(key.numel())
    return out.view(alpha.shape)


def band_masks(alpha: Tensor, edges: Sequence[float], order: str = "alpha") -> list[Tensor]:
    """Masks of the bands between quantile edges.

    Args:
        alpha: (C/2, h, w).
        edges: inner edges as quantiles in [0, 1], not falling; n edges give n + 1 bands.
        order: "alpha" (signed) or "abs".

    Returns:
        bool tensors of alpha's shape; each mode is in exactly one.

    Raises:
        ValueError: an edge outside [0, 1], or edges that fall.
    """
    return cut_ranks(ranks(alpha, order), edges)


def cut_ranks(rank: Tensor, edges: Sequence[float]) -> list[Tensor]:
    """Masks of the bands of modes that are sorted already; as `band_masks`, given their `ranks`."""
    edges = [float(e) for e in edges]
    if any(not 0 <= e <= 1 for e in edges) or any(b < a for a, b in zip(edges[:-1], edges[1:], strict=True)):
        raise ValueError("Band edges must rise from 0 to 1.")
    cuts = [0, *(round(e * rank.numel()) for e in edges), rank.numel()]
    return [(rank >= a) & (rank < b) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def pair_mask(mask: Tensor) -> Tensor:
    """(C/2, h, w) -> (C, h, w): both channels (2k, 2k+1) of a pair share their mode's value."""
    return mask.repeat_interleave(2, dim=0)


def weigh_bands(
    z: Sequence[Tensor],
    entries: Sequence[SpectrumEntry],
    edges: Sequence[float],
    gains: Sequence[float],
    order: str = "alpha",
    only: Sequence[int] | None = None,
) -> list[Tensor]:
    """Multiply every band by its gain (retention) in the chosen entries; gain 1 keeps, 0 removes.

    Commutes with the evolution, because masks are diagonal in the pairs.

    Args:
        z: latents, (B, C_l, h_l, w_l) each.
        entries: the model's spectrum.
        edges, order: see `band_masks`.
        gains: one a band.
        only: indices of entries to touch, None for all.
    """
    if len(gains) != len(edges) + 1:
        raise ValueError(f"{len(edges)} edges make {len(edges) + 1} bands, but {len(gains)} gains were given.")
    touched = range(len(z)) if only is None else only
    out = list(z)
    for i in touched:
        out[i] = weigh_level(z[i], band_masks(entries[i].alpha, edges, order), gains)
    return out


def weigh_level(z: Tensor, bands: Sequence[Tensor], gains: Sequence[float]) -> Tensor:
    """`weigh_bands` of one level whose `band_masks` are known."""
    weight = sum(g * m for g, m in zip(gains, bands, strict=True))
    return z * pair_mask(weight).to(z)


def band_names(count: int, order: str = "alpha") -> list[str]:
    """What to call `count` bands, smallest first."""
    what = "|α|" if order == "abs" else "α"
    if count == 3:
        return [f"smallest {what}", f"middle {what}", f"largest {what}"]
    return [f"band {b + 1} of {count} by {what}" for b in range(count)]


BANDS = ("smallest", "middle", "largest")  # thirds by rank
ORDER_WORDS = {"alpha": "alpha", "abs": "abs alpha"}  # a bar would end a Markdown cell
