"""The scenes of docs/lecture.md in a browser, with models and nets of a test's own."""

from __future__ import annotations

import pytest

from benchmarks.films.lecture import SCENES

WINDOW = (1280, 800)  # of the shots


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_scene_shows_what_it_promises(page, scene):
    shots = list(scene(page))
    assert shots and all(shot.size == WINDOW for shot, _ in shots)
    if len(shots) > 2:  # something moves
        assert len({shot.tobytes() for shot, _ in shots}) > 1
