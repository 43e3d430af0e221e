"""Workspace "Forecast" in a real browser, on a page of its own: the first look, another world, and its horizon."""

from __future__ import annotations

import contextlib

import pytest

from analysis.figures.series import MAP_NAMES
from analysis.studio import Studio
from tests.analysis.series.forecasts import bench_on
from tests.ui.serving import on_page, open_view, page_of
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def page(browser, library, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        flows = Studio(series=bench_on(tmp_path_factory.mktemp("series"), patch))
        with on_page(browser, page_of(library, "generate", "series", studio=flows)[0]) as page:
            yield page


@contextlib.contextmanager
def questions(page, count: int):
    """Within, the page asks its server so many questions."""
    asked = []
    listen = lambda request: asked.extend([d for d in [request.post_data] if d and "fn_index" in d])  # noqa: E731
    page.on("request", listen)
    try:
        yield
        page.wait_for_timeout(1500)
    finally:
        page.remove_listener("request", listen)
    assert len(asked) == count, asked


LOWEST = """names => Math.max(...names.map((name) => document.querySelector(`#series-${name} .main-svg`)
  .getBoundingClientRect().bottom))"""


def test_two_worlds_and_a_shorter_horizon(page):
    page.set_viewport_size({"width": 1440, "height": 900})
    open_view(page, "series")
    wait_for(page, "() => document.querySelector('#series-plane .main-svg')")
    wait_for(page, "() => document.querySelector('#series-error .main-svg')")
    wait_for(page, f"names => ({LOWEST})(names) <= 900", ["fan", "plane", "error"])  # all of it without scrolling
    page.locator("#series-model input").click()
    page.get_by_role("option", name="Small world (small)").click()
    page.wait_for_selector("#series-words >> text=of the held-out part", state="attached")
    horizon = page.locator("#series-horizon input[type=number]")
    wait_for(page, "() => document.querySelector('#series-horizon input[type=number]').value === '3'")
    assert page.locator("#series-plane").is_hidden()
    wait_for(page, f"names => ({LOWEST})(names) <= 900", ["fan", "error"])
    horizon.fill("2")
    horizon.blur()
    page.wait_for_selector("#series-numbers >> text=20 members of 2 frames", state="attached")


def test_the_maps_of_a_field_follow_the_lead_and_stay_on_the_page(page):
    page.set_viewport_size({"width": 1440, "height": 900})
    open_view(page, "series")
    page.locator("#series-model input").click()
    page.get_by_role("option", name="Small field").click()
    maps = [f"map-{what}" for what in MAP_NAMES]
    wait_for(page, "names => names.every((n) => document.querySelector(`#series-${n} .main-svg`))", maps)
    wait_for(page, f"names => ({LOWEST})(names) <= 900", ["fan", *maps, "error"])
    drawn = "name => JSON.stringify(document.querySelector(`#series-${name} .js-plotly-plot`).data[0].z)"
    lead, before = page.locator("#series-lead input[type=number]"), page.evaluate(drawn, maps[0])
    lead.fill("1")
    lead.blur()
    wait_for(page, f"([name, before]) => ({drawn})(name) !== before", [maps[0], before])


def test_a_move_asks_once_by_keyboard_too_and_passing_by_asks_nothing(page):
    page.set_viewport_size({"width": 1440, "height": 900})
    open_view(page, "series")
    page.locator("#series-model input").click()
    page.get_by_role("option", name="Small world (small)").click()
    page.wait_for_selector("#series-numbers >> text=20 members of 3 frames", state="attached")
    page.wait_for_timeout(1500)
    with questions(page, 2):  # the forecast, and free runs that are forgotten; the list lies over a slider
        page.locator("#series-model input").click()
        page.get_by_role("option", name="Small field").click()
        page.wait_for_selector("#series-map-mean .main-svg")
    with questions(page, 1):
        page.locator("#series-members input[type=range]").press("ArrowLeft")
        page.wait_for_selector("#series-numbers >> text=19 members", state="attached")
    with questions(page, 0):
        page.locator("#series-model input").focus()
        for _ in range(6):
            page.keyboard.press("Tab")
        page.locator("#series-members input[type=number]").click()
        page.locator("#series-seed input").click()
    with questions(page, 1):
        page.locator("#series-members input[type=number]").fill("7")
        page.locator("#series-members input[type=number]").press("Tab")
        page.wait_for_selector("#series-numbers >> text=7 members", state="attached")


def test_a_world_that_is_chosen_while_another_is_on_its_way_is_shown(page):
    open_view(page, "series")
    for name in ("Small world (small)", "Small field"):  # the second before the first has its answer
        page.locator("#series-model input").click()
        page.get_by_role("option", name=name).click()
    wait_for(page, "() => document.querySelector('#series-horizon').innerText.includes('1 month')")
    page.wait_for_selector("#series-map-mean .main-svg")
    assert page.locator("#series-words .ks-verdict").count() == 1
