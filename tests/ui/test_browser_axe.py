"""axe-core on every view: nothing serious stands in the way of people with disabilities, light and dark."""

from __future__ import annotations

import pytest

from tests.axe import violations
from tests.ui.serving import open_drawer, open_view
from tests.waiting import wait_for
from ui.workspaces import SPACES

# what is awaited is pale, and a slow machine asks for it late
QUIET = """() => { const now = performance.now();
    if (document.querySelector('.pending, .generating, .progress-text')) window.awaitedAt = now;
    return now - (window.awaitedAt ??= now) > 2000; }"""


@pytest.mark.parametrize("space", [space.key for space in SPACES])
def test_no_view_of_a_workspace_has_a_serious_violation(page, space):
    page.emulate_media(reduced_motion="reduce")  # a colour on its way from one theme to the other is neither's
    found = {}
    for view in next(s.views for s in SPACES if s.key == space):
        page.evaluate("window.awaitedAt = undefined")
        open_view(page, view.key)
        wait_for(page, QUIET)
        for theme in ("add", "remove"):
            page.evaluate(f"document.body.classList.{theme}('dark')")
            page.wait_for_timeout(300)
            found[view.key, theme == "add"] = violations(page)
    assert {key: rules for key, rules in found.items() if rules} == {}


@pytest.mark.parametrize("drawer", ["learn", "share"])
def test_no_drawer_has_a_serious_violation(page, drawer):
    open_drawer(page, drawer)
    page.wait_for_timeout(500)
    assert violations(page, f"#drawer-{drawer}") == []
    page.keyboard.press("Escape")
