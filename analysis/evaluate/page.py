"""The page of results, rendered from figures: one JSON file a section, MODEL.PART.json in the folder beside the page.

    docs/results.md                      rendered; never edited
    docs/results/introduction.md         what stands above the sections, written by hand
    docs/results/shapes.fidelity.json    one section: its command, tables with their figures, verdicts
    docs/pictures/shapes.bands.svg       drawn from the section's figures, where `tables.plots` has a picture

`python -m analysis.evaluate.page` renders the page again; nothing is measured. Nothing in a section depends on when it
was made, and the page on the files alone: the same figures give the same page.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from analysis.core.errors import UserError
from analysis.evaluate.tables.markdown import Block, block_of, json_text, markdown
from analysis.evaluate.tables.plots import picture_of
from analysis.figures.publication import save
from foundation.files.atomic_write import atomic_write
from foundation.files.models import MODELS_DIR

RESULTS = MODELS_DIR.parents[1] / "docs" / "results.md"
INTRODUCTION, PLOTS_FOLDER = "introduction.md", "pictures"
SECTION_NAME = re.compile(r"[A-Za-z0-9_+-][\w.+-]*")
PAGE_COMMAND = "python -m analysis.evaluate.page"
RENDERED = "<!-- Rendered from the figures beside this page"
FIRST_LINE = f"{RENDERED} by `{PAGE_COMMAND}`: do not edit it. -->\n"


@dataclass(frozen=True)
class Section:
    """One part of one model's results.

    Attributes:
        model, part: its name; letters, digits and . _ + - only.
        command: what measures it again.
        blocks: paragraphs, tables, verdicts.
        place: of the part among those of its model on the page, from 0.
    """

    model: str
    part: str
    command: str
    blocks: tuple[Block, ...]
    place: int = 0

    def __post_init__(self) -> None:
        if not all(SECTION_NAME.fullmatch(name) for name in (self.model, self.part)):
            raise UserError(
                f"A section cannot be named {self.model!r} {self.part!r}: use letters, digits and . _ + - only.",
                "section",
            )

    def __str__(self) -> str:
        """As it is printed: heading, command, blocks."""
        return self.text()

    def text(self, picture: str = "") -> str:
        """The same, with a line for its picture below the command."""
        return "\n\n".join([f"## {self.model}: {self.part}", f"`{self.command}`", *([picture] if picture else []),
                            f"{markdown(self.blocks)}\n"])  # fmt: skip

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.model}.{self.part}.json"


def folder_of(page: str | Path) -> Path:
    """Where a page's figures are."""
    return Path(page).with_suffix("")


def pictures_of(page: str | Path) -> dict[str, Figure]:
    """A page's pictures, by section `MODEL.PART`.

    Raises:
        UserError: a file that is no section.
    """
    drawn = {f"{s.model}.{s.part}": picture_of(s.blocks) for s in read_sections(page)}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _section(path: Path) -> Section:
    try:
        v = json.loads(path.read_text(encoding="utf-8"))
        blocks = tuple(block_of(b) for b in v["blocks"])
        return Section(str(v["model"]), str(v["part"]), str(v["command"]), blocks, int(v["place"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as e:
        raise UserError(
            f"{path.parent.name}/{path.name} is no section of results ({type(e).__name__}: {e}): measure it again, or "
            "delete it.",
            "section",
        ) from None


def read_sections(page: str | Path) -> list[Section]:
    """All sections of a page, by model, then by place.

    Raises:
        UserError: a file that is no section.
    """
    sections = [_section(path) for path in sorted(folder_of(page).glob("*.json"))]
    return sorted(sections, key=lambda s: (s.model, s.place, s.part))


def render(page: str | Path) -> str:
    """The page's text, from its folder; checked before a long measurement, it saves finding out afterwards.

    Raises:
        UserError: a file that is no section, a page that was not rendered, or a folder that is not there.
    """
    page = Path(page)
    above = folder_of(page) / INTRODUCTION
    try:
        if page.exists() and not page.read_text(encoding="utf-8").startswith(RENDERED):
            raise UserError(
                f"{page.name} was not rendered from figures: move it away, or give --results another file.", "results"
            )
        if not page.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {page.parent.name}")
        words = above.read_text(encoding="utf-8") if above.exists() else "# Results\n"
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{page.name} cannot be read ({e}): give --results another file.", "results") from None
    there = pictures_of(page)
    texts = [
        s.text(
            f"![{s.part} of {s.model}]({PLOTS_FOLDER}/{name}.svg)" if (name := f"{s.model}.{s.part}") in there else ""
        )
        for s in read_sections(page)
    ]
    return "\n".join([FIRST_LINE, words, *texts])


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as unfinished:
            unfinished.write_bytes(content)
    except OSError as e:
        raise UserError(f"{path.name} cannot be written ({e}): give --results another file.", "results") from None


def write_page(page: str | Path = RESULTS) -> None:
    """Render a page and its pictures again; nothing is measured.

    Raises:
        UserError: as `render`, or a file that cannot be written.
    """
    _write(Path(page), render(page).encode())
    for name, figure in pictures_of(page).items():
        _write(Path(page).parent / PLOTS_FOLDER / f"{name}.svg", save(figure, "svg"))


def write_section(page: str | Path, section: Section) -> None:
    """Keep a section's figures beside a page, and render that.

    Two measurements that end at one moment write two files, so no figure is lost; if one renders before it sees the
    other's, `python -m analysis.evaluate.page` does so again.

    Raises:
        UserError: as `write_page`.
    """
    render(page)  # a page that is refused stays as it was
    about = {"model": section.model, "part": section.part, "command": section.command, "place": section.place}
    _write(folder_of(page) / section.file, json_text(section.blocks, **about).encode())
    write_page(page)


def publish(section: Section, page: str | Path | None = None) -> None:
    """Print a section, and put it on a page where one is given.

    Raises:
        UserError: as `write_section`.
    """
    print(section, flush=True)
    if page is not None:
        write_section(page, section)


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="analysis.evaluate.page", description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="the page, its figures beside it")
    args = parser.parse_args(argv)
    try:
        write_page(args.results)
    except UserError as e:
        print(f"analysis.evaluate.page: {e}", file=sys.stderr)
        return 2
    print(f"{args.results}: {len(read_sections(args.results))} sections")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
