"""A mode atlas as one HTML page: search, sort, notes that the browser keeps, light and dark, no network."""

from __future__ import annotations

import html
import json
from importlib import resources
from typing import Any

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def atlas_html(document: dict[str, Any]) -> str:
    """The page of the document that `analysis.evaluate.atlas` makes; all text in it is escaped."""
    # "<" as an escape: no text inside can then end the script that carries it
    data = json.dumps(document).replace("<", "\\u003c")
    page = resources.files(__package__).joinpath("atlas.html").read_text("utf-8")
    title = html.escape(f"Mode atlas of {document['model']}")
    for mark, text in (("@TITLE@", title), ("@POLICY@", POLICY), ("@DATA@", data)):
        page = page.replace(mark, text)  # the data last, in which a mark would stay
    return page
