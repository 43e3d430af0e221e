"""Tab "Cumulative effect" as plain functions, and its buttons as a page."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.workbench.effects import EffectRequest
from analysis.workbench.spectrum import SurgeryRequest
from ui.components.html import png_base64
from ui.server import runs
from ui.server.runs import LongRun, Superseded, deadline
from ui.source import NO_CLASS
from ui.tabs import linearity
from ui.tabs.effects import EffectsTab
from ui.tabs.linearity import OLDER, PICTURES, Checks, consecutive, seed_words, verdict
from ui.tabs.surgery import BANDS, NEUTRAL, Surgery, band_choices

WHERE = ("tiny", 3, NO_CLASS, 0.3, 0.6, "alpha")


def skipped(values) -> bool:
    return all(v == gr.skip() for v in values)


@pytest.fixture(scope="module")
def checks(library):
    return Checks(library)


def stop(share, what):
    raise Superseded


# over time


def test_the_curves_are_the_workbenchs(library):
    formula, bands, levels, words = EffectsTab(library).curves(True, *WHERE, "energy", 3)
    found = library.get("tiny").cumulative_effect(EffectRequest((3, 4, 5), -1, (0.3, 0.6), "alpha", "energy"))
    named = {t["name"]: t for t in json.loads(levels)["data"]}
    assert list(named) == list(found.names) and "every time" in formula
    assert len(json.loads(bands)["data"]) == 6  # three bands, three ribbons
    assert "seeds 3 to 5" in words and "edges 0.30 and 0.60" in words
    assert "seed 3," in EffectsTab(library).curves(True, *WHERE, "arc", 1)[3]


def test_what_is_not_seen_is_not_computed(library):
    before = library.get("tiny").encodes
    assert skipped(EffectsTab(library).curves(False, "tiny", 999, NO_CLASS, 0.3, 0.6, "alpha", "arc", 9))
    assert skipped(Surgery(library).operate(False, "tiny", 999, NO_CLASS, 0.3, 0.6, "alpha", 0, *NEUTRAL, [], 0))
    assert library.get("tiny").encodes == before


@pytest.mark.parametrize("seed", [None, -1, 2**32])
def test_an_unusable_seed_changes_nothing(library, checks, seed):
    assert skipped(EffectsTab(library).curves(True, "tiny", seed, NO_CLASS, 0.3, 0.6, "alpha", "arc", 2))
    assert skipped(EffectsTab(library).decoded("tiny", seed, NO_CLASS, 0.3, 0.6, "alpha", 2))
    assert skipped(Surgery(library).operate(True, "tiny", seed, NO_CLASS, 0.3, 0.6, "alpha", 0, *NEUTRAL, [], 0))
    assert skipped(checks.linearity("tiny", seed, NO_CLASS, 1, 4))
    assert skipped(checks.labels("tiny", seed, NO_CLASS, 0.3, 0.6, "alpha", 2))


def test_seeds_end_where_there_are_no_more():
    last = 2**32 - 1
    assert consecutive(5, 3) == (5, 6, 7) and consecutive(last, 4) == (last,)
    assert seed_words((5, 6)) == "seeds 5 to 6" and seed_words((5,)) == "seed 5"


def test_an_edge_pushes_the_other_one():
    assert EffectsTab.edges("low", 0.8, 0.3) == (0.8, 0.8) and EffectsTab.edges("high", 0.8, 0.3) == (0.3, 0.3)
    assert EffectsTab.edges("low", 0.1, 0.3) == (gr.skip(), gr.skip())  # one that may be moving is left alone


def test_pictures_without_a_part_can_be_stopped(library):
    tab = EffectsTab(library)
    with pytest.raises(Superseded):
        tab.decoded("tiny", 50, NO_CLASS, 0.3, 0.6, "alpha", 1, stop)
    words, bands, levels = tab.decoded("tiny", 50, NO_CLASS, 0.6, 0.3, "alpha", 1)
    assert "misses the band" in words and "edges 0.30 and 0.60" in words  # crossed edges are put in order
    assert bands["visible"] and len(json.loads(levels["value"])["data"]) == len(library.get("tiny").entries)


# linearity


def test_linearity_shows_a_level_or_the_pictures(checks, library):
    words, levels, curves, dmd, asked = checks.linearity("tiny", 1, NO_CLASS, 2, 4)
    assert "linear" in words and "tiny, seeds 1 to 2, 4 noise levels" in words
    assert levels["value"] == len(library.get("tiny").entries) - 1 and levels["choices"][0][1] == PICTURES
    assert curves["visible"] and dmd["visible"]
    other, plane = checks.level(asked, 0)
    assert other["value"] != curves["value"] and "exact DMD" in plane["value"]
    pictures, none = checks.level(asked, PICTURES)
    assert "MSE of pictures" in pictures["value"] and not none["visible"]
    assert checks.level(asked, 99)[0]["value"] == curves["value"]  # a level of another model: the last one
    assert not checks.level(None, 0)[0]["visible"]


def test_linearity_needs_a_teacher_and_can_be_stopped(checks):
    with pytest.raises(UserError, match="teacher"):
        checks.linearity("tiny-classes", 1, NO_CLASS, 1, 4)
    with pytest.raises(Superseded):
        checks.linearity("tiny", 77, NO_CLASS, 1, 4, stop)


# labels and factors


def test_band_labels_and_factors(checks):
    words, power, asked = checks.labels("tiny", 1, NO_CLASS, 0.3, 0.6, "abs", 2)
    assert "|α|" in words and len(json.loads(power["value"])["data"]) == 3
    told, bands, levels, about = checks.attribution("tiny", 0.3, 0.6, "alpha", 8, 2.5, True)
    assert "paper&#x27;s reading" in told and "σ = 2.5, carried to the picture" in told
    assert json.loads(bands["value"])["data"][0]["y"][0].startswith("<b>everything")
    assert len(json.loads(levels["value"])["data"][0]["x"]) == 5
    with pytest.raises(Superseded):
        checks.attribution("tiny", 0.3, 0.6, "alpha", 16, 2.5, False, stop)
    assert checks.older("tiny", 1, NO_CLASS, asked, about, None) == ("", "", "")
    assert checks.older("tiny", 2, NO_CLASS, asked, about) == (OLDER, "")  # factors have no seed
    assert checks.older("tiny-classes", 1, NO_CLASS, asked, about) == (OLDER, OLDER)


def test_a_verdict_is_text():
    assert "<b>" not in verdict("<b>", of="<b>x</b>") and "&lt;b&gt;x" in verdict("a", of="<b>x</b>")


# surgery


def test_surgery_is_the_workbenchs(library):
    pictures, numbers = Surgery(library).operate(True, *WHERE, 1, 1.5, -0.5, 1.0, 2.0, [1, 99], 0.25)
    only = ((1.0, 1.5, 1.0), (0.0, -0.5, 0.0), (1.0, 1.0, 1.0), (0.0, 2.0, 0.0))
    found = library.get("tiny").surgery(SurgeryRequest(3, -1, (0.3, 0.6), "alpha", *only, (1,), 0.25))
    assert png_base64(found.altered) in pictures and png_base64(found.difference) in pictures
    assert f"{found.modes[1]:,}" in numbers and f"× {found.growth:.3g}" in numbers
    assert not np.array_equal(found.full, found.altered)


def test_all_modes_and_none_changed(library):
    pictures, numbers = Surgery(library).operate(True, *WHERE, BANDS, *NEUTRAL, [], 0.0)
    assert "none yet" in pictures
    assert f"{sum(e.alpha.numel() for e in library.get('tiny').entries):,}" in numbers
    assert [b for _, b in band_choices("abs")] == [0, 1, 2, 3] and "|α|" in band_choices("abs")[0][0]


# runs that take long


def test_a_run_gives_way_to_the_next_wish_and_to_a_stop():
    run, seen = LongRun(), []
    run.ask("a", "1")
    report = run.report("a", "1", lambda share, desc: seen.append((share, desc)))
    report(0.5, "x")
    run.ask("a", "2")
    with pytest.raises(Superseded):
        report(0.6, "x")
    again = run.report("a", "2", lambda *_, **__: None)
    run.stop("b")
    again(0.1, "x")  # another visitor's stop
    run.stop("a")
    with pytest.raises(Superseded):
        again(0.2, "x")
    with pytest.raises(Superseded):  # stopped while it waited in the queue
        run.report("a", "2", lambda *_, **__: None)
    assert seen == [(0.5, "x")]


def test_time_runs_out_with_a_sentence(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(runs.time, "monotonic", lambda: now[0])
    told = []
    watch = deadline(60, lambda *step: told.append(step))
    now[0] = 159.0
    watch(0.5, "x")
    now[0] = 161.0
    with pytest.raises(UserError, match="longer than 60 s here: ask for fewer"):
        watch(0.6, "x")
    assert told == [(0.5, "x")]


def test_a_page_runs_and_stops_a_measurement(monkeypatch):
    """The wiring itself: the measurement hears of the stop, and nothing that was shown is overwritten."""
    run, heard = LongRun(), []

    def slow(value, report):
        for i in range(200):
            heard.append(i)
            report(i / 200, "step")
            time.sleep(0.01)
        return f"done {value}", 1

    with gr.Blocks() as demo:
        box = gr.Number(7)
        words, state = gr.HTML(), gr.State()
        buttons = runs.run_buttons("Go", "x")
        runs.wire_run(run, buttons, slow, [box], [words, state])
    by_name = {d.fn.__name__: d.fn for d in demo.fns.values() if d.fn is not None}
    request = SimpleNamespace(session_hash="s")
    start, watched, halt = by_name["start"], by_name["watched"], by_name["stop"]
    assert [u["interactive"] for u in start(request, 7)] == [False, True]

    def progress(share, desc):
        if len(heard) == 3:
            halt(request)

    assert watched(request, progress, 7) == (runs.STOPPED, gr.skip()) and len(heard) == 4
    start(request, 7)
    monkeypatch.setattr(time, "sleep", lambda s: None)
    assert watched(request, lambda *_, **__: None, 7) == ("done 7", 1)
    assert linearity.REMARK["queue"] is False
