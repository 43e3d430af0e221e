"""Errors as sentences: no stack trace reaches a stranger, and what nobody foresaw is one line in the log."""

from __future__ import annotations

import functools
import inspect
import json
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import gradio as gr

from analysis.core.errors import UserError
from analysis.core.progress import wanted_while
from ui.server.gradio_internals import asked

UNEXPECTED = "Something went wrong here and was written to the server's log: try other settings, or reload the page."
MISFIT = "What was sent does not fit the controls that it is for: reload the page, or see the API page for what fits."
REMOTE = "Files are taken from this page's own uploads only, never from an address: upload the file first."
MAX_LINE, LOGGED_FRAMES = 400, 4  # characters of a line in the log; places in our code that it names
_HOUSE = Path(__file__).resolve().parents[2]
_BOUND = re.compile(r"is (less|greater) than (?:minimum|maximum) value (\S+?)\.$")


class Told(gr.Error):
    """A sentence for a visitor; it is not printed to the log."""

    def __init__(self, sentence: str):
        super().__init__(sentence, print_exception=False)


class Abandoned(UserError):
    """Who asked is not there any more; nobody reads this, and it is no line in the log."""

    def __init__(self):
        super().__init__("The visitor who asked has left.")


def watching() -> Callable[[], None]:
    """A check that raises `Abandoned` once the visitor whose question this thread answers has left."""
    question = asked()

    def check() -> None:
        if not question.alive:
            raise Abandoned

    return check


class TooLong(Exception):
    """A request body over the limit."""


def note(what: str) -> None:
    """One line in the server's log, whatever is in it."""
    line = " ".join(what.split()).encode("ascii", "backslashreplace").decode()
    print(line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}...", file=sys.stderr, flush=True)


def _places(error: BaseException) -> str:
    """Where it came from: the last places of our own code, the innermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if Path(f.filename).is_relative_to(_HOUSE) and "site-packages" not in f.filename]
    return " < ".join(f"{Path(f.filename).relative_to(_HOUSE)}:{f.lineno}" for f in reversed(ours[-LOGGED_FRAMES:]))


def sentence_of(error: Exception) -> str:
    """What a visitor reads of a failure; one that nobody foresaw goes to the log instead."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, gr.Error):
        return str(error.message)
    note(f"{type(error).__name__}: {error} ({_places(error)})")
    return UNEXPECTED


def translated(error: Exception) -> Told:
    """What Gradio itself complains about, as a sentence of ours and a line in the log.

    It looks at values before a handler of ours sees them, and some of its sentences repeat what was sent or name places
    on this machine.
    """
    if isinstance(error, UserError):
        return Told(str(error))
    told = str(error.message) if isinstance(error, gr.Error) else ""
    note(f"refused: {type(error).__name__}: {told or error}")
    if bound := _BOUND.search(told):
        side = "at least" if bound[1] == "less" else "at most"
        return Told(f"The number must be {side} {bound[2]}: choose another one.")
    if told.startswith("Invalid file type"):
        return Told("A file of this kind is not taken here: choose one with an ending that the button offers.")
    return Told(MISFIT)


def guarded(fn: Callable) -> Callable:
    """Handler `fn` whose failures reach the browser as one sentence, never as a stack trace.

    Of a generator, also those that come while it runs; it is closed when the page is left.
    """

    def call(work: Callable, *args, **kwargs):
        try:
            with wanted_while(watching()):
                return work(*args, **kwargs)
        except Told:
            raise
        except Exception as e:
            raise Told(sentence_of(e)) from None

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
