"""The script that runs before Gradio's own, and the changes to these: there alone, and the rest as it was."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import gradio
import pytest

from ui.server.gradio_internals import EDITS, MODULE, SCRIPT, SEEN_IN, QuickPage

PAGE = b"<html><script>window.gradio_config = {};</script>" + MODULE + b' src="a.js"></script></html>'


def answer(*parts: bytes, path: str = "/", method: str = "GET", kind: str = "http") -> tuple[dict, bytes]:
    """Headers and body of what comes through, from an app that answers in parts."""
    sent = []

    async def app(scope, receive, send):
        length = sum(map(len, parts))
        headers = [(b"Content-Length", b"%d" % length), (b"x-other", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for i, part in enumerate(parts):
            await send({"type": "http.response.body", "body": part, "more_body": i + 1 < len(parts)})

    async def send(message):
        sent.append(message)

    asyncio.run(QuickPage(app)({"type": kind, "path": path, "method": method}, None, send))
    assert sent[0]["type"] == "http.response.start" and sent[0]["status"] == 200
    return {k.lower(): v for k, v in sent[0]["headers"]}, b"".join(m["body"] for m in sent[1:])


@pytest.mark.parametrize("cut", [0, 30, PAGE.index(MODULE) + 5, len(PAGE)])
@pytest.mark.parametrize("path", ["/", ""])
def test_it_stands_once_before_gradios_script_and_the_length_is_right(cut, path):
    headers, body = answer(PAGE[:cut], PAGE[cut:], path=path)
    assert body == PAGE.replace(MODULE, SCRIPT + MODULE)
    assert body.count(SCRIPT) == 1 and body.index(b"gradio_config = {}") < body.index(SCRIPT) < body.index(MODULE)
    assert headers == {b"content-length": b"%d" % len(body), b"x-other": b"1"}


def test_a_page_that_is_not_gradios_stays_as_it_is():
    headers, body = answer(b"<html>busy</html>")
    assert body == b"<html>busy</html>" and headers[b"content-length"] == b"17"


@pytest.mark.parametrize("other", [{"path": "/config"}, {"path": "/assets/a.js"}, {"method": "HEAD"}])
def test_every_other_answer_passes_through(other):
    headers, body = answer(PAGE[:9], PAGE[9:], **other)
    assert body == PAGE and headers[b"content-length"] == b"%d" % len(PAGE)


@pytest.mark.parametrize("start", EDITS)
def test_each_script_that_is_changed_is_gradios_own_and_has_each_place_once(start):
    folder = Path(gradio.__file__).parent / "templates" / "frontend"
    scripts = {file: file.read_bytes() for file in folder.glob(f"{start.removeprefix('/')}*.js")}
    ((file, script),) = ((f, text) for f, text in scripts.items() if EDITS[start][0][0] in text)
    headers, body = answer(script[:1000], script[1000:], path=f"/{file.relative_to(folder).as_posix()}")
    for old, new in EDITS[start]:
        assert script.count(old) == 1 and body.count(new) == 1 and old not in body
    grown = sum(len(new) - len(old) for old, new in EDITS[start])
    assert len(body) == len(script) + grown == int(headers[b"content-length"])


def test_a_script_of_another_release_stays_as_it_is():
    for start in EDITS:
        assert answer(b"let a = ", b"1;", path=f"{start}x.js")[1] == b"let a = 1;"


def test_gradio_is_held_to_the_minor_version_that_was_seen():
    requirements = (Path(__file__).parents[3] / "requirements.txt").read_text(encoding="utf-8")
    low, high = re.search(r"^gradio>=([0-9.]+),<([0-9.]+)", requirements, re.MULTILINE).groups()
    major, minor = map(int, SEEN_IN.split("."))
    assert low == SEEN_IN and high == f"{major}.{minor + 1}"
