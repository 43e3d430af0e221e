"""Visitors who leave: what runs for them stops, what waits for them goes, and the next one is served."""

from __future__ import annotations

import json
import socket
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import gradio as gr
import pytest

from analysis.studio import Studio
from tests.ui.server.test_queue import post, until
from tests.ui.serving import served
from ui.app import build_app
from ui.server.errors import guarded
from ui.server.runs import LONG_QUEUE, deadline

SOON = 3.0  # seconds that the next visitor waits at most
LONG = 40.0  # seconds that the work of one who stays takes


class Stream:
    """The stream of a visitor's answers, over a socket of its own, which can be closed at once."""

    def __init__(self, address: str, path: str):
        place = urlsplit(address)
        self.socket = socket.create_connection((place.hostname, place.port), timeout=60)
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        self.heard = b""

    def hear(self, words: bytes) -> None:
        """Wait for some words."""
        while words not in self.heard:
            part = self.socket.recv(65536)
            assert part, self.heard
            self.heard += part

    def leave(self) -> None:
        self.socket.close()


def ask(address: str, visitor: str, fn: int, data: list) -> None:
    body = json.dumps({"data": data, "fn_index": fn, "session_hash": visitor}).encode()
    assert post(address, body)[0] == 200


def listen(address: str, visitor: str) -> Stream:
    return Stream(address, f"/gradio_api/queue/data?session_hash={visitor}")


def waiting_time(address: str, visitor: str, fn: int, data: list) -> float:
    """Seconds that the next visitor waits until the question's turn has come; it is answered, too."""
    start = time.monotonic()
    ask(address, visitor, fn, data)
    stream = listen(address, visitor)
    stream.hear(b"process_starts")
    waited = time.monotonic() - start
    stream.hear(b"process_completed")
    return waited


@contextmanager
def page_of_work():
    """A page with work in the ways that the studio has it: a function that reports, and a generator."""
    steps: dict[str, int] = {"function": 0, "generator": 0, "closed": 0}

    def function(n: float) -> float:
        watch = deadline(LONG)
        for i in range(int(n)):
            watch(i / n, "step")
            steps["function"] += 1
            time.sleep(0.05)
        return n

    def generator(n: float):
        try:
            for _ in range(int(n)):
                steps["generator"] += 1
                time.sleep(0.05)
                yield n
        finally:
            steps["closed"] += 1

    with gr.Blocks() as demo:
        number, shown = gr.Number(), gr.Number()
        gr.api(guarded(function), api_name="function", **LONG_QUEUE)
        gr.Button().click(guarded(generator), number, shown, api_name="generator", **LONG_QUEUE)
    demo.queue(api_open=False)
    with served(demo) as address:
        yield address, demo, steps


@pytest.fixture(scope="module")
def work():
    with page_of_work() as made:
        yield made


@pytest.mark.parametrize(("fn", "kind"), [(0, "function"), (1, "generator")])
def test_what_runs_stops_and_what_waits_goes(work, fn, kind):
    address, demo, steps = work
    queues = demo._queue.event_queue_per_concurrency_id
    visitor, before = f"leaver-{kind}", steps[kind]
    ask(address, visitor, fn, [LONG / 0.05])
    for _ in range(5):
        ask(address, visitor, fn, [LONG / 0.05])
    stream = listen(address, visitor)
    stream.hear(b"process_starts")
    until(lambda: steps[kind] > before + 3)
    assert sum(len(q.queue) for q in queues.values()) == 5
    stream.leave()
    assert waiting_time(address, f"next-{kind}", fn, [1]) < SOON
    assert sum(len(q.queue) for q in queues.values()) == 0
    still = steps[kind]
    time.sleep(0.3)
    assert steps[kind] == still
    assert kind == "function" or steps["closed"] == 2


def test_who_calls_an_endpoint_and_leaves(work):
    address, _, steps = work
    body = json.dumps({"data": [LONG / 0.05]}).encode()
    name = post(address, body, "/gradio_api/call/function")[1]["event_id"]
    stream, before = Stream(address, f"/gradio_api/call/function/{name}"), steps["function"]
    until(lambda: steps["function"] > before + 3)
    stream.leave()
    assert waiting_time(address, "next-call", 0, [1]) < SOON


def test_others_go_on_when_one_leaves(work):
    address, _, _ = work
    ask(address, "stays", 0, [20])
    stays = listen(address, "stays")
    ask(address, "goes", 0, [20])
    goes = listen(address, "goes")
    goes.hear(b"estimation")
    goes.leave()
    stays.hear(b"process_completed")
    assert b'"success":true' in stays.heard


def test_nobody_leaves_outside_of_a_question():
    deadline(10.0)(0.5, "half")


# ---------------------------------------------------------------------------------------------------------------------
# The studio's own work


@pytest.fixture(scope="module")
def studio(library):
    demo = build_app(Studio(library=library))
    with served(demo) as address:
        yield address, demo


WORK = {
    "train_toy": {"steps": 2000, "width": 256},
    "linearity": {"seeds": list(range(4)), "steps": 24, "dmd_rank": 0},
    "cumulative_effect": {"seeds": list(range(4)), "decoded_times": 8, "times": 256},
    "attribution": {"pairs": 128},
    "inpaint": {"steps": 40},
    "generate": {"seeds": list(range(64))},
}
QUICK = {"train_toy": {"steps": 25, "width": 16}, "linearity": {"seeds": [0], "steps": 4, "dmd_rank": 0},
         "cumulative_effect": {"seeds": [0], "times": 2}, "attribution": {"pairs": 8, "rows": ["everything"]},
         "inpaint": {"steps": 1}, "generate": {"seeds": [1]}}  # fmt: skip


@pytest.mark.parametrize("name", ["train_toy", "linearity", "cumulative_effect", "attribution", "inpaint", "generate"])
def test_the_next_visitor_of_the_studio(studio, name):
    from tests.hostile.strategies import base64_png
    from ui.api.endpoints import BY_NAME

    address, demo = studio
    index = next(i for i, fn in demo.fns.items() if fn.api_name == name)
    endpoint = BY_NAME[name]
    pictures = {"picture": base64_png(16), "mask": base64_png(16, "L")} if name == "inpaint" else {}

    def arguments(more: dict) -> list:
        known = {n: p.default for n, p in endpoint.parameters.items()} | pictures | more
        return [known[n] for n in endpoint.parameters]

    waiting_time(address, f"first-{name}", index, arguments(QUICK[name]))  # what is imported and made only once
    ask(address, f"leaver-{name}", index, arguments(WORK[name]))
    stream = listen(address, f"leaver-{name}")
    stream.hear(b"process_starts")
    time.sleep(0.1)
    stream.leave()
    assert waiting_time(address, f"next-{name}", index, arguments(QUICK[name])) < SOON
