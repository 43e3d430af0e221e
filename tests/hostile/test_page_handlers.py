"""Every handler of the page, called over HTTP with wrong types and values: a sentence of ours, a line in the log."""

from __future__ import annotations

import json
import random
import re
import sys
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.studio import Studio
from analysis.workbench.library import ModelLibrary
from tests.hostile.judge import Count, assert_sentences
from tests.hostile.strategies import ANY, fuzz
from tests.ui.serving import served
from ui.app import build_app
from ui.server.queue import JOIN_PATH

GROUPS = 12


class Visitor:
    """One session over one connection, which asks handlers by their number."""

    def __init__(self, address: str, name: str):
        self.place, self.name = urlsplit(address), name

    def send(self, method: str, path: str, body=None) -> tuple[int, str]:
        connection = HTTPConnection(self.place.hostname, self.place.port, timeout=100)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def ask(self, fn, data, **more) -> tuple[int, dict | None]:
        """Status, and what came of it: {"error": ...}, {"data": ...}, or None where nothing was said."""
        body = json.dumps({"data": data, "fn_index": fn, "session_hash": self.name, **more})
        status, text = self.send("POST", JOIN_PATH, body)
        if status != 200:
            return status, json.loads(text)
        status, text = self.send("GET", f"/gradio_api/queue/data?session_hash={self.name}")
        last = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
        done = [m for m in last if m["msg"] == "process_completed"]
        return status, done[-1]["output"] if done else None

    def run(self, fn, data, name: str = "predict") -> tuple[int, dict]:
        body = json.dumps({"data": data, "fn_index": fn, "session_hash": self.name})
        status, text = self.send("POST", f"/gradio_api/run/{name}", body)
        return status, json.loads(text)


def wait_for_silence(capfd) -> None:
    """Until half a second went by without a line; what was written is written again, to be counted."""
    seen = ""
    while (more := capfd.readouterr().err) or not seen:
        seen += more or "\n"
        time.sleep(0.5)
    sys.stderr.write(seen.strip("\n") + "\n" if seen.strip() else "")


@contextmanager
def silent(capfd, lines: int):
    """Within, at most so many lines reach the log, and none of a stack trace."""
    capfd.readouterr()
    yield
    said = capfd.readouterr().err
    assert "Traceback" not in said and 'File "' not in said, said
    kept = [line for line in said.splitlines() if "Warning" not in line and not line.startswith("  ")]
    assert len(kept) <= lines, said


def judge(status: int, output: dict | None) -> None:
    """An answer, or a sentence of ours."""
    Count.cases += 1
    assert status in (200, 422, 429), (status, output)
    assert output is not None
    if "error" in output:
        assert isinstance(output["error"], str), output
        assert_sentences(output["error"])
        assert not re.search(r"list of choices|minimum value|maximum value", output["error"])


@pytest.fixture(scope="module")
def page(models_folder):
    demo = build_app(Studio(library=ModelLibrary(models_folder, default="tiny")), patience=5.0)
    with served(demo) as address:
        yield address, demo


def honest(fn) -> list:
    """What the page itself would send at first."""
    return [getattr(block, "value", None) if not block.stateful else None for block in fn.inputs]


def asked(demo) -> list:
    return [fn for fn in demo.fns.values() if fn.fn is not None and fn.inputs and fn.api_visibility != "public"]


def plain(value):
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return None


@pytest.mark.parametrize("group", range(GROUPS))
def test_wrong_types_and_values(page, capfd, group):
    address, demo = page
    fns = asked(demo)[group::GROUPS]
    assert fns
    visitor, draw = Visitor(address, f"hostile-{group}"), random.Random(group)

    @fuzz(5 * len(fns))
    @given(values=st.lists(ANY, min_size=1, max_size=3), rest=st.booleans())
    def every(values, rest):
        fn = fns[draw.randrange(len(fns))]
        data = [plain(v) for v in honest(fn)] if rest else [draw.choice(values) for _ in fn.inputs]
        for value in values:
            data[draw.randrange(len(data))] = value
        with silent(capfd, 1):
            judge(*(visitor.ask if fn.queue else visitor.run)(fn._id, data))

    every()


BODIES = [
    b"", b"no json", b"[1]", b"3", b"[" * 100_000, b'"\xff"', b"{}", b'{"data": 3}', b'{"data": null}',
    b'{"data": {}, "fn_index": 0}', b'{"data": [], "fn_index": 99999}', b'{"data": [], "fn_index": "a"}',
    b'{"data": [], "fn_index": true}', b'{"data": [], "fn_index": 1.5}', b'{"data": [], "fn_index": -1}',
    b'{"data": [], "fn_index": 1e400}', b'{"data": [1], "fn_index": 0, "session_hash": [1]}',
    b'{"data": [1], "fn_index": 0, "session_hash": "%s"}' % (b"x" * 5000),
    b'{"data": [], "fn_index": 0, "session_hash": "a", "batched": "x"}',
    b'{"data": [], "fn_index": 0, "session_hash": "a", "trigger_id": "x"}',
    b'{"data": [], "fn_index": 0, "session_hash": "a", "event_id": 3}',
    b'{"data": [], "fn_index": 0, "session_hash": "a", "simple_format": "x"}',
    b'{"data": [], "fn_index": 0, "session_hash": "a", "oauth_token": []}',
]  # fmt: skip
PATHS = [JOIN_PATH, "/gradio_api/run/predict", "/gradio_api/call/generate", "/gradio_api/call/v2/generate",
         "/gradio_api/call/nobody", "/gradio_api/run/nobody", "/gradio_api/api/nobody", "/gradio_api/call/v2/nobody",
         "/gradio_api/call/", "/gradio_api/run/"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_bodies_that_are_no_question(page, capfd, path):
    visitor = Visitor(page[0], "x")
    with silent(capfd, len(BODIES)):  # together: the line about an accepted call is written after its answer
        for body in BODIES:
            Count.cases += 1
            status, text = visitor.send("POST", path, body)
            assert status in (200, 400, 404, 405, 422), (status, body[:60])
            if status == 422:
                assert_sentences(json.loads(text)["error"])
        wait_for_silence(capfd)


@pytest.mark.parametrize("more", [{"batched": True}, {"event_data": 3}, {"event_data": {"x": [1]}}, {"trigger_id": -9}])
def test_other_fields_of_a_question(page, capfd, more):
    address, demo = page
    visitor = Visitor(address, "fields")
    for fn in asked(demo)[::25]:
        if fn.queue:
            with silent(capfd, 1):
                judge(*visitor.ask(fn._id, [plain(v) for v in honest(fn)], **more))


def test_too_few_and_too_many_arguments(page, capfd):
    address, demo = page
    visitor = Visitor(address, "length")
    for fn in asked(demo)[::12]:
        for data in ([], [None] * (len(fn.inputs) + 3)):
            with silent(capfd, 1):
                judge(*(visitor.ask if fn.queue else visitor.run)(fn._id, data))


def test_handlers_that_have_no_function(page, capfd):
    address, demo = page
    visitor = Visitor(address, "empty")
    bare = [fn for fn in demo.fns.values() if fn.fn is None]
    assert bare
    for fn in bare[:5]:
        with silent(capfd, 1):
            judge(*(visitor.ask if fn.queue else visitor.run)(fn._id, [None] * len(fn.inputs)))


def test_a_number_beyond_its_bounds_is_told_them(page):
    address, demo = page
    visitor = Visitor(address, "bounds")
    fn, place, block = next(
        (fn, i, b) for fn in asked(demo) for i, b in enumerate(fn.inputs)
        if b.get_block_name() in ("slider", "number") and getattr(b, "maximum", None) is not None
    )  # fmt: skip
    data = [plain(v) for v in honest(fn)]
    data[place] = block.maximum + 1
    _, output = (visitor.ask if fn.queue else visitor.run)(fn._id, data)
    assert str(block.maximum) in output["error"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/gradio_api/component_server", b'{"data": 1, "component_id": 9e9, "session_hash": "", "fn_name": 3}'),
        ("POST", "/gradio_api/component_server", b'{"data": 1, "component_id": [], "session_hash": {}, "fn_name": 3}'),
        ("POST", "/gradio_api/cancel", b'{"session_hash": "a", "fn_index": 0, "event_id": "b"}'),
        ("POST", "/gradio_api/cancel", b"{}"),
        ("POST", "/gradio_api/stream/x", b'{"data": []}'),
        ("POST", "/gradio_api/process_recording", b"x"),
        ("POST", "/gradio_api/upload", b"x"),
        ("GET", "/gradio_api/queue/data?session_hash=nobody", None),
        ("GET", "/gradio_api/call/generate/nothing", None),
        ("GET", "/gradio_api/file=/etc/passwd", None),
        ("GET", "/gradio_api/file=%00", None),
        ("GET", "/?deep_link=../../x", None),
        ("GET", "/nothing/here", None),
        ("GET", "/custom_component/x/client/component/index.js", None),
        ("GET", "/gradio_api/custom_component/x/client/component/index.js", None),
        ("GET", "/theme.css?x=1", None),
        ("GET", "/gradio_api/stream/a/b/c/playlist.m3u8", None),
    ],
    ids=lambda v: str(v)[:45],
)  # fmt: skip
def test_no_other_route_breaks(page, capfd, method, path, body):
    with silent(capfd, 1):
        status, text = Visitor(page[0], "x").send(method, path, body)
    assert status < 500 and "Traceback" not in text, (status, text[:300])
    Count.cases += 1
