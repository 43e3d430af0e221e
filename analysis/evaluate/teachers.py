"""FID and KID of teachers and of their guidance: which checkpoint, scale and interval the trajectories shall follow.

    python -m analysis.evaluate.teachers A.safetensors B.safetensors                        # two checkpoints
    python -m analysis.evaluate.teachers B.safetensors --guide A.safetensors --scales 1.5 2 --low 0.2 --high 5

Every teacher is measured as it is and, with --scales, under guidance: by the worse teacher --guide (autoguidance), else
by itself without its class. Pictures of the same held-out seeds and classes for all. Guidance costs a second call a
step.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from analysis.core.errors import UserError
from analysis.core.progress import Progress
from analysis.evaluate.image_sets import MAKER_WORDS, Inception, data_by_card, features, picture_progress
from analysis.evaluate.tables.markdown import Block, grid, interval, markdown, number
from foundation.data.picture_data import save_grid
from foundation.data.pictures import from_bytes
from foundation.files.checkpoints import checksum
from foundation.metrics.feature_cache import FEATURES_FOLDER, reference
from foundation.metrics.frechet import fid, kid, sample_name
from foundation.metrics.statistics import Interval
from foundation.randomness import FIRST_SEED
from foundation.training.commands import percent_bar, resumable
from koopman_core.edm import EDM, SIGMA_MAX, SIGMA_MIN
from koopman_core.fid import FID_STEPS, teacher_pictures
from koopman_core.guidance import GuidanceConfig, Guided
from koopman_core.model import load_teacher

SHEET_COLUMNS = 16


@dataclass(frozen=True)
class TeacherFid:
    """One row.

    Attributes:
        teacher: whose pictures.
        guidance: scale, interval and guide; None for the teacher as it is.
        fid, kid: against the training pictures.
    """

    teacher: str
    guidance: GuidanceConfig | None
    fid: float
    kid: Interval


def settings_of(scales: Sequence[float], low: float, high: float, guide: Path | None) -> list[GuidanceConfig | None]:
    """None, and a guidance a scale. Raises UserError: a scale or an interval that cannot be."""
    try:
        guided = [GuidanceConfig(scale, low, high, "" if guide is None else str(guide)) for scale in scales]
    except ValueError as e:
        raise UserError(str(e), "guidance") from None
    return [None, *guided]


def measure_teachers(
    teachers: dict[str, EDM],
    settings: Sequence[GuidanceConfig | None],
    guide: EDM | None,
    count: int,
    reference_count: int,
    *,
    end: float = SIGMA_MIN,
    sheet: Path | None = None,
    folder: Path = FEATURES_FOLDER,
    progress: Progress = None,
) -> list[TeacherFid]:
    """FID and KID of every teacher with every setting.

    Args:
        teachers: name -> denoiser, of the data that the first one's card names.
        settings: guidances; None for none.
        guide: a worse teacher; None for each teacher without its class.
        count, reference_count: pictures of each, from 2, and training pictures.
        end: noise level from which the last call goes to the picture, above 0 and below `SIGMA_MAX`.
        sheet: PNG, a row of `SHEET_COLUMNS` pictures for each row of the table, from the same seeds.
        folder: where features are kept.
        progress: called with (share, words); may raise to stop.

    Raises:
        UserError: such a level cannot be, a card that names no data, a guide of other pictures, or what
            `feature_cache.collect` says.
    """
    if not 0 < end < SIGMA_MAX:
        raise UserError(f"The last noise level lies above 0 and below {SIGMA_MAX:g}, not at {end:g}.", "end")
    first = next(iter(teachers.values()))
    network, data = Inception(), data_by_card(first.card, first.picture_shape[-1], next(iter(teachers)))
    pieces = 1 + len(teachers) * len(settings)
    real = reference(
        data, network, reference_count, folder=folder, progress=picture_progress(progress, 0, pieces, "reference")
    )
    rows: list[TeacherFid] = []
    pictures: list[torch.Tensor] = []
    for name, teacher in teachers.items():
        for setting in settings:
            try:
                guided = None if setting is None else Guided(teacher, setting, guide)
            except ValueError as e:
                raise UserError(str(e), "guidance") from None
            words = MAKER_WORDS["teacher"] + ("" if end == SIGMA_MIN else f", to {end:g}")
            if guided is not None:
                whose = "" if guide is None else checksum(guide)
                words += f", guided {guided.config.scale:g} in [{guided.config.low:g}, {guided.config.high:g}] {whose}"
            make = partial(teacher_pictures, teacher, denoise=guided, end=end)
            row = features(
                teacher.card.get("name", "teacher"), teacher, words, make, count, network, folder,
                bool(teacher.classes), progress=picture_progress(progress, 1 + len(rows), pieces, name),
            )  # fmt: skip
            rows.append(TeacherFid(name, setting, fid(real.moments, row.moments), kid(real.kept, row.kept)))
            if sheet is not None:
                pictures.append(from_bytes(make(range(FIRST_SEED, FIRST_SEED + SHEET_COLUMNS))))
    if sheet is not None:
        save_grid(sheet, torch.cat(pictures), columns=SHEET_COLUMNS)
    return rows


def teacher_blocks(rows: Sequence[TeacherFid], count: int, reference_count: int, end: float = SIGMA_MIN) -> list[Block]:
    """What was compared, and the table."""
    kid_name = f"{sample_name('KID', count)} x 1000"
    return [
        f"{count:,} pictures of {2 * FID_STEPS - 1} calls to sigma {end:g}, guided ones of up to twice as many, from "
        f"the same held-out seeds and classes, against {reference_count:,} training pictures; only figures of equal "
        "count compare.",
        grid(
            ["teacher", "guidance", sample_name("FID", count), kid_name],
            [[r.teacher, _words(r.guidance), number(r.fid, ".2f"), interval(r.kid.scaled(1000), ".2f")] for r in rows],
        ),
    ]


def _words(setting: GuidanceConfig | None) -> str:
    if setting is None:
        return "none"
    by = Path(setting.guide).name if setting.guide else "the class left out"
    return f"{setting.scale:g} in [{setting.low:g}, {setting.high:g}], by {by}"


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="analysis.evaluate.teachers", description=__doc__.partition("\n")[0])
    parser.add_argument("teachers", nargs="+", help="checkpoints, or names of shipped teachers")
    parser.add_argument("--guide", type=Path, default=None, help="a worse teacher; default: the class left out")
    parser.add_argument("--scales", type=float, nargs="*", default=[], help="of guidance, 0 to 20; 1 is none")
    parser.add_argument("--low", type=float, default=0.0, help="noise level from which guidance acts")
    parser.add_argument("--high", type=float, default=math.inf, help="and up to which")
    parser.add_argument(
        "--end", type=float, default=SIGMA_MIN, help="last noise level; one call goes on to the picture"
    )
    parser.add_argument("--count", type=int, default=1000, help="pictures of each")
    parser.add_argument("--reference", type=int, default=1000, help="training pictures")
    parser.add_argument("--sheet", type=Path, default=None, help="PNG: a row of pictures for each row of the table")
    parser.add_argument("--cache", type=Path, default=FEATURES_FOLDER)
    args = parser.parse_args(argv)

    def work() -> None:
        settings = settings_of(args.scales, args.low, args.high, args.guide)
        teachers = {name: load_teacher(name).eval() for name in args.teachers}
        guide = None if args.guide is None else load_teacher(args.guide).eval()
        with percent_bar("teachers") as progress:
            rows = measure_teachers(
                teachers, settings, guide, args.count, args.reference,
                end=args.end, sheet=args.sheet, folder=args.cache, progress=progress,
            )  # fmt: skip
        print(markdown(teacher_blocks(rows, args.count, args.reference, args.end)))

    return resumable("analysis.evaluate.teachers", work)


if __name__ == "__main__":
    raise SystemExit(main())
