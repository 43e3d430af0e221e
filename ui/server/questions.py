"""Questions as they come in: read once, held to their form, and refused in a sentence before Gradio looks at them.

A question is a POST that calls a handler of the page or an endpoint. What Gradio itself would answer with a list of its
own field names, with `{"error": null}` or with a stack trace in the log, is one sentence here and one line there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ui.server.errors import MISFIT, REMOTE, UNEXPECTED, TooLong, note, refuse
from ui.server.gradio_internals import CALL_PATH, FILE_PATHS, JOIN_PATH, RUN_PATHS, is_file, names_function

QUESTION_KEY = "studio.question"  # in the scope: the body of a question, a table
MAX_NAME = 256  # characters of a session's name; Gradio's own have 11 to 32
# with a scheme (one letter is a drive), or another machine's name
_REMOTE = re.compile(r"\s*[a-z][a-z0-9+.-]+:/|\s*[/\\]{2}", re.IGNORECASE)


class Questions:
    """ASGI middleware: see the module.

    Args:
        app: the application behind, within Gradio's.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, scope["path"] if is_question(scope) else "")
        try:
            if is_question(scope):
                messages = await _whole(receive)
                body = _table(messages)
                if sentence := complaint(scope, body):
                    note(f"{scope['path']}: {sentence}")
                    await answer.refuse(sentence)
                    return
                scope = {**scope, QUESTION_KEY: body}
                receive = _replayed(messages, receive)
            await self.app(scope, receive, answer)
        except TooLong:  # `Limits` waits for it
            raise
        except Exception as e:
            note(f"{scope['path']}: {e.__cause__ or e!r}")
            if answer.passed:  # a stream of answers: ended as it should be
                await send({"type": "http.response.body", "body": b""})
            else:
                await refuse(send, 422, MISFIT if answer.path else UNEXPECTED)


class _Answer:
    """`send` that turns Gradio's own complaints about a question into a sentence.

    Attributes:
        path: of the question, "" for any other request.
        passed: whether an answer has begun.
    """

    def __init__(self, send, path: str):
        self.path, self.passed = path, False
        self._send, self._held = send, None

    async def __call__(self, message) -> None:
        if self.path and message["type"] == "http.response.start" and message["status"] in (422, 500):
            self._held = (message, b"")
            return
        if self._held is None:
            self.passed = True
            await self._send(message)
            return
        start, body = self._held
        self._held = start, body + message.get("body", b"")
        if not message.get("more_body"):
            await self.refuse(_sentence(self._held[1]))

    async def refuse(self, sentence: str) -> None:
        """Answer with a sentence."""
        self.passed = True
        await refuse(self._send, 422, sentence)


def _sentence(body: bytes) -> str:
    """The sentence in an answer, or ours where it has none."""
    try:
        told = json.loads(body)["error"]
    except (ValueError, LookupError, TypeError):
        told = None
    return told if isinstance(told, str) and told else MISFIT


def is_question(scope) -> bool:
    """Whether a request asks a handler or an endpoint."""
    path = scope["path"].rstrip("/")
    return scope["method"] == "POST" and (path.endswith(JOIN_PATH) or any(p in path for p in (CALL_PATH, *RUN_PATHS)))


def complaint(scope, body: Any) -> str:
    """What is wrong with a question, in a sentence; "" where it may pass."""
    if not isinstance(body, dict):
        return "A question is a JSON table with the list “data” in it: see the API page."
    if any(_is_remote(value) for value in _tables(body)):
        return REMOTE
    visitor = body.get("session_hash")
    if visitor is not None and not (isinstance(visitor, str) and len(visitor) <= MAX_NAME):
        return f"session_hash is a name of at most {MAX_NAME} characters: give this session one, or leave it out."
    if f"{CALL_PATH}v2/" in scope["path"]:
        return "" if names_function(scope, None, _last(scope)) else _no_function(_last(scope))
    if not isinstance(body.get("data"), list):
        return "“data” is the list of the handler's arguments: see the API page."
    index = None if CALL_PATH in scope["path"] else body.get("fn_index")
    if index is not None and (isinstance(index, bool) or not isinstance(index, int)):
        return "“fn_index” is the number of a handler of the page: reload the page."
    if not names_function(scope, index, "" if scope["path"].rstrip("/").endswith(JOIN_PATH) else _last(scope)):
        return _no_function(_last(scope) if index is None else str(index))
    return ""


def _last(scope) -> str:
    return scope["path"].rstrip("/").rpartition("/")[2]


def _no_function(name: str) -> str:
    return f"There is no handler {name[:40]!a} here: reload the page, or see the API page for the endpoints."


def _tables(value: Any) -> Iterator[dict]:
    """All tables within a JSON value."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            yield one
            todo.extend(one.values())
        elif isinstance(one, list):
            todo.extend(one)


def _is_remote(table: dict) -> bool:
    """Whether a table names a file by an address; files of the page bring the address that the page shows them at."""
    if not is_file(table):
        return False
    path, url = table.get("path"), table.get("url")
    outside = isinstance(url, str) and _REMOTE.match(url) and not any(part in url for part in FILE_PATHS)
    return bool(outside) or (isinstance(path, str) and bool(_REMOTE.match(path)))


async def _whole(receive) -> list[dict]:
    """The messages of a request until its body ends, or the visitor has gone."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _replayed(messages: list[dict], receive):
    """`receive` that gives these messages first."""

    async def again():
        return messages.pop(0) if messages else await receive()

    return again


def _table(messages: list[dict]) -> Any:
    """The body of a request; None where it is no JSON."""
    try:
        return json.loads(b"".join(m.get("body", b"") for m in messages))
    except (ValueError, RecursionError):
        return None
