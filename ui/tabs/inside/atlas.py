"""View "Atlas" of "Look inside": clusters of modes with an address, what each does and which factors it carries."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass

import gradio as gr

from analysis.core.errors import UserError
from analysis.core.images import data_uri
from analysis.workbench.atlas import SORTS, AtlasCluster, AtlasRequest, AtlasResult, command_for
from analysis.workbench.library import ModelLibrary
from ui.components.controls import Controls, chosen
from ui.components.history import CLICKS
from ui.components.html import details, fact_table, figure_html, row_html, times
from ui.components.layout import Frame, group, intro
from ui.components.made import Made
from ui.components.plot import points
from ui.server.errors import guarded
from ui.server.queue import MODEL_QUEUE, PRIVATE
from ui.source import BuiltTab, Views, Workspace

SENTENCE = "Modes that act at one place and on one thing, taken together: each group has an address."
FORMULA = """Modes of a level are clustered by where one standard deviation of each acts and by the factors that move
it; a cluster's effect is what its mean over 1,024 noises in its place changes, with a 95 % interval"""
ALL, SHOWN_CLUSTERS = -1, 60
SORT_NAMES = {
    "effect": "effect, largest first", "address": "address", "modes": "number of modes",
    "radius": "place, narrowest first", "frequency": "coarse to fine", "alpha": "growth rate α",
    "factor": "factor, largest lift first", "cosine": "likeness in the second training",
}  # fmt: skip
assert set(SORT_NAMES) == set(SORTS)
ASK = '<p class="ks-line">Click a cluster.</p>'


def interval(values: tuple[float, float, float], digits: str = ".2g") -> str:
    """A figure with its interval."""
    value, low, high = values
    return f"{value:{digits}} [{low:{digits}}, {high:{digits}}]"


def clusters_html(result: AtlasResult) -> str:
    """The clusters as buttons; a click triggers `select`, to be read with `ui.components.plot.points`."""
    buttons = "".join(
        f'<button type="button" data-index="{k}"><img src="{data_uri(c.picture)}" '
        f'alt="Mean effect of {html.escape(c.address)}"><b>{html.escape(c.address.split("/", 1)[1])}</b>'
        f"<span>{html.escape(_thing(c))}</span><span>{c.effect[0]:.2g}</span></button>"
        for k, c in enumerate(result.clusters)
        if c.picture is not None
    )
    return f'<div class="ks-atlas">{buttons}</div>'


def _thing(cluster: AtlasCluster) -> str:
    """The factors that it carries, or else its place."""
    carried = [f.name for f in cluster.factors if f.carried]
    return ", ".join(carried[:2]) or cluster.place


def count_words(result: AtlasResult) -> str:
    """How many there are, and how many were found again."""
    shown = len(result.clusters)
    words = f"{result.found} of {result.total} clusters" + (
        f", the first {shown} shown" if shown < result.found else ""
    )
    again = f" {result.again} of all are found again in {result.second}." if result.again is not None else ""
    idle = sum(result.idle)
    return (
        f'<p class="ks-line">{html.escape(f"{words}.{again} {idle:,} modes do next to nothing and are in none.")}</p>'
    )


def without(model: str) -> str:
    """What is said where there is no atlas of a model: how to make one."""
    return (
        f"<p>There is no atlas of <b>{html.escape(model)}</b> here yet; this makes one, in minutes:</p>"
        f'<code class="ks-command" tabindex="0">{html.escape(command_for(model))}</code>'
    )


def cluster_html(cluster: AtlasCluster) -> str:
    """One cluster: what it changes, where, at which rates, which factors, at its strongest seeds."""
    factors = " and ".join(f.name for f in cluster.factors if f.carried)
    verdict = (
        f"Without these {len(cluster.modes):,} modes the picture changes by {cluster.effect[0]:.2g} (mean squared), "
        f"without as many random ones by {cluster.control[0]:.2g}{'; they carry ' * bool(factors)}{factors}."
    )
    rows = [
        ("left out", interval(cluster.effect)),
        ("as many random modes", interval(cluster.control)),
        ("place", cluster.place),
        ("α of the median mode", f"{cluster.alpha[1]:.2f} per unit τ"),
    ]
    if math.isfinite(cluster.frequency):
        rows.append(("fineness", f"{cluster.frequency:.3f} cycles per pixel"))
    if cluster.match:
        found = "found again as" if cluster.again else "not found again; nearest"
        rows.append(("second training", f"{found} {cluster.match}, cosine {cluster.cosine:.2f}"))
    for f in cluster.factors:
        rows.append((f.name, f"{interval(f.share, '.1%')}{' carried' if f.carried else ''}"))
    if cluster.everything:
        rows.append(("unrelated scenes", interval(cluster.everything, ".1%")))
    table = fact_table([(html.escape(name), html.escape(value)) for name, value in rows])
    seeds = "".join(
        row_html(
            figure_html(s.full, "All modes", f"seed {s.seed}"), figure_html(s.without, "Without"),
            figure_html(s.difference, "Difference", times(s.magnification)),
        )
        for s in cluster.seeds
        if s.full is not None and s.without is not None and s.difference is not None
    )  # fmt: skip
    recipe = details("Recipe", f"<pre>{html.escape(cluster.recipe)}</pre>") if cluster.recipe else ""
    return (
        f'<h3 class="ks-title">{html.escape(cluster.address)}</h3><p class="ks-verdict">{html.escape(verdict)}</p>'
        + seeds
        + details("Details", f'<div class="ks-card">{table}</div>')
        + recipe
    )


@dataclass(frozen=True)
class AtlasControls(Controls):
    """Components of the view; `asked` holds the three that ask, of no use without an atlas."""

    asked: gr.Column
    search: gr.Textbox
    level: gr.Dropdown
    sort: gr.Dropdown
    count: gr.HTML
    clusters: gr.HTML
    cluster: gr.HTML
    page: gr.HTML


class AtlasTab:
    """The handlers; each can be called without a page.

    Args:
        library: the models.
        controls: of the view, or their names.
    """

    def __init__(self, library: ModelLibrary, controls: AtlasControls):
        self.library, self.controls = library, controls

    def _ask(self, model: str, search: str, level: int, sort: str) -> AtlasResult:
        bench = self.library.get(model)
        if level >= len(bench.spectrum().entries):  # chosen for another model
            level = ALL
        return bench.atlas(AtlasRequest(search=search or "", level=level, sort=sort, count=SHOWN_CLUSTERS))

    def show(self, model: str, search: str, level: int, sort: str) -> dict:
        """The clusters that were asked for; without an atlas, how to make one."""
        c = self.controls
        levels = {c.level: self.levels(model, level)}
        try:
            result = self._ask(model, search, level, sort)
        except UserError as e:
            words = without(self.library.get(model).name) if e.field == "atlas" else f"<p>{html.escape(str(e))}</p>"
            empty = f'<div class="ks-empty"><div>{words}</div></div>'
            return levels | {
                c.asked: gr.update(visible=False), c.clusters: empty, c.count: "", c.cluster: "", c.page: "",
            }  # fmt: skip
        made = Made(self.library.get(model).name, None, None)
        return levels | {
            c.asked: gr.update(visible=True), c.clusters: clusters_html(result), c.cluster: ASK,
            c.count: count_words(result) + made.line("#atlas-clusters, #atlas-cluster", "Atlas of "),
            c.page: details("How it was measured", f'<p class="ks-line">{html.escape(result.criterion)}</p>'
                            f"<pre>{html.escape(result.command)}</pre>"),
        }  # fmt: skip

    def settle(self, model: str, asked: Mapping[str, str]) -> dict:
        """The level of an address, whose choices are those of its model; see `BuiltTab.settle`."""
        name = asked.get(self.controls.level.elem_id)
        return {} if name is None else {self.controls.level: self.levels(model, name)}

    def levels(self, model: str, chosen: int | str) -> dict:
        """The list of levels, with the chosen one, by number or name, where the model has it."""
        known = [("all levels", ALL), *((e.name, e.index) for e in self.library.get(model).spectrum().entries)]
        return gr.update(choices=known, value=next((k for n, k in known if chosen in (n, k)), ALL))

    def choose(self, event: gr.EventData, *, model: str, search: str, level: int, sort: str) -> dict:
        """The cluster that was clicked.

        Raises:
            UserError: none of those on show.
        """
        result = self._ask(model, search, level, sort)
        chosen = points(event, len(result.clusters))
        if len(chosen) != 1:
            raise UserError("The atlas has changed: choose the cluster again.", "selection")
        return {self.controls.cluster: cluster_html(result.clusters[chosen[0]])}


def _lay_out(frame: Frame, levels: list[tuple[str, int]]) -> AtlasControls:
    with frame.controls:
        intro(SENTENCE, FORMULA, "atlas")
        with group("atlas"), gr.Column(min_width=0) as asked:
            search = gr.Textbox(
                "", label="Search", info="address, place, factor", max_length=100, elem_id="atlas-search"
            )
            level = gr.Dropdown(
                levels,
                value=ALL,
                label="Level",
                info="whose modes they are",
                elem_id="atlas-level",
                filterable=False,
            )
            sort = gr.Dropdown(
                [(name, key) for key, name in SORT_NAMES.items()], value="effect", label="Sort by",
                info="of those found", elem_id="atlas-sort", filterable=False,
            )  # fmt: skip
    with frame.stage, group("atlas"):
        count = gr.HTML(elem_id="atlas-count")
        clusters = gr.HTML(js_on_load=CLICKS, elem_id="atlas-clusters")
    with frame.readings, group("atlas"):
        cluster = gr.HTML(ASK, elem_id="atlas-cluster")
        page = gr.HTML(elem_id="atlas-page")
    return AtlasControls(asked, search, level, sort, count, clusters, cluster, page)


def build_atlas(work: Workspace, views: Views) -> BuiltTab:
    """Lay the view out and wire it; the file is read when it is opened."""
    model, start = work.source.model, work.source.start[0]
    c = _lay_out(views.frame, AtlasTab(work.library, AtlasControls.names()).levels(start, ALL)["choices"])
    tab = AtlasTab(work.library, c)
    asked = {"model": model, **c.named("search", "level", "sort")}
    live = {"show_progress": "hidden", **MODEL_QUEUE, **PRIVATE}
    gr.on(
        [views.opened["atlas"], c.search.input, c.level.input, c.sort.input], guarded(tab.show), inputs_kwargs=asked,
        outputs=c.listed("asked", "level", "count", "clusters", "cluster", "page"), trigger_mode="always_last", **live,
    )  # fmt: skip
    c.clusters.select(guarded(tab.choose), inputs_kwargs=asked, outputs=[c.cluster], **live)
    return BuiltTab(c, settle=lambda asked, out: tab.settle(chosen(model, out), asked))
