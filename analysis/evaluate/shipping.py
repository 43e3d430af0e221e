"""Putting a trained run among the shipped models.

    python -m analysis.evaluate.shipping {STUDENT TEACHER, FLOW} [--models DIR]

Copies the checkpoints under their card's names and writes each card beside its file as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import flow_core
import koopman_core
from analysis.evaluate.tables.parts import parts_of
from analysis.workbench.findings import OPERATOR_CONTROLS
from flow_core import model as flow_model
from foundation.files import checkpoints
from koopman_core.model import MODELS_DIR

LARGEST_FILE = 32_000_000


def _copy(source: Path, path: Path, card: dict) -> None:
    checkpoints.copy_with_card(source, path, card)
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")


def _refuse_large(*sources: Path) -> None:
    for source in sources:
        if source.stat().st_size > LARGEST_FILE:
            raise ValueError(
                f"{source.name} is larger than {LARGEST_FILE / 1e6:.0f} MB: ship a smaller network, or one that was "
                "trained with run.dtype=float16."
            )


def ship(student: Path, teacher: Path, folder: Path, teacher_note: str = "") -> list[Path]:
    """Both checkpoints into `folder`; returns the files written. A note goes into the teacher's card."""
    model, source = koopman_core.load(student), koopman_core.load_teacher(teacher)
    name, teacher_name = model.card["name"], source.card["name"].removesuffix("-teacher")
    if model.card.get("teacher") != teacher_name:
        raise ValueError(f"{student} was trained from {model.card.get('teacher')!r}, not from {teacher_name!r}.")
    _refuse_large(student, teacher)
    files = [folder / f"{name}.hkd.safetensors", folder / f"{teacher_name}.teacher.safetensors"]
    _copy(student, files[0], model.card)
    _copy(teacher, files[1], source.card | ({"note": teacher_note} if teacher_note else {}))
    return files


def ship_flow(flow: Path, folder: Path) -> list[Path]:
    """One flow of points or pictures into `folder`; returns the file written."""
    model = flow_core.load(flow)
    _refuse_large(flow)
    path = folder / f"{model.card['name']}{flow_model.FLOW_SUFFIX}"
    _copy(flow, path, model.card)
    return [path]


def write_metrics(folder: Path, bench, metrics: dict) -> None:
    """Measured figures into a model's card, in the checkpoint and beside it; its weights stay as they are."""
    path = Path(folder) / f"{bench.name}.hkd.safetensors"
    bench.model.card = {**bench.model.card, "metrics": metrics}
    _copy(path, path, bench.model.card)


def rounded(value, digits: int = 5):
    """Floats inside nested dicts and lists to so many significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    return [rounded(v, digits) for v in value] if isinstance(value, (list, tuple)) else value


def keep_part(folder: Path, bench, part: str, command: str, figures: dict) -> None:
    """What a part of `analysis.evaluate hkd` measured into the model's card, with its command.

    Figures of fidelity stand by themselves and replace each other; those of other parts, by name, stay.
    """
    kept, there = {"command": command, **rounded(figures)}, bench.model.card.get("metrics", {})
    if part == "fidelity":
        write_metrics(
            folder, bench, {k: v for k, v in there.items() if k in (*parts_of("hkd"), OPERATOR_CONTROLS)} | kept
        )
    else:
        write_metrics(folder, bench, there | {part: kept})


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="analysis.evaluate.shipping", description=__doc__)
    parser.add_argument("run", type=Path, help="checkpoint of a student, or of a flow")
    parser.add_argument("teacher", type=Path, nargs="?", help="the student's; a flow has none")
    parser.add_argument("--models", type=Path, default=MODELS_DIR)
    parser.add_argument("--teacher-note", default="", help="for its card: what the recipe alone does not tell")
    args = parser.parse_args(argv)
    try:
        is_flow = checkpoints.peek(args.run).kind == flow_model.FLOW_KIND
        if is_flow == bool(args.teacher):
            raise ValueError("a flow stands alone; a student needs its teacher's file as the second argument.")
        note = args.teacher_note
        files = ship_flow(args.run, args.models) if is_flow else ship(args.run, args.teacher, args.models, note)
        for path in files:
            print(f"{path}  {path.stat().st_size / 1e6:.1f} MB  sha256 {checkpoints.sha256(path)[:16]}")
    except (ValueError, KeyError, OSError) as e:
        print(f"analysis.evaluate.shipping: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
