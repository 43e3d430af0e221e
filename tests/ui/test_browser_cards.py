"""The cards of the first view and the examples in a real browser: each shows its result, and asks for little else."""

from __future__ import annotations

import pytest
import torch

import koopman_core
from analysis.guide.examples import PORTRAIT_SIDE
from analysis.workbench.library import DEFAULT_MODEL, ModelLibrary
from foundation.networks.unet import UNetConfig
from koopman_core.model import KoopmanDiffusion
from tests.analysis.flow.tiny_flows import tiny_benches
from tests.ui.conftest import SIZE
from tests.ui.serving import on_page, open_drawer, open_view, page_of
from tests.ui.test_browser_layout import asked
from tests.waiting import wait_for

MOST = 6  # questions that one click may ask
TABS = ("spectrum", "edit", "restore", "flow", "images")
# what is there once a card has shown what it does
SHOWN = {
    "restore": "() => document.querySelector('#restore-progress')?.textContent.includes('Done')",
    "edit": "() => document.querySelectorAll('#edit-pictures img').length > 6",
    "train": """() => document.querySelector('#flow-paper canvas')?.dataset.painted > 0
        && document.querySelector('[data-press=flow-train-drawing]').offsetParent""",
}
KEPT = "name => document.querySelector(`#${name} .ks-save-bar`)?.hidden === false"
# the part of the page where the result of an example is kept, and what it shows
EXAMPLES = {
    "without-smallest": ("bands", "keep-bands"), "doubled": ("bands", "keep-bands"), "edit": ("edit", "edit-keep"),
    "hole": ("restore", "restore-keep"), "colours": ("restore", "restore-keep"), "five-calls": ("flow", "flow-keep"),
    "two-calls": ("images", "images-keep"),
}  # fmt: skip


@pytest.fixture(scope="module")
def page(browser, flows_folder, tmp_path_factory):
    """A page of a tiny model of the default one's name and size, and tiny flows."""
    folder = tmp_path_factory.mktemp("models")
    generator = torch.Generator().manual_seed(0)
    model = KoopmanDiffusion(UNetConfig(**SIZE | {"resolution": PORTRAIT_SIDE}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.2, generator=generator)
    koopman_core.save(model, folder / f"{DEFAULT_MODEL}.hkd.safetensors", {"name": DEFAULT_MODEL})
    with pytest.MonkeyPatch.context() as patch:
        flows = tiny_benches(flows_folder, tmp_path_factory.mktemp("series"), patch)
        demo, _ = page_of(ModelLibrary(folder), *TABS, panels=("recipes",), studio=flows)
        with on_page(browser, demo) as page:
            page.wait_for_selector("#hero img")
            yield page


@pytest.mark.parametrize("view", SHOWN)
def test_a_card_shows_what_it_promises(page, view):
    open_view(page, "watch")
    page.wait_for_timeout(1500)
    calls = asked(page)
    page.locator(f".ks-door[data-open={view}]").click()
    wait_for(page, SHOWN[view])
    page.wait_for_timeout(1500)
    assert len(calls) <= MOST


def test_the_card_of_a_hole_fills_it_in_the_picture_that_is_chosen(page):
    """Also where the view has shown another one: what that showed is not left behind."""
    open_view(page, "watch")
    page.locator("#seed input").fill("41")
    wait_for(page, "() => document.querySelector('#hero').textContent.includes('seed 41')")
    page.locator(".ks-door[data-open=restore]").click()
    wait_for(page, SHOWN["restore"])
    page.wait_for_timeout(1500)
    assert page.evaluate(SHOWN["restore"]) and page.locator("#restore-pictures img").count() == 3
    assert "seed 41" in page.locator("#restore-pictures").inner_text()


@pytest.mark.parametrize("key", EXAMPLES)
def test_an_example_shows_its_result_with_few_questions(page, key):
    view, keep = EXAMPLES[key]
    open_view(page, "watch")
    open_drawer(page, "learn")
    button = page.locator(f"#example-{key}")
    if not button.is_visible():
        page.get_by_role("button", name="Examples").click()
    page.wait_for_timeout(1500)
    page.evaluate(
        "name => { const bar = document.querySelector(`#${name} .ks-save-bar`); if (bar) bar.hidden = true; }", keep
    )
    calls = asked(page)
    button.click()
    wait_for(page, "view => document.documentElement.dataset.view === view", view)
    wait_for(page, KEPT, keep)
    page.wait_for_timeout(1500)
    assert 0 < len(calls) <= MOST, calls


def test_an_empty_stage_trains_on_what_is_drawn_on_it(page):
    """Not on the density of the list, which is another one at first; then the stage shows the training."""
    open_view(page, "train")
    page.locator("#flow-train-steps input[type=number]").fill("100")
    page.locator("#flow-train-steps input[type=number]").press("Tab")
    page.locator("[data-press=flow-train-drawing]").click()
    wait_for(page, "() => document.querySelector('#flow-train-preview .plot-container')")
    wait_for(page, "() => document.querySelector('#flow-train-start').disabled === false")
    assert page.locator("#flow-density input").input_value() == "my drawing"
    assert not page.locator("[data-press=flow-train-drawing]").is_visible()
