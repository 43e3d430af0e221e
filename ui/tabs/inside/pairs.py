"""In "Modes": the channel pairs of a level, sorted by what the picture loses without them."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
import numpy as np

from analysis.core.images import data_uri
from analysis.core.progress import Report
from analysis.workbench.library import ModelLibrary
from analysis.workbench.ranking import RankRequest, RankResult
from ui.components.controls import Controls
from ui.components.history import CLICKS
from ui.components.html import heading
from ui.components.layout import group
from ui.server.runs import RUN_SECONDS, LongRun, RunButtons, run_buttons, wire_run
from ui.source import Workspace, fitting_label, made_with, usable_seed

SHOWN_PAIRS = 24
ASK = '<p class="ks-line">Leaves out one pair after the other, at all its places; some seconds.</p>'


def ranked(result: RankResult) -> str:
    """The strongest pairs as buttons; a click triggers `select`, to be read with `ui.components.plot.points`."""
    largest = max(float(result.mse[0]), 1e-30)
    rows = "".join(
        f'<button type="button" data-index="{int(pair)}"><img src="{data_uri(picture)}" alt=""><b>pair {int(pair)}</b>'
        f'<meter min="0" max="1" value="{float(mse) / largest:.4f}">{mse:.2g}</meter><span>{mse:.2g}</span></button>'
        for pair, mse, picture in zip(
            result.pair[:SHOWN_PAIRS], result.mse[:SHOWN_PAIRS], result.without[:SHOWN_PAIRS], strict=True
        )
    )
    more = len(result.pair) - SHOWN_PAIRS
    rest = f'<p class="ks-line">{more} weaker ones are not listed.</p>' if more > 0 else ""
    share = float(result.mse[:SHOWN_PAIRS].sum() / max(float(result.mse.sum()), 1e-30))
    note = f"Change of the picture without a pair, mean squared; those listed make {share:.0%} of the sum."
    return f'<p class="ks-line">{note}</p><div class="ks-ranked">{rows}</div>{rest}'


@dataclass(frozen=True)
class PairControls(Controls):
    """Components of the part."""

    buttons: RunButtons
    listed_pairs: gr.HTML


class PairPart:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the part, or their names.
        patience: seconds that a ranking may take.
    """

    def __init__(self, library: ModelLibrary, controls: PairControls, patience: float = RUN_SECONDS):
        self.library, self.controls, self.run = library, controls, LongRun(patience)

    def rank(self, model, seed, label, level, report: Report | None = None) -> dict:
        """The level's pairs, the strongest first."""
        if not usable_seed(seed):
            return gr.skip()
        bench = self.library.get(model)
        level = min(max(int(level or 0), 0), len(bench.spectrum().entries) - 1)
        result = bench.rank(RankRequest(seed, level, fitting_label(bench, label)), report)
        made = made_with(bench, seed, label)
        return {self.controls.listed_pairs: ranked(result) + made.line(before=f"{result.name} of ")}


def modes_of(pair: int, shape: tuple[int, int, int]) -> list[int]:
    """Flat indices of a pair's modes at all places of a level of this shape (C, h, w)."""
    places = shape[1] * shape[2]
    return np.arange(pair * places, (pair + 1) * places).tolist()


def build_pairs(work: Workspace, level: gr.Radio) -> PairControls:
    """Lay the part out here and wire it; what a click on a pair does is the tab's.

    Args:
        work: what it stands on.
        level: the tab's.
    """
    with group("modes"):
        gr.HTML(heading("Strongest pairs", "click one"))
        buttons = run_buttons("Sort by effect", "pairs")
        listed = gr.HTML(ASK, js_on_load=CLICKS, elem_id="pairs-list", elem_classes="ks-result")
    c = PairControls(buttons, listed)
    part = PairPart(work.library, c, work.bounded(RUN_SECONDS))
    wire_run(part.run, buttons, part.rank, {**work.source.named, "level": level}, [listed])
    return c
