"""Behind nginx under a path of its own, in a frame of another page, on a machine with a proxy in its environment."""

from __future__ import annotations

import http.server
import io
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urljoin

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client
from PIL import Image

import app
from tests.ui.serving import WAIT, open_view, page_of, served
from tests.waiting import wait_for
from ui.api.endpoints import add_endpoints

ROOT = "/ks"
CONF = """
daemon off; {user} pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_max_body_size 80m;
  absolute_redirect off;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
  proxy_buffering off;
  server {{ listen 127.0.0.1:{stripped}; location {root}/ {{ proxy_pass {app}/; }} }}
  server {{ listen 127.0.0.1:{whole}; location {root} {{ proxy_pass {app}; }} }}
}}
"""


def free_ports(n: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [p.getsockname()[1] for p in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def nginx():
    """Start nginx with a configuration; it is stopped at the end."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("no nginx on this machine: apt-get install nginx-light")
    running = []

    def start(folder, text: str, port: int) -> None:
        (folder / "nginx.conf").write_text(text)
        running.append(subprocess.Popen([found, "-p", str(folder), "-c", str(folder / "nginx.conf")]))
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((folder / "error.log").read_text())

    yield start
    for process in running:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def behind(nginx, library, tmp_path_factory):
    """Addresses of the page behind nginx: one that takes the path away, and one that passes it on."""
    folder = tmp_path_factory.mktemp("nginx")
    stripped, whole = free_ports(2)
    demo, page = page_of(library, "generate", "spectrum", "restore")
    with demo:
        add_endpoints(page.work.studio)
    with served(demo, root=ROOT) as address:
        user = "user root;" if os.geteuid() == 0 else ""
        text = CONF.format(folder=folder, user=user, root=ROOT, app=address.rstrip("/"), stripped=stripped, whole=whole)
        nginx(folder, text, whole)
        yield {"stripped": f"http://127.0.0.1:{stripped}{ROOT}", "whole": f"http://127.0.0.1:{whole}{ROOT}"}


def get(url: str) -> tuple[str, bytes]:
    """Where the redirects end, and what is there."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.url, answer.read()


@pytest.mark.parametrize("kind", ["stripped", "whole"])
def test_everything_is_found_below_the_path(behind, kind):
    there, page = get(behind[kind])
    assert there == behind[kind] + "/"  # its port kept
    assert f'"root":"{behind[kind]}"' in page.decode().replace('": "', '":"')
    parts = set(re.findall(r'(?:src|href)="(\./[^"]+|[^":/][^":]*)"', page.decode()))
    parts |= set(re.findall(r"studio/plotly\.min\.js\?v=[\d.]+", page.decode()))
    assert any("plotly" in part for part in parts) and len(parts) >= 4
    for part in sorted(parts)[:40]:
        assert get(urljoin(there, part))[1], part
    assert get(f"{behind[kind]}/?x=1")[0].endswith("/?x=1")


@pytest.mark.parametrize("kind", ["stripped", "whole"])
def test_questions_uploads_and_downloads(behind, kind, tmp_path):
    client = Client(behind[kind] + "/", verbose=False, download_files=str(tmp_path))
    assert client.predict(api_name="/models")[0]["name"] == "tiny"
    assert len(client.predict("tiny", [1, 2], -1, api_name="/generate")["pictures"]) == 2
    boundary, data = "xyz", b"what was uploaded"
    body = (f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n').encode()
    body += data + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(
        f"{behind[kind]}/gradio_api/upload", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        (path,) = json.load(answer)
    assert get(f"{behind[kind]}/gradio_api/file={path}")[1] == data


@pytest.mark.parametrize("kind", ["stripped", "whole"])
def test_the_page_works_there(behind, kind, browser):
    page, complaints, asked = browser.new_page(viewport={"width": 1440, "height": 1000}), [], []
    page.set_default_timeout(2 * WAIT)
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.on("response", lambda r: asked.append((r.status, r.url)))
    page.goto(behind[kind])
    page.wait_for_selector("#hero img", state="attached")
    open_view(page, "bands")
    wait_for(page, "() => document.querySelector('#plane .ks-plot')?._fullData?.length >= 3")  # a plot
    open_view(page, "watch")
    before = page.locator("#hero img").get_attribute("src")
    page.locator("#seed input").fill("11")
    page.locator("#seed input").press("Enter")
    wait_for(page, "old => document.querySelector('#hero img').src !== old", before)
    open_view(page, "restore")
    page.locator("#restore-origin input[value=photograph], #restore-origin input").last.check()
    buffer = io.BytesIO()
    Image.fromarray(np.full((40, 40, 3), (250, 10, 10), np.uint8)).save(buffer, "PNG")
    with page.expect_response(lambda r: "/gradio_api/upload" in r.url) as uploaded:
        page.locator("#restore-upload input[type=file], input[type=file]").first.set_input_files(
            {"name": "red.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
        )
    assert uploaded.value.status == 200
    assert complaints == []
    assert [a for a in asked if a[0] >= 400] == []
    assert [a for a in asked if not a[1].startswith((behind[kind], "data:", "blob:"))] == []
    page.close()


# ---------------------------------------------------------------------------------------------------------------------
# In a frame


@pytest.fixture(scope="module")
def course():
    """A page on another port, with whatever is asked for in a frame."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            text = f'<iframe src="{self.path[2:]}" width="1200" height="900"></iframe>'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("public", [False, True])
def test_a_page_elsewhere_shows_it_when_it_may(library, browser, course, public):
    demo, _ = page_of(library, "generate")
    page = browser.new_page()
    page.set_default_timeout(2 * WAIT)
    refused = []
    page.on("console", lambda m: refused.append(m.text) if "frame-ancestors" in m.text else None)
    with served(demo, public=public) as address:
        page.goto(f"{course}/?{address}")
        page.wait_for_timeout(1000)
        assert refused and not page.frame_locator("iframe").locator("#hero").count()
    refused.clear()
    with served(demo, public=public, frames=[course]) as address:
        page.goto(f"{course}/?{address}")
        inside = page.frame_locator("iframe")
        inside.locator("#hero img").wait_for(state="attached")
        before = inside.locator("#hero img").get_attribute("src")
        inside.locator("#seed input").fill("11")
        inside.locator("#seed input").press("Enter")
        inside.locator("#hero", has_text="seed 11").wait_for(state="attached")
        assert inside.locator("#hero img").get_attribute("src") != before and refused == []
    page.close()


# ---------------------------------------------------------------------------------------------------------------------
# With a proxy in the environment


def test_a_proxy_in_the_environment_is_not_asked_for_the_own_page(monkeypatch):
    (closed,) = free_ports(1)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "intranet.example")
    for name in ("GRADIO_ANALYTICS_CACHE_FREQUENCY", "GRADIO_ANALYTICS_MAX_EVENTS"):
        monkeypatch.setenv(name, "1")  # put back afterwards
    with gr.Blocks() as demo:
        gr.Number()
    with pytest.raises(Exception, match="refused|Refused|failed"), served(demo):
        pass
    demo.close(verbose=False)
    app.prepare_environment()
    assert os.environ["no_proxy"].startswith("intranet.example,") and "127.0.0.1" in os.environ["NO_PROXY"]
    with served(demo) as address:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert opener.open(address, timeout=60).status == 200


@pytest.mark.parametrize("path", ["ks", "/ks//x", "/k s", "http://x/ks", "/ks?x", "/../x", "/ks/.", "/ks\n"])
def test_a_path_that_is_none(path, capsys):
    with pytest.raises(SystemExit):
        app.parse(["--root-path", path])
    assert "--root-path" in capsys.readouterr().err


def test_paths_and_frames_that_may_be():
    assert [app.parse(["--root-path", p]).root_path for p in ("", "/", "/ks", "/ks/", "/a/b_c")] == \
        ["", "", "/ks", "/ks", "/a/b_c"]  # fmt: skip
    hosts = ["https://course.example.org", "http://localhost:8888", "https://*.example.org", "http://[::1]:8888"]
    assert app.parse([w for h in hosts for w in ("--frame-from", h)]).frame_from == hosts


@pytest.mark.parametrize("host", ["*", "course.example.org", "https://x/y", "https://x;script-src *", "'self'", "data:",
                                  "https://x y", "javascript:x", "https://ä.example"])  # fmt: skip
def test_a_host_that_is_none(host, capsys):
    with pytest.raises(SystemExit):
        app.parse(["--frame-from", host])
    assert "--frame-from" in capsys.readouterr().err
