"""What the page needs of Gradio beyond its public interface; nothing else in `ui` touches it.

Seen in Gradio 6.31; requirements.txt holds the page to that minor version. The tests of the start, of the queue and of
the page in a browser say whether another one still has these parts. `ui/js/busy.js` reads the messages of the queue's
stream, and `assets/style.css` names Gradio's classes.

Imports no Gradio: the start needs `without_stubs` before that.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import gradio as gr

SEEN_IN = "6.31"
JOIN_PATH = "/gradio_api/queue/join"
CALL_PATH = "/gradio_api/call/"
UPLOAD_PATH = "/gradio_api/upload"
RUN_PATHS = ("/gradio_api/run/", "/gradio_api/api/")  # handlers that wait in no queue
FILE_PATHS = ("/gradio_api/file=", "/gradio_api/stream/")  # of files that the page shows

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


@contextlib.contextmanager
def one_server() -> Iterator[None]:
    """Within, pages get no server; `launch` makes the one that is used.

    Gradio makes a server of each page three times before that, each with a description of every component: measured, an
    eighth of the time to lay the page out.
    """
    from gradio.routes import App

    create = App.__dict__["create_app"]
    App.create_app = staticmethod(lambda *_, **__: None)  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        App.create_app = create  # type: ignore[method-assign]


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


def unread(scope: dict, visitor: str) -> int:
    """How many messages for a visitor nobody has read; Gradio keeps all of them, answers too.

    Args:
        scope: of the ASGI call, within Gradio's app.
        visitor: name of the session.
    """
    messages = scope["app"].get_blocks()._queue.pending_messages_per_session
    return messages[visitor].qsize() if visitor in messages else 0


def take_turns(scope: dict) -> None:
    """Put the questions that wait into an order in which visitors take turns, the earlier question first.

    Gradio answers in the order of arrival, so that whoever asks sixteen questions at once is served sixteen times
    before the next visitor once is.

    Args:
        scope: of the ASGI call, within Gradio's app.
    """
    for one in scope["app"].get_blocks()._queue.event_queue_per_concurrency_id.values():
        turns: Counter[str] = Counter()
        order = {}
        for event in one.queue:  # of one visitor, in the order of arrival
            order[event._id] = turns[event.session_hash], event.enqueue_time
            turns[event.session_hash] += 1
        one.queue.sort(key=lambda event, order=order: order[event._id])


def queue_of(scope: dict, question: dict[str, Any]) -> str | None:
    """The queue that a question waits in, None where there is no such question.

    Args:
        scope: of the ASGI call, within Gradio's app.
        question: the body of the request.
    """
    index = question.get("fn_index")
    fn = scope["app"].get_blocks().fns.get(index) if isinstance(index, int) else None
    return None if fn is None else fn.concurrency_id


class Asked(Protocol):
    """A question in a queue. Attributes: alive = whether the stream of its answers is open."""

    alive: bool


_UNKNOWN = SimpleNamespace(alive=True)  # outside of a question, or of one that waits in no queue


def asked() -> Asked:
    """The question that this thread answers; looked at again and again, it tells whether its visitor has left."""
    from gradio.context import LocalContext

    blocks, name = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = blocks._queue.event_ids_to_events.get(name) if blocks is not None and name else None
    return event or _UNKNOWN  # Gradio marks it when the stream of its answers is closed


def sent(event: gr.EventData) -> dict[str, Any]:
    """What a script of the page hands over with an event, unchecked; {} where it is no table."""
    return event._data if isinstance(event._data, dict) else {}


def names_function(scope: dict, index: int | None, name: str) -> bool:
    """Whether there is a handler of this number or, without one, of this name.

    Args:
        scope: of the ASGI call, within Gradio's app.
        index: its number.
        name: of the API.
    """
    fns = scope["app"].get_blocks().fns
    return index in fns if index is not None else any(fn.api_name == name for fn in fns.values())


def complain(demo: gr.Blocks, known: type[Exception], translated: Callable[[Exception], Exception]) -> None:
    """Failures around a handler, while Gradio reads what was sent or writes what it gives, in words of ours.

    Args:
        demo: the page.
        known: errors that may pass as they are.
        translated: gives what is raised in place of any other.
    """
    process = demo.process_api

    @functools.wraps(process)
    async def process_api(*args, **kwargs):
        try:
            return await process(*args, **kwargs)
        except known:
            raise
        except Exception as e:
            raise translated(e) from None

    demo.process_api = process_api  # type: ignore[method-assign]


# ---------------------------------------------------------------------------------------------------------------------
# Files


def is_file(table: dict) -> bool:
    """Whether Gradio takes a table in a question for a file."""
    meta = table.get("meta")
    return isinstance(meta, dict) and meta.get("_type") == "gradio.FileData"


def fetch_nothing(refusal: Exception) -> None:
    """From now on this process fetches no file from an address, and looks no name up for it.

    Gradio fetches what a visitor names in place of an upload, or in `/gradio_api/file=`, and asks a public server for
    the place of a name that it cannot look up itself. All of it goes through two functions of safehttpx.

    Args:
        refusal: what is raised instead.
    """
    import safehttpx

    async def refused(*_, **__):
        raise refusal

    for name in ("get", "async_validate_url"):
        real = getattr(safehttpx, name)
        refused_by_name = functools.wraps(real)(functools.partial(refused))
        refused_by_name.replaced = getattr(real, "replaced", real)
        setattr(safehttpx, name, refused_by_name)


# ---------------------------------------------------------------------------------------------------------------------
# The page

MODULE = b'<script type="module"'  # Gradio's own, in the page
_QUICK_PAGE = Path(__file__).resolve().parent.parent / "js" / "quick_page.js"
SCRIPT = f"<script>{_QUICK_PAGE.read_text(encoding='utf-8')}</script>".encode()
# what Gradio's page does twice or for nothing: what it did before it showed anything took most of the time until then;
# by the beginning of a script's path, which a hash follows
EDITS = {
    "/assets/Blocks-": (
        # arguments of an event's own, which streams alone have, looked for in the whole tree for every event
        (
            b"async set_event_args(e,t){let n={},",
            b"async set_event_args(e,t){if(!Object.keys(t).length)return()=>{};let n={},",
        ),
        # the tree made again as soon as it is made, though the number of reloads is still 0
        (b"le(()=>{v(),oe(()=>{O.reload(", b"le(()=>{v()&&oe(()=>{O.reload("),
    ),
    "/assets/core-": (
        # every event asked about every component
        (
            b"find_attached_events(e,t){let n=t.filter(",
            b"find_attached_events(e,t){let n=(window.ksEvents?.(t,e.id)??t).filter(",
        ),
    ),
    # the visitor's language looked up again for every label
    "/assets/runtime-": (
        (
            b"var t=Intl.NumberFormat.supportedLocalesOf(e);return t.length>0?",
            b"var m=window.ksLocales??={};if(m[e])return m[e];var t=Intl.NumberFormat.supportedLocalesOf(e);"
            b"return m[e]=t.length>0?",
        ),
    ),
    # a list tells "input" again when it is left, and to whoever only passes by with Tab; `was`: what it told last
    "/assets/Index-": (
        (b"o.on_focus?.()}function we()", b"o.on_focus?.(),I.was=_()}function we()"),
        (b"D(J,null),o.on_input?.(),I.blur()}", b"D(J,null),o.on_input?.(),I.was=_(),I.blur()}"),
        (b"o.on_blur?.(),o.on_input?.()}", b"o.on_blur?.(),I.was!==_()&&(I.was=_(),o.on_input?.())}"),
    ),
}


_MAP = re.compile(r"m\.f=\[(.*?)\]")  # the files that a script of Gradio's may load later, by number
_LATER = r"import\(`\./([\w-]+\.js)`\)[^`]*?__vite__mapDeps\(\[([\d,]*)\]\)"
CONFIG, CONFIG_END = b"<script>window.gradio_config = ", b";</script>"
ON_LOAD = re.compile(rb'"js_on_load":("(?:[^"\\]|\\.){200,}")')
RELATIVE = re.compile(rb"url\(\s*[\"']?(?!data:)|@import")  # of a sheet that must stay where it is
ASSET = re.compile(r"/assets/[\w.-]{1,100}\.(js|css)")
_NAMED_FILES = re.compile(rb"\./assets/([\w.-]+)")
HEAD_END = b"</head>"
BASE = re.compile(rb"<base [^>]*>")


def _later(script: str, place: str) -> list[str]:
    """The files that a script loads at a place, itself and those that it needs; none where it is not found."""
    files, found = _MAP.search(script), re.search(place + _LATER, script)
    if not files or not found:
        return []
    names = [name.strip().strip('"`').removeprefix("./") for name in files[1].split(",")]
    return [found[1], *(names[int(k)] for k in found[2].split(",") if k and int(k) < len(names))]


def _frontend() -> Path:
    import gradio

    return Path(gradio.__file__).parent / "templates" / "frontend"


@functools.cache
def early_files(kinds: frozenset[str]) -> tuple[str, ...]:
    """Gradio's files that a page needs before it shows anything, below assets/; none in a release built otherwise.

    Args:
        kinds: of the page's components, as Gradio names them.
    """
    folder = _frontend() / "assets"

    def script(pattern: str, words: str) -> tuple[str, str]:
        texts = ((file.name, file.read_text(encoding="utf-8")) for file in sorted(folder.glob(pattern)))
        return next(((name, text) for name, text in texts if words in text), ("", ""))

    page, components = script("Index-*.js", "import(`./Blocks-"), script("core-*.js", ",slider:{")
    names = [page[0], *_later(page[1], "")]
    for kind in sorted(kinds):
        names += _later(components[1], rf"\b{kind}:{{[^}}]*?component:\(\)=>\w\(\(\)=>")
    return tuple(dict.fromkeys(name for name in names if name and (folder / name).is_file()))


def _early(files: Sequence[str], body: bytes) -> tuple[bytes, bytes]:
    """What brings these files before Gradio's page finds out about them: scripts asked for, sheets within the page.

    A sheet that is within has a link that asks for nothing: Gradio's page looks for one before it adds its own.

    Returns:
        What is to stand first in the page's head, and what last: the sheets would come after the page's own.
    """
    links, rules = b"", b""
    asked = set(_NAMED_FILES.findall(body))  # by the page itself
    for name in (name for name in files if name.encode() not in asked):
        sheet = asset(f"/assets/{name}") if name.endswith(".css") else None
        if sheet is None:
            links += f'<link rel="modulepreload" crossorigin href="./assets/{name}">'.encode()
        elif RELATIVE.search(sheet.body) is None:
            links += f'<link rel="stylesheet" crossorigin disabled href="./assets/{name}">'.encode()
            rules += sheet.body
    return links, b"<style>" + rules + b"</style>"


def _as_json(config: bytes) -> bytes:
    """A page's configuration as the element that `quick_page.js` reads, every script of its components once."""
    places: dict[bytes, int] = {}

    def shared(found: re.Match[bytes]) -> bytes:
        return b'"js_on_load":%d' % places.setdefault(found[1], len(places))

    config = ON_LOAD.sub(shared, config)
    sent = b'{"scripts":[' + b",".join(places) + b'],"config":' + config + b"}"
    return b'<script type="application/json" id="ks-config">' + sent + b"</script>" + SCRIPT


def quick_page(body: bytes, files: Sequence[str] = ()) -> bytes:
    """The page with our script before Gradio's, since what `head` brings runs after it.

    Args:
        body: the page.
        files: that are brought at once; Gradio's page finds out about the last of them a second later.
    """
    if MODULE not in body:
        return body
    links, sheets = _early(files, body)
    body = BASE.sub(lambda base: base[0] + links, body, count=1)
    start, end, rest = body.rpartition(HEAD_END)
    body = start + sheets + end + rest if end else body
    before, begun, rest = body.partition(CONFIG)
    config, end, after = rest.partition(CONFIG_END)  # no text within ends it: "<" is written otherwise there
    if not (begun and end):
        return body.replace(MODULE, SCRIPT + MODULE, 1)
    return before + _as_json(config) + after


def quick_script(path: str, body: bytes) -> bytes:
    """A script of Gradio's with its `EDITS`; what is not found, in another release, stays as it is."""
    for old, new in next((edits for start, edits in EDITS.items() if path.startswith(start)), ()):
        body = body.replace(old, new, 1)
    return body


@dataclass(frozen=True)
class Asset:
    """One of Gradio's scripts or style sheets, kept to be sent: Gradio reads and compresses it again for every visitor.

    Attributes:
        body, compressed: as it is, and by Brotli.
        headers: all but those of its length and encoding.
    """

    body: bytes
    compressed: bytes
    headers: tuple[tuple[bytes, bytes], ...]

    def answer(self, asked: dict[bytes, bytes]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body for a request's headers (lower case)."""
        headers = dict(self.headers)
        if asked.get(b"if-none-match") == headers[b"etag"]:
            return 304, [*self.headers], b""
        brotli = b"br" in asked.get(b"accept-encoding", b"")
        body = self.compressed if brotli else self.body
        encoding = [(b"content-encoding", b"br")] if brotli else []
        return 200, [*self.headers, *encoding, (b"content-length", b"%d" % len(body))], body


def asset(path: str) -> Asset | None:
    """What "/assets/NAME" stands for; None where it is no script or style sheet of Gradio's."""
    # asked before anything is kept: visitors may name whatever they like
    return _kept_asset(path) if ASSET.fullmatch(path) and (_frontend() / path[1:]).is_file() else None


@functools.cache
def _kept_asset(path: str) -> Asset:
    import brotli

    sent = (_frontend() / path[1:]).read_bytes()
    body = quick_script(path, sent)
    kind = b"text/javascript" if path.endswith(".js") else b"text/css"
    headers = (
        (b"content-type", kind + b"; charset=utf-8"),
        (b"etag", b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()),
        # a hash in its name is of what Gradio ships, not of what we make of it
        (b"cache-control", b"public, max-age=31536000, immutable" if body == sent else b"no-cache"),
        (b"vary", b"accept-encoding"),
    )
    return Asset(body, brotli.compress(body, quality=4), headers)


def _early_files(scope: dict) -> tuple[str, ...]:
    blocks = getattr(scope.get("app"), "blocks", None)  # none before the launch
    return early_files(frozenset(b.get_block_name() for b in blocks.blocks.values())) if blocks else ()


class QuickPage:
    """ASGI middleware: `quick_page` on its way to the browser, and every `asset`.

    What a proxy passes on without the "/" that the page's own addresses stand on is sent there. Any other answer stays
    as it is.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        root = scope.get("root_path", "") if scope["type"] == "http" else ""
        path = scope["path"].removeprefix(root) if scope["type"] == "http" and scope["method"] == "GET" else None
        file = asset(path) if path else None
        if file is not None:
            status, headers, sent = file.answer(dict(scope["headers"]))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": sent})
            return
        if path is None or path.strip("/"):
            await self.app(scope, receive, send)
            return
        if root and scope["path"] == root:
            query = b"?" + scope["query_string"] if scope["query_string"] else b""
            there = [(b"location", root.encode() + b"/" + query), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 307, "headers": there})
            await send({"type": "http.response.body", "body": b""})
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
            body = quick_page(body, _early_files(scope))
            length = (b"content-length", b"%d" % len(body))
            headers = [h for h in start.get("headers", ()) if h[0].lower() != length[0]]
            await send({**start, "headers": [*headers, length]})
            await send({**message, "body": body})

        await self.app(scope, receive, whole)
