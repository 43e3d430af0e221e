"""A mistake names its field."""

from contextlib import contextmanager

import pytest

from analysis.core.errors import UserError


@contextmanager
def refuses(field, match=None):
    """The block raises `UserError` of this field; `match` finds the number or the name in its sentence."""
    with pytest.raises(UserError, match=match) as refused:
        yield refused
    assert refused.value.field == field
