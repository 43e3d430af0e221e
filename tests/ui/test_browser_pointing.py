"""What a visitor points at in a real browser: modes, cells of a grid, buttons of files, examples."""

from __future__ import annotations

import pytest

from analysis.guide.examples import EXAMPLES
from tests.ui.serving import open_drawer, open_view
from tests.ui.test_browser import open_spectrum
from tests.ui.test_browser_layout import asked
from tests.waiting import wait_for

# where the mode farthest to the right is on the screen, and which one it is
SPOT = """() => {
  const div = document.querySelector('#plane .ks-plot'), layout = div._fullLayout, trace = div._fullData[2];
  const i = trace.x.indexOf(Math.max(...trace.x)), now = div.getBoundingClientRect();
  return {x: now.left + layout.xaxis._offset + layout.xaxis.d2p(trace.x[i]),
          y: now.top + layout.yaxis._offset + layout.yaxis.d2p(trace.y[i]), flat: trace.customdata[i][0]};
}"""
PLANE = """() => {
  const div = document.querySelector('#plane .ks-plot'), { _offset: left, _length: wide } = div._fullLayout.xaxis;
  const { _offset: top, _length: high } = div._fullLayout.yaxis, now = div.getBoundingClientRect();
  return {x: now.left + left, y: now.top + top, wide, high};
}"""
IN_VIEW = """selector => [...document.querySelectorAll(selector)].some((part) => {
  const box = part.getBoundingClientRect();
  return part.offsetParent && box.width > 0 && box.top < innerHeight && box.bottom > 0 && box.left < innerWidth;
})"""
WINDOW = (1440, 1000)
# file endings by the id of their button
FILES = {
    "report": "html", "large": "png", "gif": "gif", "beside": "gif", "latents": "npz", "csv": "csv", "npz": "npz",
    "figure": "png", "pdf": "pdf", "batch": "csv",
}  # fmt: skip


def test_a_mode_under_the_pointer_is_shown_until_the_plane_is_left(page):
    open_spectrum(page, "modes")
    spot = page.evaluate(SPOT)
    card = f"#mode .ks-card[data-mode='{spot['flat']}']"
    for _ in range(4):  # a slow machine may miss a rest of the pointer
        page.mouse.move(spot["x"] - 40, spot["y"] - 40)
        page.mouse.move(spot["x"], spot["y"], steps=5)
        page.wait_for_timeout(2500)
        if page.locator(card).count():
            break
    assert page.locator(card).count() == 1
    wait_for(page, "() => /Without this mode/.test(document.querySelector('#mode-pictures').textContent)")
    page.mouse.move(5, 500)
    wait_for(page, "() => !document.querySelector('#mode .ks-card[data-mode]')")


def test_a_lasso_takes_its_modes_out(page):
    open_spectrum(page, "modes")
    page.evaluate("Plotly.relayout(document.querySelector('#plane .ks-plot'), { dragmode: 'lasso' })")
    at = page.evaluate(PLANE)
    left, right = (at["x"] + share * at["wide"] for share in (0.02, 0.98))
    top, bottom = (at["y"] + share * at["high"] for share in (0.02, 0.98))
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
        page.mouse.move(x, y, steps=8)
    page.mouse.up()
    wait_for(page, "() => /[0-9,]+ modes of/.test(document.querySelector('#mode').textContent)")
    wait_for(page, "() => /Without these/.test(document.querySelector('#mode-pictures').textContent)")
    assert page.evaluate(IN_VIEW, "#mode-pictures img")


def test_a_cell_of_a_grid_opens_large(page):
    open_view(page, "grid")
    for axis, values in (("x", "0, 1"), ("y", "1, 2")):
        page.locator(f"#values-{axis} textarea, #values-{axis} input").first.fill(values)
    page.locator("#grid-make").click()
    wait_for(page, "() => document.querySelectorAll('#grid-page td button').length === 4")
    page.locator("#grid-page td button").nth(2).click()
    wait_for(page, "() => document.querySelector('#grid-cell .ks-opened img')")
    small, large = (page.locator(name).first.bounding_box() for name in ("#grid-page td img", "#grid-cell img"))
    assert large["width"] > 2 * small["width"] and page.evaluate(IN_VIEW, "#grid-cell img")


def test_every_button_of_files_saves_one(page):
    open_view(page, "watch")
    open_drawer(page, "share")
    page.get_by_role("button", name="Save & export").click()
    page.locator("#export-format input[value=png]").check()
    page.locator("#export-seeds input[type=number]").fill("2")
    for name, ending in FILES.items():
        with page.expect_download() as saved:
            page.locator(f"#export-{name}").click()
        assert saved.value.suggested_filename.endswith(f".{ending}"), name
        assert len(saved.value.path().read_bytes()) > 100, name
    page.keyboard.press("Escape")


# where the result of an example is drawn; not the drawing itself, of which a browser does not say whether it is shown
RESULT = {
    "five-calls": "#flow-player .js-plotly-plot",
    "two-calls": "#images-player canvas",
    "lorenz": "#series-fan .js-plotly-plot",
}
WHOLE = """selector => {
  const parts = [...document.querySelectorAll(selector)].filter((part) => part.offsetParent);
  return parts.length > 0 && parts.every((part) => {
    const { top, bottom, left, right } = part.getBoundingClientRect();
    return top >= 0 && left >= 0 && bottom <= innerHeight + 1 && right <= innerWidth + 1;
  });
}"""


@pytest.mark.parametrize("example", [e for e in EXAMPLES if not e.model], ids=lambda e: e.key)
def test_an_example_is_opened_with_few_questions_and_all_of_it_is_seen(page, example):
    page.set_viewport_size({"width": 1440, "height": 900})
    open_view(page, "watch")
    open_drawer(page, "learn")
    if not page.locator(f"#example-{example.key}").is_visible():
        page.get_by_role("button", name="Examples").click()
    page.wait_for_timeout(1500)
    calls = asked(page)
    page.locator(f"#example-{example.key}").click()
    wait_for(page, "() => document.documentElement.dataset.view !== 'watch'")
    wait_for(page, WHOLE, RESULT[example.key])
    page.wait_for_timeout(3000)  # what else it may ask
    assert 0 < len(calls) <= 6
    assert page.evaluate(WHOLE, RESULT[example.key])
