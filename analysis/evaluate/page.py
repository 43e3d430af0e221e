"""The page of results: one section a model and part, between markers, replaced in place on a new run.

    <!-- begin MODEL PART -->
    ## MODEL: PART

    `the command that printed it`

    tables and verdicts
    <!-- end MODEL PART -->

What stands outside of the markers is written by hand and stays as it is, and so do all other sections. Nothing in a
section depends on when it was made: the same figures give the same page.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from filelock import FileLock

from analysis.core.errors import UserError
from foundation.atomic_write import atomic_write
from foundation.models import MODELS_DIR

RESULTS = MODELS_DIR.parents[1] / "docs" / "results.md"
NAME = re.compile(r"[\w.+-]+")
MARKER = re.compile(r"<!-- (begin|end) (\S+) (\S+) -->")
NEARLY = re.compile(r"\s*<!--\s*(begin|end)\b")


def section(model: str, part: str, command: str, body: str) -> str:
    """One section as it is printed: heading, command, tables."""
    return f"## {model}: {part}\n\n`{command}`\n\n{body.strip()}\n"


def _sections(lines: list[str]) -> dict[tuple[str, str], slice]:
    """Where each section's lines are, markers included; or a UserError that names the line."""
    found: dict[tuple[str, str], slice] = {}
    opened: tuple[tuple[str, str], int] | None = None
    for i, line in enumerate(lines):
        marker = MARKER.fullmatch(line.rstrip())
        if marker is None:
            if NEARLY.match(line):
                raise UserError(
                    f"Line {i + 1} of the page looks like a marker but is none: write <!-- begin MODEL PART -->."
                )
            continue
        kind, key = marker[1], (marker[2], marker[3])
        name = " ".join(key)
        if kind == "begin":
            if opened is not None:
                raise UserError(
                    f"Line {i + 1} of the page begins {name} inside of {' '.join(opened[0])}: end that first."
                )
            if key in found:
                raise UserError(f"Line {i + 1} of the page begins {name} a second time: delete one of the two.")
            opened = key, i
        elif opened is None or opened[0] != key:
            raise UserError(
                f"Line {i + 1} of the page ends {name}, which is not open there: put its begin marker back."
            )
        else:
            found[key], opened = slice(opened[1], i + 1), None
    if opened is not None:
        raise UserError(f"The page begins {' '.join(opened[0])} and never ends it: put its end marker back.")
    return found


def with_section(page: str, model: str, part: str, text: str) -> str:
    """The page with one section replaced, or appended where the page has none of that name.

    Args:
        page: the whole page.
        model, part: name of the section; letters, digits and . _ + - only.
        text: of `section`.

    Raises:
        UserError: a name that a marker cannot hold, a text with markers of its own, or a page with broken markers.
    """
    if not NAME.fullmatch(model) or not NAME.fullmatch(part):
        raise UserError(f"A section cannot be named {model!r} {part!r}: use letters, digits and . _ + - only.")
    inner = text.strip("\n").split("\n")
    if any(NEARLY.match(line) for line in inner):
        raise UserError(f"The text of {model} {part} holds a marker itself: leave the markers to the page.")
    block = [f"<!-- begin {model} {part} -->", *inner, f"<!-- end {model} {part} -->"]
    lines = page.split("\n")
    where = _sections(lines).get((model, part))
    if where is not None:
        return "\n".join([*lines[: where.start], *block, *lines[where.stop :]])
    above = page.rstrip("\n")
    return (above + "\n\n" if above else "") + "\n".join(block) + "\n"


def read_page(path: str | Path) -> str:
    """The page's text, checked: asked before a long measurement, it saves finding out afterwards.

    Raises:
        UserError: broken markers, a file that cannot be read, or a folder that is not there.
    """
    path = Path(path)
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {path.parent.name}")
        page = path.read_text(encoding="utf-8") if path.exists() else "# Results\n"
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(f"{path.name} cannot be read ({e}): give --results another file.") from None
    try:
        _sections(page.split("\n"))
    except UserError as e:
        raise UserError(f"{path.name}: {e}") from None
    return page


def write_section(path: str | Path, model: str, part: str, text: str) -> None:
    """`with_section` on a file, which is made where there is none; a page that is refused stays as it was.

    Raises:
        UserError: as `with_section` and `read_page`, or a file that cannot be written.
    """
    path = Path(path)
    with _alone(path):
        changed = with_section(read_page(path), model, part, text)
        try:
            with atomic_write(path) as unfinished:
                unfinished.write_text(changed, encoding="utf-8")
        except OSError as e:
            raise UserError(f"{path.name} cannot be written ({e}): give --results another file.") from None


def publish(model: str, part: str, command: str, body: str, page: str | Path | None = None) -> None:
    """Print a section, and put it on a page where one is given.

    Raises:
        UserError: as `write_section`.
    """
    text = section(model, part, command, body)
    print(text, flush=True)
    if page is not None:
        write_section(page, model, part, text)


def _alone(path: Path) -> FileLock:
    """Two measurements that end at one moment write one after the other; the lock lies with the temporary files."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
    return FileLock(Path(tempfile.gettempdir()) / f"koopman-results-{digest}.lock", timeout=60)
