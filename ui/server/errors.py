"""Errors as sentences: no stack trace reaches a stranger."""

from __future__ import annotations

import functools
import json
import sys
import traceback
from collections.abc import Callable

import gradio as gr

from analysis.core.errors import UserError

UNEXPECTED = "Something went wrong here and was written to the server's log: try other settings, or reload the page."


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
