"""A fair share of the queue for each visitor, over real HTTP; and the line that tells a place in it, in a browser."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import gradio as gr
import pytest
from gradio_client import Client

from tests.sentences import numbers
from tests.ui.serving import on_page, served
from tests.waiting import wait_for
from ui.server import queue as visitors
from ui.server.queue import BUSY_HEAD, JOIN_PATH, MAX_WAITING, MODEL_QUEUE

LINE = "() => document.querySelector('.ks-busy')?.textContent"
KEPT = "words => document.querySelector('.ks-busy')?.textContent === words"


class Held:
    """Questions that are answered one at a time, when the test says so."""

    def __init__(self):
        self.gate, self.begun = threading.Semaphore(0), []

    def answer(self, x: float) -> float:
        self.begun.append(x)
        assert self.gate.acquire(timeout=60)
        return x

    def free(self) -> None:
        self.gate.release(1000)


def echoed(x: float) -> float:
    return x


@contextmanager
def held_page():
    """A page with a slow question (function 0, a slider's), a quick one (1) and a slow one of another queue (2)."""
    held, other = Held(), Held()
    with gr.Blocks() as demo:
        slider, shown = gr.Slider(0, 9, 0, step=1, label="s", elem_id="slider"), gr.Number(label="n", elem_id="shown")
        slow = {"trigger_mode": "multiple", "show_progress": "hidden"}
        slider.input(held.answer, slider, shown, api_name="slow", **slow, **MODEL_QUEUE)
        gr.api(echoed, api_name="quick", concurrency_id="quick")
        slider.release(other.answer, slider, gr.State(), api_name="other", concurrency_id="other", **slow)
    demo.queue(max_size=64, api_open=False)
    try:
        yield demo, held, other
    finally:
        held.free()
        other.free()


def post(address: str, body: bytes, path: str = JOIN_PATH):
    """Status, table and headers of an answer."""
    request = urllib.request.Request(address.rstrip("/") + path, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer), answer.headers
    except urllib.error.HTTPError as e:
        return e.code, json.load(e), e.headers


def join(address: str, visitor: str | None, fn: int = 0):
    return post(address, json.dumps({"data": [1], "fn_index": fn, "session_hash": visitor}).encode())


def until(happened) -> None:
    for _ in range(3000):
        if happened():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it did not happen")


@pytest.fixture
def page():
    with held_page() as (demo, held, _), served(demo) as address:
        yield address, held
        held.free()


def test_one_visitor_fills_a_share_and_the_others_are_served(page):
    address, held = page
    assert join(address, "greedy")[0] == 200
    until(lambda: held.begun)  # is being answered, and waits no more
    assert [join(address, "greedy")[0] for _ in range(MAX_WAITING)] == [200] * MAX_WAITING
    for fn in (0, 1):  # the share is one of all queues
        status, told, headers = join(address, "greedy", fn)
        assert status == 429 and list(told) == ["error"] and numbers(told["error"]) == [MAX_WAITING]
        assert headers["x-content-type-options"] == "nosniff"
    modest = Client(address, verbose=False)
    assert modest.predict(7, api_name="/quick") == 7
    asked = modest.submit(5, api_name="/slow")
    held.free()
    assert asked.result(timeout=60) == 5
    until(lambda: len(held.begun) == MAX_WAITING + 2)  # turns are taken: some of the greedy ones' come after
    assert join(address, "greedy")[0] == 200


def test_a_quiet_visitor_waits_for_one_turn_of_one_that_floods(page):
    address, held = page
    join(address, "first")
    until(lambda: held.begun)

    def ask(visitor: str, x: float) -> None:
        body = json.dumps({"data": [x], "fn_index": 0, "session_hash": visitor}).encode()
        assert post(address, body)[0] == 200

    many = [x / 10 for x in range(MAX_WAITING)]
    for x in many:
        ask("greedy", x)
    ask("quiet", 7)
    ask("quiet", 8)
    ask("other", 9)
    held.free()
    until(lambda: len(held.begun) == MAX_WAITING + 4)
    assert held.begun == [1, many[0], 7, 9, many[1], 8, *many[2:]]


def test_answers_that_nobody_reads_are_not_piled_up(page, monkeypatch):
    address, held = page
    held.free()
    monkeypatch.setattr(visitors, "UNREAD", 20)
    until(lambda: numbers(str(join(address, "deaf", 1)[1]))[:1] == [20])
    assert join(address, "deaf", 1)[0] == 429 and join(address, "hears", 1)[0] == 200
    with urllib.request.urlopen(f"{address}gradio_api/queue/data?session_hash=deaf", timeout=60) as stream:
        stream.read()
    assert join(address, "deaf", 1)[0] == 200


def test_a_share_is_kept_also_by_questions_that_come_at_once(page):
    address, held = page
    with ThreadPoolExecutor(40) as pool:
        statuses = [status for status, *_ in pool.map(lambda _: join(address, "greedy"), range(40))]
    assert (
        set(statuses) == {200, 429} and MAX_WAITING - 1 <= statuses.count(200) <= MAX_WAITING + 1
    )  # one is being answered
    until(lambda: held.begun)
    assert join(address, "other")[0] == 200


def test_a_nameless_visitor_is_told_by_gradio(page):
    address, held = page
    held.free()
    assert join(address, None)[0] == 400
    status, told, _ = join(address, "")
    assert status == 400 and "session_hash" in told["error"]
    for body in (
        b"",
        b"no json",
        b"[1]",
        b"[" * 100_000,
        b'"\xff"',
        b'{"data": [1], "fn_index": 0, "session_hash": [1]}',
    ):
        assert post(address, body)[0] in (400, 422), body[:20]
    named = json.dumps({"data": [3], "session_hash": "a"}).encode()
    assert post(address, named, "/gradio_api/call/slow")[1].keys() == {"event_id"}


def test_plain_calls_count_too(page):
    address = page[0]
    named = json.dumps({"data": [3], "session_hash": "a"}).encode()
    statuses = [post(address, named, "/gradio_api/call/slow")[0] for _ in range(MAX_WAITING + 2)]
    assert statuses[:MAX_WAITING] == [200] * MAX_WAITING and statuses[-1] == 429


def test_queues_are_told_by_numbers_of_no_meaning(page):
    address, held = page
    held.free()
    numbers = [join(address, "a", fn)[2]["x-studio-queue"] for fn in (2, 0, 0, 1)]
    assert numbers == ["0", "1", "1", "2"]


def test_the_place_is_told_while_others_are_first(browser):
    with held_page() as (demo, held, _), on_page(browser, demo) as page:
        address = page.url
        for visitor in "abc":
            join(address, visitor)
        until(lambda: held.begun)
        page.locator("#slider input[type=number]").fill("5")  # one event, "input"
        wait_for(page, KEPT, "Busy: you are number 3 in the queue")
        line = page.locator(".ks-busy")
        assert line.get_attribute("aria-live") == "polite"
        height = page.evaluate("document.documentElement.scrollHeight")
        held.gate.release()
        wait_for(page, KEPT, "Busy: you are number 2 in the queue")
        held.gate.release()
        wait_for(page, KEPT, "Busy: you are number 1 in the queue")
        held.gate.release()
        wait_for(page, KEPT, "")
        until(lambda: held.begun == [1, 1, 1, 5])  # the line is empty a moment before the answer begins
        assert page.evaluate("document.documentElement.scrollHeight") == height
        held.gate.release()
        wait_for(page, "() => document.querySelector('#shown input').value === '5'")


def test_own_questions_are_not_what_one_waits_for(browser):
    with held_page() as (demo, held, other), on_page(browser, demo) as page:
        box = page.locator("#slider input[type=number]")
        for value in "234":
            box.fill(value)
        until(lambda: held.begun == [2])
        box.blur()  # "release", answered in another queue
        until(lambda: other.begun == [4])
        join(page.url, "a", 2)
        box.fill("5")
        box.blur()
        wait_for(page, KEPT, "Busy: you are number 2 in the queue")  # behind a's, in the other queue
        other.free()
        wait_for(page, KEPT, "")
        page.wait_for_timeout(700)
        assert page.evaluate(LINE) == ""  # three of its own still wait
        held.free()
        wait_for(page, "() => document.querySelector('#shown input').value === '5'")


def test_a_visitor_reads_why_a_question_was_refused(browser):
    with held_page() as (demo, held, _), on_page(browser, demo) as page:
        me = page.wait_for_function("() => window.__gradio_session_hash__").json_value()
        join(page.url, "a")
        until(lambda: held.begun)
        assert [join(page.url, me)[0] for _ in range(MAX_WAITING)] == [200] * MAX_WAITING
        page.locator("#slider input[type=number]").fill("5")
        page.wait_for_selector(f"text={MAX_WAITING} of your questions are waiting already")
        held.free()
        page.locator("#slider input[type=number]").fill("6")
        wait_for(page, "() => document.querySelector('#shown input').value === '6'")


def test_the_script_does_not_end_the_page_that_holds_it():
    assert BUSY_HEAD.count("</script>") == 1 and BUSY_HEAD.endswith("</script>")
