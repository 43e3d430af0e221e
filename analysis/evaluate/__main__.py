"""Measurements of shipped models: `python -m analysis.evaluate {hkd,flow,series} --model NAME [--parts A,B] [--write]`.

Prints tables. --write also keeps their figures beside the page of results and renders that, and puts those of the
parts fidelity, leaving-out, edit-choice, restoration and distribution (hkd), forecast or in-sample (series) into the
model's card, inside its checkpoint and beside it. `python -m analysis.evaluate.page` renders the page again; nothing is
measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from analysis.core.errors import UserError
from analysis.core.fields import whole

# these register their parts
from analysis.evaluate import image_sets  # noqa: F401
from analysis.evaluate import page as result_pages
from analysis.evaluate.flow import (  # noqa: F401
    image_tables,
    one_call,
    one_call_pictures,
    points,
    ramachandran,
    transport,
)
from analysis.evaluate.hkd import (  # noqa: F401
    directions,
    edit_curves,
    inversion,
    koopman,
    leaving_out,
    memorisation,
    nested_bands,
    restoration,
    signatures,
)
from analysis.evaluate.hkd.fidelity import paired_samples
from analysis.evaluate.series import forecast, in_sample, worlds  # noqa: F401
from analysis.evaluate.shipping import keep_part, rounded
from analysis.evaluate.tables.parts import Job, Options, Outcome, Part, parts_of
from analysis.workbench.library import ModelLibrary
from flow_core import model as flow_model
from flow_core.series import model as series_model
from flow_core.series.worlds import open_world
from flow_core.training.series import ship
from foundation.data.picture_data import save_grid
from foundation.training.commands import percent_bar
from koopman_core.model import MODELS_DIR

HKD_PARTS, FLOW_PARTS, SERIES_PARTS = parts_of("hkd"), parts_of("flow"), parts_of("series")
FIDELITY, DISTRIBUTION, MEMORISATION, ONE_CALL_FID = "fidelity", "distribution", "memory", "one-call-fid"
FID_OPTIONS = {DISTRIBUTION: ("fid-runs", "fid-reference"), ONE_CALL_FID: ("fid-reference",)}
ON_REQUEST = [p.name for p in HKD_PARTS.values() if p.on_request]


def chosen_parts(text: str | None, parts: dict[str, Part]) -> list[Part]:
    """The parts that are named, in the order of the page; without a text all that are not on request only."""
    names = [p.name for p in parts.values() if not p.on_request] if text is None else map(str.strip, text.split(","))
    if not (asked := set(names)) <= set(parts):
        raise UserError(f"--parts takes {', '.join(parts)}, separated by commas; not {text!r}.")
    return [p for p in parts.values() if p.name in asked]


def _page(args) -> Path | None:
    """Where the figures go with --write, refused now, not after the measurement; None without."""
    if not args.write:
        return None
    page = _results(args)
    result_pages.render(page)
    return page


def _results(args) -> Path:
    return args.results or (result_pages.RESULTS if args.models == MODELS_DIR else args.models / "results.md")


def _measure(args, p: Part, job: Job, page: Path | None) -> tuple[Outcome, str]:
    """One part, measured and published; what came out, and what measures it again."""
    further = [(o, getattr(args, o.replace("-", "_"))) for o in FID_OPTIONS.get(p.name, ())]
    options = [(p.option, job.count), *((o, value) for o, value in further if value is not None)]
    asked = " ".join(f"--{o} {v}" for o, v in options)
    command = f"python -m analysis.evaluate {p.family} --model {job.name} --parts {p.name} {asked}"
    outcome = p.measure(job)
    section = result_pages.Section(job.name, p.name, command, tuple(outcome.blocks), p.place)
    result_pages.publish(section, page)
    return outcome, command


def _run(
    args, parts: Iterable[Part], page: Path | None, after: Callable[[Part, Outcome, str], None], **job: Any
) -> None:
    """Several parts of one model."""
    options = Options(args.lpips, args.fid_runs or 1, args.fid_reference, args.sheet_neighbours)
    for p in parts:
        count = getattr(args, p.option.replace("-", "_"))
        with percent_bar(f"{job['name']} {p.name}") as progress:
            measured = Job(count=count, progress=progress, folder=args.models, options=options, **job)
            outcome, command = _measure(args, p, measured, page)
        after(p, outcome, command)


def evaluate_hkd(args) -> int:
    """Measure, print, and write where asked, part by part."""
    parts = chosen_parts(args.parts, HKD_PARTS)
    if args.fid is None:
        args.fid = HKD_PARTS[DISTRIBUTION].count
    elif args.parts is None:
        parts.append(HKD_PARTS[DISTRIBUTION])
    names = [p.name for p in parts]
    if args.json and FIDELITY not in names:
        raise UserError("--json holds the figures of the part fidelity: ask for that part too.")
    if args.sheet_neighbours and MEMORISATION not in names:
        raise UserError("--sheet-neighbours is made by the part memory: ask for that part too.")
    bench = ModelLibrary(args.models).get(args.model)
    if bench.teacher is None and (args.sheet or any(p.teacher for p in parts)):
        raise UserError(
            f"The teacher of {bench.name} is not in {args.models}: put its .teacher.safetensors there, or ask for "
            f"--parts {','.join(p.name for p in HKD_PARTS.values() if not p.teacher)}."
        )

    def after(p: Part, outcome: Outcome, command: str) -> None:
        if outcome.card is None:
            return
        figures = rounded(outcome.card)
        if args.json and p.name == FIDELITY:
            args.json.write_text(json.dumps(figures, indent=1) + "\n")
        if args.write:
            keep_part(args.models, bench, p.name, command, outcome.card)

    _run(args, parts, _page(args), after, model=bench, name=bench.name)
    if args.sheet and bench.teacher is not None:
        best, mine = paired_samples(bench.model, bench.teacher, range(32))
        rows = [x[low : low + 16] for low in (0, 16) for x in (best, mine)]
        save_grid(args.sheet, torch.cat(rows), columns=16)
    return 0


def _without_hkd_options(args) -> None:
    if args.json or args.sheet or args.sheet_neighbours or args.lpips:
        raise UserError("--json, --sheet, --sheet-neighbours and --lpips are for hkd models: leave them out.")


def evaluate_series(args) -> int:
    """The same for a next-step model of a time-series world."""
    chosen_parts(args.parts, SERIES_PARTS)  # a mistake is told before anything is loaded
    _without_hkd_options(args)
    if args.model is None:
        raise UserError("--model names the series model to measure, lorenz for example.")
    model = series_model.load(args.model, args.models)
    world = open_world(model.frame.world, model.frame.history)
    if world.fingerprint() != model.card.get("data", {}).get("fingerprint"):
        print("The data differ from those that the model was trained on.", file=sys.stderr)
    name, page = str(model.card.get("name", model.frame.world)), _page(args)

    def after(_: Part, outcome: Outcome, command: str) -> None:
        if args.write and outcome.card:
            model.card["metrics"] = {"command": command, **rounded(outcome.card)}
            ship(model, args.models)

    fitting = {p.name: p for p in SERIES_PARTS.values() if p.fits is None or p.fits(world)}
    _run(args, chosen_parts(args.parts, fitting), page, after, model=model, name=name, world=world)
    return 0


def evaluate_flow(args) -> int:
    """The same for one flow, several with commas between, or all of --models."""
    named = chosen_parts(args.parts, FLOW_PARTS)
    _without_hkd_options(args)
    if args.model is None:
        raise UserError("--model names the flow to measure, toy-8gaussians for example, or all.")
    names = [n.strip() for n in args.model.split(",")]
    if names == ["all"]:
        names = sorted(
            p.name.removesuffix(flow_model.FLOW_SUFFIX) for p in args.models.glob(f"*{flow_model.FLOW_SUFFIX}")
        )
    if not names:
        raise UserError(
            f"There is no flow in {args.models}: give --models the folder of {flow_model.FLOW_SUFFIX} files."
        )
    page = _page(args)
    flows = [flow_model.load(flow_model.find_model(n, flow_model.FLOW_SUFFIX, "flow", args.models)) for n in names]
    for asked, model in zip(names, flows, strict=True):  # a wrong name is told before anything is measured
        name = str(model.card.get("name", Path(asked).name.split(".")[0]))
        fitting = [p for p in FLOW_PARTS.values() if p.fits is None or p.fits(model)]
        _run(args, fitting if args.parts is None else named, page, lambda *_: None, model=model, name=name)
    return 0


EVALUATE = {"hkd": evaluate_hkd, "flow": evaluate_flow, "series": evaluate_series}


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="analysis.evaluate", description=__doc__)
    parser.add_argument("what", choices=tuple(EVALUATE))
    parser.add_argument("--model", default=None, help="name of a model in --models; flow takes several, and all")
    parser.add_argument("--models", type=Path, default=MODELS_DIR)
    parser.add_argument(
        "--parts", default=None, help=f"which tables, by commas; all but {', '.join(ON_REQUEST)} by default"
    )
    every = parts_of().values()
    for p in every:
        words = f"of the part {p.name}, {p.least:,} to {p.most:,}; {p.count:,} by default"
        default = None if p.name == DISTRIBUTION else p.count
        parser.add_argument(f"--{p.option}", type=int, default=default, help=words)
    parser.add_argument("--fid-runs", type=int, default=None, help=f"{DISTRIBUTION} again with other seeds, 1 to 100")
    parser.add_argument("--fid-reference", type=int, default=None, help="training pictures; all, of shapes 10,000")
    parser.add_argument("--lpips", type=Path, default=None, help="AlexNet backbone file (npz, safetensors or pth)")
    parser.add_argument("--json", type=Path, default=None, help="also write the figures of the part fidelity here")
    parser.add_argument(
        "--sheet", type=Path, default=None, help="PNG: rows of teacher, student, same noises (seeds 0-31)"
    )
    parser.add_argument(
        "--sheet-neighbours",
        type=Path,
        default=None,
        help=f"PNG of the part {MEMORISATION}: pictures and their nearest",
    )
    parser.add_argument("--write", action="store_true", help="keep the figures, render the page, fill in the card")
    parser.add_argument(
        "--results",
        type=Path,
        default=None,
        help="the page; docs/results.md, or results.md in --models if that is given",
    )
    args = parser.parse_args(argv)
    try:
        for p in every:
            if (value := getattr(args, p.option.replace("-", "_"))) is not None:
                whole(value, p.least, p.most, f"--{p.option}")
        if args.fid_runs is not None:
            whole(args.fid_runs, 1, 100, "--fid-runs")
        return EVALUATE[args.what](args)
    except (UserError, ValueError, RuntimeError) as e:
        print(f"analysis.evaluate: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
