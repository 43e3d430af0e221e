"""What a visitor is told: `UserError`, and what flow_core refuses as such."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from foundation.mistakes import Mistake


class UserError(Mistake):
    """Something that a user asked for cannot be done; the message is one sentence that tells the cure.

    Attributes:
        field: name of what is at fault: a field of the request, or what else was given or is missing (recipe, png,
            file, teacher, weights, patience); "" where no one thing is.
    """


@contextmanager
def as_user_errors() -> Iterator[None]:
    """What flow_core refuses, told to people: it writes sentences already."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, FloatingPointError) as e:  # also Diverged and CheckpointError
        raise UserError(str(e)) from None
