"""Tab "Edit": what its controls ask for, what is shown of it, and the history of its results."""

from __future__ import annotations

import hashlib
import html
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

import gradio as gr
import numpy as np

from analysis.core.errors import UserError
from analysis.koopman.editing import EditNumbers
from analysis.koopman.spectrum import band_names
from analysis.recipes import recipe as recipes
from analysis.recipes.settings import EditSettings, Settings
from analysis.workbench.editing import EditRequest, EditResult
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from ui.components.html import GLYPHS, data_uri, figure_html, group_html
from ui.components.painter import canvas_value, painted
from ui.components.picture_chooser import fitted, side_of
from ui.components.plot import points
from ui.components.save_bar import save_value
from ui.source import NO_CLASS, class_choices, fitting_label, usable_seed
from ui.tabs import edit_history
from ui.tabs.edit_history import History

_CLICKS = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-index]");
  if (button) trigger("select", { points: [Number(button.dataset.index)] });
});"""


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
    said = "The edit at five ratios; on the right its limit: all bands, everywhere, 100 %."
    return f'{large}<p class="ks-line ks-after">{said}</p>{group_html("ks-strip", *small)}'


MEASURED = (
    ("outside", "change outside the region", "mean squared; 0 = untouched"),
    ("high_correlation", "detail shared with the reference inside", "correlation of the high-pass parts; 1 = the same"),
    ("low_distance", "layout moved away from the original", "mean squared, low-pass parts; 0 = in place"),
)


def edit_numbers(result: EditResult) -> str:
    """The three numbers of edit and control side by side, and one sentence."""

    def shown(numbers: EditNumbers, name: str) -> str:
        value = getattr(numbers, name)
        if value is None:
            return "nothing to measure"
        return f"{value:.4f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.0e}"

    rows = "".join(
        f"<tr><th>{title} <small>{how}</small></th><td>{shown(result.numbers, name)}</td>"
        f"<td>{shown(result.numbers_control, name)}</td></tr>"
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
# Past results


def history_strip(**kwargs) -> gr.HTML:
    """Small pictures of past results; a click triggers `select`, to be read with `ui.components.plot.points`.

    Value: `history_html(...)`.
    """
    return gr.HTML(history_html((), -1), js_on_load=_CLICKS, **kwargs)


def history_html(pictures: Sequence[np.ndarray | None], at: int) -> str:
    """One button a result, the one that is shown marked; a number where the picture is not at hand any more."""
    if not pictures:
        return '<p class="ks-line">Every result of this visit will be kept here.</p>'
    buttons = "".join(
        f'<button type="button" data-index="{i}" aria-label="Result {i + 1}"{_current(i == at)}>'
        + (f"<span>{i + 1}</span>" if p is None else f'<img src="{data_uri(p)}" alt="">')
        + "</button>"
        for i, p in enumerate(pictures)
    )
    return f'<div class="ks-history" role="group" aria-label="Past results">{buttons}</div>'


def _current(yes: bool) -> str:
    return ' aria-current="true"' if yes else ""


DEFAULT = EditRequest(0)  # the analysis' own defaults
LOW, HIGH = 0.33, 0.67  # its edges, as far as a slider shows them
SETTLED = 2.0  # seconds: a slider that moves again within them is still in the same step of the history
THUMBNAILS = 2000  # kept in all
REGIONS = (
    ("whole picture", "whole"),
    ("lower half", "lower-half"),
    ("lower-left triangle", "lower-left-triangle"),
    ("lower-left quarter", "lower-left-quadrant"),
    ("painted", "painted"),
)
REFERENCES = (("another seed", "seed"), ("a drawn scene", "scene"), ("a picture", "picture"))
ENCODINGS = (("with added noise", "noise"), ("teacher's state", "ode"), ("its own path", "latent"))
RESULT = 5  # values of `EditTab.show`
FILLED = 18  # values of `fill`


class Waiting(Exception):
    """Something is still to be done by the visitor; the message says what."""


class Thumbnails:
    """Small pictures of recipes, the latest THUMBNAILS of them; when one is gone, its number is shown instead."""

    def __init__(self):
        self._pictures: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    @staticmethod
    def _key(recipe: str) -> str:
        return hashlib.sha256(recipe.encode()).hexdigest()

    def keep(self, recipe: str, picture: np.ndarray) -> None:
        with self._lock:
            self._pictures[self._key(recipe)] = picture
            while len(self._pictures) > THUMBNAILS:
                self._pictures.popitem(last=False)

    def find(self, recipe: str) -> np.ndarray | None:
        with self._lock:
            return self._pictures.get(self._key(recipe))


class EditTab:
    """The handlers; each can be called without a page.

    Their `values` are, in this order: model, seed, label, reference, its seed, its class, its picture, encoding, noise
    seed, tau, two edges, bands, order, ratio in percent, region, painted mask.
    """

    def __init__(self, library: ModelLibrary):
        self.library = library
        self.thumbnails = Thumbnails()

    def request(
        self, model, seed, label, reference, other, other_label, picture, encoding, noise_seed, tau, low, high, bands,
        order, ratio, region, mask,
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
            encoding if reference == "seed" else "noise",
            noise_seed,
            tau,
            (min(low, high), max(low, high)),
            tuple(bands),
            order,
            round(ratio / 100, 10),
            region,
            fitted(mask, side) if region == "painted" else None,
        )

    def _ask(self, values: tuple) -> tuple:
        request = self.request(*values)
        bench = self.library.get(values[0])
        result, recipe = bench.edit(request), recipes.describe(request, bench)
        of = {"seed": f"seed {request.reference_seed}", "scene": f"scene {request.reference_seed}", "picture": ""}
        shown = (
            edit_pictures(result, request.ratio, of[request.reference], bench.name, request.seed),
            edit_numbers(result),
            sigma_line(request.tau, result.sigma),
            save_value(result.edited, recipe, f"{bench.name}-seed{request.seed}-edit"),
            "",
        )
        return shown, recipe, result.edited

    def show(self, *values) -> tuple:
        """Pictures, numbers, noise level, what can be kept, and a hint."""
        try:
            return self._ask(values)[0]
        except Waiting as e:
            return *(gr.skip(),) * (RESULT - 1), _hint(e)

    def edited(self, past: History, last: tuple[str, float], *values) -> tuple:
        """`show`, and the result goes into the history.

        Args:
            past: the history.
            last: the setting that was moved last, and when.
            values: see the class.

        Returns:
            `show`, the history, `last` and `strip`.
        """
        try:
            shown, recipe, picture = self._ask(values)
        except Waiting as e:
            return *(gr.skip(),) * (RESULT - 1), _hint(e), *(gr.skip(),) * 5
        text, now = recipes.to_json(recipe), time.monotonic()
        self.thumbnails.keep(text, picture)
        what = ""
        if past.current is not None:
            before = recipes.from_json(past.current)
            if before.checkpoint != recipe.checkpoint:
                past = History()  # another model's results cannot be shown again with this one
            else:
                what = changed(before.settings, recipe.settings)
        moving = what != "" and last[0] == what and now - last[1] < SETTLED
        past = edit_history.push(past, text, instead=moving)
        return *shown, past, (what or last[0], now), *self.strip(past)

    def strip(self, past: History) -> tuple:
        """The past results, and whether undo and redo can be pressed."""
        pictures = [self.thumbnails.find(text) for text in past.recipes]
        return history_html(pictures, past.at), _button(past.can_undo), _button(past.can_redo)

    def follow(self, seen: bool, *rest) -> tuple:
        """Another seed, class or model: the edit of the new picture, unless nobody looks."""
        return self.edited(*rest) if seen else (gr.skip(),) * (RESULT + 5)

    def stroke(self, event: gr.EventData, past: History, last: tuple, *values) -> tuple:
        """A stroke on the canvas: the mask, and what `edited` gives."""
        mask = painted(event, side_of(self.library, values[0]))
        return mask, *self.edited(past, last, *values[:-1], mask)

    def paper(self, model, seed, label, region, mask):
        """The canvas: the original, with what is painted on it."""
        if region != "painted" or not usable_seed(seed):
            return gr.skip()
        original = self.original(model, seed, label)
        return canvas_value(original, None if mask is None else fitted(mask, len(original)))

    def original(self, model: str, seed: int, label: int) -> np.ndarray:
        """The picture of a seed."""
        request = GenerateRequest((seed,), fitting_label(self.library, model, label))
        return self.library.get(model).generate(request).pictures[0]

    def classes(self, model: str) -> dict:
        """The reference's class, for another model."""
        choices = class_choices(self.library, model)
        return gr.update(choices=choices, value=NO_CLASS, visible=len(choices) > 1)

    def step(self, move, past: History) -> tuple:
        """Another place in the history: history, `strip`, seed and class, and `fill`.

        Args:
            move: `history.undo`, `history.redo` or the like.
            past: the history.
        """
        past = move(past)
        if past.current is None:
            return (gr.skip(),) * (6 + FILLED)
        settings = recipes.from_json(past.current).settings
        return past, *self.strip(past), settings.seed, settings.label, *fill(settings)

    def back_to(self, past: History, event: gr.EventData) -> tuple:
        """A click on a past result."""
        chosen = points(event, len(past.recipes))
        return self.step(lambda p: edit_history.jump(p, chosen[0]) if chosen else p, past)


def changed(before: Settings, after: Settings) -> str:
    """The one setting that differs; "" when it is none or several."""
    names = [n for n in type(after).model_fields if getattr(before, n) != getattr(after, n)]
    return names[0] if len(names) == 1 else ""


def _hint(what: Waiting) -> str:
    return f'<p class="ks-line ks-todo" role="status">{what}</p>'


def _button(on: bool) -> dict:
    return gr.update(interactive=on)


def band_choices(order: str) -> list[tuple[str, int]]:
    """The three bands by name."""
    return [(f"{GLYPHS[b]} {name}", b) for b, name in enumerate(band_names(3, order))]


def of_reference(reference: str) -> tuple:
    """What is there for a kind of reference: the name of its number, the number, the choice of a picture, encodings."""
    return (
        gr.update(label="Scene" if reference == "scene" else "Reference seed"),
        gr.update(visible=reference != "picture"),
        gr.update(visible=reference == "picture"),
        # only a seed has a trajectory to take the other two from
        gr.update(choices=ENCODINGS) if reference == "seed" else gr.update(choices=ENCODINGS[:1], value="noise"),
    )


def fill(settings: EditSettings) -> tuple:
    """An edit's settings as values of the controls, see `Opens`.

    Raises:
        UserError: other than three bands, which the tab's two sliders cannot show.
    """
    if len(settings.edges) != 2:
        raise UserError("This edit has other than three bands, which the tab cannot show: ask /recipe for it.")
    request = settings.request()
    number, number_box, chooser, encoding = of_reference(settings.reference)
    brought = request.picture is not None
    return (
        settings.reference,
        {**number, "value": settings.reference_seed},
        number_box,
        settings.reference_label,
        chooser,
        request.picture if brought else gr.skip(),
        None if brought else gr.skip(),
        {**encoding, "value": settings.encoding},
        settings.noise_seed,
        settings.tau,
        *settings.edges,
        gr.update(choices=band_choices(settings.order), value=settings.bands),
        settings.order,
        round(100 * settings.ratio, 10),
        settings.region,
        request.mask,
        gr.update(visible=settings.region == "painted"),
    )


def defaults() -> tuple:
    """The values that the tab opens with."""
    return fill(EditSettings.of(EditRequest(0, edges=(LOW, HIGH))))
