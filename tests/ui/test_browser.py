"""The page in a real browser: what a visitor sees and touches."""

from __future__ import annotations

import re

import pytest

from tests.sentences import numbers
from tests.ui.serving import WAIT, open_view
from tests.waiting import wait_for
from ui.server.startup import DEFAULT_SEED
from ui.workspaces import VIEWS

RANGE = "() => document.querySelector('#plane .ks-plot')._fullLayout.xaxis.range"


def visit(browser, url):
    """A page, what it complains about, and what it asks for."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(WAIT)
    complaints, requests = [], []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: complaints.append(str(e)))
    page.on("request", lambda r: requests.append(r.url))
    page.goto(url)
    played(page)
    return page, complaints, requests


def played(page) -> None:
    """Wait until the first picture has come out of its noise."""
    wait_for(
        page,
        """() => { const film = document.querySelector('#player .ks-player');
          return window.studioPlayed && film && film.dataset.level === '17' && film.dataset.playing === undefined; }""",
    )


@pytest.fixture
def opened(browser, url):
    """A visit of its own, for tests that change what is looked at."""
    found = visit(browser, url)
    yield found
    found[0].close()


@pytest.fixture
def page(opened):
    return opened[0]


@pytest.fixture(scope="module")
def lasting(browser, url):
    """One visit for many tests, since opening takes longest; they run in the order of this file."""
    return visit(browser, url)


def frame(page) -> str:
    """The Koopman path's picture as it is on the screen."""
    return page.evaluate("document.querySelector('#player canvas').toDataURL()")


def index(page) -> int:
    return int(page.locator("#player .ks-player").get_attribute("data-level"))


def settle(page, selector: str) -> None:
    """Wait until an element has kept its place for half a second: what is around it may still be laid out."""
    wait_for(
        page,
        """selector => {
          const box = document.querySelector(selector).getBoundingClientRect(), now = performance.now();
          const place = [box.x, box.y + scrollY, box.width, box.height].map(Math.round).join();
          const last = window.settling;
          if (!last || last.place !== place) window.settling = {place, since: now};
          return Boolean(last && last.place === place && now - last.since > 500);
        }""",
        selector,
    )


def open_spectrum(page, view: str = "bands") -> None:
    open_view(page, view)
    wait_for(page, "() => document.querySelector('#plane .ks-plot')?._fullData?.length >= 3")
    settle(page, "#plane .ks-plot")


def test_the_page_opens_complete_and_alone(lasting):
    page, complaints, requests = lasting
    assert page.locator("#hero img").get_attribute("src").startswith("data:image/png")
    assert page.locator("#player canvas").count() == 4  # the large one, and the three that it can be compared with
    assert "1" in page.locator("#hero-facts").inner_text()
    assert "35" in page.locator("#trajectory-facts").inner_text()
    assert page.locator("#sheet img").count() == 12
    open_spectrum(page)
    open_view(page, "watch")
    assert complaints == []
    outside = [r for r in requests if not re.match(r"(http://127\.0\.0\.1:|data:|blob:)", r)]
    assert outside == []


def test_the_slider_scrubs_without_the_server(lasting):
    page, _, requests = lasting
    slider = page.get_by_role("slider", name="Noise level")
    last, before = frame(page), len(requests)
    assert index(page) == 17
    slider.focus()
    page.keyboard.press("Home")
    assert index(page) == 0 and frame(page) != last
    page.keyboard.press("ArrowRight")
    assert index(page) == 1
    page.get_by_role("button", name="One level back").click()
    assert index(page) == 0
    assert f"seed {DEFAULT_SEED}" in page.locator("#player .ks-now").inner_text()
    assert "σ = 80" in page.locator("#player .ks-now").inner_text()
    assert [r for r in requests[before:] if not r.startswith("data:")] == []


def test_play_runs_to_the_end_and_pauses(lasting):
    page = lasting[0]
    page.get_by_role("button", name="Play from noise").click()
    wait_for(page, "() => { const i = +document.querySelector('.ks-player').dataset.level; return i > 1 && i < 16 }")
    page.get_by_role("button", name="Pause").click()
    stopped = index(page)
    page.wait_for_timeout(500)
    assert index(page) == stopped
    page.get_by_role("button", name="Play from noise").click()
    wait_for(page, "() => document.querySelector('.ks-player').dataset.level === '17'")
    assert page.get_by_role("button", name="Play from noise").count() == 1


def test_the_card_is_text(lasting):
    page = lasting[0]
    open_view(page, "watch")
    page.get_by_role("button", name="About this model").click()
    page.wait_for_selector(".ks-model-card")
    assert "<script>1</script>" in page.locator(".ks-model-card").inner_text()


def test_a_click_on_an_eigenvalue_fills_the_mode_card(lasting):
    page = lasting[0]
    open_spectrum(page, "modes")
    for _ in range(3):  # a slow machine may miss one, as a hand may
        spot = page.evaluate(
            """() => {
              const div = document.querySelector('#plane .ks-plot'), layout = div._fullLayout, trace = div._fullData[2];
              const i = trace.x.indexOf(Math.max(...trace.x));
              div.scrollIntoView({block: 'center'});
              const now = div.getBoundingClientRect();
              return {x: now.left + layout.xaxis._offset + layout.xaxis.d2p(trace.x[i]),
                      y: now.top + layout.yaxis._offset + layout.yaxis.d2p(trace.y[i]),
                      flat: Number(trace.customdata[i][0])};
            }"""
        )
        page.mouse.move(spot["x"] - 30, spot["y"] - 30)
        page.mouse.move(spot["x"], spot["y"], steps=4)
        page.wait_for_timeout(150)  # plotly looks for the nearest point at most every 50 ms
        page.mouse.click(spot["x"], spot["y"])
        card = page.locator(f"#mode .ks-card[data-mode='{spot['flat']}']")
        waited = 0
        while card.count() == 0 and waited < 15_000:
            page.wait_for_timeout(250)
            waited += 250
        if card.count():
            break
    assert card.count() == 1
    text = page.locator("#mode").inner_text()
    assert "α" in text and "β" in text and len(numbers(text)) > 6
    wait_for(page, "() => document.querySelector('#plane .ks-plot')._fullData.length === 4")  # the ring
    assert page.locator("#pair input").input_value().startswith("pair ")


def test_box_selection_counts_modes(lasting):
    page = lasting[0]
    open_spectrum(page, "modes")
    page.evaluate(
        """() => { const div = document.querySelector('#plane .ks-plot');
          const points = [0, 1, 2].map(i => ({customdata: div._fullData[0].customdata[i]}));
          div.emit('plotly_selected', {points}); }"""
    )
    wait_for(page, "() => document.querySelector('#mode').innerText.includes('3 modes of bottleneck')")


def test_zoom_survives_a_band_slider(lasting):
    page = lasting[0]
    open_spectrum(page)
    page.evaluate(
        """() => Plotly.relayout(document.querySelector('#plane .ks-plot'),
          {'xaxis.range[0]': -0.2, 'xaxis.range[1]': 0.2})"""
    )
    counts = "() => document.querySelector('#plane .ks-plot')._fullData[0].name"
    before = page.evaluate(counts)
    page.locator("#low input[type=number]").fill("0.1")
    page.locator("#low input[type=number]").press("Enter")
    wait_for(page, f"old => ({counts})() !== old", before)
    assert page.evaluate(RANGE) == pytest.approx([-0.2, 0.2])


def test_the_edges_cannot_cross(lasting):
    page = lasting[0]
    open_spectrum(page)
    slider = page.locator("#low input[type=range]")
    slider.focus()
    page.keyboard.press("End")
    wait_for(page, "() => document.querySelector('#high input[type=number]').value === '1'")


def test_a_retention_slider_changes_the_picture(lasting):
    page = lasting[0]
    open_spectrum(page)
    masked = "() => document.querySelectorAll('#triptych img')[1].src"
    before = page.evaluate(masked)
    assert page.evaluate("() => document.querySelectorAll('#triptych img')[0].src") == before
    page.locator("#gain-small input[type=range]").focus()
    page.keyboard.press("Home")
    wait_for(page, f"old => ({masked})() !== old", before)
    assert "×" in page.locator("#triptych").inner_text()
    assert "× 0.00" in page.locator("#bands").inner_text()
    page.locator("#only-all").click()
    wait_for(page, f"old => ({masked})() === old", before)


def test_nothing_sticks_out(lasting):
    page = lasting[0]
    for view in (*VIEWS, "modes"):
        open_view(page, view)
        for width in (1920, 400):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(500)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("#plane .main-svg").first.bounding_box()  # it has followed the page
    assert 250 < box["width"] <= 400


def test_what_never_changes_is_not_watched_for_changes(page):
    for name in ("dependencies", "components"):
        assert page.evaluate(f"window.gradio_config.{name}.constructor.name") == "Plain"
        assert page.evaluate(f"window.gradio_config.{name}.length") > 200
    assert page.evaluate("window.gradio_config.components.filter((c) => c.type === 'api').length") == 0
    assert page.evaluate("document.querySelector('#ks-config')") is None
    early = page.evaluate("[...document.querySelectorAll('link[rel=modulepreload]')].map((l) => l.href)")
    loaded = page.evaluate("performance.getEntriesByType('resource').map((r) => r.name)")
    assert len(set(early)) > 30 and set(early) <= set(loaded)


def test_a_thumbnail_chooses_its_seed_and_everything_follows(page):
    hero, player = page.locator("#hero img").get_attribute("src"), frame(page)
    page.locator("#sheet button").nth(3).click()
    wait_for(page, "old => document.querySelector('#hero img').src !== old", hero)
    assert page.locator("#seed input").input_value() == "3"
    assert "seed 3" in page.locator("#hero").inner_text()
    wait_for(page, "old => document.querySelector('#player canvas').toDataURL() !== old", player)
    open_spectrum(page)
    wait_for(page, "() => document.querySelector('#triptych').innerText.includes('seed 3')")


def test_a_seed_out_of_range_is_one_sentence(opened):
    page, complaints, _ = opened
    page.locator("#seed input").fill("99999999999999")
    page.wait_for_selector("text=must be a whole number from 0 to 4294967295")
    page.wait_for_timeout(1500)
    assert page.get_by_text("must be a whole number").count() == 1
    assert f"seed {DEFAULT_SEED}" in page.locator("#hero").inner_text() and complaints == []


def test_fast_clicks_end_with_one_seed_everywhere_and_then_silence(opened):
    page, complaints, _ = opened
    open_spectrum(page)
    calls = []
    page.on("request", lambda r: calls.append(r.url) if "queue/join" in r.url or "/run/" in r.url else None)
    for _ in range(5):
        page.locator("#dice").click()
        page.wait_for_timeout(120)
    seed = page.locator("#seed input").input_value()
    shows = "([place, seed]) => document.querySelector(place).textContent.includes('seed ' + seed)"
    wait_for(page, shows, ["#triptych", seed])
    page.wait_for_timeout(1500)
    count = len(calls)
    page.wait_for_timeout(2000)
    assert len(calls) == count and count < 30  # nothing is asked for what nobody looks at
    open_view(page, "watch")
    for place in ("#hero", "#player .ks-now"):
        wait_for(page, shows, [place, seed])
    assert complaints == []


def test_a_kept_seed_stays(page):
    page.get_by_label("keep this seed").check()
    wait_for(page, "() => document.querySelector('#seed input').disabled")
    page.locator("#sheet button").nth(5).click()
    page.wait_for_selector("text=The seed is kept")
    assert page.locator("#seed input").input_value() == str(DEFAULT_SEED)


def test_another_model_keeps_the_seed_and_shows_its_classes(page):
    page.locator("#seed input").fill("4")
    wait_for(page, "() => document.querySelector('#hero').innerText.includes('seed 4')")
    hero = page.locator("#hero img").get_attribute("src")
    page.locator("#model input").click()
    page.get_by_role("option", name="tiny-classes").click()
    wait_for(page, "old => document.querySelector('#hero img').src !== old", hero)
    assert page.locator("#seed input").input_value() == "4"
    wait_for(page, "() => document.querySelectorAll('#player .ks-track:not([hidden])').length === 1")  # no teacher
    page.locator("#label input").click()
    assert page.get_by_role("option", name="<b>ship</b>").count() == 1  # text, not markup
