"""Bounds of requests; and what is different where strangers may come (`python app.py --public`).

Gradio's page brings its scripts and styles inline and makes functions of text, so the policy has to allow these two;
what it forbids is everything from elsewhere: scripts, pictures, fonts, requests, frames, forms.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import gradio as gr
from starlette.middleware import Middleware

from analysis.workbench import library
from analysis.workbench.library import ModelLibrary, OwnModels
from foundation.data.decoding import UPLOAD_BYTES
from ui.server.errors import TooLong, refuse
from ui.server.gradio_internals import UPLOAD_PATH
from ui.server.queue import MAX_WAITING

MAX_BODY_BYTES = 24 * 2**20  # no question of ours is longer: a picture of 16 MB as base64
MAX_UPLOAD_BYTES = library.MAX_MODEL_BYTES + 2**20  # a model, and what the form puts around it


class Limits:
    """ASGI middleware: refuses long bodies before they are parsed, and adds headers that keep the page to itself.

    Gradio checks uploads but not the JSON of an API call.
    """

    HEADERS = (
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"content-security-policy", b"frame-ancestors 'self'; object-src 'none'; base-uri 'self'"),
    )

    def __init__(
        self, app, max_bytes: int = MAX_BODY_BYTES, max_upload: int = MAX_UPLOAD_BYTES, frames: Sequence[str] = ()
    ):
        self.app, self.max_bytes, self.max_upload = app, max_bytes, max_upload
        self.headers = framed(self.HEADERS, frames)

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self.max_upload if scope["path"].endswith(UPLOAD_PATH) else self.max_bytes
        claimed = dict(scope["headers"]).get(b"content-length", b"0")
        if not claimed.isdigit() or int(claimed) > most:
            await self._too_long(send, most)
            return
        got, started = 0, False

        async def counted():
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > most:
                raise TooLong
            return message

        async def with_headers(message):
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message.get("headers", ()), *self.headers]}
            await send(message)

        try:
            await self.app(scope, counted, with_headers)
        except TooLong:
            if not started:
                await self._too_long(send, most)

    async def _too_long(self, send, most: int) -> None:
        await self.refuse(send, 413, f"The request is longer than {most // 2**20} MB: send less.")

    async def refuse(self, send, status: int, sentence: str) -> None:
        """`refuse`, with the headers that every answer has."""
        await refuse(send, status, sentence, self.headers)


def framed(headers: tuple, hosts: Sequence[str]) -> tuple:
    """Headers with which pages of these hosts may show ours in a frame; the same ones where there is no host."""
    if not hosts:
        return headers
    ancestors = b" ".join([b"frame-ancestors 'self'", *(host.encode("ascii") for host in hosts)])
    old = (b"frame-ancestors 'self'", b"frame-ancestors 'none'")

    def changed(value: bytes) -> bytes:
        return b"; ".join(ancestors if part in old else part for part in value.split(b"; "))

    # the older header knows no list of hosts, and a browser that reads it would refuse all of them
    kept = [h for h in headers if h[0] not in (b"x-frame-options", b"cross-origin-resource-policy")]
    return tuple((k, changed(v) if k == b"content-security-policy" else v) for k, v in kept)


QUEUE_SIZE = 48  # questions that wait at once, of all visitors; another model asks for eleven
PUBLIC_PATIENCE = 60.0  # seconds that one measurement may take
BODY_BYTES = 6 * 2**20  # a picture of 4 MB as base64; 48 of them may wait in memory
FILE_BYTES = UPLOAD_BYTES
UPLOADS_AN_HOUR = 512 * 2**20  # of all visitors; Gradio keeps a file for an hour
SESSIONS = 128  # whose settings are kept
PAGE_POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "frame-src": "'none'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}


class PublicLimits(Limits):
    """`Limits` with more headers, smaller bodies, and a bound on what all uploads of an hour may take together.

    Args:
        app: the application behind.
        hourly: bytes of uploads in an hour.
        clock: what tells the time.
        frames: see `framed`.
    """

    HEADERS = (
        (b"content-security-policy", "; ".join(f"{k} {v}" for k, v in PAGE_POLICY.items()).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    )

    def __init__(
        self,
        app,
        hourly: int = UPLOADS_AN_HOUR,
        clock: Callable[[], float] = time.monotonic,
        frames: Sequence[str] = (),
    ):
        super().__init__(app, BODY_BYTES, FILE_BYTES + 2**16, frames)
        self._hourly, self._clock = hourly, clock
        self._taken: deque[tuple[float, int]] = deque()  # when, bytes
        self._lock = threading.Lock()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith(UPLOAD_PATH):
            await super().__call__(scope, receive, send)
            return
        if self._spent() >= self._hourly:
            await self.refuse(send, 429, "Many files were uploaded in the last hour: try again later.")
            return

        async def noted():
            message = await receive()
            if message.get("body"):
                with self._lock:
                    self._taken.append((self._clock(), len(message["body"])))
            return message

        await super().__call__(scope, noted, send)

    def _spent(self) -> int:
        with self._lock:
            while self._taken and self._taken[0][0] < self._clock() - 3600:
                self._taken.popleft()
            return sum(n for _, n in self._taken)


def close_doors(library: ModelLibrary) -> None:
    """Before the page is built, with `PUBLIC_PATIENCE`: no models of visitors."""
    library.own = OwnModels(most=0)


def restrict(demo: gr.Blocks, options: dict) -> dict:
    """After the page is built: a shorter queue, and the arguments of `launch` with stricter limits.

    Args:
        demo: the page.
        options: of `ui.app.launch_options`.
    """
    demo.queue(max_size=QUEUE_SIZE, default_concurrency_limit=1, api_open=False)
    of_app = options["app_kwargs"]
    middleware = [Middleware(PublicLimits) if m.cls is Limits else m for m in of_app["middleware"]]
    return options | {
        "max_file_size": FILE_BYTES,
        "state_session_capacity": SESSIONS,
        "app_kwargs": of_app | {"middleware": middleware},
    }


def shown_in(options: dict, hosts: Sequence[str]) -> dict:
    """The arguments of `launch` with pages of these hosts allowed to show ours in a frame.

    Args:
        options: of `ui.app.launch_options` or `restrict`.
        hosts: scheme, name and port of each; without any, only the page itself, or nobody where it is public.
    """
    of_app = options["app_kwargs"]
    middleware = [
        Middleware(m.cls, *m.args, **m.kwargs | {"frames": tuple(hosts)}) if issubclass(m.cls, Limits) else m
        for m in of_app["middleware"]
    ]
    return options | {"app_kwargs": of_app | {"middleware": middleware}}


def exposure(where: str, demo: gr.Blocks, models: list[str]) -> str:
    """What others can reach, use and see, for the terminal.

    Args:
        where: address and port.
        demo: the page.
        models: their names.
    """
    endpoints = ", ".join(sorted(demo.get_api_info()["named_endpoints"]))
    return f"""PUBLIC. Everyone who can reach {where} can, without a password:
  open the page and call {endpoints};
  read cards and spectra of: {", ".join(models)}.
Limits: {QUEUE_SIZE} questions wait at once, {MAX_WAITING} of one visitor, one after another is answered, a measurement
  gives up after {PUBLIC_PATIENCE:.0f} s; a request has at most {BODY_BYTES // 2**20} MB, a picture
  {FILE_BYTES // 2**20} MB, all uploads of an hour {UPLOADS_AN_HOUR // 2**20} MB; nobody can bring a model.
Files and settings of this machine are not offered. For more than a lecture put a proxy with TLS and a login before
it."""
