"""From `python app.py` to the first picture in a browser, in parts. Target: 8 s on two processors.

The browser, headless Chromium, is open already, as a visitor's is. Where there is none, the first answer of /generate
counts instead. Nothing is warm but the files in the system's cache.

Then visits of a running app, each with nothing kept in the browser: from the page's first byte to the first picture and
to where it plays. Target: 2 s. `python -m benchmarks.startup URL [URL ...]` visits apps that run already, side by side.
`python -m benchmarks.startup --beside FOLDER [ARGUMENT OF app.py ...]` starts this app and another checkout's in turns.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.browser import chromium
from benchmarks.serving import APP, Served, load, served
from benchmarks.timing import print_table

RUNS = 3
TARGET = 8.0  # seconds
STARTUP_PARTS = ("import of torch", "first picture, other imports, page", "server", "the page in the browser")
VISITS = 7
BESIDE_RUNS = 5
VISIT_TARGET = 2.0  # seconds
# milliseconds since the page was asked for; asked often, for a browser tells of neither
SEEN_SCRIPT = """window.seen = {}; setInterval(() => {
    const hero = document.querySelector("#hero img"), film = document.querySelector("#player .ks-player");
    if (hero?.complete && hero.naturalWidth > 0) window.seen.picture ??= performance.now();
    if (film?.dataset.playing !== undefined) window.seen.moving ??= performance.now();
}, 10);"""

Look = Callable[[str], float]
Visit = Callable[[str], tuple[float, float]]


@contextlib.contextmanager
def watcher() -> Iterator[tuple[str, Look, Visit | None]]:
    """What stands for a visitor, and two functions of the page's address.

    The first opens it and tells when a picture was there; the second gives the seconds from the page's first
    byte to the picture and to where it plays.
    """
    with chromium() as browser:
        if browser is None:
            yield "first answer of /generate", _first_answer, None
            return

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
            page.add_init_script(SEEN_SCRIPT)
            page.goto(url, timeout=300_000, wait_until="commit")
            page.wait_for_function("() => window.seen.picture && window.seen.moving", timeout=300_000, polling=200)
            answered = "performance.getEntriesByType('navigation')[0].responseStart"
            picture, moving = page.evaluate(f"['picture', 'moving'].map((k) => (window.seen[k] - {answered}) / 1000)")
            context.close()
            return picture, moving

        yield "first picture in Chromium", look, visit


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


def visited(visit: Visit, urls: Sequence[str]) -> None:
    """Print the visits of these pages, which take turns; the first of each does not count."""
    rounds = [[visit(url) for url in urls] for _ in range(VISITS + 1)][1:]
    rows = []
    for i, url in enumerate(urls):
        for k, name in enumerate(("first picture", "it plays, from noise on")):
            seconds = [one[i][k] for one in rounds]
            met = ("yes" if statistics.median(seconds) <= VISIT_TARGET else "no") if k else ""
            rows.append([url, name, *(f"{f(seconds):.2f}" for f in (statistics.median, min, max)), met])
    columns = ["page", "from its first byte to", "median, s", "least, s", "most, s", f"at most {VISIT_TARGET:.0f} s"]
    print_table(f"{VISITS} visits", columns, rows)


def run() -> None:
    """Several starts one after another; the median counts."""
    before, rows = load(), []
    with watcher() as (what, look, visit):
        for i in range(RUNS):
            with served() as app:
                rows.append(parts(app, look(app.url)))
                if visit and i == RUNS - 1:
                    visited(visit, [app.url])
    median = [statistics.median(column) for column in zip(*rows, strict=True)]
    lines = [[f"run {i + 1}", *(f"{s:.1f}" for s in r), ""] for i, r in enumerate(rows)]
    lines.append(["median", *(f"{s:.1f}" for s in median), "yes" if median[-1] <= TARGET else "no"])
    columns = ["", *(f"{p}, s" for p in STARTUP_PARTS), "in all, s", f"at most {TARGET:.0f} s"]
    print_table(f"Start until the {what}; {before}", columns, lines)


def beside(folder: Path, arguments: Sequence[str]) -> None:
    """Print starts of this app and of another checkout's, which take turns, and their ratio."""
    before, rows = load(), []
    with watcher() as (what, look, _):
        for _ in range(BESIDE_RUNS + 1):
            row = []
            for app_file in (APP, folder / APP.name):
                with served(*arguments, app_file=app_file) as app:
                    row.append(look(app.url) - app.started)
            rows.append(row)
    rows = rows[1:]  # the first of each reads its files
    lines = [[f"pair {i + 1}", *(f"{s:.1f}" for s in r), f"{r[0] / r[1]:.2f}"] for i, r in enumerate(rows)]
    ratio = statistics.median(a / b for a, b in rows)
    lines.append(
        ["median", *(f"{statistics.median(column):.1f}" for column in zip(*rows, strict=True)), f"{ratio:.2f}"]
    )
    print_table(f"Start until the {what}; {before}", ["", "this, s", f"{folder.name}, s", "ratio"], lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--beside"]:
        beside(Path(sys.argv[2]).resolve(), sys.argv[3:])
        sys.exit()
    with watcher() as (_, _, look_in):
        if look_in is None:
            sys.exit("startup: there is no Chromium with playwright here.")
        visited(look_in, sys.argv[1:])
