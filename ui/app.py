"""The page as a whole: tabs and panels, each from a list, and the endpoints of `ui.api`; and how it is served."""

from __future__ import annotations

import math
from collections.abc import Callable

import gradio as gr
from starlette.middleware import Middleware

from analysis.studio import Studio
from analysis.workbench.library import MAX_MODEL_BYTES
from ui.api.endpoints import add_endpoints
from ui.components.plot import PLOTLY_ROUTE
from ui.panels.downloads import build_downloads
from ui.panels.examples import build_glossary, example_row
from ui.panels.own_model import build_own_model
from ui.panels.recipes import build_recipe_panel
from ui.panels.tour import build_tour, lay_out_tour
from ui.server.errors import REMOTE, Told, translated
from ui.server.gradio_internals import QuickPage, complain, fetch_nothing, tell_few
from ui.server.limits import Limits
from ui.server.questions import Questions
from ui.server.queue import HEAD, Shares
from ui.server.startup import DEFAULT_SEED
from ui.source import BuiltTab, Page, Workspace, build_source
from ui.tabs.compare import build_compare
from ui.tabs.edit import build_edit
from ui.tabs.effects import build_effects
from ui.tabs.flow_images import build_flow_images
from ui.tabs.flow_points import build_flow_lab
from ui.tabs.generate import build_generate
from ui.tabs.restore import build_restore
from ui.tabs.spectrum import build_spectrum
from ui.tabs.time_series import build_time_series
from ui.theme import HEADER, STYLE_SHEET, theme

QUEUE_SIZE = 64  # a class of thirty that moves sliders; each visitor waits for few answers at a time
# id, title, what builds it; the first one gives the event that another picture is shown
TABS: tuple[tuple[str, str, Callable[[Workspace, gr.Tab], BuiltTab]], ...] = (
    ("generate", "Generate & trajectory", build_generate),
    ("spectrum", "Spectrum", build_spectrum),
    ("effects", "Cumulative effect", build_effects),
    ("edit", "Edit", build_edit),
    ("restore", "Restore", build_restore),
    ("compare", "Compare", build_compare),
    ("flow", "Flow lab", build_flow_lab),
    ("images", "Flow images", build_flow_images),
    ("series", "Time series", build_time_series),
)
# name, what lays it out above the tabs
ABOVE = (("tour", lay_out_tour), ("examples", example_row))
# name, what builds it below the tabs, or wires what stands above them; in an order in which each finds what it needs
PANELS: tuple[tuple[str, Callable[[Page], object]], ...] = (
    ("downloads", build_downloads),
    ("recipes", build_recipe_panel),
    ("tour", build_tour),
    ("own model", build_own_model),
    ("glossary", build_glossary),
)


def build_app(studio: Studio, seed: int = DEFAULT_SEED, patience: float = math.inf) -> gr.Blocks:
    """The app, its first picture and trajectory already made.

    Args:
        studio: who answers all questions.
        seed: of the first picture.
        patience: seconds that no measurement of the page may exceed.

    Raises:
        UserError: the default model cannot be used.
    """
    with gr.Blocks(title="Koopman Studio", analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as demo:
        # first, or a tab's handler of the same name would take the endpoint's
        add_endpoints(studio)
        gr.HTML(HEADER)
        work = Workspace(studio, patience)
        above = {name: lay_out(work) for name, lay_out in ABOVE}
        work.source = build_source(studio.library, seed)
        built = {}
        with gr.Tabs(elem_id="workspaces") as tabs:
            for key, title, build in TABS:
                with gr.Tab(title, id=key, elem_id=f"workspace-{key}") as tab:
                    built[key] = build(work, tab)
        for wire in work.afterwards:
            wire()
        page = Page(work, tabs, built, above)
        for name, panel in PANELS:
            page.panels[name] = panel(page)
    tell_few(demo, work.source.moves)
    fetch_nothing(Told(REMOTE))
    complain(demo, Told, translated)
    # not open to direct posts: every question to a model waits in the one queue
    return demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=1, api_open=False)


def launch_options() -> dict:
    """Arguments of `launch` that do not depend on the caller."""
    return {
        "theme": theme(),
        "css_paths": [str(STYLE_SHEET)],
        "head": HEAD,
        "share": False,
        "ssr_mode": False,
        "mcp_server": False,
        "pwa": False,
        "num_workers": 0,
        "enable_monitoring": False,
        "run_history": False,
        "show_error": False,
        # else Gradio asks for its own page and gives up where that takes 3 s, as on a busy machine or through a proxy
        "_frontend": False,
        "strict_cors": True,
        "max_file_size": MAX_MODEL_BYTES,  # own models; pictures and recipes are held to their own limits
        "state_session_capacity": 256,
        "footer_links": ["api"],
        "app_kwargs": {
            "middleware": [Middleware(Limits), Middleware(Questions), Middleware(Shares), Middleware(QuickPage)],
            "routes": [PLOTLY_ROUTE],
        },
    }
