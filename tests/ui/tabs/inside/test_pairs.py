"""Channel pairs sorted by effect, and what a click on one chooses."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.core.errors import UserError
from ui.components.html import response
from ui.source import NO_CLASS
from ui.tabs.inside.pairs import PairControls, PairPart, modes_of
from ui.tabs.inside.spectrum import SpectrumTab, level_line
from ui.tabs.inside.spectrum_controls import SpectrumControls

WHERE = {"level": 0, "low": 0.33, "high": 0.67, "order": "alpha"}


def event(points) -> SimpleNamespace:
    return SimpleNamespace(_data={"points": points})


@pytest.fixture
def tab(library) -> SpectrumTab:
    return SpectrumTab(library, SpectrumControls.names())


def test_the_list_is_sorted(library):
    shown = PairPart(library, PairControls.names()).rank("tiny", 3, NO_CLASS, 0)["listed_pairs"]
    values = [float(part.split('"')[0]) for part in shown.split('value="')[1:]]
    assert values == sorted(values, reverse=True) and values[0] == 1


def test_a_click_on_a_pair_chooses_its_modes(tab):
    entry = tab.entry("tiny", 0)
    places = entry.alpha[0].size
    shown = tab.choose_pair(event([1]), model="tiny", **WHERE)
    assert shown["chosen"] == modes_of(1, entry.shape) == list(range(places, 2 * places))
    assert shown["pair"]["value"] == 1
    with pytest.raises(UserError):
        tab.choose_pair(event([entry.alpha.shape[0]]), model="tiny", **WHERE)


def test_the_pointer_on_a_mode_shows_it_and_off_the_plane_what_is_chosen(tab):
    asked = {"model": "tiny", "seed": 3, "label": NO_CLASS, **WHERE}
    assert 'data-mode="5"' in tab.hover(event([5]), **asked, chosen=[])["card"]
    assert 'data-mode="2"' in tab.hover(event([]), **asked, chosen=[2])["card"]
    assert "data-mode" not in tab.hover(event([]), **asked, chosen=[])["card"]


def test_the_page_opens_on_the_deepest_level_that_carries_something(tab, monkeypatch):
    entries = tab.spectrum("tiny").entries
    last = len(entries) - 1
    for idle, deepest in (((), last), (None, last), ((last,), last - 1), (tuple(range(last + 1)), last)):
        marked = SimpleNamespace(entries=entries, idle=idle, idle_bound=0.01)
        monkeypatch.setattr(tab, "spectrum", lambda model, marked=marked: marked)
        assert tab.deepest("tiny") == deepest


def test_an_idle_level_is_grey_and_says_so(tab, monkeypatch):
    spectrum = tab.spectrum("tiny")
    marked = SimpleNamespace(entries=spectrum.entries, idle=(0,), idle_bound=0.01)
    monkeypatch.setattr(tab, "spectrum", lambda model: marked)
    assert "0.01" in tab.lined("tiny", 0) and tab.lined("tiny", 1) == level_line(spectrum.entries[1])
    assert tab.labelled("tiny")[0][0] != tab.labelled("tiny")[1][0]
    assert "#8A8F98" in tab.plane("tiny", 0, 0.33, 0.67, "alpha")["plane"]
    assert "#8A8F98" not in tab.plane("tiny", 1, 0.33, 0.67, "alpha")["plane"]


def test_where_modes_act_is_warm():
    contribution = np.full((2, 2, 3), 128, np.uint8)
    contribution[0, 0] = 255
    shown = response(np.full((2, 2, 3), 100, np.uint8), contribution)
    assert shown[0, 0].tolist() == [213, 94, 0] and len(set(shown[1, 1].tolist())) == 1
