"""The scenes of docs/lecture.md in a browser, with models and nets of a test's own."""

from __future__ import annotations

import pytest

from benchmarks.lecture_film import SCENES
from tests.ui.test_browser import visit


@pytest.fixture(scope="module")
def page(browser, url):
    page, complaints, _ = visit(browser, url)
    page.set_viewport_size({"width": 1280, "height": 800})
    yield page
    page.close()
    assert complaints == []


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_scene_shows_what_it_promises(page, scene):
    shots = list(scene(page))
    assert shots and all(shot.size == (1280, 800) for shot, _ in shots)
    if len(shots) > 2:  # something moves
        assert len({shot.tobytes() for shot, _ in shots}) > 1
