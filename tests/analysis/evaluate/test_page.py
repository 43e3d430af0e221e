"""The page of results: figures as JSON, one file a section; the page from them alone."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from analysis.core.errors import UserError
from analysis.evaluate.page import RESULTS, Section, read_sections, render, write_page, write_section
from analysis.evaluate.tables.markdown import (
    Cell,
    Verdict,
    block_json,
    block_of,
    cell,
    extremes,
    grid,
    interval,
    number,
)
from foundation.metrics.statistics import Interval
from tests.refusals import refuses

TABLE = grid(
    ["row", "figure"],
    [
        ["a", cell("{:.3f} [{:.3f}, {:.3f}] *", 0.12345, 0.1, 0.2)],
        ["b", number(None, ".2f")],
        ["α", Cell("{:,}", 1000)],
    ],
)
BLOCKS = ("Words.", TABLE, Verdict("More.", {"sign": 1}), Verdict("Less.", {"sign": -1}))


def section(model="shapes", part="bands", place=0, blocks=BLOCKS):
    return Section(model, part, "python -m x", blocks, place)


def test_a_section_as_markdown():
    assert str(section()) == (
        "## shapes: bands\n\n`python -m x`\n\nWords.\n\n"
        "| row | figure |\n| --- | --- |\n| a | 0.123 [0.100, 0.200] * |\n| b | n/a |\n| α | 1,000 |\n\n"
        "- **Verdict.** More.\n- **Verdict.** Less.\n"
    )


def test_what_is_kept_gives_the_same_page_and_the_figures(tmp_path):
    page = tmp_path / "results.md"
    write_section(page, section())
    (kept,) = read_sections(page)
    assert kept == section() and str(kept) in page.read_text()
    rows = json.loads((tmp_path / "results" / "shapes.bands.json").read_text())["blocks"][1]["rows"]
    assert rows[0][1] == ["{:.3f} [{:.3f}, {:.3f}] *", 0.12345, 0.1, 0.2] and rows[2][1] == ["{:,}", 1000]
    assert kept.blocks[1].rows[0][1].figures == (0.12345, 0.1, 0.2) and kept.blocks[2].figures == {"sign": 1}


@pytest.mark.parametrize("value,form", [(0.123456789, ".4f"), (1234567.25, ".1f"), (0.1234565, ".6f"), (1e-12, ".2g")])
def test_a_figure_has_as_many_digits_as_its_printed_form_needs(value, form):
    block = grid(["x"], [[number(value, form)]])
    kept = json.loads(json.dumps(block_json(block)))["rows"][0][0][1]
    assert f"{kept:{form}}" == f"{value:{form}}" and kept == pytest.approx(value, rel=1e-5)
    assert block_of(block_json(block)) == block


def test_what_json_cannot_hold_is_printed_and_kept_as_words():
    row = [number(math.nan, ".2f"), cell("{:.1f} [{:.1f}, {:.1f}]", 1.0, -math.inf, math.inf), interval(None)]
    table = grid("abc", [row])
    assert block_of(json.loads(json.dumps(block_json(table), allow_nan=False))) == table
    assert row == ["n/a", "1.0 [-inf, inf]", "n/a"]
    assert block_json(Verdict("x", {"p": math.inf, "q": [math.nan]}))["figures"] == {"p": None, "q": [None]}


def test_intervals_and_extremes_as_cells():
    assert interval(Interval(0.5, 0.25, 0.75), ".2f") == "0.50 [0.25, 0.75]"
    assert extremes([1.0], ".1f") == "1.0" and extremes([1.0, 2.0], ".1f") == "1.5 [1.0, 2.0]"
    with pytest.raises(ValueError):
        grid(["a"], [["b", "c"]])


def test_sections_stand_by_model_then_place_whatever_came_first(tmp_path):
    page = tmp_path / "results.md"
    names = [("b", "first", 0), ("a", "late", 3), ("a", "early", 1)]
    for model, part, place in names:
        write_section(page, section(model, part, place))
    assert [(s.model, s.part) for s in read_sections(page)] == [("a", "early"), ("a", "late"), ("b", "first")]
    text = page.read_text()
    write_section(page, section("a", "late", 3, ("Other words.",)))
    assert page.read_text() == text.replace(
        str(section("a", "late", 3)), str(section("a", "late", 3, ("Other words.",)))
    )
    write_section(page, section("a", "late", 3))
    assert page.read_text() == text


def test_what_is_written_by_hand_stands_above(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "introduction.md").write_text("# Ours\n")
    write_section(tmp_path / "r.md", section())
    assert (tmp_path / "r.md").read_text().partition("\n\n")[2].startswith("# Ours\n\n## shapes: bands\n")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model": "a", "part": "b", "command": "c", "place": 0}',
                                  '{"model": "a", "part": "b", "command": "c", "place": 0, "blocks": [{"rows": 3}]}',
                                  '{"model": "a", "part": "b", "command": "c", "place": 0, "blocks": '
                                  '[{"head": ["x"], "rows": [[["{:.3f} {}", 1]]]}]}'])  # fmt: skip
def test_a_file_that_is_no_section_is_named_and_the_page_kept(tmp_path, text):
    page = tmp_path / "results.md"
    write_section(page, section())
    before = page.read_text()
    (tmp_path / "results" / "a.b.json").write_text(text)
    with refuses("section"):
        write_section(page, section("c", "d"))
    assert page.read_text() == before and not (tmp_path / "results" / "c.d.json").exists()


def test_a_page_that_was_written_by_hand_is_never_replaced(tmp_path):
    page = tmp_path / "results.md"
    page.write_text("# Mine\n")
    with pytest.raises(UserError):
        write_section(page, section())
    assert page.read_text() == "# Mine\n" and [p.name for p in tmp_path.iterdir()] == ["results.md"]


@pytest.mark.parametrize(("model", "part"), [("two words", "a"), ("", "a"), ("a", ""), ("../a", "b"), (".a", "b")])
def test_a_name_that_is_no_file_is_refused(model, part):
    with pytest.raises(UserError):
        section(model, part)


def test_a_page_that_cannot_be_written_is_told(tmp_path):
    for bad in (tmp_path, tmp_path / "none" / "r.md"):
        with pytest.raises(UserError):
            write_section(bad, section())
    (tmp_path / "latin.md").write_bytes(b"\xe9")
    with pytest.raises(UserError):
        render(tmp_path / "latin.md")


def test_two_at_one_moment_lose_no_figure(tmp_path):
    page = tmp_path / "r.md"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: write_section(page, section(f"m{i}")), range(24)))
    write_page(page)
    assert {s.model for s in read_sections(page)} == {f"m{i}" for i in range(24)}
    assert all(f"## m{i}: bands" in page.read_text() for i in range(24))


def test_the_page_of_the_repository_is_rendered_from_its_figures():
    assert RESULTS.read_text(encoding="utf-8") == render(RESULTS)
    sections = read_sections(RESULTS)
    assert len(sections) == len(list((RESULTS.parent / "results").glob("*.json"))) and all(s.blocks for s in sections)
