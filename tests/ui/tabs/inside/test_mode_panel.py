"""What chosen modes do, what a recipe of bands fills in, and what can be kept of it."""

from __future__ import annotations

import json
import math

import gradio as gr
import numpy as np
import pytest

from analysis.core.images import png_base64
from analysis.recipes import recipe as recipes
from analysis.workbench.spectrum import MAX_MODES, MaskRequest, ModeRequest
from tests.refusals import refuses
from tests.sentences import tells
from ui.components import html
from ui.source import NO_CLASS
from ui.tabs.inside.spectrum import NO_CHOICE, TOO_MANY, SpectrumTab
from ui.tabs.inside.spectrum_controls import SpectrumControls

EDGES = (0.3, 0.6)


@pytest.fixture
def panel(library):
    return SpectrumTab(library, SpectrumControls.names())


def show(panel, chosen, seed=5, model="tiny", label=NO_CLASS, level=0):
    return panel.contributions(model, seed, label, level, *EDGES, "alpha", chosen)


def whole(pictures: str) -> bool:
    """Whether the picture alone is shown, and what to do."""
    return pictures.endswith(NO_CHOICE) and pictures.count("<img") == 1


def test_one_mode_is_the_workbenchs(panel, library):
    shown = show(panel, [7])
    card, pictures, curves = shown["card"], shown["mode_pictures"], shown["mode_curves"]
    found = library.get("tiny").mode(ModeRequest(5, 0, (7,)))
    assert f"{found.alpha[0]:+.4f}" in card and f"{math.log(2) / abs(found.alpha[0]):.3g} τ" in card
    assert tells(card, *(float(f"{100 * found.share[t]:.2g}") for t in (0, -1))) and 'data-mode="7"' in card
    for picture in (found.full, found.without, found.contribution):
        assert png_base64(picture) in pictures
    assert html.times(found.magnification) in pictures
    assert curves["visible"] and len(json.loads(curves["value"])["data"]) == 2


def test_a_group_is_shown_as_one(panel, library):
    chosen = [1, 2, 70]
    shown = show(panel, chosen)
    card, pictures = shown["card"], shown["mode_pictures"]
    found = library.get("tiny").mode(ModeRequest(5, 0, tuple(chosen)))
    assert tells(card, 3, "skip 0") and f"{np.median(found.period):.3g} τ" in card
    assert tells(card, len(set(found.pair.tolist())), 3)
    assert png_base64(found.without) in pictures and tells(pictures, 3)


def test_a_class_belongs_to_its_model(panel, library):
    pictures = show(panel, [3], model="tiny-classes", label=2)["mode_pictures"]
    assert png_base64(library.get("tiny-classes").mode(ModeRequest(5, 0, (3,), 2)).without) in pictures


def test_nothing_chosen_and_too_much(panel):
    shown = show(panel, [])
    assert "card" not in shown and whole(shown["mode_pictures"]) and not shown["mode_curves"]["visible"]
    assert whole(show(panel, [10**6])["mode_pictures"])  # of a model that is no longer looked at
    size = panel.entry("tiny", 0).alpha.size
    if size > MAX_MODES:
        assert show(panel, list(range(MAX_MODES + 1)))["mode_pictures"] == TOO_MANY
    assert show(panel, [1], seed=None) == gr.skip()


def test_too_many_modes_are_not_asked_for(panel, monkeypatch):
    monkeypatch.setattr("ui.tabs.inside.spectrum.MAX_MODES", 2)
    assert show(panel, [1, 2, 3])["mode_pictures"] == TOO_MANY


def test_what_is_kept_makes_the_picture_again(panel, library):
    bench = library.get("tiny")
    shown = panel.masked("tiny", 3, NO_CLASS, *EDGES, 0.0, 1.0, 0.5, "abs", [1])
    recipe = recipes.from_json(json.loads(shown["save"])["recipe"])
    request = MaskRequest(3, -1, EDGES, (0.0, 1.0, 0.5), "abs", (1,))
    assert recipe.request == request
    assert png_base64(recipes.replay(recipe, bench).masked) in shown["pictures"]


def test_a_recipe_fills_the_controls(panel):
    request = MaskRequest(3, -1, (0.2, 0.7), (0, 1, 2), "abs", (1, 2), "mean")
    assert panel.fill(request) == {
        "low": 0.2, "high": 0.7, "small": 0, "middle": 1, "large": 2, "order": "abs", "levels": [1, 2],
        "ablation": "mean",
    }  # fmt: skip
    with refuses("edges"):
        panel.fill(MaskRequest(3, -1, (0.5,), (0, 1)))
