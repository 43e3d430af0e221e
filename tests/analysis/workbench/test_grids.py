"""Grids: values from text, cells that equal the Workbench's own answers, and one encoding a seed."""

import dataclasses

import numpy as np
import pytest

from analysis.core.errors import UserError
from analysis.workbench import grids
from analysis.workbench.editing import EditRequest
from analysis.workbench.grids import AXES, GRID_KINDS, Cell, Grid
from analysis.workbench.images import GenerateRequest, TrajectoryRequest
from analysis.workbench.library import ModelLibrary
from analysis.workbench.restoration import ColorizeRequest
from analysis.workbench.spectrum import MaskRequest
from tests.refusals import refuses
from tests.sentences import tells


@pytest.fixture(scope="module")
def library(models):
    return ModelLibrary(models)


@pytest.mark.parametrize(
    ("axis", "text", "values"),
    [
        ("seed", "0..3", (0, 1, 2, 3)),
        ("seed", "3..0", (3, 2, 1, 0)),
        ("seed", "5, 7;9 11", (5, 7, 9, 11)),
        ("ratio", "0, .5,1", (0.0, 0.5, 1.0)),
        ("ratio", "0..1:5", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("label", "-1..1", (-1, 0, 1)),
        ("mixed", "small, Large+middle", ((0,), (1, 2))),
        ("model", "shapes, many", ("shapes", "many")),
    ],
)
def test_values_from_text(axis, text, values):
    assert AXES[axis].values(text) == values


@pytest.mark.parametrize(
    ("axis", "text"),
    [
        ("seed", ""), ("seed", "a"), ("seed", "1.5"), ("seed", "-1"), ("seed", "0..99999999"), ("seed", "nan"),
        ("seed", "1e400"), ("seed", "0..1e300:5"), ("seed", "0..1e400"), ("ratio", "1.1"), ("ratio", "0..1:0"),
        ("ratio", "0..1:1e9"), ("ratio", "0..:3"), ("mixed", "tiny"), ("mixed", "small+"), ("low", "inf"),
        ("seed", "1," * 400), ("model", ""), ("seed", None), ("steps", "0"), ("small", "2.5"),
    ],
)  # fmt: skip
def test_values_that_are_none_are_a_sentence(axis, text):
    with pytest.raises(UserError) as caught:
        AXES[axis].values(text)
    assert str(caught.value).endswith(".")


def test_every_axis_has_usual_values_and_a_field():
    fields = {f.name for f in dataclasses.fields(Cell)}
    for name, axis in AXES.items():
        assert axis.field == name in fields and set(axis.kinds) <= set(GRID_KINDS)
        assert name == "model" or axis.values(axis.usual)


def test_cells_are_the_workbenchs_own_answers(library):
    bench, base = library.get("shapes"), Cell("shapes", 3, steps=4, noise=7)
    mask = bench.mask_bands(MaskRequest(3, -1, (0.33, 0.67), (1, 1, 0.5)))
    edit = bench.edit(EditRequest(3, reference_seed=1, noise_seed=7, edges=(0.33, 0.67), ratio=0.25, region="whole"))
    own = bench.generate(GenerateRequest((3,))).pictures[0]
    expected = {
        ("bands", "large", 0.5): mask.masked,
        ("edit", "ratio", 0.25): edit.edited,
        ("teacher", "steps", 6): bench.trajectory(TrajectoryRequest(3, -1, 6)).final,
        ("colorize", "steps", 2): bench.colorize(ColorizeRequest(own, 7, -1, 2)).picture,
    }
    for (kind, axis, value), picture in expected.items():
        made = list(grids.make(Grid(kind, base, axis, (value,)), library.get))
        assert [m[:2] for m in made] == [(0, 0)] and np.array_equal(made[0][2], picture), kind


def test_rows_and_columns(library):
    grid = Grid("bands", Cell("shapes"), "large", (0.0, 2.0), "seed", (1, 2, 3))
    made = list(grids.make(grid, library.get))
    assert [m[:2] for m in made] == [(i, j) for i in range(3) for j in range(2)]
    single = library.get("shapes").mask_bands(MaskRequest(2, -1, (0.33, 0.67), (1, 1, 2.0))).masked
    assert np.array_equal(made[3][2], single)


def test_a_seed_is_encoded_once(models):
    library = ModelLibrary(models)
    grid = Grid("bands", Cell("shapes"), "large", (0.0, 0.5, 1.0, 2.0), "seed", (1, 2))
    list(grids.make(grid, library.get))
    assert library.get("shapes").encodes == 2


def test_a_cell_that_cannot_be_made_says_why_and_the_rest_goes_on(library):
    grid = Grid("bands", Cell("shapes"), "low", (0.2, 0.8), "high", (0.5, 0.9))
    kinds = [type(done) for _, _, done in grids.make(grid, library.get)]
    assert kinds == [np.ndarray, str, np.ndarray, np.ndarray]
    alone = Grid("teacher", Cell("shapes", steps=4), "model", ("shapes", "many", "nothing"))
    done = [d for _, _, d in grids.make(alone, library.get)]
    assert isinstance(done[0], np.ndarray) and done[1].endswith(".") and tells(done[2], "many", "shapes")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (("dance", Cell("m"), "seed", (1,)), "kind"),
        (("bands", Cell("m"), "ratio", (1,)), "parameter"),
        (("bands", Cell("m"), "nothing", (1,)), "parameter"),
        (("bands", Cell("m"), "seed", (1,), "seed", (2,)), "down"),
        (("bands", Cell("m"), "seed", tuple(range(9)), "large", (0.0,) * 8), "values"),
        (("bands", Cell("m"), "seed", ()), "values"),
        (("bands", Cell("m", low=0.9, high=0.1), "seed", (1, 2)), "edges"),
        (("edit", Cell("m", mixed=()), "seed", (1, 2)), "bands"),
        (("edit", Cell("m", region="painted"), "seed", (1, 2)), "region"),
        (("edit", Cell("m", region=["x"]), "seed", (1, 2)), "region"),
        (("colorize", Cell("m", noise=-1), "seed", (1, 2)), "noise"),
        (("bands", Cell("m", seed=None), "large", (1.0,)), "seed"),
    ],
)
def test_grids_that_make_no_sense(values, field):
    with refuses(field):
        Grid(*values)


def test_the_description_names_what_is_common():
    text = grids.describe(Grid("edit", Cell("m", seed=4), "ratio", (0.5,), "mixed", ((0,),)))
    ratio, *others = (AXES[name].title.lower() for name in ("ratio", "seed", "label", "time"))
    assert tells(text, 4, 0.5) and ratio not in text and all(name in text for name in others)
