"""The app, started at the first recording that asks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.recorded.serving import Asked, running


@pytest.fixture(scope="module")
def app() -> Iterator[Asked]:
    """A client of the whole app on the shipped models."""
    with running() as asked:
        yield asked
