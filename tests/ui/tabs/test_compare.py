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
from analysis.metrics.image import compare_pictures
from analysis.recipes import recipe
from analysis.workbench.spectrum import MaskRequest
from ui.source import NO_CLASS, build_source
from ui.tabs.compare import CompareTab, build_compare
from ui.tabs.grid import EMPTY, SINGLE, GridPanel, _each

A = ("tiny", 3, NO_CLASS, 0.3, 0.6, 1, 1, 1, "alpha")
B = ("tiny", 3, NO_CLASS, 0.6, 0.3, 0, 1, 2, "abs")  # edges that cross are put right
FIXED = (1, 0.5, 0.5, [2], "whole", 0, 4)  # reference, ratio, edit time, bands, region, noise seed, steps


def pixels(kept):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(json.loads(kept)["png"]))))


def test_two_settings(library):
    row, numbers, kept_a, kept_b = CompareTab(library).pair(*A, *B)
    bench = library.get("tiny")
    first = bench.mask_bands(MaskRequest(3, -1, (0.3, 0.6), (1, 1, 1))).masked
    second = bench.mask_bands(MaskRequest(3, -1, (0.3, 0.6), (0, 1, 2), "abs")).masked
    assert np.array_equal(pixels(kept_a), first) and np.array_equal(pixels(kept_b), second)
    assert row.count("<img") == 3
    assert f"{compare_pictures(first, second).numbers.mse:.4g}" in numbers
    replayed = recipe.replay(recipe.from_json(json.loads(kept_b)["recipe"]), bench)
    assert np.array_equal(replayed.masked, second)


def test_equal_settings_are_said_to_be_equal(library):
    row, numbers, *_ = CompareTab(library).pair(*A, *A)
    assert "equal in every pixel" in row and "∞" in numbers


def test_a_cleared_seed_changes_nothing(library):
    cleared = (A[0], None, *A[2:])
    assert all(v == gr.skip() for v in CompareTab(library).pair(*A, *cleared))


def test_a_seed_out_of_range_is_a_sentence(library):
    with pytest.raises(UserError, match="The seed"):
        CompareTab(library).pair(*A, A[0], 2**40, *A[2:])


def test_a_side_takes_over_the_bar(library):
    model, seed, label = CompareTab(library).side_of("tiny-classes", 9, 1)
    assert model["value"] == "tiny-classes" and seed == 9 and label["value"] == 1 and label["visible"]
    assert CompareTab(library).classes("tiny", 1)["value"] == NO_CLASS


def test_a_side_takes_over_an_own_model(library, models_folder):
    key = library.own.add(models_folder / "tiny.hkd.safetensors")
    model, *_ = CompareTab(library).side_of(key, 9, 1)
    assert ("own-tiny", key) in model["choices"] and model["value"] == key
    library.own.drop([key])


# grids


def steps_of(library, kind="bands", x="large", across="0, 2", y="seed", down="1..2", patience=60.0):
    return list(GridPanel(library, patience).make(kind, x, across, y, down, *FIXED, *A))


def test_a_grid_grows_cell_by_cell(library):
    steps = steps_of(library)
    assert [s[0].count("<img") for s in steps] == [0, 1, 2, 3, 4]
    assert [s[1].done for s in steps] == [0, 1, 2, 3, 4] and steps[-1][1].total == 4
    assert "4 of 4 cells made" in steps[-1][2] and "1 of 4" in steps[1][2]
    single = library.get("tiny").mask_bands(MaskRequest(2, -1, (0.3, 0.6), (1, 1, 2))).masked
    assert np.array_equal(steps[-1][1].cells[1][1], single)
    assert steps[-1][0].count('scope="row"') == 2 and steps[-1][0].count('scope="col"') == 2


def test_a_single_row(library):
    page = steps_of(library, y=SINGLE, down="rubbish that nobody reads")[-1][0]
    assert page.count("<img") == 2 and "↓" not in page


def test_cells_that_cannot_be_made_are_counted(library):
    page, made, status = steps_of(library, "teacher", "model", "tiny, tiny-classes", "steps", "4")[-1]
    assert page.count("<img") == 1 and "not possible" in page and "no teacher" in page
    assert "1 not possible" in status and made.done == 2


def test_a_grid_that_takes_too_long_keeps_what_it_has(library):
    steps = steps_of(library, patience=-1.0)
    assert len(steps) == 2 and steps[-1][1].done == 1 and "Stopped after" in steps[-1][2]


def test_the_grid_as_a_file(library):
    panel, made = GridPanel(library), steps_of(library)[2][1]  # half done
    file = json.loads(panel.save(made))
    image = Image.open(io.BytesIO(base64.b64decode(file["data"])))
    assert file["name"] == "grid-bands-large-seed.png" and image.width > 2 * 96 and image.height > 2 * 96
    for nothing in (None, steps_of(library)[0][1]):
        with pytest.raises(UserError, match="Make a grid first"):
            panel.save(nothing)


def test_stopping_is_said_last_and_says_how_far_it_came(library):
    panel, whole = GridPanel(library), steps_of(library)
    me, other = SimpleNamespace(session_hash="me"), SimpleNamespace(session_hash="other")
    asked = ("bands", "large", "0, 2", "seed", "1..2", *FIXED, *A)
    panel.ask(me, *asked)
    steps = panel.grown(me, *asked)
    shown = [(page, line) for page, _, line in whole]
    assert [next(steps)[::2] for _ in range(3)] == shown[:3]
    assert "Nothing is being made" in panel.stop(None, other)  # of somebody else
    assert panel.stop(whole[2][1], me) == gr.skip()
    *kept, line = next(steps)
    assert kept == [gr.skip()] * 2 and "Stopped: 2 of 4 cells are kept" in line and list(steps) == []
    assert "Nothing is being made" in panel.stop(whole[-1][1], me)
    panel.ask(me, *asked)
    panel.stop(None, me)  # while it waits in the queue
    assert [line for *_, line in panel.grown(me, *asked)] == [
        '<p class="ks-line" role="status">Stopped: 0 of 4 cells are kept.</p>'
    ]
    panel.ask(me, *asked)
    assert [step[::2] for step in panel.grown(me, *asked)] == shown


def test_directions_follow_the_kind_of_picture(library):
    panel = GridPanel(library)
    x, y = panel.axes("edit", "large", "ratio")
    assert x["value"] in dict(map(reversed, x["choices"])) and y["value"] == "ratio" != x["value"]
    assert "large" not in [name for _, name in x["choices"]] and y["choices"][0][1] == SINGLE
    x, y = panel.axes("teacher", "seed", "seed")
    assert x["value"] == "seed" != y["value"]
    assert panel.usual("model") == "tiny, tiny-classes" and panel.usual("nothing") == ""


@pytest.mark.parametrize(("x", "y"), [("nothing", "seed"), (None, "seed"), ("seed", "nothing"), ("seed", "seed")])
def test_hostile_directions(library, x, y):
    with pytest.raises(UserError):
        steps_of(library, x=x, across="1", y=y, down="1")


def test_labels_are_escaped(library):
    with pytest.raises(UserError, match="choose one of"):
        steps_of(library, x="model", across="<b>x</b>", y=SINGLE)


def test_a_failing_generator_says_one_sentence():
    def steps(n):
        yield n
        raise UserError("Do less.")

    run = _each(steps)(3)
    assert next(run) == 3
    with pytest.raises(gr.Error, match="Do less"):
        next(run)


def test_nothing_is_computed_before_the_tab_is_looked_at(library):
    before = library.get("tiny").encodes
    with gr.Blocks() as demo:
        source = build_source(library, 123456)
        with gr.Tabs(), gr.Tab("Compare", id="compare") as tab:
            build_compare(library, source, tab)
    assert library.get("tiny").encodes == before
    values = [b.value for b in demo.blocks.values() if getattr(b, "elem_id", None) in ("compare-pictures", "grid-page")]
    assert set(values) <= {None, "", EMPTY} and EMPTY in values
