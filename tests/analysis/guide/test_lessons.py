"""The tour's data: presets are questions that can be asked, and texts are short."""

import dataclasses

import pytest

from analysis.flow.points import Flow2DRequest
from analysis.guide.lessons import ASKS, LESSONS, SLIDER_THIRDS
from analysis.recipes import recipe
from analysis.workbench.library import ModelLibrary
from analysis.workbench.probes import LinearityRequest


def test_six_lessons_each_with_an_answer_of_its_own_kind():
    assert len(LESSONS) == 6 and tuple(lesson.asks for lesson in LESSONS) == ASKS
    assert [lesson.tab for lesson in LESSONS] == ["watch", "linear", "modes", "bands", "edit", "flow"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        LESSONS[0].title = "x"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.title)
def test_texts_are_short(lesson):
    assert 2 <= len(lesson.words) <= 4 and all(w.endswith(".") for w in lesson.words)
    assert len(lesson.title) < 40 and len(" ".join(lesson.words)) < 460 and len(lesson.task) < 240
    assert "Check" in lesson.task or "check" in lesson.task


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.title)
def test_presets_can_be_asked(lesson, models):
    if lesson.asks == "flow":
        assert all(isinstance(r, Flow2DRequest) for r in lesson.preset)
        assert {(r.density, r.nfe, r.seed) for r in lesson.preset} == {("8gaussians", 5, 0)}
    elif lesson.asks == "guess":
        assert isinstance(lesson.preset, LinearityRequest)
    else:  # as the page fills them: by their recipe
        bench = ModelLibrary(models, default="shapes").get("shapes")
        again = recipe.from_json(recipe.describe(lesson.preset, bench).text).request
        for field in dataclasses.fields(again):
            assert getattr(again, field.name) == getattr(lesson.preset, field.name)


def test_edges_are_those_of_the_pages_sliders():
    from ui.tabs.change import edit_controls
    from ui.tabs.inside import spectrum

    assert SLIDER_THIRDS == (spectrum.LOW_EDGE, spectrum.HIGH_EDGE) == (edit_controls.LOW_EDGE, edit_controls.HIGH_EDGE)
