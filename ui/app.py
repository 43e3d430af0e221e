"""The page and the endpoints of `ui.api`, and how they are served."""

from __future__ import annotations

import math

import gradio as gr
from starlette.middleware import Middleware

from analysis.studio import Studio
from analysis.workbench.library import MAX_MODEL_BYTES
from ui.api.endpoints import add_endpoints
from ui.components.plot import PLOTLY_LATER, PLOTLY_ROUTE
from ui.panels.page import build_page
from ui.server.errors import REMOTE, Told, translated
from ui.server.gradio_internals import QuickPage, complain, fetch_nothing, one_server, tell_few
from ui.server.limits import Limits
from ui.server.questions import Questions
from ui.server.queue import BUSY_HEAD, Shares
from ui.server.startup import DEFAULT_SEED
from ui.source import Workspace
from ui.theme import STYLE_SHEET, script, theme
from ui.workspaces import views_css

# not by `css_paths`: Gradio would rewrite what stands within @media
STYLE = f"<style>{STYLE_SHEET.read_text(encoding='utf-8')}{views_css()}</style>"
HEAD_PARTS = f"{STYLE}<script>{PLOTLY_LATER}{script('workspaces.js', 'made.js', 'gestures.js')}</script>"
FILES_KEPT = (3600, 3600)  # seconds: how often it is looked, and how old they may be
GRADIO_QUEUE_SIZE = 64  # a class of thirty that moves sliders; each visitor waits for few answers at a time


def build_app(studio: Studio, seed: int = DEFAULT_SEED, patience: float = math.inf) -> gr.Blocks:
    """The app, its first picture and trajectory already made.

    Args:
        studio: who answers all questions.
        seed: of the first picture.
        patience: seconds that no measurement of the page may exceed.

    Raises:
        UserError: the default model cannot be used.
    """
    # not open to direct posts: every question to a model waits in the one queue
    queue = {"max_size": GRADIO_QUEUE_SIZE, "default_concurrency_limit": 1, "api_open": False}
    form = {"title": "Koopman Studio", "analytics_enabled": False, "fill_width": True, "delete_cache": FILES_KEPT}
    with one_server():
        with gr.Blocks(**form) as demo:
            # first, or a view's handler of the same name would take the endpoint's
            add_endpoints(studio)
            work = Workspace(studio, patience)
            build_page(work, seed)
        tell_few(demo, work.source.moves)
        fetch_nothing(Told(REMOTE))
        complain(demo, Told, translated)
        return demo.queue(**queue)


def launch_options() -> dict:
    """Arguments of `launch` that do not depend on the caller."""
    return {
        "theme": theme(),
        "head": BUSY_HEAD + HEAD_PARTS,
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
