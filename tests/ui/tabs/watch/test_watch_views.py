"""Views "Walk" and "Race" of "Watch"."""

from __future__ import annotations

import json

import gradio as gr
import pytest

from analysis.flow.images import ImageFlows
from analysis.race import RACE_CALLS
from ui.source import NO_CLASS
from ui.tabs.watch.race import RaceControls, RaceTab
from ui.tabs.watch.walk import WalkControls, WalkTab


def test_a_walk_goes_from_seed_to_seed(library):
    tab = WalkTab(library, WalkControls.names())
    shown = tab.walk("tiny", 3, NO_CLASS, 8, 7)
    player = json.loads(shown["player"])
    assert player["labels"][0] == "seed 3" and player["labels"][-1] == "seed 8" and len(player["labels"]) == 7
    assert player["start"] == 3 and shown["strip"].count("<figure") == 6


def test_a_seed_that_is_being_typed_starts_no_walk(library):
    assert WalkTab(library, WalkControls.names()).walk("tiny", 3, NO_CLASS, None, 7) == gr.skip()


@pytest.fixture
def race(library, tmp_path) -> RaceTab:
    return RaceTab(library, ImageFlows(tmp_path), RaceControls.names())


def test_a_race_has_a_row_a_runner_and_says_who_is_not_there(race):
    shares = []
    shown = race.race("tiny", 3, NO_CLASS, None, lambda share, what: shares.append(share))
    table = shown["race"]
    # one picture of the model, one a number of calls of the teacher, and no flow
    assert table.count("<img") == 1 + len(RACE_CALLS) and table.count("<tr>") == 4
    assert shown["path"]["interactive"] is False and shares == sorted(shares)


def test_without_a_teacher_the_model_runs_alone(race):
    assert race.race("tiny-classes", 3, 1, None)["race"].count("<img") == 1
