"""What every tab stands on: one model, one seed, one class, chosen once in the header; and who answers questions."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.studio import Studio
from analysis.workbench.library import ModelInfo, ModelLibrary
from analysis.workbench.workbench import Workbench
from foundation.randomness import MAX_SEED
from ui.components.bands import bands_line
from ui.components.html import one_line
from ui.components.layout import Frame
from ui.components.made import Made
from ui.components.save_bar import RecipeBinding
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE

NO_CLASS, UNCLASSED = -1, "no class"
DICE = "() => Math.floor(Math.random() * 100000)"  # short enough to read aloud
COUNT_UP = "(count) => (count || 0) + 1"


@dataclass(frozen=True)
class Source:
    """The components of the bar.

    Attributes:
        model, seed, label, dice: what the visitor sees of it in the header.
        locked: keeps the seed; line: one line about the model; both placed by `place_line_and_lock`.
        moves: unseen; a count that grows when the program sets the model, the seed and the class (an opened recipe).
            Not a gr.State: only the listeners of a component run one after another, in the order of their attachment.
        start: the first values of model, seed, label.
    """

    model: gr.Dropdown
    seed: gr.Number
    label: gr.Dropdown
    dice: gr.Button
    locked: gr.Checkbox
    line: gr.HTML
    moves: gr.Number
    start: tuple[str, int, int]

    @property
    def inputs(self) -> list:
        return [self.model, self.seed, self.label]

    @property
    def named(self) -> dict:
        """What is looked at, by the names of a handler's arguments."""
        return {"model": self.model, "seed": self.seed, "label": self.label}

    def tell(self) -> None:
        """Let the page's script know when another picture is chosen: by hand, or by the program, which goes on."""
        by_hand = [self.model.input, self.seed.change, self.label.input]
        gr.on(by_hand, None, None, None, js="() => { window.studio?.moved(); }", **PRIVATE)
        self.moves.change(None, None, None, js="() => { window.studio?.moved(true); }", **PRIVATE)

    @property
    def targets(self) -> list:
        """What `moved` gives the values of."""
        return [self.model, self.seed, self.label, self.line]

    def moved(self, library: ModelLibrary, model: str, seed: int, label: int) -> dict:
        """The bar at another place; the class must be one of the model's own."""
        return {self.model: model, self.seed: seed, **self.described(library, model, label)}

    def described(self, library: ModelLibrary, model: str, label: int = NO_CLASS) -> dict:
        """The classes of a model, and the line about it."""
        classes = class_choices(library, model)
        return {
            self.label: gr.update(choices=classes, value=label, visible=len(classes) > 1),
            self.line: _line(told(library.info(model))),
        }

    def announce(self, event: Dependency) -> None:
        """Let everything follow an event that set `targets`: one step later, when all of them can be read."""
        event.success(None, self.moves, self.moves, js=COUNT_UP, **PRIVATE)


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


def model_choices(library: ModelLibrary, own: Sequence[str] = ()) -> list[tuple[str, str]]:
    """The models for a dropdown: the readable ones, then those of a visitor's own that are still loaded.

    Args:
        library: the models.
        own: keys of the visitor's own models.
    """
    choices = [(name, name) for name in readable(library)]
    for key in own:
        try:
            choices.append((library.get(key).name, key))
        except UserError:  # forgotten meanwhile
            continue
    return choices


def usable_seed(seed) -> bool:
    """Whether a seed can be drawn from; None is a box that was cleared to type another number."""
    return isinstance(seed, int) and 0 <= seed <= MAX_SEED


def fitting_label(bench: Workbench, label: int | None) -> int:
    """The class, or none where this model does not have it (it was chosen for another model)."""
    known = len(bench.classes)
    return int(label) if isinstance(label, (int, float)) and 0 <= label < known else NO_CLASS


def made_with(bench: Workbench, seed: int | None, label: int | None, seeds: str = "") -> Made:
    """What a result of this model, seed and class is made with; `seeds` as in `Made`."""
    label = fitting_label(bench, label)
    return Made(bench.name, UNCLASSED if label == NO_CLASS else bench.classes[label], seed, seeds)


def told(info: ModelInfo) -> str:
    """What a model is, and what its bands mean, in a line or two."""
    return f"{one_line(info).rstrip('.')}. {bands_line(info)}"


def _line(text: str) -> str:
    return f'<p class="ks-line">{html.escape(text)}</p>'


def class_choices(library: ModelLibrary, model: str) -> list[tuple[str, int]]:
    """The classes of a model for a dropdown, none first."""
    return [(UNCLASSED, NO_CLASS), *((name, i) for i, name in enumerate(library.get(model).classes))]


def build_source(library: ModelLibrary, seed: int) -> Source:
    """The bar of the header: model, class, seed and dice. The first tab places `locked` and `line`."""
    names = readable(library)
    first = names[0]
    with gr.Row(elem_classes="ks-source", elem_id="source"):
        model = gr.Dropdown(
            names, value=first, label="Model", show_label=False, container=False, elem_id="model", filterable=False,
            min_width=0,
        )  # fmt: skip
        label = gr.Dropdown(
            class_choices(library, first), value=NO_CLASS, label="Class", show_label=False, container=False,
            elem_id="label", visible=len(class_choices(library, first)) > 1, min_width=0, filterable=False,
        )  # fmt: skip
        # no minimum and maximum: Gradio's own check would answer once for every listener
        number = gr.Number(
            seed, label="Seed", show_label=False, container=False, precision=0, elem_id="seed", min_width=0
        )
        dice = gr.Button("⚄", elem_id="dice", size="sm", min_width=0)
    line = gr.HTML(_line(told(library.info(first))), elem_id="model-line", render=False)
    locked = gr.Checkbox(label="keep this seed", value=False, elem_id="lock", container=False, render=False)
    moves = gr.Number(0, precision=0, visible="hidden")
    source = Source(model, number, label, dice, locked, line, moves, (first, seed, NO_CLASS))
    dice.click(None, None, number, js=DICE, **PRIVATE)
    model.input(
        guarded(lambda model: source.described(library, model)), model, [label, line], trigger_mode="multiple",
        show_progress="hidden", **MODEL_QUEUE, **PRIVATE,
    )  # fmt: skip
    return source


def place_line_and_lock(source: Source) -> None:
    """Place the line about the model and the box "keep this seed" here."""
    source.line.render()
    source.locked.render()
    source.locked.input(
        guarded(lambda on: (gr.update(interactive=not on), gr.update(interactive=not on))),
        source.locked, [source.seed, source.dice], queue=False, show_progress="hidden", **PRIVATE,
    )  # fmt: skip


@dataclass
class Workspace:
    """What tabs and panels are built on.

    Attributes:
        studio: who answers all questions.
        patience: seconds that no measurement may exceed.
        source: the bar, once it has been built.
        pipeline: the diagram of the first tab, whose `select` tells a level.
    """

    studio: Studio
    patience: float = math.inf
    source: Source = None  # type: ignore[assignment]
    pipeline: gr.HTML | None = None

    @property
    def library(self) -> ModelLibrary:
        """The HKD models."""
        return self.studio.library

    def bounded(self, seconds: float) -> float:
        """So many seconds, or less where the page has less patience."""
        return min(seconds, self.patience)


@dataclass(frozen=True)
class Views:
    """What a tab is built into.

    Attributes:
        frame: its three columns.
        opened: by the view's key the event "the visitor looks at it, and has not since another picture was chosen", or
            comes back to it; listened to like any event. What is not looked at is not computed.
    """

    frame: Frame
    opened: dict[str, Callable]


@dataclass(frozen=True)
class BuiltTab:
    """What a tab's build function gives back.

    Attributes:
        controls: a dataclass of its components.
        binding: how it takes up a recipe, None if it takes none.
        settle: what an address makes of controls beyond their own values, where choices or what is seen depend on
            others: the address's texts by the controls' ids, and {component: value} of those that fit; gives
            {component: update}, "value" among it where it is another one.
        settled: components that `settle` may give beside those that an address keeps.
        texts: what an address keeps beside the controls that it finds by itself, by the ids of elements whose text the
            page's script reads (`value` of `ui/js/workspaces.js`): as it is at first. `settle` takes it up.
    """

    controls: object
    binding: RecipeBinding | None = None
    settle: Callable[[Mapping[str, str], Mapping], dict] | None = None
    settled: Sequence = ()
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Page:
    """What panels are wired to: the finished tabs and each other.

    Attributes:
        work: what all stands on.
        opener: opens a view by its value, see `ui.workspaces.opening`.
        built: what each tab's build function gave, by the tab's id.
        frames: the columns of each tab, by its id.
        panels: what the panels that were built before gave, by name.
    """

    work: Workspace
    opener: gr.HTML
    built: dict[str, BuiltTab]
    frames: dict[str, Frame]
    panels: dict[str, Any] = field(default_factory=dict)
