"""What went wrong on the page once, in a real browser: each test is one fault that must not come back."""

from __future__ import annotations

from tests.ui.serving import open_drawer, open_view
from tests.ui.test_browser import open_spectrum, visit
from tests.waiting import wait_for

CLOUD = """() => [...document.querySelectorAll('.js-plotly-plot')].map((plot) => {
  const context = plot._context, titles = [...plot.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title || '');
  return [context.plotlyServerURL, context.showSendToCloud, titles.filter((t) => /share|cloud|plotly/i.test(t))];
})"""
LEAVING = """() => [...document.querySelectorAll('.gradio-container a[href], form[action]')]
  .map((part) => part.href || part.action).filter((to) => /^https?:/.test(to) && new URL(to).host !== location.host)"""
# pixels of the bar over which something else lies
THROUGH = """() => {
  const box = document.querySelector('#tour').getBoundingClientRect(), over = [];
  for (let x = box.left + 4; x < box.right - 4; x += 12) for (let y = box.top + 3; y < box.bottom - 3; y += 6) {
    const part = document.elementFromPoint(x, y);
    if (part && !part.closest('#tour')) over.push(part.className);
  }
  return over;
}"""
WINDOW = (1440, 1000)
# a glyph that a face lacks comes from the next one: its width beside the same text with and without that next one
WIDTHS = """async () => {
  await document.fonts.ready;
  const heading = getComputedStyle(document.querySelector('.ks-title'));
  const context = document.createElement('canvas').getContext('2d');
  const first = heading.fontFamily.split(',')[0], widths = [];
  await document.fonts.load(`${heading.fontWeight} 40px ${first}`, 'ατβσλ×√−≤');
  for (const glyph of 'Aατβσ×√−≤') {
    const width = (other) => {
      context.font = `${heading.fontWeight} 40px ${first}, ${other}`;
      return context.measureText(glyph).width;
    };
    widths.push([glyph, width('monospace'), width('serif')]);
  }
  return widths;
}"""


def test_no_plot_and_no_link_leaves_the_machine(page):
    open_spectrum(page)
    plots = page.evaluate(CLOUD)
    assert len(plots) >= 3 and all(server == "" and not send and not titles for server, send, titles in plots)
    assert page.evaluate("document.querySelectorAll('#plane .modebar-btn').length") > 4
    outside = [to for to in page.evaluate(LEAVING) if "gradio" not in to]  # Gradio's own footer
    assert outside == []


def test_nothing_prints_through_the_tour(page):
    open_spectrum(page)
    open_drawer(page, "learn")
    for opened in (False, True):
        if opened:
            page.get_by_role("button", name="Take the tour").click()
            page.wait_for_selector("#tour-next >> text=Start")
        for down in (0, 300, 700):
            page.evaluate(f"document.querySelectorAll('.ks-frame > *').forEach((part) => part.scrollTo(0, {down}))")
            page.wait_for_timeout(200)
            assert page.evaluate(THROUGH) == [], (opened, down)
    page.keyboard.press("Escape")


def test_headings_have_one_face(page):
    for glyph, beside_mono, beside_serif in page.evaluate(WIDTHS):
        assert beside_mono == beside_serif, glyph


def test_the_bar_is_seen_where_it_acts(page):
    for view, seen in (("bands", True), ("flow", False), ("series", False), ("images", False), ("edit", True)):
        open_view(page, view)
        for name in ("model", "seed", "dice"):
            wait_for(
                page, "([name, seen]) => (document.getElementById(name).offsetParent !== null) === seen", [name, seen]
            )
            assert page.locator(f"#{name}").is_visible() == seen, (view, name)
    open_view(page, "compare")  # it has a model and a seed of its own on each side, and says how the header's come in
    assert "header" in page.locator("#take-a").inner_text()


def test_play_is_two_keys_away_and_a_left_list_is_closed(browser, url):
    page, complaints, _ = visit(browser, url)
    page.keyboard.press("Tab")
    wait_for(page, "() => document.activeElement.getBoundingClientRect().top >= 0")  # it comes into view
    page.keyboard.press("Enter")
    wait_for(page, "() => document.activeElement.id === 'play'")
    page.locator("#model input").focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    wait_for(page, "() => document.querySelector('#model input').getAttribute('aria-expanded') === 'true'")
    page.keyboard.press("Tab")
    wait_for(page, "() => document.querySelector('#model input').getAttribute('aria-expanded') === 'false'")
    page.close()
    assert complaints == []


def test_a_figure_is_saved_by_the_page_itself(page):
    open_view(page, "watch")
    open_drawer(page, "share")
    page.get_by_role("button", name="Save & export").click()
    for form, start in (("png", b"\x89PNG"), ("svg", b"<svg")):
        page.locator(f"#export-format input[value={form}]").check()
        with page.expect_download() as saved:
            page.locator("#export-figure").click()
        path = saved.value.path()
        assert saved.value.suggested_filename.endswith(f".{form}") and path.read_bytes().startswith(start)


OLDER = "([name, older]) => document.querySelector(`#${name} [data-made]`)?.hasAttribute('data-older') === older"


def test_what_no_longer_holds_is_grey_until_it_holds_again(page):
    open_view(page, "modes")
    page.locator("#pairs-start").click()
    page.wait_for_selector("#pairs-list .ks-ranked")
    wait_for(page, OLDER, ["pairs-list", False])
    seed = page.locator("#seed input").input_value()
    page.locator("#seed input").fill(str(int(seed) + 1))
    wait_for(page, OLDER, ["pairs-list", True])
    grey = "getComputedStyle(document.querySelector('#pairs-list img')).filter"
    wait_for(page, f"() => {grey} === 'grayscale(1)'")
    wait_for(page, OLDER, ["mode-pictures", False])  # it follows
    page.locator("#seed input").fill(seed)
    wait_for(page, OLDER, ["pairs-list", False])


def test_a_flow_that_no_longer_holds_is_grey_until_it_holds_again(page):
    open_view(page, "flow")
    page.wait_for_selector("#flow-player .main-svg")
    wait_for(page, OLDER, ["flow-words", False])
    page.locator("#flow-player .ks-flow-plot").first.click()
    wait_for(page, OLDER, ["flow-likelihood", False])
    page.locator("#flow-seed input").fill("9")
    wait_for(page, OLDER, ["flow-likelihood", True])
    wait_for(page, OLDER, ["flow-words", False])  # it follows
    page.locator("#flow-seed input").fill("0")
    wait_for(page, OLDER, ["flow-likelihood", False])
