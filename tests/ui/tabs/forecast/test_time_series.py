"""Tab "Time series": handlers as plain functions on tiny models."""

from __future__ import annotations

import dataclasses
import json

import gradio as gr
import numpy as np
import pytest

from analysis.series import long_run
from analysis.series.forecast import ForecastRequest
from analysis.studio import Studio
from flow_core.samplers import METHODS, MOMENTUM, SAMPLER_NAMES, Diverged
from flow_core.series.model import SeriesModel
from tests.analysis.series.forecasts import bench_on
from tests.refusals import refuses
from tests.sentences import NUMBER, tells
from tests.ui.made import controls_of
from tests.ui.serving import page_of
from ui.server.runs import Superseded
from ui.tabs.forecast import time_series as words
from ui.tabs.forecast.time_series import FORECAST, FREE_RUN, MAPS, SeriesControls, TimeSeries, reads_gamma

SETTINGS = {"members": 5, "nfe": 3, "method": "multistep", "gamma": 0.5, "seed": 0}


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_run, "FREE_RUNS", 3)
        yield TimeSeries(bench_on(tmp_path_factory.mktemp("series"), patch), SeriesControls.names())


def test_a_forecast_of_a_vector_world(tab):
    out = tab.forecast("small", 0.3, 2, lead=0, **SETTINGS)
    r = tab.series.forecast(ForecastRequest("small", 0.3, 2, 5, 3))
    mine, other = (r.marks[k].crps_fair for k in ("this model", "damped persistence"))
    assert f"{mine:.3g} sd" in out["numbers"] and f"{other:.3g} sd" in out["numbers"]
    assert tells(out["words"], 0.25, "damped persistence", 0.5)  # over many starts
    assert [k for k, _ in words.baselines_by_strength({"this model": 1, "b": 3, "a": 2})] == ["a", "b"]
    assert next(t["name"] for t in json.loads(out["error"]["value"])["data"]) == "this model"
    assert out["fan"]["visible"] and not out["plane"]["visible"] and not out["lead"]["visible"]
    assert not any(out[m]["visible"] for m in MAPS)


def test_what_beats_no_strong_baseline_is_a_demonstration(tab):
    r = tab.series.forecast(ForecastRequest("small", 0.3, 2, 5, 3))
    usual = {"this model": 0.25, "persistence": 0.24}
    weak = dataclasses.replace(r, usual=usual, unbeaten="persistence")
    assert words.verdict(weak) != words.verdict(dataclasses.replace(r, usual=usual))
    info = tab.series.models[0]
    names = [words.choices([dataclasses.replace(info, needs="", card={"metrics": m})])[0][0] for m in (
        {k: {"crps_fair": v} for k, v in usual.items()}, {},
    )]  # fmt: skip
    assert names[0].startswith(info.title) and names[0] != names[1] == info.title


def test_planes_and_maps_are_shown_where_there_are_some(tab):
    assert tab.forecast("alanine", 0.3, 2, lead=0, **SETTINGS)["plane"]["visible"]
    out = tab.forecast("field", 0.3, 2, lead=1, **SETTINGS)
    assert (
        out["lead"]["visible"]
        and out["lead"]["value"] == 1
        and out["lead"]["maximum"] == 6
        and "1 to 2" in out["lead"]["info"]
    )
    assert (
        out["map_spread"]["visible"]
        and out["map_spread"]["value"] != tab.forecast("field", 0.3, 2, lead=2, **SETTINGS)["map_spread"]["value"]
    )
    assert tab.forecast("field", 0.3, 2, lead=99, **SETTINGS)["lead"]["value"] == 2


def test_another_world_has_another_horizon_and_is_computed_once(tab):
    shown = tab.another_world("small", "lorenz", 0.3, **SETTINGS)
    horizon = shown.pop("horizon")
    assert (
        shown.pop("known") == "small" and shown.pop("planned") == 0 and (horizon["maximum"], horizon["value"]) == (6, 3)
    )
    assert horizon["info"] == "frames of 1 step each, 1 to 6"
    assert shown == tab.forecast("small", 0.3, 0, lead=0, **SETTINGS) and set(shown) == set(FORECAST)
    assert tab.another_world("small", "small", 0.3, **SETTINGS) == gr.skip()


def test_what_cannot_be_is_told_in_the_place_of_the_figures(tab, monkeypatch):
    def diverge(*_, **__):
        raise Diverged("The rollouts diverged: forecast <fewer> frames.")

    with monkeypatch.context() as patch:
        patch.setattr(SeriesModel, "forecast", diverge)
        out = tab.forecast("small", 0.123, 2, lead=0, **SETTINGS)
    assert "forecast &lt;fewer&gt; frames." in out["words"] and not out["fan"]["visible"] and out["save"] == ""
    first = dataclasses.replace(tab.series.info("lorenz"), needs="Put x.csv there.")
    monkeypatch.setattr(type(tab.series), "info", lambda self, name="": first)
    monkeypatch.setattr(tab.series, "_opened", {})
    monkeypatch.setitem(tab.series.__dict__, "models", (*tab.series.models[1:], first))
    out = tab.another_world("lorenz", "small", 0.3, **SETTINGS)
    assert out["known"] == "" and "horizon" not in out and out["save"] == ""
    assert tells(out["words"], "Put x.csv there.", "Small world", "Small field", "Small world")


def test_a_world_without_its_files_is_not_offered_but_named(tab):
    first = dataclasses.replace(tab.series.info("lorenz"), needs="Put <x.csv> there.")
    models = (*(m for m in tab.series.models if m.name != "lorenz"), first)
    assert words.choices(models) == [
        ("Small world (alanine)", "alanine"),
        ("Small field", "field"),
        ("Small world (small)", "small"),
    ]
    line = words.not_here(models)
    assert "Lorenz-63" in line and "Put &lt;x.csv&gt; there." in line and words.not_here(models[:-1]) == ""


def test_a_seed_that_is_being_typed_changes_nothing(tab):
    assert tab.forecast("small", 0.3, 2, lead=0, **SETTINGS | {"seed": None}) == gr.skip()


def test_gamma_is_shown_where_it_is_read():
    assert {m for m in METHODS if reads_gamma(m)["visible"]} == set(MOMENTUM) and set(METHODS) <= set(SAMPLER_NAMES)


def test_free_runs(tab):
    shown = tab.free_runs("alanine", 64, None)
    assert all(shown[f]["visible"] and json.loads(shown[f]["value"])["data"] for f in FREE_RUN)
    assert "Jensen-Shannon" in shown["run_words"] and tells(shown["run_words"], 64, 1)  # frames; steps a frame
    assert "W₁" in tab.free_runs("small", 64, lambda share, what: None)["run_words"]
    forgotten = tab.forget_runs()
    assert forgotten["run_words"] == words.ASK and not any(forgotten[f]["visible"] for f in FREE_RUN)

    def superseded(share, what):
        raise Superseded

    with pytest.raises(Superseded):
        tab.free_runs("small", 64, superseded)
    with refuses("frames", "64 to 2000"):
        tab.free_runs("small", 10**9, None)


def test_the_verdict_follows_from_the_numbers(tab):
    r = tab.series.forecast(ForecastRequest("small", 0.3, 3, 5, 3))
    mine = r.marks["this model"]

    def told(of_mine, of_damped, by_mine=(1, 1, 1), by_damped=(2, 2, 2), **more):
        marks = {k: dataclasses.replace(m, crps_fair=9.0) for k, m in r.marks.items()}
        marks["this model"] = dataclasses.replace(
            mine, crps_fair=of_mine, by_lead=np.array(by_mine), rmse=1.0, spread=1.0
        )
        marks["damped persistence"] = dataclasses.replace(
            marks["climatology"], crps_fair=of_damped, by_lead=np.array(by_damped)
        )
        return words.verdict(dataclasses.replace(r, marks=marks, **more))

    better, worse = told(1.0, 2.0), told(3.0, 2.0, (4, 4, 4))
    assert tells(better, "damped persistence", 1, 2, 50) and tells(worse, "damped persistence", 3, 2, 50)
    assert NUMBER.sub("", better) != NUMBER.sub("", worse)
    assert tells(told(1.5, 2.0, (1, 3, 1)), 1.5, 2, 25, 2)  # per cent; the lead at which it is worse
    assert tells(told(3.0, 2.0, (1, 1, 9)), 3, 2, 50, 2, 3)  # at 2 of 3 leads it is better
    assert tells(told(10.0, 2.0, (4, 4, 4)), 10, 2, "climatology", "persistence")  # not better than these either
    notes = ({"usual": {}}, {"in_sample": True}, {"same_data": False}, {"anomaly": True})
    assert len({better, *(told(1.0, 2.0, **note) for note in notes)}) == 1 + len(notes)


def test_nothing_is_opened_before_the_tab_is_looked_at(library, tmp_path, monkeypatch):
    bench = bench_on(tmp_path, monkeypatch)
    page_of(library, "series", studio=Studio(series=bench))
    assert bench._opened == {}


def test_results_say_which_controls_they_are_made_with(tab):
    told = controls_of(tab.forecast("small", 0.3, 0, lead=0, **SETTINGS)["words"])
    assert told == {"model": "small", "start": "0.3", "horizon": "3", "members": "5", "nfe": "3",
                    "method": "multistep", "seed": "0"}  # fmt: skip
    with_momentum = tab.forecast("small", 0.3, 2, lead=0, **SETTINGS | {"method": next(iter(MOMENTUM))})
    assert controls_of(with_momentum["words"])["gamma"] == "0.5"
    assert controls_of(tab.free_runs("small", 64, None)["run_words"]) == {"model": "small", "frames": "64"}
