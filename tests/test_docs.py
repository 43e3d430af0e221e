"""What the code says of its own pages: every section that a docstring names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMED = re.compile(r'docs/(method|flow)\.md,\s+"([^"]+)"')
PACKAGES = ("analysis", "koopman_core", "flow_core", "foundation")


def sources():
    folders = (*PACKAGES, *(f"tests/{name}" for name in PACKAGES))
    return [p for folder in folders for p in sorted((ROOT / folder).rglob("*.py"))]


def headings(page):
    return {line.removeprefix("## ").strip() for line in page.read_text().splitlines() if line.startswith("## ")}


def test_docstrings_name_sections_that_exist():
    there = {(page, section) for page in ("method", "flow") for section in headings(ROOT / "docs" / f"{page}.md")}
    named = {(p.name, *found) for p in sources() for found in NAMED.findall(" ".join(p.read_text().split()))}
    assert {page for _, page, _ in named} == {"method", "flow"}
    assert {n for n in named if n[1:] not in there} == set()


def test_no_page_is_named_that_a_reader_does_not_have():
    strangers = re.compile(r"(hkd|idff)\.md|[Rr]eference,? section|method's reference")
    here = Path(__file__).name
    assert [p.name for p in sources() if p.name != here and strangers.search(p.read_text())] == []


def test_links_between_the_pages_lead_somewhere():
    for page in (ROOT / "docs").glob("*.md"):
        for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
