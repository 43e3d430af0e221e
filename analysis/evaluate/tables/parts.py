"""The parts of `python -m analysis.evaluate`: each measurement registers itself here, with its count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.core.progress import Progress
from analysis.evaluate.tables.markdown import Block
from foundation.files.models import MODELS_DIR


@dataclass(frozen=True)
class Options:
    """What single parts read beside their count.

    Attributes:
        lpips: AlexNet backbone file; None to look it up.
        fid_runs, fid_reference: runs with other seeds; training pictures, None for the usual number.
        sheet: PNG of pictures and their nearest training pictures, or None.
    """

    lpips: Path | None = None
    fid_runs: int = 1
    fid_reference: int | None = None
    sheet: Path | None = None


@dataclass(frozen=True)
class Job:
    """What a part is asked to measure.

    Attributes:
        model: a `Workbench` (hkd), a `FlowModel` or a `SeriesModel`.
        count: how many of the part's units.
        progress: called with (share, words); may raise to stop.
        name: of the model.
        folder: of the models.
        world: of a series, else None.
        options: of single parts.
    """

    model: Any
    count: int
    progress: Progress = None
    name: str = ""
    folder: Path = MODELS_DIR
    world: Any = None
    options: Options = field(default_factory=Options)

    def share(self, done: int, of: int) -> Progress:
        """Progress of one of several equal pieces as progress of the whole."""
        if (whole := self.progress) is None:
            return None
        return lambda share, words: whole((done + share) / of, words)


@dataclass(frozen=True)
class Outcome:
    """Attributes: blocks = the section; card = figures for the model's card, None for none."""

    blocks: list[Block]
    card: dict[str, Any] | None = None


@dataclass(frozen=True)
class Part:
    """One part of a family of models.

    Attributes:
        family: hkd, flow or series.
        name: of the part.
        place: on the page, among the family's.
        option: of the command line, that says how many.
        count, least, most: default, smallest and largest number.
        measure: does it.
        on_request: left out unless it is named.
        teacher: whether it needs the model's teacher.
        fits: (model or world) -> whether it says something of that; None for always.
    """

    family: str
    name: str
    place: int
    option: str
    count: int
    least: int
    most: int
    measure: Callable[[Job], Outcome]
    on_request: bool = False
    teacher: bool = False
    fits: Callable[[Any], bool] | None = None


_PARTS: dict[tuple[str, str], Part] = {}


def part(
    family: str, name: str, place: int, option: str, count: int, least: int, most: int, **more: Any
) -> Callable[[Callable[[Job], Outcome]], Callable[[Job], Outcome]]:
    """Register a measurement; arguments as the attributes of `Part`.

    Raises:
        ValueError: a name or an option that is taken.
    """

    def register(measure: Callable[[Job], Outcome]) -> Callable[[Job], Outcome]:
        # a module that is run as a script is there twice, and registers the same function again
        others = [p for p in _PARTS.values() if p.measure.__qualname__ != measure.__qualname__]
        taken = [p for p in others if p.option == option or (p.family, p.name) == (family, name)]
        if taken:
            raise ValueError(f"{family} {name} --{option} is taken by {taken[0].family} {taken[0].name}.")
        _PARTS.setdefault((family, name), Part(family, name, place, option, count, least, most, measure, **more))
        return measure

    return register


def parts_of(family: str | None = None) -> dict[str, Part]:
    """Name -> part of a family, in the order of the page; of all families without one."""
    chosen = [p for p in _PARTS.values() if family in (None, p.family)]
    return {p.name: p for p in sorted(chosen, key=lambda p: (p.family, p.place))}
