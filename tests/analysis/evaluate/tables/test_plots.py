"""Pictures of the page of results hold the figures of the tables, and no other."""

import re

import numpy as np
import pytest

from analysis.evaluate.page import PLOTS_FOLDER, RESULTS, Section, read_sections, write_section
from analysis.evaluate.tables.markdown import Verdict, grid, interval, number
from analysis.evaluate.tables.plots import picture_of
from foundation.metrics.statistics import Interval


def curve(name, *values):
    return [name, *(interval(v if v is None else Interval(v, v - 0.5, v + 1), ".3f") for v in values)]


CALLS = grid(["MMD^2, by network calls", "1", "2", "10"], [
    curve("Euler", 9.0, 4.0, 1.0), curve("Heun", 9.0, None, 0.5), [*curve("data", 0.25), "same", "same"],
])  # fmt: skip


def test_a_curve_a_row_with_its_interval():
    (axes,) = picture_of(["Words.", CALLS]).axes
    euler, heun = axes.containers
    assert list(euler.lines[0].get_xdata()) == [1, 2, 10] and list(euler.lines[0].get_ydata()) == [9, 4, 1]
    assert np.array_equal(np.array(heun.lines[0].get_ydata(), float), [9, np.nan, 0.5], equal_nan=True)
    ends = [segment[:, 1].tolist() for segment in euler.lines[2][0].get_segments()]
    assert ends == [[8.5, 10], [3.5, 5], [0.5, 2]]
    (constant,) = [line for line in axes.lines if line.get_label() == "data"]
    assert set(constant.get_ydata()) == {0.25} and axes.get_ylabel() == "MMD^2"
    assert [t.get_text() for t in axes.get_xticklabels()] == ["1", "2", "10"]


def test_scores_by_lead_leave_differences_out():
    rows = [["this model", *(number(v, ".2f") for v in (0.1, 0.4))], ["this model less it", *("n/a", "n/a")]]
    (axes,) = picture_of([grid(["lead, frames", "1", "20"], rows)]).axes
    assert [c.get_label() for c in axes.containers] == ["this model"] and axes.get_xscale() == "linear"


def test_what_depends_on_the_batch_has_a_panel_a_column():
    rows = [curve("16", 9.0, 4.0), curve("1,024", 8.0, 1.0)]
    figure = picture_of([grid(["batch", "cost", "scatter"], rows)])
    assert [a.get_title() for a in figure.axes] == ["cost", "scatter"]
    for axes, values in zip(figure.axes, ([9, 8], [4, 1]), strict=True):
        (errors,) = axes.containers
        assert list(errors.lines[0].get_xdata()) == [16, 1024] and list(errors.lines[0].get_ydata()) == values


def first_table(part):
    """Of a section of our page."""
    return next(s.blocks[1] for s in read_sections(RESULTS) if (s.model, s.part) == ("shapes", part))


def test_the_linear_law_has_a_panel_a_level():
    table = first_table("linearity")
    figure = picture_of([table])
    rows = [row for row in table.rows if not row[0].startswith("pictures")]
    assert [a.get_title() for a in figure.axes] == [row[0] for row in rows]
    for axes, row in zip(figure.axes, rows, strict=True):
        for k, line in enumerate(axes.lines):
            assert list(line.get_ydata()) == [c.figures[k] for c in row[1:]]
        assert axes.xaxis_inverted()


def test_bands_stand_by_order_with_what_they_add():
    table = first_table("bands")
    centroid, change = picture_of([table]).axes
    for axes, column in ((centroid, 2), (change, 3)):
        drawn = sorted(float(c.lines[0].get_ydata()[0]) for c in axes.containers)
        assert drawn == sorted(row[column].figures[0] for row in table.rows)


@pytest.mark.parametrize("block", ["Words.", Verdict("More."), grid(["factor", "pairs"], [["place", "3"]])])
def test_other_blocks_have_no_picture(block):
    assert picture_of([block]) is None


def test_a_picture_stands_below_its_command(tmp_path):
    write_section(tmp_path / "r.md", Section("toy", "quality", "python -m x", (CALLS,)))
    write_section(tmp_path / "r.md", Section("toy", "words", "python -m y", ("Words.",), 1))
    (name,) = re.findall(r"`python -m x`\n\n!\[[^]]*\]\(([^)]*)\)\n", (tmp_path / "r.md").read_text())
    assert [p.name for p in (tmp_path / PLOTS_FOLDER).iterdir()] == ["toy.quality.svg"]
    assert (tmp_path / name).read_text().lstrip().startswith("<?xml")


def test_every_picture_of_our_page_is_there():
    named = set(re.findall(r"\(pictures/([^)]*)\)", RESULTS.read_text()))
    assert named == {p.name for p in (RESULTS.parent / PLOTS_FOLDER).iterdir()} and len(named) >= 10
