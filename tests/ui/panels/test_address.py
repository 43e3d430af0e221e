"""What an address sets, and what in it is none of this page."""

from __future__ import annotations

import json
from types import SimpleNamespace
from urllib.parse import urlencode

import gradio as gr
import numpy as np
import pytest

from analysis.workbench.grids import AXES, GRID_KINDS
from flow_core.samplers import SAMPLER_NAMES
from tests.refusals import refuses
from tests.ui.conftest import CLASSES
from tests.ui.serving import page_of
from ui.components.controls import shown_text
from ui.components.painter import hole, packed
from ui.components.picture_chooser import own_value, photograph
from ui.panels.address import LONGEST, Address, controls_of, fitting
from ui.source import NO_CLASS
from ui.tabs.change.grid import ONE_ROW
from ui.tabs.flows.settings import DRAWING_SIDE
from ui.workspaces import STAY


@pytest.fixture(scope="module")
def page(library):
    tabs = ("spectrum", "flow", "compare", "directions", "edit", "restore", "inversion", "atlas")
    return page_of(library, *tabs, seed=3)[1]


@pytest.fixture(scope="module")
def kept(page) -> dict:
    return {part.elem_id: part for frame in page.frames.values() for part in controls_of(frame)}


@pytest.fixture(scope="module")
def address(page, library, kept) -> Address:
    return Address(library, page, kept)


def read(address, moves=4, **asked) -> dict:
    return address.read(SimpleNamespace(_data={"hash": f"#{urlencode(asked)}"}), moves)


def test_model_seed_class_view_and_controls_are_set(address, page, kept):
    asked = {"v": "bands", "m": "tiny-classes", "s": 77, "c": "<b>ship</b>", "gain-small": 0.25, "levels": "0,2"}
    out, source = read(address, **asked, order="abs"), page.work.source
    assert (out[source.model], out[source.seed], out[source.label]["value"]) == ("tiny-classes", 77, 1)
    assert out[page.opener].split()[0] == "bands" and out[source.moves] == 5
    assert (out[kept["gain-small"]], out[kept["levels"]], out[kept["order"]]) == (0.25, [0, 2], "abs")


def test_flows_leave_the_bar_where_it_is(address, page, kept):
    out = read(address, v="flow", **{"flow-nfe-a": "7", "flow-seed": "12"})
    assert out[kept["flow-nfe-a"]] == 7 and out[kept["flow-seed"]] == 12
    assert set(out) == {kept["flow-nfe-a"], kept["flow-seed"], page.opener}


@pytest.mark.parametrize(
    "asked",
    [
        {"v": "nowhere"}, {"v": STAY}, {"m": "../tiny", "s": "3"}, {"s": "-1"}, {"s": str(2**32)}, {"s": "1e3"},
        {"gain-small": "3"}, {"gain-small": "nan"}, {"gain-small": "inf"}, {"gain-small": "x"}, {"order": "size"},
        {"levels": "0,99"}, {"flow-seed": "1.5e99"}, {"header": "1"}, {"values-x": "1" * 999},
        {"restore-origin": "elsewhere"}, {"restore-photo": "dog"}, {"edit-photo": ""}, {"invert-photo": "own.1"},
    ],
)  # fmt: skip
def test_what_is_none_of_the_page_is_left_out(address, asked):
    assert read(address, **asked) == gr.skip()


@pytest.mark.parametrize("data", [None, {}, {"hash": 3}, {"hash": "#" + "x" * LONGEST}])
def test_another_message_is_a_sentence(address, data):
    with refuses("address"):
        address.read(SimpleNamespace(_data=data), 0)


def test_a_control_gives_back_its_own_beginning(kept):
    assert len(kept) > 30
    for name, part in kept.items():
        assert fitting(part, shown_text(part, part.value)) == part.value, name


def test_a_list_is_set_by_its_words_and_what_depends_on_it_follows(address, page, kept):
    asked = {"flow-density": "moons", "flow-sampler-a": SAMPLER_NAMES["published"], "flow-gamma1-a": "3",
             "flow-shown-b": "0"}  # fmt: skip
    out = read(address, v="flow", **asked)
    assert out[kept["flow-density"]] == "moons" and out[kept["flow-sampler-a"]] == "published"
    assert out[kept["flow-shown-b"]] is False
    gamma = out[kept["flow-gamma1-a"]]
    assert gamma["value"] == 3 and gamma["visible"] and out[kept["flow-gamma2-a"]]["visible"]
    box = page.built["flow"].controls.source_box
    assert box not in out
    assert read(address, **{"flow-source": "my other drawing"})[box]["visible"]
    assert read(address, **{"flow-density": "nowhere"}) == gr.skip()


def test_the_classes_of_a_compared_model_are_its_own(address, page, kept):
    out = read(address, **{"model-b": "tiny-classes", "label-b": "plane"})
    label = out[kept["label-b"]]
    assert out[kept["model-b"]] == "tiny-classes" and (label["value"], label["visible"]) == (2, True)
    assert read(address, **{"label-b": "plane"})[kept["label-b"]]["value"] == NO_CLASS  # the model has none


def test_the_grids_directions_are_those_of_its_kind(address, page, kept):
    """A direction that the kind does not have gives way; values that an address does not tell are the usual ones."""
    out = read(address, **{"grid-kind": GRID_KINDS["edit"], "grid-x": "Mixing ratio", "grid-y": ONE_ROW})
    x, y = out[kept["grid-x"]], out[kept["grid-y"]]
    assert (out[kept["grid-kind"]], x["value"], y["value"]) == ("edit", "ratio", "")
    assert "ratio" in dict(map(reversed, x["choices"])) and out[kept["values-x"]] == AXES["ratio"].usual
    out = read(address, **{"grid-kind": GRID_KINDS["teacher"], "grid-x": "Mixing ratio", "values-x": "3, 4"})
    assert out[kept["grid-x"]]["value"] != "ratio" and out[kept["values-x"]] == "3, 4"


def test_a_level_of_the_atlas_is_one_of_the_models(address, page, kept, library):
    levels = library.get("tiny-classes").spectrum().entries
    out = read(address, m="tiny-classes", s=3, **{"atlas-level": levels[-1].name, "atlas-search": "hair"})
    assert (out[kept["atlas-level"]]["value"], out[kept["atlas-search"]]) == (levels[-1].index, "hair")
    assert read(address, **{"atlas-level": "skip 99"})[kept["atlas-level"]]["value"] == -1


def test_the_lists_of_directions_are_the_models(address, page):
    c = page.built["directions"].controls
    asked = {"direction-from": CLASSES[0], "direction-to": CLASSES[2], "direction-method": "mean"}
    out = read(address, m="tiny-classes", s=3, **asked)
    assert (out[c.class_from]["value"], out[c.class_to]["value"], out[c.method]["value"]) == (0, 2, "mean")
    assert out[c.class_to]["visible"] and out[c.known] == "tiny-classes"
    assert out[c.method]["choices"] != c.method.choices  # it has no teacher
    out = read(address, **{"direction-method": "decoder", "direction-region": "lower half"})
    assert out[c.region]["interactive"] and out[c.region]["value"] == "lower-half" and out[c.known] == "tiny"


def test_what_an_edit_and_a_restoration_show_follows(address, page):
    c = page.built["edit"].controls
    out = read(address, **{"edit-reference": "scene", "edit-encoding": "inversion", "edit-region": "painted"})
    assert out[c.reference] == "scene" and out[c.encoding]["value"] == "inversion" and out[c.canvas_box]["visible"]
    assert len(out[c.encoding]["choices"]) == 2
    out = read(address, m="tiny-classes", s=3, **{"edit-other-label": CLASSES[2]})
    assert (out[c.other_label]["value"], out[c.other_label]["visible"]) == (2, True)
    c = page.built["restore"].controls
    out = read(address, **{"restore-task": "colorize"})
    assert out[c.task] == "colorize" and not out[c.hole_box]["visible"] and out[c.preview_box]["visible"]


def test_what_is_painted_is_in_the_address(address, page):
    mask = hole("random dots", 16)
    c = page.built["restore"].controls
    out = read(address, v="restore", **{"restore-canvas": packed(mask)})
    assert np.array_equal(out[c.mask], mask) and out[c.now] is None  # the canvas is drawn anew
    assert read(address, **{"restore-canvas": ""})[c.mask] is None
    c = page.built["edit"].controls
    assert np.array_equal(read(address, **{"edit-canvas": packed(mask)})[c.mask], mask)
    c = page.built["flow"].controls
    drawing = hole("left half", DRAWING_SIDE)
    out = read(address, v="train", **{"flow-paper": packed(drawing)})
    bits = out[c.drawing]
    assert bits.count("1") == drawing.astype(bool).sum() and json.loads(out[c.paper])["mask"] == bits
    assert c.source_drawing not in out


@pytest.mark.parametrize("name", ["restore-canvas", "edit-canvas", "flow-paper"])
@pytest.mark.parametrize("text", ["x", "16", "16r", "16rA", "999rA", "257b", "16b" + "A" * 42, "16r" + "_" * 99])
def test_a_painting_that_is_damaged_is_a_sentence(address, name, text):
    with refuses("mask"):
        read(address, v="restore", **{name: text})


def test_a_drawing_of_another_size_is_a_sentence(address):
    with refuses("drawing"):
        read(address, **{"flow-paper": packed(hole("left half", 16))})


CHOSEN = {"edit": ("reference", "picture"), "restore": ("origin", "brought"), "inversion": ("origin", "brought")}


@pytest.mark.parametrize("tab", CHOSEN)
def test_a_photograph_is_named_in_the_address(address, page, library, tab):
    c, (origin, picture) = page.built[tab].controls, CHOSEN[tab]
    prefix = getattr(c, origin).elem_id.split("-")[0]
    out = read(address, **{getattr(c, origin).elem_id: "picture", f"{prefix}-photo": "coffee"})
    assert np.array_equal(out[getattr(c, picture)], photograph("coffee", 16)) and out[getattr(c, origin)] == "picture"
    assert out[c.box if tab == "inversion" else c.chooser_box]["visible"]


@pytest.mark.parametrize("tab", CHOSEN)
def test_a_picture_of_ones_own_comes_from_the_browser_that_has_it(address, page, tab):
    c, (origin, picture) = page.built[tab].controls, CHOSEN[tab]
    mine = np.random.default_rng(5).integers(0, 256, (16, 16, 3), np.uint8)
    kept = json.loads(own_value(mine))
    name = getattr(c, origin).elem_id
    text = urlencode({name: "picture", f"{name.split('-')[0]}-photo": kept["key"]})
    sent = {"hash": f"#{text}", "own": {kept["key"]: kept["src"], "m": "tiny-classes", "own.x": 3}}
    out = address.read(SimpleNamespace(_data=sent), 0)
    assert np.array_equal(out[getattr(c, picture)], mine) and out[getattr(c, origin)] == "picture"
    with pytest.warns(UserWarning):  # what a visitor is told, where there is no page
        out = address.read(SimpleNamespace(_data=sent | {"own": None}), 0)  # another browser
    assert out[getattr(c, origin)] == "seed" and getattr(c, picture) not in out
    other = json.loads(own_value(255 - mine))
    with refuses("picture"):
        address.read(SimpleNamespace(_data=sent | {"own": {kept["key"]: other["src"]}}), 0)
