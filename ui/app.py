"""The page as a whole: header, source, tabs, endpoints; and how it is served."""

from __future__ import annotations

import gradio as gr
from starlette.middleware import Middleware

from analysis.studio import shared_studio
from analysis.workbench.library import MAX_BYTES, ModelLibrary
from ui.api.endpoints import add_endpoints
from ui.components.plot import PLOTLY_ROUTE
from ui.panels.downloads import build_downloads
from ui.panels.examples import build_glossary, example_row
from ui.panels.own_model import build_own_model
from ui.panels.recipes import build_recipe_panel
from ui.panels.tour import build_tour
from ui.server.limits import Limits
from ui.server.queue import HEAD, Shares
from ui.server.quick_page import QuickPage
from ui.server.startup import DEFAULT_SEED
from ui.source import build_source
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


def build_app(library: ModelLibrary, seed: int = DEFAULT_SEED) -> gr.Blocks:
    """The app, its first picture and trajectory already made.

    Args:
        library: the models.
        seed: of the first picture.

    Raises:
        UserError: the default model cannot be used.
    """
    with gr.Blocks(title="Koopman Studio", analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as demo:
        # first, or a tab's handler of the same name would take the endpoint's
        add_endpoints(shared_studio(library))
        gr.HTML(HEADER)
        wire_tour = build_tour(library)
        examples = example_row(library)
        source = build_source(library, seed)
        with gr.Tabs() as tabs:
            with gr.Tab("Generate & trajectory", id="generate"):
                shown, wire_trajectory, generated = build_generate(library, source)
            with gr.Tab("Spectrum", id="spectrum"):
                banded = build_spectrum(library, source, shown)
            with gr.Tab("Cumulative effect", id="effects") as page:
                build_effects(library, source, shown, page)
            with gr.Tab("Edit", id="edit") as page:
                edited = build_edit(library, source, shown, page)
            with gr.Tab("Restore", id="restore") as page:
                restored = build_restore(library, source, shown, page)
            with gr.Tab("Compare", id="compare") as page:
                build_compare(library, source, page)
            with gr.Tab("Flow lab", id="flow") as page:
                flows = build_flow_lab(page)
            with gr.Tab("Flow images", id="images") as page:
                flowed = build_flow_images(page)
            with gr.Tab("Time series", id="series") as page:
                forecast = build_time_series(page)
        wire_trajectory()
        build_downloads(library, source, generated.outputs[0], banded.outputs)
        # after all tabs, whose own answers to another model come first
        opens = [generated, banded, edited, restored, flows, flowed, forecast]
        opens = [o for o in opens if o is not None]
        filling = build_recipe_panel(library, source, tabs, opens, examples=examples)
        wire_tour(source, tabs, filling, flows.rerun)
        if library.own.open:
            build_own_model(library, source)
        build_glossary()
    _tell_few(demo, source.moves)
    # not open to direct posts: every question to a model waits in the one queue
    demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=1, api_open=False)
    return demo


def _tell_few(demo: gr.Blocks, place: gr.Component) -> None:
    """Events that show no progress keep their state on one component, not on each of their outputs.

    Gradio's page visits every component that any event has kept a state on at every step of every event, and looks each
    up in the whole tree: measured with all 300 outputs, that took most of the time between a click and its answer.

    Args:
        demo: the page, complete.
        place: a component that is not seen.
    """
    for fn in demo.fns.values():
        if fn.show_progress == "hidden" and fn.outputs:
            fn.show_progress_on = [place]


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
        "strict_cors": True,
        "max_file_size": MAX_BYTES,  # own models; pictures and recipes are held to their own limits
        "state_session_capacity": 256,
        "footer_links": ["api"],
        "app_kwargs": {
            "middleware": [Middleware(Limits), Middleware(Shares), Middleware(QuickPage)],
            "routes": [PLOTLY_ROUTE],
        },
    }
