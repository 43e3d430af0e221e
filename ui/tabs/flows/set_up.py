"""What the tabs of settings side by side lay out and wire alike: the calls of all, and a sweep."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import gradio as gr
from gradio.events import Dependency

from analysis.flow.settings import MAX_NFE
from ui.components.layout import Frame, group, intro
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.server.runs import RunButtons, run_buttons
from ui.tabs.flows.settings import START_NFE, SettingsControls

PRESET_CALLS = (1, 5)  # calls
NOTHING_RUNS = '<p class="ks-line">No setting can be run: each says why.</p>'
UNEQUAL_COST = "Mind that they do not all cost the same. "
LIVE = {"show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}


def calls_of_all(prefix: str) -> dict:
    """Controls that set the calls of all settings: "presets", pairs of button and calls, and "nfe_all"."""
    with gr.Row(elem_classes="ks-buttons"):
        presets = tuple(
            (gr.Button(f"{n} call{'s' if n > 1 else ''}", size="sm", min_width=80, elem_id=f"{prefix}-preset-{n}"), n)
            for n in PRESET_CALLS
        )
    nfe_all = gr.Slider(
        1, MAX_NFE, START_NFE, step=1, label="NFE of all", info="sets all four, 1 to 50", elem_id=f"{prefix}-nfe-all",
        buttons=["reset"],
    )  # fmt: skip
    return {"presets": presets, "nfe_all": nfe_all}


def steps_of_time(prefix: str) -> gr.Radio:
    """Where a flow's steps lie in time."""
    return gr.Radio(
        ["uniform", "cosine"], value="uniform", label="Steps", info="cosine: dense at both ends",
        elem_id=f"{prefix}-grid",
    )  # fmt: skip


def wire_calls(c: SettingsControls, nfe_all: gr.Slider, presets: Sequence, moved: Sequence) -> list[Dependency]:
    """Let the calls of all follow one control.

    Args:
        c: the settings.
        nfe_all, presets: of `calls_of_all`.
        moved: events of `nfe_all` that are followed.

    Returns:
        The events "all of them are set".
    """
    every = [s.nfe for s in c.settings]

    def set_all(n: int) -> dict:
        return dict.fromkeys((nfe_all, *every), n)

    spread = gr.on(list(moved), lambda n: dict.fromkeys(every, n), nfe_all, every, **LIVE)
    return [spread, *(b.click(functools.partial(set_all, n), None, [nfe_all, *every], **LIVE) for b, n in presets)]


def sweep_part(frame: Frame, view: str, prefix: str, sentence: str, ask: str) -> tuple[RunButtons, gr.HTML]:
    """A sweep's sentence, its buttons and its words.

    Args:
        frame: the columns of the tab.
        view: where it is seen.
        prefix: of the elements' ids.
        sentence: what it is for.
        ask: its words before it is run.
    """
    with frame.controls:
        intro(sentence, "", view)
        with group(view):
            buttons = run_buttons("Sweep", prefix)
    with frame.readings, group(view):
        words = gr.HTML(ask, elem_id=f"{prefix}-words", elem_classes="ks-told")
    return buttons, words
