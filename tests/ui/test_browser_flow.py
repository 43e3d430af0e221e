"""Workspace "Flows" in a real browser, on a page of its own: the first view, stepping back, and a stopped training."""

from __future__ import annotations

import pytest

from analysis.flow import transport
from tests.sentences import numbers, tells
from tests.ui.serving import on_page, open_view, page_of
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def page(browser, library):
    with on_page(browser, page_of(library, "generate", "flow")[0]) as page:
        yield page


def test_four_flows_that_can_be_stepped_and_a_training_that_can_be_stopped(page):
    open_view(page, "flow")
    wait_for(page, "() => document.querySelectorAll('#flow-player .main-svg').length >= 8")
    points = """() => JSON.stringify([...document.querySelectorAll('#flow-player .ks-flow-plot')]
      .map(plot => plot.data[2].x[0]))"""
    arrived = page.evaluate(points)
    page.locator("#flow-player .ks-back").click()
    wait_for(page, "() => document.querySelector('.ks-flow-player').dataset.time === '0.800'")
    assert page.evaluate(points) != arrived
    assert tells(page.locator("#flow-words").inner_text(), "MMD²")

    open_view(page, "train")
    page.locator("#flow-train-start").click()
    page.wait_for_selector("#flow-train-preview .main-svg")
    page.locator("#flow-train-stop").click()
    page.wait_for_selector("#flow-train-status >> text=/Stopped: \\d+ of 2,000 steps/")
    open_view(page, "flow")
    page.wait_for_selector("#flow-player >> text=net trained here")


def test_what_transport_pairs_is_drawn_in_the_sweep_alone(page, monkeypatch):
    for name, value in {"NOISES": 16, "PAIRINGS": 2, "REFERENCE": 100}.items():
        monkeypatch.setattr(transport, name, value)
    open_view(page, "sweep")
    page.locator("#transport-start").click()
    page.wait_for_selector("#transport-figure .main-svg")
    assert numbers(page.locator("#transport-words").inner_text())
    open_view(page, "flow")
    assert page.locator("#transport-figure").is_hidden() and page.locator("#transport-start").is_hidden()
