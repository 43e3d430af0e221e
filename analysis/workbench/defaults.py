"""Settings to start with that were chosen for this model by measurement, as its card keeps them.

`python -m analysis.evaluate.defaults --model NAME` measures and writes them. What a stranger's card says is checked:
what a request would refuse is not taken.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import Request
from analysis.workbench.editing import EditRequest
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from analysis.workbench.session import Session

EDIT, RESTORATION = "edit-choice", "restoration"  # parts of `analysis.evaluate hkd`
_SMALL = np.zeros((8, 8, 3), np.uint8)
_BLANK: dict[str, tuple[type[Request], dict[str, Any]]] = {
    "inpaint": (InpaintRequest, {"picture": _SMALL, "mask": np.full((8, 8), 255, np.uint8)}),
    "colorize": (ColorizeRequest, {"picture": _SMALL}),
}


def _told(session: Session, part: str) -> dict[str, Any]:
    metrics = session.model.card.get("metrics")
    told = metrics.get(part) if isinstance(metrics, dict) else None
    return told if isinstance(told, dict) else {}


def _checked(cls: type[Request], given: dict[str, Any], names: tuple[str, ...], told: dict[str, Any]) -> dict[str, Any]:
    """The fields of these names as the card has them; the class's own where it does not, or not as it may be."""
    of: Any = cls
    usual = {f.name: f.default for f in fields(of) if f.name in names}
    try:
        asked = of(**given, **{name: told[name] for name in usual if name in told})
    except UserError:
        return usual
    return {name: getattr(asked, name) for name in usual}


def edit_defaults(session: Session) -> dict[str, Any]:
    """Bands, edges, order and time of an edit."""
    return _checked(EditRequest, {"seed": 0}, ("bands", "edges", "order", "tau"), _told(session, EDIT))


def restoration_defaults(session: Session, task: str) -> dict[str, Any]:
    """Steps, end level and skip of "inpaint" or "colorize"; and works: whether they beat what needs no model.

    `works` is None where that was not measured.

    Raises:
        UserError: another task.
    """
    if task not in _BLANK:
        raise UserError(f"Restoration is one of {', '.join(_BLANK)}.", "task")
    told = _told(session, RESTORATION).get(task)
    told = told if isinstance(told, dict) else {}
    cls, given = _BLANK[task]
    works = told.get("works")
    chosen = _checked(cls, given, ("steps", "end", "skip"), told)
    return chosen | {"works": works if isinstance(works, bool) else None}
