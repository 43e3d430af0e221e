"""Visitors who leave: what runs for them stops, what waits for them goes, and the next one is served."""

from __future__ import annotations

import functools
import inspect
import json
import socket
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import gradio as gr
import pytest

from analysis.core.cache import ByteLRU
from analysis.core.errors import UserError
from analysis.export import web
from analysis.studio import Studio
from tests.hostile.strategies import base64_png
from tests.ui.server.test_queue import post, until
from tests.ui.serving import served
from ui.api.endpoints import BY_NAME
from ui.app import build_app
from ui.server import errors
from ui.server.errors import guarded
from ui.server.runs import LONG_QUEUE, deadline

SOON = 3.0  # seconds that the next visitor waits at most
LONG = 40.0  # seconds that the work of one who stays takes
LOOKS = (0.0, 0.1, 1.0)  # seconds that each look at who waits takes more, until the work outlasts its visitor


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
# The studio's own work, with its own models: endpoints and the page's handlers, each with the most that it may be asked

PICTURE = {"picture": base64_png(64)}
ENDPOINT_WORK = {
    "generate": {"seeds": list(range(64))},
    "trajectory": {"steps": 40},
    "cumulative_effect": {"seeds": [0, 1], "decoded_times": 16},
    "linearity": {"seeds": [0, 1, 2, 3], "steps": 24},
    "attribution": {"pairs": 128},
    "attribution latent": {"pairs": 128, "measure": "latent"},
    "signatures": {"count": 64},
    "mask_bands": {"gains": [0.0, 1.0, 1.0], "label": 2},
    "edit": {"encoding": "inversion", "tau": 0.1},
    "inpaint": PICTURE | {"mask": base64_png(64, "L"), "steps": 40},
    "colorize": PICTURE | {"steps": 40},
    "invert": PICTURE | {"steps": 40, "times": 16},
    "direction mean": {"method": "mean", "contrast": "skin"},
    "direction groups": {"method": "groups"},
    "direction decoder": {"method": "decoder", "count": 8, "rest": 8, "region": "lower-half"},
    "direction teacher": {"method": "teacher", "count": 8},
    "flow_2d": {"path": "idff", "sampler": "published", "nfe": 50, "points": 2048},
    "train_toy": {"steps": 2000, "width": 256},
    "transport": {"sizes": [512, 1024], "seeds": 8},
    "flow_images": {"nfe": 50, "seeds": list(range(8)), "distance": True},
    "forecast": {"members": 50, "nfe": 50, "horizon": 60},
}  # fmt: skip
FIRST = {
    "linearity": {"seeds": [0], "steps": 4, "dmd_rank": 0},
    "train_toy": {"steps": 25, "width": 16},
    "flow_images": {"nfe": 1, "seeds": [0], "distance": True},
    "forecast": {"members": 2, "nfe": 1, "horizon": 1},
}  # fmt: skip
# a graph is exported in one step, which cannot be cut short; a call on eight pictures takes a slow machine seconds
LONG_STEP = {"Downloads.site": 30.0, "FlowImages.show": 8.0}
PAGE_WORK = {
    "RaceTab.race": {},
    "WalkTab.walk": {"walk-to": 99},
    "PairPart.rank": {},
    "LinearityPart.measure": {"linearity-seeds": 4, "linearity-steps": 24},
    "FactorPart.frequencies": {"labels-seeds": 32},
    "FactorPart.factors": {"attribution-pairs": 128},
    "SignaturePart.measure": {"signature-pictures": 128},
    "DynamicsTab.measure": {"dynamics-method": "optimised", "dynamics-rank": 12},
    "EffectsTab.decoded": {"effect-seeds": 16},
    "RestoreTab.run": {"restore-steps": 40},
    "DirectionTab.find": {"direction-method": "teacher"},
    "InversionTab.invert": {"invert-steps": 40},
    "GridPanel.grow": {},
    "Trainer.watched": {"flow-train-steps": 6000},
    "FlowLab.sweep": {},
    "TransportPart.pair": {},
    "FlowImages.show": {"images-pictures": 8, "images-nfe-a": 50, "images-nfe-b": 50},
    "FlowImages.watched_distances": {"images-pictures": 8},
    "PictureSweep.sweep": {"images-pictures": 8},
    "GuidanceSweep.sweep": {"images-label": 3},
    "TimeSeries.free_runs": {"series-frames": 2000},
    "Downloads.site": {},
    "Downloads.batch": {"export-seeds": 64},
    "Downloads.batch effect": {"export-seeds": 64, "export-curve": "effect"},
}  # fmt: skip


def inner(fn) -> str:
    """The name of what a handler asks in the end."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    free = getattr(getattr(fn, "__code__", None), "co_freevars", ())
    fn = fn.__closure__[free.index("measure")].cell_contents if "measure" in free else fn
    return getattr(fn, "__qualname__", "")


def asked_of(demo, name: str, more: dict) -> tuple[int, list]:
    """Number of an endpoint's function, and its arguments in order."""
    parameters = BY_NAME[name].parameters
    known = {n: p.default for n, p in parameters.items()} | more
    index = next(i for i, fn in demo.fns.items() if fn.api_name == name)
    return index, [known[n] for n in parameters]


@pytest.fixture(scope="module")
def studio():
    demo = build_app(Studio())
    with served(demo) as address:
        for name, more in FIRST.items():  # what is imported and opened only once
            index, data = asked_of(demo, name, more)
            waiting_time(address, f"first-{name}", index, data)
        yield address, demo


@pytest.fixture
def left_early(studio, monkeypatch):
    """How often work stopped before its end: by a look at who waits, or since its generator was closed."""
    stops: list[str] = []

    class Noted(errors.Abandoned):
        def __init__(self):
            stops.append("looked")
            super().__init__()

    monkeypatch.setattr(errors, "Abandoned", Noted)
    for fn in studio[1].fns.values():
        if inspect.isgeneratorfunction(fn.fn):

            def steps(*args, _made=fn.fn, **kwargs):
                try:
                    yield from _made(*args, **kwargs)
                except GeneratorExit:
                    stops.append("closed")
                    raise

            monkeypatch.setattr(fn, "fn", functools.wraps(fn.fn)(steps))
    return stops


@pytest.fixture
def pace(monkeypatch):
    """How slow the machine is: a list of the seconds that each look takes more; and nothing is kept from before."""
    slowness, real = [0.0], errors.watching

    def slower():
        check = real()

        def look() -> None:
            time.sleep(slowness[0])
            check()

        return look

    monkeypatch.setattr(errors, "watching", slower)
    monkeypatch.setattr(ByteLRU, "find", lambda *_: None)
    return slowness


def leave_and_follow(studio, index: int, data: list, stops: list, name: str) -> tuple[float, bool]:
    """Seconds that the next visitor waits for a turn after one has left in the midst of the same question, and whether
    that one's work stopped before its end.
    """
    address, demo = studio
    ask(address, f"leaver-{name}", index, data)
    leaver = listen(address, f"leaver-{name}")
    leaver.hear(b"process_starts")
    time.sleep(0.2)
    leaver.leave()
    start = time.monotonic(), time.process_time()
    ask(address, f"next-{name}", index, data)
    following = listen(address, f"next-{name}")
    following.hear(b"process_starts")
    # where others use the machine, what this process itself has worked meanwhile
    waited = min(time.monotonic() - start[0], time.process_time() - start[1])
    stopped = bool(stops)  # one runs at a time: the first is not there any more
    following.leave()
    until(lambda: not any(demo._queue.active_jobs))
    return waited, stopped


def longest_wait(studio, index: int, data: list, stops: list, pace: list) -> float:
    """Seconds that the next visitor waits at most, over asks that last ever longer until one is left in its midst.

    A quick machine is through before anybody leaves, and shows nothing of what is left: so a look takes longer there.
    """
    waits = []
    for pace[0] in LOOKS:
        waited, stopped = leave_and_follow(studio, index, data, stops, f"{index}-{pace[0]}")
        waits.append(waited)
        if stopped:
            return max(waits)
    pytest.fail(f"nothing looks whether somebody waits; the next visitor waited {max(waits):.1f} s")


@pytest.mark.parametrize("case", ENDPOINT_WORK)
def test_endpoints(studio, left_early, pace, case):
    index, data = asked_of(studio[1], case.split()[0], ENDPOINT_WORK[case])
    assert longest_wait(studio, index, data, left_early, pace) < SOON


@pytest.mark.parametrize("case", PAGE_WORK)
def test_handlers_of_the_page(studio, left_early, pace, case):
    handler, more = case.split()[0], PAGE_WORK[case]
    index, fn = next((i, fn) for i, fn in studio[1].fns.items() if inner(fn.fn) == handler)
    if handler == "Downloads.site":
        try:
            web.find_runtime(install=False)
        except UserError as e:
            pytest.skip(str(e))
    assert more.keys() <= {block.elem_id for block in fn.inputs}
    data = [None if b.stateful else more.get(b.elem_id, getattr(b, "value", None)) for b in fn.inputs]
    assert longest_wait(studio, index, data, left_early, pace) < LONG_STEP.get(handler, SOON)


def test_no_long_work_of_the_page_is_left_out(studio):
    """Whatever waits in a queue of long work is tried above, but what only shows what is there."""
    long = {inner(fn.fn) for fn in studio[1].fns.values() if fn.concurrency_id in ("long", "exact", "restore", "site")}
    tried = {case.split()[0] for case in PAGE_WORK}
    assert {name for name in long if not name.startswith("Endpoint")} <= tried | {"LinearityPart.show_level"}
