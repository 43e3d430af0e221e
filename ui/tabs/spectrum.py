"""Tab "Spectrum": the eigenvalues that move each latent, where they sit, and what bands of them carry."""

from __future__ import annotations

import functools

import gradio as gr
import numpy as np
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.figures import effects, spectrum
from analysis.figures.spectrum import bands_of
from analysis.recipes import recipe
from analysis.recipes.settings import Settings
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MAX_MODES, MaskRequest, ModeRequest, SpectrumEntryResult, SpectrumResult
from ui.components.html import (
    EMPTY_MODE,
    band_table,
    contribution,
    figure_html,
    heading,
    mode_card,
    row_html,
    selection_card,
    times,
)
from ui.components.plot import plot, points
from ui.components.save_bar import RecipeBinding, save_bar, save_value
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import Source, fitting_label, usable_seed

WAITING = '<p class="ks-line">Choose one or more points above: here you see what the picture owes to them.</p>'
TOO_MANY = f'<p class="ks-line">These are more than {MAX_MODES:,} modes: draw a smaller box to see what they do.</p>'


class ModePanel:
    """The handler; it can be called without a page."""

    def __init__(self, library: ModelLibrary):
        self.library = library

    def show(
        self,
        model: str,
        seed: int | None,
        label: int,
        entry: SpectrumEntryResult,
        edges: tuple[float, float],
        order: str,
        chosen: list[int],
    ) -> tuple:
        """The card with the energy, the pictures, and the curves of a choice.

        Args:
            model, seed, label: whose picture.
            entry: the level of the modes.
            edges, order: of the bands, for a group's card.
            chosen: flat indices; [] for none. Those of another model that do not fit are no choice.
        """
        if not usable_seed(seed):
            return (gr.skip(),) * 3
        if not chosen or max(chosen) >= entry.alpha.size:
            return gr.skip(), WAITING, gr.update(value=None, visible=False)
        if len(chosen) > MAX_MODES:
            return gr.skip(), TOO_MANY, gr.update(value=None, visible=False)
        bench = self.library.get(model)
        result = bench.mode(ModeRequest(seed, entry.index, tuple(chosen), fitting_label(self.library, model, label)))
        if len(chosen) == 1:
            card = mode_card(entry, chosen[0], result)
        else:
            card = selection_card(entry, np.array(chosen), bands_of(entry, edges, order), order, result)
        curves = effects.mode_curves(result).to_json()
        return card, contribution(result, bench.name, seed), gr.update(value=curves, visible=True)


def build_mode_panel() -> tuple[gr.HTML, gr.HTML]:
    """Lay the panel out: pictures and curves, both empty."""
    with gr.Column(elem_classes="ks-panel", min_width=0):
        gr.HTML(heading("What the chosen modes do", "D(z) − D(z without them), magnified"))
        pictures = gr.HTML(WAITING, elem_id="mode-pictures")
        curves = plot(None, visible=False, elem_id="mode-curves", label="Energy of the chosen modes over time")
    return pictures, curves


MEAN = -1
LOW, HIGH = 0.33, 0.67
INTRO = """<p class="ks-intro">Each latent of the network is moved by its own linear operator: on the way to the picture
a mode grows (α &lt; 0) or fades (α &gt; 0), and turns with β. Here you see all of them, and what the picture loses when
a band of them is taken away.</p>
<p class="ks-formula">λ = α ± iβ &nbsp;·&nbsp; z(τ) = e<sup>(τ − 1) α</sup> R((τ − 1) β) z(1) for every mode
&nbsp;·&nbsp; masked picture D( P<sub>B</sub> e<sup>−A</sup> E(x<sub>T</sub>) ), bands B by rank of α within each
level</p>"""


def level_label(entry: SpectrumEntryResult) -> str:
    """One level in the list: name, resolution, pairs, alpha."""
    c, h, w = entry.shape
    return f"{entry.name} · {h}×{w} · {c // 2} pairs · α {entry.alpha.mean():+.2f} ± {entry.alpha.std():.2f}"


class SpectrumTab:
    """The handlers; each can be called without a page."""

    def __init__(self, library: ModelLibrary):
        self.library = library
        self.panel = ModePanel(library)
        self.spectrum = functools.lru_cache(maxsize=8)(self._spectrum)

    def _spectrum(self, model: str) -> SpectrumResult:
        return self.library.get(model).spectrum()

    def entry(self, model: str, level: int | None) -> SpectrumEntryResult:
        """A level, the last one where the model has fewer (the choice was made for another model)."""
        entries = self.spectrum(model).entries
        return entries[min(max(int(level or 0), 0), len(entries) - 1)]

    def plane(self, model: str, level: int, low: float, high: float, order: str, mark: int | None) -> str:
        """The eigenvalue plane as JSON."""
        return spectrum.eigenvalue_plane(self.entry(model, level), (low, high), order, mark).to_json()

    def maps(self, model: str, level: int, pair: int, mark: int | None = None) -> tuple[str, str]:
        """Alpha and |beta| over positions, of one pair or the mean."""
        entry = self.entry(model, level)
        pairs, h, w = entry.alpha.shape
        one = isinstance(pair, int) and 0 <= pair < pairs
        alpha, beta = (v[pair] if one else v.mean(axis=0) for v in (entry.alpha, entry.beta))
        of = f"pair {pair}" if one else "mean over pairs"
        place = None
        if one and mark is not None and mark // (h * w) == pair:
            place = (mark % (h * w) // w, mark % w)
        return tuple(
            spectrum.position_map(values, f"{name}, {of}", unit, place).to_json()
            for name, values, unit in (("α", alpha, "per unit τ"), ("β", beta, "rad per unit τ"))
        )

    def pairs(self, model: str, level: int, value: int = MEAN) -> dict:
        """The choices of the maps' pair."""
        count = self.entry(model, level).alpha.shape[0]
        return gr.update(choices=[("mean over pairs", MEAN), *((f"pair {k}", k) for k in range(count))], value=value)

    def masked(self, model, seed, label, low, high, small, middle, large, order, levels) -> tuple:
        """Full, masked and difference side by side, the table of bands, and what can be kept."""
        if not usable_seed(seed):
            return (gr.skip(),) * 3
        known = len(self.spectrum(model).entries)
        bench = self.library.get(model)
        request = MaskRequest(
            seed, fitting_label(self.library, model, label), (low, high), (small, middle, large), order,
            tuple(i for i in levels or () if i < known),
        )  # fmt: skip
        result = bench.mask_bands(request)
        same = result.mse == 0
        shown = "none yet: lower a band" if same else f"{times(result.magnification)}, grey = no change"
        pictures = row_html(
            figure_html(result.full, "All modes", f"seed {seed}"),
            figure_html(result.masked, "Kept bands", f"MSE {result.mse:.4f}"),
            figure_html(result.difference, "Difference", shown),
        )
        kept = save_value(result.masked, recipe.describe(request, bench), f"{bench.name}-seed{seed}-bands")
        return pictures, band_table(result, request.gains, order), kept

    def move_bands(self, moved: str, mark, level, model, seed, label, low, high, *rest) -> tuple:
        """An edge or the order changed: the other edge gives way, plane and pictures follow.

        Args:
            moved: "low" or "high", the edge that the user holds.
        """
        given = (gr.skip(), gr.skip())  # an edge that may be moving again is left alone
        if low > high:
            given = low, high = (low, low) if moved == "low" else (high, high)
        plane = self.plane(model, level, low, high, rest[3], mark)
        return (*given, plane, *self.masked(model, seed, label, low, high, *rest))

    def open_level(self, model: str, level: int, low: float, high: float, order: str) -> tuple:
        """Another level: plane, maps, pair choices, nothing marked."""
        return (
            self.plane(model, level, low, high, order, None),
            *self.maps(model, level, MEAN),
            self.pairs(model, level),
            EMPTY_MODE,
            None,
            [],
        )

    def open_model(self, model: str, level: int, low: float, high: float, order: str) -> tuple:
        """Another model: lists of levels, sorted real parts, and all that `open_level` gives."""
        entries = self.spectrum(model).entries
        level = self.entry(model, level).index
        return (
            gr.update(choices=[(level_label(e), e.index) for e in entries], value=level),
            gr.update(choices=[(e.name, e.index) for e in entries], value=[]),
            spectrum.sorted_real_parts(self.spectrum(model)).to_json(),
            *self.open_level(model, level, low, high, order),
        )

    def click(self, model, level, low, high, order, event: gr.EventData) -> tuple:
        """A point was clicked: its card, a ring around it, its pair's maps."""
        entry = self.entry(model, level)
        chosen = points(event, 2 * entry.alpha.size)
        found = [p for p in chosen if p < entry.alpha.size][:1]
        if not found:
            return (gr.skip(),) * 7
        mark = found[0]
        pair = mark // (entry.alpha.shape[1] * entry.alpha.shape[2])
        return (
            self.plane(model, level, low, high, order, mark),
            *self.maps(model, level, pair, mark),
            self.pairs(model, level, pair),
            mode_card(entry, mark),
            mark,
            [mark],
        )

    def select(self, model, level, low, high, order, event: gr.EventData) -> tuple[str, list[int]]:
        """Points were selected: how many of each band, and which."""
        entry = self.entry(model, level)
        chosen = points(event, entry.alpha.size)
        if not chosen:
            return EMPTY_MODE, []
        return selection_card(entry, chosen, spectrum.bands_of(entry, (low, high), order), order), chosen

    def contributions(self, model, seed, label, level, low, high, order, chosen) -> tuple:
        """What the chosen modes do: see `ModePanel.show`."""
        return self.panel.show(model, seed, label, self.entry(model, level), (low, high), order, chosen or [])

    def fill(self, settings: Settings) -> tuple:
        """A recipe's bands as values of the two edges, the three retentions, the order and the levels.

        Raises:
            UserError: another number of bands than the page has.
        """
        if len(settings.edges) != 2:
            raise UserError(
                f"This recipe has {len(settings.edges) + 1} bands and the page shows three: use /recipe instead."
            )
        return (*settings.edges, *settings.gains, settings.order, list(settings.entries))


def build_spectrum(library: ModelLibrary, source: Source, shown_event: Dependency) -> RecipeBinding:
    """Lay the tab out and wire it.

    Args:
        library: the models.
        source: what is looked at.
        shown_event: "another picture is shown".

    Returns:
        How the tab takes up a recipe of masked bands.
    """
    tab = SpectrumTab(library)
    model, seed, label = source.start
    entries = tab.spectrum(model).entries
    start = entries[-1].index
    alpha_json, beta_json = tab.maps(model, start, MEAN)
    pictures, table, kept = tab.masked(model, seed, label, LOW, HIGH, 1.0, 1.0, 1.0, "alpha", [])
    gr.HTML(INTRO)
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            level = gr.Radio(
                [(level_label(e), e.index) for e in entries], value=start, label="Level", elem_id="level",
                info="every skip connection and the bottleneck; mean ± spread of α", elem_classes="ks-levels",
            )  # fmt: skip
            card = gr.HTML(EMPTY_MODE, elem_id="mode")
        with gr.Column(scale=5, min_width=320):
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("Eigenvalues", "click a point; drag to zoom, double-click to undo"))
                plane = plot(
                    tab.plane(model, start, LOW, HIGH, "alpha", None), clickable=True, modebar=True, elem_id="plane",
                    label="Eigenvalues in the complex plane",
                )  # fmt: skip
            mode_pictures, mode_curves = build_mode_panel()
        with gr.Column(scale=4, min_width=300), gr.Column(elem_classes="ks-panel", min_width=0):
            gr.HTML(heading("Where in the picture"))
            pair = gr.Dropdown(
                label="Channel pair", info="whose maps are drawn", elem_id="pair", **_plain(tab.pairs(model, start))
            )
            alpha_map = plot(alpha_json, elem_id="alpha-map", label="α over positions")
            beta_map = plot(beta_json, elem_id="beta-map", label="β over positions")
    with gr.Row():
        with gr.Column(scale=4, min_width=300, elem_classes="ks-panel"):
            gr.HTML(heading("Keep or remove bands", "pictures follow at once"))
            low, high = (
                gr.Slider(
                    0, 1, value, step=0.01, label=f"{name} edge", info="share of modes below", buttons=["reset"],
                    elem_id=part,
                )
                for name, part, value in (("Lower", "low", LOW), ("Upper", "high", HIGH))
            )  # fmt: skip
            gains = [
                gr.Slider(
                    0, 2, 1, step=0.05, label=f"Keep {name}", info="0 removes, 1 keeps, 2 doubles", buttons=["reset"],
                    elem_id=f"gain-{i}",
                )
                for name, i in (("smallest α", "small"), ("middle α", "middle"), ("largest α", "large"))
            ]  # fmt: skip
            with gr.Row(elem_classes="ks-buttons"):
                presets = [
                    (gr.Button(text, size="sm", min_width=70, elem_id=f"only-{i}"), values)
                    for text, i, values in (
                        ("All", "all", (1, 1, 1)),
                        ("Only smallest", "small", (1, 0, 0)),
                        ("Only middle", "middle", (0, 1, 0)),
                        ("Only largest", "large", (0, 0, 1)),
                    )
                ]
        with gr.Column(scale=8, min_width=320, elem_classes="ks-results"):
            with gr.Column(elem_classes="ks-panel", min_width=0):
                triptych = gr.HTML(pictures, elem_id="triptych")
                keep = save_bar(kept, elem_id="keep-bands")
                bands = gr.HTML(table, elem_id="bands")
            with gr.Row():
                order = gr.Radio(
                    [("signed α", "alpha"), ("size |α|", "abs")], value="alpha", label="Order of modes",
                    elem_id="order", info="what “smallest” means", min_width=200, scale=2,
                )  # fmt: skip
                levels = gr.CheckboxGroup(
                    [(e.name, e.index) for e in entries], value=[], label="Levels to touch", elem_id="levels",
                    info="none ticked: all of them", scale=5, min_width=260,
                )  # fmt: skip
    with gr.Column(elem_classes="ks-panel", min_width=0):
        gr.HTML(heading("Real parts of all levels, sorted", "flat: modes alike; steep: a wide spectrum"))
        lines = plot(
            spectrum.sorted_real_parts(tab.spectrum(model)).to_json(), elem_id="lines", label="Sorted α by level"
        )
    mark, chosen = gr.State(None), gr.State([])

    live = {"trigger_mode": "always_last", "show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    where = [source.model, level, low, high, order]
    opened = [plane, alpha_map, beta_map, pair, card, mark, chosen]
    weighing = [*source.inputs, low, high, *gains, order, levels]
    shown = [triptych, bands, keep]
    wondering = [*source.inputs, level, low, high, order, chosen]
    told = [card, mode_pictures, mode_curves]
    # "multiple": only one listener of an event may be "always_last" (see ui/tabs/generate.py)
    seldom = {**live, "trigger_mode": "multiple"}
    after = gr.on(source.another_model, guarded(tab.open_model), where, [level, levels, lines, *opened], **seldom)
    asked = [event.success(guarded(tab.masked), weighing, shown, **live) for event in (after, shown_event)]
    asked.append(level.input(guarded(tab.open_level), where, opened, **live))
    pair.input(guarded(tab.maps), [source.model, level, pair, mark], [alpha_map, beta_map], **live)
    asked.append(plane.select(guarded(tab.click), where, opened, **live))
    asked.append(plane.apply(guarded(tab.select), where, [card, chosen], **live))
    for event in asked:  # words at once, pictures as soon as they are there
        event.success(guarded(tab.contributions), wondering, told, **live)
    inputs, outputs = [mark, level, *weighing], [low, high, plane, *shown]
    # "release" too: it is what Gradio's reset button tells
    edges = ([low.input, low.release], "low"), ([high.input, high.release], "high")
    for events, moved in (*edges, ([order.input], "low")):
        gr.on(events, guarded(functools.partial(tab.move_bands, moved)), inputs, outputs, **live)
    weighed = [levels.input, *(e for g in gains for e in (g.input, g.release))]
    gr.on(weighed, guarded(tab.masked), weighing, shown, **live)
    for button, values in presets:
        pressed = button.click(None, None, gains, js=f"() => {list(values)}", **PRIVATE)
        pressed.success(guarded(tab.masked), weighing, shown, **live)

    def rerun(filled: Dependency) -> None:
        filled.success(guarded(functools.partial(tab.move_bands, "low")), inputs, outputs, **seldom)

    return RecipeBinding(("mask_bands",), "spectrum", [low, high, *gains, order, levels], tab.fill, rerun)


def _plain(update: dict) -> dict:
    """The settings inside a `gr.update`, for a constructor."""
    return {k: v for k, v in update.items() if k != "__type__"}
