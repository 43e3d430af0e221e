"""From `python app.py` to the first picture in a browser, in parts. Target: 8 s on two processors.

The browser, headless Chromium, is open already, as a visitor's is. Where there is none, the first answer of /generate
counts instead. Nothing is warm but the files in the system's cache.

Then visits of a running app, each with nothing kept in the browser: from the page's first byte to the first picture and
to where it plays. Target: 2 s.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator

from benchmarks.serving import Served, load, served
from benchmarks.timing import print_table

RUNS = 3
TARGET = 8.0  # seconds
STARTUP_PARTS = ("import of torch", "first picture, other imports, page", "server", "the page in the browser")
VISITS = 7
VISIT_TARGET = 2.0  # seconds
# milliseconds since the page was asked for; asked often, for a browser tells of neither
SEEN = """window.seen = {}; setInterval(() => {
    const hero = document.querySelector("#hero img"), film = document.querySelector("#player .ks-player");
    if (hero?.complete && hero.naturalWidth > 0) window.seen.picture ??= performance.now();
    if (film?.dataset.playing !== undefined) window.seen.moving ??= performance.now();
}, 10);"""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


Look = Callable[[str], float]
Visit = Callable[[str], tuple[float, float]]


@contextlib.contextmanager
def watcher() -> Iterator[tuple[str, Look, Visit | None]]:
    """What stands for a visitor, and two functions of the page's address.

    The first opens it and tells when a picture was there; the second gives the seconds from the page's first
    byte to the picture and to where it plays.
    """
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        found = None
    if found is None:
        yield "first answer of /generate", _first_answer, None
        return
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )

        def look(url: str) -> float:
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            page.goto(url, timeout=300_000)
            page.wait_for_function(
                "() => { const i = document.querySelector('#hero img'); return i && i.complete && i.naturalWidth > 0 }",
                timeout=300_000,
            )
            end = time.monotonic()
            page.close()
            return end

        def visit(url: str) -> tuple[float, float]:
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            page = context.new_page()
            page.add_init_script(SEEN)
            page.goto(url, timeout=300_000, wait_until="commit")
            page.wait_for_function("() => window.seen.picture && window.seen.moving", timeout=300_000, polling=200)
            answered = "performance.getEntriesByType('navigation')[0].responseStart"
            picture, moving = page.evaluate(f"['picture', 'moving'].map((k) => (window.seen[k] - {answered}) / 1000)")
            context.close()
            return picture, moving

        yield "first picture in Chromium", look, visit
        browser.close()


def _first_answer(url: str) -> float:
    call = f"{url}gradio_api/call/generate"
    request = urllib.request.Request(call, b'{"data": ["", [0], -1]}', {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{call}/{event}", timeout=300) as answer:
        if b"event: complete" not in answer.read():
            raise RuntimeError("/generate did not answer")
    return time.monotonic()


def parts(app: Served, end: float) -> list[float]:
    """Seconds of each part and in all, from what the app told and when the picture was there."""
    marks = [0.0, app.when("Making the first picture"), app.when("Koopman Studio:"), app.when("the server answers")]
    marks.append(end - app.started)
    return [b - a for a, b in zip(marks[:-1], marks[1:], strict=True)] + [marks[-1]]


def run() -> None:
    """Several starts one after another; the median counts."""
    before, rows, visits = load(), [], []
    with watcher() as (what, look, visit):
        for i in range(RUNS):
            with served() as app:
                rows.append(parts(app, look(app.url)))
                if visit and i == RUNS - 1:
                    visits = [visit(app.url) for _ in range(VISITS)]
    median = [statistics.median(column) for column in zip(*rows, strict=True)]
    lines = [[f"run {i + 1}", *(f"{s:.1f}" for s in r), ""] for i, r in enumerate(rows)]
    lines.append(["median", *(f"{s:.1f}" for s in median), "yes" if median[-1] <= TARGET else "no"])
    columns = ["", *(f"{p}, s" for p in STARTUP_PARTS), "in all, s", f"at most {TARGET:.0f} s"]
    print_table(f"Start until the {what}; {before}", columns, lines)
    if visits:
        seen = [
            [name, *(f"{f([v[k] for v in visits]):.2f}" for f in (statistics.median, min, max))]
            for k, name in enumerate(("first picture", "it plays, from noise on"))
        ]
        met = "yes" if statistics.median(v[1] for v in visits) <= VISIT_TARGET else "no"
        columns = [f"{VISITS} visits, from the page's first byte", "median, s", "least, s", "most, s"]
        print_table(f"A visit; playing within {VISIT_TARGET:.0f} s: {met}", columns, seen)
