"""Every control of the page tells what it is for, and every slider can be brought back to where it began."""

from __future__ import annotations

from collections import defaultdict

import gradio as gr
import pytest

from analysis.studio import Studio
from tests.ui.serving import open_view
from tests.ui.test_browser import open_spectrum, visit
from tests.waiting import wait_for
from ui.app import build_app

INPUTS = (gr.Slider, gr.Number, gr.Dropdown, gr.Radio, gr.CheckboxGroup, gr.Checkbox, gr.Textbox)
CHOICES = (gr.Dropdown, gr.Radio)
FREE = {"series-horizon", "series-lead"}  # their ranges move: where they began may be outside


@pytest.fixture(scope="module")
def demo(library) -> gr.Blocks:
    return build_app(Studio(library=library))


def sliders(demo) -> list[gr.Slider]:
    return [part for part in demo.blocks.values() if isinstance(part, gr.Slider)]


def test_every_slider_has_a_reset(demo):
    found = sliders(demo)
    without = {s.elem_id or s.label for s in found if "reset" not in (s.buttons or ())}
    assert len(found) > 60 and without <= FREE


def test_what_follows_a_slider_follows_its_reset(demo):
    """Gradio's reset button tells "release" and "change", not "input"."""
    heard = defaultdict(set)
    for fn in demo.fns.values():
        for part, event in fn.targets:
            heard[part].add(event)
    following = [s for s in sliders(demo) if heard[s._id]]
    deaf = {s.elem_id for s in following if not heard[s._id] & {"release", "change"}}
    assert len(following) > 30 and deaf == set()


def test_events_that_show_no_progress_keep_their_state_in_one_place(demo):
    """What Gradio's page does at every step of an event grows with the places that hold one."""
    asked = [fn for fn in demo.fns.values() if fn.fn is not None and fn.targets]
    places = {part._id for fn in asked for part in (fn.show_progress_on or fn.outputs)}
    assert len(asked) > 150 and len(places) < len(asked) / 8


def test_a_drop_down_that_is_sent_twice_is_not_refused(demo):
    """Its first answer may change the choices of another one that is sent along, before the second is read."""
    chosen = []
    for fn in demo.fns.values():
        by = {part for part, event in fn.targets if event == "input" and isinstance(demo.blocks[part], gr.Dropdown)}
        both = [p for p in fn.inputs if isinstance(p, CHOICES) and p in fn.outputs and p._id not in by]
        if by and both:
            chosen.append((fn.preprocess, [p.elem_id for p in both]))
    assert len(chosen) >= 3 and [names for preprocess, names in chosen if preprocess] == []


def test_every_input_has_a_line_that_explains_it(demo):
    """Those without a label of their own stand below a heading, or beside a word."""
    found = [p for p in demo.blocks.values() if isinstance(p, INPUTS) and p.label and p.show_label and p.container]
    without = {p.elem_id or p.label for p in found if not (p.info or "").strip()}
    assert len(found) > 100 and without == set()


def reset(page, name: str) -> None:
    page.locator(f"#{name} button.reset-button").click()


def test_pictures_follow_a_reset(browser, url):
    page, complaints, _ = visit(browser, url)
    open_spectrum(page)
    shown = "() => document.querySelectorAll('#triptych img')[1].src"
    first = page.evaluate(shown)
    page.locator("#gain-small input[type=range]").focus()
    page.keyboard.press("Home")
    wait_for(page, f"old => ({shown})() !== old", first)
    reset(page, "gain-small")
    wait_for(page, f"old => ({shown})() === old", first)
    edge = "() => document.querySelector('#low input[type=number]').value"
    counts = "() => document.querySelector('#plane .ks-plot')._fullData[0].name"
    began = page.evaluate(counts)
    page.locator("#low input[type=range]").focus()
    page.keyboard.press("End")
    wait_for(page, "() => document.querySelector('#high input[type=number]').value === '1'")
    wait_for(page, f"old => ({counts})() !== old", began)
    reset(page, "low")
    wait_for(page, f"old => ({counts})() === old", began)
    assert page.evaluate(edge) == "0.33"

    open_view(page, "compare")
    page.wait_for_selector("#compare-pictures img")
    page.locator("#bands-b").get_by_role("button", name="Bands").click()
    second = "() => document.querySelectorAll('#compare-pictures img')[1].src"
    first = page.evaluate(second)
    page.locator("#gain-smallest-b input[type=range]").focus()
    page.keyboard.press("Home")
    wait_for(page, f"old => ({second})() !== old", first)
    reset(page, "gain-smallest-b")
    wait_for(page, f"old => ({second})() === old", first)
    page.close()
    assert complaints == []
