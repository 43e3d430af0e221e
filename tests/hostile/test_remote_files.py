"""No request leaves the machine: files named by an address are refused before anybody looks the address up."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import gradio as gr
import httpx
import pytest
import safehttpx
from gradio import processing_utils

from analysis.studio import Studio
from analysis.workbench.library import ModelLibrary
from tests.ui.serving import served
from ui.app import build_app
from ui.server import limits
from ui.server.errors import REMOTE, Told
from ui.server.gradio_internals import fetch_nothing

NAME = "pictures.example"  # resolves to nothing, and must not be looked up


class Watched:
    """A port of this machine that notes who came, and the names that were looked up meanwhile."""

    def __init__(self):
        self.came: list[str] = []
        self.asked: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                with self.socket.accept()[0] as visitor:
                    self.came.append("connected")
                    visitor.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
            except OSError:
                return


@pytest.fixture
def watched(monkeypatch):
    """Gradio's own guard, which refuses private addresses only after it looked the name up, is out of the way."""
    watch, real = Watched(), socket.getaddrinfo

    def looked_up(host, *args, **kwargs):
        if host not in ("127.0.0.1", "localhost"):
            watch.asked.append(str(host))
            raise socket.gaierror(-2, "unknown")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    monkeypatch.setattr(safehttpx, "is_public_ip", lambda ip: True)
    yield watch
    watch.socket.close()


@contextmanager
def studio_page(folder, public: bool):
    library = ModelLibrary(folder, default="tiny")
    if public:
        limits.close_doors(library)
    demo = build_app(Studio(library=library))
    with served(demo, public=public) as address:
        yield address, demo


@pytest.fixture(scope="module", params=[False, True], ids=["private", "public"])
def page(request, models_folder):
    with studio_page(models_folder, request.param) as there:
        yield there


def ask(address: str, path: str, body: dict | None = None) -> tuple[int, str]:
    """Status and text of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address.rstrip("/") + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def outcome(address: str, body: dict, session: str = "remote") -> str:
    """What comes of a question that joins the queue: the refusal, or the last message of its stream."""
    status, text = ask(address, "/gradio_api/queue/join", body | {"session_hash": session})
    if status != 200:
        return text
    _, text = ask(address, f"/gradio_api/queue/data?session_hash={session}")
    return text


def remote(url: str, key: str = "path") -> dict:
    other = {"path": "x.png"} if key == "url" else {}
    return {key: url, **other, "meta": {"_type": "gradio.FileData"}, "orig_name": "x.png", "mime_type": "image/png"}


def addresses(watch: Watched) -> list[str]:
    return [f"http://127.0.0.1:{watch.port}/x.png", f"https://127.0.0.1:{watch.port}/x.png", f"http://{NAME}/x.png"]


def uploads(demo: gr.Blocks) -> list[tuple[int, int, int]]:
    """Function, place among its inputs and number of inputs, of every input that takes a file."""
    takes = ("uploadbutton", "file", "image", "gallery", "downloadbutton")
    return [
        (index, place, len(fn.inputs))
        for index, fn in demo.fns.items()
        for place, block in enumerate(fn.inputs)
        if block.get_block_name() in takes
    ]


def test_no_upload_component_fetches(page, watched):
    address, demo = page
    places = uploads(demo)
    assert len(places) >= 3  # two pictures, a recipe; a model where they are taken
    for fn, place, n in places:
        for url, key in itertools.product(addresses(watched), ("path", "url")):
            data = [None] * n
            data[place] = remote(url, key)
            text = outcome(address, {"fn_index": fn, "data": data})
            assert "error" in text, text
    assert watched.came == watched.asked == []


@pytest.mark.parametrize("name", ["generate", "edit", "inpaint"])
def test_no_endpoint_fetches_whether_it_answers_or_refuses(page, watched, name):
    address, demo = page
    index = next(i for i, fn in demo.fns.items() if fn.api_name == name)
    n = len(demo.fns[index].inputs)
    url, other, named = addresses(watched)
    for place in range(n):
        for value in (remote(url), [remote(other)], {"a": [remote(named, "url")]}, url):
            data = ["tiny", *[None] * (n - 1)]
            data[place] = value
            assert "error" in outcome(address, {"fn_index": index, "data": data})
    status, _ = ask(address, f"/gradio_api/call/{name}", {"data": [remote(url)] * n})
    assert status == 422
    assert watched.came == watched.asked == []


def test_the_file_route_fetches_nothing(page, watched):
    for url in addresses(watched):
        assert ask(page[0], f"/gradio_api/file={url}")[0] in (403, 404, 422)
        assert ask(page[0], f"/gradio_api/proxy={url}")[0] in (400, 403, 404, 422)
    assert watched.came == watched.asked == []


def echo(x: str) -> str:
    return x


def test_what_a_handler_gives_back_is_not_fetched_either(watched):
    url = f"http://127.0.0.1:{watched.port}/x.png"
    fetch_nothing(Told(REMOTE))
    with gr.Blocks() as demo:
        gr.api(echo, api_name="echo")
        shown = gr.Gallery()
        gr.Button().click(lambda: [(url, "x")], None, shown, api_name="show")
    demo.queue(api_open=False)
    with served(demo) as address:
        for index in demo.fns:
            outcome(address, {"fn_index": index, "data": [url] * len(demo.fns[index].inputs)})
    assert watched.came == watched.asked == []


def test_the_guard_is_what_keeps_it_from_it(watched, monkeypatch):
    """Without it the port is reached: the test can fail."""
    real = getattr(safehttpx.get, "replaced", safehttpx.get)
    monkeypatch.setattr(safehttpx, "get", real)
    monkeypatch.setattr(
        safehttpx, "async_validate_url", getattr(safehttpx.async_validate_url, "replaced", safehttpx.async_validate_url)
    )
    with pytest.raises((ValueError, httpx.HTTPError)):
        asyncio.run(processing_utils.async_ssrf_protected_get(f"http://{NAME}/x"))
    asyncio.run(processing_utils.async_ssrf_protected_get(f"http://127.0.0.1:{watched.port}/x"))
    assert NAME in watched.asked and watched.came
