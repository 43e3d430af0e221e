"""Measurements of shipped models: `python -m analysis.evaluate {hkd,flow,series} --model NAME [--parts A,B] [--write]`.

Prints tables. --write also puts them on the page of results, and the figures of the part fidelity (hkd), forecast or
in-sample (series) into the model's card (inside the checkpoint and beside it).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from analysis.core.errors import UserError
from analysis.core.fields import whole
from analysis.evaluate import page as result_pages
from analysis.evaluate.fidelity import measure_fidelity, paired_samples
from analysis.evaluate.image_sets import distribution_text, measure_distribution
from analysis.evaluate.koopman import HKD_PARTS, fidelity_tables
from analysis.evaluate.memorisation import SHOWN, measure_memory, memory_text, neighbours_png
from analysis.evaluate.page import RESULTS
from analysis.evaluate.parts import FLOW_PARTS, IN_SAMPLE, PICTURES, SERIES_PARTS, parts_for
from analysis.workbench.library import ModelLibrary
from flow_core import model as flow_model
from flow_core.series import model as series_model
from flow_core.series.worlds import open_world
from flow_core.training.series import ship
from foundation.commands import percent_bar
from foundation.perceptual import PerceptualDistance, available
from foundation.picture_data import save_grid
from koopman_core.model import MODELS_DIR

FIDELITY = "fidelity"
DISTRIBUTION = "distribution"  # hours on a CPU, so only where --fid or --parts asks for it
MEMORY = "memory"  # takes the pictures that the model was trained on, so only where --parts asks for it
# part -> the option that says how many, its default, smallest and largest number
COUNTS = {
    FIDELITY: ("seeds", 1000, 1, 1_000_000),
    "bands": ("band-seeds", 64, 2, 64),
    "attribution": ("scenes", 256, 8, 512),
    "linearity": ("trajectories", 64, 2, 64),
    "editing": ("pairs", 200, 2, 100_000),
    DISTRIBUTION: ("fid", 10_000, 2, 1_000_000),
    MEMORY: ("pictures", 200, SHOWN, 10_000),
}
SERIES_COUNTS = {
    "forecast": ("members", 20, 2, 200),
    "statistics": ("frames", 1000, 16, 100_000),
    "samplers": ("starts", 200, 2, 5000),
    IN_SAMPLE: ("rollouts", 10, 1, 100),
}
FLOW_COUNTS = {
    "quality": ("quality-seeds", 10, 2, 1000),
    "momentum": ("momentum-seeds", 10, 2, 1000),
    PICTURES: ("picture-seeds", 64, 8, 10_000),
}
FID_OPTIONS = ("fid-runs", "fid-reference")
ON_REQUEST = (DISTRIBUTION, MEMORY)
TEACHERS = (FIDELITY, "linearity", DISTRIBUTION, MEMORY)


def rounded(value, digits: int = 5):
    """Floats inside nested dicts and lists to so many significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    return [rounded(v, digits) for v in value] if isinstance(value, (list, tuple)) else value


def _perceptual(args) -> PerceptualDistance | None:
    if args.lpips or available("alex"):
        return PerceptualDistance("alex", backbone=args.lpips, side=64)
    print("No LPIPS backbone is at hand (set KOOPMAN_LPIPS or give --lpips): LPIPS is left out.", file=sys.stderr)
    return None


def _fidelity(bench, args, command: str, progress) -> str:
    """The tables of the part; the figures go into the card and a file where asked."""
    f = measure_fidelity(
        bench.model, bench.teacher, args.seeds, perceptual=_perceptual(args), scrub_seeds=min(args.seeds, 200),
        progress=lambda done, n: progress(done / n, "held-out noises"),
    )  # fmt: skip
    figures = rounded(asdict(f))
    if args.write:
        _into_card(args, bench, {"command": command, **figures}, keep=(DISTRIBUTION,))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")
    return fidelity_tables(f)


def _into_card(args, bench, figures: dict, keep: tuple[str, ...] | None = None) -> None:
    """Figures into the card, beside those of the other parts; `keep` names which of them stay, all by default."""
    from analysis.evaluate.shipping import write_metrics

    there = bench.model.card.get("metrics", {})
    write_metrics(args.models, bench, {k: v for k, v in there.items() if keep is None or k in keep} | figures)


def _distribution(bench, args, command: str, progress) -> str:
    """The table of the part; its figures go into the card where asked."""
    d = measure_distribution(
        bench, args.fid, runs=args.fid_runs or 1, reference_count=args.fid_reference, progress=progress
    )
    if args.write:
        _into_card(args, bench, {DISTRIBUTION: {"command": command, **rounded(d.figures())}})
    return distribution_text(d)


def _memory(bench, args, command: str, progress) -> str:
    """The tables of the part; its sheet goes into a file where asked."""
    m = measure_memory(bench, args.pictures, perceptual=_perceptual(args), progress=progress)
    if args.sheet_neighbours:
        args.sheet_neighbours.parent.mkdir(parents=True, exist_ok=True)
        args.sheet_neighbours.write_bytes(neighbours_png(m))
    return memory_text(m)


def parts_of(text: str | None, counts: dict = COUNTS) -> list[str]:
    """The parts that are asked for, in the order of the page; without a text all but `distribution` and `memory`."""
    asked = [p for p in counts if p not in ON_REQUEST] if text is None else [p.strip() for p in text.split(",")]
    if not set(asked) <= set(counts):
        raise UserError(f"--parts takes {', '.join(counts)}, separated by commas; not {text!r}.")
    return [p for p in counts if p in asked]


def _page(args) -> Path | None:
    """Where the tables go with --write, refused now, not after the measurement; None without."""
    if not args.write:
        return None
    page = args.results or (RESULTS if args.models == MODELS_DIR else args.models / RESULTS.name)
    result_pages.read_page(page)
    return page


def _command(args, name: str, part: str, counts: dict) -> tuple[str, int]:
    """What prints this part again, and how many of its units there are."""
    option = counts[part][0]
    count = getattr(args, option.replace("-", "_"))
    options = [(option, count)]
    if part == DISTRIBUTION:
        options += [(o, v) for o in FID_OPTIONS if (v := getattr(args, o.replace("-", "_"))) is not None]
    asked = " ".join(f"--{o} {v}" for o, v in options)
    return f"python -m analysis.evaluate {args.what} --model {name} --parts {part} {asked}", count


def evaluate_hkd(args) -> int:
    """Measure, print, and write where asked, part by part."""
    parts = parts_of(args.parts)
    if args.fid is None:
        args.fid = COUNTS[DISTRIBUTION][1]
    elif args.parts is None:
        parts.append(DISTRIBUTION)
    if args.json and FIDELITY not in parts:
        raise UserError("--json holds the figures of the part fidelity: ask for that part too.")
    if args.sheet_neighbours and MEMORY not in parts:
        raise UserError("--sheet-neighbours is made by the part memory: ask for that part too.")
    bench = ModelLibrary(args.models).get(args.model)
    if bench.teacher is None and (args.sheet or set(parts) & set(TEACHERS)):
        raise UserError(
            f"The teacher of {bench.name} is not in {args.models}: put its .teacher.safetensors there, or ask for "
            f"--parts {','.join(p for p in COUNTS if p not in TEACHERS)}."
        )
    page = _page(args)
    own = {FIDELITY: _fidelity, DISTRIBUTION: _distribution, MEMORY: _memory}
    for part in parts:
        command, count = _command(args, bench.name, part, COUNTS)
        with percent_bar(f"{bench.name} {part}") as progress:
            body = own[part](bench, args, command, progress) if part in own else HKD_PARTS[part](bench, count, progress)
        result_pages.publish(bench.name, part, command, body, page)
    if args.sheet:
        best, mine = paired_samples(bench.model, bench.teacher, range(32))
        rows = [x[low : low + 16] for low in (0, 16) for x in (best, mine)]
        save_grid(args.sheet, torch.cat(rows), columns=16)
    return 0


def _without_hkd_options(args) -> None:
    if args.json or args.sheet or args.sheet_neighbours or args.lpips:
        raise UserError("--json, --sheet, --sheet-neighbours and --lpips are for hkd models: leave them out.")


def evaluate_series(args) -> int:
    """The same for a next-step model of a time-series world."""
    parts_of(args.parts, SERIES_COUNTS)  # a mistake is told before anything is loaded
    _without_hkd_options(args)
    if args.model is None:
        raise UserError("--model names the series model to measure, lorenz for example.")
    model = series_model.load(args.model, args.models)
    world = open_world(model.frame.world, model.frame.history)
    if world.fingerprint() != model.card.get("data", {}).get("fingerprint"):
        print("The data differ from those that the model was trained on.", file=sys.stderr)
    name, page = str(model.card.get("name", model.frame.world)), _page(args)
    fitting = {p: c for p, c in SERIES_COUNTS.items() if (p == IN_SAMPLE) == world.in_sample}
    for part in parts_of(args.parts, fitting):
        command, count = _command(args, name, part, SERIES_COUNTS)
        more = {"folder": args.models} if part == IN_SAMPLE else {}
        with percent_bar(f"{name} {part}") as progress:
            body, figures = SERIES_PARTS[part](model, world, count, progress, **more)
        result_pages.publish(name, part, command, body, page)
        if args.write and figures:
            model.card["metrics"] = {"command": command, **rounded(figures)}
            ship(model, args.models)
    return 0


def evaluate_flow(args) -> int:
    """The same for one flow, several with commas between, or all of --models."""
    parts_of(args.parts, FLOW_COUNTS)
    _without_hkd_options(args)
    if args.model is None:
        raise UserError("--model names the flow to measure, toy-8gaussians for example, or all.")
    names = [n.strip() for n in args.model.split(",")]
    if names == ["all"]:
        names = sorted(p.name.removesuffix(flow_model.SUFFIX) for p in args.models.glob(f"*{flow_model.SUFFIX}"))
    if not names:
        raise UserError(f"There is no flow in {args.models}: give --models the folder of {flow_model.SUFFIX} files.")
    page = _page(args)
    flows = [flow_model.load(flow_model.find_model(n, flow_model.SUFFIX, "flow", args.models)) for n in names]
    for asked, model in zip(names, flows, strict=True):  # a wrong name is told before anything is measured
        name = str(model.card.get("name", Path(asked).name.split(".")[0]))
        fitting = {p: FLOW_COUNTS[p] for p in parts_for(model)}
        for part in list(fitting) if args.parts is None else parts_of(args.parts, FLOW_COUNTS):
            command, count = _command(args, name, part, FLOW_COUNTS)
            more = {"name": name, "folder": args.models} if part == PICTURES else {}
            with percent_bar(f"{name} {part}") as progress:
                body = FLOW_PARTS[part](model, count, progress, **more)
            result_pages.publish(name, part, command, body, page)
    return 0


EVALUATE = {"hkd": evaluate_hkd, "flow": evaluate_flow, "series": evaluate_series}


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="analysis.evaluate", description=__doc__)
    parser.add_argument("what", choices=tuple(EVALUATE))
    parser.add_argument("--model", default=None, help="name of a model in --models; flow takes several, and all")
    parser.add_argument("--models", type=Path, default=MODELS_DIR)
    parser.add_argument(
        "--parts", default=None, help=f"which tables, by commas; all but {' and '.join(ON_REQUEST)} by default"
    )
    for part, (option, count, low, high) in (COUNTS | FLOW_COUNTS | SERIES_COUNTS).items():
        words = f"of the part {part}, {low:,} to {high:,}; {count:,} by default"
        parser.add_argument(f"--{option}", type=int, default=None if part == DISTRIBUTION else count, help=words)
    parser.add_argument("--fid-runs", type=int, default=None, help=f"{DISTRIBUTION} again with other seeds, 1 to 100")
    parser.add_argument("--fid-reference", type=int, default=None, help="training pictures; all, of shapes 10,000")
    parser.add_argument("--lpips", type=Path, default=None, help="AlexNet backbone file (npz, safetensors or pth)")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures of the part fidelity here")
    parser.add_argument(
        "--sheet", type=Path, default=None, help="PNG: rows of teacher, student, same noises (seeds 0-31)"
    )
    parser.add_argument(
        "--sheet-neighbours", type=Path, default=None, help=f"PNG of the part {MEMORY}: pictures and their nearest"
    )
    parser.add_argument("--write", action="store_true", help="put the tables on the page, figures into the card")
    parser.add_argument(
        "--results",
        type=Path,
        default=None,
        help="the page; docs/results.md, or results.md in --models if that is given",
    )
    args = parser.parse_args(argv)
    try:
        for option, _, low, high in (COUNTS | FLOW_COUNTS | SERIES_COUNTS).values():
            if (value := getattr(args, option.replace("-", "_"))) is not None:
                whole(value, low, high, f"--{option}")
        if args.fid_runs is not None:
            whole(args.fid_runs, 1, 100, "--fid-runs")
        return EVALUATE[args.what](args)
    except (UserError, ValueError, RuntimeError) as e:
        print(f"analysis.evaluate: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
