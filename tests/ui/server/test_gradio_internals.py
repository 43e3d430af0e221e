"""The script that runs before Gradio's own, and the changes to these: there alone, and the rest as it was."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import brotli
import gradio
import pytest

from ui.server.gradio_internals import (
    CONFIG,
    EDITS,
    MODULE,
    SCRIPT,
    SEEN_IN,
    QuickPage,
    _kept_asset,
    asset,
    early_files,
    quick_page,
    quick_script,
)

FRONTEND = Path(gradio.__file__).parent / "templates" / "frontend"
PAGE = b"<html><script>a()</script>" + MODULE + b' src="a.js"></script></html>'


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

    asyncio.run(QuickPage(app)({"type": kind, "path": path, "method": method, "headers": ()}, None, send))
    assert sent[0]["type"] == "http.response.start" and sent[0]["status"] == 200
    return {k.lower(): v for k, v in sent[0]["headers"]}, b"".join(m["body"] for m in sent[1:])


@pytest.mark.parametrize("cut", [0, 30, PAGE.index(MODULE) + 5, len(PAGE)])
@pytest.mark.parametrize("path", ["/", ""])
def test_it_stands_once_before_gradios_script_and_the_length_is_right(cut, path):
    headers, body = answer(PAGE[:cut], PAGE[cut:], path=path)
    assert body == PAGE.replace(MODULE, SCRIPT + MODULE)
    assert body.count(SCRIPT) == 1 and body.index(b"a()") < body.index(SCRIPT) < body.index(MODULE)
    assert headers == {b"content-length": b"%d" % len(body), b"x-other": b"1"}


def test_a_page_that_is_not_gradios_stays_as_it_is():
    headers, body = answer(b"<html>busy</html>")
    assert body == b"<html>busy</html>" and headers[b"content-length"] == b"17"


@pytest.mark.parametrize("other", [{"path": "/config"}, {"path": "/assets/a.js"}, {"method": "HEAD"}])
def test_every_other_answer_passes_through(other):
    headers, body = answer(PAGE[:9], PAGE[9:], **other)
    assert body == PAGE and headers[b"content-length"] == b"%d" % len(PAGE)


def test_the_configuration_comes_as_json_and_a_script_of_many_components_once():
    long, short = 'let a = "1"; ' * 30, "b()"
    scripts = [long, short, long, "c();" + long]
    config = {"components": [{"id": i, "props": {"js_on_load": s}} for i, s in enumerate(scripts)], "layout": {}}
    start, end = b"<html><base href='./' />", b"<p></p>" + MODULE + b"></script></html>"
    body = quick_page(start + CONFIG + json.dumps(config, separators=(",", ":")).encode() + b";</script>" + end)
    found = re.search(rb'<script type="application/json" id="ks-config">(.*?)</script>', body)
    sent = json.loads(found[1])
    assert sent["scripts"] == [long, "c();" + long]
    assert [c["props"]["js_on_load"] for c in sent["config"]["components"]] == [0, short, 0, 1]
    assert body == start + found[0] + SCRIPT + end


def test_files_come_before_gradios_page_finds_out_about_them():
    names = early_files(frozenset({"column"}))
    sheets = [n for n in names if n.endswith(".css") and not n.startswith("index-")]
    entry = next(n for n in names if n.startswith("index-") and n.endswith(".css"))
    page = (
        b"<head><base href='./' /><style></style>"
        + MODULE
        + f"></script><link href='./assets/{entry}'></head><p>".encode()
    )
    body = quick_page(page, names).decode()
    for name in names:
        script = f'<link rel="modulepreload" crossorigin href="./assets/{name}">'
        assert (body.find(script) < body.index("<style>")) is True if name.endswith(".js") else script not in body
    assert len(sheets) > 2
    for name in sheets:  # within the page, after its own; the link is what Gradio's page looks for
        assert f'<link rel="stylesheet" crossorigin disabled href="./assets/{name}">' in body
        rules = (FRONTEND / "assets" / name).read_text(encoding="utf-8")
        assert body.index(entry) < body.index(rules) < body.index("</head>")
    assert body.count(entry) == 1  # asked for by the page itself


def test_the_early_files_are_those_of_the_components_and_of_nothing_else():
    few, more = early_files(frozenset({"column", "api"})), early_files(frozenset({"column", "slider"}))
    assert set(few) < set(more) and len(few) > 10
    assert all((FRONTEND / "assets" / name).is_file() for name in more)
    assert not any("hls" in name or "Plot" in name for name in more)


def script_of(start: str) -> tuple[str, bytes]:
    """Path and text of Gradio's own script that has the first place of an edit."""
    texts = {
        f"/{f.relative_to(FRONTEND).as_posix()}": f.read_bytes()
        for f in FRONTEND.glob(f"{start.removeprefix('/')}*.js")
    }
    ((path, text),) = ((p, t) for p, t in texts.items() if EDITS[start][0][0] in t)
    return path, text


@pytest.mark.parametrize("start", EDITS)
def test_each_script_that_is_changed_is_gradios_own_and_has_each_place_once(start):
    path, script = script_of(start)
    headers, body = answer(path=path)
    for old, new in EDITS[start]:
        assert script.count(old) == 1 and body.count(new) == 1 and old not in body
    grown = sum(len(new) - len(old) for old, new in EDITS[start])
    assert len(body) == len(script) + grown == int(headers[b"content-length"])
    assert headers[b"cache-control"] == b"no-cache"  # its name does not change with ours


def test_a_script_of_another_release_stays_as_it_is():
    for start in EDITS:
        assert quick_script(f"{start}x.js", b"let a = 1;") == b"let a = 1;"


def test_a_file_is_compressed_for_whom_it_helps_and_kept_by_browsers():
    path = next(f"/assets/{f.name}" for f in sorted(FRONTEND.glob("assets/hls-*.js")))
    file = asset(path)
    plain, packed = file.answer({}), file.answer({b"accept-encoding": b"gzip, br"})
    assert (
        plain[0] == packed[0] == 200 and brotli.decompress(packed[2]) == plain[2] == (FRONTEND / path[1:]).read_bytes()
    )
    assert (b"content-encoding", b"br") in packed[1] and (b"content-length", b"%d" % len(packed[2])) in packed[1]
    assert b"immutable" in dict(plain[1])[b"cache-control"]
    again = file.answer({b"if-none-match": dict(plain[1])[b"etag"]})
    assert again[0] == 304 and again[2] == b""


@pytest.mark.parametrize(
    "path",
    ["/assets/../index.html", "/assets/none.js", "/assets/a/b.js", "/assets/x.woff2", "/", f"/assets/{'a' * 5000}.js"],
)
def test_nothing_else_is_a_file(path):
    kept = _kept_asset.cache_info().currsize
    assert asset(path) is None
    assert _kept_asset.cache_info().currsize == kept  # or whoever asks for names could fill the memory


def test_gradio_is_held_to_the_minor_version_that_was_seen():
    requirements = (Path(__file__).parents[3] / "requirements.txt").read_text(encoding="utf-8")
    low, high = re.search(r"^gradio>=([0-9.]+),<([0-9.]+)", requirements, re.MULTILINE).groups()
    major, minor = map(int, SEEN_IN.split("."))
    assert low == SEEN_IN and high == f"{major}.{minor + 1}"
