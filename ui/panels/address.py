"""What the address keeps after its #: view, model, seed, class, and the controls of its tab that were moved.

The page's script writes it (`ui/js/workspaces.js`); where a page is opened with one, the controls are set here.
Recipes stay the archival form: they name the weights and hold everything that a result is made of.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterator
from urllib.parse import parse_qsl

import gradio as gr

from analysis.core.errors import UserError
from analysis.workbench.library import ModelLibrary
from ui.components.controls import shown_text
from ui.components.layout import Frame
from ui.components.picture_chooser import OWN
from ui.server.errors import guarded
from ui.server.gradio_internals import sent
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import NO_CLASS, Page, usable_seed
from ui.workspaces import VIEWS, opening

LONGEST = 2000  # characters of an address
ADDRESS_KINDS = (gr.Slider, gr.Radio, gr.CheckboxGroup, gr.Number, gr.Dropdown, gr.Checkbox, gr.Textbox)
# of no use without what shows it; a tab that settles its others itself says so by `BuiltTab.settle`
NOT_IN_ADDRESS = {"pair"}


def controls_of(frame: Frame) -> Iterator[gr.components.Component]:
    """The controls of a tab that an address can keep."""
    stack = [frame.controls, frame.stage, frame.readings]
    while stack:
        part = stack.pop()
        stack.extend(getattr(part, "children", ()))
        if not isinstance(part, ADDRESS_KINDS) or not part.elem_id or part.elem_id in NOT_IN_ADDRESS:
            continue
        if not isinstance(part, gr.Dropdown) or part.choices:  # those that a result fills have nothing to begin with
            yield part


def fitting(part: gr.components.Component, text: str):
    """A value of an address as one of the control, None where it has no such value."""
    if isinstance(part, gr.CheckboxGroup):
        chosen = [value for _, value in part.choices if str(value) in text.split(",")]
        return chosen if len(chosen) == len([t for t in text.split(",") if t]) else None
    if isinstance(part, gr.Radio):
        return next((value for _, value in part.choices if str(value) == text), None)
    if isinstance(part, gr.Dropdown):
        return next((value for name, value in part.choices if name == text), None)
    if isinstance(part, gr.Textbox):
        return text if len(text) <= part.max_length else None
    if isinstance(part, gr.Checkbox):
        return {"1": True, "0": False}.get(text)
    try:
        number = float(text)
    except ValueError:
        return None
    if isinstance(part, gr.Number):
        return int(number) if math.isfinite(number) and usable_seed(int(number)) else None
    return number if part.minimum <= number <= part.maximum else None


class Address:
    """The handler; it can be called without a page.

    Args:
        library: the models.
        page: where the bar, the opener and the controls are.
        kept: controls by the id of their element.
    """

    def __init__(self, library: ModelLibrary, page: Page, kept: dict[str, gr.components.Component]):
        self.library, self.page, self.kept = library, page, kept

    def read(self, event: gr.EventData, moves: int | None) -> dict:
        """The bar, the controls and the view of an address; what does not fit is left as it is.

        Args:
            event: of the page's script, with the address in `hash`, and in `own` the pictures of the visitor's own
                that it names, by their keys, as far as the browser has them; anything may come from a browser.
            moves: the source bar's count.

        Raises:
            UserError: no text, too long a one, or with a painting or a picture that is damaged.
        """
        text, own = (sent(event).get(name) for name in ("hash", "own"))
        if not isinstance(text, str) or len(text) > LONGEST:
            raise UserError("This address is none of this page: open it without what follows the #.", "address")
        # blank: nothing is ticked, written or painted
        asked, source = dict(parse_qsl(text.lstrip("#"), keep_blank_values=True)), self.page.work.source
        if isinstance(own, dict):
            asked |= {k: src for k, src in own.items() if OWN.fullmatch(str(k)) and isinstance(src, str)}
        out: dict = {}
        model, seed = asked.get("m", source.start[0]), asked.get("s", str(source.start[1]))
        known = model in self.library.names() and seed.isdecimal() and usable_seed(int(seed))
        if bar := known and not {"m", "s"}.isdisjoint(asked):
            classes = list(self.library.get(model).classes)
            label = classes.index(asked["c"]) if asked.get("c") in classes else NO_CLASS
            out = source.moved(self.library, model, int(seed), label)
        for name, part in self.kept.items():
            value = fitting(part, asked[name]) if name in asked else None
            if value is not None:
                out[part] = value
        for tab in self.page.built.values():
            for part, update in (tab.settle(asked, out) if tab.settle else {}).items():
                out[part] = {"value": out[part]} | update if isinstance(update, dict) and part in out else update
        view = asked.get("v", "")
        if view in VIEWS:
            out[self.page.opener] = opening(view)
        if bar:
            out[source.moves] = int(moves or 0) + 1
        return out or gr.skip()


def build_address(page: Page) -> Address:
    """Wire what the page's script tells."""
    of = {tab: {part.elem_id: part for part in controls_of(frame)} for tab, frame in page.frames.items()}
    begin = {
        tab: {name: shown_text(part, part.value) for name, part in parts.items()} | dict(page.built[tab].texts)
        for tab, parts in of.items()
    }
    kept = {name: part for parts in of.values() for name, part in parts.items()}
    source, address = page.work.source, Address(page.work.library, page, kept)
    part = gr.HTML(
        html_template=f'<template class="ks-kept" data-kept="{html.escape(json.dumps(begin))}"></template>',
        js_on_load="window.studio?.addressed((hash, own) => trigger('apply', { hash, own }));", elem_id="address",
        visible="hidden",
    )  # fmt: skip
    settled = [part for tab in page.built.values() for part in tab.settled]
    outputs = dict.fromkeys([*source.targets, source.moves, page.opener, *kept.values(), *settled])
    part.apply(
        guarded(address.read), source.moves, list(outputs), show_progress="hidden", **MODEL_QUEUE, **PRIVATE
    )  # fmt: skip
    return address
