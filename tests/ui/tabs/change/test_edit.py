"""Tab "Edit": its handlers as plain functions."""

from __future__ import annotations

import functools
import json
import re
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.core.images import change_of, data_uri
from analysis.koopman.editing import ENCODINGS, EditNumbers
from analysis.recipes import recipe
from analysis.workbench.editing import EditRequest, EditResult
from benchmarks.trips import QUESTIONS, trip
from tests.refusals import refuses
from tests.sentences import numbers, tells
from ui.components import history
from ui.components.history import History, history_html
from ui.components.picture_chooser import photograph
from ui.source import NO_CLASS
from ui.tabs.change import edit as edit_tab
from ui.tabs.change.edit import EditTab, Waiting, changed
from ui.tabs.change.edit_controls import FILLED, PAST, SETTING, SHOWN, EditControls
from ui.tabs.change.edit_results import CHANGE_TIMES, edit_numbers, in_words

FIRST = {
    "model": "tiny", "seed": 3, "label": -1, "reference": "seed", "other": 5, "other_label": -1,
    "picture": photograph("cat", 16), "encoding": "noise", "noise_seed": 0, "tau": 0.5, "low": 0.33, "high": 0.67,
    "bands": [2], "order": "alpha", "ratio": 50, "region": "lower-half", "mask": None,
    "levels": [], "feather": 0,
}  # fmt: skip
FRESH = {"past": History(), "last": ("", 0.0)}


def values(**change) -> dict:
    return FIRST | change


@pytest.fixture
def tab(library) -> EditTab:
    return EditTab(library, EditControls.names())


# what is asked


def test_the_controls_become_a_request(tab):
    _, asked = tab.request(**values(low=0.7, high=0.2, ratio=29, encoding="ode", order="abs"))
    assert asked.edges == (0.2, 0.7) and asked.ratio == 0.29 and asked.encoding == "ode" and asked.order == "abs"
    assert asked.picture is None and asked.mask is None and asked.seed == 3 and asked.reference_seed == 5
    _, asked = tab.request(**values(levels=[0, 99], feather=1.5))
    assert asked.entries == (0,) and asked.feather == 1.5  # 99: of another model


def test_every_percent_comes_back_exactly(tab):
    for percent in range(101):
        ratio = tab.request(**values(ratio=percent))[1].ratio
        assert ratio == percent / 100 and round(100 * ratio, 10) == percent


def test_what_does_not_go_together_gives_way(tab):
    _, asked = tab.request(**values(reference="picture", encoding="latent", picture=photograph("cat", 32), label=7))
    assert asked.encoding == "noise" and asked.picture.shape == (16, 16, 3) and asked.label == -1
    painted = np.full((32, 32), 255, np.uint8)
    assert tab.request(**values(region="painted", mask=painted))[1].mask.shape == (16, 16)
    assert tab.request(**values(region="whole", mask=painted))[1].mask is None


@pytest.mark.parametrize(
    ("change", "field"),
    [({"seed": None}, "seed"), ({"other": -1}, "seed"), ({"bands": []}, "bands"), ({"region": "painted"}, "mask")],
)
def test_what_is_still_to_be_done_is_a_hint_and_keeps_the_pictures(tab, change, field):
    with refuses(field, error=Waiting) as waiting:
        tab.request(**values(**change))
    for shown in (tab.show(**values(**change)), tab.edit(**FRESH, **values(**change))):
        assert set(shown) == {"hint"} and str(waiting.value) in shown["hint"]


@pytest.mark.parametrize(
    "change",
    [
        {"tau": 2},
        {"ratio": 101},
        {"bands": [9]},
        {"region": "moon"},
        {"reference": "file"},
        {"model": "../x"},
        {"low": 7},
    ],
)
def test_a_value_out_of_range_is_a_sentence(tab, change):
    with pytest.raises(UserError, match="[.]$"):
        tab.edit(**FRESH, **values(**change))


# what is shown


def test_the_pictures_are_the_workbenchs(tab, library):
    shown = tab.show(**values(reference="scene", other=8))
    assert set(shown) == set(SHOWN)
    pictures, numbers, drawn, sigma, keep, hint = (shown[name] for name in SHOWN)
    assert not drawn["visible"]  # a trade-off of a former edit
    request = EditRequest(3, -1, "scene", 8, edges=(0.33, 0.67), bands=tuple(FIRST["bands"]), region="lower-half")
    result = library.get("tiny").edit(request)
    for image in (result.original, result.edited, result.control, result.reference, result.encoded, *result.strip):
        assert data_uri(image) in pictures
    assert f"σ = {result.sigma:.3g}" in sigma and hint == ""
    assert f"{result.numbers.low_distance:.4f}" in numbers or f"{result.numbers.low_distance:.0e}" in numbers
    assert recipe.from_json(json.loads(keep)["recipe"]).request.as_settings() == request.as_settings()


def test_a_moved_ratio_stays_within_its_moves_between_files(tab):
    ratio = QUESTIONS[0]
    tab.edit(**FRESH, **values(ratio=ratio.value - 1))
    there = trip(lambda: tab.edit(**FRESH, **values(ratio=ratio.value)))
    assert ratio.control == "edit-ratio" and 10 < there.moves <= ratio.most_moves


def result_of(edit: EditNumbers, control: EditNumbers) -> EditResult:
    grey = np.zeros((8, 8, 3), np.uint8)
    return EditResult(grey, grey, grey, grey, grey, grey[None], (0.5,), 2.5, edit, control, 0.25)


def test_the_sentence_says_what_the_numbers_say():
    cases = (
        ((0.1, 0.5, 0.01), (0.1, 0.2, 0.04), [4]),
        ((0.1, 0.1, 0.04), (0.1, 0.2, 0.01), [4]),
        ((0.1, 0.2, 0.04), (0.1, 0.2, 0.04), []),
        ((0.0, None, 0.0), (0.1, 0.2, 0.01), []),
        ((0.0, 0.2, 0.0), (0.0, 0.2, 0.0), []),
    )
    said = [in_words(result_of(EditNumbers(*edit), EditNumbers(*control))) for edit, control, _ in cases]
    assert [numbers(s) for s in said] == [times for *_, times in cases] and len(set(said)) == len(cases)


def test_numbers_side_by_side():
    table = edit_numbers(result_of(EditNumbers(None, 0.25, 0.00001), EditNumbers(0.5, None, 0.0)))
    cells = [numbers(cell) for cell in re.findall("<td>([^<]*)</td>", table)]
    assert cells == [[], [], [0.25], [], [1e-5], [0], [], [0.5], [], []]  # head, three measures and leakage
    assert tells(table, 25)  # per cent of all modes


# history


def test_results_are_kept_and_can_be_gone_back_to(tab):
    first = tab.edit(**FRESH, **values())
    assert len(first["past"].recipes) == 1 and first["strip"].count("<img") == 1
    assert first["undo"] == first["redo"] == gr.update(interactive=False)
    second = tab.edit(first["past"], first["last"], **values(region="whole", seed=4, bands=[0, 1]))
    past = second["past"]
    assert len(past.recipes) == 2 and second["undo"]["interactive"]

    back, request = tab.step(history.undo, past, "tiny")
    assert set(back) >= set(PAST) and set(back) <= {*PAST, *FILLED}
    assert back["past"].at == 0 and (request.seed, request.label) == (3, -1)
    assert back["region"] == "lower-half" and back["bands"]["value"] == [2] and back["ratio"] == 50
    clicked, request = tab.step(tab.chosen(SimpleNamespace(_data={"points": [1]}), past), past, "tiny")
    assert clicked["past"].at == 1 and request.seed == 4
    with pytest.raises(UserError):
        tab.chosen(SimpleNamespace(_data={"points": [2]}), past)
    assert tab.step(history.undo, History(), "tiny") == ({}, None)


def test_a_slider_that_is_still_moving_is_one_step(tab, monkeypatch):
    clock = iter([10.0, 11.0, 11.5, 20.0, 20.5])
    # only this module's clock: threads of other tests read the real one
    monkeypatch.setattr(edit_tab, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    shown, counts = FRESH, []
    for change in ({}, {"ratio": 60}, {"ratio": 70}, {"ratio": 80}, {"tau": 0.3, "ratio": 80}):
        shown = tab.edit(shown["past"], shown["last"], **values(**change))
        counts.append(len(shown["past"].recipes))
    assert counts == [1, 2, 2, 3, 4]


def test_another_model_begins_another_history(tab):
    first = tab.edit(**FRESH, **values())
    past = tab.edit(first["past"], first["last"], **values(model="tiny-classes", other_label=2))["past"]
    assert len(past.recipes) == 1 and recipe.from_json(past.current).model == "tiny-classes"


def test_a_result_whose_picture_is_gone_shows_its_number(monkeypatch):
    monkeypatch.setattr(history, "THUMBNAILS", 1)
    kept = history.Thumbnails()
    kept.keep("a", np.zeros((8, 8, 3), np.uint8))
    kept.keep("b", np.zeros((8, 8, 3), np.uint8))
    html = history_html([kept.find("a"), kept.find("b")], 1)
    assert "<span>1</span>" in html and html.count("<img") == 1
    assert html.index('data-index="1"') < html.index('aria-current="true"')


def test_the_opened_view_follows_the_model(tab):
    same, other = (tab.opened(known, **FRESH, **values()) for known in ("tiny", "another"))
    assert "other_label" not in same and "known" not in same
    assert other["known"] == "tiny" and other["other_label"]["value"] == NO_CLASS
    assert same["pictures"] == other["pictures"] == tab.show(**values())["pictures"]


# painting


def test_a_stroke_becomes_the_region(tab):
    bits = "0" * 128 + "1" * 128
    shown = tab.stroke(SimpleNamespace(_data={"mask": bits}), **FRESH, **values(region="painted"))
    mask = shown["mask"]
    assert mask[8:].all() and not mask[:8].any()
    # the lower half, painted by hand, is the lower half
    assert shown["pictures"] == tab.show(**values())["pictures"]
    cleared = tab.stroke(SimpleNamespace(_data={"mask": "0" * 256}), **FRESH, **values(region="painted", mask=mask))
    assert cleared["mask"] is None and set(cleared) == {"mask", "hint"}


def test_the_canvas_shows_the_original_and_the_mask(tab, library):
    mask = np.zeros((16, 16), np.uint8)
    mask[0, :3] = 255
    value = json.loads(tab.paper("tiny", 3, -1, "painted", mask)["canvas"])
    assert value["mask"] == "111" + "0" * 253 and value["side"] == 16
    assert tab.paper("tiny", 3, -1, "whole", None) == gr.skip() == tab.paper("tiny", None, -1, "painted", None)


# recipes and controls


def test_fill_and_request_are_inverse(tab):
    request = EditRequest(
        9, -1, "picture", 2, -1, photograph("coffee", 16), "noise", 4, 0.25, (0.1, 0.9), (0, 2), "abs", 0.37, "painted",
        np.eye(16, dtype=bool),
    )  # fmt: skip
    filled = tab.fill(request)
    assert set(filled) == set(FILLED)
    assert filled["chooser_box"]["visible"] and filled["canvas_box"]["visible"] and filled["photo"] is None

    def plain(value):
        return value["value"] if isinstance(value, dict) else value

    _, again = tab.request("tiny", 9, -1, **{name: plain(filled[name]) for name in SETTING})
    assert again.as_settings() == request.as_settings()


def test_other_numbers_of_bands_are_refused_in_words(tab):
    with refuses("edges"):
        tab.fill(EditRequest(0, edges=(0.5,), bands=(1,)))


def test_the_defaults_are_the_analysis_own(tab):
    filled = tab.defaults("tiny")
    assert filled["bands"] == list(EditRequest(0).bands) and filled["tau"] == EditRequest(0).tau
    assert (filled["region"], filled["ratio"]) == ("whole", 100)  # an edit that is seen


def test_what_changed_is_shown_by_one_factor(tab, library):
    """A smaller ratio shows less of it; the numbers wait behind a sign."""
    fewer, more = (tab.show(**values(region="whole", ratio=ratio)) for ratio in (20, 100))
    for shown, ratio in ((fewer, 0.2), (more, 1.0)):
        bands = {"edges": (0.33, 0.67), "bands": tuple(FIRST["bands"])}
        result = library.get("tiny").edit(EditRequest(3, reference_seed=5, ratio=ratio, region="whole", **bands))
        changed = change_of(result.edited, result.original, CHANGE_TIMES)
        assert data_uri(changed) in shown["pictures"] and f"× {CHANGE_TIMES}" in shown["pictures"]
        verdict, rest = shown["numbers"].split("<details")
        assert "<table" not in verdict and "<table" in rest


def test_only_seeds_have_other_encodings(tab):
    encodings = {r: tab.of_reference(r)["encoding"] for r in ("seed", "scene", "picture")}
    names = {r: {name for _, name in e["choices"]} for r, e in encodings.items()}
    assert names["seed"] == set(ENCODINGS) and names["scene"] == names["picture"] == {"noise", "inversion"}
    assert encodings["scene"]["value"] == "noise"


def test_changed_names_one_setting():
    edit = functools.partial(EditRequest, 1)
    a, b, c = edit(), edit(tau=0.1), edit(tau=0.1, ratio=0.2)
    assert changed(a, b) == "tau" and changed(b, c) == "ratio" and changed(a, c) == "" == changed(a, a)


def test_a_models_card_chooses_what_nobody_moved(tab, library, monkeypatch):
    monkeypatch.setattr(library.get("tiny"), "edit_defaults", lambda: {"tau": 0.2, "bands": (1, 2)}, raising=False)
    untouched = values(bands=[0])
    shown = tab.opened(None, **FRESH, **untouched)
    assert shown["tau"] == 0.2 and shown["bands"]["value"] == [1, 2]
    assert "tau" not in tab.opened(None, **FRESH, **untouched | {"tau": 0.4})
    assert "tau" not in tab.opened(None, **FRESH, filled=True, **untouched)
    assert tab.defaults("tiny")["tau"] == 0.2


def test_the_trade_off_goes_through_what_is_shown(tab):
    figure = json.loads(tab.trade_off(**values(ratio=50))["trade_off"]["value"])
    edit, control, shown = figure["data"]
    assert len(edit["x"]) == len(control["x"]) == 6 and shown["x"][0] in edit["x"]
    assert tab.trade_off(**values(bands=[]))["hint"]


def test_leakage_stands_beside_the_controls(tab):
    bench, request = tab.request(**values())
    result = bench.edit(request)
    assert tells(tab.show(**values())["numbers"], *(round(x, 3) for x in (result.leakage, result.leakage_control)))
