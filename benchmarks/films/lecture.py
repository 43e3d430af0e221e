"""Runs the lecture of docs/lecture.md in a browser, and films it: `python -m benchmarks.films.lecture --gif FILE`.

Every scene waits for what it shows, so that the film does not depend on how busy the machine is; the seconds that each
one took are printed. Nothing is bound to a model: it opens on the default, or on `--model`.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.browser import chromium
from benchmarks.films.static_page import HEIGHT, WIDTH, film, photograph
from benchmarks.serving import served

FILM_MS = 300_000  # milliseconds
LECTURE_FRAME_MS, LECTURE_PAUSE_MS = 140, 1800
MAX_BYTES = 3_000_000
SLIDE_BY_SHARE = """([selector, share]) => {
    const input = document.querySelector(selector), low = Number(input.min), high = Number(input.max);
    input.value = String(Math.round(low + share * (high - low)));
    input.dispatchEvent(new Event("input", { bubbles: true }));
}"""
Frames = Iterator[tuple[Image.Image, int]]


def _open(page: Any, view: str, shown: str) -> None:
    page.evaluate("view => window.studio.open(view)", view)
    page.wait_for_selector(shown, timeout=FILM_MS)
    page.wait_for_timeout(300)


def _slide(page: Any, selector: str, shares: list[float]) -> Frames:
    for k, share in enumerate(shares):
        page.evaluate(SLIDE_BY_SHARE, [selector, share])
        page.wait_for_timeout(80)
        yield photograph(page), LECTURE_PAUSE_MS if k == len(shares) - 1 else LECTURE_FRAME_MS


def one_call(page: Any) -> Frames:
    """The first screen: from noise to the picture."""
    page.wait_for_selector("#player .ks-player[data-level]", timeout=FILM_MS)
    yield from _slide(page, "#player .ks-time", [k / 12 for k in range(13)])


def race(page: Any) -> Frames:
    """At equal calls."""
    _open(page, "race", "#race .ks-race img")
    yield photograph(page), LECTURE_PAUSE_MS


def walk(page: Any) -> Frames:
    """From seed to seed."""
    _open(page, "walk", "#walk-player .ks-player[data-frame]")
    yield from _slide(page, "#walk-player .ks-time", [k / 12 for k in range(13)])


def bands(page: Any) -> Frames:
    """A band alone, and all of them again."""
    _open(page, "bands", "#triptych img")
    for preset in ("small", "large", "all"):
        before = page.get_attribute("#triptych figure:nth-child(2) img", "src")
        page.click(f"#only-{preset}")
        page.wait_for_function(
            "src => document.querySelector('#triptych figure:nth-child(2) img').src !== src", arg=before,
            timeout=FILM_MS,
        )  # fmt: skip
        yield photograph(page), LECTURE_PAUSE_MS


def mix(page: Any) -> Frames:
    """Two pictures, beside the control."""
    _open(page, "edit", "#edit-pictures img")
    yield photograph(page), LECTURE_PAUSE_MS


def paint(page: Any) -> Frames:
    """A hole is filled, step by step."""
    _open(page, "restore", "#restore-canvas canvas")
    page.click("#restore-go")
    page.wait_for_selector("#restore-pictures img", timeout=FILM_MS)
    yield photograph(page), LECTURE_FRAME_MS
    page.wait_for_function("() => !document.querySelector('#restore-go').disabled", timeout=FILM_MS)
    yield photograph(page), LECTURE_PAUSE_MS


def train(page: Any) -> Frames:
    """A drawing is learned by a flow while it is looked at."""
    _open(page, "train", "#flow-paper canvas")
    page.click("#flow-paper canvas", position={"x": 40, "y": 40})  # what is not drawn here would not be learned
    drawn = "() => document.querySelector('#flow-density input').value === 'my drawing'"
    page.wait_for_function(drawn, timeout=FILM_MS)
    yield photograph(page), LECTURE_PAUSE_MS
    page.click("#flow-train-start")
    page.wait_for_selector("#flow-train-preview .plot-container", timeout=FILM_MS)
    for _ in range(6):
        page.wait_for_timeout(700)
        yield photograph(page), 3 * LECTURE_FRAME_MS
    page.evaluate("document.querySelector('#flow-train-stop').click()")  # a quick machine may have come to its end
    page.wait_for_function("() => !document.querySelector('#flow-train-start').disabled", timeout=FILM_MS)
    yield photograph(page), LECTURE_PAUSE_MS


SCENES: tuple[Callable[[Any], Frames], ...] = (one_call, race, walk, bands, mix, paint, train)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser("benchmarks.films.lecture", description=__doc__.splitlines()[0])
    parser.add_argument("--gif", type=Path, help="the film; without it the lecture is only run")
    parser.add_argument("--url", default="", help="of a running app; one is started without it")
    parser.add_argument("--model", default="", help="name of a model that ships; the studio's default without it")
    args = parser.parse_args(argv)
    shots: list[tuple[Image.Image, int]] = []
    with contextlib.ExitStack() as stack:
        address = args.url or stack.enter_context(served()).url
        browser = stack.enter_context(chromium())
        if browser is None:
            print("films.lecture: there is no Chromium with playwright here.", file=sys.stderr)
            return 2
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce")
        page.set_default_timeout(FILM_MS)
        page.goto(address + (f"#v=watch&m={args.model}" if args.model else ""))
        page.wait_for_function("() => window.studio?.open", timeout=FILM_MS)
        for scene in SCENES:
            begun = time.monotonic()
            shots += list(scene(page))
            print(f"{scene.__name__:10} {time.monotonic() - begun:6.1f} s", flush=True)
    if args.gif:
        film(shots, args.gif)
        size = args.gif.stat().st_size
        print(f"{args.gif}: {size / 1e6:.2f} MB, {len(shots)} frames")
        return 0 if size <= MAX_BYTES else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
