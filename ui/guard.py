"""What stands between a stranger and the code: errors as sentences, bounded requests, one queue for the models."""

from __future__ import annotations

import functools
import json
import sys
import traceback
from collections.abc import Callable

import gradio as gr

from analysis.core.errors import UserError
from analysis.workbench import library

UNEXPECTED = "Something went wrong here and was written to the server's log: try other settings, or reload the page."
MAX_BODY_BYTES = 8 * 2**20  # no question of ours is longer; pictures that people bring are at most 4 MB
UPLOAD_PATH = "/gradio_api/upload"
MAX_UPLOAD_BYTES = library.MAX_BYTES + 2**20  # a model, and what the form puts around it
MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}  # one model, one question at a time
PRIVATE = {"api_visibility": "private"}


def guarded(fn: Callable) -> Callable:
    """Handler `fn` whose failures reach the browser as one sentence, never as a stack trace."""

    @functools.wraps(fn)
    def safe(*args, **kwargs):
        try:
            return fn(*args, **kwargs)
        except UserError as e:
            raise gr.Error(str(e), print_exception=False) from None
        except gr.Error:
            raise
        except Exception:
            traceback.print_exc(file=sys.stderr)
            raise gr.Error(UNEXPECTED, print_exception=False) from None

    return safe


async def refuse(send, status: int, sentence: str, headers: tuple = ()) -> None:
    """Answer a request with a sentence, where Gradio's page and client look for it; what was asked is not looked at.

    Args:
        send: of the ASGI call.
        status: of HTTP.
        sentence: what is wrong, and the cure.
        headers: further ones.
    """
    text = json.dumps({"error": sentence}).encode()
    told = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": text})


class TooLong(Exception):
    """A request body over the limit."""


class Limits:
    """ASGI middleware: refuses long bodies before they are parsed, and adds headers that keep the page to itself.

    Gradio checks uploads but not the JSON of an API call.
    """

    HEADERS = (
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"content-security-policy", b"frame-ancestors 'self'; object-src 'none'; base-uri 'self'"),
    )

    def __init__(self, app, max_bytes: int = MAX_BODY_BYTES, max_upload: int = MAX_UPLOAD_BYTES):
        self.app, self.max_bytes, self.max_upload = app, max_bytes, max_upload

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
                message = {**message, "headers": [*message.get("headers", ()), *self.HEADERS]}
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
        await refuse(send, status, sentence, self.HEADERS)
