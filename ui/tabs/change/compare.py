"""Views "Compare" and "Grid" of "Change": two settings side by side, and grids over any two parameters."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import gradio as gr

from analysis.core.fields import HIGH_EDGE, LOW_EDGE
from analysis.koopman.spectrum import BANDS
from analysis.metrics.image import PairNumbers, compare_pictures
from analysis.recipes import recipe
from analysis.workbench.library import ModelInfo, ModelLibrary
from analysis.workbench.spectrum import MaskRequest
from ui.components.bands import GAINS, keeping, kept_as
from ui.components.controls import Controls, chosen
from ui.components.html import facts, figure_html, heading, row_html
from ui.components.layout import group, intro, only
from ui.components.save_bar import save_bar, save_value
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import (
    NO_CLASS,
    BuiltTab,
    Source,
    Views,
    Workspace,
    class_choices,
    fitting_label,
    made_with,
    model_choices,
    readable,
)
from ui.tabs.change.grid import build_grid

SENTENCE = "Change one thing and keep the rest: two settings side by side, with the distance of their pictures."
FORMULA = """MSE and PSNR on the [−1, 1] scale of the 8-bit pictures &nbsp;·&nbsp; SSIM with a uniform 7×7 window
&nbsp;·&nbsp; LPIPS (Alex) only where its backbone is at hand"""


@dataclass(frozen=True)
class SideControls(Controls):
    """Components of one of the two settings."""

    model: gr.Dropdown
    seed: gr.Number
    label: gr.Dropdown
    low: gr.Slider
    high: gr.Slider
    small: gr.Slider
    middle: gr.Slider
    large: gr.Slider
    order: gr.Radio
    take: gr.Button


OF_A_SIDE = ("model", "seed", "label", "low", "high", *GAINS, "order")


@dataclass(frozen=True)
class CompareControls(Controls):
    """Components of what both sides show."""

    pictures: gr.HTML
    numbers: gr.HTML
    save_a: gr.HTML
    save_b: gr.HTML


class CompareTab:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the tab, or their names.
    """

    def __init__(self, library: ModelLibrary, controls: CompareControls):
        self.library, self.controls = library, controls

    def pair(self, **values) -> dict:
        """Both pictures, their difference, the numbers, and what can be saved of each.

        Args:
            **values: `OF_A_SIDE` of each side, the names ended by "_a" and "_b".
        """
        sides = {s: {name: values[f"{name}_{s}"] for name in OF_A_SIDE} for s in "ab"}
        if any(side["seed"] is None for side in sides.values()):  # cleared to type another number
            return gr.skip()
        c = self.controls
        shown, pictures, saves, mades = [], [], [], []
        for letter, side in sides.items():
            bench = self.library.get(side["model"])
            edges = (min(side["low"], side["high"]), max(side["low"], side["high"]))
            gains = tuple(side[name] for name in GAINS)
            label = fitting_label(bench, side["label"])
            request = MaskRequest(side["seed"], label, edges, gains, side["order"])
            picture = bench.mask_bands(request).masked
            name = f"{bench.name}-seed{request.seed}-{letter.upper()}"
            saves.append(save_value(picture, recipe.describe(request, bench), name))
            made = replace(made_with(bench, request.seed, label), at=f"-{letter}")
            shown.append(figure_html(picture, letter.upper(), made.words))
            mades.append(made)
            pictures.append(picture)
        both = compare_pictures(*pictures)
        same = both.numbers.mse == 0
        note = "equal in every pixel" if same else f"A − B, magnified × {both.magnification:.3g}, grey = equal"
        return {
            c.pictures: mades[0].within(
                mades[1].within(row_html(*shown, figure_html(both.difference, "Difference", note)))
            ),
            c.numbers: mades[0].within(mades[1].within(_numbers(both.numbers))),
            c.save_a: saves[0],
            c.save_b: saves[1],
        }

    def take(self, side: SideControls, model: str, seed: int, label: int, order: str = "alpha") -> dict:
        """Model, seed and class of the bar above for one side."""
        choices = model_choices(self.library, () if model in readable(self.library) else (model,))
        of_model = self.of_model(side, model, order, label)
        return {side.model: gr.update(choices=choices, value=model), side.seed: seed, **of_model}

    def of_model(self, side: SideControls, model: str, order: str, label: int = NO_CLASS) -> dict:
        """The choices of a side's class, and what its bands are called."""
        choices = class_choices(self.library, model)
        value = fitting_label(self.library.get(model), label)
        return {
            side.label: gr.update(choices=choices, value=value, visible=len(choices) > 1),
            **self.band_words(side, model, order),
        }

    def band_words(self, side: SideControls, model: str, order: str) -> dict:
        """What a side's bands are called."""
        return kept_as(side.listed(*GAINS), self.library.info(model), order)


def _numbers(numbers: PairNumbers) -> str:
    pairs = [
        (f"{numbers.mse:.4g}", "MSE"),
        ("∞" if numbers.psnr is None else f"{numbers.psnr:.1f} dB", "PSNR"),
        (f"{numbers.ssim:.3f}", "SSIM"),
    ]
    if numbers.lpips is not None:
        pairs.append((f"{numbers.lpips:.3f}", "LPIPS (Alex)"))
    return facts(*pairs)


def _side(library: ModelLibrary, source: Source, letter: str, seed: int) -> SideControls:
    first, _, label = source.start
    name = letter.lower()
    classes = class_choices(library, first)
    with group(*(() if letter == "A" else ("compare",))):
        gr.HTML(heading(letter, "the grid starts from here" if letter == "A" else ""))
        model = gr.Dropdown(
            readable(library), value=first, label="Model", info="which network answers", elem_id=f"model-{name}",
            filterable=False,
        )  # fmt: skip
        with gr.Row(elem_classes="ks-two"):
            number = gr.Number(
                seed, label="Seed", info="picks the noise", precision=0, elem_id=f"seed-{name}", min_width=90
            )
            kind = gr.Dropdown(
                classes, value=label, label="Class", info="of the picture", visible=len(classes) > 1,
                elem_id=f"label-{name}", min_width=110, filterable=False,
            )  # fmt: skip
        with gr.Accordion("Bands", open=False, elem_id=f"bands-{name}"):
            bands = _bands(name, library.info(first))
        take = gr.Button("Copy model and seed from the header", size="sm", elem_id=f"take-{name}")
    return SideControls(model, number, kind, **bands, take=take)


def _bands(name: str, info: ModelInfo) -> dict:
    """Edges, retentions and order of one side."""
    parts: dict = {}
    for edge, part, value in (("Lower", "low", LOW_EDGE), ("Upper", "high", HIGH_EDGE)):
        parts[part] = gr.Slider(
            0, 1, value, step=0.01, label=f"{edge} edge", info="share of modes below", buttons=["reset"],
            elem_id=f"{part}-{name}",
        )  # fmt: skip
    for part, size, words in zip(GAINS, BANDS, keeping(info), strict=True):
        parts[part] = gr.Slider(0, 2, 1, step=0.05, buttons=["reset"], elem_id=f"gain-{size}-{name}", **words)
    parts["order"] = gr.Radio(
        [("signed α", "alpha"), ("size |α|", "abs")], value="alpha", label="Order of modes",
        info="what “smallest” means", elem_id=f"order-{name}",
    )  # fmt: skip
    return parts


def build_compare(work: Workspace, views: Views) -> BuiltTab:
    """Lay the tab out and wire it; nothing is computed before it is opened."""
    library, source, frame = work.library, work.source, views.frame
    with frame.controls:
        intro(SENTENCE, FORMULA, "compare")
        sides = {letter: _side(library, source, letter.upper(), source.start[1] + i) for i, letter in enumerate("ab")}
    with frame.stage, gr.Column(min_width=0, elem_classes=only("compare")):
        pictures = gr.HTML(elem_id="compare-pictures", elem_classes="ks-result")
    with frame.readings, group("compare"):
        numbers = gr.HTML(elem_id="compare-numbers", elem_classes="ks-result")
        saves = [save_bar(elem_id=f"keep-{letter}", elem_classes="ks-save-side") for letter in "ab"]
    c = CompareControls(pictures, numbers, *saves)
    tab = CompareTab(library, c)
    panel = build_grid(work, frame, sides["a"].named(*OF_A_SIDE))

    live = {"show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    both = {f"{name}_{s}": part for s, side in sides.items() for name, part in side.named(*OF_A_SIDE).items()}
    paired = {"fn": guarded(tab.pair), "inputs_kwargs": both, "outputs": c.listed(), **live}
    # one listener for everything: of two that are "always_last" each would start the other again
    looks = [views.opened["compare"]]
    for side in sides.values():
        bands = side.listed(*OF_A_SIDE[3:])
        looks += [side.seed.change, side.label.input, *(p.input for p in bands)]
        looks += [p.release for p in bands if isinstance(p, gr.Slider)]  # what Gradio's reset button tells
        named = side.listed(*GAINS)
        other = side.model.input(
            guarded(functools.partial(tab.of_model, side)), [side.model, side.order], [side.label, *named], **live
        )  # fmt: skip
        taken = side.take.click(
            guarded(functools.partial(tab.take, side)), [*source.inputs, side.order],
            [*side.listed("model", "seed", "label"), *named], **live,
        )  # fmt: skip
        side.order.input(
            guarded(functools.partial(tab.band_words, side)), [side.model, side.order], named, queue=False,
            show_progress="hidden", **PRIVATE,
        )  # fmt: skip
        for event in (other, taken):
            event.success(**paired)
    gr.on(looks, **paired, trigger_mode="always_last")

    def settle(asked: Mapping[str, str], out: Mapping) -> dict:
        """The classes of each side's model, and the directions of the grid."""
        updates: dict = panel.settle(asked, out)
        for side in sides.values():
            text = asked.get(side.label.elem_id)
            if text is not None or side.model in out:
                model = chosen(side.model, out)
                label = dict(class_choices(library, model)).get(text, NO_CLASS)
                updates |= tab.of_model(side, model, chosen(side.order, out), label)
        return updates

    return BuiltTab(c, settle=settle)
