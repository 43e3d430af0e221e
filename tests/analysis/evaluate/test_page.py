"""The page of results: sections replaced in place, everything else left alone, broken pages refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from analysis.core.errors import UserError
from analysis.evaluate.page import section, with_section, write_section

PAGE = """# Results

Written by hand.

<!-- begin shapes bands -->
old
<!-- end shapes bands -->

By hand in between.

<!-- begin shapes editing -->
kept
<!-- end shapes editing -->
By hand below, without a line's end"""


def test_a_section_is_replaced_in_place_and_nothing_else():
    changed = with_section(PAGE, "shapes", "bands", "new\n\nlines\n")
    assert changed == PAGE.replace("old", "new\n\nlines")
    assert with_section(changed, "shapes", "bands", "new\n\nlines\n") == changed
    assert with_section(changed, "shapes", "bands", "old") == PAGE


def test_a_missing_section_is_appended():
    changed = with_section(PAGE, "cifar10", "bands", "more")
    assert changed == PAGE + "\n\n<!-- begin cifar10 bands -->\nmore\n<!-- end cifar10 bands -->\n"
    assert with_section(changed, "cifar10", "bands", "more") == changed
    assert with_section("", "a", "b", "c") == "<!-- begin a b -->\nc\n<!-- end a b -->\n"
    other = with_section(changed, "shapes", "linearity", "x")
    assert other.startswith(changed) and with_section(other, "cifar10", "bands", "more") == other


def test_a_section_carries_its_command():
    text = section("shapes", "bands", "python -m x", "| a |\n")
    assert text == "## shapes: bands\n\n`python -m x`\n\n| a |\n"
    assert text.strip() in with_section(PAGE, "shapes", "bands", text)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (PAGE.replace("<!-- end shapes bands -->\n", ""), "Line 10 of the page begins shapes editing inside of shapes"),
        (PAGE.replace("<!-- end shapes editing -->\n", ""), "begins shapes editing and never ends"),
        (PAGE.replace("<!-- begin shapes bands -->\n", ""), "ends shapes bands, which is not open"),
        (PAGE.replace("end shapes bands", "end shapes bonds"), "ends shapes bonds, which is not open"),
        (PAGE.replace("shapes editing", "shapes bands"), "begins shapes bands a second time"),
        (PAGE.replace("<!-- end shapes bands -->", "<!-- end shapes -->"), "Line 7 of the page looks like a marker"),
        (PAGE.replace("<!-- begin shapes bands -->", "<!--begin shapes bands-->"), "Line 5 of the page looks like"),
    ],
)
def test_a_broken_page_is_refused_with_a_sentence_and_kept(page, words, tmp_path):
    path = tmp_path / "results.md"
    path.write_text(page)
    for part in ("bands", "new"):
        with pytest.raises(UserError, match=f"results.md: .*{words}.*\\.$"):
            write_section(path, "shapes", part, "text")
    assert path.read_text() == page and [p.name for p in tmp_path.iterdir()] == ["results.md"]


@pytest.mark.parametrize(("model", "part", "text"), [
    ("two words", "bands", "x"), ("a", "-->\n", "x"), ("", "bands", "x"), ("a", "b", "x\n<!-- end a b -->\ny"),
])  # fmt: skip
def test_what_would_break_the_page_is_refused(model, part, text):
    with pytest.raises(UserError):
        with_section(PAGE, model, part, text)


def test_a_new_page_is_made_and_an_unwritable_one_told(tmp_path):
    write_section(tmp_path / "r.md", "shapes", "bands", "α")
    assert (tmp_path / "r.md").read_text(encoding="utf-8").startswith("# Results\n\n<!-- begin shapes bands -->\nα\n")
    for bad in (tmp_path, tmp_path / "none" / "r.md"):
        with pytest.raises(UserError, match="cannot be (read|written)"):
            write_section(bad, "shapes", "bands", "x")
    (tmp_path / "latin.md").write_bytes(b"\xe9")
    with pytest.raises(UserError, match="cannot be read"):
        write_section(tmp_path / "latin.md", "shapes", "bands", "x")


def test_two_at_one_moment_lose_nothing(tmp_path):
    page = tmp_path / "r.md"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: write_section(page, f"m{i}", "bands", "x"), range(24)))
    assert all(f"<!-- begin m{i} bands -->" in page.read_text() for i in range(24))
