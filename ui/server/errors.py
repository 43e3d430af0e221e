"""Errors as sentences: no stack trace reaches a stranger."""

from __future__ import annotations

import functools
import inspect
import json
import sys
import traceback
from collections.abc import Callable

import gradio as gr

from analysis.core.errors import UserError

UNEXPECTED = "Something went wrong here and was written to the server's log: try other settings, or reload the page."


def sentence_of(error: Exception) -> str:
    """What a visitor reads of a failure; one that nobody foresaw goes to the log instead."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, gr.Error):
        return str(error.message)
    traceback.print_exception(error, file=sys.stderr)
    return UNEXPECTED


def guarded(fn: Callable) -> Callable:
    """Handler `fn` whose failures reach the browser as one sentence, never as a stack trace.

    Of a generator, also those that come while it runs; it is closed when the page is left.
    """

    def call(work: Callable, *args, **kwargs):
        try:
            return work(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as e:
            raise gr.Error(sentence_of(e), print_exception=False) from None

    @functools.wraps(fn)
    def safe(*args, **kwargs):
        return call(fn, *args, **kwargs)

    @functools.wraps(fn)
    def safe_steps(*args, **kwargs):
        steps, end = fn(*args, **kwargs), object()
        try:
            while (values := call(next, steps, end)) is not end:
                yield values
        finally:
            steps.close()

    plain = fn.func if isinstance(fn, functools.partial) else fn
    return safe_steps if inspect.isgeneratorfunction(plain) else safe


async def refuse(send, status: int, sentence: str, headers: tuple = ()) -> None:
    """Answer a request with a sentence, where Gradio's page and client look for it, without a look at the request.

    Args:
        send: of the ASGI call.
        status: of HTTP.
        sentence: what is wrong, and the cure.
        headers: further ones.
    """
    text = json.dumps({"error": sentence}).encode()
    fields = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": text})
