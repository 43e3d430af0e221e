"""Python files and lines of every room of the house; `__init__.py` are counted."""

from __future__ import annotations

from pathlib import Path

from benchmarks.timing import print_table
from benchmarks.trips import ROOT

HOUSE = ("foundation", "koopman_core", "flow_core", "analysis", "ui", "benchmarks", "tests")


def sizes(folder: Path) -> tuple[int, int]:
    """Files and lines of a folder and all below it."""
    files = [path for path in folder.rglob("*.py") if "__pycache__" not in path.parts]
    return len(files), sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)


def run() -> None:
    """Print the folders of the house, and of each what stands in its rooms."""
    rows = []
    for name in HOUSE:
        rooms = sorted(p for p in (ROOT / name).iterdir() if p.is_dir() and any(p.rglob("*.py")))
        for folder in (ROOT / name, *([] if name == "tests" else rooms)):
            files, lines = sizes(folder)
            rows.append([f"{folder.relative_to(ROOT)}/", f"{files}", f"{lines:,}"])
    print_table("Sizes of the rooms", ["folder", "files", "lines"], rows)
