"""Tab "Restore": its handlers as plain functions."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.core.images import data_uri
from analysis.recipes import recipe
from analysis.workbench.images import GenerateRequest
from analysis.workbench.restoration import ColorizeRequest, InpaintRequest
from tests.refusals import refuses
from tests.sentences import numbers, tells
from ui.components.painter import hole
from ui.components.picture_chooser import photograph
from ui.server.errors import UNEXPECTED, guarded
from ui.tabs.change.restore import FILLED, MOST_END, TASK_PARTS, RestoreControls, RestoreTab

CAT = photograph("cat", 16)
HOLE = hole("centre square", 16)
VISITOR = SimpleNamespace(session_hash="me")
NAMES = (
    "model", "seed", "label", "origin", "brought", "task", "mask", "steps", "end", "skip", "by", "method", "tau",
    "filling_seed", "truth",
)  # fmt: skip
START = ("tiny", 3, -1, "picture", CAT, "inpaint", HOLE, 4, 0.0, False, "model", "iterative", 0.5, 7, True)
FIRST = dict(zip(NAMES, START, strict=True))


def values(**change) -> dict:
    return FIRST | change


@pytest.fixture
def tab(library) -> RestoreTab:
    return RestoreTab(library, RestoreControls.names())


def test_every_step_is_shown_and_the_last_is_the_workbenchs(tab, library):
    shown = list(tab.run(VISITOR, **values()))
    result = library.get("tiny").inpaint(InpaintRequest(CAT, HOLE, 7, -1, 4))
    assert len(shown) == 1 + 4 + 1
    for step, frame, n in zip(shown[1:-1], result.frames, range(1, 5), strict=True):
        assert data_uri(frame) in step["pictures"] and data_uri(CAT) in step["pictures"]
        assert f"step {n} of 4" in step["progress"]
    last = shown[-1]
    assert data_uri(result.picture) in last["pictures"] and data_uri(result.given) in last["pictures"]
    assert tells(last["progress"], 4) and f"{result.numbers.psnr:.1f} dB" in last["numbers"]
    assert last["start"]["interactive"] and not last["stop"]["interactive"]
    assert not shown[0]["start"]["interactive"] and shown[0]["stop"]["interactive"]
    saved = recipe.from_json(json.loads(last["save"])["recipe"]).request
    assert saved.as_settings() == InpaintRequest(CAT, HOLE, 7, -1, 4).as_settings()


def test_what_is_given_is_shown_before_the_first_step(tab, library):
    for task in ("inpaint", "colorize"):
        shown = list(tab.run(VISITOR, **values(task=task, steps=1)))
        picture = shown[-1]["pictures"].split("src=")[1].split()[0]  # the first of the row
        assert shown[0]["pictures"].split("src=")[1].split()[0] == picture


def test_cancelling_keeps_the_last_step(tab):
    steps = tab.run(VISITOR, **values(steps=40))
    tab.wish(VISITOR)
    seen = [next(steps) for _ in range(3)]
    tab.cancel(VISITOR)
    rest = list(steps)
    assert len(seen) + len(rest) < 30  # not all 40
    last = ([*seen, *rest][-2])["pictures"].split("src=")[2]  # the picture in the middle, before the final row
    end = rest[-1]
    assert end["pictures"].split("src=")[2].split()[0] == last.split()[0]
    assert " of 40 " in end["progress"] and "dB" in end["numbers"]
    assert end["save"] == "" and 'download="' in end["pictures"] and end["start"]["interactive"]


def test_a_run_that_waits_in_the_queue_can_be_cancelled(tab, library, monkeypatch):
    monkeypatch.setattr(library.get("tiny"), "inpaint", None)
    tab.wish(VISITOR)
    tab.cancel(VISITOR)
    (only,) = tab.run(VISITOR, **values())
    assert "pictures" not in only and only["progress"] and only["start"]["interactive"]


def test_one_visitor_does_not_cancel_another(tab):
    tab.wish(VISITOR)
    tab.wish(SimpleNamespace(session_hash="you"))
    tab.cancel(SimpleNamespace(session_hash="you"))
    assert numbers(list(tab.run(VISITOR, **values()))[-1]["progress"]) == [4]  # network calls, all of them


def test_a_page_that_is_left_ends_the_work(tab, library, monkeypatch):
    ended = threading.Event()
    original = library.get("tiny").inpaint

    def watched(request, progress):
        result = original(request, progress)
        if result.stopped:
            ended.set()
        return result

    monkeypatch.setattr(library.get("tiny"), "inpaint", watched)
    steps = guarded(tab.run)(VISITOR, **values(steps=40))
    next(steps), next(steps)
    steps.close()
    assert ended.wait(30)


def test_patience_is_bounded(library):
    tab = RestoreTab(library, RestoreControls.names(), patience=-1.0)
    shown = list(tab.run(VISITOR, **values(steps=40)))
    assert " 1 of 40 " in shown[-1]["progress"]


def test_at_once_is_one_step(tab, library):
    shown = list(tab.run(VISITOR, **values(method="latent", tau=0.3, truth=False)))
    result = library.get("tiny").inpaint(InpaintRequest(CAT, HOLE, 7, method="latent", tau=0.3, truth=False))
    assert data_uri(result.picture) in shown[-1]["pictures"] and data_uri(CAT) not in shown[-1]["pictures"]
    assert shown[-1]["numbers"] == "" and "of 1" in shown[1]["progress"]


def test_colours(tab, library):
    shown = list(tab.run(VISITOR, **values(task="colorize", mask=None)))
    result = library.get("tiny").colorize(ColorizeRequest(CAT, 7, -1, 4))
    assert data_uri(result.picture) in shown[-1]["pictures"] and f"{result.numbers.psnr:.1f} dB" in shown[-1]["numbers"]


def test_failures_are_sentences_while_it_runs(tab, library, monkeypatch, capsys):
    with refuses("mask"):
        next(tab.run(VISITOR, **values(mask=None)))
    with pytest.raises(gr.Error):
        next(guarded(tab.run)(VISITOR, **values(mask=None)))

    def fails(request, progress):
        raise RuntimeError("secret")

    monkeypatch.setattr(library.get("tiny"), "inpaint", fails)
    steps = guarded(tab.run)(VISITOR, **values())
    next(steps)
    with pytest.raises(gr.Error) as caught:
        next(steps)
    assert caught.value.message == UNEXPECTED and "secret" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change", [{"steps": 41}, {"steps": 0}, {"method": "magic"}, {"tau": -1}, {"filling_seed": None}]
)
def test_a_value_out_of_range_is_a_sentence(tab, change):
    with pytest.raises(UserError, match="[.]$"):
        next(tab.run(VISITOR, **values(**change)))


# pictures and holes


def look(tab, now=None, owner="tiny", **change):
    where = {"model": "tiny", "seed": 3, "label": -1, "origin": "seed", "brought": CAT, "mask": HOLE}
    return tab.look(now, owner, **where | change)


def test_the_picture_follows_the_source_bar_only_where_it_is_its_own(tab, library):
    own = library.get("tiny").generate(GenerateRequest((3,))).pictures[0]
    shown = look(tab)
    assert np.array_equal(shown["now"], own) and "seed 3" in shown["preview"] and shown["owner"] == "tiny"
    assert json.loads(shown["canvas"])["mask"].count("1") == 64
    assert [shown[name] for name in ("progress", "numbers", "save")] == ["", "", ""]
    assert look(tab, now=own) == gr.skip()  # the result stays
    assert look(tab, now=CAT, origin="picture", seed=4) == gr.skip()
    assert look(tab, seed=None) == gr.skip()


def test_a_result_names_its_model_and_goes_with_it(tab):
    """The same picture, another model: what the former one made must not stay."""
    result = list(tab.run(VISITOR, **values()))[-1]
    assert "tiny" in result["pictures"]
    shown = look(tab, now=CAT, owner="tiny", origin="picture", model="tiny-classes")
    assert shown["owner"] == "tiny-classes" and "<img" not in shown["pictures"] and shown["save"] == ""


def test_pictures_of_another_size_are_fitted(tab):
    shown = look(tab, origin="picture", brought=photograph("cat", 32), mask=hole("left half", 32))
    assert shown["now"].shape == (16, 16, 3) and json.loads(shown["canvas"])["side"] == 16


def test_ready_made_holes_and_strokes(tab):
    shown = tab.ready_made("left half", CAT)
    bits = json.loads(shown["canvas"])["mask"]
    assert shown["mask"].shape == (16, 16) and bits.startswith("1" * 8 + "0" * 8)
    assert np.array_equal(tab.stroke(SimpleNamespace(_data={"mask": bits}), CAT)["mask"], shown["mask"])
    with refuses("mask"):
        tab.stroke(SimpleNamespace(_data={"mask": "1"}), CAT)


# words and recipes


@pytest.mark.parametrize(
    "question",
    [
        InpaintRequest(CAT, HOLE, 5, -1, 9, "latent", 0.2, False), ColorizeRequest(CAT, 5, -1, 9, False),
        InpaintRequest(CAT, HOLE, 5, -1, 9, end=0.5, skip=True), ColorizeRequest(CAT, 5, -1, 9, by="teacher"),
    ],
)  # fmt: skip
def test_a_recipe_fills_the_controls_that_ask_for_it(tab, question):
    filled = tab.fill(question)
    assert set(filled) <= set(FILLED) and filled["origin"] == "picture"
    plain = {k: v.get("value") if isinstance(v, dict) else v for k, v in filled.items()}
    asked = {name: plain.get(name) for name in NAMES[3:]}
    again = tab.request("tiny", 5, -1, **asked)
    assert type(again) is type(question) and again.as_settings() == question.as_settings()


def test_the_teacher_restores_with_the_same_steps(tab, library):
    bench = library.get("tiny")
    for task, cls, given in (("inpaint", InpaintRequest, (CAT, HOLE)), ("colorize", ColorizeRequest, (CAT,))):
        shown = list(tab.run(VISITOR, **values(task=task, by="teacher", end=0.4, skip=True)))[-1]
        asked = cls(*given, 7, -1, 4, end=0.4, skip=True, by="teacher")
        result = getattr(bench, task)(asked)
        assert data_uri(result.picture) in shown["pictures"] and "teacher" in shown["pictures"]
        other = getattr(bench, task)(cls(*given, 7, -1, 4, end=0.4, skip=True))
        assert result.nfe == other.nfe and not np.array_equal(result.picture, other.picture)
    with refuses("by"):
        InpaintRequest(CAT, HOLE, method="latent", by="teacher")
    with refuses("by"):
        library.get("tiny-classes").colorize(ColorizeRequest(CAT, by="teacher"))
    assert list(tab.run(VISITOR, **values(method="latent", by="teacher")))[-1]["save"]  # whose the choice is hidden


def test_an_end_that_the_tab_does_not_have_is_refused(tab):
    with refuses("recipe"):
        tab.fill(InpaintRequest(CAT, HOLE, end=MOST_END + 1))


def test_what_was_measured_is_said_and_taken(tab, library, monkeypatch):
    card = library.get("tiny").model.card
    told = {"inpaint": {"steps": 6, "end": 0.5, "skip": True, "works": True}, "colorize": {"works": False}}
    monkeypatch.setitem(card, "metrics", {**card.get("metrics", {}), "restoration": told})
    assert tab.best("tiny", "inpaint") == {"steps": 6, "end": 0.5, "skip": True}
    assert tab.best("tiny", "colorize") == {"steps": ColorizeRequest.steps, "end": 0.0, "skip": False}
    for task, works in (("inpaint", "true"), ("colorize", "false")):
        assert f'data-works="{works}"' in tab.note("tiny", task)["note"]
    assert 'data-works="null"' in tab.note("tiny-classes", "inpaint")["note"]


def test_controls_come_and_go_with_the_task(tab):
    def there(*args):
        return [u["visible"] for u in tab.of_task(*args).values()]

    loop = len(TASK_PARTS) - 4
    assert there("inpaint", "iterative") == [True, False, True, False, *[True] * loop]
    assert there("inpaint", "latent") == [True, False, True, True, *[False] * loop]
    assert there("colorize", "latent") == [False, True, False, False, *[True] * loop]
