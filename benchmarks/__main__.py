"""`python -m benchmarks [NAME ...]`: run measurements and print their tables. Ratios, not seconds, are the result."""

from __future__ import annotations

import argparse
import importlib
import sys

from analysis.core.errors import UserError

BENCHMARKS = (
    "cost", "evolve", "slider", "training", "precision", "flow", "features", "startup", "examples", "soak", "flood",
    "trips", "page", "sizes",
)  # fmt: skip
ON_GPU = ("training",)  # those that can be asked for a GPU
WRITTEN = ("cost",)  # those with a section on the page of results


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; all when none is given"
    )
    parser.add_argument("--write", action="store_true", help=f"put {', '.join(WRITTEN)} on the page of results too")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help=f"of {', '.join(ON_GPU)}")
    parser.add_argument("--seeds", type=int, default=None, help="trainings of each net of flow, 5 if not given")
    parser.add_argument("--density", default=None, help="the one density of flow, two if not given")
    args = parser.parse_args(argv)
    unknown = [n for n in args.names if n not in BENCHMARKS]
    if unknown:
        print(f"benchmarks: there is no {unknown[0]!r}: choose any of {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    names = args.names or BENCHMARKS
    if args.write and not set(names) & set(WRITTEN):
        print(f"benchmarks: only {', '.join(WRITTEN)} can be written to the page: leave --write out.", file=sys.stderr)
        return 2
    if args.device == "cuda" and not set(names) <= set(ON_GPU):
        print(f"benchmarks: only {', '.join(ON_GPU)} can be measured on a GPU: name it alone.", file=sys.stderr)
        return 2
    smaller = {k: v for k, v in (("seeds", args.seeds), ("density", args.density)) if v is not None}
    if smaller and "flow" not in names:
        print(f"benchmarks: --{next(iter(smaller))} is of flow alone: name flow, or leave it out.", file=sys.stderr)
        return 2
    try:
        for name in names:
            options = {"write": args.write} if name in WRITTEN else {}
            options |= {"device": args.device} if args.device == "cuda" else {}
            options |= smaller if name == "flow" else {}
            importlib.import_module(f"benchmarks.{name}").run(**options)
    except UserError as e:
        print(f"benchmarks: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
