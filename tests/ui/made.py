"""What results say they were made with."""

from __future__ import annotations

import html
import json
import re


def made_of(shown: str) -> list[dict]:
    """Model, class and seed of every part of a result, HTML or a player's JSON, in its order."""
    if shown.startswith("{"):
        found = [made["data"]] if (made := json.loads(shown).get("made")) else []
    else:
        found = [html.unescape(text) for text in re.findall(r'data-made="([^"]*)"', shown)]
    return [{name: json.loads(text)[name] for name in ("model", "label", "seed")} for text in found]


def controls_of(shown: str) -> dict[str, str]:
    """What the controls of its tab were at, of the one line of a result that says it."""
    (text,) = re.findall(r'data-made="([^"]*)"', shown)
    return json.loads(html.unescape(text))["controls"]
