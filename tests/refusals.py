"""A mistake names its field."""

from contextlib import contextmanager

import pytest

from analysis.core.errors import UserError
from foundation.mistakes import Mistake


@contextmanager
def refuses(field, match=None, error: type[Mistake] = UserError):
    """The block raises a mistake of this field; `match` finds the number or the name in its sentence."""
    with pytest.raises(error, match=match) as refused:
        yield refused
    assert refused.value.field == field
