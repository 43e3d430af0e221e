"""A recipe's settings as the page's tabs read them, until these take the request itself: all fields as JSON values."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from analysis.core.fields import Request
from analysis.workbench.editing import ColorizeRequest, EditRequest, InpaintRequest
from analysis.workbench.spectrum import MaskRequest


class Settings:
    """A request and its kind; attributes are the request's fields as JSON values."""

    model_fields: ClassVar[tuple[str, ...]] = ()
    KIND: ClassVar[str] = ""

    def __init__(self, kind: str, question: Request):
        self.kind, self._question = kind, question

    @staticmethod
    def named(kind: str, question: Request) -> Settings:
        """Of the class for this kind."""
        return next((c for c in (EditSettings, InpaintSettings, ColorizeSettings) if kind == c.KIND), Settings)(
            kind, question
        )

    @classmethod
    def of(cls, question: Request) -> Self:
        """The settings of a request."""
        return cls(cls.KIND, question)

    def request(self) -> Any:
        """The question, ready to ask."""
        return self._question

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(self._question, name)
        return self._question.as_settings()[name] if isinstance(value, tuple) or hasattr(value, "shape") else value

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Settings) and self.kind == other.kind
        return same and self._question.as_settings() == other._question.as_settings()

    __hash__ = None  # type: ignore[assignment]


class EditSettings(Settings):
    """Of an edit."""

    KIND, model_fields = "edit", tuple(EditRequest.__dataclass_fields__)


class InpaintSettings(Settings):
    """Of a hole filled."""

    KIND, model_fields = "inpaint", tuple(InpaintRequest.__dataclass_fields__)


class ColorizeSettings(Settings):
    """Of colours made up."""

    KIND, model_fields = "colorize", tuple(ColorizeRequest.__dataclass_fields__)


class MaskSettings(Settings):
    """Of bands weighed."""

    KIND, model_fields = "mask_bands", tuple(MaskRequest.__dataclass_fields__)
