"""What a result was made with, said beside it; `ui/js/made.js` greys a result that no longer holds."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from gradio.components import Component

from ui.components.controls import shown_text


@dataclass(frozen=True)
class Made:
    """Model, class and seed of a result; None where any will do. Or what the controls of its own tab were at.

    Attributes:
        model, label: their names, as the header's lists have them.
        seed: of the picture, or the first of several.
        seeds: words in place of those of one seed.
        at: the ending of the ids of the controls that chose them, "" for the header's.
        controls: what controls showed, by the ids of their elements.
    """

    model: str | None
    label: str | None
    seed: int | None
    seeds: str = ""
    at: str = ""
    controls: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def by(cls, words: str, values: Mapping[Component, object]) -> Self:
        """What the controls of a tab chose.

        Args:
            words: of it, short.
            values: of every control that it is made with, by the control; of lists whose choices change, the words.
        """
        controls = {getattr(part, "elem_id", str(part)): shown_text(part, value) for part, value in values.items()}
        return cls(None, None, None, words, controls=controls)

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
        return json.dumps({**known, "at": self.at, "over": over, "controls": dict(self.controls)})

    def line(self, over: str = "", before: str = "") -> str:
        """A line that says it, and says so when it no longer holds; `over` as in `data`."""
        words = html.escape(f"{before}{self.words}")
        return f'<p class="ks-line ks-made" data-made="{html.escape(self.data(over))}">{words}</p>'

    def within(self, content: str, over: str = "") -> str:
        """A result that another line speaks for; `over` as in `data`."""
        return f'<div data-made="{html.escape(self.data(over))}">{content}</div>' if content else ""
