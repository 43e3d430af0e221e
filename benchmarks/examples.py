"""From a click on an example to its result, the first of a visit: a page of its own for every example. Target: 2 s.

The result is there when its save bar and all its pictures are, and the browser has painted once more. Questions are
what the page asks of the server in that time. `python -m benchmarks.examples URL` measures an app that runs already.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

from analysis.guide.examples import EXAMPLES, Example
from benchmarks.browser import chromium
from benchmarks.serving import load, served
from benchmarks.timing import print_table

EXAMPLE_CLICKS = 3
RESULT_TARGET = 2.0  # seconds
MOST_QUESTIONS = 6
EXAMPLE_MS = 120_000  # patience
ASKED_AT = "/queue/join"
# presses the button; gives the milliseconds until the result is painted
CLICK_SCRIPT = """async (button) => {
    const shown = () => document.documentElement.dataset.view !== "watch"
        && [...document.querySelectorAll(".ks-save-bar")].some((bar) => !bar.hidden && bar.offsetParent)
        && [...document.querySelectorAll(".ks-stage img")].every((img) => !img.offsetParent || img.complete);
    const begin = performance.now();
    document.getElementById(button).click();
    while (!shown()) await new Promise((next) => setTimeout(next, 10));
    await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
    return performance.now() - begin;
}"""


def _click(browser: Any, url: str, example: Example) -> tuple[float, int]:
    """Seconds to the result of an example in a page that shows its first picture and rests, and the questions."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(EXAMPLE_MS)
    page.goto(url)
    page.wait_for_function("() => document.querySelector('#hero img')?.complete && window.Plotly")
    page.wait_for_timeout(3000)
    questions: list[str] = []
    page.on("request", lambda request: questions.append(request.url) if ASKED_AT in request.url else None)
    page.click(".ks-acts [data-drawer=learn]")
    if not page.locator(f"#example-{example.key}").is_visible():
        page.click("#examples button")
    page.wait_for_timeout(1500)
    questions.clear()
    milliseconds = page.evaluate(CLICK_SCRIPT, f"example-{example.key}")
    page.wait_for_timeout(500)
    context.close()
    return milliseconds / 1000, len(questions)


def clicks(browser: Any, url: str) -> None:
    """Print what the examples took; each is clicked in its turn, and the round before the first does not count."""
    rounds = [[_click(browser, url, example) for example in EXAMPLES] for _ in range(EXAMPLE_CLICKS + 1)][1:]
    rows = []
    for i, example in enumerate(EXAMPLES):
        seconds, questions = zip(*(one[i] for one in rounds), strict=True)
        met = statistics.median(seconds) <= RESULT_TARGET and max(questions) <= MOST_QUESTIONS
        figures = (f"{f(seconds):.2f}" for f in (statistics.median, min, max))
        rows.append([example.title, *figures, str(max(questions)), "yes" if met else "no"])
    columns = ["example", "median, s", "least, s", "most, s", "questions", f"within {RESULT_TARGET:.0f} s"]
    print_table(f"{EXAMPLE_CLICKS} first clicks of each example; {load()}", columns, rows)


def run() -> None:
    """Of the app as it is installed here."""
    with chromium() as browser:
        if browser is None:
            print("examples: there is no Chromium with playwright here: nothing is measured.")
            return
        with served() as app:
            clicks(browser, app.url)


if __name__ == "__main__":
    with chromium() as visitor:
        if visitor is None:
            sys.exit("examples: there is no Chromium with playwright here.")
        clicks(visitor, sys.argv[1])
