"""The page from the keyboard: how many presses to what matters, and that one sees where one is."""

from __future__ import annotations

from tests.ui.serving import WAIT, open_view
from tests.ui.test_browser import played
from ui.workspaces import VIEWS

TO_PLAY = 8  # presses
# a view of every kind of control
SEEN = ("watch", "modes", "edit", "restore", "flow")
# of all that can be reached in this view, what shows no ring when it is; the last press was a key, so each should
UNSEEN = """() => {
  const parts = document.querySelectorAll('button, input, select, textarea, summary, a[href], [tabindex="0"]');
  const ring = (part) => {
    const style = part && getComputedStyle(part);
    return style && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 1;
  };
  const seen = (part) => part.offsetParent !== null && !part.disabled && part.tabIndex >= 0;
  const kinds = new Set(), found = [];
  for (const part of [...parts].filter(seen)) {
    const kind = [part.tagName, part.type, part.className, part.parentElement.className].join();
    if (kinds.has(kind)) continue; // one of a kind is enough
    kinds.add(kind);
    part.focus({ preventScroll: true });
    if (document.activeElement !== part) continue; // Gradio's own, which give it on
    if (!ring(part) && !ring(part.closest('.wrap-inner')) && !ring(part.closest('.ks-big'))) found.push(part.outerHTML);
  }
  return found.map((text) => text.slice(0, 160));
}"""
WITHIN = """() => {
  const stage = [...document.querySelectorAll('.ks-stage')].find((part) => part.offsetParent);
  return [stage.contains(document.activeElement), document.activeElement.className];
}"""


def test_a_way_past_header_and_controls_leads_into_the_stage(page):
    for view in VIEWS:
        open_view(page, view)
        page.wait_for_timeout(300)
        page.evaluate("document.querySelector('.ks-skip').focus()")
        page.keyboard.press("Enter")
        within, name = page.evaluate(WITHIN)
        assert within, view
        if page.locator(".ks-stage .ks-play >> visible=true").count():
            assert "ks-play" in name, view


def reached(page) -> list[str]:
    """What each press of Tab leads to, until it is Play or the presses are used up: id or class."""
    at = []
    while len(at) < TO_PLAY and at[-1:] != ["play"]:
        page.keyboard.press("Tab")
        at.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    return at


def test_play_is_few_presses_away(browser, url):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(WAIT)
    page.goto(url)
    played(page)
    at = reached(page)
    assert at[0] == "ks-skip" and at[-1] == "play"
    page.close()


def test_a_group_is_one_stop_and_arrows_go_within_it(page):
    open_view(page, "watch")
    for group, tab in ((".ks-acts button", False), (".ks-space", True), (".ks-views:not([hidden]) .ks-view", True)):
        first, second = (page.locator(f"{group} >> nth={k}") for k in (0, 1))
        first.focus()
        page.keyboard.press("ArrowRight")
        assert second.evaluate("part => part === document.activeElement"), group
        assert page.locator(group).evaluate_all("parts => parts.filter((part) => part.tabIndex === 0).length") == 1
        page.keyboard.press("ArrowLeft")
        assert first.evaluate("part => part === document.activeElement"), group
        assert first.get_attribute("aria-selected") == ("true" if tab else None)


def test_what_is_reached_is_seen(page):
    for view in SEEN:
        open_view(page, view)
        page.wait_for_timeout(300)
        page.keyboard.press("Tab")
        assert page.evaluate(UNSEEN) == [], view
