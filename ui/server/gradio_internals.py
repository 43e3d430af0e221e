"""What the page needs of Gradio beyond its public interface; nothing else in `ui` touches it.

Seen in Gradio 6.31; requirements.txt holds the page to that minor version. The tests of the start, of the queue and of
the page in a browser say whether another one still has these parts. `ui/js/busy.js` reads the messages of the queue's
stream, and `assets/style.css` names Gradio's classes.

Imports no Gradio: the start needs `without_stubs` before that.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gradio as gr

SEEN_IN = "6.31"
JOIN_PATH = "/gradio_api/queue/join"
CALL_PATH = "/gradio_api/call/"
UPLOAD_PATH = "/gradio_api/upload"

# ---------------------------------------------------------------------------------------------------------------------
# The start

STUBS = "gradio.component_meta"  # writes them, in `create_or_modify_pyi`


class _WithoutStubs:
    """A finder of modules that takes the writing of stubs out of Gradio's own module as it is imported."""

    def find_spec(self, name: str, path=None, target=None):
        spec = PathFinder.find_spec(name, path) if name == STUBS else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module) -> None:
            execute(module)
            module.create_or_modify_pyi = lambda *_: None

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def without_stubs() -> Iterator[None]:
    """Within, the first import of Gradio writes no type stubs, and none are written later.

    Gradio parses every component's source and rewrites the .pyi file beside it at each import: more than half of the
    import's time, and a race between two apps that start together.
    """
    finder = _WithoutStubs()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


# ---------------------------------------------------------------------------------------------------------------------
# Events and queues


def tell_few(demo: gr.Blocks, place: gr.components.Component) -> None:
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


def waiting(scope: dict, visitor: str) -> int:
    """How many questions of a visitor wait, in all queues; the ones that are being answered do not.

    Args:
        scope: of the ASGI call, within Gradio's app.
        visitor: name of the session.
    """
    queues = scope["app"].get_blocks()._queue.event_queue_per_concurrency_id.values()
    return sum(event.session_hash == visitor for one in queues for event in one.queue)


def queue_of(scope: dict, question: dict[str, Any]) -> str | None:
    """The queue that a question waits in, None where there is no such question.

    Args:
        scope: of the ASGI call, within Gradio's app.
        question: the body of the request.
    """
    index = question.get("fn_index")
    fn = scope["app"].get_blocks().fns.get(index) if isinstance(index, int) else None
    return None if fn is None else fn.concurrency_id


# ---------------------------------------------------------------------------------------------------------------------
# The page

MODULE = b'<script type="module"'  # Gradio's own, in the page
_QUICK_PAGE = Path(__file__).resolve().parent.parent / "js" / "quick_page.js"
SCRIPT = f"<script>{_QUICK_PAGE.read_text(encoding='utf-8')}</script>".encode()


class QuickPage:
    """ASGI middleware: puts a script into the page, before Gradio's, since what `head` brings runs after it.

    Any other answer stays as it is.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].strip("/"):
            await self.app(scope, receive, send)
            return
        start, body = {}, b""

        async def whole(message):
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = body.replace(MODULE, SCRIPT + MODULE, 1)
            length = (b"content-length", b"%d" % len(body))
            headers = [h for h in start.get("headers", ()) if h[0].lower() != length[0]]
            await send({**start, "headers": [*headers, length]})
            await send({**message, "body": body})

        await self.app(scope, receive, whole)
