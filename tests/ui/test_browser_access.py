"""The page for those who do not see it, do not point, or have little room: names, alt texts, keys, widths."""

from __future__ import annotations

import pytest

from tests.ui.serving import close_drawer, open_drawer, open_view
from tests.ui.test_browser import settle, visit
from tests.waiting import wait_for
from ui.workspaces import VIEWS

NAMELESS = """() => {
  const named = (part) => [part.getAttribute('aria-label'), part.title, part.placeholder,
    part.getAttribute('aria-labelledby') && document.getElementById(part.getAttribute('aria-labelledby'))?.innerText,
    ...[...(part.labels || [])].map((label) => label.innerText),
    ...[...part.querySelectorAll('img')].map((image) => image.alt), part.innerText].some((text) => (text || '').trim());
  const seen = (part) => part.offsetParent !== null && part.type !== 'hidden';
  const found = [...document.querySelectorAll('input, select, textarea, button, [role=button], [tabindex="0"]')];
  return found.filter((part) => seen(part) && !named(part)).map((part) => part.outerHTML.slice(0, 160));
}"""
# an empty alt text is right where a name stands beside the picture: on a button
UNTOLD = """() => [...document.querySelectorAll('img')].filter((image) => image.offsetParent !== null)
  .filter((image) => !(image.alt.trim() || (image.hasAttribute('alt') && image.closest('button[aria-label]'))))
  .map((image) => image.outerHTML.slice(0, 160))"""
# of words on a plain ground: WCAG 2, large ones need less
FAINT = """() => {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const colour = (text) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = text;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgba) => rgba.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const ground = (part) => {
    for (; part; part = part.parentElement) {
      const found = colour(getComputedStyle(part).backgroundColor);
      if (found[3] > 200) return found;
    }
    return [255, 255, 255, 255];
  };
  const found = [], words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const part = words.currentNode.parentElement, text = words.currentNode.textContent.trim();
    if (!text || part.offsetParent === null || part.closest('[aria-hidden=true], :disabled, svg')) continue;
    const style = getComputedStyle(part), [a, b] = [light(colour(style.color)), light(ground(part))];
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < (large ? 3 : 4.5)) found.push(text.slice(0, 60));
  }
  return found;
}"""


@pytest.fixture(scope="module")
def lasting(browser, url):
    page, complaints, _ = visit(browser, url)
    page.emulate_media(reduced_motion="reduce")  # colours are there at once
    page.get_by_role("button", name="About this model").first.click()
    for drawer, names in (("share", ("Open a recipe",)), ("learn", ("Take the tour", "Glossary"))):
        open_drawer(page, drawer)
        for name in names:
            page.get_by_role("button", name=name).first.click()
    page.locator("#tour-next").click()
    page.wait_for_selector("#tour-words >> text=1 of 6")
    yield page
    page.close()
    assert complaints == []


def test_everything_has_a_name_and_is_legible_on_every_tab_light_and_dark(lasting):
    assert len(VIEWS) >= 15
    for name in VIEWS:
        open_view(lasting, name)
        lasting.wait_for_timeout(1500)
        assert lasting.evaluate(NAMELESS) == [], name
        assert lasting.evaluate(UNTOLD) == [], name
        for theme in ("add", "remove"):
            lasting.evaluate(f"document.body.classList.{theme}('dark')")
            lasting.wait_for_timeout(400)
            assert lasting.evaluate(FAINT) == [], f"{name}, dark page: {theme == 'add'}"


def test_no_tab_sticks_out_of_a_narrow_or_a_wide_page(lasting):
    close_drawer(lasting, "learn")  # on a phone it would lie over the views
    for name in VIEWS:
        open_view(lasting, name)
        for width in (1920, 400):
            lasting.set_viewport_size({"width": width, "height": 900})
            lasting.wait_for_timeout(500)
            assert lasting.evaluate("document.documentElement.scrollWidth") <= width, (name, width)


def test_the_tour_stays_in_sight_where_there_is_room(lasting):
    """The drawer leaves controls and stage free, and stays while they scroll."""
    lasting.set_viewport_size({"width": 1440, "height": 900})
    open_view(lasting, "bands")
    open_drawer(lasting, "learn")
    settle(lasting, "#plane .ks-plot")
    before = lasting.locator("#tour").bounding_box()
    lasting.locator("#order").scroll_into_view_if_needed()
    lasting.wait_for_timeout(300)
    assert lasting.locator("#tour").bounding_box() == before
    gain = lasting.locator("#gain-small").bounding_box()
    assert gain["x"] + gain["width"] < before["x"]
    lasting.keyboard.press("Escape")
    assert not lasting.locator("#tour").is_visible()


def test_modes_are_chosen_by_the_arrow_keys(lasting):
    open_view(lasting, "modes")
    wait_for(lasting, "() => document.querySelector('#plane .ks-plot')?._fullData?.length >= 3")
    plane = lasting.locator("#plane .ks-plot")
    plane.focus()
    assert "arrow" in plane.get_attribute("aria-label")
    lasting.keyboard.press("ArrowRight")
    lasting.wait_for_selector("#mode .ks-card[data-mode]")
    first = lasting.locator("#mode .ks-card").get_attribute("data-mode")
    lasting.keyboard.press("ArrowRight")
    wait_for(lasting, "old => document.querySelector('#mode .ks-card').dataset.mode !== old", first)
    lasting.keyboard.press("ArrowLeft")
    wait_for(lasting, "old => document.querySelector('#mode .ks-card').dataset.mode === old", first)


def test_a_region_is_painted_without_a_pointer(lasting):
    open_view(lasting, "edit")
    lasting.locator("#edit-region input[value=painted], #edit-region label:has-text('painted')").first.click()
    canvas = lasting.locator("#edit-canvas canvas")
    canvas.wait_for(state="visible")
    settle(lasting, "#edit-canvas canvas")
    canvas.focus()
    lasting.keyboard.press(" ")
    wait_for(lasting, "() => Number(document.querySelector('#edit-canvas canvas').dataset.painted) > 0")
    before = int(canvas.get_attribute("data-painted"))
    for _ in range(3):
        lasting.keyboard.press("ArrowDown")
    lasting.keyboard.press(" ")
    wait_for(lasting, "old => Number(document.querySelector('#edit-canvas canvas').dataset.painted) > old", before)
