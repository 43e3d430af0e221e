"""A page of a test's own: served, asked through the client, or opened in a browser."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr
from gradio_client import Client

from ui.app import launch_options

WAIT = 60_000  # milliseconds; a busy machine is slow


@contextmanager
def served(demo: gr.Blocks) -> Iterator[str]:
    """The address of a page while it is there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _, address, _ = demo.launch(
        server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, **launch_options()
    )
    try:
        yield address
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
