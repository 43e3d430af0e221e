"""The static page for everybody: axe-core on every room, light and dark; keyboard; reduced motion; no mouse."""

import pytest

from tests.axe import violations
from tests.export.conftest import PATIENCE, opened
from tests.ui.conftest import browser  # noqa: F401
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(900)
ROOMS = {
    "explore": "#explore?seed=3",
    "mixture": "#explore?seed=7&mix=9,-1,0.2,painted,0.8,noise,0.5,0&mode=1,5",
    "flow": "#flow?density=8gaussians&points=64&set=idff,published,3,0.2,0.5,0.1,0.1,auto",
    "lessons": "#lessons",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("room", ROOMS)
def test_no_serious_violation(context, address, room, scheme):
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{address}{ROOMS[room]}")
    page.wait_for_selector("html[data-ready=model]", timeout=PATIENCE)
    assert violations(page) == []


def test_a_violation_is_seen(browser):  # noqa: F811
    page = browser.new_page()
    page.set_content('<html lang="en"><title>x</title><main><img src="data:,"><p style="color:#ddd">pale</p></main>')
    found = violations(page)
    assert {v.split(":")[0] for v in found} == {"image-alt", "color-contrast"}
    assert violations(page, "p") == [v for v in found if v.startswith("color-contrast")]
    page.close()


def test_every_control_is_reached_by_tab_and_shows_it(context, address):
    page = opened(context, address, "#explore?seed=3")
    wanted = page.evaluate(
        """() => [...document.querySelectorAll("a[href], button, select, input, canvas[tabindex]")]
            .filter((e) => e.offsetParent !== null && !e.disabled).length"""
    )
    seen = set()
    page.evaluate("() => document.querySelectorAll('*').forEach((e, i) => { e.dataset.number = i })")
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        told = page.evaluate(
            """() => {
                const e = document.activeElement, style = getComputedStyle(e);
                return [e.dataset.number, e.tagName, parseFloat(style.outlineWidth), style.outlineStyle];
            }"""
        )
        if told[1] == "BODY":
            break
        assert told[2] >= 2 and told[3] != "none", told
        seen.add(told[0])
    assert len(seen) >= wanted


def test_with_reduced_motion_nothing_moves_by_itself(context, address):
    page = context.new_page()
    page.emulate_media(reduced_motion="reduce")
    page.goto(address)
    page.wait_for_selector("html[data-ready=model]", timeout=PATIENCE)
    shown = []
    for _ in range(6):
        shown.append(page.input_value(".transport input"))
        page.wait_for_timeout(250)
    assert set(shown) == {"1"}
    page.close()


def test_the_first_picture_plays_once(context, address):
    page = context.new_page()
    page.goto(address)
    wait_for(page, "() => Number(document.querySelector('.transport input').value) < 0.9", timeout=PATIENCE)
    wait_for(
        page,
        "() => document.querySelector('.play').textContent === 'Play' && "
        "document.querySelector('.transport input').value === '1'",
        timeout=PATIENCE,
    )
    wait_for(page, "() => location.hash === '#explore?seed=2'", timeout=PATIENCE)
    page.close()
