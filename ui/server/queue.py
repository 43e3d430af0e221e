"""Visitors who wait: a fair share of the queue for each, and a line in the page that tells the place in it.

A visitor is an open page or a client, by the session's name that it gives itself. That is fairness among those who mean
well, no protection from those who do not: a program may give itself ever new names, or none.

The settings of an event that say in which queue it waits, and that it is no endpoint, stand here, too.
"""

from __future__ import annotations

from collections import Counter

from ui.server.errors import refuse
from ui.server.gradio_internals import CALL_PATH, JOIN_PATH, queue_of, take_turns, unread, waiting
from ui.server.questions import QUESTION_KEY
from ui.theme import script

MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}  # one model, one question at a time
PRIVATE = {"api_visibility": "private"}
# A click on a drop-down is sent twice by Gradio's page. Where the answer changes the choices of another one that is
# sent along, the second has a choice that is no longer there and that Gradio would refuse: such handlers look
# themselves.
AS_SENT = {"preprocess": False}


# questions of one visitor that wait at once; a slider that is moved fast keeps one, another model asks for eleven, and
# fourteen were counted after four changes of the model within seconds on a slow machine
MAX_WAITING = 16
UNREAD = 512  # messages that are kept for one visitor; an open page reads them as they come
QUEUE_HEADER = b"x-studio-queue"  # read by busy.js
BUSY_HEAD = f"<script>{script('busy.js')}</script>"


class Shares:
    """ASGI middleware: refuses a question of a visitor of whom enough wait, and tells in which queue another one waits.

    Those who wait take turns.

    Behind `Questions`, which reads the question.

    Args:
        app: the application behind, within Gradio's.
        most: questions of one visitor that wait at once, in all queues together.
    """

    def __init__(self, app, most: int = MAX_WAITING):
        self.app, self.most = app, most
        self._entering: Counter[str | None] = Counter()  # let in, and perhaps not yet in a queue
        self._numbers: dict[str, int] = {}  # of the queues; Gradio's names of them may be places in memory

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not _asks(scope["path"]):
            await self.app(scope, receive, send)
            return
        question = scope.get(QUESTION_KEY) or {}
        visitor = question.get("session_hash")
        if visitor == "":  # Gradio fails on it
            await refuse(send, 400, "session_hash is empty: give this session a name, or leave it out.")
            return
        if not isinstance(visitor, str) or not visitor:
            visitor = None  # Gradio names each of its questions anew
        elif unread(scope, visitor) > UNREAD:
            await refuse(send, 429, f"{UNREAD} messages to you were not read: read the stream of your answers first.")
            return
        elif self._entering[visitor] + waiting(scope, visitor) >= self.most:
            await refuse(
                send, 429, f"{self.most} of your questions are waiting already: ask again when some are answered."
            )
            return

        async def with_queue(message):
            number = self._number(queue_of(scope, question)) if message["type"] == "http.response.start" else None
            if number is not None:
                message = {**message, "headers": [*message.get("headers", ()), (QUEUE_HEADER, b"%d" % number)]}
            await send(message)

        self._entering[visitor] += 1
        try:
            await self.app(scope, receive, with_queue)
        finally:
            take_turns(scope)
            self._entering[visitor] -= 1
            if not self._entering[visitor]:
                del self._entering[visitor]

    def _number(self, queue: str | None) -> int | None:
        """The number of a queue, which the page may know."""
        return None if queue is None else self._numbers.setdefault(queue, len(self._numbers))


def _asks(path: str) -> bool:
    return path.rstrip("/").endswith(JOIN_PATH) or CALL_PATH in path
