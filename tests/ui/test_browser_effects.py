"""Workspace "Look inside" in a real browser, on a page of their own."""

from __future__ import annotations

import pytest

from tests.ui.serving import on_page, open_view, page_of
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def page(library, browser):
    with on_page(browser, page_of(library, "generate", "spectrum", "effects")[0]) as page:
        yield page


def test_chosen_modes_show_what_they_do(page):
    open_view(page, "modes")
    wait_for(page, "() => document.querySelector('#plane .ks-plot')?._fullData?.length >= 3")
    page.evaluate(
        """() => { const div = document.querySelector('#plane .ks-plot');
          const points = [0, 1, 2].map(i => ({customdata: div._fullData[0].customdata[i]}));
          div.emit('plotly_selected', {points}); }"""
    )
    page.wait_for_selector("#mode-pictures >> text=Without these 3 modes")
    page.wait_for_selector("#mode-curves .main-svg")
    wait_for(page, "() => document.querySelector('#mode').innerText.includes('%')")
    page.locator("#level label").first.click()
    page.wait_for_selector("#mode-pictures >> text=Choose one or more")


def test_curves_follow_and_a_measurement_runs(page):
    open_view(page, "over-time")
    page.wait_for_selector("#effect-levels .main-svg")
    page.locator("#effect-kind label").nth(1).click()
    page.wait_for_selector("#effect-words >> text=holds most energy")
    page.locator("#seed input").fill("4")
    page.wait_for_selector("#effect-words >> text=seeds 4 to 7")
    open_view(page, "linear")
    page.locator("#linearity-start").click()
    page.wait_for_selector("#linearity-dmd .main-svg")
    assert "seeds 4 to 7" in page.locator("#linearity-words").inner_text()
    wait_for(page, "() => document.querySelector('#linearity-stop').disabled")
    open_view(page, "surgery")
    page.wait_for_selector("#surgery-pictures >> text=seed 4")
    before = page.locator("#surgery-pictures img").nth(1).get_attribute("src")
    page.locator("#surgery-alpha-shift input[type=range]").focus()
    page.keyboard.press("Home")
    wait_for(page, "old => document.querySelectorAll('#surgery-pictures img')[1].src !== old", before)
    page.locator("#surgery-reset").click()
    wait_for(page, "old => document.querySelectorAll('#surgery-pictures img')[1].src === old", before)
