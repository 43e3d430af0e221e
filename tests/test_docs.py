"""What docs and code say of each other: every section, module, file and name that they mention is there."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

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


ROOMS = (*PACKAGES, "ui", "benchmarks", "tests")
GONE = {"foundation/shapes.py"}  # named as what it was, in docs/decisions.md


def texts():
    """Pages, settings and code, each as (place, one line)."""
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("docs/**/*.ipynb"),
        *ROOT.glob("assets/**/*.md"),
    ]
    plain = [ROOT / name for name in ("Makefile", "pyproject.toml", "Dockerfile", "compose.yaml", "app.py")]
    plain += [p for p in (ROOT / ".ci").glob("*") if p.is_file()]
    code = [p for room in ROOMS if room != "tests" for p in (ROOT / room).rglob("*.py")]
    for path in (*pages, *plain, *code):
        yield path.relative_to(ROOT).as_posix(), re.sub(r"\s*\\?\n\s*(?:# )?", " ", path.read_text(encoding="utf-8"))


def named(pattern: str) -> list:
    """What is named, as parameters: (name, one of the places)."""
    places = {name: place for place, text in texts() for name in re.findall(pattern, text)}
    assert places
    return [pytest.param(name, place, id=name) for name, place in sorted(places.items())]


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is no package
        return False


@pytest.mark.parametrize(("module", "place"), named(r"(?:python|torchrun [^`]*?|launch [^`]*?) -m ([a-z_]+(?:\.\w+)*)"))
def test_commands_name_modules_that_are_there(module, place):
    assert is_module(module), place


@pytest.mark.parametrize(
    ("path", "place"),
    named(rf"\b((?:{'|'.join(ROOMS)}|docs|web|deploy)/[\w./-]*\w\.(?:py|js|ts|css|toml|json|md|conf))\b"),
)
def test_files_that_are_named_are_there(path, place):
    assert (ROOT / path).exists() or path in GONE, place


@pytest.mark.parametrize(("name", "place"), named(rf"`((?:{'|'.join(ROOMS)})(?:\.\w+)+)(?:\(\))?`"))
def test_dotted_names_lead_to_something(name, place):
    parts = name.split(".")
    module = next(m for k in range(len(parts), 0, -1) if is_module(m := ".".join(parts[:k])))
    rest = parts[module.count(".") + 1 :]
    thing = importlib.import_module(module)
    for part in rest:
        assert hasattr(thing, part), (place, module, part)
        thing = getattr(thing, part)
