"""The tabs "Edit" and "Restore" in a real browser, on a page of their own."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image

from tests.ui.serving import WAIT, open_view, page_of, served
from tests.waiting import wait_for

RED = """() => { const canvas = document.querySelector("#restore-canvas canvas");
  const [r, g] = canvas.getContext("2d").getImageData(1, 1, 1, 1).data; return r > 240 && g < 20; }"""
SHOWN = "k => document.querySelectorAll(`${k[0]} img`)[k[1]]?.src"


@pytest.fixture(scope="module")
def address(library):
    with served(page_of(library, "generate", "edit", "restore")[0]) as url:
        yield url


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1440, "height": 1600})
    page.set_default_timeout(WAIT)
    complaints = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.goto(address)
    page.wait_for_selector("#hero img")
    yield page
    page.close()
    assert complaints == []


def picture(page, where: str, index: int) -> str:
    return page.evaluate(SHOWN, [where, index])


def changes(page, where: str, index: int, old: str) -> str:
    wait_for(
        page,
        f"([k, old]) => {{ const now = ({SHOWN})(k); return now && now !== old; }}",
        argument=[[where, index], old],
    )
    return picture(page, where, index)


def becomes(page, where: str, index: int, wanted: str) -> None:
    wait_for(page, f"([k, wanted]) => ({SHOWN})(k) === wanted", argument=[[where, index], wanted])


def paint(page, where: str) -> None:
    """A diagonal stroke through the middle."""
    canvas = page.locator(f"{where} canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
    page.mouse.up()


def test_a_painted_mask_changes_the_edit_and_undo_takes_it_back(page):
    open_view(page, "edit")
    page.wait_for_selector("#edit-pictures img")
    first = picture(page, "#edit-pictures", 1)
    page.locator("#edit-region").get_by_label("painted").check()
    page.wait_for_selector("text=Paint on the picture where the reference may come in")
    paint(page, "#edit-canvas")
    second = changes(page, "#edit-pictures", 1, first)
    painted = page.locator("#edit-canvas canvas").get_attribute("data-painted")
    assert 20 < int(painted) < 150 and page.locator("#edit-hint").inner_text() == ""
    page.locator("#edit-ratio input[type=range]").focus()
    page.keyboard.press("Home")
    third = changes(page, "#edit-pictures", 1, second)
    wait_for(page, "() => document.querySelectorAll('#edit-history button').length === 3")
    page.locator("#edit-undo").click()
    becomes(page, "#edit-pictures", 1, second)
    assert page.locator("#edit-ratio input[type=number]").input_value() == "100"
    page.locator("#edit-undo").click()
    becomes(page, "#edit-pictures", 1, first)
    page.locator("#edit-history button").last.click()
    becomes(page, "#edit-pictures", 1, third)
    wait_for(page, "n => document.querySelector('#edit-canvas canvas').dataset.painted === n", argument=painted)
    page.locator("#dice").click()  # the tab follows the source bar
    changes(page, "#edit-pictures", 0, picture(page, "#edit-pictures", 0))
    wait_for(page, "() => document.querySelectorAll('#edit-history button').length === 4")


def test_cancelling_the_restoration_keeps_the_picture(page, library, monkeypatch):
    original = library.get("tiny").inpaint

    def slowly(request, progress):
        return original(request, lambda *step: (time.sleep(0.1), progress(*step)))

    monkeypatch.setattr(library.get("tiny"), "inpaint", slowly)
    open_view(page, "restore")
    page.locator("#restore-steps input[type=number]").fill("40")
    page.locator("#restore-steps input[type=number]").press("Enter")
    page.locator("#restore-origin").get_by_label("another picture").check()
    square = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), (250, 10, 10), np.uint8)).save(square, "PNG")
    with page.expect_file_chooser() as chooser:
        page.locator("#restore-upload").click()
    chooser.value.set_files({"name": "red.png", "mimeType": "image/png", "buffer": square.getvalue()})
    wait_for(page, RED)
    page.locator("#restore-hole-1").click()
    wait_for(page, "() => document.querySelector('#restore-canvas canvas').dataset.painted === '128'")
    paint(page, "#restore-canvas")
    wait_for(page, "() => +document.querySelector('#restore-canvas canvas').dataset.painted > 128")
    page.locator("#restore-go").click()
    page.wait_for_selector("text=/step [2-9] of 40/")
    page.locator("#restore-stop").click()
    page.wait_for_selector("text=/Stopped after [0-9]+ of 40 steps/")
    assert page.locator("#restore-pictures img").count() == 3
    kept = picture(page, "#restore-pictures", 1)
    assert kept not in (picture(page, "#restore-pictures", 0), picture(page, "#restore-pictures", 2))
    assert "dB" in page.locator("#restore-numbers").inner_text()
    page.wait_for_timeout(600)  # nothing goes on behind
    assert picture(page, "#restore-pictures", 1) == kept
    assert page.locator("#restore-go").is_enabled() and page.locator("#restore-stop").is_disabled()
    for width in (1920, 400):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
