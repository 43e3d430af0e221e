"""A page of a test's own: served, asked through the client, or opened in a browser."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import gradio as gr
from gradio_client import Client

from analysis.studio import Studio
from analysis.workbench.library import ModelLibrary
from tests.waiting import wait_for
from ui.app import launch_options
from ui.panels.page import build_page
from ui.server import limits
from ui.source import Page, Workspace

WAIT = 60_000  # milliseconds; a busy machine is slow


@contextmanager
def served(demo: gr.Blocks, public: bool = False, frames: Sequence[str] = (), root: str | None = None) -> Iterator[str]:
    """The address of a page while it is there, with what `--public`, `--frame-from` and `--root-path` ask for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = limits.shown_in(limits.restrict(demo, launch_options()) if public else launch_options(), frames)
    options |= {"server_name": "127.0.0.1", "server_port": port, "root_path": root}
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True, **options)
    try:
        yield f"http://127.0.0.1:{port}/" if root else address
    finally:
        demo.close(verbose=False)


@contextmanager
def client_of(add: Callable[[], None]) -> Iterator[Client]:
    """A client of a page that has nothing but the endpoints that `add` adds."""
    with gr.Blocks() as demo:
        add()
    demo.queue(api_open=False)
    with served(demo) as address:
        yield Client(address, verbose=False)


def page_of(
    library: ModelLibrary,
    *tabs: str,
    panels: tuple[str, ...] = (),
    seed: int = 12,
    studio: Studio | None = None,
    patience: float = math.inf,
) -> tuple[gr.Blocks, Page]:
    """A page of the header, some of the tabs and panels, and what was built.

    Args:
        library: the models.
        tabs: their ids, beside the first one, which is always there.
        panels: their names.
        seed: of the first picture.
        studio: who answers; with this library in any case.
        patience: seconds that no measurement may exceed.
    """
    with gr.Blocks(analytics_enabled=False, fill_width=True) as demo:
        studio = studio or Studio(library=library)
        studio.library = library
        page = build_page(Workspace(studio, patience), seed, {"generate", *tabs}, panels)
    demo.queue(default_concurrency_limit=1, api_open=False)
    return demo, page


def open_view(page, view: str) -> None:
    """Go to a view by hand: its workspace in the header, then its own button."""
    button = page.locator(f".ks-view[data-view='{view}']")
    page.locator(f".ks-space[data-space='{button.get_attribute('data-of')}']").click()
    if button.is_visible():  # the workspace has several views
        button.click()
    wait_for(page, "view => document.documentElement.dataset.view === view", argument=view)


def open_drawer(page, name: str) -> None:
    """Open a drawer, unless it is open."""
    if not page.locator(f"#drawer-{name}").is_visible():
        page.locator(f".ks-acts [data-drawer='{name}']").click()


def close_drawer(page, name: str) -> None:
    """Close a drawer, which lies over the page where it is narrow, unless it is closed."""
    if page.locator(f"#drawer-{name}").is_visible():
        page.locator(f"#drawer-{name} [data-drawer]").click()


@contextmanager
def on_page(browser, demo: gr.Blocks) -> Iterator:
    """A page in a browser; complaints of its scripts fail the test."""
    demo.queue(max_size=16, default_concurrency_limit=1, api_open=False)
    with served(demo) as address:
        page, complaints = browser.new_page(viewport={"width": 1440, "height": 1000}), []
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.goto(address)
        yield page
        page.close()
    assert complaints == []
