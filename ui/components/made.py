"""What a result was made with, said beside it; `ui/js/made.js` greys a result that no longer holds."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Made:
    """Model, class and seed of a result; None where any will do.

    Attributes:
        model, label: their names, as the header's lists have them.
        seed: of the picture, or the first of several.
        seeds: words in place of those of one seed.
        at: the ending of the ids of the controls that chose them, "" for the header's.
    """

    model: str | None
    label: str | None
    seed: int | None
    seeds: str = ""
    at: str = ""

    @property
    def words(self) -> str:
        """As a reader is told."""
        seed = "" if self.seed is None else f"seed {self.seed}"
        return ", ".join(word for word in (self.model, self.label, self.seeds or seed) if word)

    def data(self, over: str = "") -> str:
        """As the page's script reads it.

        Args:
            over: selects what is greyed with it; by default the nearest `.ks-result` around.
        """
        known = {"model": self.model, "label": self.label, "seed": self.seed}
        return json.dumps({**known, "at": self.at, "over": over})

    def line(self, over: str = "", before: str = "") -> str:
        """A line that says it, and says so when it no longer holds; `over` as in `data`."""
        words = html.escape(f"{before}{self.words}")
        return f'<p class="ks-line ks-made" data-made="{html.escape(self.data(over))}">{words}</p>'

    def within(self, content: str, over: str = "") -> str:
        """A result that another line speaks for; `over` as in `data`."""
        return f'<div data-made="{html.escape(self.data(over))}">{content}</div>' if content else ""
