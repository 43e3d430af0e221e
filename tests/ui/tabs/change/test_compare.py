"""Two settings side by side, and grids: handlers as plain functions."""

import base64
import io
import json
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from analysis.core.errors import UserError
from analysis.core.images import data_uri
from analysis.metrics.image import compare_pictures
from analysis.recipes import recipe
from analysis.workbench.spectrum import MaskRequest
from tests.refusals import refuses
from tests.sentences import numbers
from tests.ui.serving import page_of
from ui.server.errors import guarded
from ui.source import NO_CLASS
from ui.tabs.change import grid
from ui.tabs.change.compare import OF_A_SIDE, CompareControls, CompareTab, SideControls
from ui.tabs.change.grid import EMPTY, SINGLE, GridControls, GridPanel

A = dict(zip(OF_A_SIDE, ("tiny", 3, NO_CLASS, 0.3, 0.6, 1, 1, 1, "alpha"), strict=True))
B = A | {"low": 0.6, "high": 0.3, "small": 0, "large": 2, "order": "abs"}  # edges that cross are put right
FIXED = {"reference": 1, "ratio": 0.5, "time": 0.5, "mixed": [2], "region": "whole", "noise": 0, "steps": 4}


def pair(library, a, b) -> dict:
    both = {f"{k}_{side}": v for side, values in (("a", a), ("b", b)) for k, v in values.items()}
    return CompareTab(library, CompareControls.names()).pair(**both)


def panel_of(library, patience=60.0) -> GridPanel:
    return GridPanel(library, GridControls.names(), patience)


def pixels(kept):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(json.loads(kept)["png"]))))


def test_two_settings(library):
    shown = pair(library, A, B)
    row, numbers, kept_a, kept_b = (shown[n] for n in ("pictures", "numbers", "save_a", "save_b"))
    bench = library.get("tiny")
    first = bench.mask_bands(MaskRequest(3, -1, (0.3, 0.6), (1, 1, 1))).masked
    second = bench.mask_bands(MaskRequest(3, -1, (0.3, 0.6), (0, 1, 2), "abs")).masked
    assert np.array_equal(pixels(kept_a), first) and np.array_equal(pixels(kept_b), second)
    assert row.count("<img") == 3
    assert f"{compare_pictures(first, second).numbers.mse:.4g}" in numbers
    replayed = recipe.replay(recipe.from_json(json.loads(kept_b)["recipe"]), bench)
    assert np.array_equal(replayed.masked, second)


def test_equal_settings_are_said_to_be_equal(library):
    shown = pair(library, A, A)
    assert "∞" in shown["numbers"] and "×" not in shown["pictures"]  # nothing is magnified


def test_a_cleared_seed_changes_nothing(library):
    assert pair(library, A, A | {"seed": None}) == gr.skip()


def test_a_seed_out_of_range_is_a_sentence(library):
    with refuses("seed"):
        pair(library, A, A | {"seed": 2**40})


def test_a_side_takes_over_the_bar(library):
    tab, side = CompareTab(library, CompareControls.names()), SideControls.names()
    shown = tab.take(side, "tiny-classes", 9, 1)
    assert shown["model"]["value"] == "tiny-classes" and shown["seed"] == 9
    assert shown["label"]["value"] == 1 and shown["label"]["visible"]
    assert tab.of_model(side, "tiny", "alpha", 1)["label"]["value"] == NO_CLASS


def test_a_side_takes_over_an_own_model(library, models_folder):
    key = library.own.add(models_folder / "tiny.hkd.safetensors")
    model = CompareTab(library, CompareControls.names()).take(SideControls.names(), key, 9, 1)["model"]
    assert ("own-tiny", key) in model["choices"] and model["value"] == key
    library.own.drop([key])


# grids


def steps_of(library, kind="bands", x="large", across="0, 2", y="seed", down="1..2", patience=60.0):
    return list(panel_of(library, patience).make(kind, x, across, y, down, **FIXED, **A))


def test_a_grid_grows_cell_by_cell(library):
    steps = steps_of(library)
    assert [s["page"].count("<img") for s in steps] == [0, 1, 2, 3, 4]
    last = steps[-1]
    assert [s["result"].done for s in steps] == [0, 1, 2, 3, 4] and last["result"].total == 4
    assert "4 of 4" in last["status"] and "1 of 4" in steps[1]["status"]
    single = library.get("tiny").mask_bands(MaskRequest(2, -1, (0.3, 0.6), (1, 1, 2))).masked
    assert np.array_equal(last["result"].cells[1][1], single)
    assert last["page"].count('scope="row"') == 2 and last["page"].count('scope="col"') == 2


def test_a_cell_opens_large(library):
    made, panel = steps_of(library)[-1]["result"], panel_of(library, 60.0)
    opened = panel.open_cell(SimpleNamespace(_data={"points": [3]}), result=made)
    assert data_uri(made.cells[1][1]) in opened and "ks-opened" in opened
    waiting = steps_of(library)[1]["result"]
    assert "<img" not in panel.open_cell(SimpleNamespace(_data={"points": [3]}), result=waiting)
    with pytest.raises(UserError):
        panel.open_cell(SimpleNamespace(_data={"points": [4]}), result=made)
    assert panel.open_cell(SimpleNamespace(_data={"points": [0]}), result=None) == ""


def test_a_single_row(library):
    page = steps_of(library, y=SINGLE, down="rubbish that nobody reads")[-1]["page"]
    assert page.count("<img") == 2 and "↓" not in page


def test_cells_that_cannot_be_made_are_counted(library):
    last = steps_of(library, "teacher", "model", "tiny, tiny-classes", "steps", "4")[-1]
    assert last["page"].count("<img") == 1 and last["page"].count('"ks-wait" title="') == 1  # why, in its title
    assert numbers(last["status"]) == [2, 2, 1] and last["result"].done == 2


def test_a_grid_that_takes_too_long_keeps_what_it_has(library):
    steps = steps_of(library, patience=-1.0)
    assert len(steps) == 2 and steps[-1]["result"].done == 1 and numbers(steps[-1]["status"]) == [-1]


def test_the_grid_as_a_file(library):
    panel = panel_of(library)
    file = json.loads(panel.save(steps_of(library)[2]["result"]))  # half done
    image = Image.open(io.BytesIO(base64.b64decode(file["data"])))
    assert file["name"] == "grid-bands-large-seed.png" and image.width > 2 * 96 and image.height > 2 * 96
    for nothing in (None, steps_of(library)[0]["result"]):
        with refuses("grid"):
            panel.save(nothing)


def test_stopping_is_said_last_and_says_how_far_it_came(library):
    panel, whole = panel_of(library), steps_of(library)
    me, other = SimpleNamespace(session_hash="me"), SimpleNamespace(session_hash="other")
    asked = {"kind": "bands", "x": "large", "across": "0, 2", "y": "seed", "down": "1..2", **FIXED, **A}

    def seen(steps):
        return [(s.get("page"), s["status"]) for s in steps]

    panel.wish(me, **asked)
    steps = panel.grow(me, **asked)
    assert seen(next(steps) for _ in range(3)) == seen(whole[:3])
    assert grid.IDLE in panel.stop(other, None)  # of somebody else
    assert panel.stop(me, whole[2]["result"]) == gr.skip()
    ((page, line),) = seen(steps)
    assert page is None and " 2 of 4 " in line
    assert grid.IDLE in panel.stop(me, whole[-1]["result"])
    panel.wish(me, **asked)
    panel.stop(me, None)  # while it waits in the queue
    ((page, line),) = seen(panel.grow(me, **asked))
    assert page is None and " 0 of 4 " in line
    panel.wish(me, **asked)
    assert seen(panel.grow(me, **asked)) == seen(whole)


def test_directions_follow_the_kind_of_picture(library):
    panel = panel_of(library)
    x, y = panel.axes("edit", "large", "ratio").values()
    assert x["value"] in dict(map(reversed, x["choices"])) and y["value"] == "ratio" != x["value"]
    assert "large" not in [name for _, name in x["choices"]] and y["choices"][0][1] == SINGLE
    x, y = panel.axes("teacher", "seed", "seed").values()
    assert x["value"] == "seed" != y["value"]
    assert panel.usual("model") == "tiny, tiny-classes" and panel.usual("nothing") == ""


@pytest.mark.parametrize(("x", "y"), [("nothing", "seed"), (None, "seed"), ("seed", "nothing"), ("seed", "seed")])
def test_hostile_directions(library, x, y):
    with pytest.raises(UserError):
        steps_of(library, x=x, across="1", y=y, down="1")


def test_labels_are_escaped(library):
    with refuses("model"):
        steps_of(library, x="model", across="<b>x</b>", y=SINGLE)


def test_a_failing_generator_says_one_sentence():
    def steps(n):
        yield n
        raise UserError("Do less.")

    run = guarded(steps)(3)
    assert next(run) == 3
    with pytest.raises(gr.Error, match="Do less"):
        next(run)


def test_nothing_is_computed_before_the_tab_is_looked_at(library):
    page_of(library, seed=123456)  # the first view needs this picture anyway
    before = library.get("tiny").encodes
    demo, _ = page_of(library, "compare", seed=123456)
    assert library.get("tiny").encodes == before
    values = [b.value for b in demo.blocks.values() if getattr(b, "elem_id", None) in ("compare-pictures", "grid-page")]
    assert set(values) <= {None, "", EMPTY} and EMPTY in values
