"""The five workspaces and their views as one table: the header's navigation, and the tabs that stand behind it.

A view is what a visitor opens; a tab is what Gradio mounts. Views of one tab share its stage. The browser switches
(`ui/js/workspaces.js`); a view's event "opened" is the click of a button that is not seen, which the script presses.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable, Container
from dataclasses import dataclass

import gradio as gr

from ui.components.layout import Frame, frame
from ui.source import BuiltTab, Views, Workspace
from ui.tabs.change.compare import build_compare
from ui.tabs.change.directions import build_directions
from ui.tabs.change.edit import build_edit
from ui.tabs.change.inversion import build_inversion
from ui.tabs.change.restore import build_restore
from ui.tabs.flows.images import build_flow_images
from ui.tabs.flows.points import build_flow_lab
from ui.tabs.flows.torus import build_torus
from ui.tabs.forecast.time_series import build_time_series
from ui.tabs.inside.atlas import build_atlas
from ui.tabs.inside.dynamics import build_dynamics
from ui.tabs.inside.effects import build_effects
from ui.tabs.inside.spectrum import build_spectrum
from ui.tabs.watch.generate import build_generate
from ui.tabs.watch.race import build_race
from ui.tabs.watch.walk import build_walk


@dataclass(frozen=True)
class View:
    """One view.

    Attributes: key, in the address and in recipes; title; tab, whose it is; follows, whether it shows the header's
    picture; heads, a word before it in the bar.
    """

    key: str
    title: str
    tab: str
    follows: bool = True
    heads: str = ""


@dataclass(frozen=True)
class Space:
    """One workspace. Attributes: key; title; about, one sentence; views, the first one opens."""

    key: str
    title: str
    about: str
    views: tuple[View, ...]


SPACES = (
    Space(
        "watch", "Watch", "From noise to picture, beside the teacher.",
        (View("watch", "One picture", "generate"), View("walk", "Walk", "walk"), View("race", "Race", "race")),
    ),
    Space(
        "inside", "Look inside", "The spectrum: what each mode and each band does.",
        (
            View("modes", "Modes", "spectrum"), View("bands", "Bands", "spectrum"),
            View("surgery", "Surgery", "spectrum"), View("over-time", "Over time", "effects", heads="Evidence"),
            View("linear", "Linearity", "effects"), View("carry", "Factors", "effects"),
            View("signatures", "Signatures", "effects"), View("atlas", "Atlas", "atlas"),
            View("dynamics", "Your dynamics", "dynamics", False),
        ),
    ),
    Space(
        "change", "Change", "Mix two pictures, fill a hole, give colours, move along a direction, compare.",
        (
            View("edit", "Mix", "edit"), View("restore", "Paint and restore", "restore"),
            View("directions", "Directions", "directions"), View("inversion", "Inversion", "inversion"),
            View("compare", "Compare", "compare", False), View("grid", "Grid", "compare", False),
        ),
    ),
    Space(
        "flows", "Flows", "Few-step flows of points and of pictures.",
        (
            View("flow", "Plane", "flow", False), View("train", "Draw and train", "flow", False),
            View("sweep", "Sweep", "flow", False), View("angles", "Angles", "angles", False),
            View("images", "Pictures", "images", False), View("images-sweep", "Picture sweep", "images", False),
        ),
    ),
    Space(
        "forecast", "Forecast", "Ensembles beside what really came.",
        (View("series", "Forecast", "series", False), View("free", "Free runs", "series", False)),
    ),
)  # fmt: skip
# the first one gives the event that another picture is shown
TABS: dict[str, Callable[[Workspace, Views], BuiltTab]] = {
    "generate": build_generate,
    "walk": build_walk,
    "race": build_race,
    "spectrum": build_spectrum,
    "effects": build_effects,
    "atlas": build_atlas,
    "dynamics": build_dynamics,
    "edit": build_edit,
    "restore": build_restore,
    "directions": build_directions,
    "inversion": build_inversion,
    "compare": build_compare,
    "flow": build_flow_lab,
    "angles": build_torus,
    "images": build_flow_images,
    "series": build_time_series,
}
VIEWS = {view.key: view for space in SPACES for view in space.views}


def views_css() -> str:
    """Style: in each view what `ui.components.layout.only` says to be of others is not seen."""
    others = ",".join(f'html[data-view="{v}"] .gradio-container .contain .ks-only:not(.ks-on-{v})' for v in VIEWS)
    return f"{others}{{display:none !important}}"


def spaces_html() -> str:
    """The workspaces, for the header: a list of tabs."""
    buttons = "".join(
        f'<button type="button" role="tab" class="ks-space" data-space="{s.key}" title="{html.escape(s.about)}"'
        f' aria-selected="{"true" if k == 0 else "false"}" tabindex="{0 if k == 0 else -1}">{s.title}</button>'
        for k, s in enumerate(SPACES)
    )
    return f'<nav class="ks-spaces" role="tablist" aria-label="Workspaces">{buttons}</nav>'


def views_html() -> str:
    """The views of each workspace that has several, one list of tabs a workspace."""
    lists = ""
    for space in SPACES:
        buttons = "".join(_view_html(space, view) for view in space.views)
        alone = " data-alone" if len(space.views) == 1 else ""
        lists += (
            f'<div class="ks-views" role="tablist" aria-label="Views of {space.title}" data-of="{space.key}"{alone}'
            f"{'' if space is SPACES[0] else ' hidden'}>{buttons}</div>"
        )
    return lists


def _view_html(space: Space, view: View) -> str:
    first = view is space.views[0]
    follows = " data-follows" if view.follows else ""
    before = f'<span class="ks-evidence" role="presentation">{view.heads}</span>' if view.heads else ""
    return (
        f'{before}<button type="button" role="tab" class="ks-view" data-view="{view.key}" data-tab="{view.tab}"'
        f' data-of="{space.key}"{follows} aria-selected="{"true" if first else "false"}"'
        f' tabindex="{0 if first else -1}">{view.title}</button>'
    )


_OPENINGS = itertools.count(1)
STAY = "-"


def opening(view: str = STAY, filled: bool = False) -> str:
    """A value of the opener, which opens this view; each is another one, so that it also opens it again.

    Args:
        view: its key, or `STAY`: the view that is open shows what was chosen meanwhile.
        filled: its result is made by the program, which has set its controls.
    """
    if view not in VIEWS and view != STAY:
        raise KeyError(view)
    return f"{view} {next(_OPENINGS)}{' filled' if filled else ''}"


@dataclass(frozen=True)
class Workspaces:
    """What stands on the page.

    Attributes:
        opener: opens a view by `opening(view)`.
        built, frames: what each tab's build function gave, and its columns, by the tab's id.
    """

    opener: gr.HTML
    built: dict[str, BuiltTab]
    frames: dict[str, Frame]


def build_workspaces(work: Workspace, tabs: Container[str] = TABS) -> Workspaces:
    """Lay out the views' bar and the tabs behind it, and build them.

    Args:
        work: what they stand on; its `source` is set.
        tabs: ids of the tabs that are built.
    """
    gr.HTML(views_html(), elem_id="views", elem_classes="ks-views-bar")
    opener = gr.HTML(
        html_template="<span></span>", js_on_load="watch('value', () => window.studio?.opening(props.value));",
        elem_id="opener", visible="hidden",
    )  # fmt: skip
    buttons = {key: gr.Button(visible="hidden", elem_id=f"opened-{key}") for key, v in VIEWS.items() if v.tab in tabs}
    built, frames = {}, {}
    with gr.Tabs(elem_id="workspaces", overflow_behavior="wrap"):
        for key, build in TABS.items():
            if key in tabs:
                with gr.Tab(key, id=key, elem_id=f"workspace-{key}"):
                    frames[key] = frame()
                    views = Views(frames[key], {v: buttons[v].click for v in buttons if VIEWS[v].tab == key})
                    built[key] = build(work, views)
    work.source.tell()
    return Workspaces(opener, built, frames)
