"""Endpoints without a server, and what a server refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from gradio_client.exceptions import AppError

from analysis.core.errors import UserError
from analysis.studio import Studio
from tests.ui.serving import client_of
from ui.api.endpoints import BY_NAME, ENDPOINTS
from ui.server import errors


def functions(studio: Studio) -> SimpleNamespace:
    """Every endpoint as the function that Gradio is given."""
    return SimpleNamespace(**{e.name: e.function(studio) for e in ENDPOINTS})


def client_with(studio: Studio, *names: str):
    """A client of a page that has nothing but these endpoints; see `client_of`."""
    return client_of(lambda: [BY_NAME[name].add(studio) for name in names])


def assert_sentence(message: str) -> None:
    """One short sentence, and nothing of how it came about."""
    assert 15 < len(message) < 250 and message.rstrip().endswith(".")
    assert "Traceback" not in message and 'File "' not in message


@contextmanager
def refuses_over_http(field: str) -> Iterator[None]:
    """The block asks a server of this process, which answers with the sentence of a `UserError` of this field."""
    told: list[Exception] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(errors, "sentence_of", lambda e, true=errors.sentence_of: told.append(e) or true(e))
        with pytest.raises(AppError) as caught:
            yield
    assert_sentence(str(caught.value))
    assert [(type(e), e.field) for e in told] == [(UserError, field)] and str(told[0]) in str(caught.value)
