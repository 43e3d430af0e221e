"""The ablation: short trainings from one teacher that differ in one thing each, measured alike.

    python -m analysis.evaluate.ablation --trajectories runs/shapes_trajectories --fid 10000

Every row has the same teacher, trajectories, samples and optimizer (`koopman_core/configs/shapes_ablation.toml`), and
starts from the teacher's weights. Rows of the paper's table 3, the time variable, latent consistency, ways to linear
latents, and the noise level that the decoder is told. What is trained or measured already, below runs/ablation, is not
done again; Ctrl-C stops, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_type_hints

import koopman_core
from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.evaluate import page
from analysis.evaluate.hkd.fidelity import measure_fidelity
from analysis.evaluate.image_sets import measure_distribution
from analysis.evaluate.page import RESULTS, Section
from analysis.evaluate.tables.markdown import NOT_DEFINED, Block, Cell, Verdict, cell, extremes, grid, number
from analysis.workbench.findings import LINEAR
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
from koopman_core.recipes import StudentSettings, run_student

ABLATION_SETTINGS = Path(koopman_core.__file__).parent / "configs" / "shapes_ablation.toml"
PATH_OVERRIDES = ("--student.objective=path", "--student.share_eps=0.5", "--student.operator_lr=2e-2")
DECODER_80 = "--koopman.decoder_sigma=max"
FROM = 1.0  # sigma from which on the path is averaged: below, it is nearly the picture


@dataclass(frozen=True)
class Row:
    """One way to train.

    Attributes:
        key: name of its runs.
        words: what it is.
        overrides: of the settings file.
        seeds: how many trainings, with the seeds 0, 1 ...
        paper: FID of the paper's row (CIFAR-10, FID-50k), None where it has none.
    """

    key: str
    words: str
    overrides: tuple[str, ...] = ()
    seeds: int = 1
    paper: float | None = None


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
        Row("path", "path, none", PATH_OVERRIDES),
        Row("latent_var", "from t, over the variance", LATENT_VARIANCE),
        Row("starts", "from three times", (*LATENT_VARIANCE, "--student.latent_starts=3")),
        Row("rate", "infinitesimal", (*PATH_OVERRIDES, "--student.rate_weight=0.1", "--student.latent_scale=variance")),
        Row("mixed", "from t, channels mixed", (*LATENT_VARIANCE, "--koopman.mixing=true")),
    ),
    "decoder": (
        Row("path", "path, decoder .002", PATH_OVERRIDES, 2),
        Row("path_80", "path, decoder 80", (*PATH_OVERRIDES, DECODER_80), 2),
    ),
    "decoder_published": (
        Row("full", "published, decoder .002", (), 2),
        Row("full_80", "published, decoder 80", (DECODER_80,), 2),
    ),
}


@dataclass(frozen=True)
class Figures:
    """What one training gave.

    Attributes:
        seed: of the training.
        lpips, psnr: one call against the teacher's 35-call sample, means over held-out noises.
        zero: LPIPS of the same with A = 0.
        scrub: LPIPS of the Koopman path to the teacher's denoised state, mean over the levels sigma >= `FROM`.
        linear: side of the latents in pixels -> relative error of the linear law in its latent space, mean over times.
        apart: the same of what differs between the trajectories (`validity.Linearity.differences`).
        growing: share of the pairs that have alpha > 0, so that they shrink on the way to the picture.
        fid, kid: FID and KID of so many pictures as were asked for; None when not asked for.
    """

    seed: int
    lpips: float
    psnr: float
    zero: float
    scrub: float
    linear: dict[int, float]
    apart: dict[int, float]
    growing: float
    fid: float | None
    kid: float | None


@dataclass(frozen=True)
class Plan:
    """What is asked of every run.

    Attributes:
        teacher: name of a shipped model, or a teacher's checkpoint.
        trajectories: folder of that teacher's.
        images: samples a training.
        noises: of the fidelity; a fifth of them, at most 100, for the path.
        fid, reference: pictures a run and training pictures; None for no FID, or all.
        lpips: backbone file, or None to look it up.
    """

    teacher: str
    trajectories: Path
    images: int = 20_000
    noises: int = 500
    fid: int | None = None
    reference: int | None = None
    lpips: Path | None = None
    config: Path = ABLATION_SETTINGS


Found = Sequence[tuple[Row, Sequence[Figures]]]


def _cell(values: Sequence[float | None], form: str) -> str:
    """A mean, with the least and the most of several trainings."""
    there = [v for v in values if v is not None]
    return extremes(there, form) if len(there) == len(values) else NOT_DEFINED


def _mean(found: Sequence[Figures], of: Callable[[Figures], float]) -> float:
    return sum(of(f) for f in found) / len(found)


def _mean_at(found: Sequence[Figures], of: Callable[[Figures, int], float], side: int) -> float:
    """The same of a figure of latents of so many pixels."""
    return _mean(found, lambda f: of(f, side))


def _known(figure: float | None) -> float:
    if figure is None:
        raise ValueError("A figure is missing that these rows have: FID and KID were asked for some runs only.")
    return figure


def order_verdict(rows: Found, of: Callable[[Figures], float], name: str) -> Verdict:
    """Are the paper's rows in the paper's order? Neighbours are told apart only where no two trainings overlap.

    Args:
        rows: the paper's, in its order from worst to best.
        of: the figure, smaller is better.
        name: of the figure.
    """
    claims = []
    for (above, a), (below, b) in pairwise(rows):
        worse, better = [of(f) for f in a], [of(f) for f in b]
        word = "is not told apart"
        if max(better) < min(worse):
            word = "holds"
        elif max(worse) < min(better):
            word = "is reversed"
        claims.append((f'"{below.words}" better than "{above.words}" {word}', word))
    words = [word for _, word in claims]
    order = "paper" if set(words) == {"holds"} else "not" if "is reversed" in words else "open"
    head = {"paper": "the paper's", "not": "not the paper's", "open": "not shown to be the paper's"}[order]
    return Verdict(
        f"By {name} the order is {head}: {'; '.join(text for text, _ in claims)}.",
        {"by": name, "order": order, "neighbours": words},
    )


def _paper(rows: Found, plan: Plan) -> list[Verdict]:
    named = [(row, found) for row, found in rows if row.paper is not None]
    named.sort(key=lambda pair: -_known(pair[0].paper))
    out = [order_verdict(named, lambda f: f.lpips, "LPIPS to the teacher")]
    if plan.fid:
        means = [_mean(found, lambda f: _known(f.fid)) for _, found in named]
        apart = max(means) / min(means) - 1
        by_fid = order_verdict(named, lambda f: _known(f.fid), sample_name("FID", plan.fid))
        within = f" The paper's rows lie within {100 * apart:.1f} % of one another."
        out = [
            Verdict(by_fid.text + within, {**by_fid.figures, "apart": apart}),
            order_verdict(named, lambda f: _known(f.kid), sample_name("KID", plan.fid)),
            *out,
        ]
    by_key = {row.key: found for row, found in rows}
    full, path = by_key["full"], by_key["path"]

    def ratio(of: Callable[[Figures], float]) -> float:
        return _mean(path, of) / _mean(full, of)

    idle = {n: _mean(r, lambda f: f.zero / f.lpips) for n, r in (("path", path), ("published", full))}
    picture, way = ratio(lambda f: f.lpips), ratio(lambda f: f.scrub)
    out.append(Verdict(
        f"Path against published at equal budget: LPIPS of the picture {picture:.2f} times, of the way to it {way:.2f} "
        f"times; without A the picture is {idle['path']:.1f} times as far with path, {idle['published']:.1f} times "
        "with published (1 is an idle operator).",
        {"lpips_ratio": picture, "path_ratio": way, "without_A": idle},
    ))  # fmt: skip
    return out


def _best(rows: Found, plan: Plan) -> list[Verdict]:
    best = min(rows, key=lambda pair: _mean(pair[1], lambda f: f.lpips))[0].words
    way = min(rows, key=lambda pair: _mean(pair[1], lambda f: f.scrub))[0].words
    shrinking = {row.words: _mean(found, lambda f: f.growing) for row, found in rows}
    return [
        Verdict(
            f"Nearest to the teacher's picture: {best}; nearest along the way: {way}. Trainings with other seeds can "
            "change this: the spread of the rows above that were trained twice says by how much.",
            {"picture": best, "path": way},
        ),
        Verdict(
            "Pairs with alpha > 0, which shrink towards the picture: "
            f"{', '.join(f'{words} {100 * v:.0f} %' for words, v in shrinking.items())}.",
            {"shrinking": shrinking},
        ),
    ]


def _latent(rows: Found, plan: Plan) -> list[Verdict]:
    (_, plain), *asked = rows
    sides = sorted(plain[0].linear, reverse=True)
    out: list[Verdict] = []

    def moved(found: Sequence[Figures], of: Callable[[Figures, int], float]) -> list[tuple[float, float]]:
        means = ([_mean_at(which, of, side) for which in (plain, found)] for side in sides)
        return [(before, after) for before, after in means]

    for row, found in asked:
        linear, apart = moved(found, lambda f, s: f.linear[s]), moved(found, lambda f, s: f.apart[s])
        cost = _mean(found, lambda f: f.lpips) / _mean(plain, lambda f: f.lpips)
        ways = ", ".join(f"{side} pixels {a:.2f} to {b:.2f}" for side, (a, b) in zip(sides, linear, strict=True))
        out.append(Verdict(
            f"{row.words}: relative error of the linear law, {ways}; of what differs between pictures "
            f"{', '.join(f'{a:.2f} to {b:.2f}' for a, b in apart)}; LPIPS of the picture {cost:.2f} times.",
            {"row": row.words, "linear": linear, "of_what_differs": apart, "lpips_ratio": cost},
        ))  # fmt: skip
    reached = [
        side
        for side in sides
        if any(_mean_at(found, lambda f, s: max(f.linear[s], f.apart[s]), side) <= LINEAR for _, found in asked)
    ]
    names = ", ".join(f"{side} pixels" for side in reached) or "none"
    out.append(Verdict(
        f"Levels that become linear (relative error up to {LINEAR}) in any row: {names}.", {"linear_sides": reached}
    ))  # fmt: skip
    return out


VERDICTS = {
    "paper": _paper,
    "time": _best,
    "latent": _latent,
    "linear": _latent,
    "decoder": _best,
    "decoder_published": _best,
}


def ablation_blocks(group: str, rows: Found, plan: Plan) -> list[Block]:
    """Table and verdicts of a group.

    Args:
        group: of `ABLATION_ROWS`.
        rows: each with the figures of its trainings.
        plan: what was asked.
    """
    sides = sorted(rows[0][1][0].linear, reverse=True)
    head = [
        "", "trainings", "LPIPS to the teacher", "PSNR, dB", "LPIPS with A = 0",
        f"LPIPS of the path, sigma >= {FROM:g}",
        "error of the linear law at " + " / ".join(f"{s}" for s in sides) + " pixels", "of what differs",
        "alpha > 0",
    ]  # fmt: skip
    table, each_side = [], " / ".join(["{:.2f}"] * len(sides))
    for row, found in rows:
        cells = [
            row.words, Cell("{}", len(found)),
            _cell([f.lpips for f in found], ".4f"), _cell([f.psnr for f in found], ".2f"),
            _cell([f.zero for f in found], ".4f"), _cell([f.scrub for f in found], ".4f"),
            cell(each_side, *(_mean_at(found, lambda f, s: f.linear[s], side) for side in sides)),
            cell(each_side, *(_mean_at(found, lambda f, s: f.apart[s], side) for side in sides)),
            cell("{:.0f} %", 100 * _mean(found, lambda f: f.growing)),
        ]  # fmt: skip
        if plan.fid:
            cells.append(_cell([f.fid for f in found], ".2f"))
            cells.append(_cell([f.kid and 1000 * f.kid for f in found], ".2f"))
        if group == "paper":
            cells.append(number(row.paper, ".2f"))
        table.append(cells)
    head += [sample_name("FID", plan.fid), sample_name("KID", plan.fid) + " x 1000"] if plan.fid else []
    head += ["paper, CIFAR-10, FID-50k"] if group == "paper" else []
    intro = (
        f"Each row was trained on {plan.images:,} samples of the same trajectories, from the same teacher's weights "
        f"and with the same settings but the ones named; {plan.noises} held-out noises. Of several trainings: mean "
        "[least, most]. The latents' error is relative, over the teacher's trajectories, mean over levels of that "
        "size and times; then the same with the mean over the trajectories taken off."
    )
    return [intro, grid(head, table), *VERDICTS[group](rows, plan)]


ABLATION_FOLDER = Path("runs/ablation")
# sections of the settings that decide what is learned
DECISIVE: tuple[Literal["koopman", "student", "training"], ...] = ("koopman", "student", "training")
LAW_SEEDS = 16  # trajectories along which the linear law is tested
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
        *row.overrides, f"--training.images={plan.images}", f"--training.seed={seed}", f"--run.out={out}",
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
            "scrub": statistics.fmean(_known(r.distance.lpips) for r in f.scrub if r.sigma >= FROM),
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
        seed, found["lpips"], found["psnr"], found["zero"], found["scrub"], linear, apart, found["growing"], fid, kid
    )


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
        default=",".join(ABLATION_ROWS),
        help=f"which, by commas; all by default: {', '.join(ABLATION_ROWS)}",
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
    parser.add_argument("--write", action="store_true", help="put the tables on the page")
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
            found = run(plan, group, args.folder, args.seeds, remembered=remembered)
            blocks = ablation_blocks(group, found, plan)
            asked = f"python -m analysis.evaluate.ablation --trajectories DIR --groups {group} --images {plan.images}"
            asked += f" --noises {plan.noises}" + (f" --fid {plan.fid}" if plan.fid else "")
            asked += f" --fid-reference {plan.reference}" if plan.reference else ""
            section = Section("ablation", group, asked, tuple(blocks), list(ABLATION_ROWS).index(group))
            page.publish(section, args.results if args.write else None)

    return resumable("analysis.evaluate.ablation", work, (ValueError, RuntimeError, FileNotFoundError))


if __name__ == "__main__":
    raise SystemExit(main())
