"""Tab "Spectrum": the eigenvalues that move each latent, where they sit, and what bands of them carry."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import gradio as gr
import numpy as np
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.figures import effects, spectrum
from analysis.figures.spectrum import bands_of
from analysis.recipes import recipe
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MAX_MODES, MaskRequest, ModeRequest, SpectrumEntryResult, SpectrumResult
from ui.components.controls import Controls
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
from ui.source import BuiltTab, Workspace, fitting_label, usable_seed

WAITING = '<p class="ks-line">Choose one or more points above: here you see what the picture owes to them.</p>'
TOO_MANY = f'<p class="ks-line">These are more than {MAX_MODES:,} modes: draw a smaller box to see what they do.</p>'

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


@dataclass(frozen=True)
class SpectrumControls(Controls):
    """Components of the tab; `mark` is the mode with a ring around it, `chosen` all that are chosen, flat indices."""

    level: gr.Radio
    card: gr.HTML
    plane: gr.HTML
    mode_pictures: gr.HTML
    mode_curves: gr.HTML
    pair: gr.Dropdown
    alpha_map: gr.HTML
    beta_map: gr.HTML
    low: gr.Slider
    high: gr.Slider
    small: gr.Slider
    middle: gr.Slider
    large: gr.Slider
    presets: tuple[tuple[gr.Button, tuple[float, float, float]], ...]
    pictures: gr.HTML
    save: gr.HTML
    bands: gr.HTML
    order: gr.Radio
    levels: gr.CheckboxGroup
    ablation: gr.Radio
    lines: gr.HTML
    mark: gr.State
    chosen: gr.State


WHERE = ("level", "low", "high", "order")
WEIGHTS = ("low", "high", "small", "middle", "large", "order", "levels", "ablation")


class SpectrumTab:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the tab, or their names.
    """

    def __init__(self, library: ModelLibrary, controls: SpectrumControls):
        self.library, self.controls = library, controls
        self.spectrum = functools.lru_cache(maxsize=8)(self._spectrum)

    def _spectrum(self, model: str) -> SpectrumResult:
        return self.library.get(model).spectrum()

    def entry(self, model: str, level: int | None) -> SpectrumEntryResult:
        """A level, the last one where the model has fewer (the choice was made for another model)."""
        entries = self.spectrum(model).entries
        return entries[min(max(int(level or 0), 0), len(entries) - 1)]

    # -----------------------------------------------------------------------------------------------------------------
    # The plane and its maps

    def plane(self, model: str, level: int, low: float, high: float, order: str, mark: int | None = None) -> dict:
        """The eigenvalue plane."""
        figure = spectrum.eigenvalue_plane(self.entry(model, level), (low, high), order, mark)
        return {self.controls.plane: figure.to_json()}

    def maps(self, model: str, level: int, pair: int, mark: int | None = None) -> dict:
        """Alpha and |beta| over positions, of one pair or the mean."""
        entry = self.entry(model, level)
        pairs, h, w = entry.alpha.shape
        one = isinstance(pair, int) and 0 <= pair < pairs
        alpha, beta = (v[pair] if one else v.mean(axis=0) for v in (entry.alpha, entry.beta))
        of = f"pair {pair}" if one else "mean over pairs"
        place = None
        if one and mark is not None and mark // (h * w) == pair:
            place = (mark % (h * w) // w, mark % w)
        c = self.controls
        return {
            c.alpha_map: spectrum.position_map(alpha, f"α, {of}", "per unit τ", place).to_json(),
            c.beta_map: spectrum.position_map(beta, f"β, {of}", "rad per unit τ", place).to_json(),
        }

    def pairs(self, model: str, level: int, value: int = MEAN) -> dict:
        """The choices of the maps' pair."""
        count = self.entry(model, level).alpha.shape[0]
        choices = [("mean over pairs", MEAN), *((f"pair {k}", k) for k in range(count))]
        return {self.controls.pair: gr.update(choices=choices, value=value)}

    def open_level(self, model: str, level: int, low: float, high: float, order: str) -> dict:
        """Another level: plane, maps, pair choices, nothing marked."""
        c = self.controls
        return {
            **self.plane(model, level, low, high, order), **self.maps(model, level, MEAN), **self.pairs(model, level),
            c.card: EMPTY_MODE, c.mark: None, c.chosen: [],
        }  # fmt: skip

    def open_model(self, model: str, level: int, low: float, high: float, order: str) -> dict:
        """Another model: lists of levels, sorted real parts, and all that `open_level` gives."""
        entries, c = self.spectrum(model).entries, self.controls
        level = self.entry(model, level).index
        return {
            c.level: gr.update(choices=[(level_label(e), e.index) for e in entries], value=level),
            c.levels: gr.update(choices=[(e.name, e.index) for e in entries], value=[]),
            c.lines: spectrum.sorted_real_parts(self.spectrum(model)).to_json(),
            **self.open_level(model, level, low, high, order),
        }

    def click(self, event: gr.EventData, *, model, level, low, high, order) -> dict:
        """A point was clicked: its card, a ring around it, its pair's maps."""
        entry = self.entry(model, level)
        mark = next((p for p in points(event, 2 * entry.alpha.size) if p < entry.alpha.size), None)
        if mark is None:
            return gr.skip()
        pair, c = mark // (entry.alpha.shape[1] * entry.alpha.shape[2]), self.controls
        return {
            **self.plane(model, level, low, high, order, mark), **self.maps(model, level, pair, mark),
            **self.pairs(model, level, pair), c.card: mode_card(entry, mark), c.mark: mark, c.chosen: [mark],
        }  # fmt: skip

    def select(self, event: gr.EventData, *, model, level, low, high, order) -> dict:
        """Points were selected: how many of each band; no ring, and the maps of their pair where they have one."""
        entry = self.entry(model, level)
        chosen = points(event, entry.alpha.size)
        held = {p // (entry.alpha.shape[1] * entry.alpha.shape[2]) for p in chosen}
        pair = held.pop() if len(held) == 1 else MEAN
        bands = spectrum.bands_of(entry, (low, high), order)
        c = self.controls
        return {
            **self.plane(model, level, low, high, order), **self.maps(model, level, pair),
            **self.pairs(model, level, pair), c.mark: None, c.chosen: chosen,
            c.card: selection_card(entry, chosen, bands, order) if chosen else EMPTY_MODE,
        }  # fmt: skip

    def contributions(self, model, seed, label, level, low, high, order, chosen) -> dict:
        """What the chosen modes do: the card with the energy, the pictures, and the curves.

        Args:
            model, seed, label: whose picture.
            level: of the modes.
            low, high, order: of the bands, for a group's card.
            chosen: flat indices; [] for none. Those of another model that do not fit are no choice.
        """
        if not usable_seed(seed):
            return gr.skip()
        entry, c = self.entry(model, level), self.controls
        none = {c.mode_curves: gr.update(value=None, visible=False)}
        if not chosen or max(chosen) >= entry.alpha.size:
            return {c.mode_pictures: WAITING, **none}
        if len(chosen) > MAX_MODES:
            return {c.mode_pictures: TOO_MANY, **none}
        bench = self.library.get(model)
        result = bench.mode(ModeRequest(seed, entry.index, tuple(chosen), fitting_label(self.library, model, label)))
        if len(chosen) == 1:
            card = mode_card(entry, chosen[0], result)
        else:
            card = selection_card(entry, np.array(chosen), bands_of(entry, (low, high), order), order, result)
        return {
            c.card: card,
            c.mode_pictures: contribution(result, bench.name, seed),
            c.mode_curves: gr.update(value=effects.mode_curves(result).to_json(), visible=True),
        }

    # -----------------------------------------------------------------------------------------------------------------
    # Bands

    def masked(self, model, seed, label, low, high, small, middle, large, order, levels, ablation="mean") -> dict:
        """Full, masked and difference side by side, the table of bands, and what can be saved."""
        if not usable_seed(seed):
            return gr.skip()
        known = len(self.spectrum(model).entries)
        bench = self.library.get(model)
        request = MaskRequest(
            seed, fitting_label(self.library, model, label), (low, high), (small, middle, large), order,
            tuple(i for i in levels or () if i < known), ablation,
        )  # fmt: skip
        result = bench.mask_bands(request)
        note = "none yet: lower a band" if result.mse == 0 else f"{times(result.magnification)}, grey = no change"
        c = self.controls
        return {
            c.pictures: row_html(
                figure_html(result.full, "All modes", f"seed {seed}"),
                figure_html(result.masked, "Kept bands", f"MSE {result.mse:.4f}"),
                figure_html(result.difference, "Difference", note),
            ),
            c.bands: band_table(result, request.gains, order),
            c.save: save_value(result.masked, recipe.describe(request, bench), f"{bench.name}-seed{seed}-bands"),
        }

    def move_bands(self, moved: str, mark, level, model, seed, label, low, high, order, **weights) -> dict:
        """An edge or the order changed: the other edge gives way, plane and pictures follow.

        Args:
            moved: "low" or "high", the edge that the user holds.
            mark, level: of the plane.
            model, seed, label, low, high, order, **weights: as in `masked`.
        """
        edges = {}  # an edge that may be moving again is left alone
        if low > high:
            low, high = (low, low) if moved == "low" else (high, high)
            edges = {self.controls.low: low, self.controls.high: high}
        masked = self.masked(model, seed, label, low, high, order=order, **weights)
        return {
            **edges, **self.plane(model, level, low, high, order, mark), **({} if masked == gr.skip() else masked),
        }  # fmt: skip

    def fill(self, request: MaskRequest) -> dict:
        """A recipe's bands as values of the two edges, the three retentions, order, levels and ablation.

        Raises:
            UserError: another number of bands than the page has.
        """
        if len(request.edges) != 2:
            raise UserError(
                f"This recipe has {len(request.edges) + 1} bands and the page shows three: use /recipe instead."
            )
        values = (*request.edges, *request.gains, request.order, list(request.entries), request.ablation)
        return dict(zip(self.controls.named(*WEIGHTS).values(), values, strict=True))


# ---------------------------------------------------------------------------------------------------------------------
# The page


def _plane_row(first: dict, entries: tuple, start: int) -> dict:
    """Levels and card, the plane and what chosen modes do, the maps."""
    parts: dict = {}
    with gr.Row():
        with gr.Column(scale=3, min_width=300):
            parts["level"] = gr.Radio(
                [(level_label(e), e.index) for e in entries], value=start, label="Level", elem_id="level",
                info="every skip connection and the bottleneck; mean ± spread of α", elem_classes="ks-levels",
            )  # fmt: skip
            parts["card"] = gr.HTML(EMPTY_MODE, elem_id="mode")
        with gr.Column(scale=5, min_width=320):
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("Eigenvalues", "click a point; drag to zoom, double-click to undo"))
                parts["plane"] = plot(
                    first["plane"], clickable=True, modebar=True, elem_id="plane",
                    label="Eigenvalues in the complex plane: growth to the left of 0, decay to the right",
                )  # fmt: skip
            with gr.Column(elem_classes="ks-panel", min_width=0):
                gr.HTML(heading("What the chosen modes do", "D(z) − D(z without them), magnified"))
                parts["mode_pictures"] = gr.HTML(WAITING, elem_id="mode-pictures")
                parts["mode_curves"] = plot(
                    None, visible=False, elem_id="mode-curves", label="Energy of the chosen modes over time"
                )
        with gr.Column(scale=4, min_width=300), gr.Column(elem_classes="ks-panel", min_width=0):
            gr.HTML(heading("Where in the picture"))
            pairs = {k: v for k, v in first["pair"].items() if k != "__type__"}
            parts["pair"] = gr.Dropdown(label="Channel pair", info="whose maps are drawn", elem_id="pair", **pairs)
            parts["alpha_map"] = plot(first["alpha_map"], elem_id="alpha-map", label="α over positions")
            parts["beta_map"] = plot(first["beta_map"], elem_id="beta-map", label="β over positions")
    return parts


def _band_sliders() -> dict:
    """Edges, retentions and their presets."""
    parts: dict = {}
    gr.HTML(heading("Keep or remove bands", "pictures follow at once"))
    for name, part, value in (("Lower", "low", LOW), ("Upper", "high", HIGH)):
        parts[part] = gr.Slider(
            0, 1, value, step=0.01, label=f"{name} edge", info="share of modes below", buttons=["reset"], elem_id=part
        )
    for name, part in (("smallest α", "small"), ("middle α", "middle"), ("largest α", "large")):
        parts[part] = gr.Slider(
            0, 2, 1, step=0.05, label=f"Keep {name}", info="0 removes, 1 keeps, 2 doubles", buttons=["reset"],
            elem_id=f"gain-{part}",
        )  # fmt: skip
    with gr.Row(elem_classes="ks-buttons"):
        parts["presets"] = tuple(
            (gr.Button(text, size="sm", min_width=70, elem_id=f"only-{i}"), values)
            for text, i, values in (
                ("All", "all", (1, 1, 1)),
                ("Only smallest", "small", (1, 0, 0)),
                ("Only middle", "middle", (0, 1, 0)),
                ("Only largest", "large", (0, 0, 1)),
            )
        )
    return parts


def _lay_out(first: dict, entries: tuple, start: int) -> SpectrumControls:
    """The components with their first values, by name."""
    gr.HTML(INTRO)
    parts = _plane_row(first, entries, start)
    with gr.Row():
        with gr.Column(scale=4, min_width=300, elem_classes="ks-panel"):
            parts |= _band_sliders()
        with gr.Column(scale=8, min_width=320, elem_classes="ks-results"):
            with gr.Column(elem_classes="ks-panel", min_width=0):
                parts["pictures"] = gr.HTML(first["pictures"], elem_id="triptych")
                parts["save"] = save_bar(first["save"], elem_id="keep-bands")
                parts["bands"] = gr.HTML(first["bands"], elem_id="bands")
            with gr.Row():
                parts["order"] = gr.Radio(
                    [("signed α", "alpha"), ("size |α|", "abs")], value="alpha", label="Order of modes",
                    elem_id="order", info="what “smallest” means", min_width=200, scale=2,
                )  # fmt: skip
                parts["levels"] = gr.CheckboxGroup(
                    [(e.name, e.index) for e in entries], value=[], label="Levels to touch", elem_id="levels",
                    info="none ticked: all of them", scale=5, min_width=260,
                )  # fmt: skip
                parts["ablation"] = gr.Radio(
                    [("the mean", "mean"), ("another picture", "resample"), ("zero", "zero")], value="mean",
                    label="In place of what is removed", elem_id="ablation", info="zero is the published way",
                    scale=4, min_width=260,
                )  # fmt: skip
    with gr.Column(elem_classes="ks-panel", min_width=0):
        gr.HTML(heading("Real parts of all levels, sorted", "flat: modes alike; steep: a wide spectrum"))
        parts["lines"] = plot(first["lines"], elem_id="lines", label="Sorted α by level")
    return SpectrumControls(**parts, mark=gr.State(None), chosen=gr.State([]))


def build_spectrum(work: Workspace, _: gr.Tab) -> BuiltTab:
    """Lay the tab out and wire it."""
    library, source = work.library, work.source
    model, seed, label = source.start
    early = SpectrumTab(library, SpectrumControls.names())
    entries = early.spectrum(model).entries
    start = entries[-1].index
    first = {
        **early.open_model(model, start, LOW, HIGH, "alpha"),
        **early.masked(model, seed, label, LOW, HIGH, 1.0, 1.0, 1.0, "alpha", []),
    }
    tab = SpectrumTab(library, _lay_out(first, entries, start))
    rerun = _wire(tab, work)
    return BuiltTab(
        tab.controls, RecipeBinding(("mask_bands",), "spectrum", tab.controls.listed(*WEIGHTS), tab.fill, rerun)
    )


def _wire(tab: SpectrumTab, work: Workspace):
    """Connect the handlers; gives what asks for the bands again after an event that set their controls."""
    c, source = tab.controls, work.source
    live = {"trigger_mode": "always_last", "show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    # "multiple": only one listener of an event may be "always_last" (see ui/tabs/generate.py)
    seldom = {**live, "trigger_mode": "multiple"}
    where = {"model": source.model, **c.named(*WHERE)}
    opened = c.listed("plane", "alpha_map", "beta_map", "pair", "card", "mark", "chosen")
    masked = {
        "fn": guarded(tab.masked), "inputs_kwargs": {**source.named, **c.named(*WEIGHTS)},
        "outputs": c.listed("pictures", "bands", "save"), **live,
    }  # fmt: skip
    after = gr.on(
        source.another_model, guarded(tab.open_model), inputs_kwargs=where,
        outputs=[c.level, c.levels, c.lines, *opened], **seldom,
    )  # fmt: skip
    answers = [event.success(**masked) for event in (after, work.shown)]
    answers.append(c.level.input(guarded(tab.open_level), inputs_kwargs=where, outputs=opened, **live))
    c.pair.input(
        guarded(tab.maps), [source.model, c.level, c.pair, c.mark], [c.alpha_map, c.beta_map], **live
    )  # fmt: skip
    answers.append(c.plane.select(guarded(tab.click), inputs_kwargs=where, outputs=opened, **live))
    answers.append(c.plane.apply(guarded(tab.select), inputs_kwargs=where, outputs=opened, **live))
    for event in answers:  # words at once, pictures as soon as they are there
        event.success(
            guarded(tab.contributions), inputs_kwargs={**source.named, **c.named(*WHERE, "chosen")},
            outputs=c.listed("card", "mode_pictures", "mode_curves"), **live,
        )  # fmt: skip

    def moving(moved: str) -> dict:
        return {
            "fn": guarded(functools.partial(tab.move_bands, moved)),
            "inputs_kwargs": {**source.named, **c.named("mark", "level", *WEIGHTS)},
            "outputs": c.listed("low", "high", "plane", "pictures", "bands", "save"),
        }

    # "release" too: it is what Gradio's reset button tells
    edges = ([c.low.input, c.low.release], "low"), ([c.high.input, c.high.release], "high")
    for events, moved in (*edges, ([c.order.input], "low")):
        gr.on(events, **moving(moved), **live)
    gains = c.listed("small", "middle", "large")
    gr.on([c.levels.input, c.ablation.input, *(e for g in gains for e in (g.input, g.release))], **masked)
    for button, values in c.presets:
        button.click(None, None, gains, js=f"() => {list(values)}", **PRIVATE).success(**masked)

    def rerun(filled: Dependency) -> None:
        filled.success(**moving("low"), **seldom)

    return rerun
