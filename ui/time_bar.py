"""What players of flows share: a bar of play, step and time above up to four panels (ui/js/time_bar.js)."""

from __future__ import annotations

import html
from dataclasses import dataclass

from ui.plots import JS_DIR

PANELS = 4


@dataclass(frozen=True)
class Panel:
    """One setting. Attributes: title, note; result, None with a sentence in `problem`; numbers = HTML below."""

    title: str
    note: str
    result: object | None
    numbers: str
    problem: str = ""

    def about(self) -> dict:
        """What is written around the frames, for the player's script."""
        problem = f'<p class="ks-line">{html.escape(self.problem)}</p>'
        return {"title": self.title, "note": self.note, "numbers": problem if self.result is None else self.numbers}


def player_html(css: str, end: str, panel: str) -> str:
    """A player: the bar, from noise to `end`, above `PANELS` copies of a panel."""
    return f"""<div class="ks-player {css}">
<div class="ks-controls">
<button type="button" class="ks-play">▶ Play</button>
<button type="button" class="ks-back" aria-label="One step back, towards noise">‹</button>
<button type="button" class="ks-forward" aria-label="One step on, towards {end}">›</button>
<span class="ks-end">noise</span>
<input type="range" class="ks-time" min="0" max="1000" value="1000" aria-label="Time, from noise to {end}">
<span class="ks-end">{end.removeprefix("the ")}</span>
</div>
<output class="ks-now"></output>
<div class="ks-flows">{panel * PANELS}</div>
</div>"""


def script_of(*parts: str) -> str:
    """Scripts of a player, one after another."""
    return "\n".join((JS_DIR / part).read_text(encoding="utf-8") for part in parts)
