"""Handlers and helpers as plain functions: no page, no server."""

from __future__ import annotations

import dataclasses
import json
import re
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.figures import spectrum
from analysis.koopman.spectrum import band_names
from analysis.workbench.spectrum import MaskResult
from tests.refusals import refuses
from tests.sentences import tells
from ui.components import html
from ui.components import html as pictures
from ui.components.plot import points
from ui.server.errors import UNEXPECTED, guarded
from ui.server.limits import Limits
from ui.server.runs import Latest, Superseded
from ui.source import NO_CLASS, _line, fitting_label, readable
from ui.tabs.inside.spectrum import SpectrumTab
from ui.tabs.inside.spectrum_controls import SpectrumControls
from ui.tabs.watch.generate import SHEET, GenerateControls, GenerateTab

BANDS = {
    "low": 0.3, "high": 0.6, "small": 1, "middle": 1, "large": 1, "order": "alpha", "levels": [],
}  # fmt: skip
WHERE = {"model": "tiny", "level": 0, "low": 0.3, "high": 0.6, "order": "alpha"}


def event(data):
    return SimpleNamespace(_data=data)


def generate_tab(library) -> GenerateTab:
    return GenerateTab(library, GenerateControls.names())


def spectrum_tab(library) -> SpectrumTab:
    return SpectrumTab(library, SpectrumControls.names())


# what a browser sends


def test_points_of_an_honest_browser():
    assert points(event({"points": [0, 4]}), 5) == [0, 4]
    assert points(event({"points": []}), 5) == []


@pytest.mark.parametrize(
    "data",
    [None, 3, [], {}, {"points": None}, {"points": "12"}, {"points": [5]}, {"points": [-1]}, {"points": [True]},
     {"points": [1.0]}, {"points": [[1]]}, {"points": ["1"]}, {"points": [0] * 6}],
)  # fmt: skip
def test_points_refuses_anything_else(data):
    with refuses("selection"):
        points(event(data), 5)


# errors


def test_a_user_error_keeps_its_sentence():
    @guarded
    def handler():
        raise UserError("Do it the other way.")

    with pytest.raises(gr.Error) as caught:
        handler()
    assert caught.value.message == "Do it the other way." and not caught.value.print_exception


def test_an_unexpected_error_is_logged_and_not_shown(capsys):
    @guarded
    def handler():
        raise RuntimeError("secret path /home/x")

    with pytest.raises(gr.Error) as caught:
        handler()
    assert caught.value.message == UNEXPECTED
    assert "secret path" in capsys.readouterr().err


# giving way


def test_the_latest_wish_wins_and_others_are_not_disturbed():
    latest = Latest(capacity=2)
    latest.wish("a", 1)
    latest.check("a", 1)
    latest.wish("a", 2)
    with pytest.raises(Superseded):
        latest.check("a", 1)
    latest.check("b", 7)  # has wished nothing
    latest.check(None, 7)
    latest.wish("b", 1)
    latest.wish("c", 1)
    latest.check("a", 1)  # forgotten: counts as wanted


def test_a_superseded_trajectory_is_left_early(library):
    tab = generate_tab(library)
    request, seen = SimpleNamespace(session_hash="s"), []

    def asked(seed):
        return {"model": "tiny", "seed": seed, "label": NO_CLASS, "steps": 8}

    def progress(share, desc):
        seen.append(share)
        tab.wish(request, **asked(99))

    tab.wish(request, **asked(5))
    tab.watched_trajectory(request, progress, **asked(5))
    assert len(seen) == 1
    seen.clear()
    shown = tab.watched_trajectory(request, progress, **asked(99))
    assert len(seen) == 8 and "seed 99" in json.loads(shown["player"])["made"]["words"]


# tabs


def test_a_class_of_another_model_falls_back_to_none(library):
    assert fitting_label(library.get("tiny-classes"), 2) == 2
    assert fitting_label(library.get("tiny"), 2) == NO_CLASS
    assert fitting_label(library.get("tiny-classes"), None) == NO_CLASS


def test_unreadable_models_are_left_out(library):
    assert readable(library) == ["tiny", "tiny-classes"]


@pytest.mark.parametrize("seed", [None, -1, 2**32])
def test_only_the_picture_complains_about_a_seed(library, seed):
    request = SimpleNamespace(session_hash=None)
    tab = generate_tab(library)
    assert tab.watched_trajectory(request, None, model="tiny", seed=seed, label=NO_CLASS, steps=8) == gr.skip()
    assert spectrum_tab(library).masked("tiny", seed, NO_CLASS, **BANDS) == gr.skip()
    if seed is not None:
        with refuses("seeds"):
            tab.picture("tiny", seed, NO_CLASS)


def test_a_cleared_seed_box_changes_nothing(library):
    tab = generate_tab(library)
    assert tab.picture("tiny", None, NO_CLASS) == gr.skip()
    assert re.findall(r'data-index="(\d+)"', tab.sheet("tiny", NO_CLASS, 4)["sheet"]) == [
        str(4 + k) for k in range(SHEET)
    ]
    assert tab.next_sheet("tiny", NO_CLASS, 2**32 - 1 - SHEET)["first"] == 0  # starts again at the end of the seeds


def test_a_click_in_the_sheet_gives_its_seed_unless_the_seed_is_kept(library):
    tab = generate_tab(library)
    assert tab.choose(False, event({"points": [14]})) == 14
    assert tab.choose(True, event({"points": [14]})) == tab.choose(False, event({"points": []})) == gr.skip()
    for wrong in ([-1], [2**32], ["3"], None):
        with refuses("selection"):
            tab.choose(False, event({"points": wrong}))


def test_a_pictures_time_is_that_of_a_warm_network(library, monkeypatch):
    """The first call of a network takes longer: it is made before the one whose time is shown."""
    bench, seconds = library.get("tiny"), iter([1.948, 0.012, 0.034])
    original = bench.generate
    monkeypatch.setattr(bench, "generate", lambda r: dataclasses.replace(original(r), seconds=next(seconds)))
    tab = generate_tab(library)
    assert "12 ms" in tab.picture("tiny", 1, NO_CLASS)["cost"]
    assert "34 ms" in tab.picture("tiny", 2, NO_CLASS)["cost"]


def test_the_frames_arrive_whole(library):
    shown = generate_tab(library).trajectory("tiny", 1, NO_CLASS, 6)
    value, costs = json.loads(shown["player"]), shown["path_cost"]
    assert len(value["sigma"]) == 6 and len(value["tracks"]) == 3 and value["side"] == 16
    assert ">11<" in costs  # 2 * 6 - 1 calls, counted


@pytest.mark.parametrize(("moved", "expected"), [("low", (0.8, 0.8)), ("high", (0.3, 0.3))])
def test_an_edge_pushes_the_other_one(library, moved, expected):
    def move(low, high):
        bands = BANDS | {"low": low, "high": high}
        return spectrum_tab(library).move_bands(moved, None, 0, "tiny", 0, NO_CLASS, **bands)

    out = move(0.8, 0.3)
    assert (out["low"], out["high"]) == expected and {"plane", "pictures"} <= set(out)
    assert not {"low", "high"} & set(move(0.3, 0.8))  # the hand may be moving them again


def test_levels_of_another_model_are_ignored(library):
    tab = spectrum_tab(library)
    assert tab.entry("tiny", 99).name == "bottleneck"
    shown = tab.masked("tiny", 0, NO_CLASS, **BANDS | {"levels": [0, 99]})
    assert shown["pictures"].count("<img") == 3 and shown["bands"].count("<tr>") == 4


def test_a_click_marks_one_mode_and_opens_its_pair(library):
    tab = spectrum_tab(library)
    entry = tab.entry("tiny", 0)
    flat = entry.alpha.size - 1
    out = tab.click(event({"points": [flat]}), **WHERE)
    assert out["chosen"] == [out["mark"]] == [flat] and f'data-mode="{flat}"' in out["card"]
    assert json.loads(out["plane"])["data"][-1]["name"] == "chosen mode"
    assert out["pair"]["value"] == entry.alpha.shape[0] - 1
    assert len(json.loads(out["alpha_map"])["data"]) == 2  # the map and the ring


def test_a_box_of_the_pipeline_opens_its_level(library):
    tab = spectrum_tab(library)
    there = {name: WHERE[name] for name in ("model", "low", "high", "order")}
    out = tab.open_box(event({"level": 1}), known=("tiny", 0), **there)
    assert out["level"] == 1 and out["known"] == ("tiny", 1)
    assert out["plane"] == tab.plane("tiny", 1, 0.3, 0.6, "alpha")["plane"]
    assert "plane" not in tab.open_box(event({"level": 1}), known=("tiny", 1), **there)  # it is shown already
    for wrong in (None, "1", True, -1, 99):
        with refuses("level"):
            tab.open_box(event({"level": wrong}), known=("tiny", 0), **there)


def test_a_view_follows_model_and_level(library):
    tab = spectrum_tab(library)
    shown = {"model": "tiny", "seed": 3, "label": -1, "level": 0, "low": 0.3, "high": 0.6, "order": "alpha"}
    same, level, model = (
        tab.modes(known, **shown, chosen=[1]) for known in (("tiny", 0), ("tiny", 1), ("tiny-classes", 0))
    )
    assert "plane" not in same and "Mode 1" in same["card"]
    assert "plane" in level and "lines" not in level and level["known"] == ("tiny", 0)
    assert "lines" in model and model["mode_pictures"].count("<img") == 1  # what was chosen was another model's


def test_a_selection_is_counted_by_band(library):
    tab = spectrum_tab(library)
    entry = tab.entry("tiny", 0)
    bands = spectrum.bands_of(entry, (0.3, 0.6)).ravel()
    chosen = [*np.flatnonzero(bands == 0)[:3].tolist(), *np.flatnonzero(bands == 2)[:2].tolist()]
    out = tab.select(event({"points": chosen}), **WHERE)
    assert out["chosen"] == chosen and tells(card := out["card"], 5, "skip 0")
    assert "<td>3</td>" in card and "<td>0</td>" in card and "<td>2</td>" in card
    none = tab.select(event({"points": []}), **WHERE)
    assert none["card"] == html.EMPTY_MODE and none["chosen"] == []


def test_a_selection_leaves_no_ring_and_no_map_of_the_mode_before(library):
    tab = spectrum_tab(library)
    entry = tab.entry("tiny", 0)
    places = entry.alpha.shape[1] * entry.alpha.shape[2]
    mean, first = tab.maps("tiny", 0, -1), tab.maps("tiny", 0, 0)
    for chosen, maps, pair in (([0, places], mean, -1), ([0, 1], first, 0), ([], mean, -1)):
        out = tab.select(event({"points": chosen}), **WHERE)
        assert out["mark"] is None and out["pair"]["value"] == pair
        assert "chosen mode" not in [t.get("name") for t in json.loads(out["plane"])["data"]]
        assert {name: out[name] for name in maps} == maps


# HTML


def test_cards_escape_what_a_file_says(library):
    card = html.model_card(library.info("tiny"))
    assert "<script>" not in card and "&lt;script&gt;" in card
    assert "<b>" not in html.model_card(library.info("tiny-classes"))


def test_the_licence_of_imported_weights_stands_beside_the_name(library):
    info = library.info("tiny")
    plain = html.one_line(dataclasses.replace(info, card={"summary": "HKD on faces"}))
    card = {"summary": "HKD on faces", "licence": "CC <b>, not for commercial use"}
    line = html.one_line(dataclasses.replace(info, card=card))
    assert plain == "HKD on faces" and line.startswith(plain) and "not for commercial use" in line
    assert "&lt;b&gt;" in _line(line)
    for odd in (None, 3, ["x"], " "):
        assert html.one_line(dataclasses.replace(info, card={"summary": "HKD on faces", "licence": odd})) == plain


def test_a_deep_or_endless_card_is_cut():
    deep = {"x": 1}
    for _ in range(50):
        deep = {"x": deep}
    assert len(html._value(deep)) < 1000
    assert len(html._value(list(range(10_000)))) < 1000
    assert len(html._value("y" * 10_000)) <= html.MAX_CARD_TEXT


def test_the_mode_card_does_the_arithmetic():
    entry = SimpleNamespace(name="skip 0", alpha=np.full((1, 1, 2), np.log(2)), beta=np.full((1, 1, 2), np.pi))
    card = html.mode_card(entry, 1)
    assert tells(card, 1, 2, 0.5, 180)  # half-life and period in τ; factor and degrees over the whole way
    entry = SimpleNamespace(name="skip 0", alpha=np.zeros((1, 1, 1)), beta=np.zeros((1, 1, 1)))
    assert html.mode_card(entry, 0).count("∞") == 2


def test_the_band_table_has_shares_and_counts():
    grey = np.zeros((2, 2, 3), np.uint8)
    result = MaskResult(grey, grey, grey, 1.0, np.array([0.25, 0.5, 0.25]), np.array([1, 2000, 3]), 0.0)
    table = html.band_table(result, (1, 0, 0.5), band_names(3, "abs"))
    assert "25.0 %" in table and "2,000" in table and "× 0.50" in table and "smallest |α|" in table


def test_frames_lie_side_by_side():
    frames = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    strip = pictures.strip(frames)
    assert strip.shape == (4, 8, 3)
    assert np.array_equal(strip[:, 4:], frames[1])


# requests that are too long


def call_limits(headers, chunks, limit=10, path="/gradio_api/queue/join"):
    """One request through the middleware; the messages it sends."""
    sent, todo = [], list(chunks)

    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive():
        return {"type": "http.request", "body": todo.pop(0), "more_body": bool(todo)}

    async def send(message):
        sent.append(message)

    with pytest.raises(StopIteration):  # nothing here waits for anything, so one step runs it to its end
        Limits(app, limit, max_upload=2 * limit)(
            {"type": "http", "path": path, "headers": headers}, receive, send
        ).send(None)
    return sent


@pytest.mark.parametrize(
    ("headers", "chunks", "status"),
    [
        ([(b"content-length", b"4")], [b"1234"], 200),
        ([(b"content-length", b"11")], [b"1"], 413),
        ([(b"content-length", b"x")], [b"1"], 413),
        ([], [b"12345", b"67890", b"1"], 413),  # no length claimed: counted
        ([], [b"12345"], 200),
    ],
)
def test_limits(headers, chunks, status):
    sent = call_limits(headers, chunks)
    assert sent[0]["status"] == status
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"] or status == 413


def test_only_uploads_may_be_long():
    chunks = [b"12345", b"67890", b"1"]
    assert call_limits([], chunks, path="/gradio_api/upload")[0]["status"] == 200
    assert call_limits([], chunks, path="/gradio_api/upload_progress")[0]["status"] == 413
    assert call_limits([], [*chunks, b"0123456789"], path="/gradio_api/upload")[0]["status"] == 413
