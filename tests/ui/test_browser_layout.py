"""The one layout in a real browser, measured by boxes: what a control changes is on the screen with it."""

from __future__ import annotations

import io
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from analysis.recipes import recipe as recipes
from analysis.workbench.spectrum import MaskRequest
from tests.ui.serving import WAIT, open_drawer, open_view
from tests.ui.test_browser import played, visit
from tests.waiting import wait_for
from ui.server.startup import DEFAULT_SEED
from ui.workspaces import VIEWS, views_css

# what the controls of a view change
EFFECT = {
    "watch": "#player .ks-main", "walk": "#walk-player .ks-main", "race": "#race",
    "modes": "#plane", "bands": "#triptych", "surgery": "#surgery-pictures",
    "over-time": "#effect-bands", "linear": ".ks-stage", "carry": ".ks-stage", "edit": "#edit-pictures",
    "signatures": ".ks-stage", "dynamics": ".ks-stage",
    "restore": "#restore-result",
    "directions": ".ks-stage", "inversion": ".ks-stage",
    "atlas": "#atlas-clusters", "angles": ".ks-stage",
    "compare": "#compare-pictures", "grid": "#grid-page", "flow": "#flow-player",
    "train": "#flow-paper", "sweep": ".ks-stage", "images": "#images-player", "images-sweep": ".ks-stage",
    "series": ".ks-stage", "free": ".ks-stage",
}  # fmt: skip
# of every control that is seen in this view: its name, and the share of the effect's box on the screen once it is
# scrolled to; and whether the control itself is
BOXES = """([effect, room]) => {
  const shown = (part) => part && part.offsetParent !== null;
  const share = (part) => {
    const box = part.getBoundingClientRect();
    const wide = Math.max(0, Math.min(box.right, innerWidth) - Math.max(box.left, 0));
    const high = Math.max(0, Math.min(box.bottom, innerHeight) - Math.max(box.top, 0));
    return (wide * high) / (box.width * Math.min(box.height, room));
  };
  const target = [...document.querySelectorAll(effect)].find(shown);
  if (!target) return [['no effect', 0, 0]];
  const controls = document.querySelectorAll('.ks-controls input, .ks-controls button, .ks-controls select');
  return [...controls].filter(shown).map((part) => {
    part.scrollIntoView({ block: 'nearest' });
    return [part.closest('[id]')?.id || part.textContent, share(target), share(part)];
  });
}"""
STAGE = "() => ((stage) => stage.scrollHeight - stage.clientHeight)(document.querySelector('.ks-stage'))"
OVERFLOW = """() => [document.documentElement.scrollHeight - innerHeight,
  document.documentElement.scrollWidth - innerWidth,
  ...[...document.querySelectorAll('.ks-frame > *')].filter((part) => part.offsetParent)
    .map((part) => part.scrollWidth - part.clientWidth)]"""


def fresh(browser, width: int, height: int):
    """A page that has not been anywhere."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(WAIT)
    return page


def test_every_view_has_its_effect_named():
    assert set(EFFECT) == set(VIEWS)
    assert [view for view in VIEWS if f'html[data-view="{view}"]' not in views_css()] == []


def test_the_first_screen_fits(page):
    open_view(page, "watch")
    header = page.locator("#header").bounding_box()
    assert (header["y"], header["height"]) == (0, 56)
    assert page.evaluate(OVERFLOW)[:2] == [0, 0]
    assert page.evaluate(STAGE) <= 0
    for selector in ("#player .ks-main", "#player .ks-time", "#pipeline .ks-level >> nth=0", ".ks-door >> nth=2"):
        box = page.locator(selector).bounding_box()
        assert box["y"] >= 56 and box["y"] + box["height"] <= 900, selector


def test_the_first_picture_comes_out_of_its_noise_by_itself(browser, url):
    page = fresh(browser, 1440, 900)
    page.add_init_script("""window.levels = new Set(); setInterval(() => {
      const film = document.querySelector('#player .ks-player');
      if (film?.dataset.playing !== undefined) window.levels.add(Number(film.dataset.level)); }, 20);""")
    page.goto(url)
    played(page)
    levels = page.evaluate("[...window.levels]")
    assert min(levels) == 0 and len(levels) > 6
    page.close()


def test_the_first_picture_waits_for_nothing_that_it_does_not_need(browser, url):
    page, held, calls = fresh(browser, 1440, 900), [], []
    page.route("**/plotly.min.js*", lambda route: held.append(route))
    page.on("request", lambda r: calls.append(r.url))
    page.goto(url)
    played(page)
    assert page.locator(".ks-frame").count() == 1  # no other workspace is mounted
    assert [call for call in calls if re.search(r"/gradio_api/(queue|run|call)/", call)] == []
    open_view(page, "bands")
    wait_for(page, "() => document.querySelector('#triptych img')")
    assert page.locator("#plane .main-svg").count() == 0
    held[0].continue_()
    wait_for(page, "() => document.querySelector('#plane .main-svg')")  # drawn as soon as it can be
    page.close()


def seen_with_their_controls(page, room: float, width: int) -> int:
    """How many controls all views have; each is on the screen with what it changes, and nothing is wider than it.

    Args:
        page: whole.
        room: pixels of height, of which a result that is higher shall fill half.
        width: of the window; on a narrow one the controls are a sheet, which is opened.
    """
    controls = 0
    for view, effect in EFFECT.items():
        open_view(page, view)
        if width < 760:
            page.locator("[data-sheet=controls]").click()
        wait_for(page, f"() => [...document.querySelectorAll('{effect}')].some((part) => part.offsetParent)")
        page.wait_for_timeout(500)
        found = page.evaluate(BOXES, [effect, room])
        controls += len(found)
        assert [name for name, of_effect, of_part in found if of_effect < 0.5 or of_part < 0.5] == [], view
        assert max(page.evaluate(OVERFLOW)) <= 0, view
    return controls


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [(1440, 900), (1920, 1080)])
def test_what_a_control_changes_is_on_the_screen_with_it(page, size, dark):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
    assert seen_with_their_controls(page, 0.75 * size[1], size[0]) > 100
    page.evaluate("document.body.classList.remove('dark')")
    page.set_viewport_size({"width": 1440, "height": 900})


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_phone_what_a_control_changes_is_above_its_sheet(browser, url, dark):
    page = fresh(browser, 400, 800)
    page.goto(url)
    played(page)
    page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
    left = 800 - 56 - 44 - 96 - 0.46 * 800  # of the height, by header, views, bars and sheet
    assert seen_with_their_controls(page, left, 400) > 100
    page.close()


def test_on_a_phone_controls_are_a_sheet_below_the_picture(browser, url):
    page = fresh(browser, 400, 800)
    page.goto(url)
    played(page)
    assert not page.locator("#steps").is_visible()
    whole = page.locator("#player .ks-main").bounding_box()
    assert whole["width"] > 250 and whole["y"] + whole["height"] < 704
    page.locator("[data-sheet=controls]").click()
    page.locator("#steps").wait_for(state="visible")
    picture, sheet = (
        page.locator(name).bounding_box() for name in ("#player .ks-main", ".ks-controls >> visible=true")
    )
    assert picture["width"] > 120 and picture["y"] + picture["height"] <= sheet["y"] + 1
    assert page.evaluate(OVERFLOW)[1] == 0
    page.close()


def asked(page) -> list[str]:
    """The questions that the page asks from now on."""
    calls: list[str] = []
    page.on("request", lambda r: calls.append(r.url) if "queue/join" in r.url or "/run/" in r.url else None)
    return calls


def test_nothing_is_asked_for_what_is_not_looked_at(page):
    open_view(page, "bands")
    page.wait_for_timeout(1500)
    calls = asked(page)
    page.locator("#seed input").fill("31")
    wait_for(page, "() => document.querySelector('#triptych').textContent.includes('seed 31')")
    page.wait_for_timeout(1500)
    assert len(calls) <= 2
    assert f"seed {DEFAULT_SEED}" in page.locator("#hero").text_content()
    open_view(page, "watch")
    wait_for(page, "() => document.querySelector('#hero').textContent.includes('seed 31')")


def test_a_recipe_is_opened_with_few_questions(page, library):
    open_view(page, "watch")
    open_drawer(page, "share")
    page.get_by_role("button", name="Open a recipe").click()
    text = recipes.to_json(recipes.describe(MaskRequest(8, gains=(1.0, 0.0, 1.0)), library.get("tiny")))
    page.locator("#recipe-text textarea").fill(text)
    page.wait_for_timeout(1000)
    calls = asked(page)
    page.locator("#recipe-open").click()
    wait_for(page, "() => document.querySelector('#bands')?.textContent.includes('× 0.00')")
    wait_for(page, "() => document.querySelector('#triptych').textContent.includes('seed 8')")
    page.wait_for_timeout(1500)
    assert 0 < len(calls) <= 6
    page.keyboard.press("Escape")


def test_a_link_opens_what_was_shown(page, browser, url):
    open_view(page, "bands")
    page.locator("#seed input").fill("19")
    page.locator("#gain-large input[type=range]").focus()
    page.keyboard.press("Home")
    wait_for(page, "() => /gain-large=0/.test(location.hash) && /s=19/.test(location.hash)")
    wait_for(page, "() => document.querySelector('#triptych').textContent.includes('seed 19')")
    shown = "() => document.querySelectorAll('#triptych img')[1].src"
    wait_for(page, "() => /× 0.00/.test(document.querySelector('#bands').textContent)")
    other = fresh(browser, 1440, 900)
    other.goto(page.evaluate("location.href"))
    wait_for(other, "() => document.querySelector('#triptych')?.textContent.includes('seed 19')")
    wait_for(other, "() => /× 0.00/.test(document.querySelector('#bands').textContent)")
    # the table and the picture of one answer are put in their places one after the other
    wait_for(other, f"right => ({shown})() === right", page.evaluate(shown))
    assert other.locator("#gain-large input[type=number]").input_value() == "0"
    other.close()


def test_a_link_opens_lists_and_ticks_of_flows(page, browser, url):
    open_view(page, "flow")
    page.locator("#flow-density input").click()
    page.get_by_role("option", name="moons", exact=True).click()
    page.locator("#flow-shown-d input").uncheck()
    page.locator("#flow-sampler-a input").click()
    page.get_by_role("option", name="Heun", exact=True).click()
    wait_for(page, "() => /flow-density=moons/.test(location.hash) && /flow-shown-d=0/.test(location.hash)")
    wait_for(page, "() => /flow-sampler-a=/.test(location.hash)")
    other = fresh(browser, 1440, 900)
    other.goto(page.evaluate("location.href") + "&flow-points=512")
    wait_for(other, "() => document.querySelectorAll('#flow-player .ks-flow:not([hidden])').length === 3")
    wait_for(other, "() => /moons/.test(document.querySelector('#flow-words').textContent)")
    for name in ("flow-density", "flow-sampler-a"):
        assert other.locator(f"#{name} input").input_value() == page.locator(f"#{name} input").input_value()
    assert not other.locator("#flow-shown-d input").is_checked()
    other.wait_for_timeout(5000)  # the address is written again
    assert "flow-points=512" in other.evaluate("location.hash")  # its slider is in a part that is closed
    other.close()


PAPER = "#restore-canvas canvas"
SHEET = f"() => document.querySelector('{PAPER}')?.toDataURL()"


def test_a_link_keeps_what_is_painted_and_this_browser_ones_own_picture(browser, url):
    mine, another = (browser.new_context(viewport={"width": 1440, "height": 900}) for _ in range(2))
    page = mine.new_page()
    page.set_default_timeout(WAIT)
    page.goto(url)
    played(page)
    open_view(page, "restore")
    page.locator("#restore-canvas .ks-clear").click()
    wait_for(page, "() => /restore-canvas=(&|$)/.test(location.hash)")
    page.locator(PAPER).focus()
    for key in ("Space", "ArrowLeft", "ArrowLeft", "Space"):
        page.keyboard.press(key)
    wait_for(page, "() => /restore-canvas=16/.test(location.hash)")
    page.get_by_role("radio", name="another picture").check()
    page.locator("#restore-upload").wait_for()
    with page.expect_file_chooser() as chooser:
        page.locator("#restore-upload").click()
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(picture, "PNG")
    chooser.value.set_files({"name": "noise.png", "mimeType": "image/png", "buffer": picture.getvalue()})
    wait_for(page, "() => /restore-photo=own/.test(location.hash)")
    address = page.evaluate("location.href")
    (painted,) = parse_qs(urlsplit(address).fragment)["restore-canvas"]
    for place, there in ((mine, True), (another, False)):
        other = place.new_page()
        other.set_default_timeout(WAIT)
        other.goto(address)
        wait_for(
            other, "painted => document.querySelector('#restore-canvas canvas')?.dataset.packed === painted", painted
        )
        if there:
            wait_for(other, f"sheet => ({SHEET})() === sheet", page.evaluate(SHEET))
        else:
            other.locator(".toast-body").first.wait_for()
        assert other.get_by_role("radio", name="another picture").is_checked() is there
    mine.close()
    another.close()


def test_an_address_of_nonsense_changes_nothing(browser, url):
    page, complaints, _ = visit(browser, url)
    page.evaluate("location.hash = '#v=nowhere&s=-3&m=%3Cb%3E&gain-large=99&steps=x'")
    page.wait_for_timeout(2500)
    assert page.evaluate("document.documentElement.dataset.view") == "watch"
    assert page.locator("#seed input").input_value() == str(DEFAULT_SEED) and complaints == []
    page.close()
