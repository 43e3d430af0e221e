"""Tab "Restore": its handlers as plain functions."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.koopman.restoration import HoleNumbers
from analysis.recipes import recipe
from analysis.recipes.settings import ColorizeSettings, InpaintSettings
from analysis.workbench.editing import ColorizeRequest, InpaintRequest, RestoreResult
from analysis.workbench.images import GenerateRequest
from ui.components.html import data_uri
from ui.components.painter import hole
from ui.components.picture_chooser import photograph
from ui.server.errors import UNEXPECTED
from ui.tabs import restore_handlers
from ui.tabs.restore_handlers import RestoreTab, done_line, fill, guarded_steps, hole_numbers, of_task

CAT = photograph("cat", 16)
HOLE = hole("centre square", 16)
VISITOR = SimpleNamespace(session_hash="me")
NAMES = (
    "model", "seed", "label", "origin", "brought", "task", "mask", "steps", "method", "tau", "made_up", "truth",
)  # fmt: skip
FIRST = dict(zip(NAMES, ("tiny", 3, -1, "picture", CAT, "inpaint", HOLE, 4, "iterative", 0.5, 7, True), strict=True))


def values(**change) -> tuple:
    return tuple((FIRST | change)[name] for name in NAMES)


@pytest.fixture
def tab(library) -> RestoreTab:
    return RestoreTab(library)


def test_every_step_is_shown_and_the_last_is_the_workbenchs(tab, library):
    shown = list(tab.run(*values(), VISITOR))
    result = library.get("tiny").inpaint(InpaintRequest(CAT, HOLE, 7, -1, 4))
    assert len(shown) == 1 + 4 + 1
    for (pictures, line, *_), frame, n in zip(shown[1:-1], result.frames, range(1, 5), strict=True):
        assert data_uri(frame) in pictures and data_uri(CAT) in pictures and f"step {n} of 4" in line
    pictures, line, numbers, keep, go, stop = shown[-1]
    assert data_uri(result.picture) in pictures and data_uri(result.given) in pictures
    assert "4 network calls" in line and f"{result.numbers.psnr:.1f} dB" in numbers
    assert go["interactive"] and not stop["interactive"]
    assert not shown[0][4]["interactive"] and shown[0][5]["interactive"]
    assert recipe.from_json(json.loads(keep)["recipe"]).settings == InpaintSettings.of(
        InpaintRequest(CAT, HOLE, 7, -1, 4)
    )


def test_what_is_given_is_shown_before_the_first_step(tab, library):
    for task in ("inpaint", "colorize"):
        shown = list(tab.run(*values(task=task, steps=1), VISITOR))
        picture = shown[-1][0].split("src=")[1].split()[0]  # the first of the row
        assert shown[0][0].split("src=")[1].split()[0] == picture


def test_cancelling_keeps_the_last_step(tab):
    steps = tab.run(*values(steps=40), VISITOR)
    tab.wish(VISITOR)
    seen = [next(steps) for _ in range(3)]
    tab.cancel(VISITOR)
    rest = list(steps)
    assert len(seen) + len(rest) < 30  # not all 40
    last = ([*seen, *rest][-2])[0].split("src=")[2]  # the picture in the middle, before the final row
    pictures, line, numbers, keep, go, _ = rest[-1]
    assert pictures.split("src=")[2].split()[0] == last.split()[0]
    assert "Stopped after" in line and "of 40 steps" in line and "dB" in numbers
    assert keep == "" and "save PNG" in pictures and go["interactive"]


def test_a_run_that_waits_in_the_queue_can_be_cancelled(tab, library, monkeypatch):
    monkeypatch.setattr(library.get("tiny"), "inpaint", None)
    tab.wish(VISITOR)
    tab.cancel(VISITOR)
    (only,) = tab.run(*values(), VISITOR)
    assert only[0] == gr.skip() and "before it began" in only[1] and only[4]["interactive"]


def test_one_visitor_does_not_cancel_another(tab):
    tab.wish(VISITOR)
    tab.wish(SimpleNamespace(session_hash="you"))
    tab.cancel(SimpleNamespace(session_hash="you"))
    assert "Done" in list(tab.run(*values(), VISITOR))[-1][1]


def test_a_page_that_is_left_ends_the_work(tab, library, monkeypatch):
    ended = threading.Event()
    original = library.get("tiny").inpaint

    def watched(request, progress):
        result = original(request, progress)
        if result.stopped:
            ended.set()
        return result

    monkeypatch.setattr(library.get("tiny"), "inpaint", watched)
    steps = guarded_steps(tab.run)(*values(steps=40), VISITOR)
    next(steps), next(steps)
    steps.close()
    assert ended.wait(30)


def test_patience_is_bounded(tab, monkeypatch):
    monkeypatch.setattr(restore_handlers, "PATIENCE", -1.0)
    shown = list(tab.run(*values(steps=40), VISITOR))
    assert "Stopped after 1 of 40 steps" in shown[-1][1]


def test_at_once_is_one_step(tab, library):
    shown = list(tab.run(*values(method="latent", tau=0.3, truth=False), VISITOR))
    result = library.get("tiny").inpaint(InpaintRequest(CAT, HOLE, 7, method="latent", tau=0.3, truth=False))
    assert data_uri(result.picture) in shown[-1][0] and data_uri(CAT) not in shown[-1][0]
    assert shown[-1][2] == "" and "of 1" in shown[1][1]


def test_colours(tab, library):
    shown = list(tab.run(*values(task="colorize", mask=None), VISITOR))
    result = library.get("tiny").colorize(ColorizeRequest(CAT, 7, -1, 4))
    assert data_uri(result.picture) in shown[-1][0] and "of the picture" in shown[-1][2]


def test_failures_are_sentences_while_it_runs(tab, library, monkeypatch, capsys):
    with pytest.raises(gr.Error, match="Nothing is painted"):
        next(guarded_steps(tab.run)(*values(mask=None), VISITOR))

    def fails(request, progress):
        raise RuntimeError("secret")

    monkeypatch.setattr(library.get("tiny"), "inpaint", fails)
    steps = guarded_steps(tab.run)(*values(), VISITOR)
    next(steps)
    with pytest.raises(gr.Error) as caught:
        next(steps)
    assert caught.value.message == UNEXPECTED and "secret" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"steps": 41}, {"steps": 0}, {"method": "magic"}, {"tau": -1}, {"made_up": None}])
def test_a_value_out_of_range_is_a_sentence(tab, change):
    with pytest.raises(UserError, match="[.]$"):
        next(tab.run(*values(**change), VISITOR))


# pictures and holes


def test_the_picture_follows_the_source_bar_only_where_it_is_its_own(tab, library):
    own = library.get("tiny").generate(GenerateRequest((3,))).pictures[0]
    now, value, preview, *result = tab.look(True, None, "tiny", 3, -1, "seed", CAT, HOLE)
    assert np.array_equal(now, own) and json.loads(value)["mask"].count("1") == 64 and "seed 3" in preview
    assert result[1:] == ["", "", ""]
    same = (gr.skip(),) * 7
    assert tab.look(True, now, "tiny", 3, -1, "seed", CAT, HOLE) == same  # the result stays
    assert tab.look(False, None, "tiny", 3, -1, "seed", CAT, HOLE) == same
    assert tab.look(True, CAT, "tiny", 4, -1, "picture", CAT, HOLE) == same
    assert tab.look(True, None, "tiny", None, -1, "seed", CAT, HOLE) == same


def test_pictures_of_another_size_are_fitted(tab):
    now, value, *_ = tab.look(True, None, "tiny", 3, -1, "picture", photograph("cat", 32), hole("left half", 32))
    assert now.shape == (16, 16, 3) and json.loads(value)["side"] == 16


def test_ready_made_holes_and_strokes(tab):
    mask, value = tab.ready_made("left half", CAT)
    assert mask.shape == (16, 16) and json.loads(value)["mask"].startswith("1" * 8 + "0" * 8)
    bits = json.loads(value)["mask"]
    assert np.array_equal(tab.stroke(SimpleNamespace(_data={"mask": bits}), CAT), mask)
    with pytest.raises(UserError, match="paint again"):
        tab.stroke(SimpleNamespace(_data={"mask": "1"}), CAT)


# words and recipes


def result_of(numbers, stopped=False) -> RestoreResult:
    grey = np.zeros((8, 8, 3), np.uint8)
    return RestoreResult(grey, grey, grey[None], np.ones(1), 1, stopped, numbers)


def test_an_infinite_psnr_is_called_identical():
    words = hole_numbers(result_of(HoleNumbers(float("inf"), 1.0, None)), "inpaint")
    assert "identical" in words and "inf" not in words and "LPIPS" not in words and "SSIM of the hole" in words
    assert hole_numbers(result_of(None), "inpaint") == ""
    assert "0.250" in hole_numbers(result_of(HoleNumbers(12.0, None, 0.25)), "colorize")


def test_the_line_below_counts():
    assert "1 network call." in done_line(result_of(None), 1)
    assert "after 1 of 9 steps" in done_line(result_of(None, stopped=True), 9)


@pytest.mark.parametrize(
    "settings",
    [
        InpaintSettings.of(InpaintRequest(CAT, HOLE, 5, -1, 9, "latent", 0.2, False)),
        ColorizeSettings.of(ColorizeRequest(CAT, 5, -1, 9, False)),
    ],
)
def test_a_recipe_fills_the_controls_that_ask_for_it(tab, settings):
    filled = fill(settings)
    origin, _, picture, _, task, mask, _, _, method, tau, steps, made_up, truth = filled
    inpaint = task == "inpaint"
    again = tab.request(
        "tiny", 5, -1, origin, picture, task, mask if inpaint else None, steps["value"], method["value"],
        tau.get("value"), made_up, truth,
    )  # fmt: skip
    assert type(settings).of(again) == settings


def test_controls_come_and_go_with_the_task():
    def there(*args):
        return [u["visible"] for u in of_task(*args)]

    assert there("inpaint", "iterative") == [True, False, True, False, True]
    assert there("inpaint", "latent") == [True, False, True, True, False]
    assert there("colorize", "latent") == [False, True, False, False, True]
