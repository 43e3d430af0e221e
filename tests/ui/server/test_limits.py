"""The app as strangers get it: headers, limits, and a page that works under its own policy."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import urllib.error
import urllib.request

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from analysis.core.errors import UserError
from analysis.studio import Studio
from analysis.workbench.library import ModelLibrary
from tests.refusals import refuses
from tests.sentences import tells
from tests.ui.server.test_queue import join
from tests.ui.serving import open_view, page_of
from tests.ui.test_browser import visit
from tests.waiting import wait_for
from ui.app import build_app, launch_options
from ui.server import limits
from ui.server import queue as visitors
from ui.server.limits import BODY_BYTES, FILE_BYTES, PAGE_POLICY, UPLOAD_PATH, PublicLimits
from ui.server.queue import MAX_WAITING
from ui.server.runs import RUN_SECONDS, deadline
from ui.server.startup import DEFAULT_SEED
from ui.tabs.inside.effects import EffectControls, EffectsTab
from ui.workspaces import VIEWS


async def _read(request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


def client(**options) -> TestClient:
    routes = [Route("/x", _read, methods=["GET", "POST"]), Route(UPLOAD_PATH, _read, methods=["POST"])]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(PublicLimits, **options)]))


def sentence(answer) -> str:
    return answer.json()["error"]


def test_every_answer_carries_the_headers():
    web = client(hourly=10)
    web.post(UPLOAD_PATH, content=b"x" * 20)
    answers = web.get("/x"), web.get("/nothing"), web.post("/x", content=b"x" * (BODY_BYTES + 1)), web.post(UPLOAD_PATH)
    assert [a.status_code for a in answers] == [200, 404, 413, 429]
    for answer in answers:
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "camera=()" in answer.headers["permissions-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_the_policy_names_no_other_place():
    assert all(set(v.split()) <= {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}
               for v in PAGE_POLICY.values())  # fmt: skip
    assert PAGE_POLICY["default-src"] == "'self'" and PAGE_POLICY["object-src"] == "'none'"


def test_bodies_are_bounded_also_where_nothing_is_claimed():
    web = client()
    assert web.post("/x", content=b"x" * BODY_BYTES).text == str(BODY_BYTES)
    unclaimed = (b"x" * 2**20 for _ in range(BODY_BYTES // 2**20 + 1))
    answer = web.post("/x", content=unclaimed)
    assert answer.status_code == 413 and sentence(answer)
    assert web.post(UPLOAD_PATH, content=b"x" * FILE_BYTES).status_code == 200
    assert web.post(UPLOAD_PATH, content=b"x" * (FILE_BYTES + 2**17)).status_code == 413


def test_the_uploads_of_an_hour_are_bounded():
    now = [0.0]
    web = client(hourly=1000, clock=lambda: now[0])
    assert [web.post(UPLOAD_PATH, content=b"x" * 600).status_code for _ in range(3)] == [200, 200, 429]
    assert sentence(web.post(UPLOAD_PATH, content=b"x"))
    assert web.get("/x").status_code == 200
    now[0] = 3601.0
    assert web.post(UPLOAD_PATH, content=b"x").status_code == 200


def test_other_protocols_pass():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(PublicLimits(app)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


@pytest.fixture(scope="module")
def stranger(models_folder):
    """Address, page and library of the app as `--public` starts it."""
    library = ModelLibrary(models_folder, default="tiny")
    limits.close_doors(library)
    demo = build_app(Studio(library=library), patience=limits.PUBLIC_PATIENCE)
    options = limits.restrict(demo, launch_options())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _, address, _ = demo.launch(
        server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, **options
    )
    yield address, demo, library
    demo.close(verbose=False)


def test_doors_are_closed(stranger, models_folder):
    _, demo, library = stranger
    assert demo._queue.max_size == limits.QUEUE_SIZE and not demo.api_open
    with refuses("upload"):
        library.own.add(models_folder / "tiny.hkd.safetensors")


def test_no_measurement_exceeds_the_patience_of_its_page(library):
    work = page_of(library, "generate", patience=limits.PUBLIC_PATIENCE)[1].work
    assert work.bounded(300.0) == limits.PUBLIC_PATIENCE and work.bounded(5.0) == 5.0
    tab = EffectsTab(library, EffectControls.names(), work.bounded(RUN_SECONDS))
    assert tab.run.patience == limits.PUBLIC_PATIENCE < RUN_SECONDS
    with pytest.raises(UserError):
        deadline(-1e-9)(0.5, "half")


def test_the_server_keeps_to_it(stranger):
    address = stranger[0]
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    body = json.dumps({"data": ["tiny", ["x" * BODY_BYTES], -1]}).encode()
    with pytest.raises(urllib.error.URLError) as caught:
        urllib.request.urlopen(urllib.request.Request(f"{address}gradio_api/call/generate", body), timeout=60)
    assert getattr(caught.value, "code", 413) == 413


def test_every_question_waits_in_one_of_three_queues(stranger):
    asked = [fn for fn in stranger[1].fns.values() if fn.api_visibility == "public"]
    assert len(asked) > 10 and {fn.concurrency_id for fn in asked} == {"model", "long", "exact"}
    assert {fn.concurrency_limit for fn in asked} == {1} and all(fn.queue for fn in asked)


def test_what_is_exposed_is_told(stranger):
    _, demo, library = stranger
    said = limits.exposure("0.0.0.0:7860", demo, library.names())
    assert tells(said, "0.0.0.0:7860", "/edit", "/generate", *library.names())
    assert tells(said, limits.QUEUE_SIZE, MAX_WAITING, limits.PUBLIC_PATIENCE)


def test_a_visitor_has_a_share_here_too(stranger, monkeypatch):
    monkeypatch.setattr(visitors, "waiting", lambda scope, visitor: MAX_WAITING)
    status, _, headers = join(stranger[0], "greedy")
    assert status == 429 and headers["x-frame-options"] == "DENY"


def test_the_whole_page_works_under_the_policy(stranger, browser):
    page, complaints, requests = visit(browser, stranger[0])
    picture = page.locator("#hero img").get_attribute("src")
    for view in (*VIEWS, "watch"):
        open_view(page, view)
        page.wait_for_timeout(400)
    page.locator("#seed input").fill("11")
    page.locator("#seed input").press("Enter")
    wait_for(page, "old => document.querySelector('#hero img').src !== old", picture)
    open_view(page, "modes")
    wait_for(page, "() => document.querySelector('#plane .ks-plot')?._fullData?.length >= 3")
    # another visitor does not see that
    other, unhappy, _ = visit(browser, stranger[0])
    wait_for(other, "seed => document.querySelector('#hero').textContent.includes(`seed ${seed}`)", DEFAULT_SEED)
    other.locator("#seed input").fill("5")
    other.locator("#seed input").press("Enter")
    wait_for(other, "() => document.querySelector('#hero').textContent.includes('seed 5')")
    assert "seed 11" in page.locator("#hero").inner_text() and page.locator("#seed input").input_value() == "11"
    other.close()
    assert complaints == unhappy == []
    assert [r for r in requests if not re.match(r"(http://127\.0\.0\.1:|data:|blob:)", r)] == []
    page.close()
