"""The page as a whole: header, workspaces, and the two drawers with their panels, each from a list."""

from __future__ import annotations

from collections.abc import Callable, Container

import gradio as gr

from ui.panels.address import build_address
from ui.panels.downloads import build_downloads
from ui.panels.examples import build_glossary, example_row
from ui.panels.own_model import build_own_model
from ui.panels.recipes import build_recipe_panel
from ui.panels.tour import build_tour, lay_out_tour
from ui.source import Page, Workspace, build_source
from ui.workspaces import SPACES, TABS, build_workspaces, spaces_html

BRAND = f"""<button type="button" class="ks-skip">Skip to the result</button>
<div class="ks-brand"><span class="ks-mark" aria-hidden="true"><i></i><i></i><i></i></span><h1>Koopman Studio</h1></div>
{spaces_html()}"""
# name, words, drawing
ACTIONS = (
    ("link", "Copy a link to what is shown",
     '<path d="M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-6-6l-1.5 1.5M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 6 6l1.5-1.5"/>'),
    ("dark", "Dark or light", '<circle cx="12" cy="12" r="8"/><path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor"/>'),
    ("lecture", "Lecture: large type, stage only",
     '<rect x="3" y="4" width="18" height="12" rx="1"/><path d="M12 16v3M8 21l4-3 4 3"/>'),
    ("help", "Help", '<path d="M8.5 9a3.5 3.5 0 1 1 5 3.2c-1 .5-1.5 1-1.5 2.3M12 18v.5"/>'),
)  # fmt: skip
_BUTTONS = "".join(
    f'<button type="button" class="ks-sign" data-act="{act}" aria-label="{words}" title="{words}" tabindex="-1">'
    f'<svg viewBox="0 0 24 24" aria-hidden="true">{drawing}</svg></button>'
    for act, words, drawing in ACTIONS
)
_ABOUT = "".join(f"<dt>{s.title}</dt><dd>{s.about}</dd>" for s in SPACES)
TOOLS = f"""<div class="ks-tools-bar">
<button type="button" class="ks-sign ks-menu" data-act="menu" aria-label="More" title="More">⋯</button>
<div class="ks-acts" role="toolbar" aria-label="Page">
<button type="button" class="ks-word" data-drawer="learn" aria-expanded="false" tabindex="0">Learn</button>
<button type="button" class="ks-word" data-drawer="share" aria-expanded="false" tabindex="-1">Share</button>
{_BUTTONS}</div>
<output class="ks-said" aria-live="polite"></output>
<dialog class="ks-help" aria-label="Help"><h2>Koopman Studio</h2><dl>{_ABOUT}</dl>
<p><kbd>Tab</kbd> goes from group to group, <kbd>←</kbd> <kbd>→</kbd> within the workspaces, the views and these signs.
<kbd>Space</kbd> plays, <kbd>←</kbd> <kbd>→</kbd> step; in the plane they go from mode to mode, on a canvas they move
the brush and <kbd>Space</kbd> paints. <b>ƒ</b> shows the formula. A link keeps model, seed and view.</p>
<p><button type="button" class="ks-word" data-drawer="learn">Take the tour</button>
<button type="button" class="ks-word" data-act="help">Close</button></p></dialog></div>"""
# what the columns become where there is no room for them
SHEETS = """<div class="ks-sheet-bar">
<button type="button" data-sheet="controls" aria-expanded="false">Settings</button>
<button type="button" data-sheet="readings" aria-expanded="false">Numbers</button></div>"""
DRAWERS = {
    "learn": ("Learn", "The tour, examples, and every word of the page."),
    "share": ("Share", "Recipes, files, and a model of your own."),
}
# name, its drawer, what lays it out, before the panels are wired
ABOVE: tuple[tuple[str, str, Callable[[Workspace], object]], ...] = (
    ("tour", "learn", lay_out_tour),
    ("examples", "learn", example_row),
)
# name, its drawer, what builds it or wires what is laid out; in an order in which each finds what it needs
DRAWER_PANELS: tuple[tuple[str, str, Callable[[Page], object]], ...] = (
    ("recipes", "share", build_recipe_panel),
    ("downloads", "share", build_downloads),
    ("tour", "learn", build_tour),
    ("own model", "share", build_own_model),
    ("glossary", "learn", build_glossary),
)


def _drawer(name: str) -> gr.Column:
    title, about = DRAWERS[name]
    with gr.Column(elem_id=f"drawer-{name}", elem_classes="ks-drawer", min_width=0) as column:
        gr.HTML(
            f'<div class="ks-drawer-head"><h2 tabindex="-1">{title}</h2><p>{about}</p><button type="button"'
            f' class="ks-sign" data-drawer="{name}" aria-label="Close {title}">✕</button></div>'
        )
    return column


def build_page(work: Workspace, seed: int, tabs: Container[str] = TABS, panels: Container[str] | None = None) -> Page:
    """Lay out and wire the page within a `gr.Blocks`; the first picture and its trajectory are made.

    Args:
        work: what it stands on; its source is set here.
        seed: of the first picture.
        tabs: ids of the tabs that are built.
        panels: names of the panels that are built; all by default.

    Raises:
        UserError: the default model cannot be used.
    """
    with gr.Row(elem_id="header", elem_classes="ks-header"):
        gr.HTML(BRAND, elem_classes="ks-brand-box")
        work.source = build_source(work.library, seed)
        gr.HTML(TOOLS, elem_classes="ks-tools-box")
    spaces = build_workspaces(work, tabs)
    gr.HTML(SHEETS, elem_id="sheets")
    drawers = {name: _drawer(name) for name in DRAWERS}
    page = Page(work, spaces.opener, spaces.built, spaces.frames)
    for name, drawer, lay_out in ABOVE:
        with drawers[drawer]:
            page.panels[name] = lay_out(work)
    for name, drawer, panel in DRAWER_PANELS:
        if panels is None or name in panels:
            with drawers[drawer]:
                page.panels[name] = panel(page)
    build_address(page)
    return page
