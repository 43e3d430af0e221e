"""The page as a whole: header, source, tabs, endpoints; and how it is served."""

from __future__ import annotations

import gradio as gr
from starlette.middleware import Middleware

from analysis import ModelLibrary
from ui.endpoints import add_endpoints
from ui.generate import build_generate
from ui.guard import Limits
from ui.plots import PLOTLY_ROUTE
from ui.source import build_source
from ui.spectrum import build_spectrum
from ui.theme import HEADER, STYLE_SHEET, theme

DEFAULT_SEED = 12
QUEUE_SIZE = 16


def build_app(library: ModelLibrary, seed: int = DEFAULT_SEED) -> gr.Blocks:
    """The app, its first picture and trajectory already made.

    Args:
        library: the models.
        seed: of the first picture.

    Raises:
        UserError: the default model cannot be used.
    """
    with gr.Blocks(title="Koopman Studio", analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as demo:
        gr.HTML(HEADER)
        source = build_source(library, seed)
        with gr.Tabs():
            with gr.Tab("Generate & trajectory", id="generate"):
                shown, wire_trajectory = build_generate(library, source)
            with gr.Tab("Spectrum", id="spectrum"):
                build_spectrum(library, source, shown)
        wire_trajectory()
        add_endpoints(library)
    # not open to direct posts: every question to a model waits in the one queue
    demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=1, api_open=False)
    return demo


def launch_options() -> dict:
    """Arguments of `launch` that do not depend on the caller."""
    return {
        "theme": theme(),
        "css_paths": [str(STYLE_SHEET)],
        "share": False,
        "ssr_mode": False,
        "mcp_server": False,
        "pwa": False,
        "num_workers": 0,
        "enable_monitoring": False,
        "run_history": False,
        "show_error": False,
        "strict_cors": True,
        "max_file_size": "4mb",
        "state_session_capacity": 256,
        "footer_links": ["api"],
        "app_kwargs": {"middleware": [Middleware(Limits)], "routes": [PLOTLY_ROUTE]},
    }
