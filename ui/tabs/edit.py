"""View "Mix" of "Change": modes of a reference mixed into a picture, beside a control; and its history."""

from __future__ import annotations

import functools
import html
import time
from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
import numpy as np
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.core.fields import HIGH_EDGE, LOW_EDGE
from analysis.koopman.editing import EditNumbers
from analysis.koopman.spectrum import band_names
from analysis.recipes import recipe as recipes
from analysis.workbench.editing import EditRequest, EditResult
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from ui.components import history
from ui.components.controls import Controls
from ui.components.history import History, Thumbnails, history_html, history_strip
from ui.components.html import GLYPHS, figure_html, group_html, heading
from ui.components.layout import group, intro
from ui.components.painter import canvas, canvas_value, painted
from ui.components.picture_chooser import Chooser, fitted, picture_chooser, side_of
from ui.components.plot import points
from ui.components.save_bar import RecipeBinding, save_bar, save_value
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import DICE, NO_CLASS, BuiltTab, Views, Workspace, class_choices, fitting_label, usable_seed

SENTENCE = "Some modes of a reference are mixed into your picture; the control mixes all of them, at the same place."
FORMULA = """z′ = z + r G M (z<sub>r</sub> − z) &nbsp;·&nbsp; r ratio, G region, M chosen bands, in the control M = 1
&nbsp;·&nbsp; z<sub>r</sub> the reference, encoded at the edit time τ &nbsp;·&nbsp; x′ = D( e<sup>−τA</sup> z′ )"""
DEFAULT = EditRequest(0)  # the analysis' own defaults
SETTLED_SECONDS = 2.0  # seconds: a slider that moves again within them is still in the same step of the history
REGION_CHOICES = (
    ("whole picture", "whole"),
    ("lower half", "lower-half"),
    ("lower-left triangle", "lower-left-triangle"),
    ("lower-left quarter", "lower-left-quadrant"),
    ("painted", "painted"),
)
REFERENCE_CHOICES = (("another seed", "seed"), ("a drawn scene", "scene"), ("a picture", "picture"))
ENCODING_CHOICES = (
    ("with added noise", "noise"), ("inverted by the teacher", "inversion"), ("teacher's state", "ode"),
    ("its own path", "latent"),
)  # fmt: skip
OF_PICTURES = ("noise", "inversion")  # encodings of a reference that has no trajectory
EDIT_PLACEHOLDER = '<p class="ks-line">The first edit appears in a moment.</p>'


def sigma_line(tau: float, sigma: float) -> str:
    """The edit time as a noise level."""
    return f'<p class="ks-line">τ = {tau:.2f} is noise level σ = {sigma:.3g}.</p>'


def edit_pictures(result: EditResult, ratio: float, of: str, model: str, seed: int) -> str:
    """Original, edit, control, reference; below, smaller: the edit at five ratios, and what the reference encodes to.

    Args:
        result: the edit.
        ratio: 0 to 1.
        of: what the reference is.
        model, seed: of the original.
    """
    name = f"{model}-seed{seed}-edit"
    large = group_html(
        "ks-pictures ks-four",
        figure_html(result.original, "Original", f"seed {seed}"),
        figure_html(result.edited, "Edited", f"chosen bands, {ratio:.0%}", f"{name}.png"),
        figure_html(result.control, "Control", f"all bands, {ratio:.0%}", f"{name}-control.png"),
        figure_html(result.reference, "Reference", of),
    )
    small = [figure_html(p, f"{r:.0%}") for p, r in zip(result.strip, result.strip_ratios, strict=True)]
    small.append(figure_html(result.encoded, "Limit"))
    note = "The edit at five ratios; on the right its limit: all bands, everywhere, 100 %."
    return f'{large}<p class="ks-line ks-after">{note}</p>{group_html("ks-strip", *small)}'


MEASURED = (
    ("outside", "change outside the region", "mean squared; 0 = untouched"),
    ("high_correlation", "detail shared with the reference inside", "correlation of the high-pass parts; 1 = the same"),
    ("low_distance", "layout moved away from the original", "mean squared, low-pass parts; 0 = in place"),
)


def edit_numbers(result: EditResult) -> str:
    """The three numbers of edit and control side by side, and one sentence."""

    def text(numbers: EditNumbers, name: str) -> str:
        value = getattr(numbers, name)
        if value is None:
            return "nothing to measure"
        return f"{value:.4f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.0e}"

    rows = "".join(
        f"<tr><th>{title} <small>{how}</small></th><td>{text(result.numbers, name)}</td>"
        f"<td>{text(result.numbers_control, name)}</td></tr>"
        for name, title, how in MEASURED
    )
    table = (
        '<table class="ks-bands"><thead><tr><th></th><td>edited</td><td>control</td></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    return f'<p class="ks-verdict">{html.escape(in_words(result))}</p><div class="ks-numbers">{table}</div>'


def in_words(result: EditResult) -> str:
    """One sentence that says what the numbers say, whichever way they fall."""
    mixed = f"{result.share:.0%} of all modes take part. "
    edit, control = result.numbers, result.numbers_control
    if edit.low_distance == 0 and control.low_distance == 0:
        return mixed + "Nothing changed: raise the ratio."
    layout = _compared(edit.low_distance, control.low_distance, "Beside the control, the edit moved the layout")
    if edit.high_correlation is None or control.high_correlation is None:
        return f"{mixed}{layout}."
    difference = edit.high_correlation - control.high_correlation
    if abs(difference) < 0.005:
        return f"{mixed}{layout}, and shares as much fine detail with the reference."
    return f"{mixed}{layout}, and shares {'more' if difference > 0 else 'less'} fine detail with the reference."


def _compared(a: float, b: float, what: str) -> str:
    if max(a, b) <= 1.02 * min(a, b):
        return f"{what} as much"
    if a < b:
        return f"{what} {b / a:.1f} times less" if a > 0 else f"{what} not at all"
    return f"{what} {a / b:.1f} times more" if b > 0 else f"{what}, which the control did not"


# ---------------------------------------------------------------------------------------------------------------------
# The handlers


@dataclass(frozen=True)
class EditControls(Controls):
    """Components of the tab.

    `mask` is what is painted, `past` the history, `last` the setting that was moved last and when, `known` the
    model that is shown; boxes are what is shown or hidden as a whole.
    """

    reference: gr.Radio
    number_box: gr.Column
    other: gr.Number
    dice: gr.Button
    other_label: gr.Dropdown
    chooser_box: gr.Column
    picture: gr.State
    photo: gr.Dropdown
    encoding: gr.Radio
    tau: gr.Slider
    sigma: gr.HTML
    ratio: gr.Slider
    bands: gr.CheckboxGroup
    low: gr.Slider
    high: gr.Slider
    order: gr.Radio
    noise_seed: gr.Number
    levels: gr.CheckboxGroup
    region: gr.Radio
    feather: gr.Slider
    canvas_box: gr.Column
    canvas: gr.HTML
    hint: gr.HTML
    pictures: gr.HTML
    numbers: gr.HTML
    save: gr.HTML
    undo: gr.Button
    redo: gr.Button
    reset: gr.Button
    strip: gr.HTML
    mask: gr.State
    past: gr.State
    last: gr.State
    known: gr.State


SETTING = (  # what an edit is made of, beside model, seed and class
    "reference", "other", "other_label", "picture", "encoding", "noise_seed", "tau", "low", "high", "bands", "order",
    "ratio", "region", "mask", "levels", "feather",
)  # fmt: skip
SHOWN = ("pictures", "numbers", "sigma", "save", "hint")
PAST = ("past", "strip", "undo", "redo")
FILLED = (*SETTING, "number_box", "chooser_box", "photo", "canvas_box")


class Waiting(Exception):
    """Something is still to be done by the visitor; the message says what."""


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
    ) -> EditRequest:  # fmt: skip
        """What the controls ask for; what does not go with the rest of them gives way.

        Raises:
            Waiting: a seed is being typed, nothing is painted, no band is ticked.
            UserError: a value out of range.
        """
        if not all(map(usable_seed, (seed, other, noise_seed))):
            raise Waiting("Each seed is a whole number from 0 to 4294967295.")
        if not bands:
            raise Waiting("Tick at least one band to mix.")
        if region == "painted" and mask is None:
            raise Waiting("Paint on the picture where the reference may come in.")
        side = side_of(self.library, model)
        return EditRequest(
            seed,
            fitting_label(self.library, model, label),
            reference,
            other,
            fitting_label(self.library, model, other_label),
            fitted(picture, side) if reference == "picture" else None,
            encoding if reference == "seed" or encoding in OF_PICTURES else "noise",
            noise_seed,
            tau,
            (min(low, high), max(low, high)),
            tuple(bands),
            order,
            round(ratio / 100, 10),
            region,
            fitted(mask, side) if region == "painted" else None,
            tuple(i for i in levels or () if i < len(self.library.get(model).entries)),
            feather,
        )

    def _answer(self, values: dict) -> tuple[dict, recipes.Recipe, np.ndarray]:
        """What is shown, its recipe, and the edited picture. Raises Waiting."""
        request = self.request(**values)
        bench, c = self.library.get(values["model"]), self.controls
        result, recipe = bench.edit(request), recipes.describe(request, bench)
        of = {"seed": f"seed {request.reference_seed}", "scene": f"scene {request.reference_seed}", "picture": ""}
        shown = {
            c.pictures: edit_pictures(result, request.ratio, of[request.reference], bench.name, request.seed),
            c.numbers: edit_numbers(result),
            c.sigma: sigma_line(request.tau, result.sigma),
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
        text, now = recipes.to_json(recipe), time.monotonic()
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

    def shown_past(self, past: History) -> dict:
        """The past results, and whether undo and redo can be pressed."""
        c, pictures = self.controls, [self.thumbnails.find(text) for text in past.recipes]
        return {
            c.past: past,
            c.strip: history_html(pictures, past.at),
            c.undo: gr.update(interactive=past.can_undo),
            c.redo: gr.update(interactive=past.can_redo),
        }

    def opened(self, known: str, past: History, last: tuple, **values) -> dict:
        """The view with the chosen picture: its edit, its canvas, and of another model than `known` its classes."""
        model, c = values["model"], self.controls
        shown: dict = {}
        if model != known:
            shown = {c.known: model, **self.classes(model, values["other_label"]), **self.levels(model)}
        paper = self.paper(*(values[name] for name in ("model", "seed", "label", "region", "mask")))
        return {**shown, **({} if paper == gr.skip() else paper), **self.edit(past, last, **values)}

    def stroke(self, event: gr.EventData, *, past: History, last: tuple, **values) -> dict:
        """A stroke on the canvas: the mask, and what `edit` gives."""
        mask = painted(event, side_of(self.library, values["model"]))
        return {self.controls.mask: mask, **self.edit(past, last, **values | {"mask": mask})}

    def paper(self, model, seed, label, region, mask) -> dict:
        """The canvas: the original, with what is painted on it."""
        if region != "painted" or not usable_seed(seed):
            return gr.skip()
        original = self.original(model, seed, label)
        return {self.controls.canvas: canvas_value(original, None if mask is None else fitted(mask, len(original)))}

    def original(self, model: str, seed: int, label: int) -> np.ndarray:
        """The picture of a seed."""
        request = GenerateRequest((seed,), fitting_label(self.library, model, label))
        return self.library.get(model).generate(request).pictures[0]

    def classes(self, model: str, label: int = NO_CLASS) -> dict:
        """The choices of the reference's class, for another model."""
        choices, label = class_choices(self.library, model), fitting_label(self.library, model, label)
        return {self.controls.other_label: gr.update(choices=choices, value=label, visible=len(choices) > 1)}

    def levels(self, model: str) -> dict:
        """The choices of the levels, for another model; what is ticked stays, as far as there is such a level."""
        return {self.controls.levels: gr.update(choices=level_choices(self.library, model))}

    def step(self, move: Callable[[History], History], past: History) -> tuple[dict, EditRequest | None]:
        """Another place in the history: what is shown of it, and the request there, None where there is none.

        Args:
            move: `history.undo`, `history.redo` or the like.
            past: the history.
        """
        past = move(past)
        if past.current is None:
            return {}, None
        request = recipes.from_json(past.current).request
        return {**self.shown_past(past), **self.fill(request)}, request

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
        picture = {} if request.picture is None else {c.picture: request.picture, c.photo: None}
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
            c.bands: gr.update(choices=band_choices(request.order), value=list(request.bands)),
            c.order: request.order,
            c.ratio: round(100 * request.ratio, 10),
            c.region: request.region,
            c.mask: request.mask,
            c.canvas_box: gr.update(visible=request.region == "painted"),
            c.levels: list(request.entries),
            c.feather: request.feather,
        }

    def defaults(self) -> dict:
        """The values that the tab opens with."""
        return self.fill(EditRequest(0, edges=(LOW_EDGE, HIGH_EDGE)))


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


def band_choices(order: str) -> list[tuple[str, int]]:
    """The three bands by name."""
    return [(f"{GLYPHS[b]} {name}", b) for b, name in enumerate(band_names(3, order))]


# ---------------------------------------------------------------------------------------------------------------------
# The page


def _reference_panel(work: Workspace) -> dict:
    """What is brought in, and at which time."""
    parts: dict = {}
    library, source = work.library, work.source
    classes = class_choices(library, source.start[0])
    gr.HTML(heading("Reference", "what is brought in"))
    parts["reference"] = gr.Radio(
        REFERENCE_CHOICES, value="seed", label="Reference", show_label=False, container=False, elem_id="edit-reference"
    )
    with gr.Row(elem_classes="ks-two"):
        with gr.Column(min_width=100) as parts["number_box"]:
            parts["other"] = gr.Number(
                DEFAULT.reference_seed, label="Reference seed", info="picks its noise", precision=0,
                elem_id="edit-other",
            )  # fmt: skip
            parts["dice"] = gr.Button("Another", size="sm", elem_id="edit-dice")
        parts["other_label"] = gr.Dropdown(
            classes, value=NO_CLASS, label="Its class", info="of the reference", visible=len(classes) > 1,
            filterable=False, elem_id="edit-other-label", min_width=120,
        )  # fmt: skip
    with gr.Column(visible=False, min_width=0) as parts["chooser_box"]:
        parts["chooser"] = picture_chooser(library, source.model, source.start[0], "edit")
    parts["encoding"] = gr.Radio(
        ENCODING_CHOICES, value="noise", label="How the reference is read", elem_id="edit-encoding",
        info="at the edit time; on its own path the time cannot matter",
    )  # fmt: skip
    parts["tau"] = gr.Slider(
        0, 1, DEFAULT.tau, step=0.01, label="Edit time τ", info="0 = picture, 1 = noise, 0.5 = midpoint",
        buttons=["reset"], elem_id="edit-tau",
    )  # fmt: skip
    parts["sigma"] = gr.HTML(elem_id="edit-sigma")
    return parts


def _mixing_panel(levels: list[tuple[str, int]]) -> dict:
    """How much of which bands."""
    parts: dict = {}
    gr.HTML(heading("What is mixed", "pictures follow at once"))
    parts["ratio"] = gr.Slider(
        0, 100, 100 * DEFAULT.ratio, step=1, label="Mixing ratio, %", buttons=["reset"],
        info="0 = original, 100 = reference", elem_id="edit-ratio",
    )  # fmt: skip
    parts["bands"] = gr.CheckboxGroup(
        band_choices("alpha"), value=list(DEFAULT.bands), label="Bands", elem_id="edit-bands",
        info="of all modes by rank of α within each level",
    )  # fmt: skip
    parts["levels"] = gr.CheckboxGroup(
        levels, value=[], label="Levels", elem_id="edit-levels", elem_classes="ks-chips",
        info="none ticked: all of them",
    )  # fmt: skip
    for i, (part, name, value) in enumerate((("low", "First", LOW_EDGE), ("high", "Second", HIGH_EDGE))):
        parts[part] = gr.Slider(
            0, 1, value, step=0.01, label=f"{name} edge", info="share of modes below", buttons=["reset"],
            elem_id=f"edit-edge-{i}",
        )  # fmt: skip
    with gr.Column(min_width=0):
        parts["order"] = gr.Radio(
            [("signed α", "alpha"), ("size |α|", "abs")], value="alpha", label="Order of modes",
            info="what bands are cut from", elem_id="edit-order", min_width=180, scale=3,
        )  # fmt: skip
        parts["noise_seed"] = gr.Number(
            DEFAULT.noise_seed, label="Seed of added noise", info="0 to 4294967295", precision=0,
            elem_id="edit-noise", min_width=120, scale=2,
        )  # fmt: skip
    return parts


def _region_panel() -> dict:
    """Where the reference comes in."""
    gr.HTML(heading("Where"))
    region = gr.Radio(
        REGION_CHOICES, value=DEFAULT.region, label="Where", show_label=False, container=False, elem_id="edit-region",
        elem_classes="ks-chips",
    )  # fmt: skip
    feather = gr.Slider(
        0, 8, 0, step=0.5, label="Soft edge", info="of the region, 0 to 8 pixels", buttons=["reset"],
        elem_id="edit-feather",
    )  # fmt: skip
    return {"region": region, "feather": feather}


def _stage(original: np.ndarray) -> dict:
    """The canvas, where the region is painted, and the pictures."""
    parts: dict = {}
    parts["hint"] = gr.HTML(elem_id="edit-hint")
    with gr.Row(elem_classes="ks-pair ks-canvas-pair", elem_id="edit-result", equal_height=False):
        with gr.Column(visible=False, min_width=0) as parts["canvas_box"]:
            parts["canvas"] = canvas(original, elem_id="edit-canvas", label="Paint where the reference comes in")
        with gr.Column(min_width=0):
            parts["pictures"] = gr.HTML(EDIT_PLACEHOLDER, elem_id="edit-pictures")
    return parts


def _readings() -> dict:
    """Numbers, what can be saved, and the history."""
    parts: dict = {}
    with group():
        parts["numbers"] = gr.HTML(elem_id="edit-numbers")
        parts["save"] = save_bar(elem_id="edit-keep")
    with group():
        gr.HTML(heading("Edits of this visit", "click one"))
        with gr.Row(elem_classes="ks-buttons"):
            for part, text in (("undo", "↶ Undo"), ("redo", "↷ Redo"), ("reset", "Reset all")):
                parts[part] = gr.Button(
                    text, size="sm", min_width=70, interactive=part == "reset", elem_id=f"edit-{part}"
                )
        parts["strip"] = history_strip(elem_id="edit-history")
    return parts


def build_edit(work: Workspace, views: Views) -> BuiltTab:
    """Lay the tab out and wire it; nothing is computed before it is opened."""
    original = EditTab(work.library, EditControls.names()).original(*work.source.start)
    with views.frame.controls:
        intro(SENTENCE, FORMULA)
        with group():
            parts = _reference_panel(work)
        with group():
            parts |= _mixing_panel(level_choices(work.library, work.source.start[0]))
        with group():
            parts |= _region_panel()
    with views.frame.stage:
        parts |= _stage(original)
    with views.frame.readings:
        parts |= _readings()
    chooser = parts.pop("chooser")
    c = EditControls(
        **parts, picture=chooser.picture, photo=chooser.name, mask=gr.State(None), past=gr.State(History()),
        last=gr.State(("", 0.0)), known=gr.State(work.source.start[0]),
    )  # fmt: skip
    tab = EditTab(work.library, c)
    rerun = _wire_edits(tab, work, views.opened["edit"], chooser)
    _wire_history(tab, work)
    return BuiltTab(c, RecipeBinding(("edit",), "edit", c.listed(*FILLED), tab.fill, rerun))


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
    c.order.input(guarded(lambda name: gr.update(choices=band_choices(name))), c.order, c.bands, **light)
    c.region.input(guarded(lambda name: gr.update(visible=name == "painted")), c.region, c.canvas_box, **light)
    c.region.input(**papered)
    c.canvas.apply(
        guarded(tab.stroke), inputs_kwargs=asked, outputs=[c.mask, *recorded], trigger_mode="always_last", **QUIET
    )
    for event in (*chooser.chosen, c.dice.click(None, None, c.other, js=DICE, **PRIVATE)):
        event.success(**edited, **SELDOM)
    shown = {
        "fn": guarded(tab.opened), "inputs_kwargs": {"known": c.known, **asked},
        "outputs": list(dict.fromkeys([c.known, c.other_label, c.levels, c.canvas, *recorded])), **SELDOM,
    }  # fmt: skip
    opened(**shown)

    def rerun(event: Dependency) -> None:
        event.success(**shown)

    rerun(c.reset.click(guarded(tab.defaults), None, c.listed(*FILLED), **SELDOM))
    return rerun


def _wire_history(tab: EditTab, work: Workspace) -> None:
    """Steps through the history, in the queue of the edits, which write it, too."""
    c, source = tab.controls, work.source

    def stepped(move: Callable[[History], History], past: History) -> dict:
        shown, request = tab.step(move, past)
        return {**shown, source.seed: request.seed, source.label: request.label} if request else gr.skip()

    def jumped(event: gr.EventData, past: History) -> dict:
        return stepped(tab.chosen(event, past), past)

    outputs = [*c.listed(*PAST, *FILLED), source.seed, source.label]
    shown = {
        "fn": guarded(tab.show), "inputs_kwargs": {**source.named, **c.named(*SETTING)}, "outputs": c.listed(*SHOWN),
    }  # fmt: skip
    for event in (
        c.undo.click(guarded(functools.partial(stepped, history.undo)), c.past, outputs, **SELDOM),
        c.redo.click(guarded(functools.partial(stepped, history.redo)), c.past, outputs, **SELDOM),
        c.strip.select(guarded(jumped), c.past, outputs, **SELDOM),
    ):
        event.success(**shown, **SELDOM).success(**_papered(tab, work))
