"""Endpoints without a server."""

from types import SimpleNamespace

from analysis.studio import Studio
from tests.ui.serving import client_of
from ui.api.endpoints import BY_NAME, ENDPOINTS


def functions(studio: Studio) -> SimpleNamespace:
    """Every endpoint as the function that Gradio is given."""
    return SimpleNamespace(**{e.name: e.function(studio) for e in ENDPOINTS})


def client_with(studio: Studio, *names: str):
    """A client of a page that has nothing but these endpoints; see `client_of`."""
    return client_of(lambda: [BY_NAME[name].add(studio) for name in names])
