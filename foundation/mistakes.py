"""A mistake names what is at fault, so that whoever catches it need not read its sentence."""

from __future__ import annotations


class Mistake(ValueError):
    """Something that cannot be used; the message is a sentence that tells the cure.

    Attributes:
        field: name of what is at fault: an argument, a setting, or a part of a file; "" where no one thing is.
    """

    def __init__(self, message: str, field: str = ""):
        super().__init__(message)
        self.field = field
