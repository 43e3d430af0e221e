"""What every tab looks at: one model, one seed, one class. Chosen once, above the tabs."""

from __future__ import annotations

import html
from dataclasses import dataclass

import gradio as gr

from analysis import ModelLibrary, UserError
from analysis.requests import MAX_SEED
from ui.cards import one_line
from ui.guard import MODEL_QUEUE, PRIVATE, guarded

NO_CLASS = -1
DICE = "() => Math.floor(Math.random() * 100000)"  # short enough to read aloud


@dataclass(frozen=True)
class Source:
    """Attributes: model, seed, label, locked: the components; start: their first values (model, seed, label)."""

    model: gr.Dropdown
    seed: gr.Number
    label: gr.Dropdown
    locked: gr.Checkbox
    start: tuple[str, int, int]

    @property
    def inputs(self) -> list:
        return [self.model, self.seed, self.label]


def readable(library: ModelLibrary) -> list[str]:
    """Names of the models whose files can be read, the default first.

    Raises:
        UserError: none can.
    """
    good = []
    for name in library.names():
        try:
            library.info(name)
        except UserError:
            continue
        good.append(name)
    if not good:
        raise UserError(f"No model in {library.folder} can be read: give --models a folder with intact files.")
    return good


def usable_seed(seed) -> bool:
    """Whether a seed can be drawn from; None is a box that was cleared to type another number."""
    return isinstance(seed, int) and 0 <= seed <= MAX_SEED


def fitting_label(library: ModelLibrary, model: str, label: int | None) -> int:
    """The class, or none where this model does not have it (it was chosen for another model)."""
    known = len(library.get(model).classes)
    return int(label) if isinstance(label, (int, float)) and 0 <= label < known else NO_CLASS


def _line(text: str) -> str:
    return f'<p class="ks-line">{html.escape(text)}</p>'


def build_source(library: ModelLibrary, seed: int) -> Source:
    """The bar above the tabs."""

    def choices(model: str) -> list[tuple[str, int]]:
        return [("no class", NO_CLASS), *((name, i) for i, name in enumerate(library.get(model).classes))]

    def describe(model: str):
        classes = choices(model)
        return gr.update(choices=classes, value=NO_CLASS, visible=len(classes) > 1), _line(
            one_line(library.info(model))
        )

    names = readable(library)
    first = names[0]
    with gr.Row(elem_classes="ks-source"):
        with gr.Column(scale=5, min_width=260):
            model = gr.Dropdown(names, value=first, label="Model", elem_id="model", filterable=False)
            line = gr.HTML(_line(one_line(library.info(first))))
        label = gr.Dropdown(
            choices(first), value=NO_CLASS, label="Class", elem_id="label", visible=len(choices(first)) > 1,
            scale=2, min_width=150, filterable=False,
        )  # fmt: skip
        # no minimum and maximum: Gradio's own check would answer once for every listener
        number = gr.Number(seed, label="Seed (picks the noise)", precision=0, elem_id="seed", scale=2, min_width=150)
        with gr.Column(scale=1, min_width=150, elem_classes="ks-dice"):
            dice = gr.Button("New seed", elem_id="dice", size="md")
            locked = gr.Checkbox(label="keep this seed", value=False, elem_id="lock", container=False)
    source = Source(model, number, label, locked, (first, seed, NO_CLASS))
    dice.click(None, None, number, js=DICE, **PRIVATE)
    locked.input(
        guarded(lambda on: (gr.update(interactive=not on), gr.update(interactive=not on))),
        locked, [number, dice], queue=False, show_progress="hidden", **PRIVATE,
    )  # fmt: skip
    model.input(
        guarded(describe),
        model,
        [label, line],
        trigger_mode="multiple",
        show_progress="hidden",
        **MODEL_QUEUE,
        **PRIVATE,
    )
    return source
