"""The tour in a real browser, from the first lesson to the last: every answer is given by moving something."""

from __future__ import annotations

import pytest

from tests.sentences import tells
from tests.ui.serving import open_drawer
from tests.ui.test_browser import visit
from tests.waiting import wait_for
from ui.panels.tour import AGREEMENT

REPLY = "() => document.querySelector('#tour-reply').innerText"
MEASURED_REPLIES = (True, False)


@pytest.fixture(scope="module")
def toured(browser, url):
    page, complaints, _ = visit(browser, url)
    yield page
    page.close()
    assert complaints == []


def go_on(page, number: int, view: str) -> None:
    page.locator("#tour-next").click()
    page.wait_for_selector(f"#tour-words >> text={number} of 6")
    wait_for(page, "view => document.documentElement.dataset.view === view", view)


def check(page, *answers: bool | None) -> str:
    """Press "Check" and wait for a reply that agrees or not, as `Reply.right` has it; gives its words."""
    page.locator("#tour-check").click()
    wait_for(page, f"signs => signs.some((sign) => ({REPLY})().includes(sign))", [AGREEMENT[a][0] for a in answers])
    return page.locator("#tour-reply").inner_text()


def test_it_is_closed_until_it_is_asked_for(toured):
    assert toured.locator("#tour-next").count() == 0 or not toured.locator("#tour-next").is_visible()
    open_drawer(toured, "learn")
    button = toured.get_by_role("button", name="Take the tour")
    button.focus()
    toured.keyboard.press("Enter")
    toured.wait_for_selector("#tour-next >> text=Start")
    assert not toured.locator("#tour-check").is_visible()


def test_a_trajectory_is_stopped_by_the_slider(toured):
    go_on(toured, 1, "watch")
    wait_for(toured, "() => document.querySelector('#player .ks-player').dataset.level === '17'")
    check(toured, None)
    toured.get_by_role("slider", name="Noise level").focus()
    toured.keyboard.press("Home")
    assert tells(check(toured, *MEASURED_REPLIES), 1, 18)  # the level


def test_linearity_is_guessed_and_measured(toured):
    go_on(toured, 2, "linear")
    toured.locator("#tour-guess input[type=range]").focus()
    toured.keyboard.press("Home")
    assert tells(check(toured, *MEASURED_REPLIES), 0)


def test_a_mode_is_chosen_by_the_keyboard(toured):
    go_on(toured, 3, "modes")
    wait_for(toured, "() => document.querySelector('#plane .ks-plot')?._fullData?.length >= 3")
    check(toured, None)
    toured.locator("#plane .ks-plot").focus()
    toured.keyboard.press("ArrowLeft")  # the first one left of 0
    toured.wait_for_selector("#mode .ks-card[data-mode]", state="attached")  # the drawer lies over the readings
    assert AGREEMENT[False][1] in check(toured, False)  # others grow more
    first = toured.locator("#mode .ks-card").get_attribute("data-mode")
    toured.locator("#plane .ks-plot").focus()
    for _ in range(80):  # to the one that grows most
        toured.keyboard.press("PageUp")
    wait_for(toured, "old => document.querySelector('#mode .ks-card').dataset.mode !== old", first)
    toured.wait_for_timeout(1000)
    assert AGREEMENT[True][1] in check(toured, True)
    assert toured.evaluate("document.documentElement.dataset.view") == "modes"  # filling the bands opened theirs once


def test_a_band_is_taken_away(toured):
    go_on(toured, 4, "bands")
    check(toured, None)
    toured.locator("#gain-middle input[type=range]").focus()
    toured.keyboard.press("Home")
    wait_for(toured, "() => document.querySelector('#bands').innerText.includes('× 0.00')")
    assert "middle α" in check(toured, *MEASURED_REPLIES)


def test_a_single_band_is_ticked(toured):
    go_on(toured, 5, "edit")
    wait_for(toured, "() => document.querySelector('#edit-ratio input[type=number]').value === '90'")
    wait_for(toured, "() => document.querySelectorAll('#edit-bands input:checked').length === 3")
    check(toured, None)
    for band in (0, 1):
        toured.locator("#edit-bands input").nth(band).uncheck()
    assert "largest α" in check(toured, *MEASURED_REPLIES)


def test_flows_are_compared_and_the_tour_ends(toured):
    go_on(toured, 6, "flow")
    wait_for(toured, "() => document.querySelectorAll('#flow-player .ks-flow:not([hidden]) .main-svg').length >= 6")
    assert "OT-CFM, Euler" in toured.locator("#flow-player").inner_text()
    assert not toured.locator("#flow-player .ks-flow").nth(3).is_visible()
    toured.locator("#tour-choice input").nth(1).check()
    assert tells(check(toured, *MEASURED_REPLIES), 5)
    toured.locator("#tour-next").click()
    wait_for(toured, "() => !document.querySelector('#tour-next')?.offsetParent")


def test_it_goes_on_where_it_was_closed(toured):
    toured.get_by_role("button", name="Take the tour").click()
    go_on(toured, 1, "watch")
    toured.locator("#tour-close").click()
    wait_for(toured, "() => !document.querySelector('#tour-next')?.offsetParent")
    toured.get_by_role("button", name="Take the tour").click()
    toured.wait_for_selector("#tour-words >> text=1 of 6")
    toured.locator("#tour-back").click()
    toured.wait_for_selector("#tour-words >> text=Six short lessons")
