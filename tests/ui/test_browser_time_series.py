"""Workspace "Forecast" in a real browser, on a page of its own: the first look, another world, and its horizon."""

from __future__ import annotations

import pytest

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
