"""View "Mix" of "Change": modes of a reference mixed into a picture, beside a control; and its history."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import gradio as gr
import numpy as np
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.core.fields import HIGH_EDGE, LOW_EDGE
from analysis.export.batches import CURVE_RATIOS
from analysis.figures import editing
from analysis.recipes import recipe as recipes
from analysis.workbench.editing import EditRequest
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.workbench import Workbench
from foundation.mistakes import Mistake
from ui.components import history
from ui.components.controls import chosen
from ui.components.history import History, Thumbnails
from ui.components.layout import group, intro
from ui.components.painter import canvas_value, painted, unpacked
from ui.components.picture_chooser import Chooser, fitted, own_value, picture_of_address
from ui.components.plot import points
from ui.components.save_bar import RecipeBinding, save_value
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import DICE, NO_CLASS, BuiltTab, Views, Workspace, class_choices, fitting_label, made_with, usable_seed
from ui.tabs.change.edit_controls import (
    DEFAULT,
    ENCODING_CHOICES,
    FILLED,
    OF_PICTURES,
    PAST,
    SETTING,
    SHOWN,
    EditControls,
    band_choices,
    mixing_panel,
    readings,
    reference_panel,
    region_panel,
    stage,
)
from ui.tabs.change.edit_results import edit_numbers, edit_pictures, sigma_line

SENTENCE = "Some modes of a reference are mixed into your picture; the control mixes all of them, at the same place."
FORMULA = """z′ = z + r G M (z<sub>r</sub> − z) &nbsp;·&nbsp; r ratio, G region, M chosen bands, in the control M = 1
&nbsp;·&nbsp; z<sub>r</sub> the reference, encoded at the edit time τ &nbsp;·&nbsp; x′ = D( e<sup>−τA</sup> z′ )"""
OWN_CONTROLS = ("tau", "bands", "low", "high", "order")  # what a model's card may choose
SETTLED_SECONDS = 2.0  # seconds: a slider that moves again within them is still in the same step of the history


# ---------------------------------------------------------------------------------------------------------------------
# The handlers


class Waiting(Mistake):
    """Something is still to be done by the visitor; the message says what, the field at which control."""


class EditTab:
    """The handlers; each can be called without a page.

    Their `values` are model, seed, label and `SETTING`, by name; of these low and high are edges in any order, ratio is
    in percent, and picture and mask may have another model's size.

    Args:
        library: the models.
        controls: of the tab, or their names.
    """

    def __init__(self, library: ModelLibrary, controls: EditControls):
        self.library, self.controls = library, controls
        self.thumbnails = Thumbnails()

    def request(
        self, model, seed, label, reference, other, other_label, picture, encoding, noise_seed, tau, low, high, bands,
        order, ratio, region, mask, levels, feather,
    ) -> tuple[Workbench, EditRequest]:  # fmt: skip
        """Whom and what the controls ask; what does not go with the rest of them gives way.

        Raises:
            Waiting: a seed is being typed, nothing is painted, no band is ticked.
            UserError: a value out of range.
        """
        if not all(map(usable_seed, (seed, other, noise_seed))):
            raise Waiting("Each seed is a whole number from 0 to 4294967295.", "seed")
        if not bands:
            raise Waiting("Tick at least one band to mix.", "bands")
        if region == "painted" and mask is None:
            raise Waiting("Paint on the picture where the reference may come in.", "mask")
        bench = self.library.get(model)
        return bench, EditRequest(
            seed,
            fitting_label(bench, label),
            reference,
            other,
            fitting_label(bench, other_label),
            fitted(picture, bench.side) if reference == "picture" else None,
            encoding if reference == "seed" or encoding in OF_PICTURES else "noise",
            noise_seed,
            tau,
            (min(low, high), max(low, high)),
            tuple(bands),
            order,
            round(ratio / 100, 10),
            region,
            fitted(mask, bench.side) if region == "painted" else None,
            tuple({*(levels or ())} & {*bench.all_levels}),
            feather,
        )

    def _answer(self, values: dict) -> tuple[dict, recipes.Recipe, np.ndarray]:
        """What is shown, its recipe, and the edited picture. Raises Waiting."""
        bench, request = self.request(**values)
        result, recipe, c = bench.edit(request), recipes.describe(request, bench), self.controls
        made = made_with(bench, request.seed, request.label)
        of = {"seed": f"seed {request.reference_seed}", "scene": f"scene {request.reference_seed}", "picture": ""}
        numbers, sigma = edit_numbers(result), sigma_line(request.tau, result.sigma)
        shown = {
            c.pictures: edit_pictures(result, request, of[request.reference], made),
            c.numbers: made.within(numbers),
            c.trade_off: gr.update(value=None, visible=False),  # it was of another edit
            c.sigma: sigma,
            c.save: save_value(result.edited, recipe, f"{bench.name}-seed{request.seed}-edit"),
            c.hint: "",
        }
        return shown, recipe, result.edited

    def show(self, **values) -> dict:
        """Pictures, numbers, noise level, what can be saved, and a hint."""
        try:
            return self._answer(values)[0]
        except Waiting as e:
            return {self.controls.hint: _hint(e)}

    def edit(self, past: History, last: tuple[str, float], **values) -> dict:
        """`show`, and the result goes into the history.

        Args:
            past: the history.
            last: the setting that was moved last, and when.
            **values: see the class.
        """
        c = self.controls
        try:
            shown, recipe, picture = self._answer(values)
        except Waiting as e:
            return {c.hint: _hint(e)}
        text, now = recipe.text, time.monotonic()
        self.thumbnails.keep(text, picture)
        what = ""
        if past.current is not None:
            before = recipes.from_json(past.current)
            if before.checkpoint != recipe.checkpoint:
                past = History()  # another model's results cannot be shown again with this one
            else:
                what = changed(before.request, recipe.request)
        moving = what != "" and last[0] == what and now - last[1] < SETTLED_SECONDS
        past = history.push(past, text, instead=moving)
        return {**shown, **self.shown_past(past), c.last: (what or last[0], now)}

    def trade_off(self, **values) -> dict:
        """Detail gained against layout moved of this edit and of its control, at other ratios beside the one shown."""
        c = self.controls
        try:
            bench, request = self.request(**values)
        except Waiting as e:
            return {c.hint: _hint(e)}
        ratios = sorted({*CURVE_RATIOS, request.ratio} - {0.0})
        results = [bench.edit(replace(request, ratio=r)) for r in ratios]
        figure = editing.trade_off(
            ratios, [r.numbers for r in results], [r.numbers_control for r in results], request.ratio
        )
        return {c.trade_off: gr.update(value=figure.to_json(), visible=True)}

    def shown_past(self, past: History) -> dict:
        """The past results, and whether undo and redo can be pressed."""
        c = self.controls
        return {
            c.past: past,
            c.strip: self.thumbnails.strip(past),
            c.undo: gr.update(interactive=past.can_undo),
            c.redo: gr.update(interactive=past.can_redo),
        }

    def opened(self, known: str | None, past: History, last: tuple, *, filled: bool = False, **values) -> dict:
        """The view with the chosen picture: its edit, its canvas, and of another model than `known` its classes.

        Args:
            known: the model that was shown, None at first.
            past, last: see `edit`.
            filled: the program has set the values; else those that nobody moved become the other model's own.
            **values: see the class.
        """
        model, c = values["model"], self.controls
        shown: dict = {}
        if model != known:
            shown = {c.known: model, **self.classes(model, values["other_label"]), **self.levels(model)}
            begun, own = self.measured(known), self.measured(model)
            if not filled and own != begun and all(values[name] == begun[name] for name in begun):
                values |= own
                shown |= {getattr(c, name): value for name, value in own.items()}
        if model != known or filled:
            # at first the values may be older than those that a lesson or a recipe fills in just now
            stale = known is None and not filled and c.bands not in shown
            value = {} if stale else {"value": list(values["bands"] or [])}
            shown[c.bands] = self.bands(model, values["order"])[c.bands] | value
        paper = self.paper(*(values[name] for name in ("model", "seed", "label", "region", "mask")))
        return {**shown, **({} if paper == gr.skip() else paper), **self.edit(past, last, **values)}

    def stroke(self, event: gr.EventData, *, past: History, last: tuple, **values) -> dict:
        """A stroke on the canvas: the mask, and what `edit` gives."""
        mask = painted(event, self.library.get(values["model"]).side)
        return {self.controls.mask: mask, **self.edit(past, last, **values | {"mask": mask})}

    def paper(self, model, seed, label, region, mask) -> dict:
        """The canvas: the original, with what is painted on it."""
        if region != "painted" or not usable_seed(seed):
            return gr.skip()
        original = self.original(model, seed, label)
        return {self.controls.canvas: canvas_value(original, None if mask is None else fitted(mask, len(original)))}

    def original(self, model: str, seed: int, label: int) -> np.ndarray:
        """The picture of a seed."""
        request = GenerateRequest((seed,), fitting_label(self.library.get(model), label))
        return self.library.get(model).generate(request).pictures[0]

    def classes(self, model: str, label: int = NO_CLASS) -> dict:
        """The choices of the reference's class, for another model."""
        choices, label = class_choices(self.library, model), fitting_label(self.library.get(model), label)
        return {self.controls.other_label: gr.update(choices=choices, value=label, visible=len(choices) > 1)}

    def levels(self, model: str) -> dict:
        """The choices of the levels, for another model; what is ticked stays, as far as there is such a level."""
        return {self.controls.levels: gr.update(choices=level_choices(self.library, model))}

    def bands(self, model: str, order: str) -> dict:
        """The names of the bands, of another model or order."""
        return {self.controls.bands: gr.update(choices=band_choices(self.library.info(model), order))}

    def step(self, move: Callable[[History], History], past: History, model: str) -> tuple[dict, EditRequest | None]:
        """Another place in the history: what is shown of it, and the request there, None where there is none.

        Args:
            move: `history.undo`, `history.redo` or the like.
            past: the history.
            model: whose it is.
        """
        past = move(past)
        if past.current is None:
            return {}, None
        request = recipes.from_json(past.current).request
        named = self.bands(model, request.order)[self.controls.bands] | {"value": list(request.bands)}
        return {**self.shown_past(past), **self.fill(request), self.controls.bands: named}, request

    def chosen(self, event: gr.EventData, past: History) -> Callable[[History], History]:
        """The step to a past result that was clicked."""
        index = points(event, len(past.recipes))
        return lambda p: history.jump(p, index[0]) if index else p

    def of_reference(self, reference: str) -> dict:
        """What is there for a kind of reference: its number, the choice of a picture, encodings."""
        c = self.controls
        known = [(text, name) for text, name in ENCODING_CHOICES if reference == "seed" or name in OF_PICTURES]
        encodings = {"choices": known} if reference == "seed" else {"choices": known, "value": "noise"}
        return {
            c.other: gr.update(label="Scene" if reference == "scene" else "Reference seed"),
            c.number_box: gr.update(visible=reference != "picture"),
            c.chooser_box: gr.update(visible=reference == "picture"),
            c.encoding: gr.update(**encodings),  # only a seed has a trajectory to take the other two from
        }

    def settle(self, model: str, asked: Mapping[str, str], out: Mapping) -> dict:
        """What an address' reference and region show, and the classes of its model; see `BuiltTab.settle`."""
        c, shown = self.controls, {}
        brought = picture_of_address(asked, self.library.get(model).side, c.picture, c.photo, c.own)
        if brought is None:
            shown = {c.reference: "seed", **self.of_reference("seed")}
        elif c.reference.elem_id in asked:
            shown = self.of_reference(chosen(c.reference, out))
            if out.get(c.encoding) in OF_PICTURES:  # every reference has it
                shown[c.encoding].pop("value", None)
        shown |= brought or {}
        if c.region.elem_id in asked:
            shown[c.canvas_box] = gr.update(visible=chosen(c.region, out) == "painted")
        if (name := asked.get(c.other_label.elem_id)) is not None:
            shown |= self.classes(model, dict(class_choices(self.library, model)).get(name, NO_CLASS))
        if (text := asked.get(c.canvas.elem_id)) is not None:
            shown[c.mask] = unpacked(text)
        return shown

    def fill(self, request: EditRequest) -> dict:
        """An edit as values of the controls.

        Raises:
            UserError: what the tab has no control for.
        """
        if len(request.edges) != 2:
            raise UserError(
                "This edit has other than three bands, which the tab cannot show: ask /recipe for it.", "edges"
            )
        c, kind = self.controls, self.of_reference(request.reference)
        picture = {} if request.picture is None else {
            c.picture: request.picture, c.photo: None, c.own: own_value(request.picture),
        }  # fmt: skip
        return {
            **kind,
            **picture,
            c.reference: request.reference,
            c.other: kind[c.other] | {"value": request.reference_seed},
            c.other_label: request.reference_label,
            c.encoding: kind[c.encoding] | {"value": request.encoding},
            c.noise_seed: request.noise_seed,
            c.tau: request.tau,
            c.low: request.edges[0],
            c.high: request.edges[1],
            c.bands: list(request.bands),
            c.order: request.order,
            c.ratio: round(100 * request.ratio, 10),
            c.region: request.region,
            c.mask: request.mask,
            c.canvas_box: gr.update(visible=request.region == "painted"),
            c.levels: list(request.entries),
            c.feather: request.feather,
        }

    def measured(self, model: str | None) -> dict:
        """Bands, edges, order and time that a model's card keeps from a measurement, else the analysis' own."""
        try:
            told = {} if model is None else self.library.get(model).edit_defaults()
        except UserError:  # an own model, forgotten meanwhile
            told = {}
        first = replace(DEFAULT, **told)
        # a slider shows two digits
        low, high = (LOW_EDGE, HIGH_EDGE) if first.edges == DEFAULT.edges else first.edges
        return {"tau": first.tau, "bands": list(first.bands), "low": low, "high": high, "order": first.order}

    def defaults(self, model: str) -> dict:
        """The values that the tab opens with."""
        own = self.measured(model)
        edges = own.pop("low"), own.pop("high")
        return self.fill(replace(DEFAULT, edges=edges, **own))


def changed(before: EditRequest, after: EditRequest) -> str:
    """The one field that differs; "" when it is none or several."""
    old, new = before.as_settings(), after.as_settings()
    names = [name for name in new if old[name] != new[name]]
    return names[0] if len(names) == 1 else ""


def level_choices(library: ModelLibrary, model: str) -> list[tuple[str, int]]:
    """The levels of a model by name."""
    return [(e.name, e.index) for e in library.get(model).spectrum().entries]


def _hint(what: Waiting) -> str:
    return f'<p class="ks-line ks-todo" role="status">{what}</p>'


# ---------------------------------------------------------------------------------------------------------------------
# The page


def build_edit(work: Workspace, views: Views) -> BuiltTab:
    """Lay the tab out and wire it; nothing is computed before it is opened."""
    original = EditTab(work.library, EditControls.names()).original(*work.source.start)
    with views.frame.controls:
        intro(SENTENCE, FORMULA)
        with group():
            parts = reference_panel(work)
        with group():
            first = work.source.start[0]
            parts |= mixing_panel(level_choices(work.library, first), work.library.info(first))
        with group():
            parts |= region_panel()
    with views.frame.stage:
        parts |= stage(original)
    with views.frame.readings:
        parts |= readings()
    chooser = parts.pop("chooser")
    c = EditControls(
        **parts, picture=chooser.picture, photo=chooser.name, own=chooser.own, mask=gr.State(None),
        past=gr.State(History()), last=gr.State(("", 0.0)), known=gr.State(None),
    )  # fmt: skip
    tab = EditTab(work.library, c)
    rerun = _wire_edits(tab, work, views.opened["edit"], chooser)
    _wire_history(tab, work)

    def settle(asked: Mapping[str, str], out: Mapping) -> dict:
        return tab.settle(chosen(work.source.model, out), asked, out)

    binding = RecipeBinding(("edit",), "edit", c.listed(*FILLED), tab.fill, rerun)
    settled = c.listed("number_box", "chooser_box", "canvas_box", "other_label", "mask", "picture", "own")
    return BuiltTab(c, binding, settle, settled, {c.canvas.elem_id: ""})


QUIET = {"show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
SELDOM = {"trigger_mode": "multiple", **QUIET}


def _papered(tab: EditTab, work: Workspace) -> dict:
    c = tab.controls
    drawn = {**work.source.named, **c.named("region", "mask")}
    return {"fn": guarded(tab.paper), "inputs_kwargs": drawn, "outputs": c.canvas, **SELDOM}


def _wire_edits(tab: EditTab, work: Workspace, opened: Callable, chooser: Chooser) -> Callable[[Dependency], None]:
    """What makes an edit; gives what makes one after an event that set the controls."""
    c, source = tab.controls, work.source
    asked = {**c.named("past", "last"), **source.named, **c.named(*SETTING)}
    recorded = c.listed(*SHOWN, *PAST, "last")
    edited = {"fn": guarded(tab.edit), "inputs_kwargs": asked, "outputs": recorded}
    papered = _papered(tab, work)
    drawn = {"fn": guarded(tab.trade_off), "inputs_kwargs": {**source.named, **c.named(*SETTING)}}
    c.draw.click(**drawn, outputs=[c.trade_off, c.hint], show_progress_on=c.trade_off, **MODEL_QUEUE, **PRIVATE)
    light = {"queue": False, "trigger_mode": "multiple", "show_progress": "hidden", **PRIVATE}

    # `release` alone would miss the keyboard and `input` alone the reset button; of all that wait, the last is answered
    sliders = c.listed("tau", "low", "high", "ratio", "feather")
    others = c.listed(
        "reference", "other", "other_label", "encoding", "noise_seed", "bands", "order", "region", "levels"
    )
    moved = [*(p.input for p in (*others, *sliders)), *(s.release for s in sliders)]
    gr.on(moved, **edited, trigger_mode="always_last", **QUIET)
    of_reference = c.listed("other", "number_box", "chooser_box", "encoding")
    c.reference.input(guarded(tab.of_reference), c.reference, of_reference, **light)
    c.order.input(guarded(tab.bands), [source.model, c.order], c.bands, **light)
    c.region.input(guarded(lambda name: gr.update(visible=name == "painted")), c.region, c.canvas_box, **light)
    c.region.input(**papered)
    c.canvas.apply(
        guarded(tab.stroke), inputs_kwargs=asked, outputs=[c.mask, *recorded], trigger_mode="always_last", **QUIET
    )
    for event in (*chooser.chosen, c.dice.click(None, None, c.other, js=DICE, **PRIVATE)):
        event.success(**edited, **SELDOM)
    shown = {
        "fn": guarded(tab.opened), "inputs_kwargs": {"known": c.known, **asked},
        "outputs": list(
            dict.fromkeys([*c.listed("known", "other_label", "levels", "canvas", *OWN_CONTROLS), *recorded])
        ),
        **SELDOM,
    }  # fmt: skip
    opened(**shown)

    def rerun(event: Dependency) -> None:
        event.success(**shown | {"fn": guarded(functools.partial(tab.opened, filled=True))})

    rerun(c.reset.click(guarded(tab.defaults), source.model, c.listed(*FILLED), **SELDOM))
    return rerun


def _wire_history(tab: EditTab, work: Workspace) -> None:
    """Steps through the history, in the queue of the edits, which write it, too."""
    c, source = tab.controls, work.source

    def stepped(move: Callable[[History], History], past: History, model: str) -> dict:
        shown, request = tab.step(move, past, model)
        return {**shown, source.seed: request.seed, source.label: request.label} if request else gr.skip()

    def jumped(event: gr.EventData, past: History, model: str) -> dict:
        return stepped(tab.chosen(event, past), past, model)

    outputs = [*c.listed(*PAST, *FILLED), source.seed, source.label]
    shown = {
        "fn": guarded(tab.show), "inputs_kwargs": {**source.named, **c.named(*SETTING)}, "outputs": c.listed(*SHOWN),
    }  # fmt: skip
    for event in (
        c.undo.click(guarded(functools.partial(stepped, history.undo)), [c.past, source.model], outputs, **SELDOM),
        c.redo.click(guarded(functools.partial(stepped, history.redo)), [c.past, source.model], outputs, **SELDOM),
        c.strip.select(guarded(jumped), [c.past, source.model], outputs, **SELDOM),
    ):
        event.success(**shown, **SELDOM).success(**_papered(tab, work))
