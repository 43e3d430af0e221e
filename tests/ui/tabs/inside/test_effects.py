"""Tab "Cumulative effect" as plain functions, and its buttons as a page."""

from __future__ import annotations

import functools
import json
import time
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.core.images import png_base64
from analysis.workbench.effects import EffectRequest
from analysis.workbench.spectrum import MaskRequest, SurgeryRequest
from tests.refusals import refuses
from tests.sentences import tells
from tests.ui.made import made_of
from ui.components.made import Made
from ui.server import runs
from ui.server.runs import LongRun, Superseded, deadline
from ui.source import NO_CLASS
from ui.tabs.inside.effects import FORMULAS, EffectControls, EffectsTab
from ui.tabs.inside.factors import FactorControls, FactorPart
from ui.tabs.inside.linearity import PICTURE_LEVEL, LinearityControls, LinearityPart, consecutive, seed_words, verdict
from ui.tabs.inside.surgery import BAND_COUNT, NEUTRAL, Surgery, SurgeryControls, band_choices

WHERE = ("tiny", 3, NO_CLASS, 0.3, 0.6, "alpha")


@pytest.fixture(scope="module")
def effects(library):
    return EffectsTab(library, EffectControls.names())


@pytest.fixture(scope="module")
def linear(library):
    return LinearityPart(library, LinearityControls.names())


@pytest.fixture(scope="module")
def factors(library):
    return FactorPart(library, FactorControls.names())


@pytest.fixture(scope="module")
def surgery(library):
    return Surgery(library, SurgeryControls.names())


def stop(share, what):
    raise Superseded


# over time


def test_the_curves_are_the_workbenchs(effects, library):
    shown = effects.curves(True, *WHERE, "energy", 3)
    result = library.get("tiny").cumulative_effect(EffectRequest((3, 4, 5), -1, (0.3, 0.6), "alpha", "energy"))
    named = {t["name"]: t for t in json.loads(shown["by_level"])["data"]}
    assert list(named) == list(result.names) and FORMULAS["energy"] in shown["formula"]
    assert len(json.loads(shown["by_band"])["data"]) == 6  # three bands, three ribbons
    assert tells(shown["words"], 0.3, 0.6) and tells(shown["words"], 3, 5)  # edges; seeds
    assert made_of(effects.curves(True, *WHERE, "arc", 1)["words"])[0]["seed"] == 3


def test_what_is_not_seen_is_not_computed(effects, surgery, library):
    before, there = library.get("tiny").encodes, ("tiny", 999, NO_CLASS, 0.3, 0.6, "alpha")
    assert effects.curves(False, *there, "arc", 9) == gr.skip()
    assert surgery.operate(False, *there, 0, [], 0, **NEUTRAL) == gr.skip()
    assert library.get("tiny").encodes == before


@pytest.mark.parametrize("seed", [None, -1, 2**32])
def test_an_unusable_seed_changes_nothing(effects, surgery, linear, factors, seed):
    there = ("tiny", seed, NO_CLASS, 0.3, 0.6, "alpha")
    assert effects.curves(True, *there, "arc", 2) == effects.decoded(*there, 2) == gr.skip()
    assert surgery.operate(True, *there, 0, [], 0, **NEUTRAL) == gr.skip()
    assert linear.measure("tiny", seed, NO_CLASS, 1, 4) == factors.frequencies(*there, 2) == gr.skip()


def test_seeds_end_where_there_are_no_more():
    last = 2**32 - 1
    assert consecutive(5, 3) == (5, 6, 7) and consecutive(last, 4) == (last,)
    assert seed_words((5, 6)) == "seeds 5 to 6" and seed_words((5,)) == "seed 5"


def test_an_edge_pushes_the_other_one(effects):
    assert effects.edges("low", 0.8, 0.3) == {"low": 0.8, "high": 0.8}
    assert effects.edges("high", 0.8, 0.3) == {"low": 0.3, "high": 0.3}
    assert effects.edges("low", 0.1, 0.3) == gr.skip()  # one that may be moving is left alone


def test_pictures_without_a_part_are_shown_and_can_be_stopped(effects, library):
    there, bench = ("tiny", 50, NO_CLASS, 0.6, 0.3, "alpha"), library.get("tiny")
    with pytest.raises(Superseded):
        effects.decoded(*there, 1, stop)
    shown = effects.decoded(*there, 1)
    assert "edges 0.30 and 0.60" in shown["decoded_words"]  # crossed edges are put in order
    assert shown["decoded_by_band"]["visible"]
    assert len(json.loads(shown["decoded_by_level"]["value"])["data"]) == len(bench.entries)
    pictures = shown["decoded_pictures"]
    assert pictures.count("<img") == 1 + 3 + len(bench.entries)
    for gains, entries in (((1, 1, 1), ()), ((1, 0, 1), ()), ((0, 0, 0), (1,))):
        masked = bench.mask_bands(MaskRequest(50, -1, (0.3, 0.6), gains, "alpha", entries)).masked
        assert png_base64(masked) in pictures


# linearity


def test_linearity_shows_a_level_or_the_pictures(linear, library):
    shown = linear.measure("tiny", 1, NO_CLASS, 2, 4)
    levels, request = shown["level"], shown["request"]
    assert tells(shown["words"], "tiny", 1, 2) and tells(shown["words"], 4)  # seeds; noise levels
    assert made_of(shown["words"])[0] == {"model": "tiny", "label": "no class", "seed": 1}
    assert levels["value"] == len(library.get("tiny").entries) - 1 and levels["choices"][0][1] == PICTURE_LEVEL
    assert shown["curves"]["visible"] and shown["dmd"]["visible"]
    other = linear.show_level(request, 0)
    assert other["curves"]["value"] != shown["curves"]["value"] and other["dmd"]["value"] != shown["dmd"]["value"]
    pictures = linear.show_level(request, PICTURE_LEVEL)
    assert pictures["curves"]["value"] not in (shown["curves"]["value"], other["curves"]["value"])
    assert not pictures["dmd"]["visible"]
    last = linear.show_level(request, 99)  # a level of another model: the last one
    assert last["curves"]["value"] == shown["curves"]["value"]
    assert not linear.show_level(None, 0)["curves"]["visible"]


def test_linearity_needs_a_teacher_and_can_be_stopped(linear):
    with refuses("teacher"):
        linear.measure("tiny-classes", 1, NO_CLASS, 1, 4)
    with pytest.raises(Superseded):
        linear.measure("tiny", 77, NO_CLASS, 1, 4, stop)


# labels and factors


def test_band_labels_and_factors(factors):
    counted = factors.frequencies("tiny", 1, NO_CLASS, 0.3, 0.6, "abs", 2)
    assert len(json.loads(counted["power"]["value"])["data"]) == 3
    found = factors.factors("tiny", 0.3, 0.6, "alpha", 8, 2.5, True)
    assert tells(found["factors"], 2.5)
    assert json.loads(found["by_band"]["value"])["data"][0]["y"][0].startswith("<b>everything")
    assert len(json.loads(found["by_level"]["value"])["data"][0]["x"]) == 5
    with pytest.raises(Superseded):
        factors.factors("tiny", 0.3, 0.6, "alpha", 16, 2.5, False, stop)
    assert made_of(counted["frequencies"])[0] == {"model": "tiny", "label": "no class", "seed": 1}
    assert made_of(found["factors"])[0] == {"model": "tiny", "label": None, "seed": None}  # factors have no seed


def test_a_verdict_is_text():
    told = verdict("<b>", made=Made("<b>", "<b>", 0), of="<b>x</b>", over="<b>")
    assert "<b>" not in told and "&lt;b&gt;x" in told


# surgery


def test_surgery_is_the_workbenchs(surgery, library):
    rates = {"alpha_scale": 1.5, "alpha_shift": -0.5, "beta_scale": 1.0, "beta_shift": 2.0}
    shown = surgery.operate(True, *WHERE, 1, [1, 99], 0.25, **rates)
    only = ((1.0, 1.5, 1.0), (0.0, -0.5, 0.0), (1.0, 1.0, 1.0), (0.0, 2.0, 0.0))
    found = library.get("tiny").surgery(SurgeryRequest(3, -1, (0.3, 0.6), "alpha", *only, (1,), 0.25))
    assert png_base64(found.altered) in shown["pictures"] and png_base64(found.difference) in shown["pictures"]
    assert f"{found.modes[1]:,}" in shown["numbers"] and f"× {found.growth:.3g}" in shown["numbers"]
    assert not np.array_equal(found.full, found.altered)


def test_all_modes_and_none_changed(surgery, library):
    shown = surgery.operate(True, *WHERE, BAND_COUNT, [], 0.0, **NEUTRAL)
    assert "×" not in shown["pictures"]  # nothing is magnified
    assert f"{sum(e.alpha.numel() for e in library.get('tiny').entries):,}" in shown["numbers"]
    choices = band_choices(library.info("tiny"), "abs")
    assert [b for _, b in choices] == [0, 1, 2, 3] and "|α|" in choices[0][0]


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
    with refuses("patience", "60 s"):
        watch(0.6, "x")
    assert told == [(0.5, "x")]


def run_of(measure):
    """A measurement's wiring: its handlers by name, its buttons and its outputs."""
    run = LongRun()
    with gr.Blocks() as demo:
        box = gr.Number(7)
        words, state = gr.HTML(), gr.State()
        buttons = runs.run_buttons("Go", "x")
        asked = functools.partial(measure, words, state)
        runs.wire_run(run, buttons, lambda value, report: asked(value, report), {"value": box}, [words, state])
    by_name = {d.fn.__name__: d.fn for d in demo.fns.values() if d.fn is not None}
    return by_name, buttons, words, state


def pressable(shown, buttons) -> list[bool]:
    return [shown[b]["interactive"] for b in (buttons.start, buttons.stop)]


def test_a_page_runs_and_stops_a_measurement(monkeypatch):
    """The wiring itself: the measurement hears of the stop, and nothing that was shown is overwritten."""
    heard = []

    def slow(words, state, value, report):
        for i in range(200):
            heard.append(i)
            report(i / 200, "step")
            time.sleep(0.01)
        return {words: f"done {value}", state: 1}

    handlers, buttons, words, state = run_of(slow)
    request = SimpleNamespace(session_hash="s")
    start, watched, halt = handlers["start"], handlers["watched"], handlers["stop"]
    assert pressable(start(request, value=7), buttons) == [False, True]

    def progress(share, desc):
        if len(heard) == 3:
            assert pressable(halt(request), buttons) == [True, False]

    stopped = watched(request, progress, value=7)
    assert stopped[words] == runs.STOPPED and state not in stopped and len(heard) == 4
    assert pressable(stopped, buttons) == [True, False]
    start(request, value=7)
    monkeypatch.setattr(time, "sleep", lambda s: None)
    done = watched(request, lambda *_, **__: None, value=7)
    assert (done[words], done[state]) == ("done 7", 1) and pressable(done, buttons) == [True, False]


@pytest.mark.parametrize("mistake", [UserError("Train a <net> first."), RuntimeError("secret")])
def test_a_measurement_that_fails_says_why_and_can_be_started_again(mistake, capsys):
    def fails(words, state, value, report):
        raise mistake

    handlers, buttons, words, _ = run_of(fails)
    request = SimpleNamespace(session_hash="s")
    handlers["start"](request, value=7)
    shown = handlers["watched"](request, lambda *_, **__: None, value=7)
    assert pressable(shown, buttons) == [True, False]
    assert ("Train a &lt;net&gt; first." in shown[words]) == isinstance(mistake, UserError)
    assert "secret" not in shown[words] and ("secret" in capsys.readouterr().err) == isinstance(mistake, RuntimeError)


def test_a_run_that_a_later_one_has_replaced_says_nothing():
    handlers, *_ = run_of(lambda words, state, value, report: {words: "x"})
    request = SimpleNamespace(session_hash="s")
    handlers["start"](request, value=7)
    handlers["start"](request, value=8)
    assert handlers["watched"](request, lambda *_, **__: None, value=7) == gr.skip()
