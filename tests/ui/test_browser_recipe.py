"""A recipe in a real browser: copied, saved inside a PNG, opened again on a page that showed something else."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from analysis.recipes import recipe as recipes
from analysis.recipes.replay import find_model
from analysis.workbench.images import TrajectoryRequest
from tests.ui.serving import WAIT, open_drawer, open_view, page_of, served
from tests.ui.test_browser import played
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def page(browser, library):
    """A page of the source bar, the first tab, Compare and the recipe panel."""
    with served(page_of(library, "generate", "compare", panels=("recipes",))[0]) as url:
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(WAIT)
        page.complaints = []
        page.on("pageerror", lambda e: page.complaints.append(str(e)))
        page.goto(url)
        played(page)
        yield page
        page.close()


def test_a_recipe_is_copied_without_a_clipboard_of_the_page(page, library):
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})")
    page.evaluate("document.addEventListener('copy', () => { window.copied = String(document.activeElement.value); })")
    page.locator("#keep-picture .ks-copy-recipe").click()
    wait_for(page, "() => window.copied")  # the word beside the button is gone after a moment
    recipe = recipes.from_json(page.evaluate("window.copied"))
    assert recipe.request.seeds == (12,) and find_model(library, recipe) == "tiny"


def test_a_saved_png_opens_where_it_was_made(page, library, tmp_path):
    with page.expect_download() as download:
        page.locator("#keep-picture .ks-save-picture").click()
    download.value.save_as(tmp_path / "kept.png")
    assert download.value.suggested_filename == "tiny-seed12.png"
    # somewhere else meanwhile: another model, seed and number of steps
    recipe = recipes.describe(TrajectoryRequest(5, -1, 6), library.get("tiny"))
    open_view(page, "compare")
    open_drawer(page, "share")
    page.get_by_role("button", name="Open a recipe").click()
    page.locator("#recipe-text textarea").fill(recipes.to_json(recipe))
    page.locator("#recipe-open").click()
    wait_for(page, "() => document.querySelector('#player .ks-now')?.textContent.includes('level 6 of 6')")
    assert page.get_by_role("tab", name="Watch").first.get_attribute("aria-selected") == "true"
    assert page.locator("#seed input").input_value() == "5"
    open_view(page, "compare")
    with page.expect_file_chooser() as chooser:
        page.locator("#recipe-file").click()
    chooser.value.set_files(tmp_path / "kept.png")
    wait_for(page, "() => document.querySelector('#hero').textContent.includes('seed 12')")
    page.wait_for_selector("[role=tab][aria-selected=true]:has-text('Watch')")  # the last that a recipe sets
    source = page.locator("#hero img").get_attribute("src")
    shown = base64.b64decode(source.split(",")[1])
    saved = Image.open(tmp_path / "kept.png")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown))), np.asarray(saved))
    assert page.complaints == []


def test_a_grid_is_stopped_and_keeps_what_it_has(page):
    open_view(page, "compare")
    wait_for(page, "() => document.querySelectorAll('#compare-pictures img').length === 3")
    open_view(page, "grid")
    page.locator("#grid-make").click()
    wait_for(page, "() => document.querySelectorAll('#grid-page img').length >= 2")
    page.locator("#grid-stop").click()
    wait_for(page, "() => /Stopped|Nothing/.test(document.querySelector('#grid-status').textContent)")
    assert page.locator("#grid-page img").count() >= 2
    with page.expect_download() as download:
        page.locator("#grid-save").click()
    assert download.value.suggested_filename == "grid-bands-large-seed.png"
    assert page.complaints == []


def test_what_was_looked_at_can_be_looked_at_again(page):
    open_view(page, "watch")
    open_drawer(page, "share")
    page.locator("#visit button").first.click()
    kept = "() => [...document.querySelectorAll('#visit-results button')].map(b => b.title)"
    seed = page.locator("#seed input")
    for number in ("41", "42"):
        seed.fill(number)
        seed.press("Enter")
        wait_for(page, f"n => ({kept})().some(t => t.endsWith('-seed' + n))", number)
    page.get_by_role("button", name="Open tiny-seed41 again", exact=True).click()
    wait_for(page, "() => document.querySelector('#seed input').value === '41'")
    wait_for(page, "() => document.querySelector('#visit-status').textContent.includes('Opened')")
    # it is kept once, however often it is shown, and is the newest again
    wait_for(page, f"() => ({kept})().slice(0, 2).includes('tiny-seed41')")
    assert page.evaluate(kept).count("tiny-seed41") == 1
    assert page.complaints == []
