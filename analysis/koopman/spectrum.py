"""Koopman spectra: sorting modes, bands as masks, summaries.

A mode is (entry, pair k, row i, column j) with eigenvalues alpha +- i beta; entries are the encoder's skips in order
and the bottleneck. Bands (docs/method.md, "Bands"): per entry, modes are ranked by alpha (or |alpha|), a band is a
range of ranks, and the masks of one set of edges partition the modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from analysis.koopman.ablations import ablate
from foundation.mistakes import Mistake
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
        raise Mistake(f"order must be one of {', '.join(ORDERS)}, not {order!r}.", "order")
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
        raise Mistake("Band edges must rise from 0 to 1.", "edges")
    cuts = [0, *(round(e * rank.numel()) for e in edges), rank.numel()]
    return [(rank >= a) & (rank < b) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


class RankedSpectrum(Sequence[SpectrumEntry]):
    """A model's spectrum that sorts each level once an order, and remembers the bands that were asked for last.

    It stands wherever a list of entries does: `level_masks` and all that is built on it then sort nothing again. The
    eigenvalues must not change under it.
    """

    def __init__(self, entries: Sequence[SpectrumEntry]) -> None:
        self._entries = tuple(entries)
        self._ranks: dict[tuple[int, str], Tensor] = {}
        self._masks: dict[tuple[int, str], tuple[tuple[float, ...], list[Tensor]]] = {}

    @overload
    def __getitem__(self, index: int) -> SpectrumEntry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[SpectrumEntry]: ...
    def __getitem__(self, index):
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def ranks(self, level: int, order: str = "alpha") -> Tensor:
        """`ranks` of a level; not to be changed."""
        if (level, order) not in self._ranks:
            self._ranks[level, order] = ranks(self._entries[level].alpha, order)
        return self._ranks[level, order]

    def band_masks(self, level: int, edges: Sequence[float], order: str = "alpha") -> list[Tensor]:
        """`band_masks` of a level; not to be changed."""
        wanted = tuple(map(float, edges))
        before = self._masks.get((level, order))
        if before is None or before[0] != wanted:
            before = wanted, cut_ranks(self.ranks(level, order), wanted)
            self._masks[level, order] = before
        return before[1]


def level_masks(
    entries: Sequence[SpectrumEntry], level: int, edges: Sequence[float], order: str = "alpha"
) -> list[Tensor]:
    """`band_masks` of one level of a spectrum, sorted before where it is a `RankedSpectrum`."""
    if isinstance(entries, RankedSpectrum):
        return entries.band_masks(level, edges, order)
    return band_masks(entries[level].alpha, edges, order)


def band_numbers(entries: Sequence[SpectrumEntry], level: int, edges: Sequence[float], order: str = "alpha") -> Tensor:
    """Band of every mode of a level, flat (C/2 * h * w,) int64, 0 = smallest."""
    number = torch.zeros(entries[level].alpha.shape, dtype=torch.int64)
    for b, mask in enumerate(level_masks(entries, level, edges, order)):
        number += b * mask
    return number.flatten()


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
    kind: str = "zero",
    reference: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """Keep of every band so much as its gain (retention) says in the chosen entries; gain 1 keeps, 0 leaves out.

    Commutes with the evolution, because masks are diagonal in the pairs.

    Args:
        z: latents, (B, C_l, h_l, w_l) each.
        entries: the model's spectrum.
        edges, order: see `band_masks`.
        gains: one a band.
        only: indices of entries to touch, None for all.
        kind, reference: what stands in place of what is left out, see `ablations.ablate`.
    """
    if len(gains) != len(edges) + 1:
        raise Mistake(f"{len(edges)} edges make {len(edges) + 1} bands, but {len(gains)} gains were given.", "gains")
    touched = set(range(len(z)) if only is None else only)
    keep = [
        kept_share(level_masks(entries, i, edges, order), gains) if i in touched else None for i in range(len(entries))
    ]
    return ablate(z, keep, kind, reference)


def kept_share(bands: Sequence[Tensor], gains: Sequence[float]) -> Tensor:
    """What is kept of every mode of a level, (C, h, w) for `ablations.ablate`: its bands' gains."""
    share = torch.zeros(bands[0].shape)
    for gain, mask in zip(gains, bands, strict=True):
        share += gain * mask
    return pair_mask(share)


def band_names(count: int, order: str = "alpha") -> list[str]:
    """What to call `count` bands, smallest first."""
    what = "|α|" if order == "abs" else "α"
    if count == 3:
        return [f"smallest {what}", f"middle {what}", f"largest {what}"]
    return [f"band {b + 1} of {count} by {what}" for b in range(count)]


BANDS = ("smallest", "middle", "largest")  # thirds by rank
BAND_COUNT = len(BANDS)
ORDER_WORDS = {"alpha": "alpha", "abs": "abs alpha"}  # a bar would end a Markdown cell
