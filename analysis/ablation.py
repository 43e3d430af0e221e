"""The ablation: short trainings from one teacher that differ in one thing each, measured alike.

    python -m analysis.ablation --trajectories runs/shapes_trajectories --fid 10000

Every row has the same teacher, trajectories, samples and optimizer (`koopman_core/configs/shapes_ablation.toml`), and
starts from the teacher's weights. Rows of the paper's table 3, the time variable, and latent consistency. What is
trained or measured already, below runs/ablation, is not done again; Ctrl-C stops, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict, replace
from pathlib import Path

import koopman_core
from analysis import result_pages
from analysis.ablation_rows import FROM, ROWS, Figures, Plan, Row
from analysis.ablation_tables import ablation_text
from analysis.distribution import sample_name
from analysis.errors import UserError
from analysis.feature_cache import FOLDER as FEATURES
from analysis.fidelity import FIRST_SEED, measure_fidelity
from analysis.generated import measure_distribution
from analysis.recipes import checksum
from analysis.requests import whole
from analysis.requests_effects import LinearityRequest
from analysis.result_pages import RESULTS
from analysis.workbench import Workbench
from foundation.commands import percent_bar, resumable
from foundation.perceptual import PerceptualDistance
from foundation.settings import build, read_settings
from foundation.whole_files import replacing
from koopman_core.recipes import STUDENT_SECTIONS, run_student

FOLDER = Path("runs/ablation")
DECISIVE = ("koopman", "student", "training")  # sections of the settings that decide what is learned
LAW_SEEDS = 16  # trajectories along which the linear law is tested
REPORTS = ("threads", "compile", "minutes_per_checkpoint", "images_per_log", "images_per_sample_grid")  # these do not


def _made(section) -> dict:
    """A section of the settings without what makes no other model."""
    return {k: v for k, v in asdict(section).items() if k not in REPORTS}


def train_row(plan: Plan, row: Row, seed: int, folder: Path, report=print) -> Path:
    """The student of a row and seed; trained, or gone on with, where it is not there whole.

    Raises:
        UserError: one that is there was trained otherwise, or the settings do not fit.
    """
    out = folder / f"{row.key}-{seed}"
    overrides = [
        *row.overrides, f"--training.images={plan.images}", f"--training.seed={seed}", f"--run.out={out}",
        f"--run.name={out.name}", f"--input.trajectories={plan.trajectories}", f"--input.teacher={plan.teacher}",
        *([f"--input.lpips={plan.lpips}"] if plan.lpips else []),
    ]  # fmt: skip
    asked = read_settings(plan.config, overrides, STUDENT_SECTIONS)
    path = out / "student.safetensors"
    if path.exists():
        card = koopman_core.load(path).card
        # as settings, so that an option that the card is older than has its default
        there = {k: build(STUDENT_SECTIONS[k], card["recipe"][k], k) for k in DECISIVE}
        if any(_made(there[k]) != _made(asked[k]) for k in DECISIVE):
            raise UserError(f"{out} was trained with other settings: delete that folder, or give another --folder.")
        if card["images_seen"] >= plan.images:
            return path
    report(f"{out.name}: training {plan.images:,} samples")
    if run_student(plan.config, overrides, resume=True, quiet=False):
        raise UserError(f"{out.name} was not trained to its end: the same command goes on.")
    if koopman_core.load(path).card["images_seen"] < plan.images:
        raise KeyboardInterrupt  # stopped by the user: what is there stays
    return path


def _keep(path: Path, found: dict) -> None:
    with replacing(path) as part:
        part.write_text(json.dumps(found, indent=1))


def measure(
    plan: Plan,
    path: Path,
    seed: int,
    perceptual: PerceptualDistance,
    features: Path = FEATURES,
    remembered: dict | None = None,
    report=print,
) -> Figures:
    """All figures of one student, from `figures.json` beside it as far as they are there.

    Args:
        path: its checkpoint.
        seed: of its training.
        features: folder of the Inception features.
        remembered: of `measure_fidelity`.
        report: called with a sentence before every long step.
    """
    model, teacher = koopman_core.load(path), koopman_core.load_teacher(plan.teacher)
    bench = Workbench(model, teacher, path.parent.name)
    key = {"model": checksum(model), "teacher": checksum(teacher), "noises": plan.noises}
    kept = path.with_name("figures.json")
    found = json.loads(kept.read_text()) if kept.exists() else {}
    if found.get("key") != key:
        report(f"{bench.name}: comparing with the teacher, {plan.noises} noises")
        scrub = min(100, max(1, plan.noises // 5))
        f = measure_fidelity(
            model, teacher, plan.noises, perceptual=perceptual, scrub_seeds=scrub, remembered=remembered
        )
        alpha = [e.alpha for e in model.spectrum()]
        found = {
            "key": key, "lpips": f.one_step.lpips, "psnr": f.one_step.psnr, "zero": f.zero_operator.lpips,
            "scrub": statistics.fmean(r.distance.lpips for r in f.scrub if r.sigma >= FROM),
            "growing": sum(int((a > 0).sum()) for a in alpha) / sum(a.numel() for a in alpha),
        }  # fmt: skip
        _keep(kept, found)
    if "apart" not in found:
        report(f"{bench.name}: the law along {min(LAW_SEEDS, plan.noises)} trajectories")
        few = tuple(range(FIRST_SEED, FIRST_SEED + min(LAW_SEEDS, plan.noises)))
        law = bench.linearity(LinearityRequest(few, decoded=False, dmd_rank=0))
        for name, errors in (("linear", law.learned), ("apart", law.differences["learned"])):
            sides: dict[int, list[float]] = {}
            for entry, of_level in zip(model.spectrum(), errors[:, 1:], strict=True):
                sides.setdefault(entry.shape[-1], []).extend(of_level.tolist())
            found[name] = {str(side): statistics.fmean(v) for side, v in sides.items()}
        _keep(kept, found)
    fid = kid = None
    if plan.fid:
        with percent_bar(f"{bench.name}: {sample_name('FID', plan.fid)}") as progress:
            sets = measure_distribution(
                bench, plan.fid, who=("student",), reference_count=plan.reference, folder=features, progress=progress
            )
        fid, kid = sets.fid["student"][0], sets.kid["student"].mean
    return Figures(
        seed, fid=fid, kid=kid, **{n: {int(k): v for k, v in found[n].items()} for n in ("linear", "apart")},
        **{n: found[n] for n in ("lpips", "psnr", "zero", "scrub", "growing")},
    )  # fmt: skip


def run(
    plan: Plan, group: str, folder: Path, seeds: int | None = None, report=print, remembered: dict | None = None
) -> list[tuple[Row, list[Figures]]]:
    """Every row of a group, trained and measured.

    Args:
        group: of `ROWS`.
        folder: of the runs.
        seeds: trainings a row, instead of the row's own number.
        report: called with a sentence before every long step.
        remembered: of `measure_fidelity`, for all groups, which share the teacher.
    """
    perceptual = PerceptualDistance("alex", backbone=plan.lpips, side=64)
    remembered = {} if remembered is None else remembered
    out = []
    compared = any(row.paper is not None for row in ROWS[group])
    for row in ROWS[group]:
        # beside the paper's FID ours is asked for only where there is one: it takes most of the time
        asked = replace(plan, fid=None) if compared and row.paper is None else plan
        found = []
        for seed in range(seeds or row.seeds):
            path = train_row(plan, row, seed, folder, report)
            found.append(measure(asked, path, seed, perceptual, remembered=remembered, report=report))
        out.append((row, found))
    return out


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="analysis.ablation", description=__doc__.partition("\n")[0])
    parser.add_argument("--teacher", default="shapes", help="name of a shipped model, or a teacher's checkpoint")
    parser.add_argument("--trajectories", type=Path, required=True, help="folder of that teacher's trajectories")
    parser.add_argument("--groups", default=",".join(ROWS), help=f"which, by commas; all by default: {', '.join(ROWS)}")
    parser.add_argument("--images", type=int, default=Plan.images, help="samples a training")
    parser.add_argument("--noises", type=int, default=Plan.noises, help="of the comparison with the teacher")
    parser.add_argument("--seeds", type=int, default=None, help="trainings a row; 2 for the paper's rows, else 1")
    parser.add_argument(
        "--fid", type=int, default=None, help="pictures a training (of `paper` the paper's rows only); none by default"
    )
    parser.add_argument("--fid-reference", type=int, default=None, help="training pictures; all, of shapes 10,000")
    parser.add_argument("--lpips", type=Path, default=None, help="AlexNet backbone file (npz, safetensors or pth)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the runs")
    parser.add_argument("--write", action="store_true", help="put the tables on the page")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the page")
    args = parser.parse_args(argv)
    groups = args.groups.split(",")

    def work() -> None:
        if not set(groups) <= set(ROWS):
            raise UserError(f"--groups takes {', '.join(ROWS)}, separated by commas; not {args.groups!r}.")
        for name, least, most in (("images", 1, 10**9), ("noises", 2, 10**6), ("seeds", 1, 100), ("fid", 2, 10**6)):
            if (value := getattr(args, name)) is not None:
                whole(value, least, most, f"--{name}")
        if args.write:
            result_pages.read_page(args.results)
        plan = Plan(args.teacher, args.trajectories, args.images, args.noises, args.fid, args.fid_reference, args.lpips)
        remembered: dict = {}
        for group in groups:
            found = run(plan, group, args.folder, args.seeds, remembered=remembered)
            text = ablation_text(group, found, plan)
            asked = f"python -m analysis.ablation --trajectories DIR --groups {group} --images {plan.images}"
            asked += f" --noises {plan.noises}" + (f" --fid {plan.fid}" if plan.fid else "")
            asked += f" --fid-reference {plan.reference}" if plan.reference else ""
            result_pages.publish("ablation", group, asked, text, args.results if args.write else None)

    return resumable("analysis.ablation", work, (ValueError, RuntimeError, FileNotFoundError))


if __name__ == "__main__":
    raise SystemExit(main())
