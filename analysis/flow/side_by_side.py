"""The question that a tab of flows asks: settings beside each other; a frozen dataclass, made of single questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from analysis.core.errors import UserError
from analysis.core.fields import Request
from analysis.flow.images import FlowPicturesRequest
from analysis.flow.point_requests import Flow2DRequest
from analysis.flow.settings import MAX_SETTINGS


def _setting(value: Any) -> Flow2DRequest | FlowPicturesRequest:
    if not isinstance(value, (Flow2DRequest, FlowPicturesRequest)):
        raise UserError("Give one setting or more, all of flows in the plane or all of flows of pictures.")
    return value


Setting = Annotated[Flow2DRequest | FlowPicturesRequest, PlainValidator(_setting)]
# what the settings of one question have in common: it is chosen once, above them
SHARED: dict[type, tuple[str, ...]] = {
    Flow2DRequest: ("density", "drawing", "seed", "points", "grid", "source", "source_drawing"),
    FlowPicturesRequest: ("data", "label", "seeds", "grid"),
}


@dataclass(frozen=True)
class SideBySideRequest(Request):
    """Settings that start from the same noise.

    Attributes:
        settings: 1 to 4 questions of one kind, `Flow2DRequest` or `FlowPicturesRequest`, which agree in what `SHARED`
            lists; None where a place is left empty, but not everywhere.
    """

    # `field()`, because `Request` has a method of this name, which would be the default
    settings: Annotated[  # type: ignore[assignment]
        tuple[Setting | None, ...], Field(min_length=1, max_length=MAX_SETTINGS)
    ] = field()

    def check_together(self) -> None:
        """Raises UserError: no setting at all, two kinds, or settings that differ in what they share."""
        kinds = {type(s) for s in self.settings if s is not None}
        if len(kinds) != 1:
            raise UserError("Give one setting or more, all of flows in the plane or all of flows of pictures.")
        shared = SHARED[type(self.asked[0])]
        if len({tuple(getattr(s, name) for name in shared) for s in self.asked}) > 1:
            raise UserError(
                f"Settings beside each other must have the same {', '.join(shared)}: change those that differ."
            )

    @property
    def asked(self) -> tuple[Flow2DRequest | FlowPicturesRequest, ...]:
        """Those of the places that are not empty."""
        return tuple(s for s in self.settings if s is not None)
