"""Sixty-four visitors for two minutes: sixty-two ask all the time, one floods, one is quiet and has to be served.

The one that floods sends all its questions at once and asks again as fast as it is let in; the quiet one asks for a
picture every three seconds. Every answer is compared with the Workbench's, as in `soak`. Refusals with a sentence (a
visitor's share is full, or the queue) are counted apart: they are what keeps the server alive. Loopback only.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

import numpy as np
from gradio_client import Client

from analysis.workbench.library import ModelLibrary
from benchmarks.serving import load, resident, served
from benchmarks.soak import Question, questions, same
from benchmarks.timing import print_table

BUSY, FLOODED, PAUSE = 62, 120.0, 3.0
REFUSED = ("waiting already", "Queue is full", "were not read")


@dataclass
class Flood:
    """What came back.

    Attributes:
        answers: of the busy and of the quiet one; seconds: of the busy ones' answers; quiet: of the quiet one's.
        refused, errors: refusals with a sentence, and anything else that went wrong.
        posts, let_in: of the one that floods.
        memory: MiB of the server, now and then.
    """

    answers: list[tuple[Question, np.ndarray]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    quiet: list[float] = field(default_factory=list)
    refused: int = 0
    errors: list[str] = field(default_factory=list)
    posts: int = 0
    let_in: int = 0
    memory: list[float] = field(default_factory=list)


def flood(url: str, model: str, weigh, busy: int = BUSY, seconds: float = FLOODED, every: float = PAUSE) -> Flood:
    """Ask from many threads for so many seconds.

    Args:
        url: of the app.
        model: name.
        weigh: gives the server's memory in MiB, or None.
        busy: visitors that ask all the time.
        seconds: how long.
        every: seconds from one question of the quiet one to the next.
    """
    found, lock = Flood(), threading.Lock()
    clients = [Client(url, verbose=False, httpx_kwargs={"timeout": 300.0}) for _ in range(busy + 1)]
    end = time.monotonic() + seconds

    def ask(client: Client, question: Question, times: list[float]) -> None:
        asked = time.monotonic()
        try:
            picture = question.over_http(client, model)
        except Exception as e:  # whatever a client can raise
            with lock:
                if any(words in str(e) for words in REFUSED):
                    found.refused += 1
                else:
                    found.errors.append(f"{type(e).__name__}: {e}")
            time.sleep(0.5)
            return
        with lock:
            found.answers.append((question, picture))
            times.append(time.monotonic() - asked)

    def visit(number: int) -> None:
        for question in questions(number):
            if time.monotonic() >= end:
                return
            ask(clients[number], question, found.seconds)

    def quiet() -> None:
        for i, question in enumerate(q for q in questions(busy) if q.kind == "generate"):
            time.sleep(max(0.0, end - seconds + every * i - time.monotonic()))
            if time.monotonic() >= end:
                return
            ask(clients[busy], question, found.quiet)
            held = weigh()
            if held is not None:
                found.memory.append(held)

    def greedy() -> None:
        body = json.dumps({"data": [model, [1], -1], "session_hash": "greedy", "fn_index": None}).encode()
        while time.monotonic() < end:
            request = urllib.request.Request(
                f"{url.rstrip('/')}/gradio_api/call/generate", body, {"Content-Type": "application/json"}
            )
            found.posts += 1
            try:
                with urllib.request.urlopen(request, timeout=60):
                    found.let_in += 1
            except urllib.error.HTTPError as e:
                found.refused += e.code in (429, 503)
                if e.code not in (429, 503):
                    found.errors.append(f"{e.code}: {e.read()[:200]!r}")
            except OSError as e:
                found.errors.append(repr(e))
            time.sleep(0.02)

    threads = [threading.Thread(target=visit, args=(n,)) for n in range(busy)]
    threads += [threading.Thread(target=quiet), threading.Thread(target=greedy)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


FLOOD_COLUMNS = ["visitors", "answers", "wrong", "errors", "refused", "posts of the one that floods", "let in",
           "others p50, s", "p95, s", "quiet p50, s", "quiet at most, s", "MiB at first", "at most",
           "at last"]  # fmt: skip


def row(found: Flood, wrong: int, busy: int) -> list[str]:
    """A line of the table."""

    def percent(times: list[float], *shares: int) -> list[str]:
        return [f"{np.percentile(times, p):.1f}" if times else "none" for p in shares]

    held = found.memory
    memory = [f"{m:.0f}" for m in (held[0], max(held), held[-1])] if held else ["not measured"] * 3
    return [str(busy + 2), str(len(found.answers)), str(wrong), str(len(found.errors)), str(found.refused),
            str(found.posts), str(found.let_in), *percent(found.seconds, 50, 95), *percent(found.quiet, 50, 100),
            *memory]  # fmt: skip


def run(busy: int = BUSY, seconds: float = FLOODED) -> None:
    """The default model of the shipped ones.

    Args:
        busy: visitors that ask all the time.
        seconds: how long.
    """
    library, before = ModelLibrary(), load()
    with served() as app:
        found = flood(app.url, library.default, lambda: resident(app.pid), busy, seconds)
    bench = library.get(library.default)
    wrong = sum(not same(picture, question.directly(bench)) for question, picture in found.answers)
    print_table(f"A flood, {library.default}; {before}", FLOOD_COLUMNS, [row(found, wrong, busy)])
    for text in dict.fromkeys(found.errors):
        print(f"error: {text}")
