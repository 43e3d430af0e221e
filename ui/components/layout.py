"""The one layout of every workspace: controls | stage | readings, each a column that scrolls by itself.

What a view needs stays where it is in the page; views that share a tab hide each other's parts by `only`, in the
browser, so that nothing is asked of the server when the visitor goes from one to the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import gradio as gr


@dataclass(frozen=True)
class Frame:
    """Attributes: controls, stage, readings: columns, which can be entered (`with`) as often as is needed."""

    controls: gr.Column
    stage: gr.Column
    readings: gr.Column


def frame() -> Frame:
    """The three columns of a tab; the stage is reached first by keyboard and read first, and stands in the middle."""
    with gr.Row(elem_classes="ks-frame", equal_height=False):
        columns = {
            part: gr.Column(elem_classes=f"ks-{part}", min_width=0) for part in ("stage", "controls", "readings")
        }
    return Frame(**columns)


def only(*views: str) -> list[str]:
    """The classes of what is seen in these views alone; `ui.workspaces.views_css` hides it in the others."""
    return ["ks-only", *(f"ks-on-{view}" for view in views)]


@contextlib.contextmanager
def group(*views: str, css: str = "ks-group", **kwargs) -> Iterator[gr.Column]:
    """Controls that belong together; in these views alone where some are named."""
    with gr.Column(elem_classes=[css, *(only(*views) if views else [])], min_width=0, **kwargs) as column:
        yield column


def intro(sentence: str, formula: str = "", *views: str) -> gr.HTML:
    """What a view is for, in one sentence, and the formula behind a sign.

    Args:
        sentence, formula: HTML.
        *views: where it is seen; everywhere in its tab by default.
    """
    sign = ""
    if formula:
        sign = f'<details class="ks-formula"><summary title="The formula">ƒ</summary><p>{formula}</p></details>'
    return gr.HTML(
        f'<div class="ks-intro"><p>{sentence}</p>{sign}</div>',
        elem_classes=["ks-intro-box", *(only(*views) if views else [])],
    )


def empty_html(sentence: str, *presses: tuple[str, str], at_once: str = "") -> str:
    """What a stage says before its first result, with the buttons that make one: on a phone the others are in a sheet.

    Args:
        sentence: HTML.
        *presses: words, and the id of the button of the controls that each presses (`ui/js/workspaces.js`).
        at_once: id of the button that is pressed when the view is opened empty: for results of a second or two.
    """
    early = f' data-at-once="{at_once}"' if at_once else ""
    buttons = "".join(
        f'<button type="button" class="ks-press" data-press="{name}"{early}>{words}</button>' for words, name in presses
    )
    return f'<div class="ks-empty"><div><p>{sentence}</p>{buttons}</div></div>'


def empty_stage(sentence: str, *presses: tuple[str, str], at_once: str = "", views: Sequence[str] = ()) -> gr.HTML:
    """`empty_html` before a stage's result, which follows it and hides it.

    Args:
        sentence, *presses, at_once: of it.
        views: where it is seen; everywhere in its tab by default.
    """
    css = ["ks-empty-box", *(only(*views) if views else [])]
    return gr.HTML(empty_html(sentence, *presses, at_once=at_once), elem_classes=css)


def noise_row(tab: str, info: str = "from 0") -> dict[str, gr.components.Component]:
    """The seed of a tab's noise and the button that draws another one, side by side: "seed" and "dice"."""
    with gr.Row(elem_classes="ks-two"):
        seed = gr.Number(0, label="Noise seed", info=info, precision=0, minimum=0, elem_id=f"{tab}-seed", min_width=110)
        dice = gr.Button("New noise", size="sm", elem_id=f"{tab}-dice", min_width=90)
    return {"seed": seed, "dice": dice}
