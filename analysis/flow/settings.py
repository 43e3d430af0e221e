"""What flows of points and of images share: the types of their fields, bounds, and settings beside each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field, PlainValidator

from analysis.core.errors import UserError
from analysis.core.fields import Choice, Request, check_noise
from flow_core.samplers import GRIDS, METHODS, MOMENTUM

BRIDGES = ("sbcfm", "idff", "target")  # paths that read sigma0; the others have no noise beside x0
MAX_NFE, MAX_POINTS, MAX_SIGMA = 50, 2048, 2.0
MAX_SETTINGS, MAX_SWEEP_SEEDS, MAX_SWEEP_VALUES = 4, 8, 24

Sampler = Annotated[str, Choice(METHODS)]
Grid = Annotated[str, Choice(tuple(GRIDS)), Field(title="The grid of the steps")]
Nfe = Annotated[int, Field(ge=1, le=MAX_NFE, title="The number of network calls")]


class FlowSetting(Request):
    """A question that can stand beside others of its kind.

    Attributes:
        SHARED: fields in which all of them agree: chosen once, above them.
    """

    SHARED: ClassVar[tuple[str, ...]] = ()
    sampler: str
    nfe: int
    gamma1: float
    gamma2: float
    gamma3: float

    def check_together(self) -> None:
        """Raises UserError: fields that do not go together."""
        check_noise(self.sampler, self.gamma1)

    @property
    def gammas(self) -> tuple[float, ...]:
        """The momentum weights that the sampler reads; trailing zeros do not raise the order."""
        every = (self.gamma1, self.gamma2, self.gamma3)
        if self.sampler not in MOMENTUM:
            return ()
        if self.sampler == "matched":
            return every[:1]
        return every[: max((k + 1 for k, g in enumerate(every) if g), default=1)]


def _setting(value: Any) -> FlowSetting:
    if not isinstance(value, FlowSetting):
        raise UserError("Give one setting or more, all of flows in the plane or all of flows of pictures.", "settings")
    return value


@dataclass(frozen=True)
class SideBySideRequest(Request):
    """Settings that start from the same noise.

    Attributes:
        settings: 1 to 4 questions of one kind, `Flow2DRequest` or `FlowPicturesRequest`, which agree in what their
            `SHARED` lists; None where a place is left empty, but not everywhere.
    """

    # `field()`, because `Request` has a method of this name, which would be the default
    settings: Annotated[  # type: ignore[assignment]
        tuple[Annotated[FlowSetting, PlainValidator(_setting)] | None, ...],
        Field(min_length=1, max_length=MAX_SETTINGS),
    ] = field()

    def check_together(self) -> None:
        """Raises UserError: no setting at all, two kinds, or settings that differ in what they share."""
        if len({type(s) for s in self.asked}) != 1:
            raise UserError(
                "Give one setting or more, all of flows in the plane or all of flows of pictures.", "settings"
            )
        shared = self.asked[0].SHARED
        if len({tuple(getattr(s, name) for name in shared) for s in self.asked}) > 1:
            raise UserError(
                f"Settings beside each other must have the same {', '.join(shared)}: change those that differ.",
                "settings",
            )

    @property
    def asked(self) -> tuple[FlowSetting, ...]:
        """Those of the places that are not empty."""
        return tuple(s for s in self.settings if s is not None)
