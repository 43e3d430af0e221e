"""Drawn pictures whose factors are known: which data they are, how they are drawn, pairs that differ in one factor."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from foundation.mistakes import Mistake
from foundation.procedural import portraits, shapes

DRAWN: dict[str, ModuleType] = {"shapes": shapes, "portraits": portraits}
EVERYTHING = "everything"  # the yardstick row: two unrelated scenes


def rows_of(data: str) -> tuple[str, ...]:
    """Names of the factors of drawn data, the yardstick last."""
    return (*DRAWN[data].FACTOR_GROUPS, EVERYTHING)


FACTOR_ROWS = tuple(dict.fromkeys((*(row for data in DRAWN for row in rows_of(data)[:-1]), EVERYTHING)))  # of any data


def drawn_data(card: dict) -> str | None:
    """The drawn data that a model was trained on, by its card; None for pictures of other kinds."""
    data = card.get("data")
    spec = data.get("spec") if isinstance(data, dict) else None
    return spec if isinstance(spec, str) and spec in DRAWN else None


def draw(data: str, records: np.ndarray, side: int) -> Tensor:
    """Records as pictures (N, 3, side, side) float32 in [-1, 1]."""
    return torch.from_numpy(DRAWN[data].render(records, side)).permute(0, 3, 1, 2).float() / 127.5 - 1


def scene_pairs(row: str, count: int, seed: int = 0, data: str = "shapes") -> tuple[np.ndarray, np.ndarray]:
    """Scenes before and after a change of one factor, all others held.

    Args:
        row: one of `rows_of(data)`; "everything" for two unrelated scenes.
        count: pairs.
        seed: of the scenes and of the change.
        data: a key of `DRAWN`.

    Returns:
        Two (count,) records of the data's `FACTOR_DTYPE`. For "turn" no disc and no ring, which do not show it; other
        changes may be hidden in a picture, such as that of the colour of hair under a hat.

    Raises:
        ValueError: unknown row.
    """
    if row not in rows_of(data):
        raise Mistake(f"Unknown factor {row!r}: use one of {', '.join(rows_of(data))}.", "row")
    maker = DRAWN[data]
    before = maker.factors(np.arange(4 * count + 64), seed)
    if data == "shapes" and row == "turn":
        before = before[~np.isin(before["kind"], [shapes.SHAPE_KINDS.index(k) for k in shapes.ROUND])]
    if row == EVERYTHING:
        return before[:count], maker.factors(np.arange(2**40, 2**40 + count), seed)
    return before[:count], maker.vary(before[:count], row, seed)
