"""The view "Pictures" of "Flows" begins with flows of the pictures that the header's model makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import gradio as gr

from analysis.race import data_name
from analysis.workbench.library import ModelLibrary

if TYPE_CHECKING:
    from ui.tabs.flows.images import FlowImages


def following(tab: FlowImages, library: ModelLibrary, known: gr.State | str) -> Callable[..., dict]:
    """The handler of the view's opening.

    Args:
        tab: whose controls are set.
        library: the models.
        known: the header's model when the view was opened last, or the name of that.

    Returns:
        A function of the header's model, the known one, the data, the class, and nets and samplers by name and letter.
        Of another model than before it chooses the flows of its pictures, where there are any; of the same one, or
        where there are none, it leaves what was chosen.
    """

    def follow(model: str, before: str, data: str, label, **settings: str) -> dict:
        if model == before:
            return gr.skip()
        name, there = data_name(library.get(model)), {kind.data for kind in tab.flows.kinds}
        other = name != data and name in there
        shown = {tab.controls.data: name, **tab.of_data(name, label, **settings)} if other else {}
        return {**shown, known: model}

    return follow
