"""The tour without a page: what opens, and what is said of what was done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.core.errors import UserError
from analysis.flow.clouds import DRAWING
from analysis.flow.points import PointFlows
from analysis.guide.lessons import LESSONS, Reply
from analysis.studio import Studio
from analysis.workbench.spectrum import MaskRequest
from tests.sentences import numbers, tells
from tests.ui.serving import page_of
from ui.panels.tour import AGREEMENT, INTRO, Stops, Tour, TourControls, lesson_html, reply_html
from ui.source import NO_CLASS, Source, Workspace
from ui.tabs.flows.points import START_SETTINGS

TABS = ("generate", "spectrum", "effects", "edit", "flow")


@pytest.fixture(scope="module")
def tour(library, page):
    work = Workspace(Studio(library=library, points=PointFlows()))
    work.source = Source(*("model", "seed", "label", "dice", "locked", "line", "moves"), ("tiny", 2, NO_CLASS))
    # the settings of the Flow lab are real: their sliders say what they can show
    stops = replace(Stops.names(), flows=page[1].built["flow"].controls)
    return Tour(work, TourControls.names(), stops, "pending")


@pytest.fixture(scope="module")
def page(library):
    return page_of(library, *TABS, panels=("recipes", "tour"))


def ask(tour, number, **more) -> str:
    """The reply to what was done; the controls are as a page has them."""
    values = {
        "played": None, "mode": None, "guess": 0.5, "choice": None, "model": "tiny", "seed": 2, "label": NO_CLASS,
        "level": 2, "low": 0.33, "high": 0.67, "small": 1, "middle": 1, "large": 1, "order": "alpha", "levels": [],
        "steps": 6, "tau": 0.5, "ratio": 90, "bands": [0], "other": 1, "density": "8gaussians", "nfe": 2,
        "flow_seed": 0,
    }  # fmt: skip
    return tour.check(lambda *a, **k: None, at=number, **values | more)


def test_all_lessons_open_one_after_another(tour, library):
    at, bottom = 0, len(library.get("tiny").spectrum().entries) - 1
    for number, lesson in enumerate(LESSONS, 1):
        out = tour.go(1, at, 5, "tiny", 7, NO_CLASS, 0)
        at, words = out["at"], out["words"]
        assert at == number and lesson.title in words and f"{number} of 6" in words and out["reply"] == ""
        assert out["guess"]["visible"] == (lesson.asks == "guess")
        assert out["choice"]["visible"] == (lesson.asks == "flow")
        assert out["check"]["visible"] and out["back"]["interactive"] and "box" not in out
        assert out["ahead"]["value"] == ("Finish the tour" if number == 6 else "Next lesson")
        assert out["opener"].split()[0] == lesson.tab
        if lesson.asks == "flow":
            assert not {"model", "seed"} & set(out) and (out["pending"], out["grows"]) == (None, 0) and out["ask"] >= 1
            continue
        assert (out["model"], out["seed"], out["level"], out["grows"]) == ("tiny", 2, bottom, 1) and "ask" not in out
        if lesson.asks != "guess":
            moves, question, view = out["pending"]
            assert moves == 6 and isinstance(question, type(lesson.preset)) and view == lesson.tab
    out = tour.go(1, 6, 5, "tiny", 2, NO_CLASS, bottom)
    assert out["at"] == 0 and out["words"] == INTRO and out["box"]["open"] is False and out["check"]["visible"] is False
    assert tour.go(-1, 1, 5, "tiny", 2, NO_CLASS, bottom)["box"]["open"] is True


def test_what_is_shown_already_is_not_made_anew(tour, library):
    bottom = len(library.get("tiny").spectrum().entries) - 1
    out = tour.go(1, 3, 5, "tiny", 2, NO_CLASS, bottom)
    assert not {"level", "model", "seed"} & set(out) and out["grows"] == 0
    moves, question, _ = out["pending"]
    assert moves == 5 and question == MaskRequest(2, edges=(0.33, 0.67))


def test_the_flow_lab_is_set_to_the_lesson(page):
    """The real controls: their sliders say what they can show."""
    _, built = page
    c, tour = built.built["flow"].controls, built.panels["tour"]
    out = tour.flows_set(LESSONS[5].preset)
    values = {name: out[part] for name, part in c.by_letter().items() if part in out}
    assert out[c.density] == "8gaussians" and out[c.nfe_all] == 5
    assert [values[f"path_{s}"] for s in "abc"] == ["otcfm", "idff", "idff"]
    assert [values[f"sampler_{s}"] for s in "abc"] == ["euler", "published", "multistep"]
    assert [values[f"shown_{s}"] for s in "abcd"] == [True, True, True, False]
    assert values["gamma1_b"]["value"] == 0.2 and values["gamma1_b"]["visible"]
    assert not values["gamma1_a"]["visible"] and not values["sigma0_a"]["visible"] and "path_d" not in values
    assert {path for path, _ in START_SETTINGS} >= {"otcfm", "idff"}


def test_the_tour_takes_the_controls_of_the_tabs(page):
    demo, built = page
    stops = Stops.of(built)
    parts = [*stops.read.values(), *stops.set]
    assert all(demo.blocks[part._id] is part for part in parts)
    assert stops.read["steps"].elem_id == "steps" and stops.read["ratio"].elem_id == "edit-ratio"


def test_a_lesson_is_escaped_and_says_where_it_is():
    lesson = LESSONS[0]
    strange = type(lesson)("<b>", ("a & b.", "c."), "generate", "level", lesson.preset, "<i>Check</i>")
    text = lesson_html(2, strange)
    assert "<b>2 of 6</b>" in text and "&lt;b&gt;" in text and "a &amp; b. c." in text and "<i>Check" not in text
    assert text.count("ks-now-at") == 1


def test_agreement_is_said_in_words():
    for right, (sign, word) in AGREEMENT.items():
        page = reply_html(Reply("a < b", right))
        assert "a &lt; b" in page and sign in page and word in page
    assert len({sign for sign, _ in AGREEMENT.values()}) == len({word for _, word in AGREEMENT.values()}) == 3


def test_what_was_done_is_what_is_measured(tour, library):
    bench = library.get("tiny")
    assert tells(ask(tour, 1, played=2), 3, 6)
    assert not numbers(ask(tour, 1, played=5))  # the last level is the picture itself
    assert tells(ask(tour, 2, guess=0.3), 0.3)
    entry = bench.spectrum().entries[0]
    assert f"α = {entry.alpha.flat[3]:+.2f}" in ask(tour, 3, mode=3, level=0)
    assert not numbers(ask(tour, 3))
    mse = bench.mask_bands(MaskRequest(2, edges=(0.33, 0.67), gains=(1, 0, 1))).mse
    assert tells(ask(tour, 4, middle=0), "middle α", float(f"{mse:.3g}"))
    assert "α" in ask(tour, 5)  # names of bands, where exactly one was taken
    assert "α" not in ask(tour, 4) + ask(tour, 5, bands=[]) + ask(tour, 5, bands=[0, 1])
    assert tells(ask(tour, 6, choice=0), 2) and ask(tour, 0) == ""


def test_hidden_and_foreign_values_are_refused_in_a_sentence(tour):
    for number, more in (
        (1, {"played": 99}),
        (3, {"mode": 10**6}),
        (4, {"seed": -1}),
        (5, {"bands": [7]}),
        (6, {"choice": 9}),
        (6, {"choice": 0, "density": DRAWING}),
        (6, {"choice": 0, "nfe": 900}),
    ):
        with pytest.raises(UserError):
            ask(tour, number, **more)


def test_the_bar_is_closed_and_hides_its_answers(library):
    demo, _ = page_of(library, "generate")
    by_id = {block.elem_id: block for block in demo.blocks.values() if getattr(block, "elem_id", None)}
    assert by_id["tour"].open is False
    assert [by_id[f"tour-{n}"].visible for n in ("guess", "choice", "check")] == [False] * 3
