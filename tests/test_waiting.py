"""Waiting in a browser: what is not there yet is no fault."""

import pytest

from tests.ui.conftest import browser  # noqa: F401
from tests.waiting import wait_for

LATE = """<script>setTimeout(() => {
    const input = document.createElement("input");
    input.value = "3";
    document.body.append(input);
}, 300)</script>"""


@pytest.fixture
def page(browser):  # noqa: F811
    context, faults = browser.new_context(), []
    context.on("weberror", lambda e: faults.append(e))
    page = context.new_page()
    page.set_content(LATE)
    yield page
    context.close()
    assert not faults


@pytest.mark.slow
def test_what_comes_late_is_waited_for(page):
    wait_for(page, "wanted => document.querySelector('input').value === wanted", "3")


@pytest.mark.slow
def test_what_never_comes_is_named(page):
    with pytest.raises(AssertionError, match="null"):
        wait_for(page, "() => document.querySelector('output').value === '3'", timeout=500)
