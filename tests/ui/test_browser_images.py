"""View "Pictures" of "Flows" in a real browser: the first view, stepping back, and another sampler."""

from __future__ import annotations

import pytest

from analysis.flow.images import ImageFlows
from analysis.studio import Studio
from tests.sentences import tells
from tests.ui.serving import on_page, open_view, page_of
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def bench(flows_folder) -> ImageFlows:
    return ImageFlows(flows_folder)


@pytest.fixture(scope="module")
def page(browser, library, bench):
    flows = Studio(images=bench)
    with on_page(browser, page_of(library, "generate", "images", studio=flows)[0]) as page:
        yield page


def test_four_flows_that_can_be_stepped_and_changed(page, bench):
    assert bench._nets == {}  # nothing is loaded before the tab is opened
    open_view(page, "images")
    title = "document.querySelectorAll('#images-player figcaption b')[1]?.textContent"
    wait_for(page, f"() => {title} === 'B: IDFF, Heun'")
    page.wait_for_selector("#images-words .ks-verdict")

    drawn = """() => JSON.stringify([...document.querySelectorAll('#images-player canvas')].map(c => c.toDataURL()))"""
    arrived = page.evaluate(drawn)
    page.locator("#images-player .ks-back").click()
    wait_for(page, "() => document.querySelector('.ks-image-player').dataset.time === '0.800'")
    assert page.evaluate(drawn) != arrived
    assert tells(page.locator("#images-player .ks-image-at").first.inner_text(), 5, 5)

    page.locator("#images-nfe-d input[type=number]").fill("2")
    page.locator("#images-nfe-d input[type=number]").press("Tab")
    wait_for(page, "() => document.querySelectorAll('#images-player .ks-image-at')[3].innerText.includes('2 of 2')")
    page.locator("#images-data input").click()
    page.get_by_role("option", name="cifar10").click()  # it has classes, and no net of OT-CFM
    wait_for(page, "() => document.querySelector('#images-player figcaption b')?.textContent === 'A: IDFF, Euler'")
    page.locator("#images-label input").click()
    assert page.get_by_role("option", name="<b>ship</b>").count() == 1  # text, not markup
