"""Tab "Compare": two settings side by side with their difference in numbers, and grids over any two parameters."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from analysis.metrics.image import PairNumbers, compare_pictures
from analysis.recipes import recipe
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MaskRequest
from ui.components.html import facts, figure_html, heading, row_html
from ui.components.save_bar import save_bar, save_value
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import NO_CLASS, Source, class_choices, fitting_label, model_choices, readable
from ui.tabs.grid import build_grid_panel

LOW, HIGH = 0.33, 0.67
INTRO = """<p class="ks-intro">Change one thing and keep the rest: two settings side by side with the distance of their
pictures, or a grid over any two parameters. Cells of one seed share one encoding.</p>
<p class="ks-formula">MSE and PSNR on the [−1, 1] scale of the 8-bit pictures &nbsp;·&nbsp; SSIM with a uniform 7×7
window &nbsp;·&nbsp; LPIPS (Alex) only where its backbone is at hand</p>"""


class CompareTab:
    """The handlers; each can be called without a page."""

    def __init__(self, library: ModelLibrary):
        self.library = library

    def pair(self, *values) -> tuple:
        """Both pictures, their difference, the numbers, and what can be kept of each.

        Args:
            *values: twice model, seed, label, lower edge, upper edge, three retentions, order.
        """
        half = len(values) // 2
        if any(values[i] is None for i in (1, half + 1)):  # a box was cleared to type another number
            return (gr.skip(),) * 4
        shown, kept, pictures = [], [], []
        for letter, (model, seed, label, low, high, *gains, order) in zip(
            "AB", (values[:half], values[half:]), strict=True
        ):
            bench = self.library.get(model)
            request = MaskRequest(
                seed, fitting_label(self.library, model, label), (min(low, high), max(low, high)), tuple(gains), order
            )
            pictures.append(bench.mask_bands(request).masked)
            shown.append(figure_html(pictures[-1], letter, f"{bench.name}, seed {seed}"))
            kept.append(save_value(pictures[-1], recipe.describe(request, bench), f"{bench.name}-seed{seed}-{letter}"))
        both = compare_pictures(*pictures)
        same = both.numbers.mse == 0
        note = "equal in every pixel" if same else f"A − B, magnified × {both.magnification:.3g}, grey = equal"
        row = row_html(shown[0], shown[1], figure_html(both.difference, "Difference", note))
        return row, _numbers(both.numbers), *kept

    def side_of(self, model: str, seed: int, label: int) -> tuple:
        """Model, seed and class of the bar above for one side."""
        known = readable(self.library)
        choices = model_choices(self.library, () if model in known else (model,))
        return gr.update(choices=choices, value=model), seed, self.classes(model, label)

    def classes(self, model: str, label: int = NO_CLASS) -> dict:
        """The choices of a class."""
        choices = class_choices(self.library, model)
        fitting = fitting_label(self.library, model, label)
        return gr.update(choices=choices, value=fitting, visible=len(choices) > 1)


def _numbers(numbers: PairNumbers) -> str:
    pairs = [
        (f"{numbers.mse:.4g}", "MSE"),
        ("∞" if numbers.psnr is None else f"{numbers.psnr:.1f} dB", "PSNR"),
        (f"{numbers.ssim:.3f}", "SSIM"),
    ]
    if numbers.lpips is not None:
        pairs.append((f"{numbers.lpips:.3f}", "LPIPS (Alex)"))
    return facts(*pairs)


@dataclass(frozen=True)
class Side:
    """Controls of one setting. Attributes: model, seed, label; rest = edges, retentions, order; take = the button."""

    model: gr.Dropdown
    seed: gr.Number
    label: gr.Dropdown
    rest: tuple
    take: gr.Button

    @property
    def inputs(self) -> list:
        return [self.model, self.seed, self.label, *self.rest]


def _side(library: ModelLibrary, source: Source, letter: str, seed: int) -> Side:
    first, _, label = source.start
    name = letter.lower()
    classes = class_choices(library, first)
    with gr.Column(elem_classes="ks-panel", min_width=280):
        gr.HTML(heading(letter, "the grid below starts from here" if letter == "A" else ""))
        with gr.Row():
            model = gr.Dropdown(
                readable(library), value=first, label="Model", info="which network answers",
                elem_id=f"model-{name}", scale=3, min_width=150, filterable=False,
            )  # fmt: skip
            number = gr.Number(
                seed, label="Seed", info="picks the noise", precision=0, elem_id=f"seed-{name}", scale=2, min_width=90
            )
            kind = gr.Dropdown(
                classes, value=label, label="Class", info="what shall be made", visible=len(classes) > 1,
                elem_id=f"label-{name}", scale=2, min_width=110, filterable=False,
            )  # fmt: skip
        with gr.Accordion("Bands", open=False, elem_id=f"bands-{name}"):
            low, high = (
                gr.Slider(
                    0, 1, value, step=0.01, label=f"{edge} edge", info="share of modes below",
                    elem_id=f"{part}-{name}", buttons=["reset"],
                )
                for edge, part, value in (("Lower", "low", LOW), ("Upper", "high", HIGH))
            )  # fmt: skip
            gains = [
                gr.Slider(
                    0, 2, 1, step=0.05, label=f"Keep {size} α", info="0 removes, 1 keeps, 2 doubles",
                    elem_id=f"gain-{size}-{name}", buttons=["reset"],
                )
                for size in ("smallest", "middle", "largest")
            ]  # fmt: skip
            order = gr.Radio(
                [("signed α", "alpha"), ("size |α|", "abs")], value="alpha", label="Order of modes",
                info="what “smallest” means", elem_id=f"order-{name}",
            )  # fmt: skip
        take = gr.Button(f"{letter} = the bar above", size="sm", elem_id=f"take-{name}")
    return Side(model, number, kind, (low, high, *gains, order), take)


def build_compare(library: ModelLibrary, source: Source, opened: gr.Tab) -> None:
    """Lay the tab out and wire it.

    Args:
        library: the models.
        source: the bar above, which either side can take over.
        opened: the gr.Tab that this stands in; nothing is computed before it is looked at.
    """
    tab = CompareTab(library)
    gr.HTML(INTRO)
    with gr.Row():
        a = _side(library, source, "A", source.start[1])
        b = _side(library, source, "B", source.start[1] + 1)
    with gr.Column(elem_classes="ks-panel", min_width=0):
        gr.HTML(heading("Side by side", "follows the settings at once"))
        row = gr.HTML(elem_id="compare-pictures")
        numbers = gr.HTML(elem_id="compare-numbers")
        with gr.Row():
            kept = [save_bar(elem_id=f"keep-{letter}", elem_classes="ks-keep-side") for letter in "ab"]
    build_grid_panel(library, a.inputs)

    live = {"show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    both, shown = [*a.inputs, *b.inputs], [row, numbers, *kept]
    # one listener for everything: of two that are "always_last" each would start the other again
    looks = [opened.select]
    for side in (a, b):
        looks += [side.seed.change, side.label.input, *(c.input for c in side.rest)]
        looks += [c.release for c in side.rest if isinstance(c, gr.Slider)]  # what Gradio's reset button tells
        chosen = side.model.input(guarded(tab.classes), side.model, side.label, **live)
        taken = side.take.click(guarded(tab.side_of), source.inputs, [side.model, side.seed, side.label], **live)
        for event in (chosen, taken):
            event.success(guarded(tab.pair), both, shown, **live)
    gr.on(looks, guarded(tab.pair), both, shown, trigger_mode="always_last", **live)
