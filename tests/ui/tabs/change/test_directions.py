"""Views "Directions" and "Inversion" of "Change"."""

from __future__ import annotations

import json

import gradio as gr
import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.koopman.directions import contrasts
from ui.components.picture_chooser import photograph
from ui.source import NO_CLASS
from ui.tabs.change.directions import STEPS, DirectionControls, DirectionTab, choices_of, strengths
from ui.tabs.change.inversion import INVERSION_TIMES, InversionControls, InversionTab, visible_noise

ASKED = {"method": "mean", "contrast": None, "class_from": NO_CLASS, "class_to": 0, "index": 1, "region": "whole"}


@pytest.fixture
def tab(library) -> DirectionTab:
    return DirectionTab(library, DirectionControls.names())


def test_strengths_are_even_around_zero():
    assert strengths(4)[STEPS // 2] == 0 and strengths(4)[0] == -4 and strengths(4)[-1] == 4


def test_between_two_classes(tab):
    shown = tab.find("tiny-classes", 3, NO_CLASS, **ASKED, reach=2)
    player = json.loads(shown["player"])
    assert len(player["labels"]) == STEPS and len(player["tracks"]) == 4 and player["start"] == STEPS - 1
    assert shown["words"].count("<tr>") >= 5


def test_within_a_region_what_changes_outside_is_told(tab):
    shown = tab.find("tiny", 3, NO_CLASS, **ASKED | {"method": "decoder", "region": "lower-half"}, reach=2)
    assert "outside" in shown["words"] and "–" not in shown["words"].split("</table>")[0]


def test_what_a_model_has_not_is_said_before_the_click(tab):
    opened = tab.opened("tiny-classes", "teacher", None)
    names = [name for _, name in opened["method"]["choices"]]
    assert "teacher" not in names and opened["method"]["value"] in names and opened["reason"]
    assert len(opened["class_to"]["choices"]) == 4 and opened["class_to"]["value"] == 0
    assert opened["class_to"]["visible"] and not opened["contrast"]["visible"]
    assert tab.opened("tiny-classes", "mean", "tiny-classes") == gr.skip()
    assert "mean" not in [name for _, name in tab.opened("tiny", "mean", None)["method"]["choices"]]
    with pytest.raises(UserError):
        tab.find("tiny", 3, NO_CLASS, **ASKED, reach=2)


def test_the_factors_of_drawn_pictures_can_be_chosen(tab, library, monkeypatch):
    bench = library.get("tiny")
    monkeypatch.setitem(bench.model.card, "data", {"spec": "shapes", "classes": []})
    opened = tab.opened("tiny", "mean", None)
    assert len(json.loads(tab.find("tiny", 3, NO_CLASS, **ASKED, reach=2)["player"])["labels"]) == STEPS
    assert opened["contrast"]["visible"] and "." not in opened["contrast"]["value"] and not opened["reason"]


@pytest.mark.parametrize("data, first", [("portraits", "skin"), ("shapes", "size")])
def test_a_factor_that_is_seen_at_once_comes_first(library, monkeypatch, data, first):
    bench = library.get("tiny")
    monkeypatch.setattr(bench.model, "card", {"data": {"spec": data}})
    assert choices_of(bench)[0] == first and set(choices_of(bench)) == set(contrasts(data))


def test_only_what_a_method_reads_can_be_moved(tab):
    assert tab.read("tiny-classes", "mean")["index"]["interactive"] is False
    assert tab.read("tiny-classes", "decoder")["index"]["interactive"] is True


@pytest.fixture
def inversion(library) -> InversionTab:
    return InversionTab(library, InversionControls.names())


def test_both_ways_back(inversion):
    shown = inversion.invert("tiny", 3, NO_CLASS, "picture", photograph("cat", 16), 4)
    assert shown["pictures"].count("<figure") == 4 and len(json.loads(shown["player"])["labels"]) == INVERSION_TIMES
    assert shown["words"].count("<td>") == 8


def test_without_a_teacher_the_law_goes_back_alone(inversion):
    shown = inversion.invert("tiny-classes", 3, 1, "seed", None, 4)
    assert shown["pictures"].count("<figure") == 2
    assert inversion.invert("tiny", None, NO_CLASS, "seed", None, 4) == gr.skip()


def test_noise_is_shown_with_two_deviations_as_black_and_white():
    shown = visible_noise(np.array([-5.0, -2.0, 0.0, 2.0], np.float32).reshape(1, 2, 2))
    assert shown.ravel().tolist() == [0, 0, 128, 255]
