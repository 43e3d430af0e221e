"""Films the static page for README and docs: `python -m benchmarks.films.static_page --png FILE --gif FILE`.

Every frame waits for its picture, so that the film does not depend on how busy the machine is.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from analysis.export.web import write_site
from analysis.workbench.library import ModelLibrary
from benchmarks.browser import chromium
from benchmarks.page import PATIENCE, served, settled

WIDTH, HEIGHT, FILM_WIDTH = 1280, 800, 960  # of the window, and the film's width in pixels
COLOURS = 255
FRAME_MS, PAUSE_MS = 120, 1600
CANVAS_DRAWN = """() => new Promise((done) => {
    const canvas = document.querySelector(".stage canvas");
    new MutationObserver((_, o) => (o.disconnect(), setTimeout(done, 60))).observe(
        canvas, { attributes: true, attributeFilter: ["data-scene"] });
    setTimeout(done, 20000);
})"""
SLIDE = """([selector, value]) => {
    const input = document.querySelector(selector);
    input.value = String(value);
    input.dispatchEvent(new Event("input"));
}"""
# (selector of a slider, values): from noise to the picture; a band out and in; the way to another seed
FILM_SCENES = (
    (".transport input", [k / 14 for k in range(15)]),
    (".right .column .slider:nth-of-type(1) input", [1 - k / 6 for k in range(7)] + [1.0]),
    ("[data-of=way] input", [k / 10 for k in range(11)]),
)


def frames(page: Any) -> Iterator[tuple[Image.Image, int]]:
    """Pictures of the page, each with how long it is shown in milliseconds."""
    for selector, values in FILM_SCENES:
        for k, value in enumerate(values):
            answer = page.evaluate_handle(f"() => {{ window.drawn = ({CANVAS_DRAWN})(); }}")
            page.evaluate(SLIDE, [selector, value])
            page.evaluate("() => window.drawn")
            answer.dispose()
            if k in (0, len(values) - 1):
                settled(page)
            yield photograph(page), PAUSE_MS if k == len(values) - 1 else FRAME_MS


def photograph(page: Any) -> Image.Image:
    """The window as it is."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def film(shots: list[tuple[Image.Image, int]], path: Path) -> None:
    """Write a GIF with one palette for all frames, so that what does not move costs nothing."""
    size = (FILM_WIDTH, round(FILM_WIDTH * HEIGHT / WIDTH))
    small = [shot.resize(size, Image.Resampling.LANCZOS) for shot, _ in shots]
    sheet = Image.new("RGB", (size[0] // 4, len(small) * (size[1] // 4)))
    for i, shot in enumerate(small):
        sheet.paste(shot.resize((sheet.width, size[1] // 4), Image.Resampling.NEAREST), (0, i * (size[1] // 4)))
    # refined by k-means: the colours of pictures are few pixels among the page's own
    palette = sheet.quantize(COLOURS, kmeans=3)
    flat = [shot.quantize(palette=palette, dither=Image.Dither.NONE) for shot in small]
    durations = [duration for _, duration in shots]
    flat[0].save(path, save_all=True, append_images=flat[1:], duration=durations, loop=0, optimize=True)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser("benchmarks.films.static_page", description=__doc__.splitlines()[0])
    parser.add_argument("--png", type=Path, help="of the first screen")
    parser.add_argument("--gif", type=Path, help="of time, a band and a walk")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        if browser is None:
            print("films.static_page: there is no Chromium with playwright here.", file=sys.stderr)
            return 2
        write_site(ModelLibrary().default, folder)
        with served(folder) as address:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, reduced_motion="reduce")
            page.goto(address)
            page.wait_for_selector("html[data-ready=model]", timeout=PATIENCE)
            page.add_style_tag(content=".note { visibility: hidden }")  # milliseconds of whatever machine this is
            settled(page)
            if args.png:
                photograph(page).save(args.png, optimize=True)
            if args.gif:
                film(list(frames(page)), args.gif)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
