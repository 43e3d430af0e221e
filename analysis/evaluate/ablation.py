"""The ablation: short trainings from one teacher that differ in one thing each, measured alike.

    python -m analysis.evaluate.ablation --trajectories runs/shapes_trajectories --fid 10000

Every row has the same teacher, trajectories, samples and optimizer (`koopman_core/configs/shapes_ablation.toml`), and
starts from the teacher's weights. Rows of the paper's table 3, the time variable, latent consistency, and the noise
level that the decoder is told. Two groups are of `portraits`, with the shipped default's objective: `operator`,
eigenvalues that are learned beside ones that never are, and `linear`, ways to linear latents.

    python -m analysis.evaluate.ablation --groups operator,linear --teacher portraits --trajectories DIR

What is trained or measured already, below runs/ablation, is not done again; Ctrl-C stops, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal, get_type_hints

import koopman_core
from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.evaluate import page
from analysis.evaluate.hkd.fidelity import measure_fidelity
from analysis.evaluate.hkd.nested_bands import measure_nested
from analysis.evaluate.image_sets import measure_distribution
from analysis.evaluate.page import RESULTS, Section
from analysis.evaluate.shipping import keep_part
from analysis.evaluate.tables.ablation import (
    FROM,
    SETTINGS_FOLDER,
    Figures,
    Plan,
    Row,
    ablation_blocks,
    control_figures,
    known,
)
from analysis.workbench.findings import OPERATOR_CONTROLS
from analysis.workbench.library import ModelLibrary
from analysis.workbench.probes import LinearityRequest
from analysis.workbench.workbench import Workbench
from foundation.files.atomic_write import atomic_write
from foundation.files.checkpoints import checksum
from foundation.files.settings import build, read_settings
from foundation.metrics.feature_cache import FEATURES_FOLDER
from foundation.metrics.frechet import sample_name
from foundation.metrics.perceptual import PerceptualDistance
from foundation.randomness import FIRST_SEED
from foundation.training.commands import percent_bar, resumable
from koopman_core.model import MODELS_DIR
from koopman_core.recipes import StudentSettings, run_student

GROUP_SETTINGS = {  # of the groups that have their own
    group: SETTINGS_FOLDER / "portraits_ablation.toml" for group in ("operator", "linear")
}
PATH_OVERRIDES = ("--student.objective=path", "--student.share_eps=0.5", "--student.operator_lr=2e-2")
DECODER_80 = "--koopman.decoder_sigma=max"


def _latent_options(*weights: float, scale: str = "energy") -> tuple[str, ...]:
    return (
        *PATH_OVERRIDES,
        f"--student.latent_weights=[{','.join(map(str, weights))}]",
        f"--student.latent_scale={scale}",
    )


LATENT_VARIANCE = _latent_options(0.1, 0.1, 0.1, scale="variance")
ABLATION_ROWS = {
    "paper": (
        Row("off_T", "A = 0, loss at T only", ("--koopman.evolved=none", "--student.only_T=true"), 2, 5.72),
        Row("on_T", "A trained, loss at T only", ("--student.only_T=true",), 2, 5.57),
        Row("bottleneck", "A at the bottleneck only", ("--koopman.evolved=bottleneck",), 2, 4.78),
        Row("full", "A at all levels (published)", (), 2, 3.30),
        Row("path", "the same, objective path (ours)", PATH_OVERRIDES, 2),
    ),
    "time": (
        Row("path", "path, sigma^(1/7) (karras)", PATH_OVERRIDES),
        Row("path_log", "path, log sigma", (*PATH_OVERRIDES, "--koopman.warp=log")),
        Row("path_sigma", "path, sigma", (*PATH_OVERRIDES, "--koopman.warp=sigma")),
    ),
    "latent": (
        Row("path", "path, none", PATH_OVERRIDES),
        Row("latent_all", "0.1 at 16, 8 and 4 pixels", _latent_options(0.1, 0.1, 0.1)),
        Row("latent_16", "0.3 at 16 pixels", _latent_options(0.3, 0, 0)),
        Row("latent_8", "0.3 at 8 pixels", _latent_options(0, 0.3, 0)),
        Row("latent_4", "0.3 at 4 pixels", _latent_options(0, 0, 0.3)),
        Row("latent_var", "0.1 at 16, 8 and 4 pixels, over the variance", LATENT_VARIANCE),
    ),
    "linear": (
        Row("none", "no consistency", ("--student.latent_weights=[]",)),
        Row("operator_learned", "from t, over the variance (as shipped)", ()),  # the group `operator` has it, too
        Row("starts", "from three times", ("--student.latent_starts=3",)),
        Row("rate", "infinitesimal", ("--student.latent_weights=[]", "--student.rate_weight=0.1")),
        Row("mixed", "from t, channels mixed", ("--koopman.mixing=true",)),
    ),
    "decoder": (
        Row("path", "path, decoder .002", PATH_OVERRIDES, 2),
        Row("path_80", "path, decoder 80", (*PATH_OVERRIDES, DECODER_80), 2),
    ),
    "decoder_published": (
        Row("full", "published, decoder .002", (), 2),
        Row("full_80", "published, decoder 80", (DECODER_80,), 2),
    ),
    "operator": (
        Row("operator_learned", "A learned", (), 3),
        Row(
            "operator_random",
            "A random, held",
            ("--student.operator=random", "--student.operator_seed={seed}"),
            3,
        ),
        Row(
            "operator_permuted",
            "A learned, shuffled, held",
            (
                "--student.operator=permuted",
                "--student.operator_seed={seed}",
                "--input.operator={folder}/operator_learned-{seed}/student.safetensors",
            ),
            3,
        ),
        Row("operator_start", "A as it starts, held", ("--student.operator=start",), 3),
    ),
}


ABLATION_FOLDER = Path("runs/ablation")
# sections of the settings that decide what is learned
DECISIVE: tuple[Literal["koopman", "student", "training"], ...] = ("koopman", "student", "training")
LAW_SEEDS = 16  # trajectories along which the linear law is tested
NESTED_SEEDS = 64
REPORTS = (  # these do not
    "threads", "compile", "minutes_per_checkpoint", "images_per_log", "images_per_sample_grid", "images_per_fid",
    "fid_count",
)  # fmt: skip


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
        *(o.format(seed=seed, folder=folder) for o in row.overrides),
        f"--training.images={plan.images}", f"--training.seed={seed}", f"--run.out={out}",
        f"--run.name={out.name}", f"--input.trajectories={plan.trajectories}", f"--input.teacher={plan.teacher}",
        *([f"--input.lpips={plan.lpips}"] if plan.lpips else []),
    ]  # fmt: skip
    asked = read_settings(plan.config, overrides, StudentSettings)
    path = out / "student.safetensors"
    if path.exists():
        card = koopman_core.load(path).card
        # as settings, so that an option that the card is older than has its default
        sections = get_type_hints(StudentSettings)
        there = {k: build(sections[k], card["recipe"][k], k) for k in DECISIVE}
        if any(_made(there[k]) != _made(asked[k]) for k in DECISIVE):
            raise UserError(
                f"{out} was trained with other settings: delete that folder, or give another --folder.", "folder"
            )
        if card["images_seen"] >= plan.images:
            return path
    report(f"{out.name}: training {plan.images:,} samples")
    if run_student(plan.config, overrides, resume=True, quiet=False):
        raise UserError(f"{out.name} was not trained to its end: the same command goes on.")
    if koopman_core.load(path).card["images_seen"] < plan.images:
        raise KeyboardInterrupt  # stopped by the user: what is there stays
    return path


def _keep(path: Path, found: dict) -> None:
    with atomic_write(path) as part:
        part.write_text(json.dumps(found, indent=1))


def measure(
    plan: Plan,
    path: Path,
    seed: int,
    perceptual: PerceptualDistance,
    features: Path = FEATURES_FOLDER,
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
            "scrub": statistics.fmean(known(r.distance.lpips) for r in f.scrub if r.sigma >= FROM),
            "growing": sum(int((a > 0).sum()) for a in alpha) / sum(a.numel() for a in alpha),
        }  # fmt: skip
        _keep(kept, found)
    if "apart" not in found:
        report(f"{bench.name}: the law along {min(LAW_SEEDS, plan.noises)} trajectories")
        few = tuple(range(FIRST_SEED, FIRST_SEED + min(LAW_SEEDS, plan.noises)))
        law = bench.linearity(LinearityRequest(few, decoded=False, dmd_rank=0))
        if law.differences is None:
            raise UserError("What differs between pictures takes two noises or more: raise --noises.", "noises")
        for name, errors in (("linear", law.learned), ("apart", law.differences["learned"])):
            sides: dict[int, list[float]] = {}
            for entry, of_level in zip(model.spectrum(), errors[:, 1:], strict=True):
                sides.setdefault(entry.shape[-1], []).extend(of_level.tolist())
            found[name] = {str(side): statistics.fmean(v) for side, v in sides.items()}
        _keep(kept, found)
    if model.card["recipe"]["student"].get("nested_blurs") and "nested" not in found:
        heldout = range(FIRST_SEED, FIRST_SEED + min(NESTED_SEEDS, plan.noises))
        report(f"{bench.name}: nested bands, {len(heldout)} noises")
        bands = measure_nested(model, heldout)
        first, second = bands.steps
        found["nested"] = {
            "share": float((bands.error.mean(0) / bands.variance).max()), "first step": first.value,
            "second step": second.value, "move": bands.move.value,
        }  # fmt: skip
        _keep(kept, found)
    fid: float | None = None
    kid: float | None = None
    if plan.fid:
        with percent_bar(f"{bench.name}: {sample_name('FID', plan.fid)}") as progress:
            sets = measure_distribution(
                bench, plan.fid, who=("student",), reference_count=plan.reference, folder=features, progress=progress
            )
        fid, kid = sets.fid["student"][0], sets.kid["student"].value
    linear, apart = ({int(k): v for k, v in found[n].items()} for n in ("linear", "apart"))
    return Figures(
        seed, found["lpips"], found["psnr"], found["zero"], found["scrub"], linear, apart, found["growing"], fid, kid,
        found.get("nested"),
    )  # fmt: skip


def run(
    plan: Plan, group: str, folder: Path, seeds: int | None = None, report=print, remembered: dict | None = None
) -> list[tuple[Row, list[Figures]]]:
    """Every row of a group, trained and measured.

    Args:
        group: of `ABLATION_ROWS`.
        folder: of the runs.
        seeds: trainings a row, instead of the row's own number.
        report: called with a sentence before every long step.
        remembered: of `measure_fidelity`, for all groups, which share the teacher.
    """
    perceptual = PerceptualDistance("alex", backbone=plan.lpips, side=64)
    remembered = {} if remembered is None else remembered
    out = []
    compared = any(row.paper is not None for row in ABLATION_ROWS[group])
    for row in ABLATION_ROWS[group]:
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
    parser = argparse.ArgumentParser(prog="analysis.evaluate.ablation", description=__doc__.partition("\n")[0])
    parser.add_argument("--teacher", default="shapes", help="name of a shipped model, or a teacher's checkpoint")
    parser.add_argument("--trajectories", type=Path, required=True, help="folder of that teacher's trajectories")
    parser.add_argument(
        "--groups",
        default=",".join(group for group in ABLATION_ROWS if group not in GROUP_SETTINGS),
        help=f"which, by commas, of {', '.join(ABLATION_ROWS)}; all of shapes by default",
    )
    parser.add_argument("--images", type=int, default=Plan.images, help="samples a training")
    parser.add_argument("--noises", type=int, default=Plan.noises, help="of the comparison with the teacher")
    parser.add_argument("--seeds", type=int, default=None, help="trainings a row; 2 for the paper's rows, else 1")
    parser.add_argument(
        "--fid", type=int, default=None, help="pictures a training (of `paper` the paper's rows only); none by default"
    )
    parser.add_argument("--fid-reference", type=int, default=None, help="training pictures; all, of shapes 10,000")
    parser.add_argument("--lpips", type=Path, default=None, help="AlexNet backbone file (npz, safetensors or pth)")
    parser.add_argument("--folder", type=Path, default=ABLATION_FOLDER, help="of the runs")
    parser.add_argument(
        "--write", action="store_true", help="put the tables on the page, those of `operator` also into the card"
    )
    parser.add_argument("--models", type=Path, default=MODELS_DIR, help="where the model of that card is")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the page")
    args = parser.parse_args(argv)
    groups = args.groups.split(",")

    def work() -> None:
        if not set(groups) <= set(ABLATION_ROWS):
            raise UserError(
                f"--groups takes {', '.join(ABLATION_ROWS)}, separated by commas; not {args.groups!r}.", "groups"
            )
        for name, least, most in (("images", 1, 10**9), ("noises", 2, 10**6), ("seeds", 1, 100), ("fid", 2, 10**6)):
            if (value := getattr(args, name)) is not None:
                whole(value, least, most, f"--{name}")
        if args.write:
            page.render(args.results)
        plan = Plan(args.teacher, args.trajectories, args.images, args.noises, args.fid, args.fid_reference, args.lpips)
        remembered: dict = {}
        for group in groups:
            of_group = replace(plan, config=GROUP_SETTINGS.get(group, plan.config))
            found = run(of_group, group, args.folder, args.seeds, remembered=remembered)
            blocks = ablation_blocks(group, found, of_group)
            asked = f"python -m analysis.evaluate.ablation --trajectories DIR --groups {group} --images {plan.images}"
            asked += f" --teacher {plan.teacher}" if plan.teacher != "shapes" else ""
            asked += f" --noises {plan.noises}" + (f" --fid {plan.fid}" if plan.fid else "")
            asked += f" --fid-reference {plan.reference}" if plan.reference else ""
            section = Section("ablation", group, asked, tuple(blocks), list(ABLATION_ROWS).index(group))
            page.publish(section, args.results if args.write else None)
            if group == "operator" and args.write:
                keep_part(
                    args.models,
                    ModelLibrary(args.models).get(plan.teacher),
                    OPERATOR_CONTROLS,
                    asked,
                    control_figures(found, of_group),
                )

    return resumable("analysis.evaluate.ablation", work, (ValueError, RuntimeError, FileNotFoundError))


if __name__ == "__main__":
    raise SystemExit(main())
