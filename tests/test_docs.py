"""What the code says of its own pages: every section that a docstring names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMED = re.compile(r'docs/method\.md,\s+"([^"]+)"')


def sources():
    folders = ("analysis", "koopman_core", "foundation", "tests/analysis", "tests/koopman_core", "tests/foundation")
    return [p for folder in folders for p in sorted((ROOT / folder).glob("*.py"))]


def headings(page):
    return {line.removeprefix("## ").strip() for line in page.read_text().splitlines() if line.startswith("## ")}


def test_docstrings_name_sections_that_exist():
    there = headings(ROOT / "docs" / "method.md")
    named = {(p.name, section) for p in sources() for section in NAMED.findall(p.read_text())}
    assert named and {n for n in named if n[1] not in there} == set()


def test_no_page_is_named_that_a_reader_does_not_have():
    strangers = re.compile(r"hkd\.md|[Rr]eference,? section")
    assert [p.name for p in sources() if strangers.search(p.read_text())] == []


def test_links_between_the_pages_lead_somewhere():
    for page in (ROOT / "docs").glob("*.md"):
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_page_of_results_can_be_written_to():
    from analysis.result_pages import with_section

    page = (ROOT / "docs" / "results.md").read_text()
    assert with_section(page, "test", "part", "x").startswith(page.split("<!-- begin")[0].rstrip("\n"))
