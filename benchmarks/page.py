"""The static page in headless Chromium: from its address to the first picture, and what each control takes to show.

Targets: the picture within 3 s of load, sliders 150 ms at the 95th percentile, every control 100 ms in the median,
the folder below 40 MB. All in WASM on one thread; other work on the machine counts into it, so its load stands beside.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from analysis.export.web import write_site
from analysis.workbench.library import ModelLibrary
from benchmarks.browser import chromium
from benchmarks.timing import print_table

PAGE_MOVES = 30
LOAD_SECONDS, PAGE_SLIDER_MS, CONTROL_MS, FOLDER_MB = 3.0, 150.0, 100.0, 40.0
PATIENCE = 120_000  # ms
MIXED = "?seed=7&mix=9,-1,0,whole,0.8,{},0.5,0"
# by control: the hash that shows it, and what one move does, in the page; `k` is the number of the move
MEASURED_CONTROLS = {
    "band slider": ("", "slide('.right .column .slider input', 0.3 + k / 100)"),
    "time slider": ("", "slide('.transport input', 0.2 + k / 50)"),
    "mode, by key": ("", "press('.plane', 'ArrowRight')"),
    "neighbouring seed": ("?seed=0", "$$('.gallery button')[1 + k % 7].click()"),
    "new seed, another encoding": ("?seed=100", "set('.left .field input', 1000 + k)"),
    "mixing ratio": (MIXED.format("latent"), "slide('[data-of=ratio] input', 0.1 + k / 50)"),
    "reading time of a picture": (MIXED.format("noise"), "slide('[data-of=time] input', 0.1 + k / 50)"),
    "way between seeds": ("?seed=7&walk=9,0", "slide('[data-of=way] input', 0.05 + k / 50)"),
}
MEASURE = """async ([move, moves]) => {
    const $$ = (s) => [...document.querySelectorAll(s)].filter((e) => e.offsetParent !== null);
    const slide = (s, v) => { const e = $$(s)[0]; e.value = String(v); e.dispatchEvent(new Event("input")); };
    const set = (s, v) => { const e = $$(s)[0]; e.value = String(v); e.dispatchEvent(new Event("change")); };
    const press = (s, key) => $$(s)[0].dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    const act = new Function("k", "$$", "slide", "set", "press", move);
    const canvas = document.querySelector(".stage canvas");
    const times = [];
    for (let k = 0; k < moves; k++) {
        const seen = new Promise((done) => new MutationObserver((_, o) => (o.disconnect(), done())).observe(
            canvas, { attributes: true, attributeFilter: ["data-scene"] }));
        const begin = performance.now();
        act(k, $$, slide, set, press);
        await seen;
        times.push(performance.now() - begin);
        await new Promise((next) => setTimeout(next, 5));
    }
    return times;
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address) -> None:
        pass  # a browser that goes away while it is answered


@contextlib.contextmanager
def served(folder: str | Path) -> Iterator[str]:
    """The address of a folder behind Python's own file server."""
    server = _Server(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def settled(page: Any) -> None:
    """Wait until no small picture has come for a second."""
    page.evaluate(
        """() => new Promise((done) => {
            let timer = setTimeout(done, 1500);
            new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, 1000); }).observe(
                document.body, { attributes: true, attributeFilter: ["data-scene"], subtree: true });
        })"""
    )


def loading(browser: Any, address: str) -> dict[str, float]:
    """Seconds from the address to the first paint, and to a picture that the model drew."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{address}?threads=1#explore?seed=5")
    page.wait_for_function(
        "() => (document.querySelector('.stage canvas')?.dataset.scene ?? '').includes('\"seed\":5')", timeout=PATIENCE
    )
    found = page.evaluate(
        "() => [performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN, performance.now()]"
    )
    page.close()
    return {"first paint": found[0] / 1e3, "picture": found[1] / 1e3}


def moved(browser: Any, address: str, moves: int = PAGE_MOVES) -> dict[str, np.ndarray]:
    """Milliseconds from every move of a control to the picture, by control."""
    out = {}
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    for name, (hash_, move) in MEASURED_CONTROLS.items():
        page.goto("about:blank")
        page.goto(f"{address}?threads=1#explore{hash_ or '?seed=3'}")
        page.wait_for_selector("html[data-ready=model]", timeout=PATIENCE)
        settled(page)
        out[name] = np.array(page.evaluate(MEASURE, [move, moves]))
    page.close()
    return out


def run() -> None:
    """The default model's page; without a browser or the runtime it says so."""
    name = ModelLibrary().default
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        if browser is None:
            print("page: there is no Chromium with playwright here: nothing is measured.")
            return
        site = write_site(name, folder)
        with served(folder) as address:
            times, controls = loading(browser, address), moved(browser, address)
    size, late = site.bytes / 1e6, times["picture"]
    rows = [
        ["first paint", "1", f"{times['first paint']:.2f} s", "", "", ""],
        ["picture after load", "1", f"{late:.2f} s", "", f"{LOAD_SECONDS:.0f} s", _met(late <= LOAD_SECONDS)],
        ["folder", "1", f"{size:.1f} MB", "", f"{FOLDER_MB:.0f} MB", _met(size < FOLDER_MB)],
    ]
    for control, spent in controls.items():
        p50, p95 = np.percentile(spent, [50, 95])
        target, good = f"{CONTROL_MS:.0f} ms", p50 <= CONTROL_MS
        if "slider" in control:
            target, good = f"p95 {PAGE_SLIDER_MS:.0f} ms", p95 <= PAGE_SLIDER_MS
        rows.append([control, str(len(spent)), f"{p50:.0f} ms", f"{p95:.0f} ms", target, _met(good)])
    load = ", ".join(f"{v:.1f}" for v in os.getloadavg())
    print_table(f"The page of {name} in Chromium, load {load} on {os.cpu_count()} processors",
                ["what", "times", "median", "p95", "target", "met"], rows)  # fmt: skip


def _met(good: bool) -> str:
    return "yes" if good else "no"
