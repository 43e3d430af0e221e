"""The tour without a page: what opens, and what is said of what was done."""

from __future__ import annotations

import gradio as gr
import pytest

from analysis.core.errors import UserError
from analysis.flow.point_requests import DRAWN
from analysis.flow.points import PointFlows
from analysis.guide.lessons import LESSONS, Reply
from analysis.workbench.spectrum import MaskRequest
from ui.panels.tour import FLOW, INTRO, READ, Tour, build_tour, flow_values, lesson_html, part_of_page, reply_html
from ui.source import NO_CLASS
from ui.tabs.flow_points import START, build_flow_lab

BAR, SET_UP = 9, 10  # outputs of `Tour.go` before those of the Flow lab
SKIP = gr.skip()


@pytest.fixture(scope="module")
def tour(library):
    return Tour(library, PointFlows())


def done(**more) -> list:
    """Values of the controls, as a page has them."""
    values = {
        "level": 2, "low": 0.33, "high": 0.67, "gain-small": 1, "gain-middle": 1, "gain-large": 1, "order": "alpha",
        "levels": [], "steps": 6, "edit-tau": 0.5, "edit-ratio": 90, "edit-bands": [0], "edit-other": 1,
        "flow-density": "8gaussians", "flow-nfe-all": 2, "flow-seed": 0,
    }  # fmt: skip
    return list((values | more).values())


def ask(tour, number, *, played=None, mode=None, guess=0.5, choice=None, seed=2, model="tiny", **more) -> str:
    return tour.check(played, mode, number, guess, choice, model, seed, NO_CLASS, lambda *a, **k: None, *done(**more))


def test_all_lessons_open_one_after_another(tour, library):
    at, bottom = 0, len(library.get("tiny").spectrum().entries) - 1
    for number, lesson in enumerate(LESSONS, 1):
        out = tour.go(1, at, 5, "tiny", 7, NO_CLASS, 0)
        assert len(out) == BAR + SET_UP + len(FLOW)
        at, words, guess, choice, check, reply, back, ahead, box = out[:BAR]
        assert at == number and lesson.title in words and f"{number} of 6" in words and reply == ""
        assert guess["visible"] == (lesson.asks == "guess") and choice["visible"] == (lesson.asks == "flow")
        assert check["visible"] and back["interactive"] and box == SKIP
        assert ahead["value"] == ("Finish the tour" if number == 6 else "Next lesson")
        tab, part, level, model, seed, _, _, pending, grows, asks = out[BAR : BAR + SET_UP]
        assert tab["selected"] == lesson.tab
        assert (part == SKIP) == (lesson.asks != "guess")
        if lesson.asks == "flow":
            assert (model, seed, pending, grows) == (SKIP, SKIP, None, 0) and asks >= 1
            continue
        assert (model, seed, level, grows) == ("tiny", 2, bottom, 1) and asks == SKIP
        if lesson.asks != "guess":
            assert pending[0] == 6 and isinstance(pending[1].request(), type(lesson.preset))
    out = tour.go(1, 6, 5, "tiny", 2, NO_CLASS, bottom)
    assert out[0] == 0 and out[1] == INTRO and out[8]["open"] is False and out[4]["visible"] is False
    assert tour.go(-1, 1, 5, "tiny", 2, NO_CLASS, bottom)[8]["open"] is True


def test_what_is_shown_already_is_not_made_anew(tour, library):
    bottom = len(library.get("tiny").spectrum().entries) - 1
    out = tour.go(1, 3, 5, "tiny", 2, NO_CLASS, bottom)
    _, _, level, model, seed, _, _, pending, grows, _ = out[BAR : BAR + SET_UP]
    assert (level, model, seed, grows) == (SKIP, SKIP, SKIP, 0)
    assert pending[0] == 5 and pending[1].request() == MaskRequest(2, edges=(0.33, 0.67))


def test_the_flow_lab_is_set_to_the_lesson():
    values = dict(zip(FLOW, flow_values(LESSONS[5].preset), strict=True))
    assert values["flow-density"] == "8gaussians" and values["flow-nfe-all"] == 5
    assert [values[f"flow-path-{s}"] for s in "abc"] == ["otcfm", "idff", "idff"]
    assert [values[f"flow-sampler-{s}"] for s in "abc"] == ["euler", "published", "multistep"]
    assert [values[f"flow-shown-{s}"] for s in "abcd"] == [True, True, True, False]
    assert values["flow-gamma1-b"]["value"] == 0.2 and values["flow-gamma1-b"]["visible"]
    assert not values["flow-gamma1-a"]["visible"] and not values["flow-sigma-a"]["visible"]
    assert values["flow-path-d"] == SKIP and set(map(str, flow_values(None))) == {str(SKIP)}
    assert {path for path, _ in START} >= {"otcfm", "idff"}


def test_the_flow_lab_has_every_control_that_is_set():
    with gr.Blocks(), gr.Tabs(), gr.Tab("Flow lab") as page:
        build_flow_lab(page)
        for name in FLOW:
            assert part_of_page(name).elem_id == name
        with pytest.raises(LookupError, match="nothing-of-the-kind"):
            part_of_page("nothing-of-the-kind")


def test_a_lesson_is_escaped_and_says_where_it_is():
    lesson = LESSONS[0]
    strange = type(lesson)("<b>", ("a & b.", "c."), "generate", "level", lesson.preset, "<i>Check</i>")
    text = lesson_html(2, strange)
    assert "<b>2 of 6</b>" in text and "&lt;b&gt;" in text and "a &amp; b. c." in text and "<i>Check" not in text
    assert text.count("ks-now-at") == 1


def test_agreement_is_said_in_words():
    assert "✓" in reply_html(Reply("a < b", True)) and "That agrees." in reply_html(Reply("a < b", True))
    assert "Measured otherwise." in reply_html(Reply("x", False)) and "&lt;" in reply_html(Reply("a < b", True))
    assert "agrees" not in reply_html(Reply("Do it.")) and "otherwise" not in reply_html(Reply("Do it."))


def test_what_was_done_is_what_is_measured(tour, library):
    bench = library.get("tiny")
    assert "level 3 of 6" in ask(tour, 1, played=2)
    assert "6 of 6" not in ask(tour, 1, played=5) and "drag it" in ask(tour, 1, played=5)
    assert "You guessed 0.30" in ask(tour, 2, guess=0.3)
    entry = bench.spectrum().entries[0]
    assert f"α = {entry.alpha.flat[3]:+.2f}" in ask(tour, 3, mode=3, level=0)
    assert "first" in ask(tour, 3)
    mse = bench.mask_bands(MaskRequest(2, edges=(0.33, 0.67), gains=(1, 0, 1))).mse
    assert f"middle α {mse:.3g}" in ask(tour, 4, **{"gain-middle": 0})
    assert "exactly one" in ask(tour, 4) and "exactly one" in ask(tour, 5, **{"edit-bands": []})
    assert "all bands together" in ask(tour, 5) and "exactly one" in ask(tour, 5, **{"edit-bands": [0, 1]})
    assert "With 2 network calls" in ask(tour, 6, choice=0) and ask(tour, 0) == ""


def test_hidden_and_foreign_values_are_refused_in_a_sentence(tour):
    for number, more in (
        (1, {"played": 99}),
        (3, {"mode": 10**6}),
        (4, {"seed": -1}),
        (5, {"edit-bands": [7]}),
        (6, {"choice": 9}),
        (6, {"choice": 0, "flow-density": DRAWN}),
        (6, {"choice": 0, "flow-nfe-all": 900}),
    ):
        with pytest.raises(UserError):
            ask(tour, number, **more)


def test_every_control_that_is_read_is_on_the_page(library):
    """Wired to the real tabs."""
    from ui.app import build_app

    demo = build_app(library)
    there = {getattr(block, "elem_id", None) for block in demo.blocks.values()}
    assert set(READ) | set(FLOW) | {"effect-parts", "level"} <= there


def test_the_bar_is_closed_and_hides_its_answers(library):
    with gr.Blocks() as demo:
        build_tour(library)
    by_id = {block.elem_id: block for block in demo.blocks.values() if getattr(block, "elem_id", None)}
    assert by_id["tour"].open is False
    assert [by_id[f"tour-{n}"].visible for n in ("guess", "choice", "check")] == [False] * 3
