"""Views "Modes", "Bands" and "Surgery" of "Look inside": the eigenvalues of each latent, and what they do."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable

import gradio as gr
import numpy as np
from gradio.events import Dependency

from analysis.core.errors import UserError
from analysis.core.fields import HIGH_EDGE, LOW_EDGE
from analysis.figures import effects, spectrum
from analysis.figures.spectrum import bands_of
from analysis.recipes import recipe
from analysis.workbench.images import GenerateRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.spectrum import MAX_MODES, MaskRequest, ModeRequest, SpectrumEntryResult, SpectrumResult
from ui.components.bands import GAINS, kept_as, long_names, short_names
from ui.components.html import (
    EMPTY_MODE,
    band_table,
    contribution,
    figure_html,
    mode_card,
    row_html,
    selection_card,
    times,
)
from ui.components.plot import points
from ui.components.save_bar import RecipeBinding, save_value
from ui.server.errors import guarded
from ui.server.gradio_internals import sent
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import BuiltTab, Views, Workspace, fitting_label, made_with, usable_seed
from ui.tabs.inside.pairs import modes_of
from ui.tabs.inside.spectrum_controls import MASK_CONTROLS, ONLY, PRESETS, WHERE, SpectrumControls, lay_out
from ui.tabs.inside.surgery import wire_surgery

NO_CHOICE = '<p class="ks-line">Choose one or more points: here you see what the picture owes to them.</p>'
TOO_MANY = f'<p class="ks-line">These are more than {MAX_MODES:,} modes: draw a smaller box to see what they do.</p>'

MEAN = -1


def level_label(entry: SpectrumEntryResult, idle: bool = False) -> str:
    """One level in the list: name and resolution; what is in it stands in `level_line`."""
    return f"{entry.name} {entry.shape[1]}×{entry.shape[2]}{', idle' if idle else ''}"


def level_line(entry: SpectrumEntryResult, bound: float | None = None) -> str:
    """What is in a level; of an idle one what it is without, `bound` in LPIPS."""
    c, h, w = entry.shape
    idle = ""
    if bound is not None:
        idle = f" <b>Idle</b>: without it, or with its operator held still, LPIPS moves by less than {bound:g}."
    return (
        f'<p class="ks-line"><b>{html.escape(entry.name)}</b>: {c // 2} pairs at {h}×{w} places, '
        f"α {entry.alpha.mean():+.2f} ± {entry.alpha.std():.2f}.{idle}</p>"
    )


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

    def idle(self, model: str, entry: SpectrumEntryResult) -> bool:
        """Whether a level was measured to carry nothing."""
        return entry.index in (self.spectrum(model).idle or ())

    def deepest(self, model: str) -> int:
        """The last level that carries something; the last one where none was measured to."""
        entries = self.spectrum(model).entries
        return next((e for e in reversed(entries) if not self.idle(model, e)), entries[-1]).index

    def labelled(self, model: str) -> list[tuple[str, int]]:
        """The levels for a list."""
        return [(level_label(e, self.idle(model, e)), e.index) for e in self.spectrum(model).entries]

    def lined(self, model: str, level: int | None) -> str:
        """What is in a level, in words."""
        entry = self.entry(model, level)
        return level_line(entry, self.spectrum(model).idle_bound if self.idle(model, entry) else None)

    # -----------------------------------------------------------------------------------------------------------------
    # The plane and its maps

    def plane(self, model: str, level: int, low: float, high: float, order: str, mark: int | None = None) -> dict:
        """The eigenvalue plane."""
        entry = self.entry(model, level)
        figure = spectrum.eigenvalue_plane(entry, (low, high), order, mark, self.idle(model, entry))
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
            c.known: (model, self.entry(model, level).index), c.about_level: self.lined(model, level),
            c.card: EMPTY_MODE, c.mark: None, c.chosen: [],
        }  # fmt: skip

    def open_model(self, model: str, level: int, low: float, high: float, order: str) -> dict:
        """Another model: lists of levels, sorted real parts, and all that `open_level` gives."""
        entries, c = self.spectrum(model).entries, self.controls
        level = self.entry(model, level).index
        return {
            c.level: gr.update(choices=self.labelled(model), value=level),
            c.levels: gr.update(choices=[(e.name, e.index) for e in entries], value=[]),
            c.lines: spectrum.sorted_real_parts(self.spectrum(model)).to_json(),
            **self.band_words(model, order),
            **self.open_level(model, level, low, high, order),
        }

    def band_words(self, model: str, order: str) -> dict:
        """What the model's bands are called on their sliders and buttons."""
        info, c = self.library.info(model), self.controls
        only = zip(c.named(*ONLY).values(), short_names(info, order), strict=True)
        return {**kept_as(c.listed(*GAINS), info, order), **{b: gr.update(value=f"Only {n}") for b, n in only}}

    def follow(self, known: tuple, model, level, low, high, order) -> dict:
        """What `open_model` or `open_level` gives, of another model or level than the `known` one."""
        if known == (model, level):
            return {}
        return (self.open_level if known[0] == model else self.open_model)(model, level, low, high, order)

    def modes(self, known, model, seed, label, level, low, high, order, chosen) -> dict:
        """The view "Modes" of the chosen picture: `follow` and `contributions`."""
        opened = self.follow(known, model, level, low, high, order)
        chosen = [] if opened else chosen
        return _merged(opened, self.contributions(model, seed, label, level, low, high, order, chosen))

    def bands(self, known, model, seed, label, level, low, high, order, **weights) -> dict:
        """The view "Bands" of the chosen picture: `follow` and `masked`."""
        opened = self.follow(known, model, level, low, high, order)
        return _merged(opened, self.masked(model, seed, label, low, high, order=order, **weights))

    def open_box(self, event: gr.EventData, *, known, model, low, high, order) -> dict:
        """A level of the pipeline was clicked: all that `follow` gives, and the level's own place in the list.

        Raises:
            UserError: no such level.
        """
        level = sent(event).get("level")
        if type(level) is not int or not 0 <= level < len(self.spectrum(model).entries):
            raise UserError("There is no such level in this model: choose one of its own.", "level")
        return {self.controls.level: level, **self.follow(known, model, level, low, high, order)}

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

    def hover(self, event: gr.EventData, *, model, seed, label, level, low, high, order, chosen) -> dict:
        """The pointer rests on a mode: what it does; off the plane, what the chosen ones do."""
        near = points(event, self.entry(model, level).alpha.size)
        shown = self.contributions(model, seed, label, level, low, high, order, near[:1] or chosen)
        return shown if near or chosen else _merged({self.controls.card: EMPTY_MODE}, shown)

    def select(self, event: gr.EventData, *, model, level, low, high, order) -> dict:
        """Points were selected: how many of each band; no ring, and the maps of their pair where they have one."""
        return self._choose(points(event, self.entry(model, level).alpha.size), model, level, low, high, order)

    def choose_pair(self, event: gr.EventData, *, model, level, low, high, order) -> dict:
        """A pair of the list was clicked: all its modes are chosen."""
        entry = self.entry(model, level)
        pair = points(event, entry.alpha.shape[0])[:1]
        chosen = modes_of(pair[0], entry.shape) if pair else []
        return self._choose(chosen, model, level, low, high, order)

    def _choose(self, chosen: list[int], model, level, low, high, order) -> dict:
        entry = self.entry(model, level)
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
            return {c.mode_pictures: self.waiting(model, seed, label), **none}
        if len(chosen) > MAX_MODES:
            return {c.mode_pictures: TOO_MANY, **none}
        bench = self.library.get(model)
        made = made_with(bench, seed, label)
        result = bench.mode(ModeRequest(seed, entry.index, tuple(chosen), fitting_label(bench, label)))
        if len(chosen) == 1:
            card = mode_card(entry, chosen[0], result)
        else:
            card = selection_card(entry, np.array(chosen), bands_of(entry, (low, high), order), order, result)
        return {
            c.card: card,
            c.mode_pictures: contribution(result, bench.name, seed) + made.line(),
            c.mode_curves: gr.update(value=effects.mode_curves(result).to_json(), visible=True),
        }

    def waiting(self, model: str, seed: int, label: int) -> str:
        """The whole picture, while no mode is chosen."""
        bench = self.library.get(model)
        request = GenerateRequest((seed,), fitting_label(bench, label))
        made = made_with(bench, seed, label)
        return figure_html(bench.generate(request).pictures[0], "All modes", f"seed {seed}") + made.line() + NO_CHOICE

    # -----------------------------------------------------------------------------------------------------------------
    # Bands

    def masked(self, model, seed, label, low, high, small, middle, large, order, levels, ablation="mean") -> dict:
        """Full, masked and difference side by side, the table of bands, and what can be saved."""
        if not usable_seed(seed):
            return gr.skip()
        known = len(self.spectrum(model).entries)
        bench = self.library.get(model)
        request = MaskRequest(
            seed, fitting_label(bench, label), (low, high), (small, middle, large), order,
            tuple(i for i in levels or () if i < known), ablation,
        )  # fmt: skip
        result = bench.mask_bands(request)
        made = made_with(bench, seed, label)
        note = "none yet: lower a band" if result.mse == 0 else f"{times(result.magnification)}, grey = no change"
        c = self.controls
        return {
            c.pictures: row_html(
                figure_html(result.full, "All modes", f"seed {seed}"),
                figure_html(result.masked, "Kept bands", f"MSE {result.mse:.4f}"),
                figure_html(result.difference, "Difference", note),
            )
            + made.line(),
            c.bands: made.within(band_table(result, request.gains, long_names(self.library.info(model), order))),
            c.save: save_value(result.masked, recipe.describe(request, bench), f"{bench.name}-seed{seed}-bands"),
        }

    def refill(self, known, mark, level, model, seed, label, low, high, order, **weights) -> dict:
        """`follow` and `move_bands`, after a recipe has set the controls."""
        opened = self.follow(known, model, level, low, high, order)
        mark = None if opened else mark
        return {**opened, **self.move_bands("low", mark, level, model, seed, label, low, high, order, **weights)}

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
                f"This recipe has {len(request.edges) + 1} bands and the page shows three: use /recipe instead.",
                "edges",
            )
        values = (*request.edges, *request.gains, request.order, list(request.entries), request.ablation)
        return dict(zip(self.controls.named(*MASK_CONTROLS).values(), values, strict=True))


# ---------------------------------------------------------------------------------------------------------------------
# The page


def _merged(opened: dict, shown: dict) -> dict:
    """Both; `shown` may be Gradio's "nothing changes"."""
    return opened or gr.skip() if shown == gr.skip() else {**opened, **shown}


def build_spectrum(work: Workspace, views: Views) -> BuiltTab:
    """Lay the tab out and wire it."""
    library, source = work.library, work.source
    model, seed, label = source.start
    early = SpectrumTab(library, SpectrumControls.names())
    entries = early.spectrum(model).entries
    start = early.deepest(model)
    first = {
        **early.open_model(model, start, LOW_EDGE, HIGH_EDGE, "alpha"),
        **early.masked(model, seed, label, LOW_EDGE, HIGH_EDGE, 1.0, 1.0, 1.0, "alpha", []),
        "mode_pictures": early.waiting(model, seed, label),
    }
    controls, surgery, operation = lay_out(first, views.frame, entries, start, work)
    tab = SpectrumTab(library, controls)
    _wire_modes(tab, work, views)
    rerun = _wire_bands(tab, work, views)
    edges = [tab.controls.low.release, tab.controls.high.release, tab.controls.order.input]
    wire_surgery(surgery, operation, work, tab.controls.named("low", "high", "order"), edges, views)
    return BuiltTab(
        tab.controls, RecipeBinding(("mask_bands",), "bands", tab.controls.listed(*MASK_CONTROLS), tab.fill, rerun)
    )


# of all that wait, the last is answered
LAST = {"trigger_mode": "always_last", "show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}


def _of_a_level(c: SpectrumControls) -> list:
    """What shows the chosen level, and the names of bands and levels, which are another model's own."""
    moved = c.listed("plane", "alpha_map", "beta_map", "pair", "card", "mark", "chosen")
    return [c.level, c.levels, c.lines, *c.listed(*GAINS, *ONLY), *moved, c.about_level, c.known]


def _wire_modes(tab: SpectrumTab, work: Workspace, views: Views) -> None:
    """Connect the view "Modes"."""
    c, source = tab.controls, work.source
    where = {"model": source.model, **c.named(*WHERE)}
    moved = c.listed("plane", "alpha_map", "beta_map", "pair", "card", "mark", "chosen")
    opened, whole = [*moved, c.about_level, c.known], _of_a_level(c)
    chosen = {**source.named, **c.named(*WHERE, "chosen")}
    views.opened["modes"](
        guarded(tab.modes), inputs_kwargs={"known": c.known, **chosen},
        outputs=[*whole, c.mode_pictures, c.mode_curves], **LAST,
    )  # fmt: skip
    answers = [c.level.input(guarded(tab.open_level), inputs_kwargs=where, outputs=opened, **LAST)]
    c.pair.input(guarded(tab.maps), [source.model, c.level, c.pair, c.mark], [c.alpha_map, c.beta_map], **LAST)
    for event, handler in ((c.plane.select, tab.click), (c.plane.apply, tab.select), (c.pairs.select, tab.choose_pair)):
        answers.append(event(guarded(handler), inputs_kwargs=where, outputs=moved, **LAST))
    pictures = {
        "fn": guarded(tab.contributions), "inputs_kwargs": chosen,
        "outputs": c.listed("card", "mode_pictures", "mode_curves"), **LAST,
    }  # fmt: skip
    c.plane.focus(**pictures | {"fn": guarded(tab.hover)})
    if work.pipeline is not None:
        box = {"known": c.known, "model": source.model, **c.named("low", "high", "order")}
        answers.append(work.pipeline.select(guarded(tab.open_box), inputs_kwargs=box, outputs=whole, **LAST))
    for event in answers:  # words at once, pictures as soon as they are there
        event.success(**pictures)


def _wire_bands(tab: SpectrumTab, work: Workspace, views: Views) -> Callable[[Dependency], None]:
    """Connect the view "Bands"; gives what asks for them again after an event that set their controls."""
    c, source = tab.controls, work.source
    masked = {
        "fn": guarded(tab.masked), "inputs_kwargs": {**source.named, **c.named(*MASK_CONTROLS)},
        "outputs": c.listed("pictures", "bands", "save"), **LAST,
    }  # fmt: skip
    words = {"queue": False, "show_progress": "hidden", **PRIVATE}
    c.order.input(guarded(tab.band_words), [source.model, c.order], c.listed(*GAINS, *ONLY), **words)
    shown, whole = {"known": c.known, **source.named, **c.named(*WHERE)}, _of_a_level(c)
    views.opened["bands"](
        guarded(tab.bands), inputs_kwargs={**shown, **c.named(*MASK_CONTROLS)},
        outputs=[*whole, *masked["outputs"]], **LAST,
    )  # fmt: skip

    def moving(moved: str) -> dict:
        return {
            "fn": guarded(functools.partial(tab.move_bands, moved)),
            "inputs_kwargs": {**source.named, **c.named("mark", "level", *MASK_CONTROLS)},
            "outputs": c.listed("low", "high", "plane", "pictures", "bands", "save"),
        }

    # "release" too: it is what Gradio's reset button tells
    edges = ([c.low.input, c.low.release], "low"), ([c.high.input, c.high.release], "high")
    for events, moved in (*edges, ([c.order.input], "low")):
        gr.on(events, **moving(moved), **LAST)
    gains = c.listed(*GAINS)
    gr.on([c.levels.input, c.ablation.input, *(e for g in gains for e in (g.input, g.release))], **masked)
    for button, values in zip(c.listed(*PRESETS), PRESETS.values(), strict=True):
        button.click(None, None, gains, js=f"() => {list(values)}", **PRIVATE).success(**masked)

    def rerun(filled: Dependency) -> None:
        # "multiple": only one listener of an event may be "always_last" (see ui/tabs/watch/generate.py)
        filled.success(
            guarded(tab.refill), inputs_kwargs={**shown, **c.named("mark", *MASK_CONTROLS)},
            outputs=list(dict.fromkeys([*whole, *moving("low")["outputs"]])), **LAST | {"trigger_mode": "multiple"},
        )  # fmt: skip

    return rerun
