"""Recipes of flows in a real browser: saved in a tab of flows, opened while another one is looked at."""

from __future__ import annotations

import pytest

from analysis.flow.clouds import DRAWING
from analysis.flow.images import FlowPicturesRequest
from analysis.flow.points import Flow2DRequest
from analysis.flow.settings import SideBySideRequest
from analysis.guide.examples import EXAMPLES
from analysis.recipes import recipe
from analysis.recipes.replay import describe_for
from analysis.series.forecast import ForecastRequest
from tests.analysis.flow.tiny_flows import tiny_benches
from tests.ui.serving import on_page, open_drawer, open_view, page_of
from tests.waiting import wait_for

CROSS = tuple(tuple(int(k in (15, 16) or j in (15, 16)) for j in range(32)) for k in range(32))


@pytest.fixture(scope="module")
def flows(flows_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield tiny_benches(flows_folder, tmp_path_factory.mktemp("series"), patch)


@pytest.fixture(scope="module")
def page(browser, library, flows):
    """A page of the source bar, the first tab, those of flows and the recipe panel."""
    demo, _ = page_of(library, "generate", "flow", "images", "series", panels=("recipes",), studio=flows)
    with on_page(browser, demo) as page:
        page.wait_for_selector("#hero img")
        open_drawer(page, "share")
        page.get_by_role("button", name="Open a recipe").click()
        # without a clipboard the text that would be copied stands in the page
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})")
        yield page


KEPT = """([keep, text]) => {
  const bar = document.querySelector(`#${keep} .ks-save-bar`);
  if (!bar || bar.hidden) return false;
  bar.querySelector('.ks-copy-recipe').click();
  return bar.querySelector('.ks-recipe-text').value === text;
}"""


def opened(page, text: str, view: str, keep: str) -> None:
    """Open a recipe and wait for its view, and for a result whose own recipe is equal."""
    page.locator("#recipe-text textarea").fill(text)
    page.locator("#recipe-open").click()
    shows(page, view)
    wait_for(page, KEPT, [keep, text])


def shows(page, view: str) -> None:
    """Wait until a view is open."""
    wait_for(page, "view => document.documentElement.dataset.view === view", view)


UNFOLD = """() => document.querySelectorAll('button.label-wrap:not(.open)').forEach((button) => {
  if (button.offsetParent) button.click(); })"""


def control(page, name: str, kind: str = "input[type=number]") -> str:
    page.evaluate(UNFOLD)  # what is folded is not there yet
    return page.locator(f"#{name} {kind}").first.input_value()


def test_flows_in_the_plane(page, flows):
    common = {"density": DRAWING, "drawing": CROSS, "net": "oracle", "seed": 7, "points": 128, "grid": "cosine"}
    settings = (
        Flow2DRequest(path="icfm", sampler="heun", nfe=6, **common), None,
        Flow2DRequest(path="idff", sampler="published", nfe=3, sigma0=0.35, gamma1=-1.5, gamma2=0.3, **common),
    )  # fmt: skip
    text = recipe.to_json(describe_for(SideBySideRequest((*settings, None)), flows))
    opened(page, text, "flow", "flow-keep")
    assert page.locator("#seed input").input_value() == "12"  # the bar stays
    assert (control(page, "flow-seed"), control(page, "flow-points"), control(page, "flow-nfe-c")) == ("7", "128", "3")
    assert control(page, "flow-gamma1-c") == "-1.5" and page.locator("#flow-gamma3-a").is_hidden()
    assert page.locator("#flow-paper canvas").get_attribute("data-painted") == str(sum(map(sum, CROSS)))
    shown = page.locator("#flow-player .ks-flow")
    assert [shown.nth(k).is_visible() for k in range(4)] == [True, False, True, False]


def test_flows_of_pictures(page, flows):
    asked = {"data": "cifar10", "label": 1, "seeds": (3, 4, 5), "path": "idff"}
    settings = (FlowPicturesRequest(nfe=2, **asked), FlowPicturesRequest(sampler="matched", nfe=4, gamma1=2.5, **asked))
    text = recipe.to_json(describe_for(SideBySideRequest((None, *settings, None)), flows))
    opened(page, text, "images", "images-keep")
    assert (control(page, "images-label", "input"), control(page, "images-pictures")) == ("<b>ship</b>", "3")
    assert control(page, "images-gamma1-c") == "2.5"
    page.wait_for_selector("#images-words >> text=ends nearest")


def test_forecasts(page, flows):
    for model, horizon in (("alanine", 2), ("small", 5), ("small", 1)):
        request = ForecastRequest(model, 0.7, horizon, 4, 3, "published", (1.5,), 9)
        opened(page, recipe.to_json(describe_for(request, flows)), "series", "series-keep")
        page.wait_for_selector(f"#series-numbers >> text=4 members of {horizon} frame", state="attached")  # folded
        assert control(page, "series-horizon") == str(horizon) and control(page, "series-gamma") == "1.5"


def test_a_saved_picture_opens_again(page, tmp_path):
    with page.expect_download() as download:
        page.locator("#series-keep .ks-save-picture").click()
    download.value.save_as(tmp_path / "kept.png")
    page.locator("#series-members input[type=number]").fill("7")
    page.locator("#series-members input[type=number]").press("Tab")
    page.wait_for_selector("#series-numbers >> text=7 members", state="attached")
    open_view(page, "watch")
    open_drawer(page, "share")
    with page.expect_file_chooser() as chooser:
        page.locator("#recipe-file").click()
    chooser.value.set_files(tmp_path / "kept.png")
    shows(page, "series")
    page.wait_for_selector("#series-numbers >> text=4 members of 1 frame", state="attached")


def test_what_cannot_be_opened_changes_nothing(page, flows):
    text = recipe.to_json(describe_for(ForecastRequest("small"), flows)).replace('"small"', '"tall"')
    page.locator("#recipe-text textarea").fill(text)
    page.locator("#recipe-open").click()
    page.wait_for_selector("text=There is no such series model")
    assert control(page, "series-members") == "4"


def test_an_example_opens_its_tab_and_says_what_to_look_at(page):
    open_view(page, "watch")
    open_drawer(page, "learn")
    page.get_by_role("button", name="Examples").click()
    assert page.locator("#example-edit").count() == 0  # of a model that is not here
    example = next(e for e in EXAMPLES if e.key == "five-calls")
    page.locator("#example-five-calls").click()
    shows(page, "flow")
    assert example.words in page.locator("#example-words").inner_text()
    wait_for(page, "() => document.querySelector('#flow-keep .ks-save-bar')?.hidden === false")
    assert [control(page, f"flow-nfe-{letter}") for letter in "abcd"] == ["5"] * 4
